//! A process of this machine, as something that can be compared later, and what one uses.

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

/// What a process uses; `None` for what is not known, or has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time, user and system, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Open file descriptors.
    pub open_files: Option<f64>,
    /// How many there may be.
    pub most_open_files: Option<f64>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<f64>,
    /// Address space in use, in bytes.
    pub virtual_bytes: Option<f64>,
    /// How much of it there may be, in bytes.
    pub most_virtual_bytes: Option<f64>,
    /// When it started, in seconds since 1970.
    pub started_at_unix_seconds: Option<f64>,
}
