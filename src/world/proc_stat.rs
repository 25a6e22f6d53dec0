//! `/proc/PID/stat`: the kernel's data on one process. Only reads.

use std::fmt::Display;
use std::str::FromStr;

/// The fields of one process.
pub(super) struct ProcStat(String);

impl ProcStat {
    /// Reads the fields of a process id, or of `self`; `None` if there is no such process.
    pub(super) fn read(process: impl Display) -> Option<ProcStat> {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The command name may contain spaces and brackets: the other fields follow the last ')'.
        Some(ProcStat(text.rsplit_once(") ")?.1.to_owned()))
    }

    /// Returns the field with this number in proc(5), 3 or more.
    pub(super) fn field<T: FromStr>(&self, number: usize) -> Option<T> {
        self.0.split(' ').nth(number.checked_sub(3)?)?.trim_end().parse().ok()
    }
}
