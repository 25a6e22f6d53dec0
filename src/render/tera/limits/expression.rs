//! The expressions that need a limit, and the texts that give them one. Reads an expression with its texts masked. Pure.

use super::filter::Limit;
use crate::render::tera::scan::{self, TagKind};

/// A text to put into a template: before `at`, to limit the expression at `of`.
pub(super) struct Insertion {
    pub(super) at: usize,
    pub(super) text: String,
    pub(super) of: usize,
}

/// Returns the two texts that pass an expression through the filter of a limit.
pub(super) fn around(limit: Limit, start: usize, end: usize) -> [Insertion; 2] {
    let close = format!(") | {} ", limit.name());
    [Insertion { at: start, text: "(".to_owned(), of: start }, Insertion { at: end, text: close, of: start }]
}

/// Texts that are joined before what they make is looked at.
const JOINED: usize = 16;
/// Most `~` of an expression with such limits: Tera counts them too, and has no room for more.
const MAX_JOINS: usize = 200;

/// Returns the limits within an expression: of each list that is made in a loop, of each part of a text, and of what many texts are
/// joined to.
pub(super) fn inner_limits(masked: &str, from: usize) -> Vec<Insertion> {
    let bytes = masked.as_bytes();
    let mut found: Vec<Insertion> = Vec::new();
    let mut open: Vec<Bracket> = Vec::new();
    let mut joins = vec![Join::from(from)];
    let has_room = masked.bytes().filter(|byte| *byte == b'~').count() <= MAX_JOINS;
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        let before = || masked[from..at].trim_end().bytes().next_back();
        match byte {
            b'(' | b'[' | b'{' => {
                let before = before();
                // `?[` asks for a part of what may be undefined.
                let follows_value = before.is_some_and(|b| ends_value(b) || b == b'?');
                open.push(Bracket { at, is_part: byte == b'[' && follows_value, within: Within::Item, start: at + 1 });
                joins.push(Join::from(at + 1));
            }
            b')' | b']' | b'}' => {
                joins.pop();
                if let Some(bracket) = open.pop() {
                    found.extend(bracket.end(at));
                    let goes_on = masked[at + 1..].trim_start().starts_with(['.', '[', '(', '?']);
                    if bracket.is_part && !goes_on {
                        let limit = if masked[bracket.at..at].contains(':') { Limit::Part } else { Limit::Letter };
                        let text = format!(" | {} ", limit.name());
                        found.push(Insertion { at: at + 1, text, of: bracket.at });
                    }
                }
            }
            _ if is_of_word(byte) => {
                let end = at + masked[at..].bytes().take_while(|byte| is_of_word(*byte)).count();
                if let Some(bracket) = open.last_mut().filter(|bracket| bytes[bracket.at] == b'[') {
                    found.extend(bracket.take_word(&masked[at..end], at, end));
                }
                if let Some(join) = joins.last_mut() {
                    join.take_word(&masked[at..end], end);
                }
                at = end;
                continue;
            }
            b'~' if has_room => {
                found.extend(joins.last_mut().and_then(|join| join.take(masked, at)).into_iter().flatten())
            }
            // As a sign, it belongs to the first text.
            b'-' if !before().is_some_and(ends_value) => {}
            b'+' | b'-' | b',' | b':' | b'=' | b'<' | b'>' | b'!' => {
                if let Some(join) = joins.last_mut() {
                    *join = Join::from(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    found.sort_by_key(|insertion| insertion.at);
    found
}

/// Texts that are joined by `~`, in one pair of brackets.
struct Join {
    /// Where the first one begins.
    start: usize,
    /// How many are joined so far, less one; `None` behind a test, which is no value.
    count: Option<usize>,
}

impl Join {
    fn from(start: usize) -> Join {
        Join { start, count: Some(0) }
    }

    /// Ends the texts at a word that binds less than `~`.
    fn take_word(&mut self, word: &str, end: usize) {
        match word {
            "is" => self.count = None,
            "not" if self.count.is_none() => {}
            "and" | "or" | "not" | "in" | "if" | "else" | "for" => *self = Join::from(end),
            _ => {}
        }
    }

    /// Takes a `~`, and returns the limit of what is before it, if that is many texts.
    fn take(&mut self, masked: &str, at: usize) -> Option<[Insertion; 2]> {
        let count = self.count.as_mut()?;
        *count += 1;
        let joined = masked.get(self.start..at)?.trim_start().len();
        count.is_multiple_of(JOINED).then(|| around(Limit::Made, at - joined, at))
    }
}

fn ends_value(byte: u8) -> bool {
    is_of_word(byte) || matches!(byte, b')' | b']' | b'\'')
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

/// Words for what Tera does by itself and what may cost as much as its operands are large: an operator, the tests that read both, and the
/// function that makes a list.
pub(super) const COSTLY_WORDS: &[&str] = &["in", "containing", "starting_with", "ending_with", "range"];

/// Returns the limit of an expression if its cost, or the size of what it makes, may follow from values.
pub(super) fn cost(masked: &str, kind: TagKind) -> Option<Limit> {
    let compares = |operator: &str| {
        masked.match_indices(operator).any(|(at, _)| {
            // Comparing with a text or a number of the template costs nothing, and of `<=` the `<` is a part.
            let other = masked[at + operator.len()..].trim_start();
            !other.starts_with(|c: char| matches!(c, '\'' | '-' | '=') || c.is_ascii_digit())
        })
    };
    if masked.contains(['~', '[', '{']) {
        return Some(Limit::Made);
    }
    // What is printed meets the clock when it is written.
    let filters = kind == TagKind::Statement && masked.contains('|');
    let looks = COSTLY_WORDS.iter().any(|word| find_word(masked, word).is_some());
    let looks = looks || ["==", "!=", "<=", ">=", "<", ">"].into_iter().any(compares);
    (filters || looks).then_some(Limit::Timed)
}

/// Returns an expression in which each byte of a text, with its quotes, is a quote: of the same length.
pub(super) fn masked(expression: &str) -> String {
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
pub(super) fn find_word(masked: &str, word: &str) -> Option<usize> {
    let bytes = masked.as_bytes();
    let is_whole = |at: &usize| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !before.is_some_and(|b| is_of_word(*b) || *b == b'.')
            && !bytes.get(at + word.len()).is_some_and(|b| is_of_word(*b))
    };
    masked.match_indices(word).map(|(at, _)| at).find(is_whole)
}

/// Returns where the value begins that a `set` gives to its variable; `None` if it gives a block.
pub(super) fn value_of_set(masked: &str) -> Option<usize> {
    let at = masked.find(['=', '|'])?;
    (masked.as_bytes()[at] == b'=').then_some(at + 1)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Checks whether an expression uses a component, `<name …>`; what is smaller than a value has one before it.
pub(super) fn uses_component(masked: &str) -> bool {
    masked.match_indices('<').any(|(at, _)| {
        let before = masked[..at].trim_end().bytes().next_back();
        masked[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic())
            && !before.is_some_and(|b| is_of_word(b) || matches!(b, b')' | b']' | b'\''))
    })
}
