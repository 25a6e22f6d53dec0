//! Everything that is not good, worst first: what, why, because of which key, file or process, since when, and what to do. Pure.

use crate::model::status::{Cause, Condition, ConditionKind, Status, StatusQuestion};
use crate::model::text::counted;

use super::html::Html;
use super::time::Clock;
use super::{MAX_LINES, close_part, entry, open_part, rest};

/// Most causes of one condition that are named.
const MAX_CAUSES: usize = 5;

/// Adds the conditions.
pub(super) fn section(html: &mut Html, status: &Status, clock: Clock) {
    let found = &status.conditions;
    let bad = found.iter().filter(|condition| condition.question != StatusQuestion::Notice).count();
    open_part(html, "conditions", heading(bad, found.len() - bad));
    if status.agent.stopping {
        html.raw("<p class=\"stopping\"><strong>The agent is stopping; every file stays as it is.</strong></p>\n");
    }
    if found.is_empty() {
        html.raw("<p class=\"none\">Nothing is held, owed, refused or failing.</p>\n");
        return close_part(html);
    }
    let ends = found.iter().all(|condition| condition.kind == ConditionKind::OldWorkers);
    html.put("<p class=\"count\">", &tally(bad, found.len() - bad, ends)).raw("\n<ol>\n");
    found.iter().take(MAX_LINES).for_each(|condition| one(html, condition, clock));
    html.raw("</ol>\n");
    rest(html, found.len(), "conditions");
    close_part(html);
}

fn heading(bad: usize, notices: usize) -> &'static str {
    match (bad, notices) {
        (0, 0) => "Nothing to do",
        (0, _) => "Notices",
        _ => "Problems",
    }
}

/// Returns how many conditions and notices there are. `ends`: nobody has to do anything.
fn tally(bad: usize, notices: usize, ends: bool) -> String {
    let bad_text =
        if bad > 1 { format!("{}, worst first", counted(bad, "condition")) } else { counted(bad, "condition") };
    match (bad, notices) {
        (0, _) if ends => format!("{}: no action needed", counted(notices, "notice")),
        (0, _) => counted(notices, "notice"),
        (_, 0) => bad_text,
        _ => format!("{bad_text}; {}", counted(notices, "notice")),
    }
}

fn one(html: &mut Html, condition: &Condition, clock: Clock) {
    html.raw("<li class=\"").raw(class(condition.question)).raw("\" data-id=\"").raw(condition.kind.word()).raw(" ");
    html.text(&condition.subject).raw("\">\n<h3><span class=\"kind\">").raw(condition.kind.label()).raw("</span> ");
    html.text(&condition.summary).raw("</h3>\n");
    if !condition.reason.is_empty() {
        html.within("<pre class=\"reason\">", |html| {
            html.lines(&condition.reason);
        });
        html.raw("\n");
    }
    html.raw("<dl>\n");
    entry(html, "Since", |html| clock.since(html, condition.since));
    if let Some(next) = condition.next_try {
        match condition.kind {
            ConditionKind::Held => entry(html, "Held until", |html| {
                clock.until(html, next);
                html.raw(", then the removal is applied");
            }),
            _ => entry(html, "Next try", |html| clock.until(html, next)),
        }
    }
    if !condition.causes.is_empty() {
        entry(html, "Cause", |html| causes(html, &condition.causes));
    }
    entry(html, "What to do", |html| {
        html.text(&condition.advice);
    });
    html.raw("</dl>\n</li>\n");
}

fn class(question: StatusQuestion) -> &'static str {
    match question {
        StatusQuestion::Service => "service",
        StatusQuestion::Sync => "sync",
        StatusQuestion::Notice => "notice",
    }
}

/// Adds the causes, each kind of thing said once: `keys a, b, file c`.
fn causes(html: &mut Html, causes: &[Cause]) {
    let mut last = "";
    for cause in causes.iter().take(MAX_CAUSES) {
        html.raw(if last.is_empty() { "" } else { ", " });
        if cause.word() != last {
            last = cause.word();
            html.raw(last).raw(" ");
        }
        html.put("<code>", cause.name());
    }
    if causes.len() > MAX_CAUSES {
        html.raw(" and ").text(&(causes.len() - MAX_CAUSES).to_string()).raw(" more");
    }
}
