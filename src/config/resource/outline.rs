//! What a file of conf.d names outside itself: a template, users and groups. It is known of a broken file too, as far as it
//! can be read, so that what is wrong with these is told beside what is wrong in the file.

use std::sync::Arc;

use crate::model::problem::{Place, Problem};
use crate::model::resource::{Engine, Escape};

/// The names in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// `src`, where it can be read.
    pub src: Option<NamedTemplate>,
    /// `owner` and `group`, as far as they are names that are used.
    pub accounts: Vec<Account>,
}

/// A template that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTemplate {
    /// Its name below the templates folder.
    pub name: Arc<str>,
    /// How it is to be compiled; `None` where that cannot be read.
    pub language: Option<(Engine, Escape)>,
    /// Where the file names it.
    pub place: Place,
}

/// The name of a user or group, to be looked up on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which of the two.
    pub kind: AccountKind,
    /// The name.
    pub name: String,
    /// Where it is written.
    pub place: Place,
}

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// `owner`.
    User,
    /// `group`.
    Group,
}

/// What came of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The resource; `None` where there is a problem.
    pub(crate) placed: Option<super::PlacedResource>,
    /// What the file names, broken or not.
    pub outline: Outline,
    /// Everything wrong in the file, in order.
    pub problems: Vec<Problem>,
}
