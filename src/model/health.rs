//! How a store answers when it is asked how it is.

use std::collections::BTreeMap;
use std::time::Duration;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// It answers, and says that it works.
    pub healthy: bool,
    /// For people.
    pub message: String,
    /// How long the question took.
    pub elapsed: Duration,
    /// What it says of itself, by name. Never a value of the store, never a password.
    pub details: BTreeMap<&'static str, String>,
}
