//! Runs checks that must see the tree as it will be: in a private mount namespace, staged files cover their destinations
//! for one command only. They are never visible outside that command's process tree.
//!
//! Our own binary runs again as the small helper below, which unshares, mounts, looks whether the tree really is as it will
//! be, and only then becomes the command.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};
use serde::{Deserialize, Serialize};

use super::fs::entry::Folder;
use super::fs::{self, FileError, OnDisk, folder_of, mount_points_at_or_below, stage};
use super::process::{self, CommandEnd, FinishedCommand};

/// The hidden subcommand for which `main` calls `become_command`.
pub const HELPER_ARGUMENT: &str = "__check-in-namespace";
/// Exit status of the helper if it may not have a mount namespace of its own.
const NOT_PERMITTED: u8 = 77;
const NO_DATA: Option<&str> = None;
const ROOT: &str = "/";

/// A staged file and the destination at which the command sees it, or a file that the command does not see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overlay {
    /// The staged file; `None` hides the target.
    pub staged: Option<PathBuf>,
    /// The path at which the command sees it; links resolved.
    pub target: PathBuf,
    /// The path by which the command knows it: the same, or a link to it.
    pub dest: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct OverlayRequest {
    /// Text printed on standard error right before the command starts: proof that every file was seen in place.
    ready_mark: String,
    overlays: Vec<Overlay>,
    shell_text: String,
}

/// The outcome of a check in a namespace.
#[derive(Debug)]
pub enum Checked {
    /// The command ran and saw the staged files in place.
    Ran(FinishedCommand),
    /// This process may not have a mount namespace of its own; the command did not run.
    NotPermitted(String),
    /// In the namespace, these files cannot be seen as they will be; the command did not run.
    NotShown(String),
}

/// The reason why the helper does not become the command.
enum Obstacle {
    NotPermitted(String),
    NotShown(String),
}

/// Runs `shell_text` in a namespace that shows every overlay's staged file at its target.
pub async fn check(shell_text: &str, overlays: Vec<Overlay>, timeout: Option<Duration>) -> Checked {
    let ready_mark = format!("upstreamd-namespace-ready-{}-{}", std::process::id(), overlays.len());
    let request = OverlayRequest { ready_mark: ready_mark.clone(), overlays, shell_text: shell_text.to_owned() };
    let input = match serde_json::to_vec(&request) {
        Ok(input) => input,
        Err(error) => return Checked::NotShown(error.to_string()),
    };
    // The link, not its target: it still works after an upgrade has replaced the binary on disk.
    let mut finished = process::run(OsStr::new("/proc/self/exe"), &[HELPER_ARGUMENT], Some(input), timeout).await;
    if let Some((before, after)) = finished.output.split_once(&format!("{ready_mark}\n")) {
        finished.output = format!("{before}{after}");
        return Checked::Ran(finished);
    }
    let problem = match finished.output.trim() {
        "" => finished.end.to_string(),
        said => said.to_owned(),
    };
    match finished.end {
        CommandEnd::NotRun(problem) => Checked::NotShown(format!("/proc/self/exe cannot be started: {problem}")),
        CommandEnd::Exited(status) if status == i32::from(NOT_PERMITTED) => Checked::NotPermitted(problem),
        _ => Checked::NotShown(problem),
    }
}

/// Runs the helper: reads the request from standard input, mounts, becomes the command. Returns only on failure.
pub fn become_command() -> ExitCode {
    let (problem, code) = match prepare() {
        Ok(request) => {
            let marked = writeln!(std::io::stderr(), "{}", request.ready_mark);
            // Its input is ours, which has been read to its end.
            let error = Command::new("/bin/sh").arg("-c").arg(&request.shell_text).exec();
            (format!("cannot start /bin/sh: {error} (marked: {})", marked.is_ok()), ExitCode::FAILURE)
        }
        Err(Obstacle::NotPermitted(problem)) => (problem, ExitCode::from(NOT_PERMITTED)),
        Err(Obstacle::NotShown(problem)) => (problem, ExitCode::FAILURE),
    };
    writeln!(std::io::stderr(), "{problem}").ok();
    code
}

fn prepare() -> Result<OverlayRequest, Obstacle> {
    let mut text = String::new();
    let unread = |error: String| Obstacle::NotShown(format!("cannot read the request: {error}"));
    std::io::stdin().read_to_string(&mut text).map_err(|error| unread(error.to_string()))?;
    let request: OverlayRequest = serde_json::from_str(&text).map_err(|error| unread(error.to_string()))?;
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|errno| Obstacle::NotPermitted(format!("unshare is not permitted: {errno}")))?;
    // Without this, mounts made here would propagate to the host.
    mount(NO_DATA, ROOT, NO_DATA, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NO_DATA)
        .map_err(|errno| Obstacle::NotPermitted(format!("cannot make mounts private: {errno}")))?;
    show(&request.overlays).map_err(Obstacle::NotShown)?;
    Ok(request)
}

/// An overlay with what is to be seen at its target: the staged file as it was before anything was mounted.
type Expected<'a> = (&'a Overlay, Option<OnDisk>);

/// Mounts every overlay, and compares what is seen then with what will be there.
fn show(overlays: &[Overlay]) -> Result<(), String> {
    let working_folder = std::env::current_dir();
    let all: Vec<Expected<'_>> = overlays.iter().map(expected).collect::<Result<_, String>>()?;
    let mut by_folder: BTreeMap<PathBuf, Vec<&Expected<'_>>> = BTreeMap::new();
    let (existing, new): (Vec<&Expected<'_>>, Vec<&Expected<'_>>) =
        all.iter().partition(|(overlay, expected)| expected.is_some() && overlay.target.exists());
    for one in new {
        let folder = folder_of(&one.0.target);
        let real = folder.canonicalize().map_err(|error| format!("cannot find `{}`: {error}", folder.display()))?;
        by_folder.entry(real).or_default().push(one);
    }
    // The deepest first: overlays on overlays cannot be stacked high, and a container's root is one already.
    for (folder, overlays) in by_folder.iter().rev() {
        overlay_folder(folder, overlays)?;
    }
    for (overlay, _) in existing {
        if let Some(staged) = &overlay.staged {
            bind(staged, &overlay.target, MsFlags::empty())
                .map_err(|problem| format!("cannot cover `{}`: {problem}", overlay.target.display()))?;
        }
    }
    // The folder by its name, which may be covered now.
    if let Ok(folder) = working_folder {
        std::env::set_current_dir(&folder).map_err(|error| format!("cannot enter `{}`: {error}", folder.display()))?;
    }
    all.iter().try_for_each(|(overlay, expected)| verify(overlay, expected.as_ref()))
}

fn expected(overlay: &Overlay) -> Result<Expected<'_>, String> {
    let Some(staged) = &overlay.staged else { return Ok((overlay, None)) };
    let file = fs::read(staged).map_err(in_words)?;
    file.map(|file| (overlay, Some(file))).ok_or_else(|| format!("`{}` is no longer staged", overlay.target.display()))
}

/// Checks that a file is seen as it will be: content, mode and owner, or not at all.
fn verify(overlay: &Overlay, expected: Option<&OnDisk>) -> Result<(), String> {
    for path in [&overlay.target, &overlay.dest] {
        let seen = fs::read(path).map_err(in_words)?;
        let problem = match (seen.as_ref(), expected) {
            (seen, expected) if seen == expected => continue,
            (None, _) => "is not seen there",
            (Some(_), None) => "is still seen there",
            (Some(_), Some(_)) => "is seen with other content or attributes",
        };
        return Err(format!("`{}` {problem} although everything is mounted", path.display()));
    }
    Ok(())
}

/// Mounts an overlay of `folder` on itself, with the new files in its upper layer, and removes the hidden files from it.
fn overlay_folder(folder: &Path, overlays: &[&Expected<'_>]) -> Result<(), String> {
    let failed = |problem: &dyn std::fmt::Display| format!("cannot overlay `{}`: {problem}", folder.display());
    let opened = |folder: io::Result<File>| folder.map_err(|error| failed(&error));
    let mounts = || mount_numbers().map_err(|error| failed(&error));
    // A path leads to what is mounted on it last, except to our root: only from below is it entered again.
    let is_root = folder == Path::new(ROOT);
    let top = if is_root { Path::new("/..") } else { folder };
    let mounts_below = mount_points_at_or_below(folder);
    // Each layer is named by a descriptor: it stays reachable once it is covered, and the options need no escapes.
    let lower = opened(open(folder))?;
    let before = mounts()?;
    mount(Some("tmpfs"), top, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0700")).map_err(|errno| failed(&errno))?;
    let scratch = opened(open_new(top, &before))?;
    let (upper, work) = (name(&scratch).join("upper"), name(&scratch).join("work"));
    for layer in [&upper, &work] {
        std::fs::create_dir(layer).map_err(|error| failed(&error))?;
    }
    // The overlay's folder looks like its upper layer.
    stage::copy_attributes(&name(&lower), &upper).map_err(in_words)?;
    let own = Arc::new(Folder::open_own(&upper).map_err(in_words)?);
    for (overlay, expected) in overlays {
        if let Some(file) = expected {
            stage::write_like(file, &own.entry(file_name(overlay))).map_err(in_words)?;
        }
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={}", name(&lower).display(), upper.display(), work.display());
    let before = mounts()?;
    mount(Some("overlay"), top, Some("overlay"), flags_of(&name(&lower)), Some(options.as_str()))
        .map_err(|errno| failed(&errno))?;
    let merged = opened(open_new(top, &before))?;
    hide(overlays, &merged)?;
    move_mounts(folder, &mounts_below, &name(&lower), &name(&merged))?;
    if is_root {
        std::os::unix::fs::chroot(top).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Removes the hidden files from an overlay, which records that; the files in the lower folder stay.
fn hide(overlays: &[&Expected<'_>], merged: &File) -> Result<(), String> {
    for (overlay, _) in overlays.iter().filter(|(_, expected)| expected.is_none()) {
        match std::fs::remove_file(name(merged).join(file_name(overlay))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(format!("cannot hide `{}`: {error}", overlay.target.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn open(folder: &Path) -> io::Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NONBLOCK;
    File::options().read(true).custom_flags(flags.bits()).open(folder)
}

/// Opens a folder that was mounted after these mounts. Others may lead its path elsewhere at any moment, and only there is anything made
/// or removed.
fn open_new(folder: &Path, before: &BTreeSet<u64>) -> io::Result<File> {
    let opened = open(folder)?;
    match before.contains(&mount_number(&opened)?) {
        true => Err(io::Error::other("its path leads elsewhere since a moment ago")),
        false => Ok(opened),
    }
}

/// Returns the number of the mount that an open folder is in: proc_pid_fdinfo(5).
fn mount_number(folder: &File) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", folder.as_raw_fd()))?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Returns the numbers of all mounts that this process sees: proc_pid_mountinfo(5).
fn mount_numbers() -> io::Result<BTreeSet<u64>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let lines = text.split(|byte| *byte == b'\n');
    let number = |line: &[u8]| std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?.parse().ok();
    Ok(lines.filter_map(number).collect())
}

/// Binds the mounts below a folder to the overlay of it, which does not show them.
fn move_mounts(folder: &Path, points: &[PathBuf], lower: &Path, merged: &Path) -> Result<(), String> {
    let mut moved: Vec<&Path> = Vec::new();
    for point in points {
        let Ok(below) = point.strip_prefix(folder) else { continue };
        // What is mounted further below comes along; what is covered by a later mount is not there.
        let comes_along = moved.iter().any(|outer| point.starts_with(outer));
        if below.as_os_str().is_empty() || comes_along || !lower.join(below).exists() {
            continue;
        }
        bind(&lower.join(below), &merged.join(below), MsFlags::MS_REC)
            .map_err(|problem| format!("cannot keep what is mounted at `{}`: {problem}", point.display()))?;
        moved.push(point);
    }
    Ok(())
}

/// Returns what the mount of a folder forbids to its files.
fn flags_of(folder: &Path) -> MsFlags {
    let set = statvfs(folder).map_or(FsFlags::empty(), |system| system.flags());
    let pairs = [
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
    ];
    pairs.into_iter().filter(|(flag, _)| set.contains(*flag)).map(|(_, flag)| flag).collect()
}

fn bind(source: &Path, target: &Path, recursion: MsFlags) -> Result<(), nix::Error> {
    mount(Some(source), target, NO_DATA, MsFlags::MS_BIND | recursion, NO_DATA)
}

/// Returns a path that leads to an open folder, whatever covers it.
fn name(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

fn file_name(overlay: &Overlay) -> &OsStr {
    overlay.target.file_name().unwrap_or_default()
}

fn in_words(error: FileError) -> String {
    format!("{error}: {}", error.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_mounted_since_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let error = open_new(folder.path(), &mount_numbers().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "its path leads elsewhere since a moment ago");
        assert!(open_new(folder.path(), &BTreeSet::new()).is_ok());
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&pipe).is_err(), "and not waited for");
    }
}
