//! Checks the page as Prometheus reads it, against the table of metrics.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::*;
use crate::model::event::Event;
use crate::model::key::Revision;
use crate::model::range::KeyRanges;
use crate::model::report::{CommandKind, CommandRun, Outcome, Report, Stage, StepFailure};
use crate::model::resource::InstanceId;
use crate::status::board::tests::{board, nginx, report, skipped};

/// Returns a board with a sample for every metric.
fn busy(now: Instant) -> Board {
    let mut board = board(now);
    let ranges = KeyRanges::default();
    board.record_event(
        &Event::Snapshot { revision: Revision(7), ranges, refused: None, entries: Vec::new(), leases: Vec::new() },
        now,
        100,
    );
    board.record_render(&"a.toml".into(), skipped(3), 100);
    let elapsed = Duration::from_millis(20);
    let commands = vec![CommandRun { kind: CommandKind::Reload, elapsed, succeeded: true }];
    let applied = report(7, &["a.toml"], Outcome::Applied);
    board.pass("g1", &Report { commands, reload_ran: true, files: vec!["/etc/a".into()], ..applied }, 1234);
    board.set_workers((10..14).map(|pid| (pid, 100)).collect(), 2);
    board.set_nginx(vec![nginx("/a.pid", true, &["g1"])], 1234);
    board.record_drain(Duration::from_secs(2));
    board.verify_times.entry("accepted").or_default().observe(elapsed);
    board
}

fn usage() -> Usage {
    Usage {
        cpu_seconds: Some(1.5),
        open_files: Some(9.0),
        most_open_files: Some(1024.0),
        resident_bytes: Some(8e6),
        virtual_bytes: Some(9e7),
        most_virtual_bytes: Some(1e12),
        started_at_unix_seconds: Some(1_736_850_600.25),
    }
}

fn look(now: Instant) -> Look {
    Look { now, unix_time: Duration::from_secs(2000), running: BTreeMap::new() }
}

#[test]
fn every_line_belongs_to_a_metric_of_the_table_with_its_labels() {
    let now = Instant::now();
    let text = page(&busy(now), &usage(), &look(now));
    let mut seen = BTreeSet::new();
    let mut current: Option<&Metric> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().unwrap();
            current = names::ALL.iter().copied().find(|metric| metric.name == name);
            assert!(current.is_some(), "{line}");
            assert!(seen.insert(name.to_owned()), "{name} has two heads");
            continue;
        }
        let metric = current.unwrap();
        if line.starts_with("# TYPE ") {
            assert_eq!(line, format!("# TYPE {} {}", metric.name, metric.kind.word()));
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let suffixes: &[&str] =
            if metric.kind == MetricKind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.iter().any(|suffix| name == format!("{}{suffix}", metric.name)), "{line}");
        let labels: Vec<&str> = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        let labels = labels.iter().map(|label| label.split('=').next().unwrap()).filter(|label| *label != "le");
        assert_eq!(labels.collect::<Vec<_>>(), metric.labels, "{line}");
    }
    let all: BTreeSet<String> = names::ALL.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(seen, all, "each metric is on the page of a busy agent");
}

#[test]
fn numbers_are_those_of_the_board() {
    let now = Instant::now();
    let text = page(&busy(now), &usage(), &look(now));
    for line in [
        "upstreamd_applied_revision 7",
        "upstreamd_store_followed{backend=\"etcd\"} 1",
        "upstreamd_group_state{group=\"a.toml\",state=\"in_sync\"} 1",
        "upstreamd_group_state{group=\"c.toml\",state=\"waiting\"} 1",
        "upstreamd_group_applied_timestamp_seconds{group=\"a.toml\"} 1234",
        "upstreamd_reloads_total{outcome=\"unverified\"} 1",
        "upstreamd_nginx_workers_draining 4",
        "upstreamd_backends_set_aside{resource=\"a.toml\"} 3",
        "upstreamd_drain_seconds_bucket{le=\"2.5\"} 1",
        "process_cpu_seconds_total 1.5",
        "process_start_time_seconds 1736850600.25",
        "upstreamd_drain_seconds_bucket{le=\"+Inf\"} 1",
        "confd_backend_request_total{backend=\"etcd\",operation=\"get_values\"} 1",
        "confd_template_process_total{dest=\"/etc/a\",status=\"success\"} 1",
        "confd_command_exit_code_total{type=\"reload\",exit_code=\"0\"} 1",
        "confd_file_sync_total{dest=\"/etc/a\"} 1",
        "confd_templates_loaded 3",
        "confd_watched_keys 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_series_names_neither_a_worker_nor_a_name_of_a_for_each() {
    let now = Instant::now();
    let mut board = busy(now);
    let ids = ["x", "y"].map(|item| InstanceId { item: Some(item.into()), .."a.toml".into() });
    let dropped = ids.map(|id| (id, StepFailure::new(Stage::Render, "x"))).to_vec();
    board.pass("g1", &Report { dropped, ..report(8, &["b.toml"], Outcome::Unchanged) }, 1300);
    let text = page(&board, &usage(), &look(now));
    for line in [
        "upstreamd_condition_since_seconds{kind=\"failed\",subject=\"a.toml\",cause=\"\"} 1300",
        "upstreamd_condition_since_seconds{kind=\"old_workers\",subject=\"nginx\",cause=\"\"} 100",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn labels_are_escaped() {
    assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
}
