//! Finds out which files of a group a check refuses, so that the others can go live. Pure: it returns sets of files to try
//! and receives the results. Never runs a check.
//!
//! The file that nginx blames is left out first. If a second one is blamed, it tries as many files at a time as are likely to contain only
//! a few bad ones, each time without those blamed before; if none is blamed, it tries halves. All are tried on top of the files known to be good:
//! with many bad files, the good ones between them come out soon. A tree that is refused without any of the files is beyond repair.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::report::StepFailure;

/// Number of bad files that a set to try may have, as far as that can be guessed.
const EXPECTED_CULPRITS: usize = 8;
/// Number of trials in a row that may only leave out the file that was blamed: a check that blames the wrong ones is not believed for ever.
const MAX_BLAMED_IN_ROW: usize = 2 * EXPECTED_CULPRITS;
/// Number of blamed files that are tried once more.
const MAX_SUSPECTS: usize = 8;

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
    /// tried once more when the others are known, up to a number: a later pass tries the rest.
    suspects: Vec<usize>,
    has_blamed: bool,
    /// Trials in a row that blamed a file.
    blamed_in_row: usize,
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
    /// Files that were refused, each with the check's failure.
    pub culprits: BTreeMap<usize, StepFailure>,
    /// Files that the search did not come to.
    pub undecided: BTreeSet<usize>,
}

impl Search {
    /// Starts a search after a check of all these files together was refused. Those that `were_good` are tried first: a change of a
    /// good file is more often good than a new one.
    pub fn start(
        all: impl IntoIterator<Item = usize>,
        were_good: impl Fn(usize) -> bool,
        refused: CheckRefusal,
    ) -> Search {
        let (first, rest): (Vec<usize>, Vec<usize>) = all.into_iter().partition(|file| were_good(*file));
        let is_divided = !first.is_empty() && !rest.is_empty();
        let open: Vec<Vec<usize>> = [rest, first].into_iter().filter(|files| !files.is_empty()).collect();
        let (good, culprits) = (BTreeSet::new(), BTreeMap::new());
        let (base, suspects) = (Base::Untried, Vec::new());
        let mut search = Search { good, culprits, open, base, suspects, has_blamed: false, blamed_in_row: 0 };
        match is_divided {
            true => search.leave_out_blamed(refused),
            false => search.narrow(refused),
        }
        search
    }

    /// Leaves out the blamed file of two sets that are refused together.
    fn leave_out_blamed(&mut self, refused: CheckRefusal) {
        let Some(blamed) = refused.blamed.filter(|blamed| self.open.iter().flatten().any(|file| file == blamed)) else {
            self.base = Base::Trying;
            return;
        };
        self.has_blamed = true;
        self.open.iter_mut().for_each(|files| files.retain(|file| *file != blamed));
        self.open.retain(|files| !files.is_empty());
        self.suspect(blamed, refused.failure);
    }

    fn suspect(&mut self, blamed: usize, failure: StepFailure) {
        self.culprits.insert(blamed, failure);
        if self.suspects.len() == MAX_SUSPECTS {
            self.suspects.remove(0);
        }
        self.suspects.push(blamed);
    }

    /// Returns the files to try next, with all others left as they were; `None` when the search is over.
    pub fn next_trial(&mut self) -> Option<BTreeSet<usize>> {
        if self.base == Base::Wrong {
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
        match (self.base, answer) {
            (Base::Trying, Ok(())) => self.base = Base::Right,
            (Base::Trying, Err(_)) => self.base = Base::Wrong,
            (_, answer) if self.open.is_empty() => self.clear_suspect(answer),
            (_, Ok(())) => {
                self.blamed_in_row = 0;
                self.good.extend(self.open.pop().unwrap_or_default());
            }
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
    pub fn found(self) -> Option<Isolated> {
        let undecided = self.open.into_iter().flatten().collect();
        (self.base != Base::Wrong).then_some(Isolated { good: self.good, culprits: self.culprits, undecided })
    }

    fn narrow(&mut self, refused: CheckRefusal) {
        let Some(mut candidates) = self.open.pop() else { return };
        let blamed = refused.blamed.and_then(|blamed| candidates.iter().position(|file| *file == blamed));
        if let Some(position) = blamed {
            let suspect = candidates.remove(position);
            self.suspect(suspect, refused.failure);
            self.blamed_in_row += 1;
        } else {
            self.blamed_in_row = 0;
            if self.base == Base::Untried {
                self.base = Base::Trying;
            }
            if let [culprit] = candidates[..] {
                self.culprits.insert(culprit, refused.failure);
                candidates.clear();
            }
        }
        let is_first_blame = blamed.is_some() && !std::mem::replace(&mut self.has_blamed, true);
        let next = match blamed {
            Some(_) if is_first_blame => candidates.len(),
            // A check names the first bad file that it reads: the number of files before it tells how many others there may be.
            Some(position) if self.blamed_in_row <= MAX_BLAMED_IN_ROW => EXPECTED_CULPRITS * (position + 1),
            _ => candidates.len().div_ceil(2),
        };
        let rest = candidates.split_off(next.min(candidates.len()));
        self.open.extend([rest, candidates].into_iter().filter(|files| !files.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::Stage;

    fn failure() -> StepFailure {
        StepFailure::new(Stage::Check, "refused")
    }

    const MAX_TRIALS: usize = 64;

    /// Runs a search among `n` files with a check that refuses every set for which `refuses` gives a reason.
    fn search(n: usize, refuses: impl Fn(&BTreeSet<usize>) -> Option<Option<usize>>) -> (Option<Isolated>, usize) {
        let judge = |set: &BTreeSet<usize>| match refuses(set) {
            None => Ok(()),
            Some(blamed) => Err(CheckRefusal { failure: failure(), blamed }),
        };
        let refused = judge(&(0..n).collect()).expect_err("the whole is refused");
        let mut search = Search::start(0..n, |_| false, refused);
        let mut trials = 0;
        while let Some(trial) = search.next_trial() {
            trials += 1;
            if trials > MAX_TRIALS {
                break;
            }
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
        let (found, _) = search(1000, |set| set.iter().any(|file| file % 2 == 1).then_some(None));
        let found = found.unwrap();
        assert_eq!(found.good.len() + found.culprits.len() + found.undecided.len(), 1000);
    }

    #[test]
    fn files_that_were_good_have_their_turn_first() {
        let judge = |set: &BTreeSet<usize>| match set.iter().find(|file| **file >= 20 || **file == 7) {
            None => Ok(()),
            Some(bad) => Err(CheckRefusal { failure: failure(), blamed: Some(*bad) }),
        };
        let refused = judge(&(0..1020).collect()).expect_err("the whole is refused");
        let mut search = Search::start(0..1020, |file| file < 20, refused);
        for _ in 0..3 {
            let trial = search.next_trial().unwrap();
            search.answer(judge(&trial));
        }
        let found = search.found().unwrap();
        assert_eq!((found.good.len(), found.culprits.contains_key(&7)), (19, true), "{:?}", found.good);
    }

    #[test]
    fn with_many_bad_files_good_ones_come_out_soon() {
        // nginx names the first bad file that it reads.
        let (found, _) = search(10_000, |set| set.iter().find(|file| *file % 10 == 7).map(|file| Some(*file)));
        let found = found.unwrap();
        assert!(found.good.len() > 400 && !found.undecided.is_empty(), "{} good", found.good.len());
        assert!(found.culprits.keys().all(|file| file % 10 == 7) && found.good.iter().all(|file| file % 10 != 7));
    }
}
