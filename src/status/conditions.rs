//! What is not good right now, each with its cause, its start and what to do: made from the board and a look at what is running. The
//! page, the terminal, `/api/status`, the metrics and systemd's line all have it from here. Pure. Never acts on a condition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::endpoints::SILENT_AFTER_SECONDS;
use crate::model::nginx::NginxPlace;
use crate::model::report::Stage;
use crate::model::status::{Cause, Condition, ConditionKind, UnixTime};
use crate::model::text::counted;

use super::board::{Board, Failure, GroupBoard, ResourceBoard};

/// Most conditions that are shown. Every answer is made from all of them.
pub const MAX_CONDITIONS: usize = 200;
/// Most causes that are named of one.
const MAX_CAUSES: usize = 20;
/// A step that takes longer is reported, and an old worker that stays longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A look at what the board does not have.
#[derive(Clone, Debug)]
pub struct Look {
    /// The time.
    pub now: Instant,
    /// The time since 1970.
    pub unix_time: Duration,
    /// The groups with a running pass by id, each with the step that it is at and the start of that.
    pub running: BTreeMap<String, (Stage, Instant)>,
}

impl Look {
    /// Returns the time in seconds since 1970.
    pub fn unix_seconds(&self) -> u64 {
        self.unix_time.as_secs()
    }

    /// Returns a moment in seconds since 1970.
    pub(super) fn unix(&self, at: Instant) -> u64 {
        UnixTime::of(at, self.now, self.unix_time).0
    }
}

/// Returns everything that is not good, worst first.
pub fn conditions(board: &Board, look: &Look) -> Vec<Condition> {
    let mut found = Vec::new();
    stores(board, &mut found);
    nginx(board, look, &mut found);
    for problem in &board.problems {
        found.push(broken(&problem.what, problem.since, board));
    }
    for (id, (step, since)) in &look.running {
        let lasts = look.now.saturating_duration_since(*since) >= PATIENCE;
        if let Some((name, group)) = board.group_of(id).filter(|_| lasts) {
            found.push(slow(name, group, *step, look.unix(*since)));
        }
    }
    for group in board.groups.values() {
        found.extend(group.left.failures.iter().map(|failure| failed(failure, group, board)));
    }
    for (name, resource) in &board.resources {
        of_resource(name, resource, &mut found);
    }
    sort(&mut found);
    found
}

/// Brings conditions into their order, worst first.
pub fn sort(found: &mut [Condition]) {
    found.sort_by_key(|condition| (condition.kind, condition.since));
}

fn condition(kind: ConditionKind, subject: &str, since: u64, summary: String, advice: &str) -> Condition {
    Condition {
        kind,
        question: kind.question(),
        subject: subject.to_owned(),
        resources: Vec::new(),
        summary,
        reason: String::new(),
        step: None,
        causes: Vec::new(),
        since: UnixTime(since),
        next_try: None,
        advice: advice.to_owned(),
    }
}

/// Returns the names of the resources that match.
fn resources(board: &Board, is_so: impl Fn(&str, &ResourceBoard) -> bool) -> Vec<String> {
    board.resources.iter().filter(|(name, resource)| is_so(name, resource)).map(|(name, _)| name.to_string()).collect()
}

/// Returns something that is not good about one resource.
fn of_one(kind: ConditionKind, name: &str, since: u64, summary: String, advice: &str) -> Condition {
    Condition { resources: vec![name.to_owned()], ..condition(kind, name, since, summary, advice) }
}

fn stores(board: &Board, found: &mut Vec<Condition>) {
    for lost in board.store.lost() {
        let summary = format!("{} cannot be reached; the files of its resources stay as they are", lost.name);
        let advice = match lost.is_lasting {
            true => {
                "Fix the settings, the certificate or the file that the reason names; the agent retries automatically."
            }
            false => "Check the store and the network to it. The agent retries automatically.",
        };
        found.push(Condition {
            resources: resources(board, |_, resource| *resource.about.store == *lost.name),
            reason: lost.problem.to_owned(),
            causes: vec![Cause::Store(lost.name.to_owned())],
            next_try: Some(UnixTime(lost.next_try)),
            ..condition(ConditionKind::StoreAway, lost.name, lost.since, summary, advice)
        });
    }
}

fn nginx(board: &Board, look: &Look, found: &mut Vec<Condition>) {
    for (nginx, since) in board.nginx_away() {
        let pid_file = nginx.pid_file();
        let summary = format!("nginx is not running: the pid file `{pid_file}` names no running master process");
        let log = nginx.place.error_log.display();
        let advice = format!("Start nginx, which loads the files as they are now; `{log}` says why it ended.");
        let name = if board.nginx.len() > 1 { format!("nginx of {pid_file}") } else { "nginx".to_owned() };
        let causes = vec![Cause::Process(name.clone()), Cause::File(pid_file)];
        let place = |resource: &ResourceBoard| board.groups.get(&resource.about.group)?.nginx.as_ref();
        let resources =
            resources(board, |_, resource| place(resource).is_some_and(|place| place.is_same(&nginx.place)));
        let away = condition(ConditionKind::NginxAway, &name, since, summary, &advice);
        found.push(Condition { resources, causes, ..away });
    }
    for (name, since) in board.upstream_troubles.none_live(look.unix_seconds()) {
        let summary = format!("nginx has no live server left in upstream {name}");
        let advice = "Look at the backends of that upstream: nginx could reach none of them recently. It tries them again after fail_timeout.";
        let causes = vec![Cause::Process(format!("nginx upstream {name}"))];
        let reason = "no live upstreams while connecting to upstream".to_owned();
        let found_now = condition(ConditionKind::NoneLive, "nginx", since, summary, advice);
        found.push(Condition { reason, causes, ..found_now });
    }
    let is_old = |since: &u64| look.unix_seconds().saturating_sub(*since) >= PATIENCE.as_secs();
    let pinned: Vec<(i32, u64)> =
        board.leaving_since.iter().map(|(pid, since)| (*pid, *since)).filter(|(_, since)| is_old(since)).collect();
    if let Some(since) = pinned.iter().map(|(_, since)| *since).min() {
        let pids: Vec<String> = pinned.iter().take(MAX_CAUSES).map(|(pid, _)| pid.to_string()).collect();
        let (workers, have) = (counted(pinned.len(), "nginx worker"), if pinned.len() == 1 { "has" } else { "have" });
        let summary = format!("{workers} on an old configuration still {have} connections");
        let advice = "Nothing: each ends with its last connection. worker_shutdown_timeout in nginx.conf caps how long that takes.";
        found.push(Condition {
            causes: pids.into_iter().map(|pid| Cause::Process(format!("nginx worker {pid}"))).collect(),
            ..condition(ConditionKind::OldWorkers, "nginx", since, summary, advice)
        });
    }
}

fn broken(line: &str, since: u64, board: &Board) -> Condition {
    // As Problem prints it: `PLACE: MESSAGE`.
    let (place, message) = line.split_once(": ").unwrap_or(("conf.d", line));
    let summary = format!("{place} has an error; its resources keep their last good version");
    let advice = "Fix that line; the agent reads the file again when it changes.";
    let file = place.split(':').next().unwrap_or(place);
    let is_at = |name: &str| file.strip_suffix(name).is_some_and(|folder| folder.ends_with('/'));
    Condition {
        resources: resources(board, |name, resource| is_at(name) || is_at(&resource.about.src)),
        reason: message.to_owned(),
        causes: vec![Cause::File(place.to_owned())],
        ..condition(ConditionKind::Broken, file, since, summary, advice)
    }
}

fn slow(name: &str, group: &GroupBoard, step: Stage, since: u64) -> Condition {
    let (command, limit) = match step {
        Stage::Check => (group.about.check.as_ref(), "check_cmd_timeout"),
        Stage::Reload => (group.about.reload.as_ref(), "reload_cmd_timeout"),
        _ => (None, ""),
    };
    let summary = format!("{}: {step} is still running", group.named());
    let advice = match (step, command.and_then(|(_, timeout)| *timeout)) {
        (_, Some(timeout)) => {
            format!("Find out what it waits for. It is killed after {timeout:?} ({limit}) and retried later.")
        }
        (Stage::Check | Stage::Reload, None) if command.is_some() => {
            format!("Find out what it waits for. It may run for any time, because {limit} is 0.")
        }
        (Stage::Check | Stage::Reload, None) => "Find out what it waits for.".to_owned(),
        (Stage::Read | Stage::Render, None) => {
            "Find out what it waits for; --render-timeout caps how long it may run.".to_owned()
        }
        (Stage::Verify, None) => {
            "Wait: nginx starts its new workers. The agent gives up by itself, and says so.".to_owned()
        }
        (Stage::Stage | Stage::Record | Stage::Install | Stage::Restore | Stage::Commit, None) => {
            "Look at the disk: these steps only write and sync small files.".to_owned()
        }
    };
    let cause = match command {
        Some((text, _)) => Cause::Process(text.clone()),
        None => Cause::Process(format!("{step} of {name}")),
    };
    let resources = group.members.iter().map(|name| name.to_string()).collect();
    let slow = condition(ConditionKind::Slow, &group.named(), since, summary, &advice);
    Condition { resources, causes: vec![cause], ..slow }
}

fn failed(failure: &Failure, group: &GroupBoard, board: &Board) -> Condition {
    let more = if failure.more == 0 { String::new() } else { format!(" and {} more", failure.more) };
    let names = format!("{}{more}", failure.names.join(" "));
    let is_down = failure.is_nothing_running();
    let (then, advice) = match failure.kind {
        ConditionKind::Stuck => (
            "restoring the previous files failed too",
            "Look at the named files now: some may be new and some old. The agent retries on every pass.",
        ),
        ConditionKind::ReloadOwed if is_down => {
            ("the checked files are in place and wait for it", "Start nginx: it loads these files when it starts.")
        }
        ConditionKind::ReloadOwed => (
            "the checked files are in place, but their reload failed",
            "Fix what prevents the reload; the agent then reloads automatically.",
        ),
        ConditionKind::ReloadRefused if failure.owes_reload => (
            "the previous files are back, but reloading them failed too",
            "Fix what prevents the reload; the agent then reloads automatically.",
        ),
        ConditionKind::ReloadRefused => (
            "the old configuration is back and still serves",
            "Revert the named key or template; nginx's error log has the full message. A zone whose key or size changes needs a new name, or a restart of nginx.",
        ),
        ConditionKind::CheckRefused => (
            "the last good file stays live",
            "Fix the named key or the template; the agent retries on every change, and automatically.",
        ),
        ConditionKind::Failed if failure.step == Stage::Commit => (
            "what is in place now serves on",
            "Make the state folder writable. Until then the agent can change nothing, and a start of the agent puts the files from before the last change back.",
        ),
        _ => (
            "the last good file stays live",
            "Fix what is named; the agent retries on every change, and automatically.",
        ),
    };
    let since = match failure.kind {
        ConditionKind::ReloadOwed => group.owed_since.unwrap_or(failure.since),
        _ => failure.since,
    };
    let summary = format!("{names}: {}; {then}", failure.summary);
    let advice = match refused_line(failure, board) {
        Some(line) => {
            format!("{advice} `upstreamd render {} --line {line}` prints the refused line.", failure.names[0])
        }
        None => advice.to_owned(),
    };
    Condition {
        resources: failure.resources.iter().map(|name| name.to_string()).collect(),
        reason: failure.reason.clone(),
        step: Some(failure.step.to_string()),
        causes: owes_to(failure, group, board).chain(failure.causes.iter().cloned()).take(MAX_CAUSES).collect(),
        next_try: group.left.next_try.map(UnixTime),
        ..condition(failure.kind, &names, since, summary, &advice)
    }
}

/// Returns what a reload that is owed waits for: its nginx, or else its command. The keys beside it only wait with it.
fn owes_to(failure: &Failure, group: &GroupBoard, board: &Board) -> impl Iterator<Item = Cause> {
    let is_owed = failure.kind == ConditionKind::ReloadOwed;
    let is_away = |place: &NginxPlace| board.nginx_away().any(|(nginx, _)| nginx.place.is_same(place));
    let what = match (group.nginx.as_ref().filter(|place| is_away(place)), &group.about.reload) {
        (Some(place), _) => Some(format!("nginx of {}", place.pid_file.display())),
        (None, Some((command, _))) => Some(command.clone()),
        (None, None) => None,
    };
    what.filter(|_| is_owed).map(Cause::Process).into_iter()
}

/// Returns the number of the line in the file of one resource that a check refused.
fn refused_line<'f>(failure: &'f Failure, board: &Board) -> Option<&'f str> {
    let [name] = failure.names.as_slice() else { return None };
    let dest = &board.resources.get(name.as_str()).filter(|_| failure.kind == ConditionKind::CheckRefused)?.about.dest;
    failure.causes.iter().find_map(|cause| match cause {
        Cause::File(place) => place.strip_prefix(dest.as_str())?.strip_prefix(':'),
        _ => None,
    })
}

fn of_resource(name: &Arc<str>, resource: &ResourceBoard, found: &mut Vec<Condition>) {
    let troubles = &resource.troubles;
    let keys = || resource.about.keys.iter().take(MAX_CAUSES).cloned().map(Cause::Key).collect::<Vec<_>>();
    if let Some(held) = &troubles.held {
        let (until, advice) = match held.what.until {
            Some(_) => (
                " for now",
                format!(
                    "If the removal is intended, wait, or loosen the guard in {name}. If not, find out why the keys are gone."
                ),
            ),
            None => (
                "",
                format!("Put the keys back. If the removal is intended, set on_empty or loosen the guard in {name}."),
            ),
        };
        let summary = format!("{name}: backends are gone from the store; a guard keeps the last good file{until}");
        found.push(Condition {
            reason: held.what.reason.clone(),
            causes: keys(),
            next_try: held.what.until.map(UnixTime),
            ..of_one(ConditionKind::Held, name, held.since, summary, &advice)
        });
    }
    if let Some(refused) = &troubles.refused {
        let summary = format!("{name}: the store denies read access to its keys; its file stays as it is");
        let advice = "Grant the agent's role in etcd read access to these keys; the agent retries automatically.";
        found.push(Condition {
            reason: refused.what.clone(),
            causes: keys(),
            ..of_one(ConditionKind::KeysRefused, name, refused.since, summary, advice)
        });
    }
    if let Some(waits) = &troubles.waits {
        let summary = format!("{name}: is waiting for keys before its first file goes live");
        let advice = "Create the named keys, or wait until wait_timeout has passed.";
        let causes = waits.what.iter().take(MAX_CAUSES).cloned().map(Cause::Key).collect();
        found.push(Condition { causes, ..of_one(ConditionKind::Waiting, name, waits.since, summary, advice) });
    }
    without_traffic(name, resource, found);
    if let Some(untaken) = &troubles.untaken {
        let summary = format!("{name}: nginx has not asked for its changed endpoints yet");
        let advice = format!(
            "nginx asks about once a second; if it stops asking, the agent reloads it after {SILENT_AFTER_SECONDS} s."
        );
        let causes = vec![Cause::Process("nginx".to_owned())];
        found.push(Condition { causes, ..of_one(ConditionKind::Untaken, name, untaken.since, summary, &advice) });
    }
    if let Some(unread) = &troubles.unread {
        let summary = format!("{name}: nginx never reads what is written to {}", resource.about.dest);
        let advice = "Follow the hint in the reason, then reload nginx; the agent checks again automatically.";
        let causes = vec![Cause::File(resource.about.dest.clone())];
        let reason = unread.what.clone();
        let unread = of_one(ConditionKind::Unread, name, unread.since, summary, advice);
        found.push(Condition { reason, causes, ..unread });
    }
    skipped(name, resource, found);
}

fn without_traffic(name: &Arc<str>, resource: &ResourceBoard, found: &mut Vec<Condition>) {
    let Some(since) = resource.lists_without_traffic().map(|(_, _, since)| since).min() else { return };
    let whole = |folder: &str| format!("{}{}", resource.about.prefix, folder.trim_end_matches('/'));
    let (first, total) = (resource.lists_without_traffic().next(), resource.lists_without_traffic().count());
    let summary = match first {
        Some((id, folder, _)) if total == 1 => format!("{id}: no backend of {} gets traffic", whole(folder)),
        _ => format!("{name}: {total} lists have no backend that gets traffic"),
    };
    let advice = "Announce a backend under the named keys, or find out why none of them is up.";
    let lists = resource.lists_without_traffic().take(MAX_CAUSES);
    let causes = lists.map(|(_, folder, _)| Cause::Key(whole(folder))).collect();
    found.push(Condition { causes, ..of_one(ConditionKind::NoBackends, name, since, summary, advice) });
}

fn skipped(name: &Arc<str>, resource: &ResourceBoard, found: &mut Vec<Condition>) {
    let Some(since) = resource.files_with_skipped().map(|skipped| skipped.since).min() else { return };
    let total = resource.skipped();
    let (keys, is) = (counted(total, "key"), if total == 1 { "is" } else { "are" });
    let summary = format!("{name}: {keys} {is} left out; the other backends stay");
    let advice = "Fix the value of the named key, or remove the key.";
    let named: Vec<_> =
        resource.files_with_skipped().flat_map(|skipped| &skipped.what.named).take(MAX_CAUSES).collect();
    let reason = named.iter().take(3).map(|(key, reason)| format!("{key}: {reason}")).collect::<Vec<_>>().join("; ");
    found.push(Condition {
        reason,
        causes: named.iter().map(|(key, _)| Cause::Key(key.clone())).collect(),
        ..of_one(ConditionKind::KeySkipped, name, since, summary, advice)
    });
}
