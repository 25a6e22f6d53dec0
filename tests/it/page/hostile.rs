//! Whatever is in the store is text on the page: no value becomes markup, an attribute, or something that a reader does not see.

use proptest::prelude::*;
use serde_json::Value;
use upstreamd::model::status::Status;
use upstreamd::status::page;

use super::samples;

/// Words of the format, which are no data: a status with others is none.
const WORDS: [&str; 6] = ["kind", "question", "answer", "format", "at", "since"];
const TIMES: [&str; 7] = ["expires", "started", "next_try", "lost_since", "away_since", "applied_at", "behind_since"];

/// Texts that have been more than text elsewhere.
pub const ATTEMPTS: [&str; 12] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</pre></main><main>",
    "<!--",
    "&lt;b&gt;",
    "]]>",
    "a\0b\u{1b}[31m\u{9b}",
    "\u{202e}fdp.exe\u{2066}\u{61c}\u{200b}\u{feff}",
    "x\u{2028}\u{2029}",
    "javascript:alert(1)",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
];

/// Puts a text into every field that holds one, as an attacker who owns every name would.
fn replace(value: &mut Value, hostile: &str) {
    match value {
        Value::String(text) => hostile.clone_into(text),
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, hostile)),
        Value::Object(members) => {
            for (name, value) in members {
                let is_word = WORDS.contains(&name.as_str()) || TIMES.contains(&name.as_str());
                let is_kinds = name == "conditions" && value[0].is_string();
                if !is_word && !is_kinds {
                    replace(value, hostile);
                }
            }
        }
        _ => {}
    }
}

/// The bad state in which every text is this one.
pub fn full_of(hostile: &str) -> Status {
    let mut value = serde_json::to_value(Status { announced: samples::announcers(), ..samples::bad() }).unwrap();
    replace(&mut value, hostile);
    serde_json::from_value(value).unwrap()
}

/// The tags of a page with their attributes' values left out, and what stands between them. Panics where it is no well-formed HTML.
fn taken_apart(page: &str) -> (Vec<String>, String) {
    let (mut tags, mut text, mut rest) = (Vec::new(), String::new(), page);
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (mut tag, mut in_value) = (String::new(), false);
        let end = after.char_indices().find_map(|(at, character)| {
            if character == '"' {
                in_value = !in_value;
            }
            assert!(character != '<' || in_value, "a tag in a tag: {}", &after[..at]);
            if !in_value {
                tag.push(character);
            }
            (character == '>' && !in_value).then_some(at + 1)
        });
        tags.push(tag);
        rest = &after[end.unwrap_or_else(|| panic!("a tag without an end: {after}"))..];
    }
    (tags, text + rest)
}

fn shape(hostile: &str) -> (Vec<String>, String) {
    let page = page::html(&full_of(hostile));
    let (_, body) = page.split_once("<body>").unwrap();
    let (body, script) = body.rsplit_once("<script>").unwrap();
    assert_eq!(script.matches("</script>").count(), 1);
    assert!(!body.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{body}");
    taken_apart(body)
}

#[test]
fn the_usual_attempts_stay_text() {
    let (tags, _) = shape("x");
    for hostile in ATTEMPTS {
        let (found, text) = shape(hostile);
        assert!(found == tags, "{hostile}");
        for character in hostile.chars().filter(|c| "\u{202e}\u{2066}\u{61c}\u{200b}\u{feff}\u{2028}".contains(*c)) {
            assert!(!text.contains(character), "{character:?} is on the page");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_changes_the_shape_of_the_page(hostile in r#"x[^-+@\n\r]{0,40}["'<>&/ a-z=!\PC\x00-\x09\u{80}-\u{a0}\u{2000}-\u{2070}]{0,20}"#) {
        prop_assert!(shape(&hostile).0 == shape("x").0);
    }
}
