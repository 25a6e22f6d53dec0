//! A running nginx from outside: its master, the master's children, the end of its error log, and the reload signal. Never
//! sends a different signal, and never to a process that is not known to be an nginx master at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::model::process::Process;
use crate::nginx::process::{self, NginxChild, Role};
use crate::world::fs::read_regular;
use crate::world::host::find_program;
use crate::world::proc_stat::ProcStat;

/// Longest pid file that is read: a number and the end of its line.
const MAX_PID_FILE_BYTES: u64 = 64;
/// Longest file of a configuration that is read.
const MAX_CONFIGURATION_BYTES: u64 = 64 * 1024 * 1024;

/// Returns the live nginx master that the pid file names; `None` if nothing runs that could be reloaded: no pid file, an
/// empty one, a dead or zombie process, or a different program that reuses the number. `binary` is the configured program,
/// which may have a custom name.
pub fn master(pid_file: &Path, binary: &Path) -> Option<Process> {
    let text = text_of(pid_file, MAX_PID_FILE_BYTES)?;
    let pid: i32 = text.trim().parse().ok().filter(|pid| *pid > 0)?;
    is_master(pid, binary).then(|| stat(pid).map(|stat| stat.process)).flatten()
}

/// Checks the title of the process and the program that it runs. The latter needs permissions that a container without
/// capabilities lacks; there the title must do.
fn is_master(pid: i32, binary: &Path) -> bool {
    if !process::is_master(&title(pid)) {
        return false;
    }
    let Ok(program) = fs::read_link(format!("/proc/{pid}/exe")) else { return true };
    // The configured name may be a link to a program with a different name.
    let is_linked =
        || find_program(binary).and_then(|path| path.canonicalize().ok()).is_some_and(|path| path == program);
    process::is_nginx(&program, binary) || is_linked()
}

fn title(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// Returns the arguments that a master was started with.
pub fn arguments(master: Process) -> String {
    process::arguments_of_master(&title(master.pid))
}

/// Returns whether this very process is still alive.
pub fn is_alive(process: Process) -> bool {
    stat(process.pid).is_some_and(|stat| stat.process == process)
}

/// Returns the children of a live master; `None` if it is dead.
pub fn children(master: Process) -> Option<Vec<NginxChild>> {
    if !is_alive(master) {
        return None;
    }
    let child = |pid: i32| {
        let stat = stat(pid).filter(|stat| stat.parent == master.pid)?;
        Some(NginxChild { process: stat.process, role: process::role_of(&title(pid)) })
    };
    let listed = fs::read_to_string(format!("/proc/{0}/task/{0}/children", master.pid));
    Some(match listed {
        Ok(pids) => pids.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(child).collect(),
        // The kernel lacks CONFIG_PROC_CHILDREN.
        Err(_) => all_pids().filter_map(child).collect(),
    })
}

/// Returns the user ids that the workers of a live master act as; its own if it has none, as with `master_process off`.
pub fn users(master: Process) -> BTreeSet<u32> {
    let children = children(master).unwrap_or_default();
    let workers = children.into_iter().filter(|child| matches!(child.role, Role::Worker | Role::Leaving));
    let users: BTreeSet<u32> = workers.filter_map(|child| user(child.process.pid)).collect();
    if users.is_empty() { user(master.pid).into_iter().collect() } else { users }
}

/// Returns the effective user id of a process.
fn user(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Returns the number of open sockets of a process; `None` if they cannot be seen.
pub fn sockets(pid: i32) -> Option<usize> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let is_socket = |entry: &fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str().as_encoded_bytes().starts_with(b"socket:"))
    };
    Some(entries.flatten().filter(is_socket).count())
}

fn all_pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

struct Stat {
    process: Process,
    parent: i32,
}

/// Reads the kernel's data on a process that is neither dead nor a zombie.
fn stat(pid: i32) -> Option<Stat> {
    let stat = ProcStat::read(pid)?;
    let is_dead = matches!(stat.field(3)?, 'Z' | 'X');
    let process = Process { pid, start_time: stat.field(22)? };
    Some(Stat { process, parent: stat.field(4)? }).filter(|_| !is_dead)
}

/// Asks the master to read its configuration again. Holds the process by a descriptor while it is checked, so that the
/// signal cannot reach a different process that reuses its number.
///
/// # Errors
/// The process is no longer that master, or the kernel refuses the signal.
pub fn reload(master: Process, binary: &Path) -> io::Result<()> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, "it is no longer an nginx master");
    let pid = Pid::from_raw(master.pid).ok_or_else(gone)?;
    let held = pidfd_open(pid, PidfdFlags::empty())?;
    if !is_alive(master) || !is_master(master.pid, binary) {
        return Err(gone());
    }
    pidfd_send_signal(held, Signal::HUP)?;
    Ok(())
}

/// Reads a file of nginx's configuration, to find its directives; `None` if it cannot be read.
pub fn configuration(path: &Path) -> Option<String> {
    text_of(path, MAX_CONFIGURATION_BYTES)
}

/// Returns the text of a file that others may have put there; `None` if it is no regular file, or longer.
fn text_of(path: &Path, max_bytes: u64) -> Option<String> {
    String::from_utf8(read_regular(path, max_bytes).ok()?).ok()
}

/// Returns whether this path leads a process to the same file as us, if that can be seen: it may be in another container.
pub fn sees_our(process: Process, path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let root = PathBuf::from(format!("/proc/{}/root", process.pid));
    let theirs = path.strip_prefix("/").ok().and_then(|path| identity(&root.join(path)));
    theirs.is_none_or(|theirs| Some(theirs) == identity(path))
}

/// Returns the number of processors that are online, at least 1.
pub fn processors_online() -> usize {
    let count = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    count.and_then(|count| usize::try_from(count).ok()).unwrap_or(1).max(1)
}

/// Maximum number of bytes of a log that are read at once; older ones are ignored.
const MAX_AT_ONCE_BYTES: u64 = 1024 * 1024;

/// Longest start of a line that is kept until the line is complete, in bytes: nginx writes no line that long.
const MAX_REST_BYTES: usize = 64 * 1024;

/// A reader of the lines that are added to a master's error logs from now on.
#[derive(Debug, Default)]
pub struct LogTail {
    /// Open logs by device and inode, so that one file with two names is read once.
    open: BTreeMap<(u64, u64), Open>,
    /// Logs that did not exist yet.
    missing: Vec<PathBuf>,
}

#[derive(Debug)]
struct Open {
    file: File,
    offset: u64,
    /// Start of a line that is not complete yet.
    rest: Vec<u8>,
}

impl LogTail {
    /// Starts at the present end of the log at `path` and of the log that the master writes to now.
    pub fn from_now(master: Process, path: Option<&Path>) -> LogTail {
        let mut tail = LogTail::default();
        // nginx makes the main error log its standard error. Opened through /proc it is the same file even after rotation.
        let held = PathBuf::from(format!("/proc/{}/fd/2", master.pid));
        for path in [Some(held.as_path()), path].into_iter().flatten() {
            if fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
                tail.open(path, true);
            } else if path != held {
                tail.missing.push(path.to_owned());
            }
        }
        tail
    }

    fn open(&mut self, path: &Path, at_end: bool) {
        // It may have become a pipe a moment ago.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let Ok(file) = File::options().read(true).custom_flags(flags.bits()).open(path) else { return };
        let Ok(metadata) = file.metadata() else { return };
        if metadata.is_file() {
            let offset = if at_end { metadata.len() } else { 0 };
            self.open.entry((metadata.dev(), metadata.ino())).or_insert(Open { file, offset, rest: Vec::new() });
        }
    }

    /// Returns the complete lines added since the last call. From now on reads the logs that are in their places now: another process
    /// rotates them.
    pub fn lines_after_rotation(&mut self, master: Process, path: &Path) -> Vec<String> {
        let lines = self.new_lines();
        let held = PathBuf::from(format!("/proc/{}/fd/2", master.pid));
        let mut present = BTreeSet::new();
        for path in [held.as_path(), path] {
            let Some(found) = fs::metadata(path).ok().filter(Metadata::is_file) else { continue };
            present.insert((found.dev(), found.ino()));
            if !self.open.contains_key(&(found.dev(), found.ino())) {
                self.open(path, false);
            }
        }
        self.open.retain(|file, _| present.contains(file));
        lines
    }

    /// Returns the complete lines added since the last call. Ignores a log that cannot be read.
    pub fn new_lines(&mut self) -> Vec<String> {
        for path in std::mem::take(&mut self.missing) {
            if path.is_file() { self.open(&path, false) } else { self.missing.push(path) }
        }
        let mut lines = Vec::new();
        for open in self.open.values_mut() {
            open.read_lines(&mut lines).ok();
        }
        lines
    }
}

impl Open {
    fn read_lines(&mut self, lines: &mut Vec<String>) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length < self.offset {
            // The log was truncated by a rotation that copies.
            self.offset = 0;
            self.rest.clear();
        }
        if length - self.offset > MAX_AT_ONCE_BYTES {
            self.offset = length - MAX_AT_ONCE_BYTES;
            self.rest.clear();
        }
        self.file.seek(SeekFrom::Start(self.offset))?;
        let read = (&self.file).take(length - self.offset).read_to_end(&mut self.rest)?;
        self.offset += u64::try_from(read).unwrap_or(0);
        if let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.rest.split_off(end + 1);
            let whole = std::mem::replace(&mut self.rest, rest);
            lines.extend(String::from_utf8_lossy(&whole).lines().map(str::to_owned));
        }
        if self.rest.len() > MAX_REST_BYTES {
            self.rest = Vec::new();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_pid_file_that_is_a_pipe_or_huge_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(master(&path, Path::new("nginx")), None);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n".repeat(100)).unwrap();
        assert_eq!((master(&path, Path::new("nginx")), text_of(&path, 200).map(|text| text.len())), (None, Some(200)));
        assert_eq!(text_of(&path, 199), None);
    }

    #[test]
    fn this_process_is_alive_and_no_master() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let this = stat(pid).unwrap().process;
        assert!(is_alive(this));
        assert!(!is_alive(Process { start_time: this.start_time + 1, ..this }));
        let error = reload(this, Path::new("nginx")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_new_whole_lines_are_returned() {
        let dir = tempfile::tempdir().unwrap();
        let (path, late) = (dir.path().join("error.log"), dir.path().join("late.log"));
        fs::write(&path, "old\n").unwrap();
        let nobody = Process { pid: 0, start_time: 0 };
        let mut tail = LogTail::from_now(nobody, Some(&path));
        let mut log = fs::OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(tail.new_lines(), [""; 0]);
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.new_lines(), ["one"]);
        log.write_all(b"o\n").unwrap();
        assert_eq!(tail.new_lines(), ["two"]);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(tail.new_lines(), ["new"], "truncated by a rotation");
        let mut tail = LogTail::from_now(nobody, Some(&late));
        fs::write(&late, "first\n").unwrap();
        assert_eq!(tail.new_lines(), ["first"], "a log that did not exist");
        let mut written = fs::OpenOptions::new().append(true).open(&late).unwrap();
        fs::rename(&late, dir.path().join("late.log.1")).unwrap();
        written.write_all(b"last\n").unwrap();
        fs::write(&late, "second\n").unwrap();
        assert_eq!(tail.lines_after_rotation(nobody, &late), ["last"], "what was added before the rotation");
        assert_eq!(tail.lines_after_rotation(nobody, &late), ["second"], "the new one from its beginning");
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("error.log");
        fs::write(&path, "").unwrap();
        let mut tail = LogTail::from_now(Process { pid: 0, start_time: 0 }, Some(&path));
        let mut log = fs::OpenOptions::new().append(true).open(&path).unwrap();
        for _ in 0..3 {
            log.write_all(&[b'x'; 50_000]).unwrap();
            assert_eq!(tail.new_lines(), [""; 0]);
            assert!(tail.open.values().all(|open| open.rest.len() <= 64 * 1024));
        }
        log.write_all(b"\nnext\n").unwrap();
        assert_eq!(tail.new_lines().last().unwrap(), "next");
    }

    #[test]
    fn a_pipe_where_a_log_was_missing_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("error.log");
        let mut tail = LogTail::from_now(Process { pid: 0, start_time: 0 }, Some(&path));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(tail.new_lines(), [""; 0]);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "first\n").unwrap();
        assert_eq!(tail.new_lines(), ["first"]);
    }
}
