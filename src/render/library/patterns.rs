//! Regular expressions in RE2's language, linear in the text: no look-around, no back-references. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use regex::{Regex, RegexBuilder};

use super::re2;
use super::text::check_size;
use crate::model::problem::Problem;

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
    /// Replaces every match; `${1}` and `${name}` stand for groups.
    pub(in crate::render) fn replace_all(&mut self, pattern: &str, text: &str, by: &str) -> Result<String, Problem> {
        let regex = self.regex(pattern)?;
        let mut output = String::with_capacity(text.len());
        let mut copied = 0;
        for captures in regex.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            output.push_str(&text[copied..whole.start()]);
            captures.expand(by, &mut output);
            copied = whole.end();
            check_size(output.len(), 0, 0)?;
        }
        output.push_str(&text[copied..]);
        check_size(output.len(), 0, 0)?;
        Ok(output)
    }
}

fn compile(pattern: &str) -> Result<Regex, Problem> {
    let refused = || {
        Problem::new("the pattern is not a regular expression")
            .hint("RE2's language: no look-around, no back-references")
    };
    let translated = re2::translate(pattern).ok_or_else(refused)?;
    RegexBuilder::new(&translated).size_limit(MAX_COMPILED_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Problem::new("the pattern is too big"),
        _ => refused(),
    })
}
