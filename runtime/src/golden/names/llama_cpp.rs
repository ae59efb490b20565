//! Names that llama.cpp gives to the nodes of its graph of gpt-oss: `Qcur-3`, with `@ROPE` behind it where the
//! operation was written down, or `#2` where the name was met before.

use super::{Holds, Known, Scheme};
use crate::tap::TapPoint;

pub(super) fn known(name: &str) -> Option<Known> {
    let (name, op) = name.split_once('@').map_or((name, None), |(name, op)| (name, Some(op)));
    let (name, count) = name.split_once('#').unwrap_or((name, "0"));
    let count: u32 = count.parse().ok()?;
    let known = |layer, holds| Some(Known::new(Scheme::LlamaCpp, layer, holds));
    let point = |layer, point| known(layer, Holds::Point(point));
    match name {
        "inp_embd" | "embd" => return point(None, TapPoint::Embedding),
        "result_norm" => return point(None, TapPoint::FinalNorm),
        "result_output" => return point(None, TapPoint::Logits),
        "inp_tokens" => return known(None, Holds::Tokens),
        "inp_pos" => return known(None, Holds::Positions),
        _ => {}
    }
    let (what, layer) = name.rsplit_once('-')?;
    let layer = Some(layer.parse().ok()?);
    use TapPoint::{
        Activation, AttentionNorm, AttentionOutput, AttentionResidual, Context, Down, ExpertIds,
        ExpertWeights, Key, KeyRotated, LayerOutput, MlpNorm, MlpOutput, Query, QueryRotated, RouterLogits,
        Value,
    };
    // One name stands for the product, the sum with the bias and the rotated vector.
    let reused = |plain: TapPoint, rotated: Option<TapPoint>| match (op, rotated) {
        (Some("ROPE"), Some(rotated)) => point(layer, rotated).map(|known| known.rank(3)),
        (Some("ADD"), _) => point(layer, plain).map(|known| known.rank(3)),
        (Some("MUL_MAT"), _) => known(layer, Holds::Nothing("before the bias is added")),
        (Some(_), _) => known(layer, Holds::Nothing("a view of another array")),
        (None, Some(rotated)) if count != 1 => point(layer, rotated)
            .map(|known| known.rank(count + 1).guess("the last of this name is taken as rotated")),
        (None, _) => point(layer, plain).map(|known| {
            known.rank(count + 1).guess("the second of this name is taken as the sum with the bias")
        }),
    };
    match what {
        "attn_norm" => point(layer, AttentionNorm),
        "Qcur" => reused(Query, Some(QueryRotated)),
        "Kcur" => reused(Key, Some(KeyRotated)),
        "Vcur" => reused(Value, None),
        "kqv_out" => point(layer, Context),
        "attn_out" => point(layer, AttentionOutput),
        "ffn_inp" => point(layer, AttentionResidual),
        "attn_post_norm" => point(layer, MlpNorm),
        "ffn_moe_logits_biased" | "ffn_moe_probs" => {
            point(layer, RouterLogits).map(|known| known.rank(if what == "ffn_moe_probs" { 1 } else { 2 }))
        }
        "ffn_moe_topk" => point(layer, ExpertIds),
        "ffn_moe_weights_softmax" => point(layer, ExpertWeights),
        "ffn_moe_gate_biased" => known(layer, Holds::Gate),
        "ffn_moe_up_biased" => known(layer, Holds::Up),
        "ffn_moe_swiglu_oai" | "ffn_moe_swiglu" => point(layer, Activation),
        "ffn_moe_down_biased" => point(layer, Down),
        "ffn_moe_out" => point(layer, MlpOutput),
        "l_out" => point(layer, LayerOutput),
        "ffn_moe_logits" | "ffn_moe_gate" | "ffn_moe_up" | "ffn_moe_down" => {
            known(layer, Holds::Nothing("before the bias is added"))
        }
        "ffn_moe_argsort" | "ffn_moe_weights" | "ffn_moe_weighted" => {
            known(layer, Holds::Nothing("a step within a value that is judged whole"))
        }
        _ => None,
    }
}
