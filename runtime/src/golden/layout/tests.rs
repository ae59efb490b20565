use super::*;
use crate::config::ModelConfig;
use crate::golden::dump::array::{Element, Stored};
use crate::golden::names::{Entry, Holds};
use crate::tap::TapPoint;
use crate::weights::Bytes;

/// The shape of the fixture a64, but for what a test changes.
fn config() -> ModelConfig {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/a64/config.json");
    let mut config = ModelConfig::from_json(&std::fs::read_to_string(path).unwrap()).unwrap();
    config.num_attention_heads = 6;
    config.num_key_value_heads = 2;
    config.head_dim = 8;
    config.intermediate_size = 10;
    config.experts_per_token = 3;
    config
}

fn array(shape: &[u64]) -> Array {
    Array {
        name: "x".to_owned(),
        element: Element::F32,
        is_big_endian: false,
        axes: Array::contiguous(shape, false).unwrap(),
        stored: Stored::Plain(Bytes::from(Vec::new())),
        positions: None,
    }
}

fn entry(json: &str) -> Entry {
    serde_json::from_str(&format!(r#"{{"name": "x", "value": "query", {json}}}"#)).unwrap()
}

/// The places of one row's elements in an array of this shape.
#[track_caller]
fn places(shape: &[u64], point: TapPoint, entry: Option<&Entry>, rows: Option<usize>, row: u64) -> Vec<u64> {
    let shapes = shapes(&config(), Holds::Point(point), None, entry);
    let fitted = fit(&array(shape), &shapes, rows).expect("the shape fits");
    let view = &fitted.views[0].1;
    view.offsets().into_iter().map(|offset| view.start + row * view.row_stride + offset).collect()
}

#[test]
fn heads_may_be_merged_apart_or_first() {
    let merged = places(&[5, 48], TapPoint::Query, None, Some(5), 2);
    assert_eq!(merged, (96..144).collect::<Vec<_>>());
    for shape in [&[5, 6, 8][..], &[1, 5, 48], &[1, 5, 2, 3, 8]] {
        assert_eq!(places(shape, TapPoint::Query, None, Some(5), 2), merged, "{shape:?}");
    }
    // [heads, rows, dim]: the second head of a row lies behind all rows of the first.
    let first = places(&[1, 6, 5, 8], TapPoint::Query, None, Some(5), 2);
    assert_eq!((first[0], first[7], first[8]), (16, 23, 40 + 16));
    let shapes = shapes(&config(), Holds::Point(TapPoint::Query), None, None);
    let fitted = fit(&array(&[6, 5, 8]), &shapes, Some(5)).unwrap();
    assert_eq!(fitted.guesses, ["the first axis is taken as that of heads"]);
    assert_eq!(fitted.views[0].1.rows, 5);
}

#[test]
fn as_many_rows_as_heads_are_rows_unless_the_table_says_otherwise() {
    let within = places(&[6, 6, 8], TapPoint::Query, None, Some(6), 1);
    assert_eq!(within, (48..96).collect::<Vec<_>>());
    let first = places(&[6, 6, 8], TapPoint::Query, Some(&entry(r#""heads": "first""#)), Some(6), 1);
    assert_eq!((first[0], first[8]), (8, 48 + 8));
}

#[test]
fn interleaved_pairs_of_a_rotation_are_put_apart() {
    let places = places(&[5, 48], TapPoint::Query, Some(&entry(r#""rotary": "interleaved""#)), Some(5), 0);
    assert_eq!(places[..8], [0, 2, 4, 6, 1, 3, 5, 7]);
    assert_eq!(places[8..10], [8, 10]);
}

#[test]
fn gate_and_up_may_lie_side_by_side() {
    let shape = &[4, 3, 20];
    let interleaved = places(shape, TapPoint::GateUp, None, Some(4), 1);
    assert_eq!(interleaved[..4], [60, 61, 62, 63]);
    let entry = entry(r#""gate_up": "concatenated""#);
    let concatenated = places(shape, TapPoint::GateUp, Some(&entry), Some(4), 1);
    assert_eq!(concatenated[..4], [60, 70, 61, 71]);
    // An axis of their own says so by itself.
    assert_eq!(places(&[4, 3, 2, 10], TapPoint::GateUp, None, Some(4), 1)[..4], [60, 70, 61, 71]);
}

#[test]
fn ranks_are_parts() {
    let shapes = shapes(&config(), Holds::Point(TapPoint::Activation), None, None);
    let fitted = fit(&array(&[4, 3, 10]), &shapes, Some(4)).unwrap();
    assert_eq!(fitted.views.len(), 3);
    let (part, view) = &fitted.views[2];
    assert_eq!((*part, view.start, view.row_stride), (Some(Part::Rank(2)), 20, 30));
}

#[test]
fn the_last_axis_may_be_that_of_rows() {
    let places = places(&[64, 5], TapPoint::AttentionNorm, None, None, 3);
    assert_eq!(places[..3], [3, 8, 13]);
}

#[test]
fn padding_is_cut_off_and_told() {
    let shapes = shapes(&config(), Holds::Point(TapPoint::AttentionNorm), None, None);
    let fitted = fit(&array(&[8, 128]), &shapes, Some(5)).unwrap();
    let view = &fitted.views[0].1;
    assert_eq!((view.rows, view.row_stride, view.width()), (5, 128, 64));
    assert_eq!(fitted.guesses.len(), 2, "{:?}", fitted.guesses);
    assert!(fit(&array(&[8, 1000]), &shapes, Some(5)).is_none());
}

#[test]
fn one_position_needs_no_axis() {
    for shape in [&[64][..], &[1, 64], &[1, 1, 64]] {
        let places = places(shape, TapPoint::AttentionNorm, None, Some(1), 0);
        assert_eq!(places, (0..64).collect::<Vec<_>>(), "{shape:?}");
    }
    let scores = shapes(&config(), Holds::Point(TapPoint::Scores), None, None);
    let fitted = fit(&array(&[1, 6, 1, 1]), &scores, Some(1)).unwrap();
    assert_eq!((fitted.views.len(), fitted.views[0].1.width()), (6, 1));
}

#[test]
fn scores_have_heads_and_keys() {
    let shapes = shapes(&config(), Holds::Point(TapPoint::Scores), None, None);
    let fitted = fit(&array(&[1, 6, 5, 9]), &shapes, Some(5)).unwrap();
    let (part, view) = &fitted.views[1];
    assert_eq!((*part, view.start, view.rows, view.width()), (Some(Part::Head(1)), 45, 5, 9));
}

#[test]
fn queries_keys_and_values_are_cut_out_of_one_row() {
    let shapes = shapes(&config(), Holds::QueryKeyValue { is_rotated: false }, None, None);
    let fitted = fit(&array(&[5, 80]), &shapes, Some(5)).unwrap();
    let key = fitted.views[0].1.columns(48, 16).unwrap();
    assert_eq!((key.start, key.row_stride, key.width()), (48, 80, 16));
    assert!(fitted.views[0].1.columns(70, 16).is_none());
}

#[test]
fn other_shapes_fit_nothing() {
    let shapes = shapes(&config(), Holds::Point(TapPoint::AttentionNorm), None, None);
    for shape in [&[][..], &[5], &[5, 63], &[2, 5, 64], &[0]] {
        assert!(fit(&array(shape), &shapes, Some(5)).is_none(), "{shape:?}");
    }
}
