//! Whether a reload of nginx took, as a state machine without effects: what is seen of the master, its children and its
//! error log goes in, a verdict comes out. An exit code of 0 proves nothing and is not asked.
//!
//! What nginx does on SIGHUP: it parses, opens and binds (five tries, 2.5 s, while an address is in use); refuses with one
//! `[emerg]` and keeps the old workers, or forks the new ones, sleeps 100 ms, and tells the old ones to finish. It never looks
//! whether the new ones live: with `worker_processes 0` or workers that die at once nothing serves any longer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::process::Process;
use crate::nginx::error_log::{self, LogVerdict};
use crate::nginx::process::{NginxChild, Role};

/// New workers must be the same ones for this long before they count as healthy.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// Least time for the master to take the new configuration: it tries for 2.5 s to bind an address that is in use.
const LEAST_ACCEPT_TIME: Duration = Duration::from_secs(5);
/// After the first new worker, the others must live and the old ones must be leaving within this time.
const SETTLE_DEADLINE: Duration = Duration::from_secs(5);

/// Of more processes than this no complaint is remembered: nginx forks no more.
const MOST_COMPLAINTS: usize = 1024;

/// What was there before the reload.
#[derive(Clone, Debug)]
pub struct BeforeReload {
    /// The master that was to reload.
    pub master: Process,
    /// Its workers then, leaving ones among them.
    pub workers: BTreeSet<Process>,
    /// When the reload was asked for.
    pub at: Instant,
}

/// One look at nginx.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The master that the pid file names now.
    pub master: Option<Process>,
    /// Its children.
    pub children: Vec<NginxChild>,
    /// What its error log has got since the last look.
    pub log: Vec<String>,
    /// The servers that do not answer with the new generation; not asked unless `Verification::asks` says so.
    pub other_generation: Vec<String>,
}

/// When what was proven, counted from the reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The first worker of the new configuration was seen.
    pub accepted: Duration,
    /// As many as configured lived, and the same ones a moment later.
    pub healthy: Duration,
    /// The last old worker was leaving or gone; `None` where one did not begin to leave in time.
    pub converged: Option<Duration>,
    /// Every server that is asked for its generation answered with the new one; `None` where none is.
    pub generation: Option<Duration>,
}

/// What has been proven so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Look again in a moment.
    Waiting,
    /// nginx refused and serves the previous configuration: no signal is needed after the files are put back.
    Refused(String),
    /// nginx took the new configuration, and does not serve.
    Broken(String),
    /// It serves the new configuration, and only that.
    Done {
        /// When what was proven.
        times: Times,
        /// Old workers that still finish their connections.
        leaving: BTreeSet<Process>,
        /// Workers that serve.
        serving: usize,
    },
}

/// What is known of the generation that nginx says it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    Other,
    New(Duration),
}

/// A verification under way.
#[derive(Clone, Debug)]
pub struct Verification {
    before: BeforeReload,
    waiting_since: Instant,
    expected: usize,
    accept_time: Duration,
    accepted: Option<Duration>,
    settled: Option<(BTreeSet<Process>, Instant)>,
    healthy: Option<Duration>,
    converged: Option<Duration>,
    /// `None` where nobody is asked.
    generation: Option<Generation>,
    /// The last look found nobody to serve.
    outage_suspected: bool,
    /// The new workers that were seen.
    new_workers: BTreeSet<i32>,
    log: LogFindings,
}

/// What the error log says that may explain a failure.
#[derive(Clone, Debug, Default)]
struct LogFindings {
    bind_problem: Option<String>,
    /// What processes have complained of, by pid.
    complaints: BTreeMap<i32, String>,
}

impl Verification {
    /// Starts after the reload was asked for. `expected` workers are to live; `check_time` is what `nginx -t` took, which
    /// tells how long this configuration takes to read; waiting begins `now`, when the reload command has ended.
    pub fn start(before: BeforeReload, expected: usize, check_time: Duration, now: Instant) -> Verification {
        let accept_time = LEAST_ACCEPT_TIME.max(Duration::from_secs(3) + check_time * 10);
        Verification {
            waiting_since: now,
            before,
            expected: expected.max(1),
            accept_time,
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

    /// Also wants servers to answer with the new generation.
    pub fn with_generation(self) -> Verification {
        Verification { generation: Some(Generation::Other), ..self }
    }

    /// Whether the next look is to ask for the generation: new workers live, and it is not known to be the new one yet.
    pub fn asks(&self) -> bool {
        self.accepted.is_some() && self.generation == Some(Generation::Other)
    }

    /// Takes one look.
    pub fn look(&mut self, seen: &Seen, now: Instant) -> Progress {
        let asked = self.asks();
        let since = now.duration_since(self.before.at);
        let waited = now.duration_since(self.waiting_since);
        let Some(master) = seen.master else {
            return if waited > self.accept_time { self.broken("nginx no longer runs") } else { Progress::Waiting };
        };
        if master != self.before.master {
            // The reload command restarted nginx: everything of this master's is new.
            self.before = BeforeReload { master, workers: BTreeSet::new(), at: self.before.at };
        }
        self.note_new_workers(&seen.children);
        if let Some(verdict) = self.read_log(&seen.log) {
            return verdict;
        }
        let of_role =
            |role: Role| seen.children.iter().filter(move |child| child.role == role).map(|child| child.process);
        let fresh: BTreeSet<Process> = of_role(Role::Worker).filter(|process| !self.is_old(process)).collect();
        let old_serving = of_role(Role::Worker).filter(|process| self.is_old(process)).count();
        let leaving: BTreeSet<Process> = of_role(Role::Leaving).collect();
        let starting = of_role(Role::Starting).count();
        if !fresh.is_empty() && self.accepted.is_none() {
            self.accepted = Some(since);
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
                "only {} of {} new workers live {SETTLE_DEADLINE:?} after the first",
                fresh.len(),
                self.expected
            )),
            (None, _, _) if waited > self.accept_time => self.never_accepted(old_serving),
            _ => Progress::Waiting,
        }
    }

    fn note_new_workers(&mut self, children: &[NginxChild]) {
        let new = children.iter().filter(|child| matches!(child.role, Role::Worker | Role::Starting));
        let new = new.map(|child| child.process).filter(|process| !self.before.workers.contains(process));
        self.new_workers.extend(new.map(|process| process.pid));
    }

    fn is_old(&self, process: &Process) -> bool {
        self.before.workers.contains(process)
    }

    fn read_log(&mut self, lines: &[String]) -> Option<Progress> {
        let pid = self.before.master.pid;
        for line in lines {
            if let Some(problem) = error_log::bind_attempt(line, pid) {
                self.log.bind_problem = Some(problem.to_owned());
            }
            if let Some((process, problem)) = error_log::complaint(line)
                && self.log.complaints.len() < MOST_COMPLAINTS
            {
                self.log.complaints.insert(process, problem.to_owned());
            }
            match error_log::judge(line, pid) {
                Some(LogVerdict::Refused(message)) => {
                    let why = self.log.bind_problem.take().map(|problem| format!(": {problem}")).unwrap_or_default();
                    return Some(Progress::Refused(format!("{message}{why}")));
                }
                Some(LogVerdict::Broken(message)) => return Some(self.broken(message)),
                None => {}
            }
        }
        None
    }

    /// What is broken, and what a new worker said of it: the master only sees that it ended. Others write to the same log.
    fn broken(&self, what: &str) -> Progress {
        let complaint = match error_log::ended_worker(what) {
            Some(worker) => self.log.complaints.get(&worker),
            None => self.new_workers.iter().rev().find_map(|worker| self.log.complaints.get(worker)),
        };
        Progress::Broken(match complaint {
            Some(problem) => format!("{what}: {problem}"),
            None => what.to_owned(),
        })
    }

    /// Nobody serves although somebody did: known at once, as soon as two looks agree. A worker that dies is replaced at
    /// once, but there may be a moment in between.
    fn outage(&mut self, alive: usize) -> Option<String> {
        let nobody = alive == 0 && (self.accepted.is_some() || !self.before.workers.is_empty());
        let confirmed = nobody && self.outage_suspected;
        self.outage_suspected = nobody;
        confirmed.then(|| "the old workers are leaving or gone, and no new one lives".to_owned())
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
        let message = format!("no new worker within {:?}{why}", self.accept_time);
        if old_serving > 0 { Progress::Refused(message) } else { self.broken(&message) }
    }
}

#[cfg(test)]
mod tests;
