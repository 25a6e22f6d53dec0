//! Problems in files, flags and the environment, with place and hint. All of them are collected, never only the first.
//! Never prints: the caller shows problems.

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};

/// A problem in a file, a flag or the environment, with what people need to fix it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Place of the problem; `None` if it is not in a file (the message then names the flag or variable).
    pub place: Option<Place>,
    /// Message: a lower-case phrase without full stop.
    pub message: String,
    /// Advice, if there is any.
    pub hint: Option<String>,
}

/// A file, or a position in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as the caller named it.
    pub file: PathBuf,
    /// Position in the file; `None` is the file as a whole.
    pub position: Option<Position>,
}

/// A position in a text; both numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Position {
    /// Returns the position of a byte of `text`; an offset beyond the end is the end.
    pub fn of_offset(text: &str, offset: usize) -> Position {
        let before = before(text, offset);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// Positions of one text, for many offsets: in linear time if they are asked for in order.
pub struct Positions<'t> {
    text: &'t str,
    /// The last offset, and its position.
    reached: Cell<(usize, Position)>,
}

impl<'t> Positions<'t> {
    /// Returns the positions of this text.
    pub fn new(text: &'t str) -> Positions<'t> {
        Positions { text, reached: Cell::default() }
    }

    /// Returns the position of a byte, as [`Position::of_offset`] does.
    pub fn of(&self, offset: usize) -> Position {
        let end = before(self.text, offset).len();
        let (start, known) = Some(self.reached.get()).filter(|(reached, _)| *reached <= end).unwrap_or_default();
        let further = Position::of_offset(&self.text[start..end], end - start);
        let column = if further.line == 1 { known.column + further.column - 1 } else { further.column };
        let position = Position { line: known.line + further.line - 1, column };
        self.reached.set((end, position));
        position
    }
}

impl Default for Position {
    fn default() -> Position {
        Position { line: 1, column: 1 }
    }
}

/// Counts from 1, as JSON's parser does except in an empty text.
impl From<&serde_json::Error> for Position {
    fn from(error: &serde_json::Error) -> Position {
        Position { line: error.line().max(1), column: error.column().max(1) }
    }
}

impl Place {
    /// Returns the place of a file as a whole.
    pub fn file(file: &Path) -> Place {
        Place { file: file.to_owned(), position: None }
    }

    /// Returns a position in a file.
    pub fn at(file: &Path, position: Position) -> Place {
        Place { file: file.to_owned(), position: Some(position) }
    }

    /// Returns the place of byte `offset` of a file's `text`.
    pub fn in_text(file: &Path, text: &str, offset: usize) -> Place {
        Place::at(file, Position::of_offset(text, offset))
    }
}

impl Problem {
    /// Returns a problem without a place yet.
    pub fn new(message: impl Into<String>) -> Problem {
        Problem { place: None, message: message.into(), hint: None }
    }

    /// Returns a problem of a template as a whole.
    pub fn in_template(name: &str, message: impl Into<String>) -> Problem {
        Problem::new(message).at(Place::file(Path::new(name)))
    }

    /// Returns the same problem with a hint.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// Returns the same problem at a place.
    pub fn at(self, place: Place) -> Problem {
        Problem { place: Some(place), ..self }
    }

    /// Returns the problem as a log has it: on one line, with its hint in parentheses.
    pub fn line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} (hint: {hint})", Problem { hint: None, ..self.clone() }),
            None => self.to_string(),
        }
    }

    /// Returns the same problem, at `place` if it has no place yet.
    pub fn or_at(self, place: impl FnOnce() -> Place) -> Problem {
        if self.place.is_some() { self } else { self.at(place()) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.position {
            Some(position) => write!(f, ":{position}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Problems in order of place, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Returns the problems in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Returns the number of problems.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Problems {
        let mut problems: Vec<Problem> = problems.into_iter().collect();
        problems.sort();
        problems.dedup();
        Problems(problems)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, more: I) {
        *self = self.0.drain(..).chain(more).collect();
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Returns the part of `text` before a byte offset; one inside a character or beyond the end is lowered to a valid one.
pub(crate) fn before(text: &str, offset: usize) -> &str {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "a\nüb\n";
        let positions = Positions::new(text);
        for (offset, line, column) in [(0, 1, 1), (1, 1, 2), (2, 2, 1), (3, 2, 1), (4, 2, 2), (6, 3, 1), (99, 3, 1)] {
            assert_eq!(Position::of_offset(text, offset), Position { line, column }, "offset {offset}");
            assert_eq!(positions.of(offset), Position { line, column }, "offset {offset}");
        }
        for (first, second) in (0..8).flat_map(|first| (0..8).map(move |second| (first, second))) {
            positions.of(first);
            assert_eq!(positions.of(second), Position::of_offset(text, second), "{second} after {first}");
        }
    }

    #[test]
    fn problems_are_sorted_reported_once_and_hinted() {
        let file = Path::new("app.toml");
        let problems: Problems = [
            Problem::new("second").at(Place::in_text(file, "x\ny", 2)).hint("mend it"),
            Problem::new("first").at(Place::file(file)),
            Problem::new("no file"),
            Problem::new("first").at(Place::file(file)),
        ]
        .into_iter()
        .collect();
        assert_eq!(problems.to_string(), "no file\napp.toml: first\napp.toml:2:1: second\n  hint: mend it");
        let lines: Vec<String> = problems.iter().map(Problem::line).collect();
        assert_eq!(lines, ["no file", "app.toml: first", "app.toml:2:1: second (hint: mend it)"]);
    }
}
