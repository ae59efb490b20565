//! Numbers of JSON compared by value: `1` and `1.0` are the same.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Number, Value};

/// Whether two values are the same to JSON Schema: numbers by value, objects without regard to order.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// The first item that is the same as one before it, after that one.
pub(super) fn first_equal(items: &[Value]) -> Option<(usize, usize)> {
    let mut earlier: HashMap<u64, Vec<usize>> = HashMap::with_capacity(items.len());
    for (last, item) in items.iter().enumerate() {
        let alike = earlier.entry(hash(item)).or_default();
        if let Some(&first) = alike.iter().find(|&&first| equal(&items[first], item)) {
            return Some((first, last));
        }
        alike.push(last);
    }
    None
}

/// A number that values have in common if they are [`equal`].
fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Number(number) => float(number).to_bits().hash(&mut hasher),
        Value::Array(items) => items.iter().for_each(|item| hash(item).hash(&mut hasher)),
        // The order of members is no matter.
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| {
                let mut hasher = DefaultHasher::new();
                (key, hash(member)).hash(&mut hasher);
                hasher.finish()
            });
            members.fold(0, u64::wrapping_add).hash(&mut hasher);
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.hash(&mut hasher),
    }
    hasher.finish()
}

/// Compares by value; exact as long as both are integers.
pub(super) fn compare(a: &Number, b: &Number) -> Ordering {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => float(a).total_cmp(&float(b)),
    }
}

pub(super) fn is_integer(number: &Number) -> bool {
    number.as_i128().is_some() || float(number).fract() == 0.0
}

/// Whether `number` is a multiple of `step`; a step of zero or less says nothing.
pub(super) fn is_multiple(number: &Number, step: &Number) -> bool {
    match (number.as_i128(), step.as_i128()) {
        (_, Some(..=0)) => true,
        (Some(number), Some(step)) => number % step == 0,
        _ => {
            let step = float(step);
            // Decimal fractions such as 0.1 are not exact in binary; the quotient may be off by a few units.
            let quotient = float(number) / step;
            step <= 0.0 || (quotient - quotient.round()).abs() <= f64::EPSILON * 4.0 * quotient.abs().max(1.0)
        }
    }
}

fn float(number: &Number) -> f64 {
    // Adding zero makes -0.0 equal to 0.0 in the total order.
    number.as_f64().expect("serde_json numbers are finite without arbitrary_precision") + 0.0
}
