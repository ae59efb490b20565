//! A small checkpoint as data that can be damaged before it is written.

use std::path::Path;

/// One tensor of a file.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<u8>,
}

/// A checkpoint with one or two files.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    /// Fields of `config.json` with their values as JSON.
    pub(crate) config: Vec<(String, String)>,
    pub(crate) files: Vec<(String, Vec<Tensor>)>,
    pub(crate) index: bool,
}

const HIDDEN: usize = 32;
const LAYERS: usize = 2;
const HEADS: usize = 2;
const HEAD_DIM: usize = 8;
const EXPERTS: usize = 2;
const VOCAB: usize = 6;

/// How experts are stored.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Experts {
    Mxfp4,
    Bf16,
}

/// A valid checkpoint in Hugging Face's layout, in one file.
pub(crate) fn hugging_face(experts: Experts) -> Checkpoint {
    let mut tensors = vec![bf16("model.embed_tokens.weight", &[VOCAB, HIDDEN])];
    let (query, key) = (HEADS * HEAD_DIM, HEAD_DIM);
    for layer in 0..LAYERS {
        let mut add = |suffix: &str, shape: &[usize]| {
            tensors.push(bf16(&format!("model.layers.{layer}.{suffix}"), shape));
        };
        add("input_layernorm.weight", &[HIDDEN]);
        for (projection, rows) in [("q", query), ("k", key), ("v", key)] {
            add(&format!("self_attn.{projection}_proj.weight"), &[rows, HIDDEN]);
            add(&format!("self_attn.{projection}_proj.bias"), &[rows]);
        }
        add("self_attn.sinks", &[HEADS]);
        add("self_attn.o_proj.weight", &[HIDDEN, query]);
        add("self_attn.o_proj.bias", &[HIDDEN]);
        add("post_attention_layernorm.weight", &[HIDDEN]);
        add("mlp.router.weight", &[EXPERTS, HIDDEN]);
        add("mlp.router.bias", &[EXPERTS]);
        for (projection, rows) in [("gate_up", 2 * HIDDEN), ("down", HIDDEN)] {
            let name = format!("mlp.experts.{projection}_proj");
            add(&format!("{name}_bias"), &[EXPERTS, rows]);
            if experts == Experts::Bf16 {
                add(&name, &[EXPERTS, HIDDEN, rows]);
            }
        }
        if experts == Experts::Mxfp4 {
            for (projection, rows) in [("gate_up", 2 * HIDDEN), ("down", HIDDEN)] {
                tensors.extend(mxfp4(&format!("model.layers.{layer}.mlp.experts.{projection}_proj"), rows));
            }
        }
    }
    tensors.push(bf16("model.norm.weight", &[HIDDEN]));
    tensors.push(bf16("lm_head.weight", &[VOCAB, HIDDEN]));
    let config = [
        ("attention_bias", "true"),
        ("eos_token_id", "5"),
        ("head_dim", "8"),
        ("hidden_size", "32"),
        ("intermediate_size", "32"),
        ("layer_types", r#"["sliding_attention", "full_attention"]"#),
        ("max_position_embeddings", "131072"),
        ("model_type", r#""gpt_oss""#),
        ("num_attention_heads", "2"),
        ("num_experts_per_tok", "1"),
        ("num_hidden_layers", "2"),
        ("num_key_value_heads", "1"),
        ("num_local_experts", "2"),
        ("rms_norm_eps", "1e-05"),
        (
            "rope_scaling",
            r#"{"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": false}"#,
        ),
        ("rope_theta", "150000"),
        ("sliding_window", "4"),
        ("swiglu_limit", "7.0"),
        ("tie_word_embeddings", "false"),
        ("vocab_size", "6"),
    ];
    Checkpoint {
        config: owned(&config),
        files: vec![("model.safetensors".to_owned(), tensors)],
        index: false,
    }
}

/// The same in two files with an index.
pub(crate) fn sharded() -> Checkpoint {
    let mut checkpoint = hugging_face(Experts::Mxfp4);
    let (_, mut first) = checkpoint.files.remove(0);
    let second = first.split_off(first.len() / 2);
    checkpoint.files = vec![
        ("model-00000-of-00001.safetensors".to_owned(), first),
        ("model-00001-of-00001.safetensors".to_owned(), second),
    ];
    checkpoint.index = true;
    checkpoint
}

/// The same weights in OpenAI's layout.
pub(crate) fn openai(experts: Experts) -> Checkpoint {
    let mut tensors: Vec<Tensor> = Vec::new();
    for (_, file) in hugging_face(experts).files {
        for mut tensor in file {
            tensor.name = openai_name(&tensor.name);
            match tensors.iter_mut().find(|known| known.name == tensor.name) {
                // Query, key and value are rows of one matrix.
                Some(first) => {
                    first.shape[0] += tensor.shape[0];
                    first.data.extend(tensor.data);
                }
                None => tensors.push(tensor),
            }
        }
    }
    for tensor in &mut tensors {
        if tensor.name.ends_with("mlp1_weight") || tensor.name.ends_with("mlp2_weight") {
            transpose(tensor);
        }
    }
    let config = [
        ("num_hidden_layers", "2"),
        ("num_experts", "2"),
        ("experts_per_token", "1"),
        ("vocab_size", "6"),
        ("hidden_size", "32"),
        ("intermediate_size", "32"),
        ("swiglu_limit", "7.0"),
        ("head_dim", "8"),
        ("num_attention_heads", "2"),
        ("num_key_value_heads", "1"),
        ("sliding_window", "4"),
        ("initial_context_length", "4096"),
        ("rope_theta", "150000"),
        ("rope_scaling_factor", "32.0"),
        ("rope_ntk_alpha", "1.0"),
        ("rope_ntk_beta", "32.0"),
    ];
    Checkpoint {
        config: owned(&config),
        files: vec![("model.safetensors".to_owned(), tensors)],
        index: false,
    }
}

fn openai_name(name: &str) -> String {
    let Some((layer, suffix)) = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.'))
    else {
        let spelled = match name {
            "model.embed_tokens.weight" => "embedding.weight",
            "model.norm.weight" => "norm.scale",
            _ => "unembedding.weight",
        };
        return spelled.to_owned();
    };
    let spelled = [
        ("input_layernorm.weight", "attn.norm.scale"),
        ("self_attn.q_proj", "attn.qkv"),
        ("self_attn.k_proj", "attn.qkv"),
        ("self_attn.v_proj", "attn.qkv"),
        ("self_attn.o_proj", "attn.out"),
        ("self_attn.", "attn."),
        ("post_attention_layernorm.weight", "mlp.norm.scale"),
        ("mlp.router", "mlp.gate"),
        ("mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias"),
        ("mlp.experts.down_proj_bias", "mlp.mlp2_bias"),
        ("mlp.experts.gate_up_proj_", "mlp.mlp1_weight."),
        ("mlp.experts.down_proj_", "mlp.mlp2_weight."),
        ("mlp.experts.gate_up_proj", "mlp.mlp1_weight"),
        ("mlp.experts.down_proj", "mlp.mlp2_weight"),
    ];
    let (from, to) = spelled.into_iter().find(|(from, _)| suffix.starts_with(from)).expect("a known name");
    format!("block.{layer}.{}", suffix.replacen(from, to, 1))
}

/// Exchanges the last two axes of a bf16 tensor with three.
fn transpose(tensor: &mut Tensor) {
    let [_, rows, cols] = tensor.shape[..] else { panic!("three axes") };
    let matrices = tensor.data.chunks_exact(2 * rows * cols);
    let transposed = matrices.flat_map(|matrix| {
        let places = (0..cols).flat_map(|col| (0..rows).map(move |row| 2 * (row * cols + col)));
        places.flat_map(|place| [matrix[place], matrix[place + 1]])
    });
    tensor.data = transposed.collect();
    tensor.shape.swap(1, 2);
}

impl Checkpoint {
    /// Sets a field of the configuration, or adds it.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        match self.config.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.config.push((key.to_owned(), value.to_owned())),
        }
    }

    /// The tensor `name`.
    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        let mut tensors = self.files.iter_mut().flat_map(|(_, tensors)| tensors);
        tensors.find(|tensor| tensor.name == name).expect("a tensor of the checkpoint")
    }

    pub(crate) fn config_json(&self) -> String {
        let fields = self.config.iter().map(|(key, value)| format!("  \"{key}\": {value}"));
        format!("{{\n{}\n}}\n", fields.collect::<Vec<_>>().join(",\n"))
    }

    pub(crate) fn index_json(&self) -> String {
        let pairs = self.files.iter().flat_map(|(file, tensors)| {
            tensors.iter().map(move |tensor| format!("\"{}\": \"{file}\"", tensor.name))
        });
        format!("{{\"metadata\": {{}}, \"weight_map\": {{{}}}}}", pairs.collect::<Vec<_>>().join(", "))
    }

    /// The names and bytes of all files.
    pub(crate) fn encode(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![("config.json".to_owned(), self.config_json().into_bytes())];
        if self.index {
            files.push(("model.safetensors.index.json".to_owned(), self.index_json().into_bytes()));
        }
        files.extend(self.files.iter().map(|(name, tensors)| (name.clone(), safetensors(tensors))));
        files
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (name, bytes) in self.encode() {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

/// A safetensors file of these tensors.
pub(crate) fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut end = 0;
    let entries = tensors.iter().map(|tensor| {
        let start = end;
        end += tensor.data.len();
        entry(&tensor.name, tensor.dtype, &format!("{:?}", tensor.shape), start as u64, end as u64)
    });
    let header = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
    let data: Vec<u8> = tensors.iter().flat_map(|tensor| &tensor.data).copied().collect();
    with_header(&header, &data)
}

/// One tensor of a header.
pub(crate) fn entry(name: &str, dtype: &str, shape: &str, start: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

/// A file with this header, whatever it says.
pub(crate) fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn owned(config: &[(&str, &str)]) -> Vec<(String, String)> {
    config.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Bytes that differ from tensor to tensor and are the same in each run.
fn noise(name: &str) -> impl Iterator<Item = u8> {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
}

/// Elements of magnitude 1/8 to 1/2.
fn bf16(name: &str, shape: &[usize]) -> Tensor {
    let mut noise = noise(name);
    let elements = (0..shape.iter().product::<usize>()).flat_map(|_| {
        let (low, high) = (noise.next().unwrap_or(0), noise.next().unwrap_or(0));
        [low, 0x3e | (high & 0x80)]
    });
    Tensor { name: name.to_owned(), dtype: "BF16", shape: shape.to_vec(), data: elements.collect() }
}

/// Blocks and scales of the experts' matrices of `rows` rows and `HIDDEN` columns.
fn mxfp4(name: &str, rows: usize) -> [Tensor; 2] {
    let (blocks, scales) = (format!("{name}_blocks"), format!("{name}_scales"));
    let per_row = HIDDEN / 32;
    let count = EXPERTS * rows * per_row;
    [
        Tensor {
            data: noise(&blocks).take(16 * count).collect(),
            name: blocks,
            dtype: "U8",
            shape: vec![EXPERTS, rows, per_row, 16],
        },
        Tensor {
            data: noise(&scales).take(count).map(|byte| 118 + byte % 4).collect(),
            name: scales,
            dtype: "U8",
            shape: vec![EXPERTS, rows, per_row],
        },
    ]
}
