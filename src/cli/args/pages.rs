//! Help and manual pages, both from the definition of the command line. Returns texts and never prints.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::definition::definition;
use crate::cli::exit::Exit;

/// The settings that matter to the commands that read conf.d.
const CONF_D: &[&str] = &["confdir", "config-file", "prefix"];
/// The settings that matter to the commands that ask etcd.
const ETCD: &[&str] = &["node", "username", "password", "client-ca-keys"];
/// The further ones that matter to the commands that read any store.
const STORE: &[&str] = &["backend", "file", "backend-timeout"];

/// The last line of a subcommand's help.
const OTHER_SETTINGS: &str =
    "`upstreamd --help` lists all settings; the others that concern this command work here too.";

/// Examples of the main page: a command line, and what it does.
const EXAMPLES: &[(&str, &str)] = &[
    ("upstreamd check /etc/upstreamd", "Look for problems in settings, conf.d and templates."),
    ("upstreamd diff", "Show what would change, and change nothing."),
    ("upstreamd --onetime", "Bring every file up to date once."),
    ("upstreamd --watch --node http://10.0.0.1:2379", "Follow etcd and act on every change."),
    ("upstreamd --watch -- nginx -g 'daemon off;'", "The same, with nginx as a child of upstreamd."),
];

/// Ways to call the program.
const SYNOPSIS: &[&str] = &["[OPTIONS]", "[OPTIONS] -- PROGRAM [ARGUMENT]...", "COMMAND [OPTIONS] [ARGUMENT]..."];

/// Files of the main page.
const FILES: &[(&str, &str)] = &[
    ("/etc/upstreamd/upstreamd.toml", "Settings; /etc/confd/confd.toml if only that exists."),
    ("/etc/upstreamd/conf.d/*.toml", "Resources: which keys and which template make which file."),
    ("/etc/upstreamd/templates/", "Templates."),
    ("/var/lib/upstreamd/", "State: what is live, which reload is owed."),
    (
        "/run/upstreamd/status.sock",
        "Where status and explain ask the running agent; with --state-dir DIR, DIR/status.sock.",
    ),
    (
        "/run/upstreamd/announce-PID.sock",
        "Where status asks an announcer; with --state-dir DIR, DIR/announce-PID.sock.",
    ),
];

/// Signals of the main page.
const SIGNALS: &[(&str, &str)] = &[
    ("SIGHUP", "Read conf.d, templates and the store again."),
    ("SIGUSR1", "Read the store again and look at every file."),
    ("SIGTERM, SIGINT", "Let a running transaction finish, then stop."),
];

/// Returns the settings that the help of a subcommand shows.
fn relevant(name: &str) -> Vec<&'static str> {
    let more: &[&str] = match name {
        "check" => &["resource", "engine", "check-config", "mock-data"],
        "diff" => &["diff-context", "color", "state-dir"],
        _ => &[],
    };
    let lists: &[&[&str]] = match name {
        "check" => &[CONF_D, more],
        "render" | "keys" | "diff" => &[CONF_D, ETCD, STORE, more],
        "agents" => &[&["config-file", "backend-timeout"], ETCD],
        "status" => &[&["config-file", "state-dir", "watch", "color"]],
        "explain" => &[&["config-file", "state-dir", "color"]],
        "announce" => &[&["config-file", "prefix", "stop-timeout", "state-dir"], ETCD],
        _ => &[],
    };
    lists.concat()
}

/// Returns a subcommand that shows only what matters to it.
fn subcommand(name: &str) -> Option<Command> {
    let shown = relevant(name);
    let mut command = definition().mut_args(|argument| {
        let hides = argument.is_global_set() && !shown.contains(&argument.get_id().as_str());
        if hides { argument.hide(true) } else { argument }
    });
    command.build();
    let found = command.find_subcommand(name)?.clone();
    Some(if shown.is_empty() { found } else { found.after_help(OTHER_SETTINGS) })
}

/// Returns the help that these words ask for, the program's name first; `None` if it is about no subcommand.
pub(super) fn help(words: &[String]) -> Option<String> {
    let mut names = words.iter().skip(1).filter(|word| !word.starts_with('-') && *word != "help");
    Some(subcommand(names.next()?)?.render_help().to_string())
}

/// Returns the manual page of the program, or of a subcommand.
pub(super) fn manual(name: Option<&str>) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    let source = format!("upstreamd {}", env!("CARGO_PKG_VERSION"));
    match name {
        None => {
            // The exit codes have a section of their own.
            let man = Man::new(definition().after_help("")).source(source);
            man.render_title(&mut text)?;
            man.render_name_section(&mut text)?;
            synopsis(SYNOPSIS).to_writer(&mut text)?;
            man.render_description_section(&mut text)?;
            man.render_options_section(&mut text)?;
            man.render_subcommands_section(&mut text)?;
            main_sections().to_writer(&mut text)?;
        }
        Some(name) => match subcommand(name) {
            Some(mut command) => {
                let usage = command.render_usage().to_string();
                let words = usage.trim_start_matches("Usage: ").strip_prefix("upstreamd ").unwrap_or(&usage).to_owned();
                let man = Man::new(command).source(source);
                man.render_title(&mut text)?;
                man.render_name_section(&mut text)?;
                synopsis(&[words.trim_end()]).to_writer(&mut text)?;
                man.render_description_section(&mut text)?;
                man.render_options_section(&mut text)?;
                see_also(!relevant(name).is_empty()).to_writer(&mut text)?;
            }
            None => return Ok(None),
        },
    }
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Returns the section that says how to call the program: one line for each of these lists of words. The section that is made
/// of the definition names every flag.
fn synopsis(lines: &[&str]) -> Roff {
    let mut roff = Roff::default();
    roff.control("SH", ["SYNOPSIS"]);
    for (position, words) in lines.iter().enumerate() {
        if position > 0 {
            roff.control("br", []);
        }
        roff.text([bold("upstreamd"), roman(" "), italic(*words)]);
    }
    roff
}

/// Returns the section of a subcommand's page that leads to the main page.
fn see_also(takes_settings: bool) -> Roff {
    let mut roff = Roff::default();
    roff.control("SH", ["SEE ALSO"]);
    let more =
        if takes_settings { " lists all settings; the others that concern this command work here too." } else { "" };
    roff.text([bold("upstreamd"), roman(format!("(1){more}"))]);
    roff
}

fn main_sections() -> Roff {
    let exits = Exit::ALL.map(|exit| (exit.code().to_string(), exit.meaning()));
    let exits: Vec<(&str, &str)> = exits.iter().map(|(code, meaning)| (code.as_str(), *meaning)).collect();
    let mut roff = Roff::default();
    let sections = [("EXAMPLES", EXAMPLES), ("FILES", FILES), ("SIGNALS", SIGNALS), ("EXIT STATUS", exits.as_slice())];
    for (title, entries) in sections {
        roff.control("SH", [title]);
        for (term, text) in entries {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*text)]);
        }
    }
    roff
}
