//! exp, 1/√n, frequencies, cosine and sine against mpmath (`tests/python/elementary_tables.py`).

use serde_json::Value;

use super::digest;
use crate::RopeConfig;
use crate::numerics::{Arithmetic, F32, F64, Real, Rope, exp, inverse_sqrt};

fn tables() -> Value {
    serde_json::from_str(include_str!("../../../../fixtures/numerics/elementary.json")).unwrap()
}

fn bits32(value: &Value) -> u32 {
    u32::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

fn bits64(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

#[test]
fn exp_is_the_nearest_f32() {
    let table = &tables()["exp"];
    let stride = table["stride"].as_u64().unwrap() as usize;
    let arguments = (0..=u32::MAX).step_by(stride).map(f32::from_bits);
    assert_eq!(digest(arguments.filter(|x| !x.is_nan()).map(exp)), table["sha256"]);
}

#[test]
fn exp_is_the_nearest_f32_where_two_are_almost_as_near() {
    let table = tables();
    let hard = table["exp"]["hard"].as_array().unwrap();
    assert_eq!(hard.len(), 12);
    for pair in hard {
        let x = f32::from_bits(bits32(&pair[0]));
        assert_eq!(exp(x).to_bits(), bits32(&pair[1]), "exp({x:e})");
    }
}

#[test]
fn exp_in_f64_is_near_the_one_in_f32() {
    // Within half a unit of f32, of which 2^-24 is the greatest share, and what f64 adds.
    for index in -8_600..8_800 {
        let x = index as f32 / 100.0;
        let (narrow, wide) = (f64::from(exp(x)), exp(f64::from(x)));
        assert!((narrow - wide).abs() <= wide * (2.0_f64.powi(-24) + 1e-15), "{x}");
    }
    assert_eq!(exp(-708.1_f64).to_bits(), 0);
    assert_eq!(exp(709.1_f64), f64::INFINITY);
}

#[test]
fn inverse_square_roots_are_the_nearest() {
    let table = &tables()["inverse_sqrt_1_to_1024"];
    assert_eq!(digest((1..=1024).map(inverse_sqrt::<f32>)), table["f32"]);
    assert_eq!(digest((1..=1024).map(inverse_sqrt::<f64>)), table["f64"]);
    assert_eq!(inverse_sqrt::<f32>(64), 0.125);
}

fn released() -> RopeConfig {
    RopeConfig {
        theta: 150_000.0,
        factor: 32.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_context: 4096,
        truncate: false,
    }
}

/// Every 61st position; the example `exhaustive` checks all.
#[test]
fn cosine_and_sine_of_the_released_models_are_the_nearest() {
    let table = &tables()["released_rope"];
    let rope = Rope::<F32>::new(&released(), 64);
    let positions = (0..131_072).step_by(table["stride"].as_u64().unwrap() as usize);
    let values = positions.flat_map(|position| (0..32).map(move |pair| (position, pair))).flat_map(
        |(position, pair)| {
            let (cosine, sine) = rope.cos_sin(position, pair);
            [cosine, sine]
        },
    );
    assert_eq!(digest(values), table["stride_sha256"]);
}

#[test]
fn frequencies_of_other_parameters_are_the_nearest() {
    let table = tables();
    let cases = table["rope"].as_array().unwrap();
    assert_eq!(cases.len(), 33);
    for case in cases {
        let number = |name: &str| case[name].as_f64().unwrap();
        let config = RopeConfig {
            theta: number("theta"),
            factor: number("factor"),
            beta_fast: number("beta_fast"),
            beta_slow: number("beta_slow"),
            original_context: case["original_context"].as_u64().unwrap() as usize,
            truncate: case["truncate"].as_bool().unwrap(),
        };
        let head_dim = case["head_dim"].as_u64().unwrap() as usize;
        let (narrow, wide) = (Rope::<F32>::new(&config, head_dim), Rope::<F64>::new(&config, head_dim));

        let expected: Vec<u32> = case["f32"].as_array().unwrap().iter().map(bits32).collect();
        assert_eq!(bits(&narrow, |value| value.to_bits()), expected, "{config:?} {head_dim}");
        let expected: Vec<u64> = case["f64"].as_array().unwrap().iter().map(bits64).collect();
        assert_eq!(bits(&wide, |value| value.to_bits()), expected, "{config:?} {head_dim}");
        let expected = &case["concentration"];
        assert_eq!(narrow.concentration().to_bits(), bits32(&expected[0]), "{config:?}");
        assert_eq!(wide.concentration().to_bits(), bits64(&expected[1]), "{config:?}");

        for place in case["cos_sin"].as_array().unwrap() {
            let position = place["position"].as_u64().unwrap() as usize;
            let pair = place["pair"].as_u64().unwrap() as usize;
            let values = &place["values"];
            let (cosine, sine) = narrow.cos_sin(position, pair);
            assert_eq!([cosine.to_bits(), sine.to_bits()], [bits32(&values[0]), bits32(&values[1])]);
            let (cosine, sine) = wide.cos_sin(position, pair);
            assert_eq!([cosine.to_bits(), sine.to_bits()], [bits64(&values[2]), bits64(&values[3])]);
        }
    }
}

fn bits<A: Arithmetic, B>(rope: &Rope<A>, bits: impl Fn(A::Real) -> B) -> Vec<B>
where
    A::Real: Real,
{
    rope.inverse_frequencies().iter().map(|&value| bits(value)).collect()
}
