//! The status: one tree of facts about what is live, what is owed, and why. `/api/status` is this tree as JSON; the page, the
//! terminal, the metrics and systemd's line are views of it. Plain data. Never holds a key's value, except for what files show.
//! Pure.

use serde::{Deserialize, Serialize};

mod announced;
mod axis;
mod change;
mod explanation;
mod motion;
mod place;
mod unix_time;

pub use announced::{
    ANNOUNCED_PATH, AnnouncedPart, AnnouncedService, AnnouncedState, AnnouncerStatus, AnnouncerStore, KeyLease,
    ServiceCheck, ServiceFileProblem,
};
pub use axis::{Axis, AxisAnswer};
pub use change::{ChangePhase, ChangeStatus, ChangedFile, KeyList};
pub use explanation::{ExplainedStep, Explanation, KeyFacts};
pub use place::{
    AgentLine, BackendFailure, BackendLine, FleetReading, HeardRevision, LeavingWorker, NginxStatus, ReceiptLease,
    StoreMember, StoreStatus, UpstreamStatus,
};
pub use unix_time::UnixTime;

/// The format of the status that is written and understood. A reader must accept members that it does not know.
pub const FORMAT: u32 = 1;

/// All that is known of an agent at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The format of this tree: [`FORMAT`].
    pub format: u32,
    /// The moment.
    pub at: UnixTime,
    /// The agent.
    pub agent: AgentStatus,
    /// Whether what is live is what the store says.
    pub sync: Axis,
    /// Whether clients are served.
    pub service: Axis,
    /// Everything that is not good, worst first.
    pub conditions: Vec<Condition>,
    /// The stores, the settings' one first.
    pub stores: Vec<StoreStatus>,
    /// The groups and their resources.
    pub groups: Vec<GroupStatus>,
    /// The lists of backends that templates print.
    pub upstreams: Vec<UpstreamStatus>,
    /// Each nginx that a group drives.
    pub nginx: Vec<NginxStatus>,
    /// The last changes, the newest first: 50 at most.
    pub changes: Vec<ChangeStatus>,
    /// Agents of the fleet, by their receipts, those with something to say first: 500 at most. Empty unless the agent keeps one.
    #[serde(default)]
    pub fleet: Vec<AgentLine>,
    /// How these were read; `None` unless the agent keeps a receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet_reading: Option<FleetReading>,
    /// The announcers of this machine.
    #[serde(default)]
    pub announced: Vec<AnnouncerStatus>,
}

/// The agent itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Its version, with the commit if that is known.
    pub version: String,
    /// Name of its machine.
    #[serde(default)]
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Its start.
    pub started: UnixTime,
    /// The folders of conf.d and templates.
    pub confdirs: Vec<String>,
    /// The settings file that it has read.
    pub settings_file: Option<String>,
    /// Whether it is stopping.
    pub stopping: bool,
}

/// The question that a condition belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusQuestion {
    /// Is what is live what the store says?
    Sync,
    /// Are clients served?
    Service,
    /// Neither: good to know.
    Notice,
}

/// The kind of a condition, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionKind {
    /// An apply failed and could not be undone.
    Stuck,
    /// nginx does not run.
    NginxAway,
    /// An upstream has no backend that gets traffic.
    NoBackends,
    /// nginx says that it has no live server left in an upstream.
    NoneLive,
    /// A store cannot be followed.
    StoreAway,
    /// The store does not show keys that a resource wants.
    KeysRefused,
    /// A check refused the rendered file.
    CheckRefused,
    /// nginx refused the reload, or it had no effect; the previous files are back.
    ReloadRefused,
    /// A template could not be rendered, or a file could not be written.
    Failed,
    /// conf.d or a template has a problem.
    Broken,
    /// nginx never reads the file of a resource.
    Unread,
    /// A step of a pass has not ended for more than a second.
    Slow,
    /// A guard keeps the last good file.
    Held,
    /// The checked files are in place, their reload is still to be done.
    ReloadOwed,
    /// nginx has not taken changed endpoints yet.
    Untaken,
    /// A resource waits for its keys.
    Waiting,
    /// A key does not decode as a backend and is left out.
    KeySkipped,
    /// An announcer of this machine does not announce a service: a matter of the announcer, not of this agent.
    NotAnnounced,
    /// Workers with an earlier configuration still have connections.
    OldWorkers,
}

/// The cause of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A key of a store.
    Key(String),
    /// A file, with line and column if they are known: `web.toml:3:1`.
    File(String),
    /// A process or a command.
    Process(String),
    /// A store.
    Store(String),
}

/// Something that is not good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Its kind.
    pub kind: ConditionKind,
    /// The question that it answers with no.
    pub question: StatusQuestion,
    /// Subject, for people: resources, the first ones by name, or a store or an nginx.
    pub subject: String,
    /// Names of all resources that it concerns; of one that is shown, 200 at most.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The problem, as a sentence.
    pub summary: String,
    /// Why, in the words of whoever refused it; empty if the summary says it all.
    pub reason: String,
    /// The step of a pass that failed, as log lines name it; `None` unless one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The keys, files or processes that caused it: 20 at most.
    pub causes: Vec<Cause>,
    /// Its start.
    pub since: UnixTime,
    /// The next attempt of the agent, if time is all that it waits for; of a held loss, the end of the hold.
    pub next_try: Option<UnixTime>,
    /// Advice for a person.
    pub advice: String,
}

/// A group of resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Name of its first resource.
    pub name: String,
    /// Word for its state, as in the metric `upstreamd_group_state`.
    pub state: String,
    /// Pid file of the nginx that it reloads, once that has been looked at.
    #[serde(default)]
    pub nginx: Option<String>,
    /// Revision of its last successful pass.
    pub applied_revision: Option<i64>,
    /// End of that pass.
    pub applied_at: Option<UnixTime>,
    /// The step that its running pass is at, if one is running.
    pub running: Option<RunningStep>,
    /// Next attempt, if the last pass failed.
    pub next_try: Option<UnixTime>,
    /// Its resources.
    pub resources: Vec<ResourceStatus>,
}

/// The step that a running pass is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningStep {
    /// The step, as log lines name it: `render`, `check`, `reload`.
    pub step: String,
    /// Its start.
    pub since: UnixTime,
}

/// One resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// Its name: the path of its file below conf.d.
    pub name: String,
    /// Its template.
    pub src: String,
    /// Its destination; with `for_each`, the pattern.
    pub dest: String,
    /// Word for its state, as in the metric `upstreamd_group_state`: what fails beside it in its group is no matter of it.
    #[serde(default)]
    pub state: String,
    /// The keys that it wants, with the prefix.
    pub keys: Vec<String>,
    /// How far the changes of its keys have come.
    #[serde(flatten)]
    pub progress: ProgressStatus,
    /// Number of skipped keys.
    pub skipped_keys: usize,
    /// The kinds of its conditions.
    pub conditions: Vec<ConditionKind>,
}

/// Progress of the changes of a resource's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressStatus {
    /// Revision of the last change that the agent knows of.
    pub wanted_revision: Option<i64>,
    /// Revision of the last change that is live.
    pub applied_revision: Option<i64>,
    /// Revision of the last change after which only the new configuration accepts connections.
    pub converged_revision: Option<i64>,
    /// Revision of the last change after which nothing uses what it removed.
    pub drained_revision: Option<i64>,
    /// Time of the oldest change that is not live yet.
    pub behind_since: Option<UnixTime>,
    /// Number of the changes that are not live yet.
    #[serde(default)]
    pub behind_changes: usize,
}

impl ConditionKind {
    /// All kinds, worst first.
    pub const ALL: [ConditionKind; 19] = [
        ConditionKind::Stuck,
        ConditionKind::NginxAway,
        ConditionKind::NoBackends,
        ConditionKind::NoneLive,
        ConditionKind::StoreAway,
        ConditionKind::KeysRefused,
        ConditionKind::CheckRefused,
        ConditionKind::ReloadRefused,
        ConditionKind::Failed,
        ConditionKind::Broken,
        ConditionKind::Unread,
        ConditionKind::Slow,
        ConditionKind::Held,
        ConditionKind::ReloadOwed,
        ConditionKind::Untaken,
        ConditionKind::Waiting,
        ConditionKind::KeySkipped,
        ConditionKind::NotAnnounced,
        ConditionKind::OldWorkers,
    ];

    /// Returns its word in JSON and metrics.
    pub fn word(self) -> &'static str {
        match self {
            ConditionKind::Stuck => "stuck",
            ConditionKind::NginxAway => "nginx_away",
            ConditionKind::NoBackends => "no_backends",
            ConditionKind::NoneLive => "none_live",
            ConditionKind::StoreAway => "store_away",
            ConditionKind::KeysRefused => "keys_refused",
            ConditionKind::CheckRefused => "check_refused",
            ConditionKind::ReloadRefused => "reload_refused",
            ConditionKind::Failed => "failed",
            ConditionKind::Broken => "broken",
            ConditionKind::Unread => "unread",
            ConditionKind::Slow => "slow",
            ConditionKind::Held => "held",
            ConditionKind::ReloadOwed => "reload_owed",
            ConditionKind::Untaken => "untaken",
            ConditionKind::Waiting => "waiting",
            ConditionKind::KeySkipped => "key_skipped",
            ConditionKind::NotAnnounced => "not_announced",
            ConditionKind::OldWorkers => "old_workers",
        }
    }

    /// Returns its name for people, in one or two words.
    pub fn label(self) -> &'static str {
        match self {
            ConditionKind::Stuck => "stuck",
            ConditionKind::NginxAway => "nginx down",
            ConditionKind::NoBackends => "no backends",
            ConditionKind::NoneLive => "none live",
            ConditionKind::StoreAway => "store unreachable",
            ConditionKind::KeysRefused => "access denied",
            ConditionKind::CheckRefused => "check refused",
            ConditionKind::ReloadRefused => "reload refused",
            ConditionKind::Failed => "failed",
            ConditionKind::Broken => "file error",
            ConditionKind::Unread => "never read",
            ConditionKind::Slow => "slow",
            ConditionKind::Held => "removal held",
            ConditionKind::ReloadOwed => "reload owed",
            ConditionKind::Untaken => "not taken",
            ConditionKind::Waiting => "waiting",
            ConditionKind::KeySkipped => "key skipped",
            ConditionKind::NotAnnounced => "not announced",
            ConditionKind::OldWorkers => "old workers",
        }
    }

    /// Returns the question that it answers with no.
    pub fn question(self) -> StatusQuestion {
        match self {
            ConditionKind::NginxAway | ConditionKind::NoBackends | ConditionKind::NoneLive => StatusQuestion::Service,
            ConditionKind::NotAnnounced | ConditionKind::OldWorkers => StatusQuestion::Notice,
            _ => StatusQuestion::Sync,
        }
    }
}

impl Cause {
    /// Returns the name of the key, the file, the process or the store.
    pub fn name(&self) -> &str {
        match self {
            Cause::Key(name) | Cause::File(name) | Cause::Process(name) | Cause::Store(name) => name,
        }
    }

    /// Returns the word for what it is.
    pub fn word(&self) -> &'static str {
        match self {
            Cause::Key(_) => "key",
            Cause::File(_) => "file",
            Cause::Process(_) => "process",
            Cause::Store(_) => "store",
        }
    }
}
