//! Finds the expression of a Tera template that prints a refused text. Never quotes the text.

use std::io;
use std::path::Path;

use tera::{Context, Kwargs, State, Value};

use super::engine;
use super::limits;
use super::memory::TeraMemory;
use super::references::References;
use super::run::TeraRun;
use super::scan::scan;
use crate::model::problem::{Place, Positions, Problem};
use crate::model::resource::Escape;
use crate::nginx::quote;
use crate::render::escape;
use crate::render::session::RenderSession;
use crate::render::template::TemplateSources;

/// Returns the error for a text that was not let through.
pub(super) fn explain(
    sources: &TemplateSources,
    root: &str,
    session: &RenderSession,
    context: &Context,
    text: &str,
) -> Problem {
    let hint = "`| nginx_string` writes it as one quoted argument; `| safe` prints it as it is, whatever it is";
    let place = locate(sources, root, session, context).unwrap_or_else(|| Place::file(Path::new(root)));
    Problem::new(escape::refused(session, text)).at(place).hint(hint)
}

/// Finds the expression. Tera does not say which it is, so the templates are rendered once more with every printed
/// expression marked by its number.
fn locate(sources: &TemplateSources, root: &str, session: &RenderSession, context: &Context) -> Option<Place> {
    let references = References::new(sources);
    let mut places = Vec::new();
    let mut marked = Vec::new();
    for name in references.reach(root) {
        let source = &sources[name];
        let mut text = String::with_capacity(source.len() * 2);
        let mut written = 0;
        let positions = Positions::new(source);
        for print in scan(source).prints {
            text.push_str(&source[written..print.start]);
            text.push_str(&format!("({}) | {MARK}(n={}) ", &source[print.clone()], places.len()));
            written = print.end;
            let blank = source[print.clone()].len() - source[print.clone()].trim_start().len();
            places.push(Place::at(Path::new(name), positions.of(print.start + blank)));
        }
        text.push_str(&source[written..]);
        marked.push((name, limits::limited(&text, false).text));
    }
    let mut tera = engine::empty(Escape::Nginx);
    tera.register_filter::<_, &Value, _>(MARK, PrintMark);
    tera.add_raw_templates(marked).ok()?;
    let run = TeraRun::new(session.again(), TeraMemory::default(), std::sync::Arc::default());
    let (_, run) = run.run(|| tera.render_to(root, context, io::sink()));
    let number: usize = run?.failure?.message.strip_prefix(MARK)?.parse().ok()?;
    places.into_iter().nth(number)
}

const MARK: &str = "__printed";

/// The filter that finds the expression: fails with its number if the value would be refused.
struct PrintMark;

impl tera::Filter<&Value, tera::TeraResult<Value>> for PrintMark {
    fn call(&self, value: &Value, kwargs: Kwargs, state: &State) -> tera::TeraResult<Value> {
        let number = kwargs.must_get::<usize>("n")?;
        TeraRun::with(|run| run.session.budget.check_time())
            .map_err(|failure| tera::Error::message(failure.message))?;
        if !state.autoescaping_enabled() || value.is_safe() || quote::is_harmless(&value.to_string()) {
            return Ok(value.clone());
        }
        TeraRun::with(|_| Err(Problem::new(format!("{MARK}{number}"))))
            .map_err(|failure| tera::Error::message(failure.message))
    }
}
