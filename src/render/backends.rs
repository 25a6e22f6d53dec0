//! What `backends` and `servers` have in common in both engines: their arguments, and the folder that they look at. Decides
//! nothing about a key: that is `nginx::backend`.

use std::sync::Arc;

use super::folders::KeptServers;
use super::library::servers::{self, UpstreamServer};
use super::session::{PathPart, RenderSession, is_too_long, shown};
use crate::model::problem::Problem;
use crate::nginx::backend::{Networks, Options, ServerLimits, Subfolders, UnixSockets, WantedAddress};

/// Most endpoints that one render may name.
const MAX_ENDPOINTS: usize = 1_000_000;

/// Names of the arguments; a trailing `?` marks those that may be left out.
pub(super) const ARGUMENTS: &[&str] = &[
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
];

/// The arguments of one call, as an engine has them.
pub(super) trait BackendArguments {
    /// Returns whether the argument was given.
    fn has(&self, name: &'static str) -> bool;
    /// Returns the argument, a text.
    fn text(&self, name: &'static str) -> Result<&str, Problem>;
    /// Returns the argument, a whole number.
    fn integer(&self, name: &'static str) -> Result<i128, Problem>;
    /// Returns the argument, true or false.
    fn boolean(&self, name: &'static str) -> Result<bool, Problem>;
    /// Returns the argument, a text or a list of texts.
    fn texts(&self, name: &'static str) -> Result<Vec<&str>, Problem>;
    /// Returns the argument if it is true or false.
    fn truth(&self, name: &'static str) -> Option<bool>;
    /// Returns an error that names the function.
    fn failure(&self, what: String) -> Problem;
}

/// Reads the options of a call.
pub(super) fn options(call: &impl BackendArguments) -> Result<Options, Problem> {
    let standard = Options::default();
    let flag = |name, standard| if call.has(name) { call.boolean(name) } else { Ok(standard) };
    let text = |name| call.has(name).then(|| call.text(name)).transpose();
    Ok(Options {
        port: call.has("port").then(|| number(call, "port", 1, u16::MAX, 0)).transpose()?,
        wanted: match text("address")? {
            None | Some("private") => WantedAddress::Private,
            Some("public") => WantedAddress::Public,
            Some("host") => WantedAddress::Host,
            Some(_) => {
                let what = "argument `address` must be \"private\", \"public\" or \"host\"";
                return Err(call.failure(what.to_owned()));
            }
        },
        hostnames: flag("hostnames", standard.hostnames)?,
        unix: match call.truth("unix") {
            Some(true) => UnixSockets::Anywhere,
            None if call.has("unix") => UnixSockets::Below(owned(call.texts("unix")?)),
            Some(false) | None => UnixSockets::No,
        },
        allow: networks(call, "allow")?,
        deny: networks(call, "deny")?,
        draining: flag("draining", standard.draining)?,
        group: text("group")?.map(str::to_owned),
        subfolders: match call.truth("subfolders") {
            Some(false) => Subfolders::None,
            None if call.has("subfolders") => Subfolders::Named(owned(call.texts("subfolders")?)),
            Some(true) | None => Subfolders::All,
        },
        max: number(call, "max", 1, usize::MAX, standard.max)?,
        limits: ServerLimits {
            max_fails: number(call, "max_fails", 0, 100, standard.limits.max_fails)?,
            fail_timeout: number(call, "fail_timeout", 1, 3600, standard.limits.fail_timeout)?,
            max_conns: number(call, "max_conns", 0, u16::MAX, standard.limits.max_conns)?,
        },
    })
}

fn number<N>(call: &impl BackendArguments, name: &'static str, least: N, most: N, standard: N) -> Result<N, Problem>
where
    N: TryFrom<i128> + PartialOrd + std::fmt::Display,
{
    if !call.has(name) {
        return Ok(standard);
    }
    let number = N::try_from(call.integer(name)?).ok().filter(|n| *n >= least && *n <= most);
    number.ok_or_else(|| call.failure(format!("argument `{name}` must be {least} to {most}")))
}

fn networks(call: &impl BackendArguments, name: &'static str) -> Result<Option<Networks>, Problem> {
    if !call.has(name) {
        return Ok(None);
    }
    let networks = Networks::parse(call.texts(name)?);
    networks.map(Some).map_err(|position| {
        let failure = call.failure(format!("item {} of argument `{name}` is not a network", position + 1));
        failure.hint("a network is written 10.0.0.0/8 or 2001:db8::/32")
    })
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// Returns the folder of a prefix, with a slash at its end, and records that the render looks at it.
pub(super) fn folder(session: &RenderSession, prefix: &str) -> Result<String, Problem> {
    let folder = format!("{}/", prefix.strip_suffix('/').unwrap_or(prefix));
    if !session.view.view().may_see_below(&folder) {
        let below = if is_too_long(prefix) {
            format!("a folder with a name of {} bytes", prefix.len())
        } else {
            match session.part_of(prefix) {
                Some(PathPart::ValueOf(key)) => {
                    format!("the folder that is made with the value of key `{}`", shown(key))
                }
                Some(PathPart::Unknown) => "a folder whose name may be made with a value".to_owned(),
                None => format!("`{}`", shown(&folder)),
            }
        };
        let failure = Problem::new(format!("nothing below {below} can be seen"));
        return Err(failure.hint("it is not covered by the `keys` of this resource"));
    }
    session.view.note_below(&folder);
    Ok(folder)
}

/// Returns what a call of `servers` prints, and records the endpoints of the names in it.
pub(super) fn servers(
    session: &mut RenderSession,
    kept: &mut KeptServers,
    prefix: &str,
    options: Options,
) -> Result<String, Problem> {
    let folder = folder(session, prefix)?;
    let make = |backend| Arc::new(UpstreamServer::new(&backend));
    let servers = kept.list(session.view.view(), &folder, options.clone(), &mut session.found, make);
    let servers = if session.withholds_backends { &[][..] } else { &servers };
    let (text, sets) = servers::print(&session.servers, &folder, &options, servers);
    session.found.endpoints.extend(sets.into_iter().map(|set| (set.name, set.endpoints)));
    if session.found.endpoints.values().map(Vec::len).sum::<usize>() > MAX_ENDPOINTS {
        return Err(Problem::new(format!("the file would name more than {MAX_ENDPOINTS} endpoints")));
    }
    Ok(text)
}
