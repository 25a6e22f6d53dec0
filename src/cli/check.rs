//! `check`: finds the problems of settings, conf.d and templates, all at once. Never connects to the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agent::catalog::{self, Catalog, Confdirs, Member};
use crate::agent::endpoints::prints_servers;
use crate::agent::once;
use crate::agent::pass::MockData;
use crate::apply::group::Group;
use crate::apply::{self, Context, unread};
use crate::config::resource::outline::{Account, AccountKind};
use crate::config::settings::{Settings, table};
use crate::config::{differences, programs};
use crate::model::path;
use crate::model::problem::{Place, Position, Problem, Problems};
use crate::model::report::StepFailure;
use crate::model::resource::{CommandLine, Engine, Escape, InstanceId, OutputFormat, Reload, Resource};
use crate::model::text::counted;
use crate::model::{progress, suggest, text, variable};
use crate::render::Ask;
use crate::world::fs::entry::FileEntry;
use crate::world::fs::folder::FolderTexts;
use crate::world::fs::{self, FileError, folder, owner};
use crate::world::terminal::ProgressLine;
use crate::world::{host, terminal};

use super::exit::Exit;
use super::{run, show};

/// Returns the problem of an owner or group that this machine does not know.
fn unknown_account(account: &Account) -> Option<Problem> {
    let found = match account.kind {
        AccountKind::User => owner::user_id(&account.name),
        AccountKind::Group => owner::group_id(&account.name),
    };
    let problem = found.err()?;
    Some(Problem::new(problem).at(account.place.clone()).hint(owner::UNKNOWN_HINT))
}

/// Returns the problem of a Go template that writes values of the store into an nginx file without escaping.
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

/// Returns problems for keys that look like patterns: keys have no patterns.
fn patterns(member: &Member) -> impl Iterator<Item = Problem> {
    let resource = &member.resource;
    resource.keys.iter().filter(|key| key.contains(['*', '?'])).map(|key| {
        let folder = key.split_inclusive('/').take_while(|part| !part.contains(['*', '?'])).collect::<String>();
        let folder = if folder.len() > 1 { folder.trim_end_matches('/') } else { "/" };
        let hint = format!("a key covers itself and all keys below it: `{folder}`");
        let message = format!("keys: in `{key}`, `*` and `?` stand for themselves");
        Problem::new(message).at(Place::file(&resource.file)).hint(hint)
    })
}

/// Returns the problem of a check that hands nginx part of a configuration as if it were all of it.
fn fragment_as_nginx_conf(member: &Member) -> Option<Problem> {
    let resource = &member.resource;
    resource.check.as_ref().filter(|check| check.checks_file_as_nginx_conf())?;
    let root = catalog::resource_root(resource);
    if !programs::is_nginx_fragment(&member.renderer.texts_of(root).join("\n")) {
        return None;
    }
    let message = format!("check_cmd: never passes: `{}` has no `events`, so it is no whole nginx.conf", resource.src);
    let hint = "write check_cmd = \"nginx -t\": it sees the whole configuration, with the new file in its place";
    Some(Problem::new(message).at(place_of(resource, "check_cmd")).hint(hint))
}

/// Returns problems for paths that no environment variable has as its key.
fn in_no_environment(member: &Member, confdirs: &Confdirs) -> Vec<Problem> {
    if !member.resource.from_environment {
        return Vec::new();
    }
    let asks = member.renderer.asks(&[catalog::resource_root(&member.resource)]);
    let problem = |ask: Ask| {
        let key = variable::key_of(ask.path.trim_start_matches('/'));
        let path = format!("/{}", ask.path.trim_start_matches('/'));
        let why = "`_` in the name of a variable is `/`, and letters are lower case";
        let message = format!("`{}` of `{}` never finds anything in the environment: {why}", ask.function, ask.path);
        let problem = Problem::new(message).at(Place::at(&template_file(confdirs, &ask.template), ask.place));
        (key != path).then(|| problem.hint(format!("ask for `{key}`")))
    };
    asks.into_iter().flatten().filter_map(problem).collect()
}

/// Returns problems for commands whose programs this machine does not have.
fn missing_programs(member: &Member) -> Vec<Problem> {
    let resource = &member.resource;
    let reload = resource.reload.as_ref().and_then(Reload::command);
    let commands = [("check_cmd", resource.check.as_ref()), ("reload_cmd", reload)];
    let commands = commands.into_iter().filter_map(|(field, command)| Some((field, command?)));
    let named = commands.flat_map(|(field, command)| command.programs().into_iter().map(move |name| (field, name)));
    let is_missing = |name: &str| !host::find_program(Path::new(name)).is_some_and(|program| host::exists(&program));
    named
        .filter(|(_, name)| is_missing(name))
        .map(|(field, name)| {
            let message = format!("{field}: there is no program `{name}` on this machine");
            Problem::new(message).at(place_of(resource, field)).hint("on the machine that runs upstreamd it may exist")
        })
        .collect()
}

fn place_of(resource: &Resource, field: &str) -> Place {
    let bytes = fs::read_bytes(&resource.file).unwrap_or_default();
    differences::place_of(resource, &String::from_utf8_lossy(&bytes), field)
}

/// Returns what can never work although nothing is written wrongly, and what is worth a look. Whoever asks with confd's
/// flags gets all of it as warnings: to confd, these are no problems.
fn doubts(
    settings: &Settings,
    confdirs: &Confdirs,
    catalog: &Catalog,
    work: &ProgressLine,
) -> (Vec<Problem>, Vec<Problem>) {
    let (mut wrong, mut warnings) = (Vec::new(), Vec::new());
    for (done, member) in catalog.members.iter().enumerate() {
        work.show(|| progress::checked(done, catalog.members.len()));
        wrong.extend(fragment_as_nginx_conf(member));
        wrong.extend(unsafe_link(&member.resource));
        wrong.extend(impossible_dest(&member.resource));
        warnings.extend(unescaped(member).into_iter().chain(patterns(member)).chain(missing_programs(member)));
        warnings.extend(in_no_environment(member, confdirs));
    }
    for outside in &catalog.outside_keys {
        let list = if outside.optional { &mut warnings } else { &mut wrong };
        list.push(outside.problem.clone());
    }
    if settings.instead.check {
        warnings.append(&mut wrong);
    }
    (wrong, warnings)
}

/// Returns problems for files that their commands call nginx's and that nginx never reads.
async fn files_unread(settings: &Settings, catalog: &Catalog) -> Vec<Problem> {
    let context = Context::new(apply::Settings { nginx: settings.nginx.clone(), ..apply::Settings::default() });
    let file_of = |resource: &Resource| match &resource.for_each {
        Some(for_each) => for_each.dest().file("NAME").ok(),
        None => Some(resource.dest.clone()),
    };
    let of_group = |group: &Arc<Group>| -> Vec<(PathBuf, Arc<Resource>)> {
        group.resources.iter().filter_map(|resource| Some((file_of(resource)?, Arc::clone(resource)))).collect()
    };
    let files: Vec<Vec<(PathBuf, Arc<Resource>)>> = catalog.groups.iter().map(of_group).collect();
    let mut owners: BTreeMap<&Path, &Resource> = BTreeMap::new();
    for (file, resource) in files.iter().flatten() {
        owners.entry(file).or_insert(resource);
    }
    let paths = files.iter().map(|files| files.iter().map(|(file, _)| file.as_path()).collect());
    let found = unread::find(&context, catalog.groups.iter().map(|group| &**group).zip(paths)).await;
    let placed = |(file, problem): (&Path, Problem)| problem.at(place_of(owners[file], "dest"));
    found.unread.into_iter().map(placed).collect()
}

/// Returns problems for variables that look like settings and are none.
fn unknown_variables() -> Vec<Problem> {
    let known: BTreeSet<String> = table::ALL.iter().flat_map(|setting| setting.environment_names()).collect();
    let names = host::environment().into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into_owned());
    let unknown = names.filter(|name| name.starts_with("UPSTREAMD_") && !known.contains(name));
    let unknown: BTreeSet<String> = unknown.collect();
    let problem = |name: &String| {
        let problem = Problem::new(format!("the environment variable {} is not a setting", text::shown(name)));
        match suggest::did_you_mean(name, known.iter().map(String::as_str)) {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    };
    unknown.iter().map(problem).collect()
}

/// Returns problems for files of a folder of TOML files that are not read.
pub(super) fn unread_files(folder: &FolderTexts) -> Vec<Problem> {
    let is_meant = |name: &str| !name.ends_with("toml") && !path::is_hidden(name) && !name.ends_with('~');
    let unread = folder.others.iter().filter(|(name, _)| is_meant(name));
    unread
        .map(|(_, file)| {
            let problem = Problem::new("this file is not read, because its name does not end in .toml");
            let name = folder.root.file_name().unwrap_or_default().to_string_lossy();
            problem.at(Place::file(file)).hint(format!("rename it, or move it out of {name}"))
        })
        .collect()
}

/// Returns the problem of a destination that a link leads to which others may have made: it would never be written.
fn unsafe_link(resource: &Resource) -> Option<Problem> {
    let is_link = |error: &FileError| error.source.kind() == ErrorKind::PermissionDenied;
    let error = FileEntry::find(&resource.dest).err().filter(|error| resource.for_each.is_none() && is_link(error))?;
    Some(Problem::new(format!("dest: {error}: {}", error.source)).at(Place::file(&resource.file)))
}

/// Returns the problem of a destination that can never be written: its own file of conf.d, or a file in place of its folder.
fn impossible_dest(resource: &Resource) -> Option<Problem> {
    if resource.for_each.is_some() {
        return None;
    }
    let folder = resource.dest.parent()?;
    let message = if fs::real_destination(&resource.dest) == fs::real_destination(&resource.file) {
        "dest: it is the resource's own file in conf.d".to_owned()
    } else if fs::is_regular_file(folder) == Some(true) {
        format!("dest: `{}` is a file, not a folder", folder.display())
    } else {
        return None;
    };
    Some(Problem::new(message).at(place_of(resource, "dest")).hint("name the file that the template writes"))
}

/// Returns the problem of a destination whose folder does not exist and is not created.
fn missing_folder(resource: &Resource) -> Option<Problem> {
    let folder = resource.dest.parent()?;
    // The folder of a `for_each` may be part of its pattern.
    if resource.for_each.is_some() || resource.target.make_dirs || folder::is_folder(folder) {
        return None;
    }
    let message = format!("dest: the folder `{}` does not exist", folder.display());
    Some(Problem::new(message).at(Place::file(&resource.file)).hint("create it, or set make_dirs = true"))
}

/// Returns the differences from confd in resources with confd's templates, a line each.
fn differences(settings: &Settings, confdirs: &Confdirs, catalog: &Catalog) -> Vec<String> {
    let prefix = (settings.conf_d.defaults.prefix.as_str(), settings.conf_d.defaults.prefix_mode);
    let mut found = Vec::new();
    for member in &catalog.members {
        let resource = &member.resource;
        let bytes = fs::read_bytes(&resource.file).unwrap_or_default();
        found.extend(differences::of_resource(resource, &String::from_utf8_lossy(&bytes), prefix));
        if resource.engine == Engine::Go {
            let of_template = member.renderer.differences_from_confd(&resource.src);
            found.extend(of_template.into_iter().map(|(name, position, what)| {
                Problem::new(what).at(Place::at(&template_file(confdirs, &name), position))
            }));
        }
    }
    for group in &catalog.groups {
        let resources: Vec<&Resource> = group.resources.iter().map(|resource| &**resource).collect();
        found.extend(differences::of_group(&resources));
    }
    differences::lines(found)
}

/// Returns the file of a template, from the first confdir that has it.
fn template_file(confdirs: &Confdirs, name: &str) -> PathBuf {
    let mut files = confdirs.folders.iter().map(|folder| folder.join("templates").join(name));
    files.find(|file| fs::read_bytes(file).is_ok()).unwrap_or_else(|| PathBuf::from(name))
}

/// Reads the file of `--mock-data`. Its content is not shown.
fn read_mock_data(path: &Path) -> Result<MockData, Problem> {
    let bytes = fs::read_bytes(path)
        .map_err(|error| Problem::new(format!("cannot read the mock data: {error}")).at(Place::file(path)))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new("the mock data is not a JSON object").at(Place::at(path, Position::from(&error))))
}

/// Renders all templates with this data and no store, and returns the failures.
fn mock_problems(catalog: &Arc<Catalog>, data: MockData) -> Vec<Problem> {
    let reports = once::mock(catalog, data);
    let problem = |(id, failure): (InstanceId, StepFailure)| {
        let file = &catalog.member(&id.resource)?.resource.file;
        Some(Problem::new(failure.message).at(Place::file(file)))
    };
    reports.into_iter().flat_map(|report| report.dropped).filter_map(problem).collect()
}

/// Prints every problem to standard error, or a summary to standard output.
pub(super) async fn check(settings: &Settings, mut problems: Problems) -> Exit {
    let confdirs = run::confdirs(settings);
    let work = ProgressLine::start();
    let catalog = Arc::new(catalog::load(&confdirs, &run::facts(settings), None));
    problems.extend(catalog.problems.iter().cloned());
    problems.extend(catalog.accounts.iter().filter_map(unknown_account));
    if settings.instead.check_folders {
        problems.extend(catalog.members.iter().filter_map(|member| missing_folder(&member.resource)));
    }
    match settings.instead.mock_data.as_deref().map(read_mock_data).transpose() {
        Ok(data) => problems.extend(data.into_iter().flat_map(|data| mock_problems(&catalog, data))),
        Err(problem) => problems.extend([problem]),
    }
    let (wrong, mut warnings) = doubts(settings, &confdirs, &catalog, &work);
    warnings.extend(files_unread(settings, &catalog).await);
    problems.extend(wrong);
    for problem in problems.iter() {
        terminal::print_error(&format!("{problem}\n"));
    }
    let conf_d = |confdir: &PathBuf| folder::read_texts(&confdir.join("conf.d"), |_| false);
    let unread: Vec<Problem> = confdirs.folders.iter().map(conf_d).flat_map(|conf_d| unread_files(&conf_d)).collect();
    let hidden = run::hidden_confd(settings, &confdirs.folders);
    for warning in warnings.into_iter().chain(unknown_variables()).chain(unread).chain(hidden) {
        terminal::print_error(&format!("warning: {warning}\n"));
    }
    let endpoints = show::shown_endpoints(settings);
    for (done, member) in catalog.members.iter().enumerate() {
        work.show(|| progress::checked(done, catalog.members.len()));
        if !prints_servers(member) {
            continue;
        }
        let (name, way) = (member.resource.name(), endpoints.way_of_agent(&member.resource));
        terminal::print(&format!("{name}: {way}\n"));
        if let Some(reason) = endpoints.why_refused(&member.resource) {
            terminal::print_error(&format!("warning: {name}: `endpoints` is \"dns\", but {reason}\n"));
        }
    }
    drop(work);
    for difference in differences(settings, &confdirs, &catalog) {
        terminal::print(&format!("differs from confd: {difference}\n"));
    }
    let in_vain = catalog.outside_keys.iter().filter(|outside| !(outside.optional || settings.instead.check));
    let places = problems.iter().filter_map(|problem| problem.place.as_ref()).map(|place| &*place.file);
    let wrong: BTreeSet<&Path> = places.chain(in_vain.map(|outside| &*outside.file)).collect();
    let n_resources = catalog.members.iter().filter(|member| !wrong.contains(&*member.resource.file)).count();
    if problems.is_empty() {
        let folders: Vec<String> = confdirs.folders.iter().map(|path| path.display().to_string()).collect();
        terminal::print(&format!("{} in {}: no problem\n", counted(n_resources, "resource"), folders.join(", ")));
        Exit::Done
    } else {
        let (problems, right) = (counted(problems.len(), "problem"), counted(n_resources, "resource"));
        terminal::print_error(&format!("{problems}; {right} OK\n"));
        Exit::Configuration
    }
}
