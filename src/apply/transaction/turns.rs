//! The order in which a group's new files have their turn. What the check has refused before, and what no check has come to yet, does
//! not hold up the rest: the rest goes first, in a transaction of its own. Never judges a file.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::apply::journal::{self, Journal};
use crate::apply::{Context, exclusion, failure, plan};
use crate::model::report::{Outcome, Rendered, Report, Stage, StepFailure};
use crate::model::resource::{InstanceId, Resource};
use crate::world::clock;

use super::{Request, attempt};

/// Checks that one search for refused files may take in any case.
const MIN_TRIALS: usize = 16;
/// Time for a search that goes on beyond that while nobody waits for its end: what it does not come to is left to the next pass.
const SEARCH_TIME: Duration = Duration::from_secs(10);
/// Checks that a search may take in any case while a change, or the group of another resource, waits for its end.
const MIN_TRIALS_BEFORE_CHANGE: usize = 4;
/// Number of files that no check has reached and that are tried together at first; each is written to disk before it is tried.
pub(super) const FIRST_PORTION: usize = 256;
/// Least number of them: a search that has only a few checks decides on one of so many, wherever the bad one is.
const MIN_PORTION: usize = 8;
/// Most of them.
const MAX_PORTION: usize = 16_384;
/// Refused files that are tried once more beside a change.
const MAX_BESIDE_CHANGE: usize = 8;
/// Refused files that are tried once more in a pass without a change.
const MAX_RETRIED: usize = 64;

/// The time of a transaction, and how long a search in it goes on.
pub(super) struct Patience {
    started: Instant,
    trials: usize,
    /// Start of the search.
    since: Option<Instant>,
    /// Whether the group has changed in the meantime.
    change_waits: Arc<AtomicBool>,
}

impl Patience {
    pub(super) fn new(change_waits: Arc<AtomicBool>) -> Patience {
        Patience { started: clock::now(), trials: 0, since: None, change_waits }
    }

    /// Returns the time since the transaction began.
    pub(super) fn elapsed(&self) -> Duration {
        clock::since(self.started)
    }

    /// Counts one more check. Returns whether there may be one. `is_awaited`: other groups wait for this one.
    pub(super) fn is_left(&mut self, is_awaited: bool) -> bool {
        self.trials += 1;
        let since = *self.since.get_or_insert_with(clock::now);
        match is_awaited || self.change_waits.load(Ordering::Relaxed) {
            true => self.trials <= MIN_TRIALS_BEFORE_CHANGE,
            false => self.trials <= MIN_TRIALS || clock::since(since) < SEARCH_TIME,
        }
    }
}

/// Facts about files that are not live, by group.
pub(in crate::apply) type Refusals = HashMap<String, GroupRefusals>;

/// Facts about a group's files that are not live.
#[derive(Debug)]
pub(in crate::apply) struct GroupRefusals {
    known: BTreeMap<PathBuf, RefusedFile>,
    /// The destination that was tried last: the next retry goes on behind it.
    last_tried: PathBuf,
    /// Number of files that no check has come to yet, of those that the next pass tries.
    portion: usize,
    /// Whether the last portion had as many as that.
    is_full: bool,
    /// Whether what the journal says of an earlier process is known.
    is_recalled: bool,
    /// The journal's record of it.
    written: BTreeMap<PathBuf, String>,
    /// Whether the last transaction ended before its reload while one was owed.
    holds_up_reload: bool,
}

impl Default for GroupRefusals {
    fn default() -> GroupRefusals {
        let (known, last_tried, is_full, is_recalled, written, holds_up_reload) = Default::default();
        GroupRefusals { known, last_tried, portion: FIRST_PORTION, is_full, is_recalled, written, holds_up_reload }
    }
}

/// One file that is not live.
#[derive(Clone, Debug)]
struct RefusedFile {
    resource: Arc<str>,
    hash: String,
    failure: StepFailure,
}

/// The files of a request, by their turn.
struct TurnOrder {
    /// Never tried with this content.
    fresh: Vec<Rendered>,
    /// Refused together with others only, and some that are tried once more.
    second: Vec<Rendered>,
    /// Refused, and left for a later pass.
    later: Vec<(Rendered, StepFailure)>,
}

/// Runs the transaction of what is fresh, then that of the rest, and returns one report.
pub(super) async fn run(context: &Context, request: Request) -> Report {
    let Some(TurnOrder { fresh, second, later }) = in_turns(context, &request) else {
        return remembered(context, &request).await;
    };
    let first = Request { rendered: fresh, ..request.clone() };
    let mut report = remembered(context, &first).await;
    if !second.is_empty() && is_only_of_removals(&report) {
        // Together with content, a search finds out which removals are refused.
        let all = Request { rendered: [first.rendered, second].concat(), ..request };
        let next = remembered(context, &all).await;
        adapt_portion(context, &all.group.id, &next);
        report = after(report, next);
        report.dropped.extend(ids_of(later));
        return report;
    }
    report.dropped.extend(ids_of(later));
    let ids = |files: &[Rendered]| files.iter().map(|rendered| rendered.resource.id.clone()).collect::<Vec<_>>();
    let (firsts, names) = (ids(&first.rendered), ids(&second));
    if second.is_empty() || !lets_others_follow(&report.outcome) {
        report.dropped.extend(names.into_iter().map(|name| (name, StepFailure::undecided())));
        return report;
    }
    report.in_place = first.instance_files.iter().map(|of_one| of_one.resource.id.clone()).chain(firsts).collect();
    let group_id = request.group.id.clone();
    let next = remembered(context, &Request { rendered: second, dropped: Vec::new(), ..request }).await;
    adapt_portion(context, &group_id, &next);
    both(report, next, names)
}

fn adapt_portion(context: &Context, group_id: &str, report: &Report) {
    if let Some(group) = context.refusals.lock().ok().as_mut().and_then(|refusals| refusals.get_mut(group_id)) {
        group.adapt_portion(report);
    }
}

fn ids_of(files: Vec<(Rendered, StepFailure)>) -> impl Iterator<Item = (InstanceId, StepFailure)> {
    files.into_iter().map(|(rendered, failure)| (rendered.resource.id.clone(), failure))
}

/// Returns the step before the reload that has ended a transaction.
fn ended_before_reload(report: &Report) -> Option<Stage> {
    match &report.outcome {
        Outcome::Rejected(cause) | Outcome::RolledBack { cause, reload_old: None } => Some(cause.at),
        _ => None,
    }
    .filter(|at| *at < Stage::Reload)
}

/// Returns whether a check refused a transaction that only removes files.
fn is_only_of_removals(report: &Report) -> bool {
    report.files.is_empty() && !report.removed.is_empty() && ended_before_reload(report) == Some(Stage::Check)
}

/// Returns the report of a transaction, with what ran for the one before it, which changed nothing.
pub(super) fn after(before: Report, report: Report) -> Report {
    Report {
        warnings: [before.warnings, report.warnings].concat(),
        commands: [before.commands, report.commands].concat(),
        elapsed: before.elapsed + report.elapsed,
        ..report
    }
}

/// Notes whether a reload is still owed because a step before it failed.
pub(super) fn note_held_up_reload(context: &Context, group_id: &str, report: &Report) {
    let has_failed = ended_before_reload(report).is_some();
    let is_owed = || {
        context.is_disproved(group_id) || journal::peek(context, group_id).is_some_and(|journal| journal.reload_owed)
    };
    let holds_up_reload = has_failed && is_owed();
    if let Ok(mut refusals) = context.refusals.lock()
        && (holds_up_reload || refusals.contains_key(group_id))
    {
        refusals.entry(group_id.to_owned()).or_default().holds_up_reload = holds_up_reload;
    }
}

/// Returns whether a reload is owed that the last transaction of the group did not come to.
pub(super) fn holds_up_reload(context: &Context, group_id: &str) -> bool {
    context.refusals.lock().is_ok_and(|refusals| refusals.get(group_id).is_some_and(|group| group.holds_up_reload))
}

/// Returns whether others may have their turn after a transaction with this outcome. While nothing runs that could be reloaded, each file
/// that is in place is there for its start.
fn lets_others_follow(outcome: &Outcome) -> bool {
    outcome.is_final() || matches!(outcome, Outcome::ReloadOwed { nothing_runs: true, .. })
}

/// Returns one report of two transactions, the second of which had these members.
fn both(first: Report, second: Report, names: Vec<InstanceId>) -> Report {
    let is_in_place = first.outcome != Outcome::Unchanged;
    let outcome = match second.outcome {
        // The first one is in place, whatever is wrong with the second.
        Outcome::Rejected(cause) | Outcome::RolledBack { cause, reload_old: None }
            if is_in_place && (matches!(cause.at, Stage::Check | Stage::Commit) || is_of_one_file(&cause)) =>
        {
            let dropped: Vec<_> = names.into_iter().map(|name| (name, cause.clone())).collect();
            let dropped = [first.dropped, dropped].concat();
            let (warnings, commands) = (second.warnings, second.commands);
            return Report {
                dropped,
                warnings: [first.warnings, warnings].concat(),
                commands: [first.commands, commands].concat(),
                elapsed: first.elapsed + second.elapsed,
                ..first
            };
        }
        Outcome::Unchanged => first.outcome,
        other => other,
    };
    // A failure of the second one concerns its members only.
    let mut resources = if lets_others_follow(&outcome) { first.resources } else { Vec::new() };
    resources.extend(second.resources.into_iter().filter(|name| !resources.contains(name)).collect::<Vec<_>>());
    Report {
        resources,
        outcome,
        in_place: [first.in_place, second.in_place].concat(),
        files: [first.files, second.files].concat(),
        differences: first.differences.into_iter().chain(second.differences).collect(),
        removed: [first.removed, second.removed].concat(),
        dropped: [first.dropped, second.dropped].concat(),
        warnings: [first.warnings, second.warnings].concat(),
        reload_ran: first.reload_ran || second.reload_ran,
        commands: [first.commands, second.commands].concat(),
        verified: second.verified.or(first.verified),
        elapsed: first.elapsed + second.elapsed,
        ..first
    }
}

/// Returns whose turn it is; `None` if nothing of the request was refused before.
fn in_turns(context: &Context, request: &Request) -> Option<TurnOrder> {
    let mut refusals = context.refusals.lock().ok()?;
    let group = refusals.entry(request.group.id.clone()).or_default();
    group.recall(context, request);
    if group.known.is_empty() {
        return None;
    }
    let (mut fresh, mut second, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for rendered in &request.rendered {
        let known = group.known.get(&rendered.resource.dest);
        match known.filter(|known| known.hash == plan::hash(&rendered.bytes)) {
            None => fresh.push(rendered.clone()),
            Some(known) if known.failure.is_undecided() => second.push(rendered.clone()),
            Some(known) => refused.push((rendered.clone(), known.failure.clone())),
        }
    }
    if second.is_empty() && refused.is_empty() {
        return None;
    }
    let most = match (fresh.is_empty(), second.is_empty()) {
        // First those of which nothing is known.
        (_, false) => 0,
        (false, true) => MAX_BESIDE_CHANGE,
        (true, true) => MAX_RETRIED,
    };
    let left = second.split_off(second.len().min(group.portion));
    group.is_full = second.len() == group.portion;
    if refused.len() > most {
        refused.sort_by(|(a, _), (b, _)| a.resource.dest.cmp(&b.resource.dest));
        let behind =
            refused.partition_point(|(rendered, _)| rendered.resource.dest <= group.last_tried) % refused.len();
        refused.rotate_left(behind);
    }
    let mut later = refused.split_off(refused.len().min(most));
    if let Some((last, _)) = refused.last().filter(|_| !later.is_empty()) {
        group.last_tried.clone_from(&last.resource.dest);
    }
    later.extend(left.into_iter().map(|rendered| (rendered, StepFailure::undecided())));
    second.extend(refused.into_iter().map(|(rendered, _)| rendered));
    Some(TurnOrder { fresh, second, later })
}

impl GroupRefusals {
    /// Adds what the journal says of an earlier process, once, as soon as there is content to compare.
    fn recall(&mut self, context: &Context, request: &Request) {
        if request.rendered.is_empty() || std::mem::replace(&mut self.is_recalled, true) {
            return;
        }
        self.written = journal::peek(context, &request.group.id).unwrap_or_default().refused;
        for rendered in &request.rendered {
            let dest = &rendered.resource.dest;
            let Some(hash) = self.written.get(dest).cloned() else { continue };
            let failure =
                StepFailure::new(Stage::Check, "it was refused before this start, and its content is the same");
            let resource = Arc::clone(rendered.resource.name());
            self.known.entry(dest.clone()).or_insert(RefusedFile { resource, hash, failure });
        }
    }

    /// Makes the next portion larger if the search has come to all of this one and that was a whole portion, smaller if not to all.
    fn adapt_portion(&mut self, report: &Report) {
        self.portion = match report.is_unfinished() {
            true => MIN_PORTION.max(self.portion / 2),
            false if self.is_full && lets_others_follow(&report.outcome) => MAX_PORTION.min(self.portion * 2),
            false => self.portion,
        };
    }

    /// Forgets what is live now, and what is no longer wanted.
    fn settle(&mut self, request: &Request, report: &Report) {
        report.files.iter().for_each(|dest| drop(self.known.remove(dest)));
        let is_gone = |dest: &PathBuf, resource: &str| {
            let mut instance_files =
                request.instance_files.iter().filter(|of_one| **of_one.resource.name() == *resource);
            instance_files.any(|of_one| !of_one.wanted.contains(dest))
        };
        self.known.retain(|dest, refusal| !is_gone(dest, &refusal.resource));
    }

    /// Returns what the journal has to say, if that has changed.
    fn take_changes(&mut self) -> Option<BTreeMap<PathBuf, String>> {
        if !self.is_recalled {
            return None;
        }
        let is_refused = |failure: &StepFailure| failure.at == Stage::Check && !failure.is_undecided();
        let decided = self.known.iter().filter(|(_, refusal)| is_refused(&refusal.failure));
        let refused: BTreeMap<PathBuf, String> =
            decided.map(|(dest, refusal)| (dest.clone(), refusal.hash.clone())).collect();
        (refused != self.written).then(|| {
            self.written.clone_from(&refused);
            refused
        })
    }
}

/// Returns whether a step failed at one file, which does not have to hold up the others.
pub(super) fn is_of_one_file(failure: &StepFailure) -> bool {
    matches!(failure.at, Stage::Record | Stage::Install)
}

/// Remembers that the check has refused a file, or has not come to it, or that it could not be put in its place.
pub(super) fn remember(context: &Context, group_id: &str, resource: &Resource, hash: String, failure: &StepFailure) {
    if let Ok(mut refusals) = context.refusals.lock() {
        let refusal = RefusedFile { resource: Arc::clone(resource.name()), hash, failure: failure.clone() };
        refusals.entry(group_id.to_owned()).or_default().known.insert(resource.dest.clone(), refusal);
    }
}

/// Runs a transaction and remembers which of its files the check has refused.
async fn remembered(context: &Context, request: &Request) -> Report {
    let mut report = attempt(context, request.clone()).await;
    let refused = context.refusals.lock().ok().and_then(|mut refusals| {
        let group = refusals.entry(request.group.id.clone()).or_default();
        if lets_others_follow(&report.outcome) && !group.known.is_empty() {
            group.settle(request, &report);
        }
        group.take_changes()
    });
    if let Some(refused) = refused {
        report.warnings.extend(save(context, &request.group.id, refused).await.err());
    }
    report
}

/// Writes to the journal what is refused. If that fails, the next start has more to check.
async fn save(context: &Context, group_id: &str, refused: BTreeMap<PathBuf, String>) -> Result<(), String> {
    let _held = exclusion::enter_group(context, group_id, false).await.map_err(|failure| failure.to_string())?;
    let saved = journal::load(context, group_id)
        .and_then(|journal| journal::save(context, group_id, &Journal { refused, ..journal }));
    saved.map_err(|error| failure::describe(&error))
}

#[cfg(test)]
mod tests {
    use crate::apply::isolate::{CheckRefusal, Search};
    use crate::model::key::Revision;

    use super::*;

    #[test]
    fn a_search_ends_soon_when_a_change_or_another_group_waits() {
        let change_waits = Arc::new(AtomicBool::new(false));
        let mut patience = Patience::new(Arc::clone(&change_waits));
        assert!((0..MIN_TRIALS).all(|_| patience.is_left(false)));
        change_waits.store(true, Ordering::Relaxed);
        assert!(!patience.is_left(false));
        for (waits, is_awaited) in [(true, false), (false, true)] {
            let mut patience = Patience::new(Arc::new(AtomicBool::new(waits)));
            assert_eq!((0..MIN_TRIALS).filter(|_| patience.is_left(is_awaited)).count(), MIN_TRIALS_BEFORE_CHANGE);
        }
    }

    /// The same files have their turn again, in the same order: a search that decides nothing would be repeated for ever.
    #[test]
    fn a_search_in_the_smallest_portion_decides_on_a_file_in_any_case() {
        for bad in 0..MIN_PORTION {
            let refused = || CheckRefusal { failure: StepFailure::new(Stage::Check, "refused"), blamed: None };
            let mut search = Search::start(0..MIN_PORTION, |_| false, refused());
            for _ in 0..MIN_TRIALS_BEFORE_CHANGE {
                let Some(trial) = search.next_trial() else { break };
                search.answer(if trial.contains(&bad) { Err(refused()) } else { Ok(()) });
            }
            let found = search.found().unwrap();
            assert!(found.undecided.len() < MIN_PORTION, "{bad}: {found:?}");
        }
    }

    #[test]
    fn a_portion_grows_while_a_search_comes_to_all_of_it() {
        let mut group = GroupRefusals::default();
        let all = Report::unchanged(Revision(1));
        group.adapt_portion(&all);
        assert_eq!(group.portion, FIRST_PORTION, "a few that are tried once more say nothing of it");
        group.is_full = true;
        group.adapt_portion(&all);
        assert_eq!(group.portion, 2 * FIRST_PORTION);
        (0..100).for_each(|_| group.adapt_portion(&all));
        assert_eq!(group.portion, MAX_PORTION);
        let name = InstanceId::whole(&Arc::from("a.toml"));
        let some = Report { dropped: vec![(name, StepFailure::undecided())], ..all };
        (0..20).for_each(|_| group.adapt_portion(&some));
        assert_eq!(group.portion, MIN_PORTION);
    }
}
