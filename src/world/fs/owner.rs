//! User and group names to numbers, by the system's own databases.

use nix::unistd::{Group, User};

/// The numeric id of a user name, or why there is none.
pub fn user_id(name: &str) -> Result<u32, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!("unknown user `{name}`")),
        Err(errno) => Err(format!("cannot look up user `{name}`: {errno}")),
    }
}

/// The numeric id of a group name, or why there is none.
pub fn group_id(name: &str) -> Result<u32, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("unknown group `{name}`")),
        Err(errno) => Err(format!("cannot look up group `{name}`: {errno}")),
    }
}
