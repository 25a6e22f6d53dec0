//! Random walks: whatever happens in between, what is wanted is there in the end.

use super::*;

/// Values change at any time and answers get lost, before or after they took effect: no two writes are closer than the pause, and
/// the last value arrives.
#[test]
fn no_walk_writes_a_paced_key_more_often_and_the_last_value_arrives() {
    for seed in 0..1_000 {
        let mut dice = Dice(seed);
        let mut now = Instant::now();
        let (mut machine, mut store) = (Registrar::new(now).with_pause(S), Store::default());
        let (mut last_write, mut value) = (None, 0);
        for _ in 0..100 {
            if dice.roll(3) == 0 {
                value += 1;
                machine.want("/a", TTL, text(&value.to_string()));
            }
            now += Duration::from_millis(dice.roll(200));
            let action = machine.next(now);
            if matches!(action, EtcdAction::Wait(_)) {
                continue;
            }
            let before = store.events.len();
            let lost = dice.roll(6);
            let outcome = if lost == 0 { broken() } else { store.answer(&action) };
            if store.events.len() > before {
                let pause = last_write.replace(now).map_or(S, |last| now - last);
                assert!(pause >= S, "walk {seed} writes after {pause:?}");
            }
            machine.done(&action, if lost == 1 { broken() } else { outcome }, now, 0.5);
        }
        settle(&mut machine, &mut store, now, 2 * S);
        assert_eq!(store.keys.get("/a").map_or("0", |(_, text)| text), value.to_string(), "walk {seed}");
    }
}

/// A small generator, so that a failing walk can be repeated by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Puts the store back to a backup. Leases that nobody renews are gone before the registrar looks.
fn restore(store: &mut Store, backup: &Store, machine: &Registrar) {
    let (last_lease, raft_term, events) = (store.last_lease, store.raft_term - 1, store.events.clone());
    *store = Store { last_lease, raft_term, events, ..backup.clone() };
    let is_renewed = |id: &LeaseId| machine.leases.values().any(|lease| lease.id == *id);
    let gone: Vec<LeaseId> = store.leases.iter().copied().filter(|id| !is_renewed(id)).collect();
    gone.into_iter().for_each(|lease| store.end_lease(lease));
}

/// Walks two thousand times sixty steps: wishes change, answers get lost before or after they took effect, leases and keys
/// disappear, other announcers come, backups are restored. No key of other announcers is touched, and in the end all is as wanted, and
/// stays so.
#[test]
fn every_walk_ends_as_wanted() {
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let mut now = Instant::now();
        let (mut machine, mut store) =
            (Registrar::new(now), Store { last_lease: 10, raft_term: 1000, ..Store::default() });
        let (mut backup, mut is_cut_off) = (store.clone(), false);
        let keys = ["/a", "/b", "/c"];
        let mut wanted: BTreeMap<&str, Option<Arc<str>>> = BTreeMap::new();
        for _ in 0..60 {
            let key = keys[dice.roll(3) as usize];
            match dice.roll(10) {
                0 | 1 => {
                    let value = (dice.roll(3) > 0).then(|| Arc::from(dice.roll(3).to_string()));
                    machine.want(key, TTL, value.clone());
                    wanted.insert(key, value);
                }
                2 if dice.roll(3) == 0 => store.leases.clone().into_iter().for_each(|lease| store.end_lease(lease)),
                3 if dice.roll(3) == 0 => {
                    store.keys.remove(key);
                }
                4 if !store.keys.contains_key(key) && dice.roll(3) == 0 => store.put(key, 7, "theirs"),
                5 => store.keys.retain(|_, (lease, _)| *lease != 7),
                6 => backup = store.clone(),
                // Before the first listing, a restored store cannot be distinguished from one that went on.
                7 if dice.roll(2) == 0 && machine.last_listing.is_some() => {
                    restore(&mut store, &backup, &machine);
                    is_cut_off = true;
                }
                _ => {}
            }
            let theirs = |store: &Store| store.keys.values().filter(|(lease, _)| *lease == 7).count();
            let before = theirs(&store);
            match machine.next(now) {
                EtcdAction::Wait(at) => now = at.unwrap_or(now).max(now + S),
                action => {
                    let outcome = match dice.roll(6) {
                        _ if std::mem::take(&mut is_cut_off) => broken(),
                        0 => broken(),
                        1 => {
                            store.answer(&action);
                            broken()
                        }
                        _ => store.answer(&action),
                    };
                    machine.done(&action, outcome, now, 0.5);
                }
            }
            assert_eq!(theirs(&store), before, "walk {seed} touched a key of another");
        }
        store.keys.retain(|_, (lease, _)| *lease != 7);
        let (_, now) = settle(&mut machine, &mut store, now, 60 * S);
        let found: BTreeMap<&str, &str> =
            store.keys.iter().map(|(key, (_, value))| (key.as_str(), value.as_str())).collect();
        let expected: BTreeMap<&str, &str> =
            wanted.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
        assert_eq!(found, expected, "walk {seed}");
        let events = store.events.len();
        let (_, now) = settle(&mut machine, &mut store, now, 3600 * S);
        assert_eq!(store.events.len(), events, "walk {seed} writes without need");
        machine.stop();
        settle(&mut machine, &mut store, now, 60 * S);
        assert!(store.keys.is_empty() && machine.is_empty(), "walk {seed} leaves something");
    }
}
