//! Chooses the state folder and the sockets for the status, and makes sure that only one daemon uses it. Never reads the journal in it.

use std::path::{Path, PathBuf};

use crate::agent::announcers::AnnouncerPlaces;
use crate::config::settings::StateDir;
use crate::world::fs::folder::is_folder;
use crate::world::fs::install::make_folders;
use crate::world::fs::record::{self, Kind};
use crate::world::host;
use crate::world::lock::Lock;

/// The default state folder.
const SYSTEM_FOLDER: &str = "/var/lib/upstreamd";

/// Returns the state folder, created if it was missing; `None` if it is switched off or no folder is available.
///
/// # Errors
/// A folder that was asked for cannot be used.
pub(super) fn folder(wanted: &StateDir) -> Result<Option<PathBuf>, String> {
    match wanted {
        StateDir::Off => Ok(None),
        StateDir::Path(path) => match usable(path) {
            Ok(()) => Ok(Some(path.clone())),
            Err(problem) => Err(format!("the state folder cannot be used: {problem}")),
        },
        StateDir::Auto => {
            let found = candidates().find(|path| usable(path).is_ok());
            if found.is_none() {
                tracing::warn!(
                    "neither {SYSTEM_FOLDER} nor $XDG_STATE_HOME/upstreamd is writable: a restart will not know \
                     what is live and which reload is owed (hint: --state-dir)"
                );
            }
            Ok(found)
        }
    }
}

/// Returns the state folder if it is there, for commands that change nothing. Creates nothing and takes no lock.
pub(super) fn existing(wanted: &StateDir) -> Option<PathBuf> {
    existing_all(wanted).next()
}

/// Returns the folders that are there, the first choice first. Another process may have had to take a later one, because it could not write
/// into the first.
pub(super) fn existing_all(wanted: &StateDir) -> impl Iterator<Item = PathBuf> {
    let candidates = match wanted {
        StateDir::Off => Vec::new(),
        StateDir::Path(path) => vec![path.clone()],
        StateDir::Auto => candidates().collect(),
    };
    candidates.into_iter().filter(|path| is_folder(path))
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    [Some(PathBuf::from(SYSTEM_FOLDER)), user_folder()].into_iter().flatten()
}

fn user_folder() -> Option<PathBuf> {
    let state_home = host::env_path("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let home = || host::env_path("HOME").map(|home| home.join(".local/state"));
    state_home.or_else(home).map(|path| path.join("upstreamd"))
}

/// Returns the path of the socket of the agent with this state folder.
pub(super) fn socket(state_folder: &Path) -> PathBuf {
    match state_folder == Path::new(SYSTEM_FOLDER) {
        true => Path::new(SOCKET_FOLDER).join("status.sock"),
        false => state_folder.join("status.sock"),
    }
}

/// The folder of sockets beside the default state folder, and the one in which systemd makes a folder for each announcer whose user may
/// not write into the first.
const SOCKET_FOLDER: &str = "/run/upstreamd";
const ANNOUNCERS_FOLDER: &str = "/run/upstreamd-announce";

/// Returns the folders in which an announcer may have its socket, its first choice first.
pub(super) fn announcer_folders(wanted: &StateDir) -> Vec<PathBuf> {
    match wanted {
        StateDir::Off => Vec::new(),
        StateDir::Path(path) => vec![path.clone()],
        StateDir::Auto => {
            // What systemd has made for this service: RuntimeDirectory=upstreamd-announce/NAME.
            let own = host::env_path("RUNTIME_DIRECTORY").filter(|path| path.starts_with(ANNOUNCERS_FOLDER));
            let others = [Some(PathBuf::from(SOCKET_FOLDER)), user_folder().filter(|path| is_folder(path))];
            own.into_iter().chain(others.into_iter().flatten()).collect()
        }
    }
}

/// Returns where the announcers of this machine may have their sockets.
pub(super) fn announcer_places(wanted: &StateDir) -> AnnouncerPlaces {
    let parent = (*wanted == StateDir::Auto).then(|| PathBuf::from(ANNOUNCERS_FOLDER));
    let is_elsewhere = |folder: &PathBuf| !folder.starts_with(ANNOUNCERS_FOLDER);
    let folders = announcer_folders(wanted).into_iter().filter(is_elsewhere).collect();
    AnnouncerPlaces { folders, parent, ..AnnouncerPlaces::default() }
}

/// Returns whether an agent has this state folder, or had it: then somebody expects it to answer.
pub(super) fn has_agent(state_folder: &Path) -> bool {
    host::exists(&state_folder.join("daemon.lock")) || host::exists(&socket(state_folder))
}

/// The folders and the files in a state folder.
const FOLDERS: [&str; 3] = ["groups", "live", "scratch"];
const FILES: [&str; 2] = ["transaction.lock", "daemon.lock"];

/// Checks that files can be kept there, by taking a lock. Puts aside what has the name of something of ours and is of another kind.
fn usable(folder: &Path) -> Result<(), String> {
    make_folders(folder).map_err(|error| format!("{error}: {}", error.source))?;
    let kinds = FOLDERS.map(|name| (name, Kind::Folder)).into_iter().chain(FILES.map(|name| (name, Kind::File)));
    for (name, kind) in kinds {
        let path = folder.join(name);
        match record::put_aside_unless(&path, kind) {
            Ok(None) => {}
            Ok(Some(aside)) => tracing::warn!(
                "`{}` is not a {kind}: it is kept as `{}`, and a new one is made",
                path.display(),
                aside.display()
            ),
            Err(error) => return Err(format!("{error}: {}", error.source)),
        }
    }
    let probe = folder.join("transaction.lock");
    // If another process holds the lock, the folder is usable too.
    Lock::try_take(&probe).map(|_| ()).map_err(|error| format!("failed to write `{}`: {error}", probe.display()))
}

/// Makes this process the state folder's only daemon.
///
/// # Errors
/// Another daemon has it.
pub(super) fn become_daemon(folder: &Path) -> Result<Lock, String> {
    let path = folder.join("daemon.lock");
    match Lock::try_take(&path) {
        Ok(Some(mut lock)) => {
            // The lock works without the pid, too.
            lock.sign().ok();
            Ok(lock)
        }
        Ok(None) => Err(format!(
            "another upstreamd already uses the state folder `{}` (hint: stop it, or give this one --state-dir of its own)",
            folder.display()
        )),
        Err(error) => Err(format!("failed to lock `{}`: {error}", path.display())),
    }
}
