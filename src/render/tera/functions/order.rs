//! The filters that compare the items of a list with each other. Sorting needs a total order, which Tera's own is not.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use tera::Value;

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
    for item in call.list("list")? {
        let mut hasher = DefaultHasher::new();
        hash(item, &mut hasher);
        let alike = places.entry(hasher.finish()).or_default();
        if alike.iter().all(|place| found[*place] != *item) {
            alike.push(found.len());
            found.push(item.clone());
        }
    }
    Ok(Value::from(found))
}

/// Hashes what is the same in equal values: 1 equals 1.0, and the order of a map's entries says nothing.
fn hash(value: &Value, hasher: &mut DefaultHasher) {
    if let Some(text) = value.as_str() {
        text.hash(hasher);
    } else if value.is_number() {
        let number = value.as_number().map_or(f64::INFINITY, |number| number.as_float());
        // The two zeros are equal, and so are all that are no number.
        let bits = if number == 0.0 {
            0
        } else if number.is_nan() {
            u64::MAX
        } else {
            number.to_bits()
        };
        bits.hash(hasher);
    } else if let Some(items) = value.as_array() {
        items.len().hash(hasher);
        items.iter().for_each(|item| hash(item, hasher));
    } else if let Some(map) = value.as_map() {
        let one = |value: &Value| {
            let mut hasher = DefaultHasher::new();
            hash(value, &mut hasher);
            hasher.finish()
        };
        map.values().fold(map.len() as u64, |sum, value| sum.wrapping_add(one(value))).hash(hasher);
    } else {
        value.as_bool().hash(hasher);
    }
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
}
