use super::*;

fn holds(name: &str) -> (Option<u32>, Holds) {
    let known = known(name).unwrap_or_else(|| panic!("{name} is not known"));
    (known.layer, known.holds)
}

fn point(name: &str) -> (Option<u32>, TapPoint) {
    match holds(name) {
        (layer, Holds::Point(point)) => (layer, point),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn paths_of_transformers_are_known() {
    use TapPoint as P;
    for (name, expected) in [
        ("model.embed_tokens", (None, P::Embedding)),
        ("model.layers.0.input_layernorm", (Some(0), P::AttentionNorm)),
        ("base_model.model.model.layers.23.self_attn.q_proj", (Some(23), P::Query)),
        ("model.layers.3.self_attn.0", (Some(3), P::AttentionOutput)),
        ("model.layers.3.self_attn[1]", (Some(3), P::Probabilities)),
        ("model.layers.3.self_attn.o_proj.output", (Some(3), P::AttentionOutput)),
        ("model.layers.3.mlp.0", (Some(3), P::MlpOutput)),
        ("model.layers.3", (Some(3), P::LayerOutput)),
        ("model.norm", (None, P::FinalNorm)),
        ("lm_head", (None, P::Logits)),
    ] {
        assert_eq!(point(name), expected, "{name}");
    }
    assert_eq!(holds("model.layers.3.mlp.router"), (Some(3), Holds::Router));
    let expert = known("model.layers.3.mlp.experts.gate_up.expert.0").unwrap();
    assert_eq!((expert.part, expert.holds), (Some(Part::Expert(0)), Holds::Point(P::GateUp)));
}

#[test]
fn names_of_the_official_code_are_known() {
    assert_eq!(point("block.7.attn"), (Some(7), TapPoint::AttentionResidual));
    assert_eq!(point("block.7.mlp.swiglu"), (Some(7), TapPoint::Activation));
    assert_eq!(point("unembedding"), (None, TapPoint::Logits));
    assert_eq!(holds("block.7.attn.qkv"), (Some(7), Holds::QueryKeyValue { is_rotated: false }));
    assert_eq!(holds("block.7.qkv_activation_buffer"), (Some(7), Holds::QueryKeyValue { is_rotated: true }));
    assert_eq!(point("score_buffer"), (None, TapPoint::Logits));
}

#[test]
fn a_reused_name_of_llama_cpp_is_told_apart() {
    assert_eq!(point("Qcur-3@ROPE"), (Some(3), TapPoint::QueryRotated));
    assert_eq!(point("Qcur-3@ADD"), (Some(3), TapPoint::Query));
    assert!(matches!(holds("Qcur-3@MUL_MAT").1, Holds::Nothing(_)));
    assert_eq!(point("Qcur-3#1"), (Some(3), TapPoint::Query));
    assert_eq!(point("Qcur-3#2"), (Some(3), TapPoint::QueryRotated));
    assert_eq!(point("Vcur-3@ADD"), (Some(3), TapPoint::Value));
    assert!(known("Qcur-3").unwrap().guess.is_some());
    assert_eq!(holds("ffn_moe_gate_biased-0"), (Some(0), Holds::Gate));
    assert_eq!(point("result_output"), (None, TapPoint::Logits));
}

#[test]
fn names_of_no_scheme_are_not_known() {
    for name in [
        "",
        "model",
        "model.layers.x.mlp",
        "model.layers.3.mlp.nothing",
        "block.1.attn.what",
        "Q-1",
        "Qcur-x",
    ] {
        assert_eq!(known(name), None, "{name}");
    }
}

#[test]
fn a_table_counts_layers_as_it_says() {
    let table: Table = serde_json::from_str(
        r#"{"layer_from": 1, "array": [
            {"name": "b{layer}.e{expert}.act", "value": "activation"},
            {"name": "b{layer}.q", "value": "query", "rotary": "interleaved"},
            {"name": "all", "value": "query"}
        ]}"#,
    )
    .unwrap();
    table.check().unwrap();
    let (known, entry) = table.known("b12.q").unwrap();
    assert_eq!((known.layer, entry.rotary), (Some(11), Rotary::Interleaved));
    assert_eq!(table.known("b2.e31.act").unwrap().0.part, Some(Part::Expert(31)));
    for name in ["b0.q", "b.q", "b1.q2", "xb1.q", "all"] {
        assert!(table.known(name).is_none(), "{name}");
    }
}

#[test]
fn a_wrong_table_is_an_error() {
    for (name, value) in
        [("a", "querry"), ("{layer}{layer}", "query"), ("{what}", "query"), ("{layer", "query")]
    {
        let text = format!(r#"{{"array": [{{"name": "{name}", "value": "{value}"}}]}}"#);
        let table: Table = serde_json::from_str(&text).unwrap();
        assert_eq!(table.check().unwrap_err().kind(), crate::ErrorKind::Dump, "{name} {value}");
    }
    assert!(serde_json::from_str::<Table>(r#"{"arrays": []}"#).is_err());
}
