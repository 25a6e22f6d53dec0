//! The explanation of one key, backend, file or resource: its way from the store to nginx, step by step. Plain data. Pure.

use serde::{Deserialize, Serialize};

use super::Condition;

/// The way of something from the store to nginx, and what stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked for.
    pub of: String,
    /// Whether the agent knows it.
    pub is_known: bool,
    /// The steps of the way, the first at the store.
    pub steps: Vec<ExplainedStep>,
    /// What stands in the way.
    pub conditions: Vec<Condition>,
}

impl Explanation {
    /// Returns whether a store does not have the key.
    pub fn lacks_key(&self) -> bool {
        self.steps.iter().any(|step| step.step == "store" && step.ok == Some(false))
    }
}

/// One step of the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedStep {
    /// The step: `store`, `resource`, `backend`, `file`, `change`, `nginx`.
    pub step: String,
    /// Whether it went well; `None` if that is no question.
    pub ok: Option<bool>,
    /// What is known of it, as a sentence.
    pub text: String,
}

/// The content of the stores under a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// A line for each store that some resource reads this key of: its name, the revision read, and the length of the value in bytes
    /// if it has the key.
    pub stores: Vec<(String, i64, Option<usize>)>,
    /// Names of the resources that see the key.
    pub readers: Vec<String>,
    /// Why the first of them that skips the key does so.
    pub skipped: Option<String>,
    /// Whether one of them is being rendered, so that nobody can say whether it skips the key.
    pub is_rendering: bool,
}
