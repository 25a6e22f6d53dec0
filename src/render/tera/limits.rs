//! Limits in Tera templates. Tera computes loops, `~`, comparisons and lists by itself and asks nobody, so each such expression is
//! passed through a filter of ours when the template is compiled: it counts rounds, looks at the clock, and refuses what is too large.
//! A tag that has none of these stays as it is. Reads and writes texts only.

use tera::{Kwargs, State, TeraResult, Value};

use super::run::TeraRun;
use super::scan::{self, Tag, TagKind};
use crate::model::problem::Problem;
use crate::render::budget::{Budget, measured};

/// A template with its limits.
pub(super) struct Limited {
    pub(super) text: String,
    pub(super) shifts: Shifts,
}

/// Where limits were put.
#[derive(Clone, Default)]
pub(super) struct Shifts(Vec<Shift>);

/// One text of ours in a template.
#[derive(Clone)]
struct Shift {
    /// Offset in the template as it was written.
    at: usize,
    /// Length, in bytes.
    length: usize,
    /// Offset of the expression that it limits.
    of: usize,
}

impl Shifts {
    /// Returns the offset in the template as it was written; for a limit that of its expression.
    pub(super) fn original(&self, offset: usize) -> usize {
        let mut inserted = 0;
        for Shift { at, length, of } in &self.0 {
            if offset < at + inserted {
                break;
            }
            if offset < at + inserted + length {
                return *of;
            }
            inserted += length;
        }
        offset - inserted
    }
}

/// The filters, by what they do.
#[derive(Clone, Copy)]
enum Limit {
    /// Counts the rounds of a loop over the value.
    Rounds,
    /// Looks at the clock.
    Timed,
    /// Refuses a value that is too large.
    Made,
    /// The same for each item that a list is made of, which are all kept.
    Item,
    /// Takes Tera's mark from a part of a text that may be printed as it is: it holds for the whole.
    Part,
    /// Counts what is printed into a block that the template keeps.
    Kept,
}

impl Limit {
    const ALL: [Limit; 6] = [Limit::Rounds, Limit::Timed, Limit::Made, Limit::Item, Limit::Part, Limit::Kept];

    fn name(self) -> &'static str {
        match self {
            Limit::Rounds => "__rounds",
            Limit::Timed => "__timed",
            Limit::Made => "__made",
            Limit::Item => "__item",
            Limit::Part => "__part",
            Limit::Kept => "__kept",
        }
    }

    fn check(self, value: &Value, budget: &Budget) -> Result<Value, Problem> {
        budget.check_time()?;
        match self {
            Limit::Rounds => {
                let rounds = value.as_str().map_or_else(|| value.len().unwrap_or(0), str::len);
                budget.take_rounds(rounds + 1)?;
            }
            Limit::Timed => {}
            Limit::Made => drop(size(value)?),
            Limit::Item | Limit::Kept => budget.keep(size(value)?)?,
            Limit::Part => {
                let part = value.as_str().filter(|_| value.is_safe()).map(Value::from);
                return Ok(part.unwrap_or_else(|| value.clone()));
            }
        }
        Ok(value.clone())
    }
}

/// Returns the size of a value, if it may have it.
fn size(value: &Value) -> Result<usize, Problem> {
    measured(value).map_err(|problem| Problem::new(format!("the value {}", problem.message)))
}

impl tera::Filter<&Value, TeraResult<Value>> for Limit {
    fn call(&self, value: &Value, _: Kwargs, _: &State) -> TeraResult<Value> {
        TeraRun::with(|run| self.check(value, &run.session.budget))
            .map_err(|failure| tera::Error::message(failure.message))
    }
}

/// Registers the filters.
pub(super) fn register(tera: &mut tera::Tera) {
    for limit in Limit::ALL {
        tera.register_filter::<_, &Value, _>(limit.name(), limit);
    }
}

/// Checks whether a template keeps what it prints: in blocks of `set` and `filter`, components, and `super()`.
pub(super) fn keeps_output(source: &str) -> bool {
    if !["set", "filter", "component", "super", "<"].iter().any(|word| source.contains(word)) {
        return false;
    }
    scan::tags(source).any(|tag| {
        let text = masked(tag.text(source).trim_start());
        match (tag.kind, scan::identifier(&text)) {
            (TagKind::Statement, "filter" | "component") => true,
            (TagKind::Statement, "set" | "set_global") if value_of_set(&text).is_none() => true,
            (TagKind::Print | TagKind::Statement, _) => find_word(&text, "super").is_some() || uses_component(&text),
            (TagKind::Comment | TagKind::Raw, _) => false,
        }
    })
}

/// Checks whether an expression uses a component, `<name …>`; what is smaller than a value has one before it.
fn uses_component(masked: &str) -> bool {
    masked.match_indices('<').any(|(at, _)| {
        let before = masked[..at].trim_end().bytes().next_back();
        masked[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic())
            && !before.is_some_and(|b| is_of_word(b) || matches!(b, b')' | b']' | b'\''))
    })
}

/// Puts limits into a template. `is_kept`: what it prints may be kept, and counts.
pub(super) fn limited(source: &str, is_kept: bool) -> Limited {
    let mut insertions = Vec::new();
    for tag in scan::tags(source) {
        limit_tag(&tag, source, is_kept, &mut insertions);
    }
    let mut text = String::with_capacity(source.len() + insertions.len() * 12);
    let mut shifts = Vec::with_capacity(insertions.len());
    let mut written = 0;
    for Insertion { at, text: inserted, of } in insertions {
        text.push_str(&source[written..at]);
        text.push_str(&inserted);
        shifts.push(Shift { at, length: inserted.len(), of });
        written = at;
    }
    text.push_str(&source[written..]);
    Limited { text, shifts: Shifts(shifts) }
}

/// A text to put into a template: before `at`, to limit the expression at `of`.
struct Insertion {
    at: usize,
    text: String,
    of: usize,
}

/// Returns the two texts that pass an expression through the filter of a limit.
fn around(limit: Limit, start: usize, end: usize) -> [Insertion; 2] {
    let close = format!(") | {} ", limit.name());
    [Insertion { at: start, text: "(".to_owned(), of: start }, Insertion { at: end, text: close, of: start }]
}

fn limit_tag(tag: &Tag, source: &str, is_kept: bool, insertions: &mut Vec<Insertion>) {
    let text = tag.text(source);
    let word = scan::identifier(text.trim_start());
    let is_print = tag.kind == TagKind::Print;
    let is_plain = || {
        let costs = text.contains(['~', '[', '{', '<', '>', '!']) || text.contains("==") || text.contains("in");
        !costs && (is_print || !text.contains('|'))
    };
    // Most tags.
    if (is_print && !is_kept || matches!(word, "if" | "elif")) && is_plain() {
        return;
    }
    let start = tag.inside.start + usize::from(tag.trims(source).0);
    let masked = masked(text);
    let expression = match (tag.kind, word) {
        (TagKind::Print, _) => Some(0),
        (TagKind::Statement, "for") => find_word(&masked, "in").map(|at| at + 2),
        (TagKind::Statement, "if" | "elif") => find_word(&masked, word).map(|at| at + word.len()),
        (TagKind::Statement, "set" | "set_global") => value_of_set(&masked),
        (TagKind::Statement, "include" | "component") => return insertions.push(round(tag, word, source)),
        _ => None,
    };
    let Some(from) = expression else { return };
    let rest = &masked[from..];
    // A component is no value, and what is ours needs no limit.
    if rest.trim().is_empty() || rest.trim_start().starts_with('<') || rest.trim_start().starts_with("__each") {
        return;
    }
    let limit = match (tag.kind, word) {
        (TagKind::Statement, "for") => Some(Limit::Rounds),
        (TagKind::Print, _) if is_kept => Some(Limit::Kept),
        _ => cost(rest, tag.kind),
    };
    let blanks = rest.len() - rest.trim_start().len();
    let outer = limit.map(|limit| around(limit, from + blanks, from + rest.trim_end().len()));
    let first = insertions.len();
    let [open, close] = outer.map_or([None, None], |outer| outer.map(Some));
    insertions.extend(open.into_iter().chain(inner_limits(&masked, from)).chain(close));
    for insertion in &mut insertions[first..] {
        (insertion.at, insertion.of) = (insertion.at + start, insertion.of + start);
    }
}

/// Returns a tag that counts a round for each include, and for each use of a component: those that nest multiply like loops.
fn round(tag: &Tag, word: &str, source: &str) -> Insertion {
    let (name, trims) = (Limit::Rounds.name(), tag.trims(source));
    let dash = |trims: bool| if trims { "-" } else { "" };
    let (at, text) = match word {
        "include" => (tag.open, format!("{{%{} if 1 | {name} %}}{{% endif %}}", dash(trims.0))),
        _ => (tag.end(), format!("{{% if 1 | {name} %}}{{% endif {}%}}", dash(trims.1))),
    };
    Insertion { at, text, of: tag.open }
}

/// Returns the limits within an expression: of each list that is made in a loop, and of each part of a text.
fn inner_limits(masked: &str, from: usize) -> Vec<Insertion> {
    let bytes = masked.as_bytes();
    let mut found: Vec<Insertion> = Vec::new();
    let mut open: Vec<Bracket> = Vec::new();
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'(' | b'[' | b'{' => {
                let before = masked[from..at].trim_end().bytes().next_back();
                let follows_value = before.is_some_and(|b| is_of_word(b) || matches!(b, b')' | b']' | b'\''));
                open.push(Bracket { at, is_part: byte == b'[' && follows_value, within: Within::Item, start: at + 1 });
            }
            b')' | b']' | b'}' => {
                if let Some(bracket) = open.pop() {
                    found.extend(bracket.end(at));
                    let goes_on = masked[at + 1..].trim_start().starts_with(['.', '[', '(', '?']);
                    if bracket.is_part && !goes_on {
                        let text = format!(" | {} ", Limit::Part.name());
                        found.push(Insertion { at: at + 1, text, of: bracket.at });
                    }
                }
            }
            _ if is_of_word(byte) => {
                let end = at + masked[at..].bytes().take_while(|byte| is_of_word(*byte)).count();
                if let Some(bracket) = open.last_mut().filter(|bracket| bytes[bracket.at] == b'[') {
                    found.extend(bracket.take_word(&masked[at..end], at, end));
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found.sort_by_key(|insertion| insertion.at);
    found
}

/// An open bracket.
struct Bracket {
    at: usize,
    /// Whether it asks for a part of the value before it.
    is_part: bool,
    /// What stands at this place, if a list is made in a loop: `[ITEM for NAME in LIST if CONDITION]`.
    within: Within,
    /// Where that begins.
    start: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Item,
    Name,
    List,
    Condition,
}

impl Bracket {
    /// Goes on behind a word, and returns the limits of what it ends.
    fn take_word(&mut self, word: &str, at: usize, end: usize) -> Vec<Insertion> {
        let (limit, next) = match (self.within, word) {
            (Within::Item, "for") => (Some(Limit::Item), Within::Name),
            (Within::Name, "in") => (None, Within::List),
            (Within::List, "if") => (Some(Limit::Rounds), Within::Condition),
            _ => return Vec::new(),
        };
        let ended = limit.map(|limit| around(limit, self.start, at));
        (self.within, self.start) = (next, end);
        ended.into_iter().flatten().collect()
    }

    /// Returns the limits of what its other half ends.
    fn end(&self, at: usize) -> Vec<Insertion> {
        let limit = match self.within {
            Within::Item | Within::Name => return Vec::new(),
            Within::List => Limit::Rounds,
            Within::Condition => Limit::Made,
        };
        around(limit, self.start, at).into()
    }
}

/// Returns the limit of an expression if its cost, or the size of what it makes, may follow from values.
fn cost(masked: &str, kind: TagKind) -> Option<Limit> {
    let compares = |operator: &str| {
        masked.match_indices(operator).any(|(at, _)| {
            // Comparing with a text or a number of the template costs nothing.
            let other = masked[at + operator.len()..].trim_start();
            !other.starts_with(|c: char| matches!(c, '\'' | '-' | '=') || c.is_ascii_digit())
        })
    };
    if masked.contains(['~', '[', '{']) {
        return Some(Limit::Made);
    }
    // What is printed meets the clock when it is written.
    let filters = kind == TagKind::Statement && masked.contains('|');
    let looks = find_word(masked, "in").is_some() || ["==", "!=", "<", ">"].into_iter().any(compares);
    (filters || looks).then_some(Limit::Timed)
}

/// Returns an expression in which each byte of a text, with its quotes, is a quote: of the same length.
fn masked(expression: &str) -> String {
    let bytes = expression.as_bytes();
    let mut masked = Vec::with_capacity(bytes.len());
    while let Some(&byte) = bytes.get(masked.len()) {
        match byte {
            b'"' | b'\'' | b'`' => {
                let length = scan::string_length(&expression[masked.len()..]).unwrap_or(1);
                masked.resize(masked.len() + length, b'\'');
            }
            byte => masked.push(if byte.is_ascii() { byte } else { b'\'' }),
        }
    }
    String::from_utf8(masked).unwrap_or_default()
}

/// Returns where a word begins.
fn find_word(masked: &str, word: &str) -> Option<usize> {
    let bytes = masked.as_bytes();
    let is_whole = |at: &usize| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !before.is_some_and(|b| is_of_word(*b) || *b == b'.')
            && !bytes.get(at + word.len()).is_some_and(|b| is_of_word(*b))
    };
    masked.match_indices(word).map(|(at, _)| at).find(is_whole)
}

/// Returns where the value begins that a `set` gives to its variable; `None` if it gives a block.
fn value_of_set(masked: &str) -> Option<usize> {
    let at = masked.find(['=', '|'])?;
    (masked.as_bytes()[at] == b'=').then_some(at + 1)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_where_tera_computes_by_itself() {
        for (source, expected) in [
            ("{{ a }}{% if a.b %}{{ a | upper }}{% endif %}", None),
            ("{% if a == \"~[\" and b > 1 %}", None),
            ("{{ \"a ~ b\" }}{# a ~ b #}{% raw %}{{ a ~ b }}{% endraw %}", None),
            ("{% set x %}a{% endset %}{{ <a b={c ~ d} /> }}", None),
            ("{% include \"a ~ b\" %}", Some("{% if 1 | __rounds %}{% endif %}{% include \"a ~ b\" %}")),
            ("{%- include \"a\" %}", Some("{%- if 1 | __rounds %}{% endif %}{%- include \"a\" %}")),
            ("{% component a(b) -%} c", Some("{% component a(b) -%}{% if 1 | __rounds %}{% endif -%} c")),
            ("{%- for a in b -%}", Some("{%- for a in (b) | __rounds  -%}")),
            ("{% for k, v in f(a=\"in\") %}", Some("{% for k, v in (f(a=\"in\")) | __rounds  %}")),
            ("{{- a ~ b }}", Some("{{- (a ~ b) | __made  }}")),
            ("{% set x = a ~ \"=\" %}", Some("{% set x = (a ~ \"=\") | __made  %}")),
            ("{% elif a in b %}", Some("{% elif (a in b) | __timed  %}")),
            ("{% if a | sort %}{{ a | sort }}", Some("{% if (a | sort) | __timed  %}{{ a | sort }}")),
            ("{% if a == b %}", Some("{% if (a == b) | __timed  %}")),
            ("{% set x = a[1:2] %}", Some("{% set x = (a[1:2] | __part ) | __made  %}")),
            ("{% set x = [a, [b]] %}", Some("{% set x = ([a, [b]]) | __made  %}")),
            ("{{ a[0].b }}", Some("{{ (a[0].b) | __made  }}")),
            (
                "{% for p in [x.v for x in g(a=[1]) if x in y] %}",
                Some(
                    "{% for p in ([(x.v ) | __item for x in( g(a=[1]) ) | __rounds if( x in y) | __made ]) | __rounds  %}",
                ),
            ),
            (
                "{{ [[y for y in x] for x in z] }}",
                Some(
                    "{{ ([([(y ) | __item for y in( x) | __rounds ] ) | __item for x in( z) | __rounds ]) | __made  }}",
                ),
            ),
        ] {
            let limited = limited(source, false);
            assert_eq!(limited.text, expected.unwrap_or(source), "{source}");
            for (at, c) in source.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()) {
                let shifted = limited.text.match_indices(c).map(|(at, _)| limited.shifts.original(at));
                assert!(shifted.clone().any(|original| original == at), "{source} {at}");
            }
        }
        let kept = limited("{{ a }}{{ b ~ c }}", true).text;
        assert_eq!(kept, "{{ (a) | __kept  }}{{ (b ~ c) | __kept  }}");
    }

    #[test]
    fn a_template_that_keeps_what_it_prints_is_known() {
        for (source, expected) in [
            ("{% set x = 1 %}{% for a in b %}{{ a }}{% endfor %}{% include \"a\" %}", false),
            ("{% set x %}a{% endset %}", true),
            ("{% set_global x | upper %}a{% endset %}", true),
            ("{% filter upper %}a{% endfilter %}", true),
            ("{{ super() }}", true),
            ("{{ <a /> }}", true),
            ("{% <a> %}b{% </a> %}", true),
            ("{% set x = <a /> %}", true),
            ("{% if a <b and \"<c\" < d %}{{ superb }}{% endif %}{# super() #}", false),
        ] {
            assert_eq!(keeps_output(source), expected, "{source}");
        }
    }
}
