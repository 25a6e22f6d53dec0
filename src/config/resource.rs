//! Parses one TOML file of conf.d into a resource: its `[template]` table, every field checked.
//! Never looks at the machine: other modules check whether a user, folder or template exists.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::model::endpoints::EndpointsChoice;
use crate::model::generation::GenerationServer;
use crate::model::resource::{Engine, Escape, InstanceId, OnReloadFailure, OutputFormat, Resource, Verify};
use crate::model::store::StoreSettings;

use super::document::{Document, Field, Fields};
use crate::model::path;
use crate::model::problem::{Place, Problem};
use crate::model::store::StoreLimits;
use crate::model::suggest;
use crate::model::text::shown;

use outline::{NamedTemplate, Outline, Reading};

mod backend;
mod commands;
mod for_each;
mod guard;
mod keys;
mod needs;
pub mod outline;
mod target;

#[cfg(test)]
mod tests;

pub use keys::{PrefixMode, clean_prefix};

/// A file of conf.d as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceFile {
    /// Path below conf.d, which is also the resource's name for people.
    pub name: Arc<str>,
    /// Path for messages.
    pub path: PathBuf,
    /// Content.
    pub text: String,
}

impl ResourceFile {
    /// Decodes a file's bytes.
    ///
    /// # Errors
    /// The bytes are not UTF-8.
    pub fn from_bytes(name: Arc<str>, path: PathBuf, bytes: Vec<u8>) -> Result<ResourceFile, Problem> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(ResourceFile { name, path, text }),
            Err(error) => Err(not_utf8(&path, &error)),
        }
    }
}

/// Returns the problem of a file that is not UTF-8, at the first wrong byte.
pub fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Problem {
    let valid = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(&error.as_bytes()[..valid]);
    Problem::new("not UTF-8").at(Place::in_text(path, &text, valid)).hint("TOML files are UTF-8; save the file as that")
}

/// Values for the fields that a resource's file leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The global prefix: `""` or `/a/b`.
    pub prefix: String,
    /// The rule that combines the global prefix and a resource's own.
    pub prefix_mode: PrefixMode,
    /// Limit for a check; `None` is no limit. Default 30 s.
    pub check_cmd_timeout: Option<Duration>,
    /// Limit for a reload; `None` is no limit. Default 60 s.
    pub reload_cmd_timeout: Option<Duration>,
    /// The global `debounce`, if given.
    pub debounce: Option<Duration>,
    /// How changes of backends reach nginx.
    pub endpoints: EndpointsChoice,
    /// Language of the templates; `None` goes by the name of each.
    pub engine: Option<Engine>,
    /// Whether check and reload commands are left out.
    pub sync_only: bool,
    /// Whether the agent's store is the environment.
    pub from_environment: bool,
    /// How much is kept of the store of a `[backend]` table.
    pub limits: StoreLimits,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            prefix: String::new(),
            prefix_mode: PrefixMode::Concatenate,
            check_cmd_timeout: Some(Duration::from_secs(30)),
            reload_cmd_timeout: Some(Duration::from_secs(60)),
            debounce: None,
            endpoints: EndpointsChoice::default(),
            engine: None,
            sync_only: false,
            from_environment: false,
            limits: StoreLimits::default(),
        }
    }
}

/// Checks one file of conf.d.
///
/// # Errors
/// Every problem of the file, in order.
pub fn parse(file: &ResourceFile, defaults: &Defaults) -> Result<Resource, Vec<Problem>> {
    let reading = read(file, defaults);
    reading.placed.map(|placed| placed.resource).ok_or(reading.problems)
}

/// A resource, and the place of its `dest`, which only the whole set can judge.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlacedResource {
    pub(crate) resource: Resource,
    pub(crate) dest: Place,
}

/// Checks one file of conf.d, and returns the names in it even if it is broken.
pub fn read(file: &ResourceFile, defaults: &Defaults) -> Reading {
    let document = Document::parse(&file.path, &file.text);
    let mut top = document.fields();
    if !top.has("template") && document.is_whole() {
        top.refuse(
            Problem::new("there is no [template] table")
                .at(Place::file(&file.path))
                .hint("put a line [template] in front of src, dest and keys"),
        );
    }
    let mut template_problems = Vec::new();
    let mut outline = Outline::default();
    let placed = top.take("template", |field| {
        let mut fields = field.table()?;
        let placed = read_template(file, &mut fields, &field.key_place(), defaults, &mut outline);
        template_problems = fields.finish("field of [template]", |_| None, &format!("known are {}", FIELDS.join(", ")));
        Ok(placed)
    });
    top.refuse_all(template_problems);
    let mut backend_problems = Vec::new();
    let backend = top.take("backend", |field| {
        let mut fields = field.table()?;
        let backend = backend::read(&mut fields, &field.key_place(), defaults.limits);
        let known = format!("known are {}", backend::FIELDS.join(", "));
        backend_problems = fields.finish("field of [backend]", backend::hint, &known);
        Ok(backend)
    });
    top.refuse_all(backend_problems);
    let mut problems = top.finish(
        "table or field outside [template]",
        outside_hint,
        "a file of conf.d holds the tables [template] and [backend]",
    );
    if document.has_broken_header() {
        problems.clear();
    }
    // A value on a line with wrong syntax may be anything.
    outline.src.take_if(|src| document.breaks_at(&src.place));
    outline.accounts.retain(|account| !document.breaks_at(&account.place));
    if let Some(src) = &mut outline.src
        && (document.breaks_field("engine") || document.breaks_field("escape"))
    {
        src.language = None;
    }
    let problems = document.with_syntax_problems(problems);
    let mut placed = placed.flatten().filter(|_| problems.is_empty());
    if let Some(placed) = &mut placed {
        placed.resource.backend = backend.flatten().map(Arc::new);
        placed.resource.from_environment = match placed.resource.backend.as_deref() {
            None => defaults.from_environment,
            Some(own) => *own == StoreSettings::Env,
        };
    }
    Reading { placed, outline, problems }
}

/// Reads the table; `None` if a problem leaves no resource. The names in it are added to `outline` either way.
fn read_template(
    file: &ResourceFile,
    fields: &mut Fields<'_>,
    table: &Place,
    defaults: &Defaults,
    outline: &mut Outline,
) -> Option<PlacedResource> {
    let src_hint = "name the template, as in src = \"app.conf.tera\"";
    let is_engine_given = fields.has("engine");
    let engine = fields.take("engine", |field| choice(field, ENGINES));
    let src = fields.require("src", table, src_hint, |field| source(field, engine.or(defaults.engine)));
    let dest_hint = "name the file to write, as in dest = \"/etc/nginx/conf.d/app.conf\"";
    let dest = fields.require("dest", table, dest_hint, target::destination);
    let target = target::read(fields, &mut outline.accounts);
    let is_given = fields.has("for_each");
    let names = for_each::read(fields);
    let keys = keys::read(fields, defaults, names.as_ref().map(|names| names.source.directory()));
    let output_format = fields.take("output_format", |field| optional_choice(field, OUTPUT_FORMATS)).flatten();
    let commands = commands::read(fields, defaults);
    let verify = fields.take("verify", |field| choice(field, VERIFY));
    let endpoints = fields.take("endpoints", |field| choice(field, ENDPOINTS));
    let generation = fields.take("generation", generation_server);
    let escape = fields.take("escape", |field| choice(field, ESCAPES));
    let on_reload_failure = fields.take("on_reload_failure", |field| choice(field, ON_RELOAD_FAILURE));
    let guard = guard::read(fields);
    let needs = needs::read(fields, keys.as_ref());

    let src = src?;
    let is_nginx = output_format == Some(OutputFormat::Nginx) || commands.mention_nginx;
    let default_escape = if src.engine == Engine::Tera && is_nginx { Escape::Nginx } else { Escape::None };
    let escape = escape.unwrap_or(default_escape);
    let is_engine_known = engine.is_some() || !is_engine_given;
    let language = is_engine_known.then_some((src.engine, escape));
    outline.src = Some(NamedTemplate { name: Arc::clone(&src.name), language, place: src.place });
    let (dest, keys) = (dest?, keys?);
    let for_each = for_each::fit(fields, (is_given, names), &dest, &keys.keys);
    let resource = Resource {
        id: InstanceId::whole(&file.name),
        file: file.path.clone(),
        src: src.name,
        backend: None,
        from_environment: false,
        engine: src.engine,
        dest: dest.path,
        prefix: keys.prefix,
        other_prefix: keys.other_prefix,
        ranges: keys.ranges,
        keys: keys.keys,
        target,
        check: commands.check,
        reload: commands.reload,
        verify: verify.unwrap_or_default(),
        endpoints: endpoints.unwrap_or(defaults.endpoints),
        generation,
        pace: commands.pace,
        output_format,
        escape,
        on_reload_failure: on_reload_failure.unwrap_or_default(),
        guard,
        needs,
        for_each,
    };
    Some(PlacedResource { resource, dest: dest.place })
}

/// Every field of `[template]`.
const FIELDS: &[&str] = &[
    "engine",
    "src",
    "dest",
    "for_each",
    "mode",
    "owner",
    "group",
    "uid",
    "gid",
    "raw_keys",
    "prefix",
    "keys",
    "output_format",
    "check_cmd_timeout",
    "reload_cmd_timeout",
    "check_cmd",
    "reload_cmd",
    "reload",
    "verify",
    "endpoints",
    "generation",
    "debounce",
    "min_reload_interval",
    "escape",
    "make_dirs",
    "adopt_existing",
    "secret",
    "on_reload_failure",
    "on_empty",
    "min_backends",
    "max_drop_percent",
    "max_drop_hold",
    "require",
    "wait_for",
    "wait_timeout",
];

/// The languages of templates by their words.
pub(super) const ENGINES: &[(&str, Engine)] = &[("tera", Engine::Tera), ("go", Engine::Go)];

const ESCAPES: &[(&str, Escape)] = &[("nginx", Escape::Nginx), ("none", Escape::None)];

const VERIFY: &[(&str, Verify)] = &[("auto", Verify::Auto), ("off", Verify::Off)];

/// The ways of endpoints by their words.
pub(super) const ENDPOINTS: &[(&str, EndpointsChoice)] =
    &[("auto", EndpointsChoice::Auto), ("dns", EndpointsChoice::Dns), ("reload", EndpointsChoice::Reload)];

const ON_RELOAD_FAILURE: &[(&str, OnReloadFailure)] =
    &[("auto", OnReloadFailure::Auto), ("rollback", OnReloadFailure::Rollback), ("keep", OnReloadFailure::Keep)];

const OUTPUT_FORMATS: &[(&str, OutputFormat)] = &[
    ("json", OutputFormat::Json),
    ("yaml", OutputFormat::Yaml),
    ("yml", OutputFormat::Yaml),
    ("toml", OutputFormat::Toml),
    ("xml", OutputFormat::Xml),
    ("nginx", OutputFormat::Nginx),
];

/// Returns the value that belongs to one of a few words.
fn choice<T: Copy>(field: &Field<'_>, choices: &[(&'static str, T)]) -> Result<T, Problem> {
    let text = field.text()?;
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words = choices.iter().map(|(word, _)| *word);
    let hint = suggest::did_you_mean(text, words.clone())
        .unwrap_or_else(|| format!("it is one of {}", words.collect::<Vec<_>>().join(", ")));
    Err(Problem::new(format!("{} cannot be {}", shown(field.written), shown(text))).hint(hint))
}

/// Parses an address at which nginx answers with the generation that it serves.
fn generation_server(field: &Field<'_>) -> Result<GenerationServer, Problem> {
    let text = field.text()?;
    GenerationServer::parse(text).ok_or_else(|| {
        let hint = "it is what the server's `listen` says, as in unix:/run/nginx/generation.sock or 127.0.0.1:8089";
        Problem::new(format!("{} cannot be {}", shown(field.written), shown(text))).hint(hint)
    })
}

/// Does the same as [`choice`], but takes an empty text as unset, as confd does.
fn optional_choice<T: Copy>(field: &Field<'_>, choices: &[(&'static str, T)]) -> Result<Option<T>, Problem> {
    if field.text()?.is_empty() { Ok(None) } else { choice(field, choices).map(Some) }
}

struct Source {
    name: Arc<str>,
    engine: Engine,
    place: Place,
}

/// Returns the template's name below the templates folder, cleaned, and its language. Without one, a name that ends in `.tera`
/// is Tera, and every other is a Go template, as in confd.
fn source(field: &Field<'_>, engine: Option<Engine>) -> Result<Source, Problem> {
    let text = field.text()?;
    let parts = path::inside(text).ok_or_else(|| {
        Problem::new(format!("`src` {} leaves the templates folder", shown(text)))
            .hint("name a template below that folder")
    })?;
    if parts.is_empty() {
        return Err(Problem::new("`src` is empty").hint("name a template below the templates folder"));
    }
    let name = parts.join("/");
    let engine = engine.unwrap_or(if name.ends_with(".tera") { Engine::Tera } else { Engine::Go });
    Ok(Source { name: Arc::from(name), engine, place: field.value_place() })
}

fn outside_hint(name: &str) -> Option<String> {
    match name {
        _ if backend::FIELDS.contains(&name) => Some("it belongs below the line [backend]".to_owned()),
        _ if FIELDS.contains(&name) => Some("it belongs below the line [template]".to_owned()),
        "service" => Some("services are for `upstreamd announce --config-dir`, in a folder of their own".to_owned()),
        _ => None,
    }
}
