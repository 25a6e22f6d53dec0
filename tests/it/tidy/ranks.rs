//! A module uses lower ranks only, and the map names every module.

use std::collections::BTreeSet;
use std::fs;

use super::code;

/// Modules and their ranks, as in ARCHITECTURE.md. The others (`demo`, programs) have no rank.
const RANKS: &[(&str, u8)] = &[
    ("model", 1),
    ("config", 2),
    ("nginx", 2),
    ("render", 3),
    ("world", 3),
    ("source", 4),
    ("apply", 4),
    ("announce", 4),
    ("endpoints", 4),
    ("status", 4),
    ("agent", 5),
    ("cli", 6),
];

fn rank_of(module: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

#[test]
fn modules_use_lower_ranks_only() {
    let mut wrong = Vec::new();
    for (name, file) in code::program() {
        let Some(module) = name.split('/').next().filter(|module| rank_of(module).is_some()) else { continue };
        for (position, path) in file.code.match_indices("crate::") {
            let used = &file.code[position + path.len()..];
            let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let is_lower = rank_of(used).is_none_or(|rank| rank < rank_of(module).unwrap());
            if used != module && !is_lower {
                wrong.push(format!("{}: {module} uses {used}", file.place(position)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rank_belongs_to_a_module() {
    let files = code::program();
    let absent = |module: &&str| !files.keys().any(|name| name.starts_with(&format!("{module}/")));
    let absent: Vec<&str> = RANKS.iter().map(|(module, _)| *module).filter(absent).collect();
    assert!(absent.is_empty(), "no such module: {absent:?}");
}

#[test]
fn the_map_names_every_module() {
    let map = fs::read_to_string(code::root().join("ARCHITECTURE.md")).unwrap();
    let modules: BTreeSet<String> =
        code::program().keys().filter_map(|name| name.split_once('/').map(|(module, _)| module.to_owned())).collect();
    let missing: Vec<&String> = modules.iter().filter(|module| !map.contains(&format!("`{module}`"))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:?}");
}
