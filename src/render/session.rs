//! What the functions of one render share: the keys it sees, the facts, what the last render left behind.
//! Tera calls functions without a handle of ours, so the session of the running render lies in a thread's cell,
//! put there and taken away by `Session::run`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use crate::model::text;
use crate::model::view::View;
use crate::nginx::installation::Version;

use super::error::Failure;
use super::facts::Facts;
use super::memory::Memory;
use super::window::Window;

/// The state of one running render.
pub(super) struct Session {
    pub(super) view: Window,
    facts: Arc<dyn Facts>,
    pub(super) memory: Memory,
    /// There is no store: a key that is missing is an empty text, and this is what templates are given instead.
    pub(super) mock: Option<tera::Value>,
    /// The templates that live together with the one that is rendered: loops that are printed piece by piece.
    pub(super) templates: Option<Arc<tera::Tera>>,
    /// Patterns compiled by this render.
    pub(super) regexes: HashMap<String, Regex>,
    /// What the function that failed had to say.
    pub(super) failure: Option<Failure>,
    /// A text that may not be printed, and stopped the render.
    pub(super) refused: Option<String>,
}

thread_local! {
    static RUNNING: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// Empties the cell, also when a render unwinds.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        RUNNING.with(|running| running.take());
    }
}

impl Session {
    /// A session in which nothing was asked yet.
    pub(super) fn new(view: View, facts: Arc<dyn Facts>, memory: Memory) -> Session {
        Session {
            view: Window::new(view),
            facts,
            memory,
            mock: None,
            templates: None,
            regexes: HashMap::new(),
            failure: None,
            refused: None,
        }
    }

    /// The world, whose answers may differ the next time.
    pub(super) fn world(&self) -> &dyn Facts {
        self.view.leave();
        &*self.facts
    }

    /// The environment of this process, which stays as it is.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        self.facts.env(name)
    }

    /// The nginx that is installed. Another one comes seldom, and with the next full pass.
    pub(super) fn nginx_version(&self) -> Option<Version> {
        self.facts.nginx_version()
    }

    /// Another session over the same store and world, in which nothing was asked yet.
    pub(super) fn afresh(&self) -> Session {
        Session::new(self.view.view().clone(), Arc::clone(&self.facts), Memory::default())
    }

    /// Runs `render` with this session in reach of the functions, and gives the session back.
    pub(super) fn run<T>(self, render: impl FnOnce() -> T) -> (T, Option<Session>) {
        RUNNING.set(Some(self));
        let _ended = Ended;
        let result = render();
        (result, RUNNING.take())
    }

    /// The running render's session. Fails where none runs: then a function was called that had no business to be.
    pub(super) fn with<T>(work: impl FnOnce(&mut Session) -> Result<T, Failure>) -> Result<T, Failure> {
        RUNNING.with_borrow_mut(|running| match running {
            Some(session) => work(session).inspect_err(|failure| session.failure = Some(failure.clone())),
            None => Err(Failure::new("called outside of a render")),
        })
    }

    /// Notes the text that may not be printed.
    pub(super) fn refuse(text: &str) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(session) = running {
                session.refused = Some(text.to_owned());
            }
        });
    }

    /// The texts that this render may have from the store, by key.
    pub(super) fn asked(&self) -> impl Iterator<Item = (&str, &str)> {
        let reads = self.view.reads();
        let texts = self.view.iter().filter_map(|(path, value)| Some((path, value.as_text()?)));
        texts.filter(move |(path, _)| reads.have(path))
    }

    /// The key whose value a path was made with, if it was: a value must not be told as a part of a path. Also one that was
    /// escaped or changed its case on the way: a long word of it gives it away.
    pub(super) fn part_of(&self, path: &str) -> Option<&str> {
        const LEAST_TELLING_BYTES: usize = 8;
        const LEAST_TELLING_WORD_BYTES: usize = 12;
        let lower = path.to_lowercase();
        let has_word_of = |value: &str| {
            let words = value.split(|c: char| !c.is_alphanumeric());
            words.filter(|word| word.len() >= LEAST_TELLING_WORD_BYTES).any(|word| lower.contains(&word.to_lowercase()))
        };
        let has = |value: &str| path.split('/').any(|part| part == value) || path == value;
        let mut keys = self.asked().filter(|(_, value)| {
            let is_long = value.len() >= LEAST_TELLING_BYTES;
            !value.is_empty() && (has(value) || (is_long && path.contains(value)) || has_word_of(value))
        });
        keys.next().map(|(key, _)| key)
    }

    /// Where a text came from, for messages: the key that has it as its value, if one has.
    pub(super) fn origin(&self, text: &str) -> String {
        let mut keys = self.asked().filter(|(_, value)| *value == text).map(|(path, _)| path);
        match (keys.next(), keys.count()) {
            (Some(key), 0) => format!("the value of key `{}`", shown(key)),
            (Some(key), others) => format!("the value of key `{}` (and of {others} more)", shown(key)),
            (None, _) => "the text".to_owned(),
        }
    }
}

/// A key as it may stand in a message: on one line, and not endless.
pub(super) fn shown(key: &str) -> String {
    text::one_line(key, 256, char::REPLACEMENT_CHARACTER)
}
