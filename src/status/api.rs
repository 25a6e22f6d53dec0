//! The status over HTTP: as JSON, as a page, as a stream of changes, and explained. Decides who gets it by the name that was asked for.
//! Pure: a request and the status go in, a page comes out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::outward::{PageBody, PageRequest, StatusPage};
use crate::model::status::{KeyFacts, Status};

use super::{explain, page};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The wish of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiRequest {
    /// The page for people.
    Page,
    /// The status; of one list all backends.
    Status {
        /// The folder or the file of the list.
        list: Option<String>,
    },
    /// An explanation.
    Explain {
        /// A key, a backend, a file or a resource.
        what: String,
    },
    /// A stream of changes.
    Changes,
}

/// Returns what a request asks for; `None` if it is none of the pages here.
pub fn wanted(request: &PageRequest) -> Option<ApiRequest> {
    match request.path.as_str() {
        "/" => Some(ApiRequest::Page),
        "/api/status" => Some(ApiRequest::Status { list: argument(request, "list").map(without_slash) }),
        "/api/explain" => Some(ApiRequest::Explain { what: argument(request, "of").unwrap_or_default() }),
        "/api/events" => Some(ApiRequest::Changes),
        _ => None,
    }
}

/// Returns the name of a list as the status has it: completion in a shell appends a slash to a folder.
pub fn without_slash(list: String) -> String {
    list.trim_end_matches('/').to_owned()
}

/// Returns an argument of the request, decoded.
fn argument(request: &PageRequest, name: &str) -> Option<String> {
    let of_name = |pair: &str| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
    let value = request.query.split('&').find_map(of_name)?.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned())
}

/// Refuses the status to a browser that asks for it under the name of somebody else, who may have pointed it here (DNS rebinding).
/// Addresses, `localhost` and these names are allowed. What load balancers and Prometheus ask for is not concerned: it shows nothing
/// of the store.
pub fn refuse_host(request: &PageRequest, hosts: &[String]) -> Option<StatusPage> {
    wanted(request)?;
    let host = request.host.as_deref()?;
    let name = host_name(host);
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_allowed = |allowed: &String| allowed.eq_ignore_ascii_case(name);
    if is_address || name.eq_ignore_ascii_case("localhost") || hosts.iter().any(is_allowed) {
        return None;
    }
    let body = "the status is shown under an address of this machine, localhost, its host name, and the name in --status-addr or \
                --metrics-addr (hint: use one of these; this keeps pages of others from reading it through a browser)\n";
    Some(StatusPage { status: 421, ..text(body) })
}

/// Returns the name in `Host`, without the port.
pub fn host_name(host: &str) -> &str {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name).trim_end_matches('.')
}

fn text(body: &str) -> StatusPage {
    StatusPage { status: 200, content_type: TEXT, body: PageBody::Text(body.into()), ..StatusPage::default() }
}

/// A text that is made of a status.
pub struct StatusText {
    /// The text.
    text: Arc<str>,
    /// Its version, which stays as long as nothing has changed.
    version: String,
}

impl StatusText {
    /// Returns a status as JSON, with a line break at the end.
    pub fn json(status: Status) -> StatusText {
        let text = serde_json::to_string(&status).unwrap_or_default() + "\n";
        let lasting = serde_json::to_string(&status.without_clocks()).unwrap_or_default();
        // Weak: the bytes of one version differ in their times.
        StatusText { text: text.into(), version: format!("W/\"{:016x}\"", hash(&lasting)) }
    }

    /// Returns the page for people. It has no version: its times move even if nothing changes.
    pub fn html(status: Status) -> StatusText {
        StatusText { text: page::html(&status).into(), version: String::new() }
    }

    /// Returns the version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Returns JSON with a version; 304 without it if that is among the versions that the client has.
pub fn versioned(known: &str, StatusText { text, version }: &StatusText) -> StatusPage {
    let opaque = |version: &str| version.trim().trim_start_matches("W/").to_owned();
    let is_known = known.split(',').any(|known| opaque(known) == opaque(version) || known.trim() == "*");
    let (status, body) = match is_known {
        true => (304, PageBody::default()),
        false => (200, PageBody::Text(Arc::clone(text))),
    };
    StatusPage { status, content_type: JSON, body, version: Some(version.clone()), security_policy: None }
}

/// Returns the page for people.
pub fn html(made: &StatusText) -> StatusPage {
    StatusPage {
        status: 200,
        content_type: "text/html; charset=utf-8",
        body: PageBody::Text(Arc::clone(&made.text)),
        security_policy: Some(page::POLICY.clone()),
        ..StatusPage::default()
    }
}

/// Returns the page for a status that could not be made.
pub fn not_made() -> StatusPage {
    StatusPage { status: 500, ..text("the status could not be made, which is a bug\n") }
}

/// Returns the answer to whoever wants to be sent changes.
pub fn changes() -> StatusPage {
    StatusPage { status: 200, content_type: "text/event-stream", body: PageBody::Changes, ..StatusPage::default() }
}

/// Explains a key, a backend, a file or a resource.
pub fn explained(status: &Status, what: &str, facts: &KeyFacts) -> StatusPage {
    let explanation = explain::explain(status, what, facts);
    let status = if explanation.is_known { 200 } else { 404 };
    let body = serde_json::to_string(&explanation).unwrap_or_default() + "\n";
    StatusPage { status, content_type: JSON, body: PageBody::Text(body.into()), ..StatusPage::default() }
}
