//! The last changes, the newest first: which keys, which files, what came of it, how long each step took, and what changed in the text.
//! Pure.

use crate::model::status::{ChangeStatus, ChangedFile};

use super::html::Html;
use super::time::{Clock, milliseconds};
use super::{MAX_LINES, close_part, entry, names, open_part, rest};

/// Most bytes of differences on the page; what is beyond is in `/api/status`.
const MAX_DIFF_BYTES: usize = 64 << 10;

/// Adds the last changes.
pub(super) fn section(html: &mut Html, changes: &[ChangeStatus], clock: Clock) {
    open_part(html, "changes", "Last changes");
    if changes.is_empty() {
        html.raw("<p class=\"none\">Nothing has changed since the start of the agent.</p>\n");
    }
    let mut left = MAX_DIFF_BYTES;
    for change in changes.iter().take(MAX_LINES) {
        one(html, change, &mut left, clock);
    }
    rest(html, changes.len(), "changes");
    close_part(html);
}

fn one(html: &mut Html, change: &ChangeStatus, left: &mut usize, clock: Clock) {
    html.raw("<details class=\"change\" data-id=\"change ").text(&change.number.to_string()).raw("\">\n<summary>");
    clock.moment(html, change.at);
    html.raw(" <span class=\"ago\">");
    clock.age(html, change.at);
    html.raw(" ago</span> <span class=\"result ")
        .raw(class(&change.result))
        .raw("\">")
        .text(&change.result.replace('_', " "));
    html.raw("</span> <span class=\"what\">");
    if !change.problem.is_empty() {
        html.text(&change.resources.join(", ")).raw(": ");
    }
    let shown = change.files.iter().find(|file| !file.backends.is_empty()).or(change.files.first());
    match (change.keys.named.is_empty(), shown) {
        (_, Some(file)) if !file.backends.is_empty() => html.text(&file.backends).raw(" in ").put("<code>", &file.dest),
        (_, Some(file)) => html.put("<code>", &file.dest),
        (false, None) => html.put("<code>", &change.keys.named[0]),
        (true, None) => html.text(&change.resources.join(", ")),
    };
    if change.files.len() > 1 {
        html.raw(" and ").text(&(change.files.len() - 1).to_string()).raw(" more");
    }
    html.raw("</span> <span class=\"took\">").text(&milliseconds(change.milliseconds)).raw("</span></summary>\n");
    if !change.problem.is_empty() {
        html.within("<pre class=\"reason\">", |html| {
            html.lines(&change.problem);
        });
        html.raw("\n");
    }
    html.raw("<dl>\n");
    facts(html, change);
    html.raw("</dl>\n");
    for file in &change.files {
        difference(html, file, left);
    }
    html.raw("</details>\n");
}

fn facts(html: &mut Html, change: &ChangeStatus) {
    entry(html, "Keys", |html| match change.keys.named.is_empty() {
        true => {
            html.raw("none: conf.d, a template or a retry was the reason");
        }
        false => names(html, &change.keys.named, MAX_LINES, change.keys.more),
    });
    entry(html, "Revision", |html| {
        html.text(&change.revision.to_string());
    });
    entry(html, "Resources", |html| names(html, &change.resources, MAX_LINES, 0));
    if change.attempts > 1 {
        entry(html, "Tried", |html| {
            html.text(&change.attempts.to_string()).raw(" times with this result");
        });
    }
    if !change.phases.is_empty() {
        entry(html, "Steps", |html| {
            for (at, phase) in change.phases.iter().take(MAX_LINES).enumerate() {
                html.raw(if at == 0 { "" } else { " · " })
                    .text(&phase.step)
                    .raw(" ")
                    .text(&milliseconds(phase.milliseconds));
            }
        });
    }
}

fn class(result: &str) -> &'static str {
    match result {
        "applied" | "answered" | "taken" => "good",
        "reload_owed" | "incomplete" => "owed",
        _ => "bad",
    }
}

fn difference(html: &mut Html, file: &ChangedFile, left: &mut usize) {
    html.raw("<p class=\"file\">").put("<code>", &file.dest);
    html.raw(if file.backends.is_empty() { "" } else { ": " }).text(&file.backends).raw("</p>\n");
    if file.diff.is_empty() {
        return;
    }
    if file.diff.len() > *left {
        html.raw("<p class=\"rest\">its difference is in <a href=\"/api/status\">/api/status</a></p>\n");
        return;
    }
    *left -= file.diff.len();
    html.raw("<pre class=\"diff\">");
    for line in file.diff.lines() {
        let tag = match line.chars().next() {
            _ if line.starts_with("--- ") || line.starts_with("+++ ") => "<span>",
            Some('+') => "<ins>",
            Some('-') => "<del>",
            Some('@' | '\\') => "<span>",
            _ => "<b>",
        };
        // The line's end is in it, so that what is copied is the difference.
        html.within(tag, |html| {
            html.text(line).raw("\n");
        });
    }
    html.raw("</pre>\n");
}
