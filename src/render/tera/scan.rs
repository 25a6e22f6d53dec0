//! The references of a template, with their places: includes, its parent, components, printed expressions.
//! Reads tags only: Tera decides whether the rest of the template is right, and a reference that only
//! looks like one costs nothing, because it is followed only if it leads somewhere.

use std::ops::Range;

use crate::model::problem::{Position, Positions};

/// The references of one template, in source order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::render::tera) struct TemplateScan {
    /// `{% include "name" %}`.
    pub(in crate::render::tera) includes: Vec<Reference>,
    /// `{% extends "name" %}`.
    pub(in crate::render::tera) extends: Vec<Reference>,
    /// Names of `{% component name(…) %}`.
    pub(in crate::render::tera) defines: Vec<String>,
    /// Names that are called as components, `<name …>`.
    pub(in crate::render::tera) calls: Vec<String>,
    /// Byte ranges of the expressions between `{{` and `}}`.
    pub(in crate::render::tera) prints: Vec<Range<usize>>,
    /// Whether `backends` or `servers` is called.
    pub(in crate::render::tera) asks_for_backends: bool,
    /// Depth of nested blocks.
    pub(in crate::render::tera) block_depth: usize,
    open_blocks: usize,
    /// Depth of nested conditions: each `elif` is one within the one before.
    pub(in crate::render::tera) condition_depth: usize,
    /// Conditions of each `if` that is open, and all of them together.
    open_conditions: Vec<usize>,
    n_open_conditions: usize,
}

/// Name of a different template, and its place.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::render::tera) struct Reference {
    pub(in crate::render::tera) name: String,
    pub(in crate::render::tera) place: Position,
}

/// An opening and its close, both of two characters, and the text between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render::tera) struct Tag {
    pub(in crate::render::tera) kind: TagKind,
    /// Offset of its opening.
    pub(in crate::render::tera) open: usize,
    /// Between the two.
    pub(in crate::render::tera) inside: Range<usize>,
}

/// Kind of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render::tera) enum TagKind {
    /// `{# … #}`.
    Comment,
    /// `{{ … }}`.
    Print,
    /// `{% … %}`.
    Statement,
    /// From `{% raw %}` to `{% endraw %}`.
    Raw,
}

impl Tag {
    /// Returns the offset after it.
    pub(in crate::render::tera) fn end(&self) -> usize {
        self.inside.end + 2
    }

    /// Returns what is written in it, without the dashes that trim around it.
    pub(in crate::render::tera) fn text<'s>(&self, source: &'s str) -> &'s str {
        let text = &source[self.inside.clone()];
        let text = text.strip_prefix('-').unwrap_or(text);
        text.strip_suffix('-').unwrap_or(text)
    }

    /// Checks whether blank text before it, and after it, is left out.
    pub(in crate::render::tera) fn trims(&self, source: &str) -> (bool, bool) {
        let text = &source[self.inside.clone()];
        (text.starts_with('-'), text.ends_with('-') && text.len() > 1)
    }
}

/// Returns the tags of `source`, in order. Ends silently at a tag that is not closed.
pub(in crate::render::tera) fn tags(source: &str) -> impl Iterator<Item = Tag> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let open = next_open(source, at)?;
        let start = open + 2;
        let (kind, close) = match source.as_bytes()[open + 1] {
            b'#' => (TagKind::Comment, start + source[start..].find("#}")?),
            b'{' => (TagKind::Print, close_of(source, start, "}}")?),
            _ => {
                let close = close_of(source, start, "%}")?;
                if source[start..close].trim_matches('-').trim() == "raw" {
                    (TagKind::Raw, end_of_raw(source, close + 2)?)
                } else {
                    (TagKind::Statement, close)
                }
            }
        };
        at = close + 2;
        Some(Tag { kind, open, inside: start..close })
    })
}

/// Reads the tags of `source`. Stops silently at a tag that is not closed.
pub(in crate::render::tera) fn scan(source: &str) -> TemplateScan {
    let mut scan = TemplateScan::default();
    let positions = Positions::new(source);
    for tag in tags(source) {
        match tag.kind {
            TagKind::Comment | TagKind::Raw => {}
            TagKind::Print => scan.read_print(source, tag.inside),
            TagKind::Statement => scan.read_statement(source, &tag, &positions),
        }
    }
    scan
}

impl TemplateScan {
    fn read_print(&mut self, source: &str, inside: Range<usize>) {
        let start = inside.start + usize::from(source[inside.clone()].starts_with('-'));
        let end = inside.end - usize::from(source[start..inside.end].ends_with('-'));
        self.read_calls(&source[start..end]);
        self.read_functions(&source[start..end]);
        self.prints.push(start..end);
    }

    fn read_statement(&mut self, source: &str, tag: &Tag, positions: &Positions<'_>) {
        let text = source[tag.inside.clone()].trim_start_matches('-').trim_start();
        let word = identifier(text);
        let rest = text[word.len()..].trim_start();
        self.read_functions(text);
        self.read_condition(word);
        match word {
            "include" | "extends" => {
                if let Some(name) = string_literal(rest) {
                    let reference = Reference { name, place: positions.of(tag.open) };
                    let list = if word == "include" { &mut self.includes } else { &mut self.extends };
                    list.push(reference);
                }
            }
            "block" => {
                self.open_blocks += 1;
                self.block_depth = self.block_depth.max(self.open_blocks);
            }
            "endblock" => self.open_blocks = self.open_blocks.saturating_sub(1),
            "component" => self.defines.push(dotted_name(rest)),
            _ => self.read_calls(text),
        }
    }

    fn read_condition(&mut self, word: &str) {
        match (word, self.open_conditions.last_mut()) {
            ("if", _) => self.open_conditions.push(1),
            ("elif", Some(conditions)) => *conditions += 1,
            ("endif", Some(_)) => return self.n_open_conditions -= self.open_conditions.pop().unwrap_or(0),
            _ => return,
        }
        self.n_open_conditions += 1;
        self.condition_depth = self.condition_depth.max(self.n_open_conditions);
    }

    fn read_functions(&mut self, expression: &str) {
        for function in ["backends", "servers"].into_iter().filter(|function| expression.contains(function)) {
            let bare = without_strings(expression);
            let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
            self.asks_for_backends |= bare.match_indices(function).any(|(start, name)| {
                !bare[..start].ends_with(is_word) && bare[start + name.len()..].trim_start().starts_with('(')
            });
        }
    }

    fn read_calls(&mut self, expression: &str) {
        let bare = without_strings(expression);
        for part in bare.split('<').skip(1) {
            let name = dotted_name(part.trim_start());
            if !name.is_empty() {
                self.calls.push(name);
            }
        }
    }
}

fn next_open(source: &str, from: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    let found =
        bytes.get(from..)?.windows(2).position(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'))?;
    Some(from + found)
}

/// Finds `close` outside of string literals.
fn close_of(source: &str, from: usize, close: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'' | b'`') => at = end_of_string(bytes, at, quote)?,
            _ if bytes[at..].starts_with(close.as_bytes()) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Returns the offset after the closing quote of the string that opens at `at`.
fn end_of_string(bytes: &[u8], at: usize, quote: u8) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Finds the `%}` of the next `endraw`.
fn end_of_raw(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let inside = at + source.get(at..)?.find("{%")? + 2;
        let close = inside + source[inside..].find("%}")?;
        if source[inside..close].trim_matches('-').trim() == "endraw" {
            return Some(close);
        }
        at = inside;
    }
}

pub(in crate::render::tera) fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn dotted_name(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.').to_owned()
}

/// Returns what the string literal at the start of `text` means.
pub(in crate::render::tera) fn string_literal(text: &str) -> Option<String> {
    Some(text[1..string_length(text)? - 1].replace('\\', ""))
}

/// Returns the length of the string literal at the start of `text`, with its quotes.
pub(in crate::render::tera) fn string_length(text: &str) -> Option<usize> {
    let quote = *text.as_bytes().first().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
    end_of_string(text.as_bytes(), 0, quote)
}

/// Returns an expression without its string literals.
pub(in crate::render::tera) fn without_strings(expression: &str) -> String {
    let bytes = expression.as_bytes();
    let mut bare = String::with_capacity(expression.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'' | b'`') => at = end_of_string(bytes, at, quote).unwrap_or(bytes.len()),
            byte => {
                bare.push(char::from(byte));
                at += 1;
            }
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(references: &[Reference]) -> Vec<String> {
        references.iter().map(|r| format!("{}@{}:{}", r.name, r.place.line, r.place.column)).collect()
    }

    #[test]
    fn references_are_found_with_their_places() {
        let scan = scan(
            "{% extends 'base.conf' %}\n{# {% include \"no\" %} #}{%- include \"a.conf\" -%}\n\
             {% raw %}{% include \"raw\" %}{% endraw %}ü{% include `b` %}{% component ui.card(x) %}{% endcomponent %}",
        );
        assert_eq!(names(&scan.extends), ["base.conf@1:1"]);
        assert_eq!(names(&scan.includes), ["a.conf@2:25", "b@3:42"]);
        assert_eq!(scan.defines, ["ui.card"]);
    }

    #[test]
    fn calls_and_prints_are_found_outside_of_strings() {
        let source = "{{- <card a={1}/> -}} {{ \"}} <no/>\" ~ x }}{% <ui.box> %}{% </ui.box> %}{% if a < b %}";
        let scan = scan(source);
        assert_eq!(scan.calls, ["card", "ui.box", "b"]);
        let prints: Vec<&str> = scan.prints.iter().map(|range| &source[range.clone()]).collect();
        assert_eq!(prints, [" <card a={1}/> ", " \"}} <no/>\" ~ x "]);
    }

    #[test]
    fn a_call_of_backends_is_seen_wherever_it_stands() {
        for (source, expected) in [
            ("{% for b in backends(prefix=\"/s\") %}", true),
            ("{{ backends (prefix=p) | length }}", true),
            ("{%- set x = [b for b in backends(prefix=p)] -%}", true),
            ("{% if backends(prefix=p) %}", true),
            ("{{ servers(prefix=\"/s\") }}", true),
            ("{{ servers | length }}", false),
            ("{# backends(prefix=p) #}backends(prefix=p)", false),
            ("{{ \"backends(\" }}{{ backends }}{{ my_backends(x) }}{{ x.backends(y) }}", false),
            ("{% raw %}{{ backends(prefix=p) }}{% endraw %}", false),
        ] {
            assert_eq!(scan(source).asks_for_backends, expected, "{source}");
        }
    }

    #[test]
    fn blocks_are_counted_in_depth() {
        let nested = "{% block a %}{% block b %}{% endblock %}{% endblock a %}";
        for (source, expected) in [("", 0), (nested, 2), ("{% block a %}{% endblock %}{% block b %}{% endblock %}", 1)]
        {
            assert_eq!(scan(source).block_depth, expected, "{source}");
        }
    }

    #[test]
    fn conditions_are_counted_in_depth() {
        for (source, expected) in [
            ("{% if a %}{% elif b %}{% else %}{% if c %}{% endif %}{% endif %}{% if d %}{% endif %}", 3),
            ("{% elif a %}{% endif %}{% if a %}{% endif %}{% endif %}{% raw %}{% if a %}{% endraw %}", 1),
        ] {
            assert_eq!(scan(source).condition_depth, expected, "{source}");
        }
    }

    #[test]
    fn broken_templates_are_read_up_to_the_break() {
        for source in ["{{", "{%", "{#", "{{ \"", "{% include \"x", "{% raw %}{% include \"x\" %}", "{{ '\\", "{", "ü{"]
        {
            assert_eq!(scan(source), TemplateScan::default(), "{source:?}");
        }
        assert_eq!(names(&scan("{% include 'a' %}{{ '").includes), ["a@1:1"]);
    }
}
