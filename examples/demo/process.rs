//! Child processes with a log file each, stopped by pid when dropped, and the roster of those that must be alive.
//! Never signals a process that it did not start.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Failure;

const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// The processes that are meant to run, by pid.
#[derive(Clone, Default)]
pub struct Roster(Rc<RefCell<BTreeMap<u32, (String, PathBuf)>>>);

impl Roster {
    /// Resolves when one of the processes has ended by itself, with a text that says which.
    pub async fn first_death(&self) -> String {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let members = self.0.borrow();
            if let Some((name, log)) = members.iter().find(|(pid, _)| has_ended(**pid)).map(|(_, member)| member) {
                return format!("{name} has ended by itself; the end of {}:\n{}", log.display(), tail(log));
            }
        }
    }

    /// From now on only these may not end: what else runs is the person's to play with.
    pub fn keep(&self, names: &[&str]) {
        self.0.borrow_mut().retain(|_, (name, _)| names.contains(&name.as_str()));
    }

    /// Counts a process in that somebody else stops.
    pub fn add(&self, pid: u32, name: &str, log: &Path) {
        self.0.borrow_mut().insert(pid, (name.to_owned(), log.to_owned()));
    }
}

/// A running child process.
pub struct Process {
    child: Child,
    name: String,
    roster: Roster,
    pub log: PathBuf,
}

impl Process {
    /// Starts `command`; stdout and stderr go to `NAME.log` in `log_folder`.
    ///
    /// # Errors
    /// The program or its log cannot be opened.
    pub fn start(name: &str, command: &mut Command, log_folder: &Path, roster: &Roster) -> Result<Process, Failure> {
        let log = log_folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // A process group of its own: Ctrl-C on the terminal reaches only the demo, which then stops all in order.
        command.process_group(0);
        let child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        roster.add(child.id(), name, &log);
        Ok(Process { child, name: name.to_owned(), roster: roster.clone(), log })
    }

    /// Returns the output of the process so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns whether the process is gone.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Process {
    /// SIGTERM, then after ten seconds SIGKILL.
    fn drop(&mut self) {
        self.roster.0.borrow_mut().remove(&self.child.id());
        if let (false, Ok(pid)) = (self.has_ended(), i32::try_from(self.child.id())) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() > STOP_DEADLINE {
                eprintln!("{} did not stop within {STOP_DEADLINE:?} of SIGTERM and is killed", self.name);
                self.child.kill().ok();
                self.child.wait().ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Our own children only: until they are waited for, an ended one is a zombie and its pid is not given away.
fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, after_name)| after_name.starts_with('Z'))
}
