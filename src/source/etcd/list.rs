//! Reads all ranges at one revision, page by page, several ranges at a time. The first request is linearizable and
//! determines the revision; all others are pinned to it. Ranges that the store refuses are left out. Repeats only a page that
//! was too large.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::{JoinError, JoinSet};

use crate::model::etcd::{EtcdFailure, FailureKind, Header, KeyPage, Span};
use crate::model::key::{Key, Revision, Value};
use crate::model::lease::LeaseId;
use crate::model::progress;
use crate::model::range::{KeyRange, KeyRanges, WantedKeys};
use crate::model::tree::Tree;
use crate::source::coverage::{self, Coverage};
use crate::source::paging::PageLimit;
use crate::source::session::LastChange;
use crate::source::tally::StoreTally;
use crate::world::etcd::Connection;
use crate::world::terminal::ProgressLine;

/// Number of spans read at the same time: a page of empty keys has forty times its bytes in memory.
const READS_AT_ONCE: usize = 4;

/// Average size in bytes from which on a watch message has so few events that splitting it costs etcd little. Smaller ones fit: etcd
/// sends a thousand revisions at once at most.
const LARGE_VALUE_BYTES: usize = 2 << 10;

/// The wanted keys, as far as the store shows them.
pub(super) struct GrantedKeys {
    /// The keys that it shows; `None` if it refuses every range.
    pub(super) listing: Option<Listing>,
    /// The ranges that it refuses, sorted.
    pub(super) refused: Vec<KeyRange>,
}

/// All keys of the ranges at one revision.
pub(super) struct Listing {
    pub(super) header: Header,
    pub(super) ranges: KeyRanges,
    pub(super) entries: Vec<(Key, Value)>,
    pub(super) leases: Vec<(Key, LeaseId)>,
    pub(super) mark: Option<LastChange>,
    pub(super) coverage: Coverage,
    pub(super) unreadable_keys: usize,
    /// Whether the values are so large that a watch should deliver them in fragments.
    pub(super) has_large_values: bool,
    /// Entries that were read.
    pub(super) tally: StoreTally,
}

/// State that all reads of a listing share.
#[derive(Clone)]
struct Reader {
    connection: Connection,
    ranges: KeyRanges,
    known: Tree,
    tally: Arc<Mutex<StoreTally>>,
    progress: Arc<ProgressLine>,
}

/// The entries read of one span.
#[derive(Default)]
struct Part {
    entries: Vec<(Key, Value)>,
    leases: Vec<(Key, LeaseId)>,
    /// Newest of the entries.
    mark: Option<LastChange>,
    keys: usize,
    bytes: usize,
    unreadable_keys: usize,
}

impl Part {
    /// Adds the entries of the page that are in the ranges, and returns how many bytes are kept of them.
    fn take_page(&mut self, page: KeyPage, ranges: &KeyRanges, known: &Tree) -> usize {
        self.keys += page.keys;
        self.bytes += page.bytes;
        self.unreadable_keys += page.unreadable_keys;
        self.entries.reserve(page.entries.len());
        let mut kept = 0;
        for mut entry in page.entries {
            if !ranges.contains(entry.key.as_str()) {
                continue;
            }
            if let Some(known) = known.get(entry.key.as_str()).filter(|known| **known == entry.value) {
                entry.value = known.clone();
            }
            kept += entry.key.as_str().len() + entry.value.as_bytes().len();
            // A value that is not kept cannot be compared later.
            let is_whole = !matches!(entry.value, Value::Oversized(_));
            if is_whole && self.mark.as_ref().is_none_or(|mark| mark.revision < entry.mod_revision) {
                let (key, value) = (entry.key.clone(), Some(entry.value.clone()));
                self.mark = Some(LastChange { key, value, revision: entry.mod_revision, keys_in_hull: None });
            }
            if entry.lease != 0 {
                self.leases.push((entry.key.clone(), entry.lease));
            }
            self.entries.push((entry.key, entry.value));
        }
        kept
    }

    fn append(&mut self, later: Part) {
        self.keys += later.keys;
        self.bytes += later.bytes;
        self.unreadable_keys += later.unreadable_keys;
        self.entries.extend(later.entries);
        self.leases.extend(later.leases);
        let newest = |mark: &Option<LastChange>| mark.as_ref().map(|mark| mark.revision);
        if newest(&later.mark) > newest(&self.mark) {
            self.mark = later.mark;
        }
    }
}

/// Reads the wanted keys, which must not be empty. Values that are as in the known tree are shared with it. `tally` has counted
/// nothing yet.
pub(super) async fn list(
    connection: &Connection,
    wanted: &WantedKeys,
    known: Tree,
    tally: StoreTally,
) -> Result<GrantedKeys, EtcdFailure> {
    let reader = |ranges: &KeyRanges| {
        let (connection, ranges, known) = (connection.clone(), ranges.clone(), known.clone());
        let (tally, progress) = (Arc::new(Mutex::new(tally)), Arc::new(ProgressLine::start()));
        Reader { connection, ranges, known, tally, progress }
    };
    match reader(wanted.all()).list_all().await {
        Err(failure) if failure.kind == FailureKind::Denied => {}
        whole => return Ok(GrantedKeys { listing: Some(whole?), refused: Vec::new() }),
    }
    // A range that the role grants may be part of a wider one that it does not grant.
    let mut refused = Vec::new();
    let mut granted = Vec::new();
    for (range, is_granted) in ask(connection, wanted.each()).await? {
        if is_granted { &mut granted } else { &mut refused }.push(range);
    }
    refused.sort();
    let granted = KeyRanges::merged(granted);
    let listing = if granted.is_empty() { None } else { Some(reader(&granted).list_all().await?) };
    Ok(GrantedKeys { listing, refused })
}

/// Returns each range, in any order, with whether the user may read it.
pub(super) async fn ask(connection: &Connection, ranges: &[KeyRange]) -> Result<Vec<(KeyRange, bool)>, EtcdFailure> {
    let mut waiting = ranges.iter().cloned();
    let mut answers = Vec::with_capacity(ranges.len());
    let mut requests = JoinSet::new();
    loop {
        while requests.len() < READS_AT_ONCE {
            let Some(range) = waiting.next() else { break };
            let connection = connection.clone();
            requests.spawn(async move {
                match connection.read(&coverage::span_of(&range), None, 1).await {
                    Err(failure) if failure.kind == FailureKind::Denied => Ok((range, false)),
                    // A single value that is too large for a message can be read all the same, as far as rights go.
                    Err(failure) if failure.kind != FailureKind::TooLarge => Err(failure),
                    _ => Ok((range, true)),
                }
            });
        }
        match requests.join_next().await {
            None => return Ok(answers),
            Some(answer) => answers.push(answer.unwrap_or_else(|error| Err(cut_off(&error)))?),
        }
    }
}

fn cut_off(error: &JoinError) -> EtcdFailure {
    EtcdFailure::unreachable(format!("reading keys was cut off: {error}"))
}

impl Reader {
    /// Reads the ranges, which must not be empty.
    async fn list_all(&self) -> Result<Listing, EtcdFailure> {
        let ranges = &self.ranges;
        let hull = coverage::hull(ranges).ok_or_else(|| EtcdFailure::unreachable("no keys to list"))?;
        if ranges.len() == 1 {
            let (header, whole) = self.read_newest(hull).await?;
            let keys = whole.keys;
            return Ok(self.listing(header, whole, Coverage::Hull, Some(keys)));
        }
        match self.connection.count(&hull, None).await {
            Ok((header, keys)) => {
                let is_whole = coverage::read_hull(keys, ranges.len());
                let spans = if is_whole { vec![hull] } else { coverage::read_spans(ranges) };
                let whole = self.read_all(spans, header).await?;
                Ok(self.listing(header, whole, Coverage::Hull, Some(keys)))
            }
            // The user's role may grant the ranges, but not the keys between them.
            Err(failure) if failure.kind == FailureKind::Denied => {
                let mut spans = coverage::read_spans(ranges);
                let (header, mut whole) = self.read_newest(spans.remove(0)).await?;
                whole.append(self.read_all(spans, header).await?);
                Ok(self.listing(header, whole, Coverage::Directories, None))
            }
            Err(failure) => Err(failure),
        }
    }

    fn listing(&self, header: Header, whole: Part, coverage: Coverage, keys_in_hull: Option<usize>) -> Listing {
        let has_large_values = whole.bytes / whole.keys.max(1) >= LARGE_VALUE_BYTES;
        let Part { entries, leases, mut mark, unreadable_keys, .. } = whole;
        match (&mut mark, keys_in_hull) {
            (Some(mark), Some(keys)) => mark.keys_in_hull = Some((keys, header.revision)),
            // Without a count, the listing could not be distinguished from a store that went back.
            _ => mark = None,
        }
        let (ranges, tally) = (self.ranges.clone(), *self.tally.lock().unwrap_or_else(PoisonError::into_inner));
        Listing { header, ranges, entries, leases, mark, coverage, unreadable_keys, has_large_values, tally }
    }

    /// Reads one span at the newest revision.
    async fn read_newest(&self, span: Span) -> Result<(Header, Part), EtcdFailure> {
        let (page, limit) = read_page(&self.connection, &span, None, PageLimit::first()).await?;
        let header = page.header;
        Ok((header, self.read_rest(span, header, page, limit).await?))
    }

    /// Reads several spans at the revision of `header`. Returns the parts in the order of the spans.
    async fn read_all(&self, spans: Vec<Span>, header: Header) -> Result<Part, EtcdFailure> {
        let mut parts: Vec<Part> = spans.iter().map(|_| Part::default()).collect();
        let mut waiting = spans.into_iter().enumerate();
        let mut reads = JoinSet::new();
        loop {
            while reads.len() < READS_AT_ONCE {
                let Some((index, span)) = waiting.next() else { break };
                let reader = self.clone();
                reads.spawn(async move {
                    let (page, limit) = read_page(&reader.connection, &span, Some(header), PageLimit::first()).await?;
                    reader.read_rest(span, header, page, limit).await.map(|part| (index, part))
                });
            }
            match reads.join_next().await {
                None => break,
                Some(Ok(Ok((index, part)))) => parts[index] = part,
                Some(Ok(Err(failure))) => return Err(failure),
                Some(Err(error)) => return Err(cut_off(&error)),
            }
        }
        let mut whole = Part::default();
        parts.into_iter().for_each(|part| whole.append(part));
        Ok(whole)
    }

    async fn read_rest(
        &self,
        mut span: Span,
        header: Header,
        mut page: KeyPage,
        mut limit: PageLimit,
    ) -> Result<Part, EtcdFailure> {
        let mut part = Part::default();
        loop {
            let (next, keys) = (page.next.take(), page.keys);
            let kept = part.take_page(page, &self.ranges, &self.known);
            let (counted, (keys, bytes)) = {
                let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
                (tally.add(keys, kept), tally.so_far())
            };
            counted.map_err(EtcdFailure::refused)?;
            self.progress.show(|| progress::read_so_far(keys, bytes));
            let Some(next) = next else { return Ok(part) };
            span.start = next;
            (page, limit) = read_page(&self.connection, &span, Some(header), limit).await?;
        }
    }
}

/// Reads one page at the revision of `pinned`, or at the newest. Also returns the limit for the next page.
async fn read_page(
    connection: &Connection,
    span: &Span,
    pinned: Option<Header>,
    mut limit: PageLimit,
) -> Result<(KeyPage, PageLimit), EtcdFailure> {
    let at = pinned.map(|header| header.revision);
    loop {
        let page = match connection.read(span, at, limit.keys()).await {
            Err(failure) if failure.kind == FailureKind::TooLarge => match limit.after_too_large() {
                Some(smaller) => {
                    limit = smaller;
                    continue;
                }
                None => connection.read_oversized(span, at).await?,
            },
            page => page?,
        };
        check_same_store(pinned, page.header)?;
        let next_limit = limit.after(page.keys, page.bytes);
        return Ok((page, next_limit));
    }
}

fn check_same_store(pinned: Option<Header>, header: Header) -> Result<(), EtcdFailure> {
    match pinned {
        Some(pinned) if pinned.cluster_id != header.cluster_id || header.revision < pinned.revision => {
            let problem = "the store changed while it was being read".to_owned();
            Err(EtcdFailure { kind: FailureKind::Future, problem })
        }
        _ => Ok(()),
    }
}

/// Checks whether the store still has `mark` at its revision.
pub(super) async fn verify(
    connection: &Connection,
    ranges: &KeyRanges,
    mark: &LastChange,
) -> Result<(Header, bool), EtcdFailure> {
    let Revision(revision) = mark.revision;
    let (header, now) = value_at(connection, &mark.key, Revision(revision)).await?;
    let mut same = match &mark.value {
        Some(value) => now == Some((value.clone(), mark.revision)),
        None => now.is_none() && value_at(connection, &mark.key, Revision(revision - 1)).await?.1.is_some(),
    };
    if let (true, Some((keys, at)), Some(hull)) = (same, mark.keys_in_hull, coverage::hull(ranges)) {
        same = connection.count(&hull, Some(at)).await?.1 == keys;
    }
    Ok((header, same))
}

async fn value_at(
    connection: &Connection,
    key: &Key,
    at: Revision,
) -> Result<(Header, Option<(Value, Revision)>), EtcdFailure> {
    let start = key.as_str().as_bytes().to_vec();
    let mut end = start.clone();
    end.push(0);
    let page = connection.read(&Span { start, end: Some(end) }, Some(at), 1).await?;
    let entry = page.entries.into_iter().next().map(|entry| (entry.value, entry.mod_revision));
    Ok((page.header, entry))
}
