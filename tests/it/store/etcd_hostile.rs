//! An etcd that means no good, or that somebody has filled: it costs bounded memory and time, and the last good tree stays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use upstreamd::model::store::{EtcdSettings, StoreLimits, StoreSettings};

use super::etcd_outage::impatient;
use super::follower::Follower;
use crate::support::agent::Sandbox;
use crate::support::etcd::Etcd;
use crate::support::fake_etcd::{Answer, FakeEtcd, pair, range, watch_created, watch_puts};

const SMALL: StoreLimits = StoreLimits { keys: 100, bytes: 4 << 20, value_bytes: 1 << 20 };

fn limited(address: &str, limits: StoreLimits) -> StoreSettings {
    match impatient(&[address.to_owned()]) {
        StoreSettings::Etcd(settings) => StoreSettings::Etcd(EtcdSettings { limits, ..settings }),
        other => other,
    }
}

/// Follows `/a` of a fake store that answers every `Range` in this way, and waits for a problem with these words.
#[track_caller]
fn check_refused(limits: StoreLimits, words: &str, answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) {
    let fake = FakeEtcd::start(move |_, nth| Answer::One(answer(nth)));
    let follower = Follower::start(limited(&fake.address(), limits), &["/a"]);
    follower.wait(words, |seen| seen.problems.iter().any(|problem| problem.contains(words)));
    follower.wait("another attempt", |seen| seen.lost >= 2);
    assert_eq!(follower.seen().snapshots, 0);
}

#[test]
fn pages_without_end_are_refused_by_the_number_of_keys() {
    check_refused(SMALL, "101 were read, and 100 are allowed", |nth| {
        range(&[pair(&format!("/a/{nth:09}"), b"x", 1)], true)
    });
}

#[test]
fn pages_without_end_are_refused_by_their_bytes() {
    let value = vec![b'x'; 1 << 19];
    check_refused(SMALL, "and 4 MiB are allowed", move |nth| range(&[pair(&format!("/a/{nth:09}"), &value, 1)], true));
}

#[test]
fn a_page_that_does_not_advance_is_refused() {
    check_refused(SMALL, "its keys are not in order", |_| range(&[pair("/a/1", b"x", 1)], true));
    check_refused(SMALL, "more keys follow, and sends none", |_| range(&[], true));
    check_refused(SMALL, "not those that it was asked for", |_| range(&[pair("/b/1", b"x", 1)], false));
}

#[test]
fn more_keys_than_a_page_was_asked_for_are_refused() {
    check_refused(SMALL, "more keys than it was asked for", |_| {
        range(&(0..40).map(|n| pair(&format!("/a/{n:02}"), b"x", 1)).collect::<Vec<_>>(), false)
    });
}

#[test]
fn a_watch_without_end_is_left_before_it_fills_the_memory() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lists);
    let value = Arc::new(vec![b'x'; 1 << 19]);
    let fake = FakeEtcd::start(move |method, _| match method {
        "Watch" => {
            let value = Arc::clone(&value);
            Answer::Stream(Box::new(move |number| {
                let puts = || watch_puts(&[pair(&format!("/a/{number:09}"), &value, 10)], true);
                Some(if number == 0 { watch_created() } else { puts() })
            }))
        }
        _ => {
            counted.fetch_add(1, Ordering::Relaxed);
            Answer::One(range(&[pair("/a/1", b"x", 1)], false))
        }
    });
    let follower = Follower::start(limited(&fake.address(), SMALL), &["/a"]);
    follower.wait("the problem", |seen| seen.problems.iter().any(|problem| problem.contains("--max-store-mib")));
    assert!(follower.seen().changes == 0 && lists.load(Ordering::Relaxed) >= 2);
}

#[test]
fn puts_past_the_bounds_are_listed_again_and_refused() {
    let etcd = Etcd::start();
    let mut writer = etcd.writer();
    writer.put("/a/kept", "1");
    let address = format!("127.0.0.1:{}", etcd.port());
    let largest = Arc::new(Mutex::new(0));
    let seen_largest = Arc::clone(&largest);
    let note = Box::new(move |tree: &upstreamd::model::tree::Tree| {
        let mut largest = seen_largest.lock().unwrap();
        *largest = tree.len().max(*largest);
        Ok(())
    });
    let follower = Follower::start_with(limited(&address, SMALL), &["/a"], true, note);
    follower.wait_value("/a/kept", Some("1"));
    for number in 0..300 {
        writer.put(format!("/a/{number}"), "x");
    }
    follower.wait("the bound", |seen| {
        seen.problems.iter().any(|problem| problem.contains("--max-store-keys") && problem.contains("100 are allowed"))
    });
    assert!(*largest.lock().unwrap() <= 201, "{largest:?}");
    for number in 0..300 {
        writer.change(&[(&format!("/a/{number}"), None)]);
    }
    let revision = writer.put("/a/kept", "2");
    follower.wait_revision(revision);
    follower.wait_value("/a/kept", Some("2"));
    assert_eq!(follower.seen().tree.len(), 1);
}

#[test]
fn a_value_that_is_too_large_does_not_cost_the_others() {
    let etcd = Etcd::start();
    let mut writer = etcd.writer();
    writer.put("/a/large", "x".repeat((1 << 20) + 1));
    writer.put("/a/small", "1");
    let limits = StoreLimits { value_bytes: 1 << 20, ..SMALL };
    let follower = Follower::start(limited(&format!("127.0.0.1:{}", etcd.port()), limits), &["/a"]);
    follower.wait_value("/a/small", Some("1"));
    let shown = |key: &str| format!("{:?}", follower.seen().tree.get(key));
    assert_eq!(shown("/a/large"), "Some(<too large, 1048577 bytes>)");
    writer.put("/a/small", "y".repeat((1 << 20) + 2));
    writer.put("/a/large", "2");
    follower.wait_value("/a/large", Some("2"));
    assert_eq!(shown("/a/small"), "Some(<too large, 1048578 bytes>)");
    let seen = follower.seen();
    assert_eq!((seen.lost, seen.snapshots), (0, 1));
}

#[test]
fn a_value_larger_than_a_message_does_not_cost_the_others() {
    let large = vec![b'x'; 5 << 20];
    let fake = FakeEtcd::start(move |method, nth| match (method, nth) {
        ("Watch", _) => Answer::Stream(Box::new(|number| (number == 0).then(watch_created))),
        // The pages of 32, 8, 2 and 1 keys do not fit; the one without values does.
        (_, 0) => Answer::One(range(&[], false)),
        (_, 1..=4) => Answer::One(range(&[pair("/a/1", &large, 5)], true)),
        (_, 5) => Answer::One(range(&[pair("/a/1", b"", 5)], true)),
        _ => Answer::One(range(&[pair("/a/2", b"2", 4)], false)),
    });
    let follower = Follower::start(limited(&fake.address(), StoreLimits::default()), &["/a"]);
    follower.wait_value("/a/2", Some("2"));
    let seen = follower.seen();
    assert!(format!("{:?}", seen.tree.get("/a/1")).contains("too large"), "{:?}", seen.tree.get("/a/1"));
    assert_eq!(seen.lost, 0);
}

#[test]
fn what_a_store_says_stays_on_its_line_of_the_log() {
    let fake = FakeEtcd::start(|_, _| {
        Answer::Refused(14, "gone%0A2026-01-01T00:00:00Z  INFO forged%1B[2J%C2%9B31m%0D%E2%80%AEeye")
    });
    for format in ["text", "json"] {
        let sandbox = Sandbox::on_etcd(&format!("http://{}", fake.address()));
        sandbox.plain_resource("a", "");
        let _agent = sandbox.start(&["--watch", "--log-format", format]);
        sandbox.wait_log("forged");
        let log = sandbox.log();
        let line = log.lines().find(|line| line.contains("forged")).unwrap();
        assert!(line.contains("cannot follow the store") && line.contains("eye"), "{log}");
        assert!(!log.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{log:?}");
        let ran = sandbox.run(&["agents", "--backend-timeout", "1s"]).expect_code(4);
        assert!(!ran.stderr.contains(['\u{1b}', '\r', '\u{9b}', '\u{202e}']), "{ran:?}");
        assert!(!ran.stderr.lines().any(|line| line.contains("INFO forged") && line.starts_with("2026")), "{ran:?}");
    }
}
