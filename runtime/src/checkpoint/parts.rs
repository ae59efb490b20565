//! The weights that a model consists of, by names that are the same in both layouts, and where they are.

use std::collections::HashMap;
use std::ops::Range;

use super::safetensors::Dtype;
use super::{CheckpointFile, Layout, Tensor};
use crate::config::ModelConfig;
use crate::dtype::mxfp4;
use crate::error::{Error, ErrorKind, Result};

/// One weight of the model: a tensor of a file, or some rows of one.
#[derive(Clone, Debug)]
pub struct Part {
    /// The name in Hugging Face's layout, whatever the layout of the files is.
    pub name: String,
    /// The tensor that holds it: an index into [`tensors`](super::Checkpoint::tensors).
    pub tensor: usize,
    /// The shape that the model gives it: matrices are `[out, in]`, those of experts `[experts, out, in]`, blocks and
    /// scales of MXFP4 `[experts, out, in / 32, 16]` and `[experts, out, in / 32]`.
    pub shape: Vec<usize>,
    /// Whether the last two axes are stored the other way round: experts in bf16 in Hugging Face's layout are
    /// `[experts, in, out]`.
    pub transposed: bool,
    /// Its bytes, from the start of the file.
    pub range: Range<usize>,
}

/// What follows `model.layers.N.` and `block.N.`; query, key and value share a tensor in OpenAI's layout.
const IN_LAYER: [(&str, &str); 21] = [
    ("input_layernorm.weight", "attn.norm.scale"),
    ("self_attn.q_proj.weight", "attn.qkv.weight"),
    ("self_attn.q_proj.bias", "attn.qkv.bias"),
    ("self_attn.k_proj.weight", "attn.qkv.weight"),
    ("self_attn.k_proj.bias", "attn.qkv.bias"),
    ("self_attn.v_proj.weight", "attn.qkv.weight"),
    ("self_attn.v_proj.bias", "attn.qkv.bias"),
    ("self_attn.sinks", "attn.sinks"),
    ("self_attn.o_proj.weight", "attn.out.weight"),
    ("self_attn.o_proj.bias", "attn.out.bias"),
    ("post_attention_layernorm.weight", "mlp.norm.scale"),
    ("mlp.router.weight", "mlp.gate.weight"),
    ("mlp.router.bias", "mlp.gate.bias"),
    ("mlp.experts.gate_up_proj", "mlp.mlp1_weight"),
    ("mlp.experts.gate_up_proj_blocks", "mlp.mlp1_weight.blocks"),
    ("mlp.experts.gate_up_proj_scales", "mlp.mlp1_weight.scales"),
    ("mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias"),
    ("mlp.experts.down_proj", "mlp.mlp2_weight"),
    ("mlp.experts.down_proj_blocks", "mlp.mlp2_weight.blocks"),
    ("mlp.experts.down_proj_scales", "mlp.mlp2_weight.scales"),
    ("mlp.experts.down_proj_bias", "mlp.mlp2_bias"),
];

/// The names outside of layers.
const OUTSIDE: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "embedding.weight"),
    ("model.norm.weight", "norm.scale"),
    ("lm_head.weight", "unembedding.weight"),
];

/// Which layout the names of tensors follow.
pub(super) fn layout<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<Layout> {
    names.find_map(|name| match name {
        _ if name.starts_with("model.layers.") => Some(Layout::HuggingFace),
        _ if name.starts_with("block.") => Some(Layout::OpenAi),
        _ => OUTSIDE.iter().find_map(|&(hugging_face, openai)| match name {
            _ if name == hugging_face => Some(Layout::HuggingFace),
            _ if name == openai => Some(Layout::OpenAi),
            _ => None,
        }),
    })
}

/// All weights that `config` asks for, the layers' in order, each with its shape and dtype checked.
pub(super) fn find(
    config: &ModelConfig,
    layout: Layout,
    files: &[CheckpointFile],
    tensors: &[Tensor],
) -> Result<Vec<Part>> {
    let by_name = tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
    let mut finder = Finder { layout, files, tensors, by_name, parts: Vec::new() };
    let (vocab, hidden) = (config.vocab_size, config.hidden_size);
    finder.bf16("model.embed_tokens.weight", &[vocab, hidden])?;
    for layer in 0..config.num_layers() {
        finder.layer(config, layer)?;
    }
    finder.bf16("model.norm.weight", &[hidden])?;
    if !config.tie_word_embeddings || finder.has("lm_head.weight") {
        finder.bf16("lm_head.weight", &[vocab, hidden])?;
    }
    Ok(finder.parts)
}

struct Finder<'a> {
    layout: Layout,
    files: &'a [CheckpointFile],
    tensors: &'a [Tensor],
    by_name: HashMap<&'a str, usize>,
    parts: Vec<Part>,
}

impl Finder<'_> {
    fn layer(&mut self, config: &ModelConfig, layer: usize) -> Result<()> {
        let hidden = config.hidden_size;
        let (query, key) = (config.query_size(), config.key_value_size());
        let name = |suffix: &str| format!("model.layers.{layer}.{suffix}");
        self.bf16(&name("input_layernorm.weight"), &[hidden])?;
        let all = query + 2 * key;
        for (part, rows) in [("q", 0..query), ("k", query..query + key), ("v", query + key..all)] {
            let (weight, bias) =
                (format!("self_attn.{part}_proj.weight"), format!("self_attn.{part}_proj.bias"));
            self.rows(&name(&weight), &[all, hidden], rows.clone())?;
            if config.attention_bias {
                self.rows(&name(&bias), &[all], rows)?;
            }
        }
        self.bf16(&name("self_attn.sinks"), &[config.num_attention_heads])?;
        self.bf16(&name("self_attn.o_proj.weight"), &[hidden, query])?;
        if config.attention_bias {
            self.bf16(&name("self_attn.o_proj.bias"), &[hidden])?;
        }
        self.bf16(&name("post_attention_layernorm.weight"), &[hidden])?;
        let (experts, intermediate) = (config.num_experts, config.intermediate_size);
        self.bf16(&name("mlp.router.weight"), &[experts, hidden])?;
        self.bf16(&name("mlp.router.bias"), &[experts])?;
        self.experts(&name("mlp.experts.gate_up_proj"), [experts, 2 * intermediate, hidden])?;
        self.experts(&name("mlp.experts.down_proj"), [experts, hidden, intermediate])
    }

    /// A matrix of each expert, as MXFP4 or as bf16, and its bias.
    fn experts(&mut self, name: &str, [experts, rows, cols]: [usize; 3]) -> Result<()> {
        let (blocks, scales) = (format!("{name}_blocks"), format!("{name}_scales"));
        match (self.has(&blocks) || self.has(&scales), self.has(name)) {
            (true, true) => {
                let rule = "the experts are stored twice, as bf16 and as MXFP4 blocks";
                return Err(Error::new(ErrorKind::DuplicateTensor, rule).in_tensor(self.spell(name)));
            }
            (false, true) => {
                let transposed = self.layout == Layout::HuggingFace;
                let stored = if transposed { [experts, cols, rows] } else { [experts, rows, cols] };
                let (tensor, range) = self.find(name, Dtype::Bf16, &stored)?;
                let shape = vec![experts, rows, cols];
                self.parts.push(Part { name: name.to_owned(), tensor, shape, transposed, range });
            }
            _ => {
                if !cols.is_multiple_of(mxfp4::BLOCK_LEN) {
                    let rule = format!("MXFP4 has rows of a multiple of 32 elements, and the model {cols}");
                    return Err(Error::new(ErrorKind::Shape, rule).in_tensor(self.spell(&blocks)));
                }
                let per_row = cols / mxfp4::BLOCK_LEN;
                self.whole(&blocks, Dtype::U8, &[experts, rows, per_row, mxfp4::BLOCK_BYTES])?;
                self.whole(&scales, Dtype::U8, &[experts, rows, per_row])?;
            }
        }
        self.bf16(&format!("{name}_bias"), &[experts, rows])
    }

    fn bf16(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        self.whole(name, Dtype::Bf16, shape)
    }

    /// A tensor of its own.
    fn whole(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<()> {
        let (tensor, range) = self.find(name, dtype, shape)?;
        self.parts.push(Part {
            name: name.to_owned(),
            tensor,
            shape: shape.to_vec(),
            transposed: false,
            range,
        });
        Ok(())
    }

    /// The rows `rows` of a bf16 tensor of shape `all` in OpenAI's layout, a tensor of its own in the other.
    fn rows(&mut self, name: &str, all: &[usize], rows: Range<usize>) -> Result<()> {
        let mut shape = all.to_vec();
        shape[0] = rows.len();
        if self.layout == Layout::HuggingFace {
            return self.bf16(name, &shape);
        }
        let (tensor, range) = self.find(name, Dtype::Bf16, all)?;
        // The range holds all rows, so these products are within it.
        let row_size = range.len() / all[0];
        let range = range.start + rows.start * row_size..range.start + rows.end * row_size;
        self.parts.push(Part { name: name.to_owned(), tensor, shape, transposed: false, range });
        Ok(())
    }

    /// The tensor that holds the weight `name`, which must have this dtype and shape, and its bytes in the file.
    fn find(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<(usize, Range<usize>)> {
        let spelled = self.spell(name);
        let Some(&index) = self.by_name.get(spelled.as_str()) else {
            let rule = "the configuration asks for this tensor, and no file holds it";
            return Err(Error::new(ErrorKind::MissingTensor, rule).in_tensor(spelled));
        };
        let tensor = &self.tensors[index];
        let broken = |kind, rule| {
            Err(Error::new(kind, rule).in_file(&self.files[tensor.file].path).in_tensor(&tensor.name))
        };
        if tensor.dtype != dtype {
            return broken(ErrorKind::Dtype, format!("must be {dtype}, found {}", tensor.dtype));
        }
        if tensor.shape != shape {
            let found = &tensor.shape;
            return broken(ErrorKind::Shape, format!("must have the shape {shape:?}, found {found:?}"));
        }
        Ok((index, tensor.range.clone()))
    }

    fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(self.spell(name).as_str())
    }

    /// A name in the layout of the files.
    fn spell(&self, name: &str) -> String {
        if self.layout == Layout::HuggingFace {
            return name.to_owned();
        }
        let layer = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.'));
        let (table, suffix) = match layer {
            Some((_, suffix)) => (&IN_LAYER[..], suffix),
            None => (&OUTSIDE[..], name),
        };
        let (_, openai) = table
            .iter()
            .find(|(known, _)| *known == suffix)
            .expect("the tables have every name that is asked for");
        match layer {
            Some((layer, _)) => format!("block.{layer}.{openai}"),
            None => (*openai).to_owned(),
        }
    }
}
