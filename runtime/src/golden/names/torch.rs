//! Modules and functions of OpenAI's code for PyTorch (`gpt_oss/torch/model.py`).

use super::{Holds, Known, Scheme, layer_and_rest};
use crate::tap::TapPoint;

pub(super) fn known(name: &str) -> Option<Known> {
    let known = |layer, holds| Some(Known::new(Scheme::Torch, layer, holds));
    let point = |layer, point| known(layer, Holds::Point(point));
    match name {
        // `embedding` and `norm` are modules of the model itself.
        "norm" => return point(None, TapPoint::FinalNorm),
        "unembedding" => return point(None, TapPoint::Logits),
        _ => {}
    }
    let (layer, rest) = layer_and_rest(name, "block")?;
    let layer = Some(layer);
    use TapPoint::{
        Activation, AttentionNorm, AttentionOutput, AttentionResidual, Context, Down, ExpertIds,
        ExpertWeights, GateUp, KeyRotated, LayerOutput, MlpNorm, MlpOutput, QueryRotated, RouterLogits,
    };
    match rest {
        "" => point(layer, LayerOutput),
        "attn.norm" => point(layer, AttentionNorm),
        "attn.qkv" => known(layer, Holds::QueryKeyValue { is_rotated: false }),
        "attn.rope.query" | "attn.rope.0" | "attn.rope[0]" => point(layer, QueryRotated),
        "attn.rope.key" | "attn.rope.1" | "attn.rope[1]" => point(layer, KeyRotated),
        "attn.sdpa" => point(layer, Context),
        "attn.out" => point(layer, AttentionOutput),
        "attn" => point(layer, AttentionResidual),
        "mlp.norm" => point(layer, MlpNorm),
        "mlp.gate" => point(layer, RouterLogits),
        "mlp.expert_indices" => point(layer, ExpertIds),
        "mlp.expert_weights" => point(layer, ExpertWeights),
        "mlp.mlp1" | "mlp.swiglu.input" => point(layer, GateUp),
        "mlp.swiglu" => point(layer, Activation),
        "mlp.mlp2" => point(layer, Down),
        "mlp.sum" => point(layer, MlpOutput),
        "mlp" => point(layer, LayerOutput),
        _ => None,
    }
}
