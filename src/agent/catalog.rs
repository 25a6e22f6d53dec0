//! The resources of conf.d with their templates, in their last good form: a file or template that is broken now keeps its
//! last good content. Never renders and never writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::apply::group::{self, Group};
use crate::config::resource::outline::Account;
use crate::config::resource::{Defaults, ResourceFile};
use crate::config::set;
use crate::model::path;
use crate::model::problem::{Place, Problem, Problems};
use crate::model::range::{KeyRanges, WantedKeys};
use crate::model::resource::Resource;
use crate::model::store::StoreSettings;
use crate::render::{self, Facts, Renderer, Root, TemplateSources};
use crate::world::folder_watch::Watched;
use crate::world::fs::folder::{self, FolderTexts};
use crate::world::fs::{canonical, real_destination};
use crate::world::panics;

use super::outside::{self, OutsideKeys};
use super::readers::Readers;

/// The folders of conf.d and templates.
#[derive(Clone, Debug)]
pub struct Confdirs {
    /// Folders that hold `conf.d` and `templates`.
    pub folders: Vec<PathBuf>,
    /// Settings of resources whose files do not say.
    pub defaults: Defaults,
    /// Name of the only file of conf.d to read; `None` reads all.
    pub only: Option<String>,
    /// Keys of the settings' store that are followed although no resource reads them.
    pub also: KeyRanges,
    /// The settings file that names the folders, if one does.
    pub named_by: Option<PathBuf>,
}

/// A resource that can be rendered.
#[derive(Clone)]
pub struct Member {
    /// The resource.
    pub resource: Arc<Resource>,
    /// The compiled templates it uses; shared by the resources that were loaded together.
    pub renderer: Arc<Renderer>,
}

/// A store, with the keys that are read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUse {
    /// Settings; `None` for the store of the settings.
    pub settings: Option<Arc<StoreSettings>>,
    /// Every key that some resource sees.
    pub wanted: WantedKeys,
}

/// Returns the stores of these resources and of `also`, and the position of each resource's own among them.
fn stores_of(resources: &[Arc<Resource>], also: &KeyRanges) -> (Vec<StoreUse>, Vec<usize>) {
    let mut settings: Vec<Option<Arc<StoreSettings>>> = vec![None];
    let mut positions = Vec::new();
    for resource in resources {
        let known = settings.iter().position(|known| *known == resource.backend);
        positions.push(known.unwrap_or(settings.len()));
        if known.is_none() {
            settings.push(resource.backend.clone());
        }
    }
    let wanted = |store: usize| {
        let readers = resources.iter().zip(&positions).filter(|(_, position)| **position == store);
        WantedKeys::of(readers.map(|(resource, _)| &resource.ranges).chain((store == 0).then_some(also)))
    };
    let uses = settings.into_iter().enumerate();
    (uses.map(|(store, settings)| StoreUse { settings, wanted: wanted(store) }).collect(), positions)
}

/// The resources of conf.d with their templates. Never changes: a new reading makes a new catalog.
#[derive(Default)]
pub struct Catalog {
    /// Resources, in the order of their names; positions elsewhere are positions in here.
    pub members: Vec<Member>,
    /// The resources by the commands they share.
    pub groups: Vec<Arc<Group>>,
    /// Index from keys to the resources that read them.
    pub readers: Readers,
    /// All problems, with places.
    pub problems: Problems,
    /// Names of the members that are an earlier reading's, because their files are broken now.
    pub kept: BTreeSet<Arc<str>>,
    /// Literal paths in templates that the `keys` of their resource do not cover.
    pub outside_keys: Vec<OutsideKeys>,
    /// Users and groups that the files name, those with problems too.
    pub accounts: Vec<Account>,
    /// The stores that resources read, that of the settings first.
    pub stores: Vec<StoreUse>,
    /// The position in `stores` of each member's store.
    store_positions: Vec<usize>,
    /// Files and folders that this was read from.
    pub watched: Watched,
}

impl Catalog {
    /// Returns a catalog of these members, sorted into groups.
    fn of_members(mut members: Vec<Member>, also: &KeyRanges) -> Catalog {
        members.sort_by(|a, b| a.resource.name().cmp(b.resource.name()));
        let resources: Vec<Arc<Resource>> = members.iter().map(|member| Arc::clone(&member.resource)).collect();
        let (stores, store_positions) = stores_of(&resources, also);
        Catalog {
            groups: group::form(&resources).into_iter().map(Arc::new).collect(),
            readers: Readers::index(resources.iter().map(|resource| &**resource)),
            stores,
            store_positions,
            members,
            ..Catalog::default()
        }
    }

    /// Returns whether nothing would be rendered or reported differently.
    pub fn same_as(&self, other: &Catalog) -> bool {
        let same_member = |(ours, theirs): (&Member, &Member)| {
            ours.resource == theirs.resource && ours.renderer.same_texts(&theirs.renderer)
        };
        self.problems == other.problems
            && self.watched == other.watched
            && self.members.len() == other.members.len()
            && self.members.iter().zip(&other.members).all(same_member)
    }

    /// Returns the member of this name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.get(self.position(name)?)
    }

    /// Returns the position of the member of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.members.binary_search_by(|member| (**member.resource.name()).cmp(name)).ok()
    }

    /// Returns the store of the member at this position, as a position in `stores`.
    pub fn store_at(&self, position: usize) -> Option<usize> {
        self.store_positions.get(position).copied()
    }

    /// Returns the stores with the ranges that these members alone read.
    pub fn stores_of<'a>(&'a self, members: impl Iterator<Item = &'a Member> + Clone) -> Vec<StoreUse> {
        let only = |store: &StoreUse| {
            let readers = members.clone().filter(|member| member.resource.backend == store.settings);
            StoreUse {
                settings: store.settings.clone(),
                wanted: WantedKeys::of(readers.map(|member| &member.resource.ranges)),
            }
        };
        self.stores.iter().map(only).collect()
    }
}

/// Reads and compiles everything. Files that are broken now keep the members that `previous` has of them.
pub fn load(confdirs: &Confdirs, facts: &Arc<dyn Facts>, previous: Option<&Catalog>) -> Catalog {
    let mut members: Vec<Member> = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    let mut accounts: Vec<Account> = Vec::new();
    let mut outside_keys: Vec<OutsideKeys> = Vec::new();
    let mut kept: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut watched = Watched::default();
    let mut read: BTreeSet<PathBuf> = BTreeSet::new();
    for confdir in &confdirs.folders {
        // A folder that is named twice, or by two paths, is read once.
        if !read.insert(canonical(confdir).unwrap_or_else(|| confdir.clone())) {
            continue;
        }
        watched.add_way_to(confdir);
        watched.folders.extend(canonical(confdir));
        let conf_d = folder::read_texts(&confdir.join("conf.d"), |name| name.ends_with("toml"));
        let templates = folder::read_texts(&confdir.join("templates"), |name| !path::is_hidden(name));
        watched.is_partial |= conf_d.is_partial() || templates.is_partial();
        watched.folders.extend(conf_d.folders.iter().chain(&templates.folders).cloned());
        let found = panics::contain(|| load_confdir(&conf_d, templates, confdirs, facts, previous))
            .unwrap_or_else(|place| left_as_it_was(confdir, &conf_d, previous, &place));
        names.extend(conf_d.files.iter().map(|file| file.name.clone()));
        problems.extend(found.problems);
        accounts.extend(found.accounts);
        kept.extend(found.kept);
        outside_keys.extend(found.outside_keys);
        let earlier = Taken::by(&members);
        for member in found.members {
            match earlier.clash(&member.resource) {
                Some(problem) => problems.push(problem),
                None => members.push(member),
            }
        }
    }
    if let Some(only) = &confdirs.only
        && !names.iter().any(|name| is_wanted(confdirs, name))
    {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        problems
            .push(Problem::new(format!("there is no resource `{only}`")).hint(format!("there is {}", names.join(" "))));
    }
    Catalog {
        problems: problems.into_iter().collect(),
        kept,
        outside_keys,
        accounts,
        watched,
        ..Catalog::of_members(members, &confdirs.also)
    }
}

fn is_wanted(confdirs: &Confdirs, name: &str) -> bool {
    confdirs.only.as_deref().is_none_or(|only| name == only || name.strip_suffix(".toml") == Some(only))
}

/// Names and destinations of the resources of earlier confdirs.
#[derive(Default)]
struct Taken {
    names: BTreeMap<Arc<str>, PathBuf>,
    dests: BTreeMap<PathBuf, Arc<str>>,
}

impl Taken {
    fn by(members: &[Member]) -> Taken {
        let mut taken = Taken::default();
        for resource in members.iter().map(|member| &member.resource) {
            taken.names.insert(Arc::clone(resource.name()), resource.file.clone());
            taken.dests.insert(real_destination(&resource.dest), Arc::clone(resource.name()));
        }
        taken
    }

    /// Returns why a resource of a later confdir cannot stand beside them.
    fn clash(&self, later: &Resource) -> Option<Problem> {
        let place = Place::file(&later.file);
        if let Some(file) = self.names.get(later.name()) {
            let problem = Problem::new(format!("there is already a resource `{}`: `{}`", later.id, file.display()));
            return Some(problem.at(place).hint("give each resource a different name, even in different confdirs"));
        }
        if self.dests.is_empty() {
            return None;
        }
        let real = real_destination(&later.dest);
        let first = self.dests.get(&real)?;
        let problem = Problem::new(format!("`{first}` and `{}` both write `{}`", later.id, real.display()));
        Some(problem.at(place).hint("give each its own `dest`"))
    }
}

/// Resources and problems of one confdir.
struct ConfdirContents {
    members: Vec<Member>,
    problems: Vec<Problem>,
    kept: BTreeSet<Arc<str>>,
    outside_keys: Vec<OutsideKeys>,
    accounts: Vec<Account>,
}

fn load_confdir(
    conf_d: &FolderTexts,
    mut templates: FolderTexts,
    confdirs: &Confdirs,
    facts: &Arc<dyn Facts>,
    previous: Option<&Catalog>,
) -> ConfdirContents {
    let is_missing = !folder::is_folder(&conf_d.root);
    let hint = || is_missing.then(|| missing_hint(&conf_d.root, confdirs.named_by.as_deref()));
    let unread = |problem: &String| Problem { hint: hint(), ..Problem::new(problem.clone()) };
    let mut problems: Vec<Problem> = conf_d.unread.values().map(unread).collect();
    let mut files = Vec::new();
    for file in conf_d.files.iter().filter(|file| is_wanted(confdirs, &file.name)) {
        let name = Arc::from(file.name.as_str());
        match &file.bytes {
            Ok(bytes) => match ResourceFile::from_bytes(name, file.path.clone(), bytes.clone()) {
                Ok(file) => files.push(file),
                Err(problem) => problems.push(problem),
            },
            Err(problem) => problems.push(unreadable(&file.path, &problem.text)),
        }
    }
    let names = templates.files.iter().map(|file| &file.name).chain(templates.others.keys()).cloned().collect();
    let set = set::load(&files, &names, &confdirs.defaults);
    problems.extend(set.problems.iter().cloned());
    let mut resources: Vec<Arc<Resource>> = set.resources.into_iter().map(Arc::new).collect();
    let earlier = kept_resources(conf_d, previous, &resources);
    let mut kept: BTreeSet<Arc<str>> = earlier.iter().map(|resource| Arc::clone(resource.name())).collect();
    resources.extend(earlier);
    let dropped = drop_shared_destinations(&mut resources, &mut problems);
    // Problems in templates of resources that dropped out are reported too.
    let unused = set
        .unused_templates
        .iter()
        .filter_map(|template| template.language.map(|(engine, escape)| Root::new(&template.name, engine, escape)));
    let unused: Vec<Root<'_>> = unused.chain(dropped.iter().map(|resource| resource_root(resource))).collect();
    let sources = resources.iter().map(|resource| &*resource.src).chain(unused.iter().map(|root| root.name));
    templates.read_named(sources);
    let mut texts: BTreeMap<String, Arc<str>> = BTreeMap::new();
    for file in &templates.files {
        match &file.bytes {
            Ok(bytes) => {
                texts.insert(file.name.clone(), render::template_text(bytes));
            }
            Err(problem)
                if resources.iter().any(|resource| *resource.src == *file.name)
                    || unused.iter().any(|root| root.name == file.name) =>
            {
                problems.push(unreadable(&file.path, &problem.text));
            }
            Err(_) => {}
        }
    }
    let roots: Vec<_> = resources.iter().map(|resource| resource_root(resource)).collect();
    let (renderer, broken) = compile(&texts, &roots, facts);
    let renderer = Arc::new(renderer);
    let outside_keys = outside::find(&resources, renderer.asks(&roots), &templates.root);
    let unusable: BTreeSet<usize> = broken.iter().map(|(position, _)| *position).collect();
    problems.extend(broken.into_iter().map(|(_, error)| template_problem(&templates.root, error)));
    if !unused.is_empty() {
        // Compiled apart from the others, which they could keep from sharing a Tera.
        let (_, broken) = compile(&texts, &unused, facts);
        problems.extend(broken.into_iter().map(|(_, error)| template_problem(&templates.root, error)));
    }
    let mut members = Vec::new();
    for (position, resource) in resources.into_iter().enumerate() {
        if !unusable.contains(&position) {
            members.push(Member { resource, renderer: Arc::clone(&renderer) });
        } else if let Some(member) = previous.and_then(|previous| previous.member(resource.name())) {
            kept.insert(Arc::clone(resource.name()));
            members.push(member.clone());
        }
    }
    kept.retain(|name| members.iter().any(|member| member.resource.name() == name));
    ConfdirContents { members, problems, kept, outside_keys, accounts: set.accounts }
}

/// Returns what stays of a confdir whose files make the program panic: all that `previous` has of them.
fn left_as_it_was(confdir: &Path, conf_d: &FolderTexts, previous: Option<&Catalog>, place: &str) -> ConfdirContents {
    let message = format!("cannot read conf.d and templates because of a bug of upstreamd at {place} of its source");
    let problem = Problem::new(message).at(Place::file(confdir)).hint("please report this place");
    let members: Vec<Member> = still_there(conf_d, previous).cloned().collect();
    let kept = members.iter().map(|member| Arc::clone(member.resource.name())).collect();
    ConfdirContents { members, problems: vec![problem], kept, outside_keys: Vec::new(), accounts: Vec::new() }
}

/// Compiles the templates that `roots` name. One that makes the compiler panic is a problem of its own roots alone.
fn compile(texts: &TemplateSources, roots: &[Root<'_>], facts: &Arc<dyn Facts>) -> (Renderer, Vec<(usize, Problem)>) {
    let together = |roots: &[Root<'_>]| panics::contain(|| render::compile(texts, roots, Arc::clone(facts)));
    if let Ok(compiled) = together(roots) {
        return compiled;
    }
    let bug = |root: &Root<'_>, place: String| {
        let message = format!("the template cannot be compiled because of a bug of upstreamd at {place} of its source");
        Problem::in_template(root.name, message).hint("please report this place")
    };
    let mut broken = Vec::new();
    let mut good = Vec::new();
    for (position, root) in roots.iter().enumerate() {
        match together(std::slice::from_ref(root)) {
            Ok(_) => good.push((position, *root)),
            Err(place) => broken.push((position, bug(root, place))),
        }
    }
    let (positions, roots): (Vec<usize>, Vec<Root<'_>>) = good.into_iter().unzip();
    // Each is right by itself. If they are not together, the whole confdir stays as it was.
    let (renderer, others) = render::compile(texts, &roots, Arc::clone(facts));
    broken.extend(others.into_iter().map(|(position, problem)| (positions[position], problem)));
    broken.sort_by_key(|(position, _)| *position);
    (renderer, broken)
}

/// Removes the resources that write, through links, to the destination of an earlier one, and returns them.
fn drop_shared_destinations(resources: &mut Vec<Arc<Resource>>, problems: &mut Vec<Problem>) -> Vec<Arc<Resource>> {
    let mut writers: BTreeMap<PathBuf, Arc<str>> = BTreeMap::new();
    let mut dropped = Vec::new();
    resources.retain(|resource| {
        let real = real_destination(&resource.dest);
        let Some(first) = writers.get(&real) else {
            writers.insert(real, Arc::clone(resource.name()));
            return true;
        };
        let message = format!("`{first}` and `{}` both write `{}`", resource.id, real.display());
        problems.push(Problem::new(message).at(Place::file(&resource.file)).hint("give each its own `dest`"));
        dropped.push(Arc::clone(resource));
        false
    });
    dropped
}

/// Returns what `previous` has of the files that are still there, or may be, in a folder that cannot be read.
fn still_there<'a>(conf_d: &'a FolderTexts, previous: Option<&'a Catalog>) -> impl Iterator<Item = &'a Member> {
    let is_there = |resource: &Resource| {
        let is_read = || conf_d.files.iter().any(|file| file.name == **resource.name());
        resource.file.starts_with(&conf_d.root) && (conf_d.may_hold(&resource.file) || is_read())
    };
    let members = previous.into_iter().flat_map(|previous| &previous.members);
    members.filter(move |member| is_there(&member.resource))
}

/// Returns the last good form of resources whose file is still there but is broken now: each in a place of its own, so that
/// a pass that began before does not hand over what it keeps of older templates.
fn kept_resources(conf_d: &FolderTexts, previous: Option<&Catalog>, fresh: &[Arc<Resource>]) -> Vec<Arc<Resource>> {
    still_there(conf_d, previous)
        .map(|member| &member.resource)
        .filter(|old| fresh.iter().all(|resource| resource.name() != old.name() && resource.dest != old.dest))
        .map(|old| Arc::new(Resource::clone(old)))
        .collect()
}

/// Returns how a resource's template is rendered.
pub fn resource_root(resource: &Resource) -> Root<'_> {
    Root::new(&resource.src, resource.engine, resource.escape)
}

/// Returns the hint for a confdir without a conf.d that can be read; `conf_d` is the folder that was looked for in it, and `named_by`
/// the settings file that names the confdir, if one does.
pub fn missing_hint(conf_d: &Path, named_by: Option<&Path>) -> String {
    let hint = folder_above(conf_d).unwrap_or_else(|| {
        "put a resource into conf.d there, as in the quick start of README.md, or name a different folder with --confdir".to_owned()
    });
    match named_by {
        Some(file) => format!("the confdir is that of {}; {hint}", file.display()),
        None => hint,
    }
}

/// Returns the hint for a confdir that is itself a conf.d.
fn folder_above(conf_d: &Path) -> Option<String> {
    let confdir = conf_d.parent()?;
    let confdir = canonical(confdir).unwrap_or_else(|| confdir.to_owned());
    let above = confdir.parent().filter(|_| confdir.ends_with("conf.d"))?;
    Some(format!("name the folder above conf.d: {}", above.display()))
}

fn unreadable(path: &Path, problem: &str) -> Problem {
    Problem::new(format!("cannot read the file: {problem}")).at(Place::file(path))
}

/// Returns a problem of a template with the path of the template's file.
fn template_problem(templates: &Path, problem: Problem) -> Problem {
    let place = problem.place.map(|place| Place { file: templates.join(&place.file), ..place });
    Problem { place, ..problem }
}
