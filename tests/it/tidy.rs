//! The rules of ARCHITECTURE.md that a machine can check: ranks, purity, file headers, sizes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module ranks: a module uses lower ranks only.
const RANKS: &[(&str, u8)] = &[
    ("model", 1),
    ("config", 2),
    ("nginx", 2),
    ("render", 3),
    ("world", 3),
    ("source", 4),
    ("apply", 4),
    ("announce", 4),
    ("status", 4),
    ("agent", 5),
    ("cli", 6),
];

/// Folders and files that decide and never act.
const PURE: &[&str] = &[
    "model/",
    "config/",
    "nginx/",
    "render/",
    "source/session",
    "announce/draining.rs",
    "announce/ending.rs",
    "announce/health.rs",
    "announce/layout.rs",
    "announce/registrar",
    "announce/roster.rs",
    "apply/machine",
    "apply/plan.rs",
    "apply/group.rs",
    "status/board",
    "status/histogram.rs",
    "status/metrics",
    "status/names.rs",
    "status/pages.rs",
    "status/systemd.rs",
    "agent/schedule",
    "agent/supervision.rs",
    "agent/receipts.rs",
    "agent/touched.rs",
];

/// What a pure file does not mention.
const EFFECTS: &[&str] = &[
    "tokio::",
    "std::fs::",
    "std::process::",
    "std::net::Tcp",
    "std::net::Udp",
    "Instant::now",
    "SystemTime::now",
    "std::env::var",
    "std::thread::spawn",
];

/// Longer files need a reason here.
const LONGEST: usize = 450;
const ALLOWED_LONGER: &[&str] = &[];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            files.extend(rust_files(&entry.path()));
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

/// Files below src by their path there, with their code before `#[cfg(test)]`.
fn sources() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    rust_files(&src)
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn rank_of(module: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

#[test]
fn modules_use_lower_ranks_only() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some(module) = name.split('/').next().filter(|module| rank_of(module).is_some()) else { continue };
        for (number, line) in without_tests(&text).lines().enumerate().filter(|_| !is_test_file(&name)) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let allowed = used == module || rank_of(&used).is_none_or(|rank| rank < rank_of(module).unwrap());
                if !allowed {
                    wrong.push(format!("src/{name}:{}: {module} uses {used}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_files_touch_nothing_outside() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if !PURE.iter().any(|pure| name.starts_with(pure)) || is_test_file(&name) {
            continue;
        }
        for (number, line) in without_tests(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            wrong.extend(
                EFFECTS
                    .iter()
                    .filter(|effect| code.contains(**effect))
                    .map(|effect| format!("src/{name}:{}: {effect}", number + 1)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_short() {
    let mut wrong = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests", "examples", "benches"] {
        if !root.join(folder).exists() {
            continue;
        }
        for path in rust_files(&root.join(folder)) {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            if !text.starts_with("//!") {
                wrong.push(format!("{name}: does not open with //!"));
            }
            let lines = text.lines().count();
            if folder == "src" && lines > LONGEST && !ALLOWED_LONGER.contains(&name.as_str()) {
                wrong.push(format!("{name}: {lines} lines"));
            }
        }
    }
    let main_lines = fs::read_to_string(root.join("src/main.rs")).unwrap().lines().count();
    assert!(main_lines < 40, "main.rs has {main_lines} lines");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_every_module() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let modules: std::collections::BTreeSet<String> =
        sources().keys().filter_map(|name| name.split_once('/').map(|(module, _)| module.to_owned())).collect();
    let missing: Vec<&String> = modules.iter().filter(|module| !map.contains(&format!("`{module}`"))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:?}");
}

/// Type names that stand in more than one file, each with the reason.
const NAMES_THAT_STAND_TWICE: &[(&str, &str)] = &[
    ("Arguments", "each demo program has its own"),
    ("Settings", "of the module, qualified by use"),
    ("Call", "render: to be renamed"),
    ("Command", "render: to be renamed"),
    ("Function", "render: to be renamed"),
    ("Item", "render: to be renamed"),
    ("Items", "render: to be renamed"),
    ("Kind", "render: to be renamed"),
    ("Library", "render: to be renamed"),
    ("Mistake", "render: to be renamed"),
    ("Place", "render: to become that of model"),
    ("Session", "render: to be renamed"),
    ("Step", "render: to be renamed"),
    ("Value", "render: to be renamed"),
    ("Agent", "agent: to be renamed"),
    ("Asked", "agent: to be renamed"),
    ("Engine", "agent: to be renamed"),
    ("Readiness", "agent: to be renamed"),
    ("Reload", "agent: to be renamed"),
    ("Request", "agent: to be renamed"),
    ("Standing", "agent: to be renamed"),
    ("State", "agent: to be renamed"),
];

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
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| !is_test_file(name)) {
        for declared in without_tests(&text).lines().filter(|line| !line.starts_with(' ')).filter_map(declared_type) {
            files.entry(declared.to_owned()).or_default().push(format!("src/{name}"));
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
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
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
