//! The calls of functions and the uses of filters in a Tera template, with their places and the names of their arguments. Reads tags
//! only, and evaluates nothing.

use super::scan::{self, TagKind};

/// One function that is called, or one filter that is used.
#[derive(Debug)]
pub(super) struct WrittenCall<'s> {
    pub(super) name: &'s str,
    /// Offset of its name in the template.
    pub(super) offset: usize,
    pub(super) is_filter: bool,
    pub(super) arguments: Vec<WrittenArgument<'s>>,
}

/// One named argument.
#[derive(Debug)]
pub(super) struct WrittenArgument<'s> {
    pub(super) name: &'s str,
    /// Its value, if that is a literal text and nothing more.
    pub(super) literal: Option<String>,
}

/// Returns the calls of a template, in the order of the text. A word without brackets may be no call at all. The filter of
/// `{% filter … %}` is one, too.
pub(super) fn calls(source: &str) -> impl Iterator<Item = WrittenCall<'_>> {
    let tags = scan::tags(source).filter(|tag| matches!(tag.kind, TagKind::Print | TagKind::Statement));
    let is_definition = |text: &str| scan::identifier(text.trim_start()) == "component";
    let tags = tags.filter(move |tag| !is_definition(tag.text(source)));
    tags.flat_map(|tag| calls_between(source, tag.inside.start, tag.inside.end))
}

/// Returns the calls between two offsets.
fn calls_between(source: &str, start: usize, end: usize) -> Vec<WrittenCall<'_>> {
    let mut found = Vec::new();
    let mut at = start;
    let (mut before, mut word_before) = (' ', "");
    while at < end {
        let rest = &source[at..end];
        let name = scan::identifier(rest);
        let Some(next) = rest.chars().next() else { break };
        let length = match (name.len(), scan::string_length(rest)) {
            (0, Some(length)) => length,
            (0, None) => next.len_utf8(),
            (length, _) => length,
        };
        if !name.is_empty() && before != '.' {
            let arguments = rest[name.len()..].trim_start().strip_prefix('(').map(arguments).unwrap_or_default();
            found.push(WrittenCall {
                name,
                offset: at,
                is_filter: before == '|' || word_before == "filter",
                arguments,
            });
        }
        if !name.is_empty() {
            word_before = name;
        }
        if !next.is_whitespace() {
            before = next;
        }
        at += length;
    }
    found
}

/// Returns the named arguments of a call, from behind its bracket.
fn arguments(text: &str) -> Vec<WrittenArgument<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let name = scan::identifier(rest);
        let Some(value) = rest[name.len()..].trim_start().strip_prefix('=').filter(|_| !name.is_empty()) else { break };
        let value = value.trim_start();
        let end = value_end(value);
        let literal = scan::string_literal(value);
        let is_whole = scan::string_length(value).is_some_and(|length| value[length..end].trim().is_empty());
        found.push(WrittenArgument { name, literal: literal.filter(|_| is_whole) });
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

    #[test]
    fn a_call_is_known_as_that_of_a_function_or_of_a_filter() {
        for (source, expected) in [
            ("{{ f(a=1, b='x') | g(c=h(d=2)) }}", "f(a,b) |g(c) h(d)"),
            ("{% filter indent(width=1) %}{{ f(a=1) }}{% endfilter %}", "|indent(width) f(a)"),
            ("{% component f(a=1) %}{{ x.f(a=1) }}{% endcomponent %}", ""),
            ("{# f(a=1) #}{% raw %}{{ f(a=1) }}{% endraw %}{{ 'f(a=1)' }}", ""),
        ] {
            let shown = |call: WrittenCall<'_>| {
                let names: Vec<&str> = call.arguments.iter().map(|argument| argument.name).collect();
                format!("{}{}({})", if call.is_filter { "|" } else { "" }, call.name, names.join(","))
            };
            let calls = calls(source).filter(|call| !call.arguments.is_empty());
            assert_eq!(calls.map(shown).collect::<Vec<_>>().join(" "), expected, "{source}");
        }
    }
}
