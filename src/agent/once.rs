//! One round: reads every store once, gives every group one pass, and ends. `-onetime` applies; `-noop`, `diff` and `render`
//! do the same with a different last step. Never waits for further changes, except for keys of a `wait_for`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::apply::group::Group;
use crate::config::settings::table;
use crate::model::event::Event;
use crate::model::key::Revision;
use crate::model::note::Note;
use crate::model::problem::Problems;
use crate::model::report::Report;
use crate::model::resource::Resource;
use crate::model::store::StoreSettings;
use crate::model::tree::Tree;
use crate::world::clock;
use crate::world::signals::Signals;

use super::catalog::Catalog;
use super::mark::Mark;
use super::pass::{InHand, LastStep, MockData, Pass, Terms};
use super::recovering::{recover, stop};
use super::run::{Agent, Outlook, PassEnd, log_problems};
use super::state::ResourceState;
use super::stores::Stores;

/// The inputs of one round.
pub struct OncePlan {
    /// Terms and observers of the passes.
    pub outlook: Outlook,
    /// Settings of the store.
    pub store: StoreSettings,
    /// Time limit for the snapshots of all stores together.
    pub store_timeout: Duration,
    /// Time for running passes to end after a signal.
    pub shutdown_timeout: Duration,
    /// Whether the first failure ends the round.
    pub fail_fast: bool,
    /// Name of the only resource to work on; `None` for all.
    pub only: Option<Arc<str>>,
    /// The signals that end the round.
    pub signals: Signals,
}

/// The result of a round.
#[derive(Debug, Default)]
pub struct Round {
    /// Reports, one for each group that was worked on.
    pub reports: Vec<Report>,
    /// Further notes for people.
    pub notes: Vec<Note>,
    /// Problems in conf.d and templates.
    pub problems: Problems,
    /// Reasons for missing snapshots.
    pub store_problems: Vec<String>,
    /// Resources that were left out because their store could not be read.
    pub left_out: Vec<Arc<str>>,
    /// The signal that ended it early, if one did.
    pub interrupted: Option<Signal>,
}

/// Reads the stores once and gives every group one pass.
pub async fn once(plan: OncePlan, catalog: Arc<Catalog>) -> Round {
    if plan.outlook.logs {
        log_problems(&catalog);
    }
    let mut round = Round { problems: catalog.problems.clone(), ..Round::default() };
    let mut signals = plan.signals;
    if let Err(signal) = recover(&plan.outlook, &catalog, &mut signals).await {
        return Round { interrupted: Some(signal), ..round };
    }
    if plan.fail_fast && !round.problems.is_empty() {
        return round;
    }
    let mut agent = Agent::new(plan.outlook, Arc::clone(&catalog), false);
    let is_wanted = |name: &Arc<str>| plan.only.as_ref().is_none_or(|only| only == name);
    let mut stores = Stores::new(plan.store, false);
    stores.set(&catalog.stores_of(catalog.members.iter().filter(|member| is_wanted(member.resource.name()))));
    let read = read(&mut agent, &mut stores, plan.store_timeout);
    tokio::select! {
        problems = read => round.store_problems = problems,
        signal = stop(&mut signals) => return Round { interrupted: Some(signal), ..round },
    }
    if let Some(only) = &plan.only {
        agent.desk.unmark_others(only);
    }
    round.left_out.extend(agent.desk.not_ready().map(|resource| Arc::clone(resource.name())).filter(is_wanted));
    let mut give_up_at = None;
    loop {
        let is_over =
            plan.fail_fast && (!round.store_problems.is_empty() || round.reports.iter().any(Report::has_failed));
        if round.interrupted.is_none() && !is_over {
            match plan.fail_fast {
                false => agent.start_due(),
                true if agent.crew.is_busy() => {}
                true => agent.start_first(),
            }
        }
        // A pass that only renders is not waited for: it may never end.
        if round.interrupted.is_some() && !agent.outlook.terms.is_applying() {
            agent.crew.stop();
            return round;
        }
        give_up_at = give_up_at.or_else(|| round.interrupted.map(|_| clock::now() + plan.shutdown_timeout));
        tokio::select! {
            biased;
            () = clock::sleep_until(give_up_at) => { agent.give_up(plan.shutdown_timeout); return round; }
            returned = agent.crew.next() => match returned {
                None => {
                    let waits = agent.desk.waits_until().filter(|_| round.interrupted.is_none() && !is_over);
                    let Some(until) = waits else { return round };
                    round.interrupted = wait_for_keys(&mut agent, &mut stores, &mut signals, until).await;
                }
                Some(returned) => returned.into_iter().for_each(|returned| round.take(agent.take_back(returned))),
            },
            signal = stop(&mut signals) => round.interrupted = Some(signal),
        }
    }
}

/// Reads the stores again a moment later. Returns the signal that ended the wait, if one did.
async fn wait_for_keys(
    agent: &mut Agent,
    stores: &mut Stores,
    signals: &mut Signals,
    until: Instant,
) -> Option<Signal> {
    tokio::select! {
        snapshots = look_again(stores, until) => {
            snapshots.into_iter().for_each(|(position, event)| agent.take_event(position, event));
            None
        }
        signal = stop(signals) => Some(signal),
    }
}

/// Reads every store once, and returns why some could not be read.
async fn read(agent: &mut Agent, stores: &mut Stores, timeout: Duration) -> Vec<String> {
    let mut problems = Vec::new();
    for (position, snapshot) in stores.first_snapshots(timeout, Some(table::BACKEND_TIMEOUT.name)).await {
        match snapshot {
            Ok(snapshot) => agent.take_event(position, snapshot),
            Err(problem) => problems.push(problem),
        }
    }
    problems
}

impl Round {
    fn take(&mut self, ended: PassEnd) {
        self.reports.push(ended.report);
        self.notes.extend(ended.notes);
    }
}

/// Reads the stores again a moment later, because a resource waits for its keys until then.
async fn look_again(stores: &mut Stores, until: Instant) -> Vec<(usize, Event)> {
    const PAUSE: Duration = Duration::from_secs(1);
    clock::sleep_until(Some(until.min(clock::now() + PAUSE))).await;
    stores.resync(true);
    let snapshots = stores.first_snapshots(until.saturating_duration_since(clock::now()), None).await;
    snapshots.into_iter().filter_map(|(position, snapshot)| Some((position, snapshot.ok()?))).collect()
}

/// Renders every resource with this data and no store, and returns the report of each group.
pub fn mock(catalog: &Arc<Catalog>, data: MockData) -> Vec<Report> {
    let terms = Arc::new(Terms::new(Arc::default(), LastStep::Mock(data), false));
    let in_hand = |resource: &Arc<Resource>| {
        let member = catalog.member(resource.name())?.clone();
        let (tree, mark, state) = (Tree::default(), Some(Mark::anything()), ResourceState::default());
        Some(InHand { member, tree, mark, refused: None, state })
    };
    let pass = |group: &Arc<Group>| {
        let resources = group.resources.iter().filter_map(in_hand).collect();
        Pass::new(Arc::clone(&terms), Arc::default(), Arc::clone(group), Revision::default(), resources)
    };
    catalog.groups.iter().map(pass).map(|pass| pass.rehearse().report).collect()
}
