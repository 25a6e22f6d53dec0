//! One connection to one etcd member: logs in, reads pages, opens a watch, manages leases. Every call has a deadline.
//! Never decides what a failure means for the session or what comes next: `source::session` does.

mod discover;
mod endpoint;
mod failure;
mod lease;
mod login;
mod members;
mod tls;
mod watch;

use std::future::Future;
use std::time::Duration;

use etcd_client::{GetOptions, KvClient, LeaseClient, MaintenanceClient, WatchClient};

use crate::model::etcd::{EtcdFailure, Header, KeyPage, MemberStatus, Span, StoredKey};
use crate::model::key::{Key, Revision, Value};
use crate::model::store::EtcdSettings;

pub use endpoint::Endpoint;
pub use members::Members;
pub use watch::Watch;

/// The largest message that we accept, in bytes. Pages stay far below it; if a watch exceeds it, the session lists instead.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A connection to one member, logged in. Clones share it.
#[derive(Clone)]
pub struct Connection {
    endpoint: Endpoint,
    kv: KvClient,
    lease: LeaseClient,
    watch: WatchClient,
    maintenance: MaintenanceClient,
    request_timeout: Duration,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Names the endpoint and the step that failed: address, TLS, login.
    pub async fn open(endpoint: &Endpoint, settings: &EtcdSettings) -> Result<Connection, EtcdFailure> {
        let prepare = |transport: tonic::transport::Endpoint| {
            transport
                .tcp_nodelay(true)
                .http2_keep_alive_interval(settings.keepalive_interval)
                .keep_alive_timeout(settings.keepalive_timeout)
                .keep_alive_while_idle(true)
        };
        let limit = settings.dial_timeout;
        let channel = match tokio::time::timeout(limit, tls::connect(endpoint, settings, prepare)).await {
            Ok(connected) => connected?,
            Err(_) => {
                return Err(EtcdFailure::unreachable(format!("cannot connect to {endpoint}: no answer in {limit:?}")));
            }
        };
        let client = within(settings.request_timeout, login::log_in(channel, settings.login.as_ref()))
            .await
            .map_err(|failure| failure::at(endpoint, failure))?;
        Ok(Connection {
            endpoint: endpoint.clone(),
            kv: client.kv_client().max_decoding_message_size(MAX_MESSAGE_BYTES),
            lease: client.lease_client(),
            watch: client.watch_client().max_decoding_message_size(MAX_MESSAGE_BYTES),
            maintenance: client.maintenance_client(),
            request_timeout: settings.request_timeout,
        })
    }

    /// Returns the endpoint of the connection.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Reads up to `limit` keys of `span`. With `at == None` the read is linearizable and returns the newest revision; with
    /// a revision it reads that one from this member alone, which is just as exact and cheaper.
    ///
    /// # Errors
    /// Callers should distinguish `Compacted`, `Future` and `TooLarge` from the rest.
    pub async fn read(&self, span: &Span, at: Option<Revision>, limit: i64) -> Result<KeyPage, EtcdFailure> {
        let options = options(span, at).with_limit(limit);
        let mut answer = self.get(span, options).await?;
        let header = failure::header(answer.header());
        let more = answer.more();
        let mut page = KeyPage { header, ..KeyPage::default() };
        let mut last_key = None;
        for pair in answer.take_kvs() {
            page.keys += 1;
            page.bytes += pair.key().len() + pair.value().len();
            match std::str::from_utf8(pair.key()) {
                Ok(key) => page.entries.push(StoredKey {
                    key: Key::from(key),
                    value: Value::from_bytes(pair.value()),
                    mod_revision: Revision(pair.mod_revision()),
                }),
                Err(_) => page.unreadable_keys += 1,
            }
            last_key = Some(pair);
        }
        if let (true, Some(last)) = (more, last_key) {
            let (mut next, _) = last.into_key_value();
            next.push(0);
            page.next = Some(next);
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
        within(self.request_timeout, async move {
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
        within(self.request_timeout, async move {
            kv.get(first_key(span), Some(options)).await.map_err(|error| failure::of_error(&error))
        })
        .await
    }

    /// Opens one watch stream with a watcher per span, each from the revision after `after`. With `in_fragments`, etcd
    /// splits messages that are larger than its request limit. It does so in quadratic time (a revision that deletes 100,000
    /// keys costs it 15 s), so this is for large values only.
    ///
    /// # Errors
    /// The stream was refused. The refusal of a single watcher arrives as a message of the stream.
    pub async fn watch(&self, spans: &[Span], after: Revision, in_fragments: bool) -> Result<Watch, EtcdFailure> {
        within(self.request_timeout, Watch::open(self.watch.clone(), spans, after, in_fragments)).await
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

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, EtcdFailure>>) -> Result<T, EtcdFailure> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(EtcdFailure::unreachable(format!("etcd gave no answer in {limit:?}"))),
    }
}
