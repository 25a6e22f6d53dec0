//! The nginx that a group drives: its paths, and its processes before and after a reload. Acts through `world`. Never judges
//! a reload: `verify` does.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::model::generation::GenerationServer;
use crate::model::nginx::{NginxPlace, NginxProcesses, old_pid_file};
use crate::model::process::Process;
use crate::model::report::ReloadEvidence;
use crate::model::resource::{CommandLine, Verify};
use crate::nginx::error_log;
use crate::nginx::installation::{self, BuildPaths, WorkerProcesses};
use crate::nginx::process::{NginxChild, Role};
use crate::nginx::words;
use crate::world::clock;
use crate::world::generation;
use crate::world::host;
use crate::world::nginx_process::{self, LogTail};
use crate::world::process;
use crate::world::program_answer::ProgramAnswer;

use super::Context;
use super::group::Group;
use super::unread_files::UnreadFiles;
use super::verify::{BeforeReload, Progress, Seen, Verification};

/// Pause between the first looks after a reload.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// Longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// Time limit for `nginx -V`, which only prints and ends.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Most files that are known to have been looked at; while there are as many, no further one is looked at.
const MAX_LOOKED_AT: usize = 20_000;

/// Time limit for a server on this host: the one that was reloaded answers at once.
const GENERATION_TIMEOUT: Duration = Duration::from_millis(100);

/// Facts that this process has found out about nginx.
#[derive(Debug, Default)]
pub(super) struct KnownNginx {
    /// Build paths of programs, by program; valid as long as its file stays the same.
    built: tokio::sync::Mutex<BTreeMap<PathBuf, ProgramAnswer<BuildPaths>>>,
    /// The nginx that each group drives, as its last transaction has found it.
    pub(super) places: Mutex<BTreeMap<String, NginxPlace>>,
    /// Whether this process has yet to start it.
    pub(super) starts_later: AtomicBool,
    /// Files of which it is known whether nginx reads them.
    pub(super) looked_at: LookedAt,
    /// Files that it was found not to read.
    pub(super) unread: UnreadFiles,
}

impl KnownNginx {
    /// Returns the build paths of a program. It is run for them until it has said them, and again when it is replaced.
    async fn built(&self, program: &Path) -> BuildPaths {
        let name = if program.as_os_str().is_empty() { Path::new("nginx") } else { program };
        let stamp = host::find_program(name).and_then(|found| host::file_stamp(&found));
        let mut known = self.built.lock().await;
        if let Some(built) = known.get(program).and_then(|known| known.get(stamp.as_ref(), clock::now())) {
            return built;
        }
        let started = clock::now();
        let finished = process::run(name.as_os_str(), &["-V"], None, Some(VERSION_TIMEOUT)).await;
        let built = installation::built_with(&finished.output);
        let answer = ProgramAnswer::new(stamp, built.clone(), finished.succeeded(), (started, clock::now()));
        known.extend(answer.map(|answer| (program.to_owned(), answer)));
        built
    }
}

/// The files that were looked at since conf.d was read, whether nginx reads them.
#[derive(Debug, Default)]
pub(super) struct LookedAt(Mutex<BTreeSet<OsString>>);

impl LookedAt {
    /// Returns whether a file was not looked at yet.
    pub(super) fn is_new(&self, file: &Path) -> bool {
        self.0.lock().is_ok_and(|files| files.len() < MAX_LOOKED_AT && !files.contains(file.as_os_str()))
    }

    /// Records that a file was looked at.
    pub(super) fn add(&self, file: &Path) {
        if let Ok(mut files) = self.0.lock() {
            files.insert(file.as_os_str().to_owned());
        }
    }

    /// Lets a file be looked at again.
    pub(super) fn remove(&self, file: &Path) {
        if let Ok(mut files) = self.0.lock() {
            files.remove(file.as_os_str());
        }
    }

    /// Lets every file be looked at again.
    pub(super) fn forget(&self) {
        if let Ok(mut files) = self.0.lock() {
            files.clear();
        }
    }
}

/// The paths of an nginx.
#[derive(Clone, Debug)]
pub(super) struct Nginx {
    binary: PathBuf,
    conf: PathBuf,
    prefix: PathBuf,
    pid_file: PathBuf,
    error_log: PathBuf,
}

/// The state of nginx right before a reload.
pub(super) struct ReloadWatch {
    before: BeforeReload,
    /// Number of workers that served then.
    serving: usize,
    log: LogTail,
}

/// Returns the warnings of nginx about a configuration that it accepts.
pub(super) fn warnings(check_output: &str) -> impl Iterator<Item = String> {
    error_log::warnings(check_output).map(|warning| format!("nginx warns: {}", words::masked_message(warning)))
}

impl ReloadWatch {
    /// Returns the master of that moment.
    pub(super) fn master(&self) -> Process {
        self.before.master
    }

    /// Returns the time of the observation.
    pub(super) fn asked_at(&self) -> Instant {
        self.before.at
    }
}

/// Finds the nginx that a group drives: by the settings, its commands, that nginx's own configuration and its build options,
/// in this order.
pub(super) async fn find(context: &Context, group: &Group) -> Nginx {
    let settings = &context.settings.nginx;
    let reload = group.reload.as_ref().and_then(|reload| reload.command());
    let commands: Vec<&CommandLine> =
        [reload, group.check.as_ref()].into_iter().flatten().filter(|command| command.mentions_nginx()).collect();
    let program = commands.iter().find_map(|command| installation::program_named_in(&command.text));
    let binary = program.unwrap_or_else(|| settings.binary.clone());
    let built = context.nginx.built(&binary).await;
    let named = commands.iter().map(|command| installation::files_named_in(&command.text));
    let (conf, prefix) = named.reduce(|(a, b), (c, d)| (a.or(c), b.or(d))).unwrap_or_default();
    let prefix = prefix.unwrap_or(built.prefix);
    // A file that is checked as the main configuration is the main configuration.
    let is_conf = group.check.as_ref().is_some_and(|check| installation::checks_staged_conf(&check.text));
    let dest = group.resources.first().filter(|_| is_conf && group.resources.len() == 1);
    let dest = dest.map(|resource| resource.dest.clone());
    let conf = prefix.join(conf.or_else(|| settings.conf.clone()).or(dest).unwrap_or(built.conf));
    let text = nginx_process::configuration(&conf).unwrap_or_default();
    let pid_file = settings.pid_file.clone().or_else(|| installation::pid_file_in(&text, &prefix));
    let error_log = settings.error_log.clone().or_else(|| installation::error_log_in(&text, &prefix));
    Nginx {
        binary,
        conf,
        prefix,
        pid_file: pid_file.unwrap_or(built.pid_file),
        error_log: error_log.unwrap_or(built.error_log),
    }
}

/// Returns the workers of earlier configurations that have not ended, of every nginx that these groups drive.
pub async fn leaving_workers<'a>(context: &Context, groups: impl Iterator<Item = &'a Group>) -> BTreeSet<Process> {
    let mut leaving = BTreeSet::new();
    for group in groups.filter(|group| group.drives_nginx() && group.reload.is_some()) {
        let children = find(context, group).await.master().and_then(nginx_process::children).unwrap_or_default();
        leaving.extend(children.iter().filter(|child| child.role == Role::Leaving).map(|child| child.process));
    }
    leaving
}

/// Returns whether the reload is still in effect: nginx does not run, or none of the workers that serve started before it.
pub fn is_in_effect(evidence: &ReloadEvidence) -> bool {
    let children = nginx_process::master(&evidence.pid_file, &evidence.binary).and_then(nginx_process::children);
    let is_older = |child: &NginxChild| child.role == Role::Worker && child.process.start_time < evidence.ticks;
    !children.unwrap_or_default().iter().any(is_older)
}

/// Returns the master there and its children; `None` if no master runs.
pub fn running_at(place: &NginxPlace) -> Option<NginxProcesses> {
    let master = nginx_process::master(&place.pid_file, &place.binary)?;
    let children = nginx_process::children(master)?;
    let serving = children.iter().filter(|child| child.role == Role::Worker).count();
    Some(NginxProcesses { master, children: children.iter().map(|child| child.process).collect(), serving })
}

/// Returns whether the group reloads an nginx that may be looked at.
pub fn is_watched(group: &Group) -> bool {
    group.drives_nginx() && group.reload.is_some() && group.verify == Verify::Auto
}

/// Returns all children of the master there, of the one whose program it replaces, and of one that was seen there earlier: they may
/// have connections to backends.
pub fn processes_of(place: &NginxPlace, seen: Option<Process>) -> Vec<Process> {
    let pid_files = [place.pid_file.clone(), place.old_pid_file()].into_iter();
    let masters = pid_files.filter_map(|pid_file| nginx_process::master(&pid_file, &place.binary));
    let masters: BTreeSet<Process> = masters.chain(seen).collect();
    masters.into_iter().filter_map(nginx_process::children).flatten().map(|child| child.process).collect()
}

impl Nginx {
    /// Returns the live master.
    pub(super) fn master(&self) -> Option<Process> {
        nginx_process::master(&self.pid_file, &self.binary)
    }

    /// Returns the master of the previous program while a new one has taken its place (SIGUSR2) and it has not left yet: its
    /// workers serve as well, and no reload reaches them.
    pub(super) fn previous_master(&self) -> Option<Process> {
        nginx_process::master(&old_pid_file(&self.pid_file), &self.binary)
    }

    /// Returns whether a master runs without any worker.
    pub(super) fn serves_nothing(&self) -> bool {
        let children = self.master().and_then(nginx_process::children);
        children.is_some_and(|children| children.iter().all(|child| child.role != Role::Worker))
    }

    /// Returns what finds its master again.
    pub(super) fn place(&self) -> NginxPlace {
        let Nginx { pid_file, binary, error_log, .. } = self.clone();
        NginxPlace { pid_file, binary, error_log }
    }

    /// Returns the pid file, for messages.
    pub(super) fn pid_file(&self) -> &Path {
        &self.pid_file
    }

    /// Records what runs now; returns `None` if nothing does.
    pub(super) fn watch(&self) -> Option<ReloadWatch> {
        let master = self.master()?;
        let children = nginx_process::children(master)?;
        let of_workers = children.iter().filter(|child| matches!(child.role, Role::Worker | Role::Leaving));
        let workers: BTreeSet<Process> = of_workers.map(|child| child.process).collect();
        let serving = children.iter().filter(|child| child.role == Role::Worker).count();
        let log = LogTail::from_now(master, Some(&self.error_log));
        let before = BeforeReload { master, workers, at: clock::now(), ticks: clock::ticks_since_boot() };
        Some(ReloadWatch { before, serving, log })
    }

    /// Returns the state before a master that a reload command has just started: no workers.
    pub(super) fn started_since(&self, at: Instant, ticks: u64) -> Option<ReloadWatch> {
        let master = self.master()?;
        let is_older = |child: &NginxChild| child.process.start_time < ticks;
        let children = nginx_process::children(master).unwrap_or_default();
        let workers = children.iter().filter(|child| is_older(child)).map(|child| child.process).collect();
        let before = BeforeReload { master, workers, at, ticks };
        Some(ReloadWatch { before, serving: 0, log: LogTail::from_now(master, Some(&self.error_log)) })
    }

    /// Returns what shows later that the reload is still in effect.
    pub(super) fn evidence(&self, watched: &ReloadWatch) -> ReloadEvidence {
        let (pid_file, binary) = (self.pid_file.clone(), self.binary.clone());
        ReloadEvidence { pid_file, binary, ticks: watched.before.ticks }
    }

    /// Looks at nginx until the result of the reload is known. `check_time` is the duration of `nginx -t`; `generations` are
    /// the expected answers of servers.
    pub(super) async fn verify(
        &self,
        mut watched: ReloadWatch,
        check_time: Duration,
        generations: &[(GenerationServer, String)],
    ) -> Progress {
        let expected = self.expected_workers(&watched);
        let known = watched.master();
        let mut verification = Verification::start(watched.before, expected, check_time, clock::now());
        if !generations.is_empty() {
            verification = verification.with_generation();
        }
        let mut pause = FIRST_PAUSE;
        loop {
            // A configuration may move the pid file: the earlier master is observed as long as it lives.
            let master = Some(known).filter(|known| nginx_process::is_alive(*known)).or_else(|| self.master());
            let children = master.and_then(nginx_process::children).unwrap_or_default();
            let other_generation = if verification.asks() { others(generations).await } else { Vec::new() };
            let seen = Seen { master, children, log: watched.log.new_lines(), other_generation };
            match verification.look(&seen, clock::now()) {
                Progress::Waiting => tokio::time::sleep(pause).await,
                verdict => return verdict,
            }
            pause = (pause * 5 / 4).min(LONGEST_PAUSE);
        }
    }

    /// Returns the number of workers that the configuration sets. If that is not certain, the number that served before
    /// counts, so that a wrong guess never makes a good reload look bad.
    fn expected_workers(&self, watched: &ReloadWatch) -> usize {
        let arguments = nginx_process::arguments(watched.before.master);
        let (conf, _) = self.files_of(&arguments);
        let text = nginx_process::configuration(&conf).filter(|_| !arguments.contains("worker_processes"));
        match text.and_then(|text| installation::worker_processes_in(&text)) {
            Some(WorkerProcesses::Number(number)) => number,
            Some(WorkerProcesses::Auto) => watched.serving.min(nginx_process::processors_online()),
            None => 1,
        }
    }

    /// Returns the main configuration and the prefix of a master with these arguments.
    fn files_of(&self, arguments: &str) -> (PathBuf, PathBuf) {
        let (conf, prefix) = installation::files_named_in(arguments);
        let prefix = prefix.unwrap_or_else(|| self.prefix.clone());
        (conf.map_or_else(|| self.conf.clone(), |conf| prefix.join(conf)), prefix)
    }

    /// Returns the main configuration that nginx reads, and its prefix. Returns `None` if it may read further files, or if the
    /// master sees other files than we do.
    pub(super) fn conf_in_use(&self) -> Option<(PathBuf, PathBuf)> {
        let Some(master) = self.master() else { return Some((self.conf.clone(), self.prefix.clone())) };
        let arguments = nginx_process::arguments(master);
        let (conf, prefix) = self.files_of(&arguments);
        let is_known = !arguments.contains("include ") && nginx_process::sees_our(master, &conf);
        is_known.then_some((conf, prefix))
    }

    /// Sends SIGHUP to the master.
    pub(super) fn signal(&self, master: Process) -> std::io::Result<()> {
        nginx_process::reload(master, &self.binary)
    }
}

/// Returns the servers that do not answer with the expected generation.
async fn others(generations: &[(GenerationServer, String)]) -> Vec<String> {
    let mut others = Vec::new();
    for (endpoint, wanted) in generations {
        if !generation::answers(endpoint, wanted, GENERATION_TIMEOUT).await {
            others.push(endpoint.to_string());
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn build_paths_are_asked_for_until_nginx_says_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (known, nginx) = (KnownNginx::default(), path("nginx"));
        assert_eq!(known.built(&nginx).await, BuildPaths::default(), "it is not installed yet");
        let install = |prefix: &str| {
            let said = format!("configure arguments: --prefix={prefix}");
            let script = format!("#!/bin/sh\ntest -e {0} && echo '{said}' && echo >> {0}\n", path("asked").display());
            std::fs::write(path("new"), script).unwrap();
            std::fs::set_permissions(path("new"), std::fs::Permissions::from_mode(0o755)).unwrap();
            std::fs::rename(path("new"), &nginx).unwrap();
        };
        install("/opt/one");
        assert_eq!(known.built(&nginx).await, BuildPaths::default(), "it has failed");
        std::fs::write(path("asked"), "").unwrap();
        for _ in 0..2 {
            assert_eq!(known.built(&nginx).await.prefix, Path::new("/opt/one"));
        }
        assert_eq!(std::fs::read_to_string(path("asked")).unwrap(), "\n", "it was asked once");
        install("/opt/two");
        assert_eq!(known.built(&nginx).await.prefix, Path::new("/opt/two"));
    }
}
