//! The documentation and the tables say the same; no template over any store panics, loops or exhausts the stack.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::functions;
use crate::model::key::{Key, Revision, Value};
use crate::model::range::KeyRanges;
use crate::model::resource::Escape;
use crate::model::tree::Tree;
use crate::model::view::View;
use crate::nginx::quote::is_harmless;
use crate::render::facts::NoWorld;
use crate::render::{Memory, Root, TemplateSources, compile};

const DOCUMENTATION: &str = include_str!("../../../docs/go-templates.md");

fn render(template: &str, escape: Escape, keys: &[(String, String)]) -> Result<String, String> {
    let sources = TemplateSources::from([
        ("t".to_owned(), Arc::from(template)),
        ("part".to_owned(), Arc::from("<{{.}}{{range gets \"/*\"}}{{.Value}}{{end}}>")),
    ]);
    let root = Root::go("t", escape);
    let (renderer, problems) = compile(&sources, &[root], Arc::new(NoWorld));
    if let Some((_, problem)) = problems.first() {
        return Err(problem.to_string());
    }
    let entries = keys.iter().map(|(key, value)| (Key::from(key.as_str()), Value::from(value.as_str())));
    let view = View::new(Tree::from_entries(Revision(1), entries), Arc::from(""), KeyRanges::of_directories([""]));
    let once = renderer.render(root, &view, &mut Memory::default()).result;
    assert_eq!(once, renderer.render(root, &view, &mut Memory::default()).result);
    once.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| format!("{error} {:?}", error.hint))
}

#[test]
fn every_function_is_documented_and_nothing_else() {
    let list = DOCUMENTATION.split("## The functions").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
    let known: BTreeSet<&str> = functions::all().map(|function| function.name).collect();
    assert_eq!(documented, known);
    assert_eq!(known.len(), functions::all().count(), "a name is there twice");
}

#[test]
fn what_nests_without_end_is_refused_and_not_fallen_into() {
    let deep = |open: &str, inside: &str, close: &str, levels: usize| {
        format!("{}{inside}{}", open.repeat(levels), close.repeat(levels))
    };
    let recursive = |body: &str| format!("{{{{define \"x\"}}}}{body}{{{{end}}}}{{{{template \"x\" 1}}}}");
    for template in [
        deep("{{if true}}", "x", "{{end}}", 100_000),
        deep("{{range 1}}", "x", "{{end}}", 1_000),
        format!("{{{{{}}}}}", deep("(", "1", ")", 100_000)),
        format!("{{{{{}}}}}", deep("len (print ", "1", ")", 1_000)),
        deep("{{if true}}{{else if true}}", "x", "{{end}}", 1_000),
        recursive("{{range 1}}{{with 1}}{{if true}}{{template \"x\" 1}}{{end}}{{end}}{{end}}"),
        recursive("{{template \"x\" (printf \"%v\" (print (len (print .))))}}"),
        "{{$l := list}}{{range 1000000}}{{$l = list $l}}{{end}}".to_owned(),
        "{{$l := list 1}}{{range 1000000}}{{$l = list $l $l}}{{end}}{{$l}}".to_owned(),
        "{{$m := map}}{{range 1000000}}{{$m = map \"a\" $m \"b\" $m}}{{end}}{{$m}}".to_owned(),
        "{{printf \"%999999999d\" 1}}{{range 1000000000}}{{end}}".to_owned(),
        "{{include \"t\"}}".to_owned(),
        format!("{{{{{}}}}}", deep("(include \"t\" ", ".", ")", 60)),
    ] {
        assert!(render(&template, Escape::None, &[]).is_err(), "{}", &template[..template.len().min(80)]);
    }
}

/// A piece of a template: mostly well formed, of real functions and literals.
fn piece() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = functions::all().map(|function| function.name).collect();
    let word = prop_oneof![
        3 => Just("(gets \"/*\")".to_owned()),
        2 => Just("(getvs \"/*\")".to_owned()),
        2 => Just("(index (gets \"/*\") 0)".to_owned()),
        1 => Just("(json \"{\\\"a\\\":[1,null,{\\\"b\\\":2.5}]}\")".to_owned()),
        1 => Just("(split \"a,b\" \",\")".to_owned()),
        1 => Just("datetime".to_owned()),
        1 => Just("(lookupSRV \"a\" \"b\" \"c\")".to_owned()),
        2 => Just(".".to_owned()),
        1 => Just("$".to_owned()),
        1 => Just("nil".to_owned()),
        2 => Just("true".to_owned()),
        3 => (-3..1_000_000_i64).prop_map(|number| number.to_string()),
        1 => Just("9223372036854775807".to_owned()),
        1 => Just("1.5e3".to_owned()),
        3 => "[ -~]{0,6}".prop_map(|text| format!("{text:?}")),
        2 => "%[-+# 0]{0,2}[0-9*]{0,2}[.]?[0-9*]{0,2}[a-zA-Z%]".prop_map(|verb| format!("\"{verb}\"")),
        1 => "\\PC{0,3}".prop_map(|text| format!("{text:?}")),
        1 => Just("\"/a\"".to_owned()),
        1 => Just("\"part\"".to_owned()),
    ];
    let field = prop_oneof![
        6 => Just(""),
        1 => Just(".Key"),
        1 => Just(".Value"),
        1 => Just(".a"),
        1 => Just(".Format"),
        1 => Just(".Year"),
        1 => Just(".Port")
    ];
    let call = (proptest::sample::select(names), proptest::collection::vec(word.clone(), 0..4), field).prop_map(
        |(name, words, field)| match field {
            "" => format!("{name} {}", words.join(" ")),
            field => format!("({name} {}){field}", words.join(" ")),
        },
    );
    let pipe = proptest::collection::vec(prop_oneof![5 => call, 1 => word], 1..4).prop_map(|calls| calls.join(" | "));
    prop_oneof![
        8 => pipe.clone().prop_map(|pipe| format!("{{{{{pipe}}}}}")),
        2 => pipe.clone().prop_map(|pipe| format!("{{{{range $i, $e := {pipe}}}}}{{{{$i}}}}{{{{$e}}}}{{{{else}}}}n{{{{end}}}}")),
        1 => pipe.clone().prop_map(|pipe| format!("{{{{with {pipe}}}}}{{{{.}}}}{{{{else with 1}}}}x{{{{end}}}}")),
        1 => pipe.clone().prop_map(|pipe| format!("{{{{if {pipe}}}}}y{{{{else}}}}n{{{{end}}}}")),
        1 => pipe.clone().prop_map(|pipe| format!("{{{{$x := {pipe}}}}}{{{{$x}}}}{{{{$x.Key}}}}")),
        1 => pipe.prop_map(|pipe| format!("{{{{define \"d\"}}}}{{{{.}}}}{{{{end}}}}{{{{template \"d\" {pipe}}}}}")),
        1 => "[ \\n{}a-z./*\"`'$:=|()0-9-]{0,12}",
        1 => Just("{{- /* c */ -}}".to_owned()),
    ]
}

#[test]
fn one_printf_makes_no_more_than_its_bound_whatever_it_prints() {
    let numbers: Vec<String> = (0..2_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let keys = [("/map".to_owned(), format!("{{{}}}", numbers.join(",")))];
    for template in [
        "{{printf \"%900000v\" (json (getv \"/map\"))}}",
        "{{printf \"%900000v\" (keys (json (getv \"/map\")))}}",
        "{{printf (repeat 5000 \"%[1]*[2]d\") 900000 7}}",
    ] {
        let error = render(template, Escape::None, &keys).map(|text| text.len()).unwrap_err();
        assert!(error.contains("would make a text of more than 16777216 bytes"), "{template}: {error}");
    }
    // One search for a bracket, not one for each.
    let unclosed = render("{{printf (repeat 500000 \"%[\") 1 | len}}", Escape::None, &[]);
    assert_eq!(unclosed, Ok("500000".to_owned()));
}

#[test]
fn a_value_changed_on_its_way_into_a_path_is_not_shown_either() {
    let keys = [("/a".to_owned(), "Correct-Horsebattery;".to_owned())];
    for template in
        ["{{get (urlquery (gets \"/*\"))}}", "{{getv (toUpper (getv \"/a\"))}}", "{{include (js (getv \"/a\"))}}"]
    {
        let error = render(template, Escape::None, &keys).unwrap_err();
        assert!(!error.to_lowercase().contains("horsebattery") && error.contains("key `/a`"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_template_panics(
        pieces in proptest::collection::vec(piece(), 1..4),
        values in proptest::collection::vec("\\PC{0,8}", 0..5),
    ) {
        let keys: Vec<(String, String)> =
            values.into_iter().enumerate().map(|(index, value)| (format!("/{}", (b'a' + index as u8) as char), value)).collect();
        // An error is fine too: `render` has compared two runs.
        let _outcome = render(&pieces.concat(), Escape::None, &keys);
    }

    #[test]
    fn no_format_panics(
        format in "([a-z]{0,2}%[-+# 0]{0,2}(\\[[0-3]\\])?(\\*|[0-9]{0,6})([.](\\*|[0-9]{0,6}))?[a-zA-Z%])",
        words in proptest::collection::vec(
            proptest::sample::select(vec!["1.5", "-0.0", "1e300", "-7", "70000", "\"\u{e9}\"", "nil", "true", "(list 1.5 \"a\" nil)", "(map \"a\" 1)"]),
            0..4,
        ),
    ) {
        let _outcome = render(&format!("{{{{printf {format:?} {}}}}}", words.join(" ")), Escape::None, &[]);
    }

    #[test]
    fn no_text_panics(template in "(\\{\\{|\\}\\}|-|/\\*|\\*/|[ -~\\n]|\\PC){0,24}") {
        let _outcome = render(&template, Escape::None, &[]);
    }

    #[test]
    fn a_value_never_shows_in_an_error(value in "[A-Z]{12}", piece in piece()) {
        let keys = [("/a".to_owned(), format!("{value};"))];
        if let Err(error) = render(&piece, Escape::None, &keys) {
            prop_assert!(!error.contains(&value), "{error}");
        }
    }

    #[test]
    fn what_is_escaped_is_harmless(value in "\\PC{0,8}") {
        let keys = [("/a".to_owned(), value.clone())];
        for template in ["{{getv \"/a\"}}", "{{(get \"/a\").Value}}", "{{range getvs \"/*\"}}{{.}}{{end}}", "{{getv \"/a\" | print}}"] {
            match render(template, Escape::Nginx, &keys) {
                Ok(text) => prop_assert!(text == value && is_harmless(&text)),
                Err(_) => prop_assert!(!is_harmless(&value)),
            }
        }
    }
}
