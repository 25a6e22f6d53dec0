//! Text: case, cutting, repeating, indenting. Pure.

use crate::model::problem::Problem;

/// Longest text that one call may make, in bytes: a count out of the store must not exhaust memory.
pub(in crate::render) const MAX_BYTES: usize = 16 << 20;

/// Returns the error for a text of more than [`MAX_BYTES`].
pub(in crate::render) fn too_long() -> Problem {
    Problem::new(format!("would make a text of more than {MAX_BYTES} bytes"))
}

/// Checks that `count` texts of so many bytes, and those that there are already, make no text that is too long.
pub(in crate::render) fn check_size(already: usize, count: usize, each: usize) -> Result<(), Problem> {
    let bytes = count.saturating_mul(each).saturating_add(already);
    if bytes > MAX_BYTES { Err(too_long()) } else { Ok(()) }
}

/// Returns the text in upper case, letter by letter as Go does: a letter that would become two is left alone.
pub(in crate::render) fn upper(text: &str) -> String {
    text.chars().map(upper_char).collect()
}

/// Returns the text in lower case, letter by letter as Go does.
pub(in crate::render) fn lower(text: &str) -> String {
    text.chars().map(lower_char).collect()
}

pub(super) fn upper_char(c: char) -> char {
    let mut changed = c.to_uppercase();
    if changed.len() == 1 { changed.next().unwrap_or(c) } else { c }
}

pub(super) fn lower_char(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Replaces the first `most` occurrences; all of them if `most` is negative.
pub(in crate::render) fn replace(text: &str, old: &str, new: &str, most: i128) -> Result<String, Problem> {
    let occurrences = text.matches(old).count();
    let count = usize::try_from(most).unwrap_or(occurrences).min(occurrences);
    check_size(text.len(), count, new.len())?;
    Ok(text.replacen(old, new, count))
}

/// Joins texts, with a separator between them.
pub(in crate::render) fn join(texts: &[&str], separator: &str) -> Result<String, Problem> {
    check_size(texts.iter().map(|text| text.len()).sum(), texts.len().saturating_sub(1), separator.len())?;
    Ok(texts.join(separator))
}

pub(in crate::render) fn trim_prefix<'t>(text: &'t str, prefix: &str) -> &'t str {
    text.strip_prefix(prefix).unwrap_or(text)
}

pub(in crate::render) fn trim_suffix<'t>(text: &'t str, suffix: &str) -> &'t str {
    text.strip_suffix(suffix).unwrap_or(text)
}

/// Repeats a text; a negative count is zero.
pub(in crate::render) fn repeat(text: &str, count: i128) -> Result<String, Problem> {
    let count = to_count(count);
    check_size(0, count, text.len())?;
    Ok(text.repeat(count))
}

/// Puts so many spaces before each line; no text stays no text.
pub(in crate::render) fn indent(text: &str, spaces: i128) -> Result<String, Problem> {
    let spaces = to_count(spaces);
    if text.is_empty() {
        return Ok(String::new());
    }
    check_size(text.len(), text.matches('\n').count() + 1, spaces)?;
    let pad = " ".repeat(spaces);
    Ok(text.split('\n').map(|line| format!("{pad}{line}")).collect::<Vec<_>>().join("\n"))
}

/// Indents on a new line.
pub(in crate::render) fn nindent(text: &str, spaces: i128) -> Result<String, Problem> {
    indent(text, spaces).map(|indented| format!("\n{indented}"))
}

fn to_count(number: i128) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

/// Leaves out all white space.
pub(in crate::render) fn nospace(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
