//! The allow-list for nginx files as Tera's escape function: it changes nothing, it lets a text through or stops the
//! render. Says then which key the text came from, and which expression would have printed it.

use std::io::{self, Write};

use ::tera::{Context, Kwargs, State, Value};

use crate::model::resource::Escape;
use crate::nginx::quote;

use super::Renderer;
use super::error::{self, Failure, Place, TemplateError};
use super::session::{Session, shown};
use super::tera::compile::{self, Library};

/// Writes `text` if it is harmless anywhere in an nginx file. Tera never calls it for what the template marks `| safe`.
pub(super) fn nginx(text: &str, output: &mut dyn Write) -> io::Result<()> {
    if quote::is_harmless(text) {
        return output.write_all(text.as_bytes());
    }
    Session::refuse(text);
    Err(io::ErrorKind::InvalidData.into())
}

/// The error for a text that was not let through.
pub(super) fn refusal(renderer: &Renderer, root: &str, session: &Session, text: &str) -> TemplateError {
    let message = refused(session, text);
    let hint = "`| nginx_string` writes it as one quoted argument; `| safe` prints it as it is, whatever it is";
    let place = locate(renderer, root, session);
    let mut problem = error::without_place(root, &message);
    problem.hint = Some(hint.to_owned());
    if let Some((template, place)) = place {
        problem.template = template;
        problem.place = Some(place);
    }
    problem
}

/// Why the text was not let through.
pub(super) fn refused(session: &Session, text: &str) -> String {
    let why = quote::harm(text).map(|harm| harm.to_string()).unwrap_or_default();
    format!("{} {why}, and may not be printed in an nginx file", origin(session, text))
}

/// Where the text came from: the key that has it as its value, or as a part, or whose value is a part of it.
fn origin(session: &Session, text: &str) -> String {
    let whole = session.origin(text);
    if whole != "the text" || text.is_empty() {
        return whole;
    }
    let as_json = serde_json::to_string(text).unwrap_or_default();
    let as_json = as_json.trim_matches('"');
    let values = || session.asked();
    let longest_part = values()
        .filter(|(_, value)| !quote::is_harmless(value) && text.contains(value))
        .max_by_key(|(_, value)| value.len());
    let larger = || values().find(|(_, value)| value.contains(text) || value.contains(as_json));
    match longest_part.or_else(larger) {
        Some((path, _)) => format!("a text made with the value of key `{}`", shown(path)),
        None => "the text".to_owned(),
    }
}

/// Which expression prints what is refused. Tera does not say, so the templates are rendered once more with every
/// printed expression marked by its number.
fn locate(renderer: &Renderer, root: &str, session: &Session) -> Option<(String, Place)> {
    let library = Library::new(&renderer.sources);
    let mut places = Vec::new();
    let mut marked = Vec::new();
    for name in library.reach(root) {
        let source = &renderer.sources[name];
        let mut text = String::with_capacity(source.len() * 2);
        let mut written = 0;
        for print in super::tera::scan::scan(source).prints {
            text.push_str(&source[written..print.start]);
            text.push_str(&format!("({}) | {MARK}(n={}) ", &source[print.clone()], places.len()));
            written = print.end;
            let blank = source[print.clone()].len() - source[print.clone()].trim_start().len();
            places.push((name, Place::of(source, print.start + blank)));
        }
        text.push_str(&source[written..]);
        marked.push((name, text));
    }
    let mut tera = compile::empty(Escape::Nginx);
    tera.register_filter::<_, &Value, _>(MARK, Mark);
    tera.add_raw_templates(marked).ok()?;
    let (_, again) = session.afresh().run(|| tera.render_to(root, &Context::new(), io::sink()));
    let number: usize = again?.failure?.message.strip_prefix(MARK)?.parse().ok()?;
    places.get(number).map(|(name, place)| ((*name).to_owned(), *place))
}

const MARK: &str = "__printed";

/// The filter that finds the expression: fails with its number where the value would be refused.
struct Mark;

impl tera::Filter<&Value, tera::TeraResult<Value>> for Mark {
    fn call(&self, value: &Value, kwargs: Kwargs, state: &State) -> tera::TeraResult<Value> {
        let number = kwargs.must_get::<usize>("n")?;
        if !state.autoescaping_enabled() || value.is_safe() || quote::is_harmless(&value.to_string()) {
            return Ok(value.clone());
        }
        Session::with(|_| Err(Failure::new(format!("{MARK}{number}"))))
            .map_err(|failure| tera::Error::message(failure.message))
    }
}
