//! The status and explanations as text for a terminal, or for a file without colours. Pure: returns text, never prints.

use crate::model::status::{
    Axis, BackendFailure, BackendLine, ChangeStatus, Condition, ConditionKind, Explanation, HeardRevision, NginxStatus,
    ReceiptLease, Status, StatusQuestion, StoreMember, StoreStatus, UnixTime, UpstreamStatus,
};
use crate::model::text::{self, counted};
use crate::status::span::span;

mod announced;
mod fleet;

pub use announced::announced;

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// Most changes, and most backends of a list that was not asked for, that are shown.
const MAX_CHANGES: usize = 5;
const MAX_BACKENDS: usize = 10;
/// Longest text of others in one line, in characters.
const MAX_CHARACTERS: usize = 300;

/// A text under construction.
struct StatusWriter {
    text: String,
    has_color: bool,
    now: UnixTime,
}

/// Returns the status as text. All backends of this list are shown; of the others some.
pub fn status(status: &Status, has_color: bool, list: Option<&str>) -> String {
    let mut page = StatusWriter { text: String::new(), has_color, now: status.at };
    page.axis("in sync", &status.sync);
    page.axis("serving", &status.service);
    for condition in &status.conditions {
        page.text.push('\n');
        page.condition(condition);
    }
    let shown = status.upstreams.iter().filter(|upstream| list.is_none_or(|list| is_meant(upstream, list)));
    let shown: Vec<&UpstreamStatus> = shown.collect();
    if let Some(list) = list.filter(|_| shown.is_empty()) {
        page.line(&format!("\nno list of backends is called {list}"));
    }
    if !shown.is_empty() {
        page.head("Upstreams");
        shown.iter().for_each(|upstream| page.upstream(upstream, list.is_some()));
    }
    if list.is_none() {
        page.rest(status);
    }
    page.text
}

/// Returns whether it is a list with this folder, destination or resource.
pub fn is_meant(upstream: &UpstreamStatus, list: &str) -> bool {
    [&upstream.folder, &upstream.dest, &upstream.resource].into_iter().any(|name| name == list)
}

/// Returns an explanation as text.
pub fn explanation(explanation: &Explanation, now: UnixTime, has_color: bool) -> String {
    let mut page = StatusWriter { text: String::new(), has_color, now };
    for step in &explanation.steps {
        let mark = match step.ok {
            Some(true) => page.painted(GREEN, "ok "),
            Some(false) => page.painted(RED, "NO "),
            None => "   ".to_owned(),
        };
        page.line(&format!("{mark}{:<9}{}", step.step, one_line(&step.text)));
    }
    match explanation.conditions.is_empty() {
        true if explanation.is_known && !explanation.lacks_key() => {
            page.line("\nNothing stands in the way.");
        }
        true => {}
        false => page.head("In the way"),
    }
    for (n, condition) in explanation.conditions.iter().enumerate() {
        if n > 0 {
            page.text.push('\n');
        }
        page.condition(condition);
    }
    page.text
}

/// Returns a text of others in one line, without anything that a terminal obeys.
fn one_line(said: &str) -> String {
    text::one_line(said, MAX_CHARACTERS, ' ')
}

impl StatusWriter {
    fn painted(&self, paint: &str, text: &str) -> String {
        if self.has_color { format!("{paint}{text}{PLAIN}") } else { text.to_owned() }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn head(&mut self, head: &str) {
        let head = self.painted(BOLD, head);
        self.line(&format!("\n{head}"));
    }

    /// Returns a moment with the time since then.
    fn ago(&self, at: UnixTime) -> String {
        format!("{at} ({} ago)", span(self.now.seconds_since(at)))
    }

    fn axis(&mut self, question: &str, axis: &Axis) {
        let answer = match axis.ok {
            Some(true) => self.painted(GREEN, "yes"),
            Some(false) => self.painted(RED, "NO "),
            None => axis.answer.word().to_owned(),
        };
        let since = axis.since.map_or(String::new(), |since| format!(", since {}", self.ago(since)));
        self.line(&format!("{question}: {answer}  {}{since}", one_line(&axis.summary)));
    }

    fn condition(&mut self, condition: &Condition) {
        let paint = if condition.question == StatusQuestion::Notice { YELLOW } else { RED };
        let label = self.painted(paint, condition.kind.label());
        let notice = match condition.kind {
            ConditionKind::OldWorkers => " (no action needed)",
            _ => "",
        };
        self.line(&format!("{label}: {}{notice}", one_line(&condition.summary)));
        if !condition.reason.is_empty() {
            self.field("reason", &one_line(&condition.reason));
        }
        for (n, cause) in condition.causes.iter().enumerate() {
            self.field(if n == 0 { "cause" } else { "" }, &format!("{} {}", cause.word(), one_line(cause.name())));
        }
        self.field("since", &self.ago(condition.since));
        if let Some(at) = condition.next_try {
            let waits = at.0.checked_sub(self.now.0).filter(|seconds| *seconds > 0);
            let due = waits.map_or("now".to_owned(), |seconds| format!("{at} (in {})", span(seconds)));
            match condition.kind {
                ConditionKind::Held => self.field("held until", &format!("{due}; then the removal is applied")),
                _ => self.field("next try", &due),
            }
        }
        self.field("what to do", &condition.advice);
    }

    fn field(&mut self, name: &str, said: &str) {
        let name = self.painted(DIM, &format!("{name:<10} "));
        self.line(&format!("  {name}{said}"));
    }

    fn upstream(&mut self, upstream: &UpstreamStatus, is_whole: bool) {
        let UpstreamStatus { folder, dest, driven_by, total, serving, in_store, backends, .. } = upstream;
        let in_store = in_store.map_or(String::new(), |in_store| format!(" ({in_store} in the store)"));
        let why = if upstream.is_without_nginx() { ": nginx down" } else { "" };
        let count = format!("{serving} of {} serving{why}{in_store}", counted(*total, "backend"));
        let count = if *serving == 0 { self.painted(RED, &count) } else { count };
        self.line(&format!("  {}  {count}; updated by {driven_by}, in {}", one_line(folder), one_line(dest)));
        let most = if is_whole { usize::MAX } else { MAX_BACKENDS };
        backends.iter().take(most).for_each(|backend| self.backend(backend));
        let unshown = total.saturating_sub(backends.len().min(most));
        if unshown > 0 {
            self.line(&format!("    and {unshown} more (upstreamd status {})", one_line(folder)));
        }
    }

    fn backend(&mut self, backend: &BackendLine) {
        let BackendLine { address, key, state, since, weight, announcer, connections, last_failure, is_gone } = backend;
        let gone = if *is_gone { self.painted(YELLOW, ", gone from the store") } else { String::new() };
        let paint = if matches!(state.as_str(), "up" | "backup") { GREEN } else { YELLOW };
        let state = self.painted(paint, &format!("{state:<8}"));
        let connections = connections.map_or(String::new(), |count| format!(", {}", counted(count, "connection")));
        let announcer = announcer.as_ref().map_or(String::new(), |name| format!(", by {}", one_line(name)));
        let age = span(self.now.seconds_since(*since));
        self.line(&format!(
            "    {state} {:<21} for {age}{gone}, weight {weight}{connections}, {}{announcer}",
            one_line(address),
            one_line(key)
        ));
        if let Some(BackendFailure { at, said }) = last_failure {
            let said = one_line(said);
            self.line(&format!(
                "             nginx could not reach it {} ago: {said}",
                span(self.now.seconds_since(*at))
            ));
        }
    }

    fn rest(&mut self, status: &Status) {
        self.head("Resources");
        for resource in status.groups.iter().flat_map(|group| &group.resources) {
            let revision = |revision: Option<i64>| revision.map_or("-".to_owned(), |revision| revision.to_string());
            let behind = |since| {
                let changes = counted(resource.progress.behind_changes.max(1), "change");
                format!(", {changes} behind for {}", span(self.now.seconds_since(since)))
            };
            let lag = resource.progress.behind_since.map_or(String::new(), behind);
            let found: Vec<&str> = resource.conditions.iter().map(|kind| kind.label()).collect();
            let state = match found.is_empty() {
                true if resource.state == "in_sync" => self.painted(GREEN, "in sync"),
                true => resource.state.replace('_', " "),
                false => self.painted(RED, &found.join(", ")),
            };
            self.line(&format!(
                "  {}  {state}{lag}, {}: revision wanted {}, applied {}, converged {}, drained {}",
                resource.name,
                resource.dest,
                revision(resource.progress.wanted_revision),
                revision(resource.progress.applied_revision),
                revision(resource.progress.converged_revision),
                revision(resource.progress.drained_revision),
            ));
        }
        self.head("nginx and stores");
        status.nginx.iter().for_each(|nginx| self.nginx(nginx));
        for store in &status.stores {
            let revision = store.revision.map_or(String::new(), |revision| format!(" at revision {revision}"));
            let state = match (&store.problem, store.followed) {
                (Some(_), _) => self.painted(RED, "unreachable"),
                (None, true) => self.painted(GREEN, "followed"),
                (None, false) => "not read yet".to_owned(),
            };
            self.line(&format!("  {} {state}{revision}: {}", store.name, one_line(&store.places.join(", "))));
            self.heard(store);
        }
        self.line(&format!(
            "  upstreamd {} on {}, process {}, up for {}",
            status.agent.version,
            status.agent.host,
            status.agent.pid,
            span(self.now.seconds_since(status.agent.started))
        ));
        self.announced(&status.announced);
        self.fleet(&status.fleet, status.fleet_reading.as_ref());
        if !status.changes.is_empty() {
            self.head("Last changes");
            status.changes.iter().take(MAX_CHANGES).for_each(|change| self.change(change));
            if status.changes.len() > MAX_CHANGES {
                self.line(&format!("  and {} more (upstreamd status --json)", status.changes.len() - MAX_CHANGES));
            }
        }
    }

    /// Adds what was heard of a store beside its keys.
    fn heard(&mut self, store: &StoreStatus) {
        if let Some(StoreMember { address, since }) = &store.member {
            self.line(&format!("    read from {} since {}", one_line(address), self.ago(*since)));
        }
        if let Some(HeardRevision { revision, at }) = store.heard {
            let age = span(self.now.seconds_since(at));
            self.line(&format!("    last heard at revision {revision}, {age} ago"));
        }
        if let Some(ReceiptLease { id, ttl_seconds, left_seconds }) = &store.receipt_lease {
            let id = one_line(id);
            self.line(&format!("    the receipt has the lease {id}: {left_seconds} s left of {ttl_seconds} s"));
        }
    }

    fn nginx(&mut self, nginx: &NginxStatus) {
        let Some(master) = nginx.master else {
            let away = self.painted(RED, "is not running");
            return self.line(&format!("  nginx {away} (pid file {})", nginx.pid_file));
        };
        let workers = counted(nginx.workers.len(), "worker");
        let version = nginx.version.as_ref().map_or(String::new(), |version| format!(" {version}"));
        let age = nginx.started.map(|at| format!(", up for {}", span(self.now.seconds_since(at)))).unwrap_or_default();
        self.line(&format!("  nginx{version} runs as process {master} with {workers}{age}"));
        for worker in &nginx.leaving {
            let sockets = worker.sockets.map_or(String::new(), |count| format!(", {} open", counted(count, "socket")));
            let age = span(self.now.seconds_since(worker.since));
            self.line(&format!("    worker {} has been shutting down for {age}{sockets}", worker.pid));
        }
    }

    fn change(&mut self, change: &ChangeStatus) {
        let names = one_line(&change.resources.join(" "));
        let keys = match change.keys.named.first() {
            Some(first) => format!(", key {}", one_line(first)),
            None => String::new(),
        };
        let more = change.keys.named.len() + change.keys.more;
        let keys = if more > 1 { format!("{keys} and {} more", more - 1) } else { keys };
        let said: Vec<&str> =
            change.files.iter().map(|file| file.backends.as_str()).filter(|said| !said.is_empty()).take(2).collect();
        let said = if said.is_empty() { String::new() } else { format!(": {}", one_line(&said.join("; "))) };
        let result = change.result.replace('_', " ");
        let result = if change.problem.is_empty() { result } else { self.painted(RED, &result) };
        self.line(&format!("  {} {names} {result}{keys}, {:.1} ms{said}", change.at, change.milliseconds));
        if !change.problem.is_empty() {
            self.line(&format!("    {}", one_line(&change.problem)));
        }
    }
}
