//! The announcer's log lines, as sentences that stand on their own. Never decides anything.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::model::etcd::FailureKind;
use crate::model::receipt;
use crate::world::child::ChildEnd;

use super::draining::News;
use super::registrar::KeyNotice;

/// Most keys that one line names.
const MAX_NAMES: usize = 3;

/// Returns the keys in words.
fn names<S: AsRef<str>>(keys: &[S]) -> String {
    let first: Vec<&str> = keys.iter().take(MAX_NAMES).map(AsRef::as_ref).collect();
    match keys.len().saturating_sub(MAX_NAMES) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Logs the key of the service that the command line describes.
pub(super) fn one_service(key: &str) {
    tracing::info!(key, "announcing {key} as soon as its backend is healthy");
}

/// Logs that the files of the services were read, the second time with a reason.
pub(super) fn files_read(folder: &Path, services: usize, reason: Option<&str>) {
    let again = reason.map(|reason| format!(" again, because {reason}")).unwrap_or_default();
    tracing::info!(services, "read the services to announce from {}{again}: {services}", folder.display());
}

/// Logs why a folder has no services.
pub(super) fn vacant(reason: &str) {
    tracing::warn!(
        "{reason}: nothing is announced (hint: --config-dir names the folder of *.toml files with [[service]] tables)"
    );
}

/// Logs that a folder of service files cannot be read.
pub(super) fn unread(problem: &str) {
    tracing::error!("{problem}: the services that were read from it stay announced");
}

/// Logs the news of a key or of the connection to etcd. `is_draining`: the key's value says that its backend drains;
/// `is_held`: some key of ours may be in etcd.
pub(super) fn notice(notice: &KeyNotice, is_draining: bool, is_held: bool) {
    match notice {
        KeyNotice::Written(key, revision) if is_draining => {
            tracing::info!(
                key,
                revision = revision.0,
                "{key} now says that its backend is draining (revision {revision})"
            );
        }
        KeyNotice::Written(key, revision) => {
            tracing::info!(key, revision = revision.0, "announced {key} (revision {revision})")
        }
        KeyNotice::Removed(key, revision) => {
            tracing::info!(key, revision = revision.0, "removed {key} (revision {revision})")
        }
        KeyNotice::Taken(key, holder) => {
            tracing::warn!(key, "{key} is held by {holder}; it will be announced as soon as it is free");
        }
        KeyNotice::Held(key, holder) => {
            let hint =
                if holder.lease == 0 { "delete the key" } else { "stop one of the two, or give it a different id" };
            tracing::error!(
                key,
                "{key} has been held by {holder} for longer than a dead announcer could hold it (hint: {hint})"
            );
        }
        KeyNotice::Vanished(key) => tracing::warn!(key, "{key} was deleted by somebody else; announcing it again"),
        KeyNotice::Denied(key, problem) => {
            tracing::error!(
                key,
                "cannot write {key}, trying again later: {problem} (hint: its etcd user needs readwrite on the key)"
            );
        }
        KeyNotice::LeaseLost => tracing::warn!("the lease expired, and its keys with it; announcing them again"),
        KeyNotice::Lost { problem, retry_in } => {
            let retry_in_ms = retry_in.as_millis();
            let keys = if is_held {
                "the announced keys stay until their lease expires"
            } else {
                "nothing is announced until it can"
            };
            tracing::warn!(retry_in_ms, "etcd cannot be reached, trying again; {keys}: {problem}");
        }
        KeyNotice::Regained => tracing::info!("etcd can be reached again"),
    }
}

/// Logs that draining begins.
pub(super) fn draining(keys: &[String], limit: Duration) {
    let keys = names(keys);
    tracing::info!(
        limit_seconds = limit.as_secs_f64(),
        "draining: waiting until no balancer sends traffic to {keys}, at most {limit:?} (--drain-timeout)"
    );
}

/// Logs what the balancers' receipts say about the draining of these keys.
pub(super) fn receipts(news: &News, keys: &[&str], limit: Duration) {
    let list = |ids: &BTreeSet<String>| ids.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let keys = names(keys);
    match news {
        News::Nobody => tracing::info!(
            "no balancer can confirm that it has stopped sending traffic to {keys}, because none that reads it writes \
             receipts; waiting for all of --drain-timeout, {limit:?} (hint: run the agents with --receipts)"
        ),
        News::Waiting { agents, holding } => {
            tracing::info!("waiting for balancers that may still send traffic to {keys}: {}", list(agents));
            if !holding.is_empty() {
                let agents = list(holding);
                tracing::warn!(
                    agents,
                    "a guard of {agents} keeps the last backends of the service; waiting for other backends, or for all of \
                     --drain-timeout, {limit:?} (hint: a second signal ends the wait)"
                );
            }
        }
        News::Drained => {
            tracing::info!("drained: every balancer that reads {keys} has confirmed that it sends no traffic there");
        }
        News::Unreadable(failure) => {
            let hint = match failure.kind {
                FailureKind::Denied => format!(" (hint: the etcd user needs read on {}/)", receipt::FOLDER),
                _ => String::new(),
            };
            tracing::warn!(
                "cannot read which balancers still send traffic to {keys}, trying again for all of --drain-timeout, {limit:?}: \
                 {}{hint}",
                failure.problem
            );
        }
    }
}

/// Logs that draining ends although not every balancer has confirmed it.
pub(super) fn not_drained(keys: &[&str], reason: &str) {
    tracing::warn!("{reason}: stopping, though a balancer may still send traffic to {}", names(keys));
}

/// Logs that the keys are about to be removed.
pub(super) fn leaving(keys: &[String]) {
    if keys.is_empty() {
        tracing::info!("stopping: no key of ours is in etcd");
    } else {
        tracing::info!("stopping: removing {} from etcd", names(keys));
    }
}

/// Logs whether the keys were removed.
pub(super) fn left(keys: &[String], is_done: bool) {
    if is_done {
        keys.iter().for_each(|key| tracing::info!(key, "removed {key}"));
    } else {
        tracing::warn!("etcd has not confirmed that {} is removed; it goes when its lease expires", names(keys));
    }
}

/// Logs the end of the command.
pub(super) fn command_ended(ended: ChildEnd, is_early: bool) {
    if is_early {
        tracing::warn!("the command has ended before its backend was announced: {ended}");
    } else {
        tracing::info!("the command has ended: {ended}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_few_keys_and_counts_the_others() {
        assert_eq!(names(&["/a", "/b", "/c"]), "/a, /b, /c");
        assert_eq!(names(&["/a", "/b", "/c", "/d", "/e"]), "/a, /b, /c and 2 more");
    }
}
