//! A template resource after validation, and the name of a resource or instance.
//! Everything here is already checked: code downstream never checks it again.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::endpoints::EndpointsChoice;
use super::for_each::ForEach;
use super::generation::GenerationServer;
use super::guard::Guard;
use super::needs::Needs;
use super::range::KeyRanges;
use super::store::StoreSettings;

/// One `[template]` table of conf.d, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Name of the resource in conf.d, or of one of its instances.
    pub id: InstanceId,
    /// Path of the TOML file, for messages.
    pub file: PathBuf,
    /// Template name below the templates folder.
    pub src: Arc<str>,
    /// The store with its keys; `None` for the agent's store.
    pub backend: Option<Arc<StoreSettings>>,
    /// Whether that store is the environment.
    pub from_environment: bool,
    /// Language of the template.
    pub engine: Engine,
    /// The file to keep in sync; with `for_each`, the pattern of its files as written.
    pub dest: PathBuf,
    /// Prefix removed from store keys before templates see them; `""` or `/a/b` without a trailing slash.
    pub prefix: Arc<str>,
    /// Prefix that the other `--prefix-mode` would give; `None` if it is the same.
    pub other_prefix: Option<Arc<str>>,
    /// Store keys (prefix included) that the resource sees.
    pub ranges: KeyRanges,
    /// The `keys` as written, cleaned, without the prefix, for messages.
    pub keys: Vec<String>,
    /// How `dest` is written.
    pub target: Target,
    /// Command to run before install; `None` if the resource has no check or `-sync-only` is set.
    pub check: Option<CommandLine>,
    /// Reload to do after install.
    pub reload: Option<Reload>,
    /// Proof that a reload of nginx needs.
    pub verify: Verify,
    /// How changes of the backends that `servers()` prints reach nginx.
    pub endpoints: EndpointsChoice,
    /// Endpoint at which nginx answers with the generation of `dest`, as a further proof.
    pub generation: Option<GenerationServer>,
    /// Limits on how often a reload may happen.
    pub pace: Pace,
    /// Syntax that the rendered bytes must parse as.
    pub output_format: Option<OutputFormat>,
    /// Restriction on the text a template may print from the store.
    pub escape: Escape,
    /// Fate of the new file after a failed reload.
    pub on_reload_failure: OnReloadFailure,
    /// Rule for lost backends.
    pub guard: Guard,
    /// Keys that the resource requires or waits for.
    pub needs: Needs,
    /// One file for each name in the store; `None` on the instances that a pass expands it to.
    pub for_each: Option<ForEach>,
}

/// A resource of conf.d, or one instance of a resource with `for_each`. Prints for people: `app.toml`, `app.toml[web]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The TOML file's path below conf.d (`app.toml`, `sub/app.toml`).
    pub resource: Arc<str>,
    /// The instance's name in the store, as templates see it; `None` for the resource itself.
    pub item: Option<Arc<str>>,
}

impl InstanceId {
    /// Returns the id of a resource, not of an instance.
    pub fn whole(resource: &Arc<str>) -> InstanceId {
        InstanceId { resource: Arc::clone(resource), item: None }
    }
}

impl From<&str> for InstanceId {
    fn from(resource: &str) -> InstanceId {
        InstanceId { resource: Arc::from(resource), item: None }
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.item {
            None => f.write_str(&self.resource),
            Some(item) => write!(f, "{}[{}]", self.resource, item.escape_debug()),
        }
    }
}

impl Resource {
    /// Returns the name of the resource in conf.d, also for an instance.
    pub fn name(&self) -> &Arc<str> {
        &self.id.resource
    }

    /// Returns whether its check or its reload names a file, so that the file's name is part of a shell's text.
    pub fn commands_name_a_file(&self) -> bool {
        let reload = self.reload.as_ref().and_then(Reload::command);
        self.check.iter().chain(reload).any(CommandLine::names_a_file)
    }

    /// Returns the instance for one name in the store.
    pub fn instance(&self, name: &str, dest: PathBuf) -> Resource {
        let id = InstanceId { item: Some(Arc::from(name)), ..self.id.clone() };
        // `require` and `wait_for` are checked once for all instances.
        Resource { id, dest, for_each: None, needs: Needs::default(), ..self.clone() }
    }
}

/// Attributes of a file: its owner and mode, and what may be in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Owner. Default: the existing file's, or the agent's user.
    pub owner: Option<Identity>,
    /// Group. Default: the existing file's, or the agent's group.
    pub group: Option<Identity>,
    /// Permission bits (at most 0o7777). Default: the existing file's without its set-uid, set-gid and sticky bits, or 0644.
    pub mode: Option<u32>,
    /// Whether missing parent folders are created.
    pub make_dirs: bool,
    /// Whether an instance of a `for_each` may replace a file that upstreamd has not written.
    pub adopt_existing: bool,
    /// Whether its content is secret: the status never shows what changed in it.
    pub is_secret: bool,
}

/// A user or group, by name or number; names are resolved when the file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A name in /etc/passwd or /etc/group.
    Name(String),
    /// A numeric id.
    Id(u32),
}

/// A template language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Tera 2.
    Tera,
    /// Go text/template, as in confd.
    Go,
}

/// A check or reload command: shell text in which `{{.src}}`, `{{src}}`, `{{.dest}}`, `{{dest}}` stand for paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandLine {
    /// Text as written in the TOML; resources with equal text share a group.
    pub text: String,
    /// The text, split at its placeholders.
    pub parts: Vec<CommandPart>,
    /// Deadline for the command; `None` means no deadline.
    pub timeout: Option<Duration>,
}

/// A piece of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandPart {
    /// Shell text.
    Literal(String),
    /// The staged file during the check, the installed file after that.
    Src,
    /// The destination.
    Dest,
}

impl CommandLine {
    /// Returns whether the text names the staged file, so that the file can be checked alone and before install.
    pub fn names_src(&self) -> bool {
        self.parts.contains(&CommandPart::Src)
    }

    /// Returns whether the command contains the word nginx, as in `/usr/sbin/nginx -t`.
    pub fn mentions_nginx(&self) -> bool {
        mentions_nginx(&self.text)
    }

    /// Returns whether the text names a file, so that the command must run once for each file.
    pub fn names_a_file(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, CommandPart::Literal(_)))
    }
}

/// The way to make a program read its files again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reload {
    /// `reload_cmd`.
    Command(CommandLine),
    /// `reload = "nginx"`: SIGHUP to the master in the pid file.
    Nginx,
}

impl Reload {
    /// Returns whether it reloads nginx.
    pub fn mentions_nginx(&self) -> bool {
        self.command().is_none_or(CommandLine::mentions_nginx)
    }

    /// Returns the command, if it is one.
    pub fn command(&self) -> Option<&CommandLine> {
        match self {
            Reload::Command(command) => Some(command),
            Reload::Nginx => None,
        }
    }
}

/// `verify`: the proof that a reload of nginx needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Its master, workers and error log, as far as they are visible.
    #[default]
    Auto,
    /// The exit code of the reload command alone.
    Off,
}

/// Limits on reloads, for a resource with a reload command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Quiet time after a change before it is acted on. Default: 100 ms.
    pub debounce: Duration,
    /// Whether `debounce` is set explicitly: it then also delays the first change of a burst.
    pub debounce_first: bool,
    /// Longest delay of a change by `debounce`. Default: 1 s, or ten times an explicit debounce.
    pub debounce_max: Duration,
    /// Shortest time between two reloads; an earlier one is deferred. Default: 1 s.
    pub min_reload_interval: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            debounce: Duration::from_millis(100),
            debounce_first: false,
            debounce_max: Duration::from_secs(1),
            min_reload_interval: Duration::from_secs(1),
        }
    }
}

/// `output_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
    /// XML.
    Xml,
    /// nginx configuration; not parsed, but `escape` defaults to nginx.
    Nginx,
}

/// `escape`: the restriction on text that a template prints from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Escape {
    /// No restriction.
    None,
    /// Only what is harmless anywhere in an nginx file.
    Nginx,
}

/// `on_reload_failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReloadFailure {
    /// Roll back if nginx (or whatever is reloaded) runs; otherwise keep the file and owe the reload.
    #[default]
    Auto,
    /// Always restore the previous file.
    Rollback,
    /// Always keep the checked file and owe the reload.
    Keep,
}

fn mentions_nginx(command: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    command.match_indices("nginx").any(|(start, word)| {
        let before = command[..start].chars().next_back();
        let after = command[start + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_is_recognised_as_a_word() {
        for command in ["nginx -t", "/usr/sbin/nginx -t", "service nginx reload", "systemctl reload nginx.service"] {
            assert!(mentions_nginx(command), "{command}");
        }
        for command in ["", "nginxctl", "mynginx reload", "nginx-ctl reload", "true"] {
            assert!(!mentions_nginx(command), "{command}");
        }
    }

    #[test]
    fn an_id_prints_as_people_name_the_file() {
        for (resource, item, expected) in [
            ("a.toml", None, "a.toml"),
            ("a.toml", Some("x"), "a.toml[x]"),
            ("a[1].toml", None, "a[1].toml"),
            ("a[1].toml", Some("x[2].toml"), "a[1].toml[x[2].toml]"),
            ("a.toml", Some("x\n"), "a.toml[x\\n]"),
        ] {
            let id = InstanceId { item: item.map(Arc::from), ..InstanceId::from(resource) };
            assert_eq!(id.to_string(), expected);
        }
    }
}
