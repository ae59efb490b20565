//! Which tensors a checkpoint has, in both layouts.

use std::sync::Arc;

use super::content::{Filling, Part};
use super::random::{self, Stream, Table};
use super::{ExpertFormat, Options};
use crate::checkpoint::Layout;
use crate::config::ModelConfig;
use crate::dtype::mxfp4::{BLOCK_BYTES, BLOCK_LEN};

/// The dtypes that checkpoints use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dtype {
    Bf16,
    U8,
}

impl Dtype {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "BF16",
            Self::U8 => "U8",
        }
    }

    const fn bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            Self::U8 => 1,
        }
    }
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    /// The name in the layout that is written.
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// What OpenAI's `dtypes.json` says of it.
    pub(super) kind: &'static str,
    /// Its bytes, one run after the other.
    pub(super) parts: Vec<Part>,
}

impl Tensor {
    pub(super) fn len(&self) -> u64 {
        self.parts.iter().map(|part| part.len).sum()
    }
}

/// The distributions, each a table.
struct Tables {
    one: Arc<Table>,
    embedding: Arc<Table>,
    norm: Arc<Table>,
    from_hidden: Arc<Table>,
    from_heads: Arc<Table>,
    from_intermediate: Arc<Table>,
    unembedding: Arc<Table>,
    bias: Arc<Table>,
    small_bias: Arc<Table>,
    output_bias: Arc<Table>,
}

/// The tensors, in the order in which they are cut into files: by OpenAI's names.
///
/// A normed hidden state has mean square 1, and a row of n weights of variance 1 / n keeps it there: queries, keys,
/// values and the logits of the router have deviation 1, other logits 2. What attention averages is much the same for
/// all tokens, so each layer adds little to the embedding; with a gain of 1 the tokens would grow alike from layer
/// to layer and crowd on a few experts.
pub(super) fn all(config: &ModelConfig, options: &Options) -> Vec<Tensor> {
    let list = List { config, options };
    let tables = Tables {
        one: random::gaussian(0.0, 1.0),
        embedding: random::gaussian(0.0, 2.0),
        norm: random::gaussian(1.0, 0.1),
        from_hidden: random::gaussian(0.0, 1.0 / (config.hidden_size as f64).sqrt()),
        from_heads: random::gaussian(0.0, 0.5 / (config.query_size() as f64).sqrt()),
        // As large as MXFP4's at the scales below.
        from_intermediate: random::gaussian(0.0, 0.25 / (config.intermediate_size as f64).sqrt()),
        unembedding: random::gaussian(0.0, 2.0 / (config.hidden_size as f64).sqrt()),
        bias: random::gaussian(0.0, 0.1),
        small_bias: random::gaussian(0.0, 0.05),
        output_bias: random::gaussian(0.0, 0.025),
    };
    let mut named = list.outer(&tables);
    for layer in 0..config.num_layers() {
        named.extend(list.attention(layer, &tables));
        named.extend(list.mlp(layer, &tables));
    }
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    named.into_iter().flat_map(|(_, tensors)| tensors).collect()
}

/// OpenAI's name, and the tensors of the layout that hold what it holds.
type Named = (String, Vec<Tensor>);

struct List<'a> {
    config: &'a ModelConfig,
    options: &'a Options,
}

impl List<'_> {
    fn outer(&self, tables: &Tables) -> Vec<Named> {
        let (rows, hidden) = (self.config.vocab_size, self.config.hidden_size);
        let mut named = vec![
            self.plain("embedding.weight", "model.embed_tokens.weight", &[rows, hidden], &tables.embedding),
            self.plain("norm.scale", "model.norm.weight", &[hidden], &tables.norm),
        ];
        if !self.config.tie_word_embeddings {
            let matrix =
                self.plain("unembedding.weight", "lm_head.weight", &[rows, hidden], &tables.unembedding);
            named.push(matrix);
        }
        named
    }

    fn attention(&self, layer: usize, tables: &Tables) -> Vec<Named> {
        let hidden = self.config.hidden_size;
        let (query, key) = (self.config.query_size(), self.config.key_value_size());
        let ours = |name: &str| format!("block.{layer}.attn.{name}");
        let theirs = |name: &str| format!("model.layers.{layer}.self_attn.{name}");
        let projections = |kind: &str| {
            [("q", query), ("k", key), ("v", key)]
                .map(|(letter, rows)| (theirs(&format!("{letter}_proj.{kind}")), rows))
        };
        let mut named = vec![
            self.plain(
                &ours("norm.scale"),
                &format!("model.layers.{layer}.input_layernorm.weight"),
                &[hidden],
                &tables.norm,
            ),
            self.stacked(&ours("qkv.weight"), &projections("weight"), Some(hidden), &tables.from_hidden),
            self.plain(&ours("sinks"), &theirs("sinks"), &[self.config.num_attention_heads], &tables.one),
            self.plain(&ours("out.weight"), &theirs("o_proj.weight"), &[hidden, query], &tables.from_heads),
        ];
        if self.config.attention_bias {
            named.push(self.stacked(&ours("qkv.bias"), &projections("bias"), None, &tables.small_bias));
            named.push(self.plain(&ours("out.bias"), &theirs("o_proj.bias"), &[hidden], &tables.output_bias));
        }
        named
    }

    fn mlp(&self, layer: usize, tables: &Tables) -> Vec<Named> {
        let (hidden, intermediate) = (self.config.hidden_size, self.config.intermediate_size);
        let experts = self.config.num_experts;
        let ours = |name: &str| format!("block.{layer}.mlp.{name}");
        let theirs = |name: &str| format!("model.layers.{layer}.mlp.{name}");
        let mut named = vec![
            self.plain(
                &ours("norm.scale"),
                &format!("model.layers.{layer}.post_attention_layernorm.weight"),
                &[hidden],
                &tables.norm,
            ),
            self.plain(
                &ours("gate.weight"),
                &theirs("router.weight"),
                &[experts, hidden],
                &tables.from_hidden,
            ),
            self.plain(&ours("gate.bias"), &theirs("router.bias"), &[experts], &tables.small_bias),
        ];
        let matrices = [
            ("mlp1", "gate_up_proj", 2 * intermediate, hidden, 119, &tables.from_hidden, &tables.bias),
            ("mlp2", "down_proj", hidden, intermediate, 117, &tables.from_intermediate, &tables.output_bias),
        ];
        for (number, projection, rows, cols, scale, table, bias) in matrices {
            let weight = ours(&format!("{number}_weight"));
            let projection = theirs(&format!("experts.{projection}"));
            match self.options.experts {
                ExpertFormat::Mxfp4 => {
                    named.push(self.packed(&weight, &projection, rows, cols, scale_byte(scale, cols)));
                    named.push(self.packed(&weight, &projection, rows, cols, Packed::Codes));
                }
                ExpertFormat::Bf16 => named.push(self.expert_matrix(&weight, &projection, rows, cols, table)),
            }
            named.push(self.plain(
                &ours(&format!("{number}_bias")),
                &format!("{projection}_bias"),
                &[experts, rows],
                bias,
            ));
        }
        named
    }

    fn tensor(&self, ours: &str, theirs: &str, dtype: Dtype, shape: &[usize], parts: Vec<Part>) -> Tensor {
        let name = match self.options.layout {
            Layout::HuggingFace => theirs,
            Layout::OpenAi => ours,
        };
        Tensor { name: name.to_owned(), dtype, shape: shape.to_vec(), kind: dtype.name(), parts }
    }

    /// Streams are named as Hugging Face names the tensors, whatever the layout.
    fn part(&self, theirs: &str, dtype: Dtype, shape: &[usize], filling: Filling) -> Part {
        let elements: u64 = shape.iter().map(|&size| size as u64).product();
        Part { stream: Stream::new(self.options.seed, theirs), filling, len: elements * dtype.bytes() }
    }

    fn plain(&self, ours: &str, theirs: &str, shape: &[usize], table: &Arc<Table>) -> Named {
        let part = self.part(theirs, Dtype::Bf16, shape, Filling::Numbers(table.clone()));
        (ours.to_owned(), vec![self.tensor(ours, theirs, Dtype::Bf16, shape, vec![part])])
    }

    /// One tensor of several that stand one upon the other.
    fn stacked(
        &self,
        ours: &str,
        theirs: &[(String, usize)],
        cols: Option<usize>,
        table: &Arc<Table>,
    ) -> Named {
        let shape = |rows: usize| [rows].into_iter().chain(cols).collect::<Vec<usize>>();
        let part = |(name, rows): &(String, usize)| {
            self.part(name, Dtype::Bf16, &shape(*rows), Filling::Numbers(table.clone()))
        };
        let tensors = match self.options.layout {
            Layout::HuggingFace => theirs
                .iter()
                .map(|one| self.tensor(ours, &one.0, Dtype::Bf16, &shape(one.1), vec![part(one)]))
                .collect(),
            Layout::OpenAi => {
                let rows = theirs.iter().map(|(_, rows)| rows).sum();
                let parts = theirs.iter().map(part).collect();
                vec![self.tensor(ours, "", Dtype::Bf16, &shape(rows), parts)]
            }
        };
        (ours.to_owned(), tensors)
    }

    fn packed(&self, ours: &str, theirs: &str, rows: usize, cols: usize, packed: Packed) -> Named {
        let mut shape = vec![self.config.num_experts, rows, cols / BLOCK_LEN];
        let (what, kind, filling) = match packed {
            Packed::Codes => {
                shape.push(BLOCK_BYTES);
                ("blocks", "FP4", Filling::Codes)
            }
            Packed::Scales(low) => ("scales", "UE8", Filling::Scales(low)),
        };
        let ours = format!("{ours}.{what}");
        let theirs = format!("{theirs}_{what}");
        let part = self.part(&theirs, Dtype::U8, &shape, filling);
        let tensor = self.tensor(&ours, &theirs, Dtype::U8, &shape, vec![part]);
        (ours, vec![Tensor { kind, ..tensor }])
    }

    /// Hugging Face has the experts' bf16 matrices as `[in, out]`, OpenAI as `[out, in]`.
    fn expert_matrix(&self, ours: &str, theirs: &str, rows: usize, cols: usize, table: &Arc<Table>) -> Named {
        let experts = self.config.num_experts;
        let (shape, filling) = match self.options.layout {
            Layout::HuggingFace => (
                [experts, cols, rows],
                Filling::Transposed { table: table.clone(), rows: rows as u64, cols: cols as u64 },
            ),
            Layout::OpenAi => ([experts, rows, cols], Filling::Numbers(table.clone())),
        };
        let part = self.part(theirs, Dtype::Bf16, &shape, filling);
        (ours.to_owned(), vec![self.tensor(ours, theirs, Dtype::Bf16, &shape, vec![part])])
    }
}

/// The two halves of an MXFP4 matrix.
#[derive(Clone, Copy)]
enum Packed {
    Codes,
    Scales(u8),
}

/// The lower of the two scale bytes of a matrix with rows of `cols` elements: `at_release` where there are 2880,
/// one more where there are a quarter as many, and so on, so that products stay as large.
fn scale_byte(at_release: u8, cols: usize) -> Packed {
    let mut scale = at_release;
    // From the power of four that is nearest in ratio.
    let mut cols = cols;
    while cols * 2 <= 2880 {
        cols *= 4;
        scale += 1;
    }
    while cols > 2880 * 2 {
        cols /= 4;
        scale -= 1;
    }
    Packed::Scales(scale)
}
