//! The filters that limit what Tera does by itself. Each returns the value that it gets, or fails.

use tera::{Kwargs, State, TeraResult, Value};

use crate::model::problem::Problem;
use crate::render::budget::{Budget, measured};
use crate::render::tera::run::TeraRun;

/// The filters, by what they do.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// Counts the rounds of a loop over the value.
    Rounds,
    /// Looks at the clock.
    Timed,
    /// Refuses a value that is too large.
    Made,
    /// The same for each item that a list is made of, which are all kept.
    Item,
    /// Takes Tera's mark from a part of a text that may be printed as it is: it holds for the whole.
    Part,
    /// The same for one letter, but not for an item of a list or a map, which may be a whole text.
    Letter,
    /// Counts what is printed into a block that the template keeps.
    Kept,
}

impl Limit {
    const ALL: [Limit; 7] =
        [Limit::Rounds, Limit::Timed, Limit::Made, Limit::Item, Limit::Part, Limit::Letter, Limit::Kept];

    /// Returns its name in templates.
    pub(super) fn name(self) -> &'static str {
        match self {
            Limit::Rounds => "__rounds",
            Limit::Timed => "__timed",
            Limit::Made => "__made",
            Limit::Item => "__item",
            Limit::Part => "__part",
            Limit::Letter => "__letter",
            Limit::Kept => "__kept",
        }
    }

    /// Checks a value. `bytes` is how many bytes of the template each round may add to what it keeps.
    fn check(self, value: &Value, bytes: usize, budget: &Budget) -> Result<Value, Problem> {
        budget.check_time()?;
        match self {
            Limit::Rounds => {
                let rounds = value.as_str().map_or_else(|| value.len().unwrap_or(0), str::len) + 1;
                budget.take_rounds(rounds)?;
                budget.keep(rounds.saturating_mul(bytes))?;
            }
            Limit::Timed => {}
            Limit::Made => drop(size(value)?),
            Limit::Item | Limit::Kept => budget.keep(size(value)?)?,
            Limit::Part | Limit::Letter => {
                let is_part = |text: &&str| matches!(self, Limit::Part) || text.chars().nth(1).is_none();
                let part = value.as_str().filter(|_| value.is_safe()).filter(is_part).map(Value::from);
                return Ok(part.unwrap_or_else(|| value.clone()));
            }
        }
        Ok(value.clone())
    }
}

/// Returns the size of a value, if it may have it.
fn size(value: &Value) -> Result<usize, Problem> {
    measured(value).map_err(|problem| Problem::new(format!("the value {}", problem.message)))
}

impl tera::Filter<&Value, TeraResult<Value>> for Limit {
    fn call(&self, value: &Value, kwargs: Kwargs, _: &State) -> TeraResult<Value> {
        let bytes = kwargs.get::<usize>("bytes")?.unwrap_or(0);
        TeraRun::with(|run| self.check(value, bytes, &run.session.budget))
            .map_err(|failure| tera::Error::message(failure.message))
    }
}

/// Registers the filters.
pub(in crate::render::tera) fn register(tera: &mut tera::Tera) {
    for limit in Limit::ALL {
        tera.register_filter::<_, &Value, _>(limit.name(), limit);
    }
}
