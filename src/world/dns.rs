//! Names to addresses and services: /etc/hosts, then the name servers of /etc/resolv.conf. Tells "there is no such
//! name" from "nobody could say": the one is an empty answer, the other an error. Every lookup has a deadline.
//! Error texts never repeat the name: it may have come out of a key's value.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use tokio::sync::mpsc;

use crate::model::dns::Srv;

/// How long a lookup may take, by default.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How long a lookup may take when another has just had no answer at all. A template blocks whoever renders it, and while the
/// name servers are silent a hundred lookups must not add up to minutes.
const IMPATIENT: Duration = Duration::from_millis(200);
/// For how long after such a lookup.
const IMPATIENT_FOR: Duration = Duration::from_secs(10);

/// Lookups that may wait for the resolver's thread.
const MOST_WAITING: usize = 64;

/// Where names are looked up.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Names with fixed addresses; looked at first.
    pub hosts: PathBuf,
    /// Name servers, search domains, options.
    pub resolv_conf: PathBuf,
    /// Port of the name servers.
    pub port: u16,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into(), port: 53 }
    }
}

/// A resolver with a thread of its own, started at the first lookup. May be called from any thread, and blocks it.
pub struct Dns {
    sources: Sources,
    deadline: Duration,
    /// When a lookup last had no answer in time.
    silence: Mutex<Option<Instant>>,
    questions: Mutex<Option<mpsc::Sender<Question>>>,
}

struct Question {
    name: String,
    kinds: &'static [RecordType],
    deadline: Duration,
    reply: SyncSender<Result<Vec<RData>, String>>,
}

impl Dns {
    /// A resolver that gives up on a lookup after `deadline`.
    pub fn new(sources: Sources, deadline: Duration) -> Dns {
        Dns { sources, deadline, silence: Mutex::new(None), questions: Mutex::new(None) }
    }

    /// The addresses of a host, IPv4 and IPv6. An address is its own; a name that does not exist has none.
    ///
    /// # Errors
    /// A phrase for people: nobody could say.
    pub fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let fixed = self.fixed_addresses(host);
        if !fixed.is_empty() {
            return Ok(fixed);
        }
        let records = self.ask(host, &[RecordType::A, RecordType::AAAA])?;
        Ok(records.iter().filter_map(RData::ip_addr).collect())
    }

    /// The SRV records of a name (`_service._proto.domain`). A name that does not exist has none.
    ///
    /// # Errors
    /// A phrase for people: nobody could say.
    pub fn services(&self, name: &str) -> Result<Vec<Srv>, String> {
        let records = self.ask(name, &[RecordType::SRV])?;
        let services = records.into_iter().filter_map(|record| match record {
            RData::SRV(srv) => {
                Some(Srv { target: srv.target.to_ascii(), port: srv.port, priority: srv.priority, weight: srv.weight })
            }
            _ => None,
        });
        Ok(services.collect())
    }

    /// The lines of the hosts file that name `host`. Read each time: it is small, and may change.
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

    fn ask(&self, name: &str, kinds: &'static [RecordType]) -> Result<Vec<RData>, String> {
        let (reply, answer) = sync_channel(1);
        let deadline = self.patience();
        let asked = Instant::now();
        self.send(Question { name: name.to_owned(), kinds, deadline, reply })?;
        // The resolver's thread keeps the deadline; a little more, so that its own words arrive.
        let answer = answer.recv_timeout(deadline + Duration::from_secs(1)).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(late(deadline)),
            RecvTimeoutError::Disconnected => Err("the resolver failed".to_owned()),
        });
        // The resolver gives up a little before that, by its own count.
        // Only one that had all the time tells that the name servers are silent, or slow ones would never be asked again.
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
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let (sources, deadline) = (self.sources.clone(), self.deadline);
        std::thread::Builder::new()
            .name("dns".to_owned())
            .spawn(move || serve(sources, deadline, receiver))
            .map_err(|error| format!("the resolver cannot be started: {error}"))?;
        let sent = sender.try_send(question).map_err(|_| "the resolver failed".to_owned());
        *questions = Some(sender);
        sent
    }
}

/// The resolver's thread: ends when the `Dns` is dropped.
fn serve(sources: Sources, deadline: Duration, mut questions: mpsc::Receiver<Question>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let mut resolver = Resolver::default();
        while let Some(question) = questions.recv().await {
            let current = resolver.current(&sources, deadline);
            tokio::spawn(async move {
                let answer = match current {
                    Ok((resolver, search)) => {
                        let lookup = search.lookup(&resolver, &question.name, question.kinds);
                        let limited = tokio::time::timeout(question.deadline, lookup).await;
                        limited.unwrap_or_else(|_| Err(late(question.deadline)))
                    }
                    Err(problem) => Err(problem),
                };
                // Whoever asked may have given up.
                question.reply.try_send(answer).ok();
            });
        }
    });
}

fn late(deadline: Duration) -> String {
    format!("no answer within {deadline:?}")
}

/// The resolver that fits the current text of resolv.conf.
#[derive(Default)]
struct Resolver {
    resolv_conf: Vec<u8>,
    running: Option<(TokioResolver, Search)>,
}

impl Resolver {
    fn current(&mut self, sources: &Sources, deadline: Duration) -> Result<(TokioResolver, Search), String> {
        let path = sources.resolv_conf.display();
        let text = std::fs::read(&sources.resolv_conf).map_err(|error| format!("cannot read `{path}`: {error}"))?;
        if self.running.is_none() || self.resolv_conf != text {
            let (config, mut options) =
                parse_resolv_conf(&text).map_err(|_| format!("`{path}` names no name server"))?;
            let (domain, search, mut name_servers) = config.into_parts();
            for connection in name_servers.iter_mut().flat_map(|server| &mut server.connections) {
                connection.port = sources.port;
            }
            let search = Search {
                domains: if search.is_empty() { domain.into_iter().collect() } else { search },
                ndots: options.ndots,
            };
            // A lost packet must leave time for a second try.
            options.timeout = options.timeout.min(deadline / 2);
            options.use_hosts_file = ResolveHosts::Never;
            let resolver = build(ResolverConfig::from_parts(None, Vec::new(), name_servers), options)?;
            self.running = Some((resolver, search));
            self.resolv_conf = text;
        }
        self.running.clone().ok_or_else(|| "the resolver failed".to_owned())
    }
}

fn build(config: ResolverConfig, options: ResolverOpts) -> Result<TokioResolver, String> {
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|error| problem(&error))
}

/// The search list of resolv.conf.
#[derive(Clone)]
struct Search {
    domains: Vec<Name>,
    ndots: usize,
}

impl Search {
    /// The records of the first candidate that has any. Where none has, every candidate must have been denied: with
    /// one name server out, a name of its zone is not "not there".
    async fn lookup(&self, resolver: &TokioResolver, name: &str, kinds: &[RecordType]) -> Result<Vec<RData>, String> {
        let name = Name::from_utf8(name).map_err(|_| "it is not a host name".to_owned())?;
        let mut unanswered = None;
        for candidate in self.candidates(&name) {
            let mut found = Vec::new();
            let lookups = kinds.iter().map(|kind| tokio::spawn(records(resolver.clone(), candidate.clone(), *kind)));
            for lookup in lookups.collect::<Vec<_>>() {
                match lookup.await {
                    Ok(Ok(records)) => found.extend(records),
                    Ok(Err(problem)) => unanswered = Some(problem),
                    Err(_) => unanswered = Some("the resolver failed".to_owned()),
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        unanswered.map_or(Ok(Vec::new()), Err)
    }

    fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut itself = name.clone();
        itself.set_fqdn(true);
        if name.is_fqdn() {
            return vec![itself];
        }
        let mut candidates: Vec<Name> =
            self.domains.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let at = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(at, itself);
        candidates
    }
}

/// The records of one name and kind; none where the name servers say that there is none.
async fn records(resolver: TokioResolver, name: Name, kind: RecordType) -> Result<Vec<RData>, String> {
    match resolver.lookup(name, kind).await {
        Ok(lookup) => {
            let of_kind = lookup.answers().iter().filter(|record| record.record_type() == kind);
            Ok(of_kind.map(|record| record.data.clone()).collect())
        }
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(problem(&error)),
    }
}

fn problem(error: &NetError) -> String {
    match error {
        NetError::Timeout => "the name server did not answer".to_owned(),
        NetError::NoConnections => "no name server could be reached".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server answered \"{code}\""),
        NetError::Io(error) => format!("the name server could not be asked: {}", error.kind()),
        _ => "the lookup failed".to_owned(),
    }
}
