//! What is recorded, and where in the file each value goes: settled before the first is computed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{FORMAT, stored};
use crate::checkpoint::safetensors::framed;
use crate::config::ModelConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::golden::site::{Accumulator, Dtype, Part, Site};
use crate::logits::hex;
use crate::numerics::CONTRACT_VERSION;
use crate::profile::Profile;
use crate::tap::TapPoint;

/// Which values are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The points.
    pub points: BTreeSet<TapPoint>,
    /// The layers; all where none is given. Points that are of no layer are not affected.
    pub layers: Option<BTreeSet<u32>>,
    /// The absolute positions; all where none is given.
    pub positions: Option<BTreeSet<u32>>,
}

impl Selection {
    /// The residual stream: the embedding, after attention and after each layer, the last norm and the logits.
    #[must_use]
    pub fn layers() -> Self {
        use TapPoint::{AttentionResidual, Embedding, FinalNorm, LayerOutput, Logits};
        Self::of([Embedding, AttentionResidual, LayerOutput, FinalNorm, Logits])
    }

    /// The input and output of each operation: everything but scores and probabilities, whose size grows with the square
    /// of the number of positions.
    #[must_use]
    pub fn ops() -> Self {
        let square = [TapPoint::Scores, TapPoint::Probabilities];
        Self::of(TapPoint::ALL.into_iter().filter(|point| !square.contains(point)))
    }

    /// The logits.
    #[must_use]
    pub fn logits() -> Self {
        Self::of([TapPoint::Logits])
    }

    /// These points, in all layers and at all positions.
    pub fn of(points: impl IntoIterator<Item = TapPoint>) -> Self {
        Self { points: points.into_iter().collect(), layers: None, positions: None }
    }
}

/// One tensor of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) dtype: Dtype,
    pub(super) width: usize,
    /// From the start of the data.
    offset: u64,
}

/// Where each value of a run goes.
#[derive(Debug)]
pub struct Plan {
    profile: Profile,
    tokens: Vec<u32>,
    positions: Vec<u32>,
    tensors: BTreeMap<Site, Planned>,
    data_len: u64,
    /// Bytes before the data.
    header_len: u64,
}

impl Plan {
    /// Plans a run of `tokens`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dump`] if a layer or a position is outside of the run or nothing is left, [`ErrorKind::Token`] if
    /// there are no tokens.
    pub fn new(
        config: &ModelConfig,
        profile: Profile,
        tokens: &[u32],
        selection: &Selection,
    ) -> Result<Self> {
        if tokens.is_empty() {
            return Err(Error::new(ErrorKind::Token, "a forward pass needs at least one token"));
        }
        let layers = chosen(selection.layers.as_ref(), config.num_layers(), "layer")?;
        let positions = chosen(selection.positions.as_ref(), tokens.len(), "position")?;
        let mut tensors = BTreeMap::new();
        let mut data_len = 0_u64;
        for (site, width) in sites(config, &selection.points, &layers, tokens.len()) {
            let dtype = stored(profile, site.point);
            tensors.insert(site, Planned { dtype, width, offset: data_len });
            data_len += (positions.len() * width * size(dtype)) as u64;
        }
        if tensors.is_empty() || positions.is_empty() {
            return Err(Error::new(ErrorKind::Dump, "the selection leaves nothing to record"));
        }
        let mut plan = Self { profile, tokens: tokens.to_vec(), positions, tensors, data_len, header_len: 0 };
        plan.header_len = plan.header(Some([0; 32])).len() as u64;
        Ok(plan)
    }

    /// The positions that are recorded, ascending.
    #[must_use]
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Every site that is recorded.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        self.tensors.keys()
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.header_len + self.data_len
    }

    pub(super) fn data_len(&self) -> u64 {
        self.data_len
    }

    /// The last position that has to be computed.
    pub(super) fn last_position(&self) -> u32 {
        *self.positions.last().expect("a plan has a position")
    }

    pub(super) fn wants(&self, point: TapPoint, layer: Option<u32>) -> bool {
        let from = Site { layer, point, part: None };
        self.tensors.range(from..).next().is_some_and(|(site, _)| site.point == point && site.layer == layer)
    }

    pub(super) fn tensor(&self, site: &Site) -> Option<Planned> {
        self.tensors.get(site).copied()
    }

    /// Where the data of a site start in the file.
    pub(super) fn data_start(&self, site: &Site) -> u64 {
        self.header_len + self.tensors[site].offset
    }

    /// Everything before the data. It has the same length with any digest and with none.
    pub(super) fn header(&self, weights: Option<[u8; 32]>) -> Vec<u8> {
        let mut metadata = Map::new();
        let accumulate = if self.profile == Profile::F64 { Accumulator::F64 } else { Accumulator::F32 };
        let list = |numbers: &[u32]| serde_json::to_string(numbers).expect("numbers are JSON");
        for (name, value) in [
            ("gptoss.dump", FORMAT.to_owned()),
            ("generator", format!("gptoss {}", env!("CARGO_PKG_VERSION"))),
            ("contract", CONTRACT_VERSION.to_string()),
            ("profile", self.profile.to_string()),
            ("accumulate", accumulate.name().to_owned()),
            ("tokens", list(&self.tokens)),
            ("positions", list(&self.positions)),
        ] {
            metadata.insert(name.to_owned(), value.into());
        }
        if let Some(weights) = weights {
            metadata.insert("weights".to_owned(), hex(&weights).into());
        }
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), Value::Object(metadata));
        for (site, tensor) in &self.tensors {
            let end = tensor.offset + (self.positions.len() * tensor.width * size(tensor.dtype)) as u64;
            let entry = json!({
                "dtype": dtype_name(tensor.dtype),
                "shape": [self.positions.len(), tensor.width],
                "data_offsets": [tensor.offset, end],
            });
            header.insert(site.to_string(), entry);
        }
        framed(&header, 64, self.header_len as usize)
    }
}

/// The sites of these points with the width of their rows, by layer.
fn sites(
    config: &ModelConfig,
    points: &BTreeSet<TapPoint>,
    layers: &[u32],
    keys: usize,
) -> Vec<(Site, usize)> {
    let mut sites = Vec::new();
    for &point in points {
        let width = width(config, point, keys);
        let parts: Vec<Option<Part>> = match point {
            TapPoint::Scores | TapPoint::Probabilities => {
                (0..config.num_attention_heads).map(|head| Some(Part::Head(head as u32))).collect()
            }
            TapPoint::GateUp | TapPoint::Activation | TapPoint::Down => {
                (0..config.experts_per_token).map(|rank| Some(Part::Rank(rank as u32))).collect()
            }
            _ => vec![None],
        };
        let layers: Vec<Option<u32>> = match point.is_of_layer() {
            true => layers.iter().map(|&layer| Some(layer)).collect(),
            false => vec![None],
        };
        for layer in layers {
            sites.extend(parts.iter().map(|&part| (Site { layer, point, part }, width)));
        }
    }
    sites
}

/// Elements of a row of a point, in a run of `keys` positions.
pub(crate) fn width(config: &ModelConfig, point: TapPoint, keys: usize) -> usize {
    use TapPoint::{
        Activation, AttentionNorm, AttentionOutput, AttentionResidual, Context, Down, Embedding, ExpertIds,
        ExpertWeights, FinalNorm, GateUp, Key, KeyRotated, LayerOutput, Logits, MlpNorm, MlpOutput,
        Probabilities, Query, QueryRotated, RouterLogits, Scores, Value,
    };
    match point {
        Embedding | AttentionNorm | AttentionOutput | AttentionResidual | MlpNorm | Down | MlpOutput
        | LayerOutput | FinalNorm => config.hidden_size,
        Query | QueryRotated | Context => config.query_size(),
        Key | KeyRotated | Value => config.key_value_size(),
        Scores | Probabilities => keys,
        RouterLogits => config.num_experts,
        ExpertIds | ExpertWeights => config.experts_per_token,
        GateUp => 2 * config.intermediate_size,
        Activation => config.intermediate_size,
        Logits => config.vocab_size,
    }
}

/// All of `0..count`, or those that were asked for.
fn chosen(asked: Option<&BTreeSet<u32>>, count: usize, what: &str) -> Result<Vec<u32>> {
    match asked {
        None => Ok((0..count as u32).collect()),
        Some(asked) => match asked.iter().find(|&&index| index as usize >= count) {
            Some(index) => {
                let rule = format!("there is no {what} {index}; there are {count}, from 0 on");
                Err(Error::new(ErrorKind::Dump, rule))
            }
            None => Ok(asked.iter().copied().collect()),
        },
    }
}

/// Bytes of an element.
pub(super) const fn size(dtype: Dtype) -> usize {
    match dtype {
        Dtype::Bf16 | Dtype::F16 => 2,
        Dtype::F32 | Dtype::Int => 4,
        Dtype::F64 => 8,
    }
}

/// The name in a header; whole numbers are stored as I32.
const fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bf16 => "BF16",
        Dtype::F16 => "F16",
        Dtype::F32 => "F32",
        Dtype::F64 => "F64",
        Dtype::Int => "I32",
    }
}
