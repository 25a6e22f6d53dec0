//! `/metrics`: the board in Prometheus' text format, under this program's names and confd's. Pure.
//! Labels are names from conf.d and fixed words, bounded in number; never a value from the store.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use super::answers::Answers;
use super::board::{Board, GroupBoard, Readiness, ResourceBoard, State, named, status_line};
use super::conditions::{Look, MAX_CONDITIONS};
use super::histogram::Histogram;
use super::names::{self, Metric, MetricKind};
use crate::model::process::Usage;
use crate::model::status::{Axis, AxisAnswer, Condition, ConditionKind};

mod confd;

#[cfg(test)]
mod tests;

/// Most resources, and most groups, with lines of their own; the rest are only counted as omitted.
const MAX_SERIES: usize = 1000;

/// Returns the whole page. `usage` is that of this process.
pub fn page(board: &Board, usage: &Usage, look: &Look) -> String {
    let mut page = Page::default();
    own(&mut page, board, look.now);
    conditions(&mut page, board, look);
    confd::families(&mut page, board);
    own_process(&mut page, usage);
    page.text
}

fn own(page: &mut Page, board: &Board, now: Instant) {
    page.one(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    page.one(&names::READY, &[], flag(board.readiness() == Readiness::Ready));
    page.one(&names::APPLIED, &[], flag(board.has_applied()));
    page.some(&names::APPLIED_REVISION, &[], board.applied_revision.map(|revision| revision.0 as f64));
    page.one(&names::PROBLEMS, &[], board.problems.len() as f64);
    page.one(&names::RESOURCES, &[], board.resources.len() as f64);
    page.one(&names::LOADS, &[], board.loads as f64);
    page.one(&names::RENDERS, &[], board.renders as f64);
    let store = &board.store;
    let (lost, lost_in_all) = store.lost_for(now);
    page.one(&names::STORE_FOLLOWED, &[store.backend], flag(store.is_followed()));
    page.some(&names::STORE_REVISION, &[store.backend], store.revision.map(|revision| revision.0 as f64));
    page.one(&names::STORE_LOST, &[store.backend], lost.as_secs_f64());
    page.one(&names::STORE_LOST_TOTAL, &[store.backend], lost_in_all.as_secs_f64());
    page.one(&names::STORE_LOSSES, &[store.backend], store.losses as f64);
    groups(page, board);
    page.many(&names::PASSES, board.passes.iter().map(|(word, count)| (vec![*word], *count as f64)));
    page.many(&names::RELOADS, board.reloads.iter().map(|(word, count)| (vec![*word], *count as f64)));
    page.one(&names::RELOADS_OWED, &[], board.reloads_owed() as f64);
    page.histograms(&names::VERIFY, board.verify_times.iter().map(|(stage, times)| (vec![*stage], times)));
    page.histograms(&names::DRAIN, std::iter::once((Vec::new(), &board.drain_times)));
    page.histograms(&names::ENDPOINTS, std::iter::once((Vec::new(), &board.endpoint_times)));
    page.one(&names::ENDPOINTS_UNTAKEN, &[], board.untaken().count() as f64);
    page.one(&names::WORKERS_LEAVING, &[], board.workers_leaving as f64);
    page.some(&names::NGINX_RUNNING, &[], (!board.nginx.is_empty()).then(|| flag(board.nginx_away().next().is_none())));
    page.one(&names::WORKERS_SERVING, &[], board.workers_serving as f64);
    let one_each = |number: fn(&ResourceBoard) -> f64| {
        resources(board).map(move |(name, resource)| (vec![name], number(resource)))
    };
    page.many(&names::HELD, one_each(|resource| flag(resource.troubles.held.is_some())));
    page.many(&names::FAILING, one_each(|resource| flag(resource.is_failing)));
    page.many(&names::SKIPPED_KEYS, one_each(|resource| resource.skipped() as f64));
    let omitted = board.resources.len().saturating_sub(MAX_SERIES) + board.groups.len().saturating_sub(MAX_SERIES);
    page.one(&names::OMITTED, &[], omitted as f64);
}

/// Writes what is not good, with its first cause, and since when.
fn conditions(page: &mut Page, board: &Board, look: &Look) {
    let found = super::conditions::conditions(board, look);
    let Answers { sync, service } = Answers::of(board, &found);
    let is_good = |axis: &Axis| !matches!(axis.answer, AxisAnswer::No | AxisAnswer::Starting);
    page.one(&names::IN_SYNC, &[], flag(is_good(&sync)));
    page.one(&names::SERVING, &[], flag(is_good(&service)));
    let line = |condition: &'_ Condition| {
        // Of what a pass failed at, the subject may be names of the store; old workers have new numbers after each reload.
        let subject = condition.step.as_ref().map_or(condition.subject.clone(), |_| named(&condition.resources, 0));
        let cause = condition.causes.first().filter(|_| condition.kind != ConditionKind::OldWorkers);
        let cause = cause.map_or_else(String::new, |cause| status_line(cause.name()));
        (condition.kind.word(), status_line(&subject), cause, condition.since.0 as f64)
    };
    // Two conditions may have the same labels, which Prometheus refuses: the older one counts.
    let mut lines: BTreeMap<(&str, String, String), f64> = BTreeMap::new();
    for (kind, subject, cause, since) in found.iter().take(MAX_CONDITIONS).map(line) {
        let known = lines.entry((kind, subject, cause)).or_insert(since);
        *known = known.min(since);
    }
    let samples = lines.iter().map(|((kind, subject, cause), since)| (vec![*kind, subject, cause], *since));
    page.many(&names::CONDITION_SINCE, samples);
}

/// Writes the metrics that Prometheus' client libraries have for every process.
fn own_process(page: &mut Page, usage: &Usage) {
    page.some(&names::PROCESS_CPU, &[], usage.cpu_seconds);
    page.some(&names::PROCESS_FILES, &[], usage.open_files);
    page.some(&names::PROCESS_MAX_FILES, &[], usage.most_open_files);
    page.some(&names::PROCESS_RESIDENT, &[], usage.resident_bytes);
    page.some(&names::PROCESS_VIRTUAL, &[], usage.virtual_bytes);
    page.some(&names::PROCESS_MAX_VIRTUAL, &[], usage.most_virtual_bytes);
    page.some(&names::PROCESS_START, &[], usage.started_at_unix_seconds);
}

fn groups(page: &mut Page, board: &Board) {
    let states = shown_groups(board)
        .flat_map(|(name, group)| State::ALL.map(|state| (vec![name, state.word()], flag(state == group.state))));
    page.many(&names::GROUP_STATE, states);
    let one_each = |number: fn(&GroupBoard) -> Option<f64>| {
        shown_groups(board).filter_map(move |(name, group)| Some((vec![name], number(group)?)))
    };
    page.many(&names::GROUP_REVISION, one_each(|group| group.applied_revision.map(|revision| revision.0 as f64)));
    page.many(&names::GROUP_APPLIED_AT, one_each(|group| group.applied_at.map(|seconds| seconds as f64)));
    page.many(&names::GROUP_FAILURES, one_each(|group| Some(group.failures as f64)));
}

/// Returns the groups that have lines of their own.
fn shown_groups(board: &Board) -> impl Iterator<Item = (&str, &GroupBoard)> {
    board.groups.iter().take(MAX_SERIES).map(|(name, group)| (&**name, group))
}

/// Returns the resources that have lines of their own.
fn resources(board: &Board) -> impl Iterator<Item = (&str, &ResourceBoard)> {
    board.resources.iter().take(MAX_SERIES).map(|(name, resource)| (&**name, resource))
}

fn flag(is_true: bool) -> f64 {
    f64::from(u8::from(is_true))
}

/// The page under construction. A metric without a sample is left out.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, metric: &Metric) {
        // Writing into a String cannot fail.
        write!(self.text, "# HELP {0} {1}\n# TYPE {0} {2}\n", metric.name, metric.help, metric.kind.word()).ok();
    }

    fn sample(&mut self, metric: &Metric, suffix: &str, labels: &[&str], bound: Option<f64>, value: f64) {
        debug_assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
        self.text.push_str(metric.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in metric.labels.iter().zip(labels) {
            write!(self.text, "{before}{name}=\"{}\"", escaped(value)).ok();
            before = ',';
        }
        if suffix == "_bucket" {
            let bound = bound.map_or("+Inf".to_owned(), |bound| bound.to_string());
            write!(self.text, "{before}le=\"{bound}\"").ok();
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        writeln!(self.text, " {value}").ok();
    }

    fn one(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        self.head(metric);
        self.sample(metric, "", labels, None, value);
    }

    fn some(&mut self, metric: &Metric, labels: &[&str], value: Option<f64>) {
        value.into_iter().for_each(|value| self.one(metric, labels, value));
    }

    fn many<'a>(&mut self, metric: &Metric, samples: impl Iterator<Item = (Vec<&'a str>, f64)>) {
        let mut samples = samples.peekable();
        if samples.peek().is_some() {
            self.head(metric);
        }
        samples.for_each(|(labels, value)| self.sample(metric, "", &labels, None, value));
    }

    fn histograms<'a>(&mut self, metric: &Metric, samples: impl Iterator<Item = (Vec<&'a str>, &'a Histogram)>) {
        debug_assert_eq!(metric.kind, MetricKind::Histogram);
        let mut samples = samples.peekable();
        if samples.peek().is_some() {
            self.head(metric);
        }
        for (labels, histogram) in samples {
            for (bound, count) in histogram.cumulative() {
                self.sample(metric, "_bucket", &labels, Some(bound), count as f64);
            }
            self.sample(metric, "_bucket", &labels, None, histogram.count() as f64);
            self.sample(metric, "_sum", &labels, None, histogram.sum_seconds());
            self.sample(metric, "_count", &labels, None, histogram.count() as f64);
        }
    }
}

/// Escapes a label's value for the text format.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
