//! Renders a Go template.

use super::interpreter::Interpreter;
use super::run::{GoMemory, GoRun};
use super::templates::GoTemplates;
use crate::render::library::patterns::Patterns;
use crate::render::rendering::Rendering;
use crate::render::session::RenderSession;
use crate::render::template::{Root, template_bytes};

/// Renders `root` as `session` sees the store. `last_bytes` is the size of its last output.
pub(in crate::render) fn render(
    templates: &GoTemplates,
    root: Root<'_>,
    session: RenderSession,
    memory: &mut GoMemory,
    last_bytes: usize,
) -> Rendering {
    let mut run = GoRun { session, memory: std::mem::take(memory), patterns: Patterns::default() };
    let expected_bytes = last_bytes + last_bytes / 8;
    let result = Interpreter::run(templates, root.name, root.escape, &mut run, expected_bytes);
    *memory = run.memory;
    let into_bytes = if templates.has_strays { template_bytes } else { String::into_bytes };
    run.session.finish(result.map(into_bytes).map_err(|trouble| *trouble))
}
