//! Translates user and group names to numbers, by the system's databases. Never changes a file.

use nix::unistd::{Group, User};

/// Returns the numeric id of a user name, or the reason why there is no such id.
pub fn user_id(name: &str) -> Result<u32, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!("unknown user `{name}`")),
        Err(errno) => Err(format!("cannot look up user `{name}`: {errno}")),
    }
}

/// Returns the numeric id of a group name, or the reason why there is no such id.
pub fn group_id(name: &str) -> Result<u32, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("unknown group `{name}`")),
        Err(errno) => Err(format!("cannot look up group `{name}`: {errno}")),
    }
}
