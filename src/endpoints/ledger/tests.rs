//! What becomes of names while nginx asks, reloads or is silent, and while files come and go.

use super::record::CLEAN_AFTER;
use super::*;
use crate::endpoints::saved::lines_text;
use crate::model::endpoints::Endpoint;

const TRAITS: UpstreamTraits = UpstreamTraits { knows_backups: true, upstreams: 1 };

fn name() -> EndpointName {
    EndpointName::new("web-1")
}

fn address(number: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 4000 + number as u16))
}

fn worker(number: u64, since: Instant) -> Worker {
    Worker { number, address: address(number), since }
}

struct Walk {
    ledger: Ledger,
    now: Instant,
}

impl Walk {
    fn new() -> Walk {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let place = NamedIn { resource: "a.toml".into(), dest: "/a".into() };
        ledger.record(&place, &[NameUse { name: name(), traits: TRAITS }], now);
        ledger.went_live(Path::new("/a"), &BTreeSet::from([name()]), now);
        Walk { ledger, now }
    }

    fn live(&self) -> Vec<EndpointName> {
        self.ledger.live_names().map(|(name, _)| name.clone()).collect()
    }

    fn unused(&self, exists: bool) -> Vec<EndpointName> {
        self.ledger.unused(|_| exists, self.now)
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn asks(&mut self, number: u64) {
        self.ledger.look(&name(), (Some(worker(number, self.now)), Uptake::Taken), self.now);
    }

    fn must_clean(&mut self) -> bool {
        !self.ledger.to_clean(|_| true, self.now).is_empty()
    }

    fn reload(&mut self, has_taken: bool) {
        self.ledger.begin_reload(|_| has_taken, self.now);
    }

    fn end_reload(&mut self, end: ReloadEnd) {
        self.ledger.end_reload(|resource| resource == "a.toml", end, self.now);
    }

    fn lines(&self) -> Option<String> {
        let endpoint = |text: &str, weight| Endpoint { address: text.parse().unwrap(), weight, is_backup: false };
        let endpoints = [endpoint("10.0.0.1:80", 1), endpoint("[2001:db8::1]:80", 3)];
        self.ledger.wants_lines(&name()).then(|| lines_text(&endpoints, true))
    }
}

#[test]
fn nginx_that_started_from_disk_is_reloaded_once_without_the_lines() {
    let mut walk = Walk::new();
    assert_eq!(walk.lines().unwrap(), "server 10.0.0.1:80 backup;\nserver [2001:db8::1]:80 weight=3 backup;\n");
    walk.asks(1);
    assert!(!walk.must_clean());
    assert_eq!(walk.ledger.wake_at(walk.now), Some(walk.now + CLEAN_AFTER));
    walk.pass(5);
    assert!(walk.ledger.to_clean(|_| false, walk.now).is_empty(), "it does not ask any more");
    assert!(walk.must_clean());
    assert!(!walk.must_clean(), "the reload has time");
    walk.reload(true);
    assert_eq!(walk.lines(), None);
    walk.end_reload(ReloadEnd::Verified);
    assert_eq!(walk.lines(), None, "workers of a reload by somebody else are taken for those of ours");
    walk.asks(2);
    walk.pass(1);
    assert!(walk.ledger.put_back(walk.now) && walk.lines().is_some());
    walk.pass(99);
    assert!(!walk.must_clean());
    // A reload of somebody else.
    walk.asks(3);
    walk.pass(5);
    assert!(walk.must_clean());
}

#[test]
fn a_name_that_moves_stays_with_the_live_file_until_the_next_is() {
    let mut walk = Walk::new();
    let moved = NamedIn { resource: "a.toml".into(), dest: "/b".into() };
    let place = |walk: &Walk| walk.ledger.names().map(|(_, place, _)| place.dest.clone()).next().unwrap();
    walk.ledger.keep_files("a.toml", &BTreeSet::from([Path::new("/b")]));
    for _ in 0..2 {
        walk.ledger.record(&moved, &[NameUse { name: name(), traits: TRAITS }], walk.now);
        walk.ledger.keep_files("a.toml", &BTreeSet::from([Path::new("/b")]));
        assert_eq!((place(&walk), walk.unused(true)), ("/a".into(), Vec::new()), "nginx has refused it");
    }
    assert!(walk.ledger.went_live(Path::new("/b"), &BTreeSet::from([name()]), walk.now));
    assert_eq!((place(&walk), walk.live()), ("/b".into(), vec![name()]));
    // It may also be taken back before.
    walk.ledger.record(
        &NamedIn { dest: "/a".into(), ..moved.clone() },
        &[NameUse { name: name(), traits: TRAITS }],
        walk.now,
    );
    walk.ledger.record(&moved, &[NameUse { name: name(), traits: TRAITS }], walk.now);
    walk.ledger.went_live(Path::new("/a"), &BTreeSet::from([name()]), walk.now);
    assert_eq!(place(&walk), Path::new("/b"));
}

#[test]
fn names_asked_for_one_after_the_other_are_cleaned_by_one_reload() {
    let mut walk = Walk::new();
    let place = NamedIn { resource: "a.toml".into(), dest: "/a".into() };
    let second = EndpointName::new("web-2");
    walk.ledger.record(&place, &[NameUse { name: second.clone(), traits: TRAITS }], walk.now);
    walk.ledger.went_live(Path::new("/a"), &BTreeSet::from([name(), second.clone()]), walk.now);
    walk.asks(1);
    walk.pass(5);
    assert!(walk.must_clean());
    walk.ledger.look(&second, (Some(worker(2, walk.now)), Uptake::Taken), walk.now);
    walk.pass(5);
    assert!(!walk.must_clean(), "it is owed already");
    walk.reload(false);
    walk.pass(1);
    walk.end_reload(ReloadEnd::Verified);
    walk.ledger.look(&second, (Some(worker(3, walk.now)), Uptake::Taken), walk.now);
    walk.pass(5);
    assert!(walk.must_clean(), "its lines were on disk");
}

#[test]
fn lines_stay_off_the_disk_while_nginx_may_still_read_its_files() {
    let mut numbers = 2..;
    let mut check = |end: ReloadEnd, back_after: u64, must_clean: bool| {
        let mut walk = Walk::new();
        walk.asks(1);
        walk.reload(true);
        walk.end_reload(end);
        assert_eq!(walk.lines().is_some(), back_after == 0, "{end:?}");
        // The worker of a large configuration comes late.
        walk.pass(3);
        assert_eq!(walk.ledger.put_back(walk.now), (1..=3).contains(&back_after), "{end:?}");
        walk.asks(numbers.next().unwrap());
        walk.pass(2);
        assert_eq!(walk.ledger.put_back(walk.now), back_after > 3, "{end:?}");
        assert!(walk.lines().is_some());
        walk.pass(100);
        assert_eq!(walk.must_clean(), must_clean, "{end:?}");
    };
    check(ReloadEnd::Unverified, 5, false);
    check(ReloadEnd::Failed, 5, false);
    check(ReloadEnd::Verified, 1, true);
    check(ReloadEnd::Nothing, 0, true);
}

#[test]
fn a_reload_before_nginx_has_the_set_leaves_the_lines() {
    let mut walk = Walk::new();
    walk.reload(false);
    assert!(walk.lines().is_some());
    walk.asks(1);
    walk.pass(5);
    assert!(walk.must_clean());
}

#[test]
fn a_removed_backend_in_the_lines_that_nginx_has_read_is_urgent() {
    let mut walk = Walk::new();
    walk.asks(1);
    walk.ledger.lose(&name(), &[address(9)], walk.now);
    assert!(walk.ledger.is_stale(&name()) && walk.must_clean() && !walk.must_clean());
    walk.pass(5);
    assert!(!walk.must_clean(), "it is owed once, and tried again as other reloads are");
    walk.reload(true);
    walk.asks(2);
    assert!(!walk.ledger.is_stale(&name()));
}

#[test]
fn what_was_removed_before_nginx_could_ask_us_is_urgent_too() {
    let mut walk = Walk::new();
    walk.ledger.lose(&name(), &[address(9)], walk.now);
    assert!(!walk.ledger.is_stale(&name()), "no worker has read anything");
    walk.pass(1);
    walk.asks(1);
    assert!(walk.ledger.is_stale(&name()) && walk.must_clean());
    walk.pass(1);
    walk.asks(2);
    assert!(walk.ledger.is_stale(&name()), "a process that starts may ask long after it has read the lines");
    walk.pass(11);
    walk.asks(3);
    assert!(!walk.ledger.is_stale(&name()), "it has read the lines after that");
}

#[test]
fn a_file_that_is_not_live_yet_takes_nothing_from_the_one_that_is() {
    let mut walk = Walk::new();
    let (place, name) = (NamedIn { resource: "a.toml".into(), dest: "/a".into() }, name());
    let live: BTreeSet<EndpointName> = [name.clone()].into();
    let now = walk.now;
    let record = |ledger: &mut Ledger, knows_backups, upstreams| {
        let traits = UpstreamTraits { knows_backups, upstreams };
        let must_save = ledger.record(&place, &[NameUse { name: name.clone(), traits }], now);
        let common = ledger.traits(&name);
        (must_save, common.knows_backups, common.upstreams)
    };
    let ledger = &mut walk.ledger;
    assert_eq!(record(ledger, false, 2), (true, false, 1), "of a live file whose upstream knows them, and is one");
    ledger.went_live(&place.dest, &live, now);
    assert_eq!(record(ledger, true, 1), (false, false, 1), "refused, or not checked yet");
    assert_eq!(record(ledger, true, 3), (false, false, 2));
    assert!(ledger.went_live(&place.dest, &live, now), "the lines change");
    assert_eq!(record(ledger, true, 3), (false, true, 3));
    assert_eq!(record(ledger, false, 3), (true, false, 3), "nginx checks the file with the lines");
    let other = EndpointName::new("web-2");
    ledger.record(&place, &[NameUse { name: other.clone(), traits: TRAITS }], now);
    assert!(ledger.is_planned(&other));
    record(ledger, false, 3);
    assert!(ledger.is_over(&other), "a file that had it was refused");
}

#[test]
fn lost_endpoints_are_remembered_until_they_have_drained() {
    let mut walk = Walk::new();
    walk.ledger.lose(&name(), &[], walk.now);
    walk.ledger.lose(&name(), &[address(1), address(2)], walk.now);
    walk.ledger.remember_lost(&name(), &[address(3), address(1)]);
    assert_eq!(walk.ledger.lost(&name()), [address(2), address(3), address(1)]);
    let resource = walk.ledger.names().next().unwrap().1.resource.clone();
    assert!(!walk.ledger.drained("other.toml", &[address(1)].into()));
    assert!(walk.ledger.drained(&resource, &[address(1), address(3)].into()));
    assert!(!walk.ledger.drained(&resource, &[address(1), address(3)].into()));
    assert_eq!(walk.ledger.lost_by(&resource), [address(2)].into());
    let many: Vec<SocketAddr> = (0..2000).map(|port| ([10, 0, 0, 1], port).into()).collect();
    walk.ledger.lose(&name(), &many, walk.now);
    assert_eq!(walk.ledger.lost(&name()), &many[2000 - lost::MAX_LOST..]);
}

#[test]
fn a_reload_for_one_group_cleans_the_names_of_all() {
    let mut walk = Walk::new();
    let (place, other) = (NamedIn { resource: "b.toml".into(), dest: "/b".into() }, EndpointName::new("b-1"));
    walk.ledger.record(&place, &[NameUse { name: other.clone(), traits: TRAITS }], walk.now);
    walk.ledger.went_live(&place.dest, &BTreeSet::from([other.clone()]), walk.now);
    for number in 1..3 {
        walk.reload(true);
        assert_eq!((walk.lines(), walk.ledger.wants_lines(&other)), (None, false));
        let began = walk.now;
        walk.end_reload(ReloadEnd::Verified);
        // The next reload, perhaps of a different nginx, begins before the workers of this one have asked again.
        walk.pass(1);
        walk.reload(true);
        for name in [name(), other.clone()] {
            walk.ledger.look(&name, (Some(worker(number, began)), Uptake::Taken), walk.now);
        }
        walk.pass(100);
        assert!(!walk.must_clean());
    }
}

#[test]
fn a_restart_of_ours_remembers_a_clean_worker() {
    let mut walk = Walk::new();
    walk.ledger.remember_clean(&name(), address(1), false);
    walk.asks(1);
    walk.pass(9);
    assert!(!walk.must_clean());
    assert_eq!(walk.ledger.clean_worker(&name()), Some(address(1)));
    let mut other = Walk::new();
    other.ledger.remember_clean(&name(), address(7), false);
    other.asks(1);
    other.pass(9);
    assert!(other.must_clean());
    assert_eq!(other.ledger.clean_worker(&name()), None);
}

#[test]
fn the_workers_of_an_earlier_run_are_known_whatever_socket_they_ask_from() {
    let of = |pids: &[i32]| pids.iter().map(|pid| Process { pid: *pid, start_time: 1 }).collect::<BTreeSet<_>>();
    // The workers that serve now, whether the socket is the one from before, and whether the worker has read the lines.
    for (now_serve, is_same_socket, has_lines) in [
        (&[1, 2][..], false, false),
        (&[2], false, false),
        (&[3, 4], true, true),
        (&[1, 3], true, false),
        (&[1, 3], false, true),
        (&[], true, false),
        (&[], false, true),
    ] {
        let mut walk = Walk::new();
        walk.ledger.remember_workers(of(&[1, 2]));
        walk.ledger.remember_clean(&name(), address(if is_same_socket { 1 } else { 7 }), false);
        if !now_serve.is_empty() {
            walk.ledger.see_workers(of(now_serve), walk.now);
        }
        walk.asks(1);
        walk.pass(9);
        assert_eq!(walk.must_clean(), has_lines, "{now_serve:?} {is_same_socket}");
    }
}

#[test]
fn an_old_worker_seen_after_the_newest_has_not_read_the_lines_since() {
    let of = |pids: &[i32]| pids.iter().map(|pid| Process { pid: *pid, start_time: 1 }).collect::<BTreeSet<_>>();
    for (now_serve, has_lines) in [(&[1][..], false), (&[1, 2], true), (&[2], true)] {
        let mut walk = Walk::new();
        walk.ledger.remember_workers(of(&[1]));
        walk.ledger.remember_clean(&name(), address(7), false);
        walk.ledger.see_workers(of(&[1]), walk.now);
        walk.asks(1);
        walk.ledger.see_workers(of(now_serve), walk.now);
        walk.asks(2);
        walk.pass(9);
        assert_eq!(walk.must_clean(), has_lines, "{now_serve:?}");
    }
}

#[test]
fn a_name_that_nobody_asks_for_stays_clean_as_long_as_no_worker_starts() {
    let mut walk = Walk::new();
    let of = |pid| BTreeSet::from([Process { pid, start_time: 1 }]);
    walk.ledger.remember_workers(of(1));
    walk.ledger.remember_clean(&name(), address(7), false);
    let mut see = |pid, seconds| {
        let later = walk.now + Duration::from_secs(seconds);
        (walk.ledger.see_workers(of(pid), later), walk.ledger.is_outlived(&name()))
    };
    assert_eq!([see(1, 0), see(1, 9), see(2, 10)], [(false, false); 3]);
    assert_eq!(see(2, 13), (true, true));
    assert_eq!(walk.ledger.clean_worker(&name()), Some(address(7)), "a socket is still known");
    // Whoever asks now may have started since.
    walk.asks(1);
    walk.pass(9);
    assert!(walk.must_clean());
    assert!(!walk.ledger.is_outlived(&name()));
    assert_eq!(*walk.ledger.workers(), of(2));
}

#[test]
fn a_file_whose_names_nobody_asks_for_is_known() {
    let mut walk = Walk::new();
    let silent = |walk: &mut Walk| walk.ledger.take_silent(|_| true, walk.now).get("a.toml").copied();
    walk.pass(15);
    assert!(walk.ledger.take_silent(|resource| resource != "a.toml", walk.now).is_empty(), "its nginx is down");
    assert_eq!(silent(&mut walk), Some(false));
    for _ in 0..3 {
        // It cannot run yet, or fails.
        walk.pass(15);
        assert_eq!(silent(&mut walk), None, "the reload has time");
        walk.end_reload(ReloadEnd::Failed);
        walk.ledger.end_reload(|resource| resource == "b.toml", ReloadEnd::Verified, walk.now);
    }
    walk.end_reload(ReloadEnd::Verified);
    walk.pass(14);
    assert_eq!(silent(&mut walk), None);
    walk.pass(1);
    assert_eq!(silent(&mut walk), Some(true));
    assert_eq!(silent(&mut walk), None);
    walk.asks(1);
    walk.ledger.look(&name(), (Some(worker(1, walk.now)), Uptake::Unasked), walk.now);
    walk.pass(14);
    assert_eq!(silent(&mut walk), None);
    walk.pass(1);
    assert_eq!(silent(&mut walk), Some(false));
    walk.pass(15);
    assert!(!walk.ledger.went_live(Path::new("/a"), &BTreeSet::from([name()]), walk.now), "it was live already");
    assert!(walk.ledger.went_live(Path::new("/a"), &BTreeSet::new(), walk.now));
    assert_eq!(silent(&mut walk), None);
    assert_eq!(walk.unused(true), [name()]);
    walk.ledger.remember_use(&name(), true, walk.now);
    walk.pass(6);
    assert_eq!(walk.unused(true), [], "nginx may repeat its question yet");
    walk.pass(1);
    assert_eq!(walk.unused(true), [name()]);
}

#[test]
fn lines_stay_off_the_disk_until_the_last_reload_has_read_its_files() {
    let mut walk = Walk::new();
    walk.asks(1);
    walk.reload(true);
    walk.reload(true);
    walk.end_reload(ReloadEnd::Verified);
    assert_eq!(walk.lines(), None, "the other one still runs");
    walk.end_reload(ReloadEnd::Unverified);
    walk.reload(true);
    walk.pass(1);
    walk.end_reload(ReloadEnd::Verified);
    assert_eq!(walk.lines(), None, "an nginx may still read its files");
    walk.pass(3);
    walk.asks(2);
    assert!(!walk.must_clean(), "it has read no lines");
    assert!(!walk.ledger.put_back(walk.now));
    walk.pass(1);
    assert!(walk.ledger.put_back(walk.now) && walk.lines().is_some());
    walk.reload(true);
    walk.ledger.put_all_back(walk.now);
    assert!(walk.lines().is_some());
}

#[test]
fn the_silence_of_a_name_begins_when_its_file_is_live() {
    let mut walk = Walk::new();
    let (place, other) = (NamedIn { resource: "b.toml".into(), dest: "/b".into() }, EndpointName::new("b-1"));
    walk.asks(1);
    walk.ledger.record(&place, &[NameUse { name: other.clone(), traits: TRAITS }], walk.now);
    walk.pass(60);
    walk.ledger.went_live(&place.dest, &BTreeSet::from([other]), walk.now);
    assert_eq!(walk.ledger.take_silent(|_| true, walk.now), BTreeMap::new());
    walk.pass(15);
    assert_eq!(walk.ledger.take_silent(|_| true, walk.now), BTreeMap::from([("b.toml".into(), false)]));
}

#[test]
fn names_of_a_file_that_is_gone_are_over() {
    let mut walk = Walk::new();
    let place = NamedIn { resource: "a.toml".into(), dest: "/b".into() };
    let other = EndpointName::new("web-2");
    walk.ledger.record(&place, &[NameUse { name: other.clone(), traits: TRAITS }], walk.now);
    walk.ledger.went_live(&place.dest, &BTreeSet::from([other.clone()]), walk.now);
    assert_eq!(walk.live(), [name(), other.clone()]);
    walk.ledger.keep_files("b.toml", &BTreeSet::new());
    walk.ledger.keep_files("a.toml", &BTreeSet::from([Path::new("/a")]));
    assert_eq!(walk.live(), [name()]);
    assert_eq!(walk.unused(true), [other]);
}

#[test]
fn names_of_a_resource_that_is_gone_last_as_long_as_its_file() {
    let mut walk = Walk::new();
    walk.ledger.keep_resources(|_| false, walk.now);
    walk.pass(15);
    assert_eq!((walk.live(), walk.ledger.take_silent(|_| true, walk.now)), (vec![], BTreeMap::new()));
    assert_eq!((walk.unused(true), walk.unused(false)), (vec![], vec![name()]));
    walk.ledger.keep_resources(|_| true, walk.now);
    assert_eq!((walk.live(), walk.unused(false)), (vec![name()], vec![]));
    assert_eq!(walk.ledger.take_silent(|_| true, walk.now), BTreeMap::new(), "nginx has time to ask");
}
