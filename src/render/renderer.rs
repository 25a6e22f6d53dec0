//! Compiled templates of both engines, and how a resource renders one.

use std::sync::Arc;

use super::asks::{self, Ask};
use super::deadline::Deadline;
use super::facts::Facts;
use super::format::{self, FormatError};
use super::go::{self, GoTemplates};
use super::memory::Memory;
use super::rendering::Rendering;
use super::session::RenderSession;
use super::template::{Root, TemplateSources};
use super::tera::{self, TeraTemplates};
use crate::model::problem::{Position, Problem};
use crate::model::resource::{Engine, OutputFormat};
use crate::model::view::View;

/// Compiles the templates that `roots` name. Every problem is listed with the index of the root it fails; a root that
/// is not listed renders. One template may be a root several times.
pub fn compile(
    sources: &TemplateSources,
    roots: &[Root<'_>],
    facts: Arc<dyn Facts>,
) -> (Renderer, Vec<(usize, Problem)>) {
    let (tera, mut problems) = tera::compile(sources, roots);
    let go = GoTemplates::new(sources);
    for (index, root) in roots.iter().enumerate().filter(|(_, root)| root.engine == Engine::Go) {
        problems.extend(go.check(root.name).into_iter().map(|problem| (index, problem)));
    }
    problems.sort_by_key(|(index, _)| *index);
    (Renderer { sources: sources.clone(), tera, go, facts }, problems)
}

/// Compiled templates, ready to render any number of times from any thread.
pub struct Renderer {
    sources: TemplateSources,
    tera: TeraTemplates,
    go: GoTemplates,
    facts: Arc<dyn Facts>,
}

impl Renderer {
    /// Checks whether both were compiled from the same texts.
    pub fn same_texts(&self, other: &Renderer) -> bool {
        self.sources == other.sources
    }

    /// Checks whether the template `root`, or one that it reaches, calls `backends` or `servers`.
    pub fn asks_for_backends(&self, root: Root<'_>) -> bool {
        match root.engine {
            Engine::Tera => self.tera.ask_for_backends(root.name),
            Engine::Go => self.go.ask_for_backends(root.name),
        }
    }

    /// Checks whether a Go template, or a file that it includes, calls a function that returns what the store has.
    pub fn go_reads_store(&self, name: &str) -> bool {
        self.go.reads_store(name)
    }

    /// Returns what a Go template, and files that it includes, print differently than with confd: the file, the place in
    /// it, and the difference.
    pub fn differences_from_confd(&self, name: &str) -> Vec<(String, Position, &'static str)> {
        self.go.differences(name)
    }

    /// Returns what each root asks the store for by a literal path or pattern, in its own template and those that it reaches.
    pub fn asks(&self, roots: &[Root<'_>]) -> Vec<Vec<Ask>> {
        let of_root = |root: &Root<'_>| {
            let mut asks = match root.engine {
                Engine::Tera => tera::asks(&self.sources, self.tera.reached(root.name)),
                Engine::Go => self.go.asks(root.name),
            };
            asks::mark_guarded(&mut asks);
            asks
        };
        roots.iter().map(of_root).collect()
    }

    /// Returns the texts of the template `root` and of those that it reaches.
    pub fn texts_of(&self, root: Root<'_>) -> Vec<&str> {
        match root.engine {
            Engine::Tera => {
                let names = self.tera.reached(root.name).iter();
                names.filter_map(|name| self.sources.get(name).map(|text| &**text)).collect()
            }
            Engine::Go => self.go.reached(root.name).map(|(_, text)| text).collect(),
        }
    }

    /// Renders the template `root` as `view` sees the store. `memory` belongs to the resource: it makes the next render
    /// cheaper and never changes what is returned.
    pub fn render(&self, root: Root<'_>, view: &View, memory: &mut Memory) -> Rendering {
        self.render_in(self.session(view), root, view, memory)
    }

    /// Renders as `render` does, but for `backends` and `servers` there are none. The tally still counts those of the store.
    pub fn render_placeholder(&self, root: Root<'_>, view: &View, memory: &mut Memory) -> Rendering {
        let mut session = self.session(view);
        session.withholds_backends = true;
        self.render_in(session, root, view, memory)
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
    ) -> Result<Vec<u8>, Problem> {
        let view = View::default();
        let mut session = self.session(&view);
        session.mock = Some(Arc::new(serde_json::Value::Object(data)));
        self.render_in(session, root, &view, &mut Memory::default()).result
    }

    /// Parses what was rendered, and throws the result away. It may take as long as a render.
    ///
    /// # Errors
    /// The first mistake, or that the time was over before the end.
    pub fn check_format(&self, bytes: &[u8], format: OutputFormat) -> Result<(), FormatError> {
        format::check(bytes, format, &Deadline::new(&self.facts))
    }

    fn session(&self, view: &View) -> RenderSession {
        RenderSession::new(view.clone(), Arc::clone(&self.facts))
    }

    fn render_in(&self, mut session: RenderSession, root: Root<'_>, view: &View, memory: &mut Memory) -> Rendering {
        session.servers = root.servers.clone();
        memory.begin(view);
        let last_bytes = memory.output_bytes;
        let rendering = match root.engine {
            Engine::Tera => tera::render(&self.tera, &self.sources, root, session, &mut memory.tera, last_bytes),
            Engine::Go => go::render(&self.go, root, session, &mut memory.go, last_bytes),
        };
        memory.end(rendering.result.as_ref().map_or(0, Vec::len));
        rendering
    }
}
