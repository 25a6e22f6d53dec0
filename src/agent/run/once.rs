//! One pass: loads, reads every store once, applies once, and ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::engine::Engine;
use crate::agent::loaded;
use crate::agent::stores::Stores;
use crate::agent::supervision::{Request, meaning};
use crate::model::event::Event;
use crate::model::report::Report;
use crate::world::clock;
use crate::world::signals::Signals;

use super::{Pass, Plan, heal, log_problems};

/// Loads, reads the store once, applies once.
pub async fn once(plan: Plan) -> Pass {
    let loaded = loaded::load(&plan.sources, &plan.facts, None);
    log_problems(&loaded);
    if plan.preview.is_none() {
        heal(&plan.context, &loaded).await;
    }
    let mut pass = Pass { problems: loaded.problems.clone(), ..Pass::default() };
    let mut signals = Signals::listen();
    if plan.fail_fast && !pass.problems.is_empty() {
        return pass;
    }
    let now = clock::now();
    let mut engine = Engine::new(Arc::clone(&plan.context), loaded, plan.preview, false, plan.board, now);
    if plan.fail_fast {
        engine = engine.one_at_a_time();
    }
    let mut stores = Stores::new(plan.store, false);
    stores.set(&engine.loaded().stores);
    for (position, snapshot) in stores.first_snapshots(plan.store_timeout).await {
        match snapshot {
            Ok(snapshot) => engine.take_event(position, snapshot, clock::now()),
            Err(problem) => pass.store_problems.push(problem),
        }
    }
    loop {
        let is_over =
            plan.fail_fast && (!pass.store_problems.is_empty() || pass.reports.iter().any(Report::has_failed));
        let one_runs = plan.fail_fast && engine.is_busy();
        if !pass.interrupted && !is_over && !one_runs {
            let ended = engine.start_due(clock::now());
            let is_next = plan.fail_fast && !ended.is_empty();
            pass.reports.extend(ended);
            if is_next {
                continue;
            }
        }
        tokio::select! {
            biased;
            finished = engine.next_finished() => match finished {
                None => {
                    let waits = engine.waits_until().filter(|_| !pass.interrupted && !is_over);
                    let Some(until) = waits else { return pass };
                    tokio::select! {
                        snapshots = look_again(&mut stores, until) => {
                            for (position, snapshot) in snapshots {
                                engine.take_event(position, snapshot, clock::now());
                            }
                        }
                        signal = signals.next() => pass.interrupted |= meaning(signal, false).0 == Request::Stop,
                    }
                }
                Some(finished) => {
                    for (id, report) in finished {
                        pass.reports.push(engine.finish(&id, report, clock::now()));
                    }
                }
            },
            signal = signals.next() => pass.interrupted |= meaning(signal, false).0 == Request::Stop,
        }
    }
}

/// Another snapshot a moment later, for a resource that waits for its keys until then.
async fn look_again(stores: &mut Stores, until: Instant) -> Vec<(usize, Event)> {
    const PAUSE: Duration = Duration::from_secs(1);
    tokio::time::sleep_until(until.min(clock::now() + PAUSE).into()).await;
    stores.resync();
    let snapshots = stores.first_snapshots(until.saturating_duration_since(clock::now())).await;
    snapshots.into_iter().filter_map(|(position, snapshot)| Some((position, snapshot.ok()?))).collect()
}
