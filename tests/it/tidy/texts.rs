//! Every file states its purpose; test names are short enough to scan; tests find the package wherever they were built.

use std::fs;

use super::code;

const LONGEST_TEST_NAME: usize = 70;

/// Files of tests that sleep, with the reason. Waiting for a state is `support::wait_for`.
const SLEEPERS: &[(&str, &str)] = &[
    ("tests/it/announce/balance.rs", "a client's pause between two requests"),
    ("tests/it/announce/mod.rs", "a backend that is dropped polls until its port is closed"),
    ("tests/it/backends.rs", "polls without blocking its runtime"),
    ("tests/it/draining.rs", "a client's pause between two lines"),
    ("tests/it/endpoints.rs", "a client's pause between two requests"),
    ("tests/it/progress.rs", "this is how slow the store is"),
    ("tests/it/store/file.rs", "this is how slow the writer is"),
    ("tests/it/supervise.rs", "a balancer that is dropped polls until upstreamd has ended"),
    ("tests/it/systemd.rs", "polls by docker exec, and says at the end what it saw"),
    ("tests/it/verify.rs", "an observer's pause between two looks"),
];

/// Every file of Rust in the package, by its path there, with its text.
fn all_files() -> Vec<(String, String)> {
    let root = code::root();
    let folders = ["src", "tests", "examples", "benches"].map(|folder| root.join(folder));
    let paths = folders.iter().filter(|folder| folder.exists()).flat_map(|folder| code::rust_files(folder));
    paths
        .map(|path| (path.strip_prefix(root).unwrap().display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> =
        all_files().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "these files do not open with //!: {silent:#?}");
}

#[test]
fn tests_find_the_package_wherever_they_were_built() {
    let baked_in = concat!("env!(\"", "CARGO_");
    let files = all_files().into_iter().filter(|(name, _)| {
        name != "tests/it/support/mod.rs" && !name.starts_with("src/") && !name.starts_with("examples/")
    });
    let wrong: Vec<String> = files.filter(|(_, text)| text.contains(baked_in)).map(|(name, _)| name).collect();
    assert!(wrong.is_empty(), "use support::package_root and support::program instead of env!: {wrong:#?}");
}

/// Files of tests/it with a line that is wrong, without the support for tests and these rules.
fn tests_with(is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let exempt = ["tests/it/support/", "tests/it/tidy/"];
    let files = all_files()
        .into_iter()
        .filter(|(name, _)| name.starts_with("tests/it/") && !exempt.iter().any(|folder| name.starts_with(folder)));
    files.filter(|(_, text)| text.lines().any(&is_wrong)).map(|(name, _)| name).collect()
}

#[test]
fn tests_do_not_sleep() {
    let known: Vec<&str> = SLEEPERS.iter().map(|(name, _)| *name).collect();
    code::assert_known(
        "tests that sleep",
        &tests_with(|line| line.contains("sleep(Duration") || line.contains("::sleep(")),
        &known,
    );
}

#[test]
fn tests_do_not_assert_that_something_was_quick() {
    let is_quick = |line: &str| {
        let bounds = [".elapsed() <", "took <", "< Duration::", "<= Duration::", "< TTL", "<= TTL"];
        line.contains("assert!(") && bounds.iter().any(|bound| line.contains(bound)) && !line.contains("DEADLINE")
    };
    code::assert_known("assertions that load could break", &tests_with(is_quick), &[]);
}

#[test]
fn tests_do_not_wait_for_time_to_pass() {
    let found = tests_with(|line| line.contains("wait_until(") && line.contains(".elapsed() >"));
    // etcd has to be away for longer than a lease lives.
    code::assert_known("sleeps in disguise", &found, &["tests/it/announce/balance.rs"]);
}

/// A noun phrase says what an item is; a clause with "what" says only that it is something.
#[test]
fn doc_comments_of_items_name_the_thing() {
    let openings = ["What", "Where", "How", "When", "Who", "Whose", "Why"].map(|word| format!("/// {word} "));
    let mut found = Vec::new();
    for (file, text) in all_files().into_iter().filter(|(file, _)| file.starts_with("src/")) {
        let mut before = "";
        for line in text.lines() {
            if !before.starts_with("///") && openings.iter().any(|opening| line.starts_with(opening)) {
                found.push(format!("{file}: {line}"));
            }
            before = line;
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn names_of_tests_can_be_scanned() {
    let mut long = Vec::new();
    for (file, text) in all_files() {
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let Some(rest) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn ")) else { continue };
            let name = rest.split('(').next().unwrap_or_default();
            if std::mem::take(&mut is_test) && name.len() >= LONGEST_TEST_NAME {
                long.push(format!("{file}: {name} ({})", name.len()));
            }
        }
    }
    assert!(long.is_empty(), "names of {LONGEST_TEST_NAME} characters and more: {long:#?}");
}
