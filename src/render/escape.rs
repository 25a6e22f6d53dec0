//! Refusals of text in an nginx file: the reason, and the key that the text came from. Never quotes the text.

use super::session::{RenderSession, shown};
use crate::model::problem::before;
use crate::nginx::quote;

/// Returns the reason why the text was refused.
pub(super) fn refused(session: &RenderSession, text: &str) -> String {
    let why = quote::harm(text).map(|harm| harm.to_string()).unwrap_or_default();
    format!("{} {why}, and may not be printed in an nginx file", origin(session, text))
}

/// Returns the origin of the text: the key that has it as its value, or as a part, or whose value is a part of it.
fn origin(session: &RenderSession, text: &str) -> String {
    let nowhere = || "the text".to_owned();
    if let Some(whole) = session.key_of(text) {
        return whole;
    }
    if text.is_empty() {
        return nowhere();
    }
    let as_json = serde_json::to_string(text).unwrap_or_default();
    let as_json = as_json.trim_matches('"');
    let values = || session.texts();
    // A part is looked for around the first refused character only: looking for each of many values in the whole of a long text
    // would take the square of their number.
    let is_refused = |c: char| !quote::is_harmless(c.encode_utf8(&mut [0; 4]));
    let (at, c) = text.char_indices().find(|(_, c)| is_refused(*c)).unwrap_or_default();
    let around = |length: usize| {
        let start = before(text, at.saturating_sub(length)).len();
        &before(text, at + c.len_utf8() + length)[start..]
    };
    let longest_part = values()
        .filter(|(_, value)| !quote::is_harmless(value) && around(value.len()).contains(value))
        .max_by_key(|(_, value)| value.len());
    let larger = || values().find(|(_, value)| value.contains(text) || value.contains(as_json));
    longest_part
        .or_else(larger)
        .map_or_else(nowhere, |(path, _)| format!("a text made with the value of key `{}`", shown(path)))
}
