//! Verifies a reload of nginx, as a state machine. Pure: observations of the master, its children and its error log go in, a verdict
//! comes out. Never relies on an exit code: 0 proves nothing.
//!
//! On SIGHUP nginx parses, opens and binds (five tries, 2.5 s, while an address is in use). Then it refuses with one
//! `[emerg]` and keeps the old workers, or it forks the new ones, sleeps 100 ms and asks the old ones to finish. It never
//! checks whether the new ones live: with `worker_processes 0`, or workers that die at once, nothing serves any longer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::process::Process;
use crate::nginx::error_log::{self, LogVerdict};
use crate::nginx::process::{NginxChild, Role};

/// Time for which new workers must be the same before they count as healthy.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// Least time for the master to accept the new configuration: it tries for 2.5 s to bind an address that is in use.
const MIN_ACCEPT_TIME: Duration = Duration::from_secs(5);
/// Time after the first new worker within which the others must live and the old ones must be leaving.
const SETTLE_DEADLINE: Duration = Duration::from_secs(5);

/// Least time for which words of the log wait for the processes to bear them out.
const DOUBT_TIME: Duration = Duration::from_millis(250);

/// Most processes whose complaints are kept: nginx forks no more.
const MAX_COMPLAINTS: usize = 1024;

/// The state before the reload.
#[derive(Clone, Debug)]
pub struct BeforeReload {
    /// Master that was asked to reload.
    pub master: Process,
    /// Its workers at that time, including leaving ones.
    pub workers: BTreeSet<Process>,
    /// Time of the reload request.
    pub at: Instant,
    /// The same in clock ticks since boot: what started earlier has not read the new files.
    pub ticks: u64,
}

/// One observation of nginx.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Master that the pid file names now.
    pub master: Option<Process>,
    /// Its children.
    pub children: Vec<NginxChild>,
    /// New lines of its error log since the last look.
    pub log: Vec<String>,
    /// Servers that do not answer with the new generation; only filled if `Verification::asks` says so.
    pub other_generation: Vec<String>,
}

/// The times of each proof, counted from the reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// First worker of the new configuration seen.
    pub accepted: Duration,
    /// As many workers as configured alive, and the same ones a moment later.
    pub healthy: Duration,
    /// Last old worker leaving or gone; `None` if one did not begin to leave in time.
    pub converged: Option<Duration>,
    /// New generation from every server that reports one; `None` if no server does.
    pub generation: Option<Duration>,
}

/// The verdict so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Look again in a moment.
    Waiting,
    /// nginx refused and serves the previous configuration: no signal is needed after the files are put back.
    Refused(String),
    /// nginx accepted the new configuration but does not serve.
    Broken(String),
    /// nginx serves the new configuration and nothing else.
    Done {
        /// Times of each proof.
        times: Times,
        /// Old workers that still finish their connections, or have not begun to leave in time.
        leaving: BTreeSet<Process>,
        /// Number of workers that serve.
        serving: usize,
    },
}

/// The generation that nginx serves, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    Other,
    New(Duration),
}

/// Limits of the waits.
#[derive(Clone, Copy, Debug)]
struct WaitLimits {
    /// For the first new worker.
    accept: Duration,
    /// For the processes to bear out words of the log.
    doubt: Duration,
}

/// A verification under way.
#[derive(Clone, Debug)]
pub struct Verification {
    before: BeforeReload,
    waiting_since: Instant,
    expected: usize,
    limits: WaitLimits,
    accepted: Option<Duration>,
    settled: Option<(BTreeSet<Process>, Instant)>,
    healthy: Option<Duration>,
    converged: Option<Duration>,
    /// Generation that servers answer with; `None` if no server reports one.
    generation: Option<Generation>,
    /// Whether the last look found no worker that serves.
    outage_suspected: bool,
    /// New workers seen so far.
    new_workers: BTreeSet<i32>,
    log: LogFindings,
}

/// The findings in the error log that may explain a failure.
#[derive(Clone, Debug, Default)]
struct LogFindings {
    bind_problem: Option<String>,
    /// The words of a refusal, and since when they are known.
    refused: Option<(String, Instant)>,
    /// The words of an outage.
    broken: Option<String>,
    /// Complaints of processes, by pid.
    complaints: BTreeMap<i32, String>,
}

impl Verification {
    /// Starts after the reload was requested. `expected` is the number of workers that have to live; `check_time` is the
    /// duration of `nginx -t`, which shows how long this configuration takes to read; the wait begins `now`, when the reload
    /// command has ended.
    pub fn start(before: BeforeReload, expected: usize, check_time: Duration, now: Instant) -> Verification {
        let accept = MIN_ACCEPT_TIME.max(Duration::from_secs(3) + check_time * 10);
        Verification {
            waiting_since: now,
            before,
            expected: expected.max(1),
            limits: WaitLimits { accept, doubt: DOUBT_TIME + check_time * 2 },
            accepted: None,
            settled: None,
            healthy: None,
            converged: None,
            generation: None,
            outage_suspected: false,
            new_workers: BTreeSet::new(),
            log: LogFindings::default(),
        }
    }

    /// Requires servers to answer with the new generation, too.
    pub fn with_generation(self) -> Verification {
        Verification { generation: Some(Generation::Other), ..self }
    }

    /// Returns whether the next look has to ask for the generation: new workers live, and the new generation is not
    /// confirmed yet.
    pub fn asks(&self) -> bool {
        self.accepted.is_some() && self.generation == Some(Generation::Other)
    }

    /// Evaluates one look.
    pub fn look(&mut self, seen: &Seen, now: Instant) -> Progress {
        let asked = self.asks();
        let since = now.duration_since(self.before.at);
        let waited = now.duration_since(self.waiting_since);
        let Some(master) = seen.master else {
            return if waited > self.limits.accept { self.broken("nginx no longer runs") } else { Progress::Waiting };
        };
        if master != self.before.master {
            self.take_master(master, &seen.children);
        }
        self.note_new_workers(&seen.children);
        self.read_log(&seen.log, now);
        let of_role =
            |role: Role| seen.children.iter().filter(move |child| child.role == role).map(|child| child.process);
        let (old, fresh): (BTreeSet<Process>, _) = of_role(Role::Worker).partition(|process| self.is_old(process));
        // One that hangs has not begun to leave, and serves what it has.
        let (old_serving, leaving) = (old.len(), of_role(Role::Leaving).chain(old).collect());
        let starting = of_role(Role::Starting).count();
        if !fresh.is_empty() && self.accepted.is_none() {
            self.accepted = Some(since);
        }
        if let Some(verdict) = self.confirmed(&seen.children, now) {
            return verdict;
        }
        if let Some(problem) = self.outage(fresh.len() + old_serving + starting) {
            return self.broken(&problem);
        }
        if old_serving == 0 && !fresh.is_empty() && self.converged.is_none() {
            self.converged = Some(since);
        }
        self.note_health(&fresh, starting, now);
        if asked && seen.other_generation.is_empty() {
            self.generation = Some(Generation::New(since));
        }
        let late = self.accepted.is_some_and(|accepted| since > accepted + SETTLE_DEADLINE);
        let generation = match self.generation {
            Some(Generation::Other) if late => {
                return self.broken(&format!(
                    "{} does not answer with the new generation {SETTLE_DEADLINE:?} after the first new worker",
                    seen.other_generation.join(", ")
                ));
            }
            Some(Generation::Other) if self.accepted.is_some() => return Progress::Waiting,
            Some(Generation::New(after)) => Some(after),
            Some(Generation::Other) | None => None,
        };
        match (self.accepted, self.healthy, self.converged) {
            (Some(accepted), Some(healthy), converged) if converged.is_some() || late => {
                let times = Times { accepted, healthy, converged, generation };
                Progress::Done { times, leaving, serving: fresh.len() }
            }
            (Some(_), None, _) if late => self.broken(&format!(
                "only {} of {} new workers run {SETTLE_DEADLINE:?} after the first",
                fresh.len(),
                self.expected
            )),
            (None, _, _) if waited > self.limits.accept => self.never_accepted(old_serving),
            _ => Progress::Waiting,
        }
    }

    /// Goes on with another master: the reload command restarted nginx, or the pid file names a different one. Only what started since
    /// the request is new.
    fn take_master(&mut self, master: Process, children: &[NginxChild]) {
        let workers = children.iter().map(|child| child.process);
        let workers = workers.filter(|process| process.start_time < self.before.ticks).collect();
        self.before = BeforeReload { master, workers, ..self.before.clone() };
    }

    fn note_new_workers(&mut self, children: &[NginxChild]) {
        let new = children.iter().filter(|child| matches!(child.role, Role::Worker | Role::Starting));
        let new = new.map(|child| child.process).filter(|process| !self.before.workers.contains(process));
        self.new_workers.extend(new.map(|process| process.pid));
    }

    fn is_old(&self, process: &Process) -> bool {
        self.before.workers.contains(process)
    }

    fn read_log(&mut self, lines: &[String], now: Instant) {
        let pid = self.before.master.pid;
        for line in lines {
            if let Some(problem) = error_log::bind_attempt(line, pid) {
                self.log.bind_problem = Some(problem.to_owned());
            }
            if let Some((process, problem)) = error_log::complaint(line)
                && self.log.complaints.len() < MAX_COMPLAINTS
            {
                self.log.complaints.insert(process, problem.to_owned());
            }
            match error_log::judge(line, pid) {
                Some(LogVerdict::Refused(message)) => {
                    let why = self.log.bind_problem.take().map(|problem| format!(": {problem}")).unwrap_or_default();
                    self.log.refused.get_or_insert((format!("{message}{why}"), now));
                }
                Some(LogVerdict::Broken(message)) => drop(self.log.broken.get_or_insert(message.to_owned())),
                None => {}
            }
        }
    }

    /// Returns the verdict of the log's words, if the processes bear them out: nginx's workers may write to that file, and what they
    /// write proves nothing. A master that has refused makes no worker; a worker that has ended was there and is gone.
    fn confirmed(&mut self, children: &[NginxChild], now: Instant) -> Option<Progress> {
        if self.accepted.is_none() {
            let refused = self.log.refused.take_if(|(_, since)| now.duration_since(*since) >= self.limits.doubt);
            if let Some((words, _)) = refused {
                return Some(Progress::Refused(words));
            }
        }
        let ended = self.log.broken.as_deref().and_then(error_log::ended_worker)?;
        let is_gone = !children.iter().any(|child| child.process.pid == ended);
        (is_gone && self.new_workers.contains(&ended)).then(|| self.broken("a new worker has ended"))
    }

    /// Returns the failure, with the complaint of a new worker: the master only sees that it ended. Other programs write to
    /// the same log.
    fn broken(&self, what: &str) -> Progress {
        let what = self.log.broken.as_deref().unwrap_or(what);
        let complaint = match error_log::ended_worker(what) {
            Some(worker) => self.log.complaints.get(&worker),
            None => self.new_workers.iter().rev().find_map(|worker| self.log.complaints.get(worker)),
        };
        Progress::Broken(match complaint {
            Some(problem) => format!("{what}: {problem}"),
            None => what.to_owned(),
        })
    }

    /// Returns the problem if no worker serves although one did before: reported as soon as two looks agree. A worker that
    /// dies is replaced at once, but there may be a moment in between.
    fn outage(&mut self, alive: usize) -> Option<String> {
        let nobody = alive == 0 && (self.accepted.is_some() || !self.before.workers.is_empty());
        let confirmed = nobody && self.outage_suspected;
        self.outage_suspected = nobody;
        confirmed.then(|| "the old workers are shutting down or gone, and there is no new one".to_owned())
    }

    fn note_health(&mut self, fresh: &BTreeSet<Process>, starting: usize, now: Instant) {
        if self.healthy.is_some() || fresh.is_empty() {
            return;
        }
        match &self.settled {
            Some((same, since)) if same == fresh => {
                let settled = now.duration_since(*since) >= SETTLE_TIME;
                if settled && starting == 0 && fresh.len() >= self.expected {
                    self.healthy = Some(now.duration_since(self.before.at));
                }
            }
            _ => self.settled = Some((fresh.clone(), now)),
        }
    }

    fn never_accepted(&mut self, old_serving: usize) -> Progress {
        let why = self.log.bind_problem.take().map(|problem| format!(": {problem}")).unwrap_or_default();
        let message = format!("no new worker within {:?}{why}", self.limits.accept);
        if old_serving > 0 { Progress::Refused(message) } else { self.broken(&message) }
    }
}

#[cfg(test)]
mod tests;
