//! The output of a render: bytes, up to a limit.

use std::io::{self, Write};

use super::deadline::Deadline;

/// Largest output of one render, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// Bytes that are written between two looks at the clock; each write counts as some more.
const BYTES_PER_LOOK: usize = 8 << 10;
const BYTES_PER_WRITE: usize = 16;

/// The bytes written so far.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// Whether a write was refused because the output would be too large.
    pub(super) is_full: bool,
    /// Whether a write was refused because the time is over.
    pub(super) is_late: bool,
    deadline: Deadline,
    /// Bytes since the last look at the clock.
    unwatched: usize,
}

impl Output {
    /// Returns an empty output with room for the size of the last one, and an eighth more.
    pub(super) fn like(last_bytes: usize, deadline: Deadline) -> Output {
        let bytes = Vec::with_capacity(last_bytes + last_bytes / 8);
        Output { bytes, is_full: false, is_late: false, deadline, unwatched: 0 }
    }

    #[cold]
    fn is_over(&mut self) -> bool {
        self.unwatched = 0;
        self.deadline.left().is_some_and(|left| left.is_zero())
    }
}

impl Write for Output {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.write_all(piece).map(|()| piece.len())
    }

    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.bytes.len() + piece.len() > MAX_OUTPUT_BYTES {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.unwatched += piece.len() + BYTES_PER_WRITE;
        if self.unwatched >= BYTES_PER_LOOK && self.is_over() {
            self.is_late = true;
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
