//! Log lines of passes and reloads: one function for each event. Never logs a key's value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::model::backend_change::BackendChange;
use crate::model::key::Revision;
use crate::model::nginx::NginxPlace;
use crate::model::note::{Note, Severity};
use crate::model::report::{Outcome, Report, Stage, StepFailure, Verified};
use crate::model::resource::{InstanceId, Resource};
use crate::model::store::StoreSettings;
use crate::model::text;
use crate::nginx::error_log::said_of;

use super::fields::{NameList, time_text};

/// Longest part of a command's output in a log line, in bytes.
const MAX_LOGGED_OUTPUT_BYTES: usize = 2000;

/// Most skipped keys that are named at once.
const MAX_NAMED: usize = 100;
/// Longest part of a key in a log line, in characters.
const MAX_KEY_CHARACTERS: usize = 256;

/// Most failures of a pass that are named: at first, and each time that they repeat.
const MAX_NAMED_FAILURES: usize = 20;
const MAX_NAMED_REPEATS: usize = 5;

/// Logs a note of a pass.
pub fn note(note: &Note) {
    match note {
        Note::Skipped { id, new, total } => skipped(id, new, *total),
        Note::Guarded { resource, decision, count, .. } => match note.severity() {
            Severity::Silent => {}
            Severity::Info if decision.loss.is_none() => {
                tracing::info!(resource = %resource.id, count, "{}: {note}", resource.id)
            }
            Severity::Info => tracing::info!(resource = %resource.id, "{}: {note}", resource.id),
            Severity::Warning => tracing::warn!(resource = %resource.id, "{}: {note}", resource.id),
        },
        Note::Waits { resource, .. } => tracing::info!(resource = %resource.id, "{}: {note}", resource.id),
        Note::GaveUpWaiting { resource, .. } => tracing::warn!(resource = %resource.id, "{}: {note}", resource.id),
        Note::CountNotSaved { id, .. } => tracing::warn!(resource = %id, "{id}: {note}"),
    }
}

/// Logs keys that were skipped for the first time, each with its reason; `total` counts those known before too.
fn skipped(resource: &InstanceId, new: &[(String, String)], total: usize) {
    for (key, reason) in new.iter().take(MAX_NAMED) {
        let key = text::shortened(key, MAX_KEY_CHARACTERS);
        let key = key.escape_debug();
        tracing::warn!(%resource, %key, total, "{resource}: skipped {key}, the other backends stay: {reason}");
    }
    let unnamed = new.len().saturating_sub(MAX_NAMED);
    if unnamed > 0 {
        let unnamed = text::counted(unnamed, "more key");
        tracing::warn!(%resource, total, "{resource}: skipped {unnamed}, the other backends stay");
    }
}

/// Logs what a pass did to a group. `repeated` is the number of equal failures in a row before this one; repeats get a short line.
/// `backends` are the changes in the files that were written; `since` is the start of what has not ended, in seconds since 1970.
pub fn pass(report: &Report, backends: &BTreeMap<PathBuf, BackendChange>, repeated: u32, since: Option<u64>) {
    // A reload that is owed may be of files that are all held, or refused.
    let others =
        report.held.iter().map(|(id, _)| &id.resource).chain(report.dropped.iter().map(|(id, _)| &id.resource));
    let others: BTreeSet<Arc<str>> = others.filter(|_| report.resources.is_empty()).cloned().collect();
    let all = NameList::of(report.resources.iter().chain(&others));
    let revision = report.revision.0;
    let elapsed_ms = milliseconds(report.elapsed);
    let since = Since(since);
    for warning in &report.warnings {
        tracing::warn!(resources = ?all, "{warning}");
    }
    // What the store refuses is logged when it begins.
    let is_said = |failure: &StepFailure| failure.at != Stage::Read && !failure.is_undecided();
    let failures: Vec<_> = report.dropped.iter().filter(|(_, failure)| is_said(failure)).collect();
    let most = if repeated == 0 { MAX_NAMED_FAILURES } else { MAX_NAMED_REPEATS };
    for (id, failure) in failures.iter().take(most) {
        failed(&NameList(vec![id.to_string()]), revision, failure, "its file is left as it is", repeated, since);
    }
    if let Some(unnamed) = failures.len().checked_sub(most).filter(|unnamed| *unnamed > 0) {
        let unnamed = text::counted(unnamed, "more file");
        tracing::warn!(resources = ?all, revision, "{all}: {unnamed} failed too (hint: upstreamd_resource_failing names each)");
    }
    // Dropped resources are already logged and take no part in the rest.
    let dropped = |name: &Arc<str>| report.dropped.iter().any(|(id, _)| id.item.is_none() && id.resource == *name);
    let resources = NameList::of(report.resources.iter().filter(|name| !dropped(name)));
    // If every resource dropped out, the rest is about all of them: removed files of a `for_each`, for example.
    let resources = if resources.0.is_empty() { all } else { resources };
    match &report.outcome {
        Outcome::Unchanged => {
            tracing::debug!(?resources, revision, elapsed_ms, "{resources}: in sync at revision {revision}")
        }
        Outcome::Applied => {
            let reloaded = if report.reload_ran { ", reloaded" } else { "" };
            for (dest, action) in report
                .files
                .iter()
                .map(|dest| (dest, "updated"))
                .chain(report.removed.iter().map(|dest| (dest, "removed")))
            {
                let change = backends.get(dest).map(|change| format!(": {change}")).unwrap_or_default();
                let n_backends = backends.get(dest).map(|change| change.total);
                let dest = dest.display();
                tracing::info!(
                    %dest,
                    revision,
                    backends = n_backends,
                    elapsed_ms,
                    reloaded = report.reload_ran,
                    "{action} {dest}{change} (revision {revision}{reloaded}, {elapsed_ms:.3} ms)"
                );
            }
            if report.file_count() == 0 && report.reload_ran {
                tracing::info!(
                    ?resources,
                    revision,
                    elapsed_ms,
                    "{resources}: reloaded, no file changed (the reload was owed)"
                );
            }
            if let Some(verified) = &report.verified {
                proven(&resources, revision, verified);
            }
        }
        Outcome::ReloadOwed { cause, nothing_runs: true } => {
            if repeated == 0 {
                tracing::warn!(
                    ?resources,
                    revision,
                    "{resources}: checked files are in place, the reload is owed: {}",
                    cause.message
                );
            } else {
                tracing::debug!(
                    ?resources,
                    revision,
                    attempt = repeated + 1,
                    "{resources}: the reload is still owed{since}: {}",
                    cause.message
                );
            }
        }
        Outcome::ReloadOwed { cause, nothing_runs: false } => {
            let then = match cause.at {
                Stage::Commit => "the new files are live all the same, and the journal is written with the next pass",
                _ => "the checked files stay, the reload is owed",
            };
            failed(&resources, revision, cause, then, repeated, since);
        }
        Outcome::Rejected(cause) => failed(&resources, revision, cause, "nothing was changed", repeated, since),
        Outcome::RolledBack { cause, reload_old } => {
            failed(&resources, revision, cause, "the previous files are back", repeated, since);
            if let Some(failure) = reload_old {
                failed(&resources, revision, failure, "reloading the previous files failed too", repeated, since);
            }
        }
        Outcome::Stuck { cause, undo } => {
            failed(&resources, revision, cause, "trying to restore the previous files", 0, since);
            failed(&resources, revision, undo, "STUCK: the previous files could not be restored", 0, since);
        }
    }
}

/// Logs that resources that failed have recovered, after so many failed passes in this time.
pub fn recovered(resources: &BTreeSet<Arc<str>>, failures: u64, after: Duration) {
    let resources = NameList::of(resources);
    let seconds = after.as_secs();
    let attempts = if failures == 1 { "attempt" } else { "attempts" };
    let have = if resources.0.len() > 1 { "have" } else { "has" };
    tracing::info!(
        ?resources,
        failures,
        failing_seconds = seconds,
        "{resources} {have} recovered (after {failures} failed {attempts}, {seconds} s)"
    );
}

/// Logs what stays while conf.d or templates have problems: the last good version of these resources, and every other file.
pub fn broken<'a>(kept: impl Iterator<Item = &'a Arc<str>>) {
    let resources = NameList::of(kept);
    if resources.0.is_empty() {
        tracing::warn!("what has a problem in conf.d or templates is left out; its file stays as it is");
    } else {
        tracing::warn!(
            ?resources,
            "{resources}: the last good version stays in use until conf.d and templates are mended"
        );
    }
}

/// Logs that all problems of conf.d and templates are gone.
pub fn mended() {
    tracing::info!("conf.d and templates have no problem any more");
}

/// Logs that a round found every file as wanted.
pub fn up_to_date(n_resources: usize, revision: Option<Revision>) {
    let what = match n_resources {
        1 => "the resource is".to_owned(),
        n => format!("all {n} resources are"),
    };
    let at = revision.map_or(String::new(), |revision| format!(" (revision {revision})"));
    tracing::info!(count = n_resources, revision = revision.map(|revision| revision.0), "{what} up to date{at}");
}

/// Logs that the store refuses keys of a resource.
pub fn refused(resource: &str, message: &str) {
    tracing::error!(%resource, "{resource}: {message}; its file is left as it is");
}

/// Logs that the store shows the keys of a resource again.
pub fn readable_again(resource: &str) {
    tracing::info!(%resource, "{resource}: the store lets all of its keys be read again");
}

/// The commit that was built, if the build knew it.
pub const COMMIT: &str = match option_env!("UPSTREAMD_GIT_SHA") {
    Some(commit) => commit,
    None => "unknown",
};

/// Logs the start of the program: its mode, confdirs and store, the settings file that was read, and the global prefix.
pub fn starting(
    mode: &str,
    confdirs: &[PathBuf],
    store: &StoreSettings,
    config_file: Option<&Path>,
    state_dir: Option<&Path>,
    prefix: &str,
) {
    let confdirs = NameList(confdirs.iter().map(|confdir| confdir.display().to_string()).collect());
    let shown = |path: Option<&Path>| path.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let (config_file, state_dir) = (shown(config_file), shown(state_dir));
    let prefix = if prefix.is_empty() { "/" } else { prefix };
    tracing::info!(
        confdir = ?confdirs,
        %store,
        config_file,
        state_dir,
        prefix,
        commit = COMMIT,
        "upstreamd {} started ({mode})",
        env!("CARGO_PKG_VERSION")
    );
}

/// Logs the proof of a reload of nginx.
fn proven(resources: &NameList, revision: i64, verified: &Verified) {
    tracing::info!(
        ?resources,
        revision,
        accepted_ms = milliseconds(verified.accepted),
        healthy_ms = milliseconds(verified.healthy),
        converged_ms = verified.converged.map(milliseconds),
        generation_ms = verified.generation.map(milliseconds),
        workers = verified.serving,
        leaving = verified.leaving.len(),
        "verified the reload of nginx for {resources}: healthy after {} ms",
        verified.healthy.as_millis()
    );
}

/// Logs that the last worker of an earlier configuration has ended.
pub fn drained(resources: &[Arc<str>], revision: Revision, after: Duration) {
    drained_because("no worker of nginx has the previous configuration any more", resources, revision, after);
}

/// Logs that a backend that was removed is no longer in use.
pub fn drained_early(resources: &[Arc<str>], revision: Revision, after: Duration) {
    drained_because("nginx has no connection to a removed backend any more", resources, revision, after);
}

fn drained_because(why: &str, resources: &[Arc<str>], revision: Revision, after: Duration) {
    let drained_ms = milliseconds(after);
    let resources = NameList::of(resources);
    tracing::info!(?resources, revision = revision.0, drained_ms, "{resources}: drained, {why}");
}

/// Logs that nginx serves with workers from before the last reload.
pub fn disproved(resources: &[Arc<Resource>]) {
    let names: Vec<&str> = resources.iter().map(|resource| &**resource.name()).collect();
    let resources = names.join(" ");
    tracing::warn!(
        %resources,
        "{resources}: nginx serves an earlier configuration than the one of its last reload, because workers that started before it \
         still serve; reloading again"
    );
}

/// Logs that no nginx runs at the first look.
pub fn nginx_absent(place: &NginxPlace) {
    let pid_file = place.pid_file.display();
    tracing::info!(%pid_file, "nginx is not running (no master by `{pid_file}`)");
}

/// Logs that the master of nginx has ended.
pub fn nginx_away(place: &NginxPlace) {
    let pid_file = place.pid_file.display();
    tracing::warn!(%pid_file, "nginx is no longer running (no master by `{pid_file}`); it reads the files when it starts");
}

/// Logs that nginx runs, after this time without.
pub fn nginx_back(place: &NginxPlace, after: Duration) {
    let (pid_file, away_seconds) = (place.pid_file.display(), after.as_secs());
    tracing::info!(%pid_file, away_seconds, "nginx is running (a master by `{pid_file}`), after {away_seconds} s without");
}

/// Logs a change of the pace of reloads: `stretch` times the shortest interval; `None` means no reloads.
pub fn spread(stretch: Option<u32>, leaving: usize) {
    const HINT: &str = "hint: worker_shutdown_timeout bounds how long connections keep them";
    match stretch {
        Some(1) => tracing::info!(leaving, "old workers of nginx have ended; reloads are back to their usual pace"),
        Some(stretch) => tracing::warn!(
            leaving,
            stretch,
            "old workers of nginx pile up; spreading reloads that only add something ({HINT})"
        ),
        None => tracing::error!(leaving, "too many old workers of nginx; no reload until some have ended ({HINT})"),
    }
}

fn failed(resources: &NameList, revision: i64, failure: &StepFailure, consequence: &str, repeated: u32, since: Since) {
    if repeated > 0 {
        let words = said_of(failure).map_or(String::new(), |words| format!(": {}", output_line(&words)));
        tracing::warn!(
            ?resources,
            revision,
            attempt = repeated + 1,
            "{resources}: still failing{since}: {failure}{words} ({consequence})"
        );
        return;
    }
    let output = match output_line(&failure.output) {
        output if output.contains("does not support parameter \"backup\"") => {
            format!("; output: {output} (docs/endpoints.md, \"What an upstream needs\": methods that know no backups)")
        }
        output if output.is_empty() => output,
        output => format!("; output: {output}"),
    };
    let hint = match (failure.at, &resources.0[..]) {
        // What the check quotes a line of is not on the disk.
        _ if output.is_empty() || failure.not_run().is_some() => String::new(),
        (Stage::Check, [name]) => match &failure.place {
            Some((_, line)) => {
                format!(
                    " (hint: `upstreamd render {name} --line {line}` with the agent's own flags shows the refused line)"
                )
            }
            None => format!(" (hint: `upstreamd render {name}` with the agent's own flags prints the refused file)"),
        },
        (Stage::Check, _) => {
            " (hint: `upstreamd render NAME` with the agent's own flags prints a refused file)".to_owned()
        }
        _ => String::new(),
    };
    tracing::error!(?resources, revision, "{resources}: {failure} ({consequence}){output}{hint}");
}

/// The start of what has not ended, in seconds since 1970. Prints ` since 2025-01-14T10:30:00Z`, or nothing.
#[derive(Clone, Copy)]
struct Since(Option<u64>);

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(since) => write!(f, " since {}", time_text(since)),
            None => Ok(()),
        }
    }
}

/// Returns a duration as the log's fields have it.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Shortens command output to one line.
pub fn output_line(output: &str) -> String {
    let mut end = output.len().min(MAX_LOGGED_OUTPUT_BYTES);
    while !output.is_char_boundary(end) {
        end -= 1;
    }
    let mut line = output[..end].trim().replace('\n', " | ");
    if end < output.len() {
        line.push_str(" [cut]");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_becomes_one_bounded_line() {
        assert_eq!(output_line("a\nb\n"), "a | b");
        let long = output_line(&"ü".repeat(5000));
        assert!(long.len() <= MAX_LOGGED_OUTPUT_BYTES + 6 && long.ends_with(" [cut]"));
    }
}
