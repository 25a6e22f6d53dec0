//! Literal paths that a Tera template asks the store for, found in its tags. Pure.

use super::scan::{self, TagKind};
use crate::model::problem::Positions;
use crate::render::asks::Ask;

/// Arguments that name a path.
const PATHS: [&str; 4] = ["key", "pattern", "dir", "prefix"];

/// Returns each call of a store function with a literal path, in the order of the text.
pub(super) fn asks(source: &str) -> Vec<Ask> {
    let tags = scan::tags(source).filter(|tag| matches!(tag.kind, TagKind::Print | TagKind::Statement));
    let positions = Positions::new(source);
    tags.flat_map(|tag| calls(source, tag.inside.start, tag.inside.end, &positions)).collect()
}

/// Returns the calls between two offsets.
fn calls(source: &str, start: usize, end: usize, positions: &Positions<'_>) -> Vec<Ask> {
    let mut found = Vec::new();
    let mut at = start;
    let mut before = ' ';
    while at < end {
        let rest = &source[at..end];
        let word = scan::identifier(rest);
        let Some(next) = rest.chars().next() else { break };
        let length = match (word.len(), scan::string_length(rest)) {
            (0, Some(length)) => length,
            (0, None) => next.len_utf8(),
            (length, _) => length,
        };
        // A filter has the name of a function, as `get` does.
        if !word.is_empty() && !matches!(before, '|' | '.') {
            let arguments = rest[word.len()..].trim_start().strip_prefix('(').map(arguments).unwrap_or_default();
            let path = arguments.iter().find(|(name, _)| PATHS.contains(name)).and_then(|(_, value)| value.as_deref());
            let has_default = arguments.iter().any(|(name, _)| *name == "default");
            let place = positions.of(at);
            found.extend(path.and_then(|path| Ask::new(word, path, has_default, place)));
        }
        if !next.is_whitespace() {
            before = next;
        }
        at += length;
    }
    found
}

/// Returns the named arguments of a call, from behind its bracket; the value of each that is a literal and nothing more.
fn arguments(text: &str) -> Vec<(&str, Option<String>)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let name = scan::identifier(rest);
        let Some(value) = rest[name.len()..].trim_start().strip_prefix('=').filter(|_| !name.is_empty()) else { break };
        let value = value.trim_start();
        let end = value_end(value);
        let literal = scan::string_literal(value);
        let is_whole = scan::string_length(value).is_some_and(|length| value[length..end].trim().is_empty());
        found.push((name, literal.filter(|_| is_whole)));
        match value[end..].strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => break,
        }
    }
    found
}

/// Returns where a value ends: at a comma or bracket that does not belong to it.
fn value_end(value: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(next) = value[at..].chars().next() {
        match next {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return at,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => return at,
            _ => {}
        }
        at += scan::string_length(&value[at..]).unwrap_or(next.len_utf8());
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let shown =
            |ask: Ask| format!("{} {} {}{}", ask.place, ask.function, ask.path, if ask.optional { "?" } else { "" });
        assert_eq!(asks(source).into_iter().map(shown).collect::<Vec<_>>(), expected, "{source}");
    }

    #[test]
    fn literal_paths_are_found_where_the_function_stands() {
        check("a\n{% for p in gets(pattern=\"/a/*\") %}", &["2:13 gets /a/*"]);
        check("{{ getv(key='/a') }}{{ getv ( default=[1, 2], key=`/b` ) }}", &["1:4 getv /a", "1:24 getv /b?"]);
        check("{%- if exists(key=\"/ü/b\") and ls(dir=\"/c\") -%}", &["1:8 exists /ü/b?", "1:31 ls /c"]);
        check("{{ f(x=getv(key=\"/a\")) | get(key=\"b\") }}", &["1:8 getv /a"]);
        check("{% for b in backends(prefix=\"/s\", max=[1][0]) %}", &["1:13 backends /s"]);
        check("{{ servers(prefix=\"/s\", port=80) }}", &["1:4 servers /s"]);
    }

    #[test]
    fn what_is_no_literal_or_no_call_is_left_alone() {
        for source in [
            "{{ getv(key=name) }}{{ getv(key=\"/a/\" ~ name) }}{{ getv(key=f(x=\"/a\")) }}",
            "{{ \"getv(key='/a')\" }}{# getv(key=\"/a\") #}{% raw %}{{ getv(key=\"/a\") }}{% endraw %}",
            "{{ x.getv(key=\"/a\") }}{{ my_getv(key=\"/a\") }}{{ getv }}{{ getv() }}{{ getv(\"/a\") }}",
            "{{ getv(key=\"/a",
        ] {
            check(source, &[]);
        }
    }

    /// With a look at the whole text for each call, this would take minutes.
    #[test]
    fn the_calls_of_a_large_template_are_found_in_linear_time() {
        let asks = asks(&"{{ getv(key=\"/a\") }}\n".repeat(30_000));
        assert!(asks.iter().zip(1..).all(|(ask, line)| ask.place.line == line) && asks.len() == 30_000);
    }
}
