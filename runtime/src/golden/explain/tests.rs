use super::*;
use crate::golden::{Declared, Memory, Mutant, Simulation, probe, simulate};
use crate::model::{Model, ModelOptions};

const DECLARED: Declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };

fn dump(mutants: Mutants) -> Memory {
    let simulation = Simulation { declared: DECLARED, seed: 9, mutants, decoded_from: None };
    simulate(&probe::config(), &probe::weights().unwrap(), &probe::tokens()[..14], &simulation).unwrap()
}

fn ask(
    dump: &dyn Source,
    site: &str,
    position: u32,
    element: Option<usize>,
) -> Result<Explained, Unexplained> {
    let question = Question { site: site.parse().unwrap(), position, element };
    let options = CheckOptions::new(DECLARED);
    explain(&probe::config(), &probe::weights().unwrap(), dump, &options, question)
}

/// The values of the inputs whose name starts so.
fn of<'a>(explained: &'a Explained, start: &str) -> Vec<&'a [Number]> {
    let found: Vec<_> = explained
        .inputs
        .iter()
        .filter(|input| input.name.starts_with(start))
        .map(|input| input.values.as_slice())
        .collect();
    assert!(!found.is_empty(), "{start}: {:?}", explained.inputs);
    found
}

fn row(explained: &Explained, start: &str) -> Vec<f64> {
    of(explained, start)[0].iter().map(|number| number.value).collect()
}

fn one(explained: &Explained, start: &str) -> f64 {
    let row = row(explained, start);
    assert_eq!(row.len(), 1, "{start}");
    row[0]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What the formula gives for the inputs that are told, and for no others.
fn by_hand(explained: &Explained) -> f64 {
    use TapPoint as P;
    let layer = "layer.1";
    let linear = |x: &str, name: &str| {
        let name = format!("model.layers.1.{name}");
        dot(&row(explained, x), &row(explained, &format!("{name}.weight[")))
            + one(explained, &format!("{name}.bias["))
    };
    let norm = |x: &str, scale: &str, element: usize| {
        let x = row(explained, x);
        let mean = dot(&x, &x) / x.len() as f64;
        x[element] / (mean + one(explained, "rms_norm_eps")).sqrt() * one(explained, scale)
    };
    let element = explained.elements[0].element;
    match explained.site.point {
        P::Embedding => one(explained, "model.embed_tokens.weight["),
        P::AttentionNorm => norm("layer.0.layer_output", "model.layers.1.input_layernorm.weight[", element),
        P::MlpNorm => {
            norm("layer.1.attention_residual", "model.layers.1.post_attention_layernorm.weight[", element)
        }
        P::FinalNorm => norm("layer.1.layer_output", "model.norm.weight[", element),
        P::Query => linear("layer.1.attention_norm", "self_attn.q_proj"),
        P::Key => linear("layer.1.attention_norm", "self_attn.k_proj"),
        P::Value => linear("layer.1.attention_norm", "self_attn.v_proj"),
        P::AttentionOutput => linear("layer.1.context", "self_attn.o_proj"),
        P::RouterLogits => linear("layer.1.mlp_norm", "mlp.router"),
        P::Logits => dot(&row(explained, "final_norm"), &row(explained, "lm_head.weight[")),
        P::QueryRotated | P::KeyRotated => {
            let before = if explained.site.point == P::QueryRotated { "query[" } else { "key[" };
            let pair = of(explained, &format!("{layer}.{before}"));
            let (a, c) = (pair[0][0].value, pair[1][0].value);
            let angle = f64::from(explained.position) * one(explained, "inv_freq[");
            let m = one(explained, "m");
            let (sin, cos) = angle.sin_cos();
            if element % 64 < 32 { a * (m * cos) - c * (m * sin) } else { c * (m * cos) + a * (m * sin) }
        }
        P::Scores => {
            let (q, k) = (row(explained, "layer.1.query_rotated["), row(explained, "layer.1.key_rotated["));
            dot(&q, &k) * one(explained, "a")
        }
        P::Probabilities => {
            let scores = row(explained, "layer.1.scores.head.5[");
            let sum: f64 = scores.iter().map(|score| score.exp()).sum();
            scores[element].exp() / (sum + one(explained, "model.layers.1.self_attn.sinks[5]").exp())
        }
        P::Context => dot(&row(explained, "layer.1.probabilities.head."), &row(explained, "layer.1.value[")),
        P::AttentionResidual => {
            one(explained, "layer.0.layer_output[") + one(explained, "layer.1.attention_output[")
        }
        P::LayerOutput => {
            one(explained, "layer.1.attention_residual[") + one(explained, "layer.1.mlp_output[")
        }
        P::ExpertIds => {
            let logits = row(explained, "layer.1.router_logits");
            let mut ids: Vec<usize> = (0..logits.len()).collect();
            ids.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
            ids[element] as f64
        }
        P::ExpertWeights => {
            let logits: Vec<f64> = of(explained, "layer.1.router_logits[")
                .iter()
                .map(|numbers| numbers[0].value.exp())
                .collect();
            logits[element] / logits.iter().sum::<f64>()
        }
        P::GateUp | P::Down => {
            let (x, name) = match explained.site.point {
                P::GateUp => ("layer.1.mlp_norm", "gate_up_proj"),
                _ => ("layer.1.activation.rank.2", "down_proj"),
            };
            let name = format!("model.layers.1.mlp.experts.{name}");
            dot(&row(explained, x), &row(explained, &format!("{name}[")))
                + one(explained, &format!("{name}_bias["))
        }
        P::Activation => {
            let limit = one(explained, "swiglu_limit");
            let both = row(explained, "layer.1.gate_up.rank.2[");
            let (gate, up) = (both[0].min(limit), both[1].clamp(-limit, limit));
            gate / (1.0 + (-one(explained, "alpha") * gate).exp()) * (up + 1.0)
        }
        P::MlpOutput => {
            let downs: Vec<f64> =
                of(explained, "layer.1.down.rank.").iter().map(|numbers| numbers[0].value).collect();
            dot(&row(explained, "layer.1.expert_weights"), &downs)
        }
    }
}

/// A site of each point, an element of it, and its width in a run of 14 tokens.
fn every_point() -> Vec<(Site, usize)> {
    let config = probe::config();
    TapPoint::ALL
        .into_iter()
        .map(|point| {
            let site = if point.is_of_layer() { Site::of_layer(1, point) } else { Site::alone(point) };
            let site = match point {
                TapPoint::Scores | TapPoint::Probabilities => site.with(Part::Head(5)),
                TapPoint::GateUp | TapPoint::Activation | TapPoint::Down => site.with(Part::Rank(2)),
                _ => site,
            };
            (site, width(&config, point, 14))
        })
        .collect()
}

#[test]
fn every_value_follows_from_the_inputs_that_are_told() {
    let dump = dump(Mutants::NONE);
    for (site, width) in every_point() {
        for element in [0, width - 1, width / 2] {
            // Keys after the position are not visible.
            let element = if matches!(site.point, TapPoint::Scores | TapPoint::Probabilities) {
                element.min(11)
            } else {
                element
            };
            let explained = ask(&dump, &site.to_string(), 11, Some(element)).unwrap();
            let [told] = explained.elements.as_slice() else { panic!("{site}: one element was asked for") };
            let by_hand = by_hand(&explained);
            // Sums of at most 512 f64 in another order.
            let room = 1e-12 * told.oracle.abs().max(1.0);
            assert!((told.oracle - by_hand).abs() <= room, "{site}[{element}]: {} {by_hand}", told.oracle);
            let found = told.found.as_ref().unwrap();
            assert_eq!(found.inside, Some(true), "{site}[{element}]: {told:?}");
            assert!(told.low <= found.value && found.value <= told.high || site.point == TapPoint::ExpertIds);
            assert!(!explained.formula.is_empty() && explained.clause.starts_with("step "), "{site}");
        }
    }
}

#[test]
fn a_row_has_all_its_elements_and_says_so_for_each_kind_of_point() {
    let dump = dump(Mutants::NONE);
    for (site, width) in every_point() {
        let explained = ask(&dump, &site.to_string(), 13, None).unwrap();
        assert_eq!(explained.elements.len(), width, "{site}");
        assert!(!explained.is_wrong() && !explained.inputs.is_empty(), "{site}");
        let one = ask(&dump, &site.to_string(), 13, Some(width - 1)).unwrap();
        let last = explained.elements.last().unwrap();
        assert_eq!(
            (&last.expected, last.low, last.high),
            (&one.elements[0].expected, one.elements[0].low, one.elements[0].high)
        );
    }
}

#[test]
fn a_head_is_a_part_of_the_row() {
    let dump = dump(Mutants::NONE);
    for (point, heads) in
        [("query", 8), ("query_rotated", 8), ("context", 8), ("key", 2), ("key_rotated", 2), ("value", 2)]
    {
        let head = ask(&dump, &format!("layer.0.{point}.head.1"), 4, None).unwrap();
        let row = ask(&dump, &format!("layer.0.{point}"), 4, None).unwrap();
        let values = |explained: &Explained| -> Vec<String> {
            explained.elements.iter().map(|element| element.expected.bits.clone()).collect()
        };
        assert_eq!(values(&head), values(&row)[64..128], "{point}");
        assert_eq!(head.elements[3].element, 3);
        let outside = ask(&dump, &format!("layer.0.{point}.head.{heads}"), 4, None);
        assert!(matches!(outside, Err(Unexplained::Site)), "{point}");
    }
}

#[test]
fn an_expert_is_named_by_rank_or_by_id() {
    let dump = dump(Mutants::NONE);
    let ids = ask(&dump, "layer.1.expert_ids", 6, None).unwrap();
    let id = ids.elements[2].expected.value;
    let by_rank = ask(&dump, "layer.1.down.rank.2", 6, Some(3)).unwrap();
    let by_id = ask(&dump, &format!("layer.1.down.expert.{id}"), 6, Some(3)).unwrap();
    assert_eq!(by_rank.elements[0].expected, by_id.elements[0].expected);
    assert!(
        by_rank
            .inputs
            .iter()
            .any(|input| input.name == format!("model.layers.1.mlp.experts.down_proj[{id}][3]"))
    );
}

#[test]
fn a_wrong_value_is_outside_and_its_distance_is_counted() {
    let mut dump = dump(Mutants::NONE);
    let site: Site = "layer.1.layer_output".parse().unwrap();
    let expected = ask(&dump, "layer.1.layer_output", 3, Some(5)).unwrap().elements[0].expected.value;
    let values = dump.values.get_mut(&site).unwrap();
    let at = 3 * values.width + 5;
    let bits = bf16::from_f32(expected as f32);
    values.data[at] = f64::from(bf16::to_f32(bits + 3));
    let explained = ask(&dump, "layer.1.layer_output", 3, Some(5)).unwrap();
    let found = explained.elements[0].found.as_ref().unwrap();
    assert_eq!((found.ulps.map(i64::abs), found.inside), (Some(3), Some(false)));
    assert!(explained.is_wrong() && found.ratio > 1.0);
    assert!(!ask(&dump, "layer.1.layer_output", 3, Some(6)).unwrap().is_wrong());
    // A known bug shows where it is made.
    let wrong = self::dump(Mutants::one(Mutant::SinkAbsent));
    assert!(ask(&wrong, "layer.0.probabilities.head.2", 9, None).unwrap().is_wrong());
    assert!(!ask(&wrong, "layer.0.context", 9, None).unwrap().is_wrong());
}

#[test]
fn a_choice_of_experts_is_judged_as_a_whole() {
    let mut dump = dump(Mutants::NONE);
    let site: Site = "layer.0.expert_ids".parse().unwrap();
    assert_eq!(ask(&dump, "layer.0.expert_ids", 2, None).unwrap().choice, Some(Choice::Same));
    let values = dump.values.get_mut(&site).unwrap();
    let chosen = values.row(2).to_vec();
    let other = (0..32).map(f64::from).find(|id| !chosen.contains(id)).unwrap();
    let width = values.width;
    values.data[2 * width] = other;
    let explained = ask(&dump, "layer.0.expert_ids", 2, None).unwrap();
    assert_eq!(explained.choice, Some(Choice::Wrong));
    assert!(explained.is_wrong());
}

#[test]
fn what_is_not_there_is_told() {
    let mut dump = dump(Mutants::NONE);
    for site in [
        "layer.2.query",
        "layer.0.scores",
        "layer.0.scores.head.8",
        "layer.0.gate_up",
        "layer.0.down.rank.4",
        "layer.0.down.expert.32",
        "layer.0.mlp_norm.head.0",
        "layer.0.key.head.2",
    ] {
        assert!(matches!(ask(&dump, site, 0, None), Err(Unexplained::Site)), "{site}");
    }
    assert!(matches!(ask(&dump, "logits", 14, None), Err(Unexplained::Position(14))));
    assert!(matches!(ask(&dump, "logits", 0, Some(128)), Err(Unexplained::Element(128))));
    assert!(matches!(ask(&dump, "layer.1.key.head.1", 0, Some(64)), Err(Unexplained::Element(64))));
    // A value that the dump lacks is computed, and said to be lacking.
    dump.values.remove(&"layer.1.query".parse().unwrap());
    let explained = ask(&dump, "layer.1.query_rotated", 2, Some(1)).unwrap();
    assert_eq!(explained.inputs[0].from, Origin::Computed);
    let explained = ask(&dump, "layer.1.query", 2, Some(1)).unwrap();
    assert!(explained.elements[0].found.is_none() && explained.notes.len() == 1);
    dump.values.clear();
    dump.tokens = None;
    assert!(matches!(ask(&dump, "logits", 0, None), Err(Unexplained::Position(0))));
}

#[test]
fn a_run_of_this_crate_is_explained_too() {
    let tokens = probe::tokens();
    for profile in Profile::ALL {
        let accumulate = if profile == Profile::F64 { Accumulator::F64 } else { Accumulator::F32 };
        let options = ModelOptions { profile, ..ModelOptions::default() };
        let model = Model::new(probe::config(), probe::weights().unwrap(), options).unwrap();
        for (site, width) in every_point() {
            // The window of the first layer has 128 keys, and a chunk as many.
            let question = Question { site, position: 131, element: (width > 14).then_some(width / 2) };
            let run = observe(&model, &tokens, question, &|| false).unwrap();
            let options = CheckOptions::new(Declared { profile, accumulate });
            let explained =
                explain(&probe::config(), &probe::weights().unwrap(), &run, &options, question).unwrap();
            let inside =
                explained.elements.iter().all(|element| element.found.as_ref().unwrap().inside == Some(true));
            assert!(inside, "{profile} {site}: {:?}", explained.elements);
            assert!(
                explained
                    .inputs
                    .iter()
                    .all(|input| input.from != Origin::Computed || input.name.contains('['))
            );
        }
    }
}

#[test]
fn bits_are_those_of_the_type() {
    let bits = |value: f64, dtype: Dtype| Number::new(value, dtype).bits;
    assert_eq!(bits(1.0, Dtype::Bf16), "0x3f80");
    assert_eq!(bits(-2.5, Dtype::F32), "0xc0200000");
    assert_eq!(bits(1.0, Dtype::F64), "0x3ff0000000000000");
    assert_eq!(bits(31.0, Dtype::Int), "0x1f");
    for (value, expected) in [
        (1.0, "0x3c00"),
        (-65_504.0, "0xfbff"),
        (6.0e-8, "0x0001"),
        (2.0_f64.powi(-14), "0x0400"),
        (f64::INFINITY, "0x7c00"),
        (-0.0, "0x8000"),
    ] {
        assert_eq!(bits(value, Dtype::F16), expected, "{value}");
    }
}

#[test]
fn distances_count_the_numbers_between() {
    let next = f64::from(f32::from_bits(1.0_f32.to_bits() + 1));
    let count = |value, expected, dtype, profile| ulps(value, expected, dtype, profile);
    assert_eq!(count(next, 1.0, Dtype::F32, Profile::F32), Some(1));
    assert_eq!(count(1.0, next, Dtype::F32, Profile::F32), Some(-1));
    // A bf16 that was widened.
    assert_eq!(count(1.0078125, 1.0, Dtype::F32, Profile::Bf16), Some(1));
    assert_eq!(count(1.0078125, 1.0, Dtype::F32, Profile::F32), Some(65_536));
    // Across zero, subnormals included.
    let least = f64::from(f32::from_bits(1));
    assert_eq!(count(-least, least, Dtype::F32, Profile::F32), Some(-2));
    assert_eq!(count(f64::from_bits(3), 0.0, Dtype::F64, Profile::F64), Some(3));
    assert_eq!(count(1.0, f64::from_bits(1.0_f64.to_bits() - 1), Dtype::F64, Profile::F64), Some(1));
    assert_eq!(count(f64::NAN, 1.0, Dtype::F32, Profile::F32), None);
    assert_eq!(count(3.0, 4.0, Dtype::Int, Profile::Bf16), None);
}
