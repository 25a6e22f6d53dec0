//! No type name is declared twice, and every dependency has a reason.

use std::collections::BTreeMap;
use std::fs;

use super::code;

/// Type names that stand in more than one file, each with the reason.
const NAMES_THAT_STAND_TWICE: &[(&str, &str)] =
    &[("Arguments", "each demo program has its own"), ("Settings", "of the module, qualified by use")];

/// The type that this line declares, if it stands at the outermost level.
fn declared_type(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or("", |(_, rest)| rest),
        None => rest,
    });
    let (keyword, rest) = line.trim_start_matches(' ').split_once(' ')?;
    let declares = matches!(keyword, "struct" | "enum" | "trait" | "type");
    rest.split(|c: char| !c.is_alphanumeric()).next().filter(|name| declares && !name.is_empty())
}

#[test]
fn no_type_name_stands_twice_without_a_reason() {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, file) in code::program() {
        for declared in file.code.lines().filter(|line| !line.starts_with(' ')).filter_map(declared_type) {
            files.entry(declared).or_default().push(format!("src/{name}"));
        }
    }
    let allowed = |name: &str| NAMES_THAT_STAND_TWICE.iter().any(|(allowed, _)| *allowed == name);
    let twice: Vec<String> = files
        .iter()
        .filter(|(name, files)| files.len() > 1 && !allowed(name))
        .map(|(name, files)| format!("{name}: {}", files.join(" ")))
        .collect();
    assert!(twice.is_empty(), "{}", twice.join("\n"));
    let once = |name: &str| files.get(name).is_none_or(|files| files.len() < 2);
    let stale: Vec<&str> = NAMES_THAT_STAND_TWICE.iter().map(|(name, _)| *name).filter(|name| once(name)).collect();
    assert!(stale.is_empty(), "no longer twice: {stale:?}");
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = fs::read_to_string(code::root().join("Cargo.toml")).unwrap();
    let mut table = "";
    let mut before = "";
    let mut wrong = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            table = line;
        } else if table.ends_with("dependencies]") && line.contains(" = ") && !before.starts_with("# ") {
            wrong.push(line);
        }
        before = line;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
