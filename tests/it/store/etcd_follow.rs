//! Following a healthy etcd: whole revisions, exact directories, bursts, large stores, changed ranges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use upstreamd::model::store::{EtcdSettings, StoreSettings};
use upstreamd::model::tree::Tree;

use super::follower::{Follower, text};
use crate::support::etcd::{Change, Etcd, Options};

pub fn settings(etcd: &Etcd) -> StoreSettings {
    StoreSettings::Etcd(EtcdSettings { members: vec![etcd.url()], ..EtcdSettings::default() })
}

/// Writers put the same number under these keys in one transaction, so a whole revision shows one number.
fn same_number(tree: &Tree, keys: &[&str]) -> Result<(), String> {
    let shown: Vec<Option<&str>> = keys.iter().map(|key| text(tree, key)).collect();
    let torn = shown.windows(2).any(|pair| pair[0] != pair[1]);
    if torn { Err(format!("torn at revision {}: {shown:?}", tree.revision())) } else { Ok(()) }
}

/// Keeps changing `keys` together until it is stopped, and returns the last revision.
fn write_together(etcd: &Etcd, keys: &'static [&'static str], stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<i64> {
    let mut writer = etcd.writer();
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut revision = 0;
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let text = number.to_string();
            let changes: Vec<Change<'_>> = keys.iter().map(|key| (*key, Some(text.as_str()))).collect();
            revision = writer.change(&changes);
        }
        revision
    })
}

#[test]
fn every_tree_is_one_revision_while_two_directories_change() {
    const KEYS: &[&str] = &["/a/number", "/m/deep/number", "/z/number"];
    let etcd = Etcd::start();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = write_together(&etcd, KEYS, &stop);
    // Many keys of others in between change nothing about that.
    let foreign: Vec<String> = (0..100).map(|index| format!("/k/{index}")).collect();
    etcd.writer().change(&foreign.iter().map(|key| (key.as_str(), Some("x"))).collect::<Vec<Change<'_>>>());
    let check = Box::new(|tree: &Tree| same_number(tree, KEYS));
    let follower = Follower::start_with(settings(&etcd), &["/a", "/m", "/z"], true, check);
    follower.wait("three hundred changes", |seen| seen.changes >= 300);
    for wanted in 2..=4 {
        follower.resync();
        follower.wait("another snapshot", |seen| seen.snapshots >= wanted);
    }
    stop.store(true, Ordering::Relaxed);
    follower.wait_revision(writer.join().unwrap());
    assert_eq!(follower.seen().lost, 0);
}

#[test]
fn a_directory_is_exact_and_its_neighbours_wake_nobody() {
    let etcd = Etcd::start();
    for key in ["/services", "/services/web/1", "/services-old/web", "/services2/web", "/services.d"] {
        etcd.put(key, "before");
    }
    let follower = Follower::start(settings(&etcd), &["/services"]);
    follower.wait_value("/services/web/1", Some("before"));
    assert_eq!(follower.seen().tree.len(), 2);
    let mut writer = etcd.writer();
    for key in ["/services-old/web", "/services2/web", "/services.d", "/service", "services/x"] {
        writer.put(key, "after");
    }
    writer.change(&[("/services-old/web", None)]);
    writer.put("/services", "after");
    follower.wait_value("/services", Some("after"));
    assert_eq!(follower.seen().changes, 1, "changes of neighbours were passed on");
    assert_eq!(follower.seen().tree.len(), 2);
}

#[test]
fn keys_without_a_leading_slash_and_the_whole_store_can_be_followed() {
    let etcd = Etcd::start();
    etcd.put("stolon/cluster", "1");
    let follower = Follower::start(settings(&etcd), &["stolon"]);
    follower.wait("the key", |seen| seen.tree.len() == 1);
    etcd.delete("stolon/cluster");
    follower.wait("its end", |seen| seen.changes == 1 && seen.tree.is_empty());
    let everything = Follower::start(settings(&etcd), &[""]);
    etcd.put("a", "1");
    etcd.put("/b", "2");
    everything.wait("both keys", |seen| seen.tree.len() == 2);
}

#[test]
fn keys_must_be_text_and_values_keep_their_bytes() {
    let etcd = Etcd::start();
    let mut writer = etcd.writer();
    writer.put(b"/a/\xff".to_vec(), "x");
    writer.put("/a/binary", b"\xff\x00".to_vec());
    let follower = Follower::start(settings(&etcd), &["/a"]);
    follower.wait("the snapshot", |seen| seen.snapshots == 1);
    writer.put(b"/a/\xfe".to_vec(), "x");
    writer.put("/a/text", "1");
    follower.wait_value("/a/text", Some("1"));
    let seen = follower.seen();
    assert_eq!(seen.tree.len(), 2);
    assert_eq!(seen.tree.get("/a/binary").unwrap().as_bytes(), b"\xff\x00");
}

#[test]
fn a_burst_of_two_thousand_puts_ends_in_the_right_tree() {
    let etcd = Etcd::start();
    let follower = Follower::start(settings(&etcd), &["/services"]);
    follower.wait("the snapshot", |seen| seen.snapshots == 1);
    let mut writer = etcd.writer();
    let mut revision = 0;
    for number in 0..2000 {
        revision = writer.put(format!("/services/{}", number % 100), number.to_string());
    }
    follower.wait_revision(revision);
    let seen = follower.seen();
    assert_eq!(seen.tree.len(), 100);
    for index in 0..100 {
        assert_eq!(text(&seen.tree, &format!("/services/{index}")), Some((1900 + index).to_string().as_str()));
    }
    assert_eq!((seen.snapshots, seen.lost), (1, 0));
}

#[test]
fn a_hundred_thousand_keys_are_read_in_pages_and_deleted_at_once() {
    let etcd = Etcd::start_with(Options::default().flag("--max-txn-ops=10000"));
    let mut writer = etcd.writer();
    let value = "10.0.0.1:8080 weight=10 max_fails=3";
    for chunk in 0..10 {
        let keys: Vec<String> = (0..10_000).map(|index| format!("/services/{:06}", chunk * 10_000 + index)).collect();
        let changes: Vec<Change<'_>> = keys.iter().map(|key| (key.as_str(), Some(value))).collect();
        writer.change(&changes);
    }
    let follower = Follower::start(settings(&etcd), &["/services"]);
    follower.wait("all keys", |seen| seen.tree.len() == 100_000);
    assert_eq!(text(&follower.seen().tree, "/services/099999"), Some(value));
    // One revision with 100,000 events is far above the size of a message, and still comes whole.
    etcd.ctl(&["del", "--prefix", "/services/"]);
    follower.wait("an empty directory", |seen| seen.tree.is_empty());
    let seen = follower.seen();
    assert_eq!((seen.snapshots, seen.changes, seen.lost), (1, 1, 0));
}

#[test]
fn values_of_a_mebibyte_come_through_snapshot_and_watch() {
    let etcd = Etcd::start();
    let mut writer = etcd.writer();
    let large = "x".repeat(1 << 20);
    for index in 0..40 {
        writer.put(format!("/large/{index:02}"), large.as_str());
    }
    let follower = Follower::start(settings(&etcd), &["/large"]);
    follower.wait("all keys", |seen| seen.tree.len() == 40);
    let other = "y".repeat(1 << 20);
    let mut revision = 0;
    for index in 0..40 {
        revision = writer.put(format!("/large/{index:02}"), other.as_str());
    }
    follower.wait_revision(revision);
    let seen = follower.seen();
    assert!((0..40).all(|index| text(&seen.tree, &format!("/large/{index:02}")) == Some(other.as_str())));
    assert_eq!((seen.snapshots, seen.lost), (1, 0));
}

#[test]
fn other_ranges_bring_a_snapshot_of_the_new_keys_and_no_word_of_the_old() {
    let etcd = Etcd::start();
    etcd.put("/old/x", "1");
    etcd.put("/new/x", "1");
    let follower = Follower::start(settings(&etcd), &["/old"]);
    follower.wait_value("/old/x", Some("1"));
    follower.set_directories(&["/new"]);
    follower.wait_value("/new/x", Some("1"));
    assert_eq!(text(&follower.seen().tree, "/old/x"), None);
    etcd.put("/old/x", "2");
    etcd.put("/new/x", "2");
    follower.wait_value("/new/x", Some("2"));
    assert_eq!(follower.seen().tree.len(), 1);
    follower.set_directories(&[]);
    follower.wait("an empty tree", |seen| seen.tree.is_empty());
    follower.set_directories(&["/old"]);
    follower.wait_value("/old/x", Some("2"));
}

#[test]
fn without_following_there_is_one_snapshot_per_wish() {
    let etcd = Etcd::start();
    etcd.put("/a/x", "1");
    let follower = Follower::start_with(settings(&etcd), &["/a"], false, Box::new(|_| Ok(())));
    follower.wait_value("/a/x", Some("1"));
    etcd.put("/a/x", "2");
    follower.resync();
    follower.wait_value("/a/x", Some("2"));
    let seen = follower.seen();
    assert_eq!((seen.snapshots, seen.changes, seen.lost), (2, 0, 0));
}

#[test]
fn what_a_resync_finds_unchanged_is_not_kept_twice() {
    let etcd = Etcd::start();
    etcd.put("/a/same", "1");
    etcd.put("/a/other", "1");
    let follower = Follower::start(settings(&etcd), &["/a"]);
    follower.wait_value("/a/same", Some("1"));
    etcd.put("/a/other", "2");
    follower.wait_value("/a/other", Some("2"));
    let before = follower.seen().tree.clone();
    follower.resync();
    follower.wait("the second snapshot", |seen| seen.snapshots == 2);
    for key in ["/a/same", "/a/other"] {
        let value = |tree: &Tree| text(tree, key).map(str::as_ptr);
        assert_eq!(value(&before), value(&follower.seen().tree), "{key}");
    }
}
