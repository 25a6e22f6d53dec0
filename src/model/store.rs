//! The store to follow and the way to reach it, as the settings say. Plain data, filled by the code that reads the
//! command line and the settings file. Never opens a file, resolves a name or shows a password.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::glob::Glob;

/// The one store that the agent follows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one such value in a process")]
pub enum StoreSettings {
    /// etcd with the v3 API.
    Etcd(EtcdSettings),
    /// YAML, JSON or TOML files.
    File(FileSettings),
    /// The environment of this process: `/a/b` is `A_B`.
    Env,
}

/// Prints the place of the keys, for people: `etcd at 127.0.0.1:2379`. Never the user.
impl fmt::Display for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreSettings::Etcd(etcd) => match etcd.srv_record.as_ref().or(etcd.srv_domain.as_ref()) {
                Some(domain) => write!(f, "etcd found by the SRV records of {domain}"),
                None => write!(f, "etcd at {}", etcd.members.join(", ")),
            },
            StoreSettings::File(file) => {
                let paths: Vec<_> = file.paths.iter().map(|path| path.display().to_string()).collect();
                write!(f, "file {}", paths.join(", "))
            }
            StoreSettings::Env => f.write_str("the environment"),
        }
    }
}

/// Settings of an etcd cluster. The defaults suit a cluster in the same data centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdSettings {
    /// Members, which each process tries in an order of its own: `host:port`, `http://host:port` or `https://host:port`.
    /// Not used with `srv_domain` or `srv_record`. Default: `127.0.0.1:2379`.
    pub members: Vec<String>,
    /// Scheme of members without one, and of members found by SRV records whose name does not imply one.
    /// Default: `https` if `tls` is set, otherwise `http`.
    pub scheme: Option<Scheme>,
    /// Domain whose SRV records list the members, looked up again whenever no member answers.
    pub srv_domain: Option<String>,
    /// The one SRV record to ask for, instead of those that follow from `srv_domain`.
    pub srv_record: Option<String>,
    /// The DNS server for SRV records and for the members' addresses. Default: the system's.
    pub dns_server: Option<SocketAddr>,
    /// Verification of `https` members, and our certificate. Default: the system's roots and no certificate.
    pub tls: Option<TlsSettings>,
    /// User to log in as. Default: no login.
    pub login: Option<Login>,
    /// Longest time to make one connection, TLS included. Default: 5 s.
    pub dial_timeout: Duration,
    /// Longest time for one request. Default: 5 s.
    pub request_timeout: Duration,
    /// Longest pause before the store is tried again. Default: 10 s.
    pub longest_pause: Duration,
    /// HTTP/2 pings.
    pub keepalive: Keepalive,
    /// How much is kept of the store.
    pub limits: StoreLimits,
}

impl Default for EtcdSettings {
    fn default() -> EtcdSettings {
        EtcdSettings {
            members: vec!["127.0.0.1:2379".to_owned()],
            scheme: None,
            srv_domain: None,
            srv_record: None,
            dns_server: None,
            tls: None,
            login: None,
            dial_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            longest_pause: Duration::from_secs(10),
            keepalive: Keepalive { interval: Duration::from_secs(10), timeout: Duration::from_secs(5) },
            limits: StoreLimits::default(),
        }
    }
}

/// HTTP/2 pings, which notice a connection that is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Pause between pings, also while idle. etcd refuses pings closer than 5 s by default. Default: 10 s.
    pub interval: Duration,
    /// Longest time for the answer to a ping. Default: 5 s.
    pub timeout: Duration,
}

/// Bounds on what is kept of a store: whoever writes to it decides how much is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Most keys. With more, the store is refused. Default: 1,000,000.
    pub keys: usize,
    /// Most bytes of keys and values together. With more, the store is refused. Default: 256 MiB.
    pub bytes: usize,
    /// Most bytes of one value. A larger one is not kept, and only a render that reads it fails. Default: 2 MiB.
    pub value_bytes: usize,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits { keys: 1_000_000, bytes: 256 << 20, value_bytes: 2 << 20 }
    }
}

/// Scheme of a member: without or with encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// TLS files in PEM. They are read at each new connection, so that renewed certificates are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificate authorities that may have signed the server's certificate, or that certificate. Default: the system's roots.
    pub ca: Option<PathBuf>,
    /// Our certificate, intermediates after it. Needs `key`.
    pub cert: Option<PathBuf>,
    /// Our private key. Needs `cert`.
    pub key: Option<PathBuf>,
    /// Whether any server certificate is accepted, whoever signed it and whatever its name. Default: false.
    pub insecure: bool,
}

/// A user of the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password; never shown.
    pub password: String,
    /// Whether it may also cross the network without TLS. Default: false.
    pub may_be_read: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Files that hold keys and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// Files, and folders that are searched with everything below them. If two files set one key, the later path wins.
    pub paths: Vec<PathBuf>,
    /// Pattern that the names of files in folders must match. Default: `*`.
    pub filter: Glob,
    /// How much is kept of the files.
    pub limits: StoreLimits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_password() {
        let login = Login { user: "root".to_owned(), password: "hunter2".to_owned(), may_be_read: false };
        let settings = EtcdSettings { login: Some(login), ..EtcdSettings::default() };
        let shown = format!("{:?}", StoreSettings::Etcd(settings));
        assert!(shown.contains("root") && !shown.contains("hunter2"), "{shown}");
    }
}
