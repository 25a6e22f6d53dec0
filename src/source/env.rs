//! The `env` store: `/a/b` is `A_B`. Read once at the start and again when asked; the environment does not change by itself.

use super::{Outlet, Requests};
use crate::model::key::{Key, Revision, Value};
use crate::world::environment;

/// Runs until the handle is dropped.
pub(super) async fn run(mut requests: Requests, mut outlet: Outlet) {
    let mut revision = 0;
    loop {
        revision += 1;
        let ranges = requests.ranges();
        let variables = environment::variables();
        let mut entries: Vec<(Key, Value)> = variables
            .iter()
            .filter_map(|(name, value)| Some((Key::from(path_of(std::str::from_utf8(name).ok()?).as_str()), value)))
            .filter(|(key, _)| ranges.contains(key.as_str()))
            .map(|(key, value)| (key, Value::from_bytes(value)))
            .collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        outlet.outbox.put_snapshot(Revision(revision), ranges, entries);
        if !outlet.until(requests.changed()).await {
            return;
        }
    }
}

/// `A_B` is `/a/b`.
fn path_of(name: &str) -> String {
    format!("/{}", name.to_lowercase().replace('_', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        for (name, expected) in [("APP_DB_HOST", "/app/db/host"), ("Home", "/home"), ("A__B", "/a//b")] {
            assert_eq!(path_of(name), expected);
        }
    }
}
