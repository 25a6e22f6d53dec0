//! Services to announce, as people write them: the flags of `announce`, or the `[[service]]` tables of a file, whose keys
//! are the flags' names. Reports every problem at once. Never reads a file and never connects anywhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::model::service::{HealthRules, Layout, Service};
use crate::model::suggest;

use super::document::{Document, Fields};
use super::duration;
use crate::model::problem::{Place, Problem, Problems};
use crate::model::text::shown;

mod check;
mod names;

#[cfg(test)]
mod tests;

/// Longest time to live: a day.
const MAX_TTL_SECONDS: u32 = 24 * 3600;

/// One property of a service.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Name in a file; the flag has `-` for `_`.
    pub name: &'static str,
    /// Placeholder for the value in the help.
    pub value_name: &'static str,
    /// Default value, if any.
    pub default: Option<&'static str>,
    /// Description, a phrase.
    pub help: &'static str,
}

const fn property(
    name: &'static str,
    value_name: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Property {
    Property { name, value_name, default, help }
}

/// All properties of a service.
pub const PROPERTIES: &[Property] = &[
    property("name", "NAME", None, "The service that this backend belongs to"),
    property("address", "HOST:PORT", None, "Where it listens; auto:PORT is the address that leads to etcd"),
    property("id", "ID", None, "Its name among the backends of the service [default: HOST:NAME:PORT]"),
    property("check", "CHECK", Some("tcp"), "Health check: tcp, http://…, https://…, h2, h2c or exec:COMMAND"),
    property("interval", "DURATION", Some("5s"), "Time from one check to the next"),
    property("timeout", "DURATION", Some("2s"), "How long a check may take; less than the interval"),
    property("ttl", "DURATION", Some("15s"), "Time after a crash until etcd deletes its key; at least three intervals"),
    property("rise", "N", Some("2"), "Passed checks in a row until it is announced"),
    property("fall", "N", Some("3"), "Failed checks in a row until it is removed"),
    property(
        "start_grace",
        "DURATION",
        Some("0s"),
        "How long it may take to start: failed checks are expected until then",
    ),
    property(
        "layout",
        "LAYOUT",
        Some("upstreamd"),
        "How the key is written: upstreamd, sidekick, skydns, registrator, plain or vulcand",
    ),
    property("drain_timeout", "DURATION", Some("30s"), "How long its last requests may take when it stops"),
    property("weight", "N", Some("100"), "Its share of the traffic, 1 to 256"),
    property("priority", "N", Some("10"), "The lower, the earlier it is used, 1 to 65535"),
    property("service_version", "TEXT", Some(""), "Version of the service that it runs, for people"),
    property("check_status", "FROM-TO", Some("200-399"), "HTTP statuses that count as healthy"),
    property("check_body", "TEXT", None, "What the HTTP body must contain"),
    property("check_ca", "FILE", None, "Authorities that sign its certificate, in PEM [default: the system's]"),
    property("check_insecure", "BOOL", Some("false"), "Accept any certificate"),
];

/// A text as given, and its place.
#[derive(Clone, Debug)]
struct WrittenText {
    text: String,
    place: Option<Place>,
}

/// The given properties of one service.
struct Texts {
    written: BTreeMap<&'static str, WrittenText>,
    /// The table; `None` for flags.
    place: Option<Place>,
    problems: Vec<Problem>,
}

/// A service, and the table that it was written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedService {
    /// The service.
    pub service: Service,
    /// Its table.
    pub place: Place,
}

/// Parses the service that flags describe, by the properties' names.
///
/// # Errors
/// All problems, each with its flag.
pub fn parse_flags(flags: &BTreeMap<&'static str, String>) -> Result<Service, Problems> {
    let written = flags.iter().map(|(name, text)| (*name, WrittenText { text: text.clone(), place: None })).collect();
    service(Texts { written, place: None, problems: Vec::new() }).map_err(|problems| problems.into_iter().collect())
}

/// Parses the services of a file.
///
/// # Errors
/// All problems of all services.
pub fn parse_file(path: &Path, text: &str) -> Result<Vec<PlacedService>, Problems> {
    const OTHERWISE: &str = "a file holds [[service]] tables and nothing else";
    let document = Document::parse(path, text);
    let mut services = Vec::new();
    let mut top = document.fields();
    let mut wrong = Vec::new();
    top.take("service", |field| {
        for (fields, place) in field.tables()? {
            match of_table(fields, &place) {
                Ok(service) => services.push(PlacedService { service, place }),
                Err(problems) => wrong.extend(problems),
            }
        }
        Ok(())
    });
    top.refuse_all(wrong);
    let problems = document.with_syntax_problems(top.finish("table", |_| None, OTHERWISE));
    if problems.is_empty() { Ok(services) } else { Err(problems.into_iter().collect()) }
}

fn of_table(mut fields: Fields<'_>, place: &Place) -> Result<Service, Vec<Problem>> {
    let mut written = BTreeMap::new();
    for property in PROPERTIES {
        let found = fields
            .take(property.name, |field| Ok(WrittenText { text: field.scalar()?, place: Some(field.value_place()) }));
        written.extend(found.map(|found| (property.name, found)));
    }
    let unknown = fields.finish(
        "field of [[service]]",
        |_| None,
        "`upstreamd announce --help` lists them; here they have `_` for `-`",
    );
    service(Texts { written, place: Some(place.clone()), problems: unknown })
}

impl Texts {
    fn text(&self, name: &str) -> Option<&str> {
        let written = self.written.get(name).map(|written| written.text.as_str()).filter(|text| !text.is_empty());
        written.or_else(|| PROPERTIES.iter().find(|property| property.name == name)?.default)
    }

    fn is_given(&self, name: &str) -> bool {
        self.written.contains_key(name)
    }

    /// Adds a problem of one property.
    fn refuse(&mut self, name: &str, problem: Problem) {
        let problem = match &self.place {
            None => Problem { message: format!("--{}: {}", name.replace('_', "-"), problem.message), ..problem },
            Some(table) => {
                let place = self.written.get(name).and_then(|written| written.place.clone());
                let named = Problem { message: format!("{name}: {}", problem.message), ..problem };
                named.at(place.unwrap_or_else(|| table.clone()))
            }
        };
        self.problems.push(problem);
    }

    /// Returns the value after `parse`. `None` if it is absent, or if `parse` refuses it, which adds a problem.
    fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        let text = self.text(name)?.to_owned();
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(name, problem);
                None
            }
        }
    }

    /// Does the same as `parsed` for a required property.
    fn required<T>(&mut self, name: &str, hint: &str, parse: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        if self.text(name).is_none() {
            self.refuse(name, Problem::new("is missing").hint(hint));
        }
        self.parsed(name, parse)
    }
}

/// Reads all properties, then checks those that depend on each other.
fn service(mut texts: Texts) -> Result<Service, Vec<Problem>> {
    let layout = texts.parsed("layout", layout);
    let name = texts.required("name", "name the service that it belongs to", |text| names::name(text, layout));
    let check = check::read(&mut texts);
    let address =
        texts.required("address", "write host:port, or auto:PORT", |text| names::address(text, check.as_ref(), layout));
    let id = texts.parsed("id", |text| names::id(text, layout));
    let interval = texts.parsed("interval", positive);
    let timeout = texts.parsed("timeout", positive);
    let ttl_seconds = texts.parsed("ttl", whole_seconds);
    if let (Some(interval), Some(timeout)) = (interval, timeout)
        && timeout >= interval
    {
        let problem = Problem::new(format!("{timeout:?} is not less than the interval of {interval:?}"));
        texts.refuse("timeout", problem.hint("a check has to end before the next one starts"));
    }
    if let (Some(interval), Some(ttl_seconds)) = (interval, ttl_seconds)
        && Duration::from_secs(ttl_seconds.into()) < interval * 3
    {
        let problem = Problem::new(format!("{ttl_seconds}s is less than three intervals of {interval:?}"));
        texts.refuse("ttl", problem.hint("make it longer, or the interval shorter"));
    }
    let rise = texts.parsed("rise", |text| number(text, 1, 100));
    let fall = texts.parsed("fall", |text| number(text, 1, 100));
    let start_grace = texts.parsed("start_grace", duration::parse);
    let drain_timeout = texts.parsed("drain_timeout", duration::parse);
    let weight = texts.parsed("weight", |text| number(text, 1, 256));
    let priority = texts.parsed("priority", |text| number(text, 1, 65_535));
    let version = texts.parsed("service_version", names::version);
    let service = || {
        Some(Service {
            name: name?,
            address: address?,
            id,
            check: check?,
            timeout: timeout?,
            rules: HealthRules { interval: interval?, rise: rise?, fall: fall?, start_grace: start_grace? },
            ttl_seconds: ttl_seconds?,
            layout: layout?,
            drain_timeout: drain_timeout?,
            weight: u16::try_from(weight?).ok()?,
            priority: priority?,
            version: version?,
        })
    };
    match service() {
        Some(service) if texts.problems.is_empty() => Ok(service),
        _ => Err(texts.problems),
    }
}

fn layout(text: &str) -> Result<Layout, Problem> {
    let words = Layout::ALL.iter().map(|(word, _)| *word);
    let found = Layout::ALL.iter().find(|(word, _)| *word == text).map(|(_, layout)| *layout);
    found.ok_or_else(|| {
        let hint = suggest::did_you_mean(text, words.clone())
            .unwrap_or_else(|| format!("it is one of {}", words.collect::<Vec<_>>().join(", ")));
        Problem::new(format!("{} is not known", shown(text))).hint(hint)
    })
}

fn positive(text: &str) -> Result<Duration, Problem> {
    match duration::parse(text)? {
        Duration::ZERO => Err(Problem::new("must be more than 0")),
        duration => Ok(duration),
    }
}

/// Parses whole seconds, the unit of leases.
fn whole_seconds(text: &str) -> Result<u32, Problem> {
    let ttl = positive(text)?;
    if ttl.subsec_nanos() != 0 {
        return Err(
            Problem::new(format!("{} is not a whole number of seconds", shown(text))).hint("etcd counts in seconds")
        );
    }
    let seconds = u32::try_from(ttl.as_secs()).ok().filter(|seconds| *seconds <= MAX_TTL_SECONDS);
    seconds.ok_or_else(|| {
        Problem::new(format!("{} is longer than a day", shown(text)))
            .hint("etcd keeps the key of a dead backend for that long")
    })
}

fn number(text: &str, least: u32, most: u32) -> Result<u32, Problem> {
    let found = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    found.ok_or_else(|| Problem::new(format!("{} is not a number from {least} to {most}", shown(text))))
}
