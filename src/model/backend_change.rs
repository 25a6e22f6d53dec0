//! What an update changed in the backends of one file, for people. Pure. Knows decoded addresses, states and weights only, never a value.

use std::collections::BTreeMap;
use std::fmt;

use super::live_backends::{ListedState, LiveBackends};
use super::text;

/// Most addresses that are named for each direction.
const MAX_NAMED: usize = 5;
/// Longest address that is shown whole, in characters.
const MAX_ADDRESS_CHARACTERS: usize = 120;

/// The backends of a file, and how they differ from those of the file before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendChange {
    /// Number of backends now.
    pub total: usize,
    added: SomeBackends,
    removed: SomeBackends,
    /// Those that were there before and get a different share of the traffic.
    altered: SomeBackends,
}

/// Some of the backends, and the number of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SomeBackends {
    named: Vec<String>,
    more: usize,
}

/// The share of traffic of the backend with an address. If several keys announce one, that of the best of them.
type Share = (ListedState, u16);

impl BackendChange {
    /// Returns the change to the backends `now`; if those before are not known, only their number.
    pub fn between(before: Option<&LiveBackends>, now: &LiveBackends) -> BackendChange {
        let Some(before) = before.filter(|before| *before != now) else {
            return BackendChange { total: now.count_addresses(), ..BackendChange::default() };
        };
        let (before, now) = (shares(before), shares(now));
        let only_in = |of: &BTreeMap<&str, Share>, others: &BTreeMap<&str, Share>| {
            SomeBackends::of(of.keys().filter(|address| !others.contains_key(*address)).map(|address| shown(address)))
        };
        let altered = now.iter().filter_map(|(address, share)| {
            let before = before.get(address).filter(|before| *before != share)?;
            Some(format!("{}{}", shown(address), said(*before, *share)))
        });
        BackendChange {
            total: now.len(),
            added: only_in(&now, &before),
            removed: only_in(&before, &now),
            altered: SomeBackends::of(altered),
        }
    }

    /// Returns this change and a later one together.
    pub fn and(self, later: BackendChange) -> BackendChange {
        let (came, went) = (later.added.without(&self.removed), later.removed.without(&self.added));
        BackendChange {
            total: later.total,
            added: self.added.without(&later.removed).and(came),
            removed: self.removed.without(&later.added).and(went),
            altered: self.altered.and(later.altered),
        }
    }

    /// Returns whether nothing has changed, as far as that is known.
    pub fn is_empty(&self) -> bool {
        [&self.added, &self.removed, &self.altered].iter().all(|some| **some == SomeBackends::default())
    }
}

/// Returns what each address gets.
fn shares(backends: &LiveBackends) -> BTreeMap<&str, Share> {
    let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
    for (backend, _) in backends.iter() {
        let share = (backend.state, backend.weight);
        shares.entry(backend.address).and_modify(|best| *best = (*best).max(share)).or_insert(share);
    }
    shares
}

fn shown(address: &str) -> String {
    text::one_line(address, MAX_ADDRESS_CHARACTERS, '?')
}

/// Returns what has changed for an address, in words.
fn said((state_before, weight_before): Share, (state, weight): Share) -> String {
    let weight = if weight == weight_before { String::new() } else { format!("has weight {weight}") };
    match (state == state_before, weight.is_empty()) {
        (true, _) => format!(" {weight}"),
        (false, true) => format!(" is {}", state.word()),
        (false, false) => format!(" is {} and {weight}", state.word()),
    }
}

impl SomeBackends {
    fn of(mut backends: impl Iterator<Item = String>) -> SomeBackends {
        let named = backends.by_ref().take(MAX_NAMED).collect();
        SomeBackends { named, more: backends.count() }
    }

    fn without(&self, others: &SomeBackends) -> SomeBackends {
        let named = self.named.iter().filter(|backend| !others.named.contains(backend)).cloned().collect();
        SomeBackends { named, more: self.more }
    }

    fn and(self, later: SomeBackends) -> SomeBackends {
        let SomeBackends { named, more } = SomeBackends::of(self.named.into_iter().chain(later.named));
        SomeBackends { named, more: more + self.more + later.more }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, sign: &str) -> fmt::Result {
        for backend in &self.named {
            write!(f, ", {sign}{backend}")?;
        }
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}

/// Prints `3 backends, +10.0.0.3:80, -10.0.0.9:80, 10.0.0.4:80 is draining`.
impl fmt::Display for BackendChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::counted(self.total, "backend"))?;
        self.added.write(f, "+")?;
        self.removed.write(f, "-")?;
        self.altered.write(f, "")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::live_backends::ListedBackend;

    /// A list of these addresses, each with its key, state and weight.
    fn list(backends: &[(&'static str, &'static str, ListedState, u16)]) -> LiveBackends {
        let backend = |(address, key, state, weight): &(&'static str, &'static str, ListedState, u16)| ListedBackend {
            address,
            key,
            announcer: "",
            state: *state,
            weight: *weight,
        };
        LiveBackends::new(backends.iter().map(backend).collect(), &BTreeSet::new(), None, 0)
    }

    fn up(addresses: &[&'static str]) -> LiveBackends {
        list(&addresses.iter().map(|address| (*address, "", ListedState::Up, 1)).collect::<Vec<_>>())
    }

    #[test]
    fn two_changes_together_are_what_has_changed_since_the_first_began() {
        let change =
            |before: &[&'static str], now: &[&'static str]| BackendChange::between(Some(&up(before)), &up(now));
        let both = change(&["x"], &["x", "y"]).and(change(&["x", "y"], &["y", "v"]));
        assert_eq!(both.to_string(), "2 backends, +y, +v, -x");
        assert!(change(&["x"], &["x", "y"]).and(change(&["x", "y"], &["x"])).is_empty());
        assert!(change(&["x"], &[]).and(change(&[], &["x"])).is_empty());
        let many = ["a", "b", "c", "d"];
        let both = change(&[], &many).and(change(&many, &["a", "b", "c", "d", "e", "f", "g"]));
        assert_eq!(both.to_string(), "7 backends, +a, +b, +c, +d, +e and 2 more");
    }

    #[track_caller]
    fn check(before: Option<&LiveBackends>, now: &LiveBackends, expected: &str) {
        assert_eq!(BackendChange::between(before, now).to_string(), expected);
    }

    #[test]
    fn a_change_is_said_in_a_bounded_number_of_addresses() {
        check(None, &up(&["a:1", "b:1"]), "2 backends");
        check(Some(&up(&["a:1"])), &up(&["a:1"]), "1 backend");
        check(Some(&up(&["a:1", "b:1"])), &up(&["b:1", "c:1"]), "2 backends, +c:1, -a:1");
        check(Some(&up(&["a:1"])), &up(&[]), "0 backends, -a:1");
        let many = up(&["h0:1", "h1:1", "h2:1", "h3:1", "h4:1", "h5:1", "h6:1"]);
        let named = "+h0:1, +h1:1, +h2:1, +h3:1, +h4:1 and 2 more";
        check(Some(&up(&["a:1"])), &many, &format!("7 backends, {named}, -a:1"));
        check(Some(&up(&["a\nb:1"])), &up(&[]), "0 backends, -a?b:1");
    }

    #[test]
    fn a_backend_that_stays_may_get_a_different_share() {
        use ListedState::{Backup, Draining, Up};
        let before =
            list(&[("a:1", "/a", Up, 1), ("b:1", "/b", Up, 1), ("c:1", "/c", Draining, 1), ("d:1", "/d", Up, 1)]);
        let now =
            list(&[("a:1", "/a", Draining, 1), ("b:1", "/b", Up, 5), ("c:1", "/c", Backup, 2), ("d:1", "/e", Up, 1)]);
        let altered = "a:1 is draining, b:1 has weight 5, c:1 is backup and has weight 2";
        check(Some(&before), &now, &format!("4 backends, {altered}"));
        assert!(!BackendChange::between(Some(&before), &now).is_empty());
        assert!(BackendChange::between(Some(&now), &now).is_empty());
        let twice = list(&[("a:1", "/a", Draining, 1), ("a:1", "/b", Up, 1)]);
        check(Some(&up(&["a:1"])), &twice, "1 backend");
    }
}
