//! The metrics under the names that confd's dashboards and alerts use. Pure.

use crate::model::report::CommandKind;
use crate::status::board::{Board, command_word};
use crate::status::names;

use super::{Page, flag, resources, shown_groups};

const KINDS: [CommandKind; 2] = [CommandKind::Check, CommandKind::Reload];

pub(super) fn families(page: &mut Page, board: &Board) {
    let store = &board.store;
    let requests = || store.requests.iter().map(|(operation, requests)| (vec![store.backend, *operation], requests));
    page.histograms(&names::CONFD_REQUEST_SECONDS, requests().map(|(labels, requests)| (labels, &requests.times)));
    let counted = requests().map(|(labels, requests)| (labels, requests.times.count() as f64));
    page.many(&names::CONFD_REQUESTS, counted);
    page.many(&names::CONFD_ERRORS, requests().map(|(labels, requests)| (labels, requests.failed as f64)));
    page.one(&names::CONFD_HEALTHY, &[store.backend], flag(store.is_followed()));
    let times = resources(board).map(|(_, resource)| (vec![resource.about.dest.as_str()], &resource.pass_times));
    page.histograms(&names::CONFD_TEMPLATE_SECONDS, times);
    let statuses = resources(board).flat_map(|(_, resource)| {
        let dest = resource.about.dest.as_str();
        [(vec![dest, "success"], resource.succeeded as f64), (vec![dest, "error"], resource.failed as f64)]
    });
    page.many(&names::CONFD_TEMPLATES, statuses);
    page.one(&names::CONFD_CACHE_HITS, &[], board.renders as f64);
    page.one(&names::CONFD_CACHE_MISSES, &[], board.templates_compiled as f64);
    page.one(&names::CONFD_STAT_HITS, &[], board.renders as f64);
    page.one(&names::CONFD_LOADED, &[], board.resources.len() as f64);
    page.one(&names::CONFD_KEYS, &[], board.watched_keys as f64);
    page.one(&names::CONFD_BATCHES, &[], board.passes.values().sum::<u64>() as f64);
    page.one(&names::CONFD_BATCHES_FAILED, &[], board.failed_passes as f64);
    page.one(&names::CONFD_BATCH_SUCCEEDED, &[], board.totals.succeeded as f64);
    page.one(&names::CONFD_BATCH_FAILED, &[], board.totals.failed as f64);
    commands(page, board);
    let syncs = resources(board).map(|(_, resource)| (vec![resource.about.dest.as_str()], resource.replaced as f64));
    page.many(&names::CONFD_SYNCS, syncs);
    page.one(&names::CONFD_CHANGED, &[], board.totals.replaced as f64);
    page.one(&names::CONFD_CLEANUP_ERRORS, &[], board.cleanup_errors as f64);
}

fn commands(page: &mut Page, board: &Board) {
    let runs = || {
        shown_groups(board).flat_map(|(_, group)| {
            KINDS
                .into_iter()
                .filter_map(|kind| Some((vec![command_word(kind), group.about.dest.as_str()], group.command(kind)?)))
        })
    };
    page.histograms(&names::CONFD_COMMAND_SECONDS, runs().map(|(labels, command)| (labels, &command.times)));
    page.many(&names::CONFD_COMMANDS, runs().map(|(labels, command)| (labels, command.times.count() as f64)));
    let exit_codes = board.totals.commands.iter().flat_map(|(kind, (succeeded, failed))| {
        [(vec![*kind, "0"], *succeeded as f64), (vec![*kind, "1"], *failed as f64)]
    });
    page.many(&names::CONFD_EXIT_CODES, exit_codes);
}
