//! The order of names that people expect: runs of digits count as numbers, so that `app2` comes before `app10`. Pure text.

use std::cmp::Ordering;

/// Compares piece by piece: numbers by size, everything else by bytes. Names that are equal so far (`01`, `1`) are compared
/// by bytes, so that the result never depends on the order before.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let (number_a, number_b) = (digits(left), digits(right));
        let order = if !number_a.is_empty() && !number_b.is_empty() {
            (left, right) = (&left[number_a.len()..], &right[number_b.len()..]);
            let (a, b) = (number_a.trim_start_matches('0'), number_b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            let (text_a, text_b) = (text(left), text(right));
            if !text_a.is_empty() && text_a == text_b {
                (left, right) = (&left[text_a.len()..], &right[text_b.len()..]);
                continue;
            }
            return left.cmp(right);
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

fn digits(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_digit).count()]
}

fn text(text: &str) -> &str {
    &text[..text.bytes().take_while(|byte| !byte.is_ascii_digit()).count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let sorted = [
            "",
            "1",
            "01",
            "2",
            "10",
            "99999999999999999999998",
            "99999999999999999999999",
            "app",
            "app1",
            "app2",
            "app2-9",
            "app2-10",
            "app10",
            "app10a",
            "apple",
            "ä",
            "ä2",
            "ä10",
        ];
        for (at, name) in sorted.iter().enumerate() {
            for (other_at, other) in sorted.iter().enumerate() {
                // The bytes decide between `1` and `01`.
                let expected = if [*name, *other].contains(&"01") && [*name, *other].contains(&"1") {
                    name.cmp(other)
                } else {
                    at.cmp(&other_at)
                };
                assert_eq!(compare(name, other), expected, "{name:?} {other:?}");
            }
        }
    }
}
