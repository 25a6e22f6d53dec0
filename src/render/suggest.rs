//! Did-you-mean: the known name nearest to a misspelt one.

/// The candidate that is at most a third of `name` away from it; the nearest, and among equals the first.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["getv", "gets", "getvs", "base64_encode"];
        for (name, expected) in [
            ("gtev", Some("getv")),
            ("base64encode", Some("base64_encode")),
            ("get", Some("gets")),
            ("frobnicate", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
