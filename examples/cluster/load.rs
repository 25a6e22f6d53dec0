//! Clients of the balancer: HTTPS requests and TCP conversations, a connection each, and TCP connections that are held. What
//! becomes of one counts for the phase in which it began.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::support::https::{Answer, Client, Problem, Protocol};

/// Clients of each kind, and the pause of each between two requests.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);
/// Connections that are held, with a message every so often.
const HELD: usize = 6;
const HELD_PAUSE: Duration = Duration::from_millis(250);
/// When a client gives up. (The HTTPS client's own limit is as long.)
const PATIENCE: Duration = Duration::from_secs(10);

/// Address of the balancer.
#[derive(Clone, Copy)]
pub struct Targets {
    pub https: SocketAddr,
    pub echo: SocketAddr,
}

/// The outcome of the requests of one phase.
#[derive(Default)]
pub struct Stats {
    pub https_answered: AtomicU64,
    /// Sent again because nginx said, with GOAWAY, that it had not begun with it; every HTTP/2 client does that by itself.
    pub https_again: AtomicU64,
    pub https_lost: AtomicU64,
    pub echo_answered: AtomicU64,
    /// The connection was there, and no whole answer came.
    pub echo_lost: AtomicU64,
    /// No connection came about, of either kind.
    pub refused: AtomicU64,
    pub held_lost: AtomicU64,
    /// The longest time without any answer, in milliseconds.
    pub longest_gap_ms: AtomicU64,
    first_problem: Mutex<Option<String>>,
}

impl Stats {
    /// The error of the first lost request.
    pub fn first_problem(&self) -> Option<String> {
        self.first_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lose(&self, counter: &AtomicU64, problem: String) {
        counter.fetch_add(1, Ordering::Relaxed);
        self.first_problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
    }
}

/// The clients.
pub struct Load {
    targets: Targets,
    stats: Mutex<Arc<Stats>>,
    last_answer: Mutex<Instant>,
    is_over: AtomicBool,
    in_flight: AtomicU64,
}

impl Load {
    pub fn new(targets: Targets) -> Load {
        Load {
            targets,
            stats: Mutex::default(),
            last_answer: Mutex::new(Instant::now()),
            is_over: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
        }
    }

    /// From here on everything counts for a new phase.
    pub fn begin_phase(&self) -> Arc<Stats> {
        let stats = Arc::new(Stats::default());
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&stats);
        *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        stats
    }

    pub fn start(self: &Arc<Load>, runtime: &tokio::runtime::Runtime) {
        for _ in 0..CLIENTS {
            let (https, echo) = (Arc::clone(self), Arc::clone(self));
            runtime.spawn(async move {
                let client = Client::trusting_anybody();
                while !https.is_over.load(Ordering::Relaxed) {
                    https.ask(&client).await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
            runtime.spawn(async move {
                while !echo.is_over.load(Ordering::Relaxed) {
                    echo.converse().await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        for _ in 0..HELD {
            let held = Arc::clone(self);
            runtime.spawn(async move {
                while !held.is_over.load(Ordering::Relaxed) {
                    held.hold().await;
                    tokio::time::sleep(HELD_PAUSE).await;
                }
            });
        }
    }

    /// Ends the load and waits until no request waits for an answer.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        let start = Instant::now();
        while self.in_flight.load(Ordering::Relaxed) > 0 && start.elapsed() < PATIENCE * 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answered(&self, stats: &Stats, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last_answer.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
        stats.longest_gap_ms.fetch_max(gap, Ordering::Relaxed);
        *last = Instant::now();
    }

    /// One HTTP/2 request.
    async fn ask(&self, client: &Client) {
        let stats = self.stats();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        match self.get(client, &stats).await {
            Ok(answer) if answer.status == 200 && answer.body.contains("bazinga") => {
                self.answered(&stats, &stats.https_answered);
            }
            Ok(answer) => stats.lose(&stats.https_lost, format!("HTTPS: status {}", answer.status)),
            Err(error) if is_refused(&*error) => stats.lose(&stats.refused, format!("HTTPS: {error}")),
            Err(error) => stats.lose(&stats.https_lost, format!("HTTPS: {error:?}")),
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Asks once more if the worker that took the connection leaves and has not taken the request up.
    async fn get(&self, client: &Client, stats: &Stats) -> Result<Answer, Problem> {
        let mut connection = timeout(PATIENCE, client.open(Protocol::Http2, self.targets.https)).await??;
        match timeout(PATIENCE, connection.send(Method::GET, "/")).await? {
            Err(problem) if connection.was_declined(&problem).await => {
                stats.https_again.fetch_add(1, Ordering::Relaxed);
                client.get(Protocol::Http2, self.targets.https, "/").await
            }
            answer => answer,
        }
    }

    /// One short TCP conversation.
    async fn converse(&self) {
        let stats = self.stats();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        match timeout(PATIENCE, TcpStream::connect(self.targets.echo)).await {
            Ok(Ok(mut stream)) => match timeout(PATIENCE, echo(&mut stream)).await {
                Ok(Ok(())) => self.answered(&stats, &stats.echo_answered),
                Ok(Err(error)) => stats.lose(&stats.echo_lost, format!("TCP: {error}")),
                Err(_) => stats.lose(&stats.echo_lost, format!("TCP: no echo within {PATIENCE:?}")),
            },
            Ok(Err(error)) => stats.lose(&stats.refused, format!("TCP: {error}")),
            Err(_) => stats.lose(&stats.refused, format!("TCP: no connection within {PATIENCE:?}")),
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// One connection for as long as it lives.
    async fn hold(&self) {
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(self.targets.echo)).await else { return };
        while !self.is_over.load(Ordering::Relaxed) {
            let stats = self.stats();
            if !matches!(timeout(PATIENCE, echo(&mut stream)).await, Ok(Ok(()))) {
                stats.held_lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            tokio::time::sleep(HELD_PAUSE).await;
        }
    }
}

async fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    const MESSAGE: &[u8] = b"a line that is to come back\n";
    stream.write_all(MESSAGE).await?;
    let mut answer = [0; MESSAGE.len()];
    stream.read_exact(&mut answer).await?;
    if answer == *MESSAGE { Ok(()) } else { Err(std::io::Error::other("other bytes came back")) }
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    error.downcast_ref::<std::io::Error>().is_some_and(refused)
}
