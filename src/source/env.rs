//! The environment as a store: `A_B` is `/a/b`. It never changes while the process lives, so there is one snapshot, and one
//! more after each request for it.

use super::outbox::Snapshot;
use super::{Outlet, Requests};
use crate::model::key::{Key, Revision, Value};
use crate::model::range::KeyRanges;
use crate::model::variable;
use crate::world::host;

/// Runs until the handle is dropped.
pub(super) async fn run(mut requests: Requests, mut outlet: Outlet) {
    for revision in 1.. {
        let ranges = requests.ranges();
        let entries = entries(host::environment(), &ranges);
        let revision = Revision(revision);
        outlet.outbox.put_snapshot(Snapshot { revision, ranges, entries, ..Snapshot::default() });
        if !outlet.until(requests.changed()).await {
            return;
        }
    }
}

/// Returns the entries in the ranges. Variables whose names are not UTF-8 have no key.
fn entries(variables: Vec<(Vec<u8>, Vec<u8>)>, ranges: &KeyRanges) -> Vec<(Key, Value)> {
    let mut entries = Vec::new();
    for (name, value) in variables {
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        let key = variable::key_of(name);
        if ranges.contains(&key) {
            entries.push((Key::from(key.as_str()), Value::from_bytes(&value)));
        }
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(directories: &[&str], variables: &[(&[u8], &[u8])], expected: &[(&str, Option<&str>)]) {
        let variables = variables.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let ranges = KeyRanges::of_directories(directories.iter().copied());
        let entries = entries(variables, &ranges);
        let shown: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value.as_text())).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn names_become_paths() {
        let variables: &[(&[u8], &[u8])] = &[
            (b"MYAPP_DB_HOST", b"db"),
            (b"myapp_port", b"1"),
            (b"MYAPPX", b"2"),
            (b"MYAPP", b""),
            (b"MYAPP_\xff", b"3"),
        ];
        check(
            &["/myapp"],
            variables,
            &[("/myapp", Some("")), ("/myapp/db/host", Some("db")), ("/myapp/port", Some("1"))],
        );
    }

    #[test]
    fn a_value_that_is_not_text_keeps_its_bytes() {
        check(&["/"], &[(b"A", b"\xff")], &[("/a", None)]);
    }
}
