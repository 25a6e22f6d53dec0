//! (template, view, facts) to bytes, in either language. Pure: the same three give the same bytes, every time.
//! Never reads a file, a clock or the network: template texts come as `TemplateSources`, all else is asked of `Facts`.

mod error;
mod escape;
mod facts;
pub mod format;
mod go;
mod library;
mod lists;
mod memory;
mod output;
mod rendering;
mod session;
mod template;
mod tera;
mod window;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ::tera::{Context, Tera, Value};

use crate::model::resource::{Engine, Escape};
use crate::model::view::View;

pub use error::{Place, TemplateError};
pub use facts::Facts;
pub use go::convert;
pub use memory::Memory;
pub use output::MOST_OUTPUT_BYTES;
pub use rendering::{Rendering, SkippedKey, Tally};
pub use template::{Root, TemplateSources};
pub use tera::compile::compile;
pub use window::Reads;

use output::Output;
use session::Session;
use tera::incremental::rewrite as loops;

/// Compiled templates, ready to render any number of times from any thread.
pub struct Renderer {
    sources: TemplateSources,
    instances: Vec<Instance>,
    /// Which instance has a root, by escape mode and name.
    roots: HashMap<(Escape, String), usize>,
    /// Roots from which a call of `backends` can be reached.
    asking: HashSet<String>,
    go: go::Library,
    facts: Arc<dyn Facts>,
}

/// Templates that live together.
struct Instance {
    tera: Arc<Tera>,
    /// Those that are also there with their loops taken out.
    rewritten: BTreeSet<String>,
}

impl Renderer {
    /// Whether both were compiled from the same texts.
    pub fn same_texts(&self, other: &Renderer) -> bool {
        self.sources == other.sources
    }

    /// Whether the template `root`, or one that it reaches, calls `backends`.
    pub fn asks_for_backends(&self, root: &str) -> bool {
        self.asking.contains(root)
    }

    /// Renders the template `root` as `view` sees the store. `memory` belongs to the resource: it makes the next render
    /// cheaper and never changes what is returned.
    pub fn render(&self, root: Root<'_>, view: &View, memory: &mut Memory) -> Rendering {
        self.render_with(root, view, memory, |_| ())
    }

    /// Renders as `render` does, but every call of `backends` returns an empty list. The tally still says how many there are.
    pub fn render_placeholder(&self, root: Root<'_>, view: &View, memory: &mut Memory) -> Rendering {
        self.render_with(root, view, memory, |session| session.withholds_backends = true)
    }

    /// Renders the template `root` without a store: lists are empty, a missing key is an empty text, and `data` is what Go
    /// templates have as dot and Tera templates as variables.
    ///
    /// # Errors
    /// The first problem met, as for `render`.
    pub fn render_mock(
        &self,
        root: Root<'_>,
        data: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Vec<u8>, TemplateError> {
        let data = Value::from_serializable(&serde_json::Value::Object(data));
        let mock = |session: &mut Session| session.mock = Some(data.clone());
        self.render_with(root, &View::default(), &mut Memory::default(), mock).result
    }

    /// Renders with sessions that `prepare` has seen.
    fn render_with(
        &self,
        root: Root<'_>,
        view: &View,
        memory: &mut Memory,
        prepare: impl Fn(&mut Session),
    ) -> Rendering {
        memory.begin(view);
        let session = |memory: &mut Memory| {
            let mut session = Session::new(view.clone(), Arc::clone(&self.facts), std::mem::take(memory));
            prepare(&mut session);
            session
        };
        match root.engine {
            Engine::Tera => self.render_tera(root.name, root.escape, view, memory, session),
            Engine::Go => {
                let expected = memory.output_bytes + memory.output_bytes / 8;
                let mut session = session(memory);
                let result = self.go.render(root.name, root.escape, &mut session, expected);
                *memory = std::mem::take(&mut session.memory);
                memory.end(result.as_ref().map_or(0, Vec::len));
                session.finish(result)
            }
        }
    }

    /// Whether a Go template, or a file that it includes, calls a function that gives what the store says.
    pub fn go_reads_store(&self, name: &str) -> bool {
        self.go.reads_store(name)
    }

    /// What of a Go template, and of files that it includes, comes out differently than with confd: the file, the place in
    /// it, and what.
    pub fn differences_from_confd(&self, name: &str) -> Vec<(String, Place, &'static str)> {
        self.go.differences(name)
    }

    fn render_tera(
        &self,
        root: &str,
        escape: Escape,
        view: &View,
        memory: &mut Memory,
        session: impl Fn(&mut Memory) -> Session,
    ) -> Rendering {
        let key = (escape, root.to_owned());
        let Some(instance) = self.roots.get(&key).and_then(|index| self.instances.get(*index)) else {
            return session(memory).finish(Err(error::without_place(root, "the template is not compiled")));
        };
        let attempt = |name: &str, memory: &mut Memory| {
            let mut output = Output::like(memory.output_bytes);
            let mut session = session(memory);
            session.templates = Some(Arc::clone(&instance.tera));
            let context = context(session.mock.as_ref(), view);
            let (result, session) = session.run(|| instance.tera.render_to(name, &context, &mut output));
            (result, session.map(|mut session| (std::mem::take(&mut session.memory), session)), output)
        };
        // What is rendered once only, as in a single pass, gains nothing by pieces.
        if memory.is_known && instance.rewritten.contains(root) && !memory.loops.are_given_up() {
            let (result, session, output) = attempt(&loops::rewritten_name(root), memory);
            let session = session.map(|(kept, session)| {
                *memory = kept;
                session
            });
            if let (Ok(()), Some(session)) = (result, session) {
                memory.end(output.bytes.len());
                return session.finish(Ok(output.bytes));
            }
            // The template as it was written says what is wrong, and where.
            memory.loops.clear();
            memory.begin(view);
        }
        let (result, kept_and_session, output) = attempt(root, memory);
        let Some((kept, mut ended)) = kept_and_session else {
            return session(memory).finish(Err(error::without_place(root, "the render lost its session")));
        };
        *memory = kept;
        memory.end(output.bytes.len());
        let result = result.map(|()| output.bytes).map_err(|problem| match ended.refused.take() {
            Some(text) => escape::refusal(self, root, &ended, &text),
            None if output.is_full => {
                error::without_place(root, &format!("the output is larger than {MOST_OUTPUT_BYTES} bytes"))
            }
            None => error::of_render(&problem, root, ended.failure.take()),
        });
        ended.finish(result)
    }
}

/// The variables that a template starts with.
fn context(mock: Option<&Value>, view: &View) -> Context {
    let mut context = Context::new();
    for (name, value) in mock.and_then(Value::as_map).into_iter().flatten() {
        context.insert(name.as_str().unwrap_or_default().to_owned(), value);
    }
    if let Some(item) = view.item() {
        context.insert("item", &**item);
    }
    context
}
