//! Every named value against the reference, bit for bit.

use std::collections::BTreeMap;
use std::fs;

use gptoss_runtime::golden::probe;
use gptoss_runtime::tap::{Tap, TapPoint, TapSite, TapValues};
use gptoss_runtime::{Profile, reference};
use gptoss_tests::fixtures_root;
use gptoss_tests::wgsl::{Kernels, Run};
use safetensors::SafeTensors;

use super::{DEVICE, Model, RIGHT, cancelling, probe_folder, run_probe};

type Key = (TapPoint, Option<usize>, Option<usize>);

/// The bits of every value of the reference.
#[derive(Default)]
struct Taken(BTreeMap<Key, Vec<u32>>);

impl Tap for Taken {
    fn record(&mut self, site: TapSite, values: TapValues<'_>) {
        let TapValues::F32(rows) = values else { panic!("bf16 values come in f32") };
        let is_id = site.point == TapPoint::ExpertIds;
        let bits = rows.iter().map(|&value| if is_id { value as u32 } else { value.to_bits() }).collect();
        let old = self.0.insert((site.point, site.layer, site.slot), bits);
        assert!(old.is_none(), "{site:?} was recorded twice");
    }
}

/// How many elements of each point differ, of points that differ, and how many elements there are.
fn differences(
    model: &Model,
    run: &Run,
    tokens: &[u32],
) -> (BTreeMap<(Option<usize>, TapPoint), usize>, usize) {
    let mut taken = Taken::default();
    reference::forward(&model.config, &model.weights, Profile::Bf16, tokens, &mut taken).unwrap();
    let mut differ = BTreeMap::new();
    let mut compared = 0;
    for (&(point, layer, slot), expected) in &taken.0 {
        let value = run.values.iter().find(|value| (value.point, value.layer) == (point, layer)).unwrap();
        let found = value.rows(slot);
        assert_eq!(found.len(), expected.len(), "{} {slot:?}", value.name());
        let count = found.iter().zip(expected).filter(|(found, expected)| found != expected).count();
        if count > 0 {
            *differ.entry((layer, point)).or_default() += count;
        }
        compared += found.len();
    }
    // Nothing that was computed is left out.
    let computed: usize = run.values.iter().map(|value| value.bits.len()).sum();
    assert_eq!(compared, computed);
    assert_eq!(run.values.len(), 3 + 20 * model.config.num_layers());
    (differ, compared)
}

#[test]
fn the_probe_is_that_of_the_reference_at_every_value() {
    let model = Model::open(&probe_folder());
    let (differ, compared) = differences(&model, &run_probe(&model, None), &probe::tokens());
    assert_eq!(differ, BTreeMap::new());
    assert!(compared > 1_000_000, "{compared}");
}

#[test]
fn golden_models_are_those_of_the_reference_at_every_value() {
    for (name, prompts) in [("a64", 3), ("dense4", 2)] {
        let folder = fixtures_root().join("golden").join(name);
        let model = Model::open(&folder);
        let data = fs::read(folder.join("golden.safetensors")).unwrap();
        let data = SafeTensors::deserialize(&data).unwrap();
        for prompt in 0..prompts {
            let ids = data.tensor(&format!("p{prompt}.ids")).unwrap();
            let (ids, _) = ids.data().as_chunks::<4>();
            let tokens: Vec<u32> = ids.iter().map(|&id| u32::from_le_bytes(id)).collect();
            let (differ, _) = differences(&model, &model.run(&RIGHT, &tokens), &tokens);
            assert_eq!(differ, BTreeMap::new(), "{name}/p{prompt}");
        }
    }
}

#[test]
fn rows_of_2880_that_cancel_are_those_of_the_reference_and_show_an_order_of_sums() {
    let folder = tempfile::tempdir().unwrap();
    cancelling::write(folder.path());
    let model = Model::open(folder.path());
    let tokens = [3, 1, 4];
    let (differ, _) = differences(&model, &model.run(&RIGHT, &tokens), &tokens);
    assert_eq!(differ, BTreeMap::new());

    // The same with the even element of two neighbours first: rows that cancel show it.
    let even_first = Kernels::new(&DEVICE, &["order_even_first"]);
    let (differ, _) = differences(&model, &model.run(&even_first, &tokens), &tokens);
    for point in [TapPoint::Query, TapPoint::RouterLogits, TapPoint::GateUp, TapPoint::Down] {
        assert!(differ.contains_key(&(Some(0), point)), "{point:?}: {differ:?}");
    }
}
