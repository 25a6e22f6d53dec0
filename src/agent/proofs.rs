//! The proofs of past reloads, looked at again after a while: a belief that was wrong, or became wrong, heals. Pure: the caller says
//! whether a proof still holds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::report::ReloadEvidence;

/// Pause before the first look: an upgrade of nginx that is taken back takes seconds.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Pause between further looks.
const PAUSE: Duration = Duration::from_secs(60);

/// The last proof of each group.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    by_group: HashMap<String, (ReloadEvidence, Instant)>,
}

impl Proofs {
    /// Records the proof of a group's last reload.
    pub(super) fn add(&mut self, group_id: &str, proof: ReloadEvidence, now: Instant) {
        self.by_group.insert(group_id.to_owned(), (proof, now + FIRST_PAUSE));
    }

    /// Returns the groups whose proof holds no longer, each once.
    pub(super) fn look(&mut self, now: Instant, holds: impl Fn(&ReloadEvidence) -> bool) -> Vec<String> {
        let mut wrong = Vec::new();
        self.by_group.retain(|group_id, (proof, next)| {
            if *next > now {
                return true;
            }
            *next = now + PAUSE;
            let still_holds = holds(proof);
            if !still_holds {
                wrong.push(group_id.clone());
            }
            still_holds
        });
        wrong
    }

    /// Returns when to look next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.by_group.values().map(|(_, next)| *next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_looked_at_again_until_it_no_longer_holds() {
        let (mut proofs, start) = (Proofs::default(), Instant::now());
        let proof = ReloadEvidence { pid_file: "/p".into(), binary: "nginx".into(), ticks: 7 };
        proofs.add("g", proof, start);
        let looks = std::cell::Cell::new(0);
        let good = |_: &ReloadEvidence| {
            looks.set(looks.get() + 1);
            true
        };
        assert!(proofs.look(start + Duration::from_secs(4), good).is_empty());
        assert_eq!((looks.get(), proofs.wake_at()), (0, Some(start + FIRST_PAUSE)));
        assert!(proofs.look(start + FIRST_PAUSE, good).is_empty());
        assert_eq!((looks.get(), proofs.wake_at()), (1, Some(start + FIRST_PAUSE + PAUSE)));
        assert_eq!(proofs.look(start + Duration::from_secs(100), |_| false), ["g"]);
        assert!(proofs.look(start + Duration::from_secs(900), |_| false).is_empty() && proofs.wake_at().is_none());
    }
}
