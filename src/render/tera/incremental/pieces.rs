//! The output of a template's loops, in pieces of some items each: a piece is printed again only if its items or the keys
//! that it read have changed. Lists and maps are the same if they lie at the same place; their content is never compared.

use std::collections::HashMap;

use tera::Value;

use crate::render::changes::Changes;
use crate::render::window::Reads;

/// Fewest and most items in a new piece.
const MIN: usize = 16;
const MAX: usize = 128;
/// Most changed pieces in a row; more are compared from the end only.
const LOOK_AHEAD: usize = 8;

/// The loops of one template, by their number.
#[derive(Default)]
pub(in crate::render::tera) struct Loops {
    kept: HashMap<usize, Pieces>,
    /// Whether they cannot be printed in pieces: a value that is not a list, or too much text.
    given_up: bool,
    /// Whether there was a render before.
    has_rendered: bool,
}

/// The pieces of one loop.
#[derive(Default)]
pub(in crate::render::tera) struct Pieces {
    pieces: Vec<Piece>,
    used: bool,
}

/// Some items in a row; without items, the output of the loop when it is empty.
pub(in crate::render::tera) struct Piece {
    pub(in crate::render::tera) items: Vec<Value>,
    /// Text that they print; `None` if that is not known.
    pub(in crate::render::tera) text: Option<Value>,
    /// Keys that they read for that.
    pub(in crate::render::tera) reads: Reads,
}

impl Loops {
    /// Forgets what the changed keys may have changed; if they are unknown, everything that looked at keys.
    pub(in crate::render::tera) fn follow(&mut self, changes: Option<Changes<'_>>) {
        let changes = changes.filter(Changes::are_few);
        for piece in self.kept.values_mut().flat_map(|pieces| &mut pieces.pieces) {
            let is_concerned = match changes {
                Some(changes) => changes.keys.iter().any(|key| piece.reads.depend_on(key.as_str())),
                None => piece.reads != Reads::default(),
            };
            if is_concerned {
                piece.text = None;
            }
        }
    }

    /// Removes and returns the pieces of a loop; the caller puts them back when they are printed.
    pub(in crate::render::tera) fn take(&mut self, number: usize) -> Pieces {
        self.kept.remove(&number).unwrap_or_default()
    }

    pub(in crate::render::tera) fn put(&mut self, number: usize, pieces: Pieces) {
        self.kept.insert(number, Pieces { used: true, ..pieces });
    }

    /// Checks whether printing in pieces may gain anything. A first render gains nothing.
    pub(in crate::render::tera) fn are_worth_it(&self) -> bool {
        self.has_rendered && !self.given_up
    }

    /// Prints loops as a whole from now on.
    pub(in crate::render::tera) fn give_up(&mut self) {
        self.kept.clear();
        self.given_up = true;
    }

    /// Forgets all that is kept.
    pub(in crate::render::tera) fn clear(&mut self) {
        self.kept.clear();
    }

    /// Forgets what the render that has ended did not use.
    pub(in crate::render::tera) fn end(&mut self) {
        self.has_rendered = true;
        self.kept.retain(|_, pieces| std::mem::take(&mut pieces.used));
    }

    /// Checks whether no kept piece has looked at keys by itself.
    pub(in crate::render::tera) fn read_nothing(&self) -> bool {
        self.kept.values().flat_map(|pieces| &pieces.pieces).all(|piece| piece.reads == Reads::default())
    }
}

impl Piece {
    fn new(items: &[Value]) -> Piece {
        Piece { items: items.to_vec(), text: None, reads: Reads::default() }
    }

    /// Returns the length of its text.
    pub(in crate::render::tera) fn bytes(&self) -> usize {
        self.text.as_ref().and_then(Value::as_str).map_or(0, str::len)
    }

    fn starts(&self, items: &[Value]) -> bool {
        items.len() >= self.items.len() && are_same(&self.items, &items[..self.items.len()])
    }

    fn ends(&self, items: &[Value]) -> bool {
        items.len() >= self.items.len() && are_same(&self.items, &items[items.len() - self.items.len()..])
    }
}

impl Pieces {
    /// Returns the pieces, in order.
    pub(in crate::render::tera) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Piece> {
        self.pieces.iter_mut()
    }

    /// Returns what all of them print, in order.
    pub(in crate::render::tera) fn texts(&self) -> Vec<Value> {
        self.pieces.iter().filter_map(|piece| piece.text.clone()).collect()
    }

    /// Cuts the loop's items into pieces. Those with the same items as before keep what they printed.
    pub(in crate::render::tera) fn align(&mut self, items: &[Value]) {
        let mut old = std::mem::take(&mut self.pieces);
        // The size at which printing pieces again costs as much as keeping the others.
        let size = items.len().isqrt().clamp(MIN, MAX);
        // Without items, the output is a piece of its own.
        if items.is_empty() {
            old.retain(|piece| piece.items.is_empty());
            self.pieces = if old.is_empty() { vec![Piece::new(items)] } else { old };
            return;
        }
        old.retain(|piece| !piece.items.is_empty());
        // The pieces at the end that are as before.
        let mut last = Vec::new();
        let mut end = items.len();
        let same_first = old.first().is_some_and(|piece| piece.starts(items));
        while old.len() > usize::from(same_first) && old.last().is_some_and(|piece| piece.ends(&items[..end])) {
            end -= old.last().map_or(0, |piece| piece.items.len());
            last.extend(old.pop());
        }
        let mut rest = &items[..end];
        let mut old = std::collections::VecDeque::from(old);
        while !rest.is_empty() {
            if old.front().is_some_and(|piece| piece.starts(rest)) {
                let piece = old.pop_front();
                rest = &rest[piece.as_ref().map_or(0, |piece| piece.items.len())..];
                self.pieces.extend(piece);
                continue;
            }
            let (changed, skipped) = next_same(old.make_contiguous(), rest, size).unwrap_or((rest.len(), old.len()));
            old.drain(..skipped);
            self.pieces.extend(cut(&rest[..changed], size));
            rest = &rest[changed..];
        }
        self.pieces.extend(last.into_iter().rev());
        // Many small ones cost more than they spare.
        if self.pieces.len() > 2 * (items.len() / size) + LOOK_AHEAD {
            self.pieces = cut(items, size).collect();
        }
    }
}

fn cut(items: &[Value], size: usize) -> impl Iterator<Item = Piece> {
    items.chunks(size).map(Piece::new)
}

/// Returns how many items and how many pieces come before one that is the same; the first of `pieces` is not.
fn next_same(pieces: &[Piece], items: &[Value], further: usize) -> Option<(usize, usize)> {
    let mut reach = pieces.first()?.items.len() + further;
    for (skipped, piece) in pieces.iter().enumerate().take(LOOK_AHEAD).skip(1) {
        reach += piece.items.len();
        let most = reach.min(items.len());
        if let Some(at) = (0..=most).find(|at| piece.starts(&items[*at..])) {
            return Some((at, skipped));
        }
    }
    None
}

fn are_same(some: &[Value], others: &[Value]) -> bool {
    some.iter().zip(others).all(|(one, other)| is_same(one, other))
}

/// Checks whether two values are one. Maps and lists are one if they lie at the same place: both are alive, so that the
/// place is theirs.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_map(), other.as_map()) {
        (Some(one), Some(other)) => return std::ptr::eq(one, other),
        (None, None) => {}
        _ => return false,
    }
    match (one.as_array(), other.as_array()) {
        (Some(one), Some(other)) => return std::ptr::eq(one, other),
        (None, None) => {}
        _ => return false,
    }
    let bits = |value: &Value| value.as_f64().map(f64::to_bits);
    // The two zeros of a float are equal, and are printed differently.
    one.kind() == other.kind() && one.is_safe() == other.is_safe() && one == other && bits(one) == bits(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items in a piece of a thousand.
    const ITEMS: usize = 31;

    fn list(numbers: impl IntoIterator<Item = u64>) -> Vec<Value> {
        numbers.into_iter().map(Value::from).collect()
    }

    /// Checks how many items have to be printed again after a list has changed.
    fn check(before: &[Value], after: &[Value], most_printed: usize) {
        let mut pieces = Pieces::default();
        for items in [before, after] {
            pieces.align(items);
            assert!(items.is_empty() || pieces.pieces.iter().all(|piece| !piece.items.is_empty()));
            let all: Vec<Value> = pieces.pieces.iter().flat_map(|piece| piece.items.clone()).collect();
            assert_eq!(all, items);
            let printed: usize =
                pieces.iter_mut().filter(|piece| piece.text.is_none()).map(|piece| piece.items.len()).sum();
            assert!(std::ptr::eq(items, before) || printed <= most_printed, "{printed} of {}", items.len());
            for piece in pieces.iter_mut() {
                let printed: String = piece.items.iter().map(|item| format!("{item};")).collect();
                assert!(piece.text.as_ref().is_none_or(|text| text.as_str() == Some(&printed)));
                piece.text = Some(Value::from(printed));
            }
            let printed: String = pieces.texts().iter().map(Value::to_string).collect();
            assert_eq!(printed, items.iter().map(|item| format!("{item};")).collect::<String>());
        }
    }

    #[test]
    fn what_is_printed_again_follows_what_has_changed() {
        let all = || (0..1000).collect::<Vec<u64>>();
        let with = |change: &dyn Fn(&mut Vec<u64>)| {
            let mut numbers = all();
            change(&mut numbers);
            list(numbers)
        };
        let before = list(all());
        check(&before, &before, 0);
        check(&before, &with(&|numbers| numbers[500] = 5000), ITEMS);
        check(&before, &with(&|numbers| numbers[0] = 5000), ITEMS);
        check(&before, &with(&|numbers| numbers[999] = 5000), ITEMS);
        check(&before, &with(&|numbers| numbers.insert(500, 5000)), 2 * ITEMS);
        check(&before, &with(&|numbers| numbers.insert(0, 5000)), 2 * ITEMS);
        check(&before, &with(&|numbers| numbers.push(5000)), 2 * ITEMS);
        check(&before, &with(&|numbers| _ = numbers.remove(500)), ITEMS);
        check(&before, &with(&|numbers| _ = numbers.remove(0)), ITEMS);
        check(&before, &with(&|numbers| _ = numbers.pop()), ITEMS);
        check(&before, &with(&|numbers| drop(numbers.drain(100..300))), 2 * ITEMS);
        check(&before, &with(&|numbers| numbers.swap(10, 990)), 2 * ITEMS);
        check(&before, &with(&|numbers| (0..10).for_each(|n| numbers[n * 90] = 5000)), 10 * ITEMS);
        check(&before, &with(&|numbers| (0..10).for_each(|n| _ = numbers.remove(n * 90))), 10 * ITEMS);
        check(&before, &with(&|numbers| numbers.rotate_left(40)), 3 * ITEMS);
        check(&before, &list([]), 0);
        check(&list([]), &before, 1000);
        check(&list([]), &list([]), 0);
        check(&list([1]), &list([1, 1, 1]), 3);
        check(&list([1, 1, 1]), &list([1]), 1);
        check(&before, &with(&|numbers| numbers.retain(|n| n % 32 == 0)), 1000);
    }

    #[test]
    fn a_value_is_the_same_only_where_it_prints_the_same() {
        let map = || Value::from(std::collections::BTreeMap::from([("a", 1)]));
        let (one, float) = (map(), |number: f64| Value::from(number));
        for (left, right, expected) in [
            (one.clone(), one.clone(), true),
            (one.clone(), map(), false),
            (one, Value::from(1_u64), false),
            (Value::from("a"), Value::from("a"), true),
            (Value::from("a"), Value::safe_string("a"), false),
            (Value::from("1"), Value::from(1_u64), false),
            (Value::from(1_u64), Value::from(1_i64), false),
            (float(1.0), Value::from(1_u64), false),
            (float(0.0), float(-0.0), false),
            (float(1.5), float(1.5), true),
            (Value::none(), Value::undefined(), false),
            (Value::from(true), Value::from(true), true),
        ] {
            assert_eq!(is_same(&left, &right), expected, "{left:?} {right:?}");
        }
    }
}
