//! Problems of a template, for people: place, message and hint. Never quotes a key's value.

use std::fmt;

use crate::model::problem::Position;

/// One problem of a template, found while compiling or rendering it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Template that the place is in: the resource's own, or one that it includes or extends.
    pub template: String,
    /// Place in it, if known.
    pub place: Option<Position>,
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

/// Failure of a function; the engine adds the place.
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
