//! Slash paths, as Go's `path` has them. Pure.

use crate::model::path;

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
    path::inside(path).map(|parts| parts.join("/"))
}

/// Cleans a path as Go's `path.Clean` does: a relative path stays relative.
fn clean(path: &str) -> String {
    if path.starts_with('/') {
        return path::rooted(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    let climbs = path::add_parts(&mut parts, path);
    let whole: Vec<&str> = std::iter::repeat_n("..", climbs).chain(parts).collect();
    if whole.is_empty() { ".".to_owned() } else { whole.join("/") }
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
