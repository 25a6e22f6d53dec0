//! Finds and reads files for whoever follows them. Never writes, never interprets.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Larger files are refused rather than read into memory.
const LARGEST_FILE_BYTES: u64 = 64 << 20;

/// Folders within folders deeper than this are refused; links can make loops.
const DEEPEST_FOLDER: usize = 32;

/// A file, or what is wrong with it or with the folder it was sought in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Its bytes.
    pub content: Result<Vec<u8>, String>,
}

/// Reads each path that is a file and, of each that is a folder, the files below it whose names `accepts`, in path
/// order and each once. Names that start with a dot are passed over: they belong to editors and to the machinery of
/// mounted ConfigMaps. So are backups that end in `~`.
pub fn read_all(paths: &[PathBuf], accepts: impl Fn(&str) -> bool) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for path in paths {
        let mut files = Vec::new();
        collect(path, &accepts, 0, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        for file in files {
            if found.iter().all(|earlier| earlier.path != file.path) {
                found.push(file);
            }
        }
    }
    found
}

fn collect(path: &Path, accepts: &impl Fn(&str) -> bool, depth: usize, files: &mut Vec<Found>) {
    let refuse = |problem: String| Found { path: path.to_owned(), content: Err(problem) };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return files.push(refuse(format!("cannot read {}: {error}", path.display()))),
    };
    if !metadata.is_dir() {
        return files.push(Found { path: path.to_owned(), content: read(path) });
    }
    if depth == DEEPEST_FOLDER {
        return files.push(refuse(format!("{}: folders lie more than {DEEPEST_FOLDER} deep", path.display())));
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return files.push(refuse(format!("cannot list {}: {error}", path.display()))),
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.') && !name.ends_with('~')) else { continue };
        let below = entry.path();
        if fs::metadata(&below).is_ok_and(|metadata| metadata.is_dir()) || accepts(name) {
            collect(&below, accepts, depth + 1, files);
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let problem = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = fs::File::open(path).map_err(problem)?;
    let mut content = Vec::new();
    file.take(LARGEST_FILE_BYTES + 1).read_to_end(&mut content).map_err(problem)?;
    if content.len() as u64 > LARGEST_FILE_BYTES {
        return Err(format!("{} is larger than {} MiB", path.display(), LARGEST_FILE_BYTES >> 20));
    }
    Ok(content)
}
