//! Health checks as people write them: one word or URL, and its options. Never runs a check.

use std::path::PathBuf;

use crate::config::port;
use crate::model::problem::Problem;
use crate::model::service::{Check, CheckTls, HttpCheck};
use crate::model::text::shown;

use super::{Texts, names};

const HINT: &str = "write tcp, http://HOST:PORT/PATH, https://HOST:PORT/PATH, h2 (over TLS), h2c or exec:COMMAND";

/// A check by its kind, without its options.
enum CheckScheme {
    Tcp,
    Http { is_tls: bool, host: String, port: u16, path: String },
    Http2 { is_tls: bool },
    Exec(String),
}

/// Reads the check; `None` if there was a problem.
pub(super) fn read(texts: &mut Texts) -> Option<Check> {
    let kind = texts.parsed("check", kind)?;
    let is_http = matches!(kind, CheckScheme::Http { .. });
    let is_tls = matches!(kind, CheckScheme::Http { is_tls: true, .. } | CheckScheme::Http2 { is_tls: true });
    for (name, applies, to) in [
        ("check_status", is_http, "http:// and https://"),
        ("check_body", is_http, "http:// and https://"),
        ("check_ca", is_tls, "https:// and h2"),
        ("check_insecure", is_tls, "https:// and h2"),
    ] {
        if texts.is_given(name) && !applies {
            texts.refuse(name, Problem::new("does not go with this check").hint(format!("it is for {to}")));
        }
    }
    let status = texts.parsed("check_status", status)?;
    let body = texts.parsed("check_body", |text| Ok(text.to_owned()));
    let ca = texts.parsed("check_ca", |text| Ok(PathBuf::from(text)));
    let insecure = texts.parsed("check_insecure", switch)?;
    if insecure && ca.is_some() {
        let problem = Problem::new("a certificate cannot be both verified by check_ca and not verified");
        texts.refuse("check_insecure", problem.hint("leave one of the two out"));
    }
    let tls = |is_tls: bool| is_tls.then(|| CheckTls { ca: ca.clone(), insecure });
    Some(match kind {
        CheckScheme::Tcp => Check::Tcp,
        CheckScheme::Exec(command) => Check::Exec(command),
        CheckScheme::Http2 { is_tls } => Check::Http2 { tls: tls(is_tls) },
        CheckScheme::Http { is_tls, host, port, path } => {
            Check::Http(HttpCheck { host, port, path, status, body, tls: tls(is_tls) })
        }
    })
}

fn kind(text: &str) -> Result<CheckScheme, Problem> {
    match text {
        "tcp" => return Ok(CheckScheme::Tcp),
        "h2" => return Ok(CheckScheme::Http2 { is_tls: true }),
        "h2c" => return Ok(CheckScheme::Http2 { is_tls: false }),
        _ => {}
    }
    if let Some(command) = text.strip_prefix("exec:") {
        return match command.trim() {
            "" => Err(Problem::new("`exec:` has no command").hint(HINT)),
            _ if command.contains('\0') => Err(Problem::new("the command contains a NUL").hint(HINT)),
            command => Ok(CheckScheme::Exec(command.to_owned())),
        };
    }
    let is_tls = match text.split_once("://") {
        Some(("http", _)) => false,
        Some(("https", _)) => true,
        _ => return Err(Problem::new(format!("{} is not a check", shown(text))).hint(HINT)),
    };
    let wrong = || Problem::new(format!("{} is not a URL that can be checked", shown(text))).hint(HINT);
    let authority = text.split(['/', '?']).nth(2).unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    url(text, is_tls).ok_or_else(|| port::too_large(text, port).unwrap_or_else(wrong))
}

fn url(text: &str, is_tls: bool) -> Option<CheckScheme> {
    let (_, rest) = text.split_once("://")?;
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let path = match path {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    // Neither a login nor a fragment is sent to a server; a space would end the path.
    if authority.contains('@') || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (authority, if is_tls { 443 } else { 80 }),
    };
    Some(CheckScheme::Http { is_tls, host: names::host(host)?, port, path })
}

/// Parses `200` or `200-399`.
fn status(text: &str) -> Result<(u16, u16), Problem> {
    let number = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok((from, to)),
        _ => Err(Problem::new(format!("{} is not a list of HTTP statuses", shown(text))).hint("as in 200 or 200-399")),
    }
}

fn switch(text: &str) -> Result<bool, Problem> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new(format!("{} is neither true nor false", shown(text)))),
    }
}
