//! `check`: settings, conf.d and templates, offline, every problem at once.

use crate::agent::loaded::{self, Loaded};
use crate::config::problem::Problems;
use crate::config::settings::Settings;
use crate::world::terminal;

use super::exit::Exit;
use super::run;

/// Prints every problem to standard error, or how much is right to standard output.
pub(super) fn check(settings: &Settings, mut problems: Problems) -> Exit {
    let sources = run::sources(settings);
    let loaded: Loaded = loaded::load(&sources, &run::facts(), None);
    problems.extend(loaded.problems.iter().cloned());
    for problem in problems.iter() {
        terminal::complain(&format!("{problem}\n"));
    }
    let n_resources = loaded.members.len();
    if problems.is_empty() {
        let confdirs: Vec<String> = sources.confdirs.iter().map(|path| path.display().to_string()).collect();
        terminal::print(&format!("{n_resources} resources in {}: no problem\n", confdirs.join(", ")));
        Exit::Done
    } else {
        terminal::complain(&format!("{} problems; {n_resources} resources are right\n", problems.len()));
        Exit::Configuration
    }
}
