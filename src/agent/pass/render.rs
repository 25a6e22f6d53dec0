//! Renders one file from one tree: the bytes, their format, and the counts for the guard. Never writes a file.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::agent::catalog::Member;
use crate::apply::plan;
use crate::model::endpoints::{EndpointSet, ServersForm};
use crate::model::generation;
use crate::model::guard::{Decision, RenderCount};
use crate::model::needs;
use crate::model::problem::Problem;
use crate::model::report::{Stage, StepFailure};
use crate::model::resource::Resource;
use crate::model::tree::Tree;
use crate::model::view::View;
use crate::render::{ListedBackends, Memory, Reads, Renderer, Rendering, Root, STACK_BYTES, SkippedKey, Tally};
use crate::world::panics;

/// The data of `check --mock-data`.
pub type MockData = serde_json::Map<String, serde_json::Value>;

/// One render of a member.
pub(super) struct MemberRendering {
    /// Bytes in their output format, or the reason why they are missing.
    pub(super) bytes: Result<Arc<Vec<u8>>, StepFailure>,
    /// Backends found; `None` if the template did not ask for any.
    pub(super) tally: Option<Tally>,
    /// Those backends; `None` if the template did not ask for any.
    pub(super) listed: Option<ListedBackends>,
    /// Keys that `backends` skipped; `None` if nothing was rendered because a required key is missing.
    pub(super) skipped: Option<BTreeSet<SkippedKey>>,
    /// The endpoints of the names in the bytes.
    pub(super) endpoints: Vec<EndpointSet>,
    /// Keys and folders that the bytes depend on.
    pub(super) reads: Reads,
}

impl MemberRendering {
    /// Returns a render that made nothing.
    fn failed(failure: StepFailure) -> MemberRendering {
        MemberRendering {
            bytes: Err(failure),
            tally: None,
            listed: None,
            skipped: None,
            endpoints: Vec::new(),
            reads: Reads::everything(),
        }
    }
}

/// Renders one member from a tree.
pub(super) fn render(member: &Member, tree: &Tree, form: &ServersForm, memory: &mut Memory) -> MemberRendering {
    let view = view(&member.resource, tree);
    let rendered =
        require(&member.resource, &view).and_then(|()| render_apart(member, view, form, memory, Renderer::render));
    let Rendering { result, tally, listed, skipped, reads, endpoints } = match rendered {
        Ok(rendering) => rendering,
        Err(failure) => return MemberRendering::failed(failure),
    };
    let listed = tally.is_some().then_some(listed);
    let (bytes, skipped) = (finished(&member.resource, result), Some(skipped));
    MemberRendering { bytes, tally, listed, skipped, endpoints, reads }
}

/// Renders with `how`. A panic is a failure of this render, and `memory` is lost.
fn render_apart(
    member: &Member,
    view: View,
    form: &ServersForm,
    memory: &mut Memory,
    how: impl FnOnce(&Renderer, Root<'_>, &View, &mut Memory) -> Rendering + Send + 'static,
) -> Result<Rendering, StepFailure> {
    let (Member { resource, renderer }, form, mut lent) = (member.clone(), form.clone(), std::mem::take(memory));
    let work = move || {
        let rendering = how(&renderer, root(&resource, &form), &view, &mut lent);
        (rendering, lent)
    };
    let (rendering, lent) = panics::contain_apart(STACK_BYTES, work).map_err(|place| bug(&member.resource, &place))?;
    *memory = lent;
    Ok(rendering)
}

/// Returns the bytes of a render if they may be installed.
fn finished(resource: &Resource, result: Result<Vec<u8>, Problem>) -> Result<Arc<Vec<u8>>, StepFailure> {
    let bytes = result.map_err(failure)?;
    if resource.generation.is_some() && generation::own(&bytes, plan::hash).is_none() {
        let message =
            "`generation` is set, and the template does not print {{ generation() }} in a server of that address";
        return Err(StepFailure::new(Stage::Render, message));
    }
    Ok(Arc::new(bytes))
}

/// Renders one member with this data and no store.
pub(super) fn render_mock(member: &Member, data: &MockData) -> Result<Arc<Vec<u8>>, StepFailure> {
    let bytes =
        member.renderer.render_mock(root(&member.resource, &ServersForm::Lines), data.clone()).map_err(failure)?;
    check_format(member, Arc::new(bytes))
}

/// Renders one member without its backends, whatever the store says.
pub(super) fn render_placeholder(
    member: &Member,
    tree: &Tree,
    form: &ServersForm,
    memory: &mut Memory,
) -> Result<(Arc<Vec<u8>>, Vec<EndpointSet>), StepFailure> {
    let view = view(&member.resource, tree);
    require(&member.resource, &view)?;
    let rendering = render_apart(member, view, form, memory, Renderer::render_placeholder)?;
    let bytes = finished(&member.resource, rendering.result).and_then(|bytes| check_format(member, bytes))?;
    Ok((bytes, rendering.endpoints))
}

/// Does work for one resource. A panic is a failure of that resource alone.
pub(super) fn contain<T>(resource: &Resource, work: impl FnOnce() -> T) -> Result<T, StepFailure> {
    panics::contain(work).map_err(|place| bug(resource, &place))
}

fn bug(resource: &Resource, place: &str) -> StepFailure {
    let message = format!(
        "{}: the render stopped because of a bug of upstreamd at {place} of its source (hint: please report this place)",
        resource.src
    );
    StepFailure::new(Stage::Render, message)
}

fn root<'a>(resource: &'a Resource, form: &'a ServersForm) -> Root<'a> {
    Root { servers: form, ..Root::new(&resource.src, resource.engine, resource.escape) }
}

pub(super) fn failure(problem: Problem) -> StepFailure {
    StepFailure::new(Stage::Render, problem.line())
}

/// Refuses a resource if keys of its `require` are missing.
pub(super) fn require(resource: &Resource, view: &View) -> Result<(), StepFailure> {
    let missing = needs::missing(&resource.needs.require, view);
    if missing.is_empty() {
        return Ok(());
    }
    let whole = |path: &str| view.whole_key(path).map(|key| format!(" ({key})")).unwrap_or_default();
    let missing: Vec<String> = missing.iter().map(|path| format!("`{path}`{}", whole(path))).collect();
    Err(StepFailure::new(Stage::Render, format!("required keys are missing: {}", missing.join(", "))))
}

/// Refuses bytes that are not of the resource's `output_format`.
pub(super) fn check_format(member: &Member, bytes: Arc<Vec<u8>>) -> Result<Arc<Vec<u8>>, StepFailure> {
    if let Some(output_format) = member.resource.output_format {
        let (checked, renderer) = (Arc::clone(&bytes), Arc::clone(&member.renderer));
        panics::contain_apart(STACK_BYTES, move || renderer.check_format(&checked, output_format))
            .map_err(|place| bug(&member.resource, &place))?
            .map_err(|error| StepFailure::new(Stage::Check, error.to_string()))?;
    }
    Ok(bytes)
}

/// Returns a resource's view of a tree.
pub fn view(resource: &Resource, tree: &Tree) -> View {
    View::new(tree.clone(), Arc::clone(&resource.prefix), resource.ranges.clone())
        .with_other_prefix(resource.other_prefix.clone())
        .with_environment(resource.from_environment)
        .with_item(resource.id.item.clone())
}

/// Returns the counts of a render with this tally, for the guard.
pub(super) fn found(member: &Member, tree: &Tree, tally: Option<&Tally>) -> RenderCount {
    let resource = &member.resource;
    match tally {
        Some(tally) => {
            RenderCount { calls_backends: true, keys: tally.keys, backends: tally.backends, skipped: tally.skipped }
        }
        None => {
            let calls_backends = member.renderer.asks_for_backends(root(resource, &ServersForm::Lines));
            // If only zero or non-zero matters, one key is enough.
            let most = if calls_backends || resource.guard.compares() { usize::MAX } else { 1 };
            RenderCount {
                calls_backends,
                keys: view(resource, tree).iter().take(most).count(),
                ..RenderCount::default()
            }
        }
    }
}

/// Returns the failure of a render that a guard refuses.
pub(super) fn refused(resource: &Resource, decision: &Decision) -> StepFailure {
    let loss = decision.loss.map(|loss| format!("{loss}: ")).unwrap_or_default();
    StepFailure::new(Stage::Render, format!("{loss}{}", decision.consequence(&resource.guard)))
}
