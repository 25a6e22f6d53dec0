//! The phases: what is broken, what clients may lose by it, and the table of what they lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::Failure;
use super::bare;
use super::engine::Engine;
use super::load::{Load, Stats};
use super::state::{self, ALL};

/// The losses that clients may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// Nothing.
    Nothing,
    /// TCP connections that were established to what was taken away.
    Established,
    /// Whatever comes while nothing listens, for at most so many times the outage of a bare nginx that is restarted in the same run.
    Outage { bare: u32 },
    /// The same beside the time that docker takes to restart everything.
    OutageOfAll { bare: u32 },
}

/// The work of the engine and the clients in a phase.
struct Act<'a> {
    engine: &'a Engine,
    runtime: &'a Runtime,
    stats: &'a Stats,
}

struct Phase {
    name: &'static str,
    allowed: Allowed,
    /// Breaks something, waits until the state is right, and repairs it.
    act: fn(&Act) -> Result<(), Failure>,
}

const PHASES: &[Phase] = &[
    Phase {
        name: "nothing happens",
        allowed: Allowed::Nothing,
        act: |act| eventually("200 answers", || Ok(act.stats.https_answered.load(Ordering::Relaxed) >= 200)),
    },
    Phase {
        name: "a node is stopped and started",
        // nginx cannot hand an open TCP connection over: those that outlast the drain timeout end with the backend.
        allowed: Allowed::Established,
        act: |&Act { engine, runtime, .. }| {
            engine.docker(&["stop", "--time", "30"], &["web-1", "echo-1"])?;
            state::wait_right(engine, runtime, &[2, 3])?;
            engine.docker(&["start"], &["web-1", "echo-1"])
        },
    },
    Phase {
        name: "a node is killed and started",
        allowed: Allowed::Established,
        act: |&Act { engine, runtime, .. }| {
            engine.docker(&["kill"], &["web-2", "echo-2"])?;
            state::wait_right(engine, runtime, &[1, 3])?;
            engine.docker(&["start"], &["web-2", "echo-2"])
        },
    },
    Phase {
        name: "an etcd member is killed",
        allowed: Allowed::Nothing,
        act: |&Act { engine, runtime, .. }| kill_etcd(engine, runtime, false),
    },
    Phase {
        name: "the etcd leader is killed",
        allowed: Allowed::Nothing,
        act: |&Act { engine, runtime, .. }| kill_etcd(engine, runtime, true),
    },
    Phase {
        name: "the balancer is cut off from etcd",
        allowed: Allowed::Established,
        act: |&Act { engine, runtime, .. }| {
            engine.disconnect("store", "balancer")?;
            // A change that it cannot hear of yet: their leases end.
            engine.docker(&["kill"], &["web-3", "echo-3"])?;
            let keys = ["etcdctl", "--endpoints=http://etcd-1:2379", "get", "--prefix", "--keys-only", "/services/"];
            eventually("the keys of node-3 to go", || Ok(!engine.exec("etcd-1", &keys)?.contains("/node-3")))?;
            engine.connect("store", "balancer", "balancer", None)?;
            state::wait_right(engine, runtime, &[1, 2])?;
            engine.docker(&["start"], &["web-3", "echo-3"])
        },
    },
    Phase {
        name: "a backend is cut off from the balancer",
        allowed: Allowed::Established,
        act: |&Act { engine, runtime, .. }| {
            let services = ["web-1", "echo-1"];
            let addresses = services.map(|service| engine.address("traffic", service));
            for service in services {
                engine.disconnect("traffic", service)?;
            }
            state::wait_right(engine, runtime, &[2, 3])?;
            for (service, address) in services.iter().zip(addresses) {
                engine.connect("traffic", service, &format!("{service}-traffic"), Some(&address?))?;
            }
            Ok(())
        },
    },
    Phase {
        name: "the balancer is restarted",
        allowed: Allowed::Outage { bare: 4 },
        // By SIGTERM: the graceful stop would wait for the connections that are held, with nobody listening meanwhile.
        act: |act| act.engine.restart("balancer"),
    },
    Phase {
        name: "everything is restarted",
        allowed: Allowed::OutageOfAll { bare: 4 },
        act: |act| act.engine.restart_all(),
    },
];

/// Waits for a condition. What cannot be seen for a moment is not there yet.
fn eventually(what: &str, mut condition: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(true) => return Ok(()),
            Ok(false) | Err(_) if start.elapsed() < state::LIMIT => std::thread::sleep(Duration::from_millis(100)),
            Ok(false) => return Err(format!("gave up waiting for {what}").into()),
            Err(failure) => return Err(format!("gave up waiting for {what}: {failure}").into()),
        }
    }
}

fn kill_etcd(engine: &Engine, runtime: &Runtime, leader: bool) -> Result<(), Failure> {
    let members = ["etcd-1", "etcd-2", "etcd-3"];
    let is_leader = |member: &str| {
        let endpoint = format!("--endpoints=http://{member}:2379");
        let status = engine.exec(member, &["etcdctl", &endpoint, "endpoint", "status"])?;
        // endpoint, id, version, size, is leader, ...
        Ok::<_, Failure>(status.split(',').nth(4).is_some_and(|word| word.trim() == "true"))
    };
    let mut chosen = None;
    eventually("an etcd member with the role that is looked for", || {
        for member in members {
            if is_leader(member)? == leader {
                chosen = Some(member);
            }
        }
        Ok(chosen.is_some())
    })?;
    let chosen = chosen.ok_or("no etcd member")?;
    engine.docker(&["kill"], &[chosen])?;
    // With one member less a change still comes through.
    engine.docker(&["stop", "--time", "30"], &["web-1"])?;
    engine.docker(&["start"], &["web-1"])?;
    state::wait_right(engine, runtime, ALL)?;
    engine.docker(&["start"], &[chosen])
}

/// The outcome of a phase.
pub struct Outcome {
    name: &'static str,
    allowed: Allowed,
    stats: Arc<Stats>,
    took: Duration,
    /// How long it took docker to do what the phase does.
    acting: Duration,
    /// The outage of a bare nginx right after it, if the phase is judged by that.
    bare: Option<Duration>,
    /// The state was right in the end.
    state: Result<(), String>,
}

impl Outcome {
    /// Whether it succeeded.
    pub fn is_good(&self) -> bool {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Stats { https_lost, refused, echo_lost, held_lost, longest_gap_ms, .. } = &*self.stats;
        let nothing_new_lost = number(https_lost) == 0 && number(refused) == 0;
        let gap = Duration::from_millis(number(longest_gap_ms));
        let bare = self.bare.unwrap_or_default();
        let is_kept = match self.allowed {
            Allowed::Nothing => nothing_new_lost && number(echo_lost) == 0 && number(held_lost) == 0,
            Allowed::Established => nothing_new_lost,
            Allowed::Outage { bare: times } => gap < bare * times,
            Allowed::OutageOfAll { bare: times } => gap < self.acting + bare * times,
        };
        is_kept && self.state.is_ok()
    }
}

/// Returns whether there is a phase whose name contains `only`.
pub fn any(only: &str) -> bool {
    PHASES.iter().any(|phase| phase.name.contains(only))
}

/// Runs all phases whose names contain `only`, one after the other.
///
/// # Errors
/// Docker failed.
pub fn run(only: &str, engine: &Engine, runtime: &Runtime, load: &Load) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes = Vec::new();
    for phase in PHASES.iter().filter(|phase| phase.name.contains(only)) {
        println!("{} ...", phase.name);
        let stats = load.begin_phase();
        let start = Instant::now();
        let acted = (phase.act)(&Act { engine, runtime, stats: &stats });
        let acting = start.elapsed();
        let state = acted.and_then(|()| state::wait_right(engine, runtime, ALL).map(drop));
        let state = state.map_err(|failure| failure.to_string());
        if let Err(problem) = &state {
            println!("  {problem}");
        }
        let took = start.elapsed();
        let is_outage = matches!(phase.allowed, Allowed::Outage { .. } | Allowed::OutageOfAll { .. });
        let bare = is_outage.then(|| bare::outage(engine)).transpose()?;
        outcomes.push(Outcome { name: phase.name, allowed: phase.allowed, stats, took, acting, bare, state });
    }
    Ok(outcomes)
}

/// Prints the table.
pub fn print(outcomes: &[Outcome]) {
    println!(
        "\n{:40} {:>6} {:>8} {:>6} {:>6} {:>8} {:>6} {:>6} {:>8} {:>8}  verdict",
        "phase", "s", "https", "again", "lost", "tcp", "lost", "held", "refused", "gap ms"
    );
    for outcome in outcomes {
        let Stats {
            https_answered,
            https_again,
            https_lost,
            echo_answered,
            echo_lost,
            held_lost,
            refused,
            longest_gap_ms,
            ..
        } = &*outcome.stats;
        let [https, again, https_lost, tcp, tcp_lost, held, refused, gap] =
            [https_answered, https_again, https_lost, echo_answered, echo_lost, held_lost, refused, longest_gap_ms]
                .map(|counter| counter.load(Ordering::Relaxed));
        let verdict = match (&outcome.state, outcome.is_good()) {
            (Err(_), _) => "WRONG STATE",
            (Ok(()), true) => "ok",
            (Ok(()), false) => "LOST TOO MUCH",
        };
        println!(
            "{:40} {:>6.1} {https:>8} {again:>6} {https_lost:>6} {tcp:>8} {tcp_lost:>6} {held:>6} {refused:>8} {gap:>8}  {verdict}",
            outcome.name,
            outcome.took.as_secs_f64()
        );
        if let Some(bare) = outcome.bare {
            let (bare, acting) = (bare.as_millis(), outcome.acting.as_millis());
            println!("{:40}   a bare nginx, restarted in the same run: {bare} ms; docker took {acting} ms", "");
        }
        if let Some(problem) = outcome.stats.first_problem() {
            println!("{:40}   first lost: {problem}", "");
        }
    }
    println!(
        "\nagain: not taken up by a worker that leaves (GOAWAY), and sent again; https, tcp: answered; lost: connected, no whole answer; held: connections that were open and ended"
    );
}
