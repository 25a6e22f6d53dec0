//! One function of Tera templates, and the arguments of one call of it, read by name and kind. Error texts name arguments
//! and kinds, never what was passed.

use tera::value::{Map, ValueKind};
use tera::{Kwargs, TeraResult, Value};

use crate::model::problem::Problem;
use crate::model::suggest::nearest;
use crate::render::library::numbers::Operand;
use crate::render::library::text;
use crate::render::tera::run::TeraRun;

/// One function, one filter, or both.
#[derive(Debug)]
pub(in crate::render) struct TeraFunction {
    /// Name in templates.
    pub(in crate::render) name: &'static str,
    /// confd's spelling, if different.
    pub(in crate::render::tera) alias: Option<&'static str>,
    /// Argument names; a trailing `?` marks those that may be left out, `…` alone takes any.
    pub(in crate::render) arguments: &'static [&'static str],
    /// Ways to write it.
    pub(in crate::render::tera) form: CallForm,
    run: Run,
}

type Run = fn(&TeraCall<'_>, &mut TeraRun) -> Result<Value, Problem>;

/// Returns a function.
pub(super) const fn function(name: &'static str, arguments: &'static [&'static str], run: Run) -> TeraFunction {
    TeraFunction { name, alias: None, arguments, form: CallForm::Function, run }
}

/// Returns a filter of its first argument.
pub(super) const fn filter(name: &'static str, arguments: &'static [&'static str], run: Run) -> TeraFunction {
    TeraFunction { name, alias: None, arguments, form: CallForm::Filter(arguments[0]), run }
}

/// Returns a function that is also a filter of its first argument.
pub(super) const fn both(name: &'static str, arguments: &'static [&'static str], run: Run) -> TeraFunction {
    TeraFunction { name, alias: None, arguments, form: CallForm::Both(arguments[0]), run }
}

/// Ways to write a function; a filter's value becomes the argument named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render::tera) enum CallForm {
    /// `{{ name(a=…) }}`.
    Function,
    /// `{{ a | name }}`.
    Filter(&'static str),
    /// Either.
    Both(&'static str),
}

impl CallForm {
    pub(super) fn is_function(self) -> bool {
        !matches!(self, CallForm::Filter(_))
    }

    /// Returns the argument that a filter's value becomes.
    pub(in crate::render::tera) fn subject(self) -> Option<&'static str> {
        match self {
            CallForm::Function => None,
            CallForm::Filter(subject) | CallForm::Both(subject) => Some(subject),
        }
    }
}

impl TeraFunction {
    /// Adds confd's name for it.
    pub(super) const fn alias(self, alias: &'static str) -> TeraFunction {
        TeraFunction { alias: Some(alias), ..self }
    }

    /// Makes it a filter of this argument instead of the first.
    pub(super) const fn subject(self, argument: &'static str) -> TeraFunction {
        TeraFunction { form: CallForm::Both(argument), ..self }
    }

    /// Returns all its names.
    pub(super) fn names(&'static self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.alias)
    }

    /// Returns an error that names it.
    fn failure(&self, what: impl std::fmt::Display) -> Problem {
        Problem::new(format!("`{}`: {what}", self.name))
    }

    /// Returns what is wrong with an argument of this name; `None` if it has one.
    pub(in crate::render::tera) fn refuse_argument(&self, name: &str, is_filter: bool) -> Option<Problem> {
        let known = || self.arguments.iter().map(|argument| argument.trim_end_matches('?'));
        if is_filter && self.form.subject() == Some(name) {
            return Some(self.failure(format!("argument `{name}` is already the filtered value")));
        }
        if known().any(|argument| argument == name || argument == "…") {
            return None;
        }
        let failure = self.failure(format!("has no argument `{name}`"));
        let list = known().collect::<Vec<_>>().join(", ");
        Some(match nearest(name, known()) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None if list.is_empty() => failure.hint("it takes none"),
            None => failure.hint(format!("it takes {list}")),
        })
    }

    pub(super) fn call(&'static self, subject: Option<&Value>, kwargs: &Kwargs) -> TeraResult<Value> {
        let call = TeraCall { function: self, subject, kwargs };
        TeraRun::with(|run| {
            call.check_names()?;
            call.named(run.session.budget.check_time())?;
            let value = (self.run)(&call, run)?;
            match value.as_str() {
                Some(text) => call.named(text::check_size(text.len(), 0, 0)).map(|()| value),
                None => Ok(value),
            }
        })
        .map_err(|failure| tera::Error::message(failure.message))
    }
}

/// One call of a function, or one use of it as a filter.
pub(super) struct TeraCall<'a> {
    pub(super) function: &'static TeraFunction,
    /// Filtered value, if it is used as a filter.
    pub(super) subject: Option<&'a Value>,
    pub(super) kwargs: &'a Kwargs,
}

impl<'a> TeraCall<'a> {
    /// Refuses arguments that the function does not have: a misspelt `default` must not pass unseen.
    pub(super) fn check_names(&self) -> Result<(), Problem> {
        let names = self.kwargs.iter().map(|(name, _)| name.as_str().unwrap_or_default());
        let mut refusals = names.filter_map(|name| self.function.refuse_argument(name, self.subject.is_some()));
        refusals.next().map_or(Ok(()), Err)
    }

    /// Returns an error that names the function.
    pub(super) fn failure(&self, what: impl std::fmt::Display) -> Problem {
        self.function.failure(what)
    }

    /// Puts the function's name before an error of the library.
    pub(super) fn named<T>(&self, result: Result<T, Problem>) -> Result<T, Problem> {
        result.map_err(|error| Problem { hint: error.hint, ..self.failure(error.message) })
    }

    /// Returns the argument, if it was given and is not undefined.
    pub(super) fn optional(&self, name: &'static str) -> Option<&'a Value> {
        let given = match self.subject {
            Some(subject) if self.function.form.subject() == Some(name) => Some(subject),
            _ => self.kwargs.get::<&Value>(name).ok().flatten(),
        };
        given.filter(|value| !value.is_undefined())
    }

    /// Returns the argument.
    pub(super) fn value(&self, name: &'static str) -> Result<&'a Value, Problem> {
        self.optional(name).ok_or_else(|| {
            let undefined = self.subject.is_some() || self.kwargs.iter().any(|(given, _)| given.as_str() == Some(name));
            let what = if undefined { "is undefined" } else { "is missing" };
            self.failure(format!("argument `{name}` {what}"))
        })
    }

    /// Returns the argument, a string.
    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, Problem> {
        let value = self.value(name)?;
        value.as_str().ok_or_else(|| {
            let failure = self.kind_failure(name, "text", value);
            if value.is_number() { failure.hint("`| str` makes text of a number") } else { failure }
        })
    }

    /// Returns the argument, a string, if it was given.
    pub(super) fn optional_text(&self, name: &'static str) -> Result<Option<&'a str>, Problem> {
        self.optional(name).map(|_| self.text(name)).transpose()
    }

    fn any_number(&self, name: &'static str) -> Result<tera::Number, Problem> {
        let value = self.value(name)?;
        value.as_number().ok_or_else(|| {
            let failure = self.kind_failure(name, "a number", value);
            if value.is_string() { failure.hint("`| int` makes a number of text") } else { failure }
        })
    }

    /// Returns the argument, a number.
    pub(super) fn number(&self, name: &'static str) -> Result<Operand, Problem> {
        Ok(match self.any_number(name)? {
            tera::Number::Integer(number) => Operand::Whole(number),
            other => Operand::Fraction(other.as_float()),
        })
    }

    /// Returns the argument, a whole number.
    pub(super) fn integer(&self, name: &'static str) -> Result<i128, Problem> {
        let not_whole = || self.failure(format!("argument `{name}` must be a whole number"));
        self.any_number(name)?.as_integer().ok_or_else(not_whole)
    }

    /// Returns the argument, a whole number, if it was given.
    pub(super) fn optional_integer(&self, name: &'static str) -> Result<Option<i128>, Problem> {
        self.optional(name).map(|_| self.integer(name)).transpose()
    }

    /// Returns the argument, true or false.
    pub(super) fn boolean(&self, name: &'static str) -> Result<bool, Problem> {
        let value = self.value(name)?;
        value.as_bool().ok_or_else(|| self.kind_failure(name, "true or false", value))
    }

    /// Returns the argument, a list.
    pub(super) fn list(&self, name: &'static str) -> Result<&'a [Value], Problem> {
        let value = self.value(name)?;
        value.as_array().ok_or_else(|| self.kind_failure(name, "a list", value))
    }

    /// Returns the argument, a map.
    pub(super) fn map(&self, name: &'static str) -> Result<&'a Map, Problem> {
        let value = self.value(name)?;
        value.as_map().ok_or_else(|| self.kind_failure(name, "a map", value))
    }

    fn kind_failure(&self, name: &str, wanted: &str, value: &Value) -> Problem {
        self.failure(format!("argument `{name}` must be {wanted}, not {}", kind(value)))
    }
}

/// Returns what a value is, in words.
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
