//! Durations for people, in the words that the page and the terminal share. Pure.

/// Returns a duration in the two largest units that matter: `12 s`, `4 min`, `3 h 5 min`, `6 d`.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..36_000 if minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        3600..172_800 => format!("{hours} h"),
        _ => format!("{} d", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let said = [0, 59, 60, 3599, 3600, 11_520, 172_799, 172_800, 900_000].map(span);
        assert_eq!(said, ["0 s", "59 s", "1 min", "59 min", "1 h", "3 h 12 min", "47 h", "2 d", "10 d"]);
    }
}
