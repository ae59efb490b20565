//! Module paths of transformers' `GptOssForCausalLM`, as forward hooks give them.

use super::{Holds, Known, Scheme, layer_and_rest};
use crate::golden::site::Part;
use crate::tap::TapPoint;

pub(super) fn known(name: &str) -> Option<Known> {
    // Wrappers put their own words before the path.
    let starts = ["model.layers.", "model.embed_tokens", "model.norm", "lm_head"];
    let at = starts.iter().filter_map(|start| find_word(name, start)).min()?;
    let name = &name[at..];
    // Hooks that number the elements of a tuple write `.0` or `[0]`; recorders write `.output`.
    let mut name = name;
    for ending in [".output", ".0", "[0]"] {
        if let Some(rest) = name.strip_suffix(ending)
            && layer_and_rest(rest, "model.layers").is_some_and(|(_, rest)| !rest.is_empty())
            && !name.contains(".expert.")
        {
            name = rest;
        }
    }
    let known = |layer, holds| Some(Known::new(Scheme::HuggingFace, layer, holds));
    let point = |layer, point| known(layer, Holds::Point(point));
    match name {
        "model.embed_tokens" => return point(None, TapPoint::Embedding),
        "model.norm" => return point(None, TapPoint::FinalNorm),
        "lm_head" => return point(None, TapPoint::Logits),
        _ => {}
    }
    let (layer, rest) = layer_and_rest(name, "model.layers")?;
    let layer = Some(layer);
    if let Some((kind, expert)) =
        rest.strip_prefix("mlp.experts.").and_then(|rest| rest.split_once(".expert."))
    {
        let expert = expert.parse().ok()?;
        let holds = experts(kind)?;
        return known(layer, holds).map(|known| Known { part: Some(Part::Expert(expert)), ..known });
    }
    use TapPoint::{
        AttentionNorm, AttentionOutput, AttentionResidual, Context, ExpertIds, Key, KeyRotated, LayerOutput,
        MlpNorm, MlpOutput, Probabilities, Query, QueryRotated, RouterLogits, Scores, Value,
    };
    match rest {
        "" => point(layer, LayerOutput),
        "input_layernorm" => point(layer, AttentionNorm),
        "self_attn.q_proj" => point(layer, Query),
        "self_attn.k_proj" => point(layer, Key),
        "self_attn.v_proj" => point(layer, Value),
        "self_attn.q_rope" => point(layer, QueryRotated),
        "self_attn.k_rope" => point(layer, KeyRotated),
        "self_attn.scores" => point(layer, Scores),
        "self_attn.attn_weights" | "self_attn.probabilities" | "self_attn.1" | "self_attn[1]" => {
            point(layer, Probabilities)
        }
        "self_attn.context" | "self_attn.attn_output" | "self_attn.o_proj.input" => point(layer, Context),
        "self_attn.o_proj" => point(layer, AttentionOutput).map(|known| known.rank(2)),
        "self_attn" => point(layer, AttentionOutput),
        "post_attention_layernorm.input" => point(layer, AttentionResidual),
        "post_attention_layernorm" => point(layer, MlpNorm),
        "mlp.router.logits" => point(layer, RouterLogits).map(|known| known.rank(2)),
        "mlp.router" => known(layer, Holds::Router),
        "mlp.router.scores" | "mlp.router.weights" => {
            known(layer, Holds::RouterScores).map(|known| known.rank(2))
        }
        "mlp.router.indices" => point(layer, ExpertIds).map(|known| known.rank(2)),
        "mlp.experts" => point(layer, MlpOutput).map(|known| known.rank(2)),
        "mlp" => point(layer, MlpOutput),
        _ => known(layer, experts(rest.strip_prefix("mlp.experts.")?)?),
    }
}

fn experts(kind: &str) -> Option<Holds> {
    Some(match kind {
        "gate_up" | "gate_up_proj" => Holds::Point(TapPoint::GateUp),
        "act" | "activation" => Holds::Point(TapPoint::Activation),
        "down" | "down_proj" => Holds::Point(TapPoint::Down),
        _ => return None,
    })
}

/// Where a path starts: at the start, or behind a dot.
fn find_word(name: &str, start: &str) -> Option<usize> {
    if name.starts_with(start) {
        return Some(0);
    }
    name.find(&format!(".{start}")).map(|at| at + 1)
}
