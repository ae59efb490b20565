use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::dtype::bf16;
use crate::golden::dump::Unmatched;
use crate::golden::dump::array::f16_to_f64;
use crate::golden::site::{Dtype, Part};
use crate::model::{Model, ModelOptions, Rows};
use crate::profile::Profile;
use crate::tap::{Tap, TapSite, TapValues};

/// Values in memory.
#[derive(Clone)]
struct Memory {
    values: BTreeMap<Site, Values>,
    tokens: Vec<u32>,
}

impl Source for Memory {
    fn sites(&self) -> Vec<Site> {
        self.values.keys().copied().collect()
    }

    fn read(&self, site: &Site) -> Result<Option<Values>> {
        Ok(self.values.get(site).cloned())
    }

    fn tokens(&self) -> Option<&[u32]> {
        Some(&self.tokens)
    }
}

impl Tap for Memory {
    fn wants(&self, point: TapPoint, _: Option<usize>) -> bool {
        !matches!(point, TapPoint::Scores | TapPoint::Probabilities)
    }

    fn record(&mut self, site: TapSite, values: TapValues<'_>) {
        let TapValues::F32(rows) = values else { panic!("the run is in f32") };
        let site = Site {
            layer: site.layer.map(|layer| layer as u32),
            point: site.point,
            part: site.slot.map(|slot| Part::Rank(slot as u32)),
        };
        let values = Values {
            positions: (0..rows.nrows() as u32).collect(),
            width: rows.ncols(),
            dtype: Dtype::F32,
            data: rows.iter().map(|&value| f64::from(value)).collect(),
        };
        self.values.insert(site, values);
    }
}

/// A model and a right run of it.
fn right() -> (Model, Memory) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/a64");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let weights = Weights::load(&checkpoint).unwrap();
    let options = ModelOptions { profile: Profile::F32, ..ModelOptions::default() };
    let model = Model::new(checkpoint.config().clone(), weights, options).unwrap();
    let tokens: Vec<u32> = (0..20).map(|index| (7919 * index + 1) % 512).collect();
    let mut memory = Memory { values: BTreeMap::new(), tokens: tokens.clone() };
    let mut cache = model.new_cache(20, 20).unwrap();
    model.forward_rows(&tokens, Rows::All, &mut cache, &mut memory).unwrap();
    (model, memory)
}

/// The right run of the probe, stored in bf16.
fn right_probe() -> (Model, Memory) {
    let weights = crate::golden::probe::weights().unwrap();
    let model = Model::new(crate::golden::probe::config(), weights, ModelOptions::default()).unwrap();
    let tokens = crate::golden::probe::tokens();
    let mut memory = Memory { values: BTreeMap::new(), tokens: tokens.clone() };
    let mut cache = model.new_cache(tokens.len(), tokens.len()).unwrap();
    model.forward_rows(&tokens, Rows::All, &mut cache, &mut memory).unwrap();
    memory.values.values_mut().for_each(|values| values.dtype = Dtype::Bf16);
    (model, memory)
}

fn rules(model: &Model, memory: &Memory) -> Vec<Rule> {
    let findings = lint(memory, model.config(), Some(model.weights()), None).unwrap();
    findings.iter().map(|finding| finding.rule).collect()
}

fn site(name: &str) -> Site {
    name.parse().unwrap()
}

/// The right run with one change.
#[track_caller]
fn assert_found(rule: Rule, change: impl FnOnce(&mut Memory)) {
    let (model, mut memory) = right();
    change(&mut memory);
    assert!(rules(&model, &memory).contains(&rule), "{rule:?}: {:?}", rules(&model, &memory));
}

#[test]
fn a_right_dump_has_nothing_odd_in_any_type() {
    let (model, memory) = right();
    assert_eq!(rules(&model, &memory), []);
    for (dtype, round) in [
        (Dtype::Bf16, (|value| f64::from(bf16::to_f32(bf16::from_f32(value as f32)))) as fn(f64) -> f64),
        (Dtype::F16, |value| f16_to_f64(bits::f16_bits(value))),
    ] {
        let mut memory = memory.clone();
        for values in memory.values.values_mut() {
            values.dtype = dtype;
            values.data.iter_mut().for_each(|value| *value = round(*value));
        }
        // The embedding rows are no longer those of the weights in f16, and nothing else may be found.
        assert_eq!(rules(&model, &memory), [], "{dtype:?}");
    }
}

#[test]
fn activations_of_gates_far_below_zero_are_not_odd() {
    let (model, memory) = right_probe();
    assert_eq!(rules(&model, &memory), []);
}

#[test]
fn buffers_that_were_not_written_are_found() {
    let query = site("layer.1.query");
    let fill =
        |value: f64| move |memory: &mut Memory| memory.values.get_mut(&query).unwrap().data.fill(value);
    assert_found(Rule::AllZero, fill(0.0));
    assert_found(Rule::Constant, fill(-1.5));
    assert_found(Rule::NotFinite, fill(f64::NAN));
    assert_found(Rule::NotFinite, |memory| memory.values.get_mut(&query).unwrap().data[70] = f64::INFINITY);
    assert_found(Rule::NothingMatched, |memory| memory.values.clear());
}

#[test]
fn values_that_are_copies_are_found() {
    assert_found(Rule::SameInLayers, |memory| {
        let last = memory.values[&site("layer.3.mlp_norm")].clone();
        for layer in 0..3 {
            memory.values.insert(Site::of_layer(layer, TapPoint::MlpNorm), last.clone());
        }
    });
    assert_found(Rule::SameValues, |memory| {
        let later = memory.values[&site("layer.0.mlp_norm")].clone();
        memory.values.insert(site("layer.0.attention_norm"), later);
    });
    assert_found(Rule::SameRows, |memory| {
        let values = memory.values.get_mut(&site("layer.2.context")).unwrap();
        let row = values.row(0).to_vec();
        values.data = row.repeat(values.positions.len());
    });
}

#[test]
fn numbers_of_another_type_or_order_are_found() {
    let reread = |dtype: Dtype, read: fn(f64) -> f64| {
        move |memory: &mut Memory| {
            let values = memory.values.get_mut(&site("layer.1.attention_norm")).unwrap();
            values.dtype = dtype;
            values.data.iter_mut().for_each(|value| *value = read(*value));
        }
    };
    let swapped = |value: f64| f64::from(f32::from_bits((value as f32).to_bits().swap_bytes()));
    assert_found(Rule::ByteSwapped, reread(Dtype::F32, swapped));
    let swapped = |value: f64| f64::from(bf16::to_f32(bf16::from_f32(value as f32).swap_bytes()));
    let finite = move |value: f64| Some(swapped(value)).filter(|value| value.is_finite()).unwrap_or(1e30);
    let (model, mut memory) = right();
    let values = memory.values.get_mut(&site("layer.1.attention_norm")).unwrap();
    values.dtype = Dtype::Bf16;
    values.data.iter_mut().for_each(|value| *value = finite(*value));
    assert!(rules(&model, &memory).contains(&Rule::ByteSwapped));
    assert_found(Rule::Bf16AsF16, reread(Dtype::F16, |value| f16_to_f64(bf16::from_f32(value as f32))));
    let as_bf16 = |value: f64| f64::from(bf16::to_f32(bits::f16_bits(value)));
    assert_found(Rule::F16AsBf16, reread(Dtype::Bf16, as_bf16));
}

#[test]
fn rows_beside_their_position_are_found() {
    for by in [1, 19] {
        assert_found(Rule::Shifted, |memory| {
            let values = memory.values.get_mut(&site("layer.1.layer_output")).unwrap();
            values.data.rotate_right(by * values.width);
        });
        assert_found(Rule::Shifted, |memory| {
            let values = memory.values.get_mut(&site("embedding")).unwrap();
            values.data.rotate_right(by * values.width);
            // The row that comes around belongs to no position beside it.
            let gone = if by == 1 { 0 } else { 19 };
            values.positions.remove(gone);
            values.data.drain(gone * values.width..(gone + 1) * values.width);
        });
    }
}

#[test]
fn layers_from_one_are_found() {
    let (model, mut memory) = right();
    memory.values.retain(|site, _| site.layer.is_some_and(|layer| layer > 0));
    let count = model.config().num_layers();
    let why = format!("there is no layer {count}; the model has {count}, from 0 on");
    let matching = Matching {
        unmatched: vec![Unmatched { name: String::new(), shape: Vec::new(), why }],
        ..Matching::default()
    };
    let findings = lint(&memory, model.config(), None, Some(&matching)).unwrap();
    assert!(findings.iter().any(|finding| finding.rule == Rule::LayersFromOne), "{findings:?}");
}

#[test]
fn each_rule_has_one_name() {
    let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
    for rule in Rule::ALL {
        assert_eq!(serde_json::to_value(rule).unwrap(), rule.name());
    }
}
