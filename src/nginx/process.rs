//! nginx's processes as data: who is who, by what they write over their command line. Pure.

use crate::model::process::Process;

/// What a child of an nginx master does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It serves connections.
    Worker,
    /// A worker of an earlier configuration that finishes its connections.
    Leaving,
    /// Forked, and not yet named.
    Starting,
    /// A cache manager or loader.
    Other,
}

/// A child of an nginx master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Which process.
    pub process: Process,
    /// What it does.
    pub role: Role,
}

/// Whether a command line (`/proc/PID/cmdline`) is that of an nginx master.
pub fn is_master(title: &[u8]) -> bool {
    title.starts_with(b"nginx: master process")
}

/// What a child of a master does, by its command line. Until a new worker has named itself, it bears the master's.
pub fn role_of(title: &[u8]) -> Role {
    let end = title.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    match &title[..end] {
        b"nginx: worker process" => Role::Worker,
        b"nginx: worker process is shutting down" => Role::Leaving,
        title if is_master(title) => Role::Starting,
        _ => Role::Other,
    }
}

/// The arguments that a master was started with, as its title shows them.
pub fn arguments_of_master(title: &[u8]) -> String {
    let title = String::from_utf8_lossy(title);
    title.trim_end_matches(['\0', ' ']).strip_prefix("nginx: master process ").unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_tell_the_roles() {
        for (title, role) in [
            ("nginx: worker process\0\0\0", Role::Worker),
            ("nginx: worker process", Role::Worker),
            ("nginx: worker process is shutting down\0", Role::Leaving),
            ("nginx: master process /usr/sbin/nginx -g daemon off;\0", Role::Starting),
            ("nginx: cache manager process\0", Role::Other),
            ("", Role::Other),
        ] {
            assert_eq!(role_of(title.as_bytes()), role, "{title:?}");
        }
    }
}
