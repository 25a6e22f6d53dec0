//! Who may change what is in a folder: its owner, its group, everybody, and whom an access control list names. Only looks.

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::stat::fstat;
use nix::unistd::{getegid, geteuid};
use rustix::io::Errno;

/// The attribute that has a folder's access control list.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// Users who may change what is in a folder, as far as that concerns us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FolderAccess {
    /// Whether somebody else than root and us may put files into it, or take some away.
    pub(super) others_may_change: bool,
    /// Whether nobody but their owners may take files away, and root or we decide that.
    is_sticky: bool,
}

impl FolderAccess {
    /// Looks at an open folder.
    pub(super) fn of(folder: impl AsFd) -> nix::Result<FolderAccess> {
        let found = fstat(&folder)?;
        let is_own = is_trusted(found.st_uid);
        let is_own_group = found.st_gid == 0 || found.st_gid == getegid().as_raw();
        // With a list, the bits of the group are the most that anybody may do whom it names.
        let group_may = found.st_mode & 0o020 != 0 && (!is_own_group || has_access_list(&folder));
        let others_may_change = !is_own || group_may || found.st_mode & 0o002 != 0;
        Ok(FolderAccess { others_may_change, is_sticky: found.st_mode & 0o1000 != 0 && is_own })
    }

    /// Returns whether only root or we can have made what this user owns in the folder. In a sticky folder, such as /tmp, others may put
    /// files, but not exchange ours.
    pub(super) fn keeps_files_of(self, owner: u32) -> bool {
        !self.others_may_change || (self.is_sticky && is_trusted(owner))
    }
}

fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// Returns whether a folder has an access control list, or may have one.
fn has_access_list(folder: impl AsFd) -> bool {
    // The folder is open as a place only, and so its attributes are read by a path to it.
    let path = format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd());
    let mut none = [0_u8; 0];
    !matches!(rustix::fs::getxattr(path, ACCESS_LIST, &mut none), Err(Errno::NODATA | Errno::OPNOTSUPP))
}
