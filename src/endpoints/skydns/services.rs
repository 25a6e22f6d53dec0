//! Backends of a service as records: `/services/<name>/<id>` is `<id>.<name>` below a domain of its own, with the address, port and
//! weight that an upstream would have. What gets no traffic has no record. Pure.

use crate::model::key::Value;
use crate::nginx::backend::{Backend, Options, Records, SocketOrHost};

use super::labels::{self, OwnDomain};
use super::record::{SkyHost, SkyRecord};
use super::{DEFAULT_TTL_SECONDS, SERVICE_TTL_SECONDS};

/// Priority of a backend, and of a backup.
const PRIORITIES: [u16; 2] = [10, 20];

/// The records of a service, each with its labels and its key, and the keys that are none, with the reason.
pub(super) struct ServiceRecords {
    pub(super) records: Vec<(Vec<String>, String, SkyRecord)>,
    pub(super) skipped: Vec<(String, String)>,
}

/// Reads the keys below `folder`, which is that of one service in `root`; both end with `/`.
pub(super) fn read<'v>(
    root: &str,
    folder: &str,
    domain: &OwnDomain,
    keys: impl Iterator<Item = (&'v str, &'v Value)>,
    lookup: &(dyn Fn(&str) -> Option<&'v Value> + 'v),
) -> ServiceRecords {
    let options = Options { hostnames: true, ..Options::default() };
    let mut backends = Records::<Backend>::read(folder, options, keys, lookup);
    let settled = backends.settle(|backend| backend);
    let mut skipped: Vec<(String, String)> =
        settled.skipped.into_iter().map(|(key, reason)| (key, reason.to_string())).collect();
    let mut records = Vec::new();
    for backend in settled.items.into_iter().filter(|backend| !backend.down) {
        match labels_of(root, domain, &backend.key).and_then(|labels| Some((record(&backend, &labels)?, labels))) {
            Some((mut record, labels)) => {
                // A part that was changed may be the same as that of another key.
                let own = labels.iter().skip(domain.labels.len()).map(String::as_str);
                record.shares_target |= !backend.key.strip_prefix(root).unwrap_or_default().split('/').eq(own);
                records.push((labels, backend.key, record));
            }
            None => skipped.push((backend.key, "it makes no name".to_owned())),
        }
    }
    ServiceRecords { records, skipped }
}

/// Returns the labels of the key of a backend, the last first.
fn labels_of(root: &str, domain: &OwnDomain, key: &str) -> Option<Vec<String>> {
    let parts = key.strip_prefix(root)?.split('/').map(labels::of_key_part);
    domain.labels.iter().cloned().map(Some).chain(parts).collect()
}

fn record(backend: &Backend, key_labels: &[String]) -> Option<SkyRecord> {
    let (host, port) = match &backend.address {
        SocketOrHost::V4(address, port) => (SkyHost::Address((*address).into()), *port),
        SocketOrHost::V6(address, port) => (SkyHost::Address((*address).into()), *port),
        SocketOrHost::Name(name, port) => (SkyHost::Name(labels::host_name(name)?), *port),
        SocketOrHost::Unix(_) => return None,
    };
    let own = labels::name(key_labels)?;
    let ttl = backend.meta.get("ttl").and_then(serde_json::Value::as_u64).and_then(|ttl| u32::try_from(ttl).ok());
    let shares_target = matches!(host, SkyHost::Name(_));
    Some(SkyRecord {
        target: if let SkyHost::Name(name) = &host { name.clone() } else { own },
        host,
        port,
        priority: PRIORITIES[usize::from(backend.backup)],
        weight: u32::from(backend.weight),
        text: String::new(),
        is_mail: false,
        ttl_seconds: ttl.filter(|ttl| *ttl > 0).unwrap_or(SERVICE_TTL_SECONDS).min(DEFAULT_TTL_SECONDS),
        lease: 0,
        group: None,
        shares_target,
        depth: key_labels.len(),
    })
}
