//! The function that a rewritten template calls in place of a loop: prints the pieces that are not known from an earlier
//! render, and returns the texts of all. On any failure it just reports failure; the caller then renders the template as it
//! was written and uses that result.

use tera::{Context, Error, Kwargs, State, TeraResult, Value};

use super::rewrite::{ITEMS, name_of};
use crate::model::problem::Problem;
use crate::render::lists::ListKind;
use crate::render::output::Output;
use crate::render::tera::run::TeraRun;
use crate::render::window::Reads;

/// Longer texts are not kept, in bytes of one loop.
const MAX_KEPT_BYTES: usize = 8 << 20;

/// [`super::rewrite::EACH`], as a function of Tera.
pub(super) struct Each;

impl tera::Function<TeraResult<Value>> for Each {
    fn call(&self, kwargs: Kwargs, _: &State) -> TeraResult<Value> {
        let number = kwargs.must_get::<usize>("n")?;
        let (templates, mut pieces) = within(|run| (run.templates.clone(), run.memory.loops.take(number)))?;
        let kept = [ListKind::Pairs, ListKind::Values]
            .into_iter()
            .find(|kind| kwargs.iter().any(|(name, _)| name.as_str() == Some(kind.function())));
        if let Some(kind) = kept {
            let pattern = kwargs.must_get::<&str>(kind.function())?;
            let align = |run: &mut TeraRun| {
                run.memory.lists.with_items(kind, pattern, &run.session, |items| pieces.align(items))
            };
            TeraRun::with(align).map_err(|failure| Error::message(failure.message))?;
        } else {
            let Some(items) = kwargs.must_get::<&Value>("items")?.as_array() else {
                within(|run| run.memory.loops.give_up())?;
                return Err(Error::message("not a list"));
            };
            pieces.align(items);
        }
        let name = name_of(number);
        let mut kept_bytes = 0;
        for piece in pieces.iter_mut() {
            if piece.text.is_none() {
                let outer = within(|run| run.session.view.replace_reads(Reads::default()))?;
                let mut context = Context::new();
                context.insert_value(ITEMS, Value::from(piece.items.clone()));
                let mut output = within(|run| Output::like(0, run.session.budget.deadline.clone()))?;
                templates.render_to(&name, &context, &mut output)?;
                piece.reads = within(|run| run.session.view.replace_reads(outer))?;
                let text = String::from_utf8(output.bytes).map_err(|_| Error::message("no text"))?;
                piece.text = Some(Value::safe_string(&text));
            }
            within(|run| run.session.view.note_all(&piece.reads))?;
            kept_bytes += piece.bytes();
            if kept_bytes > MAX_KEPT_BYTES {
                within(|run| run.memory.loops.give_up())?;
                return Err(Error::message("too long"));
            }
        }
        let texts = Value::from(pieces.texts());
        // Depends on the outside world: not used again.
        pieces.iter_mut().filter(|piece| piece.reads.are_outside()).for_each(|piece| piece.text = None);
        within(|run| run.memory.loops.put(number, pieces))?;
        Ok(texts)
    }
}

fn within<T>(work: impl FnOnce(&mut TeraRun) -> T) -> TeraResult<T> {
    TeraRun::with(|run| Ok::<T, Problem>(work(run))).map_err(|failure| Error::message(failure.message))
}
