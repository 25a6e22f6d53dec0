//! Runs checks that must see the tree as it will be: in a private mount namespace, staged files cover their destinations
//! for one command only. They are never visible outside that command's process tree.
//!
//! Our own binary runs again as the small helper below, which unshares, mounts and then becomes the command.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};

use super::fs::{FileError, folder_of, mount_points_at_or_below, stage};
use super::process::{self, FinishedCommand};

/// The hidden subcommand for which `main` calls `become_command`.
pub const HELPER_ARGUMENT: &str = "__check-in-namespace";
const NO_MOUNTS: MsFlags = MsFlags::empty();
const NO_DATA: Option<&str> = None;

/// A staged file and the destination at which the command sees it, or a file that the command does not see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overlay {
    /// The staged file; `None` hides the target.
    pub staged: Option<PathBuf>,
    /// The path at which the command sees it; links resolved.
    pub target: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct OverlayRequest {
    /// Text printed on standard error right before the command starts: proof that all mounts are in place.
    ready_mark: String,
    /// An existing folder to mount scratch space on, inside the namespace only.
    scratch: PathBuf,
    overlays: Vec<Overlay>,
    shell_text: String,
}

/// The outcome of a check in a namespace.
#[derive(Debug)]
pub enum Checked {
    /// The command ran and saw the staged files in place.
    Ran(FinishedCommand),
    /// The namespace could not be created; the command did not run.
    Unavailable(String),
}

/// Runs `shell_text` in a namespace that shows every overlay's staged file at its target. `scratch` is an existing folder.
pub async fn check(shell_text: &str, overlays: Vec<Overlay>, scratch: &Path, timeout: Option<Duration>) -> Checked {
    let ready_mark = format!("upstreamd-namespace-ready-{}-{}", std::process::id(), overlays.len());
    let request = OverlayRequest {
        ready_mark: ready_mark.clone(),
        scratch: scratch.to_owned(),
        overlays,
        shell_text: shell_text.to_owned(),
    };
    let input = match serde_json::to_vec(&request) {
        Ok(input) => input,
        Err(error) => return Checked::Unavailable(error.to_string()),
    };
    // The link, not its target: it still works after an upgrade has replaced the binary on disk.
    let mut finished = process::run(OsStr::new("/proc/self/exe"), &[HELPER_ARGUMENT], Some(input), timeout).await;
    match finished.output.split_once(&format!("{ready_mark}\n")) {
        Some((before, after)) => {
            finished.output = format!("{before}{after}");
            Checked::Ran(finished)
        }
        None if finished.output.trim().is_empty() => Checked::Unavailable(finished.end.to_string()),
        None => Checked::Unavailable(finished.output.trim().to_owned()),
    }
}

/// Runs the helper: reads the request from standard input, mounts, becomes the command. Returns only on failure.
pub fn become_command() -> ExitCode {
    let problem = match prepare() {
        Ok(request) => {
            let marked = writeln!(std::io::stderr(), "{}", request.ready_mark);
            let error = Command::new("/bin/sh").arg("-c").arg(&request.shell_text).stdin(Stdio::null()).exec();
            format!("cannot start /bin/sh: {error} (marked: {})", marked.is_ok())
        }
        Err(problem) => problem,
    };
    writeln!(std::io::stderr(), "{problem}").ok();
    ExitCode::FAILURE
}

fn prepare() -> Result<OverlayRequest, String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| format!("cannot read the request: {error}"))?;
    let request: OverlayRequest =
        serde_json::from_str(&text).map_err(|error| format!("cannot read the request: {error}"))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| format!("unshare is not permitted: {errno}"))?;
    // Without this, mounts made here would propagate to the host.
    mount(NO_DATA, "/", NO_DATA, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NO_DATA)
        .map_err(|errno| format!("cannot make mounts private: {errno}"))?;
    let (existing, new): (Vec<&Overlay>, Vec<&Overlay>) =
        request.overlays.iter().partition(|overlay| overlay.staged.is_some() && overlay.target.exists());
    if !new.is_empty() {
        mount(Some("tmpfs"), &request.scratch, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0700"))
            .map_err(|errno| format!("cannot mount scratch space: {errno}"))?;
    }
    let mut by_folder: BTreeMap<&Path, Vec<&Overlay>> = BTreeMap::new();
    for overlay in new {
        by_folder.entry(folder_of(&overlay.target)).or_default().push(overlay);
    }
    for (index, (folder, overlays)) in by_folder.into_iter().enumerate() {
        add_files(folder, &overlays, &request.scratch.join(index.to_string()))?;
    }
    for overlay in existing {
        if let Some(staged) = &overlay.staged {
            bind(staged, &overlay.target)?;
        }
    }
    Ok(request)
}

/// Mounts an overlay of `folder` on itself, with the new files in its upper layer, and removes the hidden files from it.
fn add_files(folder: &Path, overlays: &[&Overlay], scratch: &Path) -> Result<(), String> {
    let text = |error: FileError| format!("{error}: {}", error.source);
    let layers = ["lower", "upper", "work"].map(|name| scratch.join(name));
    for layer in &layers {
        std::fs::create_dir_all(layer).map_err(|error| format!("cannot create `{}`: {error}", layer.display()))?;
    }
    let [lower, upper, work] = &layers;
    for overlay in overlays {
        let name = overlay.target.file_name().unwrap_or_default();
        if let Some(staged) = &overlay.staged {
            stage::copy_with_attributes(staged, &upper.join(name)).map_err(text)?;
        }
    }
    let real = folder.canonicalize();
    let folder = real.as_deref().unwrap_or(folder);
    let mounts_below: Vec<PathBuf> =
        mount_points_at_or_below(folder).into_iter().filter(|point| point != folder).collect();
    mount(Some(folder), lower, NO_DATA, MsFlags::MS_BIND | MsFlags::MS_REC, NO_DATA)
        .map_err(|errno| format!("cannot bind `{}`: {errno}", folder.display()))?;
    // The paths in the options are ours and have no comma or colon; the path of the folder might have one.
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mount(Some("overlay"), folder, Some("overlay"), NO_MOUNTS, Some(options.as_str()))
        .map_err(|errno| format!("cannot overlay `{}`: {errno}", folder.display()))?;
    for overlay in overlays.iter().filter(|overlay| overlay.staged.is_none()) {
        // The overlay records the removal; the file in the lower folder stays.
        let gone = folder.join(overlay.target.file_name().unwrap_or_default());
        match std::fs::remove_file(&gone) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot hide `{}`: {error}", gone.display()));
            }
            _ => {}
        }
    }
    // An overlay does not show mounts below its lower folder.
    for point in mounts_below {
        if let Ok(below) = point.strip_prefix(folder) {
            bind(&lower.join(below), &point)?;
        }
    }
    Ok(())
}

fn bind(source: &Path, target: &Path) -> Result<(), String> {
    mount(Some(source), target, NO_DATA, MsFlags::MS_BIND, NO_DATA)
        .map_err(|errno| format!("cannot bind `{}` over `{}`: {errno}", source.display(), target.display()))
}
