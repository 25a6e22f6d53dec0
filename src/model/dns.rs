//! Records of name servers, as data. Never asks one.

/// One SRV record. Sorted by target, then port, priority and weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Srv {
    /// Host name of the server, as the record has it, with a trailing dot.
    pub target: String,
    /// Port on that host.
    pub port: u16,
    /// Priority; the lowest is preferred.
    pub priority: u16,
    /// Share of this record among records of equal priority.
    pub weight: u16,
}
