//! (template, view, facts) to bytes, in either language. Pure: the same three give the same bytes, every time.
//! Never reads a file, a clock or the network: template texts come as `TemplateSources`, all else is asked of `Facts`.

mod compile;
mod each;
mod error;
mod escape;
mod facts;
pub mod format;
mod functions;
mod go;
mod loops;
mod memory;
mod scan;
mod session;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tera::{Context, Tera, Value};

use crate::model::generation;
use crate::model::resource::{Engine, Escape};
use crate::model::view::View;

pub use compile::compile;
pub use error::{Place, TemplateError};
pub use facts::Facts;
pub use go::convert;
pub use memory::{Memory, SetAside, Tally};

use session::Session;

/// The texts of all templates, by their path below the templates folder.
pub type TemplateSources = BTreeMap<String, Arc<str>>;

/// Largest output of one render, in bytes.
pub const MOST_OUTPUT_BYTES: usize = 64 << 20;

/// A template that a resource renders, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root<'a> {
    /// Its path below the templates folder.
    pub name: &'a str,
    /// The language it is in.
    pub engine: Engine,
    /// What it may print.
    pub escape: Escape,
}

impl<'a> Root<'a> {
    /// A Tera template.
    pub fn tera(name: &'a str, escape: Escape) -> Root<'a> {
        Root { name, engine: Engine::Tera, escape }
    }

    /// A Go template.
    pub fn go(name: &'a str, escape: Escape) -> Root<'a> {
        Root { name, engine: Engine::Go, escape }
    }
}

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

    /// Renders the template `root` as `view` sees the store. `memory` belongs to the resource: it makes its next
    /// render cheaper and never changes the bytes.
    ///
    /// # Errors
    /// The first problem met: a missing key, a value that may not be printed, a lookup that failed. Names keys,
    /// never values.
    pub fn render(&self, root: Root<'_>, view: &View, memory: &mut Memory) -> Result<Vec<u8>, TemplateError> {
        let mut bytes = self.render_with(root, view, memory, None)?;
        if std::mem::take(&mut memory.prints_generation) {
            let hash = Sha256::digest(&bytes);
            generation::stamp(&mut bytes, &format!("{hash:x}"));
        }
        Ok(bytes)
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
        self.render_with(root, &View::default(), &mut Memory::default(), Some(data))
    }

    fn render_with(
        &self,
        root: Root<'_>,
        view: &View,
        memory: &mut Memory,
        mock: Option<Value>,
    ) -> Result<Vec<u8>, TemplateError> {
        match root.engine {
            Engine::Tera => self.render_tera(root.name, root.escape, view, memory, mock),
            Engine::Go => {
                memory.begin(view);
                let expected = memory.output_bytes + memory.output_bytes / 8;
                let mut session = Session::new(view.clone(), Arc::clone(&self.facts), std::mem::take(memory));
                session.mock = mock;
                let result = self.go.render(root.name, root.escape, &mut session, expected);
                *memory = std::mem::take(&mut session.memory);
                memory.end(result.as_ref().map_or(0, Vec::len));
                if result.is_ok() && view.item().is_some() {
                    memory.came_true(session.view.reads());
                }
                result
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
        mock: Option<Value>,
    ) -> Result<Vec<u8>, TemplateError> {
        let key = (escape, root.to_owned());
        let Some(instance) = self.roots.get(&key).and_then(|index| self.instances.get(*index)) else {
            return Err(error::without_place(root, "the template is not compiled"));
        };
        memory.begin(view);
        let mut context = Context::new();
        for (name, value) in mock.as_ref().and_then(Value::as_map).into_iter().flatten() {
            context.insert(name.as_str().unwrap_or_default().to_owned(), value);
        }
        if let Some(item) = view.item() {
            context.insert("item", &**item);
        }
        let attempt = |name: &str, memory: &mut Memory| {
            let mut output = Output::of(memory.output_bytes + memory.output_bytes / 8);
            let mut session = Session::new(view.clone(), Arc::clone(&self.facts), std::mem::take(memory));
            session.mock.clone_from(&mock);
            session.templates = Some(Arc::clone(&instance.tera));
            let (result, session) = session.run(|| instance.tera.render_to(name, &context, &mut output));
            (result, session.map(|mut session| (std::mem::take(&mut session.memory), session)), output)
        };
        // What is rendered once only, as in a single pass, gains nothing by pieces.
        if memory.is_known && instance.rewritten.contains(root) && !memory.loops.are_given_up() {
            let (result, session, output) = attempt(&loops::rewritten_name(root), memory);
            let reads = session.map(|(kept, session)| {
                *memory = kept;
                session.view.reads()
            });
            if let (Ok(()), Some(reads)) = (result, reads) {
                memory.end(output.bytes.len());
                if view.item().is_some() {
                    memory.came_true(reads);
                }
                return Ok(output.bytes);
            }
            // The template as it was written says what is wrong, and where.
            memory.loops.clear();
            memory.begin(view);
        }
        let (result, session, output) = attempt(root, memory);
        let Some((kept, mut session)) = session else {
            return Err(error::without_place(root, "the render lost its session"));
        };
        *memory = kept;
        memory.end(output.bytes.len());
        if result.is_ok() && view.item().is_some() {
            memory.came_true(session.view.reads());
        }
        result.map(|()| output.bytes).map_err(|problem| match session.refused.take() {
            Some(text) => escape::refusal(self, root, &session, &text),
            None if output.full => {
                error::without_place(root, &format!("the output is larger than {MOST_OUTPUT_BYTES} bytes"))
            }
            None => error::of_render(&problem, root, session.failure),
        })
    }
}

/// What a render has written, up to a limit.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    full: bool,
}

impl Output {
    fn of(expected_bytes: usize) -> Output {
        Output { bytes: Vec::with_capacity(expected_bytes), full: false }
    }
}

impl Write for Output {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.write_all(piece).map(|()| piece.len())
    }

    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.bytes.len() + piece.len() > MOST_OUTPUT_BYTES {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
