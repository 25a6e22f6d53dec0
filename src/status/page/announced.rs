//! The announcers of this machine: what each announces, what not, why, and since when. Pure.

use crate::model::status::{AnnouncedService, AnnouncedState, AnnouncerStatus};
use crate::model::text::counted;

use super::html::Html;
use super::time::Clock;
use super::{MAX_LINES, close_part, open_part, rest, table_head};

/// Adds the announcers; nothing if there is none.
pub(super) fn section(html: &mut Html, announcers: &[AnnouncerStatus], clock: Clock) {
    if announcers.is_empty() {
        html.raw("<section id=\"announced\" data-part hidden></section>\n");
        return;
    }
    open_part(html, "announced", "Announced from this machine");
    announcers.iter().take(MAX_LINES).for_each(|announcer| one(html, announcer, clock));
    rest(html, announcers.len(), "announcers");
    close_part(html);
}

fn one(html: &mut Html, announcer: &AnnouncerStatus, clock: Clock) {
    html.raw("<p>process ").text(&announcer.pid.to_string());
    if let Some(why) = &announcer.silent {
        html.raw(" <strong class=\"no\">does not answer</strong>: ").text(why).raw("</p>\n");
        return;
    }
    if let Some(folder) = &announcer.folder {
        html.raw(", ").put("<code>", folder);
    }
    html.raw(if announcer.announced < announcer.total {
        ": <strong class=\"some\">"
    } else {
        ": <strong class=\"all\">"
    });
    html.text(&format!("{} of {} announced", announcer.announced, announcer.total)).raw("</strong>, etcd ");
    match (&announcer.etcd.away_since, &announcer.etcd.member) {
        (Some(since), _) => {
            html.raw("<strong class=\"no\">away</strong> since ");
            clock.since(html, *since);
            html.raw(": ").text(&announcer.etcd.problem);
        }
        (None, Some(member)) => {
            html.put("<code>", member);
        }
        (None, None) => {
            html.raw("not asked yet");
        }
    }
    html.raw("</p>\n");
    for problem in announcer.problems.iter().take(MAX_LINES) {
        html.raw("<p><strong class=\"no\">").text(problem.of.wrong()).raw("</strong> since ");
        clock.since(html, problem.since);
        html.raw(": ").text(&problem.text).raw("</p>\n");
    }
    if !announcer.services.is_empty() {
        services(html, announcer, clock);
    }
}

fn services(html: &mut Html, announcer: &AnnouncerStatus, clock: Clock) {
    let caption = format!("Services of process {}", announcer.pid);
    table_head(html, "<table class=\"stacked\">", &caption, &["key", "state", "since", "check", "lease"]);
    html.raw("<tbody>\n");
    for service in announcer.services.iter().take(MAX_LINES) {
        html.raw("<tr class=\"").raw(class(service.state)).raw("\"><th scope=\"row\">");
        html.put("<code>", &service.key).raw("<small>").put("<code>", &service.address).raw("</small>");
        html.raw("</th><td data-label=\"state\">");
        html.put("<span class=\"state\">", service.state.word());
        if !service.reason.is_empty() {
            html.raw(" ").text(&service.reason);
        }
        html.raw("</td><td data-label=\"since\">");
        clock.since(html, service.since);
        html.raw("</td><td data-label=\"check\">");
        check(html, service, clock);
        html.raw("</td><td data-label=\"lease\">");
        if let Some(lease) = &service.lease {
            html.put("<code>", &lease.id).raw(" until ");
            clock.until(html, lease.expires);
        }
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table>\n");
    if announcer.total > MAX_LINES {
        let more = counted(announcer.total - MAX_LINES, "service");
        html.raw("<p class=\"rest\">and ").text(&more).raw(" more; those that are not announced are shown first</p>\n");
    }
}

fn check(html: &mut Html, service: &AnnouncedService, clock: Clock) {
    html.put("<code>", &service.check.what).raw(" ");
    match (service.check.at, &service.check.problem) {
        (None, _) => {
            html.raw("none has ended yet");
        }
        (Some(at), None) => {
            html.raw("passed ");
            clock.since(html, at);
        }
        (Some(at), Some(problem)) => {
            html.raw("<strong>failed</strong> ");
            clock.since(html, at);
            // Mostly that is why it is not announced, and said there.
            if !service.reason.contains(problem.as_str()) {
                html.raw(": ").text(problem);
            }
        }
    }
}

fn class(state: AnnouncedState) -> &'static str {
    match state {
        AnnouncedState::Announced => "up",
        AnnouncedState::Unhealthy | AnnouncedState::Held | AnnouncedState::Denied => "down",
        _ => "other",
    }
}
