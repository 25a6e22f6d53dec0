//! Names in a file of conf.d that refer to something outside it: a template, users and groups. A broken file gives them too,
//! as far as it can be parsed, so that their problems are reported together with those of the file. Never looks them up.

use std::sync::Arc;

use crate::model::problem::{Place, Problem};
use crate::model::resource::{Engine, Escape};

/// The names in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// `src`, if it can be read.
    pub src: Option<NamedTemplate>,
    /// `owner` and `group`, if they are names and in effect.
    pub accounts: Vec<Account>,
}

/// A template that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTemplate {
    /// Name below the templates folder.
    pub name: Arc<str>,
    /// Engine and escaping; `None` if they cannot be read.
    pub language: Option<(Engine, Escape)>,
    /// Place of the name in the file.
    pub place: Place,
}

/// The name of a user or group on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User or group.
    pub kind: AccountKind,
    /// The name.
    pub name: String,
    /// Place of the name in the file.
    pub place: Place,
}

/// The kind of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// `owner`.
    User,
    /// `group`.
    Group,
}

/// The result of reading one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The resource; `None` if there is a problem.
    pub(crate) placed: Option<super::PlacedResource>,
    /// The names in the file, broken or not.
    pub outline: Outline,
    /// All problems of the file, in order.
    pub problems: Vec<Problem>,
}
