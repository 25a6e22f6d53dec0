//! Reads a whole folder of texts: conf.d and templates. Follows links, and never returns a file twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirEntry, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::model::path::is_hidden;

/// Size limit of a file in bytes: a larger one is neither a template nor a TOML resource.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum depth of folders: a link cycle would never end.
const MAX_DEPTH: usize = 32;

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// Path below the folder, with `/`.
    pub name: String,
    /// Path as reached.
    pub path: PathBuf,
    /// Its content, or the reason why it cannot be read.
    pub bytes: Result<Vec<u8>, FileProblem>,
}

/// The reason why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The reason, for people.
    pub text: String,
    /// Whether it is larger than it may be: only an edit helps, of the file or of a setting.
    pub is_too_large: bool,
}

impl FileProblem {
    fn new(text: impl ToString) -> FileProblem {
        FileProblem { text: text.to_string(), is_too_large: false }
    }

    fn too_large(text: String) -> FileProblem {
        FileProblem { text, is_too_large: true }
    }
}

/// A folder's texts, and the folders that a watcher must follow to notice any change of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderTexts {
    /// The folder as it was named.
    pub root: PathBuf,
    /// Files by name, in byte order of the name.
    pub files: Vec<TextFile>,
    /// Paths of the files that were not wanted, by name.
    pub others: BTreeMap<String, PathBuf>,
    /// Every folder that was read, links resolved.
    pub folders: BTreeSet<PathBuf>,
    /// The folders that were not read completely, as reached, each with the reason.
    pub unread: BTreeMap<PathBuf, String>,
}

impl FolderTexts {
    /// Returns whether a file may be there although it was not read: its folder, or one above it, was not read completely.
    pub fn may_hold(&self, path: &Path) -> bool {
        self.unread.keys().any(|folder| path.starts_with(folder))
    }

    /// Returns whether something that is there could not be read: no watch tells when it can be.
    pub fn is_partial(&self) -> bool {
        self.unread.keys().any(|folder| std::fs::symlink_metadata(folder).is_ok())
    }

    /// Forgets the hidden folders that were not read: nobody who wants no hidden file misses a repository's own, for example.
    pub fn forget_hidden(&mut self) {
        let root = std::mem::take(&mut self.root);
        let below = |folder: &Path| folder.strip_prefix(&root).unwrap_or(folder).to_string_lossy().into_owned();
        self.unread.retain(|folder, _| !is_hidden(&format!("{}/", below(folder))));
        self.root = root;
    }

    /// Moves those of the `others` to the end of `files` that are named: by one of `names`, or in a text that was read. A text may
    /// compose a path, so the last part of the path as a word is enough. Forgets the rest.
    pub fn read_named<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let mut others: BTreeMap<String, Vec<(String, PathBuf)>> = BTreeMap::new();
        for (name, path) in std::mem::take(&mut self.others) {
            let last_part = name.rsplit('/').next().unwrap_or(&name).to_owned();
            others.entry(last_part).or_default().push((name, path));
        }
        let mut found: Vec<(String, PathBuf)> =
            names.flat_map(words).filter_map(|word| others.remove(word)).flatten().collect();
        let mut next = 0;
        loop {
            self.files.extend(found.drain(..).map(|(name, path)| TextFile { name, ..read_file(&path) }));
            let Some(file) = self.files.get(next).filter(|_| !others.is_empty()) else { return };
            let text = String::from_utf8_lossy(file.bytes.as_deref().unwrap_or_default());
            found.extend(words(&text).filter_map(|word| others.remove(word)).flatten());
            next += 1;
        }
    }
}

/// Returns what stands between blanks, quotes and slashes.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '/'))
}

/// Reads every file below `root` whose name below it `wanted` accepts.
///
/// A ConfigMap shows each file several times (`..data/app.toml`, `..2026_01_01/app.toml`, `app.toml`): folders whose
/// name starts with `..` are ignored, and a file reached twice is returned under its first name only.
/// A link that leads nowhere is reported as that file's problem, except an editor's lock (`.#name`), which is ignored. So is a name
/// that is not UTF-8. A folder that cannot be read, or only in part, is `unread`.
pub fn read_texts(root: &Path, wanted: impl Fn(&str) -> bool) -> FolderTexts {
    read_texts_up_to(usize::MAX, root, wanted)
}

/// Reads a folder of a store as `read_texts` does, and no more than `max_bytes` of its files: the others are reported as too large.
pub fn read_texts_up_to(max_bytes: usize, root: &Path, wanted: impl Fn(&str) -> bool) -> FolderTexts {
    let mut bytes_left = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    let mut folder = FolderTexts { root: root.to_owned(), ..FolderTexts::default() };
    let mut seen = BTreeSet::new();
    let mut found = BTreeMap::new();
    let mut pending = vec![(root.to_owned(), String::new(), 0)];
    while let Some((path, prefix, depth)) = pending.pop() {
        let Some(entries) = list(&path, &mut folder.unread) else { continue };
        // Resolved once for the folder: most files are not links, and their real path follows from it.
        let real_folder = path.canonicalize().unwrap_or_else(|_| path.clone());
        folder.folders.insert(real_folder.clone());
        for entry in entries {
            let file_name = entry.file_name().to_string_lossy().into_owned();
            let name = format!("{prefix}{file_name}");
            match std::fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => {
                    let visit = !file_name.starts_with("..") && depth < MAX_DEPTH;
                    if visit && entry.path().canonicalize().map_or(true, |real| !folder.folders.contains(&real)) {
                        pending.push((entry.path(), format!("{name}/"), depth + 1));
                    }
                }
                _ if file_name.starts_with(".#") => {}
                Err(error) if !wanted(&name) && may_be_folder(&entry, &error) => {
                    folder.unread.insert(entry.path(), failed_to_read(&entry.path(), &error));
                }
                _ if !wanted(&name) => {
                    folder.others.insert(name, entry.path());
                }
                Ok(_) if entry.file_name().to_str().is_none() => {
                    found.insert(name, (entry.path(), entry.path(), Err(FileProblem::new("its name is not UTF-8"))));
                }
                Ok(metadata) => {
                    let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                    let real = if is_link { entry.path().canonicalize().ok() } else { None };
                    let real = real.unwrap_or_else(|| real_folder.join(&file_name));
                    let bytes = read_bytes(&entry.path(), &metadata, bytes_left);
                    bytes_left -= bytes.as_ref().map_or(0, |bytes| bytes.len() as u64).min(bytes_left);
                    found.insert(name, (entry.path(), real, bytes));
                }
                Err(error) => {
                    found.insert(name, (entry.path(), entry.path(), Err(FileProblem::new(error))));
                }
            }
        }
    }
    for (name, (path, real, bytes)) in found {
        folder.folders.extend(real.parent().map(Path::to_owned));
        if seen.insert(real) {
            folder.files.push(TextFile { name, path, bytes });
        }
    }
    folder
}

/// Returns what a folder lists; `None` if it cannot be read. Adds to `unread` why not, or why the list is not complete.
fn list(folder: &Path, unread: &mut BTreeMap<PathBuf, String>) -> Option<Vec<DirEntry>> {
    let mut note = |error| unread.insert(folder.to_owned(), failed_to_read(folder, &error));
    let entries = std::fs::read_dir(folder).map_err(&mut note).ok()?;
    Some(entries.filter_map(|entry| entry.map_err(&mut note).ok()).collect())
}

/// Returns whether an entry that cannot be looked at may be a folder.
fn may_be_folder(entry: &DirEntry, error: &std::io::Error) -> bool {
    error.kind() != ErrorKind::NotFound && !entry.file_type().is_ok_and(|kind| kind.is_file())
}

fn failed_to_read(folder: &Path, error: &std::io::Error) -> String {
    format!("failed to read the folder `{}`: {error}", folder.display())
}

/// Returns whether the path is a folder, links followed.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

/// Reads one file by its path.
pub fn read_file(path: &Path) -> TextFile {
    let bytes = match std::fs::metadata(path) {
        Ok(metadata) => read_bytes(path, &metadata, u64::MAX),
        Err(error) => Err(FileProblem::new(error)),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    TextFile { name, path: path.to_owned(), bytes }
}

fn read_bytes(path: &Path, metadata: &Metadata, bytes_left: u64) -> Result<Vec<u8>, FileProblem> {
    if !metadata.is_file() {
        // Opening a pipe would wait for a writer.
        return Err(FileProblem::new("not a regular file"));
    }
    let length = metadata.len();
    if length > MAX_FILE_BYTES {
        let text = format!("the file has {length} bytes, more than the {MAX_FILE_BYTES} allowed");
        return Err(FileProblem::too_large(text));
    }
    if length > bytes_left {
        let text = format!(
            "the file has {length} bytes, and the files of the folder may have {bytes_left} more (hint: read fewer, or raise \
             --max-store-mib)"
        );
        return Err(FileProblem::too_large(text));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(FileProblem::new)?;
    file.take(length + 1).read_to_end(&mut bytes).map_err(FileProblem::new)?;
    match bytes.len() as u64 > length {
        true => Err(FileProblem::new("the file grew while it was read")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(folder: &FolderTexts) -> Vec<(&str, bool)> {
        folder.files.iter().map(|file| (file.name.as_str(), file.bytes.is_ok())).collect()
    }

    #[test]
    fn a_configmap_layout_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("..2026_01_01");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("app.toml"), "x").unwrap();
        symlink("..2026_01_01", dir.path().join("..data")).unwrap();
        symlink("..data/app.toml", dir.path().join("app.toml")).unwrap();
        let folder = read_texts(dir.path(), |name| name.ends_with("toml"));
        assert_eq!(names(&folder), [("app.toml", true)]);
        assert!(folder.folders.contains(&data.canonicalize().unwrap()), "{:?}", folder.folders);
    }

    #[test]
    fn one_bad_entry_does_not_hide_the_others() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/b.toml"), "b").unwrap();
        std::fs::write(dir.path().join("note.txt"), "n").unwrap();
        symlink("nowhere", dir.path().join("dangling.toml")).unwrap();
        symlink("user@host.1", dir.path().join(".#lock.toml")).unwrap();
        symlink(".", dir.path().join("cycle")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let folder = read_texts(dir.path(), |name| name.ends_with("toml"));
        assert_eq!(names(&folder), [("dangling.toml", false), ("pipe.toml", false), ("sub/b.toml", true)]);
        let missing = read_texts(&dir.path().join("none"), |_| true);
        assert!(missing.may_hold(&dir.path().join("none/sub/a")) && !missing.may_hold(&dir.path().join("a")));
    }

    /// Reads a folder as a user who may read only what everybody may.
    fn read_as_nobody(root: &Path) -> FolderTexts {
        let root = root.to_owned();
        let reading = std::thread::spawn(move || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            read_texts(&root, |name| name.ends_with("toml"))
        });
        reading.join().unwrap()
    }

    #[test]
    fn a_folder_below_that_cannot_be_read_is_no_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let set_mode = |name: &str, mode| {
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for name in [".git", "closed", "closed/deep", "listed", "open"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("a.toml"), "a").unwrap();
        }
        std::fs::create_dir(dir.path().join("listed/deep")).unwrap();
        // Who reads is root's `nobody`, or else the owner. Of `listed` the names can be read, and nothing else.
        let is_root = nix::unistd::geteuid().is_root();
        let modes = [
            ("", 0o755),
            ("open", 0o755),
            (".git", 0o700),
            ("closed", 0o700),
            ("listed", if is_root { 0o744 } else { 0o444 }),
        ];
        modes.into_iter().for_each(|(name, mode)| set_mode(name, mode));
        if !is_root {
            ["closed", ".git"].into_iter().for_each(|name| set_mode(name, 0));
        }
        let mut folder = read_as_nobody(dir.path());
        modes.into_iter().for_each(|(name, _)| set_mode(name, 0o700));
        assert_eq!(names(&folder), [("listed/a.toml", false), ("open/a.toml", true)]);
        let unread: Vec<PathBuf> = [".git", "closed", "listed/deep"].iter().map(|name| dir.path().join(name)).collect();
        assert_eq!(folder.unread.keys().cloned().collect::<Vec<_>>(), unread);
        folder.forget_hidden();
        assert_eq!(folder.unread.keys().cloned().collect::<Vec<_>>(), unread[1..]);
        assert!(folder.may_hold(&dir.path().join("closed/deep/a.toml")));
        assert!(!folder.may_hold(&dir.path().join("closed.toml")) && !folder.may_hold(&dir.path().join("open/b.toml")));
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_reported_if_it_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        for name in [&b"caf\xe9.toml"[..], b"caf\xe9.txt", b"a.toml"] {
            std::fs::write(dir.path().join(OsStr::from_bytes(name)), "a").unwrap();
        }
        let folder = read_texts(dir.path(), |name| name.ends_with("toml"));
        assert_eq!(names(&folder), [("a.toml", true), ("caf\u{fffd}.toml", false)]);
        assert!(folder.unread.is_empty());
    }

    #[test]
    fn other_files_are_read_if_they_are_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".parts")).unwrap();
        for (name, text) in [
            ("a", "{{include \".b\"}} ~ '.parts/c~'"),
            (".b", "{{include (printf \"%s/%s\" `.parts` `.d`)}}"),
            (".parts/c~", ""),
            (".parts/.d", ""),
            (".parts/.e", "a"),
            (".f", ""),
            ("a.swp", ".parts"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut folder = read_texts(dir.path(), |name| name == "a");
        assert_eq!((names(&folder).len(), folder.others.len()), (1, 6));
        folder.read_named(["/.f"].into_iter());
        let names: BTreeSet<&str> = folder.files.iter().map(|file| &*file.name).collect();
        assert_eq!(names, BTreeSet::from(["a", ".b", ".parts/c~", ".parts/.d", ".f"]));
    }
}
