//! Which nginx is meant, as data. Never looks for one.

use std::path::PathBuf;

/// The settings of `[nginx]`; what is `None` is asked of nginx itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NginxSettings {
    /// The program: a path, or a name to look up in `$PATH`; empty for `nginx`.
    pub binary: PathBuf,
    /// Its main file.
    pub conf: Option<PathBuf>,
    /// Its pid file.
    pub pid_file: Option<PathBuf>,
    /// Its error log.
    pub error_log: Option<PathBuf>,
}
