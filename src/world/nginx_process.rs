//! Finds the nginx master that a pid file names, and makes sure that it is one. Never signals anything.

use std::path::Path;

/// The pid of a live nginx master, as the pid file names it; `None` where nothing runs that could be reloaded:
/// no pid file, an empty one, a dead or zombie process, or another program that got the number since.
pub fn master(pid_file: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(pid_file).ok()?;
    let pid: i32 = text.trim().parse().ok().filter(|pid| *pid > 0)?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold spaces and brackets: the state follows the last ')'.
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    if matches!(state, 'Z' | 'X') {
        return None;
    }
    let title = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    title.starts_with(b"nginx: master process").then_some(pid)
}

/// The file's text, where it can be read: nginx's main configuration, to find its `pid` directive.
pub fn configuration(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
