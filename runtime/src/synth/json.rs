//! The JSON files of a checkpoint, to the byte as the release has them.

use serde_json::{Value, json};

use super::ExpertFormat;
use super::tensors::Tensor;
use crate::config::{LayerType, ModelConfig};

/// Beginning of sequence and padding, where the vocabulary has them.
const BOS: u32 = 199_998;
const PAD: u32 = 199_999;
/// The version that saved the release.
const VERSION: &str = "4.55.0.dev0";

/// The length and the header of a safetensors file that holds `tensors` in this order, padded to 8 bytes.
pub(super) fn header(tensors: &[Tensor]) -> Vec<u8> {
    let mut start = 0;
    let entries: Vec<String> = tensors
        .iter()
        .map(|tensor| {
            let end = start + tensor.len();
            let shape = tensor.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let entry = format!(
                "\"{}\":{{\"dtype\":\"{}\",\"shape\":[{shape}],\"data_offsets\":[{start},{end}]}}",
                tensor.name,
                tensor.dtype.name()
            );
            start = end;
            entry
        })
        .collect();
    let mut text = format!("{{{}}}", entries.join(","));
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// `model.safetensors.index.json`.
pub(super) fn index<'a>(total: u64, files: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    format!("{{\"metadata\": {{\"total_size\": {total}}}, \"weight_map\": {{{}}}}}", pairs(files))
}

/// The inside of an object of strings, on one line; no string needs escaping.
pub(super) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    pairs.map(|(key, value)| format!("\"{key}\": \"{value}\"")).collect::<Vec<_>>().join(", ")
}

/// Hugging Face's `config.json`.
pub(super) fn hugging_face(config: &ModelConfig, experts: ExpertFormat) -> String {
    let layer_types = config.layer_types.iter().map(|layer_type| match layer_type {
        LayerType::Sliding => "sliding_attention",
        LayerType::Full => "full_attention",
    });
    let rope = &config.rope;
    let mut fields = vec![
        ("architectures", json!(["GptOssForCausalLM"])),
        ("attention_bias", json!(config.attention_bias)),
        ("attention_dropout", json!(0.0)),
        ("experts_per_token", json!(config.experts_per_token)),
        ("head_dim", json!(config.head_dim)),
        ("hidden_act", json!("silu")),
        ("hidden_size", json!(config.hidden_size)),
        ("initial_context_length", json!(rope.original_context)),
        ("initializer_range", json!(0.02)),
        ("intermediate_size", json!(config.intermediate_size)),
        ("layer_types", layer_types.collect()),
        ("max_position_embeddings", json!(config.max_position_embeddings)),
        ("model_type", json!("gpt_oss")),
        ("num_attention_heads", json!(config.num_attention_heads)),
        ("num_experts_per_tok", json!(config.experts_per_token)),
        ("num_hidden_layers", json!(config.num_layers())),
        ("num_key_value_heads", json!(config.num_key_value_heads)),
        ("num_local_experts", json!(config.num_experts)),
        ("output_router_logits", json!(false)),
        ("rms_norm_eps", json!(config.rms_norm_eps)),
        (
            "rope_scaling",
            json!({
                "beta_fast": rope.beta_fast,
                "beta_slow": rope.beta_slow,
                "factor": rope.factor,
                "original_max_position_embeddings": rope.original_context,
                "rope_type": "yarn",
                "truncate": rope.truncate,
            }),
        ),
        ("rope_theta", whole(rope.theta)),
        ("router_aux_loss_coef", json!(0.9)),
        ("sliding_window", json!(config.sliding_window)),
        ("swiglu_limit", json!(config.swiglu_limit)),
        ("tie_word_embeddings", json!(config.tie_word_embeddings)),
        ("transformers_version", json!(VERSION)),
        ("use_cache", json!(true)),
        ("vocab_size", json!(config.vocab_size)),
    ];
    if let Some(eos) = config.eos_token_ids.first() {
        fields.push(("eos_token_id", json!(eos)));
    }
    if config.vocab_size > PAD as usize {
        fields.push(("pad_token_id", json!(PAD)));
    }
    if experts == ExpertFormat::Mxfp4 {
        let modules =
            ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"];
        let settings = json!({"modules_to_not_convert": modules, "quant_method": "mxfp4"});
        fields.push(("quantization_config", settings));
    }
    fields.sort_by_key(|(key, _)| *key);
    document(fields)
}

/// Hugging Face's `generation_config.json`.
pub(super) fn generation_config(config: &ModelConfig) -> String {
    let mut fields = Vec::new();
    let has_specials = config.vocab_size > PAD as usize;
    if has_specials {
        fields.push(("bos_token_id", json!(BOS)));
    }
    fields.push(("do_sample", json!(true)));
    if !config.eos_token_ids.is_empty() {
        fields.push(("eos_token_id", json!(config.eos_token_ids)));
    }
    if has_specials {
        fields.push(("pad_token_id", json!(PAD)));
    }
    fields.push(("transformers_version", json!(VERSION)));
    document(fields)
}

/// OpenAI's `config.json`, on one line.
pub(super) fn openai(config: &ModelConfig) -> String {
    let fields = [
        ("num_hidden_layers", json!(config.num_layers())),
        ("num_experts", json!(config.num_experts)),
        ("experts_per_token", json!(config.experts_per_token)),
        ("vocab_size", json!(config.vocab_size)),
        ("hidden_size", json!(config.hidden_size)),
        ("intermediate_size", json!(config.intermediate_size)),
        ("swiglu_limit", json!(config.swiglu_limit)),
        ("head_dim", json!(config.head_dim)),
        ("num_attention_heads", json!(config.num_attention_heads)),
        ("num_key_value_heads", json!(config.num_key_value_heads)),
        ("sliding_window", json!(config.sliding_window)),
        ("initial_context_length", json!(config.rope.original_context)),
        ("rope_theta", whole(config.rope.theta)),
        ("rope_scaling_factor", whole(config.rope.factor)),
        ("rope_ntk_alpha", whole(config.rope.beta_slow)),
        ("rope_ntk_beta", whole(config.rope.beta_fast)),
    ];
    let fields: Vec<String> =
        fields.iter().map(|(key, value)| format!("\"{key}\": {}", inline(value))).collect();
    format!("{{{}}}", fields.join(", "))
}

/// A number without fraction as an integer.
fn whole(number: f64) -> Value {
    // Up to here each whole number is itself.
    if number.fract() == 0.0 && number.abs() < 9.0e15 { json!(number as i64) } else { json!(number) }
}

/// An object with an indent of two spaces and a line feed at its end, as Python's `json` writes it.
fn document(fields: Vec<(&str, Value)>) -> String {
    let object = Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    let mut text = String::new();
    write(&object, 0, &mut text);
    text.push('\n');
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    let indent = |depth: usize| format!("\n{}", "  ".repeat(depth));
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                text.push(if index == 0 { '[' } else { ',' });
                text.push_str(&indent(depth + 1));
                write(item, depth + 1, text);
            }
            text.push_str(&indent(depth));
            text.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                text.push(if index == 0 { '{' } else { ',' });
                text.push_str(&indent(depth + 1));
                text.push_str(&format!("\"{key}\": "));
                write(value, depth + 1, text);
            }
            text.push_str(&indent(depth));
            text.push('}');
        }
        leaf => text.push_str(&inline(leaf)),
    }
}

/// A leaf; fractions as Python writes them, with two digits in the exponent.
fn inline(value: &Value) -> String {
    let Some(number) = value.as_f64().filter(|_| value.is_f64()) else { return value.to_string() };
    let text = format!("{number:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}
