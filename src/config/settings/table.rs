//! The table of settings: each is written down once, here, and from here come its flag, its environment variables,
//! its names in `upstreamd.toml`, its line of help and its row in `docs/settings.md`.
//! Never says what a value means; that is in the modules beside this one.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of the flag, without dashes: `check-cmd-timeout`.
    pub name: &'static str,
    /// One-letter flag.
    pub short: Option<char>,
    /// What its values look like.
    pub kind: Kind,
    /// The default as one would write it; `None` where there is none.
    pub default: Option<&'static str>,
    /// Where it stands in the help.
    pub section: Section,
    /// What it does, for the help: a phrase.
    pub help: &'static str,
    /// Further names in the file and, in upper case, in the environment (the first is the flag's with `_` for `-`).
    pub also: &'static [&'static str],
    /// Whether an empty text is a value of its own and not a wish for the default.
    pub may_be_empty: bool,
    /// Whether it does anything.
    pub effect: Effect,
}

/// What the values of a setting look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; as a flag also alone, for `true`.
    Switch,
    /// Any text.
    Text,
    /// Any text, never shown.
    Secret,
    /// A path.
    Path,
    /// Texts; the flag may be repeated, the environment separates them with commas.
    Texts,
    /// Paths, as texts.
    Paths,
    /// Whole seconds, or a duration.
    Seconds,
    /// A duration such as `1m30s`.
    Duration,
    /// A number from 0 on.
    Count,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words; as a flag also alone, for the first.
    OptionalChoice(&'static [&'static str]),
}

/// Where a setting stands in help and documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What to do and how often.
    Run,
    /// Which keys from where.
    Store,
    /// How long things may take.
    Time,
    /// What nginx is checked with.
    Nginx,
    /// What is logged.
    Log,
    /// What confd has and this program does not need.
    Confd,
}

/// Whether a setting does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Works,
    /// It is taken and warned of, with this reason.
    Nothing(&'static str),
}

impl Section {
    /// All sections in order.
    pub const ALL: [Section; 6] =
        [Section::Run, Section::Store, Section::Time, Section::Nginx, Section::Log, Section::Confd];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Section::Run => "What to do",
            Section::Store => "Store",
            Section::Time => "Times",
            Section::Nginx => "nginx",
            Section::Log => "Log and status",
            Section::Confd => "Accepted for compatibility with confd, without effect",
        }
    }
}

impl Kind {
    /// What stands for a value in the help.
    pub fn value_name(self) -> &'static str {
        match self {
            Kind::Switch => "BOOL",
            Kind::Text | Kind::Secret | Kind::Texts => "TEXT",
            Kind::Path | Kind::Paths => "PATH",
            Kind::Seconds => "SECONDS",
            Kind::Duration => "DURATION",
            Kind::Count => "N",
            Kind::Choice(_) | Kind::OptionalChoice(_) => "WORD",
        }
    }

    /// Whether several values may be given.
    pub fn is_list(self) -> bool {
        matches!(self, Kind::Texts | Kind::Paths)
    }

    /// What the flag stands for when it is given alone; `None` where it needs a value.
    pub fn alone(self) -> Option<&'static str> {
        match self {
            Kind::Switch => Some("true"),
            Kind::OptionalChoice(words) => words.first().copied(),
            _ => None,
        }
    }
}

impl Setting {
    /// Its names in the file, where `_` and `-` are the same; `nginx.…` are in the table `[nginx]`.
    pub fn file_names(&self) -> Vec<String> {
        let own = self.name.replace('-', "_");
        let own = match self.section {
            Section::Nginx => own.replacen("nginx_", "nginx.", 1),
            _ => own,
        };
        std::iter::once(own).chain(self.also.iter().map(|name| (*name).to_owned())).collect()
    }

    /// Its environment variables, in order of precedence.
    pub fn environment_names(&self) -> Vec<String> {
        let own = self.name.replace('-', "_");
        let suffixes: Vec<String> =
            std::iter::once(own.as_str()).chain(self.also.iter().copied()).map(str::to_uppercase).collect();
        ["UPSTREAMD", "CONFD"]
            .iter()
            .flat_map(|program| suffixes.iter().map(move |suffix| format!("{program}_{suffix}")))
            .collect()
    }
}

const fn setting(name: &'static str, kind: Kind, section: Section, help: &'static str) -> Setting {
    Setting {
        name,
        short: None,
        kind,
        default: None,
        section,
        help,
        also: &[],
        may_be_empty: false,
        effect: Effect::Works,
    }
}

const fn without_effect(name: &'static str, kind: Kind, reason: &'static str) -> Setting {
    let setting = setting(name, kind, Section::Confd, reason);
    Setting { effect: Effect::Nothing(reason), ..setting }
}

impl Setting {
    const fn short(self, short: char) -> Setting {
        Setting { short: Some(short), ..self }
    }

    const fn default(self, default: &'static str) -> Setting {
        Setting { default: Some(default), ..self }
    }

    const fn also(self, also: &'static [&'static str]) -> Setting {
        Setting { also, ..self }
    }

    const fn may_be_empty(self) -> Setting {
        Setting { may_be_empty: true, ..self }
    }
}

/// Names each setting and lists them all, so that none can be forgotten.
macro_rules! settings {
    ($($id:ident = $setting:expr;)*) => {
        $(#[doc = concat!("The setting `", stringify!($id), "`.")] pub static $id: Setting = $setting;)*
        /// Every setting, in the order of the help.
        pub static ALL: &[&Setting] = &[$(&$id),*];
    };
}

settings! {
    ONETIME = setting("onetime", Kind::Switch, Section::Run, "do everything once and exit; wins over --watch")
        .default("false");
    WATCH = setting("watch", Kind::Switch, Section::Run, "follow the store and act on every change").default("false");
    INTERVAL = setting("interval", Kind::Seconds, Section::Run,
        "how often to look without --watch; with --watch, only if it is given: how often to check everything again")
        .default("600");
    CONFDIR = setting("confdir", Kind::Paths, Section::Run,
        "folder that holds conf.d and templates; may be repeated; /etc/confd if only that exists")
        .default("/etc/upstreamd");
    CONFIG_FILE = setting("config-file", Kind::Path, Section::Run,
        "settings file; without it upstreamd.toml or confd.toml in a given confdir, then /etc/upstreamd/upstreamd.toml, \
         then /etc/confd/confd.toml");
    RESOURCE = setting("resource", Kind::Text, Section::Run, "only this file of conf.d");
    PREFIX = setting("prefix", Kind::Text, Section::Run, "put in front of all keys; templates do not see it")
        .may_be_empty();
    PREFIX_MODE = setting("prefix-mode", Kind::Choice(&["concatenate", "replace"]), Section::Run,
        "whether --prefix comes before a resource's own prefix (as in the newer confd) or instead of it (as in the older)")
        .default("concatenate");
    NOOP = setting("noop", Kind::Switch, Section::Run, "change nothing, report which files would change").default("false");
    DIFF = setting("diff", Kind::Switch, Section::Run, "with --noop: also show the differences, as the subcommand diff does")
        .default("false");
    DIFF_CONTEXT = setting("diff-context", Kind::Count, Section::Run, "lines around each change in a difference")
        .default("3");
    COLOR = setting("color", Kind::OptionalChoice(&["always", "auto", "never"]), Section::Run,
        "whether differences are coloured; auto: only on a terminal").default("auto");
    SYNC_ONLY = setting("sync-only", Kind::Switch, Section::Run, "run no check_cmd and no reload_cmd").default("false");
    KEEP_STAGE_FILE = setting("keep-stage-file", Kind::Switch, Section::Run, "keep staged files for inspection")
        .default("false");
    STATE_DIR = setting("state-dir", Kind::Path, Section::Run,
        "folder of the journal and the lock; empty: no folder; by default /var/lib/upstreamd, \
         otherwise $XDG_STATE_HOME/upstreamd, otherwise no folder").may_be_empty();
    RECEIPTS = setting("receipts", Kind::Switch, Section::Run,
        "record in etcd, below /upstreamd/agents, which changes are applied and drained").default("false");
    AGENT_ID = setting("agent-id", Kind::Text, Section::Run,
        "this agent's name in its receipt; by default the host's name");
    FAILURE_MODE = setting("failure-mode", Kind::Choice(&["best-effort", "fail-fast"]), Section::Run,
        "with --onetime: whether the first failure ends the pass, with resources in the order of their files; \
         a broken file in conf.d counts as a failure").default("best-effort");
    CHECK_CONFIG = setting("check-config", Kind::Switch, Section::Run,
        "like the subcommand check, and every destination's folder must exist").default("false");
    VALIDATE = setting("validate", Kind::Switch, Section::Run, "like the subcommand check; see --mock-data").default("false");
    MOCK_DATA = setting("mock-data", Kind::Path, Section::Run,
        "with --validate: JSON object to render templates with, as dot (Tera: as variables); the store is then empty, \
         and a missing key is an empty text");
    PREFLIGHT = setting("preflight", Kind::Switch, Section::Run,
        "ask the store for its health, load everything, count the keys of each resource, and exit; a resource without keys is a warning")
        .default("false");

    BACKEND = setting("backend", Kind::Choice(&["etcd", "etcdv3", "file", "env"]), Section::Store,
        "the kind of store; also as a subcommand: upstreamd etcd --watch").default("etcd");
    NODE = setting("node", Kind::Texts, Section::Store,
        "etcd endpoint, host:port or URL; may be repeated; by default 127.0.0.1:2379").short('n').also(&["nodes"]);
    SRV_DOMAIN = setting("srv-domain", Kind::Text, Section::Store, "domain whose SRV records name the endpoints");
    SRV_RECORD = setting("srv-record", Kind::Text, Section::Store,
        "the SRV record to look up, instead of those that etcd and confd use");
    SCHEME = setting("scheme", Kind::Choice(&["http", "https"]), Section::Store,
        "scheme of endpoints that name none; by default https if certificates are given, otherwise http");
    CLIENT_CERT = setting("client-cert", Kind::Path, Section::Store, "client certificate (PEM)");
    CLIENT_KEY = setting("client-key", Kind::Path, Section::Store, "key of the client certificate (PEM)");
    CLIENT_CA_KEYS = setting("client-ca-keys", Kind::Path, Section::Store,
        "CA certificates (PEM) instead of the system's").also(&["client_cakeys"]);
    CLIENT_INSECURE = setting("client-insecure", Kind::Switch, Section::Store, "accept any server certificate")
        .default("false");
    BASIC_AUTH = setting("basic-auth", Kind::Switch, Section::Store,
        "log in with user name and password; on if there is a user name, false forbids it");
    USERNAME = setting("username", Kind::Text, Section::Store, "user name");
    PASSWORD = setting("password", Kind::Secret, Section::Store,
        "password; other users can see a flag, so prefer the file or the environment").may_be_empty();
    FILE = setting("file", Kind::Paths, Section::Store,
        "YAML, JSON or TOML file with keys, or a folder of them; may be repeated");
    FILTER = setting("filter", Kind::Text, Section::Store, "which files of such a folder to read").default("*");

    BACKEND_TIMEOUT = setting("backend-timeout", Kind::Duration, Section::Time,
        "total time after which --onetime gives up on the store").default("30s");
    PREFLIGHT_TIMEOUT = setting("preflight-timeout", Kind::Duration, Section::Time,
        "how long --preflight may take in total").default("10s");
    DIAL_TIMEOUT = setting("dial-timeout", Kind::Duration, Section::Time, "how long one connection attempt may take")
        .default("5s");
    REQUEST_TIMEOUT = setting("request-timeout", Kind::Duration, Section::Time, "how long one request may take")
        .default("5s");
    CHECK_CMD_TIMEOUT = setting("check-cmd-timeout", Kind::Duration, Section::Time,
        "how long a check_cmd may take; 0s: no limit").default("30s");
    RELOAD_CMD_TIMEOUT = setting("reload-cmd-timeout", Kind::Duration, Section::Time,
        "how long a reload_cmd may take; 0s: no limit").default("60s");
    SHUTDOWN_TIMEOUT = setting("shutdown-timeout", Kind::Duration, Section::Time,
        "how long a running transaction may take after SIGTERM").default("30s");
    STOP_TIMEOUT = setting("stop-timeout", Kind::Duration, Section::Time,
        "how long the supervised command (behind --) may take to end after its signal; then it is killed").default("30s");
    DEBOUNCE = setting("debounce", Kind::Duration, Section::Time,
        "quiet time to wait for after a change; by default 0s for the first change, then 100ms");
    WATCH_ERROR_BACKOFF = setting("watch-error-backoff", Kind::Duration, Section::Time,
        "pause after the store failed; by default it grows with each failure");

    NGINX_BINARY = setting("nginx-binary", Kind::Path, Section::Nginx, "the nginx program").default("nginx");
    NGINX_CONF = setting("nginx-conf", Kind::Path, Section::Nginx, "nginx's main file; by default the one it was built with");
    NGINX_PID_FILE = setting("nginx-pid-file", Kind::Path, Section::Nginx, "nginx's pid file; by default as nginx is configured");
    NGINX_ERROR_LOG = setting("nginx-error-log", Kind::Path, Section::Nginx, "nginx's error log; by default as nginx is configured");

    LOG_LEVEL = setting("log-level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace", "warning", "fatal", "panic"]), Section::Log,
        "lowest severity to log; fatal and panic mean error").default("info");
    LOG_FORMAT = setting("log-format", Kind::Choice(&["text", "json"]), Section::Log, "format of the log").default("text");

    METRICS_ADDR = setting("metrics-addr", Kind::Text, Section::Log,
        "serve /health, /ready, /ready/detailed, /applied and /metrics on this host:port, or :port, while watching")
        .may_be_empty();

    TEMPLATE_CACHE = without_effect("template-cache", Kind::Switch, "templates are read again when they change");
    NO_TEMPLATE_CACHE = without_effect("no-template-cache", Kind::Switch, "templates are read again when they change");
    STAT_CACHE_TTL = without_effect("stat-cache-ttl", Kind::Duration, "templates are read again when they change");
    BATCH_INTERVAL = without_effect("batch-interval", Kind::Duration,
        "resources that share their commands are applied together anyway");
    READ_TIMEOUT = without_effect("read-timeout", Kind::Duration, "it is for redis");
    WRITE_TIMEOUT = without_effect("write-timeout", Kind::Duration, "it is for redis");
    RETRY_MAX_ATTEMPTS = without_effect("retry-max-attempts", Kind::Count, "the store is retried until it answers");
    RETRY_BASE_DELAY = without_effect("retry-base-delay", Kind::Duration, "the store is retried until it answers");
    RETRY_MAX_DELAY = without_effect("retry-max-delay", Kind::Duration, "the store is retried until it answers");
    SYSTEMD_NOTIFY = without_effect("systemd-notify", Kind::Switch, "systemd itself says whether it wants notifications");
    WATCHDOG_INTERVAL = without_effect("watchdog-interval", Kind::Duration, "systemd itself says how often");
    AUTH_TOKEN = without_effect("auth-token", Kind::Secret, "it is for vault");
    AUTH_TYPE = without_effect("auth-type", Kind::Text, "it is for vault");
    APP_ID = without_effect("app-id", Kind::Text, "it is for vault");
    USER_ID = without_effect("user-id", Kind::Text, "it is for vault");
    ROLE_ID = without_effect("role-id", Kind::Text, "it is for vault");
    SECRET_ID = without_effect("secret-id", Kind::Secret, "it is for vault");
    PATH = without_effect("path", Kind::Text, "it is for vault");
    TABLE = without_effect("table", Kind::Text, "it is for dynamodb");
    SEPARATOR = without_effect("separator", Kind::Text, "it is for redis");
    SECRET_KEYRING = without_effect("secret-keyring", Kind::Path, "values are taken as they are");
    ACM_EXPORT_PRIVATE_KEY = without_effect("acm-export-private-key", Kind::Switch, "it is for acm");
    SECRETSMANAGER_VERSION_STAGE =
        without_effect("secretsmanager-version-stage", Kind::Text, "it is for secretsmanager");
    SECRETSMANAGER_NO_FLATTEN = without_effect("secretsmanager-no-flatten", Kind::Switch, "it is for secretsmanager");
    IMDS_CACHE_TTL = without_effect("imds-cache-ttl", Kind::Duration, "it is for imds");
}
