//! With how many backends a file went live, and since when a loss of them is held: remembered across restarts, one small
//! record per destination in the state folder. Losing it costs a comparison, never a file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::world::fs::install::make_folders;
use crate::world::fs::{FileError, folder_of, record};

use super::{Context, plan};

/// What is remembered of one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCount {
    /// How many backends the live file was rendered with.
    pub count: Option<usize>,
    /// Since when a loss is held, in seconds since 1970.
    pub held_since_unix: Option<u64>,
}

/// What is remembered of `dest`; nothing where there is no state folder, or no record that can be understood.
pub fn load(context: &Context, dest: &Path) -> LiveCount {
    let text = path_of(context, dest).and_then(|path| record::read(&path).ok().flatten());
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Remembers, durably; without a state folder there is nothing to do.
///
/// # Errors
/// The record could not be written.
pub fn save(context: &Context, dest: &Path, live: LiveCount) -> Result<(), FileError> {
    let Some(path) = path_of(context, dest) else { return Ok(()) };
    make_folders(folder_of(&path))?;
    record::write(&path, &serde_json::to_string(&live).unwrap_or_default())
}

fn path_of(context: &Context, dest: &Path) -> Option<PathBuf> {
    let name = plan::hash(dest.as_os_str().as_encoded_bytes())[..16].to_owned();
    Some(context.settings.state_folder.as_ref()?.join("live").join(format!("{name}.json")))
}
