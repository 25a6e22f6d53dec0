//! Words for a command line that is not understood: what is wrong, and what was probably meant. Never prints, and never
//! guesses a meaning to act on.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::model::problem::Problem;
use crate::model::suggest::nearest;
use crate::model::text::shown;

use super::definition::BACKEND_WORDS;

/// Words that people try, and what to write instead.
const INSTEAD: &[(&str, &str)] = &[
    ("apply", "write upstreamd --onetime"),
    ("config", "write upstreamd check; `upstreamd --help` lists the settings"),
    ("configtest", "write upstreamd check"),
    ("daemon", "write upstreamd --watch"),
    ("dump", "write upstreamd keys"),
    ("get", "write upstreamd keys"),
    ("health", "write upstreamd --preflight"),
    ("lint", "write upstreamd check"),
    ("list", "write upstreamd keys"),
    ("log", "the daemon logs to standard error: journalctl -u upstreamd"),
    ("logs", "the daemon logs to standard error: journalctl -u upstreamd"),
    ("ls", "write upstreamd keys"),
    ("once", "write upstreamd --onetime"),
    ("plan", "write upstreamd diff"),
    ("preview", "write upstreamd diff"),
    ("register", "write upstreamd announce"),
    ("reload", "send the daemon SIGHUP, as in systemctl reload upstreamd"),
    ("restart", "write systemctl restart upstreamd"),
    ("run", "write upstreamd --watch"),
    ("serve", "write upstreamd --watch"),
    ("show", "write upstreamd render"),
    ("start", "write upstreamd --watch"),
    ("stop", "send the daemon SIGTERM, as in systemctl stop upstreamd"),
    ("sync", "write upstreamd --onetime"),
    ("template", "write upstreamd render"),
    ("test", "write upstreamd check"),
    ("validate", "write upstreamd check"),
    ("verify", "write upstreamd check"),
    ("version", "write upstreamd --version"),
    ("watch", "write upstreamd --watch"),
];

/// Flags of confd before 0.10 and of other programs, and what to write instead.
const INSTEAD_FLAGS: &[(&str, &str)] = &[
    ("debug", "--log-level debug"),
    ("dry-run", "--noop"),
    ("dryrun", "--noop"),
    ("once", "--onetime"),
    ("q", "--log-level error"),
    ("quiet", "--log-level error"),
    ("v", "--version, or --log-level debug for a log of each step"),
    ("verbose", "--log-level info"),
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
                let problem =
                    Problem::new(format!("`{}` does not take the word {}", known.get_name(), shown(&argument)));
                match known.get_arguments().any(Arg::is_last_set) {
                    true => problem.hint("a command of its own comes behind `--`"),
                    false => problem,
                }
            }
            _ => unknown_command(&argument, command, words),
        },
        ErrorKind::MissingRequiredArgument => {
            let asked = subcommand.unwrap_or(command);
            let problem = Problem::new(format!("`{}` needs {argument}", asked.get_name()));
            let missing = asked.get_positionals().find(|known| known.is_required_set());
            match missing.and_then(description) {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
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
        ErrorKind::ValueValidation => {
            let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
            Problem::new(format!("{argument}: {} is not a number of 1 or more", shown(&value)))
        }
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.lines().next().unwrap_or_default();
            Problem::new(first.strip_prefix("error: ").unwrap_or(first))
        }
    }
}

/// Returns what an argument is: one of these words, or its help.
fn description(argument: &Arg) -> Option<String> {
    let words: Vec<String> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    match words.is_empty() {
        false => Some(format!("it is one of {}", words.join(", "))),
        true => argument.get_help().map(ToString::to_string),
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
    let mut known: Vec<String> = subcommand.into_iter().chain([command]).flat_map(of).collect();
    // clap adds these two itself.
    known.extend(["help", "version"].map(str::to_owned));
    let problem = Problem::new(format!("there is no flag {}", shown(argument)));
    if let Some((_, instead)) = INSTEAD_FLAGS.iter().find(|(former, _)| *former == name) {
        return problem.hint(format!("write {instead}"));
    }
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
    let is_given = |mode: &str| words.iter().any(|word| word.strip_prefix("--") == Some(mode));
    if is_given("onetime") {
        return problem
            .hint(format!("to become a program after the pass, put `--` before it: upstreamd --onetime -- {word} …"));
    }
    if is_given("watch") || word.contains('/') || word == "nginx" {
        return problem
            .hint(format!("to start and supervise a program, put `--` before it: upstreamd --watch -- {word} …"));
    }
    problem
}
