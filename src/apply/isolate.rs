//! Finds out which files of a group a check refuses, so that the others can go live. Pure: it returns sets of files to try
//! and receives the results. Never runs a check.
//!
//! The file that nginx blames is left out first. If no file is blamed, halves are tried, each on top of the files known to
//! be good. A tree that is refused without any of the files is beyond repair.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::report::StepFailure;

/// Most checks in one search; files that are undecided by then count as refused.
const MAX_TRIALS: usize = 64;

/// A failed check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRefusal {
    /// Failure of the check.
    pub failure: StepFailure,
    /// Position of the blamed file, if it is one of the group's.
    pub blamed: Option<usize>,
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    good: BTreeSet<usize>,
    culprits: BTreeMap<usize, StepFailure>,
    /// Undecided sets; the last one is tried next, together with the good files.
    open: Vec<Vec<usize>>,
    base: Base,
    /// Culprits only because nginx named them: of two files that conflict it names the second, whichever is new. Each is
    /// tried once more when the others are known.
    suspects: Vec<usize>,
    trials_left: usize,
    last_failure: StepFailure,
}

/// The verdict on the tree without any of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Untried,
    Trying,
    Right,
    Wrong,
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolated {
    /// Files that pass together.
    pub good: BTreeSet<usize>,
    /// The other files, each with the check's failure.
    pub culprits: BTreeMap<usize, StepFailure>,
}

impl Search {
    /// Starts a search after a check of all these files together was refused.
    pub fn start(all: impl IntoIterator<Item = usize>, refused: CheckRefusal) -> Search {
        let open = vec![all.into_iter().collect()];
        let (good, culprits) = (BTreeSet::new(), BTreeMap::new());
        let mut search = Search {
            good,
            culprits,
            open,
            base: Base::Untried,
            suspects: Vec::new(),
            trials_left: MAX_TRIALS,
            last_failure: refused.failure.clone(),
        };
        search.narrow(refused);
        search
    }

    /// Returns the files to try next, with all others left as they were; `None` when the search is over.
    pub fn next_trial(&mut self) -> Option<BTreeSet<usize>> {
        if self.base == Base::Wrong || self.trials_left == 0 {
            return None;
        }
        if self.base == Base::Trying {
            return Some(BTreeSet::new());
        }
        let suspect = self.suspects.last().filter(|_| self.culprits.len() > 1);
        let candidates = self.open.last().map(Vec::as_slice).or_else(|| suspect.map(std::slice::from_ref))?;
        Some(self.good.iter().chain(candidates).copied().collect())
    }

    /// Records the result of the last trial.
    pub fn answer(&mut self, answer: Result<(), CheckRefusal>) {
        self.trials_left -= 1;
        match (self.base, answer) {
            (Base::Trying, Ok(())) => self.base = Base::Right,
            (Base::Trying, Err(_)) => self.base = Base::Wrong,
            (_, answer) if self.open.is_empty() => self.clear_suspect(answer),
            (_, Ok(())) => self.good.extend(self.open.pop().unwrap_or_default()),
            (_, Err(refused)) => self.narrow(refused),
        }
    }

    fn clear_suspect(&mut self, answer: Result<(), CheckRefusal>) {
        let Some(suspect) = self.suspects.pop() else { return };
        match answer {
            Ok(()) => {
                self.culprits.remove(&suspect);
                self.good.insert(suspect);
            }
            Err(refused) => {
                self.culprits.insert(suspect, refused.failure);
            }
        }
    }

    /// Returns the result; `None` if the tree is refused even without the files.
    pub fn found(mut self) -> Option<Isolated> {
        // Files that were not decided in time are left out.
        let undecided = self.open.into_iter().flatten();
        self.culprits.extend(undecided.map(|file| (file, self.last_failure.clone())));
        (self.base != Base::Wrong).then_some(Isolated { good: self.good, culprits: self.culprits })
    }

    fn narrow(&mut self, refused: CheckRefusal) {
        let Some(mut candidates) = self.open.pop() else { return };
        self.last_failure = refused.failure.clone();
        let blamed = refused.blamed.and_then(|blamed| candidates.iter().position(|file| *file == blamed));
        if let Some(position) = blamed {
            let suspect = candidates.remove(position);
            self.culprits.insert(suspect, refused.failure);
            self.suspects.push(suspect);
        } else {
            if self.base == Base::Untried {
                self.base = Base::Trying;
            }
            if let [culprit] = candidates[..] {
                self.culprits.insert(culprit, refused.failure);
                candidates.clear();
            }
        }
        if candidates.is_empty() {
            return;
        }
        if blamed.is_some() {
            self.open.push(candidates);
        } else {
            let second = candidates.split_off(candidates.len().div_ceil(2));
            self.open.push(second);
            self.open.push(candidates);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::Stage;

    fn failure() -> StepFailure {
        StepFailure::new(Stage::Check, "refused")
    }

    /// Runs a search among `n` files with a check that refuses every set for which `refuses` gives a reason.
    fn search(n: usize, refuses: impl Fn(&BTreeSet<usize>) -> Option<Option<usize>>) -> (Option<Isolated>, usize) {
        let judge = |set: &BTreeSet<usize>| match refuses(set) {
            None => Ok(()),
            Some(blamed) => Err(CheckRefusal { failure: failure(), blamed }),
        };
        let refused = judge(&(0..n).collect()).expect_err("the whole is refused");
        let mut search = Search::start(0..n, refused);
        let mut trials = 0;
        while let Some(trial) = search.next_trial() {
            trials += 1;
            assert!(trials <= MAX_TRIALS);
            search.answer(judge(&trial));
        }
        (search.found(), trials)
    }

    #[test]
    fn every_set_of_culprits_is_found_whether_blamed_or_not() {
        for n in 1..=6_usize {
            for bits in 1..1_u32 << n {
                let bad: BTreeSet<usize> = (0..n).filter(|file| bits >> file & 1 == 1).collect();
                for blames in [false, true] {
                    let first_bad = |set: &BTreeSet<usize>| set.intersection(&bad).next().copied();
                    let (found, _) = search(n, |set| first_bad(set).map(|file| blames.then_some(file)));
                    let found = found.expect("the base is right");
                    assert_eq!(found.culprits.keys().copied().collect::<BTreeSet<_>>(), bad, "{n} {bits:b} {blames}");
                    assert_eq!(found.good.len(), n - bad.len());
                }
            }
        }
    }

    #[test]
    fn of_two_that_do_not_go_together_one_goes_live() {
        let (found, _) = search(4, |set| (set.contains(&1) && set.contains(&3)).then_some(None));
        let found = found.unwrap();
        assert_eq!((found.good, found.culprits.len()), ([0, 1, 2].into(), 1));
        // Blame for a file that is known to be good by itself does not help.
        let (found, _) = search(4, |set| (set.contains(&1) && set.contains(&3)).then_some(Some(9)));
        assert_eq!(found.unwrap().culprits.len(), 1);
    }

    #[test]
    fn a_wrongly_blamed_file_goes_live_once_the_culprit_is_known() {
        // File 0 conflicts with what file 3 has had all along, and file 3 is named.
        let (found, _) = search(4, |set| set.contains(&0).then_some(Some(3)));
        let found = found.unwrap();
        assert_eq!((found.good, found.culprits.keys().copied().collect::<Vec<_>>()), ([1, 2, 3].into(), vec![0]));
    }

    #[test]
    fn a_tree_that_is_wrong_by_itself_ends_the_search_at_once() {
        assert_eq!(search(8, |_| Some(None)), (None, 1));
    }

    #[test]
    fn one_of_many_costs_a_logarithm_and_the_search_is_bounded() {
        let (found, trials) = search(1000, |set| set.contains(&700).then_some(None));
        assert_eq!((found.unwrap().culprits.len(), trials <= 24), (1, true), "{trials}");
        let (found, trials) = search(1000, |set| set.iter().any(|file| file % 2 == 1).then_some(None));
        let found = found.unwrap();
        assert_eq!((trials, found.good.len() + found.culprits.len()), (MAX_TRIALS, 1000));
    }
}
