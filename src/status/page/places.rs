//! What is outside of the agent: each nginx with its workers, the stores, the agents of the fleet. Pure.

use crate::model::status::{
    AgentLine, FleetReading, HeardRevision, NginxStatus, ReceiptLease, StoreMember, StoreStatus,
};
use crate::model::text::counted;

use super::html::Html;
use super::time::Clock;
use super::{MAX_LINES, close_part, entry, names, open_part, rest, table_head};

/// Adds each nginx.
pub(super) fn nginx(html: &mut Html, all: &[NginxStatus], clock: Clock) {
    open_part(html, "nginx", "nginx");
    if all.is_empty() {
        html.raw("<p class=\"none\">No resource reloads an nginx.</p>\n");
    }
    for nginx in all.iter().take(MAX_LINES) {
        html.raw("<dl>\n");
        entry(html, "Master", |html| {
            match nginx.master {
                Some(pid) => html.raw("process ").text(&pid.to_string()),
                None => html.raw("<strong class=\"no\">not running</strong>"),
            };
            html.raw(" (pid file ").put("<code>", &nginx.pid_file).raw(")");
            if let Some(at) = nginx.started {
                html.raw(", since ");
                clock.since(html, at);
            }
            if let (None, Some(since)) = (nginx.master, nginx.away_since) {
                html.raw(", since ");
                clock.since(html, since);
            }
        });
        entry(html, "Program", |html| {
            html.put("<code>", &nginx.program).raw(" ").text(nginx.version.as_deref().unwrap_or("(version not asked)"));
        });
        entry(html, "Workers", |html| {
            let pids: Vec<String> = nginx.workers.iter().take(MAX_LINES).map(i32::to_string).collect();
            html.text(&nginx.workers.len().to_string()).raw(" with the current configuration");
            html.raw(if pids.is_empty() { "" } else { ": " }).text(&pids.join(", "));
        });
        html.raw("</dl>\n");
        leaving(html, nginx, clock);
    }
    close_part(html);
}

fn leaving(html: &mut Html, nginx: &NginxStatus, clock: Clock) {
    if nginx.leaving.is_empty() {
        return;
    }
    let said = counted(nginx.leaving.len(), "worker");
    let caption = format!("{said} on an old configuration, finishing their connections");
    html.raw("<table>").put("<caption>", &caption);
    html.raw("<thead><tr><th scope=\"col\">worker</th><th scope=\"col\">shutting down since</th><th scope=\"col\" class=\"number\">sockets</th></tr></thead>\n<tbody>\n");
    for worker in nginx.leaving.iter().take(MAX_LINES) {
        html.raw("<tr>").put("<th scope=\"row\">", &worker.pid.to_string()).raw("<td>");
        clock.since(html, worker.since);
        let sockets = worker.sockets.map_or_else(|| "–".to_owned(), |count| count.to_string());
        html.raw("</td>").put("<td class=\"number\">", &sockets).raw("</tr>\n");
    }
    html.raw("</tbody></table>\n");
    rest(html, nginx.leaving.len(), "workers");
}

/// Adds the stores.
pub(super) fn stores(html: &mut Html, stores: &[StoreStatus], clock: Clock) {
    open_part(html, "stores", "Stores");
    if stores.is_empty() {
        html.raw("<p class=\"none\">No resource reads a store.</p>\n");
        return close_part(html);
    }
    table_head(
        html,
        "<table class=\"stacked\">",
        "Stores that resources read",
        &["store", "state", "revision", "places"],
    );
    html.raw("<tbody>\n");
    for store in stores.iter().take(MAX_LINES) {
        html.raw("<tr><th scope=\"row\">").put("<code>", &store.name).raw("</th><td data-label=\"state\">");
        match (&store.problem, store.followed) {
            (Some(problem), _) => {
                html.raw("<strong class=\"no\">unreachable</strong>");
                if let Some(since) = store.lost_since {
                    html.raw(" since ");
                    clock.since(html, since);
                }
                html.raw(": ").text(problem);
            }
            (None, true) => {
                html.raw("followed");
                if let Some(StoreMember { address, since }) = &store.member {
                    html.raw(" from ").put("<code>", address).raw(" since ");
                    clock.since(html, *since);
                }
            }
            (None, false) => {
                html.raw("not read yet");
            }
        }
        let revision = store.revision.map_or_else(|| "–".to_owned(), |revision| revision.to_string());
        html.raw("</td><td class=\"number\" data-label=\"revision\">").text(&revision);
        if let Some(HeardRevision { revision, at }) = store.heard {
            html.raw("; last heard at ").text(&revision.to_string()).raw(", ");
            clock.since(html, at);
        }
        html.raw("</td><td data-label=\"places\">");
        names(html, &store.places, MAX_LINES, 0);
        if let Some(ReceiptLease { id, ttl_seconds, left_seconds }) = &store.receipt_lease {
            html.raw("; the receipt has the lease ").put("<code>", id);
            html.text(&format!(" ({left_seconds} s left of {ttl_seconds} s)"));
        }
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table>\n");
    rest(html, stores.len(), "stores");
    close_part(html);
}

/// Adds the agents of the fleet; nothing if there is nothing to say of one.
pub(super) fn fleet(html: &mut Html, fleet: &[AgentLine], reading: Option<&FleetReading>, clock: Clock) {
    let problem = reading.and_then(|reading| reading.problem.as_ref());
    if fleet.is_empty() && problem.is_none() {
        html.raw("<section id=\"fleet\" data-part hidden></section>\n");
        return;
    }
    open_part(html, "fleet", "Fleet");
    if let Some(problem) = problem {
        html.raw("<p><strong class=\"no\">The receipts cannot be read</strong>: ").text(problem);
        if let Some(at) = reading.and_then(|reading| reading.at) {
            html.raw("; last read ");
            clock.since(html, at);
        }
        html.raw("</p>\n");
    }
    if fleet.is_empty() {
        return close_part(html);
    }
    table_head(html, "<table class=\"stacked\">", "Agents by their receipts", &["agent", "state", "version"]);
    html.raw("<tbody>\n");
    for agent in fleet.iter().take(MAX_LINES) {
        html.raw("<tr><th scope=\"row\">").put("<code>", &agent.id).raw("</th><td data-label=\"state\">");
        if let Some(problem) = &agent.problem {
            html.raw("<strong class=\"no\">its receipt cannot be read</strong>: ").text(problem);
        }
        for (what, resources, more) in [
            ("<strong>holds</strong> ", &agent.held, agent.held_more),
            ("<strong>lags with</strong> ", &agent.lagging, agent.lagging_more),
        ] {
            if !resources.is_empty() {
                html.raw(what);
                names(html, resources, 3, more);
                html.raw(" ");
            }
        }
        if agent.problem.is_none() && agent.held.is_empty() && agent.lagging.is_empty() {
            html.raw("up to date");
        }
        html.raw("</td>").put("<td data-label=\"version\">", &agent.version).raw("</tr>\n");
    }
    html.raw("</tbody></table>\n");
    rest(html, fleet.len() + reading.map_or(0, |reading| reading.more), "agents");
    close_part(html);
}
