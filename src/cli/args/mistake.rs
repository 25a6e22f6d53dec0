//! Words for a command line that is not understood: what is wrong, and what was probably meant. Never prints, and never
//! guesses a meaning to act on.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::model::problem::Problem;
use crate::model::suggest::nearest;
use crate::model::text::shown;

use super::definition::BACKEND_WORDS;

/// Words that people try, and what to write instead.
const INSTEAD: &[(&str, &str)] = &[
    ("apply", "write upstreamd --onetime"),
    ("daemon", "write upstreamd --watch"),
    ("get", "write upstreamd keys"),
    ("health", "write upstreamd --preflight"),
    ("lint", "write upstreamd check"),
    ("list", "write upstreamd keys"),
    ("ls", "write upstreamd keys"),
    ("once", "write upstreamd --onetime"),
    ("plan", "write upstreamd diff"),
    ("preview", "write upstreamd diff"),
    ("register", "write upstreamd announce"),
    ("reload", "send the daemon SIGHUP, as in systemctl reload upstreamd"),
    ("run", "write upstreamd --watch"),
    ("show", "write upstreamd render"),
    ("start", "write upstreamd --watch"),
    ("status", "write upstreamd agents, or ask the daemon: systemctl status upstreamd, or /ready of --metrics-addr"),
    ("test", "write upstreamd check"),
    ("verify", "write upstreamd check"),
    ("version", "write upstreamd --version"),
];

/// Returns clap's error in our words; `words` are the arguments, the program's name first.
pub(super) fn of_clap(error: &clap::Error, command: &Command, words: &[String]) -> Problem {
    let argument = text(error, ContextKind::InvalidArg).or_else(|| text(error, ContextKind::InvalidSubcommand));
    let argument = argument.unwrap_or_default();
    let subcommand = words.get(1).and_then(|word| command.find_subcommand(word));
    match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand if argument.starts_with('-') => {
            unknown_flag(&argument, command, subcommand)
        }
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => match subcommand {
            Some(known) if known.get_name() != "help" => {
                Problem::new(format!("`{}` does not take the word {}", known.get_name(), shown(&argument)))
            }
            _ => unknown_command(&argument, command, words),
        },
        ErrorKind::MissingRequiredArgument => {
            let name = subcommand.map_or_else(|| command.get_name(), Command::get_name);
            Problem::new(format!("`{name}` needs {argument}"))
        }
        ErrorKind::InvalidValue => match text(error, ContextKind::InvalidValue).filter(|value| !value.is_empty()) {
            None => Problem::new(format!("{argument} needs a value")),
            Some(value) => {
                let problem = Problem::new(format!("{argument}: {} is not known", shown(&value)));
                match text(error, ContextKind::ValidValue) {
                    Some(valid) => problem.hint(format!("it is one of {valid}")),
                    None => problem,
                }
            }
        },
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.lines().next().unwrap_or_default();
            Problem::new(first.strip_prefix("error: ").unwrap_or(first))
        }
    }
}

/// Returns one piece of the context of clap's error.
fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

fn unknown_flag(argument: &str, command: &Command, subcommand: Option<&Command>) -> Problem {
    let name = argument.trim_start_matches('-').split('=').next().unwrap_or_default();
    let of = |command: &Command| -> Vec<String> {
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        shown.filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
    };
    let known: Vec<String> = subcommand.into_iter().chain([command]).flat_map(of).collect();
    let problem = Problem::new(format!("there is no flag {}", shown(argument)));
    match nearest(name, known.iter().map(String::as_str)) {
        Some(meant) => problem.hint(format!("did you mean `--{meant}`?")),
        None => problem,
    }
}

fn unknown_command(word: &str, command: &Command, words: &[String]) -> Problem {
    let problem = Problem::new(format!("there is no command {}", shown(word)));
    let known = command.get_subcommands().map(Command::get_name).chain(BACKEND_WORDS.iter().map(|(word, _)| *word));
    if let Some((_, instead)) = INSTEAD.iter().find(|(tried, _)| *tried == word) {
        return problem.hint(*instead);
    }
    if let Some(meant) = nearest(word, known) {
        return problem.hint(format!("did you mean `{meant}`?"));
    }
    let is_watching = words.iter().any(|word| word.trim_start_matches('-').starts_with("watch"));
    if is_watching || word.contains('/') || word == "nginx" {
        return problem
            .hint(format!("to start and supervise a program, put `--` before it: upstreamd --watch -- {word} …"));
    }
    problem
}
