//! Names, layouts and positions.

use super::*;
use crate::golden::Scheme;

#[test]
fn a_dump_of_transformers_is_understood() {
    let config = config();
    let (heads, dim, n) = (config.num_attention_heads, config.head_dim, 3);
    let mut router = counting("model.layers.0.mlp.router", &[n, config.num_experts], -5.0);
    router.2[0] = -1.0;
    let arrays = vec![
        counting("model.layers.0.self_attn.q_proj", &[1, n, heads * dim], 0.0),
        counting("model.layers.0.self_attn.q_rope", &[1, heads, n, dim], 0.0),
        counting("model.layers.0.self_attn", &[1, n, config.hidden_size], 0.0),
        counting("model.layers.0.self_attn.o_proj", &[1, n, config.hidden_size], 100.0),
        router,
        counting("model.layers.9.mlp", &[1, n, config.hidden_size], 0.0),
        counting("something", &[1], 0.0),
    ];
    let dump = dump(&arrays, json!({"tokens": "[4, 5, 6]"}));
    assert_eq!(read(&dump, "layer.0.query").row(1)[0], (heads * dim) as f64);
    let rotated = read(&dump, "layer.0.query_rotated");
    assert_eq!((rotated.row(1)[0], rotated.row(1)[dim]), (dim as f64, (n * dim + dim) as f64));
    // The projection is the better name of the two.
    assert_eq!(read(&dump, "layer.0.attention_output").data[0], 100.0);
    assert_eq!(read(&dump, "layer.0.router_logits").width, config.num_experts);
    let matching = dump.matching();
    assert_eq!(matching.matched.len(), 4);
    assert!(matching.matched.iter().all(|matched| matched.scheme == Scheme::HuggingFace));
    let why: Vec<&str> = matching.unmatched.iter().map(|unmatched| unmatched.why.as_str()).collect();
    assert!(
        why[0].contains("another array") && why[1].contains("no layer 9") && why[2].contains("not known"),
        "{why:?}"
    );
}

#[test]
fn router_scores_are_gathered_by_the_ids_of_the_dump() {
    let config = config();
    let (experts, k) = (config.num_experts, config.experts_per_token);
    let mut scores = vec![0.0; 2 * experts];
    let mut ids = vec![0.0; 2 * k];
    for rank in 0..k {
        // Equal weights: only the ids can tell the ranks.
        ids[rank] = (2 * rank + 1) as f32;
        ids[k + rank] = (k - rank) as f32;
        scores[2 * rank + 1] = 0.25;
        scores[experts + k - rank] = 0.1 * (rank + 1) as f32;
    }
    let mut arrays = vec![
        ("model.layers.0.mlp.router.scores".to_owned(), vec![2, experts], scores.clone()),
        ("model.layers.0.mlp.router.indices".to_owned(), vec![2, k], ids),
    ];
    let expected: Vec<f64> = (0..k).map(|rank| f64::from(0.1 * (rank + 1) as f32)).collect();
    // Ids in f32 are no type of a file of ours, but of one that another program wrote.
    let with_ids = dump(&arrays, json!({}));
    assert_eq!(read(&with_ids, "layer.0.expert_weights").row(1), expected);
    arrays.pop();
    let without = dump(&arrays, json!({}));
    let mut sorted = expected.clone();
    sorted.reverse();
    assert_eq!(read(&without, "layer.0.expert_weights").row(1), sorted);
    // A single output with so few elements that are not zero holds scores, not logits.
    let single = vec![("model.layers.0.mlp.router".to_owned(), vec![2, experts], scores)];
    assert_eq!(read(&dump(&single, json!({})), "layer.0.expert_weights").row(1), sorted);
}

#[test]
fn gates_and_ups_of_llama_cpp_become_one_value() {
    let config = config();
    let (k, size) = (config.experts_per_token, config.intermediate_size);
    let arrays = vec![
        counting("ffn_moe_up_biased-1", &[2, k, size], 0.5),
        counting("ffn_moe_gate_biased-1", &[2, k, size], 0.0),
        counting("ffn_moe_gate_biased-0", &[2, k, size], 0.0),
    ];
    let dump = dump(&arrays, json!({"tokens": "[1, 2]"}));
    let values = read(&dump, "layer.1.gate_up.rank.1");
    assert_eq!(values.width, 2 * size);
    let first = ((k + 1) * size) as f64;
    assert_eq!(values.row(1)[..4], [first, first + 0.5, first + 1.0, first + 1.5]);
    assert_eq!(dump.matching().unmatched.len(), 1, "a gate without its up is told");
}

#[test]
fn rows_of_the_last_positions_are_placed_there() {
    let config = config();
    let arrays = vec![counting("result_output", &[1, config.vocab_size], 0.0)];
    let dump = dump(&arrays, json!({"tokens": "[1, 2, 3, 4]"}));
    assert_eq!(read(&dump, "logits").positions, [3]);
    assert_eq!(dump.matching().matched[0].guesses, ["the row is taken as the last of 4"]);
}

#[test]
fn positions_of_an_array_are_its_own_and_get_sorted() {
    let arrays =
        vec![counting("layer.0.mlp_norm", &[3, 64], 0.0), counting("layer.1.mlp_norm", &[2, 64], 0.0)];
    let metadata = json!({"tokens": "[9, 9, 9, 9, 9]", "positions.layer.0.mlp_norm": "[4, 0, 2]"});
    let dump = dump(&arrays, metadata);
    let values = read(&dump, "layer.0.mlp_norm");
    assert_eq!(values.positions, [0, 2, 4]);
    assert_eq!((values.row(0)[0], values.row(2)[0]), (64.0, 0.0));
    assert!(dump.matching().unmatched[0].why.contains("2 rows"), "{:?}", dump.matching());
}

#[test]
fn an_experts_rows_are_placed_by_the_ids() {
    let config = config();
    let k = config.experts_per_token;
    let mut ids = vec![0.0; 3 * k];
    for (index, id) in ids.iter_mut().enumerate() {
        *id = (index % k) as f32;
    }
    // Expert 5 is chosen at positions 0 and 2.
    (ids[0], ids[2 * k + 1]) = (5.0, 5.0);
    let arrays = vec![
        counting("layer.0.activation.expert.5", &[2, config.intermediate_size], 0.0),
        counting("layer.0.activation.expert.1", &[3, config.intermediate_size], 0.0),
        ("layer.0.expert_ids".to_owned(), vec![3, k], ids),
    ];
    let dump = dump(&arrays, json!({"tokens": "[1, 2, 3]"}));
    assert_eq!(read(&dump, "layer.0.activation.expert.5").positions, [0, 2]);
    assert_eq!(dump.matching().unmatched.len(), 1, "expert 1 was chosen twice, and has three rows");
}

#[test]
fn a_table_names_what_is_not_known() {
    let config = config();
    let (k, size) = (config.experts_per_token, config.intermediate_size);
    let table: Table = serde_json::from_value(json!({
        "layer_from": 1,
        "tokens": [3, 4],
        "profile": "f32",
        "accumulate": "tf32",
        "array": [
            {"name": "b{layer}.gu", "value": "gate_up", "gate_up": "swapped"},
            {"name": "b{layer}.n", "value": "mlp_norm", "transposed": true}
        ]
    }))
    .unwrap();
    let arrays = vec![counting("b1.gu", &[2, k, 2 * size], 0.0), counting("b2.n", &[64, 2], 0.0)];
    let (_folder, path) = file("dump.safetensors", &safetensors(&arrays, json!({"profile": "bf16"})));
    let dump = Dump::open(&path, &config, Some(&table)).unwrap();
    assert_eq!(read(&dump, "layer.0.gate_up.rank.0").row(0)[..4], [size as f64, 0.0, size as f64 + 1.0, 1.0]);
    assert_eq!(read(&dump, "layer.1.mlp_norm").row(1)[..2], [1.0, 3.0]);
    assert_eq!(dump.declared().unwrap().profile.name(), "f32", "the table has the last word");
    assert!(dump.matching().matched.iter().all(|matched| matched.guesses.is_empty()));
}

#[test]
fn rows_of_several_passes_are_joined() {
    let arrays = vec![
        counting("p0-2/layer.0.mlp_norm", &[3, 64], 0.0),
        counting("p4/layer.0.mlp_norm", &[1, 64], 500.0),
        counting("p3/layer.0.mlp_norm", &[1, 64], 400.0),
        counting("p2/layer.0.mlp_norm", &[1, 64], 900.0),
        counting("p4294967295/layer.1.mlp_norm", &[2, 64], 0.0),
    ];
    let dump = dump(&arrays, json!({"tokens": "[1, 2, 3, 4, 5]"}));
    let values = read(&dump, "layer.0.mlp_norm");
    assert_eq!(values.positions, [0, 1, 2, 3, 4]);
    let firsts: Vec<f64> = (0..5).map(|row| values.row(row)[0]).collect();
    assert_eq!(firsts, [0.0, 64.0, 128.0, 400.0, 500.0]);
    let why: Vec<&str> = dump.matching().unmatched.iter().map(|unmatched| unmatched.why.as_str()).collect();
    assert!(why.len() == 2 && why[0].contains("another array"), "{why:?}");
}
