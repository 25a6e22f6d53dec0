//! The folder of one run: `target/demo/run-PID`, with `target/demo/current` pointing at the newest.
//! Two demos at once have a folder each; folders of demos that are over are removed by the next one.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::Failure;

/// Held for as long as the demo runs: the lock says to other demos that the folder is in use.
pub struct Folder {
    pub path: PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    /// A fresh folder for this run.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create() -> Result<Folder, Failure> {
        let root = target_folder()?.join("demo");
        fs::create_dir_all(&root)?;
        remove_leftovers(&root)?;
        let name = format!("run-{}", std::process::id());
        let path = root.join(&name);
        fs::create_dir(&path)?;
        let lock = File::create(path.join("lock"))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?;
        let link = root.join(format!("current-{name}"));
        symlink(&name, &link)?;
        fs::rename(&link, root.join("current"))?;
        Ok(Folder { path, _lock: lock })
    }

    /// A folder of this folder, made when it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn sub(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

fn remove_leftovers(root: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(root)?.flatten() {
        let Ok(lock) = File::open(entry.path().join("lock")) else { continue };
        if entry.file_name().to_string_lossy().starts_with("run-")
            && Flock::lock(lock, FlockArg::LockExclusiveNonblock).is_ok()
        {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// `target/`, two folders above this program in `target/debug/examples/`.
fn target_folder() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(3).ok_or("the demo does not run from a target folder")?.to_owned())
}

/// A program built beside the demo.
///
/// # Errors
/// It is not built.
pub fn program(name: &str) -> Result<PathBuf, Failure> {
    let demo = std::env::current_exe()?;
    let path = demo.ancestors().nth(2).ok_or("the demo does not run from a target folder")?.join(name);
    if path.is_file() { Ok(path) } else { Err(format!("{} is not built; run `make demo`", path.display()).into()) }
}
