//! What has to be done to one file: compares what is wanted with what is on disk and what is known to be live.
//! Pure: the caller reads the disk and the journal.

use sha2::{Digest, Sha256};

use crate::world::fs::OnDisk;
use crate::world::fs::stage::Attributes;

/// The mode of a file that neither exists nor has a `mode`.
const DEFAULT_MODE: u32 = 0o644;

/// What a destination is to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Content.
    pub bytes: &'a [u8],
    /// `mode`, where set.
    pub mode: Option<u32>,
    /// `owner` or `uid`, where set.
    pub owner: Option<u32>,
    /// `group` or `gid`, where set.
    pub group: Option<u32>,
}

/// What to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the file is as wanted and known to be live.
    Keep,
    /// The file is as wanted, but nobody knows that the reload for it took: check and reload without writing.
    Prove,
    /// Write it.
    Write(Attributes),
}

/// Decides for one file. `known_live` tells whether exactly these bytes passed their last reload.
pub fn decide(wanted: Wanted<'_>, on_disk: Option<&OnDisk>, known_live: bool) -> Action {
    let mode = wanted.mode.or(on_disk.map(|disk| disk.mode)).unwrap_or(DEFAULT_MODE);
    let owner = wanted.owner.or(on_disk.map(|disk| disk.uid));
    let group = wanted.group.or(on_disk.map(|disk| disk.gid));
    let same = on_disk.is_some_and(|disk| {
        disk.bytes == wanted.bytes && disk.mode == mode && Some(disk.uid) == owner && Some(disk.gid) == group
    });
    match (same, known_live) {
        (true, true) => Action::Keep,
        (true, false) => Action::Prove,
        (false, _) => Action::Write(Attributes { mode, owner, group }),
    }
}

/// The hash by which the journal knows content.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mode: Option<u32>, owner: Option<u32>, on_disk: Option<(&str, u32, u32)>, live: bool, expected: Action) {
        let disk = on_disk.map(|(text, mode, uid)| OnDisk { bytes: text.into(), mode, uid, gid: 7 });
        let wanted = Wanted { bytes: b"new", mode, owner, group: None };
        assert_eq!(decide(wanted, disk.as_ref(), live), expected, "{mode:?} {owner:?} {on_disk:?} {live}");
    }

    fn write(mode: u32, owner: Option<u32>, group: Option<u32>) -> Action {
        Action::Write(Attributes { mode, owner, group })
    }

    #[test]
    fn content_mode_owner_and_the_journal_all_count() {
        check(None, None, None, false, write(0o644, None, None));
        check(Some(0o600), Some(5), None, true, write(0o600, Some(5), None));
        check(None, None, Some(("old", 0o640, 33)), true, write(0o640, Some(33), Some(7)));
        check(None, None, Some(("new", 0o640, 33)), true, Action::Keep);
        check(None, None, Some(("new", 0o640, 33)), false, Action::Prove);
        check(Some(0o644), None, Some(("new", 0o640, 33)), true, write(0o644, Some(33), Some(7)));
        check(None, Some(0), Some(("new", 0o640, 33)), true, write(0o640, Some(0), Some(7)));
    }
}
