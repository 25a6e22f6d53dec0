//! One connection to one etcd member: logs in, reads pages, opens a watch, manages leases. Every call has a deadline.
//! Never decides what a failure means for the session or what comes next: `source::session` does.

mod address;
mod discover;
mod failure;
mod lease;
mod login;
mod members;
mod tls;
mod watch;

use std::future::Future;
use std::time::Duration;

use etcd_client::{GetOptions, KvClient, LeaseClient, MaintenanceClient, WatchClient};

use crate::model::etcd::{EtcdFailure, FailureKind, Header, KeyPage, MemberStatus, Span, StoredKey};
use crate::model::key::{Key, Revision, Value};
use crate::model::store::EtcdSettings;
use crate::world::tls::LateRefusal;

pub use address::MemberAddress;
pub use members::Members;
pub use watch::Watch;

/// The largest message that we accept, in bytes, unless larger values are allowed: a hostile server makes 40 times as much
/// memory of each byte, in lists of empty keys. Pages get smaller until they fit; if a watch exceeds it, the session lists.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Room in a message beside one value, in bytes: the longest key, and the rest.
const BESIDE_VALUE_BYTES: usize = 2 << 20;

/// A connection to one member, logged in. Clones share it.
#[derive(Clone)]
pub struct Connection {
    member: MemberAddress,
    kv: KvClient,
    lease: LeaseClient,
    watch: WatchClient,
    maintenance: MaintenanceClient,
    late: LateRefusal,
    request_timeout: Duration,
    max_value_bytes: usize,
}

impl Connection {
    /// Connects and logs in. Neither takes longer than `limit`, nor than the settings say.
    ///
    /// # Errors
    /// Names the member and the step that failed: address, TLS, login.
    pub async fn open(
        member: &MemberAddress,
        settings: &EtcdSettings,
        limit: Duration,
    ) -> Result<Connection, EtcdFailure> {
        if settings.login.as_ref().is_some_and(|login| !login.may_be_read) && !member.is_private() {
            let problem =
                "the password would cross the network without TLS (hint: use https, or allow it with --insecure-login)";
            return Err(failure::at(member, EtcdFailure::refused(problem)));
        }
        let prepare = |transport: tonic::transport::Endpoint| {
            transport
                .tcp_nodelay(true)
                .http2_keep_alive_interval(settings.keepalive.interval)
                .keep_alive_timeout(settings.keepalive.timeout)
                .keep_alive_while_idle(true)
        };
        let dial_limit = settings.dial_timeout.min(limit);
        let late = LateRefusal::default();
        let channel = match tokio::time::timeout(dial_limit, tls::connect(member, settings, &late, prepare)).await {
            Ok(connected) => connected?,
            Err(_) => {
                let problem = format!("cannot connect to {member}: no answer in {dial_limit:?}");
                return Err(EtcdFailure::unreachable(problem));
            }
        };
        let logging_in = login::log_in(channel, settings.login.as_ref());
        let client = within(settings.request_timeout.min(limit), &late, logging_in)
            .await
            .map_err(|failure| failure::at(member, failure))?;
        let max_value_bytes = settings.limits.value_bytes;
        let max_message_bytes = max_value_bytes.saturating_add(BESIDE_VALUE_BYTES).max(MAX_MESSAGE_BYTES);
        Ok(Connection {
            member: member.clone(),
            kv: client.kv_client().max_decoding_message_size(max_message_bytes),
            lease: client.lease_client(),
            watch: client.watch_client().max_decoding_message_size(max_message_bytes),
            maintenance: client.maintenance_client(),
            late,
            request_timeout: settings.request_timeout,
            max_value_bytes,
        })
    }

    /// Returns the member of the connection.
    pub fn member(&self) -> &MemberAddress {
        &self.member
    }

    /// Reads up to `limit` keys of `span`. With `at == None` the read is linearizable and returns the newest revision; with
    /// a revision it reads that one from this member alone, which is just as exact and cheaper.
    ///
    /// # Errors
    /// Callers should distinguish `Compacted`, `Future` and `TooLarge` from the rest.
    pub async fn read(&self, span: &Span, at: Option<Revision>, limit: i64) -> Result<KeyPage, EtcdFailure> {
        let answer = self.get(span, options(span, at).with_limit(limit)).await?;
        self.page(answer, span, limit, |value| Value::bounded(value, self.max_value_bytes))
    }

    /// Reads the first key of `span` at the revision `at`, if its value does not fit a message: without the value.
    ///
    /// # Errors
    /// As `read`.
    pub async fn read_oversized(&self, span: &Span, at: Option<Revision>) -> Result<KeyPage, EtcdFailure> {
        let answer = self.get(span, options(span, at).with_limit(1).with_keys_only()).await?;
        self.page(answer, span, 1, |_| Value::Oversized(self.max_value_bytes.saturating_add(1)))
    }

    /// Returns the page in an answer, which must hold up to `limit` keys of `span` in their order: the next page begins after
    /// the last one, and the pages of a store that sends others would never end.
    fn page(
        &self,
        mut answer: etcd_client::GetResponse,
        span: &Span,
        limit: i64,
        value: impl Fn(&[u8]) -> Value,
    ) -> Result<KeyPage, EtcdFailure> {
        let (header, more) = (failure::header(answer.header()), answer.more());
        let wrong = |what: &str| EtcdFailure::unreachable(format!("etcd answered a read wrongly: {what}"));
        if usize::try_from(limit).is_ok_and(|limit| answer.kvs().len() > limit) {
            return Err(wrong("it sent more keys than it was asked for"));
        }
        let mut page = KeyPage { header, ..KeyPage::default() };
        let mut next = span.start.clone();
        for pair in answer.take_kvs() {
            if pair.key() < next.as_slice() || span.end.as_ref().is_some_and(|end| pair.key() >= end.as_slice()) {
                return Err(wrong("its keys are not in order, or not those that it was asked for"));
            }
            page.keys += 1;
            page.bytes += pair.key().len() + pair.value().len();
            match Key::from_bytes(pair.key()) {
                Some(key) => page.entries.push(StoredKey {
                    key,
                    value: value(pair.value()),
                    mod_revision: Revision(pair.mod_revision()),
                    lease: pair.lease(),
                }),
                None => page.unreadable_keys += 1,
            }
            (next, _) = pair.into_key_value();
            next.push(0);
        }
        match (more, page.keys) {
            (true, 0) => return Err(wrong("it says that more keys follow, and sends none")),
            (true, _) => page.next = Some(next),
            (false, _) => {}
        }
        Ok(page)
    }

    /// Counts the keys of `span`, at the revision `at` or, linearizably, at the newest.
    ///
    /// # Errors
    /// As `read`.
    pub async fn count(&self, span: &Span, at: Option<Revision>) -> Result<(Header, usize), EtcdFailure> {
        let answer = self.get(span, options(span, at).with_count_only()).await?;
        Ok((failure::header(answer.header()), usize::try_from(answer.count()).unwrap_or(0)))
    }

    /// Returns the status that the member reports.
    ///
    /// # Errors
    /// The member did not answer, or the user may not ask.
    pub async fn status(&self) -> Result<MemberStatus, EtcdFailure> {
        let mut maintenance = self.maintenance.clone();
        self.within(async move {
            let status = maintenance.status().await.map_err(|error| failure::of_error(&error))?;
            Ok(MemberStatus {
                version: status.version().to_owned(),
                db_size_bytes: status.db_size(),
                leader_id: status.leader(),
                raft_index: status.raft_index(),
            })
        })
        .await
    }

    async fn get(&self, span: &Span, options: GetOptions) -> Result<etcd_client::GetResponse, EtcdFailure> {
        let mut kv = self.kv.clone();
        self.within(
            async move { kv.get(first_key(span), Some(options)).await.map_err(|error| failure::of_error(&error)) },
        )
        .await
    }

    /// Opens one watch stream with a watcher per span, each from the revision after `after`. With `in_fragments`, etcd
    /// splits messages that are larger than its request limit. It does so in quadratic time (a revision that deletes 100,000
    /// keys costs it 15 s), so this is for large values only.
    ///
    /// # Errors
    /// The stream was refused. The refusal of a single watcher arrives as a message of the stream.
    pub async fn watch(&self, spans: &[Span], after: Revision, in_fragments: bool) -> Result<Watch, EtcdFailure> {
        let opening = Watch::open(self.watch.clone(), spans, after, in_fragments, self.max_value_bytes);
        self.within(opening).await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, EtcdFailure>>) -> Result<T, EtcdFailure> {
        within(self.request_timeout, &self.late, work).await
    }
}

fn options(span: &Span, at: Option<Revision>) -> GetOptions {
    let options = GetOptions::new().with_range(range_end(span));
    match at {
        Some(revision) => options.with_revision(revision.0).with_serializable(),
        None => options,
    }
}

/// Returns the first key of a span. etcd has no empty key; the first possible one is a zero byte.
fn first_key(span: &Span) -> Vec<u8> {
    if span.start.is_empty() { vec![0] } else { span.start.clone() }
}

/// Returns the end of a span. A single zero byte means "to the last key".
fn range_end(span: &Span) -> Vec<u8> {
    span.end.clone().unwrap_or_else(|| vec![0])
}

/// Waits for work on a connection, no longer than `limit`. If the server refused our certificate meanwhile, that is why it failed.
async fn within<T>(
    limit: Duration,
    late: &LateRefusal,
    work: impl Future<Output = Result<T, EtcdFailure>>,
) -> Result<T, EtcdFailure> {
    match tokio::time::timeout(limit, work).await {
        Ok(Err(failure)) if failure.kind == FailureKind::Unreachable => {
            Err(late.get().map_or(failure, |refusal| failure::of_refusal(&refusal)))
        }
        Ok(result) => result,
        Err(_) => Err(EtcdFailure::unreachable(format!("etcd gave no answer in {limit:?}"))),
    }
}
