//! The lower bound of this machine: a plain write, fsync and rename.

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

/// Median time of creating and writing so many files, syncing them all at once, renaming each and syncing their folder.
pub(crate) fn many_files(folder: &Path, files: usize, bytes: &[u8]) -> Duration {
    let mut times: Vec<Duration> = (0..7)
        .map(|_| {
            let folder = folder.join("floor-files");
            fs::create_dir(&folder).unwrap();
            let started = Instant::now();
            for n in 0..files {
                fs::write(folder.join(format!(".stage-{n}")), bytes).unwrap();
            }
            let handle = File::open(&folder).unwrap();
            nix::unistd::syncfs(&handle).unwrap();
            for n in 0..files {
                fs::rename(folder.join(format!(".stage-{n}")), folder.join(n.to_string())).unwrap();
            }
            handle.sync_all().unwrap();
            let time = started.elapsed();
            fs::remove_dir_all(&folder).unwrap();
            time
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
