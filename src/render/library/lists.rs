//! Lists that are made of a text. Pure.

use crate::model::problem::Problem;
use crate::render::budget::check_count;

/// Returns the pieces between separators; the characters if the separator is empty.
pub(in crate::render) fn split<'t>(text: &'t str, separator: &str) -> Result<Vec<&'t str>, Problem> {
    if separator.is_empty() {
        check_count(1 + text.chars().count(), text.len())?;
        return Ok(text.split_inclusive(|_| true).collect());
    }
    let separators = text.matches(separator).count();
    check_count(2 + separators, text.len() - separators * separator.len())?;
    Ok(text.split(separator).collect())
}
