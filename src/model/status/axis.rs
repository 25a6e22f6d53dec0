//! The answers to the two questions of the status. Plain data. Pure.

use serde::{Deserialize, Serialize};

use super::UnixTime;

/// The answer to one of the two questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// Yes or no; null if the answer is neither.
    pub ok: Option<bool>,
    /// The same as a word, which says why it is neither.
    pub answer: AxisAnswer,
    /// The answer in a few words: `in sync at revision 42`, `1 held, 1 reload owed`.
    pub summary: String,
    /// Start of the oldest condition that makes it no.
    pub since: Option<UnixTime>,
}

/// An answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AxisAnswer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Not yet known: conf.d has not been read, or some group has not had its first pass.
    #[default]
    Starting,
    /// conf.d has no resource.
    NothingToSync,
    /// No resource reloads an nginx.
    NotAsked,
}

impl Axis {
    /// Returns the axis with this answer. `since`: start of the oldest condition that makes it no.
    pub fn new(answer: AxisAnswer, summary: impl Into<String>, since: Option<UnixTime>) -> Axis {
        let ok = match answer {
            AxisAnswer::Yes => Some(true),
            AxisAnswer::No => Some(false),
            AxisAnswer::Starting | AxisAnswer::NothingToSync | AxisAnswer::NotAsked => None,
        };
        Axis { ok, answer, summary: summary.into(), since }
    }
}

impl AxisAnswer {
    /// Returns it for people.
    pub fn word(self) -> &'static str {
        match self {
            AxisAnswer::Yes => "yes",
            AxisAnswer::No => "no",
            AxisAnswer::Starting => "starting",
            AxisAnswer::NothingToSync => "nothing to sync",
            AxisAnswer::NotAsked => "no nginx",
        }
    }
}
