//! From a checkpoint to typed weights: every value is looked at once, here.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{Bytes, Expert, Layer, Linear, Matrix, Storage, Weights, scan};
use crate::checkpoint::packed::PackedFile;
use crate::checkpoint::{Checkpoint, Part};
use crate::dtype::{bf16, mxfp4};
use crate::error::{Error, ErrorKind, Result};
use crate::numerics::flush;

impl Weights {
    /// The weights of a checkpoint. Matrices stay where they are; vectors are copied.
    ///
    /// Runs in parallel on the current rayon pool and reads every bf16 element and every scale byte once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weight`] with the tensor and the element that is a NaN or infinite, or the scale byte above 252;
    /// [`ErrorKind::Io`] if a file was written to since it was opened.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self> {
        Self::load_with(checkpoint, None)
    }

    /// As [`load`](Self::load), with the matrices of `packed` in place of the checkpoint's, of which nothing is read: the
    /// same values in fewer bytes.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    pub fn load_packed(checkpoint: &Checkpoint, packed: &PackedFile) -> Result<Self> {
        Self::load_with(checkpoint, Some(packed))
    }

    fn load_with(checkpoint: &Checkpoint, packed: Option<&PackedFile>) -> Result<Self> {
        let by_name = checkpoint.parts().iter().map(|part| (part.name.as_str(), part)).collect();
        let loader = Loader { checkpoint, by_name, packed };
        let layers = (0..checkpoint.config().num_layers()).into_par_iter().map(|layer| loader.layer(layer));
        // In order, so that of many errors always the same is returned.
        let layers = layers.collect::<Vec<_>>().into_iter().collect::<Result<_>>()?;
        let embedding = loader.matrix("model.embed_tokens.weight")?;
        let unembedding = match loader.by_name.contains_key("lm_head.weight") {
            true => loader.matrix("lm_head.weight")?,
            false => embedding.clone(),
        };
        let norm = loader.vector("model.norm.weight")?;
        checkpoint.check_unchanged()?;
        Ok(Self { embedding, layers, norm, unembedding })
    }
}

struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    by_name: HashMap<&'a str, &'a Part>,
    packed: Option<&'a PackedFile>,
}

/// Checks that every element of a bf16 weight is finite.
///
/// # Errors
///
/// [`ErrorKind::Weight`] with the first that is not.
pub(crate) fn check_finite(checkpoint: &Checkpoint, part: &Part) -> Result<()> {
    let loader = Loader { checkpoint, by_name: HashMap::new(), packed: None };
    loader.scan(part, &checkpoint.bytes(part)).map(drop)
}

impl Loader<'_> {
    fn layer(&self, layer: usize) -> Result<Layer> {
        let name = |suffix: &str| format!("model.layers.{layer}.{suffix}");
        Ok(Layer {
            attention_norm: self.vector(&name("input_layernorm.weight"))?,
            query: self.linear(&name("self_attn.q_proj"))?,
            key: self.linear(&name("self_attn.k_proj"))?,
            value: self.linear(&name("self_attn.v_proj"))?,
            sinks: self.vector(&name("self_attn.sinks"))?,
            output: self.linear(&name("self_attn.o_proj"))?,
            mlp_norm: self.vector(&name("post_attention_layernorm.weight"))?,
            router: self.linear(&name("mlp.router"))?,
            experts: {
                let gate_up = self.experts(&name("mlp.experts.gate_up_proj"))?;
                let down = self.experts(&name("mlp.experts.down_proj"))?;
                gate_up.into_iter().zip(down).map(|(gate_up, down)| Expert { gate_up, down }).collect()
            },
        })
    }

    fn part(&self, name: &str) -> &Part {
        self.by_name.get(name).expect("Checkpoint has every weight that its configuration asks for")
    }

    /// A bf16 vector, or many one after the other, widened and flushed.
    fn vector(&self, name: &str) -> Result<Vec<f32>> {
        let part = self.part(name);
        let data = self.checkpoint.bytes(part);
        self.scan(part, &data)?;
        let widen = |&element: &[u8; 2]| flush(bf16::to_f32(u16::from_le_bytes(element)));
        Ok(data.as_chunks().0.iter().map(widen).collect())
    }

    fn matrix(&self, name: &str) -> Result<Matrix> {
        let part = self.part(name);
        if let Some(packed) = self.packed.and_then(|packed| packed.matrix(name)) {
            let (rows, cols) = (packed.rows(), packed.cols());
            return Ok(Matrix { rows, cols, storage: Storage::PackedBf16(packed.clone()) });
        }
        let data = self.checkpoint.bytes(part);
        let tiny = self.scan(part, &data)?;
        Ok(Matrix { rows: part.shape[0], cols: part.shape[1], storage: Storage::Bf16 { data, tiny } })
    }

    fn linear(&self, name: &str) -> Result<Linear> {
        let bias = format!("{name}.bias");
        let bias = self.by_name.contains_key(bias.as_str()).then(|| self.vector(&bias)).transpose()?;
        Ok(Linear { matrix: self.matrix(&format!("{name}.weight"))?, bias })
    }

    /// One of the two matrices of each expert.
    fn experts(&self, name: &str) -> Result<Vec<Linear>> {
        let bias = self.vector(&format!("{name}_bias"))?;
        let matrices = match self.by_name.get(name) {
            Some(part) => self.bf16_experts(part)?,
            None => self.mxfp4_experts(name)?,
        };
        let biases = bias.chunks_exact(bias.len() / matrices.len()).map(|bias| Some(bias.to_vec()));
        Ok(matrices.into_iter().zip(biases).map(|(matrix, bias)| Linear { matrix, bias }).collect())
    }

    fn bf16_experts(&self, part: &Part) -> Result<Vec<Matrix>> {
        let data = self.checkpoint.bytes(part);
        let (rows, cols) = (part.shape[1], part.shape[2]);
        let matrix = |data: Bytes| {
            let tiny = self.scan(part, &data)?;
            let storage = match part.transposed {
                true => Storage::Bf16Transposed { data, tiny },
                false => Storage::Bf16 { data, tiny },
            };
            Ok(Matrix { rows, cols, storage })
        };
        each(&data, part.shape[0]).map(matrix).collect()
    }

    fn mxfp4_experts(&self, name: &str) -> Result<Vec<Matrix>> {
        let scales_part = self.part(&format!("{name}_scales"));
        let blocks = self.checkpoint.bytes(self.part(&format!("{name}_blocks")));
        let scales = self.checkpoint.bytes(scales_part);
        let (experts, rows) = (scales_part.shape[0], scales_part.shape[1]);
        let cols = scales_part.shape[2] * mxfp4::BLOCK_LEN;
        let matrix = |(blocks, expert_scales): (Bytes, Bytes)| {
            let scale_range = scan::range(&expert_scales);
            if scale_range.1 > mxfp4::MAX_SCALE
                && let Some((index, scale)) = scan::first_bad_scale(&scales)
            {
                let place = place(&scales_part.shape, index);
                let rule =
                    format!("an MXFP4 scale must be at most {}, found {scale} at {place}", mxfp4::MAX_SCALE);
                return Err(self.checkpoint.locate(Error::new(ErrorKind::Weight, rule), scales_part));
            }
            Ok(Matrix { rows, cols, storage: Storage::Mxfp4 { blocks, scales: expert_scales, scale_range } })
        };
        each(&blocks, experts).zip(each(&scales, experts)).map(matrix).collect()
    }

    /// Whether `piece`, some bytes of a bf16 weight, has elements to flush; an error where one is not finite.
    fn scan(&self, part: &Part, piece: &[u8]) -> Result<bool> {
        let found = scan::bf16(piece);
        if found.finite {
            return Ok(found.tiny);
        }
        let data = self.checkpoint.bytes(part);
        let (index, bits) = scan::first_not_finite(&data).expect("a piece of it has one");
        let mut shape = part.shape.clone();
        if part.transposed {
            shape.swap(1, 2);
        }
        let (value, place) = (bf16::to_f32(bits), place(&shape, index));
        let rule = format!("a weight must be finite, found {value} at {place} of {}", part.name);
        Err(self.checkpoint.locate(Error::new(ErrorKind::Weight, rule), part))
    }
}

/// The bytes of each of `count` equal parts.
fn each(bytes: &Bytes, count: usize) -> impl Iterator<Item = Bytes> {
    let size = bytes.len() / count;
    (0..count).map(move |index| bytes.slice(index * size..(index + 1) * size))
}

/// Element `index` of a tensor as its place along each axis.
fn place(shape: &[usize], mut index: usize) -> String {
    let mut places = vec![0; shape.len()];
    for (place, &len) in places.iter_mut().zip(shape).rev() {
        *place = index % len;
        index /= len;
    }
    format!("{places:?}")
}
