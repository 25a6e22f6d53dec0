//! Decides what has to be done to one file: compares the wanted content with the disk and with what is known to be live.
//! Pure: the caller reads the disk and the journal.

use sha2::{Digest, Sha256};

use crate::world::fs::OnDisk;
use crate::world::fs::stage::Attributes;

/// Mode of a file that neither exists nor has a `mode`.
const DEFAULT_MODE: u32 = 0o644;

/// The wanted state of a destination.
#[derive(Clone, Copy, Debug)]
pub struct WantedFile<'a> {
    /// Content.
    pub bytes: &'a [u8],
    /// `mode`, if set.
    pub mode: Option<u32>,
    /// `owner` or `uid`, if set.
    pub owner: Option<u32>,
    /// `group` or `gid`, if set.
    pub group: Option<u32>,
}

/// The action for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAction {
    /// Nothing: the file is as wanted and known to be live.
    Keep,
    /// The file is as wanted, but its reload is not known to have taken effect: check and reload without writing.
    Prove,
    /// Write it.
    Write(Attributes),
    /// Remove it: a file of a `for_each` whose name is gone.
    Remove,
}

/// The present state of a path whose file should be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToRemove {
    /// Nothing.
    Absent,
    /// A link, a folder or a device.
    NoRegularFile,
    /// A file that something is mounted on.
    MountPoint,
    /// A file that cannot be read.
    Unreadable {
        /// Reason.
        problem: String,
        /// Whether it may be readable a little later.
        may_pass: bool,
    },
    /// A file with this content.
    File {
        /// SHA-256.
        hash: String,
    },
}

/// The decision about a file that is no longer wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Remove it.
    Remove,
    /// Leave it: it is no longer ours. The reason, if it is worth a warning.
    Forget(Option<String>),
    /// Leave it until it can be read. The reason why it cannot.
    Later(String),
}

/// Decides about a file that we made once, with content of the hash `made`: only a file that is still ours is removed.
pub fn decide_removal(found: &ToRemove, made: Option<&str>) -> Removal {
    let stays = |why: &str| Removal::Forget(Some(why.to_owned()));
    match found {
        ToRemove::Absent => Removal::Forget(None),
        ToRemove::NoRegularFile => stays("it is no longer the regular file that was written"),
        ToRemove::MountPoint => stays("it is a mount point"),
        ToRemove::Unreadable { problem, may_pass: true } => Removal::Later(problem.clone()),
        ToRemove::Unreadable { problem, may_pass: false } => stays(problem),
        ToRemove::File { hash } if Some(hash.as_str()) == made => Removal::Remove,
        ToRemove::File { .. } => stays("somebody else has changed it"),
    }
}

/// Decides for one file. `known_live`: exactly these bytes passed their last reload.
pub fn decide(wanted: WantedFile<'_>, on_disk: Option<&OnDisk>, known_live: bool) -> FileAction {
    let mode = wanted.mode.or(on_disk.map(OnDisk::carried_mode)).unwrap_or(DEFAULT_MODE);
    let owner = wanted.owner.or(on_disk.map(|disk| disk.uid));
    let group = wanted.group.or(on_disk.map(|disk| disk.gid));
    let same = on_disk.is_some_and(|disk| {
        disk.bytes == wanted.bytes && disk.mode == mode && Some(disk.uid) == owner && Some(disk.gid) == group
    });
    match (same, known_live) {
        (true, true) => FileAction::Keep,
        (true, false) => FileAction::Prove,
        (false, _) => FileAction::Write(Attributes { mode, owner, group }),
    }
}

/// Returns the hash that the journal keeps of content.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        mode: Option<u32>,
        owner: Option<u32>,
        on_disk: Option<(&str, u32, u32)>,
        live: bool,
        expected: FileAction,
    ) {
        let disk = on_disk.map(|(text, mode, uid)| OnDisk { bytes: text.into(), mode, uid, gid: 7 });
        let wanted = WantedFile { bytes: b"new", mode, owner, group: None };
        assert_eq!(decide(wanted, disk.as_ref(), live), expected, "{mode:?} {owner:?} {on_disk:?} {live}");
    }

    fn write(mode: u32, owner: Option<u32>, group: Option<u32>) -> FileAction {
        FileAction::Write(Attributes { mode, owner, group })
    }

    #[test]
    fn only_what_is_still_ours_goes() {
        let file = |hash: &str| ToRemove::File { hash: hash.to_owned() };
        assert_eq!(decide_removal(&file("a"), Some("a")), Removal::Remove);
        assert_eq!(decide_removal(&ToRemove::Absent, Some("a")), Removal::Forget(None));
        let unreadable = |may_pass| ToRemove::Unreadable { problem: "denied".to_owned(), may_pass };
        assert_eq!(decide_removal(&unreadable(true), Some("a")), Removal::Later("denied".to_owned()));
        for (found, made) in [
            (file("b"), Some("a")),
            (file("a"), None),
            (ToRemove::NoRegularFile, Some("a")),
            (ToRemove::MountPoint, Some("a")),
            (unreadable(false), Some("a")),
        ] {
            assert!(matches!(decide_removal(&found, made), Removal::Forget(Some(_))), "{found:?}");
        }
    }

    #[test]
    fn content_mode_owner_and_the_journal_all_count() {
        check(None, None, None, false, write(0o644, None, None));
        check(Some(0o600), Some(5), None, true, write(0o600, Some(5), None));
        check(None, None, Some(("old", 0o640, 33)), true, write(0o640, Some(33), Some(7)));
        check(None, None, Some(("new", 0o640, 33)), true, FileAction::Keep);
        check(None, None, Some(("new", 0o640, 33)), false, FileAction::Prove);
        check(Some(0o644), None, Some(("new", 0o640, 33)), true, write(0o644, Some(33), Some(7)));
        check(None, Some(0), Some(("new", 0o640, 33)), true, write(0o640, Some(0), Some(7)));
        // Anyone who can write to the folder could otherwise turn it into a set-uid root program.
        check(None, Some(0), Some(("old", 0o6755, 33)), true, write(0o755, Some(0), Some(7)));
        check(None, None, Some(("new", 0o1644, 33)), true, write(0o644, Some(33), Some(7)));
        check(Some(0o4755), None, Some(("new", 0o4755, 33)), true, FileAction::Keep);
    }
}
