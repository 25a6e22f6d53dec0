//! Finds the records of a name: those at the name, those below it, and those that wildcards stand for. Costs what is found, not
//! what the table holds. Pure.

use std::cell::Cell;

use super::record::SkyRecord;
use super::table::NameTable;
use super::{MAX_LOOKED_AT, labels};

/// A search, with what it may still look at.
pub(super) struct Finder<'t> {
    pub(super) table: &'t NameTable,
    /// Records that it may still look at.
    pub(super) budget: Cell<usize>,
}

impl<'t> Finder<'t> {
    /// Returns a search that may look at as much as one question is worth.
    pub(super) fn new(table: &'t NameTable) -> Finder<'t> {
        Finder { table, budget: Cell::new(MAX_LOOKED_AT) }
    }

    /// Returns the records at and below the name with these labels, the last first: of the largest group that all may be in.
    /// `*` and `any` after the first `own` labels stand for one label.
    pub(super) fn at_or_below(&self, labels: &[&str], own: usize) -> Vec<&'t SkyRecord> {
        let mut beginning = String::new();
        let (fixed, rest) = labels.split_at(own.min(labels.len()));
        fixed.iter().for_each(|label| labels::push(&mut beginning, label));
        let mut found = Vec::new();
        self.descend(beginning, rest, &mut found);
        of_one_group(found)
    }

    /// Returns the records at exactly this name.
    pub(super) fn at(&self, labels: &[&str]) -> impl Iterator<Item = &'t SkyRecord> {
        let mut beginning = String::new();
        labels.iter().for_each(|label| labels::push(&mut beginning, label));
        let found = self.table.range(&labels::at(&beginning)).map(|(_, record)| record);
        found.take_while(|_| self.spend())
    }

    /// Returns whether nothing may be looked at any more.
    pub(super) fn is_spent(&self) -> bool {
        self.budget.get() == 0
    }

    /// Takes one from what may be looked at. Returns whether there was one.
    fn spend(&self) -> bool {
        let left = self.budget.get();
        self.budget.set(left.saturating_sub(1));
        left > 0
    }

    fn descend(&self, mut beginning: String, labels: &[&str], found: &mut Vec<&'t SkyRecord>) {
        match labels {
            [] => {
                let all = self.table.range(&labels::at_or_below(&beginning)).take_while(|_| self.spend());
                found.extend(all.map(|(_, record)| record));
            }
            ["*" | "any"] => {
                let below = (labels::first_below(&beginning), labels::at_or_below(&beginning).1);
                found.extend(self.table.range(&below).take_while(|_| self.spend()).map(|(_, record)| record));
            }
            ["*" | "any", rest @ ..] => {
                let (_, behind) = labels::at_or_below(&beginning);
                let mut from = labels::first_below(&beginning);
                while let Some((place, _)) = self.table.range(&(from, behind.clone())).next().filter(|_| self.spend()) {
                    let Some(child) = labels::child(&beginning, place) else { return };
                    let mut below = beginning.clone();
                    labels::push(&mut below, child);
                    from = labels::at_or_below(&below).1;
                    self.descend(below, rest, found);
                }
            }
            [label, rest @ ..] => {
                labels::push(&mut beginning, label);
                self.descend(beginning, rest, found);
            }
        }
    }
}

/// Returns the records of the group of those with the shortest names, and those without a group; all of them if these have no group,
/// or several.
fn of_one_group(found: Vec<&SkyRecord>) -> Vec<&SkyRecord> {
    let Some(shortest) = found.iter().map(|record| record.depth).min() else { return found };
    let mut groups =
        found.iter().filter(|record| record.depth == shortest).filter_map(|record| record.group.as_deref());
    let Some(group) = groups.next().filter(|group| groups.all(|other| other == *group)) else { return found };
    let is_in = |record: &&SkyRecord| record.group.as_deref().is_none_or(|own| own == group);
    found.into_iter().filter(is_in).collect()
}
