//! What a syntax error of Tera means for the person who wrote the template: which block is open, what is missing, what to write
//! instead. Quotes only the template. Pure.

use super::scan::{self, TagKind, identifier};
use crate::model::problem::Position;
use crate::model::suggest::nearest;

/// Tags that have an end tag.
const BLOCKS: &[&str] = &["for", "if", "filter", "block", "set", "set_global", "component"];
/// Tags without one.
const SINGLE: &[&str] = &["include", "extends", "elif", "else", "break", "continue"];
/// Tags that people know from elsewhere, and what to write.
const FOREIGN: &[(&str, &str)] = &[
    ("elseif", "write `{% elif … %}`"),
    ("elsif", "write `{% elif … %}`"),
    ("foreach", "write `{% for item in list %}`"),
    ("range", "write `{% for item in list %}`"),
    ("unless", "write `{% if not … %}`"),
    ("macro", "instead of macros there are components: `{% component name(argument) %}`"),
    ("import", "instead of macros there are components: `{% component name(argument) %}`"),
];
/// Characters that Tera does not know, and what to write.
const OPERATORS: &[(char, &str)] =
    &[('&', "write `and`"), ('?', "write `{{ a if condition else b }}`"), (';', "an expression has no `;` at its end")];

/// A mistake in words: the offset at which to look, the message and a hint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TeraMistake {
    /// Offset in the template, if it is not where Tera says.
    pub(super) at: Option<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl TeraMistake {
    fn new(message: impl Into<String>, hint: Option<String>) -> TeraMistake {
        TeraMistake { at: None, message: message.into(), hint }
    }
}

/// A block that is open.
struct OpenBlock<'s> {
    word: &'s str,
    /// Offset of its tag.
    at: usize,
}

/// Returns what a message of Tera about this offset of a template means.
pub(super) fn explain(message: &str, source: &str, offset: usize) -> TeraMistake {
    let before = source.get(..offset).unwrap_or(source);
    let from = source.get(offset..).unwrap_or_default();
    if message == "unexpected end of input" {
        return unclosed(source).unwrap_or_else(|| TeraMistake::new(message, None));
    }
    if message == "unknown tag" {
        return unknown_tag(source, before, identifier(from));
    }
    if message == "unexpected character" {
        let found = from.chars().next().unwrap_or_default();
        let hint = OPERATORS.iter().find(|(known, _)| *known == found).map(|(_, hint)| (*hint).to_owned());
        return TeraMistake::new(format!("unexpected character `{found}`"), hint);
    }
    if message == "unexpected end of raw block" {
        return TeraMistake::new("`{% raw %}` is not closed", Some("write `{% endraw %}` after it".to_owned()));
    }
    if message.starts_with("function calls are only allowed") {
        return TeraMistake::new(message, Some("what changes a value is a filter: `{{ value | name }}`".to_owned()));
    }
    let expectation = message.strip_prefix("found ").and_then(|rest| rest.split_once(" but expected "));
    let Some((found, expected)) = expectation else { return TeraMistake::new(message, None) };
    let expected = match expected {
        list if list.starts_with("one of: integer") => "an expression".to_owned(),
        kind @ ("identifier" | "string") => kind.to_owned(),
        quoted if quoted.starts_with('`') => quoted.to_owned(),
        token => format!("`{token}`"),
    };
    let hint = hint_for(found, &expected, before);
    TeraMistake::new(format!("found {found} but expected {expected}"), hint)
}

fn hint_for(found: &str, expected: &str, before: &str) -> Option<String> {
    let opening = before.rfind("{{").max(before.rfind("{%")).unwrap_or_default();
    let closes = matches!(found, "`}}`" | "`%}`");
    let ends_with = |end: &str| before.trim_end().ends_with(end);
    let hint = match (found, expected) {
        (_, "identifier") if ends_with("(") || ends_with(",") => "arguments are named: getv(key=\"/a\")",
        ("`|`", "identifier") if before.ends_with('|') => "write `or`",
        ("`/`", "an expression") => "a path is a text: write it in quotes, \"/services\"",
        ("`!`", "an expression") => "write `not`",
        (_, "`in`") => "write `{% for item in list %}`",
        (_, "string") if before[opening..].contains("include") => "write `{% include \"name\" %}`, the name in quotes",
        (_, "string") => "write the name in quotes",
        (_, "`,`") if closes => return open_bracket(before).map(|open| format!("the {open} is not closed")),
        (_, "`,`") => "a comma is missing before it",
        ("`}`", "`}}`" | "`%}`") => return Some(format!("write {expected}")),
        ("`=`", "`%}`") if before[opening..].contains("if ") => "write `==` to compare",
        (_, "`}}`" | "`%}`") => {
            let line = Position::of_offset(before, opening).line;
            let open = before.get(opening..opening + 2).unwrap_or_default();
            if line < Position::of_offset(before, before.len()).line {
                return Some(format!("the `{open}` on line {line} is not closed: write {expected}"));
            }
            return (expected == "`}}`").then(|| "`{{ … }}` prints one expression; `~` joins two".to_owned());
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Returns the last bracket that is open in the tag at the end of a text.
fn open_bracket(before: &str) -> Option<String> {
    let opening = before.rfind("{{").max(before.rfind("{%"))?;
    let mut open = Vec::new();
    for (at, c) in scan::without_strings(&before[opening + 2..]).char_indices() {
        match c {
            '(' | '[' | '{' => open.push((at, c)),
            ')' | ']' | '}' => drop(open.pop()),
            _ => {}
        }
    }
    open.last().map(|(_, bracket)| format!("`{bracket}`"))
}

/// Returns what is open at the end of a template: a tag, or else a block.
fn unclosed(source: &str) -> Option<TeraMistake> {
    let end = scan::tags(source).last().map_or(0, |tag| tag.end());
    if let Some((at, open)) = source.get(end..)?.match_indices('{').find_map(|(at, _)| {
        let open = source.get(end + at..end + at + 2)?;
        matches!(open, "{{" | "{%").then_some((end + at, open))
    }) {
        let close = if open == "{{" { "}}" } else { "%}" };
        let hint = Some(format!("write `{close}` after it"));
        return Some(TeraMistake { at: Some(at), ..TeraMistake::new(format!("`{open}` is not closed"), hint) });
    }
    let OpenBlock { word, at } = open_blocks(source).pop()?;
    let hint = Some(format!("write `{{% end{} %}}` where it ends", word.trim_end_matches("_global")));
    Some(TeraMistake { at: Some(at), ..TeraMistake::new(format!("`{{% {word} … %}}` is not closed"), hint) })
}

/// Returns the blocks that are open at the end of a text, the innermost last.
fn open_blocks(source: &str) -> Vec<OpenBlock<'_>> {
    let mut open: Vec<OpenBlock<'_>> = Vec::new();
    for tag in scan::tags(source).filter(|tag| tag.kind == TagKind::Statement) {
        let text = tag.text(source).trim_start();
        let word = identifier(text);
        let is_value = word.starts_with("set") && scan::without_strings(text).contains('=');
        if word.starts_with("end") {
            open.pop();
        } else if BLOCKS.contains(&word) && !is_value {
            open.push(OpenBlock { word, at: tag.open });
        }
    }
    open
}

fn unknown_tag(source: &str, before: &str, word: &str) -> TeraMistake {
    if word.is_empty() {
        return TeraMistake::new("this tag has no name", Some("a value is printed by `{{ … }}`".to_owned()));
    }
    let open = open_blocks(before).pop();
    let closed = word.strip_prefix("end").filter(|closed| BLOCKS.contains(closed));
    let belongs = closed.is_some() || matches!(word, "else" | "elif");
    match open {
        Some(OpenBlock { word: open, at }) if belongs || word == "end" => {
            let line = Position::of_offset(source, at).line;
            let close = open.trim_end_matches("_global");
            let message = format!("`{{% {word} %}}` does not belong to the `{{% {open} … %}}` on line {line}");
            let hint = format!("write `{{% end{close} %}}` where the `{open}` on line {line} ends");
            TeraMistake::new(message, Some(hint))
        }
        None if belongs => {
            let opener = closed.unwrap_or("if");
            TeraMistake::new(format!("`{{% {word} %}}` is outside of any `{{% {opener} … %}}`"), None)
        }
        _ => {
            let foreign = FOREIGN.iter().find(|(known, _)| *known == word).map(|(_, hint)| (*hint).to_owned());
            let known = BLOCKS.iter().chain(SINGLE).copied();
            let hint = foreign.or_else(|| nearest(word, known).map(|known| format!("did you mean `{known}`?")));
            TeraMistake::new(format!("unknown tag `{word}`"), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, message: &str, at: &str, expected: &str) {
        let mistake = explain(message, source, source.rfind(at).unwrap_or(source.len()));
        let place = mistake.at.map(|at| format!("{}: ", Position::of_offset(source, at).line)).unwrap_or_default();
        let hint = mistake.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        assert_eq!(format!("{place}{}{hint}", mistake.message), expected, "{source}");
    }

    #[test]
    fn what_is_not_closed_is_named_where_it_opens() {
        let end = "unexpected end of input";
        for (source, expected) in [
            (
                "x\n{% for a in b %}\n{% if a %}x{% endif %}\n",
                "2: `{% for … %}` is not closed (write `{% endfor %}` where it ends)",
            ),
            ("{% if a %}\n{% set b = 1 %}", "1: `{% if … %}` is not closed (write `{% endif %}` where it ends)"),
            ("{% set_global b %}x", "1: `{% set_global … %}` is not closed (write `{% endset %}` where it ends)"),
            ("a {\n{{ x", "2: `{{` is not closed (write `}}` after it)"),
            ("{{ x }}\n{% if", "2: `{%` is not closed (write `%}` after it)"),
        ] {
            check(source, end, "\0", expected);
        }
    }

    #[test]
    fn a_tag_in_the_wrong_place_names_the_open_block() {
        for (source, at, expected) in [
            (
                "{% for a in b %}\n{% if a %}\n{% endfor %}",
                "endfor",
                "`{% endfor %}` does not belong to the `{% if … %}` on line 2 (write `{% endif %}` where the `if` on line 2 ends)",
            ),
            (
                "{% for a in b %}{% end %}",
                "end %",
                "`{% end %}` does not belong to the `{% for … %}` on line 1 (write `{% endfor %}` where the `for` on line 1 ends)",
            ),
            ("{% endif %}", "endif", "`{% endif %}` is outside of any `{% if … %}`"),
            ("{% else %}", "else", "`{% else %}` is outside of any `{% if … %}`"),
            ("{% if a %}{% elseif b %}", "elseif", "unknown tag `elseif` (write `{% elif … %}`)"),
            ("{% inclde \"a\" %}", "inclde", "unknown tag `inclde` (did you mean `include`?)"),
            ("{% frobnicate %}", "frobnicate", "unknown tag `frobnicate`"),
            ("{% 'a' %}", "'a'", "this tag has no name (a value is printed by `{{ … }}`)"),
        ] {
            check(source, "unknown tag", at, expected);
        }
    }

    #[test]
    fn what_was_found_says_what_to_write() {
        const ANY: &str = "one of: integer, float, string, bool, ident, `-`, `not`, `<`, `{`, `[` or `(`";
        for (source, at, found, wanted, expected) in [
            (
                "{{ getv(key=/x) }}",
                "/x",
                "`/`",
                ANY,
                "found `/` but expected an expression (a path is a text: write it in quotes, \"/services\")",
            ),
            ("{{ }}", "}}", "`}}`", ANY, "found `}}` but expected an expression"),
            ("{% if !x %}", "!x", "`!`", ANY, "found `!` but expected an expression (write `not`)"),
            ("{{ a || b }}", "| b", "`|`", "identifier", "found `|` but expected identifier (write `or`)"),
            ("{{ f(a=\"(\" }}", "}}", "`}}`", ",", "found `}}` but expected `,` (the `(` is not closed)"),
            (
                "{{ f(a=1 b=2) }}",
                "b=",
                "identifier",
                ",",
                "found identifier but expected `,` (a comma is missing before it)",
            ),
            ("{{ x }\n", "}\n", "`}`", "}}", "found `}` but expected `}}` (write `}}`)"),
            (
                "{{ x\nfoo",
                "foo",
                "identifier",
                "}}",
                "found identifier but expected `}}` (the `{{` on line 1 is not closed: write `}}`)",
            ),
            (
                "{{ x y }}",
                "y",
                "identifier",
                "}}",
                "found identifier but expected `}}` (`{{ … }}` prints one expression; `~` joins two)",
            ),
            ("{% if x = 1 %}", "= 1", "`=`", "%}", "found `=` but expected `%}` (write `==` to compare)"),
            (
                "{% for a of b %}",
                "of",
                "identifier",
                "in",
                "found identifier but expected `in` (write `{% for item in list %}`)",
            ),
            (
                "{% include web %}",
                "web",
                "identifier",
                "string",
                "found identifier but expected string (write `{% include \"name\" %}`, the name in quotes)",
            ),
        ] {
            check(source, &format!("found {found} but expected {wanted}"), at, expected);
        }
        check("{{ a && b }}", "unexpected character", "& b", "unexpected character `&` (write `and`)");
        check(
            "{{ a.b() }}",
            "function calls are only allowed at the first element of a chain",
            "b",
            "function calls are only allowed at the first element of a chain (what changes a value is a filter: `{{ value | name }}`)",
        );
        check("x", "Something else", "x", "Something else");
    }
}
