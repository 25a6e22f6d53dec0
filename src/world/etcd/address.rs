//! Parses the address of an etcd member from the text of a setting. Never opens a connection.

use std::fmt;
use std::net::IpAddr;

use crate::model::etcd::EtcdFailure;
use crate::model::store::{EtcdSettings, Scheme};

const DEFAULT_PORT: u16 = 2379;

/// The address of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAddress {
    /// Scheme: with or without TLS.
    pub scheme: Scheme,
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The name that its certificate must carry; `None` means `host`.
    pub server_name: Option<String>,
}

impl MemberAddress {
    /// Returns whether nobody else can read what is sent there: it goes by TLS, or does not leave this machine.
    pub(super) fn is_private(&self) -> bool {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        self.scheme == Scheme::Https || self.host == "localhost" || self.host.parse().is_ok_and(is_loopback)
    }
}

impl fmt::Display for MemberAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let MemberAddress { host, port, .. } = self;
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

/// Parses the configured members.
///
/// # Errors
/// Names every invalid member.
pub(super) fn addresses(settings: &EtcdSettings) -> Result<Vec<MemberAddress>, EtcdFailure> {
    let mut members = Vec::new();
    let mut problems = Vec::new();
    for text in &settings.members {
        match parse(text, default_scheme(settings)) {
            Ok(member) => members.push(member),
            Err(problem) => problems.push(problem),
        }
    }
    if settings.members.is_empty() {
        problems.push("no etcd endpoint is set".to_owned());
    }
    if problems.is_empty() { Ok(members) } else { Err(EtcdFailure::unreachable(problems.join("; "))) }
}

/// Returns the scheme of a member that names no scheme.
pub(super) fn default_scheme(settings: &EtcdSettings) -> Scheme {
    settings.scheme.unwrap_or(if settings.tls.is_some() { Scheme::Https } else { Scheme::Http })
}

fn parse(text: &str, default_scheme: Scheme) -> Result<MemberAddress, String> {
    let (scheme, rest) = match text.split_once("://") {
        None => (default_scheme, text),
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        Some((other, _)) => {
            return Err(format!("the etcd endpoint has the unknown scheme `{other}`: use http or https"));
        }
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("the etcd endpoint contains a login: use the settings username and password instead".to_owned());
    }
    let bad = || format!("etcd endpoint `{text}` is not host:port");
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(bad)?;
        (host, port.strip_prefix(':'))
    } else {
        match rest.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => (rest, None),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().map_err(|_| bad())?,
    };
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    if host.is_empty() || port == 0 || !host.bytes().all(is_host_byte) {
        return Err(bad());
    }
    Ok(MemberAddress { scheme, host: host.to_owned(), port, server_name: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = parse(text, Scheme::Http).map(|member| member.to_string());
        match (&parsed, expected) {
            (Ok(shown), Ok(wanted)) => assert_eq!(shown, wanted, "{text:?}"),
            (Err(problem), Err(part)) => assert!(problem.contains(part), "{text:?}: {problem}"),
            _ => panic!("{text:?}: {parsed:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn endpoints_come_in_many_spellings() {
        check("127.0.0.1:2379", Ok("http://127.0.0.1:2379"));
        check("etcd-1.internal", Ok("http://etcd-1.internal:2379"));
        check("http://a:1", Ok("http://a:1"));
        check("https://a:1/", Ok("https://a:1"));
        check("[::1]:2379", Ok("http://[::1]:2379"));
        check("https://[fe80::1]", Ok("https://[fe80::1]:2379"));
        check("::1", Ok("http://[::1]:2379"));
        check("unix:///run/etcd.sock", Err("use http or https"));
        check("a:b", Err("`a:b` is not host:port"));
        check("a:0", Err("is not host:port"));
        check("", Err("is not host:port"));
        check("http://a/b", Err("is not host:port"));
        check("a b:1", Err("is not host:port"));
    }

    #[test]
    fn without_tls_only_this_machine_is_private() {
        for (text, expected) in [
            ("https://etcd-1:2379", true),
            ("http://127.0.0.1:2379", true),
            ("http://127.9.9.9:2379", true),
            ("http://[::1]:2379", true),
            ("http://[::ffff:127.0.0.1]:2379", true),
            ("http://localhost:2379", true),
            ("http://etcd-1:2379", false),
            ("http://localhost.example:2379", false),
            ("http://10.0.0.1:2379", false),
            ("http://0.0.0.0:2379", false),
        ] {
            assert_eq!(parse(text, Scheme::Http).unwrap().is_private(), expected, "{text}");
        }
    }

    #[test]
    fn a_login_in_an_endpoint_is_refused_and_not_repeated() {
        let problem = parse("http://root:hunter2@a:1", Scheme::Http).unwrap_err();
        assert!(!problem.contains("hunter2"), "{problem}");
    }

    #[test]
    fn all_bad_members_are_named_at_once() {
        let set = ["a:x", "b:1", "c:y"].map(str::to_owned).to_vec();
        let settings = EtcdSettings { members: set, ..EtcdSettings::default() };
        let failure = addresses(&settings).unwrap_err();
        assert!(failure.problem.contains("a:x") && failure.problem.contains("c:y"), "{}", failure.problem);
    }
}
