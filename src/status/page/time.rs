//! Times on the page: absolute for the notes of an incident, relative for a tired reader. `live.js` makes the relative ones tick, in the
//! same words. Pure.

use crate::model::status::UnixTime;

use super::html::Html;
use crate::status::span::span;

/// The moment that the page is about.
#[derive(Clone, Copy)]
pub(super) struct Clock(pub(super) UnixTime);

impl Clock {
    /// Adds a moment: `03:12:05`; of another day `2025-01-13 20:26`, because seconds no longer matter then.
    pub(super) fn moment(self, html: &mut Html, at: UnixTime) {
        let (whole, today) = (at.to_string(), self.0.to_string());
        let (date, rest) = whole.split_at_checked(10).unwrap_or_default();
        let time = rest.trim_matches(['T', 'Z']);
        if at == UnixTime(0) || time.is_empty() {
            html.raw("unknown");
            return;
        }
        html.raw("<time datetime=\"").text(&whole).raw("\">");
        match today.starts_with(date) {
            true => html.text(time),
            false => html.text(date).raw(" ").text(time.get(..5).unwrap_or(time)),
        }
        .raw("</time>");
    }

    /// Adds a moment with its date: `2025-01-14 03:12:05`.
    pub(super) fn whole(self, html: &mut Html, at: UnixTime) {
        let whole = at.to_string();
        let (date, time) = whole.split_at_checked(10).unwrap_or_default();
        html.raw("<time datetime=\"")
            .text(&whole)
            .raw("\">")
            .text(date)
            .raw(" ")
            .text(time.trim_matches(['T', 'Z']))
            .raw("</time>");
    }

    /// Adds a past moment with its age: `03:12:05 (4 min)`.
    pub(super) fn since(self, html: &mut Html, at: UnixTime) {
        self.moment(html, at);
        if at != UnixTime(0) {
            html.raw(" (");
            self.age(html, at);
            html.raw(")");
        }
    }

    /// Adds the time since a moment: `4 min`.
    pub(super) fn age(self, html: &mut Html, at: UnixTime) {
        html.raw("<span class=\"age\" data-since=\"").text(&at.0.to_string()).raw("\">");
        html.text(&span(self.0.seconds_since(at))).raw("</span>");
    }

    /// Adds a coming moment: `03:16:40 (in 12 s)`.
    pub(super) fn until(self, html: &mut Html, at: UnixTime) {
        self.moment(html, at);
        let left = at.seconds_since(self.0);
        let said = if left == 0 { "due now".to_owned() } else { format!("in {}", span(left)) };
        html.raw(" (<span class=\"age\" data-until=\"").text(&at.0.to_string()).raw("\">").text(&said).raw("</span>)");
    }
}

/// Returns a number of milliseconds, as exact as a person compares: `0.4 ms`, `153 ms`, `2.1 s`.
pub(super) fn milliseconds(time: f64) -> String {
    match time {
        _ if time < 10.0 => format!("{time:.1} ms"),
        _ if time < 1000.0 => format!("{time:.0} ms"),
        _ => format!("{:.1} s", time / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_and_relative() {
        let clock = Clock(UnixTime(1_736_850_600));
        let said = |add: &dyn Fn(&mut Html)| {
            let mut html = Html::default();
            add(&mut html);
            html.into_text()
        };
        let since = said(&|html| clock.since(html, UnixTime(1_736_850_360)));
        let expected = "<time datetime=\"2025-01-14T10:26:00Z\">10:26:00</time> (<span class=\"age\" data-since=\"1736850360\">4 min</span>)";
        assert_eq!(since, expected);
        let yesterday = said(&|html| clock.moment(html, UnixTime(1_736_800_000)));
        assert_eq!(yesterday, "<time datetime=\"2025-01-13T20:26:40Z\">2025-01-13 20:26</time>");
        assert!(said(&|html| clock.until(html, UnixTime(1_736_850_612))).ends_with(">in 12 s</span>)"));
        assert!(said(&|html| clock.until(html, UnixTime(1_736_850_500))).ends_with(">due now</span>)"));
        for never in [UnixTime(0), UnixTime(u64::MAX)] {
            assert!(said(&|html| clock.since(html, never)).starts_with("unknown"));
        }
    }

    #[test]
    fn milliseconds_are_as_exact_as_a_person_compares() {
        assert_eq!([0.42, 153.2, 2100.0].map(milliseconds), ["0.4 ms", "153 ms", "2.1 s"]);
    }
}
