//! The program and the files of the nginx in use, as data. Never looks for them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::process::Process;

/// The files by which an nginx's master is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NginxPlace {
    /// Its pid file.
    pub pid_file: PathBuf,
    /// Its program, as it is configured.
    pub binary: PathBuf,
    /// Its error log.
    pub error_log: PathBuf,
}

impl NginxPlace {
    /// Returns the pid file of a master whose program is being replaced (SIGUSR2).
    pub fn old_pid_file(&self) -> PathBuf {
        old_pid_file(&self.pid_file)
    }

    /// Returns whether both find the same nginx: there is one master for each pid file, whatever else is said of it.
    pub fn is_same(&self, other: &NginxPlace) -> bool {
        self.pid_file == other.pid_file
    }
}

/// A running nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NginxProcesses {
    /// Its master.
    pub master: Process,
    /// All children of the master.
    pub children: BTreeSet<Process>,
    /// Number of those that are workers and are not leaving.
    pub serving: usize,
}

/// Returns the pid file of a master whose program is being replaced (SIGUSR2), if that of the new one is this.
pub fn old_pid_file(pid_file: &Path) -> PathBuf {
    let mut path = pid_file.as_os_str().to_owned();
    path.push(".oldbin");
    path.into()
}

/// The settings of `[nginx]`; nginx itself is asked for those that are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NginxSettings {
    /// The program: a path, or a name to look up in `$PATH`; empty for `nginx`.
    pub binary: PathBuf,
    /// Its main configuration file.
    pub conf: Option<PathBuf>,
    /// Its pid file.
    pub pid_file: Option<PathBuf>,
    /// Its error log.
    pub error_log: Option<PathBuf>,
}
