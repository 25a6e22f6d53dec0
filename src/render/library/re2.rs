//! Go's regular expressions in the syntax of the engine that runs them here. The two differ in surprising ways: `\w`, `\d`,
//! `\s` and `\b` are ASCII in Go, a `{` that begins no count is itself, and sets know no `&&`. Pure.
//!
//! Source: <https://pkg.go.dev/regexp/syntax>. Not carried over: `\B` goes by Unicode, and `\p{…}` takes more names.

/// Most repetitions that Go counts.
const MAX_REPEATS: u32 = 1000;

mod characters;

/// Returns the same expression for the `regex` crate; `None` if it is not one in Go.
pub(in crate::render) fn translate(pattern: &str) -> Option<String> {
    let mut translation = Translation { rest: pattern, output: String::with_capacity(pattern.len() * 2) };
    translation.expression()?;
    Some(translation.output)
}

/// The item before a place, as far as repetition is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preceding {
    Nothing,
    Atom,
    Repeated,
}

struct Translation<'a> {
    rest: &'a str,
    output: String,
}

impl Translation<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take_if(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn literal(&mut self, c: char) {
        self.output.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn expression(&mut self) -> Option<()> {
        let mut before = Preceding::Nothing;
        while let Some(c) = self.take() {
            before = match c {
                '*' | '+' | '?' => self.repeat(before, &c.to_string())?,
                '{' => match self.count() {
                    Some(count) => self.repeat(before, &count?)?,
                    None => self.atom('{'),
                },
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '|' => {
                    self.output.push('|');
                    Preceding::Nothing
                }
                '.' | '^' | '$' | ')' => {
                    self.output.push(c);
                    Preceding::Atom
                }
                c => self.atom(c),
            };
        }
        Some(())
    }

    fn atom(&mut self, c: char) -> Preceding {
        self.literal(c);
        Preceding::Atom
    }

    /// Translates a repetition and the `?` after it; a repetition cannot be repeated.
    fn repeat(&mut self, before: Preceding, operator: &str) -> Option<Preceding> {
        if before != Preceding::Atom {
            return None;
        }
        self.output.push_str(operator);
        if self.take_if("?") {
            self.output.push('?');
        }
        Some(Preceding::Repeated)
    }

    /// Reads `n}`, `n,}` or `n,m}` after a brace, with the brace; the inner `None` if it counts too far, or backwards.
    fn count(&mut self) -> Option<Option<String>> {
        // No further than the digits: a pattern of many braces would be read many times.
        let end = self.rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b',').count();
        let (inside, rest) = self.rest.split_at(end);
        let rest = rest.strip_prefix('}')?;
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            return None;
        }
        self.rest = rest;
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= MAX_REPEATS);
        let is_good =
            number(least).is_some_and(|least| most.is_empty() || number(most).is_some_and(|most| most >= least));
        Some(is_good.then(|| format!("{{{inside}}}")))
    }

    /// Translates a group's beginning: a plain one, one with a name, or flags.
    fn group(&mut self) -> Option<Preceding> {
        self.output.push('(');
        if !self.take_if("?") {
            return Some(Preceding::Nothing);
        }
        self.output.push('?');
        if self.rest.starts_with("P<") || self.rest.starts_with('<') {
            let (name, rest) = self.rest.split_once('>')?;
            self.output.push_str(&format!("{name}>"));
            self.rest = rest;
            return Some(Preceding::Nothing);
        }
        let end = self.rest.find([':', ')'])?;
        let flags = &self.rest[..end];
        if !flags.chars().all(|c| "imsU-".contains(c)) {
            return None;
        }
        self.output.push_str(&self.rest[..=end]);
        self.rest = &self.rest[end + 1..];
        Some(Preceding::Nothing)
    }
}

#[cfg(test)]
mod tests;
