//! Advisory file locks in the state folder. A lock never outlives its guard or the process.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    held: Flock<File>,
}

impl Lock {
    /// Takes the lock on `path`, which is created if missing. Returns `None` if a different process holds the lock.
    pub fn try_take(path: &Path) -> io::Result<Option<Lock>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Some(Lock { held })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Writes our pid to the file, for people who want to know the holder; no code reads it.
    pub fn sign(&mut self) -> io::Result<()> {
        self.held.set_len(0)?;
        writeln!(self.held, "{}", std::process::id())
    }

    /// Waits for the lock until `deadline`; returns `None` if it is still taken then.
    pub async fn take_before(path: &Path, deadline: Instant) -> io::Result<Option<Lock>> {
        let mut pause = Duration::from_millis(2);
        loop {
            if let Some(lock) = Lock::try_take(path)? {
                return Ok(Some(lock));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}
