//! What one render may use: a time, which all its look-ups share; rounds of its loops; and bytes that it builds. A render that
//! goes beyond fails in its own thread. Never stops anything by itself: engines ask at each call, each round and each write.

use std::cell::Cell;
use std::time::Duration;

use super::deadline::Deadline;
use super::facts::Facts;
use super::library::text::MAX_BYTES;
use super::output::MAX_OUTPUT_BYTES;
use crate::model::problem::Problem;

/// Most rounds of all loops of one render.
pub(super) const MAX_ROUNDS: usize = 10_000_000;
/// Rounds of a loop before which the clock is looked at in any case.
const LONG_LOOP: usize = 1000;
/// Most bytes that a render may keep for itself, in blocks of `set` and the like, before they are printed.
const MAX_KEPT_BYTES: usize = 2 * MAX_OUTPUT_BYTES;
/// Levels of lists and maps within each other.
const MAX_DEPTH: usize = 64;
/// Bytes that a value counts beside its text.
const VALUE_BYTES: usize = 8;
/// Steps of work before which the clock is looked at in any case.
const LONG_WORK: usize = 64 << 10;

/// The use of one render.
pub(super) struct Budget {
    pub(super) deadline: Deadline,
    /// Time that it has waited for answers of name servers.
    waited: Cell<Duration>,
    rounds: Cell<usize>,
    kept_bytes: Cell<usize>,
    /// Steps of work since the last look at the clock.
    steps: Cell<usize>,
}

impl Budget {
    pub(super) fn new(deadline: Deadline) -> Budget {
        Budget {
            deadline,
            waited: Cell::default(),
            rounds: Cell::new(0),
            kept_bytes: Cell::new(0),
            steps: Cell::new(0),
        }
    }

    /// Fails if the time is over.
    pub(super) fn check_time(&self) -> Result<(), Problem> {
        if self.deadline.has_passed() { Err(self.late()) } else { Ok(()) }
    }

    /// Fails if the time is over, which may be found out later if little was done: takes the steps of what is to be done next.
    pub(super) fn take_steps(&self, steps: usize) -> Result<(), Problem> {
        let steps = self.steps.get().saturating_add(steps);
        let is_much = steps >= LONG_WORK;
        self.steps.set(if is_much { 0 } else { steps });
        if is_much {
            self.deadline.left();
        }
        self.check_time()
    }

    /// Returns the error of a render whose time is over.
    #[cold]
    pub(super) fn late(&self) -> Problem {
        let timeout = self.deadline.timeout();
        let waited = self.waited.get();
        let waiting = match waited >= timeout / 2 && !waited.is_zero() {
            true => format!(", of which name servers took {:.1}s to answer", waited.as_secs_f64()),
            false => String::new(),
        };
        Problem::new(format!("the render takes longer than {timeout:?}{waiting}"))
            .hint("--render-timeout sets this limit")
    }

    /// Asks the world something that takes until an answer comes, within the time that is left.
    pub(super) fn wait<T>(
        &self,
        ask: impl FnOnce(&dyn Facts, Option<Duration>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let left = self.deadline.left();
        if left.is_some_and(|left| left.is_zero()) {
            return Err(self.late());
        }
        let facts = self.deadline.facts();
        let start = facts.instant();
        let answer = ask(facts, left);
        self.waited.set(self.waited.get() + facts.instant().saturating_duration_since(start));
        // An answer that the deadline has cut off says nothing about the name server.
        if self.deadline.left().is_some_and(|left| left.is_zero()) { Err(self.late()) } else { answer }
    }

    /// Takes rounds of a loop.
    pub(super) fn take_rounds(&self, rounds: usize) -> Result<(), Problem> {
        if rounds >= LONG_LOOP {
            self.deadline.left();
        }
        self.check_time()?;
        self.rounds.set(self.rounds.get().saturating_add(rounds));
        if self.rounds.get() > MAX_ROUNDS {
            return Err(Problem::new(format!("the loops of the render take more than {MAX_ROUNDS} rounds")));
        }
        Ok(())
    }

    /// Takes bytes that the render keeps for itself.
    pub(super) fn keep(&self, bytes: usize) -> Result<(), Problem> {
        self.kept_bytes.set(self.kept_bytes.get().saturating_add(bytes));
        if self.kept_bytes.get() > MAX_KEPT_BYTES {
            return Err(Problem::new(format!(
                "the render would keep more than {MAX_KEPT_BYTES} bytes before it prints them"
            )));
        }
        Ok(())
    }
}

/// A value of an engine that may hold others.
pub(super) trait Nested: Clone {
    /// Returns the bytes of the text that it is, or of the names in it: what is printed of it beside the values that it holds.
    fn text_bytes(&self) -> usize;
    /// Checks all values that it holds.
    fn all(&self, check: &mut dyn FnMut(&Self) -> bool) -> bool;
}

/// Returns a value that a template made of others, unless it is too large to be printed or taken apart again: what it shares with
/// itself counts each time.
pub(super) fn bounded<V: Nested>(value: V) -> Result<V, Problem> {
    measured(&value).map(|_| value)
}

/// Returns the size of a value in bytes, counted so.
pub(super) fn measured<V: Nested>(value: &V) -> Result<usize, Problem> {
    size(value, MAX_DEPTH).ok_or_else(too_large)
}

/// Checks a list of so many values, those within them included, and so many bytes of text, before it is made.
pub(super) fn check_count(values: usize, text_bytes: usize) -> Result<(), Problem> {
    let bytes = values.saturating_mul(VALUE_BYTES).saturating_add(text_bytes);
    if bytes > MAX_BYTES { Err(too_large()) } else { Ok(()) }
}

/// Checks a list that was right before its last item was added: the item each time, and the whole list often enough.
pub(super) fn check_added<V: Nested>(list: &[V]) -> Result<(), Problem> {
    // The list itself is a level, too.
    let size = |item| size(item, MAX_DEPTH - 1);
    let last = list.last().map_or(Some(0), size).ok_or_else(too_large)?;
    let is_cheap = last.saturating_mul(list.len()) <= MAX_BYTES && !list.len().is_power_of_two();
    let whole = || list.iter().try_fold(0, |sum: usize, item| Some(sum + size(item)?).filter(|sum| *sum <= MAX_BYTES));
    if is_cheap || whole().is_some() { Ok(()) } else { Err(too_large()) }
}

/// Returns the size of a value; `None` if it is too large, or nested deeper than so many levels.
fn size<V: Nested>(value: &V, levels: usize) -> Option<usize> {
    let mut left = MAX_BYTES;
    fits(value, levels, &mut left).then(|| MAX_BYTES - left)
}

fn fits<V: Nested>(value: &V, levels: usize, left: &mut usize) -> bool {
    let own = VALUE_BYTES + value.text_bytes();
    if own > *left || levels == 0 {
        return false;
    }
    *left -= own;
    value.all(&mut |item| fits(item, levels - 1, left))
}

fn too_large() -> Problem {
    Problem::new(format!("would nest more than {MAX_DEPTH} levels, or hold more than {MAX_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::model::dns::Srv;
    use crate::nginx::installation::Version;

    /// A world in which each look-up takes three seconds, and nothing else takes time.
    struct SlowWorld {
        start: Instant,
        seconds: AtomicU64,
    }

    impl Facts for SlowWorld {
        fn instant(&self) -> Instant {
            self.start + Duration::from_secs(self.seconds.load(Ordering::Relaxed))
        }
        fn render_timeout(&self) -> Option<Duration> {
            Some(Duration::from_secs(10))
        }
        fn env(&self, _: &str) -> Option<String> {
            None
        }
        fn now(&self) -> jiff::Zoned {
            jiff::Zoned::default()
        }
        fn file_exists(&self, _: &str) -> bool {
            false
        }
        fn hostname(&self) -> Result<String, String> {
            Ok("host".to_owned())
        }
        fn lookup_ip(&self, _: &str, within: Option<Duration>) -> Result<Vec<IpAddr>, String> {
            let takes = within.map_or(3, |within| within.as_secs().min(3));
            self.seconds.fetch_add(takes, Ordering::Relaxed);
            if takes == 3 { Ok(Vec::new()) } else { Err("no answer".to_owned()) }
        }
        fn lookup_srv(&self, _: &str, _: &str, _: &str, _: Option<Duration>) -> Result<Vec<Srv>, String> {
            Ok(Vec::new())
        }
        fn interface_addresses(&self, _: &str) -> Vec<IpAddr> {
            Vec::new()
        }
        fn nginx_version(&self, _: Option<&std::path::Path>) -> Option<Version> {
            None
        }
    }

    #[test]
    fn all_look_ups_of_a_render_share_its_time() {
        let facts: Arc<dyn Facts> = Arc::new(SlowWorld { start: Instant::now(), seconds: AtomicU64::new(0) });
        let budget = Budget::new(Deadline::new(&facts));
        let look_up = || budget.wait(|facts, left| facts.lookup_ip("a", left).map_err(Problem::new));
        for _ in 0..3 {
            look_up().unwrap();
        }
        let expected = "the render takes longer than 10s, of which name servers took 10.0s to answer\n  hint: \
                        --render-timeout sets this limit";
        for _ in 0..2 {
            assert_eq!(look_up().unwrap_err().to_string(), expected);
        }
        assert_eq!(budget.check_time().unwrap_err().to_string(), expected);
        assert!(facts.instant() <= Instant::now() + Duration::from_secs(10), "nobody waits beyond the deadline");
    }

    /// The clock is else looked at for each sixteenth question, and sixteen searches may take minutes.
    #[test]
    fn much_work_has_the_clock_looked_at_before_it_begins() {
        let world = Arc::new(SlowWorld { start: Instant::now(), seconds: AtomicU64::new(0) });
        let facts: Arc<dyn Facts> = Arc::clone(&world) as Arc<dyn Facts>;
        let budget = Budget::new(Deadline::new(&facts));
        world.seconds.store(11, Ordering::Relaxed);
        assert!(budget.take_steps(LONG_WORK - 1).is_ok());
        assert!(budget.take_steps(1).is_err());
    }

    #[test]
    fn rounds_and_kept_bytes_are_counted_over_the_whole_render() {
        let facts: Arc<dyn Facts> = Arc::new(crate::render::facts::NoWorld);
        let budget = Budget::new(Deadline::new(&facts));
        assert!(budget.take_rounds(MAX_ROUNDS).is_ok() && budget.take_rounds(1).is_err());
        assert!(budget.keep(MAX_KEPT_BYTES).is_ok() && budget.keep(1).is_err());
    }
}
