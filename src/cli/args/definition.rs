//! The command line for clap, made from the table of settings: help, completions and man page come from here.
//! Never checks a value; that is done with all settings together, from all sources.

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, value_parser};
use clap_complete::Shell;

use super::announce;
use super::words::Words;
use crate::cli::exit::Exit;
use crate::config::settings::table::{self, Section, Setting, SettingKind};
use crate::status::events::COMMIT;

/// Backends with their own word on the command line, and its help.
pub(super) const BACKEND_WORDS: &[(&str, &str)] = &[
    ("etcd", "Same as --backend etcd"),
    ("etcdv3", "Same as --backend etcdv3"),
    ("file", "Same as --backend file"),
    ("env", "Same as --backend env"),
];

/// Commands with a manual page of their own.
pub(super) const WITH_PAGE: &[&str] =
    &["check", "render", "announce", "diff", "keys", "status", "explain", "agents", "convert", "completions", "man"];

/// The beginning of the help.
const START_HERE: &str = "\
Start here:
  upstreamd check DIR     look for problems in DIR/conf.d and DIR/templates
  upstreamd diff          show what would change
  upstreamd --onetime     bring every file up to date once
  upstreamd --watch       follow the store and act on every change
  upstreamd status        what is live, what is owed, and why
  upstreamd diff --help   what matters to one command";

/// Returns the definition of the whole command line.
pub fn definition() -> Command {
    without_program().arg(Arg::new("COMMAND").last(true).num_args(1..).help(
        "start this program after the first pass and supervise it: upstreamd --watch -- nginx -g 'daemon off;'; \
         with --onetime: become this program after the pass",
    ))
}

/// Returns the definition without the program after `--`.
fn without_program() -> Command {
    commands().args(table::ALL.iter().map(|setting| flag(setting)))
}

/// Returns what shells complete: without the program after `--`, and without the flags that have no effect.
pub(super) fn for_completions() -> Command {
    commands().args(table::ALL.iter().filter(|setting| setting.section != Section::Confd).map(|setting| flag(setting)))
}

/// Returns the subcommands that ask the running agent.
fn of_the_agent() -> [Command; 2] {
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("print JSON for programs");
    let list = Arg::new("LIST").help("folder of keys, or file: show all of its backends");
    let what = Arg::new("WHAT").required(true);
    let what = what.help("as in /services/web/1, 10.0.0.1:80, /etc/nginx/conf.d/web.conf or web.toml");
    let status = "Print what is live, what is owed, and why, as the running agent says; with --watch again and again";
    let explain =
        "Explain a key, a backend, a file or a resource: its way from the store to nginx, and what stands in it";
    [
        Command::new("status").about(status).arg(list).arg(json()),
        Command::new("explain").about(explain).arg(what).arg(json()),
    ]
}

/// Returns the subcommands.
fn commands() -> Command {
    let mut command = Command::new("upstreamd")
        .version(version())
        .about("Keeps nginx load balancers in sync with etcd: renders, checks, reloads, verifies, rolls back")
        .before_help(START_HERE)
        .after_help(after_help())
        .args_override_self(true)
        .subcommand(check())
        .subcommand(render())
        .subcommand(announce::definition())
        .subcommand(
            Command::new("diff")
                .about("Show what would change; exit code 1 if anything would, 0 if not")
                .arg(Arg::new("RESOURCE").help("only of this file below conf.d")),
        )
        .subcommand(
            Command::new("keys")
                .about("Print the keys that resources see")
                .arg(Arg::new("RESOURCE").help("only of this file below conf.d")),
        )
        .subcommands(of_the_agent())
        .subcommand(
            Command::new("agents")
                .about("Print the progress of the agents that keep receipts, and which of them lag")
                .arg(
                    Arg::new("format")
                        .long("format")
                        .value_parser(["table", "json"])
                        .default_value("table")
                        .help("a table for people, or JSON for programs"),
                ),
        )
        .subcommand(
            Command::new("convert")
                .about("Convert a Go template to Tera, if the result certainly prints the same")
                .arg(Arg::new("TEMPLATE").required(true).help("its file, as in templates/app.conf.tmpl")),
        )
        .subcommands(about_itself());
    for (word, about) in BACKEND_WORDS {
        command = command.subcommand(Command::new(*word).about(*about));
    }
    command
}

fn check() -> Command {
    Command::new("check")
        .about("Look for problems in settings, conf.d and templates, without the store")
        .arg(
            Arg::new("DIR")
                .value_hint(clap::ValueHint::DirPath)
                .help("folder that holds conf.d and templates; as --confdir"),
        )
        .arg(
            Arg::new(announce::CONFIG_DIR)
                .long(announce::CONFIG_DIR)
                .value_name("PATH")
                .value_hint(clap::ValueHint::AnyPath)
                .conflicts_with("DIR")
                .help("Instead of conf.d, check the service files of an announcer: their folder, or one of them"),
        )
}

fn render() -> Command {
    Command::new("render")
        .about("Print the rendered file of a resource")
        .arg(Arg::new("RESOURCE").required(true).help("its file below conf.d, as in app.toml"))
        .arg(
            Arg::new("line")
                .long("line")
                .value_name("NUMBER")
                .value_parser(value_parser!(u64).range(1..))
                .help("only this line and those around it, numbered: the place that nginx names"),
        )
}

/// Returns the subcommands that print something about the program itself.
fn about_itself() -> [Command; 2] {
    [
        Command::new("completions")
            .about("Print completions for a shell")
            .arg(Arg::new("shell").required(true).help("the shell that reads them").value_parser(value_parser!(Shell))),
        Command::new("man").about("Print a manual page; read it with: upstreamd man diff | man -l -").arg(
            Arg::new("NAME")
                .value_parser(Words(WITH_PAGE))
                .hide_possible_values(true)
                .help("the command that it is about; without one, the whole program"),
        ),
    ]
}

/// Returns the version text; clap puts the name in front: `upstreamd 0.1.0 (…)`.
fn version() -> String {
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    format!("{} (Git SHA: {COMMIT}, {arch}-{os})", env!("CARGO_PKG_VERSION"))
}

fn after_help() -> String {
    let mut text = String::from(
        "Every setting is also an environment variable (UPSTREAMD_INTERVAL, then CONFD_INTERVAL) and a key of \
         upstreamd.toml (interval). Flags go over the environment, that over the file, that over defaults. \
         Long flags may have one dash, as in confd.\n\nExit codes:\n",
    );
    for exit in Exit::ALL {
        text.push_str(&format!("  {:2}  {}\n", exit.code(), exit.meaning()));
    }
    text
}

fn flag(setting: &'static Setting) -> Arg {
    let mut arg = Arg::new(setting.name)
        .long(setting.name)
        .global(true)
        .help(help(setting))
        .help_heading(setting.section.title())
        .value_name(setting.kind.value_name())
        .action(if setting.kind.is_list() { ArgAction::Append } else { ArgAction::Set });
    if let Some(short) = setting.short {
        arg = arg.short(short);
    }
    if let Some(alone) = setting.kind.alone() {
        arg = arg.num_args(0..=1).require_equals(true).default_missing_value(alone);
    }
    arg = match setting.kind {
        SettingKind::Choice(words) | SettingKind::OptionalChoice(words) => arg.value_parser(Words(words)),
        SettingKind::Switch => arg.value_parser(Words(&["true", "false"])).hide_possible_values(true),
        SettingKind::Path | SettingKind::Paths => arg.value_hint(clap::ValueHint::AnyPath),
        _ => arg,
    };
    arg.hide(setting.section == Section::Confd)
}

fn help(setting: &Setting) -> StyledStr {
    match setting.default {
        Some(default) if setting.kind != SettingKind::Switch => format!("{} [default: {default}]", setting.help).into(),
        _ => setting.help.into(),
    }
}
