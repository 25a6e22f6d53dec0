//! nginx's processes as data: their roles, by the titles that they write over their command lines. Pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::model::process::Process;

/// Role of a child of an nginx master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It serves connections.
    Worker,
    /// A worker of an earlier configuration that is finishing its connections.
    Leaving,
    /// Forked, but without a title of its own yet.
    Starting,
    /// A cache manager or loader.
    Other,
}

/// A child of an nginx master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NginxChild {
    /// The process.
    pub process: Process,
    /// Its role.
    pub role: Role,
}

/// Returns whether a command line (`/proc/PID/cmdline`) is that of an nginx master.
pub fn is_master(title: &[u8]) -> bool {
    title.starts_with(b"nginx: master process")
}

/// Returns whether a program file (`/proc/PID/exe`) has the name of an nginx, or of the configured `binary`. Any process can set the
/// title of a master; only this shows what it is.
pub fn is_nginx(program: &Path, binary: &Path) -> bool {
    let Some(name) = program.file_name().map(OsStr::as_bytes) else { return false };
    // The kernel marks a program that was replaced while it ran, as every upgrade does.
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    let is_configured = binary.file_name().is_some_and(|binary| binary.as_bytes() == name);
    is_configured || has(b"nginx") || has(b"openresty")
}

/// Returns the role of a child of a master, by its command line. A new worker first has the master's title.
pub fn role_of(title: &[u8]) -> Role {
    let end = title.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    match &title[..end] {
        b"nginx: worker process" => Role::Worker,
        b"nginx: worker process is shutting down" => Role::Leaving,
        title if is_master(title) => Role::Starting,
        _ => Role::Other,
    }
}

/// Returns the arguments that a master was started with, from its title.
pub fn arguments_of_master(title: &[u8]) -> String {
    let title = String::from_utf8_lossy(title);
    title.trim_end_matches(['\0', ' ']).strip_prefix("nginx: master process ").unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_show_the_roles() {
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

    #[test]
    fn the_program_shows_who_has_the_title() {
        for (program, binary, expected) in [
            ("/usr/sbin/nginx", "nginx", true),
            ("/usr/sbin/nginx (deleted)", "nginx", true),
            ("/usr/local/openresty/nginx/sbin/nginx", "", true),
            ("/opt/nginx-1.30.1", "", true),
            ("/usr/sbin/freenginx", "", true),
            ("/opt/balancer/bin/edge", "/opt/balancer/bin/edge", true),
            ("/opt/balancer/bin/edge (deleted)", "edge", true),
            ("/usr/bin/sleep", "nginx", false),
            ("/opt/nginx/bin/sleep", "nginx", false),
            ("/", "", false),
        ] {
            assert_eq!(is_nginx(Path::new(program), Path::new(binary)), expected, "{program} {binary}");
        }
    }
}
