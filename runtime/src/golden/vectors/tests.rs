use std::collections::BTreeSet;

use super::*;
use crate::checkpoint::{Checkpoint, safetensors};
use crate::golden::{Dump, Source};

fn find(name: &str) -> Vector {
    vectors().into_iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("no vector {name}"))
}

fn floats(tensors: &[(&'static str, Tensor)], name: &str) -> Vec<f32> {
    match &tensors.iter().find(|(known, _)| *known == name).unwrap().1.data {
        Data::Bf16(data) | Data::F32(data) => data.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_are_unique_and_shapes_have_their_elements() {
    let all = vectors();
    let names: BTreeSet<&str> = all.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names.len(), all.len());
    for vector in &all {
        assert!(!vector.expected.is_empty(), "{}", vector.name);
        for (name, tensor) in vector.inputs.iter().chain(&vector.expected) {
            assert_eq!(tensor.shape.iter().product::<usize>(), tensor.len(), "{} {name}", vector.name);
            if let Data::Bf16(data) = &tensor.data {
                assert!(data.iter().all(|value| value.to_bits() << 16 == 0), "{} {name}", vector.name);
            }
        }
    }
}

#[test]
fn every_code_and_every_scale_byte_is_there() {
    let table = find("mxfp4.table");
    let values = floats(&table.expected, "values");
    assert_eq!(values.len(), 253 * 16);
    // Byte 127 is 2^0, and code 15 is -6.
    assert_eq!(values[127 * 16 + 15], -6.0);
    assert_eq!(values[252 * 16 + 1].log2(), 124.0);
    assert_eq!(values[77 * 16 + 1].to_bits(), 0, "0.5 times 2^-50 is flushed");
    assert_eq!(values[78 * 16 + 1].log2(), -50.0);
}

#[test]
fn vectors_see_another_order_of_sums() {
    for name in ["dot.d.cancel", "dot.e.cancel"] {
        let vector = find(name);
        let (a, b) = (floats(&vector.inputs, "a"), floats(&vector.inputs, "b"));
        let plain = a.iter().zip(&b).fold(0.0, |sum, (a, b)| sum + a * b);
        assert_ne!(plain, floats(&vector.expected, "sum")[0], "{name}");
    }
}

#[test]
fn vectors_see_the_usual_mistakes() {
    let ties = find("router.ties");
    let Data::I32(ids) = &ties.expected[0].1.data else { panic!("ids are whole numbers") };
    assert_eq!(ids[..], [20, 9, 25, 0], "of equal logits the lower id");
    let swiglu = find("swiglu");
    let (gate, up) = (floats(&swiglu.inputs, "gate"), floats(&swiglu.inputs, "up"));
    let out = floats(&swiglu.expected, "out");
    let at = |g: f32, u: f32| out[gate.iter().zip(&up).position(|pair| pair == (&g, &u)).unwrap()];
    assert_eq!(at(30.0, 1.0), at(7.0, 1.0), "the gate is clamped above");
    assert_eq!(at(1.0, 200.0), at(1.0, 7.0));
    assert_eq!(at(1.0, -200.0), at(1.0, -7.0));
    assert_ne!(at(1.0, -1.0), at(1.0, 1.0));
    let window = find("window");
    let Data::I32(least) = &window.expected[0].1.data else { panic!("keys are whole numbers") };
    assert_eq!(least[..], [0, 0, 0, 0, 1, 2, 128, 129, 873]);
    let bias = find("bias");
    assert_ne!(floats(&bias.expected, "dense"), floats(&bias.expected, "expert"));
}

#[test]
fn the_files_hold_what_the_index_says() {
    let folder = tempfile::tempdir().unwrap();
    let names = write(folder.path()).unwrap();
    assert!(names.iter().all(|name| folder.path().join(name).exists()));
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&read("index.json")).unwrap();
    let levels: Vec<&str> =
        index["levels"].as_array().unwrap().iter().map(|level| level["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["L0", "L1", "L2", "L3", "L4"]);
    for level in ["L0", "L1"] {
        let list: Vec<serde_json::Value> = serde_json::from_slice(&read(&format!("{level}.json"))).unwrap();
        let tensors = safetensors::header(&read(&format!("{level}.safetensors"))).unwrap().tensors;
        let count: usize = list
            .iter()
            .map(|vector| {
                vector["inputs"].as_object().unwrap().len() + vector["expected"].as_object().unwrap().len()
            })
            .sum();
        assert_eq!(tensors.len(), count);
    }
    let checkpoint = Checkpoint::open(&folder.path().join("model")).unwrap();
    let open = |name: &str| Dump::open(&folder.path().join(name), checkpoint.config(), None).unwrap();
    assert!(Source::sites(&open("L2.safetensors")).len() > 40);
    // The tokens of L4 are those with the greatest logits.
    let decoded = open("L4.safetensors");
    let logits = decoded.read(&"logits".parse().unwrap()).unwrap().unwrap();
    let tokens = decoded.tokens().unwrap();
    for (index, &position) in logits.positions.iter().enumerate() {
        let row = logits.row(index);
        let best = (0..row.len()).fold(0, |best, token| if row[token] > row[best] { token } else { best });
        assert_eq!(tokens[position as usize + 1] as usize, best);
    }
    assert_eq!(logits.positions.len(), 12);
}
