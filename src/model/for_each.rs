//! `for_each`: one resource, one file for each name that its pattern finds in the store. Pure: which names a view has,
//! and which file each name stands for. A name can choose a file within `dest`'s folder and nothing else.

use std::path::PathBuf;

use super::glob::Glob;
use super::view::View;

/// Longest file name; the kernel takes 255 bytes, and stage files and backups need some of them.
const MAX_NAME_BYTES: usize = 180;

/// Source of names, and pattern of the files that they make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForEach {
    source: NameSource,
    dest: DestPattern,
}

/// Part of the store's paths as names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSource {
    /// The directory that holds the names, without its trailing slash.
    directory: String,
    /// Pattern of a name.
    name: Glob,
    /// Path that must exist below a name: empty, or for example `/enabled`.
    below: String,
    /// Whether only names with keys below them count.
    only_directories: bool,
}

/// Error of a pattern that gives no names, with a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadNameSource {
    /// Problem, as a phrase.
    pub problem: &'static str,
    /// Advice.
    pub hint: &'static str,
}

impl NameSource {
    /// Reads a pattern: `/vhosts` and `/vhosts/*` stand for every name below `/vhosts`, `/vhosts/*/` for those that are
    /// directories, `/vhosts/*/enabled` for those that have that key.
    ///
    /// # Errors
    /// More than one part has a wildcard, or a class is not closed.
    pub fn parse(pattern: &str) -> Result<NameSource, BadNameSource> {
        let is_wild = |part: &str| part.contains(['*', '?', '[', '\\']);
        let bad = |problem, hint| BadNameSource { problem, hint };
        let (path, only_directories) = match pattern.strip_suffix('/') {
            Some(path) => (path, true),
            None => (pattern, false),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let Some(at) = parts.iter().position(|part| is_wild(part)) else {
            // A directory means everything directly in it, as for `ls`.
            let name = Glob::parse("*").map_err(|_| bad("is not a pattern", "write for example \"/vhosts/*\""))?;
            let (directory, below) = (path.to_owned(), String::new());
            return Ok(NameSource { directory, name, below, only_directories: false });
        };
        if parts[at + 1..].iter().any(|part| is_wild(part)) {
            return Err(bad(
                "has more than one part with a wildcard",
                "the one part with a wildcard is the name of a file",
            ));
        }
        let name = Glob::parse(parts[at]).map_err(|_| {
            bad("has a class that is not closed, or a backslash at its end", "write for example \"/vhosts/*\"")
        })?;
        let below = parts[at + 1..].iter().map(|part| format!("/{part}")).collect();
        Ok(NameSource { directory: parts[..at].join("/"), name, below, only_directories })
    }

    /// Returns the directory that holds the names, without its trailing slash: `""` is the root.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Returns the names, in byte order.
    pub fn names<'v>(&self, view: &'v View) -> Vec<&'v str> {
        let is_there = |name: &str, is_key: bool, is_directory: bool| {
            let path = format!("{}/{name}{}", self.directory, self.below);
            match (self.below.is_empty(), self.only_directories) {
                (true, true) => is_directory,
                (true, false) => is_key || is_directory,
                (false, true) => view.has_directory(&path),
                (false, false) => view.get(&path).is_some() || view.has_directory(&path),
            }
        };
        let children = view.children(&format!("{}/", self.directory));
        let wanted = children
            .iter()
            .filter(|(name, child)| self.name.matches(name) && is_there(name, child.is_key, child.is_directory));
        wanted.map(|(name, _)| *name).collect()
    }
}

/// Returns whether a name means nothing to a shell, however deep in the quotes of a command it stands: `sh -c "test -f {{.src}}"`.
pub fn is_plain(name: &str) -> bool {
    // A leading dash would be an option where a command takes the name apart.
    !name.starts_with('-') && name.chars().all(|c| c.is_alphanumeric() || "_-.,+@%:=".contains(c))
}

/// A `dest` with `{{ item }}` in its file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestPattern {
    /// The folder that all files are in.
    pub folder: PathBuf,
    /// The file name around each `{{ item }}`: one text more than there are places.
    texts: Vec<String>,
}

impl DestPattern {
    /// Returns a pattern of a folder and the texts around each place for the name; `None` for fewer than two texts.
    pub fn new(folder: PathBuf, texts: Vec<String>) -> Option<DestPattern> {
        (texts.len() > 1).then_some(DestPattern { folder, texts })
    }

    /// Returns the file of a name.
    ///
    /// # Errors
    /// The name would leave the folder, or makes no valid file name.
    pub fn file(&self, item: &str) -> Result<PathBuf, &'static str> {
        let name = self.texts.join(item);
        if item.is_empty() {
            return Err("it is empty");
        }
        if item.contains('/') || matches!(item, "." | "..") {
            return Err("it would leave the folder");
        }
        if item.chars().any(char::is_control) {
            return Err("it has a control character");
        }
        if name.starts_with('.') && self.texts[0].is_empty() {
            return Err("the file would be a hidden one");
        }
        if name.len() > MAX_NAME_BYTES {
            return Err("the file name would be longer than 180 bytes");
        }
        Ok(self.folder.join(name))
    }

    /// Returns whether a file of this name could match this pattern.
    pub fn could_be(&self, name: &str) -> bool {
        let (first, last) = (self.texts.first(), self.texts.last());
        let (first, last) = (first.map_or("", String::as_str), last.map_or("", String::as_str));
        name.len() > first.len() + last.len() && name.starts_with(first) && name.ends_with(last)
    }
}

impl ForEach {
    /// Returns a `for_each` with these names and files.
    pub fn new(source: NameSource, dest: DestPattern) -> ForEach {
        ForEach { source, dest }
    }

    /// Returns the names that `view` has, in byte order, each with its file or the reason why it can have no file.
    pub fn files<'v>(&self, view: &'v View) -> Vec<(&'v str, Result<PathBuf, &'static str>)> {
        self.source.names(view).into_iter().map(|name| (name, self.dest.file(name))).collect()
    }

    /// Returns the pattern of the files.
    pub fn dest(&self) -> &DestPattern {
        &self.dest
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::key::{Key, Revision, Value};
    use crate::model::range::KeyRanges;
    use crate::model::tree::Tree;

    const STORE: &[&str] = &[
        "/vhosts/app1",
        "/vhosts/app2/enabled",
        "/vhosts/app2/port",
        "/vhosts/web/port",
        "/vhosts/web/x/y",
        "/vhosts2/no",
        "/top",
    ];

    fn check(pattern: &str, expected: &[&str]) {
        let tree = Tree::from_entries(Revision(1), STORE.iter().map(|key| (Key::from(*key), Value::from("v"))));
        let view = View::new(tree, Arc::from(""), KeyRanges::of_directories(["/"]));
        assert_eq!(NameSource::parse(pattern).unwrap().names(&view), expected, "{pattern}");
    }

    #[test]
    fn patterns_give_names() {
        check("/vhosts/*", &["app1", "app2", "web"]);
        check("/vhosts", &["app1", "app2", "web"]);
        check("/vhosts/", &["app1", "app2", "web"]);
        check("/vhosts/*/", &["app2", "web"]);
        check("/vhosts/app*", &["app1", "app2"]);
        check("/vhosts/app[2-9]/", &["app2"]);
        check("/vhosts/*/enabled", &["app2"]);
        check("/vhosts/*/port", &["app2", "web"]);
        check("/vhosts/*/x/", &["web"]);
        check("/vhosts/*/x", &["web"]);
        check("/vhosts/*/port/", &[]);
        check("/*", &["top", "vhosts", "vhosts2"]);
        check("/none/*", &[]);
    }

    #[test]
    fn what_gives_no_names_is_refused() {
        for pattern in ["/a/*/*", "/a/*/b?/c", "/a/[b", "/a/b\\"] {
            assert!(NameSource::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_means_something_to_a_shell_is_no_plain_name() {
        for name in ["app1", "www.example.com", "a_b-c", "größe", "a@b:80", "50%", "k=v,w+x"] {
            assert!(is_plain(name), "{name}");
        }
        assert!(!is_plain("-rf") && !is_plain("--"));
        for c in " !\"#$&'()*;<>?[\\]^`{|}~\u{a0}".chars() {
            assert!(!is_plain(&format!("a{c}b")), "{c:?}");
        }
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        let dest = |texts: &[&str]| {
            DestPattern::new("/etc/sites".into(), texts.iter().map(|text| (*text).to_owned()).collect()).unwrap()
        };
        let plain = dest(&["", ".conf"]);
        let twice = dest(&["a-", "-", ".conf"]);
        assert_eq!(plain.file("app1"), Ok("/etc/sites/app1.conf".into()));
        assert_eq!(twice.file("x"), Ok("/etc/sites/a-x-x.conf".into()));
        assert_eq!(twice.file(".x"), Ok("/etc/sites/a-.x-.x.conf".into()));
        for item in ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b", "a\nb", ".hidden", &"x".repeat(176)] {
            assert!(plain.file(item).is_err(), "{item:?}");
        }
        assert!(plain.could_be("x.conf") && !plain.could_be(".conf") && !plain.could_be("x.con"));
        assert!(twice.could_be("a-x-x.conf") && !twice.could_be("b-x.conf"));
        assert_eq!(DestPattern::new("/".into(), vec!["x".into()]), None);
    }
}
