//! Puts paths into shell text. A path is never parsed by the shell that runs the command, whatever characters it has.
//! Never runs anything.

use std::path::Path;

use super::resource::{CommandLine, CommandPart};

const SRC_VARIABLE: &str = "upstreamd_src";
const DEST_VARIABLE: &str = "upstreamd_dest";

/// Placeholder for any character of a word.
const WORD: char = 'x';

impl CommandLine {
    /// Returns the text for `/bin/sh -c`, with the paths in it.
    ///
    /// A path of plain characters goes in as it is, as confd does, so that `'{{.src}}'`, `"{{.src}}"` and `{{.src}}.bak`
    /// all mean what they seem to. Any other path is set as a shell variable in front of the command and referred
    /// to with the quotes that its surroundings need. If those surroundings are misread, a word is split or a
    /// variable's name stays in the text, but no part of a path becomes a command. (A command that hands the
    /// path to a second shell, as `sh -c "… {{.src}}"` does, has to quote it for that shell itself.)
    pub fn shell_text(&self, src: &Path, dest: &Path) -> String {
        let mut definitions = String::new();
        let mut body = String::new();
        let mut shell = ShellState::default();
        for part in &self.parts {
            let (path, variable) = match part {
                CommandPart::Literal(text) => {
                    shell.read(text);
                    body.push_str(text);
                    continue;
                }
                CommandPart::Src => (src, SRC_VARIABLE),
                CommandPart::Dest => (dest, DEST_VARIABLE),
            };
            let path = path.to_string_lossy();
            shell.pass_path();
            if is_plain(&path) {
                body.push_str(&path);
                continue;
            }
            if !definitions.contains(variable) {
                definitions.push_str(&format!("{variable}='{}'; ", path.replace('\'', r"'\''")));
            }
            body.push_str(&match shell.quotes() {
                Quotes::None => format!("\"${{{variable}}}\""),
                Quotes::Double => format!("${{{variable}}}"),
                Quotes::Single => format!("'\"${{{variable}}}\"'"),
            });
        }
        definitions + &body
    }
}

/// Returns whether the shell takes every character as itself, quoted or not.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&byte))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
}

/// State of a shell text up to a place. Follows quotes, backslashes, comments, `$(…)` and backquotes.
#[derive(Debug)]
struct ShellState {
    /// The quotes at each depth of command substitution, the innermost last; never empty.
    depths: Vec<(Quotes, Opener)>,
    escaped: bool,
    in_comment: bool,
    previous: char,
}

/// Opener of a depth, which also determines its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    Parenthesis,
    Backquote,
}

impl Default for ShellState {
    fn default() -> ShellState {
        ShellState {
            depths: vec![(Quotes::None, Opener::Parenthesis)],
            escaped: false,
            in_comment: false,
            previous: ' ',
        }
    }
}

impl ShellState {
    fn quotes(&self) -> Quotes {
        self.depths.last().map_or(Quotes::None, |(quotes, _)| *quotes)
    }

    fn read(&mut self, text: &str) {
        for c in text.chars() {
            // A character after a backslash is part of a word, whatever it is.
            let previous = if self.escaped { WORD } else { c };
            self.step(c);
            self.previous = previous;
        }
    }

    fn pass_path(&mut self) {
        self.previous = WORD;
    }

    fn step(&mut self, c: char) {
        if std::mem::take(&mut self.escaped) {
            return;
        }
        if self.in_comment {
            self.in_comment = c != '\n';
            return;
        }
        match (self.quotes(), c) {
            (Quotes::Single, '\'') => self.set(Quotes::None),
            (Quotes::Single, _) => {}
            (_, '\\') => self.escaped = true,
            (_, '`') => match self.depths.iter().rposition(|(_, opener)| *opener == Opener::Backquote) {
                Some(depth) => self.depths.truncate(depth),
                None => self.depths.push((Quotes::None, Opener::Backquote)),
            },
            (_, '(') if self.previous == '$' => self.depths.push((Quotes::None, Opener::Parenthesis)),
            (Quotes::Double, '"') => self.set(Quotes::None),
            (Quotes::Double, _) => {}
            (Quotes::None, '"') => self.set(Quotes::Double),
            (Quotes::None, '\'') => self.set(Quotes::Single),
            (Quotes::None, '#') => self.in_comment = " \t\n;&|(".contains(self.previous),
            (Quotes::None, '(') => self.depths.push((Quotes::None, Opener::Parenthesis)),
            (Quotes::None, ')') if self.depths.len() > 1 => {
                self.depths.pop();
            }
            (Quotes::None, _) => {}
        }
    }

    fn set(&mut self, quotes: Quotes) {
        if let Some((innermost, _)) = self.depths.last_mut() {
            *innermost = quotes;
        }
    }
}

#[cfg(test)]
mod tests;
