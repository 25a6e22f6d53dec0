//! Paths and patterns that templates ask the store for by a literal, and whether a resource could ever see them. Pure.

use std::collections::BTreeSet;

use crate::model::glob::Glob;
use crate::model::problem::Position;
use crate::model::range::KeyRanges;

/// One call of a store function with a literal path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Template that the call is in.
    pub template: String,
    /// Place of the function's name.
    pub place: Position,
    /// Name of the function.
    pub function: &'static str,
    /// Literal path or pattern.
    pub path: String,
    /// Whether the template provides for there being nothing: with a default, or by asking whether it exists.
    pub optional: bool,
    reach: Reach,
}

/// The keys that a function's answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The key of this path.
    Key,
    /// That key and those below it.
    KeyAndBelow,
    /// Those below it.
    Below,
    /// Those that match.
    Pattern,
}

const FUNCTIONS: [(&str, Reach); 9] = [
    ("getv", Reach::Key),
    ("get", Reach::Key),
    ("gets", Reach::Pattern),
    ("getvs", Reach::Pattern),
    ("exists", Reach::KeyAndBelow),
    ("ls", Reach::Below),
    ("lsdir", Reach::Below),
    ("backends", Reach::Below),
    ("servers", Reach::Below),
];

impl Ask {
    /// Returns a call; `None` if the function does not ask the store.
    pub(super) fn new(function: &str, path: &str, has_default: bool, place: Position) -> Option<Ask> {
        let (function, reach) = FUNCTIONS.into_iter().find(|(name, _)| *name == function)?;
        // A further argument of a function that lists is no default.
        let optional = (has_default && reach != Reach::Below) || reach == Reach::KeyAndBelow;
        Some(Ask { template: String::new(), place, function, path: path.to_owned(), optional, reach })
    }

    /// Returns the same call in a template of this name.
    pub(super) fn in_template(self, name: &str) -> Ask {
        Ask { template: name.to_owned(), ..self }
    }

    /// Returns whether there could be a key that the call finds, for a resource with this prefix and these store keys.
    pub fn may_find(&self, prefix: &str, ranges: &KeyRanges) -> bool {
        let is_seen = |path: &str| ranges.contains(&format!("{prefix}{path}"));
        let is_begun = |beginning: &str| ranges.reach_into(&format!("{prefix}{beginning}"));
        let folder = self.path.trim_end_matches('/');
        match self.reach {
            Reach::Key => is_seen(&self.path),
            Reach::KeyAndBelow => is_seen(&self.path) || is_begun(&format!("{folder}/")),
            Reach::Below if folder.is_empty() => is_begun(""),
            Reach::Below => is_begun(&format!("{folder}/")),
            Reach::Pattern => match Glob::parse(&self.path) {
                Ok(glob) if glob.is_literal() => is_seen(&glob.literal_prefix()),
                Ok(glob) => is_begun(&glob.literal_prefix()),
                // Reported where it is rendered.
                Err(_) => true,
            },
        }
    }

    /// Returns the folder or key that `keys` would have to cover.
    pub fn wanted_key(&self) -> &str {
        let literal = self.path.find(['*', '?', '[', '\\']).map_or(self.path.as_str(), |end| &self.path[..end]);
        let folder =
            if literal.len() < self.path.len() { literal.rsplit_once('/').map_or("", |cut| cut.0) } else { literal };
        if folder.is_empty() { "/" } else { folder }
    }
}

/// Marks as optional what is read only after a question whether it exists.
pub(super) fn mark_guarded(asks: &mut [Ask]) {
    let guarded = asks.iter().filter(|ask| ask.reach == Reach::KeyAndBelow).map(|ask| ask.path.clone());
    let guarded: BTreeSet<String> = guarded.collect();
    for ask in asks.iter_mut().filter(|ask| guarded.contains(&ask.path)) {
        ask.optional = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &str, keys: &[&str], function: &str, path: &str, expected: bool) {
        let keys: Vec<String> = keys.iter().map(|key| format!("{prefix}{key}")).collect();
        let ranges = KeyRanges::of_directories(keys.iter().map(String::as_str));
        let ask = Ask::new(function, path, false, Position { line: 1, column: 1 }).unwrap();
        assert_eq!(ask.may_find(prefix, &ranges), expected, "{keys:?} {function} {path}");
    }

    #[test]
    fn what_keys_do_not_cover_is_never_found() {
        for (function, path, expected) in [
            ("gets", "/service/*", true),
            ("gets", "/services/*", false),
            ("gets", "/s*/x", true),
            ("gets", "/service", true),
            ("getvs", "/*", true),
            ("getvs", "/other/*", false),
            ("gets", "[", true),
            ("getv", "/service/a", true),
            ("getv", "/services", false),
            ("getv", "service/a", false),
            ("get", "/", false),
            ("exists", "/service", true),
            ("exists", "/", true),
            ("exists", "/servic", false),
            ("ls", "/", true),
            ("ls", "", true),
            ("ls", "/service/", true),
            ("lsdir", "/services", false),
            ("backends", "/service/web/", true),
            ("backends", "/services/web", false),
            ("servers", "/service/web", true),
            ("servers", "/services/web", false),
        ] {
            check("", &["/service"], function, path, expected);
            check("/production", &["/service"], function, path, expected);
            check("", &["/"], function, path, path != "service/a");
            check("", &[], function, path, path == "[");
        }
        check("", &["/services/web/a"], "ls", "/services", true);
        check("", &["/services/web/a"], "gets", "/services/*", true);
    }

    #[test]
    fn a_key_whose_existence_is_asked_for_is_optional() {
        let ask = |function, path, has_default| Ask::new(function, path, has_default, Position { line: 1, column: 1 });
        let all =
            [ask("getv", "/a", false), ask("exists", "/a", false), ask("getv", "/b", false), ask("getv", "/c", true)];
        let mut all: Vec<Ask> = all.into_iter().flatten().collect();
        mark_guarded(&mut all);
        assert_eq!(all.iter().map(|ask| ask.optional).collect::<Vec<_>>(), [true, true, false, true]);
        assert_eq!(ask("print", "/a", false), None);
    }

    #[test]
    fn the_key_to_add_is_the_folder_of_a_pattern() {
        for (path, expected) in [("/a/*", "/a"), ("/a/b*/c", "/a"), ("/*", "/"), ("/a/b", "/a/b"), ("", "/")] {
            let ask = Ask::new("gets", path, false, Position { line: 1, column: 1 }).unwrap();
            assert_eq!(ask.wanted_key(), expected, "{path}");
        }
    }
}
