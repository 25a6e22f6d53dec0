//! All of conf.d: the resources that are right, and all problems of the others.
//! Never merges with earlier results: keeping the last good form of a broken file is the caller's job.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Component, Path, PathBuf};

use crate::model::resource::Resource;

use super::resource::outline::{Account, NamedTemplate};
use super::resource::{Defaults, PlacedResource, ResourceFile, read};
use crate::model::problem::{Problem, Problems};
use crate::model::suggest;

/// The content of conf.d.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set {
    /// Resources without a problem, in the order of their files.
    pub resources: Vec<Resource>,
    /// All problems, in order. A file with a problem has no resource above.
    pub problems: Problems,
    /// Existing templates named by files without a resource; their problems are reported too.
    pub unused_templates: Vec<NamedTemplate>,
    /// Users and groups that any file names.
    pub accounts: Vec<Account>,
}

/// Reads all files of conf.d. `templates` are the names below the templates folder.
///
/// If several resources have the same `dest`, all of them are refused. If the first name won, a new file could replace what
/// an old one keeps. (Two paths to one file through a link are not detected here.)
pub fn load(files: &[ResourceFile], templates: &BTreeSet<String>, defaults: &Defaults) -> Set {
    let mut problems = Vec::new();
    let mut accounts = Vec::new();
    let mut placed = Vec::new();
    let mut unused_templates = Vec::new();
    for file in files {
        let reading = read(file, defaults);
        problems.extend(reading.problems);
        accounts.extend(reading.outline.accounts);
        let Some(template) = reading.outline.src else { continue };
        match (missing_template(&template, templates), reading.placed) {
            (Some(problem), _) => problems.push(problem),
            (None, Some(resource)) => placed.push((resource, template)),
            (None, None) => unused_templates.push(template),
        }
    }
    let shared = shared_destinations(placed.iter().map(|(resource, _)| resource), &mut problems);
    let mut resources = Vec::new();
    for (placed, template) in placed {
        if shared.contains(&lexically_clean(&placed.resource.dest)) {
            unused_templates.push(template);
        } else {
            resources.push(placed.resource);
        }
    }
    Set { resources, problems: problems.into_iter().collect(), unused_templates, accounts }
}

fn missing_template(template: &NamedTemplate, templates: &BTreeSet<String>) -> Option<Problem> {
    let name: &str = &template.name;
    if templates.contains(name) {
        return None;
    }
    let mut problem = Problem::new(format!("there is no template `{name}`")).at(template.place.clone());
    problem.hint = suggest::did_you_mean(name, templates.iter().map(String::as_str))
        .or_else(|| Some("`src` is a path below the templates folder".to_owned()));
    Some(problem)
}

/// Returns the destinations of more than one resource, and adds a problem for the second and each later writer.
fn shared_destinations<'a>(
    placed: impl Iterator<Item = &'a PlacedResource>,
    problems: &mut Vec<Problem>,
) -> BTreeSet<PathBuf> {
    let mut writers: BTreeMap<PathBuf, &PlacedResource> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for resource in placed {
        match writers.entry(lexically_clean(&resource.resource.dest)) {
            Entry::Vacant(vacant) => {
                vacant.insert(resource);
            }
            Entry::Occupied(first) => {
                let message = format!(
                    "`{}` and `{}` both write `{}`",
                    first.get().resource.id,
                    resource.resource.id,
                    resource.resource.dest.display()
                );
                let hint = format!("give each its own `dest`; the other one is at {}", first.get().dest);
                problems.push(Problem::new(message).at(resource.dest.clone()).hint(hint));
                shared.insert(first.key().clone());
            }
        }
    }
    shared
}

fn lexically_clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Normal(name) => cleaned.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}
