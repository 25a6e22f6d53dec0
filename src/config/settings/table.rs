//! The table of settings: each is defined once, here. Its flag, its environment variables, its names in `upstreamd.toml`,
//! its line of help and its row in `docs/settings.md` are made from it.
//! Never says what a value means; the sibling modules do.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of the flag, without dashes: `check-cmd-timeout`.
    pub name: &'static str,
    /// One-letter flag.
    pub short: Option<char>,
    /// Kind of its values.
    pub kind: SettingKind,
    /// Default as people would write it, if there is one.
    pub default: Option<&'static str>,
    /// Section of the help.
    pub section: Section,
    /// Description for the help, a phrase.
    pub help: &'static str,
    /// Further names in the file and, in upper case, in the environment (the first is the flag's with `_` for `-`).
    pub also: &'static [&'static str],
    /// Whether an empty text is a value and does not ask for the default.
    pub may_be_empty: bool,
    /// Effect of the setting.
    pub effect: Effect,
}

/// The kind of a setting's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
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

/// A section of help and documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Task and mode.
    Run,
    /// Store and keys.
    Store,
    /// Time limits.
    Time,
    /// The nginx for checks.
    Nginx,
    /// Names of the store.
    Names,
    /// Log.
    Log,
    /// Flags of confd that this program does not need.
    Confd,
}

/// The effect of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It has an effect.
    Works,
    /// It is accepted with a warning, for this reason.
    Nothing(&'static str),
}

impl Section {
    /// All sections, in order.
    pub const ALL: [Section; 7] =
        [Section::Run, Section::Store, Section::Time, Section::Nginx, Section::Names, Section::Log, Section::Confd];

    /// Returns the heading.
    pub fn title(self) -> &'static str {
        match self {
            Section::Run => "What to do",
            Section::Store => "Store",
            Section::Time => "Times",
            Section::Nginx => "nginx",
            Section::Names => "Names by DNS",
            Section::Log => "Log and status",
            Section::Confd => "Accepted for compatibility with confd, without effect",
        }
    }
}

impl SettingKind {
    /// Returns the placeholder for a value in the help.
    pub fn value_name(self) -> &'static str {
        match self {
            SettingKind::Switch => "BOOL",
            SettingKind::Text | SettingKind::Secret | SettingKind::Texts => "TEXT",
            SettingKind::Path | SettingKind::Paths => "PATH",
            SettingKind::Seconds => "DURATION",
            SettingKind::Duration => "DURATION",
            SettingKind::Count => "N",
            SettingKind::Choice(_) | SettingKind::OptionalChoice(_) => "WORD",
        }
    }

    /// Returns whether several values may be given.
    pub fn is_list(self) -> bool {
        matches!(self, SettingKind::Texts | SettingKind::Paths)
    }

    /// Returns the value of a flag without a value; `None` if it needs one.
    pub fn alone(self) -> Option<&'static str> {
        match self {
            SettingKind::Switch => Some("true"),
            SettingKind::OptionalChoice(words) => words.first().copied(),
            _ => None,
        }
    }
}

impl Setting {
    /// Returns its names in the file, in which `_` and `-` are the same; `nginx.…` are in the table `[nginx]`.
    pub fn file_names(&self) -> Vec<String> {
        let own = self.name.replace('-', "_");
        let own = match self.section {
            Section::Nginx => own.replacen("nginx_", "nginx.", 1),
            _ => own,
        };
        std::iter::once(own).chain(self.also.iter().map(|name| (*name).to_owned())).collect()
    }

    /// Returns its environment variables, in order of precedence.
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

/// Returns whether an environment variable is one of ours. confd's prefix may also stand before what is somebody else's.
pub fn is_own_variable(name: &str) -> bool {
    let is_known = || ALL.iter().any(|setting| setting.environment_names().iter().any(|known| known == name));
    name.starts_with("UPSTREAMD_") || (name.starts_with("CONFD_") && is_known())
}

const fn setting(name: &'static str, kind: SettingKind, section: Section, help: &'static str) -> Setting {
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

const fn without_effect(name: &'static str, kind: SettingKind, reason: &'static str) -> Setting {
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

/// Defines each setting and lists them all, so that the list is complete.
macro_rules! settings {
    ($($id:ident = $setting:expr;)*) => {
        $(#[doc = concat!("The setting `", stringify!($id), "`.")] pub static $id: Setting = $setting;)*
        /// Every setting, in the order of the help.
        pub static ALL: &[&Setting] = &[$(&$id),*];
    };
}

settings! {
    ONETIME = setting("onetime", SettingKind::Switch, Section::Run, "do everything once and exit; wins over --watch")
        .default("false");
    WATCH = setting("watch", SettingKind::Switch, Section::Run, "follow the store and act on every change").default("false");
    INTERVAL = setting("interval", SettingKind::Seconds, Section::Run,
        "polling interval without --watch; with --watch, also check everything again this often (off unless set); a number \
         alone is seconds")
        .default("600");
    CONFDIR = setting("confdir", SettingKind::Paths, Section::Run,
        "folder that holds conf.d and templates; may be repeated; /etc/confd if only that exists")
        .default("/etc/upstreamd");
    CONFIG_FILE = setting("config-file", SettingKind::Path, Section::Run,
        "settings file; by default upstreamd.toml or confd.toml in a confdir that is given as a flag or variable, else \
         /etc/upstreamd/upstreamd.toml, else /etc/confd/confd.toml");
    RESOURCE = setting("resource", SettingKind::Text, Section::Run, "only this file of conf.d");
    PREFIX = setting("prefix", SettingKind::Text, Section::Run, "put in front of all keys; templates do not see it")
        .may_be_empty();
    PREFIX_MODE = setting("prefix-mode", SettingKind::Choice(&["concatenate", "replace"]), Section::Run,
        "whether --prefix comes before a resource's own prefix (as in the newer confd) or instead of it (as in the older)")
        .default("concatenate");
    ENGINE = setting("engine", SettingKind::Choice(&["tera", "go"]), Section::Run,
        "language of templates whose resources set no engine; by default Tera if the name ends in .tera, otherwise Go");
    NOOP = setting("noop", SettingKind::Switch, Section::Run,
        "change nothing, report which files would change, once; with --watch, after every change").default("false");
    DIFF = setting("diff", SettingKind::Switch, Section::Run, "with --noop: also show the differences, as the subcommand diff does")
        .default("false");
    DIFF_CONTEXT = setting("diff-context", SettingKind::Count, Section::Run, "lines around each change in a difference")
        .default("3");
    COLOR = setting("color", SettingKind::OptionalChoice(&["always", "auto", "never"]), Section::Run,
        "whether differences are coloured; auto: only on a terminal").default("auto");
    SYNC_ONLY = setting("sync-only", SettingKind::Switch, Section::Run, "run no check_cmd and no reload_cmd").default("false");
    KEEP_STAGE_FILE = setting("keep-stage-file", SettingKind::Switch, Section::Run, "keep staged files for inspection")
        .default("false");
    STATE_DIR = setting("state-dir", SettingKind::Path, Section::Run,
        "folder of the journal and the lock; each daemon needs its own; empty turns it off; by default /var/lib/upstreamd, \
         else $XDG_STATE_HOME/upstreamd, else no folder").may_be_empty();
    RECEIPTS = setting("receipts", SettingKind::Switch, Section::Run,
        "record in etcd, below /upstreamd/agents, which changes are applied and drained").default("false");
    AGENT_ID = setting("agent-id", SettingKind::Text, Section::Run,
        "this agent's name in its receipt; by default the host's name");
    FAILURE_MODE = setting("failure-mode", SettingKind::Choice(&["best-effort", "fail-fast"]), Section::Run,
        "with --onetime: whether the first failure ends the pass, with resources in the order of their files; \
         a broken file in conf.d counts as a failure").default("best-effort");
    CHECK_CONFIG = setting("check-config", SettingKind::Switch, Section::Run,
        "like the subcommand check, and every destination's folder must exist, unless make_dirs creates it").default("false");
    VALIDATE = setting("validate", SettingKind::Switch, Section::Run, "like the subcommand check; see --mock-data").default("false");
    MOCK_DATA = setting("mock-data", SettingKind::Path, Section::Run,
        "with check or --validate: JSON object to render templates with, as dot (Tera: as variables); the store is then empty, \
         and a missing key is an empty text");
    PREFLIGHT = setting("preflight", SettingKind::Switch, Section::Run,
        "ask the store for its health, load everything, count the keys of each resource, and exit; a resource without keys is a warning")
        .default("false");

    BACKEND = setting("backend", SettingKind::Choice(&["etcd", "etcdv3", "file", "env"]), Section::Store,
        "the kind of store; also as a subcommand: upstreamd etcd --watch").default("etcd");
    NODE = setting("node", SettingKind::Texts, Section::Store,
        "etcd endpoint, host:port or URL; may be repeated, and each process tries them in a random order; by default 127.0.0.1:2379").short('n').also(&["nodes"]);
    SRV_DOMAIN = setting("srv-domain", SettingKind::Text, Section::Store, "domain whose SRV records name the endpoints");
    SRV_RECORD = setting("srv-record", SettingKind::Text, Section::Store,
        "the SRV record to look up, instead of those that etcd and confd use");
    SCHEME = setting("scheme", SettingKind::Choice(&["http", "https"]), Section::Store,
        "scheme of endpoints that name none; by default https if certificates are given, otherwise http");
    CLIENT_CERT = setting("client-cert", SettingKind::Path, Section::Store, "client certificate (PEM)");
    CLIENT_KEY = setting("client-key", SettingKind::Path, Section::Store, "key of the client certificate (PEM)");
    CLIENT_CA_KEYS = setting("client-ca-keys", SettingKind::Path, Section::Store,
        "CA certificates (PEM), or the server's own, instead of the system's").also(&["client_cakeys"]);
    CLIENT_INSECURE = setting("client-insecure", SettingKind::Switch, Section::Store, "accept any server certificate")
        .default("false");
    BASIC_AUTH = setting("basic-auth", SettingKind::Switch, Section::Store,
        "log in with user name and password; on if there is a user name, false forbids it");
    USERNAME = setting("username", SettingKind::Text, Section::Store, "user name");
    PASSWORD = setting("password", SettingKind::Secret, Section::Store,
        "password; other users can see a flag, so prefer the file or the environment").may_be_empty();
    INSECURE_LOGIN = setting("insecure-login", SettingKind::Switch, Section::Store,
        "log in without TLS too, so that anybody on the way can read the password; localhost needs no permission").default("false");
    FILE = setting("file", SettingKind::Paths, Section::Store,
        "YAML, JSON or TOML file with keys, or a folder of them; may be repeated");
    FILTER = setting("filter", SettingKind::Text, Section::Store, "which files of such a folder to read").default("*");
    MAX_STORE_KEYS = setting("max-store-keys", SettingKind::Count, Section::Store,
        "most keys that are read from a store; with more, it counts as lost and every file stays as it is").default("1000000");
    MAX_STORE_MIB = setting("max-store-mib", SettingKind::Count, Section::Store,
        "most MiB of keys and values that are kept of a store; with more, it counts as lost").default("256");
    MAX_VALUE_MIB = setting("max-value-mib", SettingKind::Count, Section::Store,
        "most MiB of one value; a larger one is not kept, and only resources that read it fail").default("2");

    BACKEND_TIMEOUT = setting("backend-timeout", SettingKind::Duration, Section::Time,
        "total time after which --onetime gives up on the store").default("30s");
    PREFLIGHT_TIMEOUT = setting("preflight-timeout", SettingKind::Duration, Section::Time,
        "how long --preflight may take in total").default("10s");
    DIAL_TIMEOUT = setting("dial-timeout", SettingKind::Duration, Section::Time, "how long one connection attempt may take")
        .default("5s");
    REQUEST_TIMEOUT = setting("request-timeout", SettingKind::Duration, Section::Time, "how long one request may take")
        .default("5s");
    CHECK_CMD_TIMEOUT = setting("check-cmd-timeout", SettingKind::Duration, Section::Time,
        "how long a check_cmd may take; 0s: no limit").default("30s");
    RELOAD_CMD_TIMEOUT = setting("reload-cmd-timeout", SettingKind::Duration, Section::Time,
        "how long a reload_cmd may take; 0s: no limit").default("60s");
    RENDER_TIMEOUT = setting("render-timeout", SettingKind::Duration, Section::Time,
        "how long the render of one file may take, its look-ups of names included, and the check of its output_format too; 0s: no limit").default("10s");
    SHUTDOWN_TIMEOUT = setting("shutdown-timeout", SettingKind::Duration, Section::Time,
        "how long a running transaction may take after SIGTERM").default("30s");
    STOP_TIMEOUT = setting("stop-timeout", SettingKind::Duration, Section::Time,
        "how long the supervised command (after --) may take to end after its signal; then it is killed").default("30s");
    DEBOUNCE = setting("debounce", SettingKind::Duration, Section::Time,
        "quiet time to wait for after a change; by default 0s for the first change, then 100ms");
    WATCH_ERROR_BACKOFF = setting("watch-error-backoff", SettingKind::Duration, Section::Time,
        "longest pause before etcd is tried again; pauses start below 100ms and double, but the one after the loss of a working connection is up to 2s").default("10s");

    ENDPOINTS = setting("endpoints", SettingKind::Choice(&["auto", "dns", "reload"]), Section::Nginx,
        "how changes of backends reach nginx: dns answers nginx's own questions, reload reloads it, auto is dns if nginx can").default("auto");
    ENDPOINTS_LISTEN = setting("endpoints-listen", SettingKind::Texts, Section::Nginx,
        "where to answer nginx's questions, ADDRESS:PORT; a port below 1024 cannot be taken by other users while the agent is away")
        .default("127.0.0.153:53");

    NGINX_BINARY = setting("nginx-binary", SettingKind::Path, Section::Nginx, "the nginx program").default("nginx");
    NGINX_CONF = setting("nginx-conf", SettingKind::Path, Section::Nginx, "nginx's main file; by default the one it was built with");
    NGINX_PID_FILE = setting("nginx-pid-file", SettingKind::Path, Section::Nginx, "nginx's pid file; by default as nginx is configured");
    NGINX_ERROR_LOG = setting("nginx-error-log", SettingKind::Path, Section::Nginx, "nginx's error log; by default as nginx is configured");

    DNS_DOMAIN = setting("dns-domain", SettingKind::Text, Section::Names,
        "answer questions for names in this domain, from SkyDNS's records below /skydns; off unless set");
    DNS_SERVICES_DOMAIN = setting("dns-services-domain", SettingKind::Text, Section::Names,
        "answer questions for names in this domain, from the backends below /services: NAME and ID.NAME; off unless set");
    DNS_LISTEN = setting("dns-listen", SettingKind::Texts, Section::Names,
        "where to answer these questions, ADDRESS:PORT; may be repeated; whoever reaches it may ask");
    DNS_FORWARD = setting("dns-forward", SettingKind::Texts, Section::Names,
        "name server for all other names, ADDRESS or ADDRESS:PORT; may be repeated; by default those of /etc/resolv.conf; empty: other \
         names are refused").may_be_empty();

    LOG_LEVEL = setting("log-level",
        SettingKind::Choice(&["error", "warn", "info", "debug", "trace", "warning", "fatal", "panic"]), Section::Log,
        "lowest severity to log; fatal and panic mean error").default("info");
    LOG_FORMAT = setting("log-format", SettingKind::Choice(&["text", "json"]), Section::Log, "format of the log").default("text");

    METRICS_ADDR = setting("metrics-addr", SettingKind::Text, Section::Log,
        "serve the status page, /health, /ready, /ready/detailed, /applied and /metrics on this host:port, or :port, while watching")
        .may_be_empty();

    STATUS_ADDR = setting("status-addr", SettingKind::Text, Section::Log,
        "serve the status page and everything of --metrics-addr on this host:port, or :port, too, while watching").may_be_empty();

    TEMPLATE_CACHE = without_effect("template-cache", SettingKind::Switch, "templates are read again when they change");
    NO_TEMPLATE_CACHE = without_effect("no-template-cache", SettingKind::Switch, "templates are read again when they change");
    STAT_CACHE_TTL = without_effect("stat-cache-ttl", SettingKind::Duration, "templates are read again when they change");
    BATCH_INTERVAL = without_effect("batch-interval", SettingKind::Duration,
        "resources that share their commands are applied together anyway");
    READ_TIMEOUT = without_effect("read-timeout", SettingKind::Duration, "it is for redis");
    WRITE_TIMEOUT = without_effect("write-timeout", SettingKind::Duration, "it is for redis");
    RETRY_MAX_ATTEMPTS = without_effect("retry-max-attempts", SettingKind::Count, "the store is retried until it answers");
    RETRY_BASE_DELAY = without_effect("retry-base-delay", SettingKind::Duration, "the store is retried until it answers");
    RETRY_MAX_DELAY = without_effect("retry-max-delay", SettingKind::Duration, "the store is retried until it answers");
    SYSTEMD_NOTIFY = without_effect("systemd-notify", SettingKind::Switch, "systemd itself says whether it wants notifications");
    WATCHDOG_INTERVAL = without_effect("watchdog-interval", SettingKind::Duration, "systemd itself says how often");
    AUTH_TOKEN = without_effect("auth-token", SettingKind::Secret, "it is for vault");
    AUTH_TYPE = without_effect("auth-type", SettingKind::Text, "it is for vault");
    APP_ID = without_effect("app-id", SettingKind::Text, "it is for vault");
    USER_ID = without_effect("user-id", SettingKind::Text, "it is for vault");
    ROLE_ID = without_effect("role-id", SettingKind::Text, "it is for vault");
    SECRET_ID = without_effect("secret-id", SettingKind::Secret, "it is for vault");
    PATH = without_effect("path", SettingKind::Text, "it is for vault");
    TABLE = without_effect("table", SettingKind::Text, "it is for dynamodb");
    SEPARATOR = without_effect("separator", SettingKind::Text, "it is for redis");
    SECRET_KEYRING = without_effect("secret-keyring", SettingKind::Path, "values are taken as they are");
    ACM_EXPORT_PRIVATE_KEY = without_effect("acm-export-private-key", SettingKind::Switch, "it is for acm");
    SECRETSMANAGER_VERSION_STAGE =
        without_effect("secretsmanager-version-stage", SettingKind::Text, "it is for secretsmanager");
    SECRETSMANAGER_NO_FLATTEN = without_effect("secretsmanager-no-flatten", SettingKind::Switch, "it is for secretsmanager");
    IMDS_CACHE_TTL = without_effect("imds-cache-ttl", SettingKind::Duration, "it is for imds");
}
