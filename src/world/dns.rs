//! Resolves names to addresses and services, for callers that block: /etc/hosts first, then the name servers of
//! /etc/resolv.conf. A name that does not exist is an empty answer; a lookup that failed is an error. Every lookup has a
//! deadline. Error texts never repeat the name: it may come from a key's value.

mod resolver;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::model::dns::Srv;
use crate::world::tasks;

pub(in crate::world) use resolver::Resolver;

/// Default time limit of a lookup.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Time limit of a lookup shortly after one that got no answer. Lookups block rendering, and while the name servers are
/// silent a hundred lookups must not add up to minutes.
const IMPATIENT: Duration = Duration::from_millis(200);
/// Time after an unanswered lookup during which `IMPATIENT` applies.
const IMPATIENT_FOR: Duration = Duration::from_secs(10);

/// Maximum number of lookups that wait for the resolver's thread.
const MAX_WAITING: usize = 64;

/// Sources of a lookup.
#[derive(Clone, Debug)]
pub struct DnsSources {
    /// File of names with fixed addresses; consulted first.
    pub hosts: PathBuf,
    /// File with name servers, search domains and options.
    pub resolv_conf: PathBuf,
    /// Port of the name servers.
    pub port: u16,
}

impl Default for DnsSources {
    fn default() -> DnsSources {
        DnsSources { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into(), port: 53 }
    }
}

/// A resolver with a thread of its own, started at the first lookup. May be called from any thread; blocks the caller.
pub struct Dns {
    sources: DnsSources,
    deadline: Duration,
    /// Time of the last lookup that got no answer in time.
    silence: Mutex<Option<Instant>>,
    questions: Mutex<Option<mpsc::Sender<Question>>>,
}

/// A question and the receiver of its answer.
enum Question {
    Addresses(String, Reply<IpAddr>),
    Services(String, Reply<Srv>),
}

/// Receiver of one answer; the caller may have given up by then.
struct Reply<T> {
    deadline: Duration,
    to: SyncSender<Result<Vec<T>, String>>,
}

impl Dns {
    /// Returns a resolver that gives up on a lookup after `deadline`.
    pub fn new(sources: DnsSources, deadline: Duration) -> Dns {
        Dns { sources, deadline, silence: Mutex::new(None), questions: Mutex::new(None) }
    }

    /// Returns the IPv4 and IPv6 addresses of a host: an address yields itself, a name that does not exist an empty list.
    ///
    /// # Errors
    /// The lookup failed; the text is a phrase for people.
    pub fn addresses(&self, host: &str, within: Option<Duration>) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let fixed = self.fixed_addresses(host);
        if !fixed.is_empty() {
            return Ok(fixed);
        }
        self.ask(within, |reply| Question::Addresses(host.to_owned(), reply))
    }

    /// Returns the SRV records of a name (`_service._proto.domain`); an empty list if the name does not exist.
    ///
    /// # Errors
    /// The lookup failed; the text is a phrase for people.
    pub fn services(&self, name: &str, within: Option<Duration>) -> Result<Vec<Srv>, String> {
        self.ask(within, |reply| Question::Services(name.to_owned(), reply))
    }

    /// Reads the addresses that the hosts file has for `host`. Reads the file each time: it is small and may change.
    fn fixed_addresses(&self, host: &str) -> Vec<IpAddr> {
        let text = std::fs::read(&self.sources.hosts).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let host = host.strip_suffix('.').unwrap_or(host);
        let fields = |line: &'_ str| line.split('#').next().unwrap_or_default().to_owned();
        text.lines()
            .map(fields)
            .filter(|line| line.split_whitespace().skip(1).any(|name| name.eq_ignore_ascii_case(host)))
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect()
    }

    fn ask<T>(&self, within: Option<Duration>, question: impl FnOnce(Reply<T>) -> Question) -> Result<Vec<T>, String> {
        let (to, answer) = sync_channel(1);
        let deadline = self.patience().min(within.unwrap_or(Duration::MAX));
        let asked = Instant::now();
        self.send(question(Reply { deadline, to }))?;
        // The resolver's thread keeps the deadline; wait a little longer so that its error text arrives.
        let answer = answer.recv_timeout(deadline + Duration::from_secs(1)).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(late(deadline)),
            RecvTimeoutError::Disconnected => Err("the resolver failed".to_owned()),
        });
        // The resolver gives up a little before the deadline, by its own clock.
        // Only a lookup with the full time limit proves that the name servers are silent; otherwise slow ones would never
        // be asked again.
        if answer.is_err() && deadline == self.deadline && asked.elapsed() >= deadline / 2 {
            *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        answer
    }

    fn patience(&self) -> Duration {
        let silence = *self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = silence.is_some_and(|at| at.elapsed() < IMPATIENT_FOR);
        if is_recent { self.deadline.min(IMPATIENT) } else { self.deadline }
    }

    fn send(&self, mut question: Question) -> Result<(), String> {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*questions {
            question = match running.try_send(question) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => return Err("too many lookups are waiting".to_owned()),
                Err(mpsc::error::TrySendError::Closed(question)) => question,
            };
        }
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let (sources, deadline) = (self.sources.clone(), self.deadline);
        std::thread::Builder::new()
            .name("dns".to_owned())
            .spawn(move || serve(sources, deadline, receiver))
            .map_err(|error| format!("cannot start the resolver: {error}"))?;
        let sent = sender.try_send(question).map_err(|_| "the resolver failed".to_owned());
        *questions = Some(sender);
        sent
    }
}

/// Runs the resolver's thread until the `Dns` is dropped.
fn serve(sources: DnsSources, deadline: Duration, mut questions: mpsc::Receiver<Question>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let mut current = Current::default();
        while let Some(question) = questions.recv().await {
            let resolver = current.resolver(&sources, deadline);
            tasks::spawn(async move {
                match question {
                    Question::Addresses(host, reply) => reply.send(async { resolver?.addresses(&host).await }).await,
                    Question::Services(name, reply) => reply.send(async { resolver?.services(&name).await }).await,
                }
            });
        }
    });
}

impl<T> Reply<T> {
    async fn send(self, lookup: impl Future<Output = Result<Vec<T>, String>>) {
        let limited = tokio::time::timeout(self.deadline, lookup).await;
        self.to.try_send(limited.unwrap_or_else(|_| Err(late(self.deadline)))).ok();
    }
}

fn late(deadline: Duration) -> String {
    format!("no answer within {deadline:?}")
}

/// The resolver that matches the current text of resolv.conf.
#[derive(Default)]
struct Current {
    resolv_conf: Vec<u8>,
    resolver: Option<Resolver>,
}

impl Current {
    fn resolver(&mut self, sources: &DnsSources, deadline: Duration) -> Result<Resolver, String> {
        let path = sources.resolv_conf.display();
        let text = std::fs::read(&sources.resolv_conf).map_err(|error| format!("cannot read `{path}`: {error}"))?;
        if let Some(resolver) = self.resolver.as_ref().filter(|_| self.resolv_conf == text) {
            return Ok(resolver.clone());
        }
        let resolver =
            Resolver::of_resolv_conf(&text, sources.port, deadline).map_err(|problem| format!("`{path}` {problem}"))?;
        self.resolv_conf = text;
        Ok(self.resolver.insert(resolver).clone())
    }
}
