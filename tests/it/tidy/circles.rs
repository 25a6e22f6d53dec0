//! No circle of imports between files: you can read what a file uses before the file itself, and come to an end. A module and the
//! files below it are one here: that `a/b.rs` uses a type of `a/mod.rs` makes no circle.

use std::collections::{BTreeMap, BTreeSet};

use super::code;
use super::imports::Imports;

type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Returns everything that can be reached from `start`.
fn reached<'a>(edges: &Edges<'a>, start: &str) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
    while let Some(file) = open.pop() {
        for used in edges.get(file).into_iter().flatten() {
            if seen.insert(*used) {
                open.push(used);
            }
        }
    }
    seen
}

/// Returns each set of files that all reach each other, as one line.
fn circles(edges: &Edges) -> Vec<String> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (*file, reached(edges, file))).collect();
    let circle = |file: &str| {
        let with = reach[file].iter().filter(|other| reach[**other].contains(file));
        with.copied().collect::<Vec<&str>>().join(" ")
    };
    let found: BTreeSet<String> =
        edges.keys().filter(|file| reach[**file].contains(**file)).map(|file| circle(file)).collect();
    found.into_iter().collect()
}

/// Returns whether `upper` is the file of a module that `file` is part of: `a/mod.rs` and `a/b.rs` are above `a/b/c.rs`.
fn is_above(upper: &str, file: &str) -> bool {
    let module = upper.strip_suffix("mod.rs").map(str::to_owned).unwrap_or(upper.replace(".rs", "/"));
    file.starts_with(&module)
}

#[test]
fn no_file_comes_back_to_itself_by_its_imports() {
    let files = code::program();
    let imports = Imports::of(files);
    let mut edges = imports.by_file();
    for (file, used) in &mut edges {
        used.retain(|used| !is_above(used, file));
    }
    let found = circles(&edges);
    assert!(found.is_empty(), "circles of imports:\n{}", found.join("\n"));
}

#[test]
fn circles_are_found() {
    let edge = |from, to: &[&'static str]| (from, to.iter().copied().collect());
    let edges: Edges = [edge("a", &["b"]), edge("b", &["c"]), edge("c", &["b", "d"]), edge("d", &[])].into();
    assert_eq!(circles(&edges), ["b c"]);
}
