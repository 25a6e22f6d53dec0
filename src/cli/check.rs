//! `check`: settings, conf.d and templates, offline, every problem at once.

use crate::agent::loaded::{self, Loaded};
use crate::config::problem::{Place, Problem, Problems};
use crate::config::settings::Settings;
use crate::model::resource::{Identity, Resource};
use crate::world::fs::owner;
use crate::world::terminal;

use super::exit::Exit;
use super::run;

/// An owner or group that this machine does not know.
fn unknown_owner(resource: &Resource) -> Option<Problem> {
    let unknown = |identity: &Option<Identity>, look_up: fn(&str) -> Result<u32, String>| match identity {
        Some(Identity::Name(name)) => look_up(name).err(),
        _ => None,
    };
    let problem = unknown(&resource.owner, owner::user_id).or_else(|| unknown(&resource.group, owner::group_id))?;
    Some(Problem::new(problem).at(Place::file(&resource.file)).hint("on another machine it may exist"))
}

/// Prints every problem to standard error, or how much is right to standard output.
pub(super) fn check(settings: &Settings, mut problems: Problems) -> Exit {
    let sources = run::sources(settings);
    let loaded: Loaded = loaded::load(&sources, &run::facts(), None);
    problems.extend(loaded.problems.iter().cloned());
    problems.extend(loaded.members.iter().filter_map(|member| unknown_owner(&member.resource)));
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
