//! What an update changed in the backends of one file, for people. Pure. Knows decoded addresses only, never a value.

use std::collections::BTreeSet;
use std::fmt;

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
    added: SomeAddresses,
    removed: SomeAddresses,
}

/// Some of the addresses, and the number of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SomeAddresses {
    named: Vec<String>,
    more: usize,
}

impl BackendChange {
    /// Returns the change to the addresses `now`; if those before are not known, only their number.
    pub fn between(before: Option<&BTreeSet<&str>>, now: &BTreeSet<&str>) -> BackendChange {
        let Some(before) = before else { return BackendChange { total: now.len(), ..BackendChange::default() } };
        let added = SomeAddresses::of(now.difference(before));
        BackendChange { total: now.len(), added, removed: SomeAddresses::of(before.difference(now)) }
    }
}

impl BackendChange {
    /// Returns whether no address was added or removed, as far as that is known.
    pub fn is_empty(&self) -> bool {
        self.added == SomeAddresses::default() && self.removed == SomeAddresses::default()
    }
}

impl SomeAddresses {
    fn of<'a>(mut addresses: impl Iterator<Item = &'a &'a str>) -> SomeAddresses {
        let named = addresses.by_ref().take(MAX_NAMED);
        let named = named.map(|address| text::one_line(address, MAX_ADDRESS_CHARACTERS, '?')).collect();
        SomeAddresses { named, more: addresses.count() }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, sign: char) -> fmt::Result {
        for address in &self.named {
            write!(f, ", {sign}{address}")?;
        }
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}

/// Prints `3 backends, +10.0.0.3:80, -10.0.0.9:80`.
impl fmt::Display for BackendChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::counted(self.total, "backend"))?;
        self.added.write(f, '+')?;
        self.removed.write(f, '-')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: Option<&[&str]>, now: &[&str], expected: &str) {
        let before: Option<BTreeSet<&str>> = before.map(|before| before.iter().copied().collect());
        let change = BackendChange::between(before.as_ref(), &now.iter().copied().collect());
        assert_eq!(change.to_string(), expected);
    }

    #[test]
    fn a_change_is_said_in_a_bounded_number_of_addresses() {
        check(None, &["a:1", "b:1"], "2 backends");
        check(Some(&["a:1"]), &["a:1"], "1 backend");
        check(Some(&["a:1", "b:1"]), &["b:1", "c:1"], "2 backends, +c:1, -a:1");
        check(Some(&["a:1"]), &[], "0 backends, -a:1");
        let many: Vec<String> = (0..7).map(|n| format!("h{n}:1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let named = "+h0:1, +h1:1, +h2:1, +h3:1, +h4:1 and 2 more";
        check(Some(&["a:1"]), &many, &format!("7 backends, {named}, -a:1"));
        check(Some(&["a\nb:1"]), &[], "0 backends, -a?b:1");
    }
}
