//! `render`, `diff`, `keys`: print the rendered file, the changes of a pass, and the keys that a resource sees. They read
//! the store once and never change a destination.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::agent::catalog::{self, Catalog, Member, StoreUse};
use crate::agent::endpoints::{AnswerPlan, Endpoints, prints_servers};
use crate::agent::once::{self, OncePlan, Round};
use crate::agent::pass::{LastStep, Shown, Terms, view};
use crate::agent::run::{Outlook, Show};
use crate::agent::stores::Stores;
use crate::apply::group::Group;
use crate::apply::{self, Context, preview};
use crate::config::settings::table::{self, Setting};
use crate::config::settings::{LogLevel, Settings};
use crate::model::event::Event;
use crate::model::note::{Note, Severity};
use crate::model::refusal::Refusal;
use crate::model::text::{self, counted, shown};
use crate::model::tree::Tree;
use crate::status::Shared;
use crate::world::signals::Signals;
use crate::world::{clock, terminal};

use super::exit::{Ending, Exit};
use super::{outcome, run, state};

/// Lines that are printed before and after a line that was asked for.
const CONTEXT_LINES: usize = 3;

/// Returns a line of a file and those around it, with their numbers. A line past the end is the end, which nginx names if something is
/// not closed.
fn numbered(bytes: &[u8], wanted: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let last = text.lines().count();
    let middle = wanted.min(last + 1);
    let width = (middle + CONTEXT_LINES).min(last).to_string().len();
    let around = (1_usize..).zip(text.lines()).filter(|(number, _)| number.abs_diff(middle) <= CONTEXT_LINES);
    let mut shown = String::new();
    for (number, line) in around {
        let mark = if number == wanted { '>' } else { ' ' };
        shown.push_str(format!("{mark} {number:width$} | {line}").trim_end());
        shown.push('\n');
    }
    if wanted > last {
        shown.push_str(&format!("the file ends after line {last}\n"));
    }
    shown
}

/// Prints the rendered file of a resource, or a line of it.
pub(super) async fn render(settings: Settings, name: &str, line: Option<usize>, signals: Signals) -> Ending {
    let catalog = Arc::new(load(&settings));
    let (name, item) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((name, item)) => (name, Some(Arc::from(item))),
        None => (name, None),
    };
    let resource = match find(&catalog, name) {
        Ok(member) => {
            say_source(&settings, &catalog, &[member]);
            Arc::clone(&member.resource)
        }
        Err(exit) => return exit.into(),
    };
    let n_printed = Rc::new(Cell::new(0));
    let counter = Rc::clone(&n_printed);
    // If there are several files, each has its name as heading.
    let is_headed = resource.for_each.is_some() && item.is_none();
    let show = move |shown: &Shown| {
        let Shown::File(rendered) = shown else { return };
        counter.set(counter.get() + 1);
        if is_headed {
            terminal::print(&format!("==> {} <==\n", rendered.resource.dest.display()));
        }
        match line {
            Some(line) => terminal::print(&text::lines(&numbered(&rendered.bytes, line))),
            None => terminal::print_file(&rendered.bytes),
        }
    };
    let plan = OncePlan {
        only: Some(Arc::clone(resource.name())),
        ..plan(&settings, LastStep::Show { item: item.clone() }, Box::new(show), signals)
    };
    let round = once::once(plan, catalog).await;
    let exit = print_problems(&round);
    let exit = match item {
        Some(item) if exit == Exit::Done && n_printed.get() == 0 => {
            terminal::print_error(&format!("{}: the store has no name `{item}`\n", resource.id));
            Exit::Render
        }
        _ => exit,
    };
    Ending::of_round(exit, round.interrupted)
}

/// Prints what a pass would change.
pub(super) async fn diff(settings: Settings, name: Option<&str>, signals: Signals) -> Ending {
    let catalog = Arc::new(load(&settings));
    let chosen: Vec<&Member> = match name.map(|name| find(&catalog, name)) {
        None => catalog.members.iter().collect(),
        Some(Ok(member)) => vec![member],
        Some(Err(exit)) => return exit.into(),
    };
    let only = name.and_then(|_| chosen.first()).map(|member| Arc::clone(member.resource.name()));
    // Whoever names a resource does not ask about the others.
    let problems = if catalog.problems.is_empty() || only.is_some() { Exit::Done } else { Exit::Configuration };
    say_source(&settings, &catalog, &chosen);
    let style = run::style(&settings);
    let found = Rc::new(Cell::new(Exit::Done));
    let worst = Rc::clone(&found);
    let context = context(&settings);
    let show = move |shown: &Shown| {
        let exit = match shown {
            Shown::File(rendered) => {
                run::show_preview(&context, rendered, Some(style), |_| ()).unwrap_or_else(|failure| {
                    terminal::print_error(&format!("{}: {}\n", rendered.resource.id, failure.message));
                    outcome::of_failure(&failure)
                })
            }
            Shown::Gone(dest) => {
                run::show_removal(dest, style);
                Exit::Differences
            }
        };
        worst.set(worst.get().max(exit));
    };
    let plan = OncePlan { only, ..plan(&settings, LastStep::Preview, Box::new(show), signals) };
    let round = once::once(plan, Arc::clone(&catalog)).await;
    let is_owed = print_owed(&settings, &catalog, &chosen);
    let owed = if is_owed { Exit::Differences } else { Exit::Done };
    Ending::of_round(print_problems(&round).max(found.get()).max(owed).max(problems), round.interrupted)
}

/// Returns the context of commands that change nothing.
fn context(settings: &Settings) -> Context {
    let state_folder = state::existing(&settings.agent.state_dir);
    Context::new(apply::Settings { state_folder, ..apply::Settings::default() })
}

/// Returns the ways in which a running agent would drive nginx.
pub(super) fn shown_endpoints(settings: &Settings) -> Arc<Endpoints> {
    let plan = AnswerPlan::Show(settings.agent.endpoints_listen.clone());
    Arc::new(Endpoints::new(plan, run::facts(settings)))
}

/// Prints the groups of these members whose reload is owed. Returns whether there are any.
fn print_owed(settings: &Settings, catalog: &Catalog, chosen: &[&Member]) -> bool {
    let context = context(settings);
    let is_asked = |group: &Group| chosen.iter().any(|member| group.has_member(member.resource.name()));
    let mut found = false;
    for group in catalog.groups.iter().filter(|group| is_asked(group) && preview::owes_reload(&context, group)) {
        let names: Vec<&str> = group.resources.iter().map(|resource| &**resource.name()).collect();
        terminal::print(&format!("a reload is owed for {}: the files are in place\n", names.join(" ")));
        found = true;
    }
    found
}

/// Returns a plan for a round that shows what it would do and logs nothing.
fn plan(settings: &Settings, last_step: LastStep, show: Show, signals: Signals) -> OncePlan {
    let context = Arc::new(context(settings));
    let outlook = Outlook {
        terms: Arc::new(Terms::new(context, last_step, false).with_endpoints(shown_endpoints(settings))),
        show: Some(show),
        board: Shared::new(run::backend(&settings.store), clock::now()),
        logs: false,
        names: None,
    };
    OncePlan { fail_fast: false, ..run::once_plan(settings, outlook, signals) }
}

/// Prints the problems of a round, and returns its most serious exit code.
fn print_problems(round: &Round) -> Exit {
    for problem in &round.store_problems {
        terminal::print_error(&format!("{problem}\n"));
    }
    for name in &round.left_out {
        terminal::print_error(&format!("{name}: left out, its store could not be read\n"));
    }
    for note in &round.notes {
        match note {
            Note::Skipped { id, new, .. } => {
                for (key, reason) in new {
                    terminal::print_error(&format!("{id}: {} is skipped: {reason}\n", key.escape_debug()));
                }
            }
            Note::Guarded { resource, .. } if note.severity() != Severity::Silent => {
                terminal::print_error(&format!("{}: {note}\n", resource.id));
            }
            _ => {}
        }
    }
    let mut exit = if round.left_out.is_empty() { Exit::Done } else { Exit::Store };
    for (id, failure) in round.reports.iter().flat_map(|report| &report.dropped) {
        terminal::print_error(&format!("{id}: {}\n", failure.message));
        exit = exit.max(outcome::of_failure(failure));
    }
    exit
}

/// Prints the keys that resources see, with the length of each value.
pub(super) async fn keys(settings: Settings, name: Option<&str>) -> Exit {
    let catalog = load(&settings);
    let chosen: Vec<&Member> = match name {
        None => catalog.members.iter().collect(),
        Some(name) => match find(&catalog, name) {
            Ok(member) => vec![member],
            Err(exit) => return exit,
        },
    };
    say_source(&settings, &catalog, &chosen);
    let trees = read_stores(&settings, &catalog, &chosen, &table::BACKEND_TIMEOUT).await;
    // Whoever names a resource does not ask about the others.
    let mut exit = if catalog.problems.is_empty() || name.is_some() { Exit::Done } else { Exit::Configuration };
    // The revision of the settings' store, which comes first; revisions of other stores are printed with their resources.
    let revision = trees.0.first().and_then(Option::as_ref).map(|(tree, _)| tree.revision());
    let mut text = revision.map(|revision| format!("revision {revision}\n")).unwrap_or_default();
    for member in chosen {
        let resource = &member.resource;
        let tree = match trees.of(&catalog, member) {
            Ok(tree) => tree,
            Err(worse) => {
                exit = exit.max(worse);
                continue;
            }
        };
        let seen = view(resource, &tree);
        let prefix = if resource.prefix.is_empty() { String::new() } else { format!(", prefix {}", resource.prefix) };
        let own = resource.backend.as_ref().map(|store| format!(", revision {} of {store}", tree.revision()));
        let (keys, own) = (resource.keys.join(" "), own.unwrap_or_default());
        text.push_str(&format!("{} (keys {keys}{prefix}{own})\n", resource.id));
        for (path, value) in seen.iter() {
            let kind = if value.as_text().is_some() { "" } else { ", not UTF-8" };
            let (path, length) = (path.escape_debug(), counted(value.as_bytes().len(), "byte"));
            text.push_str(&format!("  {path} ({length}{kind})\n"));
        }
    }
    terminal::print(&text);
    exit
}

/// Reads conf.d and templates, and prints what is wrong with them.
pub(super) fn load(settings: &Settings) -> Catalog {
    let catalog = catalog::load(&run::confdirs(settings), &run::facts(settings), None);
    for problem in catalog.problems.iter() {
        terminal::print_error(&format!("{problem}\n"));
    }
    catalog
}

/// Says which stores these members read, and which settings say so: a person at a prompt may have other settings than the daemon.
fn say_source(settings: &Settings, catalog: &Catalog, members: &[&Member]) {
    if matches!(settings.log.level, LogLevel::Warn | LogLevel::Error) {
        return;
    }
    let read = catalog.stores_of(members.iter().copied()).into_iter().filter(|store| !store.wanted.all().is_empty());
    let stores: Vec<String> =
        read.map(|store| store.settings.as_deref().unwrap_or(&settings.store).to_string()).collect();
    if stores.is_empty() {
        return;
    }
    let origin = match &settings.config_file {
        Some(path) => format!("settings file {}", path.display()),
        None => "no settings file".to_owned(),
    };
    terminal::print_error(&format!("reading {} ({origin})\n", stores.join("; ")));
    let endpoints = shown_endpoints(settings);
    for member in members.iter().filter(|member| prints_servers(member)) {
        terminal::print_error(&format!("{}: {}\n", member.resource.name(), endpoints.way(&member.resource)));
    }
}

/// Returns the resource of this name; `app` means `app.toml`.
fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Member, Exit> {
    let member = catalog.member(name).or_else(|| catalog.member(&format!("{name}.toml")));
    member.ok_or_else(|| {
        let names: Vec<&str> = catalog.members.iter().map(|member| &**member.resource.name()).collect();
        let known =
            if names.is_empty() { "conf.d has none".to_owned() } else { format!("there is {}", names.join(" ")) };
        let usable = if catalog.problems.is_empty() { "" } else { " that can be used" };
        terminal::print_error(&format!("there is no resource {}{usable}\n  hint: {known}\n", shown(name)));
        Exit::Configuration
    })
}

/// The content of the stores and what they refuse, in the order of `Catalog::stores`; `None` for a store that did not answer.
pub(super) struct Trees(Vec<Option<(Tree, Option<Refusal>)>>);

impl Trees {
    /// Returns the content of a member's store.
    ///
    /// # Errors
    /// The store could not be read, or refuses the member's keys; that is already printed.
    pub(super) fn of(&self, catalog: &Catalog, member: &Member) -> Result<Tree, Exit> {
        let resource = &member.resource;
        // A resource without keys needs no read.
        if resource.ranges.is_empty() {
            return Ok(Tree::default());
        }
        let store = catalog.stores.iter().position(|store| store.settings == resource.backend);
        let problem = match store.and_then(|store| self.0.get(store)?.as_ref()) {
            None => "left out, its store could not be read".to_owned(),
            Some((tree, refused)) => match refused.as_ref().and_then(|refusal| refusal.message(&resource.ranges)) {
                None => return Ok(tree.clone()),
                Some(message) => message,
            },
        };
        terminal::print_error(&format!("{}: {problem}\n", resource.id));
        Err(Exit::Store)
    }
}

/// Reads the keys of these members, from their own stores only. Prints the stores that cannot be read;
/// `limit` is the setting that limits the wait.
pub(super) async fn read_stores(settings: &Settings, catalog: &Catalog, members: &[&Member], limit: &Setting) -> Trees {
    let wanted: Vec<StoreUse> = catalog.stores_of(members.iter().copied());
    let mut stores = Stores::new(settings.store.clone(), false);
    // Stores that nobody needs are not read.
    stores.set(&wanted);
    let mut trees: Vec<_> = wanted.iter().map(|_| None).collect();
    for (position, snapshot) in stores.first_snapshots(settings.timeouts.store, Some(limit.name)).await {
        match snapshot {
            Ok(Event::Snapshot { revision, refused, entries, .. }) => {
                trees[position] = Some((Tree::from_entries(revision, entries), refused));
            }
            Ok(_) => {}
            Err(problem) => terminal::print_error(&format!("{problem}\n")),
        }
    }
    Trees(trees)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_with_those_around_it() {
        let text: String = (1..=12).map(|number| format!("line {number}\n")).collect();
        for (wanted, first, marked, last) in
            [(1, "> 1 | line 1", 0, "  4 | line 4"), (9, "   6 | line 6", 3, "  12 | line 12")]
        {
            let shown = numbered(text.as_bytes(), wanted);
            let lines: Vec<&str> = shown.lines().collect();
            assert_eq!((lines.first().copied(), lines.last().copied()), (Some(first), Some(last)), "{shown}");
            assert!(lines[marked].starts_with('>') && shown.matches('>').count() == 1, "{shown}");
        }
        assert_eq!(numbered(b"a {\n\n", 3), "  1 | a {\n  2 |\nthe file ends after line 2\n");
        assert_eq!(numbered(b"", 1), "the file ends after line 0\n");
    }
}
