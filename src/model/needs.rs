//! Keys that a resource needs: those that must exist (`require`), and those that it waits for (`wait_for`).
//! Pure: finds those that a view lacks.

use std::time::Duration;

use super::view::View;

/// Needs of a resource. Paths are as templates see them; a directory counts as a key, and a pattern needs one match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Paths without which the resource fails.
    pub require: Vec<String>,
    /// Paths without which the resource does not go live yet.
    pub wait_for: Vec<String>,
    /// Longest wait; after that the resource goes live as it is. Default: 1 min.
    pub wait_timeout: Duration,
}

impl Default for Needs {
    fn default() -> Needs {
        Needs { require: Vec::new(), wait_for: Vec::new(), wait_timeout: Duration::from_secs(60) }
    }
}

/// Returns the paths that `view` lacks, in the order given.
pub fn missing<'p>(paths: &'p [String], view: &View) -> Vec<&'p str> {
    let is_there = |path: &str| {
        view.get(path).is_some()
            || view.has_directory(path)
            || (path.contains(['*', '?', '[']) && view.matching(path).is_ok_and(|found| !found.is_empty()))
    };
    paths.iter().map(String::as_str).filter(|path| !is_there(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::key::{Key, Revision, Value};
    use crate::model::range::KeyRanges;
    use crate::model::tree::Tree;

    #[test]
    fn keys_directories_and_patterns_can_be_missing() {
        let keys = ["/app/name", "/app/db/host"];
        let tree = Tree::from_entries(Revision(1), keys.map(|key| (Key::from(key), Value::from("v"))));
        let view = View::new(tree, Arc::from(""), KeyRanges::of_directories(["/app"]));
        let all = ["/app/name", "/app", "/app/db", "/app/*", "/app/x", "/app/db/p*", "/app/*/host", "/app/name/"];
        let all = all.map(str::to_owned);
        assert_eq!(missing(&all, &view), ["/app/x", "/app/db/p*", "/app/name/"]);
    }
}
