//! The result of a health check of a store. Data only; never asks one.

use std::collections::BTreeMap;
use std::time::Duration;

/// Result of one health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the store answers and reports that it works.
    pub healthy: bool,
    /// Message for people.
    pub message: String,
    /// Time that the check took.
    pub elapsed: Duration,
    /// Details by name. Never a value of the store, never a password.
    pub details: BTreeMap<&'static str, String>,
}
