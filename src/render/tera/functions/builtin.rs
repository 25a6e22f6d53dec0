//! Tera's own filters that make texts and lists, in the place of Tera's: with a bound for what they make, in linear time, and without
//! Tera's mark for texts that may be printed as they are, unless only blanks change: the mark is true of a whole text.

use tera::Value;

use super::call::{TeraCall, TeraFunction, filter};
use super::order;
use crate::model::problem::Problem;
use crate::render::library::text;
use crate::render::tera::run::TeraRun;

/// The table of these filters. Other arguments than those that are read are passed over, as by Tera.
pub(super) const FILTERS: &[TeraFunction] = &[
    filter("upper", TEXT, |call, _| Ok(Value::from(call.text("text")?.to_uppercase()))),
    filter("lower", TEXT, |call, _| Ok(Value::from(call.text("text")?.to_lowercase()))),
    filter("capitalize", TEXT, |call, _| Ok(Value::from(capitalize(call.text("text")?)))),
    filter("title", TEXT, |call, _| Ok(Value::from(title(call.text("text")?)))),
    filter("trim", TEXT, |call, _| {
        trimmed(call, str::trim, |text, pat| text.trim_start_matches(pat).trim_end_matches(pat))
    }),
    filter("trim_start", TEXT, |call, _| trimmed(call, str::trim_start, |text, pat| text.trim_start_matches(pat))),
    filter("trim_end", TEXT, |call, _| trimmed(call, str::trim_end, |text, pat| text.trim_end_matches(pat))),
    filter("truncate", TEXT, truncate),
    filter("replace", TEXT, replace),
    filter("indent", TEXT, indent),
    filter("escape_html", TEXT, |call, _| replaced(call, &HTML)),
    filter("escape_xml", TEXT, |call, _| replaced(call, &XML)),
    filter("newlines_to_br", TEXT, |call, _| {
        Ok(Value::from(call.text("text")?.replace("\r\n", "<br>").replace(['\n', '\r'], "<br>")))
    }),
    filter("str", TEXT, |call, _| Ok(Value::from(call.value("text")?.to_string()))),
    filter("join", &["list", "…"], join),
    filter("unique", &["list", "…"], order::unique),
    filter("sort", &["list", "…"], order::sort),
];

const TEXT: &[&str] = &["text", "…"];

const HTML: [(char, &str); 5] = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];
const XML: [(char, &str); 5] = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&apos;")];

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.collect::<String>() + &chars.as_str().to_lowercase()
}

/// Returns each word with a capital letter and small ones; an apostrophe ends no word.
fn title(text: &str) -> String {
    let mut title = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        if c.is_ascii_punctuation() || c.is_whitespace() {
            title.push(c);
            begins |= c != '\'';
        } else if begins {
            title.extend(c.to_uppercase());
            begins = false;
        } else {
            title.extend(c.to_lowercase());
        }
    }
    title
}

fn trimmed(
    call: &TeraCall<'_>,
    blanks: fn(&str) -> &str,
    pattern: for<'t> fn(&'t str, &str) -> &'t str,
) -> Result<Value, Problem> {
    let text = call.text("text")?;
    Ok(match call.optional_text("pat")? {
        Some(pat) => Value::from(pattern(text, pat)),
        None => but_for_blanks(call, blanks(text)),
    })
}

/// Returns a text that differs from the filtered one by blanks at the ends of lines only. What is harmless in a file stays so: a block
/// of lines that a template has printed into a variable can still be indented and trimmed.
fn but_for_blanks(call: &TeraCall<'_>, text: &str) -> Value {
    let is_safe = call.value("text").is_ok_and(Value::is_safe);
    if is_safe { Value::safe_string(text) } else { Value::from(text) }
}

fn truncate(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let (text, length) = (call.text("text")?, call.integer("length")?);
    let length = usize::try_from(length).map_err(|_| call.failure("argument `length` must not be negative"))?;
    Ok(match text.char_indices().nth(length) {
        Some((at, _)) => Value::from(format!("{}{}", &text[..at], call.optional_text("end")?.unwrap_or("…"))),
        None => Value::from(text),
    })
}

fn replace(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let (text, from, to) = (call.text("text")?, call.text("from")?, call.text("to")?);
    call.named(text::replace(text, from, to, -1)).map(Value::from)
}

fn replaced(call: &TeraCall<'_>, by: &[(char, &str)]) -> Result<Value, Problem> {
    let text = call.text("text")?;
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        match by.iter().find(|(char, _)| *char == c) {
            Some((_, instead)) => output.push_str(instead),
            None => output.push(c),
        }
    }
    Ok(Value::from(output))
}

/// Widest indentation, as Tera has it.
const WIDEST: i128 = 1000;

fn indent(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let text = call.text("text")?;
    let flag = |name| call.optional(name).map_or(Ok(false), |_| call.boolean(name));
    let (first, blank) = (flag("first")?, flag("blank")?);
    let width = usize::try_from(call.optional_integer("width")?.unwrap_or(4).min(WIDEST));
    let width = width.map_err(|_| call.failure("argument `width` must not be negative"))?;
    let pad = call.optional_text("indentation")?.unwrap_or(" ");
    if pad.chars().count() != 1 {
        return Err(call.failure("the `indentation` argument must contain exactly one character"));
    }
    call.named(text::check_size(text.len(), text.lines().count(), pad.len() * width))?;
    let pad = pad.repeat(width);
    let mut output = String::with_capacity(text.len() * 2);
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            output.push('\n');
        }
        if if index == 0 { first } else { blank || !line.is_empty() } {
            output.push_str(&pad);
        }
        output.push_str(line);
    }
    if text.ends_with('\n') {
        output.push('\n');
    }
    Ok(if pad.trim_matches([' ', '\t']).is_empty() { but_for_blanks(call, &output) } else { Value::from(output) })
}

fn join(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let separator = call.optional_text("sep")?.unwrap_or_default();
    let mut output = String::new();
    for (index, item) in call.list("list")?.iter().enumerate() {
        if index > 0 {
            output.push_str(separator);
        }
        match item.as_str() {
            Some(text) => output.push_str(text),
            None => output.push_str(&item.to_string()),
        }
        call.named(text::check_size(output.len(), 0, 0))?;
    }
    Ok(Value::from(output))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tera::{Context, Tera};

    use super::*;
    use crate::model::resource::Escape;
    use crate::model::view::View;
    use crate::render::facts::NoWorld;
    use crate::render::session::RenderSession;
    use crate::render::tera::engine;
    use crate::render::tera::functions::TERA_FILTERS;

    const USES: &[&str] = &[
        "a | upper",
        "a | lower",
        "a | capitalize",
        "a | title",
        "a | trim",
        "a | trim(pat='a')",
        "a | trim_start",
        "a | trim_start(pat=b)",
        "a | trim_end",
        "a | trim_end(pat='b')",
        "a | truncate(length=3)",
        "a | truncate(length=3, end='.', more=1)",
        "a | replace(from='a', to=b)",
        "a | replace(from='', to=b)",
        "a | replace(from=b, to='')",
        "a | indent",
        "a | indent(width=2, first=true, blank=true)",
        "a | indent(width=1, indentation='é')",
        "a | escape_html",
        "a | escape_xml",
        "a | newlines_to_br",
        "a | str",
        "[a, 1, b, 1.5, [a, 1], {'a': b}, true, none] | join(sep=', ')",
        "[a, b] | join",
        "[] | join(sep=a)",
        "[a, b, a, 1, 1.0, -0.0, 0, [a], [b], [a], {'a': 1, 'b': a}, {'b': a, 'a': 1.0}, true, none, none] | unique",
        "[b, 'b', a, 'ab', none, ''] | sort",
        "[3, -1, 1.5, 2, none, 2.0] | sort",
        "[[1, 2], [1], [0, 5], []] | sort",
        "[{'k': b, 'n': 1}, {'k': a, 'n': 2}, {'k': 'a', 'n': 3}, {'k': none}] | sort(attribute='k', more=1)",
        "[{'k': {'l': 2} }, {'k': {'l': 1} }] | sort(attribute='k.l')",
        "[{'k': 1}, {'l': 1}] | sort(attribute='k')",
        "[{'k': 1}, {'k': 1}] | sort",
        "[{'k': 1}] | sort",
        "[] | sort(attribute=a)",
        "[a, 1] | sort",
        "[[1], [a]] | sort",
        "a | sort",
        "1 | str",
        "1 | upper",
        "a | join",
        "a | unique",
        "a | truncate",
        "a | indent(indentation='ab')",
    ];

    proptest! {
        #[test]
        fn they_do_what_teras_own_do(a in "[abAB '\"<>&é😀ß\\r\\n\\t.-]{0,12}", b in "[abAB'é]{0,3}") {
            let context = Context::from_serialize(&std::collections::BTreeMap::from([("a", a), ("b", b)])).unwrap();
            let mut theirs = Tera::default();
            theirs.autoescape_on(Vec::<&str>::new());
            let mut ours = engine::empty(Escape::None);
            for (index, one) in USES.iter().enumerate() {
                let (name, template) = (index.to_string(), format!("{{{{ {one} }}}}"));
                theirs.add_raw_template(&name, &template).unwrap();
                ours.add_raw_template(&name, &template).unwrap();
                let session = RenderSession::new(View::default(), std::sync::Arc::new(NoWorld));
                let run = TeraRun::new(session, Default::default(), Default::default());
                let (result, _) = run.run(|| ours.render(&name, &context));
                prop_assert_eq!(result.ok(), theirs.render(&name, &context).ok(), "{}", one);
            }
        }
    }

    #[test]
    fn each_is_a_filter_of_tera() {
        assert!(FILTERS.iter().all(|filter| TERA_FILTERS.contains(&filter.name)));
    }
}
