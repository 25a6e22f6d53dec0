//! Standard input, output and error. Never fails because a reader has gone away.

use std::io::{self, IsTerminal, Write};

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

/// Writes to standard error.
pub fn print_error(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Returns the stream that log lines go to.
pub fn log_stream() -> io::Stderr {
    io::stderr()
}

/// Returns whether standard output is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether standard input is a terminal, which sends signals of its own.
pub fn reads_from_terminal() -> bool {
    io::stdin().is_terminal()
}
