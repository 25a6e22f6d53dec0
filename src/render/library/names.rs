//! Names in snake, kebab and camel case. Pure.

use super::text::{lower, lower_char, upper_char};

pub(in crate::render) fn snake_case(text: &str) -> String {
    lower(&words(text).join("_"))
}

pub(in crate::render) fn kebab_case(text: &str) -> String {
    lower(&words(text).join("-"))
}

pub(in crate::render) fn camel_case(text: &str) -> String {
    let mut joined = String::new();
    for (index, word) in words(text).into_iter().enumerate() {
        let mut chars = word.chars();
        joined.extend(chars.next().map(if index > 0 { upper_char } else { lower_char }));
        joined.extend(chars.map(lower_char));
    }
    joined
}

/// Returns the words of a name: cut at `_`, `-` and blanks, before an upper-case letter after any other, and before the last of
/// a row of upper-case letters if a lower-case one follows (`HTTPServer` is `HTTP`, `Server`). All else stays.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words: Vec<String> = vec![String::new()];
    for (at, &c) in chars.iter().enumerate() {
        let separates = matches!(c, '_' | '-' | ' ');
        let starts_word = c.is_uppercase()
            && at > 0
            && (!chars[at - 1].is_uppercase() || chars.get(at + 1).is_some_and(|next| next.is_lowercase()));
        if separates || starts_word {
            words.push(String::new());
        }
        if let (false, Some(word)) = (separates, words.last_mut()) {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
