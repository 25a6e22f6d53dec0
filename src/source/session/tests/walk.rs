//! Random walks of the session through a store that changes, compacts, goes back to an older copy, grants and refuses keys,
//! and lets calls fail. Regardless of the walk, an undisturbed session ends with exactly the content of the store that it
//! may see.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::key::{Key, Value};

/// A small reproducible source of randomness.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Keys with their values and the revisions that wrote them.
type Keys = BTreeMap<String, (String, i64)>;

fn plain(keys: &Keys) -> BTreeMap<String, String> {
    keys.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect()
}

/// A model of etcd, as far as a session can see it.
#[derive(Clone)]
struct Store {
    header: Header,
    /// The content after each revision.
    past: BTreeMap<i64, Keys>,
    compacted: i64,
}

impl Store {
    fn new() -> Store {
        Store {
            header: Header { raft_term: 1000, ..header(1) },
            past: BTreeMap::from([(1, Keys::new())]),
            compacted: 0,
        }
    }

    fn revision(&self) -> i64 {
        self.header.revision.0
    }

    fn now(&self) -> &Keys {
        &self.past[&self.revision()]
    }

    fn change(&mut self, dice: &mut Dice) {
        let revision = self.revision() + 1;
        let mut keys = self.now().clone();
        let key = format!("/{}", dice.roll(4));
        if dice.roll(3) > 0 || keys.remove(&key).is_none() {
            keys.insert(key, (dice.roll(1 << 40).to_string(), revision));
        }
        self.header.revision = Revision(revision);
        self.past.insert(revision, keys);
    }

    fn compact(&mut self, dice: &mut Dice) {
        let kept = u64::try_from(self.revision() - self.compacted).unwrap();
        self.compacted += i64::try_from(dice.roll(kept + 1)).unwrap();
    }

    /// Returns the failure of a read pinned to `revision`, if any.
    fn refuses(&self, revision: i64) -> Option<FailureKind> {
        if revision > self.revision() {
            return Some(FailureKind::Future);
        }
        (revision < self.compacted).then_some(FailureKind::Compacted)
    }

    /// Returns the next events of a watcher that has seen everything up to `after`.
    fn events_after(&self, after: i64) -> Vec<(String, Option<String>)> {
        let (before, now) = (&self.past[&after], &self.past[&(after + 1)]);
        let puts = now.iter().filter(|(_, (_, revision))| *revision == after + 1);
        let puts = puts.map(|(key, (value, _))| (key.clone(), Some(value.clone())));
        let deletes = before.keys().filter(|key| !now.contains_key(*key)).map(|key| (key.clone(), None));
        puts.chain(deletes).collect()
    }
}

/// A session, the state that its agent knows, and the store on the other side.
struct Walk {
    dice: Dice,
    session: Session,
    store: Store,
    copy: Store,
    rights: Rights,
    known: BTreeMap<String, String>,
    mark: Option<LastChange>,
    watched_up_to: i64,
    /// Whether the watch broke while the session was asking for something else.
    watch_broke: bool,
    /// Whether a restored store looks by chance like the one before in everything that the session asks. Such a walk proves
    /// nothing.
    was_fooled: bool,
    resumed: u32,
    troubles: bool,
    failures_in_a_row: u32,
}

/// The ranges that the session may read. A watch that is open goes on when a right is lost, as etcd's do.
#[derive(Default)]
struct Rights {
    /// Keys that the store refuses now.
    refused: BTreeSet<String>,
    /// Keys that it refused at the last listing.
    refused_then: BTreeSet<String>,
}

impl Rights {
    /// Returns whether the store shows a key now that it refused at the last listing.
    fn has_news(&self) -> bool {
        self.refused_then.iter().any(|key| !self.refused.contains(key))
    }

    /// Returns whether the store refuses a key now that it showed at the last listing.
    fn has_lost(&self) -> bool {
        self.refused.iter().any(|key| !self.refused_then.contains(key))
    }

    /// Returns the keys that the last listing has read, or would have.
    fn visible(&self, keys: &Keys) -> Keys {
        let is_visible = |(key, _): &(&String, &(String, i64))| !self.refused_then.contains(*key);
        keys.iter().filter(is_visible).map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }
}

impl Walk {
    fn new(seed: u64) -> Walk {
        let store = Store::new();
        Walk {
            dice: Dice(seed),
            session: Session::new(true, true, 2),
            copy: store.clone(),
            store,
            rights: Rights::default(),
            known: BTreeMap::new(),
            mark: None,
            watched_up_to: 0,
            watch_broke: false,
            was_fooled: false,
            resumed: 0,
            troubles: true,
            failures_in_a_row: 0,
        }
    }

    /// May change the store. Returns true if open connections break.
    fn disturb(&mut self) -> bool {
        match self.dice.roll(24) {
            0..=9 => self.store.change(&mut self.dice),
            10 => self.store.compact(&mut self.dice),
            11 => self.copy = self.store.clone(),
            12 => {
                self.store = self.copy.clone();
                self.store.header.raft_term -= u64::from(self.dice.roll(4) == 0);
                for _ in 0..self.dice.roll(8) {
                    self.store.change(&mut self.dice);
                }
                return true;
            }
            13 => self.session.ask(false),
            14 => {
                let key = format!("/{}", self.dice.roll(4));
                if !self.rights.refused.remove(&key) && self.dice.roll(4) == 0 {
                    self.rights.refused.insert(key);
                }
            }
            15 if self.dice.roll(16) == 0 => self.rights.refused = (0..4).map(|key| format!("/{key}")).collect(),
            _ => {}
        }
        false
    }

    fn step(&mut self) {
        let broke = self.troubles && self.disturb();
        let doing = self.session.doing();
        // A session at rest notices nothing before its next probe.
        let is_connected = !matches!(
            doing,
            SessionAction::Wait(_) | SessionAction::Connect(_) | SessionAction::Discover | SessionAction::Rest
        );
        self.watch_broke |= broke && doing == SessionAction::Probe;
        let input = if broke && is_connected {
            failed(FailureKind::Unreachable)
        } else if self.troubles
            && !matches!(doing, SessionAction::Wait(_) | SessionAction::Rest)
            && self.dice.roll(8) == 0
        {
            self.random_failure()
        } else {
            self.outcome(doing)
        };
        match input {
            Input::Failed { .. } => self.failures_in_a_row += 1,
            Input::Waited | Input::Watching { .. } | Input::AllRefused | Input::Probed { .. } => {
                self.failures_in_a_row = 0
            }
            _ => {}
        }
        assert!(self.failures_in_a_row < 12, "failures without a pause");
        let step = self.session.step(input, 0.5);
        if let SessionAction::Wait(delay) = step.action {
            assert!(delay <= Duration::from_secs(10) && matches!(step.notice, Some(SessionNotice::Lost { .. })));
        }
    }

    fn random_failure(&mut self) -> Input {
        use FailureKind::{Denied, TooLarge, Unauthenticated, Unreachable};
        failed([Unreachable, Unauthenticated, Denied, TooLarge][usize::try_from(self.dice.roll(4)).unwrap()])
    }

    fn outcome(&mut self, doing: SessionAction) -> Input {
        match doing {
            SessionAction::Discover => Input::Discovered(2),
            SessionAction::Connect(_) => Input::Connected,
            SessionAction::Wait(_) => Input::Waited,
            SessionAction::Rest => {
                assert_eq!(self.rights.refused_then.len(), 4, "a session that may see something never rests");
                Input::ProbeDue
            }
            SessionAction::Probe => Input::Probed { granted: self.rights.has_news() },
            SessionAction::List => self.list(),
            SessionAction::CheckHistory => self.verify(),
            SessionAction::Watch(_) => self.watch(),
            SessionAction::Follow => self.follow(),
        }
    }

    fn list(&mut self) -> Input {
        self.rights.refused_then = self.rights.refused.clone();
        let keys = self.rights.visible(self.store.now());
        self.known = plain(&keys);
        if self.rights.refused.len() == 4 {
            return Input::AllRefused;
        }
        let newest = keys.iter().max_by_key(|(_, (_, revision))| *revision);
        self.mark = newest.map(|(key, (value, revision))| LastChange {
            key: Key::from(key.as_str()),
            value: Some(Value::from(value.as_str())),
            revision: Revision(*revision),
            keys_in_hull: Some((keys.len(), self.store.header.revision)),
        });
        let (mark, refused) = (self.mark.clone(), !self.rights.refused.is_empty());
        Input::Listed(ListedStore { header: self.store.header, mark, coverage: Coverage::Hull, refused })
    }

    fn verify(&mut self) -> Input {
        let mark = self.session.mark().unwrap().clone();
        let revision = mark.revision.0;
        let counted = mark.keys_in_hull.map(|(_, at)| at.0);
        let before = mark.value.is_none().then_some(revision - 1);
        let asked = [Some(revision), counted, before].into_iter().flatten();
        if let Some(kind) = asked.filter_map(|revision| self.store.refuses(revision)).next() {
            return failed(kind);
        }
        let key = mark.key.as_str();
        if self.rights.refused.contains(key) || (self.rights.has_lost() && counted.is_some()) {
            return failed(FailureKind::Denied);
        }
        let stands = self.store.past[&revision].get(key);
        let mut same = match &mark.value {
            Some(value) => stands.is_some_and(|(text, at)| Some(text.as_str()) == value.as_text() && *at == revision),
            None => stands.is_none() && self.store.past[&(revision - 1)].contains_key(key),
        };
        let visible = |at: i64| self.rights.visible(&self.store.past[&at]);
        same &= mark.keys_in_hull.is_none_or(|(keys, at)| visible(at.0).len() == keys);
        let there = self.session.revision().and_then(|at| self.store.past.get(&at.0));
        self.was_fooled |= same && there.is_some_and(|there| plain(&self.rights.visible(there)) != self.known);
        Input::Verified { header: self.store.header, same }
    }

    fn watch(&mut self) -> Input {
        assert!(self.session.revision().is_some(), "a watch with nothing listed before");
        let after = self.session.watch_after().0;
        if after < self.store.compacted {
            return failed(FailureKind::Compacted);
        }
        if self.rights.has_lost() {
            return failed(FailureKind::Denied);
        }
        self.resumed += u32::from(Some(Revision(after)) < self.session.revision());
        self.watched_up_to = after;
        self.watch_broke = false;
        let watchers = 1 + usize::from(self.dice.roll(8) == 0);
        Input::Watching { header: self.store.header, watchers }
    }

    fn follow(&mut self) -> Input {
        if self.watch_broke {
            return failed(FailureKind::Unreachable);
        }
        let is_due = if self.troubles { self.dice.roll(4) == 0 } else { self.rights.has_news() };
        if is_due && !self.rights.refused_then.is_empty() {
            return Input::ProbeDue;
        }
        if self.watched_up_to >= self.store.revision() {
            return Input::Progress(self.store.header);
        }
        let revision = Revision(self.watched_up_to + 1);
        let events = self.store.events_after(self.watched_up_to);
        for (key, text) in events.into_iter().filter(|(key, _)| !self.rights.refused_then.contains(key)) {
            let value = text.as_deref().map(Value::from);
            self.mark = Some(LastChange { key: Key::from(key.as_str()), value, revision, keys_in_hull: None });
            match text {
                Some(text) => drop(self.known.insert(key, text)),
                None => drop(self.known.remove(&key)),
            }
        }
        self.watched_up_to = revision.0;
        Input::Advanced { revision, mark: self.mark.clone() }
    }

    /// Runs the session undisturbed until it has nothing more to do.
    fn settle(&mut self) {
        self.troubles = false;
        for _ in 0..300 {
            self.step();
            let is_done = match self.session.doing() {
                SessionAction::Follow => self.watched_up_to == self.store.revision(),
                SessionAction::Rest => true,
                _ => false,
            };
            if is_done && !self.rights.has_news() {
                return;
            }
        }
        panic!("the session does not settle: {:?}", self.session);
    }
}

#[test]
fn whatever_happens_the_agent_ends_with_what_the_store_has() {
    let (mut fooled, mut resumed, mut refused) = (0, 0, 0);
    for seed in 1..=4000_u64 {
        let mut walk = Walk::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..120 {
            walk.step();
        }
        walk.settle();
        resumed += walk.resumed;
        refused += u32::from(!walk.rights.refused_then.is_empty());
        let visible = plain(&walk.rights.visible(walk.store.now()));
        if walk.was_fooled && walk.known != visible {
            fooled += 1;
            continue;
        }
        assert_eq!(walk.known, visible, "seed {seed}");
        if walk.rights.refused_then.len() < 4 {
            assert_eq!(walk.session.revision(), Some(walk.store.header.revision), "seed {seed}");
        }
    }
    assert!(resumed > 1000, "only {resumed} watches were resumed");
    assert!(refused > 500 && refused < 3500, "{refused} of 4000 walks end with a refused key");
    assert!(fooled < 10, "{fooled} of 4000 walks took a restored store for the one before");
}
