//! The texts of all templates, and the roots that resources name. Data only.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::resource::{Engine, Escape};

/// The texts of all templates, by their path below the templates folder.
pub type TemplateSources = BTreeMap<String, Arc<str>>;

/// A template that a resource renders, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root<'a> {
    /// Path below the templates folder.
    pub name: &'a str,
    /// Language of the template.
    pub engine: Engine,
    /// Restriction on the values that it may print.
    pub escape: Escape,
}

impl<'a> Root<'a> {
    /// Returns a Tera template.
    pub fn tera(name: &'a str, escape: Escape) -> Root<'a> {
        Root { name, engine: Engine::Tera, escape }
    }

    /// Returns a Go template.
    pub fn go(name: &'a str, escape: Escape) -> Root<'a> {
        Root { name, engine: Engine::Go, escape }
    }
}
