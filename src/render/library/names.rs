//! Names in snake, kebab and camel case. Pure.

use super::text::{lower_char, upper_char};

pub(in crate::render) fn snake_case(text: &str) -> String {
    joined(text, '_')
}

pub(in crate::render) fn kebab_case(text: &str) -> String {
    joined(text, '-')
}

pub(in crate::render) fn camel_case(text: &str) -> String {
    let mut joined = String::new();
    for (index, word) in words(text).enumerate() {
        let mut chars = word.chars();
        joined.extend(chars.next().map(if index > 0 { upper_char } else { lower_char }));
        joined.extend(chars.map(lower_char));
    }
    joined
}

fn joined(text: &str, separator: char) -> String {
    let mut joined = String::with_capacity(text.len());
    for (index, word) in words(text).enumerate() {
        if index > 0 {
            joined.push(separator);
        }
        joined.extend(word.chars().map(lower_char));
    }
    joined
}

/// Returns the words of a name: cut at `_`, `-` and blanks, before an upper-case letter after any other, and before the last of
/// a row of upper-case letters if a lower-case one follows (`HTTPServer` is `HTTP`, `Server`). All else stays.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(['_', '-', ' ']);
    parts.flat_map(|part| {
        let mut rest = part;
        std::iter::from_fn(move || {
            let mut chars = rest.chars();
            let mut before = chars.next()?;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                chars.next();
                let is_first = c.is_uppercase()
                    && (!before.is_uppercase() || chars.clone().next().is_some_and(char::is_lowercase));
                before = *c;
                is_first
            });
            let (word, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            rest = after;
            Some(word)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_into_words() {
        for (name, snake, camel) in [
            ("HTTPServer", "http_server", "httpServer"),
            ("aBC-d e__F", "a_bc_d_e_f", "aBcDEF"),
            ("_A_b1C2dÉé", "a_b1_c2d_éé", "aB1C2dÉé"),
            ("ABc", "a_bc", "aBc"),
            ("--", "", ""),
        ] {
            assert_eq!((snake_case(name).as_str(), camel_case(name).as_str()), (snake, camel), "{name}");
            assert_eq!(kebab_case(name), snake.replace('_', "-"));
        }
    }
}
