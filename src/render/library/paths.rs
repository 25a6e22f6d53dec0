//! Slash paths, as Go's `path` has them. Pure.

/// Returns the last part of a path, as Go's `path.Base` does.
pub(in crate::render) fn base(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        trimmed => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

/// Returns all but the last part of a path, as Go's `path.Dir` does.
pub(in crate::render) fn parent(path: &str) -> String {
    clean(path.rfind('/').map_or("", |slash| &path[..=slash]))
}

/// Returns a path below a folder, without detours; `None` if it leaves that folder.
pub(in crate::render) fn below_folder(path: &str) -> Option<String> {
    match clean(path.trim_start_matches('/')) {
        outside if outside == ".." || outside.starts_with("../") => None,
        folder if folder == "." => Some(String::new()),
        below => Some(below),
    }
}

/// Cleans a path as Go's `path.Clean` does: like `model::key::clean_path`, but a relative path stays relative.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_folder_makes_no_detour_and_never_leaves_it() {
        for (path, expected) in [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("/a/../b", Some("b")),
            ("a/..", Some("")),
            ("", Some("")),
            ("//", Some("")),
            ("..a", Some("..a")),
            ("..", None),
            ("/../a", None),
            ("a/../../b", None),
        ] {
            assert_eq!(below_folder(path).as_deref(), expected, "{path}");
        }
    }
}
