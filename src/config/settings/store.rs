//! The store's settings: its kind, members, TLS and login. Never connects to it and never shows a password.

use crate::model::glob::Glob;
use crate::model::problem::Problem;
use crate::model::store::{EtcdSettings, FileSettings, Login, Scheme, StoreLimits, StoreSettings, TlsSettings};
use crate::model::text::shown;

use super::table::{
    BACKEND, BASIC_AUTH, CLIENT_CA_KEYS, CLIENT_CERT, CLIENT_INSECURE, CLIENT_KEY, DIAL_TIMEOUT, FILE, FILTER,
    INSECURE_LOGIN, MAX_STORE_KEYS, MAX_STORE_MIB, MAX_VALUE_MIB, NODE, PASSWORD, REQUEST_TIMEOUT, SCHEME, SRV_DOMAIN,
    SRV_RECORD, USERNAME, WATCH_ERROR_BACKOFF,
};
use super::values::{Values, not_among};

/// Backends of confd that are not supported.
pub const FOREIGN_BACKENDS: &[&str] =
    &["consul", "vault", "redis", "zookeeper", "dynamodb", "ssm", "acm", "secretsmanager", "imds", "rancher"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BackendWord {
    /// The name that makes the older confd look in `$ETCDCTL_PEERS` for nodes.
    Etcd,
    /// The other name, without `$ETCDCTL_PEERS`.
    EtcdV3,
    File,
    Env,
}

/// Reads how much is kept of each store.
pub(super) fn limits(values: &mut Values<'_>) -> StoreLimits {
    let mut bytes = |setting| values.positive_count(setting).saturating_mul(1 << 20);
    let (bytes, value_bytes) = (bytes(&MAX_STORE_MIB), bytes(&MAX_VALUE_MIB));
    StoreLimits { keys: values.positive_count(&MAX_STORE_KEYS), bytes, value_bytes }
}

/// Reads the store's settings. Settings of other stores are ignored: a shared file may have them.
pub(super) fn read(values: &mut Values<'_>, limits: StoreLimits) -> StoreSettings {
    match values.parsed(&BACKEND, backend).unwrap_or(BackendWord::Etcd) {
        BackendWord::Etcd => StoreSettings::Etcd(EtcdSettings { limits, ..etcd(values, true) }),
        BackendWord::EtcdV3 => StoreSettings::Etcd(EtcdSettings { limits, ..etcd(values, false) }),
        BackendWord::File => {
            let paths = values.paths(&FILE);
            if paths.is_empty() {
                let problem = Problem::new("the backend `file` needs a file");
                values.refuse(&BACKEND, problem.hint("name it with --file, or file = [\"…\"] in the settings file"));
            }
            let filter = values.parsed(&FILTER, file_filter).unwrap_or_else(Glob::any);
            StoreSettings::File(FileSettings { paths, filter, limits })
        }
        BackendWord::Env => StoreSettings::Env,
    }
}

fn backend(word: &str) -> Result<BackendWord, Problem> {
    match word {
        "etcd" => Ok(BackendWord::Etcd),
        "etcdv3" => Ok(BackendWord::EtcdV3),
        "file" => Ok(BackendWord::File),
        "env" => Ok(BackendWord::Env),
        foreign if FOREIGN_BACKENDS.contains(&foreign) => {
            Err(Problem::new(format!("the backend `{foreign}` is not supported"))
                .hint("supported are etcd (or etcdv3), file and env"))
        }
        other => Err(not_among(&BACKEND, other)),
    }
}

fn etcd(values: &mut Values<'_>, ask_environment: bool) -> EtcdSettings {
    EtcdSettings {
        members: members(values, ask_environment),
        scheme: values.choice(&SCHEME, &[("http", Scheme::Http), ("https", Scheme::Https)]),
        srv_domain: values.text(&SRV_DOMAIN).map(|domain| domain.trim_end_matches('.').to_owned()),
        srv_record: values.text(&SRV_RECORD),
        tls: tls(values),
        login: login(values),
        dial_timeout: values.positive_duration(&DIAL_TIMEOUT),
        request_timeout: values.positive_duration(&REQUEST_TIMEOUT),
        longest_pause: values.positive_duration(&WATCH_ERROR_BACKOFF),
        ..EtcdSettings::default()
    }
}

fn members(values: &mut Values<'_>, ask_environment: bool) -> Vec<String> {
    let default = EtcdSettings::default().members;
    let peers = values.layers.environment("ETCDCTL_PEERS").filter(|_| ask_environment && !values.is_given(&NODE));
    let Some(peers) = peers else {
        let given = values.each_parsed(&NODE, members_of).concat();
        return if given.is_empty() { default } else { given };
    };
    members_of(&peers).unwrap_or_else(|problem| {
        let message = format!("{} (from environment ETCDCTL_PEERS)", problem.message);
        values.problems.push(Problem { message, ..problem });
        default
    })
}

/// Parses the pattern for the names of files in folders; an empty one accepts all.
pub(in crate::config) fn file_filter(text: &str) -> Result<Glob, Problem> {
    if text.is_empty() {
        return Ok(Glob::any());
    }
    Glob::parse(text).map_err(|_| {
        Problem::new(format!("{} is not a pattern", shown(text))).hint("write one like *.yaml; `\\[` stands for a `[`")
    })
}

/// Splits nodes at commas; no member contains a comma.
pub(in crate::config) fn members_of(text: &str) -> Result<Vec<String>, Problem> {
    text.split(',').map(str::trim).filter(|node| !node.is_empty()).map(member).collect()
}

/// Checks `host:port` or `http(s)://host[:port]`.
fn member(node: &str) -> Result<String, Problem> {
    const HINT: &str = "write host:port or http(s)://host:port";
    if node.contains('?') {
        return Err(Problem::new("an endpoint has a query in it, which is not shown").hint(HINT));
    }
    if node.contains('@') {
        // Not shown: the text before the @ may be a password.
        return Err(Problem::new("an endpoint has a user name in it").hint("give it with --username and --password"));
    }
    let refuse = |what: &str| Err(Problem::new(format!("endpoint {} {what}", shown(node))).hint(HINT));
    let trimmed = node.trim_end_matches('/');
    let (scheme, address) = match node.split_once("://") {
        Some((scheme, address)) => (Some(scheme), address.trim_end_matches('/')),
        None => (None, trimmed),
    };
    if scheme.is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return refuse("has an unknown scheme");
    }
    if address.contains(|c: char| c == '/' || c == '#' || c.is_whitespace() || c.is_control()) {
        return refuse("has more than a host and a port");
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    };
    if host.is_empty() || host == "[]" || host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return refuse("has no host, or an IPv6 address without brackets");
    }
    match port {
        Some(port) if port.parse().is_ok_and(|port: u16| port > 0) => Ok(trimmed.to_owned()),
        None if scheme.is_some() => Ok(trimmed.to_owned()),
        Some(_) => refuse("has a port that is not a number from 1 to 65535"),
        None => refuse("has no port"),
    }
}

fn tls(values: &mut Values<'_>) -> Option<TlsSettings> {
    let tls = TlsSettings {
        ca: values.path(&CLIENT_CA_KEYS),
        cert: values.path(&CLIENT_CERT),
        key: values.path(&CLIENT_KEY),
        insecure: values.switch(&CLIENT_INSECURE),
    };
    match (&tls.cert, &tls.key) {
        (Some(_), None) => {
            values.refuse(&CLIENT_CERT, Problem::new("client-cert: there is no key").hint("give it with --client-key"));
        }
        (None, Some(_)) => {
            let problem = Problem::new("client-key: there is no certificate");
            values.refuse(&CLIENT_KEY, problem.hint("give it with --client-cert"));
        }
        _ => {}
    }
    (tls != TlsSettings::default()).then_some(tls)
}

/// Reads the login. A user name is enough to ask for one; confd ignores it without --basic-auth, which surprises everybody.
fn login(values: &mut Values<'_>) -> Option<Login> {
    let basic_auth = values.optional_switch(&BASIC_AUTH);
    let name = values.text(&USERNAME);
    let may_be_read = values.switch(&INSECURE_LOGIN);
    let password = values.text(&PASSWORD).filter(|password| !password.is_empty());
    if basic_auth == Some(false) {
        return None;
    }
    match (name, password) {
        (Some(user), Some(password)) => Some(Login { user, password, may_be_read }),
        (Some(_), None) => {
            let problem = Problem::new("username: there is no password");
            values.refuse(&USERNAME, problem.hint("give it with UPSTREAMD_PASSWORD or in the settings file"));
            None
        }
        (None, Some(_)) => {
            let problem = Problem::new("password: there is no user name");
            values.refuse(&PASSWORD, problem.hint("give it with --username"));
            None
        }
        (None, None) => {
            if basic_auth == Some(true) {
                let problem = Problem::new("basic-auth: there is no user name");
                values.refuse(&BASIC_AUTH, problem.hint("give it with --username and --password"));
            }
            None
        }
    }
}
