//! `render`, `diff`, `keys`: what would be written, what would change, what a resource sees. They read the store once and
//! change nothing.

use std::sync::Arc;

use crate::agent::expansion::{self, Expansion, Expansions};
use crate::agent::loaded::{self, Loaded, Member, StoreUse};
use crate::agent::rendering;
use crate::agent::stores::Stores;
use crate::apply::{self, Context, fleet};
use crate::config::settings::Settings;
use crate::model::event::Event;
use crate::model::guard::{Decision, Live, Verdict};
use crate::model::range::KeyRanges;
use crate::model::report::{Rendered, StepFailure};
use crate::model::resource::Resource;
use crate::model::tree::Tree;
use crate::render::Memory;
use crate::status::diff::Style;
use crate::world::{clock, fs, terminal};

use super::exit::Exit;
use super::{run, state};

/// Prints what a resource renders to.
pub(super) async fn render(settings: Settings, name: &str) -> Exit {
    let loaded = load(&settings);
    let (name, item) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((name, item)) => (name, Some(item)),
        None => (name, None),
    };
    let member = match find(&loaded, name) {
        Ok(member) => member,
        Err(exit) => return exit,
    };
    let tree = match read_stores(&settings, &loaded, &[member]).await.of(&loaded, member) {
        Ok(tree) => tree,
        Err(exit) => return exit,
    };
    let mut expansions = expansions(&loaded);
    let Some((members, expansion)) = each_name(&mut expansions, member, &tree) else {
        return render_one(member, &tree);
    };
    let mut exit = tell_refused(&expansion);
    let is_wanted = |member: &&Member| item.is_none() || member.resource.item.as_ref().map(|item| &*item.name) == item;
    let wanted: Vec<&Member> = members.iter().filter(is_wanted).collect();
    if let (Some(item), true) = (item, wanted.is_empty()) {
        terminal::complain(&format!("{}: the store has no name `{item}` for it\n", member.resource.name));
        return Exit::Render;
    }
    for member in wanted {
        if item.is_none() {
            terminal::print(&format!("==> {} <==\n", member.resource.dest.display()));
        }
        exit = exit.max(render_one(member, &tree));
    }
    exit
}

/// Prints what one file would hold.
fn render_one(member: &Member, tree: &Tree) -> Exit {
    let mut memory = Memory::default();
    let result = rendering::render(member, tree, &mut memory);
    for (key, reason) in memory.keys_set_aside() {
        terminal::complain(&format!("{}: {} is set aside: {reason}\n", member.resource.name, key.escape_debug()));
    }
    match result {
        Ok(bytes) => {
            if let Some(decision) = decision(member, tree, &memory)
                && let Some(loss) = decision.loss
            {
                let consequence = decision.consequence(&member.resource.guard);
                terminal::complain(&format!("{}: {loss}: {consequence}\n", member.resource.name));
            }
            terminal::print_bytes(&bytes);
            Exit::Done
        }
        Err(failure) => {
            terminal::complain(&format!("{}: {}\n", member.resource.name, failure.message));
            Exit::Render
        }
    }
}

/// Prints what a pass would change.
pub(super) async fn diff(settings: Settings) -> Exit {
    let loaded = load(&settings);
    let members: Vec<&Member> = loaded.members.iter().collect();
    let trees = read_stores(&settings, &loaded, &members).await;
    let style = run::style(&settings);
    let mut exit = if loaded.problems.is_empty() { Exit::Done } else { Exit::Configuration };
    let state_folder = state::folder(&settings.agent.state_dir).ok().flatten();
    let context = Context::new(apply::Settings { state_folder, ..apply::Settings::default() });
    let mut expansions = expansions(&loaded);
    for (position, member) in loaded.members.iter().enumerate() {
        let tree = match trees.of(&loaded, member) {
            Ok(tree) => tree,
            Err(worse) => {
                exit = exit.max(worse);
                continue;
            }
        };
        let Some((members, expansion)) = each_name(&mut expansions, member, &tree) else {
            exit = exit.max(diff_one(member, &tree, style));
            continue;
        };
        exit = exit.max(tell_refused(&expansion));
        let Some(group) = loaded.group_at(position) else { continue };
        let gone = match judge_names(&context, &group.id, &expansion) {
            Ok(()) => fleet::would_remove(&context, &group.id, &expansion.fleet),
            Err(worse) => {
                exit = exit.max(worse);
                continue;
            }
        };
        for member in &members {
            exit = exit.max(diff_one(member, &tree, style));
        }
        for dest in gone {
            run::show_removal(&dest, style);
            exit = exit.max(Exit::Differences);
        }
    }
    exit
}

/// Prints what would change in one file.
fn diff_one(member: &Member, tree: &Tree, style: Style) -> Exit {
    match render_as_decided(member, tree) {
        Ok(None) => Exit::Done,
        Ok(Some(bytes)) => {
            let rendered = Rendered { resource: Arc::clone(&member.resource), bytes };
            if run::show_preview(&rendered, Some(style)) { Exit::Differences } else { Exit::Done }
        }
        Err(failure) => {
            terminal::complain(&format!("{}: {}\n", member.resource.name, failure.message));
            Exit::Render
        }
    }
}

fn expansions(loaded: &Loaded) -> Expansions {
    Expansions::over(loaded.members.iter().map(|member| &member.resource))
}

/// A resource with `for_each` as one for each name; `None` for any other.
fn each_name(expansions: &mut Expansions, member: &Member, tree: &Tree) -> Option<(Vec<Member>, Expansion)> {
    let for_each = member.resource.for_each.as_ref()?;
    let expansion = expansions.expand(&member.resource, for_each, tree);
    let named =
        |resource: &Arc<Resource>| Member { resource: Arc::clone(resource), renderer: Arc::clone(&member.renderer) };
    Some((expansion.instances.iter().map(named).collect(), expansion))
}

fn tell_refused(expansion: &Expansion) -> Exit {
    for (name, failure) in &expansion.refused {
        terminal::complain(&format!("{name}: {}\n", failure.message));
    }
    if expansion.refused.is_empty() { Exit::Done } else { Exit::Write }
}

/// Whether the guard lets so many names be gone; if not, it is told, and every file stays.
fn judge_names(context: &Context, group_id: &str, expansion: &Expansion) -> Result<(), Exit> {
    let resource = expansion::as_judged(&expansion.fleet.resource);
    let live = Live { has_file: fleet::has_files(context, group_id, &resource.name), ..Live::default() };
    let decision = resource.guard.decide(expansion.found(), live, clock::now());
    if matches!(decision.verdict, Verdict::Apply | Verdict::Placeholder) {
        return Ok(());
    }
    let loss = decision.loss.map(|loss| format!("{loss}: ")).unwrap_or_default();
    terminal::complain(&format!("{}: {loss}{}\n", resource.name, decision.consequence(&resource.guard)));
    Err(if decision.verdict == Verdict::Fail { Exit::Render } else { Exit::Done })
}

/// What a guard decides; `None` for a resource without keys. What is live is known by its file only: a drop is not seen.
fn decision(member: &Member, tree: &Tree, memory: &Memory) -> Option<Decision> {
    let resource = &member.resource;
    let live = Live { has_file: fs::has_content(&resource.dest), ..Live::default() };
    let found = || rendering::found(member, tree, memory);
    (!resource.ranges.is_empty()).then(|| resource.guard.decide(found(), live, clock::now()))
}

/// What would go live; `None` where the live file stays, which is said.
fn render_as_decided(member: &Member, tree: &Tree) -> Result<Option<Arc<Vec<u8>>>, StepFailure> {
    let mut memory = Memory::default();
    let bytes = rendering::render(member, tree, &mut memory);
    let resource = &member.resource;
    match decision(member, tree, &memory).map(|decision| (decision.verdict, decision)) {
        Some((Verdict::Keep | Verdict::Hold(_), decision)) => {
            let loss = decision.loss.map(|loss| format!("{loss}: ")).unwrap_or_default();
            let consequence = decision.consequence(&resource.guard);
            terminal::complain(&format!("{}: {loss}{consequence}\n", resource.name));
            Ok(None)
        }
        Some((Verdict::Fail, decision)) => Err(rendering::refused(resource, &decision)),
        Some((Verdict::Placeholder, _)) => rendering::render_placeholder(member, tree, &mut memory).map(Some),
        Some((Verdict::Apply, _)) | None => bytes.map(Some),
    }
}

/// Prints the keys that resources see, with the length of each value.
pub(super) async fn keys(settings: Settings, name: Option<&str>) -> Exit {
    let loaded = load(&settings);
    let chosen: Vec<&Member> = match name {
        None => loaded.members.iter().collect(),
        Some(name) => match find(&loaded, name) {
            Ok(member) => vec![member],
            Err(exit) => return exit,
        },
    };
    let trees = read_stores(&settings, &loaded, &chosen).await;
    let mut exit = Exit::Done;
    // That of the store of the settings, which comes first; the others' stand with their resources.
    let revision = trees.0.first().and_then(Option::as_ref).map(Tree::revision);
    let mut text = revision.map(|revision| format!("revision {revision}\n")).unwrap_or_default();
    for member in chosen {
        let resource = &member.resource;
        let tree = match trees.of(&loaded, member) {
            Ok(tree) => tree,
            Err(worse) => {
                exit = exit.max(worse);
                continue;
            }
        };
        let view = rendering::view(resource, &tree);
        let prefix = if resource.prefix.is_empty() { String::new() } else { format!(", prefix {}", resource.prefix) };
        let own = resource.backend.as_ref().map(|store| format!(", revision {} of {store}", tree.revision()));
        let (keys, own) = (resource.keys.join(" "), own.unwrap_or_default());
        text.push_str(&format!("{} (keys {keys}{prefix}{own})\n", resource.name));
        for (path, value) in view.iter() {
            let kind = if value.as_text().is_some() { "" } else { ", not UTF-8" };
            let path = path.escape_debug();
            text.push_str(&format!("  {path} ({} bytes{kind})\n", value.as_bytes().len()));
        }
    }
    terminal::print(&text);
    exit
}

pub(super) fn load(settings: &Settings) -> Loaded {
    let loaded = loaded::load(&run::sources(settings), &run::facts(settings), None);
    for problem in loaded.problems.iter() {
        terminal::complain(&format!("{problem}\n"));
    }
    loaded
}

/// The resource of this name; `app` means `app.toml`.
fn find<'a>(loaded: &'a Loaded, name: &str) -> Result<&'a Member, Exit> {
    let member = loaded.member(name).or_else(|| loaded.member(&format!("{name}.toml")));
    member.ok_or_else(|| {
        let names: Vec<&str> = loaded.members.iter().map(|member| &*member.resource.name).collect();
        terminal::complain(&format!(
            "there is no resource `{name}` without problems (there is: {})\n",
            names.join(" ")
        ));
        Exit::Configuration
    })
}

/// What the stores that were asked hold, in the order of `Loaded::stores`; `None` is a store that did not answer.
pub(super) struct Trees(Vec<Option<Tree>>);

impl Trees {
    /// What the store of a member holds.
    ///
    /// # Errors
    /// It could not be read, which is told.
    pub(super) fn of(&self, loaded: &Loaded, member: &Member) -> Result<Tree, Exit> {
        let resource = &member.resource;
        // Nothing is read for one that wants no key.
        if resource.ranges.is_empty() {
            return Ok(Tree::default());
        }
        let store = loaded.stores.iter().position(|store| store.settings == resource.backend);
        store.and_then(|store| self.0.get(store)).cloned().flatten().ok_or_else(|| {
            terminal::complain(&format!("{}: left out, its store could not be read\n", resource.name));
            Exit::Store
        })
    }
}

/// Reads what these members want, from their own stores only. A store that cannot be read is told.
pub(super) async fn read_stores(settings: &Settings, loaded: &Loaded, members: &[&Member]) -> Trees {
    let wanted = |store: &StoreUse| {
        let readers = members.iter().filter(|member| member.resource.backend == store.settings);
        StoreUse {
            settings: store.settings.clone(),
            ranges: KeyRanges::union(readers.map(|member| &member.resource.ranges)),
        }
    };
    let wanted: Vec<StoreUse> = loaded.stores.iter().map(wanted).collect();
    let mut stores = Stores::new(settings.store.clone(), false);
    // A store of which nothing is wanted is not asked.
    stores.set(&wanted);
    let mut trees = vec![None; wanted.len()];
    for (position, snapshot) in stores.first_snapshots(settings.timeouts.store).await {
        match snapshot {
            Ok(Event::Snapshot { revision, entries, .. }) => {
                trees[position] = Some(Tree::from_entries(revision, entries));
            }
            Ok(_) => {}
            Err(problem) => terminal::complain(&format!("{problem}\n")),
        }
    }
    Trees(trees)
}
