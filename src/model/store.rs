//! Where keys come from, after validation. Never prints a password.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A key store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a process has one of it")]
pub enum StoreSettings {
    /// etcd, by its v3 interface.
    Etcd(EtcdSettings),
    /// YAML, JSON or TOML files, or folders of them.
    File {
        /// The files and folders, at least one.
        paths: Vec<PathBuf>,
        /// Which files of a folder count: a pattern of the file's name, `*` by default.
        filter: String,
    },
    /// The process environment: `/a/b` is `A_B`.
    Env,
}

/// How to reach etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// `host:port` or `http(s)://host:port`; empty only where SRV records give them.
    pub endpoints: Vec<String>,
    /// The domain whose SRV records replace `endpoints`.
    pub srv_domain: Option<String>,
    /// The SRV record to ask for; follows from the domain where only that is given.
    pub srv_record: Option<String>,
    /// `http` or `https`, for what SRV records name.
    pub scheme: String,
    /// Set where a certificate, key, CA or `client-insecure` was given.
    pub tls: Option<TlsSettings>,
    /// User name and password.
    pub user: Option<(String, String)>,
    /// How long to try to connect. Default 5 s.
    pub dial_timeout: Duration,
    /// How long one request may take. Default 5 s.
    pub request_timeout: Duration,
}

/// TLS towards etcd; the system's CA certificates count where `ca` is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// CA certificates (PEM).
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM); set exactly where `key` is.
    pub cert: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// Take any server certificate.
    pub insecure: bool,
}

impl fmt::Debug for EtcdSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdSettings")
            .field("endpoints", &self.endpoints)
            .field("srv_domain", &self.srv_domain)
            .field("srv_record", &self.srv_record)
            .field("scheme", &self.scheme)
            .field("tls", &self.tls)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("dial_timeout", &self.dial_timeout)
            .field("request_timeout", &self.request_timeout)
            .finish()
    }
}
