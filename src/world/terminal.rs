//! Standard input, output and error. Never fails because a reader has gone away.

use std::io::{self, IsTerminal, Write};

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
}

impl Write for LogStream {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = text::log_line(&String::from_utf8_lossy(line), self.is_json);
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
