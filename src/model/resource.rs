//! A template resource after validation, and the group of resources that share their commands.
//! Everything here is already checked: code downstream re-checks nothing.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::for_each::ForEach;
use super::generation::Endpoint;
use super::guard::Guard;
use super::needs::Needs;
use super::range::KeyRanges;
use super::store::StoreSettings;

/// One `[template]` table of conf.d, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Which resource of conf.d this is, or which instance of one.
    pub id: InstanceId,
    /// The TOML file itself, for messages.
    pub file: PathBuf,
    /// Template name below the templates folder.
    pub src: Arc<str>,
    /// The store that its keys are in, where it has one of its own.
    pub backend: Option<Arc<StoreSettings>>,
    /// Which language the template is in.
    pub engine: Engine,
    /// The file to keep true; with `for_each`, the pattern of its files as written.
    pub dest: PathBuf,
    /// Taken off store keys before templates see them; `""` or `/a/b` without a trailing slash.
    pub prefix: Arc<str>,
    /// Store keys (prefix included) that the resource sees.
    pub ranges: KeyRanges,
    /// The `keys` as written, cleaned, prefix not included: for messages.
    pub keys: Vec<String>,
    /// Owner of `dest`; unset keeps the existing file's, else the agent's own.
    pub owner: Option<Identity>,
    /// Group of `dest`; unset keeps the existing file's, else the agent's own.
    pub group: Option<Identity>,
    /// Permission bits of `dest` (at most 0o7777); unset keeps the existing file's, else 0644.
    pub mode: Option<u32>,
    /// Runs before install; `None` where the resource has none (or `-sync-only` switched it off).
    pub check: Option<CommandLine>,
    /// Runs after install.
    pub reload: Option<Reload>,
    /// How a reload of nginx is proven.
    pub verify: Verify,
    /// Where nginx answers with the generation of `dest` that it serves, as a further proof.
    pub generation: Option<Endpoint>,
    /// How often a reload may happen.
    pub pace: Pace,
    /// Syntax that the rendered bytes must parse as.
    pub output_format: Option<OutputFormat>,
    /// What may be printed from the store.
    pub escape: Escape,
    /// Create missing parent folders of `dest`.
    pub make_dirs: bool,
    /// What a failed reload does to the new file.
    pub on_reload_failure: OnReloadFailure,
    /// What lost backends do.
    pub guard: Guard,
    /// Keys that it cannot do without.
    pub needs: Needs,
    /// One file for each name in the store; `None` on the instances that a pass makes of such a resource.
    pub for_each: Option<ForEach>,
}

/// A resource of conf.d, or one instance of a resource with `for_each`. Prints as people name it: `app.toml`, `app.toml[web]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The TOML file's path below conf.d (`app.toml`, `sub/app.toml`).
    pub resource: Arc<str>,
    /// The name in the store that the instance is for, as templates see it; `None` for the resource itself.
    pub item: Option<Arc<str>>,
}

impl InstanceId {
    /// Returns the id of a resource of conf.d itself.
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
    /// Returns the name of the resource of conf.d that this is, or is an instance of.
    pub fn name(&self) -> &Arc<str> {
        &self.id.resource
    }

    /// Returns the instance for one name in the store.
    pub fn instance(&self, name: &str, dest: PathBuf) -> Resource {
        let id = InstanceId { item: Some(Arc::from(name)), ..self.id.clone() };
        // `require` and `wait_for` are asked once, for all instances.
        Resource { id, dest, for_each: None, needs: Needs::default(), ..self.clone() }
    }
}

/// A user or group, by name or number; names are resolved when the file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A name of /etc/passwd or /etc/group.
    Name(String),
    /// A numeric id.
    Id(u32),
}

/// A template language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Tera 2.
    Tera,
    /// Go text/template, as confd's.
    Go,
}

/// A check or reload command: shell text in which `{{.src}}`, `{{src}}`, `{{.dest}}`, `{{dest}}` stand for paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandLine {
    /// As written in the TOML; two resources with equal text share a group.
    pub text: String,
    /// The text cut at its placeholders.
    pub parts: Vec<CommandPart>,
    /// How long the command may take; `None` is for ever.
    pub timeout: Option<Duration>,
}

/// A piece of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandPart {
    /// Shell text.
    Literal(String),
    /// The staged file while checking, the installed file after that.
    Src,
    /// The destination.
    Dest,
}

impl CommandLine {
    /// Whether the text names the staged file, so that it can be judged alone and before install.
    pub fn names_src(&self) -> bool {
        self.parts.contains(&CommandPart::Src)
    }

    /// Whether the command speaks of nginx: the word stands in it by itself, as in `/usr/sbin/nginx -t`.
    pub fn mentions_nginx(&self) -> bool {
        mentions_nginx(&self.text)
    }

    /// Whether the text names any file, so that it must run once for each.
    pub fn names_a_file(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, CommandPart::Literal(_)))
    }
}

/// What makes a program read its files again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reload {
    /// `reload_cmd`.
    Command(CommandLine),
    /// `reload = "nginx"`: the master that the pid file names gets SIGHUP.
    Nginx,
}

impl Reload {
    /// Whether it is nginx that is reloaded.
    pub fn mentions_nginx(&self) -> bool {
        self.command().is_none_or(CommandLine::mentions_nginx)
    }

    /// The command, where it is one.
    pub fn command(&self) -> Option<&CommandLine> {
        match self {
            Reload::Command(command) => Some(command),
            Reload::Nginx => None,
        }
    }
}

/// `verify`: how a reload of nginx is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// By its master, workers and error log, as far as they are in sight.
    #[default]
    Auto,
    /// By the exit code of the reload command alone.
    Off,
}

/// Limits on reloads, for a resource with a reload command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Quiet time to wait for after a change before acting on it. Default 100 ms.
    pub debounce: Duration,
    /// `debounce` was asked for: it then also delays the first change of a burst.
    pub debounce_first: bool,
    /// The longest that `debounce` may hold a change back. Default 1 s, ten times an explicit debounce.
    pub debounce_max: Duration,
    /// Least time between two reloads; a reload that would be too early is deferred. Default 1 s.
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

/// What a template may print from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Escape {
    /// Anything.
    None,
    /// Only what is harmless anywhere in an nginx file.
    Nginx,
}

/// `on_reload_failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReloadFailure {
    /// Roll back where something runs that could be reloaded, keep and owe the reload where nothing does.
    #[default]
    Auto,
    /// Always put the previous file back.
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
