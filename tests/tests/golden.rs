//! The runtime against what independent implementations computed (`fixtures/golden`).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::PathBuf;

use gptoss_runtime::dtype::bf16;
use gptoss_runtime::tap::{Tap, TapPoint, TapSite, TapValues};
use gptoss_runtime::{Logits, Model, ModelOptions, Profile, Rows, reference};
use gptoss_tests::fixtures_root;
use ndarray::{Array2, s};
use safetensors::{Dtype, SafeTensors};

/// Folders of the golden models, in both layouts, with their prompts.
fn models() -> Vec<(&'static str, PathBuf, Vec<u8>, usize)> {
    let root = fixtures_root().join("golden");
    [("a64", 3), ("dense4", 2)]
        .into_iter()
        .flat_map(|(name, prompts)| {
            let folder = root.join(name);
            let data = fs::read(folder.join("golden.safetensors")).unwrap();
            [folder.clone(), folder.join("original")].map(|path| (name, path, data.clone(), prompts))
        })
        .collect()
}

/// A tensor as rows of f64; the last axis is that of a row.
fn tensor(data: &SafeTensors<'_>, name: &str) -> Array2<f64> {
    let view = data.tensor(name).unwrap();
    let bytes = view.data();
    let numbers: Vec<f64> = match view.dtype() {
        Dtype::F64 => bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        Dtype::F32 => {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
        }
        Dtype::I32 => {
            bytes.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()).into()).collect()
        }
        Dtype::I16 => {
            bytes.chunks_exact(2).map(|b| i16::from_le_bytes(b.try_into().unwrap()).into()).collect()
        }
        Dtype::BF16 => {
            bytes.chunks_exact(2).map(|b| bf16::to_f32(u16::from_le_bytes([b[0], b[1]])).into()).collect()
        }
        other => panic!("{name} is {other:?}"),
    };
    let cols = view.shape().last().copied().unwrap_or(1);
    Array2::from_shape_vec((numbers.len() / cols, cols), numbers).unwrap()
}

fn ids(data: &SafeTensors<'_>, prompt: usize, name: &str) -> Vec<u32> {
    tensor(data, &format!("p{prompt}.{name}")).iter().map(|&id| id as u32).collect()
}

fn load(path: &std::path::Path, profile: Profile) -> Model {
    Model::load(path, ModelOptions { profile, ..ModelOptions::default() }).unwrap()
}

fn all_rows(model: &Model, tokens: &[u32], tap: &mut dyn Tap) -> Array2<f64> {
    let mut cache = model.new_cache(tokens.len(), tokens.len()).unwrap();
    to_f64(&model.forward_rows(tokens, Rows::All, &mut cache, tap).unwrap())
}

fn to_f64(logits: &Logits) -> Array2<f64> {
    Array2::from_shape_fn((logits.rows(), logits.vocab_size()), |(row, token)| logits.get(row, token))
}

fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0_f64);
    for value in values {
        sum += value * value;
        count += 1.0;
    }
    (sum / count).sqrt()
}

fn argmax(row: &ndarray::ArrayView1<'_, f64>) -> usize {
    row.iter().enumerate().fold(0, |best, (token, logit)| if *logit > row[best] { token } else { best })
}

#[test]
fn digests_are_those_of_an_independent_implementation() {
    let text = fs::read_to_string(fixtures_root().join("golden/digests.txt")).unwrap();
    let mut checked = 0;
    for (name, path, data, prompts) in models() {
        let data = SafeTensors::deserialize(&data).unwrap();
        for profile in [Profile::Bf16, Profile::F32] {
            let model = load(&path, profile);
            for prompt in 0..prompts {
                let expected = text
                    .lines()
                    .find_map(|line| line.strip_suffix(&format!("  {name}/p{prompt} {profile}")))
                    .expect("every prompt has a digest");
                let tokens = ids(&data, prompt, "ids");
                let mut cache = model.new_cache(tokens.len(), tokens.len()).unwrap();
                let fast = model.forward_rows(&tokens, Rows::All, &mut cache, &mut ()).unwrap();
                assert_eq!(fast.digest(), expected, "{name}/p{prompt} {profile} in {}", path.display());
                let plain =
                    reference::forward(model.config(), model.weights(), profile, &tokens, &mut ()).unwrap();
                assert_eq!(plain.digest(), expected, "{name}/p{prompt} {profile} by the reference");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 20);
}

#[test]
fn f64_is_the_oracle_to_one_part_in_a_billion() {
    for (name, path, data, prompts) in models() {
        let data = SafeTensors::deserialize(&data).unwrap();
        let model = load(&path, Profile::F64);
        for prompt in 0..prompts {
            let found = all_rows(&model, &ids(&data, prompt, "ids"), &mut ());
            let expected = tensor(&data, &format!("p{prompt}.logits_f64_last"));
            let last = found.row(found.nrows() - 1);
            // The gate of the golden files: their oracle sums in another order.
            let greatest = expected.iter().fold(0.0_f64, |most, logit| most.max(logit.abs()));
            for (found, expected) in last.iter().zip(expected.iter()) {
                assert!((found - expected).abs() <= 1e-9 * greatest, "{name}/p{prompt}");
            }
        }
    }
}

/// Which experts each position goes to, layer by layer.
#[derive(Default)]
struct Experts(Vec<Vec<Vec<usize>>>);

impl Tap for Experts {
    fn wants(&self, point: TapPoint, _: Option<usize>) -> bool {
        point == TapPoint::ExpertIds
    }

    fn record(&mut self, _: TapSite, values: TapValues<'_>) {
        let TapValues::F32(rows) = values else { panic!("f32 was asked for") };
        self.0.push(rows.rows().into_iter().map(|row| row.iter().map(|&id| id as usize).collect()).collect());
    }
}

#[test]
fn f32_is_within_its_gates() {
    for (name, path, data, prompts) in models() {
        let data = SafeTensors::deserialize(&data).unwrap();
        let model = load(&path, Profile::F32);
        for prompt in 0..prompts {
            let case = format!("{name}/p{prompt}");
            let mut experts = Experts::default();
            let found = all_rows(&model, &ids(&data, prompt, "ids"), &mut experts);
            let expected = tensor(&data, &format!("p{prompt}.logits_f64"));
            assert_eq!(found.dim(), expected.dim());
            let difference = &found - &expected;
            // The gates of the golden files: f32 rounds, and its angles are f32 products.
            assert!(difference.iter().all(|error| error.abs() <= 1e-3), "{case}");
            assert!(rms(difference.into_iter()) <= 2e-5 * rms(expected.iter().copied()), "{case}");
            for (found, expected) in found.rows().into_iter().zip(expected.rows()) {
                assert_eq!(argmax(&found), argmax(&expected), "{case}");
            }
            let router = tensor(&data, &format!("p{prompt}.router"));
            let gaps = tensor(&data, &format!("p{prompt}.router_gap"));
            let positions = gaps.ncols();
            let mut compared = 0;
            for ((layer, position), &gap) in gaps.indexed_iter() {
                // Below this the order of near-equal logits is not decided by the model.
                if gap <= 1e-4 {
                    continue;
                }
                let mut expected: Vec<usize> =
                    router.row(layer * positions + position).iter().map(|&id| id as usize).collect();
                let mut found = experts.0[layer][position].clone();
                expected.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, expected, "{case} layer {layer} position {position}");
                compared += 1;
            }
            assert!(compared > 0 || name == "dense4", "{case}");
        }
    }
}

#[test]
fn greedy_tokens_in_f32_are_those_of_the_oracle() {
    for (name, path, data, _) in models() {
        let data = SafeTensors::deserialize(&data).unwrap();
        let model = load(&path, Profile::F32);
        let expected = ids(&data, 0, "greedy_f64");
        let prompt = ids(&data, 0, "ids");
        let mut cache = model.new_cache(prompt.len() + expected.len(), 16).unwrap();
        let mut logits = model.prefill(&prompt, &mut cache, &mut ()).unwrap();
        let mut found = Vec::new();
        for _ in 0..expected.len() {
            let token = logits.argmax(0) as u32;
            found.push(token);
            logits = model.forward(&[token], &mut cache, &mut ()).unwrap();
        }
        assert_eq!(found, expected, "{name}");
    }
}

/// The hidden state after each layer.
#[derive(Default)]
struct Hidden(Vec<Array2<f64>>);

impl Tap for Hidden {
    fn wants(&self, point: TapPoint, _: Option<usize>) -> bool {
        point == TapPoint::LayerOutput
    }

    fn record(&mut self, _: TapSite, values: TapValues<'_>) {
        let TapValues::F32(rows) = values else { panic!("bf16 values come in f32") };
        self.0.push(rows.mapv(f64::from));
    }
}

/// The share of equal numbers, and the greatest distance in units of bf16's last place.
fn compare(found: &Array2<f64>, expected: &Array2<f64>) -> (f64, u32) {
    assert_eq!(found.dim(), expected.dim());
    let ordered = |value: f64| {
        let bits = i32::from(bf16::from_f32(value as f32) as i16);
        if bits < 0 { -(bits & 0x7fff) } else { bits }
    };
    let apart: Vec<u32> =
        found.iter().zip(expected).map(|(&a, &b)| ordered(a).abs_diff(ordered(b))).collect();
    let equal = apart.iter().filter(|&&apart| apart == 0).count() as f64 / apart.len() as f64;
    (equal, apart.into_iter().max().unwrap_or(0))
}

#[test]
fn bf16_without_a_routing_choice_is_the_official_implementation() {
    for (name, path, data, prompts) in models().into_iter().filter(|model| model.0 == "dense4") {
        let data = SafeTensors::deserialize(&data).unwrap();
        let model = load(&path, Profile::Bf16);
        for prompt in 0..prompts {
            let case = format!("{name}/p{prompt}");
            let mut hidden = Hidden::default();
            let found = all_rows(&model, &ids(&data, prompt, "ids"), &mut hidden);
            let expected = tensor(&data, &format!("p{prompt}.logits_torch_bf16"));
            let rows = found.nrows();
            let (equal, apart) =
                compare(&found.slice(s![rows - expected.nrows().., ..]).to_owned(), &expected);
            // The gate of the golden files: PyTorch's order of sums may move one element in a thousand by one unit.
            assert!(equal >= 0.999 && apart <= 1, "{case}: logits equal {equal}, apart {apart}");
            let expected = tensor(&data, &format!("p{prompt}.hidden_torch_bf16_last"));
            let last = expected.nrows() / hidden.0.len();
            for (layer, found) in hidden.0.iter().enumerate() {
                let found = found.slice(s![found.nrows() - last.., ..]).to_owned();
                let expected = expected.slice(s![layer * last..(layer + 1) * last, ..]).to_owned();
                let (equal, apart) = compare(&found, &expected);
                assert!(equal >= 0.999 && apart <= 1, "{case}: layer {layer} equal {equal}, apart {apart}");
            }
        }
    }
}

#[test]
fn bf16_with_routing_is_the_official_implementation_for_one_layer_and_close_after_it() {
    for (name, path, data, prompts) in models().into_iter().filter(|model| model.0 == "a64") {
        let data = SafeTensors::deserialize(&data).unwrap();
        let model = load(&path, Profile::Bf16);
        for prompt in 0..prompts {
            let case = format!("{name}/p{prompt}");
            let mut hidden = Hidden::default();
            let found = all_rows(&model, &ids(&data, prompt, "ids"), &mut hidden);
            let expected = tensor(&data, &format!("p{prompt}.hidden_torch_bf16_last"));
            let last = expected.nrows() / hidden.0.len();
            let first = hidden.0[0].slice(s![hidden.0[0].nrows() - last.., ..]).to_owned();
            let (equal, _) = compare(&first, &expected.slice(s![..last, ..]).to_owned());
            assert!(equal >= 0.99, "{case}: layer 0 equal {equal}");

            let expected = tensor(&data, &format!("p{prompt}.logits_torch_bf16"));
            let found = found.slice(s![found.nrows() - expected.nrows().., ..]).to_owned();
            let error = rms((&found - &expected).into_iter()) / rms(expected.iter().copied());
            // The gates of the golden files: one flipped bit or tie changes the routing of all that follows.
            assert!(error <= 0.1, "{case}: rms relative {error}");
            let divergence: f64 = found
                .rows()
                .into_iter()
                .zip(expected.rows())
                .map(|(found, expected)| {
                    let log = |row: &ndarray::ArrayView1<'_, f64>| {
                        let most = row.fold(f64::NEG_INFINITY, |most, &logit| most.max(logit));
                        let sum: f64 = row.iter().map(|logit| (logit - most).exp()).sum();
                        row.mapv(|logit| logit - most - sum.ln())
                    };
                    let (p, q) = (log(&expected), log(&found));
                    p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>()
                })
                .sum::<f64>()
                / found.nrows() as f64;
            assert!(divergence <= 0.03, "{case}: mean divergence {divergence}");
        }
    }
}
