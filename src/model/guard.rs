//! Decides whether a render may go live when the store has lost backends: all, too many at once, or so many that too few are
//! left. Pure: counts and the time go in, a decision comes out. Never sees an outage of the store: then nothing is rendered,
//! and every file stays.

use std::fmt;
use std::time::{Duration, Instant};

/// The rule of a resource for lost backends. If its template calls `backends` or `servers`, backends are counted; otherwise the keys
/// that it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// `on_empty`: the policy for fewer than `min_backends`. Default: keep if the template asks for backends or
    /// `min_backends` is set; otherwise apply, as confd does.
    pub on_empty: Option<OnEmpty>,
    /// `min_backends`: fewer count as no backends. Default: 1.
    pub min_backends: Option<usize>,
    /// `max_drop_percent`: largest share of the live backends, in percent, whose loss is applied at once. Default: any.
    pub max_drop_percent: Option<u8>,
    /// `max_drop_hold`: time that a larger loss is held. Default: 30 s.
    pub max_drop_hold: Duration,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard { on_empty: None, min_backends: None, max_drop_percent: None, max_drop_hold: Duration::from_secs(30) }
    }
}

/// `on_empty`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEmpty {
    /// The last good file stays; if there is no such file, the render goes live.
    Keep,
    /// The template renders with an empty list of backends; one that never asks for any goes live as rendered.
    Placeholder,
    /// The render goes live, as in confd.
    Apply,
    /// The resource fails; the last good file stays.
    Fail,
}

/// Count of keys and backends that a render found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenderCount {
    /// Whether the template calls `backends` or `servers`.
    pub calls_backends: bool,
    /// Keys in the folders that `backends` was called for; if it was not called, keys that the resource sees.
    pub keys: usize,
    /// Backends among these keys.
    pub backends: usize,
    /// Keys skipped because they do not decode as a backend.
    pub skipped: usize,
}

impl RenderCount {
    /// Returns the number that guards look at.
    pub fn count(&self) -> usize {
        if self.calls_backends { self.backends } else { self.keys }
    }
}

/// The live state that a render is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Whether the destination has content.
    pub has_file: bool,
    /// Number of backends it was rendered with; `None` if unknown.
    pub count: Option<usize>,
    /// Start of the hold, if a loss is being held.
    pub held_since: Option<Instant>,
}

/// Loss that a guard found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The store is up and has no key.
    NoKey,
    /// There are keys, but no backend to list.
    NoneValid {
        /// Number of keys.
        keys: usize,
        /// Number of skipped keys; the others are not listed for a different reason, such as draining.
        skipped: usize,
    },
    /// Some are left, but fewer than `min_backends`.
    TooFew {
        /// Number that is left.
        count: usize,
        /// `min_backends`.
        least: usize,
    },
    /// Too many were lost at once.
    Drop {
        /// Number that is live.
        from: usize,
        /// Number in the store.
        to: usize,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::NoKey => f.write_str("the store has no key for it"),
            Loss::NoneValid { keys, skipped } => {
                write!(
                    f,
                    "the store has keys for it ({keys}), but none of them is a usable backend ({skipped} skipped)"
                )
            }
            Loss::TooFew { count, least } => write!(f, "only {count} left, fewer than min_backends = {least}"),
            Loss::Drop { from, to } => {
                write!(f, "dropped from {from} to {to}, more than max_drop_percent allows")
            }
        }
    }
}

/// The decision about a render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The render goes live.
    Apply,
    /// The render goes live with an empty list of backends.
    Placeholder,
    /// The last good file stays until the store changes.
    Keep,
    /// The last good file stays until this time, unless the store changes before.
    Hold(Instant),
    /// The resource fails.
    Fail,
}

/// A verdict and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict on the render.
    pub verdict: Verdict,
    /// The loss, if there is one.
    pub loss: Option<Loss>,
    /// Start of the hold of this loss; input of the next decision.
    pub held_since: Option<Instant>,
    /// The policy in effect.
    on_empty: OnEmpty,
}

impl Decision {
    /// Returns whether the live file stays as it is.
    pub fn keeps_file(&self) -> bool {
        matches!(self.verdict, Verdict::Keep | Verdict::Hold(_))
    }

    /// Returns the consequence as a text for people. `guard` is the guard that decided.
    pub fn consequence(&self, guard: &Guard) -> String {
        match self.verdict {
            Verdict::Keep => "the last good file stays (on_empty = \"keep\")".to_owned(),
            Verdict::Hold(_) => {
                format!("the last good file stays until this has lasted {:?} (max_drop_hold)", guard.max_drop_hold)
            }
            Verdict::Placeholder => "rendered without backends (on_empty = \"placeholder\")".to_owned(),
            Verdict::Fail => "refused, its file is left as it is (on_empty = \"fail\")".to_owned(),
            Verdict::Apply => match self.loss {
                Some(Loss::Drop { .. }) => format!("it has lasted {:?} and goes live", guard.max_drop_hold),
                _ => match self.on_empty {
                    OnEmpty::Keep => "it goes live, because there is no file with more backends to keep",
                    OnEmpty::Placeholder => "it goes live, because the template does not call backends()",
                    OnEmpty::Apply | OnEmpty::Fail => "it is to go live (on_empty = \"apply\")",
                }
                .to_owned(),
            },
        }
    }
}

impl Guard {
    /// Returns whether the number of live backends matters, so that it must survive a restart.
    pub fn compares(&self) -> bool {
        self.min_backends.is_some() || self.max_drop_percent.is_some()
    }

    /// Returns whether the decision depends on whether the destination has content.
    pub fn needs_live_file(&self, found: RenderCount) -> bool {
        found.count() < self.min_backends.unwrap_or(1).max(1) || self.max_drop_percent.is_some()
    }

    /// Decides what happens to a render.
    pub fn decide(&self, found: RenderCount, live: Live, now: Instant) -> Decision {
        let count = found.count();
        let least = self.min_backends.unwrap_or(1).max(1);
        let standard = if found.calls_backends || self.min_backends.is_some() { OnEmpty::Keep } else { OnEmpty::Apply };
        let on_empty = self.on_empty.unwrap_or(standard);
        // While none is left, a hold goes on for its time and no longer: the first one that is back does not replace all others at once.
        let goes_on = |since: &Instant| now < *since + self.max_drop_hold && self.excess(count, live, now).is_some();
        let decision =
            |verdict, loss| Decision { verdict, loss, held_since: live.held_since.filter(goes_on), on_empty };
        let shortage = (count < least).then_some(match (found.keys, count) {
            (0, _) => Loss::NoKey,
            (keys, 0) => Loss::NoneValid { keys, skipped: found.skipped },
            (_, count) => Loss::TooFew { count, least },
        });
        let verdict = match (shortage, on_empty) {
            (Some(_), OnEmpty::Fail) => return decision(Verdict::Fail, shortage),
            // Keep the live file only if it has more backends.
            (Some(_), OnEmpty::Keep) if live.has_file && live.count.is_none_or(|before| count < before) => {
                return decision(Verdict::Keep, shortage);
            }
            (Some(_), OnEmpty::Placeholder) if found.calls_backends => Verdict::Placeholder,
            _ => Verdict::Apply,
        };
        let to = if verdict == Verdict::Placeholder { 0 } else { count };
        let Some((from, since)) = self.excess(to, live, now) else { return decision(verdict, shortage) };
        let until = since + self.max_drop_hold;
        let lasted = now >= until;
        Decision {
            verdict: if lasted { verdict } else { Verdict::Hold(until) },
            loss: if lasted && shortage.is_some() { shortage } else { Some(Loss::Drop { from, to }) },
            held_since: Some(since),
            on_empty,
        }
    }

    /// Returns the number of live backends and the start of the hold if too many are gone, otherwise `None`.
    fn excess(&self, count: usize, live: Live, now: Instant) -> Option<(usize, Instant)> {
        let most = usize::from(self.max_drop_percent?);
        let from = live.count.filter(|_| live.has_file)?;
        let lost = from.saturating_sub(count);
        (lost * 100 > most * from).then(|| (from, live.held_since.unwrap_or(now)))
    }
}

#[cfg(test)]
mod tests;
