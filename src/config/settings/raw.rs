//! What somebody gave for a setting, as text, and where it came from. Never judges a value.

use std::fmt;

use crate::model::problem::{Place, Problem};

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, by its name without dashes.
    Flag(&'static str),
    /// An environment variable.
    Environment(String),
    /// A settings file.
    File(Place),
    /// Nobody gave a value.
    Default,
}

impl Origin {
    /// Returns `problem` with the origin: as its place if that is in a file, in its message otherwise.
    pub(crate) fn blame(&self, problem: Problem) -> Problem {
        match self {
            Origin::File(place) => problem.at(place.clone()),
            Origin::Default => problem,
            _ => Problem { message: format!("{} ({self})", problem.message), ..problem },
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(f, "from flag --{name}"),
            Origin::Environment(name) => write!(f, "from environment {name}"),
            Origin::File(place) => place.fmt(f),
            Origin::Default => f.write_str("by default"),
        }
    }
}

/// The raw value of a setting. No `Debug`: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    /// Values: one, or any number for a list; empty if there is no default.
    pub values: Vec<String>,
    /// Origin of the values.
    pub origin: Origin,
}
