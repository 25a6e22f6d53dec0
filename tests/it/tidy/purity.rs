//! A file whose header says "Pure" decides and never acts, and so do the modules below it. It names nothing that has effects.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{self, File};
use super::imports::Imports;

/// Items with effects, by their paths.
const EFFECTS: &[&str] = &[
    "crate::world",
    "jiff::Zoned::now",
    "nix::",
    "notify::",
    "rustix::",
    "std::env::",
    "std::fs",
    "std::io::std",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os::unix::net",
    "std::process",
    "std::thread",
    "tokio::",
    "tracing::",
    "Instant::now",
    "SystemTime::now",
    ".elapsed()",
];

/// Plain data that lives in a module with effects.
const PLAIN_DATA: &[&str] =
    &["nix::sys::signal::Signal", "crate::world::fs::OnDisk", "crate::world::fs::stage::Attributes"];

/// Pure files that use plain data declared beside effects.
const PLAIN_IMPORTS: &[&str] = &[
    "agent/desk.rs uses agent/catalog.rs",
    "agent/desk.rs uses agent/claims.rs",
    "agent/desk.rs uses agent/pass.rs",
    "agent/desk.rs uses agent/pass/terms.rs",
    "agent/standing.rs uses apply/live_count.rs",
    "apply/plan.rs uses world/fs/mod.rs",
    "apply/plan.rs uses world/fs/stage.rs",
    "cli/outcome.rs uses agent/follow.rs",
    "cli/outcome.rs uses agent/once.rs",
    "cli/outcome.rs uses cli/exit.rs",
];

/// Whole modules that decide: their `mod.rs` says so.
const PURE_MODULES: &[&str] = &["model", "config", "nginx", "render"];

/// Returns whether a header says "Pure" as the first word of a sentence.
fn says_pure(file: &File) -> bool {
    file.header().split(|c: char| !c.is_alphabetic()).any(|word| word == "Pure")
}

/// The files that say it, and those of the modules below.
fn pure_files(files: &BTreeMap<String, File>) -> Vec<&File> {
    let claims: Vec<Vec<String>> = files.values().filter(|file| says_pure(file)).map(File::module).collect();
    files.values().filter(|file| claims.iter().any(|claim| file.module().starts_with(claim))).collect()
}

#[test]
fn pure_files_touch_nothing_outside() {
    let files = code::program();
    let mut wrong = Vec::new();
    for file in pure_files(files) {
        for effect in EFFECTS {
            for (position, _) in file.code.match_indices(effect) {
                let is_plain = PLAIN_DATA.iter().any(|plain| is_path(&file.code[position..], plain));
                if !is_plain && !continues_word(&file.code[..position], effect) {
                    wrong.push(format!("{}: {effect}", file.place(position)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns whether `code` begins with exactly this path, and no longer name.
fn is_path(code: &str, path: &str) -> bool {
    code.strip_prefix(path).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Returns whether the match is the end of a longer word or path, such as `unix::` in `std::os::unix::ffi`.
fn continues_word(before: &str, effect: &str) -> bool {
    !effect.starts_with('.') && before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

#[test]
fn pure_files_use_pure_files_only() {
    let files = code::program();
    let pure: BTreeSet<&str> = pure_files(files).iter().map(|file| file.name.as_str()).collect();
    let imports = Imports::of(files);
    let edges = imports.by_file();
    let mut wrong = Vec::new();
    for file in &pure {
        let impure = edges.get(file).into_iter().flatten().filter(|used| !pure.contains(**used));
        wrong.extend(impure.map(|used| format!("{file} uses {used}")));
    }
    code::assert_known("pure files that use files with effects", &wrong, PLAIN_IMPORTS);
}

#[test]
fn the_modules_that_decide_say_that_they_are_pure() {
    let files = code::program();
    let silent = |module: &&str| !files.get(&format!("{module}/mod.rs")).is_some_and(says_pure);
    let silent: Vec<&str> = PURE_MODULES.iter().copied().filter(silent).collect();
    assert!(silent.is_empty(), "these modules do not say \"Pure\" in their header: {silent:?}");
}

#[test]
fn plain_data_is_used_by_pure_files() {
    let files = code::program();
    let pure = pure_files(files);
    let unused: Vec<&&str> =
        PLAIN_DATA.iter().filter(|plain| !pure.iter().any(|file| file.code.contains(**plain))).collect();
    assert!(unused.is_empty(), "no pure file uses {unused:?}: take them off the list");
}
