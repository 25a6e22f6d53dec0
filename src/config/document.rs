//! A TOML text with the place of everything in it: tables whose keys are found in any case, and reports of unknown keys.
//! Never knows which keys there should be.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::given_twice;
use crate::model::problem::{Place, Position, Positions, Problem, before};
use crate::model::suggest;
use crate::model::text::shown;

/// Most problems of one kind that are listed for one text; the last says how many more there are.
const MAX_LISTED: usize = 50;

/// A parsed TOML text. If its syntax is wrong, it holds what could be parsed.
pub(crate) struct Document<'t> {
    file: &'t Path,
    text: &'t str,
    /// Offset of each line.
    lines: Vec<usize>,
    root: DeTable<'t>,
    /// Syntax errors in order, the first of each line.
    syntax_problems: Vec<Problem>,
    /// Numbers of the lines with wrong syntax, from 1.
    broken: BTreeSet<usize>,
    /// Positions in the text: most are asked for in order.
    positions: Positions<'t>,
}

impl<'t> Document<'t> {
    pub(crate) fn parse(file: &'t Path, text: &'t str) -> Document<'t> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (syntax_problems, broken) = Default::default();
        let positions = Positions::new(text);
        let mut document = Document { file, text, lines, root: root.into_inner(), syntax_problems, broken, positions };
        let mut errors: Vec<(usize, &toml::de::Error)> =
            errors.iter().map(|error| (error.span().map_or(0, |span| span.start), error)).collect();
        errors.sort_by_key(|(offset, _)| *offset);
        for (offset, error) in errors {
            let line = document.line_at(offset);
            // A second error on the same line is mostly the same mistake.
            if document.broken.insert(line) && document.broken.len() <= MAX_LISTED {
                document.syntax_problems.push(document.syntax_problem(line, offset, error));
            }
        }
        let further = document.broken.len().saturating_sub(MAX_LISTED);
        if let Some(last) = document.broken.iter().nth(MAX_LISTED).filter(|_| further > 0) {
            let place = Place::at(file, Position { line: *last, column: 1 });
            document
                .syntax_problems
                .push(Problem::new(format!("the syntax is wrong on {further} more lines")).at(place));
        }
        document
    }

    /// Returns the number of the line at an offset, from 1.
    fn line_at(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// Returns a line by its number, from 1, without its line break.
    fn line(&self, number: usize) -> &str {
        let start = self.lines.get(number - 1).copied().unwrap_or(self.text.len());
        self.text[start..].lines().next().unwrap_or_default()
    }

    fn syntax_problem(&self, line: usize, offset: usize, error: &toml::de::Error) -> Problem {
        if let Some((key, span)) = error.span().and_then(|span| Some((self.text.get(span.clone())?, span)))
            && error.message() == "duplicate key"
        {
            let hint = given_twice_hint(given_twice::first_line(self.text, &span));
            return Problem::new(format!("{} is given twice", shown(key))).at(self.place(offset)).hint(hint);
        }
        let problem = Problem::new(error.message()).at(self.place(offset));
        let start = self.lines[line - 1];
        // TOML has no numbers with a leading zero, but everybody writes a mode like that.
        match before(&self.text[start..], offset - start).split_once('=') {
            Some((key, _)) if key.trim().eq_ignore_ascii_case("mode") => {
                problem.hint("write the mode as a string: \"0644\"")
            }
            _ => problem,
        }
    }

    /// Returns whether the syntax is right, so that a missing field is really missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.syntax_problems.is_empty()
    }

    /// Returns whether the syntax error is in a table's header, so that the fields below are in the wrong table.
    pub(crate) fn has_broken_header(&self) -> bool {
        self.broken_lines().any(|line| line.starts_with('['))
    }

    /// Returns whether the syntax is wrong on the line of this field, so that it may exist although it was not found.
    pub(crate) fn breaks_field(&self, name: &str) -> bool {
        let is_its_own = |line: &str| {
            let written = line.split('=').next().unwrap_or_default();
            let written = written.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
            written.to_lowercase().replace('-', "_") == name
        };
        self.broken_lines().any(is_its_own)
    }

    /// Returns whether the syntax is wrong on the line of this place.
    pub(crate) fn breaks_at(&self, place: &Place) -> bool {
        place.position.is_some_and(|position| self.broken.contains(&position.line))
    }

    /// Returns the lines with wrong syntax, without their indentation.
    fn broken_lines(&self) -> impl Iterator<Item = &str> {
        self.broken.iter().map(|line| self.line(*line).trim_start())
    }

    /// Returns all problems in order: those of the syntax, and those of `others` on lines whose syntax is right.
    pub(crate) fn with_syntax_problems(&self, others: Vec<Problem>) -> Vec<Problem> {
        let is_right = |problem: &Problem| line_of(problem).is_none_or(|line| !self.broken.contains(&line));
        let mut problems = self.syntax_problems.clone();
        problems.extend(others.into_iter().filter(is_right));
        problems.sort();
        problems
    }

    /// Returns the fields of the whole document.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields::new(self, &self.root)
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        Place::at(self.file, self.positions.of(offset))
    }
}

fn given_twice_hint(first: Option<usize>) -> String {
    let first = first.map(|line| format!("; the first is on line {line}")).unwrap_or_default();
    format!("leave one of the two out{first}")
}

fn line_of(problem: &Problem) -> Option<usize> {
    problem.place.as_ref()?.position.map(|position| position.line)
}

/// The fields of one table, taken one by one; those that nobody takes are unknown.
pub(crate) struct Fields<'d> {
    document: &'d Document<'d>,
    fields: Vec<Field<'d>>,
    taken: Vec<String>,
    problems: Vec<Problem>,
}

/// A key and its value.
pub(crate) struct Field<'d> {
    document: &'d Document<'d>,
    /// Name in lower case, with `_` for `-`.
    name: String,
    /// Name as written.
    pub(crate) written: &'d str,
    key_offset: usize,
    value: &'d DeValue<'d>,
    value_span: Range<usize>,
}

impl<'d> Fields<'d> {
    fn new(document: &'d Document<'d>, table: &'d DeTable<'d>) -> Fields<'d> {
        let mut fields = Fields { document, fields: Vec::new(), taken: Vec::new(), problems: Vec::new() };
        let mut in_order: Vec<_> = table.iter().map(|(key, value)| Field::new(document, key, value)).collect();
        in_order.sort_by_key(|field| field.key_offset);
        let mut first_offsets = BTreeMap::new();
        let mut twice = Vec::new();
        for field in in_order {
            if first_offsets.contains_key(&field.name) {
                twice.push(field);
            } else {
                first_offsets.insert(field.name.clone(), field.key_offset);
                fields.fields.push(field);
            }
        }
        fields.problems = listed(&twice, |field| {
            let problem = Problem::new(format!("{} is given twice", shown(field.written)));
            let first = first_offsets.get(&field.name).map(|offset| document.line_at(*offset));
            problem.at(field.key_place()).hint(given_twice_hint(first))
        });
        fields
    }

    /// Returns the value of `name` (lower case, `_`). `None` if it is absent or refused by `parse`, which adds a problem.
    pub(crate) fn take<T>(&mut self, name: &str, parse: impl FnOnce(&Field<'d>) -> Result<T, Problem>) -> Option<T> {
        self.take_one_of([name], parse)
    }

    /// Does the same as [`Fields::take`] for a field that has several names. Giving two of them is a problem.
    pub(crate) fn take_one_of<'n, T>(
        &mut self,
        names: impl IntoIterator<Item = &'n str>,
        parse: impl FnOnce(&Field<'d>) -> Result<T, Problem>,
    ) -> Option<T> {
        let names: Vec<&str> = names.into_iter().collect();
        let mut found = self.fields.extract_if(.., |field| names.contains(&field.name.as_str()));
        let field = found.next();
        let others: Vec<_> = found.collect();
        self.taken.extend(names.into_iter().map(str::to_owned));
        let field = field?;
        for other in others {
            let problem = Problem::new(format!("{} and {} are the same", shown(other.written), shown(field.written)));
            let first = self.document.line_at(field.key_offset);
            self.problems.push(problem.at(other.key_place()).hint(given_twice_hint(Some(first))));
        }
        match parse(&field) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(problem.or_at(|| field.value_place()));
                None
            }
        }
    }

    /// Returns the value of `name`; if it is absent, adds a problem at `table`.
    pub(crate) fn require<T>(
        &mut self,
        name: &str,
        table: &Place,
        hint: &str,
        parse: impl FnOnce(&Field<'d>) -> Result<T, Problem>,
    ) -> Option<T> {
        if !self.has(name) && self.document.is_whole() {
            self.problems.push(Problem::new(format!("`{name}` is missing")).at(table.clone()).hint(hint));
        }
        self.take(name, parse)
    }

    /// Returns whether the field is there and not yet taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// Adds a problem that concerns more than one value.
    pub(crate) fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Adds problems that already have their places.
    pub(crate) fn refuse_all(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// Takes all fields that nobody took, so that they are no problems.
    pub(crate) fn take_rest(&mut self) -> Vec<Field<'d>> {
        std::mem::take(&mut self.fields)
    }

    /// Returns all problems, unknown fields included. `what` names the unknown thing: "field of [template]". `special` may
    /// give a better hint than a similar name; `otherwise` is the hint if no name is similar.
    pub(crate) fn finish(self, what: &str, special: impl Fn(&str) -> Option<String>, otherwise: &str) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.extend(listed(&self.fields, |field| {
            let problem = Problem::new(format!("unknown {what}: {}", shown(field.written))).at(field.key_place());
            let hint = special(&field.name)
                .or_else(|| suggest::did_you_mean(&field.name, self.taken.iter().map(String::as_str)))
                .unwrap_or_else(|| otherwise.to_owned());
            problem.hint(hint)
        }));
        problems
    }
}

/// Returns the problems of these fields; if there are many, only the first, and how many more there are.
fn listed(fields: &[Field<'_>], problem: impl Fn(&Field<'_>) -> Problem) -> Vec<Problem> {
    let mut problems: Vec<Problem> = fields.iter().take(MAX_LISTED).map(problem).collect();
    if let Some(next) = fields.get(MAX_LISTED) {
        let further = fields.len() - MAX_LISTED;
        problems.push(Problem::new(format!("{further} more fields have the same problem")).at(next.key_place()));
    }
    problems
}

impl<'d> Field<'d> {
    fn new(document: &'d Document<'d>, key: &'d Spanned<Cow<'d, str>>, value: &'d Spanned<DeValue<'d>>) -> Field<'d> {
        let written: &str = key.get_ref();
        Field {
            document,
            name: written.to_lowercase().replace('-', "_"),
            written,
            key_offset: key.span().start,
            value: value.get_ref(),
            value_span: value.span(),
        }
    }

    /// Returns the name in lower case, with `_` for `-`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn key_place(&self) -> Place {
        self.document.place(self.key_offset)
    }

    pub(crate) fn value_place(&self) -> Place {
        self.document.place(self.value_span.start)
    }

    /// Returns the place of the `nth` (from 0) `needle` in the value as written; the value's start if escapes hide it.
    pub(crate) fn place_within(&self, needle: &str, nth: usize) -> Place {
        let written = self.document.text.get(self.value_span.clone()).unwrap_or_default();
        let within = written.match_indices(needle).nth(nth).map_or(0, |(offset, _)| offset);
        self.document.place(self.value_span.start + within)
    }

    pub(crate) fn value(&self) -> &'d DeValue<'d> {
        self.value
    }

    pub(crate) fn text(&self) -> Result<&'d str, Problem> {
        self.value.as_str().ok_or_else(|| self.not_a("string"))
    }

    pub(crate) fn boolean(&self) -> Result<bool, Problem> {
        self.value.as_bool().ok_or_else(|| self.not_a("boolean").hint("write true or false, without quotes"))
    }

    /// Returns the strings of an array, each with its place.
    pub(crate) fn texts(&self) -> Result<Vec<(&'d str, Place)>, Problem> {
        let array = self.value.as_array().ok_or_else(|| self.not_a("array of strings"))?;
        array
            .iter()
            .map(|item| {
                let place = self.document.place(item.span().start);
                match item.get_ref().as_str() {
                    Some(text) => Ok((text, place)),
                    None => {
                        let found = described(item.get_ref());
                        Err(Problem::new(format!("{} must hold strings only, found {found}", shown(self.written)))
                            .at(place))
                    }
                }
            })
            .collect()
    }

    pub(crate) fn table(&self) -> Result<Fields<'d>, Problem> {
        match self.value.as_table() {
            Some(table) => Ok(Fields::new(self.document, table)),
            None => Err(self.not_a("table").at(self.key_place())),
        }
    }

    /// Returns the tables of an array of tables, each with its place.
    pub(crate) fn tables(&self) -> Result<Vec<(Fields<'d>, Place)>, Problem> {
        let name = &self.name;
        let wrong = || self.not_a("array of tables").at(self.key_place()).hint(format!("write [[{name}]]"));
        let array = self.value.as_array().ok_or_else(wrong)?;
        array
            .iter()
            .map(|item| {
                let place = self.document.place(item.span().start);
                let table = item.get_ref().as_table().ok_or_else(wrong)?;
                Ok((Fields::new(self.document, table), place))
            })
            .collect()
    }

    /// Returns a string, number or boolean as text.
    pub(crate) fn scalar(&self) -> Result<String, Problem> {
        match self.value {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Ok(flag.to_string()),
            _ => Err(self.not_a("string")),
        }
    }

    /// Returns the problem of a value of the wrong type.
    pub(crate) fn not_a(&self, expected: &str) -> Problem {
        let article = if expected.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        Problem::new(format!("{} must be {article} {expected}, found {}", shown(self.written), described(self.value)))
    }
}

/// Returns a value's type; the value itself may be a password.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(_) => "a number".to_owned(),
        DeValue::Float(_) => "a fraction".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        other => format!("a {}", other.type_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: usize) {
        let document = Document::parse(Path::new("a.toml"), text);
        let problems = document.with_syntax_problems(document.fields().finish("field", |_| None, "none"));
        assert_eq!(problems.len(), expected, "{:?}", problems.last());
        for problem in problems {
            let place = problem.place.as_ref().and_then(|place| place.position).unwrap();
            assert!(place.line <= text.lines().count().max(1) && place.column <= text.len(), "{problem}");
        }
    }

    /// With a look at the whole text for each problem, this would take minutes.
    #[test]
    fn a_large_broken_text_has_a_bounded_list_of_problems_with_places() {
        check(&"= é\n".repeat(100_000), MAX_LISTED + 1);
        check(&(0..50_000).map(|n| format!("a{n} = é\n")).collect::<String>(), MAX_LISTED + 1);
        check(&(0..50_000).map(|n| format!("a{n} = 1\n")).collect::<String>(), MAX_LISTED + 1);
        check("a = 1\nA = 2\n", 2);
        let array = format!("é = [{}]", "'é', ".repeat(50_000));
        let document = Document::parse(Path::new("a.toml"), &array);
        let mut fields = document.fields();
        let places =
            fields.take("é", |field| Ok(field.texts()?.into_iter().map(|(_, place)| place).collect::<Vec<_>>()));
        let columns = places.unwrap().into_iter().map(|place| place.position.unwrap().column);
        assert!(columns.eq((0..50_000).map(|n| 6 + 5 * n)));
    }
}
