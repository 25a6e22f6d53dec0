//! Standard input, output and error. Never fails because a reader has gone away.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use crate::model::text;

/// Writes to standard output.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).ok();
}

/// Writes bytes to standard output as they are.
pub fn print_bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).ok();
}

/// Writes to standard error. Nothing in the text reaches a terminal as a command: others may have written parts of it.
pub fn print_error(text: &str) {
    io::stderr().lock().write_all(text::lines(text).as_bytes()).ok();
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
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
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
