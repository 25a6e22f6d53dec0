//! Standard input, output and error. Never fails because a reader has gone away.

use std::io::{self, IsTerminal, StderrLock, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use crate::model::progress::{ERASE_LINE, ProgressPace};
use crate::model::text;

use super::clock;

/// Whether somebody at a terminal is shown the progress of work.
static SHOWS_PROGRESS: AtomicBool = AtomicBool::new(false);
/// Whether a line of progress stands there. Changed only while standard error is locked.
static HAS_PROGRESS: AtomicBool = AtomicBool::new(false);

/// Writes to standard output.
pub fn print(text: &str) {
    drop(clean_stderr());
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).ok();
}

/// Writes a file to standard output as it is; to a terminal as lines of text, none of which is a command to it.
pub fn print_file(bytes: &[u8]) {
    if is_terminal() {
        return print(&text::lines(&String::from_utf8_lossy(bytes)));
    }
    drop(clean_stderr());
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).ok();
}

/// Writes to standard error. Nothing in the text reaches a terminal as a command: others may have written parts of it.
pub fn print_error(text: &str) {
    clean_stderr().write_all(text::lines(text).as_bytes()).ok();
}

/// Lets work show its progress, if standard error is a terminal that can erase a line.
pub fn show_progress() {
    let can_erase = super::host::env("TERM").is_some_and(|term| !matches!(term.as_str(), "" | "dumb"));
    SHOWS_PROGRESS.store(can_erase && io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Returns standard error without a line of progress.
fn clean_stderr() -> StderrLock<'static> {
    let mut stderr = io::stderr().lock();
    if HAS_PROGRESS.swap(false, Ordering::Relaxed) {
        stderr.write_all(ERASE_LINE.as_bytes()).ok();
    }
    stderr
}

/// The progress of a piece of work, on one line of the terminal that goes when the work ends. Costs nothing if nobody is shown any.
#[derive(Debug)]
pub struct ProgressLine(Option<Mutex<ProgressPace>>);

impl ProgressLine {
    /// Returns the progress of work that begins now.
    pub fn start() -> ProgressLine {
        let is_shown = SHOWS_PROGRESS.load(Ordering::Relaxed);
        ProgressLine(is_shown.then(|| Mutex::new(ProgressPace::start(clock::now()))))
    }

    /// Shows how far the work is, if that is due. The line has no text of others in it.
    pub fn show(&self, line: impl FnOnce() -> String) {
        let Some(pace) = &self.0 else { return };
        if pace.lock().unwrap_or_else(PoisonError::into_inner).is_due(clock::now()) {
            let mut stderr = io::stderr().lock();
            stderr.write_all(format!("{ERASE_LINE}{}", line()).as_bytes()).ok();
            HAS_PROGRESS.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.0.is_some() {
            drop(clean_stderr());
        }
    }
}

/// The stream that log lines go to: standard error, one line for each call, whatever is in it.
#[derive(Clone, Copy, Debug)]
pub struct LogStream {
    /// Whether each line is an object of JSON.
    pub is_json: bool,
    /// Priority of the line as syslog counts it, from 0 to 7, if the journal reads it: sd-daemon(3).
    pub priority: Option<u8>,
}

/// Returns whether the journal of systemd reads standard error: systemd.exec(5), JOURNAL_STREAM.
pub fn logs_to_journal() -> bool {
    let Some(stream) = super::host::env("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return false };
    let found = std::fs::File::from(stderr).metadata();
    found.is_ok_and(|found| format!("{}:{}", found.dev(), found.ino()) == stream)
}

impl Write for LogStream {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut text = text::log_line(&String::from_utf8_lossy(line), self.is_json);
        if let Some(priority) = self.priority {
            text.insert_str(0, &format!("<{priority}>"));
        }
        clean_stderr().write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Waits until nobody reads the pipe that is standard output. A file always has its reader.
pub async fn reader_gone() {
    let watched = io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd_unchecked);
    match watched {
        Ok(watched) => drop(watched.ready(Interest::ERROR).await),
        Err(_) => std::future::pending().await,
    }
}

/// Returns whether standard output is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether standard input is a terminal, which sends signals of its own.
pub fn reads_from_terminal() -> bool {
    io::stdin().is_terminal()
}
