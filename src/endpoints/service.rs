//! The running answerer: its sockets, its sets, and their copies on disk. Passes publish from their threads, so that a change is an
//! answer within the same millisecond. Never renders, and never reloads nginx.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::model::endpoints::{EndpointName, EndpointSet, RESOLVER_TIMEOUT_SECONDS};
use crate::model::nginx::NginxPlace;
use crate::model::process::Process;
use crate::model::report::ReloadEnd;
use crate::world::clock;
use crate::world::connections::Transport;
use crate::world::dns_listener::{DatagramSender, DnsListener, MessageReply, Respond};
use crate::world::nginx_users::NginxUsers;
use crate::world::{fs, random};

use super::answerer::{Answerer, Asker, Packet, Uptake};
use super::asked::Asked;
use super::flood::FloodGuard;
use super::ledger::{Ledger, NameUse, NamedIn, UpstreamTraits};
use super::message::{self, DnsMessage};
use super::published::PublishedSet;
use super::saved::{self, NameOnDisk, SavedRun, SavedSet};
use super::taken::TakenAnswers;
use super::until_live::until_live;
use super::written::WrittenFiles;

/// Pause between two looks at who asks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Pause between two writes of the files on disk.
const SAVE_PAUSE: Duration = Duration::from_millis(200);
/// Time for which nginx waits for an answer.
const WAITS_FOR: Duration = Duration::from_secs(RESOLVER_TIMEOUT_SECONDS);

/// The answerer of this process.
pub struct EndpointService {
    inner: Mutex<Inner>,
    sender: DatagramSender,
    /// Addresses as nginx's `resolver` directive takes them.
    resolvers: Vec<String>,
    addresses: Vec<SocketAddr>,
    nginx_users: NginxUsers,
    flood_guard: Mutex<FloodGuard>,
    state_folder: Option<PathBuf>,
    changed: Notify,
    /// Guards the files: one writer at a time.
    on_disk: Mutex<WrittenFiles>,
}

struct Inner {
    answerer: Answerer,
    ledger: Ledger,
    /// The sets of files that are not live yet and have other names than the live ones, by destination, each with its resource.
    awaited: BTreeMap<PathBuf, (Arc<str>, Vec<EndpointSet>)>,
    /// Whether the files on disk may be out of date.
    is_unsaved: bool,
    /// When to write them next at the earliest: each time is all of the record.
    save_at: Option<Instant>,
    next_look: Option<Instant>,
}

impl std::fmt::Debug for EndpointService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointService").field("resolvers", &self.resolvers).finish_non_exhaustive()
    }
}

impl EndpointService {
    /// Starts to answer at these sockets, with the sets of the last run. `refuge` is the peer of a set without endpoints.
    ///
    /// # Errors
    /// The system has no further thread.
    pub fn start(
        listener: DnsListener,
        refuge: SocketAddr,
        state_folder: Option<PathBuf>,
    ) -> std::io::Result<Arc<EndpointService>> {
        let addresses = listener.addresses().to_vec();
        let resolvers: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let (mut answerer, mut ledger) = (Answerer::new(refuge, resolvers.len()), Ledger::default());
        let now = clock::now();
        let SavedRun { sets: saved, workers } = state_folder.as_deref().map(saved::load).unwrap_or_default();
        ledger.remember_workers(workers);
        let lines = saved.iter().filter_map(|saved| saved::lines_path(&saved.place.dest, &saved.set.name));
        let written = WrittenFiles::of_earlier_run(lines);
        for saved in saved {
            let traits = UpstreamTraits { knows_backups: saved.knows_backups, upstreams: saved.upstreams };
            let uses = [NameUse { name: saved.set.name.clone(), traits }];
            ledger.record(&saved.place, &uses, now);
            ledger.remember_use(&saved.set.name, saved.is_over, now);
            let clean = saved.clean_worker.iter();
            clean.for_each(|worker| ledger.remember_clean(&saved.set.name, *worker, saved.is_outlived));
            ledger.remember_lost(&saved.set.name, &saved.lost);
            let name = saved.set.name.clone();
            answerer.publish(vec![saved.set], now);
            answerer.set_upstreams(&name, saved.upstreams);
        }
        let awaited = BTreeMap::new();
        let inner = Inner { answerer, ledger, awaited, is_unsaved: true, save_at: None, next_look: None };
        let service = Arc::new(EndpointService {
            inner: Mutex::new(inner),
            sender: listener.sender(),
            resolvers,
            addresses,
            nginx_users: NginxUsers::unknown(),
            flood_guard: Mutex::default(),
            state_folder,
            changed: Notify::new(),
            on_disk: Mutex::new(written),
        });
        listener.serve(Arc::clone(&service) as Arc<dyn Respond>)?;
        Ok(service)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, packets: Vec<Packet>) {
        for Packet { to, bytes } in packets {
            self.sender.send(to.socket, to.address, &bytes);
        }
    }

    /// Returns the addresses at which nginx asks.
    pub fn resolvers(&self) -> &[String] {
        &self.resolvers
    }

    /// Records where the nginx are whose questions count; none if all questions do. Those of other users of this machine are answered,
    /// and change nothing.
    pub fn look_at_nginx(&self, places: &[NginxPlace]) {
        self.nginx_users.look_at(places);
    }

    /// Publishes the sets of a file; questions that were held for them are answered at once. As long as the live file has other names,
    /// a backend that moves between them stays where it is asked for.
    pub fn publish(&self, place: &NamedIn, sets: Vec<PublishedSet>) {
        let now = clock::now();
        let mut inner = self.inner();
        let uses: Vec<NameUse> = sets
            .iter()
            .map(|published| NameUse { name: published.set.name.clone(), traits: published.traits })
            .collect();
        let must_save = inner.ledger.record(place, &uses, now);
        let sets: Vec<EndpointSet> = sets.into_iter().map(PublishedSet::usable).collect();
        let of_file = inner.ledger.live_names().filter(|(_, live)| live.dest == place.dest);
        let live: BTreeSet<&EndpointName> = of_file.map(|(name, _)| name).collect();
        let present =
            |name: &EndpointName| inner.answerer.endpoints(name).filter(|_| live.contains(name)).map(|all| &**all);
        let has_names_of_live = live.is_empty() || live == sets.iter().map(|set| &set.name).collect();
        let (answered, awaited) =
            if has_names_of_live { (sets, None) } else { (until_live(&sets, present), Some(sets)) };
        inner.awaited.remove(&place.dest);
        inner.awaited.extend(awaited.map(|sets| (place.dest.clone(), (Arc::clone(&place.resource), sets))));
        let packets = inner.answer_with(answered, now);
        inner.count_upstreams(uses.iter().map(|used| &used.name));
        drop(inner);
        self.send(packets);
        self.changed.notify_one();
        if must_save {
            self.save();
        }
    }

    /// Records that the live file of this destination has these names and no others.
    pub fn went_live(&self, dest: &Path, names: &BTreeSet<EndpointName>) {
        let now = clock::now();
        let mut inner = self.inner();
        let is_new = inner.ledger.went_live(dest, names, now);
        inner.is_unsaved |= is_new;
        inner.count_upstreams(names.iter());
        let Some((_, mut sets)) = inner.awaited.remove(dest) else { return };
        sets.retain(|set| names.contains(&set.name));
        let packets = inner.answer_with(sets, now);
        drop(inner);
        self.send(packets);
        self.changed.notify_one();
    }

    /// Records that a resource has these files and no others.
    pub fn keep_files(&self, resource: &str, dests: &BTreeSet<&Path>) {
        let mut inner = self.inner();
        let is_new = inner.ledger.keep_files(resource, dests);
        inner.is_unsaved |= is_new;
        inner.awaited.retain(|dest, (owner, _)| **owner != *resource || dests.contains(&**dest));
    }

    /// Records which resources conf.d has.
    pub fn keep_resources(&self, has: impl Fn(&str) -> bool) {
        let mut inner = self.inner();
        inner.awaited.retain(|_, (owner, _)| has(owner));
        let is_new = inner.ledger.keep_resources(has, clock::now());
        inner.is_unsaved |= is_new;
    }

    /// Returns whether a resource has names.
    pub fn has_names_of(&self, resource: &str) -> bool {
        self.inner().ledger.names().any(|(_, place, _)| *place.resource == *resource)
    }

    /// Returns the addresses that the sets of a resource have lost, in an earlier run too, and that have not drained.
    pub fn lost(&self, resource: &str) -> BTreeSet<SocketAddr> {
        self.inner().ledger.lost_by(resource)
    }

    /// Records that nginx has no connection to these addresses that the sets of a resource have lost.
    pub fn drained(&self, resource: &str, addresses: &BTreeSet<SocketAddr>) {
        let mut inner = self.inner();
        if inner.ledger.drained(resource, addresses) {
            inner.is_unsaved = true;
            self.changed.notify_one();
        }
    }

    /// Waits until something may have changed: progress of nginx, or what is due.
    pub async fn changed(&self) {
        let wake_at = {
            let inner = self.inner();
            let next_look = inner.next_look.filter(|_| inner.is_unsaved || inner.ledger.names().next().is_some());
            let next_save = inner.save_at.filter(|_| inner.is_unsaved);
            [inner.ledger.wake_at(clock::now()), next_look, next_save].into_iter().flatten().min()
        };
        tokio::select! {
            () = self.changed.notified() => {}
            () = clock::sleep_until(wake_at) => {}
        }
    }

    /// Looks at who asks, and forgets names that no file has and nobody asks for. Returns whether the files on disk have to be brought
    /// up to date.
    pub fn look(&self, now: Instant) -> bool {
        let is_look_due = self.inner().next_look.is_none_or(|at| at <= now);
        // Questions do not wait for that. A worker is known with its second question, so it was there at the last look.
        let workers = if is_look_due { self.nginx_users.workers() } else { None };
        let mut inner = self.inner();
        let Inner { answerer, ledger, is_unsaved, save_at, next_look, .. } = &mut *inner;
        *is_unsaved |= ledger.put_back(now);
        *is_unsaved |= workers.is_some_and(|workers| ledger.see_workers(workers, now));
        let changed = answerer.take_changed();
        if is_look_due {
            *next_look = Some(now + LOOK_PAUSE);
            answerer.forget_gone(now);
            for name in ledger.unused(fs::has_content, now) {
                if answerer.uptake(&name, now) == Uptake::Unasked {
                    answerer.withdraw(&name);
                    ledger.forget(&name);
                    *is_unsaved = true;
                }
            }
            *is_unsaved |= ledger.look_at_all(|name| answerer.progress(name, now), now);
        } else {
            for name in changed {
                *is_unsaved |= ledger.look(&name, answerer.progress(&name, now), now);
            }
        }
        let is_due = *is_unsaved && save_at.is_none_or(|at| at <= now);
        if is_due {
            // Who waits for what is due must not spin while it is written.
            *save_at = None;
        }
        is_due
    }

    /// Returns what nginx has taken of the answers. It has taken none of a name while it may use lines that it has read from disk, and
    /// nothing while the workers of two masters serve: only the newest is known to have taken anything.
    pub fn taken(&self, now: Instant) -> TakenAnswers {
        let has_two_masters = self.nginx_users.has_previous_workers();
        let inner = self.inner();
        let mut taken = TakenAnswers::at(inner.answerer.serial());
        for (name, place) in inner.ledger.live_names() {
            let first = match has_two_masters || inner.ledger.is_stale(name) {
                true => Some(0),
                false => inner.answerer.first_untaken(name, now),
            };
            first.into_iter().for_each(|first| taken.lack(&place.resource, first));
        }
        taken
    }

    /// Returns the serial of the last change of any answer.
    pub fn serial(&self) -> u64 {
        self.inner().answerer.serial()
    }

    /// Returns the resources whose nginx has to be reloaded, so that it forgets the lines that it has read from disk.
    pub fn to_clean(&self, now: Instant) -> BTreeSet<Arc<str>> {
        let mut inner = self.inner();
        let Inner { answerer, ledger, .. } = &mut *inner;
        // Its worker has taken an answer, whatever has changed since.
        ledger.to_clean(|name| answerer.uptake(name, now) != Uptake::Unasked, now)
    }

    /// Returns the resources with names for which nobody has asked for a while; see [`Ledger::take_silent`].
    pub fn take_silent(&self, runs: impl Fn(&str) -> bool, now: Instant) -> BTreeMap<Arc<str>, bool> {
        self.inner().ledger.take_silent(runs, now)
    }

    /// Begins a reload of nginx, which must not read lines that it does not need.
    pub fn begin_reload(&self) {
        let now = clock::now();
        let mut inner = self.inner();
        let Inner { answerer, ledger, is_unsaved, .. } = &mut *inner;
        ledger.begin_reload(|name| answerer.uptake(name, now) != Uptake::Unasked, now);
        *is_unsaved = true;
        drop(inner);
        self.save();
    }

    /// Ends a reload for these resources.
    pub fn end_reload(&self, is_concerned: impl Fn(&str) -> bool, end: ReloadEnd) {
        let mut inner = self.inner();
        inner.ledger.end_reload(is_concerned, end, clock::now());
        inner.is_unsaved = true;
        drop(inner);
        self.save();
    }

    /// Brings the files on disk to what the next start needs, whatever reload is under way. Blocks.
    pub fn save_for_good(&self) {
        let mut inner = self.inner();
        inner.ledger.put_all_back(clock::now());
        inner.is_unsaved = true;
        drop(inner);
        self.save();
    }

    /// Brings the files on disk up to date: the sets for our next start, and the lines for nginx's. Blocks.
    pub fn save(&self) {
        let mut written = self.on_disk.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((names, workers)) = self.inner().take_unsaved() else { return };
        // Answers do not wait for the text of all names.
        let is_done = written.write(self.state_folder.as_deref(), (&names, &workers));
        drop(names);
        let pause = match is_done {
            true => SAVE_PAUSE,
            false => written.backoff.next_delay(random::fraction()),
        };
        if is_done {
            written.backoff.reset();
        }
        let mut inner = self.inner();
        inner.is_unsaved |= !is_done;
        inner.save_at = Some(clock::now() + pause);
        if inner.is_unsaved {
            // What has changed meanwhile is due then.
            self.changed.notify_one();
        }
    }
}

impl Inner {
    /// Returns what belongs on disk, as cheaply as possible; `None` if that is there.
    fn take_unsaved(&mut self) -> Option<(Vec<NameOnDisk>, BTreeSet<Process>)> {
        let Inner { answerer, ledger, is_unsaved, .. } = self;
        if !std::mem::take(is_unsaved) {
            return None;
        }
        let on_disk = |(name, place, traits): (&EndpointName, &NamedIn, UpstreamTraits)| {
            let endpoints = Arc::clone(answerer.endpoints(name)?);
            let set = EndpointSet { name: name.clone(), endpoints: Vec::new() };
            let (clean_worker, lost) = (ledger.clean_worker(name), ledger.lost(name).to_vec());
            let (place, is_over) = (place.clone(), ledger.is_over(name));
            let (UpstreamTraits { knows_backups, upstreams }, is_outlived) = (traits, ledger.is_outlived(name));
            let saved = SavedSet { set, place, knows_backups, clean_worker, is_outlived, lost, is_over, upstreams };
            let (has_lines, is_recorded) = (ledger.wants_lines(name), !ledger.is_planned(name));
            Some(NameOnDisk { saved, endpoints, has_lines, is_recorded })
        };
        Some((ledger.names().filter_map(on_disk).collect(), ledger.workers().clone()))
    }

    /// Brings up to date how many upstreams have to take the answers of these names.
    fn count_upstreams<'a>(&mut self, names: impl Iterator<Item = &'a EndpointName>) {
        for name in names {
            self.answerer.set_upstreams(name, self.ledger.traits(name).upstreams);
        }
    }

    fn answer_with(&mut self, sets: Vec<EndpointSet>, now: Instant) -> Vec<Packet> {
        for set in &sets {
            let own: BTreeSet<SocketAddr> = set.addresses().collect();
            let before = self.answerer.endpoints(&set.name).into_iter().flat_map(|before| before.iter());
            let before = before.map(|endpoint| endpoint.address);
            let lost: Vec<SocketAddr> = before.filter(|address| !own.contains(address)).collect();
            self.ledger.lose(&set.name, &lost, now);
        }
        self.is_unsaved = true;
        self.answerer.publish(sets, now)
    }
}

impl Respond for EndpointService {
    fn datagram(&self, socket: usize, from: SocketAddr, bytes: &[u8], waited: Duration) -> Option<Vec<u8>> {
        let asked_at = self.addresses.get(socket);
        let is_nginx = || self.nginx_users.is_nginx(Transport::Udp, from, *asked_at?);
        let mut flood_guard = self.flood_guard.lock().unwrap_or_else(PoisonError::into_inner);
        if waited > WAITS_FOR || !flood_guard.admit(from, clock::now(), is_nginx) {
            return None;
        }
        drop(flood_guard);
        let question = match message::read(bytes) {
            DnsMessage::Question(question) => question,
            DnsMessage::Refuse(bytes) => return Some(bytes),
            DnsMessage::Ignore => return None,
        };
        let (asker, asked) = (Asker { socket, address: from }, Asked::of(&question));
        let question = (question, asked);
        let must_identify = self.inner().answerer.must_identify(asker, &question, clock::now());
        // That asks the kernel: passes and the loop do not wait for it.
        let is_nginx = if must_identify { is_nginx() } else { Some(true) };
        let now = clock::now();
        let arrived = now.checked_sub(waited).unwrap_or(now);
        let mut inner = self.inner();
        let packet = inner.answerer.take_question(asker, question, (arrived, now), is_nginx);
        let has_news = inner.answerer.has_news();
        drop(inner);
        if has_news {
            self.changed.notify_one();
        }
        packet.map(|packet| packet.bytes)
    }

    fn message(&self, socket: usize, from: SocketAddr, bytes: &[u8]) -> MessageReply {
        let asked = self.addresses.get(socket);
        let is_nginx = asked.and_then(|asked| self.nginx_users.is_nginx(Transport::Tcp, from, *asked));
        let reply = self.inner().answerer.take_message(bytes, clock::now(), is_nginx);
        reply.map_or(MessageReply::Close, MessageReply::Now)
    }

    fn tick(&self) {
        let packets = self.inner().answerer.tick(clock::now());
        self.send(packets);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.inner().answerer.wake_at()
    }
}

#[cfg(test)]
mod tests;
