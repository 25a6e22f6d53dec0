//! "Did you mean …?" for names that are not known. Never decides anything by itself.

/// Least similarity of two names (0 to 1) for one to be offered for the other.
const ALIKE: f64 = 0.85;

/// Longest name that is compared: the time for it grows with the square of its length.
const MAX_NAME_BYTES: usize = 256;

/// Returns the known name most like `name`, if one is similar enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let name = name.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= MAX_NAME_BYTES)
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let likeness = strsim::jaro_winkler(&name, &lower);
            let edits = strsim::damerau_levenshtein(&name, &lower);
            let is_near = likeness >= ALIKE || edits <= (name.chars().count() / 3).max(1);
            // Among names that are as much alike, the one with fewer slips: for `gotv`, `getv` and not `gt`.
            let slips = f64::from(u32::try_from(edits).unwrap_or(u32::MAX));
            is_near.then_some((candidate, likeness - slips / 100.0))
        })
        // The first among equals.
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(candidate, _)| candidate)
}

/// Returns the hint that goes with `nearest`.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_slips_are_recognised_and_strangers_are_not() {
        let long = "a".repeat(300);
        let known = [&*long, "src", "dest", "keys", "check_cmd", "reload_cmd", "mode", "owner"];
        for (written, expected) in [
            ("check_command", Some("check_cmd")),
            ("reload", Some("reload_cmd")),
            ("destination", Some("dest")),
            ("key", Some("keys")),
            ("SCR", Some("src")),
            ("colour", None),
            ("x", None),
            ("", None),
            (&format!("{long}b"), None),
        ] {
            assert_eq!(nearest(written, known), expected, "{written}");
        }
    }
}
