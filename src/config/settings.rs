//! The program's own settings, checked: from flags, environment, `upstreamd.toml` (or `confd.toml`) and defaults.
//! Never reads a file and never shows a password.

use core::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::nginx::NginxSettings;
use crate::model::store::{StoreLimits, StoreSettings};

use super::port;
use super::resource::{Defaults, ENDPOINTS, ENGINES, PrefixMode, clean_prefix};
use crate::model::problem::{Problem, Problems};
use crate::model::text::shown;

mod file;
pub mod layers;
mod names;
pub mod raw;
mod store;
pub mod table;
mod values;

#[cfg(test)]
mod tests;

pub use names::NameSettings;
pub use store::FOREIGN_BACKENDS;
pub(super) use store::{file_filter, members_of};
pub(crate) use values::switch;

use layers::Layers;
use raw::Origin;
use table::Effect;
use values::Values;

/// All settings; each is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Mode of work: once, on changes, or at intervals.
    pub mode: Mode,
    /// The settings file that was read, if any.
    pub config_file: Option<PathBuf>,
    /// Resources and their defaults.
    pub conf_d: ConfDSettings,
    /// The key store.
    pub store: StoreSettings,
    /// Settings of nginx.
    pub nginx: NginxSettings,
    /// Preview settings: dry run, and display of differences.
    pub preview: PreviewSettings,
    /// Settings of the agent, and of its reports about itself.
    pub agent: AgentSettings,
    /// Names of the store that are answered by DNS.
    pub names: NameSettings,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Settings of the log.
    pub log: LogSettings,
    /// Subcommands requested by one of confd's flags.
    pub instead: FlagCommands,
    /// Given settings that have no effect.
    pub warnings: Problems,
}

/// Resources and their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfDSettings {
    /// Folders with `conf.d` and `templates`; `/etc/upstreamd` by default.
    pub confdirs: Vec<PathBuf>,
    /// Whether the confdirs were given; if not, `/etc/confd` is used if only that exists.
    pub confdirs_given: bool,
    /// Whether the settings file names the confdirs.
    pub confdirs_from_file: bool,
    /// The only file of conf.d to use; `None` is all.
    pub only: Option<String>,
    /// Values for fields that resource files leave out.
    pub defaults: Defaults,
}

/// Preview settings: dry run, and display of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviewSettings {
    /// Whether nothing is changed, only shown.
    pub noop: bool,
    /// Whether differences are shown if nothing is changed.
    pub diff: bool,
    /// Number of lines around each change in a difference.
    pub context_lines: usize,
    /// Colour of differences.
    pub color: Color,
}

/// Settings of the agent, and of its reports about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSettings {
    /// Whether the first failure ends a single pass.
    pub fail_fast: bool,
    /// Whether staged files are kept.
    pub keep_stage_file: bool,
    /// Folder of journal and lock.
    pub state_dir: StateDir,
    /// Whether the agent publishes receipts in etcd.
    pub receipts: bool,
    /// Name of the agent in etcd; default is the host name.
    pub id: Option<String>,
    /// Address of the status pages: `host:port`, or `:port` for every address.
    pub metrics_addr: Option<String>,
    /// A further address of the same pages.
    pub status_addr: Option<String>,
    /// Addresses at which nginx asks for endpoints.
    pub endpoints_listen: Vec<SocketAddr>,
}

/// Time limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Limit for reading the store in a single run.
    pub store: Duration,
    /// Limit for a running transaction after SIGTERM.
    pub shutdown: Duration,
    /// Limit for a supervised command to end.
    pub stop: Duration,
    /// Limit for `preflight`.
    pub preflight: Duration,
    /// Limit for the render of one file; `None` is no limit.
    pub render: Option<Duration>,
}

/// Settings of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Least severity that is logged.
    pub level: LogLevel,
    /// Format of log lines.
    pub format: LogFormat,
}

/// Subcommands requested by one of confd's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagCommands {
    /// Whether `check-config` or `validate` was given; the same as the subcommand `check`.
    pub check: bool,
    /// Whether `check-config` was given.
    pub check_folders: bool,
    /// Mock data for the templates that `validate` renders.
    pub mock_data: Option<PathBuf>,
    /// Whether `preflight` was given.
    pub preflight: bool,
}

/// The mode of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Once.
    Onetime,
    /// On every change.
    Watch {
        /// Time between two resyncs, if given.
        resync: Option<Duration>,
    },
    /// At this interval.
    Interval(Duration),
}

/// Colour of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Folder of journal and lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateDir {
    /// `/var/lib/upstreamd`, else `$XDG_STATE_HOME/upstreamd`, else no folder.
    Auto,
    /// This folder.
    Path(PathBuf),
    /// No folder.
    Off,
}

/// Severity of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something needs attention.
    Warn,
    /// Something happened.
    Info,
    /// Each step.
    Debug,
    /// Sizes and timings.
    Trace,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text.
    Text,
    /// A line of JSON.
    Json,
}

/// Returns the settings that the layers add up to, with every problem. A refused value is replaced by its default.
pub fn resolve(layers: &Layers<'_>) -> (Settings, Problems) {
    let mut values = Values { layers, problems: layers.file_problems.clone() };
    let noop = values.switch(&table::NOOP);
    let limits = store::limits(&mut values);
    let store = store::read(&mut values, limits);
    let settings = Settings {
        mode: mode(&mut values, noop),
        config_file: layers.file_path.clone(),
        conf_d: conf_d(&mut values, &store, limits),
        warnings: warnings(&mut values, &store),
        store,
        nginx: nginx(&mut values),
        preview: PreviewSettings {
            noop,
            diff: values.switch(&table::DIFF),
            context_lines: values.count(&table::DIFF_CONTEXT),
            color: values.choice(&table::COLOR, COLORS).unwrap_or(Color::Auto),
        },
        agent: agent(&mut values),
        names: names::read(&mut values),
        timeouts: timeouts(&mut values),
        log: LogSettings {
            level: values.choice(&table::LOG_LEVEL, LOG_LEVELS).unwrap_or(LogLevel::Info),
            format: values.choice(&table::LOG_FORMAT, LOG_FORMATS).unwrap_or(LogFormat::Text),
        },
        instead: FlagCommands {
            check: values.switch(&table::CHECK_CONFIG) | values.switch(&table::VALIDATE),
            check_folders: values.switch(&table::CHECK_CONFIG),
            mock_data: values.path(&table::MOCK_DATA),
            preflight: values.switch(&table::PREFLIGHT),
        },
    };
    if settings.agent.receipts && !matches!(settings.store, StoreSettings::Etcd(_)) {
        let problem = Problem::new("receipts: they are kept in etcd, and keys come from elsewhere");
        values.refuse(&table::RECEIPTS, problem.hint("leave receipts out, or use --backend etcd"));
    }
    (settings, values.problems.into_iter().collect())
}

fn conf_d(values: &mut Values<'_>, store: &StoreSettings, limits: StoreLimits) -> ConfDSettings {
    ConfDSettings {
        confdirs: values.paths(&table::CONFDIR),
        confdirs_given: values.is_given(&table::CONFDIR),
        confdirs_from_file: matches!(values.layers.raw(&table::CONFDIR).origin, Origin::File(_)),
        only: values.text(&table::RESOURCE),
        defaults: Defaults {
            prefix: values.parsed(&table::PREFIX, clean_prefix).unwrap_or_default(),
            prefix_mode: values.choice(&table::PREFIX_MODE, PREFIX_MODES).unwrap_or_default(),
            check_cmd_timeout: values.timeout(&table::CHECK_CMD_TIMEOUT),
            reload_cmd_timeout: values.timeout(&table::RELOAD_CMD_TIMEOUT),
            debounce: values.optional_duration(&table::DEBOUNCE),
            engine: values.choice(&table::ENGINE, ENGINES),
            endpoints: values.choice(&table::ENDPOINTS, ENDPOINTS).unwrap_or_default(),
            sync_only: values.switch(&table::SYNC_ONLY),
            from_environment: *store == StoreSettings::Env,
            limits,
        },
    }
}

fn nginx(values: &mut Values<'_>) -> NginxSettings {
    NginxSettings {
        binary: values.path(&table::NGINX_BINARY).unwrap_or_default(),
        conf: values.path(&table::NGINX_CONF),
        pid_file: values.path(&table::NGINX_PID_FILE),
        error_log: values.path(&table::NGINX_ERROR_LOG),
    }
}

fn agent(values: &mut Values<'_>) -> AgentSettings {
    AgentSettings {
        fail_fast: values.choice(&table::FAILURE_MODE, FAILURE_MODES).unwrap_or_default(),
        keep_stage_file: values.switch(&table::KEEP_STAGE_FILE),
        state_dir: state_dir(values),
        receipts: values.switch(&table::RECEIPTS),
        id: values.parsed(&table::AGENT_ID, agent_id),
        metrics_addr: values.parsed(&table::METRICS_ADDR, listen_address).flatten(),
        status_addr: values.parsed(&table::STATUS_ADDR, listen_address).flatten(),
        endpoints_listen: values.each_parsed(&table::ENDPOINTS_LISTEN, dns_address),
    }
}

fn timeouts(values: &mut Values<'_>) -> Timeouts {
    Timeouts {
        store: values.positive_duration(&table::BACKEND_TIMEOUT),
        shutdown: values.duration(&table::SHUTDOWN_TIMEOUT),
        stop: values.duration(&table::STOP_TIMEOUT),
        preflight: values.positive_duration(&table::PREFLIGHT_TIMEOUT),
        render: values.timeout(&table::RENDER_TIMEOUT),
    }
}

const PREFIX_MODES: &[(&str, PrefixMode)] =
    &[("concatenate", PrefixMode::Concatenate), ("replace", PrefixMode::Replace)];

/// Values of the failure mode: whether the first failure ends a pass.
const FAILURE_MODES: &[(&str, bool)] = &[("best-effort", false), ("fail-fast", true)];

/// Colours by their words. The booleans are confd's, whose `color` is a switch.
const COLORS: &[(&str, Color)] = &[
    ("auto", Color::Auto),
    ("always", Color::Always),
    ("true", Color::Always),
    ("never", Color::Never),
    ("false", Color::Never),
];

const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("panic", LogLevel::Error),
    ("fatal", LogLevel::Error),
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("warning", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Returns the mode. Onetime wins over watch. With watch, an interval is a resync only if it was given. Without watch, a run that
/// only shows what would change does so once.
fn mode(values: &mut Values<'_>, noop: bool) -> Mode {
    let interval = values.interval(&table::INTERVAL);
    let watch = values.switch(&table::WATCH);
    if values.switch(&table::ONETIME) {
        Mode::Onetime
    } else if watch {
        Mode::Watch { resync: values.is_given(&table::INTERVAL).then_some(interval) }
    } else if noop {
        Mode::Onetime
    } else {
        Mode::Interval(interval)
    }
}

/// Checks an agent's name, which becomes one part of a key.
fn agent_id(text: &str) -> Result<String, Problem> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || !text.chars().all(is_good) {
        let problem = Problem::new(format!("{} is not a name for an agent", shown(text)));
        return Err(problem.hint("use letters, digits, `.`, `_` and `-`"));
    }
    Ok(text.to_owned())
}

/// Checks `host:port` or `:port`; empty is `None`.
fn listen_address(text: &str) -> Result<Option<String>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let port = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let port = port.map_or("", |(_, port)| port);
    let wrong = || {
        Problem::new(format!("{} is not an address to listen on", shown(text)))
            .hint("write host:port, or :port for every address of this machine")
    };
    match port.parse::<u16>() {
        Ok(1..) => Ok(Some(text.to_owned())),
        _ => Err(port::too_large(text, port).unwrap_or_else(wrong)),
    }
}

/// Reads one address with its port. Port 0 would be a different one after each start, and nobody would know it.
fn single_address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().filter(|address: &SocketAddr| !address.ip().is_unspecified() && address.port() > 0)
}

/// Checks an address at which nginx asks: it is written into nginx's files.
fn dns_address(text: &str) -> Result<SocketAddr, Problem> {
    single_address(text).ok_or_else(|| {
        Problem::new(format!("{} is not an address to answer nginx's questions at", shown(text)))
            .hint("write one address of this machine with a port, as in 127.0.0.153:53 or [::1]:53")
    })
}

fn state_dir(values: &mut Values<'_>) -> StateDir {
    match values.path(&table::STATE_DIR) {
        None => StateDir::Auto,
        Some(path) if path.as_os_str().is_empty() => StateDir::Off,
        Some(path) => StateDir::Path(path),
    }
}

/// Returns warnings for what the file has that is no setting, and for given settings that have no effect.
fn warnings(values: &mut Values<'_>, store: &StoreSettings) -> Problems {
    // Among what is passed over may be what was meant to name the store.
    let with_store = |problem: &Problem| Problem {
        message: format!("{}; keys are read from {store}", problem.message),
        ..problem.clone()
    };
    let mut warnings: Vec<Problem> = values.layers.passed_over.iter().map(with_store).collect();
    for setting in table::ALL {
        let raw = values.layers.raw(setting);
        let switched_off =
            setting.kind == table::SettingKind::Switch && raw.values.iter().all(|value| value == "false");
        if raw.origin == Origin::Default || switched_off {
            continue;
        }
        match setting.effect {
            Effect::Works => {}
            Effect::Nothing(reason) => {
                warnings.push(raw.origin.blame(Problem::new(format!("{} has no effect: {reason}", setting.name))));
            }
        }
    }
    warnings.into_iter().collect()
}
