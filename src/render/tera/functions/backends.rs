//! `backends`: the typed list of a folder's backends. Reads arguments and writes values; `nginx::backend` decides what a
//! key means. Keys that do not decode are skipped and recorded in the session; they never fail the render.

use serde_json::Value as Json;
use tera::Value;
use tera::value::{Key, Map};

use super::call::{TeraCall, TeraFunction, function, kind};
use super::json::to_tera;
use crate::model::problem::Problem;
use crate::nginx::backend::{Backend, Networks, Options, ServerLimits, Subfolders, UnixSockets, WantedAddress};
use crate::render::session::shown;
use crate::render::tera::run::TeraRun;

pub(super) const FUNCTIONS: &[TeraFunction] = &[function(
    "backends",
    &[
        "prefix",
        "port?",
        "address?",
        "hostnames?",
        "unix?",
        "allow?",
        "deny?",
        "draining?",
        "group?",
        "subfolders?",
        "max?",
        "max_fails?",
        "fail_timeout?",
        "max_conns?",
    ],
    backends,
)];

fn backends(call: &TeraCall<'_>, run: &mut TeraRun) -> Result<Value, Problem> {
    let prefix = call.text("prefix")?;
    let options = options(call)?;
    let folder = format!("{}/", prefix.strip_suffix('/').unwrap_or(prefix));
    let TeraRun { session, memory, .. } = run;
    if !session.view.view().may_see_below(&folder) {
        let failure = call.failure(format!("nothing below `{}` can be seen", shown(&folder)));
        return Err(failure.hint("it is not covered by the `keys` of this resource"));
    }
    session.view.note_below(&folder);
    let blank = blank();
    let make = |backend| to_value(backend, &blank);
    let backends = memory.folders.list(session.view.view(), &folder, options, &mut session.found, make);
    Ok(if session.withholds_backends { Value::from(Vec::<Value>::new()) } else { backends })
}

fn options(call: &TeraCall<'_>) -> Result<Options, Problem> {
    let standard = Options::default();
    let flag = |name, standard| call.optional(name).map_or(Ok(standard), |_| call.boolean(name));
    Ok(Options {
        port: call.optional("port").map(|_| number(call, "port", 1, u16::MAX, 0)).transpose()?,
        wanted: match call.optional_text("address")? {
            None | Some("private") => WantedAddress::Private,
            Some("public") => WantedAddress::Public,
            Some("host") => WantedAddress::Host,
            Some(_) => return Err(call.failure("argument `address` must be \"private\", \"public\" or \"host\"")),
        },
        hostnames: flag("hostnames", standard.hostnames)?,
        unix: unix(call)?,
        allow: networks(call, "allow")?,
        deny: networks(call, "deny")?,
        draining: flag("draining", standard.draining)?,
        group: call.optional_text("group")?.map(str::to_owned),
        subfolders: subfolders(call)?,
        max: number(call, "max", 1, usize::MAX, standard.max)?,
        limits: ServerLimits {
            max_fails: number(call, "max_fails", 0, 100, standard.limits.max_fails)?,
            fail_timeout: number(call, "fail_timeout", 1, 3600, standard.limits.fail_timeout)?,
            max_conns: number(call, "max_conns", 0, u16::MAX, standard.limits.max_conns)?,
        },
    })
}

fn number<N>(call: &TeraCall<'_>, name: &'static str, least: N, most: N, standard: N) -> Result<N, Problem>
where
    N: TryFrom<i128> + PartialOrd + std::fmt::Display,
{
    let Some(given) = call.optional_integer(name)? else { return Ok(standard) };
    let number = N::try_from(given).ok().filter(|n| *n >= least && *n <= most);
    number.ok_or_else(|| call.failure(format!("argument `{name}` must be {least} to {most}")))
}

fn unix(call: &TeraCall<'_>) -> Result<UnixSockets, Problem> {
    match call.optional("unix") {
        None => Ok(UnixSockets::No),
        Some(value) if value.as_bool() == Some(true) => Ok(UnixSockets::Anywhere),
        Some(value) if value.as_bool() == Some(false) => Ok(UnixSockets::No),
        Some(_) => Ok(UnixSockets::Below(texts(call, "unix")?.into_iter().map(str::to_owned).collect())),
    }
}

fn subfolders(call: &TeraCall<'_>) -> Result<Subfolders, Problem> {
    match call.optional("subfolders") {
        None => Ok(Subfolders::All),
        Some(value) if value.as_bool() == Some(true) => Ok(Subfolders::All),
        Some(value) if value.as_bool() == Some(false) => Ok(Subfolders::None),
        Some(_) => Ok(Subfolders::Named(texts(call, "subfolders")?.into_iter().map(str::to_owned).collect())),
    }
}

fn networks(call: &TeraCall<'_>, name: &'static str) -> Result<Option<Networks>, Problem> {
    if call.optional(name).is_none() {
        return Ok(None);
    }
    let networks = Networks::parse(texts(call, name)?);
    networks.map(Some).map_err(|position| {
        let failure = call.failure(format!("item {} of argument `{name}` is not a network", position + 1));
        failure.hint("a network is written 10.0.0.0/8 or 2001:db8::/32")
    })
}

/// Returns a text by itself, or a list of texts.
fn texts<'a>(call: &TeraCall<'a>, name: &'static str) -> Result<Vec<&'a str>, Problem> {
    let value = call.value(name)?;
    if let Some(text) = value.as_str() {
        return Ok(vec![text]);
    }
    let items = call.list(name)?.iter();
    items
        .map(|item| {
            item.as_str().ok_or_else(|| call.failure(format!("argument `{name}` must list texts, not {}", kind(item))))
        })
        .collect()
}

/// The members of a backend as templates see it, in their order.
const MEMBERS: [&str; 13] = [
    "name",
    "key",
    "host",
    "port",
    "address",
    "weight",
    "backup",
    "down",
    "state",
    "max_fails",
    "fail_timeout",
    "max_conns",
    "meta",
];

/// Returns a backend without values: copying it is cheaper than hashing every name again for each backend.
fn blank() -> Map {
    MEMBERS.iter().map(|name| (Key::from(*name), Value::none())).collect()
}

fn to_value(backend: Backend, blank: &Map) -> Value {
    let mut members = blank.clone();
    let values = [
        Value::from(backend.name),
        Value::from(backend.key),
        Value::from(backend.address.host()),
        backend.address.port().map_or_else(Value::none, Value::from),
        Value::from(backend.address.to_string()),
        Value::from(backend.weight),
        Value::from(backend.backup),
        Value::from(backend.down),
        Value::from(backend.state.word()),
        Value::from(backend.max_fails),
        Value::from(backend.fail_timeout),
        Value::from(backend.max_conns),
        to_tera(Json::Object(backend.meta)),
    ];
    for (member, value) in members.values_mut().zip(values) {
        *member = value;
    }
    Value::from(members)
}
