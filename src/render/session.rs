//! The state of one render that the functions of both engines share: the keys it sees, the facts, what it has found.

use std::sync::Arc;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::budget::Budget;
use super::deadline::Deadline;
use super::facts::Facts;
use super::rendering::{FoundBackends, Rendering};
use super::window::{Reads, Window};
use crate::model::endpoints::ServersForm;
use crate::model::generation;
use crate::model::key::MAX_KEY_BYTES;
use crate::model::problem::Problem;
use crate::model::text;
use crate::model::view::View;
use crate::nginx::installation::Version;

/// One running render.
pub(super) struct RenderSession {
    pub(super) view: Window,
    facts: Arc<dyn Facts>,
    /// What the render has used.
    pub(super) budget: Budget,
    /// Values for templates if there is no store: a missing key is then an empty text.
    pub(super) mock: Option<Arc<Json>>,
    /// Whether there are no backends for the template, whatever the store has.
    pub(super) withholds_backends: bool,
    /// How `servers` prints.
    pub(super) servers: ServersForm,
    /// Backends found so far.
    pub(super) found: FoundBackends,
    /// Whether the placeholder of the file's generation was printed.
    pub(super) prints_generation: bool,
}

impl RenderSession {
    pub(super) fn new(view: View, facts: Arc<dyn Facts>) -> RenderSession {
        let budget = Budget::new(Deadline::new(&facts));
        RenderSession {
            view: Window::new(view),
            facts,
            budget,
            mock: None,
            withholds_backends: false,
            servers: ServersForm::Lines,
            found: FoundBackends::default(),
            prints_generation: false,
        }
    }

    /// Returns a new session over the same store and world, with the same deadline.
    pub(super) fn again(&self) -> RenderSession {
        let session = RenderSession::new(self.view.view().clone(), Arc::clone(&self.facts));
        let budget = Budget::new(self.budget.deadline.clone());
        RenderSession {
            mock: self.mock.clone(),
            withholds_backends: self.withholds_backends,
            servers: self.servers.clone(),
            budget,
            ..session
        }
    }

    /// Ends the render: puts the file's own generation in the place of its placeholder, and returns what was found.
    pub(super) fn finish(mut self, mut result: Result<Vec<u8>, Problem>) -> Rendering {
        if let Ok(bytes) = &mut result
            && self.prints_generation
            && self.mock.is_none()
        {
            let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            generation::stamp(bytes, hash);
        }
        let reads = if result.is_ok() { self.view.into_reads() } else { Reads::everything() };
        Rendering {
            result,
            tally: self.found.tally(),
            endpoints: self.found.take_endpoints(),
            listed: self.found.listed,
            skipped: self.found.skipped,
            reads,
        }
    }

    /// Returns the world, whose answers may differ the next time.
    pub(super) fn world(&self) -> &dyn Facts {
        self.view.leave();
        &*self.facts
    }

    /// Returns an environment variable of this process, which stays as it is.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        self.facts.env(name)
    }

    /// Returns the version of the nginx that is installed. A new one is rare, and is noticed with the next full pass.
    pub(super) fn nginx_version(&self) -> Option<Version> {
        self.facts.nginx_version(None)
    }

    /// Returns the texts that this render may have from the store, by key.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let reads = self.view.reads();
        let texts = self.view.iter().filter_map(|(path, value)| Some((path, value.as_text()?)));
        texts.filter(move |(path, _)| reads.include(path))
    }

    /// Returns the value that a path was made with, if it was: a value must not be shown as a part of a path. Also finds a value that
    /// was escaped or changed its case on the way, by a long word of it. Ends with the time of the render. Not for a path that
    /// [`is_too_long`].
    pub(super) fn part_of(&self, path: &str) -> Option<PathPart<'_>> {
        const MIN_DISTINCT_BYTES: usize = 8;
        const MIN_DISTINCT_WORD_BYTES: usize = 12;
        let lower = path.to_lowercase();
        let deadline = &self.budget.deadline;
        let has = |value: &str| path.split('/').any(|part| part == value) || path == value;
        for (key, value) in self.texts().filter(|(_, value)| !value.is_empty()) {
            if has(value) || (value.len() >= MIN_DISTINCT_BYTES && path.contains(value)) {
                return Some(PathPart::ValueOf(key));
            }
            let words = value.split(|c: char| !c.is_alphanumeric());
            let words = words.filter(|word| word.len() >= MIN_DISTINCT_WORD_BYTES);
            for word in words.take_while(|_| !deadline.has_passed()) {
                if lower.contains(&word.to_lowercase()) {
                    return Some(PathPart::ValueOf(key));
                }
            }
            if deadline.has_passed() {
                return Some(PathPart::Unknown);
            }
        }
        None
    }

    /// Returns the origin of a text, in words: the value of a key, if one has it.
    pub(super) fn key_of(&self, text: &str) -> Option<String> {
        let mut keys = self.texts().filter(|(_, value)| *value == text).map(|(path, _)| path);
        Some(match (keys.next()?, keys.count()) {
            (key, 0) => format!("the value of key `{}`", shown(key)),
            (key, others) => format!("the value of key `{}` (and of {others} more)", shown(key)),
        })
    }

    /// Returns a phrase about a text without quoting it: names the key that it came from, if one has it.
    pub(super) fn about(&self, text: &str, what: impl std::fmt::Display) -> String {
        format!("{} {what}", self.key_of(text).as_deref().unwrap_or("the text"))
    }
}

/// The value that a path was made with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PathPart<'s> {
    /// The one of this key.
    ValueOf(&'s str),
    /// None or any: there was no time to find out.
    Unknown,
}

/// Checks whether a path is longer than any key: looking for every value in it could take longer than a render may.
pub(super) fn is_too_long(path: &str) -> bool {
    path.len() > MAX_KEY_BYTES
}

/// Returns a key as it may be shown in a message: on one line, and not endless.
pub(super) fn shown(key: &str) -> String {
    text::one_line(key, 256, char::REPLACEMENT_CHARACTER)
}
