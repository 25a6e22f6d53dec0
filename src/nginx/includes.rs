//! Which files nginx reads: those that its main configuration includes, and those that a directive names. Pure: callers read the
//! files and list the folders. Says nothing where it cannot be sure.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};

use super::tokens;
use crate::model::glob::Glob;
use crate::model::problem::Problem;

/// Most files that are read to find an include. nginx reads more only where one folder has thousands.
const MAX_FILES: usize = 1000;
/// Most includes that a hint lists.
const MAX_SHOWN: usize = 3;

/// Questions about the disk.
pub trait ConfFiles {
    /// Returns the text of a file; `None` if it cannot be read.
    fn text(&self, file: &Path) -> Option<String>;
    /// Returns the names in a folder.
    fn names(&self, folder: &Path) -> Vec<String>;
    /// Returns the path with every link resolved; `None` if nothing is there.
    fn real(&self, path: &Path) -> Option<PathBuf>;
}

/// The main configuration of an nginx, with the folder at which other relative paths start.
#[derive(Clone, Copy, Debug)]
pub struct MainConf<'a> {
    /// The file. Paths of includes start at its folder.
    pub file: &'a Path,
    /// nginx's prefix.
    pub prefix: &'a Path,
}

/// A file of which it is asked whether nginx reads it, with all links resolved.
struct FileInQuestion<'f> {
    file: &'f Path,
    real: Option<PathBuf>,
    real_folder: Option<PathBuf>,
}

/// A pattern of an include, with what it stands for now.
struct Include {
    pattern: PathBuf,
    name: String,
    paths: Vec<PathBuf>,
    /// The same with all links resolved.
    real_paths: BTreeSet<PathBuf>,
    /// The folders that its files are in, with all links resolved.
    real_folders: BTreeSet<PathBuf>,
}

/// Returns a problem for each of these files that nginx never reads; `None` if that is uncertain, because a file cannot be read or has a
/// program in it. Asks the disk once for each file and each pattern, however many of the other there are.
pub fn unread<'f>(conf: MainConf<'_>, wanted: &[&'f Path], files: &dyn ConfFiles) -> Option<Vec<(&'f Path, Problem)>> {
    let real_conf = files.real(conf.file);
    let mut left: Vec<FileInQuestion<'f>> = wanted.iter().map(|file| FileInQuestion::find(file, files)).collect();
    left.retain(|wanted| wanted.file != conf.file && (real_conf.is_none() || wanted.real != real_conf));
    let mut includes: Vec<Include> = Vec::new();
    let mut read = BTreeSet::new();
    let mut queue = VecDeque::from([conf.file.to_owned()]);
    while let Some(file) = queue.pop_front().filter(|_| !left.is_empty()) {
        if !read.insert(files.real(&file)) {
            continue;
        }
        let text = files.text(&file).filter(|text| read.len() <= MAX_FILES && !has_program(text))?;
        let (mut found, mut named) = (Vec::new(), Vec::new());
        for directive in tokens::directives(&text) {
            let mut words = directive.words.into_iter();
            if words.next().as_deref() != Some("include") {
                named.extend(words.filter_map(|word| conf.named(&word)));
                continue;
            }
            let Some(pattern) = words.next().map(|pattern| conf.folder().join(pattern)) else { continue };
            // Outside of all blocks modules are loaded: no place for servers.
            found.push((pattern, directive.depth > 0 || file != conf.file));
        }
        left.retain(|wanted| !found.iter().any(|(pattern, _)| fits(pattern, wanted.file)));
        if left.is_empty() {
            break;
        }
        left.retain(|wanted| !named.iter().any(|place| wanted.is_at(place)));
        for (pattern, has_servers) in found {
            let include = Include::find(pattern, files);
            left.retain(|wanted| !include.leads_to(wanted));
            queue.extend(include.paths.iter().cloned());
            includes.extend(Some(include).filter(|_| has_servers));
        }
    }
    Some(left.into_iter().map(|wanted| (wanted.file, problem(conf.file, &wanted, &includes))).collect())
}

/// The files that an argument of a directive may name.
struct NamedPlace {
    /// The path, as it starts at nginx's configuration and at its prefix.
    paths: [PathBuf; 2],
    /// Whether a variable follows, which may stand for anything.
    is_open: bool,
}

impl MainConf<'_> {
    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// Returns what an argument may name; `None` if that could be everything.
    fn named(&self, word: &str) -> Option<NamedPlace> {
        let (start, is_open) = word.split_once('$').map_or((word, false), |(start, _)| (start, true));
        let is_path = !(start.is_empty() || start == "/");
        is_path.then(|| NamedPlace { paths: [self.folder().join(start), self.prefix.join(start)], is_open })
    }
}

impl<'f> FileInQuestion<'f> {
    fn find(file: &'f Path, files: &dyn ConfFiles) -> FileInQuestion<'f> {
        FileInQuestion {
            file,
            real: files.real(file),
            real_folder: file.parent().and_then(|folder| files.real(folder)),
        }
    }

    /// Returns whether it is the file, or in the folder, that an argument names.
    fn is_at(&self, place: &NamedPlace) -> bool {
        place.paths.iter().any(|path| {
            [Some(self.file), self.real.as_deref()].into_iter().flatten().any(|file| match place.is_open {
                true => file.to_string_lossy().starts_with(&*path.to_string_lossy()),
                false => file.starts_with(path),
            })
        })
    }

    fn name(&self) -> String {
        name_of(self.file)
    }
}

impl Include {
    fn find(pattern: PathBuf, files: &dyn ConfFiles) -> Include {
        let paths = expanded(&pattern, files);
        let real = |paths: &[PathBuf]| paths.iter().filter_map(|path| files.real(path)).collect();
        let folders = pattern.parent().map(|folders| expanded(folders, files)).unwrap_or_default();
        Include { name: name_of(&pattern), real_paths: real(&paths), real_folders: real(&folders), pattern, paths }
    }

    /// Returns whether it takes the file by a path that leads through a link: its folder or the file itself is one.
    fn leads_to(&self, wanted: &FileInQuestion<'_>) -> bool {
        let is_included = || wanted.real.as_ref().is_some_and(|real| self.real_paths.contains(real));
        is_included() || self.has_folder_of(wanted) && takes(&self.name, &wanted.name())
    }

    /// Returns whether a file is in the folder, or in one of the folders, of the pattern.
    fn has_folder_of(&self, wanted: &FileInQuestion<'_>) -> bool {
        let folders = [&self.pattern, wanted.file].map(|path: &Path| path.parent());
        let is_same = folders[0].is_some() && folders[0] == folders[1];
        is_same || wanted.real_folder.as_ref().is_some_and(|real| self.real_folders.contains(real))
    }

    fn is_wild(&self) -> bool {
        is_wild(&self.pattern.to_string_lossy())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns whether a configuration has a program in it, which may contain anything and read any file.
fn has_program(text: &str) -> bool {
    ["_by_lua", "perl_modules", "perl_set"].into_iter().any(|directive| text.contains(directive))
}

fn is_wild(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Returns whether a pattern without slashes takes a name. As for the shell, a wildcard takes no dot at the start.
fn takes(pattern: &str, name: &str) -> bool {
    if !is_wild(pattern) {
        return pattern == name;
    }
    let is_hidden = name.starts_with('.') && !pattern.starts_with('.');
    !is_hidden && Glob::parse(&pattern.replace("[!", "[^")).is_ok_and(|glob| glob.matches(name))
}

/// Returns whether a pattern takes this path as it is written.
fn fits(pattern: &Path, file: &Path) -> bool {
    if !is_wild(&pattern.to_string_lossy()) {
        return pattern == file;
    }
    if let (Some(name), Some(last)) = (file.file_name(), pattern.file_name())
        && pattern.parent() == file.parent()
    {
        return takes(&last.to_string_lossy(), &name.to_string_lossy());
    }
    let parts = |path: &Path| path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let (pattern, file): (Vec<String>, Vec<String>) = (parts(pattern), parts(file));
    pattern.len() == file.len() && pattern.iter().zip(&file).all(|(pattern, part)| takes(pattern, part))
}

/// Returns the paths that a pattern stands for now.
fn expanded(pattern: &Path, files: &dyn ConfFiles) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/")];
    let mut is_found = false;
    for part in pattern.components().filter(|part| !matches!(part, Component::RootDir)) {
        let part = part.as_os_str().to_string_lossy();
        if is_wild(&part) {
            let below = |folder: &PathBuf| {
                let names = files.names(folder).into_iter().filter(|name| takes(&part, name));
                names.map(|name| folder.join(name)).collect::<Vec<_>>()
            };
            paths = paths.iter().flat_map(below).collect();
            is_found = true;
        } else {
            paths.iter_mut().for_each(|path| path.push(&*part));
        }
    }
    // A path without wildcards has to exist, which is nginx's business; others are only those that do.
    paths.retain(|path| !is_found || files.real(path).is_some());
    paths
}

fn problem(conf: &Path, wanted: &FileInQuestion<'_>, includes: &[Include]) -> Problem {
    let (conf, shown) = (conf.display(), wanted.file.display());
    let message = format!("nginx never reads `{shown}`: `{conf}` does not include it");
    Problem::new(message).hint(hint(&conf.to_string(), wanted, includes))
}

fn hint(conf: &str, wanted: &FileInQuestion<'_>, includes: &[Include]) -> String {
    let (file, name) = (wanted.file, wanted.name());
    let wild: Vec<&Include> = includes.iter().filter(|include| include.is_wild()).collect();
    if let Some(near) = wild.iter().find(|include| include.has_folder_of(wanted)) {
        let (pattern, near) = (&near.name, near.pattern.display());
        if name.starts_with('.') {
            return format!("`include {near}` leaves out names that begin with a dot: choose another name");
        }
        let suffix = pattern.strip_prefix('*').filter(|suffix| !is_wild(suffix));
        let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let example = suffix.map(|suffix| format!(", `{stem}{suffix}` for example")).unwrap_or_default();
        return format!("`include {near}` takes other names only: choose such a name{example}");
    }
    let enabled = file.parent().filter(|folder| folder.ends_with("sites-available"));
    let enabled = enabled.map(|folder| folder.with_file_name("sites-enabled"));
    if let Some(enabled) =
        enabled.filter(|enabled| wild.iter().any(|include| include.pattern.parent() == Some(enabled)))
    {
        let (file, enabled) = (file.display(), enabled.display());
        return format!("link it: `ln -s {file} {enabled}/`");
    }
    let file = file.display();
    if name == "nginx.conf" {
        return format!("if it is the main configuration, name it in both commands: `nginx -c {file}`");
    }
    let shown: Vec<String> =
        wild.iter().take(MAX_SHOWN).map(|include| format!("`{}`", include.pattern.display())).collect();
    let or = if shown.is_empty() {
        String::new()
    } else {
        format!(", or choose a dest that nginx reads already: {}", shown.join(", "))
    };
    format!("write `include {file};` into `{conf}`{or}")
}

#[cfg(test)]
mod tests;
