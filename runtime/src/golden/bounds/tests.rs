use super::*;
use crate::golden::Accumulator;

fn bounds(profile: Profile, accumulate: Accumulator) -> Bounds {
    Bounds::new(Declared { profile, accumulate }, false)
}

#[test]
fn a_sum_on_one_grid_has_one_honest_value() {
    let bounds = bounds(Profile::Bf16, Accumulator::F32);
    let row = bounds.weights(&[0.5, -1.5, 2.0, 0.25]);
    let dot = bounds.dot(&row, &row, 0..4, Some(Bounded::point(0.125)));
    assert_eq!(dot, Bounded::point(0.25 + 2.25 + 4.0 + 0.0625 + 0.125));
}

#[test]
fn a_sum_that_an_order_can_round_has_an_interval() {
    let bounds = bounds(Profile::Bf16, Accumulator::F32);
    let a = bounds.weights(&[4096.0, 1.0, -4096.0]);
    let b = bounds.weights(&[4096.0, 1.0, 4096.0]);
    let dot = bounds.dot(&a, &b, 0..3, None);
    // In f32 (4096^2 + 1) - 4096^2 is 0 if the rounding of the first sum takes the 1.
    assert!(dot.low <= 0.0 && dot.high >= 1.0 && dot.exact == 1.0);
    assert!(dot.high < 20.0);
}

#[test]
fn rounding_points_end_intervals_on_their_grid() {
    let bounds = bounds(Profile::Bf16, Accumulator::F32);
    let near = Bounded { exact: 1.001, rounded: 1.001, low: 1.0009, high: 1.0011 };
    let rounded = bounds.round(near);
    assert!(rounded.is_point() && rounded.low == 1.0 && rounded.exact == 1.001);
    // At a tie both neighbours are honest.
    let tie = Bounded { exact: 1.00390625, rounded: 1.00390625, low: 1.0039, high: 1.0040 };
    let rounded = bounds.round(tie);
    assert_eq!((rounded.low, rounded.high), (1.0, 1.0078125));
}

#[test]
fn a_value_that_was_stored_in_less_is_an_interval() {
    let given = bounds(Profile::F32, Accumulator::F32).given(1.0, Dtype::Bf16);
    assert_eq!((given.low, given.high), (1.0 - 1.0 / 256.0, 1.0 + 1.0 / 256.0));
    assert!(bounds(Profile::Bf16, Accumulator::F32).given(1.0, Dtype::Bf16).is_point());
}
