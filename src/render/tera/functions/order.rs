//! The filters that compare the items of a list with each other. Sorting needs a total order, which Tera's own is not, and to find what
//! is equal in linear time needs a hash that differs where the values do.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use tera::Value;
use tera::value::Key;

use super::call::TeraCall;
use crate::model::problem::Problem;
use crate::render::tera::run::TeraRun;

/// Returns the items of a list in order, by themselves or by an attribute; equals stay in their order.
pub(super) fn sort(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let attribute = call.optional_text("attribute")?;
    let mut keyed = Vec::new();
    for item in call.list("list")? {
        let key = attribute.map_or(Some(item), |path| item.get_from_path(path));
        keyed.push((key.ok_or_else(|| Problem::new("an item of the list does not have the attribute"))?, item));
    }
    keyed.sort_by(|(a, _), (b, _)| compare(a, b));
    for pair in keyed.windows(2) {
        let (a, b) = (pair[0].0, pair[1].0);
        if !a.is_none() && !b.is_none() && a.partial_cmp(b).is_none() {
            return Err(Problem::new(format!("cannot sort: `{}` and `{}` are not comparable", a.name(), b.name())));
        }
    }
    Ok(Value::from(keyed.into_iter().map(|(_, item)| item.clone()).collect::<Vec<_>>()))
}

/// Compares as Tera does, but lists item by item: to Tera, two lists whose items are of different kinds are equal, and then `[1]` is less
/// than `[2]` while both equal `["b"]`. All maps are equal.
fn compare(a: &Value, b: &Value) -> Ordering {
    let (Some(some), Some(others)) = (a.as_array(), b.as_array()) else { return a.cmp(b) };
    let different = some.iter().zip(others).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
    different.unwrap_or_else(|| some.len().cmp(&others.len()))
}

/// Returns the items of a list, each once, in their order.
pub(super) fn unique(call: &TeraCall<'_>, _: &mut TeraRun) -> Result<Value, Problem> {
    let mut found: Vec<Value> = Vec::new();
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    let keys = RandomState::new();
    for item in call.list("list")? {
        let alike = places.entry(hash(item, &keys)).or_default();
        if alike.iter().all(|place| found[*place] != *item) {
            alike.push(found.len());
            found.push(item.clone());
        }
    }
    Ok(Value::from(found))
}

/// Hashes what is the same in equal values, 1 and 1.0 for example, and all that differs in others: a list of values with one hash takes
/// the square of its length. Whoever writes the values does not know the keys of the hash.
fn hash(value: &Value, keys: &RandomState) -> u64 {
    let mut hasher = keys.build_hasher();
    if let Some(text) = value.as_str() {
        (0_u8, text).hash(&mut hasher);
    } else if value.is_number() {
        let number = value.as_number();
        match number.and_then(|number| number.as_integer()) {
            Some(integer) => (1_u8, integer).hash(&mut hasher),
            None => {
                let float = number.map_or(f64::INFINITY, |number| number.as_float());
                // All that are no number are equal.
                let bits = if float.is_nan() { u64::MAX } else { float.to_bits() };
                (2_u8, bits).hash(&mut hasher);
            }
        }
    } else if let Some(items) = value.as_array() {
        (3_u8, items.len()).hash(&mut hasher);
        items.iter().for_each(|item| hash(item, keys).hash(&mut hasher));
    } else if let Some(map) = value.as_map() {
        // The order of the entries says nothing.
        let one = |(name, value): (&Key<'_>, &Value)| keys.hash_one((name, hash(value, keys)));
        (4_u8, map.iter().map(one).fold(map.len() as u64, u64::wrapping_add)).hash(&mut hasher);
    } else {
        (5_u8, value.as_bool()).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::tera::functions::json::to_tera;

    /// Values of each kind, and lists of them, in order; those of one line are equal.
    fn in_order() -> Vec<Vec<Value>> {
        let lines = [
            json!([false]),
            json!([true]),
            json!([-1.5]),
            json!([0, 0.0, -0.0]),
            json!([1, 1.0]),
            json!([u64::MAX]),
            json!([1e300]),
            json!([""]),
            json!(["b"]),
            json!([[]]),
            json!([[true]]),
            json!([[1]]),
            json!([[1, [1]]]),
            json!([[1, [2]]]),
            json!([[1, ["b"]]]),
            json!([[2]]),
            json!([["b"]]),
            json!([["b", 1]]),
            json!([[[1]]]),
            json!([[[1], 1]]),
            json!([[[["b"]]]]),
            json!([{"a": 1}, {"b": 1}, {}]),
            json!([null]),
        ];
        lines.into_iter().map(|line| to_tera(line).as_array().unwrap().to_vec()).collect()
    }

    #[test]
    fn values_of_all_kinds_have_a_total_order() {
        let lines = in_order();
        for (at, line) in lines.iter().enumerate() {
            for (other_at, other) in lines.iter().enumerate() {
                for (a, b) in line.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                    assert_eq!(compare(a, b), at.cmp(&other_at), "{a} {b}");
                }
            }
        }
    }

    /// With one hash for many of these, `unique` would compare each of them with each other.
    #[test]
    fn values_have_one_hash_if_and_only_if_they_are_equal() {
        let mut values: Vec<Value> = in_order().into_iter().flatten().collect();
        let maps = [
            json!({"a1": 1}),
            json!({"a2": 1}),
            json!({"a1": 1, "a2": 2}),
            json!({"a2": 2, "a1": 1.0}),
            json!({"a1": 2, "a2": 1}),
            json!([{"a1": 1}]),
            json!([[{"a2": 1}]]),
            json!(u64::MAX - 1),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_992.0),
            json!(9_007_199_254_740_993_i64),
        ];
        values.extend(maps.map(to_tera));
        values.extend([i128::MAX, i128::MAX - 1, i128::MIN].map(Value::from));
        values.extend([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Value::from));
        let keys = RandomState::new();
        for (a, b) in values.iter().flat_map(|a| values.iter().map(move |b| (a, b))) {
            assert_eq!(hash(a, &keys) == hash(b, &keys), a == b, "{a} {b}");
        }
    }
}
