//! The status pages: `/health`, `/ready`, `/ready/detailed` and `/metrics` as in the maintained confd, and `/applied`, which
//! stays 200 while the store is down. Pure: a path and the board go in, a page comes out.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::health::Health;
use crate::model::outward::{PageBody, StatusPage};
use crate::model::process::Usage;
use crate::model::status::{Condition, ConditionKind};
use crate::model::text::counted;

use super::answers;
use super::board::{Board, Readiness, ResourceBoard, status_line};
use super::conditions::{Look, conditions};
use super::fields::time_text;
use super::metrics;

/// Path of the page that asks the store.
pub const READY_DETAILED: &str = "/ready/detailed";

/// Path of the page with metrics.
pub const METRICS: &str = "/metrics";

const TEXT: &str = "text/plain; charset=utf-8";

/// Facts for a page, beside the board.
pub struct Known<'a> {
    /// Current health of the store, for [`READY_DETAILED`] only.
    pub health: Option<&'a Health>,
    /// Resource usage of this process, for [`METRICS`] only.
    pub usage: Usage,
    /// The time, and what is running.
    pub look: Look,
}

/// Body of `/ready/detailed`, with confd's fields.
#[derive(Serialize)]
struct Detailed<'a> {
    healthy: bool,
    message: &'a str,
    duration_ms: u64,
    details: BTreeMap<&'a str, String>,
    checked_at: String,
}

/// Returns the page for a path.
pub fn answer(path: &str, board: &Board, known: &Known<'_>) -> StatusPage {
    match path {
        "/health" => text(200, "ok"),
        "/ready" => ready(&board.readiness()),
        "/applied" => match board.has_applied() {
            true => text(200, "ok"),
            false => ready(&board.readiness()),
        },
        READY_DETAILED => detailed(board, known),
        METRICS => StatusPage {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: PageBody::Text(metrics::page(board, &known.usage, &known.look).into()),
            ..StatusPage::default()
        },
        _ => text(404, "404 page not found\n"),
    }
}

fn text(status: u16, body: &str) -> StatusPage {
    StatusPage { status, content_type: TEXT, body: PageBody::Text(body.into()), ..StatusPage::default() }
}

fn ready(readiness: &Readiness) -> StatusPage {
    match readiness {
        Readiness::Ready => text(200, "ok"),
        Readiness::NotApplied(why) => text(503, &format!("not ready: {why}")),
        Readiness::StoreLost(problem) => text(503, &format!("backend unhealthy: {problem}")),
    }
}

fn detailed(board: &Board, known: &Known<'_>) -> StatusPage {
    let health = known.health;
    let readiness = board.readiness();
    let healthy = readiness == Readiness::Ready;
    let message = match &readiness {
        // Healthy all the same: what is live was verified.
        Readiness::Ready if board.groups_in_sync() < board.groups.len() => {
            "verified files are live, but not every group is in sync"
        }
        Readiness::Ready => health.filter(|health| health.healthy).map_or("ok", |health| health.message.as_str()),
        Readiness::NotApplied(why) | Readiness::StoreLost(why) => why.as_str(),
    };
    let mut details: BTreeMap<&str, String> = BTreeMap::new();
    details.insert("backend", board.store.backend.to_owned());
    let found = conditions(board, &known.look);
    details.insert("summary", answers::line(board, &found));
    details.insert("groups_in_sync", format!("{} of {}", board.groups_in_sync(), board.groups.len()));
    details.insert("reloads_owed", board.reloads_owed().to_string());
    details.insert("workers_draining", board.workers_leaving.to_string());
    details.extend(board.problems.first().map(|problem| ("problem", status_line(&problem.what))));
    details.extend(board.applied_revision.map(|revision| ("applied_revision", revision.to_string())));
    details.extend(board.store.revision.map(|revision| ("store_revision", revision.to_string())));
    let away = board
        .nginx_away()
        .map(|(nginx, since)| format!("not running since {} (no master by `{}`)", time_text(since), nginx.pid_file()));
    let nginx = text_of(away.collect()).unwrap_or_else(|| "running".to_owned());
    details.extend((!board.nginx.is_empty()).then_some(("nginx", nginx)));
    let lists = lists(board).into_iter().filter(|(_, names)| !names.is_empty());
    details.extend(lists.map(|(what, names)| (what, names.join(" "))));
    details.extend(text_of(unfinished(&found)).map(|since| ("since", since)));
    let skipped = board.resources.iter().filter(|(_, resource)| resource.skipped() > 0);
    let skipped = skipped.map(|(name, resource)| format!("{name}: {}", counted(resource.skipped(), "key")));
    details.extend(text_of(skipped.take(MAX_NAMED).collect()).map(|skipped| ("skipped", skipped)));
    let mut duration_ms = 0;
    if let Some(health) = health {
        duration_ms = u64::try_from(health.elapsed.as_millis()).unwrap_or(u64::MAX);
        details.extend(health.details.iter().map(|(name, value)| (*name, value.clone())));
    }
    let checked_at = time_text(known.look.unix_seconds());
    let body = Detailed { healthy, message, duration_ms, details, checked_at };
    let body = serde_json::to_string(&body).map(|body| body + "\n").unwrap_or_default();
    let (status, body) = (if healthy { 200 } else { 503 }, PageBody::Text(body.into()));
    StatusPage { status, content_type: "application/json", body, ..StatusPage::default() }
}

/// Returns the resources of which there is something to say, by what that is.
fn lists(board: &Board) -> [(&'static str, Vec<&str>); 6] {
    let resources = |is_meant: fn(&ResourceBoard) -> bool| {
        let found = board.resources.iter().filter(|(_, resource)| is_meant(resource)).map(|(name, _)| &**name);
        found.take(MAX_NAMED).collect()
    };
    let ways = |by_dns: bool| {
        let found = board.by_dns.iter().filter(|(_, is_by_dns)| **is_by_dns == by_dns).map(|(name, _)| &**name);
        found.take(MAX_NAMED).collect()
    };
    let failing = board.groups.values().flat_map(|group| &group.left.failing).map(|name| &**name);
    [
        ("held", resources(|resource| resource.troubles.held.is_some())),
        ("refused", resources(|resource| resource.troubles.refused.is_some())),
        ("failing", failing.take(MAX_NAMED).collect()),
        ("endpoints_by_dns", ways(true)),
        ("endpoints_by_reload", ways(false)),
        ("endpoints_untaken", board.untaken().map(|name| &**name).take(MAX_NAMED).collect()),
    ]
}

/// Returns what is lost, held, refused or owed, and what fails, each with its start.
fn unfinished(found: &[Condition]) -> Vec<String> {
    let said = |condition: &Condition| {
        let what = match condition.kind {
            ConditionKind::StoreAway => "lost",
            ConditionKind::Held => "held",
            ConditionKind::KeysRefused => "refused by the store",
            ConditionKind::ReloadOwed => "reload owed",
            ConditionKind::Stuck
            | ConditionKind::CheckRefused
            | ConditionKind::ReloadRefused
            | ConditionKind::Failed => "failing",
            _ => return None,
        };
        Some(format!("{}: {what} since {}", condition.subject, condition.since))
    };
    found.iter().filter_map(said).take(MAX_NAMED).collect()
}

/// Returns a list in one text, if there is anything in it.
fn text_of(list: Vec<String>) -> Option<String> {
    (!list.is_empty()).then(|| list.join("; "))
}

/// Most resources or groups named on a page.
const MAX_NAMED: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::guard::{Guard, Live, RenderCount};
    use crate::model::key::Revision;
    use crate::model::range::KeyRanges;
    use crate::model::report::{Outcome, Report, Stage, StepFailure};
    use crate::status::board::{Lasting, tests};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn known(health: Option<&Health>) -> Known<'_> {
        let look =
            Look { now: Instant::now(), unix_time: Duration::from_secs(1_736_850_600), running: BTreeMap::new() };
        Known { health, usage: Usage::default(), look }
    }

    fn check(board: &Board, path: &str, status: u16, body: &str) {
        let answer = answer(path, board, &known(None));
        assert_eq!((answer.status, answer.body.text()), (status, body), "{path}");
    }

    #[test]
    fn pages_answer_as_confds_do() {
        let now = Instant::now();
        let mut board = Board::new("etcd", now);
        check(&board, "/health", 200, "ok");
        check(&board, "/ready", 503, "not ready: nothing has been applied yet");
        check(&board, "/applied", 503, "not ready: nothing has been applied yet");
        check(&board, "/nothing", 404, "404 page not found\n");
        board.record_load(std::iter::empty(), Vec::new(), 100);
        let ranges = KeyRanges::default();
        board.record_event(
            &Event::Snapshot { revision: Revision(7), ranges, refused: None, entries: Vec::new(), leases: Vec::new() },
            now,
            1_736_850_500,
        );
        check(&board, "/ready", 200, "ok");
        let problem = "no route".to_owned();
        board.record_event(
            &Event::Lost { problem, retry_in: Duration::from_secs(1), is_lasting: false },
            now,
            1_736_850_500,
        );
        check(&board, "/ready", 503, "backend unhealthy: no route");
        let mut later = known(None);
        later.look.now = now + Duration::from_secs(100);
        let body = super::answer(READY_DETAILED, &board, &later).body;
        let body = body.text();
        assert!(body.contains("\"since\":\"etcd: lost since 2025-01-14T10:28:20Z\""), "{body}");
        check(&board, "/applied", 200, "ok");
        check(&board, "/health", 200, "ok");
    }

    #[test]
    fn the_detailed_page_says_what_is_unfinished_and_since_when() {
        let mut board = tests::board(Instant::now());
        let details = |board: &Board| {
            let body: serde_json::Value =
                serde_json::from_str(answer(READY_DETAILED, board, &known(None)).body.text()).unwrap();
            (body["message"].as_str().unwrap_or_default().to_owned(), body["details"].clone())
        };
        let owed = || {
            let cause = StepFailure::new(Stage::Reload, "not running");
            tests::report(5, &["c.toml"], Outcome::ReloadOwed { cause, nothing_runs: true })
        };
        board.pass("g1", &tests::report(5, &["a.toml", "b.toml"], Outcome::Applied), 1_736_850_500);
        board.pass("g2", &owed(), 1_736_850_600);
        board.pass("g2", &owed(), 1_736_850_700);
        let refused = BTreeMap::from([(Arc::from("a.toml"), "denied".to_owned())]);
        board.record_render(&"b.toml".into(), tests::skipped(2), 100);
        let (message, found) = details(&board);
        assert_eq!(message, "verified files are live, but not every group is in sync");
        assert_eq!(found["since"], "c.toml: reload owed since 2025-01-14T10:30:00Z");
        assert_eq!(found["skipped"], "b.toml: 2 keys");
        board.record_refusals(&refused, 1_736_850_500);
        board.record_refusals(&refused, 1_736_850_600);
        board.pass("g2", &tests::report(6, &["c.toml"], Outcome::Applied), 1_736_850_800);
        let (_, found) = details(&board);
        assert_eq!(found["since"], "a.toml: refused by the store since 2025-01-14T10:28:20Z");
        board.record_refusals(&BTreeMap::new(), 1_736_850_900);
        let found = RenderCount { calls_backends: true, ..RenderCount::default() };
        let live = Live { has_file: true, ..Live::default() };
        let decision = Guard::default().decide(found, live, Instant::now());
        for now in [1_736_850_600, 1_736_850_700] {
            let held = vec![("a.toml".into(), decision)];
            board.pass("g1", &Report { held, ..tests::report(7, &["b.toml"], Outcome::Applied) }, now);
        }
        assert_eq!(details(&board).1["since"], "a.toml: held since 2025-01-14T10:30:00Z");
        board.pass("g1", &tests::report(8, &["a.toml", "b.toml"], Outcome::Applied), 1_736_851_000);
        assert_eq!(details(&board).1["since"], serde_json::Value::Null);
    }

    #[test]
    fn the_detailed_page_says_which_way_changes_of_backends_go() {
        let mut board = tests::board(Instant::now());
        board.by_dns =
            [("a.toml", true), ("b.toml", false), ("c.toml", true)].map(|(name, way)| (name.into(), way)).into();
        let body: serde_json::Value =
            serde_json::from_str(answer(READY_DETAILED, &board, &known(None)).body.text()).unwrap();
        let details = &body["details"];
        assert_eq!(
            (&details["endpoints_by_dns"], &details["endpoints_by_reload"]),
            (&"a.toml c.toml".into(), &"b.toml".into())
        );
        assert!(details.get("endpoints_untaken").is_none());
    }

    #[test]
    fn the_detailed_page_has_confds_fields() {
        let now = Instant::now();
        let mut board = Board::new("etcd", now);
        board.record_load(std::iter::empty(), Vec::new(), 100);
        board.problems = vec![Lasting { what: "app.toml:3:1: unknown field".to_owned(), since: 100 }];
        let health = Health {
            healthy: true,
            message: "etcd backend is healthy".into(),
            elapsed: Duration::from_millis(5),
            details: [("endpoint", "localhost:2379".to_owned())].into(),
        };
        let answer = answer(READY_DETAILED, &board, &known(Some(&health)));
        assert_eq!((answer.status, answer.content_type), (200, "application/json"));
        let body: serde_json::Value = serde_json::from_str(answer.body.text()).unwrap();
        assert_eq!(body["healthy"], true);
        assert_eq!(body["message"], "etcd backend is healthy");
        assert_eq!(body["duration_ms"], 5);
        assert_eq!(body["checked_at"], "2025-01-14T10:30:00Z");
        assert_eq!(body["details"]["endpoint"], "localhost:2379");
        assert_eq!(body["details"]["problem"], "app.toml:3:1: unknown field");
        assert!(body["details"].as_object().unwrap().values().all(serde_json::Value::is_string));
    }
}
