//! etcd away, cut off, compacted, put back to an older copy: the tree ends as the store is, each time.

use std::time::Duration;

use upstreamd::model::store::{EtcdSettings, Keepalive, StoreSettings};
use upstreamd::model::tree::Tree;

use super::follower::Follower;
use crate::support::etcd::{Etcd, Writer};
use crate::support::free_port;
use crate::support::proxy::Proxy;

/// Settings that notice a silent server soon.
pub fn impatient(endpoints: &[String]) -> StoreSettings {
    StoreSettings::Etcd(EtcdSettings {
        members: endpoints.to_vec(),
        dial_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(2),
        keepalive: Keepalive { interval: Duration::from_millis(300), timeout: Duration::from_millis(700) },
        ..EtcdSettings::default()
    })
}

/// A store with two keys, a way to it that can be cut, and a follower that is up to date.
struct Setting {
    etcd: Etcd,
    proxy: Proxy,
    writer: Writer,
    follower: Follower,
}

impl Setting {
    fn new() -> Setting {
        let etcd = Etcd::start();
        let proxy = Proxy::start(etcd.port());
        let mut writer = etcd.writer();
        writer.put("/a/kept", "1");
        writer.put("/a/gone", "1");
        let follower = Follower::start(impatient(&[proxy.address()]), &["/a"]);
        follower.wait_value("/a/gone", Some("1"));
        Setting { etcd, proxy, writer, follower }
    }

    /// Cuts the follower off and waits until it knows.
    fn cut(&self) {
        let lost_before = self.follower.seen().lost;
        self.proxy.cut();
        self.follower.wait("the loss to be noticed", |seen| seen.lost > lost_before);
    }

    /// snapshots, regained
    fn counts(&self) -> (usize, usize) {
        let seen = self.follower.seen();
        (seen.snapshots, seen.regained)
    }
}

#[test]
fn what_changed_while_cut_off_is_caught_up_from_the_last_revision() {
    let mut setting = Setting::new();
    setting.writer.put("/a/kept", "2");
    setting.follower.wait_value("/a/kept", Some("2"));
    setting.cut();
    setting.writer.change(&[("/a/gone", None), ("/a/new", Some("1"))]);
    let revision = setting.writer.put("/a/kept", "3");
    setting.proxy.mend();
    setting.follower.wait_revision(revision);
    setting.follower.wait_value("/a/gone", None);
    setting.follower.wait_value("/a/new", Some("1"));
    setting.follower.wait("news of the return", |seen| seen.regained == 1);
    assert_eq!(setting.counts(), (1, 1), "nothing had to be listed again");
}

#[test]
fn large_values_written_while_cut_off_come_in_fragments() {
    let mut setting = Setting::new();
    let large = |letter: &str| letter.repeat(1 << 20);
    for name in ["/a/kept", "/a/gone", "/a/x", "/a/y", "/a/z"] {
        setting.writer.put(name, large("1"));
    }
    setting.follower.wait("all of them", |seen| seen.tree.len() == 5);
    setting.follower.resync();
    setting.follower.wait("the sizes to be known", |seen| seen.snapshots == 2);
    setting.writer.put("/a/kept", large("2"));
    setting.follower.wait_value("/a/kept", Some(&large("2")));
    setting.cut();
    let mut revision = 0;
    for letter in ["3", "4"] {
        for name in ["/a/kept", "/a/gone", "/a/x", "/a/y", "/a/z"] {
            revision = setting.writer.put(name, large(letter));
        }
    }
    setting.proxy.mend();
    setting.follower.wait_revision(revision);
    setting.follower.wait_value("/a/z", Some(&large("4")));
    setting.follower.wait("news of the return", |seen| seen.regained == 1);
    assert_eq!(setting.counts(), (2, 1));
}

#[test]
fn more_than_fits_a_message_written_while_cut_off_is_listed() {
    let mut setting = Setting::new();
    setting.cut();
    let large = "x".repeat(1 << 20);
    let mut revision = 0;
    for number in 0..70 {
        revision = setting.writer.put(format!("/a/{}", number % 3), large.as_str());
    }
    setting.proxy.mend();
    setting.follower.wait_revision(revision);
    setting.follower.wait("all keys", |seen| seen.tree.len() == 5);
    assert_eq!(setting.counts().0, 2);
}

#[test]
fn right_after_the_first_listing_a_cut_is_caught_up_too() {
    let mut setting = Setting::new();
    setting.cut();
    setting.writer.change(&[("/a/gone", None), ("/elsewhere", Some("1"))]);
    setting.proxy.mend();
    setting.follower.wait_value("/a/gone", None);
    setting.follower.wait("news of the return", |seen| seen.regained == 1);
    assert_eq!(setting.counts(), (1, 1));
}

#[test]
fn what_was_deleted_before_the_first_listing_never_comes_back() {
    let (etcd, directories) = (Etcd::start(), ["/a", "/c"]);
    let (proxy, mut writer) = (Proxy::start(etcd.port()), etcd.writer());
    writer.put("/a/kept", "1");
    writer.put("/a/gone", "1");
    // More foreign revisions than etcd sends at once to a watcher that lags behind.
    for number in 0..1_500 {
        writer.put("/b", number.to_string());
    }
    writer.change(&[("/a/gone", None)]);
    let check = |tree: &Tree| tree.get("/a/gone").map_or(Ok(()), |_| Err("/a/gone is back".to_owned()));
    let follower = Follower::start_with(impatient(&[proxy.address()]), &directories, true, Box::new(check));
    follower.wait_value("/a/kept", Some("1"));
    proxy.cut();
    follower.wait("the loss to be noticed", |seen| seen.lost > 0);
    writer.put("/a/kept", "2");
    proxy.mend();
    follower.wait_value("/a/kept", Some("2"));
    assert_eq!(follower.seen().objections, Vec::<String>::new());
}

#[test]
fn a_killed_server_is_followed_again_when_it_is_back() {
    let mut setting = Setting::new();
    setting.writer.put("/a/kept", "2");
    setting.follower.wait_value("/a/kept", Some("2"));
    setting.etcd.kill();
    setting.follower.wait("the loss to be noticed", |seen| seen.lost > 0);
    setting.etcd.restart();
    setting.etcd.put("/a/kept", "3");
    setting.follower.wait_value("/a/kept", Some("3"));
    setting.follower.wait("news of the return", |seen| seen.regained == 1);
    assert_eq!(setting.counts(), (1, 1));
}

#[test]
fn a_server_that_falls_silent_is_noticed_and_left() {
    let mut setting = Setting::new();
    setting.proxy.swallow();
    setting.follower.wait("the silence to be noticed", |seen| seen.lost > 0);
    setting.writer.put("/a/kept", "2");
    setting.proxy.mend();
    setting.follower.wait_value("/a/kept", Some("2"));
    setting.follower.wait("news of the return", |seen| seen.regained == 1);
}

#[test]
fn history_compacted_while_away_is_listed_again() {
    let mut setting = Setting::new();
    setting.cut();
    setting.writer.change(&[("/a/gone", None)]);
    let revision = setting.writer.put("/a/kept", "2");
    setting.writer.compact(revision);
    setting.proxy.mend();
    setting.follower.wait_value("/a/kept", Some("2"));
    setting.follower.wait_value("/a/gone", None);
    assert_eq!(setting.follower.seen().snapshots, 2);
}

/// Replaces the store by a copy taken earlier while the follower is cut off, and lets `after` write to it.
fn restored(after: impl FnOnce(&mut Writer)) -> Setting {
    let mut setting = Setting::new();
    let copy = setting.etcd.dir.path().join("copy");
    setting.etcd.save_copy(&copy);
    for number in 0..5 {
        setting.writer.put("/a/kept", number.to_string());
    }
    setting.writer.change(&[("/a/gone", None), ("/a/lost", Some("1"))]);
    setting.follower.wait_value("/a/lost", Some("1"));
    setting.cut();
    setting.etcd.kill();
    setting.etcd.restore_copy(&copy);
    setting.etcd.restart();
    setting.writer = setting.etcd.writer();
    after(&mut setting.writer);
    setting.proxy.mend();
    setting
}

#[test]
fn a_store_put_back_to_an_older_copy_is_taken_as_it_is() {
    let mut setting = restored(|_| ());
    setting.follower.wait_value("/a/kept", Some("1"));
    setting.follower.wait_value("/a/gone", Some("1"));
    setting.follower.wait_value("/a/lost", None);
    setting.writer.put("/a/kept", "after");
    setting.follower.wait_value("/a/kept", Some("after"));
}

#[test]
fn a_restored_store_whose_revision_has_overtaken_ours_is_noticed() {
    let setting = restored(|writer| {
        for number in 0..50 {
            writer.put("/elsewhere", number.to_string());
        }
    });
    setting.follower.wait_value("/a/kept", Some("1"));
    setting.follower.wait_value("/a/gone", Some("1"));
    setting.follower.wait_value("/a/lost", None);
}

#[test]
fn etcd_that_comes_up_later_is_waited_for() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(etcd.port());
    proxy.cut();
    etcd.put("/a/x", "1");
    let follower = Follower::start(impatient(&[proxy.address()]), &["/a"]);
    follower.wait("several attempts", |seen| seen.lost >= 3);
    assert!(follower.seen().problems[0].contains(&proxy.address()), "{:?}", follower.seen().problems);
    proxy.mend();
    follower.wait_value("/a/x", Some("1"));
    assert_eq!(follower.seen().regained, 0, "the first snapshot says it all");
}

#[test]
fn absent_members_and_impossible_settings_are_reported_by_name() {
    let port = free_port();
    let nobody = Follower::start(impatient(&[format!("127.0.0.1:{port}")]), &["/a"]);
    nobody.wait("a loss", |seen| seen.lost > 0);
    assert_eq!(
        nobody.seen().problems[0],
        format!("cannot connect to http://127.0.0.1:{port}: Connection refused (os error 111)")
    );
    let nonsense = Follower::start(impatient(&["ftp://a:1".to_owned()]), &["/a"]);
    nonsense.wait("a loss", |seen| seen.lost > 0);
    assert!(nonsense.seen().problems[0].contains("use http or https"), "{:?}", nonsense.seen().problems);
}
