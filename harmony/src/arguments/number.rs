//! Numbers of JSON compared by value: `1` and `1.0` are the same.

use std::cmp::Ordering;

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
