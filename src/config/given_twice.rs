//! Finds where a key or a table of a TOML text is given first: the parser only says where it is given again. Pure.

/// Returns the number of the line, from 1, that has the key or the table first which is given again at these bytes. Returns `None` if
/// it is the same line, or if what is there first is written in another way.
pub(crate) fn first_line(text: &str, again: &std::ops::Range<usize>) -> Option<usize> {
    let start = text.get(..again.start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let wanted = TomlLine::read(text.get(start..)?.lines().next()?);
    let mut found = None;
    let mut open: Option<&str> = None;
    for (number, line) in text.get(..start)?.lines().enumerate() {
        let was_open = open.is_some();
        open = open_after(line, open);
        let line = match TomlLine::read(line) {
            _ if was_open => continue,
            TomlLine::Nothing => continue,
            line => line,
        };
        if matches!((&line, &wanted), (TomlLine::Header(_), TomlLine::Key(_))) {
            found = None;
        } else if line == wanted {
            found.get_or_insert(number + 1);
        }
    }
    found
}

/// The start of a line, without blanks and quotes.
#[derive(PartialEq)]
enum TomlLine {
    /// `[table]` or `[[table]]`.
    Header(String),
    /// `key = …`.
    Key(String),
    Nothing,
}

impl TomlLine {
    fn read(line: &str) -> TomlLine {
        let plain =
            |text: &str| text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '[')).collect();
        let line = line.trim_start();
        match line.split_once('=') {
            _ if line.starts_with('#') => TomlLine::Nothing,
            _ if line.starts_with('[') => TomlLine::Header(plain(line.split(']').next().unwrap_or_default())),
            Some((key, _)) => TomlLine::Key(plain(key)),
            None => TomlLine::Nothing,
        }
    }
}

/// Returns the quotes of the text of several lines that is open after this line, if one is.
fn open_after<'q>(line: &str, open: Option<&'q str>) -> Option<&'q str> {
    const QUOTES: [&str; 2] = ["\"\"\"", "'''"];
    let mut open = open;
    let mut rest = line;
    loop {
        let next = match open {
            Some(quotes) => rest.find(quotes).map(|at| (at, quotes)),
            None => QUOTES.into_iter().filter_map(|quotes| Some((rest.find(quotes)?, quotes))).min(),
        };
        let Some((at, quotes)) = next else { return open };
        rest = rest.get(at + quotes.len()..).unwrap_or_default();
        open = if open.is_some() { None } else { Some(quotes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_is_in_the_same_table() {
        for (text, again, expected) in [
            ("a = 1\na = 2\n", "a = 2", Some(1)),
            ("[x]\na = 1\n[y]\na = 1\n\n \"a\" = 2\n", "\"a\" = 2", Some(4)),
            ("a = \"\"\"\nb = 1\n\"\"\"\nb = 1\nb = 2\n", "b = 2", Some(4)),
            ("# b = 0\nb = 1\nb = 2\n", "b = 2", Some(2)),
            ("[x]\n[y]\n[ x ]\n", "x ]", Some(1)),
            ("a.b = 1\nb = 1\na . b = 2\n", "b = 2", Some(1)),
            ("a = {b = 1, b = 2}\n", "b = 2", None),
            ("a = {b = 1}\n[a]\n", "a]", None),
        ] {
            let at = text.rfind(again).unwrap();
            assert_eq!(first_line(text, &(at..at + 1)), expected, "{text}");
        }
    }
}
