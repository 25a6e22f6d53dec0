//! What nobody can beat on this machine: a plain write, fsync and rename.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Median time of writing, syncing and renaming these bytes in this folder.
pub(crate) fn write_sync_rename(folder: &Path, bytes: &[u8]) -> Duration {
    let (staged, dest) = (folder.join(".floor-stage"), folder.join("floor"));
    let mut times: Vec<Duration> = (0..31)
        .map(|_| {
            let started = Instant::now();
            let mut file = File::create(&staged).unwrap();
            file.write_all(bytes).unwrap();
            file.sync_all().unwrap();
            drop(file);
            fs::rename(&staged, &dest).unwrap();
            started.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
