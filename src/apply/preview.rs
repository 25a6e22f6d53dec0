//! Shows what a pass would do, for `-noop`, `diff` and `render`. Never changes a file.

use std::io::ErrorKind;

use crate::model::report::{Rendered, Stage, StepFailure};
use crate::world::fs::entry::Folders;

use super::group::Group;
use super::plan::{self, FileAction, WantedFile};
use super::{Context, failure, journal, staging};

/// The present and the future state of one destination.
#[derive(Clone, Debug)]
pub struct FilePreview {
    /// Present content; `None` if there is no file.
    pub old: Option<Vec<u8>>,
    /// Whether content, mode or owner differ.
    pub differs: bool,
    /// Changes of mode and owner: "mode 0644 -> 0600".
    pub attribute_changes: Vec<String>,
}

/// Returns whether the last transaction of a group has left its reload owed.
pub fn owes_reload(context: &Context, group: &Group) -> bool {
    group.reload.is_some() && journal::peek(context, &group.id).is_some_and(|journal| journal.reload_owed)
}

/// Compares one destination with its new content. Touches nothing.
pub fn preview(context: &Context, rendered: &Rendered) -> Result<FilePreview, StepFailure> {
    let resource = &rendered.resource;
    let on_disk = match staging::find(&mut Folders::default(), resource) {
        Ok(entry) => entry.read(),
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let on_disk = on_disk.map_err(|error| failure::of_file(Stage::Stage, &error))?;
    staging::refuse_foreign(context, rendered, on_disk.as_ref(), None)?;
    let (owner, group) = staging::owners(resource)?;
    let wanted = WantedFile { bytes: &rendered.bytes, mode: resource.target.mode, owner, group };
    let mut attribute_changes = Vec::new();
    let differs = match plan::decide(wanted, on_disk.as_ref(), true) {
        FileAction::Keep | FileAction::Prove | FileAction::Remove => false,
        FileAction::Write(attributes) => {
            if let Some(disk) = &on_disk {
                if disk.mode != attributes.mode {
                    attribute_changes.push(format!("mode {:04o} -> {:04o}", disk.mode, attributes.mode));
                }
                for (what, old, new) in [("owner", disk.uid, attributes.owner), ("group", disk.gid, attributes.group)] {
                    if let Some(new) = new.filter(|new| *new != old) {
                        attribute_changes.push(format!("{what} {old} -> {new}"));
                    }
                }
            }
            true
        }
    };
    Ok(FilePreview { old: on_disk.map(|disk| disk.bytes), differs, attribute_changes })
}
