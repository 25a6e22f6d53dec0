//! Whether what was rendered may go live where the store has lost backends: all of them, too many at once, or so many that
//! too few are left. Pure: counts and the time go in, a decision comes out. A store that does not answer never comes here:
//! then nothing is rendered, and every file stays.

use std::fmt;
use std::time::{Duration, Instant};

/// What a resource does about lost backends. In a template that calls `backends` these are counted, in any other the keys
/// that it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// `on_empty`: what to do with fewer than `min_backends`. Unset: keep where the template calls `backends` or
    /// `min_backends` is set, else apply, as confd does.
    pub on_empty: Option<OnEmpty>,
    /// `min_backends`: fewer are as good as none. Unset: 1.
    pub min_backends: Option<usize>,
    /// `max_drop_percent`: a loss of more than this part of the live backends is held for a while.
    pub max_drop_percent: Option<u8>,
    /// `max_drop_hold`: for how long. Default 30 s.
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
    /// The last good file stays; where there is none, what there is goes live.
    Keep,
    /// The template renders with an empty list of backends; one that asks for none renders what there is.
    Placeholder,
    /// What there is goes live, as in confd.
    Apply,
    /// The resource fails; the last good file stays.
    Fail,
}

/// What a render found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The template calls `backends`.
    pub asks: bool,
    /// Keys in the folders whose backends were asked for; where none were, keys that the resource sees.
    pub keys: usize,
    /// Backends among them.
    pub backends: usize,
    /// Keys that are no backend.
    pub set_aside: usize,
}

impl Found {
    /// What guards count.
    pub fn count(&self) -> usize {
        if self.asks { self.backends } else { self.keys }
    }
}

/// What is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// The destination has content.
    pub has_file: bool,
    /// How many it was rendered with; `None` where nobody remembers.
    pub count: Option<usize>,
    /// Since when a loss is being held.
    pub held_since: Option<Instant>,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The store answers, and there is no key.
    NoKey,
    /// There are keys, and none of them is a backend.
    NoneValid {
        /// How many keys.
        keys: usize,
        /// How many of them were set aside; the others are not to be listed, such as draining ones.
        set_aside: usize,
    },
    /// Some, and fewer than `min_backends`.
    TooFew {
        /// How many.
        count: usize,
        /// How many there must be.
        least: usize,
    },
    /// Too many at once.
    Drop {
        /// How many are live.
        from: usize,
        /// How many there are.
        to: usize,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::NoKey => f.write_str("the store has no key for it"),
            Loss::NoneValid { keys, set_aside } => {
                write!(f, "the store has keys for it ({keys}), but none is a backend to list ({set_aside} skipped)")
            }
            Loss::TooFew { count, least } => write!(f, "{count} are left, fewer than min_backends = {least}"),
            Loss::Drop { from, to } => {
                write!(f, "{from} have become {to}, a greater loss than max_drop_percent allows")
            }
        }
    }
}

/// What becomes of a render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes live.
    Apply,
    /// It goes live with an empty list of backends.
    Placeholder,
    /// The last good file stays until the store says something else.
    Keep,
    /// The last good file stays until then, if the store says nothing else before.
    Hold(Instant),
    /// The resource fails.
    Fail,
}

/// A verdict and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the render.
    pub verdict: Verdict,
    /// What is lost.
    pub loss: Option<Loss>,
    /// Since when the loss at hand is held; to be remembered until the next decision.
    pub held_since: Option<Instant>,
    /// The policy that led here.
    on_empty: OnEmpty,
}

impl Decision {
    /// Whether the live file stays as it is.
    pub fn keeps_file(&self) -> bool {
        matches!(self.verdict, Verdict::Keep | Verdict::Hold(_))
    }

    /// What follows, for people. `guard` is what was decided by.
    pub fn consequence(&self, guard: &Guard) -> String {
        match self.verdict {
            Verdict::Keep => "the last good file stays (on_empty = \"keep\")".to_owned(),
            Verdict::Hold(_) => {
                format!("the last good file stays until this has lasted {:?} (max_drop_hold)", guard.max_drop_hold)
            }
            Verdict::Placeholder => "rendered without backends (on_empty = \"placeholder\")".to_owned(),
            Verdict::Fail => "refused, the last good file stays (on_empty = \"fail\")".to_owned(),
            Verdict::Apply => match self.loss {
                Some(Loss::Drop { .. }) => format!("it has lasted {:?} and goes live", guard.max_drop_hold),
                _ => match self.on_empty {
                    OnEmpty::Keep => "there is nothing better to keep, it goes live",
                    OnEmpty::Placeholder => "it goes live, as the template asks for no backends that could be left out",
                    OnEmpty::Apply | OnEmpty::Fail => "it goes live (on_empty = \"apply\")",
                }
                .to_owned(),
            },
        }
    }
}

impl Guard {
    /// Whether the number of live backends matters, so that it must survive a restart.
    pub fn compares(&self) -> bool {
        self.min_backends.is_some() || self.max_drop_percent.is_some()
    }

    /// Whether it matters for what was found that the destination has content.
    pub fn asks_for_file(&self, found: Found) -> bool {
        found.count() < self.min_backends.unwrap_or(1).max(1) || self.max_drop_percent.is_some()
    }

    /// What becomes of a render.
    pub fn decide(&self, found: Found, live: Live, now: Instant) -> Decision {
        let count = found.count();
        let least = self.min_backends.unwrap_or(1).max(1);
        let standard = if found.asks || self.min_backends.is_some() { OnEmpty::Keep } else { OnEmpty::Apply };
        let on_empty = self.on_empty.unwrap_or(standard);
        let decision = |verdict, loss| Decision { verdict, loss, held_since: None, on_empty };
        let shortage = (count < least).then_some(match (found.keys, count) {
            (0, _) => Loss::NoKey,
            (keys, 0) => Loss::NoneValid { keys, set_aside: found.set_aside },
            (_, count) => Loss::TooFew { count, least },
        });
        let verdict = match (shortage, on_empty) {
            (Some(_), OnEmpty::Fail) => return decision(Verdict::Fail, shortage),
            // A live file that is no better is no reason to stay behind.
            (Some(_), OnEmpty::Keep) if live.has_file && live.count.is_none_or(|before| count < before) => {
                return decision(Verdict::Keep, shortage);
            }
            (Some(_), OnEmpty::Placeholder) if found.asks => Verdict::Placeholder,
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

    /// How many were live, and since when too many of them are gone; `None` where not too many are.
    fn excess(&self, count: usize, live: Live, now: Instant) -> Option<(usize, Instant)> {
        let most = usize::from(self.max_drop_percent?);
        let from = live.count.filter(|_| live.has_file)?;
        let lost = from.saturating_sub(count);
        (lost * 100 > most * from).then(|| (from, live.held_since.unwrap_or(now)))
    }
}

#[cfg(test)]
mod tests;
