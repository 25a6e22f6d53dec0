//! The progress of long work, on a real terminal: one line that is rewritten and goes. Nothing of it anywhere else.

use std::time::Duration;

use crate::support::agent::{Ran, Sandbox};
use crate::support::fake_etcd::{Answer, FakeEtcd, pair, range};

/// Number of pages of the slow store, each with one key.
const PAGES: usize = 20;
/// Erases the line: what `upstreamd` writes before each line of progress, and at its end.
const ERASE: &str = "\r\u{1b}[2K";

/// A store that takes so long for each page that all of them take more than a second.
fn slow_store() -> FakeEtcd {
    FakeEtcd::start(|_, nth| {
        std::thread::sleep(Duration::from_millis(120));
        Answer::One(range(&[pair(&format!("/v/{nth:03}"), &[b'x'; 1000], 1)], nth + 1 < PAGES))
    })
}

/// One round from a slow store with these flags, on a terminal or not.
fn round(flags: &[&str], has_terminal: bool) -> Ran {
    let store = slow_store();
    let mut sandbox = Sandbox::on_etcd(&format!("http://{}", store.address()));
    sandbox.plain_resource("a", "");
    if has_terminal {
        sandbox.give_terminal();
    }
    sandbox.run(&[&["--onetime"], flags].concat()).expect_code(0)
}

#[test]
fn a_long_read_shows_its_progress_on_a_terminal_and_erases_it() {
    check(&round(&[], true));
    // Without a line in the log, which would take its place.
    check(&round(&["--log-level", "error"], true));
}

/// Checks that lines of progress came one after the other, and that none stayed.
#[track_caller]
fn check(ran: &Ran) {
    let lines: Vec<&str> = ran.stdout.split("reading the store: ").skip(1).collect();
    assert!(lines.len() >= 2, "{ran:?}");
    let wrong = lines.iter().find(|rest| !rest.split_once(ERASE).is_some_and(|(line, _)| line.ends_with(" so far")));
    assert!(wrong.is_none() && ran.stdout.contains(&format!("{ERASE}reading")), "{wrong:?} {ran:?}");
    let keys: Vec<usize> = lines.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(keys.is_sorted() && keys.len() < PAGES, "it begins late, and goes on: {keys:?}");
}

#[test]
fn nobody_else_is_shown_progress() {
    for (flags, has_terminal) in [(&[][..], false), (&["--log-format", "json"], true)] {
        let ran = round(flags, has_terminal);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("reading the store"), "{flags:?} {ran:?}");
    }
}
