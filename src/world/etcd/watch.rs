//! One watch stream: a watcher per span, messages as plain data. Never decides anything.

use etcd_client::proto::PbWatchResponse;
use etcd_client::{EventType, WatchClient, WatchOptions, WatchRequestSender, WatchResponseStream};

use super::{failure, first_key, range_end};
use crate::model::etcd::{EtcdFailure, Span, WatchEvent, WatchMessage};
use crate::model::key::{Key, Revision, Value};

/// An open watch stream. Dropping it ends the stream.
pub struct Watch {
    messages: WatchResponseStream,
    /// Request side of the stream; etcd ends the stream when it is closed.
    _requests: WatchRequestSender,
    max_value_bytes: usize,
}

impl Watch {
    pub(super) async fn open(
        mut client: WatchClient,
        spans: &[Span],
        after: Revision,
        in_fragments: bool,
        max_value_bytes: usize,
    ) -> Result<Watch, EtcdFailure> {
        let Some((first, others)) = spans.split_first() else {
            return Err(EtcdFailure::unreachable("nothing to watch"));
        };
        let stream = client
            .watch(first_key(first), Some(options(first, 1, after, in_fragments)))
            .await
            .map_err(|error| failure::of_error(&error))?;
        let (mut requests, messages) = stream.split();
        for (watcher, span) in (2..).zip(others) {
            requests
                .watch(first_key(span), Some(options(span, watcher, after, in_fragments)))
                .await
                .map_err(|error| failure::of_error(&error))?;
        }
        Ok(Watch { messages, _requests: requests, max_value_bytes })
    }

    /// Waits for the next message, without a time limit. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The stream broke, or etcd ended it.
    pub async fn next(&mut self) -> Result<WatchMessage, EtcdFailure> {
        match self.messages.message().await {
            Ok(Some(message)) => Ok(plain(message.0, self.max_value_bytes)),
            Ok(None) => Err(EtcdFailure::unreachable("etcd ended the watch")),
            Err(error) => Err(failure::of_error(&error)),
        }
    }
}

fn options(span: &Span, watcher: i64, after: Revision, in_fragments: bool) -> WatchOptions {
    let options = WatchOptions::new()
        .with_range(range_end(span))
        .with_start_revision(after.0 + 1)
        .with_watch_id(watcher)
        .with_progress_notify();
    if in_fragments { options.with_fragment() } else { options }
}

fn plain(message: PbWatchResponse, max_value_bytes: usize) -> WatchMessage {
    let header = message.header.map(etcd_client_header).unwrap_or_default();
    let mut plain = WatchMessage {
        header,
        watcher: message.watch_id,
        created: message.created,
        cancelled: message.canceled.then(|| failure::of_cancel(&message.cancel_reason, message.compact_revision)),
        is_fragment: message.fragment,
        events: Vec::with_capacity(message.events.len()),
        unreadable_keys: 0,
    };
    for event in message.events {
        let Some(pair) = event.kv else { continue };
        let Some(key) = Key::from_bytes(&pair.key) else {
            plain.unreadable_keys += 1;
            continue;
        };
        let is_delete = event.r#type == EventType::Delete as i32;
        plain.events.push(WatchEvent {
            key,
            value: (!is_delete).then(|| Value::bounded(&pair.value, max_value_bytes)),
            revision: Revision(pair.mod_revision),
            lease: if is_delete { 0 } else { pair.lease },
        });
    }
    plain
}

fn etcd_client_header(header: etcd_client::proto::PbResponseHeader) -> crate::model::etcd::Header {
    crate::model::etcd::Header {
        cluster_id: header.cluster_id,
        raft_term: header.raft_term,
        revision: Revision(header.revision),
    }
}
