//! Publishes the board over HTTP and to the service manager. Never decides anything that `status` can decide.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::AbortHandle;

use crate::apply::Context;
use crate::model::health::Health;
use crate::model::outward::{ManagerNotice, PageRequest, StatusPage};
use crate::model::process::Usage;
use crate::model::status::{AgentStatus, Status};
use crate::model::store::StoreSettings;
use crate::render::Facts;
use crate::source::health;
use crate::status::api::{self, StatusText};
use crate::status::board::HEALTH_CHECK;
use crate::status::conditions::Look;
use crate::status::gather::{self, Copied, LookedUp};
use crate::status::systemd::Notifier;
use crate::status::{Shared, announced, page, pages};
use crate::world::http::PageListener;
use crate::world::usage::usage;
use crate::world::{clock, http, systemd};

use super::announcers::{self, AnnouncerPlaces};
use super::news::NewsBoard;
use super::questions::KeyAsker;
use super::surroundings::Surroundings;

/// Least time between two requests to a store: probes must not become its load.
const HEALTH_LASTS: Duration = Duration::from_secs(1);
/// How long a status is served again before a new one is made: many readers must not become a load.
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

/// Where the pages are served, and how the agent introduces itself on them.
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

/// What the pages are made from.
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
    pub(super) news: NewsBoard,
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
    let (json, html, surroundings) = (Latest::default(), Latest::default(), std::sync::Mutex::new(surroundings));
    let making = Arc::new(Semaphore::new(1));
    let reporter =
        Arc::new(Reporter { board, context, health, hosts, announcers, asker, json, html, surroundings, making });
    let (changes, readers) = watch::channel(0);
    let mut tasks = vec![tokio::spawn(look_for_changes(Arc::clone(&reporter), changes)).abort_handle()];
    for listener in listeners {
        let reporter = Arc::clone(&reporter);
        let page = move |request: PageRequest| {
            let reporter = Arc::clone(&reporter);
            async move { reporter.page(&request).await }
        };
        tasks.push(tokio::spawn(http::serve(listener, page, readers.clone())).abort_handle());
    }
    Pages(tasks)
}

/// Announces changes of the status while somebody waits for them. Without a reader it does nothing.
async fn look_for_changes(reporter: Arc<Reporter>, changes: watch::Sender<u64>) {
    // Each listener has a receiver of its own.
    let listeners = changes.receiver_count();
    let (mut looks, mut announced_print) = (0, 0);
    loop {
        tokio::time::sleep(LOOK_PAUSE).await;
        // What nobody asks for any more need not be kept.
        reporter.json.forget_if_old().await;
        reporter.html.forget_if_old().await;
        if changes.receiver_count() <= listeners {
            continue;
        }
        if looks % LOOKS_PER_QUESTION == 0 {
            announced_print = reporter.announced_print().await;
        }
        looks += 1;
        let print = api::fingerprint(&reporter.copy(clock::now())) ^ announced_print;
        if *changes.borrow() != print {
            // Whoever asks now gets what has changed, not what was made before it.
            reporter.json.forget().await;
            reporter.html.forget().await;
            changes.send_replace(print);
        }
    }
}

/// Answers requests for pages.
struct Reporter {
    board: Shared,
    context: Arc<Context>,
    health: HealthCache,
    hosts: Vec<String>,
    announcers: AnnouncerPlaces,
    asker: KeyAsker,
    /// The last status as JSON.
    json: Latest,
    /// The last page for people.
    html: Latest,
    surroundings: std::sync::Mutex<Surroundings>,
    /// Whoever makes a status has the only permit: requests of clients that are gone must not pile up on the threads of passes.
    making: Arc<Semaphore>,
}

impl Reporter {
    async fn page(self: &Arc<Self>, request: &PageRequest) -> StatusPage {
        if let Some(refusal) = api::refuse_host(request, &self.hosts) {
            return refusal;
        }
        match api::wanted(request) {
            Some(api::ApiRequest::Status { list: None }) => {
                let status =
                    self.json.get(&self.html, || self.gather(None, gather::MAX_BACKENDS, StatusText::json)).await;
                api::versioned(request, status)
            }
            Some(api::ApiRequest::Status { list: Some(list) }) => {
                api::versioned(request, self.gather(Some(list), gather::MAX_BACKENDS, StatusText::json).await)
            }
            Some(api::ApiRequest::Page) => {
                api::html(self.html.get(&self.json, || self.gather(None, page::MAX_LINES, StatusText::html)).await)
            }
            Some(api::ApiRequest::Explain { what }) => {
                let facts = self.asker.facts(&what).await;
                let every = Some(gather::EVERYTHING.to_owned());
                let explain = move |status: Status| api::explained(&status, &what, &facts);
                self.gather(every, gather::MAX_BACKENDS, explain).await.unwrap_or_else(api::not_made)
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

    fn copy(&self, now: Instant) -> Copied {
        let look = self.look(now);
        self.board.with(|board| gather::copy(board, &look))
    }

    /// Makes something of the status, with all backends of this list and so many of each other. Beside the loop, which it does not hold
    /// up. Returns `None` if it could not be made, which is a bug.
    async fn gather<Made: Send + 'static>(
        self: &Arc<Self>,
        list: Option<String>,
        most: usize,
        make: impl FnOnce(Status) -> Made + Send + 'static,
    ) -> Option<Made> {
        let reporter = Arc::clone(self);
        let permit = Arc::clone(&self.making).acquire_owned().await.ok()?;
        let answers = announcers::ask(self.announcers.clone()).await;
        let making = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let copied = reporter.copy(clock::now());
            let places = reporter.board.with(|board| reporter.context.nginx_places(board.group_ids()));
            let mut surroundings = reporter.surroundings.lock().unwrap_or_else(PoisonError::into_inner);
            let looked_up = surroundings.look(&places, &copied);
            drop(surroundings);
            let looked_up = LookedUp { announced: announced::read(answers), ..looked_up };
            make(copied.status(looked_up, list.as_deref(), most))
        });
        making.await.ok()
    }

    /// Returns a number that changes when something else is announced on this machine.
    async fn announced_print(&self) -> u64 {
        let answers = announcers::ask(self.announcers.clone()).await;
        let reading = tokio::task::spawn_blocking(|| announced::fingerprint(&announced::read(answers)));
        reading.await.unwrap_or_default()
    }
}

/// A text that was made of the status a moment ago, for all who ask for it until it is old.
#[derive(Default)]
struct Latest(Mutex<Option<(Instant, Arc<StatusText>)>>);

impl Latest {
    /// Returns the text, made at most a moment ago: by `make`, if there is none. One at a time makes it. Then the `other` view is made
    /// again too: nobody who has seen one is shown an older one.
    async fn get<Making: Future<Output = Option<StatusText>>>(
        &self,
        other: &Latest,
        make: impl FnOnce() -> Making,
    ) -> Option<Arc<StatusText>> {
        let mut latest = self.0.lock().await;
        let now = clock::now();
        if let Some((at, text)) = &*latest
            && now.saturating_duration_since(*at) < STATUS_LASTS
        {
            return Some(Arc::clone(text));
        }
        let text = Arc::new(make().await?);
        *latest = Some((now, Arc::clone(&text)));
        drop(latest);
        other.forget().await;
        Some(text)
    }

    async fn forget(&self) {
        *self.0.lock().await = None;
    }

    async fn forget_if_old(&self) {
        self.0.lock().await.take_if(|(at, _)| clock::since(*at) >= STATUS_LASTS);
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
pub struct Manager {
    notifier: Notifier,
    /// Whether there is a service manager; without one, no notice is composed.
    is_listening: bool,
    /// Whether a failure to notify it has been logged.
    failure_logged: bool,
}

impl Manager {
    /// Returns a manager that has received no notice yet.
    pub fn new() -> Manager {
        Manager {
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

impl Default for Manager {
    fn default() -> Manager {
        Manager::new()
    }
}
