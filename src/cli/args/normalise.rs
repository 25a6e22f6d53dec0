//! Rewrites both confds' styles of arguments for clap: `-onetime`, `-node X`, `-node=X`, a backend as a word, and flags on
//! either side of that word or of a subcommand. Never judges a value.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{ArgAction, Command};

use crate::config::settings::FOREIGN_BACKENDS;
use crate::config::settings::table::{self, SettingKind};
use crate::model::problem::Problem;
use crate::model::text::shown;

use super::definition::BACKEND_WORDS;

/// Arguments for clap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Normal {
    /// The program's name, the subcommand, flags, operands.
    pub(super) argv: Vec<String>,
    /// The backend's word, which is no subcommand for clap.
    pub(super) backend: Option<String>,
}

/// Converts arguments to text.
pub(super) fn to_text(argv: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, Problem> {
    let text = |arg: OsString| {
        let problem = |arg: OsString| Problem::new(format!("argument {} is not UTF-8", shown(&arg.to_string_lossy())));
        arg.into_string().map_err(problem)
    };
    argv.into_iter().map(text).collect()
}

/// Rewrites the arguments; `command` has the known flags.
pub(super) fn normalise(argv: Vec<String>, command: &Command) -> Result<Normal, Problem> {
    let flags = known_flags(command);
    let mut argv = argv.into_iter().peekable();
    let program = argv.next().unwrap_or_else(|| command.get_name().to_owned());
    let mut before = Vec::new();
    let mut after = Vec::new();
    let mut backend = None;
    let mut subcommand = None;
    while let Some(arg) = argv.next() {
        let rewritten = match flag(&arg) {
            _ if arg == "--" => {
                after.push(arg);
                after.extend(command_words(argv)?);
                break;
            }
            // clap reports it, before it can complain about the rest.
            Some((unknown, value)) if !flags.contains_key(unknown.name) => {
                let first = value.map_or_else(|| unknown.alone(), |value| unknown.with_value(value));
                let rest = std::iter::once(first).chain(argv);
                if subcommand.is_none() {
                    before.extend(rest)
                } else {
                    after.extend(rest)
                }
                break;
            }
            Some((flag, None)) if flags.get(flag.name) == Some(&FlagValue::Needed) => match argv.next() {
                // Always taken as a value, as Go does: a password may begin with a dash.
                Some(value) => flag.with_value(&value),
                None => flag.alone(),
            },
            Some((flag, None)) => match argv.next_if(|next| is_choice(flag.name, next)) {
                Some(word) => flag.with_value(&word),
                None => flag.alone(),
            },
            Some((flag, Some(value))) => flag.with_value(value),
            None if arg.starts_with('-') && arg.len() > 1 => arg,
            None if subcommand.is_none() && is_backend(&arg) => {
                if let Some(first) = backend.replace(arg) {
                    return Err(Problem::new(format!("the backend is named twice, first as `{first}`")));
                }
                continue;
            }
            None if subcommand.is_none() && FOREIGN_BACKENDS.contains(&arg.as_str()) => {
                return Err(Problem::new(format!("the backend `{arg}` is not supported"))
                    .hint("supported are etcd (or etcdv3), file and env"));
            }
            None if subcommand.is_none() => {
                subcommand = Some(arg);
                continue;
            }
            None => arg,
        };
        if subcommand.is_none() { before.push(rewritten) } else { after.push(rewritten) }
    }
    // All flags go behind the subcommand, so that clap collects repeated ones.
    let argv = std::iter::once(program).chain(subcommand).chain(before).chain(after).collect();
    Ok(Normal { argv, backend })
}

/// Returns the words after `--`.
fn command_words(rest: impl Iterator<Item = String>) -> Result<Vec<String>, Problem> {
    let words: Vec<String> = rest.collect();
    if words.is_empty() {
        return Err(Problem::new("there is no command after `--`")
            .hint("write a program and its arguments after it, or leave `--` out"));
    }
    Ok(words)
}

/// Returns whether the word is one of the choices of a flag that may stand without a value: `--color never`.
fn is_choice(flag: &str, word: &str) -> bool {
    let setting = table::ALL.iter().find(|setting| setting.name == flag);
    setting.is_some_and(|setting| matches!(setting.kind, SettingKind::OptionalChoice(words) if words.contains(&word)))
}

fn is_backend(word: &str) -> bool {
    BACKEND_WORDS.iter().any(|(backend, _)| *backend == word)
}

/// The rule for a flag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlagValue {
    /// Required, perhaps as the next argument.
    Needed,
    /// Optional, only behind `=`.
    Optional,
}

/// Returns every long flag of the command and its subcommands.
fn known_flags(command: &Command) -> BTreeMap<String, FlagValue> {
    // clap adds these two itself.
    let own = ["help", "h", "version", "V"];
    let mut flags: BTreeMap<String, FlagValue> =
        own.iter().map(|name| ((*name).to_owned(), FlagValue::Optional)).collect();
    for command in std::iter::once(command).chain(command.get_subcommands()) {
        for arg in command.get_arguments() {
            let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
            let needs_value = takes_value && arg.get_num_args().is_none_or(|range| range.min_values() > 0);
            let value = if needs_value { FlagValue::Needed } else { FlagValue::Optional };
            let names = arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default());
            flags.extend(names.map(|name| (name.to_owned(), value)));
            flags.extend(arg.get_short().map(|short| (short.to_string(), value)));
        }
    }
    flags
}

struct Flag<'a> {
    dashes: &'static str,
    name: &'a str,
}

impl Flag<'_> {
    fn alone(&self) -> String {
        format!("{}{}", self.dashes, self.name)
    }

    fn with_value(&self, value: &str) -> String {
        format!("{}{}={value}", self.dashes, self.name)
    }
}

/// Reads `-n`, `-name`, `--name` and the same with `=value`; `None` if it is no flag, or one for clap to read.
fn flag(arg: &str) -> Option<(Flag<'_>, Option<&str>)> {
    let (name, value) = match arg.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (arg, None),
    };
    if let Some(name) = name.strip_prefix("--") {
        return Some((Flag { dashes: "--", name }, value));
    }
    let name = name.strip_prefix('-')?;
    if !name.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
        return None;
    }
    match name.len() {
        0 => None,
        1 => Some((Flag { dashes: "-", name }, value)),
        // A word that is no flag is refused as one: read letter by letter, -noed would be the node "oed".
        _ => Some((Flag { dashes: "--", name }, value)),
    }
}
