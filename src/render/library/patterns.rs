//! Regular expressions in RE2's language: no look-around, no back-references. One search takes as long as the text and the pattern are
//! large, and nobody can stop it: their product has a bound. The search for every match asks the clock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use regex::{Regex, RegexBuilder};

use super::re2;
use super::text::check_size;
use crate::model::problem::Problem;
use crate::render::budget::Budget;

/// Longest pattern; one of twice as many letters is too big when it is compiled.
const MAX_PATTERN_BYTES: usize = 64 << 10;
/// Most classes of a pattern that may have very many characters: each takes milliseconds to read.
const MAX_WIDE_CLASSES: usize = 100;
/// Steps that it takes to compile a pattern.
const COMPILE_STEPS: usize = 64 << 10;
/// Compiled size of one pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// Most steps of one search, which are bytes of the text times bytes of the compiled pattern: seconds, if all of them are taken.
const MAX_STEPS: usize = 1 << 32;
/// Compiled size that a pattern may have for every text, in bytes.
const SMALL_COMPILED_BYTES: usize = 512;
/// Patterns remembered during one render.
const MAX_REMEMBERED: usize = 64;
/// Groups of all patterns that are remembered during one render: a search keeps a place for each group at each byte of its pattern.
const MAX_REMEMBERED_GROUPS: usize = 256;
/// Groups for which a pattern has as many bytes as without any; of twice as many groups, only half as many bytes.
const FREE_GROUPS: usize = 16;

/// The patterns that one render has compiled.
#[derive(Default)]
pub(in crate::render) struct Patterns(HashMap<String, Pattern>);

struct Pattern {
    regex: Regex,
    /// Bytes of the longest text that it was found to be small enough for.
    longest_text: usize,
}

impl Pattern {
    fn compile(pattern: &str) -> Result<Pattern, Problem> {
        let regex = compile(pattern, MAX_COMPILED_BYTES)?;
        let compiled = Pattern { regex, longest_text: MAX_STEPS / MAX_COMPILED_BYTES };
        if compiled.cost_of_groups() > 1 {
            compile(pattern, MAX_COMPILED_BYTES / compiled.cost_of_groups())
                .map_err(|problem| problem.hint("write groups whose text is not needed as (?:…)"))?;
        }
        Ok(compiled)
    }

    /// Returns how many times as much each step costs as without groups.
    fn cost_of_groups(&self) -> usize {
        self.regex.captures_len() / FREE_GROUPS + 1
    }
}

impl Patterns {
    /// Compiles a pattern for a text, unless this render has done so before. Fails if the time of the render is over.
    pub(in crate::render) fn regex(&mut self, pattern: &str, text: &str, budget: &Budget) -> Result<&Regex, Problem> {
        budget.take_steps(text.len().saturating_mul(pattern.len()))?;
        let groups = || self.0.values().map(|known| known.regex.captures_len()).sum::<usize>();
        let is_full = self.0.len() >= MAX_REMEMBERED || groups() >= MAX_REMEMBERED_GROUPS;
        if is_full && !self.0.contains_key(pattern) {
            self.0.clear();
        }
        let known = match self.0.entry(pattern.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                budget.take_steps(COMPILE_STEPS)?;
                unknown.insert(Pattern::compile(pattern)?)
            }
        };
        if text.len() > known.longest_text {
            let most_bytes = (MAX_STEPS / text.len() / known.cost_of_groups()).max(SMALL_COMPILED_BYTES);
            compile(pattern, most_bytes).map_err(|_| {
                Problem::new("the pattern is too big for so long a text")
                    .hint("the longer the text, the smaller the pattern must be: repeat less in it, or cut the text")
            })?;
            known.longest_text = text.len();
        }
        Ok(&known.regex)
    }
}

impl Patterns {
    /// Replaces every match; `${1}` and `${name}` stand for groups. Each match may have taken a search to the end of the text, and each
    /// may be replaced by many groups.
    pub(in crate::render) fn replace_all(
        &mut self,
        pattern: &str,
        text: &str,
        by: &str,
        budget: &Budget,
    ) -> Result<String, Problem> {
        let regex = self.regex(pattern, text, budget)?;
        let mut output = String::with_capacity(text.len());
        let mut copied = 0;
        for captures in regex.captures_iter(text) {
            budget.take_steps(text.len())?;
            let Some(whole) = captures.get(0) else { continue };
            output.push_str(&text[copied..whole.start()]);
            for part in parts(by) {
                budget.check_time()?;
                captures.expand(part, &mut output);
                check_size(output.len(), 0, 0)?;
            }
            copied = whole.end();
        }
        output.push_str(&text[copied..]);
        check_size(output.len(), 0, 0)?;
        Ok(output)
    }
}

/// Returns the parts of a replacement, each with at most one group: `$` begins a new one, but not after `$` or within `${…}`.
fn parts(by: &str) -> impl Iterator<Item = &str> {
    let mut rest = by;
    // Behind the last brace none is looked for.
    let last_brace = by.rfind('}').map_or(usize::MAX, |at| by.len() - at);
    std::iter::from_fn(move || {
        let opening = match rest {
            "" => return None,
            _ if rest.starts_with("$$") => 2,
            _ if rest.starts_with("${") && rest.len() >= last_brace => rest.find('}').map_or(2, |end| end + 1),
            _ => rest.chars().next().map_or(0, char::len_utf8),
        };
        let end = rest[opening..].find('$').map_or(rest.len(), |at| opening + at);
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

/// Returns how many classes of a pattern may have very many characters: `\p{Any}`, `[a-\x{10FFFF}]`, `[\D]`, `[[:^alpha:]]`.
fn wide_classes(pattern: &str) -> usize {
    let is_wide = |pair: &[u8]| match pair {
        [b'\\', second] => b"pPDSW".contains(second),
        [b'-', second] => *second == b'\\' || !second.is_ascii(),
        pair => pair == b":^",
    };
    pattern.as_bytes().windows(2).filter(|pair| is_wide(pair)).count()
}

fn compile(pattern: &str, most_bytes: usize) -> Result<Regex, Problem> {
    let refused = || {
        Problem::new("the pattern is not a regular expression")
            .hint("RE2's language: no look-around, no back-references")
    };
    let too_big = || Problem::new("the pattern is too big");
    if pattern.len() > MAX_PATTERN_BYTES || wide_classes(pattern) > MAX_WIDE_CLASSES {
        return Err(too_big());
    }
    let translated = re2::translate(pattern).ok_or_else(refused)?;
    RegexBuilder::new(&translated).size_limit(most_bytes).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => too_big(),
        _ => refused(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::render::deadline::Deadline;
    use crate::render::facts::{Facts, NoWorld};

    #[test]
    fn a_long_pattern_is_refused_before_it_is_read() {
        let error = |pattern: &str| compile(pattern, MAX_COMPILED_BYTES).err().map(|problem| problem.message);
        assert_eq!(error(&"(".repeat(MAX_PATTERN_BYTES + 1)).as_deref(), Some("the pattern is too big"));
        assert_eq!(error("(").as_deref(), Some("the pattern is not a regular expression"));
        assert_eq!(error(&"a".repeat(4096)), None);
        // Each of these would be read for more than ten seconds.
        for wide in ["\\p{Any}", "\\PL", "[\\D]", "[[:^alpha:]]", "[a-\\x{10FFFF}]", "[a-\u{10FFFF}]"] {
            let many = format!("(?i){}", wide.repeat(2000));
            assert_eq!(error(&many).as_deref(), Some("the pattern is too big"), "{wide}");
        }
        assert_eq!(error(&"(\\S+)-(\\d+)".repeat(20)), None);
        // A search would take gigabytes for the first, and a minute for the second.
        let alternatives = vec!["(a)(b?)"; 1200].join("|");
        for groups in ["()".repeat(4000), format!("(?:{alternatives})*c")] {
            assert_eq!(Pattern::compile(&groups).err().unwrap().message, "the pattern is too big");
        }
        assert!(Pattern::compile(&"([a-z]+):([0-9]+) ".repeat(50)).is_ok());
    }

    #[test]
    fn a_pattern_has_to_be_the_smaller_the_longer_the_text_is() {
        let facts: Arc<dyn Facts> = Arc::new(NoWorld);
        let (mut patterns, budget) = (Patterns::default(), Budget::new(Deadline::new(&facts)));
        let mut error = |pattern: &str, bytes: usize| {
            patterns.regex(pattern, &"a".repeat(bytes), &budget).err().map(|problem| problem.message)
        };
        let large = format!("[ab]*a{}c", "[ab]{1000}".repeat(8));
        assert_eq!(error(&large, 4096), None);
        assert_eq!(error(&large, 1_500_000).as_deref(), Some("the pattern is too big for so long a text"));
        assert_eq!(error(&large, 4097), None, "what is refused once is not refused for a short text");
        for small in ["a", "[a-z0-9.-]+:[0-9]+", "(?i)^server .*;$", "(.*)=(.*)"] {
            assert_eq!(error(small, 1_500_000), None, "{small}");
        }
    }

    /// One match times all groups of the text that replaces it could be terabytes before their size is looked at.
    #[test]
    fn each_part_of_a_replacement_has_one_group_and_all_mean_the_same() {
        let regex = Regex::new("(?P<first>[a-z])([0-9])").unwrap();
        let captures = regex.captures("-a1-").unwrap();
        for by in [
            "",
            "x",
            "$1",
            "$1$2",
            "${1}${first}x",
            "a$$1$2",
            "$$",
            "$$$1",
            "$",
            "$$$",
            "${",
            "${1",
            "${1$2",
            "${1$2}$2",
            "x${}$1",
            "$first$1x",
            "${first}é$é${2}é",
            "{1}$-$2",
        ] {
            let parts: Vec<&str> = parts(by).collect();
            let (mut whole, mut joined) = (String::new(), String::new());
            captures.expand(by, &mut whole);
            parts.iter().for_each(|part| captures.expand(part, &mut joined));
            assert_eq!((joined, parts.concat()), (whole, by.to_owned()), "{parts:?}");
        }
        assert_eq!(parts("a$1b${2}$$3$4").collect::<Vec<_>>(), ["a", "$1b", "${2}", "$$3", "$4"]);
    }
}
