//! The identity of a process of this machine, and its use of resources. Data only.

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Start time, in clock ticks since boot.
    pub start_time: u64,
}

/// Resource usage of a process; `None` for values that are unknown or unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time, user and system, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Open file descriptors.
    pub open_files: Option<f64>,
    /// Limit of open file descriptors.
    pub most_open_files: Option<f64>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<f64>,
    /// Address space in use, in bytes.
    pub virtual_bytes: Option<f64>,
    /// Limit of the address space, in bytes.
    pub most_virtual_bytes: Option<f64>,
    /// Start time, in seconds since 1970.
    pub started_at_unix_seconds: Option<f64>,
}
