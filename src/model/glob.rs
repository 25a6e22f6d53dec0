//! Key patterns with the rules of Go's `path.Match`: `*` and `?` never cross `/`, `[a-z]` and `[^a-z]` are classes,
//! `\` takes the next character as it is. Pure: text, no store.

use std::fmt;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<GlobToken>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum GlobToken {
    Literal(char),
    AnyInPart,
    OneInPart,
    Class { negated: bool, spans: Vec<(char, char)> },
}

/// Error of a pattern: an unclosed class, an empty class or a trailing `\`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern;

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("syntax error in pattern")
    }
}

impl std::error::Error for BadPattern {}

impl Glob {
    /// Parses a pattern.
    pub fn parse(pattern: &str) -> Result<Glob, BadPattern> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => GlobToken::AnyInPart,
                '?' => GlobToken::OneInPart,
                '\\' => GlobToken::Literal(chars.next().ok_or(BadPattern)?),
                '[' => parse_class(&mut chars)?,
                other => GlobToken::Literal(other),
            });
        }
        Ok(Glob { tokens })
    }

    /// Returns the pattern `*`.
    pub fn any() -> Glob {
        Glob { tokens: vec![GlobToken::AnyInPart] }
    }

    /// Returns whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.tokens, text)
    }

    /// Returns the text that every match starts with: everything before the first wildcard.
    pub fn literal_prefix(&self) -> String {
        self.tokens.iter().map_while(|token| if let GlobToken::Literal(c) = token { Some(*c) } else { None }).collect()
    }

    /// Returns whether the pattern has no wildcard, so that it can only match its `literal_prefix`.
    pub fn is_literal(&self) -> bool {
        self.tokens.iter().all(|token| matches!(token, GlobToken::Literal(_)))
    }

    /// Returns the number of `/` that every match has; `None` if it is not fixed: only a class could add one.
    pub fn depth(&self) -> Option<usize> {
        if self.tokens.iter().any(|token| matches!(token, GlobToken::Class { .. })) {
            return None;
        }
        Some(self.tokens.iter().filter(|token| **token == GlobToken::Literal('/')).count())
    }
}

fn parse_class(chars: &mut std::str::Chars<'_>) -> Result<GlobToken, BadPattern> {
    let mut negated = false;
    if chars.as_str().starts_with('^') {
        negated = true;
        chars.next();
    }
    let mut spans = Vec::new();
    loop {
        if chars.as_str().starts_with(']') && !spans.is_empty() {
            chars.next();
            return Ok(GlobToken::Class { negated, spans });
        }
        let low = class_char(chars)?;
        let high = if chars.as_str().starts_with('-') {
            chars.next();
            class_char(chars)?
        } else {
            low
        };
        spans.push((low, high));
    }
}

fn class_char(chars: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    match chars.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => chars.next().ok_or(BadPattern),
        Some(c) => Ok(c),
    }
}

fn matches(tokens: &[GlobToken], text: &str) -> bool {
    let (mut tokens, mut text) = (tokens, text);
    // The last `*` passed, and the place where its match may still grow: greedy matching with one point to return to.
    let mut retry: Option<(&[GlobToken], &str)> = None;
    loop {
        if let Some((GlobToken::AnyInPart, rest)) = tokens.split_first() {
            retry = Some((rest, text));
            tokens = rest;
            continue;
        }
        let step = match (tokens.split_first(), text.chars().next()) {
            (None, None) => return true,
            (Some((token, rest)), Some(c)) if token.accepts(c) => Some((rest, &text[c.len_utf8()..])),
            _ => None,
        };
        (tokens, text) = match (step, retry) {
            (Some(next), _) => next,
            (None, Some((after_star, from))) => match from.chars().next() {
                Some(c) if c != '/' => {
                    let grown = &from[c.len_utf8()..];
                    retry = Some((after_star, grown));
                    (after_star, grown)
                }
                _ => return false,
            },
            (None, None) => return false,
        };
    }
}

impl GlobToken {
    fn accepts(&self, c: char) -> bool {
        match self {
            GlobToken::Literal(literal) => *literal == c,
            GlobToken::OneInPart => c != '/',
            GlobToken::AnyInPart => false,
            GlobToken::Class { negated, spans } => {
                spans.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching_follows_go_path_match() {
        for (pattern, text, expected) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/a/", true),
            ("/a/*/c", "/a/b/c", true),
            ("/*/c", "/a/b/c", false),
            ("/a?c", "/a/c", false),
            ("/a?c", "/abc", true),
            ("/a[x-z]", "/ay", true),
            ("/a[^x-z]", "/ay", false),
            ("/a[^x]", "/a/", true),
            ("/a\\*", "/a*", true),
            ("/a\\*", "/ab", false),
            ("/*b*d", "/abcbd", true),
            ("/*b*d", "/abcb", false),
            ("", "", true),
            ("*", "", true),
            ("/ü*", "/üben", true),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap().matches(text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in ["[", "[]a]", "[a", "[a-", "[^", "a\\", "[-a]"] {
            assert_eq!(Glob::parse(pattern), Err(BadPattern), "{pattern:?}");
        }
    }

    #[test]
    fn the_literal_prefix_ends_at_the_first_wildcard() {
        let glob = Glob::parse("/services/we\\b/*/port").unwrap();
        assert_eq!(glob.literal_prefix(), "/services/web/");
        assert_eq!(glob.depth(), Some(4));
        assert!(!glob.is_literal() && Glob::parse("/a").unwrap().is_literal());
        assert_eq!(Glob::parse("/[a]").unwrap().depth(), None);
    }
}
