//! Case files: text cut into sections by lines that start with `$$ name`. `UPDATE_EXPECT=1` rewrites `$$ expect`.

use super::package_root;
use std::path::{Path, PathBuf};

/// One section: what stands after `$$`, and the lines below it.
pub struct Section {
    pub title: String,
    pub text: String,
}

/// One case file.
pub struct Case {
    pub path: PathBuf,
    pub sections: Vec<Section>,
}

impl Case {
    fn read(path: &Path) -> Case {
        let mut sections: Vec<Section> = Vec::new();
        for line in std::fs::read_to_string(path).unwrap().split_inclusive('\n') {
            match (line.strip_prefix("$$ "), sections.last_mut()) {
                (Some(title), _) => sections.push(Section { title: title.trim().to_owned(), text: String::new() }),
                (None, Some(section)) => section.text.push_str(line),
                (None, None) => panic!("{}: text before the first `$$ `", path.display()),
            }
        }
        Case { path: path.to_owned(), sections }
    }

    /// The text of a section that may be missing.
    pub fn text(&self, title: &str) -> &str {
        self.sections.iter().find(|section| section.title == title).map_or("", |section| &section.text)
    }
}

/// Hands every case of `tests/cases/<folder>` over.
pub fn each(folder: &str, mut look: impl FnMut(&Case)) {
    let paths = paths(folder);
    paths.iter().for_each(|path| look(&Case::read(path)));
}

fn paths(folder: &str) -> Vec<PathBuf> {
    let root = package_root().join("tests/cases").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no cases", root.display());
    paths
}

/// Runs every `*.txt` below `tests/cases/<folder>` and compares with its `$$ expect`; lists all that differ.
#[track_caller]
pub fn run(folder: &str, run_case: impl Fn(&Case) -> String) {
    let paths = paths(folder);
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut failures = Vec::new();
    for path in paths {
        let mut case = Case::read(&path);
        let mut actual = run_case(&case);
        if !actual.ends_with('\n') {
            actual.push('\n');
        }
        if case.text("expect") == actual {
            continue;
        }
        if update {
            case.sections.retain(|section| section.title != "expect");
            case.sections.push(Section { title: "expect".to_owned(), text: actual });
            let text: String = case.sections.iter().map(|s| format!("$$ {}\n{}", s.title, s.text)).collect();
            std::fs::write(&path, text).unwrap();
        } else {
            let expected = case.text("expect");
            failures.push(format!("{}\n--- expected\n{expected}--- got\n{actual}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{} case(s) differ:\n{}", failures.len(), failures.join("\n"));
}
