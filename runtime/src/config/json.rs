//! `config.json`, as Hugging Face and as OpenAI write it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{LayerType, ModelConfig, RopeConfig};
use crate::error::{Error, ErrorKind, Result};

/// Whole numbers of a configuration stay below this, so that their products fit 64 bits.
const MAX_SIZE: u64 = i32::MAX as u64;
/// More layers than any file has; each takes a byte before its tensors are looked for.
const MAX_LAYERS: usize = 1 << 16;

impl ModelConfig {
    /// Reads a `config.json` of Hugging Face's layout or of OpenAI's; which one it is, its field names tell.
    ///
    /// Hugging Face's may spell the rotary settings as `rope_scaling` and `rope_theta` or as `rope_parameters`.
    /// OpenAI's has fewer fields; the constants that its code holds stand for the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] with the field and the rule that it breaks.
    ///
    /// ```
    /// use gptoss_runtime::{LayerType, ModelConfig};
    ///
    /// let config = ModelConfig::from_json(
    ///     r#"{"num_hidden_layers": 2, "num_experts": 4, "experts_per_token": 2, "vocab_size": 256,
    ///         "hidden_size": 64, "intermediate_size": 64, "swiglu_limit": 7.0, "head_dim": 32,
    ///         "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 8,
    ///         "initial_context_length": 4096, "rope_theta": 150000, "rope_scaling_factor": 32.0,
    ///         "rope_ntk_alpha": 1.0, "rope_ntk_beta": 32.0}"#,
    /// )?;
    /// assert_eq!(config.layer_types, [LayerType::Sliding, LayerType::Full]);
    /// assert_eq!(config.rope.beta_fast, 32.0);
    /// # Ok::<(), gptoss_runtime::Error>(())
    /// ```
    pub fn from_json(json: &str) -> Result<Self> {
        let fields = Fields::parse(json)?;
        if fields.get("model_type").is_some_and(|found| found != "gpt_oss") {
            return Err(fields.broken("model_type", "must be \"gpt_oss\""));
        }
        let config = if fields.get("num_local_experts").is_none() && fields.get("num_experts").is_some() {
            openai(&fields)
        } else {
            hugging_face(&fields)
        }?;
        config.check()?;
        Ok(config)
    }

    /// The rules that tie fields to each other.
    fn check(&self) -> Result<()> {
        let broken = |rule: String| Err(Error::new(ErrorKind::Config, rule));
        if !self.head_dim.is_multiple_of(2) {
            return broken(format!("head_dim must be even, found {}", self.head_dim));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return broken(format!(
                "num_attention_heads must be a multiple of num_key_value_heads, found {} and {}",
                self.num_attention_heads, self.num_key_value_heads
            ));
        }
        if self.num_attention_heads as u64 * self.head_dim as u64 > MAX_SIZE {
            return broken(format!("num_attention_heads times head_dim must be at most {MAX_SIZE}"));
        }
        if self.experts_per_token > self.num_experts {
            return broken(format!(
                "a token cannot go to {} of {} experts",
                self.experts_per_token, self.num_experts
            ));
        }
        if self.rope.theta <= 1.0 {
            return broken(format!("rope_theta must be above 1, found {}", self.rope.theta));
        }
        if self.rope.beta_fast <= self.rope.beta_slow {
            return broken(format!(
                "the fast beta of the rotary settings must be above the slow one, found {} and {}",
                self.rope.beta_fast, self.rope.beta_slow
            ));
        }
        Ok(())
    }
}

/// A configuration with the fields of transformers' `GptOssConfig`.
fn hugging_face(fields: &Fields<'_>) -> Result<ModelConfig> {
    let num_layers = fields.size("num_hidden_layers")?;
    let max_position_embeddings = fields.size("max_position_embeddings")?;
    Ok(ModelConfig {
        vocab_size: fields.size("vocab_size")?,
        hidden_size: fields.size("hidden_size")?,
        intermediate_size: fields.size("intermediate_size")?,
        layer_types: layer_types(fields, num_layers)?,
        num_attention_heads: fields.size("num_attention_heads")?,
        num_key_value_heads: fields.size("num_key_value_heads")?,
        head_dim: fields.size("head_dim")?,
        num_experts: fields.size("num_local_experts")?,
        experts_per_token: experts_per_token(fields)?,
        sliding_window: fields.size("sliding_window")?,
        // The defaults are those of transformers.
        rms_norm_eps: fields.positive_or("rms_norm_eps", 1e-5)?,
        swiglu_limit: fields.positive_or("swiglu_limit", 7.0)?,
        rope: rope(fields, max_position_embeddings)?,
        max_position_embeddings,
        attention_bias: fields.flag_or("attention_bias", true)?,
        tie_word_embeddings: fields.flag_or("tie_word_embeddings", false)?,
        eos_token_ids: fields.token_ids("eos_token_id")?,
    })
}

/// A configuration with the fields of OpenAI's `ModelConfig`; what it lacks is constant in OpenAI's code.
fn openai(fields: &Fields<'_>) -> Result<ModelConfig> {
    let original_context = fields.size("initial_context_length")?;
    let factor = fields.positive("rope_scaling_factor")?;
    let stretched = original_context as f64 * factor.max(1.0);
    if stretched > MAX_SIZE as f64 {
        return Err(fields.broken("rope_scaling_factor", "stretches the context beyond all positions"));
    }
    Ok(ModelConfig {
        vocab_size: fields.size("vocab_size")?,
        hidden_size: fields.size("hidden_size")?,
        intermediate_size: fields.size("intermediate_size")?,
        layer_types: alternating(fields, fields.size("num_hidden_layers")?)?,
        num_attention_heads: fields.size("num_attention_heads")?,
        num_key_value_heads: fields.size("num_key_value_heads")?,
        head_dim: fields.size("head_dim")?,
        num_experts: fields.size("num_experts")?,
        experts_per_token: experts_per_token(fields)?,
        sliding_window: fields.size("sliding_window")?,
        rms_norm_eps: fields.positive_or("rms_norm_eps", 1e-5)?,
        swiglu_limit: fields.positive_or("swiglu_limit", 7.0)?,
        rope: RopeConfig {
            theta: fields.positive("rope_theta")?,
            factor,
            beta_fast: fields.positive("rope_ntk_beta")?,
            beta_slow: fields.positive("rope_ntk_alpha")?,
            original_context,
            truncate: false,
        },
        max_position_embeddings: stretched as usize,
        attention_bias: true,
        tie_word_embeddings: false,
        eos_token_ids: Vec::new(),
    })
}

/// `layer_types`, or where it is missing the rule that even layers slide.
fn layer_types(fields: &Fields<'_>, num_layers: usize) -> Result<Vec<LayerType>> {
    let Some(declared) = fields.get("layer_types") else { return alternating(fields, num_layers) };
    let Some(declared) = declared.as_array() else {
        return Err(fields.broken("layer_types", "must be a list"));
    };
    if declared.len() != num_layers {
        let found = declared.len();
        let rule = format!("must have num_hidden_layers = {num_layers} elements, found {found}");
        return Err(fields.broken("layer_types", rule));
    }
    let layer_type = |(index, found): (usize, &Value)| match found.as_str() {
        Some("sliding_attention") => Ok(LayerType::Sliding),
        Some("full_attention") => Ok(LayerType::Full),
        _ => Err(fields.broken(
            "layer_types",
            format!("must hold sliding_attention or full_attention, found {} at {index}", short(found)),
        )),
    };
    declared.iter().enumerate().map(layer_type).collect()
}

fn alternating(fields: &Fields<'_>, num_layers: usize) -> Result<Vec<LayerType>> {
    if num_layers > MAX_LAYERS {
        let rule = format!("must be at most {MAX_LAYERS}, found {num_layers}");
        return Err(fields.broken("num_hidden_layers", rule));
    }
    let layer_type =
        |layer: usize| if layer.is_multiple_of(2) { LayerType::Sliding } else { LayerType::Full };
    Ok((0..num_layers).map(layer_type).collect())
}

/// The two names of top-k; where both stand they agree.
fn experts_per_token(fields: &Fields<'_>) -> Result<usize> {
    let (first, second) = ("num_experts_per_tok", "experts_per_token");
    if fields.get(first).is_none() {
        return fields.size(second);
    }
    let chosen = fields.size(first)?;
    if fields.get(second).is_some() && fields.size(second)? != chosen {
        return Err(fields.broken(second, format!("must be equal to {first}")));
    }
    Ok(chosen)
}

/// The rotary settings in either spelling; where both stand they agree.
fn rope(fields: &Fields<'_>, max_positions: usize) -> Result<RopeConfig> {
    let spelled = |key| -> Result<Option<RopeConfig>> {
        fields.object(key)?.map(|settings| rope_settings(fields, &settings, max_positions)).transpose()
    };
    match (spelled("rope_parameters")?, spelled("rope_scaling")?) {
        (Some(parameters), Some(scaling)) if parameters != scaling => {
            Err(fields.broken("rope_scaling", "must say the same as rope_parameters"))
        }
        (Some(rope), _) | (None, Some(rope)) => Ok(rope),
        (None, None) => Ok(plain_rope(fields.positive("rope_theta")?, max_positions)),
    }
}

/// RoPE without stretching.
fn plain_rope(theta: f64, max_positions: usize) -> RopeConfig {
    RopeConfig {
        theta,
        factor: 1.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_context: max_positions,
        truncate: true,
    }
}

fn rope_settings(outer: &Fields<'_>, settings: &Fields<'_>, max_positions: usize) -> Result<RopeConfig> {
    let theta = match (settings.get("rope_theta"), outer.get("rope_theta")) {
        (Some(_), Some(_)) if settings.positive("rope_theta")? != outer.positive("rope_theta")? => {
            return Err(settings.broken("rope_theta", "must be equal to the rope_theta outside"));
        }
        (Some(_), _) => settings.positive("rope_theta")?,
        (None, _) => outer.positive("rope_theta")?,
    };
    let kind = settings.get("rope_type").or(settings.get("type"));
    match kind.map(Value::as_str) {
        Some(Some("yarn")) => {}
        Some(Some("default")) => return Ok(plain_rope(theta, max_positions)),
        _ => return Err(settings.broken("rope_type", "must be \"yarn\" or \"default\"")),
    }
    // They would change the factor of cosine and sine, for which gpt-oss has one formula.
    for unknown in ["attention_factor", "mscale", "mscale_all_dim"] {
        if settings.get(unknown).is_some() {
            return Err(settings.broken(unknown, "is not a part of gpt-oss"));
        }
    }
    let original_context = match settings.get("original_max_position_embeddings") {
        Some(_) => settings.size("original_max_position_embeddings")?,
        None if outer.get("initial_context_length").is_some() => outer.size("initial_context_length")?,
        None => max_positions,
    };
    Ok(RopeConfig {
        theta,
        factor: settings.positive_or("factor", max_positions as f64 / original_context as f64)?,
        beta_fast: settings.positive_or("beta_fast", 32.0)?,
        beta_slow: settings.positive_or("beta_slow", 1.0)?,
        original_context,
        truncate: settings.flag_or("truncate", true)?,
    })
}

/// The tokens that end a generation, from a `generation_config.json`; none where it names none.
pub(crate) fn generation_eos(json: &str) -> Result<Vec<u32>> {
    Fields::parse(json)?.token_ids("eos_token_id")
}

/// The fields of an object, each read with its rule; a null counts as absent.
struct Fields<'a> {
    /// The field that holds this object; empty for the outermost.
    prefix: &'a str,
    values: Cow<'a, Map<String, Value>>,
}

impl Fields<'_> {
    fn parse(json: &str) -> Result<Self> {
        let invalid = |rule: &str| Error::new(ErrorKind::Config, rule);
        match serde_json::from_str(json).map_err(|error| invalid("is not JSON").caused_by(error))? {
            Value::Object(values) => Ok(Self { prefix: "", values: Cow::Owned(values) }),
            _ => Err(invalid("a configuration must be a JSON object")),
        }
    }

    fn broken(&self, key: &str, rule: impl AsRef<str>) -> Error {
        let (prefix, rule) = (self.prefix, rule.as_ref());
        let dot = if prefix.is_empty() { "" } else { "." };
        Error::new(ErrorKind::Config, format!("{prefix}{dot}{key} {rule}"))
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    fn required(&self, key: &str) -> Result<&Value> {
        self.get(key).ok_or_else(|| self.broken(key, "is missing"))
    }

    fn size(&self, key: &str) -> Result<usize> {
        let found = self.required(key)?;
        match found.as_u64() {
            Some(size @ 1..=MAX_SIZE) => Ok(size as usize),
            _ => {
                let rule = format!("must be a whole number from 1 to {MAX_SIZE}, found {}", short(found));
                Err(self.broken(key, rule))
            }
        }
    }

    fn positive(&self, key: &str) -> Result<f64> {
        let found = self.required(key)?;
        // Beyond f32 a number would become infinite or zero in the model's own arithmetic.
        let in_range = f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX);
        match found.as_f64() {
            Some(number) if in_range.contains(&number) => Ok(number),
            _ => Err(self.broken(key, format!("must be a positive f32 number, found {}", short(found)))),
        }
    }

    fn positive_or(&self, key: &str, default: f64) -> Result<f64> {
        if self.get(key).is_some() { self.positive(key) } else { Ok(default) }
    }

    fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(&Value::Bool(flag)) => Ok(flag),
            Some(found) => Err(self.broken(key, format!("must be true or false, found {}", short(found)))),
        }
    }

    fn object<'k>(&'k self, key: &'k str) -> Result<Option<Fields<'k>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Fields { prefix: key, values: Cow::Borrowed(values) })),
            Some(found) => Err(self.broken(key, format!("must be an object, found {}", short(found)))),
        }
    }

    /// A token id or a list of them; none where the field is absent.
    fn token_ids(&self, key: &str) -> Result<Vec<u32>> {
        let one = |found: &Value| {
            found.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                self.broken(key, format!("must be a token id or a list of them, found {}", short(found)))
            })
        };
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(one).collect(),
            Some(id) => Ok(vec![one(id)?]),
        }
    }
}

/// A value as JSON, cut where a message would grow long.
fn short(value: &Value) -> String {
    const MOST: usize = 40;
    let text = match value {
        Value::Array(_) => return "a list".to_owned(),
        Value::Object(_) => return "an object".to_owned(),
        value => value.to_string(),
    };
    if text.chars().count() <= MOST {
        return text;
    }
    text.chars().take(MOST).chain("...".chars()).collect()
}
