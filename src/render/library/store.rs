//! The store, as a render sees it: values as text, patterns, and the error for a key that does not exist. Pure.

use std::sync::Arc;

use crate::model::key;
use crate::model::problem::Problem;
use crate::model::suggest::nearest;
use crate::render::session::{PathPart, RenderSession, is_too_long, shown};
use crate::render::window::Window;

/// Checks whether there is a key or a directory of this name.
pub(in crate::render) fn exists(window: &Window, key: &str) -> bool {
    window.get(key).is_some() || window.has_directory(key)
}

/// Returns the paths and values that match, whatever the values are. The steps of a comparison are at most those of the pattern for
/// each letter of the path.
pub(in crate::render) fn matching<'v>(
    session: &'v RenderSession,
    pattern: &str,
) -> Result<Vec<(&'v str, &'v key::Value)>, Problem> {
    if is_too_long(pattern) {
        let (bytes, most) = (pattern.len(), key::MAX_KEY_BYTES);
        return Err(Problem::new(format!("the pattern has {bytes} bytes, and at most {most} are allowed")));
    }
    let mut in_time = Ok(());
    let mut go_on = |path: &str| {
        in_time = session.budget.take_steps(pattern.len() * path.len());
        in_time.is_ok()
    };
    let found = session.view.matching(pattern, &mut go_on).map_err(|error| {
        Problem::new(error.to_string())
            .hint("`*` and `?` stop at `/`, `[a-z]` is a class, `\\` takes the next character as it is")
    })?;
    in_time.map(|()| found)
}

/// Returns the value of `key` as text, not copied.
pub(in crate::render) fn text_of<'v>(key: &str, value: &'v key::Value) -> Result<&'v Arc<str>, Problem> {
    match value {
        key::Value::Text(text) => Ok(text),
        key::Value::Binary(bytes) => {
            let (key, bytes) = (shown(key), bytes.len());
            Err(Problem::new(format!("the value of key `{key}` is not UTF-8 text (length {bytes})")))
        }
        key::Value::Oversized(bytes) => {
            let problem =
                format!("the value of key `{}` is too large to be kept: it has at least {bytes} bytes", shown(key));
            Err(Problem::new(problem).hint("make it smaller, or raise --max-value-mib"))
        }
    }
}

/// Hints for a key that does not exist, in the words of a template's language.
pub(in crate::render) struct MissingKeyHints {
    /// For a key that is a directory.
    pub(in crate::render) directory: &'static str,
    /// For a key with no neighbour of a similar name.
    pub(in crate::render) optional: &'static str,
}

/// Returns the error for a key that does not exist, with what may have been meant.
pub(in crate::render) fn missing(session: &RenderSession, key: &str, hints: &MissingKeyHints) -> Problem {
    let window = &session.view;
    if is_too_long(key) {
        let (bytes, most) = (key.len(), key::MAX_KEY_BYTES);
        return Problem::new(format!(
            "the key does not exist: it has {bytes} bytes, and a store has none of more than {most}"
        ));
    }
    if let Some(from) = session.key_of(key).filter(|_| !key.is_empty()) {
        return Problem::new(format!("the key that {from} names does not exist"));
    }
    match session.part_of(key) {
        Some(PathPart::ValueOf(source)) => {
            let source = shown(source);
            return Problem::new(format!("the key that is made with the value of key `{source}` does not exist"));
        }
        Some(PathPart::Unknown) => {
            return Problem::new("the key does not exist; its name may be made with a value, and is not shown");
        }
        None => {}
    }
    let whole = window.view().whole_key(key);
    let whole = whole.map(|whole| format!(" ({})", shown(&whole))).unwrap_or_default();
    let error = Problem::new(format!("key `{}` does not exist{whole}", shown(key)));
    if window.has_directory(key) {
        return error.hint(hints.directory);
    }
    let with_slash = format!("/{key}");
    if !key.starts_with('/') && window.get(&with_slash).is_some() {
        return error.hint(format!("did you mean `{}`?", shown(&with_slash)));
    }
    if !window.covers(key) {
        return error.hint("it is not covered by the `keys` of this resource");
    }
    if let Some(other) = window.view().other_key(key)
        && (other.exists || window.iter().next().is_none())
    {
        let (whole, mode) = (shown(&other.key), other.mode);
        let is = if other.exists { "the store has" } else { "nothing is there at all; it would be" };
        return error.hint(format!("{is} `{whole}` with --prefix-mode {mode}"));
    }
    let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
    let siblings = window.children(&format!("{directory}/"));
    let keys = siblings.iter().filter(|(_, child)| child.is_key).map(|(name, _)| *name);
    match nearest(name, keys.take_while(|_| !session.budget.deadline.has_passed())) {
        Some(near) => error.hint(format!("did you mean `{}`?", shown(&format!("{directory}/{near}")))),
        None => error.hint(hints.optional),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Key, Revision, Value};
    use crate::model::range::KeyRanges;
    use crate::model::tree::Tree;
    use crate::model::view::View;
    use crate::render::facts::NoWorld;

    #[test]
    fn a_pattern_that_no_key_can_match_is_refused() {
        let tree = Tree::from_entries(Revision(1), [(Key::from("/a"), Value::from("x"))]);
        let view = View::new(tree, Arc::from(""), KeyRanges::of_directories([""]));
        let session = RenderSession::new(view, Arc::new(NoWorld));
        let message = |pattern: &str| matching(&session, pattern).err().map(|problem| problem.message);
        assert_eq!(message("/[a]*"), None);
        let expected = "the pattern has 5002 bytes, and at most 4096 are allowed";
        assert_eq!(message(&format!("[{}]", "a".repeat(5000))).as_deref(), Some(expected));
    }

    /// Looking for every value in a key of 16 MiB would take minutes, which `--render-timeout` cannot stop.
    #[test]
    fn a_key_that_no_store_can_have_is_compared_with_nothing() {
        let tree = Tree::from_entries(Revision(1), [(Key::from("/a"), Value::from("a-secret-value"))]);
        let view = View::new(tree, Arc::from(""), KeyRanges::of_directories([""]));
        let session = RenderSession::new(view, Arc::new(NoWorld));
        assert!(session.view.get("/a").is_some());
        let hints = MissingKeyHints { directory: "directory", optional: "optional" };
        let long = format!("/{}a-secret-value", "x".repeat(key::MAX_KEY_BYTES));
        let expected = "the key does not exist: it has 4111 bytes, and a store has none of more than 4096";
        assert_eq!(missing(&session, &long, &hints).to_string(), expected);
        let made = "the key that is made with the value of key `/a` does not exist";
        assert_eq!(missing(&session, &long[long.len() - 20..], &hints).to_string(), made);
    }
}
