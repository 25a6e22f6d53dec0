//! Log lines about endpoints that nginx asks for: one function for each event. Never logs a key's value.

use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::backend_change::BackendChange;
use crate::model::resource::InstanceId;

use super::fields::NameList;

/// Logs where questions are answered.
pub fn answering(addresses: &[String]) {
    tracing::info!(?addresses, "answering nginx's questions for endpoints at {}", addresses.join(", "));
}

/// Logs which way changes of backends reach nginx.
pub fn way(resource: &str, way: &str) {
    tracing::info!(%resource, "{resource}: {way}");
}

/// Logs that questions cannot be answered, so that every change is a reload. `is_demanded`: a resource insists on answers.
pub fn not_answering(problem: &str, is_demanded: bool) {
    let text = format!("cannot answer nginx's questions for endpoints: {problem}; changes of backends are reloads");
    match is_demanded {
        true => tracing::error!("{text}"),
        false => tracing::warn!("{text}"),
    }
}

/// Logs that nginx has taken changed endpoints, this time after their publication.
pub fn taken(id: &InstanceId, change: &BackendChange, after: Duration) {
    let after_ms = (after.as_secs_f64() * 1e6).round() / 1e3;
    tracing::info!(resource = %id, after_ms, "nginx took the endpoints of {id}: {change} (without a reload, after {after_ms} ms)");
}

/// Logs that nginx is reloaded once more to forget the servers that it read from disk.
pub fn cleaning(resources: &BTreeSet<Arc<str>>) {
    let resources = NameList::of(resources);
    tracing::info!(
        ?resources,
        "{resources}: reloading nginx once more: it started with the last known endpoints from disk, and now asks for them"
    );
}

/// Logs that nginx does not ask, and that it is reloaded.
pub fn unasked(resources: &BTreeSet<Arc<str>>) {
    let resources = NameList::of(resources);
    tracing::warn!(
        ?resources,
        "{resources}: nginx is running but does not ask for the endpoints in its file; reloading it (hint: does the file reach this nginx, \
         is `resolver` set in it only by servers(), and has nginx more `worker_connections` than upstreams?)"
    );
}

/// Logs that nginx does not ask even after a reload, and that its file gets `server` lines for that time.
pub fn given_up(resources: &BTreeSet<Arc<str>>, pause: Duration) {
    let (resources, minutes) = (NameList::of(resources), pause.as_secs().div_ceil(60));
    tracing::error!(
        ?resources,
        "{resources}: nginx does not ask for the endpoints in its file even after a reload; changes of backends are reloads until \
         conf.d is read again, or for at least {minutes} minutes (hint: docs/endpoints.md)"
    );
}

/// Logs that nginx has taken answers, and has no room for all servers of this upstream.
pub fn full_zone(upstream: &str) {
    tracing::error!(
        upstream,
        "nginx has no room for all endpoints of the upstream {upstream}: some get no requests (hint: a larger `zone`, as docs/endpoints.md says)"
    );
}

/// Logs that the last known endpoints were not written in time when the agent stopped.
pub fn not_saved(limit: Duration) {
    let seconds = limit.as_secs();
    tracing::warn!(
        "the last known endpoints were not written within {seconds} s; a start of nginx without an agent may find older ones (hint: does the disk respond?)"
    );
}

/// Logs where questions about names of the store are answered.
pub fn answering_names(addresses: &[SocketAddr], domain: Option<&str>, services_domain: Option<&str>) {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let domains: Vec<&str> = domain.into_iter().chain(services_domain).collect();
    tracing::info!(
        ?addresses,
        ?domains,
        "answering questions for names in {} at {}",
        domains.join(" and "),
        addresses.join(", ")
    );
}

/// Logs that questions about names of the store are not answered.
pub fn names_not_answered(problem: &str) {
    tracing::error!("cannot answer questions for names of the store: {problem}; everything else goes on");
}

/// Logs that nobody answers for upstreams without backends.
pub fn no_refuge(address: SocketAddr, error: &std::io::Error, hint: &str) {
    tracing::warn!(
        "an upstream without backends gives 502 instead of 503 until upstreamd can listen at {address}: {error} (hint: {hint})"
    );
}
