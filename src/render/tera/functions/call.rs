//! The arguments of one call, read by name and kind. Error texts name arguments and kinds, never what was passed.

use tera::value::{Map, ValueKind};
use tera::{Kwargs, Number, Value};

use super::Function;
use crate::model::suggest::nearest;
use crate::render::error::Failure;

/// One call of a function, or one use of it as a filter.
pub(super) struct Call<'a> {
    pub(super) function: &'static Function,
    /// The filtered value, where it is used as a filter.
    pub(super) subject: Option<&'a Value>,
    pub(super) kwargs: &'a Kwargs,
}

impl<'a> Call<'a> {
    /// Refuses arguments that the function does not have: a misspelt `default` must not pass unseen.
    pub(super) fn check_names(&self) -> Result<(), Failure> {
        let known = || self.function.arguments.iter().map(|argument| argument.trim_end_matches('?'));
        for (name, _) in self.kwargs.iter() {
            let name = name.as_str().unwrap_or_default();
            if self.subject.is_some() && self.function.form.subject() == Some(name) {
                return Err(self.failure(format!("argument `{name}` is already the filtered value")));
            }
            if !known().any(|argument| argument == name || argument == "…") {
                let failure = self.failure(format!("has no argument `{name}`"));
                let list = known().collect::<Vec<_>>().join(", ");
                return Err(match nearest(name, known()) {
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None if list.is_empty() => failure.hint("it takes none"),
                    None => failure.hint(format!("it takes {list}")),
                });
            }
        }
        Ok(())
    }

    /// A failure that names the function.
    pub(super) fn failure(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(format!("`{}`: {what}", self.function.name))
    }

    /// The argument, if it was given and is not undefined.
    pub(super) fn optional(&self, name: &'static str) -> Option<&'a Value> {
        let given = match self.subject {
            Some(subject) if self.function.form.subject() == Some(name) => Some(subject),
            _ => self.kwargs.get::<&Value>(name).ok().flatten(),
        };
        given.filter(|value| !value.is_undefined())
    }

    /// The argument.
    pub(super) fn value(&self, name: &'static str) -> Result<&'a Value, Failure> {
        self.optional(name).ok_or_else(|| {
            let undefined = self.subject.is_some() || self.kwargs.iter().any(|(given, _)| given.as_str() == Some(name));
            let what = if undefined { "is undefined" } else { "is missing" };
            self.failure(format!("argument `{name}` {what}"))
        })
    }

    /// The argument, a string.
    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, Failure> {
        let value = self.value(name)?;
        value.as_str().ok_or_else(|| {
            let failure = self.kind_failure(name, "text", value);
            if value.is_number() { failure.hint("`| str` makes text of a number") } else { failure }
        })
    }

    /// The argument, a string, if it was given.
    pub(super) fn optional_text(&self, name: &'static str) -> Result<Option<&'a str>, Failure> {
        self.optional(name).map(|_| self.text(name)).transpose()
    }

    /// The argument, a number.
    pub(super) fn number(&self, name: &'static str) -> Result<Number, Failure> {
        let value = self.value(name)?;
        value.as_number().ok_or_else(|| {
            let failure = self.kind_failure(name, "a number", value);
            if value.is_string() { failure.hint("`| int` makes a number of text") } else { failure }
        })
    }

    /// The argument, a whole number.
    pub(super) fn integer(&self, name: &'static str) -> Result<i128, Failure> {
        let not_whole = || self.failure(format!("argument `{name}` must be a whole number"));
        self.number(name)?.as_integer().ok_or_else(not_whole)
    }

    /// The argument, a whole number, if it was given.
    pub(super) fn optional_integer(&self, name: &'static str) -> Result<Option<i128>, Failure> {
        self.optional(name).map(|_| self.integer(name)).transpose()
    }

    /// The argument, true or false.
    pub(super) fn boolean(&self, name: &'static str) -> Result<bool, Failure> {
        let value = self.value(name)?;
        value.as_bool().ok_or_else(|| self.kind_failure(name, "true or false", value))
    }

    /// The argument, a list.
    pub(super) fn list(&self, name: &'static str) -> Result<&'a [Value], Failure> {
        let value = self.value(name)?;
        value.as_array().ok_or_else(|| self.kind_failure(name, "a list", value))
    }

    /// The argument, a map.
    pub(super) fn map(&self, name: &'static str) -> Result<&'a Map, Failure> {
        let value = self.value(name)?;
        value.as_map().ok_or_else(|| self.kind_failure(name, "a map", value))
    }

    fn kind_failure(&self, name: &str, wanted: &str, value: &Value) -> Failure {
        self.failure(format!("argument `{name}` must be {wanted}, not {}", kind(value)))
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "undefined",
        ValueKind::None => "nothing",
        ValueKind::Bool => "true or false",
        ValueKind::String => "text",
        ValueKind::Array => "a list",
        ValueKind::Map => "a map",
        ValueKind::Bytes => "bytes",
        _ => "a number",
    }
}
