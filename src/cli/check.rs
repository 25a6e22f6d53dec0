//! `check`: settings, conf.d and templates, offline, every problem at once.

use crate::agent::loaded::{self, Loaded, Member};
use crate::config::problem::{Place, Problem, Problems};
use crate::config::settings::Settings;
use crate::model::resource::{CommandLine, Engine, Escape, Identity, OutputFormat, Reload, Resource};
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

/// A Go template that puts what the store says into an nginx file as it is.
fn unescaped(member: &Member) -> Option<Problem> {
    let resource = &member.resource;
    let is_nginx = resource.output_format == Some(OutputFormat::Nginx)
        || resource.check.as_ref().is_some_and(CommandLine::mentions_nginx)
        || resource.reload.as_ref().is_some_and(Reload::mentions_nginx);
    let prints_anything = resource.engine == Engine::Go && resource.escape == Escape::None;
    if !(is_nginx && prints_anything && member.renderer.go_reads_store(&resource.src)) {
        return None;
    }
    let message = format!("`{}` prints values of the store into an nginx file as they are", resource.src);
    let hint = "escape = \"nginx\" refuses a value that could become more than data";
    Some(Problem::new(message).at(Place::file(&resource.file)).hint(hint))
}

/// Prints every problem to standard error, or how much is right to standard output.
pub(super) fn check(settings: &Settings, mut problems: Problems) -> Exit {
    let sources = run::sources(settings);
    let loaded: Loaded = loaded::load(&sources, &run::facts(settings), None);
    problems.extend(loaded.problems.iter().cloned());
    problems.extend(loaded.members.iter().filter_map(|member| unknown_owner(&member.resource)));
    for problem in problems.iter() {
        terminal::complain(&format!("{problem}\n"));
    }
    for warning in loaded.members.iter().filter_map(unescaped) {
        terminal::complain(&format!("warning: {warning}\n"));
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
