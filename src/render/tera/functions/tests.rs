//! The documentation and the table say the same; no template over a hostile store panics.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use crate::model::key::{Key, Revision, Value};
use crate::model::range::KeyRanges;
use crate::model::resource::Escape;
use crate::model::tree::Tree;
use crate::model::view::View;
use crate::nginx::quote::{MAX_BYTES, is_harmless};
use crate::render::facts::NoWorld;
use crate::render::{Memory, Root, TemplateSources, compile};

use super::call::{CallForm, TeraFunction};
use super::{TERA_FILTERS, TESTS, all, filter_names, function_names};

const DOCUMENTATION: &str = include_str!("../../../../docs/functions.md");

/// Returns the first three columns of a function's row.
fn documented(function: &TeraFunction) -> String {
    let code = |text: Option<&str>| text.map_or("–".to_owned(), |text| format!("`{text}`"));
    let only = if matches!(function.form, CallForm::Filter(_)) { " (only)" } else { "" };
    let arguments = function.arguments.join(", ");
    format!("| `{}({arguments})` | {} | {}{only} |", function.name, code(function.alias), code(function.form.subject()))
}

#[test]
fn every_function_is_documented_and_nothing_else() {
    let rows: BTreeSet<String> = DOCUMENTATION
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.splitn(5, " | ").take(3).collect::<Vec<_>>().join(" | ") + " |")
        .collect();
    let table: BTreeSet<String> = all().map(documented).collect();
    let only_in = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(only_in(&table, &rows), [""; 0], "not in docs/functions.md");
    assert_eq!(only_in(&rows, &table), [""; 0], "in docs/functions.md, but there is no such function");
}

#[test]
fn tera_has_the_filters_and_tests_that_are_listed() {
    let own = DOCUMENTATION.split("## Tera's own").nth(1).unwrap().replace('\n', " ");
    let section = |start: &str| own.split(start).nth(1).unwrap().split('.').next().unwrap().replace('`', "");
    assert_eq!(section("Filters: ").split(", ").map(str::trim).collect::<Vec<_>>(), TERA_FILTERS);
    assert_eq!(section("defined %}`): ").split(", ").map(str::trim).collect::<Vec<_>>(), TESTS);
    let mut template: String = filter_names().map(|filter| format!("{{{{ x | {filter} }}}}")).collect();
    template.extend(TESTS.iter().map(|test| format!("{{{{ x is {test} }}}}")));
    template.extend(function_names().map(|function| format!("{{{{ {function}() }}}}")));
    let sources = TemplateSources::from([("t".to_owned(), Arc::from(template.as_str()))]);
    assert_eq!(compile(&sources, &[Root::tera("t", Escape::None)], Arc::new(NoWorld)).1, []);
}

#[test]
fn names_are_unique() {
    for names in [function_names().collect::<Vec<_>>(), filter_names().collect()] {
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}

/// Content of the hostile store; the markers in it must never appear in an error.
const HOSTILE: &[&str] = &[
    "SECRET ; } include /etc/shadow",
    "{\"SECRET\": [1, {\"SECRET\": null}], \"key\": 1e999}",
    "[[[[[\"SECRET\"",
    "SECRET\u{0}\u{1b}\u{202e}ü\u{fffd}",
    "99999999999999999999999999999999999999999",
    "-9223372036854775808",
    "1e308",
    "",
    "{{ getv(key=\"/0\") }}",
    "(SECRET*)*$",
    "%Q%SECRET",
];

fn hostile_view() -> View {
    let texts = HOSTILE.iter().enumerate().map(|(i, text)| (Key::from(format!("/{i}").as_str()), Value::from(*text)));
    let odd = [(Key::from("/bin"), Value::from_bytes(b"SECRET\xff")), (Key::from("/d/SEC\nRET"), Value::from("v"))];
    View::new(Tree::from_entries(Revision(1), texts.chain(odd)), Arc::from(""), KeyRanges::of_directories(["/"]))
}

/// Kind of value that an argument needs for a call to get anywhere.
#[derive(Clone, Copy)]
enum ArgumentKind {
    Key,
    Text,
    Number,
    Boolean,
    List,
    Map,
    Any,
}

fn kind_of(argument: &str) -> ArgumentKind {
    match argument.trim_end_matches('?') {
        "key" => ArgumentKind::Key,
        "n" | "spaces" | "a" | "b" | "first" | "last" => ArgumentKind::Number,
        "cond" | "utc" => ArgumentKind::Boolean,
        "list" | "items" | "maps" | "values" => ArgumentKind::List,
        "map" => ArgumentKind::Map,
        "value" | "default" | "yes" | "no" | "…" => ArgumentKind::Any,
        _ => ArgumentKind::Text,
    }
}

/// Returns an expression that mostly gives the wanted kind.
fn expression(kind: ArgumentKind, depth: u32) -> BoxedStrategy<String> {
    let stored = (0..HOSTILE.len() + 1).prop_map(|i| format!("getv(key=\"/{i}\", default=\"d\")"));
    let fixed = |texts: &'static [&'static str]| proptest::sample::select(texts).prop_map(str::to_owned);
    let leaf = match kind {
        ArgumentKind::Key => (0..HOSTILE.len()).prop_map(|i| format!("\"/{i}\"")).boxed(),
        ArgumentKind::Text => {
            prop_oneof![3 => stored, 2 => fixed(&["\"\"", "\"/*\"", "\"a,b\"", "\"/1\"", "\"[a-z]+\""])].boxed()
        }
        ArgumentKind::Number => {
            prop_oneof![any::<i64>().prop_map(|n| n.to_string()), fixed(&["0", "3", "1.5", "-2"])].boxed()
        }
        ArgumentKind::Boolean => fixed(&["true", "false", "1 < 2", "nowhere is defined"]).boxed(),
        ArgumentKind::List => {
            fixed(&["[]", "[\"a\", \"bb\"]", "gets(pattern=\"/?\")", "getvs(pattern=\"/?\")", "[{\"key\": 1}]"]).boxed()
        }
        ArgumentKind::Map => fixed(&["{}", "{\"b\": 1, \"a\": [2]}", "get(key=\"/1\")", "json(text=\"{}\")"]).boxed(),
        ArgumentKind::Any => {
            prop_oneof![stored, fixed(&["nowhere", "none", "get(key=\"/bin\")", "gets(pattern=\"/*\")"])].boxed()
        }
    };
    if depth == 0 {
        return leaf;
    }
    let call =
        proptest::sample::select(all().collect::<Vec<_>>()).prop_flat_map(move |function| called(function, depth));
    let filtered = (expression(ArgumentKind::Any, depth - 1), proptest::sample::select(TERA_FILTERS));
    let filtered = filtered.prop_map(|(subject, filter)| format!("({subject}) | {filter}"));
    let number = || expression(ArgumentKind::Number, 0);
    let operators = vec!["+", "*", "**", "//", "/", "%", "-", "<"];
    let calculated = (number(), number(), proptest::sample::select(operators));
    let calculated = calculated.prop_map(|(a, b, operator)| format!("({a}) {operator} ({b})"));
    match kind {
        ArgumentKind::Key => prop_oneof![9 => leaf, 1 => expression(ArgumentKind::Text, depth - 1)].boxed(),
        ArgumentKind::Any => prop_oneof![3 => call, 1 => filtered, 1 => calculated, 1 => leaf].boxed(),
        ArgumentKind::Text => {
            prop_oneof![2 => leaf, 2 => call.prop_map(|call| format!("({call}) | str")), 1 => call_raw(depth)].boxed()
        }
        _ => prop_oneof![3 => leaf, 1 => call].boxed(),
    }
}

fn call_raw(depth: u32) -> BoxedStrategy<String> {
    proptest::sample::select(all().collect::<Vec<_>>()).prop_flat_map(move |function| called(function, depth)).boxed()
}

/// Returns a call of the function, or a use of it as a filter.
fn called(function: &'static TeraFunction, depth: u32) -> BoxedStrategy<String> {
    let values: Vec<_> = function.arguments.iter().map(|argument| expression(kind_of(argument), depth - 1)).collect();
    values
        .prop_map(move |values| {
            let subject = function.form.subject();
            let at = function.arguments.iter().position(|name| Some(name.trim_end_matches('?')) == subject);
            match at {
                Some(at) => format!("({}) | {}({})", values[at], function.name, keywords(function, &values)),
                None => format!("{}({})", function.name, keywords(function, &values)),
            }
        })
        .boxed()
}

fn keywords(function: &TeraFunction, values: &[String]) -> String {
    let given = function.arguments.iter().map(|name| name.trim_end_matches('?')).zip(values);
    let given = given.filter(|(name, _)| Some(*name) != function.form.subject());
    given
        .map(|(name, value)| format!("{}={value}", if name == "…" { "any" } else { name }))
        .collect::<Vec<_>>()
        .join(", ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_template_over_a_hostile_store_panics_or_leaks(
        expressions in proptest::collection::vec(expression(ArgumentKind::Any, 2), 1..4),
        list in expression(ArgumentKind::List, 2),
        nginx in any::<bool>(),
    ) {
        let prints: String = expressions.iter().map(|expression| format!("{{{{ {expression} }}}}\n")).collect();
        let template = format!("{prints}{{% for x in {list} %}}{{{{ x }}}}{{% endfor %}}");
        let sources = TemplateSources::from([("t".to_owned(), Arc::from(template.as_str()))]);
        let escape = if nginx { Escape::Nginx } else { Escape::None };
        let (renderer, problems) = compile(&sources, &[Root::tera("t", escape)], Arc::new(NoWorld));
        prop_assert_eq!(&problems, &[]);
        {
            let view = hostile_view();
            let once = renderer.render(Root::tera("t", escape), &view, &mut Memory::default()).result;
            prop_assert_eq!(&once, &renderer.render(Root::tera("t", escape), &view, &mut Memory::default()).result);
            match once {
                // The three ways out that a reader of the template can see.
                Ok(output) if nginx && !["safe", "nginx_string", "servers("].iter().any(|way| template.contains(way)) => {
                    let output = String::from_utf8(output).unwrap();
                    prop_assert!(output.lines().all(|line| line.len() > MAX_BYTES || is_harmless(line)), "{template}");
                }
                Ok(_) => {}
                // A key may be made from values: naming it is the point.
                Err(problem) if problem.message.ends_with("` does not exist") => {}
                Err(problem) => {
                    let message = format!("{problem} {:?}", problem.hint);
                    prop_assert!(template.contains("throw") || !message.contains("SECRET"), "{template}: {message}");
                }
            }
        }
    }

    #[test]
    fn no_broken_template_panics(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 1..25)) {
        let template = pieces.join("");
        let sources = TemplateSources::from([("t".to_owned(), Arc::from(template.as_str()))]);
        let (renderer, problems) = compile(&sources, &[Root::tera("t", Escape::Nginx)], Arc::new(NoWorld));
        let rendered = renderer.render(Root::tera("t", Escape::Nginx), &hostile_view(), &mut Memory::default()).result;
        prop_assert!(problems.is_empty() || rendered.is_err());
    }
}

/// Pieces that templates are written with.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    "{%",
    "%}",
    "{%-",
    "-%}",
    "{#",
    "#}",
    " ",
    "\n",
    "\r\n",
    "ü",
    "text",
    "\"",
    "'",
    "`",
    "\\",
    "if ",
    "elif ",
    "else",
    "endif",
    "for ",
    "x in ",
    "endfor",
    "x",
    "y",
    "set ",
    "endset",
    "block b",
    "endblock",
    "extends ",
    "include ",
    "\"t\"",
    "\"a\"",
    "component c",
    "endcomponent",
    "<c",
    "/>",
    ">",
    "</c>",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "=",
    "==",
    ".",
    "..",
    "...",
    "?.",
    "?[",
    "|",
    " safe",
    "|int",
    "getv(key=\"/0\")",
    "loop",
    "super()",
    "1",
    "0",
    "9223372036854775807",
    "99999999999999999999",
    "1.5",
    "-",
    "+",
    "*",
    "**",
    "/",
    "//",
    "%",
    "~",
    "not ",
    "and ",
    "or ",
    "is ",
    "defined",
    "none",
    "true",
    "@",
    "!",
    ":",
    "raw",
    "endraw",
    "filter ",
    "upper",
    "endfilter",
    "break",
    "continue",
    "$",
    "<",
    "{{ x }}",
    "{% for x in [1, 2] %}",
    "{% endfor %}",
    "{% if x %}",
    "{% endif %}",
    "{% block b %}",
    "{% endblock %}",
    "{{ getv(key=\"/0\") }}",
    "{% include \"t\" %}",
    "{% component c() %}",
    "{% endcomponent %}",
    "{{ <c/> }}",
];
