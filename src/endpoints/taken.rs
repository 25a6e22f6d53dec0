//! What nginx has taken of all answers, at one moment. Serials count the changes of answers, so that a change waits for no later one.
//! Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The answers that nginx has taken.
#[derive(Clone, Debug, Default)]
pub struct TakenAnswers {
    /// Serial of the last change of any answer.
    serial: u64,
    /// The resources with an answer that nginx has not taken, each with the serial of the first one.
    first_untaken: BTreeMap<Arc<str>, u64>,
}

impl TakenAnswers {
    /// Returns those at this serial, with nothing that nginx has not taken.
    pub fn at(serial: u64) -> TakenAnswers {
        TakenAnswers { serial, first_untaken: BTreeMap::new() }
    }

    /// Adds an answer for a resource that nginx has not taken, with its serial.
    pub fn lack(&mut self, resource: &Arc<str>, serial: u64) {
        match self.first_untaken.get_mut(resource) {
            Some(first) => *first = serial.min(*first),
            None => drop(self.first_untaken.insert(Arc::clone(resource), serial)),
        }
    }

    /// Returns the serial that a change waits for if it has been published by now.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Returns whether nginx has taken all answers for a resource up to this serial, whatever has changed since.
    pub fn has(&self, resource: &str, serial: u64) -> bool {
        self.first_untaken.get(resource).is_none_or(|first| serial < *first)
    }
}
