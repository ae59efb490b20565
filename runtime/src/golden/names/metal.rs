//! Activation buffers of OpenAI's code for Metal (`gpt_oss/metal/source/context.c`), with `block.N.` before them.
//!
//! A buffer is used more than once a layer, so `attn.` or `mlp.` tells when it was read.

use super::{Holds, Known, Scheme, layer_and_rest};
use crate::tap::TapPoint;

pub(super) fn known(name: &str) -> Option<Known> {
    let name = name.strip_suffix("_buffer").unwrap_or(name);
    let known = |layer, holds| Some(Known::new(Scheme::Metal, layer, holds));
    let point = |layer, point| known(layer, Holds::Point(point));
    match name {
        "score" => return point(None, TapPoint::Logits),
        "token" => return known(None, Holds::Tokens),
        _ => {}
    }
    let (layer, rest) = layer_and_rest(name, "block")?;
    let layer = Some(layer);
    use TapPoint::{
        Activation, AttentionNorm, AttentionResidual, Context, Down, ExpertIds, ExpertWeights, LayerOutput,
        MlpNorm, RouterLogits,
    };
    match rest {
        "attn.rmsnorm_activation" => point(layer, AttentionNorm),
        "qkv_activation" => known(layer, Holds::QueryKeyValue { is_rotated: true })
            .map(|known| known.guess("queries and keys are taken as rotated")),
        "attn.qkv_activation" => known(layer, Holds::QueryKeyValue { is_rotated: false }),
        "sdpa_activation" => point(layer, Context),
        "attn.residual_activation" => point(layer, AttentionResidual),
        "mlp.rmsnorm_activation" => point(layer, MlpNorm),
        "gate_activation" => point(layer, RouterLogits),
        "expert_activation.id" => point(layer, ExpertIds),
        "expert_activation.score" => point(layer, ExpertWeights),
        "expert_activation" => {
            known(layer, Holds::Nothing("pairs of id and score: write them as two arrays"))
        }
        "swiglu_activation" => point(layer, Activation),
        "moe_activation" => point(layer, Down),
        "residual_activation" | "mlp.residual_activation" => point(layer, LayerOutput),
        _ => None,
    }
}
