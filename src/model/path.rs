//! Slash paths, cleaned lexically: keys of a store, names of templates, names in files of keys. Never asks a file system.

/// Appends the parts of `path`: no empty or `.` parts, and `..` removes one. Returns how often a `..` climbed above the
/// first.
pub fn add_parts<'a, Part: From<&'a str>>(parts: &mut Vec<Part>, path: &'a str) -> usize {
    let mut climbs = 0;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => climbs += 1,
            ".." => {}
            part => parts.push(part.into()),
        }
    }
    climbs
}

/// Returns the path as Go's `path.Clean` does after a leading `/` is added: one leading slash, no trailing slash.
pub fn rooted(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    // Nothing is above the root.
    add_parts(&mut parts, path);
    format!("/{}", parts.join("/"))
}

/// Returns the parts of a path that stays below its start; `None` if a `..` climbs out.
pub fn inside(path: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    (add_parts(&mut parts, path) == 0).then_some(parts)
}

/// Checks whether a file is one that nobody means who names its folder: hidden, in a hidden folder, or left over by an editor.
pub fn is_hidden(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    name.split('/').any(|part| part.starts_with('.')) || file.ends_with('~') || file.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_like_go_path_clean() {
        for (input, expected) in [
            ("services", "/services"),
            ("/services/", "/services"),
            ("//a///b/./c/", "/a/b/c"),
            ("/a/../b", "/b"),
            ("../x", "/x"),
            ("", "/"),
            ("/", "/"),
        ] {
            assert_eq!(rooted(input), expected, "{input:?}");
        }
    }

    #[test]
    fn hidden_files_and_leftovers_of_editors_are_known() {
        for (name, expected) in [
            ("a.conf", false),
            ("sub/a~b.conf", false),
            (".env.tmpl", true),
            (".git/HEAD", true),
            ("sub/.a.conf.swp", true),
            ("sub/a.conf~", true),
            ("#a.conf#", true),
        ] {
            assert_eq!(is_hidden(name), expected, "{name}");
        }
    }

    #[test]
    fn a_path_that_climbs_out_is_known() {
        assert_eq!(inside("a/./b//../c/"), Some(vec!["a", "c"]));
        assert_eq!(inside("/"), Some(Vec::new()));
        assert_eq!(inside("a/../../a"), None);
        assert_eq!(add_parts(&mut Vec::<String>::new(), "../a/../../b"), 2);
    }
}
