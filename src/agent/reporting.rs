//! Publishes the board over HTTP and to the service manager. Never decides anything that `status` can decide.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;

use crate::apply::Context;
use crate::model::health::Health;
use crate::model::outward::{ManagerNotice, PageRequest, StatusPage};
use crate::model::process::Usage;
use crate::model::status::{AgentStatus, Status, UnixTime};
use crate::model::store::StoreSettings;
use crate::render::Facts;
use crate::source::health;
use crate::status::announced::AnnouncerAnswer;
use crate::status::api::{self, StatusText};
use crate::status::board::HEALTH_CHECK;
use crate::status::conditions::Look;
use crate::status::gather::{self, Copied, LookedUp};
use crate::status::systemd::Notifier;
use crate::status::{Shared, announced, page, pages};
use crate::world::http::PageListener;
use crate::world::usage::usage;
use crate::world::{clock, http, systemd, tasks};

use super::announcers::{self, AnnouncerPlaces};
use super::news::LastHeard;
use super::questions::KeyAsker;
use super::surroundings::Surroundings;

/// Least time between two requests to a store: probes must not become its load.
const HEALTH_LASTS: Duration = Duration::from_secs(1);
/// Time for which a status is served again before a new one is made: many readers must not become a load.
const STATUS_LASTS: Duration = Duration::from_millis(500);
/// Pause between two looks for changes, while somebody reads a stream of them.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Every how many of these looks the announcers are asked.
const LOOKS_PER_QUESTION: u64 = 4;

/// The running listeners, which end if they are dropped.
#[derive(Debug, Default)]
pub struct Pages(Vec<AbortHandle>);

impl Drop for Pages {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// The addresses of the pages, and how the agent introduces itself on them.
#[derive(Default)]
pub struct PagesSettings {
    /// Where to serve them.
    pub listeners: Vec<PageListener>,
    /// The agent.
    pub about: AgentStatus,
    /// Names under which browsers may ask for the status, beside addresses of this machine.
    pub hosts: Vec<String>,
    /// Where the sockets of this machine's announcers are.
    pub announcers: AnnouncerPlaces,
}

/// The sources of the pages.
pub struct PagesPlan {
    /// Where they are served.
    pub settings: PagesSettings,
    /// The board.
    pub board: Shared,
    /// State that all transactions share.
    pub context: Arc<Context>,
    /// Settings of the store.
    pub store: StoreSettings,
    /// Whether the agent keeps a receipt, as the others of its fleet do.
    pub keeps_receipt: bool,
    /// Facts that templates can query: which version an nginx has.
    pub facts: Arc<dyn Facts>,
    /// What the sources hear.
    pub(super) news: LastHeard,
}

/// Serves the status pages.
pub fn serve(plan: PagesPlan, asker: KeyAsker) -> Pages {
    let PagesPlan { settings, board, context, store, keeps_receipt, facts, news } = plan;
    let PagesSettings { listeners, about, hosts, announcers } = settings;
    if listeners.is_empty() {
        return Pages::default();
    }
    let health = HealthCache { store: store.clone(), last: Mutex::new(None) };
    let surroundings = Surroundings::new(about, &store, keeps_receipt, facts).with_news(news);
    let maker = Arc::new(Mutex::new(StatusMaker { surroundings, silent_since: BTreeMap::new(), snapshot: None }));
    let server = Arc::new(PageServer { board, context, health, hosts, announcers, asker, maker });
    let (changes, readers) = watch::channel(0);
    let mut tasks = vec![tasks::spawn(look_for_changes(Arc::clone(&server), changes)).abort_handle()];
    for listener in listeners {
        let server = Arc::clone(&server);
        let page = move |request: PageRequest| {
            let server = Arc::clone(&server);
            async move { server.page(&request).await }
        };
        tasks.push(tasks::spawn(http::serve(listener, page, readers.clone())).abort_handle());
    }
    Pages(tasks)
}

/// Announces changes of the status while somebody waits for them. Without a reader it does nothing.
async fn look_for_changes(server: Arc<PageServer>, changes: watch::Sender<u64>) {
    // Each listener has a receiver of its own.
    let listeners = changes.receiver_count();
    let (mut looks, mut last) = (0, None);
    loop {
        tokio::time::sleep(LOOK_PAUSE).await;
        // What nobody asks for any more need not be kept.
        server.maker.lock().await.snapshot.take_if(|snapshot| snapshot.is_old());
        if changes.receiver_count() <= listeners {
            last = None;
            continue;
        }
        let (seen, has_changed) = server.look_again(last, looks % LOOKS_PER_QUESTION == 0).await;
        if has_changed {
            changes.send_modify(|number| *number += 1);
        }
        (looks, last) = (looks + 1, seen);
    }
}

/// The state at the last look for changes.
struct SeenStatus {
    copied: Copied,
    announced: u64,
}

/// One copy of the status: the same for all who ask within a moment.
struct StatusSnapshot {
    at: Instant,
    copied: Copied,
    looked_up: LookedUp,
    json: OnceLock<StatusText>,
    html: OnceLock<StatusText>,
}

impl StatusSnapshot {
    fn is_old(&self) -> bool {
        clock::since(self.at) >= STATUS_LASTS
    }

    /// Returns the status with all backends of this list and so many of each other.
    fn status(&self, list: Option<&str>, most: usize) -> Status {
        self.copied.status(self.looked_up.clone(), list, most)
    }

    fn json(&self) -> &StatusText {
        self.json.get_or_init(|| StatusText::json(self.status(None, gather::MAX_BACKENDS)))
    }

    fn html(&self) -> &StatusText {
        self.html.get_or_init(|| StatusText::html(self.status(None, page::MAX_LINES)))
    }
}

/// Makes the status, for one at a time: requests of clients that are gone must not pile up on the threads of passes.
struct StatusMaker {
    surroundings: Surroundings,
    /// Since when each announcer does not answer, by process.
    silent_since: BTreeMap<u32, UnixTime>,
    /// The last one.
    snapshot: Option<StatusSnapshot>,
}

/// Answers requests for pages.
struct PageServer {
    board: Shared,
    context: Arc<Context>,
    health: HealthCache,
    hosts: Vec<String>,
    announcers: AnnouncerPlaces,
    asker: KeyAsker,
    maker: Arc<Mutex<StatusMaker>>,
}

impl PageServer {
    async fn page(self: &Arc<Self>, request: &PageRequest) -> StatusPage {
        if let Some(refusal) = api::refuse_host(request, &self.hosts) {
            return refusal;
        }
        match api::wanted(request) {
            Some(api::ApiRequest::Status { list }) => {
                let known = request.known.clone();
                let view = move |snapshot: &StatusSnapshot| match list {
                    None => api::versioned(&known, snapshot.json()),
                    Some(list) => {
                        let status = snapshot.status(Some(&list), gather::MAX_BACKENDS);
                        api::versioned(&known, &StatusText::json(status))
                    }
                };
                self.view(view).await
            }
            Some(api::ApiRequest::Page) => self.view(|snapshot| api::html(snapshot.html())).await,
            Some(api::ApiRequest::Explain { what }) => {
                let facts = self.asker.facts(&what).await;
                let status =
                    |snapshot: &StatusSnapshot| snapshot.status(Some(gather::EVERYTHING), gather::MAX_BACKENDS);
                self.view(move |snapshot| api::explained(&status(snapshot), &what, &facts)).await
            }
            Some(api::ApiRequest::Changes) => api::changes(),
            None => self.plain(&request.path).await,
        }
    }

    async fn plain(&self, path: &str) -> StatusPage {
        let health = if path == pages::READY_DETAILED { Some(self.health.health(&self.board).await) } else { None };
        let known = pages::Known {
            health: health.as_ref(),
            usage: if path == pages::METRICS { usage() } else { Usage::default() },
            look: self.look(clock::now()),
        };
        self.board.with(|board| pages::answer(path, board, &known))
    }

    fn look(&self, now: Instant) -> Look {
        Look { now, unix_time: clock::unix_time(), running: self.context.running_steps() }
    }

    fn copy(&self) -> Copied {
        let look = self.look(clock::now());
        self.board.with(|board| gather::copy(board, &look))
    }

    /// Makes a page of the status as it is now or was a moment ago. Beside the loop, which it does not hold up.
    async fn view(self: &Arc<Self>, make: impl FnOnce(&StatusSnapshot) -> StatusPage + Send + 'static) -> StatusPage {
        let mut maker = Arc::clone(&self.maker).lock_owned().await;
        maker.snapshot.take_if(|snapshot| snapshot.is_old());
        let answers = match &maker.snapshot {
            Some(_) => Vec::new(),
            None => announcers::ask(self.announcers.clone()).await,
        };
        let server = Arc::clone(self);
        let making = tasks::spawn_blocking(move || {
            let snapshot = maker.snapshot.take().unwrap_or_else(|| server.snapshot(&mut maker, answers));
            make(maker.snapshot.insert(snapshot))
        });
        making.await.unwrap_or_else(|_| api::not_made())
    }

    fn snapshot(&self, maker: &mut StatusMaker, answers: Vec<AnnouncerAnswer>) -> StatusSnapshot {
        let (at, copied) = (clock::now(), self.copy());
        let places = self.board.with(|board| self.context.nginx_places(board.group_ids()));
        let announced = announced::read(answers);
        maker.silent_since = announced::silent_since(&announced, &maker.silent_since, UnixTime(clock::unix_seconds()));
        let silent_since = maker.silent_since.clone();
        let looked_up = LookedUp { announced, silent_since, ..maker.surroundings.look(&places, &copied) };
        StatusSnapshot { at, copied, looked_up, json: OnceLock::new(), html: OnceLock::new() }
    }

    /// Looks whether the status has changed since the `last` look. If it has, whoever asks now gets what has changed, not what was made
    /// before it. If `asks`, the announcers of this machine are asked too.
    async fn look_again(self: &Arc<Self>, last: Option<SeenStatus>, asks: bool) -> (Option<SeenStatus>, bool) {
        let answers = if asks || last.is_none() { Some(announcers::ask(self.announcers.clone()).await) } else { None };
        let mut maker = Arc::clone(&self.maker).lock_owned().await;
        let server = Arc::clone(self);
        let looking = tasks::spawn_blocking(move || {
            let copied = server.copy();
            let before = last.as_ref().map_or(0, |last| last.announced);
            let announced = answers.map_or(before, |answers| announced::fingerprint(&announced::read(answers)));
            let is_same = last.is_some_and(|last| before == announced && last.copied.shows_the_same(&copied));
            if !is_same {
                maker.snapshot = None;
            }
            (Some(SeenStatus { copied, announced }), !is_same)
        });
        looking.await.unwrap_or_default()
    }
}

/// The store's last answer. One request at a time: callers in the meantime get the same answer.
struct HealthCache {
    store: StoreSettings,
    last: Mutex<Option<(Instant, Health)>>,
}

impl HealthCache {
    async fn health(&self, board: &Shared) -> Health {
        let mut last = self.last.lock().await;
        if let Some((at, health)) = &*last
            && clock::now().duration_since(*at) < HEALTH_LASTS
        {
            return health.clone();
        }
        let health = health::ask(&self.store).await;
        board.with(|board| board.store.record_request(HEALTH_CHECK, health.elapsed, health.healthy));
        *last = Some((clock::now(), health.clone()));
        health
    }
}

/// The notices that the service manager has received from this process.
pub struct ServiceManager {
    notifier: Notifier,
    /// Whether there is a service manager; without one, no notice is composed.
    is_listening: bool,
    /// Whether a failure to notify it has been logged.
    failure_logged: bool,
}

impl ServiceManager {
    /// Returns a manager that has received no notice yet.
    pub fn new() -> ServiceManager {
        ServiceManager {
            notifier: Notifier::new(systemd::watchdog_limit()),
            is_listening: systemd::is_listening(),
            failure_logged: false,
        }
    }

    /// Reports that a reload begins.
    pub fn reload(&mut self) {
        let message = self.notifier.reload(clock::now());
        self.send(message.into_iter().collect());
    }

    /// Sends the notices that are due. Called on every turn of the loop.
    pub fn turn(&mut self, board: &Shared, context: &Context, is_settled: bool) {
        if !self.is_listening {
            return;
        }
        let look = Look { now: clock::now(), unix_time: clock::unix_time(), running: context.running_steps() };
        let messages = board.with(|board| self.notifier.due(board, &look, is_settled));
        self.send(messages);
    }

    /// Returns when the loop must turn even if nothing happens.
    pub fn wake_at(&self) -> Option<Instant> {
        self.notifier.wake_at()
    }

    fn send(&mut self, notices: Vec<ManagerNotice>) {
        if let Err(error) = systemd::notify(&notices)
            && !std::mem::replace(&mut self.failure_logged, true)
        {
            tracing::warn!("cannot notify the service manager: {error}");
        }
    }
}

impl Default for ServiceManager {
    fn default() -> ServiceManager {
        ServiceManager::new()
    }
}
