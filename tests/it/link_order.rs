//! The linker script puts functions of ours in order by the names of their modules; a pattern that matches nothing goes
//! unnoticed there.

use std::fs;
use std::path::PathBuf;

use crate::support::package_root;

/// The modules, types and functions that a mangled path names: each is its length and then its name.
fn names(mut mangled: &str) -> Vec<&str> {
    let mut names = Vec::new();
    loop {
        let digits = mangled.len() - mangled.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Ok(length) = mangled[..digits].parse::<usize>() else { return names };
        let Some(name) = mangled.get(digits..digits + length) else { return names };
        names.push(name);
        mangled = &mangled[digits + length..];
    }
}

/// The file of a module, if there is one.
fn file_of(modules: &[&str]) -> Option<PathBuf> {
    let path: PathBuf = [package_root().join("src"), modules.iter().collect()].iter().collect();
    [path.with_extension("rs"), path.join("mod.rs")].into_iter().find(|file| file.is_file())
}

/// Checks whether a path leads to a module, or to a type or function that its module's file declares.
fn exists(names: &[&str]) -> bool {
    let modules = (1..=names.len()).take_while(|length| file_of(&names[..*length]).is_some()).count();
    let Some(file) = file_of(&names[..modules]) else { return false };
    let text = fs::read_to_string(file).unwrap();
    let declares = |name: &&str| {
        ["fn", "struct", "enum", "trait"].iter().any(|kind| {
            let declaration = format!("{kind} {name}");
            text.match_indices(&declaration).any(|(at, _)| {
                !text[at + declaration.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            })
        })
    };
    names[modules..].iter().all(declares)
}

#[test]
fn every_path_in_the_linker_script_exists() {
    let script = fs::read_to_string(package_root().join("packaging/seldom.ld")).unwrap();
    let paths: Vec<Vec<&str>> =
        script.split("upstreamd").skip(1).map(names).filter(|names| !names.is_empty()).collect();
    let missing: Vec<String> =
        paths.iter().filter(|names| !exists(names)).map(|names| format!("upstreamd::{}", names.join("::"))).collect();
    assert!(paths.len() > 30, "only {} paths are found", paths.len());
    assert!(missing.is_empty(), "packaging/seldom.ld names what does not exist: {}", missing.join(", "));
}
