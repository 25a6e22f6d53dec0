//! Backend counts of live files, and since when a loss of backends is held: kept across restarts, one small record per
//! destination in the state folder. Never decides about a file; a lost record costs one comparison.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::world::fs::{FileError, record};

use super::{Context, plan};

/// The record of one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCount {
    /// Number of backends in the live file.
    pub count: Option<usize>,
    /// Start of the hold, in seconds since 1970.
    pub held_since_unix: Option<u64>,
}

/// Returns the record of `dest`; an empty one if there is no state folder or no record that can be parsed.
pub fn load(context: &Context, dest: &Path) -> LiveCount {
    let text = path_of(context, dest).and_then(|path| record::read(&path).ok().flatten());
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Writes the record of `dest`, durably; does nothing without a state folder.
///
/// # Errors
/// The record could not be written.
pub fn save(context: &Context, dest: &Path, live: LiveCount) -> Result<(), FileError> {
    let Some(path) = path_of(context, dest) else { return Ok(()) };
    record::write(&path, &serde_json::to_string(&live).unwrap_or_default())
}

fn path_of(context: &Context, dest: &Path) -> Option<PathBuf> {
    let name = plan::hash(dest.as_os_str().as_encoded_bytes())[..16].to_owned();
    Some(context.settings.state_folder.as_ref()?.join("live").join(format!("{name}.json")))
}
