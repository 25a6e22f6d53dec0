//! The arguments of `announce`: a service by its properties, or a folder of them. Never reads that folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::words::Words;
use crate::announce::run::ServiceSource;
use crate::config::service::{self, PROPERTIES, Property};
use crate::config::settings::Settings;
use crate::model::problem::{Problem, Problems};
use crate::model::store::{EtcdSettings, StoreSettings};

pub(super) const CONFIG_DIR: &str = "config-dir";
/// The layouts, for completions.
pub(super) const LAYOUTS: &[&str] = &["upstreamd", "sidekick", "skydns", "registrator", "plain", "vulcand"];
const COMMAND: &str = "COMMAND";

/// The services to announce.
#[derive(Clone, Debug, PartialEq)]
pub struct Announce {
    /// The etcd to announce in.
    pub store: EtcdSettings,
    /// Source of the services.
    pub source: ServiceSource,
    /// The backend itself: a program and its arguments, if given.
    pub command: Option<Vec<String>>,
}

/// Returns the definition of the subcommand.
pub(super) fn definition() -> Command {
    let folder = Arg::new(CONFIG_DIR)
        .long(CONFIG_DIR)
        .value_name("DIR")
        .value_hint(ValueHint::DirPath)
        .help("Announce the [[service]] tables of its *.toml files, and follow changes");
    Command::new("announce")
        .about("Announce a backend: keep its key in etcd for as long as it is healthy")
        .args(PROPERTIES.iter().map(argument))
        .arg(folder)
        .arg(
            Arg::new(COMMAND)
                .last(true)
                .num_args(1..)
                .help("Run this program as the backend and announce it while it is healthy"),
        )
}

fn argument(property: &'static Property) -> Arg {
    let help = match property.default {
        Some(default) if !default.is_empty() => format!("{} [default: {default}]", property.help),
        _ => property.help.to_owned(),
    };
    let arg = Arg::new(property.name)
        .long(flag(property.name))
        .value_name(property.value_name)
        .action(ArgAction::Set)
        .help(help)
        .help_heading("Service");
    if property.value_name == "BOOL" {
        let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
        return arg.value_parser(Words(&["true", "false"])).hide_possible_values(true);
    }
    match property.name {
        "layout" => arg.value_parser(Words(LAYOUTS)).hide_possible_values(true),
        _ => arg,
    }
}

fn flag(name: &str) -> String {
    name.replace('_', "-")
}

/// Returns whether this flag of the agent is one of the service's here.
pub(super) fn has_property(name: &str) -> bool {
    PROPERTIES.iter().any(|property| property.name == name)
}

/// Returns the parsed arguments.
pub(super) fn read(matches: &ArgMatches, settings: &Settings) -> Result<Announce, Problems> {
    let StoreSettings::Etcd(store) = settings.store.clone() else {
        let problem = Problem::new("services are announced in etcd only");
        return Err(problem.hint("leave --backend out").into());
    };
    let given: BTreeMap<&'static str, String> = PROPERTIES
        .iter()
        .filter_map(|property| Some((property.name, matches.get_one::<String>(property.name)?.clone())))
        .collect();
    let folder = matches.get_one::<String>(CONFIG_DIR).map(PathBuf::from);
    let command: Option<Vec<String>> = matches.get_many::<String>(COMMAND).map(|words| words.cloned().collect());
    if command.is_some() && folder.is_some() {
        let problem = Problem::new(format!("a command after `--` and --{CONFIG_DIR} do not go together"));
        return Err(problem.hint("describe the service of the command with --name and --address").into());
    }
    let source = match (folder, given.keys().next()) {
        (Some(_), Some(name)) => {
            let problem = Problem::new(format!("--{CONFIG_DIR} and --{} do not go together", flag(name)));
            return Err(problem.hint("write it into the files of the folder").into());
        }
        (Some(folder), None) => ServiceSource::Folder(folder),
        (None, _) => ServiceSource::One(Box::new(service::parse_flags(&given)?)),
    };
    Ok(Announce { store, source, command })
}
