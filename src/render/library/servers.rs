//! `servers`: what stands inside `upstream {}`, as a `server` line for each backend or as names that nginx asks for. Never prints
//! anything of a store but what a backend was decoded to. Pure.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::model::endpoints::{
    Endpoint, EndpointName, EndpointSet, NameForm, RESOLVER_TIMEOUT_SECONDS, SERVICE, ServersForm,
};
use crate::model::live_backends::{ListedBackend, ListedState};
use crate::nginx::backend::{
    Backend, BackendState, OWNER, Options, ServerLimits, SocketOrHost, Subfolders, UnixSockets, WantedAddress,
};
use crate::nginx::quote::is_harmless;

/// Most endpoints below one name: an answer over TCP has 65,535 bytes.
const MAX_ENDPOINTS_OF_NAME: usize = 700;
/// Most parts that endpoints are divided into, as a multiple of the fewest that could be enough.
const MAX_SHARDS_FOLD: usize = 8;
/// Longest readable part of a name.
const MAX_READABLE: usize = 40;
/// Hexadecimal digits of the hash in a name: too many for somebody who writes keys to make two names the same by choosing limits.
const HASH_DIGITS: usize = 16;
/// Between two directives.
const BREAK: &str = "\n    ";
const NO_SERVER: &str = "server 127.0.0.1:1 down; # nginx accepts no upstream without a server";

/// One backend, as an upstream has it.
#[derive(Debug)]
pub(in crate::render) struct UpstreamServer {
    /// Whether its address is one of IP, and not a host name or a Unix socket.
    is_ip: bool,
    weight: u16,
    is_backup: bool,
    is_down: bool,
    is_draining: bool,
    limits: ServerLimits,
    /// Its address as it was decoded, then its key as the resource sees it, then who announced it: thousands are kept.
    texts: Box<str>,
    /// Where the key begins in them.
    key_at: u32,
    /// Where the announcer begins, who is empty if the record does not name one.
    announcer_at: u32,
}

/// The start of a `server` line.
const SERVER: &str = "server ";

impl UpstreamServer {
    /// Returns it as a backend of a list.
    pub(in crate::render) fn listed(&self) -> ListedBackend<'_> {
        let state = match (self.is_down, self.is_draining, self.is_backup) {
            (true, true, _) => ListedState::Draining,
            (true, false, _) => ListedState::Down,
            (false, _, true) => ListedState::Backup,
            (false, _, false) => ListedState::Up,
        };
        ListedBackend {
            address: self.address(),
            key: self.texts.get(self.key_at as usize..self.announcer_at as usize).unwrap_or_default(),
            announcer: self.texts.get(self.announcer_at as usize..).unwrap_or_default(),
            state,
            weight: self.weight,
        }
    }

    /// Returns a backend as an upstream has it.
    pub(in crate::render) fn new(backend: &Backend) -> UpstreamServer {
        let Backend { address, weight, backup, down, max_fails, fail_timeout, max_conns, .. } = backend;
        let limits = ServerLimits { max_fails: *max_fails, fail_timeout: *fail_timeout, max_conns: *max_conns };
        let mut texts = address.to_string();
        let is_ip = match address {
            SocketOrHost::V4(..) | SocketOrHost::V6(..) => true,
            SocketOrHost::Name(..) | SocketOrHost::Unix(_) => false,
        };
        let (weight, is_backup, is_down) = (*weight, *backup, *down);
        let is_draining = backend.state == BackendState::Draining;
        let owner = backend.meta.get(OWNER).and_then(|owner| owner.as_str()).unwrap_or_default();
        let mut add = |text: &str| {
            let at = u32::try_from(texts.len()).unwrap_or(u32::MAX);
            texts.push_str(text);
            at
        };
        let (key_at, announcer_at) = (add(&backend.key), add(owner));
        let texts = texts.into();
        UpstreamServer { is_ip, weight, is_backup, is_down, is_draining, limits, texts, key_at, announcer_at }
    }

    /// Adds its `server` line. `limits` is their text.
    fn push_line(&self, limits: &str, text: &mut String) {
        text.extend([SERVER, self.address()]);
        if self.weight != 1 {
            // Writing to a string cannot fail.
            let _infallible = write!(text, " weight={}", self.weight);
        }
        let (backup, down) = (if self.is_backup { " backup" } else { "" }, if self.is_down { " down" } else { "" });
        text.extend([" ", limits, backup, down, ";"]);
    }

    /// Returns its address, as it was decoded.
    pub(in crate::render) fn address(&self) -> &str {
        self.texts.get(..self.key_at as usize).unwrap_or_default()
    }

    fn endpoint(&self) -> Option<Endpoint> {
        // Read from the text: whole, it would be half of what each of thousands takes.
        let address: SocketAddr = self.address().parse().ok().filter(|_| self.is_ip && !self.is_down)?;
        Some(Endpoint { address, weight: self.weight, is_backup: self.is_backup })
    }
}

fn limits_text(limits: ServerLimits) -> String {
    let ServerLimits { max_fails, fail_timeout, max_conns } = limits;
    let max_conns = if max_conns == 0 { String::new() } else { format!(" max_conns={max_conns}") };
    format!("max_fails={max_fails} fail_timeout={fail_timeout}s{max_conns}")
}

/// Returns the text of one call for these servers, sorted by address, and the endpoints of the names in it. `folder` ends with a
/// slash.
pub(in crate::render) fn print(
    form: &ServersForm,
    folder: &str,
    options: &Options,
    servers: &[Arc<UpstreamServer>],
) -> (String, Vec<EndpointSet>) {
    match form {
        ServersForm::Lines => (lines(servers), Vec::new()),
        ServersForm::Names(form) => names(form, folder, options, servers),
    }
}

fn lines(servers: &[Arc<UpstreamServer>]) -> String {
    let Some(first) = servers.first() else { return NO_SERVER.to_owned() };
    let (mut text, mut limits, mut shown) = (String::new(), first.limits, limits_text(first.limits));
    for (index, server) in servers.iter().enumerate() {
        if server.limits != limits {
            (limits, shown) = (server.limits, limits_text(server.limits));
        }
        text.push_str(if index == 0 { "" } else { BREAK });
        server.push_line(&shown, &mut text);
    }
    text
}

/// The parameters that all endpoints of one line share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LineKey {
    max_conns: u16,
    max_fails: u16,
    fail_timeout: u16,
    is_backup: bool,
    shard: usize,
}

impl LineKey {
    fn new(limits: ServerLimits, is_backup: bool) -> LineKey {
        let ServerLimits { max_fails, fail_timeout, max_conns } = limits;
        LineKey { max_conns, max_fails, fail_timeout, is_backup, shard: 0 }
    }

    fn limits(self) -> ServerLimits {
        ServerLimits { max_fails: self.max_fails, fail_timeout: self.fail_timeout, max_conns: self.max_conns }
    }
}

fn names(
    form: &NameForm,
    folder: &str,
    options: &Options,
    servers: &[Arc<UpstreamServer>],
) -> (String, Vec<EndpointSet>) {
    let fixed = || servers.iter().filter(|server| !server.is_ip);
    let sets = sets(options, servers);
    let mut directives = Vec::new();
    if !sets.is_empty() {
        directives.push(format!("resolver {};", form.resolvers.join(" ")));
        directives.push(format!("resolver_timeout {RESOLVER_TIMEOUT_SECONDS}s;"));
    }
    let has_primary = sets.keys().any(|key| !key.is_backup) || fixed().any(|server| !server.is_backup);
    let quote = if form.standby.as_deref().is_some_and(|standby| !is_harmless(standby)) { "\"" } else { "" };
    let mut named = Vec::with_capacity(sets.len());
    for (key, endpoints) in sets {
        let label = label(form, folder, options, key);
        let name = EndpointName::new(&label);
        let backup = if key.is_backup { " backup" } else { "" };
        directives.push(format!("{SERVER}{name} service={SERVICE} resolve {}{backup};", limits_text(key.limits())));
        directives.extend(form.standby.iter().map(|standby| format!("include {quote}{standby}{label}.peers*{quote};")));
        named.push(EndpointSet { name, endpoints });
    }
    directives.extend(fixed().map(|server| {
        let mut line = String::new();
        server.push_line(&limits_text(server.limits), &mut line);
        line
    }));
    if !has_primary {
        directives.push(NO_SERVER.to_owned());
    }
    (directives.join(BREAK), named)
}

/// Returns the endpoints of each line. nginx decides for each line who is backup: of one answer, all but those with the lowest
/// priority are. So backups may stand beside primaries only if there is no other line.
fn sets(options: &Options, servers: &[Arc<UpstreamServer>]) -> BTreeMap<LineKey, Vec<Endpoint>> {
    if servers.iter().all(|server| server.is_ip && server.is_down) {
        // The name must exist before its first endpoint.
        return BTreeMap::from([(LineKey::new(options.limits, false), Vec::new())]);
    }
    let endpoints = || servers.iter().filter_map(|server| Some((server.endpoint()?, server.limits)));
    let grouped = |splits_backups: bool| {
        let mut sets: BTreeMap<LineKey, Vec<Endpoint>> = BTreeMap::new();
        for (endpoint, limits) in endpoints() {
            sets.entry(LineKey::new(limits, splits_backups && endpoint.is_backup)).or_default().push(endpoint);
        }
        sets
    };
    let whole = grouped(false);
    let is_alone = whole.len() == 1 && servers.iter().all(|server| server.is_ip);
    if is_alone && whole.values().all(|endpoints| endpoints.len() <= MAX_ENDPOINTS_OF_NAME) {
        return whole;
    }
    let mut sets: BTreeMap<LineKey, Vec<Endpoint>> = BTreeMap::new();
    for (key, endpoints) in grouped(true) {
        let shards = shards(&endpoints);
        for endpoint in endpoints {
            let shard = shard(endpoint.address, shards);
            sets.entry(LineKey { shard, ..key }).or_default().push(endpoint);
        }
    }
    sets
}

/// Returns into how many parts to divide endpoints so that none is too large. Addresses that somebody has chosen to lie in one part
/// are not divided without end.
fn shards(endpoints: &[Endpoint]) -> usize {
    let least = endpoints.len().div_ceil(MAX_ENDPOINTS_OF_NAME).next_power_of_two();
    let fits = |shards: &usize| {
        let mut counts = vec![0; *shards];
        endpoints.iter().for_each(|endpoint| counts[shard(endpoint.address, *shards)] += 1);
        counts.into_iter().all(|count| count <= MAX_ENDPOINTS_OF_NAME)
    };
    let most = least * MAX_SHARDS_FOLD;
    std::iter::successors(Some(least), |shards| Some(shards * 2).filter(|shards| *shards <= most))
        .find(fits)
        .unwrap_or(most)
}

/// Returns which of so many parts, a power of two, an address belongs to: in every build and release the same.
fn shard(address: SocketAddr, shards: usize) -> usize {
    if shards == 1 {
        return 0;
    }
    let hash = Sha256::digest(address.to_string());
    usize::from(u16::from_be_bytes([hash[0], hash[1]])) % shards
}

/// Returns the label of a name: what people recognise, and a hash of everything that makes two lines different. It is the same in
/// every build and release.
fn label(form: &NameForm, folder: &str, options: &Options, key: LineKey) -> String {
    let LineKey { max_conns, max_fails, fail_timeout, is_backup, shard } = key;
    let limits = json!([max_fails, fail_timeout, max_conns]);
    let text = json!([form.owner, folder, canonical(options), limits, is_backup, shard]).to_string();
    let mut label = readable(folder);
    label.push('-');
    for byte in &Sha256::digest(text)[..HASH_DIGITS / 2] {
        // Writing to a string cannot fail.
        let _infallible = write!(label, "{byte:02x}");
    }
    label
}

/// Returns the part of a name that people recognise: `services-web` of `/services/web/`.
fn readable(folder: &str) -> String {
    let mut readable = String::new();
    for c in folder.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => readable.push(c),
            _ if readable.is_empty() || readable.ends_with('-') => {}
            _ => readable.push('-'),
        }
        if readable.len() == MAX_READABLE {
            break;
        }
    }
    readable.truncate(readable.trim_end_matches('-').len());
    if readable.is_empty() { "root".to_owned() } else { readable }
}

/// Returns the arguments of a call in a form that no release changes: another text is another name, which nginx has to learn by a
/// reload.
fn canonical(options: &Options) -> serde_json::Value {
    let Options { port, wanted, hostnames, unix, allow, deny, draining, group, subfolders, max, limits } = options;
    let wanted = match wanted {
        WantedAddress::Private => "private",
        WantedAddress::Public => "public",
        WantedAddress::Host => "host",
    };
    let unix = match unix {
        UnixSockets::No => json!(false),
        UnixSockets::Anywhere => json!(true),
        UnixSockets::Below(folders) => json!(folders),
    };
    let subfolders = match subfolders {
        Subfolders::All => json!(true),
        Subfolders::None => json!(false),
        Subfolders::Named(names) => json!(names),
    };
    let networks = [allow, deny].map(|networks| networks.as_ref().map(ToString::to_string));
    let ServerLimits { max_fails, fail_timeout, max_conns } = limits;
    let limits = json!([max_fails, fail_timeout, max_conns]);
    json!([port, wanted, hostnames, unix, networks, draining, group, subfolders, max, limits])
}

#[cfg(test)]
mod tests;
