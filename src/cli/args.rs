//! Parses arguments into an invocation: a command and its settings. Accepts both confds' command lines.
//! Never reads a file or the environment and never prints: callers pass both in, and print the returned text.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap_complete::Shell;

use crate::config::resource::not_utf8;
use crate::config::settings::layers::{ConfigFile, Environment, Flags, Layers};
use crate::config::settings::{Mode, Settings, resolve, switch, table};
use crate::model::problem::{Place, Problem, Problems};
use crate::model::text::shown;
use crate::nginx::installation;

use super::exit::Exit;

pub mod announce;
mod completions;
mod definition;
mod mistake;
mod normalise;
mod pages;
mod words;

#[cfg(test)]
mod tests;

pub use definition::definition;

/// A parsed command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The command.
    pub command: Command,
    /// Settings for it.
    pub settings: Settings,
    /// Problems in the settings file; only `Check` runs in spite of them, to report them with the others.
    pub problems: Problems,
}

impl Invocation {
    /// Returns whether this process becomes the command once its files are in order.
    pub fn becomes_command(&self) -> bool {
        matches!(self.command, Command::Supervise { .. }) && self.settings.mode == Mode::Onetime
    }
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Keep files up to date, as the mode says.
    Run,
    /// Keep files up to date, and run this program with its arguments beside that, as long as both live. After a single run,
    /// become it.
    Supervise {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// Keep backends announced.
    Announce(Box<announce::Announce>),
    /// Look for problems in settings, conf.d and templates, without the store.
    Check,
    /// Look for problems in settings and the service files of an announcer, without etcd.
    CheckServices {
        /// Their folder, or one of them.
        path: PathBuf,
    },
    /// Check that the store answers and has keys for every resource.
    Preflight,
    /// Print what a resource renders to.
    Render {
        /// File of the resource below conf.d.
        resource: String,
        /// The only line to print, with those around it.
        line: Option<usize>,
    },
    /// Show what would change.
    Diff {
        /// File of the only resource to show, below conf.d; `None` is all.
        resource: Option<String>,
    },
    /// Print what is live, what is owed, and why, as the running agent says.
    Status {
        /// Whether to print JSON.
        json: bool,
        /// Whether to print it again and again.
        watches: bool,
        /// The folder of keys or the file whose backends are all shown; `None` shows some of each.
        list: Option<String>,
    },
    /// Explain the way of something from the store to nginx.
    Explain {
        /// A key, a backend, a file or a resource; empty: print what can be explained, for completions.
        what: String,
        /// Whether to print JSON.
        json: bool,
    },
    /// Print the progress of the fleet's agents.
    Agents {
        /// Whether to print JSON instead of a table.
        json: bool,
    },
    /// Print a Go template as a Tera template.
    Convert {
        /// File of the template.
        template: PathBuf,
    },
    /// Print the keys that resources see.
    Keys {
        /// File of the only resource to print, below conf.d; `None` is all.
        resource: Option<String>,
    },
}

/// An early end: help was asked for, or something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyExit {
    /// Exit code.
    pub exit: Exit,
    /// Text to print: to standard output if the exit is `Done`, else to standard error.
    pub text: String,
}

/// A reader of files; the error kind `NotFound` means that the file does not exist.
pub type ReadFile<'a> = &'a mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// Parses the arguments, the program's name first.
///
/// # Errors
/// Help, version, completions or man page were asked for (`Exit::Done`), the arguments or the environment are wrong
/// (`Exit::Usage`), or only the settings file is (`Exit::Configuration`).
pub fn parse(
    argv: impl IntoIterator<Item = OsString>,
    environment: Environment<'_>,
    read_file: ReadFile<'_>,
) -> Result<Invocation, EarlyExit> {
    let command = definition();
    let argv = normalise::to_text(argv).map_err(|problem| with_advice(usage(problem), &[]))?;
    parse_text(argv.clone(), command, environment, read_file).map_err(|early| with_advice(early, &argv))
}

fn parse_text(
    argv: Vec<String>,
    command: clap::Command,
    environment: Environment<'_>,
    read_file: ReadFile<'_>,
) -> Result<Invocation, EarlyExit> {
    let normal = normalise::normalise(argv, &command).map_err(usage)?;
    let matches = match command.clone().try_get_matches_from(&normal.argv) {
        Ok(matches) => matches,
        Err(error) => return Err(clap_exit(&error, &command, &normal.argv)),
    };
    if let Some(text) = printed(&matches)? {
        return Err(EarlyExit { exit: Exit::Done, text });
    }
    let mut flags = given_flags(&matches);
    if let Some(folder) = matches.subcommand_matches("check").and_then(|check| check.get_one::<String>("DIR")) {
        flags.entry(table::CONFDIR.name).or_default().push(folder.clone());
    }
    if let Some(backend) = normal.backend {
        choose_backend(&mut flags, backend).map_err(usage)?;
    }
    let layers = read_config_file(Layers::new(&flags, environment), read_file);
    let (mut settings, problems) = resolve(&layers);
    let command = match requested_command(&matches) {
        Command::Run | Command::Supervise { .. } if settings.instead.check => Command::Check,
        Command::Run | Command::Supervise { .. } if settings.instead.preflight => Command::Preflight,
        command => command,
    };
    if let Command::Supervise { command } = &command {
        settings.nginx.conf = settings.nginx.conf.or_else(|| installation::conf_of_program(command));
    }
    if let (Command::Supervise { .. }, Some(why)) = (&command, cannot_supervise(&settings)) {
        return Err(usage(Problem::new("a command after `--` runs only beside --watch or an interval").hint(why)));
    }
    // A problem without a place comes from a flag or a variable.
    if problems.iter().any(|problem| problem.place.is_none()) {
        return Err(usage(problems));
    }
    if !(problems.is_empty() || matches!(command, Command::Check | Command::CheckServices { .. })) {
        return Err(EarlyExit { exit: Exit::Configuration, text: lines(&problems) });
    }
    let command = match matches.subcommand_matches("announce") {
        Some(matches) => Command::Announce(Box::new(announce::read(matches, &settings).map_err(usage)?)),
        None => command,
    };
    Ok(Invocation { command, settings, problems })
}

fn usage(problems: impl Into<Problems>) -> EarlyExit {
    EarlyExit { exit: Exit::Usage, text: lines(&problems.into()) }
}

/// Adds where to read on to a usage error: the help of the subcommand that these words name, if they name one.
fn with_advice(mut early: EarlyExit, words: &[String]) -> EarlyExit {
    if early.exit == Exit::Usage {
        let command = definition();
        let is_subcommand = |word: &&String| {
            let is_backend = definition::BACKEND_WORDS.iter().any(|(backend, _)| backend == word);
            !is_backend && command.find_subcommand(word).is_some()
        };
        let asked = words.iter().skip(1).take_while(|word| *word != "--").find(is_subcommand);
        let asked = asked.map(|name| format!("{name} ")).unwrap_or_default();
        early.text.push_str(&format!("try `upstreamd {asked}--help`\n"));
    }
    early
}

fn lines(problems: &Problems) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// Returns clap's own output, which is help or version, or a usage error in our words.
fn clap_exit(error: &clap::Error, command: &clap::Command, argv: &[String]) -> EarlyExit {
    match error.kind() {
        ErrorKind::DisplayHelp => {
            let text = pages::help(argv).unwrap_or_else(|| error.render().to_string());
            EarlyExit { exit: Exit::Done, text }
        }
        ErrorKind::DisplayVersion => EarlyExit { exit: Exit::Done, text: error.render().to_string() },
        _ => usage(mistake::of_clap(error, command, argv)),
    }
}

/// Returns the text of the subcommands that print something about the program itself.
fn printed(matches: &ArgMatches) -> Result<Option<String>, EarlyExit> {
    match matches.subcommand() {
        Some(("completions", matches)) => {
            Ok(matches.get_one::<Shell>("shell").map(|shell| completions::completions(*shell)))
        }
        Some(("man", matches)) => {
            let name = matches.get_one::<String>("NAME").map(String::as_str);
            let page = pages::manual(name)
                .map_err(|error| usage(Problem::new(format!("the manual page cannot be made: {error}"))))?;
            let nobody = || usage(Problem::new(format!("there is no command {}", shown(name.unwrap_or_default()))));
            page.ok_or_else(nobody).map(Some)
        }
        _ => Ok(None),
    }
}

fn requested_command(matches: &ArgMatches) -> Command {
    let resource = |matches: &ArgMatches| matches.get_one::<String>("RESOURCE").cloned();
    match matches.subcommand() {
        Some(("check", matches)) => match matches.get_one::<String>(announce::CONFIG_DIR) {
            Some(path) => Command::CheckServices { path: PathBuf::from(path) },
            None => Command::Check,
        },
        Some(("render", matches)) => Command::Render {
            resource: resource(matches).unwrap_or_default(),
            line: matches.get_one::<u64>("line").and_then(|line| usize::try_from(*line).ok()),
        },
        Some(("diff", matches)) => Command::Diff { resource: resource(matches) },
        Some(("status", matches)) => {
            let is_given = matches.value_source(table::WATCH.name) == Some(ValueSource::CommandLine);
            let last = matches.get_many::<String>(table::WATCH.name).and_then(Iterator::last);
            let watches = is_given && last.is_some_and(|text| switch(text).is_ok_and(|on| on));
            let (json, list) = (matches.get_flag("json"), matches.get_one::<String>("LIST").cloned());
            Command::Status { json, watches, list }
        }
        Some(("explain", matches)) => Command::Explain {
            what: matches.get_one::<String>("WHAT").cloned().unwrap_or_default(),
            json: matches.get_flag("json"),
        },
        Some(("agents", matches)) => {
            Command::Agents { json: matches.get_one::<String>("format").is_some_and(|format| format == "json") }
        }
        Some(("convert", matches)) => {
            Command::Convert { template: matches.get_one::<String>("TEMPLATE").map(PathBuf::from).unwrap_or_default() }
        }
        Some(("keys", matches)) => Command::Keys { resource: resource(matches) },
        _ => match matches.get_many::<String>("COMMAND") {
            Some(words) => Command::Supervise { command: words.cloned().collect() },
            None => Command::Run,
        },
    }
}

/// Returns the reason why a command cannot be supervised with these settings, as a hint.
fn cannot_supervise(settings: &Settings) -> Option<&'static str> {
    settings
        .preview
        .noop
        .then_some("to see what would change, leave out `--` and the command; to start the command, leave out --noop")
}

/// Returns the given flags, on either side of the subcommand.
fn given_flags(matches: &ArgMatches) -> Flags {
    let announces = matches.subcommand_name() == Some("announce");
    let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
    table::ALL
        .iter()
        .filter(|setting| !(announces && announce::has_property(setting.name)))
        .filter_map(|setting| {
            let values = matches.try_get_many::<String>(setting.name).ok()??;
            Some((setting.name, values.cloned().collect()))
        })
        .collect()
}

/// Sets the backend from its word, which stands for a flag.
fn choose_backend(flags: &mut Flags, word: String) -> Result<(), Problem> {
    match flags.insert(table::BACKEND.name, vec![word.clone()]).and_then(|mut values| values.pop()) {
        Some(other) if other != word => {
            Err(Problem::new(format!("both the backend `{word}` and --backend {other} are given"))
                .hint("leave one of the two out"))
        }
        _ => Ok(()),
    }
}

/// Reads the settings file, if there is one.
fn read_config_file<'a>(layers: Layers<'a>, read_file: ReadFile<'_>) -> Layers<'a> {
    let (candidates, named_by): (Vec<PathBuf>, _) = match layers.config_file() {
        ConfigFile::Named(path, origin) => (vec![path], Some(origin)),
        ConfigFile::FirstOf(paths) => (paths, None),
    };
    for path in &candidates {
        match read_file(path) {
            Ok(bytes) => {
                return match String::from_utf8(bytes) {
                    Ok(text) => layers.with_file(path, &text),
                    Err(error) => layers.with_file_problem(not_utf8(path, &error)),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && named_by.is_none() => {}
            Err(error) => {
                let origin = named_by.map(|origin| format!(" ({origin})")).unwrap_or_default();
                let problem = Problem::new(format!("cannot read the settings file{origin}: {error}"));
                return layers.with_file_problem(problem.at(Place::file(path)));
            }
        }
    }
    layers
}
