//! The status pages: `/health`, `/ready`, `/ready/detailed` and `/metrics` as in the maintained confd, and `/applied`, which
//! stays 200 while the store is down. Pure: a path and the board go in, a page comes out.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use crate::model::health::Health;
use crate::model::outward::StatusPage;
use crate::model::process::Usage;

use super::board::{Board, Readiness};
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
    /// Current time.
    pub now: Instant,
    /// Current time, in seconds since 1970.
    pub unix_seconds: u64,
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
        READY_DETAILED => detailed(board, known.health, known.unix_seconds),
        METRICS => StatusPage {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics::page(board, &known.usage, known.now),
        },
        _ => text(404, "404 page not found\n"),
    }
}

fn text(status: u16, body: &str) -> StatusPage {
    StatusPage { status, content_type: TEXT, body: body.to_owned() }
}

fn ready(readiness: &Readiness) -> StatusPage {
    match readiness {
        Readiness::Ready => text(200, "ok"),
        Readiness::NotApplied(why) => text(503, &format!("not ready: {why}")),
        Readiness::StoreLost(problem) => text(503, &format!("backend unhealthy: {problem}")),
    }
}

fn detailed(board: &Board, health: Option<&Health>, unix_seconds: u64) -> StatusPage {
    let readiness = board.readiness();
    let healthy = readiness == Readiness::Ready;
    let message = match &readiness {
        Readiness::Ready => health.filter(|health| health.healthy).map_or("ok", |health| health.message.as_str()),
        Readiness::NotApplied(why) | Readiness::StoreLost(why) => why.as_str(),
    };
    let mut details: BTreeMap<&str, String> = BTreeMap::new();
    details.insert("backend", board.store.backend.to_owned());
    details.insert("summary", board.summary());
    details.insert("groups_in_sync", format!("{} of {}", board.groups_in_sync(), board.groups.len()));
    details.insert("reloads_owed", board.reloads_owed().to_string());
    details.insert("workers_draining", board.workers_leaving.to_string());
    details.extend(board.applied_revision.map(|revision| ("applied_revision", revision.to_string())));
    details.extend(board.store.revision.map(|revision| ("store_revision", revision.to_string())));
    let names = |names: Vec<&str>| (!names.is_empty()).then(|| names.join(" "));
    let held = board.resources.iter().filter(|(_, resource)| resource.held.is_some());
    details.extend(names(held.map(|(name, _)| &**name).take(MAX_NAMED).collect()).map(|held| ("held", held)));
    let refused = board.resources.iter().filter(|(_, resource)| resource.refused.is_some());
    let refused = refused.map(|(name, _)| &**name).take(MAX_NAMED).collect();
    details.extend(names(refused).map(|refused| ("refused", refused)));
    let failing = board.groups.values().flat_map(|group| &group.failing);
    let failing = failing.map(|name| &**name).take(MAX_NAMED).collect();
    details.extend(names(failing).map(|failing| ("failing", failing)));
    let mut duration_ms = 0;
    if let Some(health) = health {
        duration_ms = u64::try_from(health.elapsed.as_millis()).unwrap_or(u64::MAX);
        details.extend(health.details.iter().map(|(name, value)| (*name, value.clone())));
    }
    let checked_at = i64::try_from(unix_seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let checked_at = checked_at.map(|time| time.to_string()).unwrap_or_default();
    let body = Detailed { healthy, message, duration_ms, details, checked_at };
    let body = serde_json::to_string(&body).map(|body| body + "\n").unwrap_or_default();
    StatusPage { status: if healthy { 200 } else { 503 }, content_type: "application/json", body }
}

/// Most resources or groups named on a page.
const MAX_NAMED: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::model::key::Revision;
    use crate::model::range::KeyRanges;
    use std::time::Duration;

    fn known(health: Option<&Health>) -> Known<'_> {
        Known { health, usage: Usage::default(), now: Instant::now(), unix_seconds: 1_736_850_600 }
    }

    fn check(board: &Board, path: &str, status: u16, body: &str) {
        let answer = answer(path, board, &known(None));
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }

    #[test]
    fn pages_answer_as_confds_do() {
        let now = Instant::now();
        let mut board = Board::new("etcd", now);
        check(&board, "/health", 200, "ok");
        check(&board, "/ready", 503, "not ready: nothing has been applied yet");
        check(&board, "/applied", 503, "not ready: nothing has been applied yet");
        check(&board, "/nothing", 404, "404 page not found\n");
        board.record_load(std::iter::empty(), 0);
        let ranges = KeyRanges::default();
        board.record_event(&Event::Snapshot { revision: Revision(7), ranges, refused: None, entries: Vec::new() }, now);
        check(&board, "/ready", 200, "ok");
        let problem = "no route".to_owned();
        board.record_event(&Event::Lost { problem, retry_in: Duration::from_secs(1), is_lasting: false }, now);
        check(&board, "/ready", 503, "backend unhealthy: no route");
        check(&board, "/applied", 200, "ok");
        check(&board, "/health", 200, "ok");
    }

    #[test]
    fn the_detailed_page_has_confds_fields() {
        let now = Instant::now();
        let mut board = Board::new("etcd", now);
        board.record_load(std::iter::empty(), 0);
        let health = Health {
            healthy: true,
            message: "etcd backend is healthy".into(),
            elapsed: Duration::from_millis(5),
            details: [("endpoint", "localhost:2379".to_owned())].into(),
        };
        let answer = answer(READY_DETAILED, &board, &known(Some(&health)));
        assert_eq!((answer.status, answer.content_type), (200, "application/json"));
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["healthy"], true);
        assert_eq!(body["message"], "etcd backend is healthy");
        assert_eq!(body["duration_ms"], 5);
        assert_eq!(body["checked_at"], "2025-01-14T10:30:00Z");
        assert_eq!(body["details"]["endpoint"], "localhost:2379");
        assert!(body["details"].as_object().unwrap().values().all(serde_json::Value::is_string));
    }
}
