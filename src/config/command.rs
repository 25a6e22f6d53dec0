//! `check_cmd` and `reload_cmd`: shell text in which `{{.src}}`, `{{src}}`, `{{.dest}}` and `{{dest}}` stand for paths.
//! Any other name is an error. Braces meant for the shell are written as in Go templates: `{{"{{"}}`. Never runs a command.

use crate::model::resource::CommandPart;

use crate::model::problem::Problem;
use crate::model::suggest;
use crate::model::text::shown;

const NAMES: [&str; 2] = ["src", "dest"];

/// A command that cannot be parsed, and the part of its text that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadCommand<'t> {
    pub(crate) culprit: &'t str,
    /// Byte offset of `culprit` in the command.
    pub(crate) offset: usize,
    pub(crate) problem: Problem,
}

/// Splits a command at its placeholders.
pub(crate) fn parse(text: &str) -> Result<Vec<CommandPart>, BadCommand<'_>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut offset = 0;
    while let Some(found) = text[offset..].find("{{") {
        let start = offset + found;
        literal.push_str(&text[offset..start]);
        let action = CommandAction::read(&text[start..]).ok_or_else(|| unclosed(text, start))?;
        let part = match action.content {
            Content::Quoted(braces) => {
                literal.push_str(braces);
                None
            }
            Content::Name("src") => Some(CommandPart::Src),
            Content::Name("dest") => Some(CommandPart::Dest),
            Content::Name(name) => return Err(unknown(&text[start..start + action.len], start, name)),
        };
        if let Some(part) = part {
            if !literal.is_empty() {
                parts.push(CommandPart::Literal(std::mem::take(&mut literal)));
            }
            parts.push(part);
        }
        offset = start + action.len;
    }
    literal.push_str(&text[offset..]);
    if !literal.is_empty() {
        parts.push(CommandPart::Literal(literal));
    }
    Ok(parts)
}

/// One `{{…}}`.
struct CommandAction<'t> {
    content: Content<'t>,
    /// Length in bytes, both pairs of braces included.
    len: usize,
}

enum Content<'t> {
    /// A name, without its leading dot.
    Name(&'t str),
    /// Literal text.
    Quoted(&'t str),
}

impl<'t> CommandAction<'t> {
    /// Reads the action at the start of `text`; `None` if it is not closed.
    fn read(text: &'t str) -> Option<CommandAction<'t>> {
        let inner = &text[2..];
        let unspaced = inner.trim_start();
        let spaces = inner.len() - unspaced.len();
        if let Some(quote) = unspaced.chars().next().filter(|c| matches!(c, '"' | '`')) {
            let quoted = &unspaced[1..];
            let end = quoted.find(quote)?;
            let after = quoted[end + 1..].trim_start();
            if after.starts_with("}}") {
                let len = text.len() - after.len() + 2;
                return Some(CommandAction { content: Content::Quoted(&quoted[..end]), len });
            }
        }
        let end = spaces + unspaced.find("}}")?;
        let name = inner[..end].trim();
        Some(CommandAction { content: Content::Name(name.strip_prefix('.').unwrap_or(name)), len: 2 + end + 2 })
    }
}

fn unclosed(text: &str, offset: usize) -> BadCommand<'_> {
    let problem = Problem::new("`{{` is not closed")
        .hint("write {{.src}} or {{.dest}}; for braces that the shell is to see, write {{\"{{\"}}");
    BadCommand { culprit: &text[offset..offset + 2], offset, problem }
}

fn unknown<'t>(action: &'t str, offset: usize, name: &str) -> BadCommand<'t> {
    let hint = match suggest::nearest(name, NAMES) {
        Some(meant) => format!("did you mean {{{{.{meant}}}}}?"),
        None => "only {{.src}} (the new file) and {{.dest}} (where it goes) are known; \
                 for braces that the shell is to see, write {{\"{{\"}}"
            .to_owned(),
    };
    let problem = Problem::new(format!("{} is not known in a command", shown(action))).hint(hint);
    BadCommand { culprit: action, offset, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let printed = match parse(text) {
            Ok(parts) => parts
                .iter()
                .map(|part| match part {
                    CommandPart::Literal(text) => text.clone(),
                    CommandPart::Src => "<src>".to_owned(),
                    CommandPart::Dest => "<dest>".to_owned(),
                })
                .collect::<Vec<_>>()
                .join("|"),
            Err(bad) => format!("{} {:?}: {}", bad.offset, bad.culprit, bad.problem.message),
        };
        assert_eq!(printed, expected, "{text}");
    }

    #[test]
    fn placeholders_are_found_in_every_spelling() {
        check("nginx -t -c {{.src}}", "nginx -t -c |<src>");
        check("nginx -t -c {{ .src }} ", "nginx -t -c |<src>| ");
        check("cp {{src}} {{ dest }}", "cp |<src>| |<dest>");
        check("{{.src}}{{.dest}}", "<src>|<dest>");
        check("nginx -t", "nginx -t");
        check("", "");
        check("awk '{print $1}' }}", "awk '{print $1}' }}");
    }

    #[test]
    fn braces_can_be_meant_for_the_shell() {
        check(r#"docker inspect -f '{{"{{"}}.Id{{ "}}" }}'"#, "docker inspect -f '{{.Id}}'");
        check("x {{`{{.State.Pid}}`}} {{.src}}", "x {{.State.Pid}} |<src>");
    }

    #[test]
    fn any_other_name_is_an_error_with_its_place() {
        check("cat {{.scr}}", "4 \"{{.scr}}\": `{{.scr}}` is not known in a command");
        check("cat {{.Src}}", "4 \"{{.Src}}\": `{{.Src}}` is not known in a command");
        check("cat {{}}", "4 \"{{}}\": `{{}}` is not known in a command");
        check("cat {{.src", "4 \"{{\": `{{` is not closed");
        check("cat {{\"{{}} x", "4 \"{{\": `{{` is not closed");
        check("{{.src}} {{getv \"/x\"}}", "9 \"{{getv \\\"/x\\\"}}\": `{{getv \"/x\"}}` is not known in a command");
        assert_eq!(parse("{{.sorc}}").unwrap_err().problem.hint.unwrap(), "did you mean {{.src}}?");
    }
}
