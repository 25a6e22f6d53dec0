//! `check`: settings, conf.d and templates, offline, every problem at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::agent::loaded::{self, Loaded, Member, Sources};
use crate::agent::rendering;
use crate::config::differences;
use crate::config::resource::outline::{Account, AccountKind};
use crate::config::settings::Settings;
use crate::model::problem::{Place, Position, Problem, Problems};
use crate::model::resource::{CommandLine, Engine, Escape, OutputFormat, Reload, Resource};
use crate::render::format;
use crate::world::fs::{self, folder, owner};
use crate::world::terminal;

use super::exit::Exit;
use super::{counted, run};

/// An owner or group that this machine does not know.
fn unknown_account(account: &Account) -> Option<Problem> {
    let found = match account.kind {
        AccountKind::User => owner::user_id(&account.name),
        AccountKind::Group => owner::group_id(&account.name),
    };
    let problem = found.err()?;
    Some(Problem::new(problem).at(account.place.clone()).hint("on another machine it may exist"))
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

/// Keys that look like patterns, which they are not.
fn patterns(member: &Member) -> impl Iterator<Item = Problem> {
    let resource = &member.resource;
    resource.keys.iter().filter(|key| key.contains(['*', '?'])).map(|key| {
        let folder = key.split_inclusive('/').take_while(|part| !part.contains(['*', '?'])).collect::<String>();
        let folder = if folder.len() > 1 { folder.trim_end_matches('/') } else { "/" };
        let hint = format!("a key stands for itself and for all below it: `{folder}`");
        let message = format!("keys: in `{key}`, `*` and `?` mean just themselves");
        Problem::new(message).at(Place::file(&resource.file)).hint(hint)
    })
}

/// A destination whose folder is not there.
fn missing_folder(resource: &Resource) -> Option<Problem> {
    let folder = resource.dest.parent()?;
    // The folder of a `for_each` may be part of its pattern.
    if resource.for_each.is_some() || folder::is_folder(folder) {
        return None;
    }
    let message = format!("dest: the folder `{}` does not exist", folder.display());
    Some(Problem::new(message).at(Place::file(&resource.file)).hint("create it: upstreamd makes no folders"))
}

/// What confd's users will find different, in resources whose templates are confd's: each line once, in order of the places.
fn differences(settings: &Settings, sources: &Sources, loaded: &Loaded) -> Vec<Problem> {
    let prefix = (settings.conf_d.defaults.prefix.as_str(), settings.conf_d.defaults.prefix_mode);
    let mut found = Vec::new();
    for member in &loaded.members {
        let resource = &member.resource;
        let bytes = fs::read_bytes(&resource.file).unwrap_or_default();
        found.extend(differences::of_resource(resource, &String::from_utf8_lossy(&bytes), prefix));
        if resource.engine == Engine::Go {
            let of_template = member.renderer.differences_from_confd(&resource.src);
            found.extend(of_template.into_iter().map(|(name, place, what)| {
                let position = Some(Position { line: place.line, column: place.column });
                Problem::new(what).at(Place { file: template_file(sources, &name), position })
            }));
        }
    }
    for group in &loaded.groups {
        let resources: Vec<&Resource> = group.resources.iter().map(|resource| &**resource).collect();
        found.extend(differences::of_group(&resources));
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found.dedup();
    found
}

/// The file of a template: that of the first confdir that has one of this name.
fn template_file(sources: &Sources, name: &str) -> PathBuf {
    let mut files = sources.confdirs.iter().map(|confdir| confdir.join("templates").join(name));
    files.find(|file| fs::read_bytes(file).is_ok()).unwrap_or_else(|| PathBuf::from(name))
}

type MockData = serde_json::Map<String, serde_json::Value>;

/// Reads the file of `--mock-data`. Its content is not shown.
fn read_mock_data(path: &Path) -> Result<MockData, Problem> {
    let bytes = fs::read_bytes(path)
        .map_err(|error| Problem::new(format!("cannot read the mock data: {error}")).at(Place::file(path)))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new("the mock data is no JSON object").at(Place::at(path, Position::from(&error))))
}

/// What is wrong with templates that are rendered with this data and no store.
fn mock_problems(loaded: &Loaded, data: &MockData) -> Vec<Problem> {
    let render = |member: &Member| {
        let resource = &member.resource;
        let place = Place::file(&resource.file);
        let bytes = member.renderer.render_mock(rendering::root(resource), data.clone()).map_err(|error| {
            let hint = error.hint.clone();
            Problem { hint, ..Problem::new(error.to_string()).at(place.clone()) }
        })?;
        let Some(output_format) = resource.output_format else { return Ok(()) };
        format::check(&bytes, output_format).map_err(|error| Problem::new(error.to_string()).at(place))
    };
    loaded.members.iter().filter_map(|member| render(member).err()).collect()
}

/// Prints every problem to standard error, or how much is right to standard output.
pub(super) fn check(settings: &Settings, mut problems: Problems) -> Exit {
    let sources = run::sources(settings);
    let loaded: Loaded = loaded::load(&sources, &run::facts(settings), None);
    problems.extend(loaded.problems.iter().cloned());
    problems.extend(loaded.accounts.iter().filter_map(unknown_account));
    if settings.instead.check_folders {
        problems.extend(loaded.members.iter().filter_map(|member| missing_folder(&member.resource)));
    }
    match settings.instead.mock_data.as_deref().map(read_mock_data).transpose() {
        Ok(data) => problems.extend(data.iter().flat_map(|data| mock_problems(&loaded, data))),
        Err(problem) => problems.extend([problem]),
    }
    for problem in problems.iter() {
        terminal::complain(&format!("{problem}\n"));
    }
    for warning in loaded.members.iter().flat_map(|member| unescaped(member).into_iter().chain(patterns(member))) {
        terminal::complain(&format!("warning: {warning}\n"));
    }
    for difference in differences(settings, &sources, &loaded) {
        terminal::print(&format!("differs from confd: {difference}\n"));
    }
    let wrong: BTreeSet<&Path> =
        problems.iter().filter_map(|problem| problem.place.as_ref()).map(|place| &*place.file).collect();
    let n_resources = loaded.members.iter().filter(|member| !wrong.contains(&*member.resource.file)).count();
    if problems.is_empty() {
        let confdirs: Vec<String> = sources.confdirs.iter().map(|path| path.display().to_string()).collect();
        terminal::print(&format!("{} in {}: no problem\n", counted(n_resources, "resource"), confdirs.join(", ")));
        Exit::Done
    } else {
        let are = if n_resources == 1 { "is" } else { "are" };
        let (problems, right) = (counted(problems.len(), "problem"), counted(n_resources, "resource"));
        terminal::complain(&format!("{problems}; {right} {are} right\n"));
        Exit::Configuration
    }
}
