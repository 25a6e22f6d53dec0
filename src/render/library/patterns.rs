//! Regular expressions in RE2's language: no look-around, no back-references. One search is linear in the text; the search for every
//! match is not, and asks the clock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use regex::{Regex, RegexBuilder};

use super::re2;
use super::text::check_size;
use crate::model::problem::Problem;
use crate::render::budget::Budget;

/// Longest pattern; one of twice as many letters is too big when it is compiled.
const MAX_PATTERN_BYTES: usize = 64 << 10;
/// Compiled size of one pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// Patterns remembered during one render.
const MAX_REMEMBERED: usize = 64;

/// The patterns that one render has compiled.
#[derive(Default)]
pub(in crate::render) struct Patterns(HashMap<String, Regex>);

impl Patterns {
    /// Compiles a pattern, unless this render has done so before.
    pub(in crate::render) fn regex(&mut self, pattern: &str) -> Result<&Regex, Problem> {
        if self.0.len() >= MAX_REMEMBERED && !self.0.contains_key(pattern) {
            self.0.clear();
        }
        match self.0.entry(pattern.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(compile(pattern)?)),
        }
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
        let regex = self.regex(pattern)?;
        let mut output = String::with_capacity(text.len());
        let mut copied = 0;
        for captures in regex.captures_iter(text) {
            budget.check_time()?;
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

fn compile(pattern: &str) -> Result<Regex, Problem> {
    let refused = || {
        Problem::new("the pattern is not a regular expression")
            .hint("RE2's language: no look-around, no back-references")
    };
    let too_big = || Problem::new("the pattern is too big");
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(too_big());
    }
    let translated = re2::translate(pattern).ok_or_else(refused)?;
    RegexBuilder::new(&translated).size_limit(MAX_COMPILED_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => too_big(),
        _ => refused(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pattern_is_refused_before_it_is_read() {
        let error = |pattern: &str| compile(pattern).err().map(|problem| problem.message);
        assert_eq!(error(&"(".repeat(MAX_PATTERN_BYTES + 1)).as_deref(), Some("the pattern is too big"));
        assert_eq!(error("(").as_deref(), Some("the pattern is not a regular expression"));
        assert_eq!(error(&"a".repeat(4096)), None);
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
