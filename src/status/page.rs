//! The page at `/`: the status as one HTML document that needs nothing else, for a person who is tired and has ten seconds. First the
//! two answers and everything that is not good, then the rest. Pure: the status goes in, text comes out. Never asks for anything, and
//! nothing on it changes anything.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::model::status::{AgentStatus, Axis, Status};

mod announced;
mod changes;
mod conditions;
mod groups;
mod html;
mod places;
mod time;
mod upstreams;

use html::Html;
use time::Clock;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/live.js");

/// Most lines of a list that are shown; the rest is counted.
pub const MAX_LINES: usize = 20;

/// The `Content-Security-Policy` of the page: its own style and script, the agent it came from, and nothing else.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// Returns the page.
pub fn html(status: &Status) -> String {
    let mut html = Html::default();
    let clock = Clock(status.at);
    let (sync, service) = (in_word(&status.sync), in_word(&status.service));
    head(&mut html, &sync, &service);
    html.raw("<body>\n<header>\n<h1>upstreamd</h1>\n<p id=\"asof\" data-part>");
    if !status.agent.host.is_empty() {
        html.raw("on ").put("<code>", &status.agent.host).raw(", ");
    }
    html.raw("as of ");
    clock.whole(&mut html, status.at);
    html.raw(" UTC</p>\n<p id=\"live\" role=\"status\"></p>\n");
    html.raw("<noscript><p class=\"still\">reload the page to see changes</p></noscript>\n</header>\n");
    html.raw("<p id=\"news\" class=\"unseen\" role=\"status\"></p>\n");
    html.raw("<main id=\"main\" data-now=\"").text(&status.at.0.to_string()).raw("\">\n");
    html.raw("<div id=\"answers\" class=\"answers\" data-part>\n");
    answer(&mut html, "In sync with the store", &sync, &status.sync, clock);
    answer(&mut html, "Serving", &service, &status.service, clock);
    html.raw("</div>\n");
    conditions::section(&mut html, status, clock);
    html.raw("<div class=\"columns\">\n<div class=\"column\">\n");
    upstreams::section(&mut html, &status.upstreams, clock);
    announced::section(&mut html, &status.announced, clock);
    html.raw("</div>\n<div class=\"column\">\n");
    groups::section(&mut html, status, clock);
    changes::section(&mut html, &status.changes, clock);
    places::nginx(&mut html, &status.nginx, clock);
    places::stores(&mut html, &status.stores, clock);
    places::fleet(&mut html, &status.fleet, status.fleet_reading.as_ref(), clock);
    html.raw("</div>\n</div>\n</main>\n");
    foot(&mut html, &status.agent, clock);
    html.raw("<script>").raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    html.into_text()
}

/// The answer to one of the two questions, in a word, with its class in the style.
struct AxisWord {
    word: &'static str,
    class: &'static str,
}

fn in_word(axis: &Axis) -> AxisWord {
    // Neither yes nor no: there is nothing to ask about.
    let class = match axis.ok {
        Some(true) => "yes",
        Some(false) => "no",
        None => "open",
    };
    AxisWord { word: axis.answer.word(), class }
}

fn head(html: &mut Html, sync: &AxisWord, service: &AxisWord) {
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    html.raw("<title>In sync: ").raw(sync.word).raw(" · serving: ").raw(service.word).raw(" – upstreamd</title>\n");
    // One half for each answer: a bar that is whole for yes, broken for no.
    html.raw("<link id=\"icon\" rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E");
    html.raw(half(
        sync,
        ["%3Cpath d='M1 1h6v14H1z' fill='%232e7d4f'/%3E", "%3Cpath d='M1 1h6v5H1zm0 9h6v5H1z' fill='%23d93a2b'/%3E"],
    ));
    html.raw(half(
        service,
        ["%3Cpath d='M9 1h6v14H9z' fill='%232e7d4f'/%3E", "%3Cpath d='M9 1h6v5H9zm0 9h6v5H9z' fill='%23d93a2b'/%3E"],
    ));
    html.raw("%3C/svg%3E\">\n<style>").raw(STYLE).raw("</style>\n</head>\n");
}

fn half(answer: &AxisWord, [whole, broken]: [&'static str; 2]) -> &'static str {
    match answer.class {
        "yes" => whole,
        "no" => broken,
        _ => "",
    }
}

fn answer(html: &mut Html, question: &'static str, answer: &AxisWord, axis: &Axis, clock: Clock) {
    html.raw("<section class=\"answer ").raw(answer.class).raw("\">\n<h2>").raw(question).raw(": <strong>");
    html.raw(answer.word).raw("</strong></h2>\n<p>").text(&axis.summary);
    if let Some(since) = axis.since {
        html.raw(", since ");
        clock.since(html, since);
    }
    html.raw("</p>\n</section>\n");
}

/// Opens a part of the page with its heading; `id` is its name for `live.js`.
fn open_part(html: &mut Html, id: &'static str, heading: &'static str) {
    html.raw("<section id=\"").raw(id).raw("\" data-part data-id=\"").raw(id).raw("\">\n");
    html.put("<h2>", heading).raw("\n");
}

fn close_part(html: &mut Html) {
    html.raw("</section>\n");
}

/// Adds how many lines are not shown, and where they are.
fn rest(html: &mut Html, total: usize, what: &str) {
    if total > MAX_LINES {
        html.raw("<p class=\"rest\">and ").text(&(total - MAX_LINES).to_string()).raw(" more ").text(what);
        html.raw(", in <a href=\"/api/status\">/api/status</a></p>\n");
    }
}

/// Adds names, as many as are wanted, and how many there are beside them.
fn names(html: &mut Html, names: &[String], max: usize, more: usize) {
    for (at, name) in names.iter().take(max).enumerate() {
        html.raw(if at == 0 { "" } else { ", " }).put("<code>", name);
    }
    let more = more + names.len().saturating_sub(max);
    if more > 0 {
        html.raw(" and ").text(&more.to_string()).raw(" more");
    }
}

/// Adds the head of a table, with a caption for those who hear it.
fn table_head(html: &mut Html, tag: &'static str, caption: &str, columns: &[&'static str]) {
    html.raw(tag).put("<caption class=\"unseen\">", caption).raw("\n<thead><tr>");
    columns.iter().for_each(|column| {
        html.put("<th scope=\"col\">", column);
    });
    html.raw("</tr></thead>\n");
}

/// Adds what a key of a description means.
fn entry(html: &mut Html, key: &'static str, fill: impl FnOnce(&mut Html)) {
    html.raw("<div>").put("<dt>", key).within("<dd>", fill).raw("</div>\n");
}

fn foot(html: &mut Html, agent: &AgentStatus, clock: Clock) {
    html.raw("<footer id=\"foot\" data-part>\n<p>upstreamd ").text(&agent.version).raw(", process ");
    html.text(&agent.pid.to_string()).raw(", started ");
    clock.since(html, agent.started);
    html.raw("; conf.d and templates in ");
    names(html, &agent.confdirs, MAX_LINES, 0);
    if let Some(file) = &agent.settings_file {
        html.raw(", settings in ").put("<code>", file);
    }
    html.raw("</p>\n<nav aria-label=\"The same for programs\"><a href=\"/api/status\">status as JSON</a> ");
    html.raw("<a href=\"/metrics\">metrics</a> <a href=\"/ready/detailed\">readiness</a></nav>\n</footer>\n");
}
