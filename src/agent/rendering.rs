//! One member, rendered from one tree: the bytes, their format, and what the render found for the guard to judge.

use std::sync::Arc;

use crate::model::generation;
use crate::model::guard::{Decision, RenderCount};
use crate::model::needs;
use crate::model::report::{Stage, StepFailure};
use crate::model::resource::Resource;
use crate::model::tree::Tree;
use crate::model::view::View;
use crate::render::{Memory, format};

use super::loaded::Member;
pub use super::loaded::resource_root as root;

/// Renders one member from a tree, its output format checked.
pub fn render(member: &Member, tree: &Tree, memory: &mut Memory) -> Result<Arc<Vec<u8>>, StepFailure> {
    render_unchecked(member, tree, memory).and_then(|bytes| check_format(&member.resource, bytes))
}

/// As [`render`], in whatever format it comes out.
pub(super) fn render_unchecked(member: &Member, tree: &Tree, memory: &mut Memory) -> Result<Arc<Vec<u8>>, StepFailure> {
    let resource = &member.resource;
    let view = view(resource, tree);
    require(resource, &view)?;
    let bytes = member.renderer.render(root(resource), &view, memory).map_err(|error| {
        let hint = error.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        StepFailure::new(Stage::Render, format!("{error}{hint}"))
    })?;
    if resource.generation.is_some() && generation::in_text(&bytes).is_none() {
        let message =
            "`generation` is set, and the template does not print {{ generation() }} in a server of that address";
        return Err(StepFailure::new(Stage::Render, message));
    }
    Ok(Arc::new(bytes))
}

/// Refuses a resource of whose `require` something is missing.
pub fn require(resource: &Resource, view: &View) -> Result<(), StepFailure> {
    let missing = needs::missing(&resource.needs.require, view);
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<String> = missing.iter().map(|path| format!("`{path}`")).collect();
    Err(StepFailure::new(Stage::Render, format!("required keys are missing: {}", missing.join(", "))))
}

/// Renders one member without its backends, whatever the store says.
pub fn render_placeholder(member: &Member, tree: &Tree, memory: &mut Memory) -> Result<Arc<Vec<u8>>, StepFailure> {
    memory.withhold_backends();
    let placeholder = render(member, tree, memory);
    // What led to it was read by the render before.
    memory.forget_reads();
    placeholder
}

/// Refuses bytes that are not of the resource's `output_format`.
pub(super) fn check_format(resource: &Resource, bytes: Arc<Vec<u8>>) -> Result<Arc<Vec<u8>>, StepFailure> {
    if let Some(output_format) = resource.output_format {
        format::check(&bytes, output_format).map_err(|error| StepFailure::new(Stage::Check, error.to_string()))?;
    }
    Ok(bytes)
}

/// What a resource sees of a tree.
pub fn view(resource: &Resource, tree: &Tree) -> View {
    let item = resource.item.as_ref().map(|item| Arc::clone(&item.name));
    View::new(tree.clone(), Arc::clone(&resource.prefix), resource.ranges.clone()).with_item(item)
}

/// What the render that left this memory found.
pub fn found(member: &Member, tree: &Tree, memory: &Memory) -> RenderCount {
    let resource = &member.resource;
    match memory.tally() {
        Some(tally) => {
            RenderCount { asks: true, keys: tally.keys, backends: tally.backends, set_aside: tally.set_aside }
        }
        None => {
            let asks = member.renderer.asks_for_backends(&resource.src);
            // Where only none matters, one key tells.
            let most = if asks || resource.guard.compares() { usize::MAX } else { 1 };
            RenderCount { asks, keys: view(resource, tree).iter().take(most).count(), ..RenderCount::default() }
        }
    }
}

/// The failure of a render that a guard refuses.
pub fn refused(resource: &Resource, decision: &Decision) -> StepFailure {
    let loss = decision.loss.map(|loss| format!("{loss}: ")).unwrap_or_default();
    StepFailure::new(Stage::Render, format!("{loss}{}", decision.consequence(&resource.guard)))
}
