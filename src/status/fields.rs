//! Values of log fields and pages that are more than one text or number: lists of names, points of time. Pure.

use std::fmt;

/// A list of names. Prints them with blanks between them; with `{:#?}`, as a JSON array, which is how the log in JSON has it.
pub struct NameList(pub Vec<String>);

impl NameList {
    /// Returns these names.
    pub fn of(names: impl IntoIterator<Item = impl AsRef<str>>) -> NameList {
        NameList(names.into_iter().map(|name| name.as_ref().to_owned()).collect())
    }
}

impl fmt::Display for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl fmt::Debug for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.alternate() {
            true => f.write_str(&serde_json::to_string(&self.0).unwrap_or_default()),
            false => fmt::Display::fmt(self, f),
        }
    }
}

/// Returns a time in seconds since 1970 as pages and log lines have it: `2025-01-14T10:30:00Z`.
pub fn time_text(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_line_for_people_and_an_array_for_json() {
        let names = NameList::of(["a.toml", "my \"b\".toml"]);
        assert_eq!(format!("{names} {names:?}"), r#"a.toml my "b".toml a.toml my "b".toml"#);
        assert_eq!(format!("{names:#?}"), r#"["a.toml","my \"b\".toml"]"#);
        assert_eq!(time_text(1_736_850_600), "2025-01-14T10:30:00Z");
    }
}
