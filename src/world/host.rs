//! Facts about this host: its name, environment, files, network interfaces. Only reads, never waits.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;

/// Returns the kernel's host name.
///
/// # Errors
/// The kernel has no answer or the name is not UTF-8; the text is a phrase for people.
pub fn hostname() -> Result<String, String> {
    let name = nix::unistd::gethostname().map_err(|error| format!("cannot read the host name: {error}"))?;
    name.into_string().map_err(|_| "the host name is not UTF-8".to_owned())
}

/// Returns an environment variable of this process; `None` if it is unset or not UTF-8.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the arguments of this process, the program's name first.
pub fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os()
}

/// Returns the path that an environment variable holds; `None` if it is unset.
pub fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// Returns the id of this process.
pub fn process_id() -> u32 {
    std::process::id()
}

/// Returns every variable of the environment: name and value as bytes.
pub fn environment() -> Vec<(Vec<u8>, Vec<u8>)> {
    std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect()
}

/// Returns whether something exists at `path`; false if that cannot be determined.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Returns the path of a program: a path stays as it is; a name is looked up on the `PATH`, then in the folders of daemons.
pub fn find_program(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return Some(name.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The share of its descriptors that the process has for the connections of one listener: others are for its work.
const DESCRIPTOR_SHARE: u64 = 8;

/// Returns how many connections a listener may have, `most` if the process may have enough descriptors.
pub fn descriptor_share(most: usize) -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let share = descriptors.and_then(|descriptors| usize::try_from(descriptors / DESCRIPTOR_SHARE).ok());
    share.unwrap_or(most).clamp(1, most)
}

/// Returns a stamp that changes when a file is replaced: device, inode, size, time of change. `None` if there is no file.
pub fn file_stamp(path: &Path) -> Option<FileStamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(FileStamp([metadata.dev(), metadata.ino(), metadata.size()], metadata.ctime(), metadata.ctime_nsec()))
}

/// Identity and state of a file, from `file_stamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp([u64; 3], i64, i64);

/// Returns the addresses of a network interface, in the kernel's order; an empty list if there is no such interface.
pub fn interface_addresses(name: &str) -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter(|interface| interface.interface_name == name)
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_answers() {
        assert!(!hostname().unwrap().is_empty());
        assert!(exists(Path::new("/")) && !exists(Path::new("/absent/file")));
        assert!(env("PATH").is_some());
        for name in ["", "A=B", "A\0", "UPSTREAMD_SURELY_UNSET"] {
            assert_eq!(env(name), None, "{name:?}");
        }
        assert!(interface_addresses("lo").contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(find_program(Path::new("sh")).is_some_and(|found| found.ends_with("bin/sh")));
        assert_eq!(find_program(Path::new("./sh")), Some("./sh".into()));
        assert_eq!(find_program(Path::new("surely-no-program")), None);
        assert!(interface_addresses("none0").is_empty());
    }
}
