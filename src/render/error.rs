//! What went wrong with a template, for people: where, what, and what to do. Never quotes a key's value.

use std::fmt;

/// A position in a template; both numbers start at 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line number.
    pub line: usize,
    /// Column number.
    pub column: usize,
}

impl Place {
    /// Returns the position of the byte at `offset`, which must be a character's first.
    pub(super) fn of(source: &str, offset: usize) -> Place {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One problem of a template, found while compiling or rendering it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Template that the place is in: the resource's own, or one that it includes or extends.
    pub template: String,
    /// Place in it, if known.
    pub place: Option<Place>,
    /// Problem, as a lower-case phrase. Names keys, never values.
    pub message: String,
    /// Advice, if there is any.
    pub hint: Option<String>,
}

impl TemplateError {
    /// Returns a problem of a template as a whole.
    pub(super) fn without_place(template: &str, message: impl Into<String>) -> TemplateError {
        TemplateError { template: template.to_owned(), place: None, message: message.into(), hint: None }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{}:{place}: {}", self.template, self.message),
            None => write!(f, "{}: {}", self.template, self.message),
        }
    }
}

impl std::error::Error for TemplateError {}

/// Why a function failed; the engine adds the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FunctionError {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl FunctionError {
    pub(super) fn new(message: impl Into<String>) -> FunctionError {
        FunctionError { message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> FunctionError {
        FunctionError { hint: Some(hint.into()), ..self }
    }
}
