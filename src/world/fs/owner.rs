//! Translates user and group names to numbers: by /etc/passwd and /etc/group, then by the C library, which also asks LDAP and its
//! like. A static program has only the files. Never changes a file.

#[cfg(not(target_feature = "crt-static"))]
use nix::unistd::{Group, User};

/// Advice about an unknown name.
pub const UNKNOWN_HINT: &str = "it may exist on a different machine";

/// Returns the numeric id of a user name, or the reason why there is no such id.
pub fn user_id(name: &str) -> Result<u32, String> {
    id_in("/etc/passwd", name).map_or_else(|| elsewhere("user", name), Ok)
}

/// Returns the numeric id of a group name, or the reason why there is no such id.
pub fn group_id(name: &str) -> Result<u32, String> {
    id_in("/etc/group", name).map_or_else(|| elsewhere("group", name), Ok)
}

fn id_in(path: &str, name: &str) -> Option<u32> {
    id_of(&std::fs::read_to_string(path).ok()?, name)
}

/// Returns the third field of the line whose first one is `name`: the layout of both files, by passwd(5) and group(5).
fn id_of(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(|line| line.split(':')).filter(|_| !name.is_empty());
    lines.find_map(|mut fields| (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?)
}

#[cfg(not(target_feature = "crt-static"))]
fn elsewhere(kind: &str, name: &str) -> Result<u32, String> {
    let found = match kind {
        "user" => User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())),
        _ => Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())),
    };
    match found {
        Ok(id) => id.ok_or_else(|| format!("unknown {kind} `{name}`")),
        Err(errno) => Err(format!("cannot look up {kind} `{name}`: {errno}")),
    }
}

#[cfg(target_feature = "crt-static")]
fn elsewhere(kind: &str, name: &str) -> Result<u32, String> {
    Err(format!("unknown {kind} `{name}`: /etc has none, and this static build of upstreamd asks no directory service"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_third_field_of_the_line_of_that_name() {
        let text = "# hosts of accounts\nroot:x:0:0:root:/root:/bin/sh\nweb:x:33:33\nbroken:x\nodd:x:many:1\n+::::::\n";
        for (name, expected) in [
            ("root", Some(0)),
            ("web", Some(33)),
            ("we", None),
            ("broken", None),
            ("odd", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(id_of(text, name), expected, "{name}");
        }
    }
}
