//! Translates errors of the etcd client and cancelled watches to plain data. Never shows a key's value or a password.

use std::error::Error as _;

use etcd_client::{Error, ResponseHeader};
use tonic::{Code, Status};

use super::MemberAddress;
use crate::model::etcd::{EtcdFailure, FailureKind, Header, PORT_HINT};
use crate::model::key::Revision;
use crate::model::text;
use crate::world::tls::{self, TlsRefusal};

/// Longest part of what a server says that is repeated, in characters.
const MAX_WORDS: usize = 1000;

pub(super) fn header(header: Option<&ResponseHeader>) -> Header {
    header.map_or_else(Header::default, |header| Header {
        cluster_id: header.cluster_id(),
        raft_term: header.raft_term(),
        revision: Revision(header.revision()),
    })
}

pub(super) fn of_error(error: &Error) -> EtcdFailure {
    match error {
        Error::GRpcStatus(status) => of_status(status),
        other => EtcdFailure::unreachable(words(&other.to_string())),
    }
}

/// Returns what a server says, on one line and not too long: whoever answers in etcd's place chooses it.
fn words(text: &str) -> String {
    text::one_line(text, MAX_WORDS, char::REPLACEMENT_CHARACTER)
}

/// Translates a status by its message: the code alone does not distinguish an old token from a wrong password.
fn of_status(status: &Status) -> EtcdFailure {
    let message = status.message();
    let kind = match status.code() {
        Code::Unauthenticated => FailureKind::Unauthenticated,
        Code::PermissionDenied => FailureKind::Denied,
        // A member with too much to do says so too; others may have less.
        Code::ResourceExhausted if !message.contains("too many requests") => FailureKind::TooLarge,
        Code::OutOfRange if message.contains("message length too large") => FailureKind::TooLarge,
        _ => of_words(message),
    };
    let (kind, mut problem) = match status.source().map(cause) {
        Some(EtcdFailure { kind: FailureKind::Refused, problem }) => (FailureKind::Refused, problem),
        Some(cause) => (kind, cause.problem),
        None => (kind, words(message.strip_prefix("etcdserver: ").unwrap_or(message))),
    };
    if problem.is_empty() {
        problem = format!("etcd answered {:?}", status.code());
    }
    if message.contains("user name is empty") {
        problem.push_str(" (this etcd requires a user name and a password: settings `username` and `password`)");
    }
    if let Some(schemes) = other_scheme(&problem) {
        problem.push_str(&format!("{PORT_HINT}{schemes}?)"));
    }
    EtcdFailure { kind, problem }
}

/// Returns the scheme to try instead of the present one if something answers that does not speak etcd's protocol.
fn other_scheme(problem: &str) -> Option<&'static str> {
    let is_http = ["stream closed because of a broken pipe", "grpc-status header missing", "frame with invalid size"];
    if is_http.iter().any(|words| problem.contains(words)) {
        return Some("https:// instead of http://");
    }
    let is_tls = problem.contains("tls handshake eof") || problem.contains(tls::NO_TLS);
    is_tls.then_some("http:// instead of https://")
}

fn of_words(message: &str) -> FailureKind {
    if message.contains("required revision has been compacted") {
        FailureKind::Compacted
    } else if message.contains("required revision is a future revision") {
        FailureKind::Future
    } else if message.contains("invalid auth token") || message.contains("revision of auth store is old") {
        FailureKind::Unauthenticated
    } else if message.contains("permission denied") {
        FailureKind::Denied
    } else if message.contains("invalid user ID or password") || message.contains("user name is empty") {
        FailureKind::Refused
    } else {
        FailureKind::Unreachable
    }
}

/// Returns the reason why a watcher was cancelled. A compact revision of 0 on the wire means that there is no such revision.
pub(super) fn of_cancel(reason: &str, compact_revision: i64) -> EtcdFailure {
    if compact_revision > 0 {
        let problem = format!("the history up to revision {compact_revision} is compacted");
        return EtcdFailure { kind: FailureKind::Compacted, problem };
    }
    let why = reason.rsplit("desc = ").next().unwrap_or(reason);
    let why = why.strip_prefix("etcdserver: ").unwrap_or(why);
    let problem = if why.is_empty() { "no reason given".to_owned() } else { words(why) };
    EtcdFailure { kind: of_words(reason), problem: format!("etcd cancelled the watch: {problem}") }
}

pub(super) fn says_authentication_is_off(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message().contains("authentication is not enabled"))
}

pub(super) fn at(member: &MemberAddress, failure: EtcdFailure) -> EtcdFailure {
    EtcdFailure { problem: format!("{member}: {}", failure.problem), ..failure }
}

/// Returns the failure that a refusal by TLS is.
pub(super) fn of_refusal(refusal: &TlsRefusal) -> EtcdFailure {
    let why = words(&refusal.to_string());
    if refusal.is_lasting { EtcdFailure::refused(why) } else { EtcdFailure::unreachable(why) }
}

/// Returns the root cause of an error. The layers above it only say that something was wrong with the transport.
pub(super) fn cause(error: &(dyn std::error::Error + 'static)) -> EtcdFailure {
    let mut bottom = error;
    while let Some(error) = bottom.source() {
        bottom = error;
    }
    of_refusal(&tls::refusal_in(bottom))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: Code, message: &str, kind: FailureKind, problem: &str) {
        let failure = of_status(&Status::new(code, message));
        assert_eq!((failure.kind, failure.problem.as_str()), (kind, problem));
    }

    #[test]
    fn statuses_are_distinguished_by_code_and_message() {
        use FailureKind::{Compacted, Denied, Future, Refused, TooLarge, Unauthenticated, Unreachable};
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        check(Code::OutOfRange, compacted, Compacted, "mvcc: required revision has been compacted");
        let future = "etcdserver: mvcc: required revision is a future revision";
        check(Code::OutOfRange, future, Future, "mvcc: required revision is a future revision");
        let long = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes";
        check(Code::OutOfRange, long, TooLarge, long);
        let full = "etcdserver: mvcc: database space exceeded";
        check(Code::ResourceExhausted, full, TooLarge, "mvcc: database space exceeded");
        check(Code::ResourceExhausted, "etcdserver: too many requests", Unreachable, "too many requests");
        check(Code::Unauthenticated, "etcdserver: invalid auth token", Unauthenticated, "invalid auth token");
        let old = "etcdserver: revision of auth store is old";
        check(Code::InvalidArgument, old, Unauthenticated, "revision of auth store is old");
        check(Code::PermissionDenied, "etcdserver: permission denied", Denied, "permission denied");
        check(Code::Unavailable, "etcdserver: no leader", Unreachable, "no leader");
        check(Code::Cancelled, "", Unreachable, "etcd answered Cancelled");
        let nobody = "etcdserver: user name is empty";
        let hint =
            "user name is empty (this etcd requires a user name and a password: settings `username` and `password`)";
        check(Code::InvalidArgument, nobody, Refused, hint);
        let http = "grpc-status header missing, mapped from HTTP status code 404";
        let hinted =
            format!("{http} (hint: is this etcd's client port, and does it want https:// instead of http://?)");
        check(Code::Unimplemented, http, Unreachable, &hinted);
        let wrong = "etcdserver: authentication failed, invalid user ID or password";
        check(Code::InvalidArgument, wrong, Refused, "authentication failed, invalid user ID or password");
    }

    #[test]
    fn cancelled_watches_say_why() {
        let denied = of_cancel("rpc error: code = PermissionDenied desc = etcdserver: permission denied", 0);
        assert_eq!(denied.kind, FailureKind::Denied);
        assert_eq!(denied.problem, "etcd cancelled the watch: permission denied");
        assert_eq!(of_cancel("etcdserver: mvcc: required revision has been compacted", 7).kind, FailureKind::Compacted);
        assert_eq!(of_cancel("", 0).problem, "etcd cancelled the watch: no reason given");
    }
}
