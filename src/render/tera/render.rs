//! Renders a compiled Tera template, in pieces if that is possible and worth it.

use std::path::Path;

use tera::{Context, Value};

use super::error;
use super::functions::json::to_tera;
use super::memory::TeraMemory;
use super::refusal;
use super::run::TeraRun;
use super::templates::{TeraSet, TeraTemplates};
use crate::model::problem::{Place, Problem};
use crate::render::output::{MAX_OUTPUT_BYTES, Output};
use crate::render::rendering::Rendering;
use crate::render::session::RenderSession;
use crate::render::template::{Root, TemplateSources};

/// Renders `root` as `session` sees the store. `last_bytes` is the size of its last output.
pub(in crate::render) fn render(
    templates: &TeraTemplates,
    sources: &TemplateSources,
    root: Root<'_>,
    session: RenderSession,
    memory: &mut TeraMemory,
    last_bytes: usize,
) -> Rendering {
    let Some(set) = templates.set_of(root.name, root.escape) else {
        return session.finish(Err(Problem::in_template(root.name, "the template is not compiled")));
    };
    let context = context(&session);
    if let Some(name) = set.rewritten.instead_of(root.name, &memory.loops) {
        let attempt = Attempt::of(set, &name, &context, session.again(), memory, last_bytes);
        if let (Ok(()), Some(run)) = (attempt.result, attempt.run) {
            return run.session.finish(Ok(attempt.output.bytes));
        }
        // The original template gives the error and its place.
        memory.loops.clear();
    }
    let again = session.again();
    let Attempt { result, run, output } = Attempt::of(set, root.name, &context, session, memory, last_bytes);
    let Some(mut run) = run else {
        return again.finish(Err(Problem::in_template(root.name, "the render lost its session")));
    };
    let place = |name: &str, offset: usize| {
        let offset = set.shifts.get(name).map_or(offset, |shifts| shifts.original(offset));
        Place::in_text(Path::new(name), sources.get(name).map_or("", |text| text), offset)
    };
    let result = result.map(|()| output.bytes).map_err(|problem| match run.refused.take() {
        Some(text) => refusal::explain(sources, root.name, &run.session, &context, &text),
        None if output.is_full => {
            let message = format!("the output is larger than {MAX_OUTPUT_BYTES} bytes");
            Problem::in_template(root.name, message)
        }
        None if output.is_late => run.session.budget.late().at(Place::file(Path::new(root.name))),
        None => error::of_render(&problem, root.name, run.failure.take(), place),
    });
    run.session.finish(result)
}

/// Result of rendering one template.
struct Attempt {
    result: tera::TeraResult<()>,
    /// `None` if the render took it away.
    run: Option<TeraRun>,
    output: Output,
}

impl Attempt {
    fn of(
        set: &TeraSet,
        name: &str,
        context: &Context,
        session: RenderSession,
        memory: &mut TeraMemory,
        last_bytes: usize,
    ) -> Attempt {
        let mut output = Output::like(last_bytes, session.budget.deadline.clone());
        let run = TeraRun::new(session, std::mem::take(memory), set.tera.clone());
        let (result, mut run) = run.run(|| set.tera.render_to(name, context, &mut output));
        if let Some(run) = &mut run {
            *memory = std::mem::take(&mut run.memory);
        }
        Attempt { result, run, output }
    }
}

/// Returns the variables that a template starts with.
fn context(session: &RenderSession) -> Context {
    let mut context = Context::new();
    let mock = session.mock.as_deref().cloned().map(to_tera);
    for (name, value) in mock.as_ref().and_then(Value::as_map).into_iter().flatten() {
        context.insert_value(name.as_str().unwrap_or_default().to_owned(), value.clone());
    }
    if let Some(item) = session.view.item() {
        context.insert("item", &**item);
    }
    context
}
