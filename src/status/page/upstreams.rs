//! The lists of backends: who serves, who does not, and how changes reach nginx. Those that lack a backend come first. Pure.

use crate::model::status::{BackendLine, UnixTime, UpstreamStatus};
use crate::model::text::counted;

use super::html::Html;
use super::time::Clock;
use super::{MAX_LINES, close_part, open_part, rest, table_head};

/// Most lines of lists that are unfolded although all their backends serve.
const MAX_UNFOLDED: usize = 20;

/// Adds the upstreams.
pub(super) fn section(html: &mut Html, upstreams: &[UpstreamStatus], clock: Clock) {
    open_part(html, "upstreams", "Upstreams");
    let mut sorted: Vec<&UpstreamStatus> = upstreams.iter().collect();
    // Nobody serves, then somebody does not, then the good ones, each as the status has them.
    sorted.sort_by_key(|upstream| (upstream.serving > 0, upstream.serving == upstream.total));
    if sorted.is_empty() {
        html.raw("<p class=\"none\">No template lists backends yet: one that calls <code>servers()</code> or <code>backends()</code> appears here.</p>\n");
    }
    let mut left = MAX_UNFOLDED;
    for upstream in sorted.iter().take(MAX_LINES) {
        let unfolded = upstream.serving < upstream.total || upstream.backends.len() <= left;
        left = left.saturating_sub(upstream.backends.len());
        one(html, upstream, unfolded, clock);
    }
    rest(html, upstreams.len(), "upstreams");
    close_part(html);
}

fn one(html: &mut Html, upstream: &UpstreamStatus, unfolded: bool, clock: Clock) {
    html.raw("<details class=\"upstream\" data-id=\"upstream ").text(&upstream.folder).raw(" ").text(&upstream.dest);
    html.raw(if unfolded { "\" open>\n<summary>" } else { "\">\n<summary>" });
    html.put("<code class=\"name\">", &upstream.folder).raw(" ");
    html.raw(match (upstream.serving, upstream.total) {
        (0, _) => "<strong class=\"serving nobody\">",
        (serving, total) if serving < total => "<strong class=\"serving some\">",
        _ => "<strong class=\"serving all\">",
    });
    html.text(&format!("{} of {} serving", upstream.serving, upstream.total));
    html.raw(if upstream.is_without_nginx() { ": nginx down</strong> " } else { "</strong> " });
    if let Some(in_store) = upstream.in_store {
        html.raw("<strong class=\"serving some\">").text(&in_store.to_string()).raw(" in the store</strong> ");
    }
    bar(html, &upstream.backends);
    html.raw(" <span class=\"by\">").text(driven_by(&upstream.driven_by)).raw("</span> ");
    html.put("<code class=\"dest\">", &upstream.dest).raw("</summary>\n");
    backends(html, upstream, clock);
    html.raw("</details>\n");
}

/// Adds a mark for each backend, for the eye only.
fn bar(html: &mut Html, backends: &[BackendLine]) {
    html.raw("<span class=\"bar\" aria-hidden=\"true\">");
    for backend in backends.iter().take(MAX_LINES) {
        html.raw(match state_class(&backend.state) {
            "up" => "<i class=\"up\"></i>",
            "down" => "<i class=\"down\"></i>",
            _ => "<i></i>",
        });
    }
    html.raw("</span>");
}

fn driven_by(word: &str) -> &str {
    match word {
        "dns" => "updated by DNS",
        "reload" => "updated by reload",
        "file" => "file only",
        other => other,
    }
}

fn state_class(state: &str) -> &'static str {
    match state {
        "up" => "up",
        "down" => "down",
        _ => "other",
    }
}

fn backends(html: &mut Html, upstream: &UpstreamStatus, clock: Clock) {
    if upstream.backends.is_empty() {
        html.raw("<p class=\"none\">No key below this folder announces a backend.</p>\n");
        return;
    }
    let shown = || upstream.backends.iter().take(MAX_LINES);
    let (has_announcer, has_connections) =
        (shown().any(|backend| backend.announcer.is_some()), shown().any(|backend| backend.connections.is_some()));
    let optional = [(has_connections, "connections"), (has_announcer, "announcer")];
    let columns: Vec<&'static str> = ["backend", "state", "since", "weight"]
        .into_iter()
        .chain(optional.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name))
        .chain(["key"])
        .collect();
    let caption = format!("Backends of {} in {}", upstream.folder, upstream.dest);
    table_head(html, "<table class=\"stacked\">", &caption, &columns);
    html.raw("<tbody>\n");
    for backend in shown() {
        html.raw("<tr class=\"").raw(state_class(&backend.state)).raw("\"><th scope=\"row\">");
        html.put("<code>", &backend.address)
            .raw("</th><td data-label=\"state\">")
            .put("<span class=\"state\">", &backend.state);
        if backend.is_gone {
            html.raw(" <span class=\"some\">gone from the store</span>");
        }
        if let Some(failure) = &backend.last_failure {
            html.raw(" <span>nginx could not reach it at ");
            clock.since(html, failure.at);
            html.raw(": ").text(&failure.said).raw("</span>");
        }
        html.raw("</td><td data-label=\"since\">");
        if backend.since != UnixTime(0) {
            clock.since(html, backend.since);
        }
        html.raw("</td>").put("<td class=\"number\" data-label=\"weight\">", &backend.weight.to_string());
        if has_connections {
            let connections = backend.connections.map(|count| count.to_string()).unwrap_or_default();
            html.put("<td class=\"number\" data-label=\"connections\">", &connections);
        }
        if has_announcer {
            html.put("<td data-label=\"announcer\">", backend.announcer.as_deref().unwrap_or_default());
        }
        html.raw("<td data-label=\"key\">").put("<code>", &backend.key).raw("</td></tr>\n");
    }
    html.raw("</tbody></table>\n");
    if upstream.total > MAX_LINES {
        let more = counted(upstream.total - MAX_LINES, "backend");
        html.raw("<p class=\"rest\">and ").text(&more).raw(" more; those without traffic are shown first</p>\n");
    }
}
