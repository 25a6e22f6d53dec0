//! Carries out the steps of the machine for one group: stages, checks, records, installs, reloads, undoes. Never decides
//! which step comes next. A transaction that is dropped half-way leaves the same state as a kill; `recovery` undoes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::model::difference::Difference;
use crate::model::key::Revision;
use crate::model::report::{Outcome, ReloadEnd, Rendered, Report, Stage, StepFailure};
use crate::model::resource::InstanceId;
use crate::world::fs::entry::Folders;
use crate::world::fs::stage;

use super::exclusion::{self, TransactionLocks};
use super::failure::{self, describe};
use super::group::Group;
use super::handover;
use super::instance_files::{self, InstanceFiles};
use super::journal::{self, Journal};
use super::machine::{self, CheckKind, Next, Step, TransactionPlan};
use super::nginx::{self, Nginx, ReloadWatch};
use super::plan::FileAction;
use super::recovery::{self, ActedOn};
use super::staging::{self, StagedFile};
use super::unread;
use super::{AroundReload, Context};

mod blocked;
mod check;
mod install;
mod live;
mod reload;
mod turns;

pub(super) use turns::Refusals;

use turns::Patience;

/// The work: new content for members of this group. Other members stay as they are.
#[derive(Clone, Debug)]
pub struct Request {
    /// Group.
    pub group: Arc<Group>,
    /// New content, by member.
    pub rendered: Vec<Rendered>,
    /// Files of members with `for_each`: those that are no longer wanted are removed.
    pub instance_files: Vec<InstanceFiles>,
    /// Members that could not be rendered: they drop out, and the report names them.
    pub dropped: Vec<(InstanceId, StepFailure)>,
    /// Store revision at which the content was rendered.
    pub revision: Revision,
    /// Becomes true when an input of the group has changed since: a search for refused files ends early.
    pub change_waits: Arc<AtomicBool>,
}

/// A transaction that has begun, or a report if nothing was left to do.
pub enum Begun {
    /// It is over already.
    Ended(Box<Report>),
    /// Perform this step and each that follows, then end.
    Running(Box<Transaction>, Step),
}

/// One transaction under way.
pub struct Transaction {
    group: Arc<Group>,
    journal: Journal,
    /// The journal as it was last read or written.
    on_disk: Journal,
    files: Vec<StagedFile>,
    /// Its files, in the same order.
    acted_on: Vec<ActedOn>,
    /// Whether the previous configuration has been reloaded.
    reloaded_old: bool,
    report: Report,
    patience: Patience,
    /// nginx that the group drives.
    nginx: Option<Nginx>,
    /// State of nginx before the reload that has to be verified.
    watched: Option<ReloadWatch>,
    /// Total duration of the check.
    check_time: Duration,
    _held: TransactionLocks,
}

/// Runs a whole transaction, or two: what was refused before does not hold up the rest.
pub async fn run(context: &Context, request: Request) -> Report {
    let mut aid = None;
    if needs_first_aid(context, &request).await {
        let nothing_new =
            Request { rendered: Vec::new(), instance_files: Vec::new(), dropped: Vec::new(), ..request.clone() };
        aid = Some(run_one(context, nothing_new).await);
    }
    let group_id = request.group.id.clone();
    let report = turns::run(context, request).await;
    turns::note_held_up_reload(context, &group_id, &report);
    match aid {
        None => report,
        Some(aid) => Report {
            outcome: if report.outcome == Outcome::Unchanged { aid.outcome } else { report.outcome },
            warnings: [aid.warnings, report.warnings].concat(),
            commands: [aid.commands, report.commands].concat(),
            reload_ran: aid.reload_ran || report.reload_ran,
            verified: report.verified.or(aid.verified),
            elapsed: aid.elapsed + report.elapsed,
            ..report
        },
    }
}

/// Runs one transaction, and once more without each file that cannot be put in its place. If a check can only judge the live tree and
/// refuses a group, further transactions find out which of its files it refuses, and the others go live.
async fn attempt(context: &Context, mut request: Request) -> Report {
    let mut patience = Patience::new(Arc::clone(&request.change_waits));
    let mut report = run_one(context, request.clone()).await;
    loop {
        let blocked = blocked::blocked(&report, &request);
        if blocked.is_empty() || !patience.is_left(context.exclusion.is_awaited()) {
            break;
        }
        blocked::leave_out(context, &mut request, blocked);
        let next = run_one(context, request.clone()).await;
        report = turns::after(report, next);
    }
    match &report.outcome {
        Outcome::RolledBack { cause, .. } if cause.at == Stage::Check && report.file_count() > 1 => {
            live::isolate(context, request, report).await
        }
        _ => report,
    }
}

/// Returns whether a reload is owed that must not wait for the change: the check has refused the last one, or an outage continues that a
/// killed process left. Then the files were put back, and no worker of nginx has read them.
async fn needs_first_aid(context: &Context, request: &Request) -> bool {
    let Request { group, rendered, instance_files, .. } = request;
    if group.reload.is_none() || (rendered.is_empty() && instance_files.is_empty()) {
        return false;
    }
    if turns::holds_up_reload(context, &group.id) {
        return true;
    }
    if rendered.is_empty() || !group.drives_nginx() {
        return false;
    }
    let owed =
        journal::peek(context, &group.id).is_some_and(|journal| journal.reload_owed || journal.in_flight.is_some());
    owed && nginx::find(context, group).await.serves_nothing()
}

/// The work around a reload that has begun. It ends, too, if the transaction is dropped half-way.
struct WorkAround {
    around: Arc<dyn AroundReload>,
    group: Arc<Group>,
    end: ReloadEnd,
}

impl WorkAround {
    fn begin(context: &Context, group: &Arc<Group>) -> Option<WorkAround> {
        let around = Arc::clone(context.settings.around_reload.as_ref()?);
        around.begin(group).then(|| WorkAround { around, group: Arc::clone(group), end: ReloadEnd::Failed })
    }
}

impl Drop for WorkAround {
    fn drop(&mut self) {
        self.around.end(&self.group, self.end);
    }
}

async fn run_one(context: &Context, request: Request) -> Report {
    match begin(context, request).await {
        Begun::Ended(report) => *report,
        Begun::Running(mut transaction, mut step) => {
            let mut around = None;
            let outcome = loop {
                if matches!(step, Step::Reload(_)) {
                    around = WorkAround::begin(context, &transaction.group);
                }
                context.begin_step(&transaction.group.id, step.stage());
                match transaction.perform(context, step).await {
                    Next::Do(next) => step = next,
                    Next::End(outcome) => break outcome,
                }
            };
            // What follows in this pass may have to wait.
            context.end_steps(&transaction.group.id);
            around.iter_mut().for_each(|around| around.end = ReloadEnd::of(&outcome, &transaction.report));
            drop(around);
            transaction.end(context, outcome)
        }
    }
}

/// Acquires the lock, undoes what a killed process left half done, stages every file and decides what to do.
pub async fn begin(context: &Context, request: Request) -> Begun {
    let Request { group, rendered, instance_files, dropped, revision, change_waits } = request;
    let patience = Patience::new(change_waits);
    let resources = resource_names(&rendered, &instance_files);
    let mut report = Report { resources, dropped, ..Report::unchanged(revision) };
    let (held, mut journal) = match prepare(context, &group).await {
        Ok(prepared) => prepared,
        Err(failure) => {
            let outcome = Outcome::Rejected(failure);
            return Begun::Ended(Box::new(Report { outcome, elapsed: patience.elapsed(), ..report }));
        }
    };
    report.warnings.extend(context.take_pending_warnings());
    let on_disk = journal.clone();
    let mut files = Vec::new();
    let mut folders = Folders::default();
    for rendered in rendered {
        match staging::stage(context, &mut folders, &rendered, Some(&journal), stage::Durable::Later) {
            Ok(file) => files.push(file),
            Err(failure) => report.dropped.push((rendered.resource.id.clone(), failure)),
        }
    }
    let surplus = instance_files::surplus(&mut folders, &mut journal, &instance_files);
    files.extend(surplus.files);
    report.warnings.extend(surplus.warnings);
    (report.files, report.removed, report.differences) = named(&mut files);
    let has_files = !(report.files.is_empty() && report.removed.is_empty());
    journal.reload_owed |= context.is_disproved(&group.id);
    let reload_owed = journal.reload_owed && group.reload.is_some();
    if !has_files && !reload_owed {
        report.warnings.extend(meet_nginx(context, &group, &files).await);
        if record_instance_files(&mut journal, &files) || surplus.journal_changed {
            report.warnings.extend(journal::save(context, &group.id, &journal).err().map(|error| describe(&error)));
        }
        report.elapsed = patience.elapsed();
        return Begun::Ended(Box::new(report));
    }
    let plan = TransactionPlan {
        has_files,
        check: kind_of_check(context, &group, &files),
        has_reload: group.reload.is_some(),
        on_reload_failure: group.on_reload_failure,
    };
    let nginx = find_nginx(context, &group).await;
    let transaction = Transaction {
        group,
        journal,
        on_disk,
        files,
        acted_on: Vec::new(),
        reloaded_old: false,
        report,
        patience,
        nginx,
        watched: None,
        check_time: Duration::ZERO,
        _held: held,
    };
    Begun::Running(Box::new(transaction), machine::start(plan))
}

/// Returns the nginx that the group drives. One that it reloads is looked at later, unless the user has switched that off.
async fn find_nginx(context: &Context, group: &Group) -> Option<Nginx> {
    if !group.drives_nginx() {
        return None;
    }
    let nginx = nginx::find(context, group).await;
    if nginx::is_watched(group) {
        context.set_nginx_of(&group.id, nginx.place());
    }
    Some(nginx)
}

/// Finds the nginx of a group that has had no transaction to find it in, so that it is looked at. Returns warnings for files that it
/// never reads.
async fn meet_nginx(context: &Context, group: &Arc<Group>, files: &[StagedFile]) -> Vec<String> {
    let is_met = || !nginx::is_watched(group) || context.knows_nginx_of(&group.id);
    let has_new = || group.drives_nginx() && files.iter().any(|file| context.nginx.looked_at.is_new(file.dest()));
    if context.settings.onetime || is_met() && !has_new() {
        return Vec::new();
    }
    let nginx = find_nginx(context, group).await;
    nginx.map_or_else(Vec::new, |nginx| unread::warnings(context, &nginx, group, files.iter()))
}

/// Acquires the lock and undoes what a killed process left half done.
async fn prepare(context: &Context, group: &Group) -> Result<(TransactionLocks, Journal), StepFailure> {
    let held = exclusion::enter_group(context, &group.id, group.drives_nginx()).await?;
    journal::save_unsaved(context, &group.id).map_err(|error| failure::of_file(Stage::Commit, &error))?;
    let mut journal = journal::load(context, &group.id).map_err(|error| failure::of_file(Stage::Record, &error))?;
    if let Some(in_flight) = &mut journal.in_flight {
        handover::leave_to_others(context, &group.id, in_flight);
    }
    recovery::recover(context, &group.id, &mut journal).map_err(|error| failure::of_file(Stage::Restore, &error))?;
    handover::take_over(context, group, &mut journal).map_err(|error| failure::of_file(Stage::Record, &error))?;
    Ok((held, journal))
}

/// Returns the names of the resources, each once.
fn resource_names(rendered: &[Rendered], instance_files: &[InstanceFiles]) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    let all = rendered.iter().map(|rendered| rendered.resource.name());
    for name in all.chain(instance_files.iter().map(|of_one| of_one.resource.name())) {
        if names.last() != Some(name) && !names.contains(name) {
            names.push(Arc::clone(name));
        }
    }
    names
}

/// Returns the files that get new content, those that are removed, and what changes in them.
fn named(files: &mut [StagedFile]) -> (Vec<PathBuf>, Vec<PathBuf>, BTreeMap<PathBuf, Difference>) {
    let difference = |file: &mut StagedFile| Some((file.dest().clone(), file.difference.take()?));
    let differences = files.iter_mut().filter_map(difference).collect();
    let changed = files.iter().filter(|file| file.action != FileAction::Keep);
    let (gone, new): (Vec<&StagedFile>, Vec<&StagedFile>) = changed.partition(|file| file.action == FileAction::Remove);
    let paths = |files: Vec<&StagedFile>| files.into_iter().map(|file| file.dest().clone()).collect();
    (paths(new), paths(gone), differences)
}

/// Records in the journal which of these files belong to a `for_each`, and to which. Returns whether it has changed.
fn record_instance_files(journal: &mut Journal, files: &[StagedFile]) -> bool {
    let mut has_changed = false;
    for file in files.iter().filter(|file| file.action != FileAction::Remove) {
        let name = file.resource.name();
        for (_, made) in journal.made.iter_mut().filter(|(of, _)| file.resource.id.item.is_none() || ***of != **name) {
            // It has moved: who had it before must not remove it.
            has_changed |= made.remove(file.dest());
        }
        if file.resource.id.item.is_some() {
            has_changed |=
                journal.made.entry(file.resource.name().to_string()).or_default().insert(file.dest().clone());
            journal.files.entry(file.dest().clone()).or_insert_with(|| file.hash.clone());
        }
    }
    has_changed
}

fn kind_of_check(context: &Context, group: &Group, files: &[StagedFile]) -> CheckKind {
    let nothing_staged = files.iter().all(|file| !file.differs());
    match &group.check {
        None => CheckKind::None,
        Some(command) if command.names_src() => CheckKind::OfStagedFiles,
        Some(_) if nothing_staged || context.namespace_may_work() => CheckKind::OfFutureTree,
        Some(_) => CheckKind::OfLiveTree,
    }
}

impl Transaction {
    /// Performs one step and returns what follows.
    pub async fn perform(&mut self, context: &Context, step: Step) -> Next {
        match step {
            Step::CheckStaged(asked) => asked.answer(self.check_staged(context).await),
            Step::CheckFuture(asked) => asked.answer(self.check_future(context).await),
            Step::CheckLive(asked) => asked.answer(self.check_live(context).await),
            Step::Record(asked) => asked.answer(self.record(context)),
            Step::Install(asked) => asked.answer(self.install(context)),
            Step::Reload(asked) => asked.answer(self.reload(context).await),
            Step::Verify(asked) => asked.answer(self.verify().await),
            Step::Restore(asked) => {
                let in_flight = self.journal.in_flight.clone().unwrap_or_default();
                let undone = recovery::undo(&in_flight, &self.acted_on, &mut self.report.warnings);
                asked.answer(failure::at(Stage::Restore, undone))
            }
            Step::ReloadOld(asked) => asked.answer(self.reload_old(context).await),
            Step::Commit(asked) => {
                let committed = failure::at(Stage::Commit, self.commit(context, asked.reload_owed()));
                // The outcome then names what prevented the reload.
                let beside = committed.as_ref().err().filter(|_| asked.reload_owed());
                self.report.warnings.extend(beside.map(ToString::to_string));
                asked.answer(committed)
            }
        }
    }

    fn changed(&self) -> impl Iterator<Item = &StagedFile> {
        self.files.iter().filter(|file| file.action != FileAction::Keep)
    }

    /// Cleans up and returns the finished report.
    pub fn end(mut self, context: &Context, outcome: Outcome) -> Report {
        let mut report = self.report;
        if let Outcome::RolledBack { reload_old, .. } = &outcome {
            self.journal.reload_owed = reload_old.is_some() || (self.journal.reload_owed && !self.reloaded_old);
        }
        let undone = matches!(outcome, Outcome::RolledBack { .. } | Outcome::Rejected(_));
        if undone && self.journal.in_flight.take().is_some() {
            let saved = journal::save(context, &self.group.id, &self.journal);
            report.warnings.extend(saved.err().map(|error| describe(&error)));
        }
        for file in self.files.iter().filter_map(|file| file.staged.as_ref()) {
            staging::discard(context, file);
        }
        if !matches!(outcome, Outcome::Stuck { .. }) {
            for backup in self.acted_on.iter().filter_map(|file| file.backup.as_ref()) {
                report.warnings.extend(backup.remove().err().map(|error| describe(&error)));
            }
        }
        if matches!(&outcome, Outcome::Rejected(_) | Outcome::RolledBack { reload_old: None, .. }) {
            // What was refused is a change: the other members are as they were.
            let (kept, changed): (Vec<&StagedFile>, Vec<&StagedFile>) =
                self.files.iter().partition(|file| file.action == FileAction::Keep);
            let blocked = changed.iter().filter_map(|file| Some((file.resource.id.clone(), file.failure.clone()?)));
            let blocked: Vec<(InstanceId, StepFailure)> = blocked.collect();
            if blocked.len() < changed.len() {
                report.dropped.extend(blocked);
            }
            let changed: BTreeSet<&str> = changed.into_iter().map(|file| &**file.resource.name()).collect();
            let (concerned, others): (Vec<Arc<str>>, Vec<Arc<str>>) =
                report.resources.into_iter().partition(|name| changed.contains(&**name));
            report.resources = concerned;
            if !(self.journal.reload_owed && self.group.reload.is_some()) {
                let kept = kept.into_iter().map(|file| file.resource.id.clone());
                report.in_place = others.iter().map(InstanceId::whole).chain(kept).collect();
            }
        }
        let stays = matches!(outcome, Outcome::Applied | Outcome::ReloadOwed { .. });
        if let Some(nginx) = self.nginx.as_ref().filter(|_| stays) {
            let is_gone = |file: &&StagedFile| file.action == FileAction::Remove;
            let (gone, there): (Vec<&StagedFile>, Vec<&StagedFile>) = self.files.iter().partition(is_gone);
            gone.iter().for_each(|file| context.nginx.looked_at.remove(file.dest()));
            report.warnings.extend(unread::warnings(context, nginx, &self.group, there.into_iter()));
        }
        report.outcome = outcome;
        report.elapsed = self.patience.elapsed();
        report
    }
}
