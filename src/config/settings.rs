//! The program's own settings, checked: from flags, environment, `upstreamd.toml` (or `confd.toml`) and defaults.
//! Never reads a file and never shows a password.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::nginx::NginxSettings;
use crate::model::store::StoreSettings;

use super::resource::{Defaults, PrefixMode, clean_prefix};
use crate::model::problem::{Problem, Problems};
use crate::model::text::shown;

mod file;
pub mod layers;
mod store;
pub mod table;
mod values;

#[cfg(test)]
mod tests;

pub use store::FOREIGN_BACKENDS;
pub(super) use store::endpoints_of;

use layers::{Layers, Origin};
use table::Effect;
use values::Values;

/// All settings; every one is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How often to work.
    pub mode: Mode,
    /// Folders with `conf.d` and `templates`; `/etc/upstreamd` where none is given.
    pub confdirs: Vec<PathBuf>,
    /// Whether somebody asked for these confdirs; if not, `/etc/confd` serves where only that exists.
    pub confdirs_given: bool,
    /// The settings file that was read.
    pub config_file: Option<PathBuf>,
    /// Only this file of conf.d.
    pub resource: Option<String>,
    /// The key store.
    pub store: StoreSettings,
    /// The global prefix: `""` or `/a/b`.
    pub prefix: String,
    /// How it goes together with a resource's own.
    pub prefix_mode: PrefixMode,
    /// Change nothing, show what would change.
    pub noop: bool,
    /// Show differences where nothing is changed.
    pub diff: bool,
    /// The first failure ends a single pass.
    pub fail_fast: bool,
    /// Lines around each change in a difference.
    pub diff_context: usize,
    /// Whether a difference is coloured.
    pub color: Color,
    /// Run no check and no reload.
    pub sync_only: bool,
    /// Leave staged files.
    pub keep_stage_file: bool,
    /// When a single run gives up on the store.
    pub backend_timeout: Duration,
    /// How long a check may take; `None` is for ever.
    pub check_cmd_timeout: Option<Duration>,
    /// How long a reload may take; `None` is for ever.
    pub reload_cmd_timeout: Option<Duration>,
    /// How long a running transaction may take after SIGTERM.
    pub shutdown_timeout: Duration,
    /// How long a supervised command may take to end.
    pub stop_timeout: Duration,
    /// The global debounce, where one was asked for.
    pub debounce: Option<Duration>,
    /// A fixed pause after the store failed, where one was asked for.
    pub watch_error_backoff: Option<Duration>,
    /// Where journal and lock are.
    pub state_dir: StateDir,
    /// Whether the agent tells in etcd how far it has come.
    pub receipts: bool,
    /// Its name there; `None` is the host's.
    pub agent_id: Option<String>,
    /// Where status pages are served: `host:port`, or `:port` for every address.
    pub metrics_addr: Option<String>,
    /// Least severity that is logged.
    pub log_level: LogLevel,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Which nginx is meant.
    pub nginx: NginxSettings,
    /// `check-config` or `validate` was asked for: the same as the subcommand `check`.
    pub check_only: bool,
    /// `check-config` was asked for.
    pub check_folders: bool,
    /// The data that `validate` renders templates with.
    pub mock_data: Option<PathBuf>,
    /// `preflight` was asked for.
    pub preflight: bool,
    /// How long that may take.
    pub preflight_timeout: Duration,
    /// What was given and has no effect.
    pub warnings: Problems,
}

/// How often to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Once.
    Onetime,
    /// On every change.
    Watch {
        /// How often to look at everything again, where that was asked for.
        resync: Option<Duration>,
    },
    /// Every so often.
    Interval(Duration),
}

/// Whether a difference is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where journal and lock are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateDir {
    /// `/var/lib/upstreamd`, else `$XDG_STATE_HOME/upstreamd`, else none.
    Auto,
    /// Here.
    Path(PathBuf),
    /// Nowhere.
    Off,
}

/// Least severity that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something needs a look.
    Warn,
    /// Something happened.
    Info,
    /// Each step.
    Debug,
    /// Sizes and timings.
    Trace,
}

/// How it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text.
    Text,
    /// A line of JSON.
    Json,
}

impl Settings {
    /// What resources have where their files do not say.
    pub fn resource_defaults(&self) -> Defaults {
        Defaults {
            prefix: self.prefix.clone(),
            prefix_mode: self.prefix_mode,
            check_cmd_timeout: self.check_cmd_timeout,
            reload_cmd_timeout: self.reload_cmd_timeout,
            debounce: self.debounce,
            sync_only: self.sync_only,
        }
    }
}

/// The settings that the layers add up to, with every problem. Where there are problems, defaults stand in for what
/// was refused.
pub fn resolve(layers: &Layers<'_>) -> (Settings, Problems) {
    let mut values = Values { layers, problems: layers.file_problems.clone() };
    let settings = Settings {
        mode: mode(&mut values),
        confdirs: values.paths(&table::CONFDIR),
        confdirs_given: values.is_given(&table::CONFDIR),
        config_file: layers.file_path.clone(),
        resource: values.text(&table::RESOURCE),
        store: store::read(&mut values),
        prefix: values.parsed(&table::PREFIX, clean_prefix).unwrap_or_default(),
        prefix_mode: values.choice(&table::PREFIX_MODE, PREFIX_MODES).unwrap_or_default(),
        noop: values.switch(&table::NOOP),
        diff: values.switch(&table::DIFF),
        fail_fast: values.choice(&table::FAILURE_MODE, FAILURE_MODES).unwrap_or_default(),
        diff_context: values.count(&table::DIFF_CONTEXT),
        color: values.choice(&table::COLOR, COLORS).unwrap_or(Color::Auto),
        sync_only: values.switch(&table::SYNC_ONLY),
        keep_stage_file: values.switch(&table::KEEP_STAGE_FILE),
        backend_timeout: values.positive_duration(&table::BACKEND_TIMEOUT),
        check_cmd_timeout: values.timeout(&table::CHECK_CMD_TIMEOUT),
        reload_cmd_timeout: values.timeout(&table::RELOAD_CMD_TIMEOUT),
        shutdown_timeout: values.duration(&table::SHUTDOWN_TIMEOUT),
        stop_timeout: values.duration(&table::STOP_TIMEOUT),
        debounce: values.optional_duration(&table::DEBOUNCE),
        watch_error_backoff: values.optional_duration(&table::WATCH_ERROR_BACKOFF),
        state_dir: state_dir(&mut values),
        receipts: values.switch(&table::RECEIPTS),
        agent_id: values.parsed(&table::AGENT_ID, agent_id),
        metrics_addr: values.parsed(&table::METRICS_ADDR, listen_address).flatten(),
        log_level: values.choice(&table::LOG_LEVEL, LOG_LEVELS).unwrap_or(LogLevel::Info),
        log_format: values.choice(&table::LOG_FORMAT, LOG_FORMATS).unwrap_or(LogFormat::Text),
        nginx: NginxSettings {
            binary: values.path(&table::NGINX_BINARY).unwrap_or_default(),
            conf: values.path(&table::NGINX_CONF),
            pid_file: values.path(&table::NGINX_PID_FILE),
            error_log: values.path(&table::NGINX_ERROR_LOG),
        },
        check_only: values.switch(&table::CHECK_CONFIG) | values.switch(&table::VALIDATE),
        check_folders: values.switch(&table::CHECK_CONFIG),
        mock_data: values.path(&table::MOCK_DATA),
        preflight: values.switch(&table::PREFLIGHT),
        preflight_timeout: values.positive_duration(&table::PREFLIGHT_TIMEOUT),
        warnings: without_effect(&mut values),
    };
    if settings.receipts && !matches!(settings.store, StoreSettings::Etcd(_)) {
        let problem = Problem::new("receipts: they are kept in etcd, and keys come from elsewhere");
        values.refuse(&table::RECEIPTS, problem.hint("leave receipts out, or use --backend etcd"));
    }
    (settings, values.problems.into_iter().collect())
}

const PREFIX_MODES: &[(&str, PrefixMode)] =
    &[("concatenate", PrefixMode::Concatenate), ("replace", PrefixMode::Replace)];

/// Whether the first failure ends a pass.
const FAILURE_MODES: &[(&str, bool)] = &[("best-effort", false), ("fail-fast", true)];

/// The booleans are confd's spelling, where `color` is a switch.
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

/// Onetime wins over watch. An interval beside watch is a resync only where somebody asked for it.
fn mode(values: &mut Values<'_>) -> Mode {
    let interval = values.interval(&table::INTERVAL);
    let watch = values.switch(&table::WATCH);
    if values.switch(&table::ONETIME) {
        Mode::Onetime
    } else if watch {
        Mode::Watch { resync: values.is_given(&table::INTERVAL).then_some(interval) }
    } else {
        Mode::Interval(interval)
    }
}

/// A name that is one part of a key.
fn agent_id(text: &str) -> Result<String, Problem> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || !text.chars().all(is_good) {
        let problem = Problem::new(format!("{} is no name for an agent", shown(text)));
        return Err(problem.hint("use letters, digits, `.`, `_` and `-`"));
    }
    Ok(text.to_owned())
}

/// `host:port` or `:port`; empty for none.
fn listen_address(text: &str) -> Result<Option<String>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let port = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(Some(text.to_owned())),
        _ => Err(Problem::new(format!("{} is no address to listen on", shown(text)))
            .hint("write host:port, or :port for every address of this machine")),
    }
}

fn state_dir(values: &mut Values<'_>) -> StateDir {
    match values.path(&table::STATE_DIR) {
        None => StateDir::Auto,
        Some(path) if path.as_os_str().is_empty() => StateDir::Off,
        Some(path) => StateDir::Path(path),
    }
}

/// Warns of what was given and does nothing.
fn without_effect(values: &mut Values<'_>) -> Problems {
    let mut warnings = Vec::new();
    for setting in table::ALL {
        let raw = values.layers.raw(setting);
        let switched_off = setting.kind == table::Kind::Switch && raw.values.iter().all(|value| value == "false");
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
