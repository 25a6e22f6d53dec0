//! One member, rendered from one tree: the bytes, their format, and what the render found for the guard to judge.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::generation;
use crate::model::guard::{Decision, Found};
use crate::model::needs;
use crate::model::report::{Failure, Stage};
use crate::model::resource::Resource;
use crate::model::tree::Tree;
use crate::model::view::View;
use crate::render::{Memory, Reads, Rendering, SkippedKey, Tally, TemplateError, format};

use super::loaded::Member;
pub use super::loaded::resource_root as root;

/// One render of a member.
pub struct MemberRendering {
    /// The bytes, or why there are none.
    pub bytes: Result<Arc<Vec<u8>>, Failure>,
    /// Backends found; `None` if the template did not ask for any.
    pub tally: Option<Tally>,
    /// Keys that `backends` skipped; `None` if nothing was rendered because a required key is missing.
    pub skipped: Option<BTreeSet<SkippedKey>>,
    /// Keys and folders that the bytes depend on.
    pub reads: Reads,
}

/// What a member's last render leaves to the next.
#[derive(Default)]
pub struct Remembered {
    /// Makes the next render cheaper.
    pub memory: Memory,
    /// Keys and folders that the bytes depend on; `None` if anything may change them.
    pub reads: Option<Reads>,
    /// Whether the template asked for backends.
    pub counts_backends: bool,
}

/// Renders one member from a tree, its output format checked.
pub fn render(member: &Member, tree: &Tree, memory: &mut Memory) -> MemberRendering {
    let rendering = render_unchecked(member, tree, memory);
    let bytes = rendering.bytes.and_then(|bytes| check_format(&member.resource, bytes));
    MemberRendering { bytes, ..rendering }
}

/// As [`render`], in whatever format it comes out.
pub(super) fn render_unchecked(member: &Member, tree: &Tree, memory: &mut Memory) -> MemberRendering {
    let view = view(&member.resource, tree);
    if let Err(failure) = require(&member.resource, &view) {
        return MemberRendering { bytes: Err(failure), tally: None, skipped: None, reads: Reads::everything() };
    }
    let Rendering { result, tally, skipped, reads } = member.renderer.render(root(&member.resource), &view, memory);
    MemberRendering { bytes: finished(&member.resource, result), tally, skipped: Some(skipped), reads }
}

/// The bytes of a render that may be installed.
fn finished(resource: &Resource, result: Result<Vec<u8>, TemplateError>) -> Result<Arc<Vec<u8>>, Failure> {
    let bytes = result.map_err(|error| {
        let hint = error.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        Failure::new(Stage::Render, format!("{error}{hint}"))
    })?;
    if resource.generation.is_some() && generation::in_text(&bytes).is_none() {
        let message =
            "`generation` is set, and the template does not print {{ generation() }} in a server of that address";
        return Err(Failure::new(Stage::Render, message));
    }
    Ok(Arc::new(bytes))
}

/// Refuses a resource of whose `require` something is missing.
pub fn require(resource: &Resource, view: &View) -> Result<(), Failure> {
    let missing = needs::missing(&resource.needs.require, view);
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<String> = missing.iter().map(|path| format!("`{path}`")).collect();
    Err(Failure::new(Stage::Render, format!("required keys are missing: {}", missing.join(", "))))
}

/// Renders one member without its backends, whatever the store says.
pub fn render_placeholder(member: &Member, tree: &Tree, memory: &mut Memory) -> Result<Arc<Vec<u8>>, Failure> {
    let view = view(&member.resource, tree);
    require(&member.resource, &view)?;
    let rendering = member.renderer.render_placeholder(root(&member.resource), &view, memory);
    finished(&member.resource, rendering.result).and_then(|bytes| check_format(&member.resource, bytes))
}

/// Refuses bytes that are not of the resource's `output_format`.
pub(super) fn check_format(resource: &Resource, bytes: Arc<Vec<u8>>) -> Result<Arc<Vec<u8>>, Failure> {
    if let Some(output_format) = resource.output_format {
        format::check(&bytes, output_format).map_err(|error| Failure::new(Stage::Check, error.to_string()))?;
    }
    Ok(bytes)
}

/// What a resource sees of a tree.
pub fn view(resource: &Resource, tree: &Tree) -> View {
    let item = resource.item.as_ref().map(|item| Arc::clone(&item.name));
    View::new(tree.clone(), Arc::clone(&resource.prefix), resource.ranges.clone()).with_item(item)
}

/// What a render with this tally found, for the guard.
pub fn found(member: &Member, tree: &Tree, tally: Option<Tally>) -> Found {
    let resource = &member.resource;
    match tally {
        Some(tally) => Found { asks: true, keys: tally.keys, backends: tally.backends, set_aside: tally.skipped },
        None => {
            let asks = member.renderer.asks_for_backends(&resource.src);
            // Where only none matters, one key tells.
            let most = if asks || resource.guard.compares() { usize::MAX } else { 1 };
            Found { asks, keys: view(resource, tree).iter().take(most).count(), ..Found::default() }
        }
    }
}

/// The failure of a render that a guard refuses.
pub fn refused(resource: &Resource, decision: &Decision) -> Failure {
    let loss = decision.loss.map(|loss| format!("{loss}: ")).unwrap_or_default();
    Failure::new(Stage::Render, format!("{loss}{}", decision.consequence(&resource.guard)))
}
