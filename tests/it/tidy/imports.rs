//! Which file of the program uses which: the paths in its code, followed through the module tree and through names that are passed on.

use std::collections::{BTreeMap, BTreeSet};

use super::code::File;

/// The modules of the program, and what each of them brings into scope.
pub struct Imports {
    modules: BTreeMap<Vec<String>, Module>,
}

struct Module {
    file: String,
    /// Absolute paths by the name that they have here.
    names: BTreeMap<String, Vec<String>>,
    /// Absolute paths that the file mentions.
    mentioned: Vec<Vec<String>>,
}

impl Imports {
    /// Reads the program's files. Programs of their own (`main.rs`, `bin/`) are used by nobody and left out.
    pub fn of(files: &BTreeMap<String, File>) -> Imports {
        let is_library = |file: &&File| file.name != "main.rs" && !file.name.starts_with("bin/");
        let paths: BTreeSet<Vec<String>> = files.values().filter(is_library).map(File::module).collect();
        let read = |file: &File| {
            let here = file.module();
            let words = words(&file.code);
            let (names, mentioned) = Reader { here: &here, paths: &paths }.read(&words);
            (here.clone(), Module { file: file.name.clone(), names, mentioned })
        };
        Imports { modules: files.values().filter(is_library).map(read).collect() }
    }

    /// Returns the files that each file uses, itself left out.
    pub fn by_file(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let uses = |module: &Module| {
            module.mentioned.iter().filter_map(|path| self.file_of(path, 0)).collect::<BTreeSet<&str>>()
        };
        let mut edges: BTreeMap<&str, BTreeSet<&str>> =
            self.modules.values().map(|module| (module.file.as_str(), uses(module))).collect();
        for (file, used) in &mut edges {
            used.remove(file);
        }
        edges
    }

    /// Returns the file that declares what an absolute path names.
    fn file_of(&self, path: &[String], depth: usize) -> Option<&str> {
        let known = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let module = &self.modules[&path[..known]];
        // A name that this module only passes on.
        if let Some(target) = path.get(known).and_then(|name| module.names.get(name))
            && depth < 8
        {
            let target: Vec<String> = target.iter().chain(&path[known + 1..]).cloned().collect();
            return self.file_of(&target, depth + 1);
        }
        Some(&module.file)
    }
}

/// Names, `::` and marks.
fn words(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if first.is_alphanumeric() || first == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    words
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

struct Reader<'a> {
    here: &'a [String],
    paths: &'a BTreeSet<Vec<String>>,
}

type Names = BTreeMap<String, Vec<String>>;

impl Reader<'_> {
    fn read(&self, words: &[&str]) -> (Names, Vec<Vec<String>>) {
        let (mut names, mut mentioned) = (Names::new(), Vec::new());
        let mut at = 0;
        while at < words.len() {
            if words[at] == "use" {
                let mut leaves = Vec::new();
                at = leaves_of(words, at + 1, Vec::new(), &mut leaves);
                for (path, name) in leaves {
                    let Some(path) = self.absolute(&path) else { continue };
                    mentioned.push(path.clone());
                    names.insert(name, path);
                }
                continue;
            }
            let begins = is_name(words[at]) && words.get(at + 1) == Some(&"::") && (at == 0 || words[at - 1] != "::");
            if begins {
                let end = (at..).step_by(2).find(|end| {
                    words.get(end + 1) != Some(&"::") || !words.get(end + 2).is_some_and(|word| is_name(word))
                });
                let path: Vec<&str> = (at..=end.unwrap_or(at)).step_by(2).map(|at| words[at]).collect();
                mentioned.extend(self.absolute(&path));
            }
            at += 1;
        }
        (names, mentioned)
    }

    /// Returns a path from the top of the crate; `None` for a path into a different crate, or to an item of this file.
    fn absolute(&self, path: &[&str]) -> Option<Vec<String>> {
        let mut base = match *path.first()? {
            "crate" => Vec::new(),
            "self" | "super" => self.here.to_vec(),
            child => {
                let module: Vec<String> = self.here.iter().cloned().chain([child.to_owned()]).collect();
                return self.paths.contains(&module).then(|| joined(module, &path[1..]));
            }
        };
        let supers = path.iter().take_while(|word| **word == "super").count();
        base.truncate(base.len().saturating_sub(supers));
        Some(joined(base, &path[supers.max(1)..]))
    }
}

fn joined(base: Vec<String>, rest: &[&str]) -> Vec<String> {
    base.into_iter().chain(rest.iter().filter(|word| **word != "self").map(|word| (*word).to_owned())).collect()
}

/// Reads one tree of a `use`, and returns its end. Each leaf has its path and the name it gets here.
fn leaves_of<'a>(
    words: &[&'a str],
    mut at: usize,
    mut path: Vec<&'a str>,
    leaves: &mut Vec<(Vec<&'a str>, String)>,
) -> usize {
    while let Some(word) = words.get(at) {
        match *word {
            "::" => at += 1,
            "{" => {
                at += 1;
                while words.get(at).is_some_and(|word| *word != "}") {
                    at = leaves_of(words, at, path.clone(), leaves);
                    at += usize::from(words.get(at) == Some(&","));
                }
                return at + 1;
            }
            "as" => {
                leaves.push((path, words.get(at + 1).copied().unwrap_or_default().to_owned()));
                return at + 2;
            }
            "*" => {
                leaves.push((path, "*".to_owned()));
                return at + 1;
            }
            name if is_name(name) => {
                path.push(name);
                at += 1;
            }
            _ => break,
        }
    }
    let name = path.iter().rev().find(|word| **word != "self").copied().unwrap_or_default().to_owned();
    leaves.push((path, name));
    at
}

#[test]
fn paths_lead_to_the_file_that_declares_the_name() {
    let files = [
        ("lib.rs", "pub mod a; pub mod b;"),
        ("a/mod.rs", "mod inner; pub use inner::Thing; pub fn own() {}"),
        ("a/inner.rs", "pub struct Thing; use super::own;"),
        (
            "b.rs",
            "use crate::a::{self, Thing as Other}; fn f() { super::a::own(); b2::g(); std::mem::drop(1) } mod b2;",
        ),
        ("b/b2.rs", "pub fn g() { let x: crate::a::Thing = self::h(); }"),
    ];
    let files = files.into_iter().map(|(name, text)| (name.to_owned(), File::new(name, text.to_owned()))).collect();
    let imports = Imports::of(&files);
    let edges = imports.by_file();
    let used = |file: &str| edges[file].iter().copied().collect::<Vec<_>>().join(" ");
    assert_eq!(used("a/mod.rs"), "a/inner.rs");
    assert_eq!(used("a/inner.rs"), "a/mod.rs");
    assert_eq!(used("b.rs"), "a/inner.rs a/mod.rs b/b2.rs");
    assert_eq!(used("b/b2.rs"), "a/inner.rs");
}
