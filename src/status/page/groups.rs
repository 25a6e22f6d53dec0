//! Groups and their resources: which revision is wanted, applied, in effect for new connections and for all, and how far behind that is.
//! Those with a condition come first. Pure.

use crate::model::status::{GroupStatus, ResourceStatus, Status};
use crate::model::text::counted;

use super::html::Html;
use super::time::Clock;
use super::{MAX_LINES, close_part, names, open_part, rest, table_head};

/// Explanation of the columns.
const LEGEND: &str = "<details class=\"legend\" data-id=\"legend\"><summary>What the revisions mean</summary><p>Each number is a revision \
    of the store, which counts all of its changes. <b>Wanted</b>: the newest change of the resource’s keys. <b>Applied</b>: the newest that is live. \
    <b>Converged</b>: the newest after which only the new configuration accepts connections. <b>Drained</b>: the newest after which nothing uses \
    what was removed. <b>Behind</b>: how many changes are not live yet, and for how long.</p></details>\n";

/// Adds the groups.
pub(super) fn section(html: &mut Html, status: &Status, clock: Clock) {
    open_part(html, "groups", "Groups and resources");
    if status.groups.is_empty() {
        html.raw("<p class=\"none\">No resource yet. The agent reads <code>conf.d/*.toml</code> in ");
        names(html, &status.agent.confdirs, MAX_LINES, 0);
        html.raw(" and notices new files automatically.</p>\n");
        return close_part(html);
    }
    let mut sorted: Vec<&GroupStatus> = status.groups.iter().collect();
    sorted.sort_by_key(|group| group.resources.iter().all(|resource| resource.conditions.is_empty()));
    html.raw(LEGEND);
    let columns = ["resource", "state", "wanted", "applied", "converged", "drained", "behind"];
    table_head(html, "<table class=\"stacked groups\">", "Resources by group, with revisions of the store", &columns);
    let mut left = MAX_LINES;
    for group in sorted {
        let shown = left.min(group.resources.len());
        if shown > 0 {
            one(html, group, shown, clock);
        }
        left -= shown;
    }
    html.raw("</table>\n");
    rest(html, status.groups.iter().map(|group| group.resources.len()).sum(), "resources");
    close_part(html);
}

fn one(html: &mut Html, group: &GroupStatus, shown: usize, clock: Clock) {
    html.raw("<tbody>\n");
    if group.resources.len() > 1 {
        html.raw("<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"7\">group of ")
            .text(&group.resources.len().to_string());
        html.raw(", applied together");
        step(html, group, clock);
        html.raw("</th></tr>\n");
    }
    for resource in group.resources.iter().take(shown) {
        html.raw(if resource.conditions.is_empty() {
            "<tr><th scope=\"row\">"
        } else {
            "<tr class=\"bad\"><th scope=\"row\">"
        });
        html.put("<code>", &resource.name)
            .raw("<small>")
            .put("<code>", &resource.dest)
            .raw("</small></th><td data-label=\"state\">");
        state(html, group, resource, clock);
        html.raw("</td>");
        revisions(html, resource);
        html.within("<td data-label=\"behind\">", |html| {
            resource.progress.behind_since.into_iter().for_each(|since| {
                html.text(&counted(resource.progress.behind_changes.max(1), "change")).raw(", ");
                clock.age(html, since);
            });
        });
        html.raw("</tr>\n");
    }
    html.raw("</tbody>\n");
}

fn state(html: &mut Html, group: &GroupStatus, resource: &ResourceStatus, clock: Clock) {
    let is_alone = group.resources.len() == 1;
    if resource.conditions.is_empty() {
        html.text(&spaced(&resource.state));
    }
    for (at, kind) in resource.conditions.iter().enumerate() {
        html.raw(if at == 0 { "<strong>" } else { ", <strong>" }).raw(kind.label()).raw("</strong>");
    }
    if resource.skipped_keys > 0 {
        html.raw(" (").text(&resource.skipped_keys.to_string()).raw(" skipped)");
    }
    if is_alone {
        step(html, group, clock);
    }
}

/// Adds the step of a running pass, or the next one.
fn step(html: &mut Html, group: &GroupStatus, clock: Clock) {
    if let Some(running) = &group.running {
        html.raw(" <span class=\"step\">now: ").text(&running.step).raw(", for ");
        clock.age(html, running.since);
        html.raw("</span>");
    } else if let Some(next) = group.next_try {
        html.raw(" <span class=\"step\">next try ");
        clock.until(html, next);
        html.raw("</span>");
    }
}

/// Adds the four revisions; one that is behind the one before it stands out.
fn revisions(html: &mut Html, resource: &ResourceStatus) {
    let number = |revision: Option<i64>| revision.map_or_else(|| "–".to_owned(), |revision| revision.to_string());
    html.put("<td class=\"number\" data-label=\"wanted\">", &number(resource.progress.wanted_revision));
    let steps = [
        (resource.progress.applied_revision, "applied\">"),
        (resource.progress.converged_revision, "converged\">"),
        (resource.progress.drained_revision, "drained\">"),
    ];
    let mut before = resource.progress.wanted_revision;
    for (revision, label) in steps {
        let is_late = before.is_some() && revision < before;
        html.raw(if is_late {
            "<td class=\"number late\" data-label=\""
        } else {
            "<td class=\"number\" data-label=\""
        });
        html.raw(label).text(&number(revision)).raw("</td>");
        before = revision;
    }
}

/// Returns a word of the metrics for people.
fn spaced(word: &str) -> String {
    word.replace('_', " ")
}
