//! Taps: every intermediate value has a name.

use ndarray::ArrayView2;

/// The named values of a forward pass, in the order in which they are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TapPoint {
    /// Embedding rows, `[positions, hidden]`.
    Embedding,
    /// Norm before attention, `[positions, hidden]`.
    AttentionNorm,
    /// Queries with bias before rotation, `[positions, heads * head_dim]`.
    Query,
    /// Keys with bias before rotation, `[positions, key heads * head_dim]`.
    Key,
    /// Values with bias, `[positions, key heads * head_dim]`.
    Value,
    /// Queries after rotation.
    QueryRotated,
    /// Keys after rotation.
    KeyRotated,
    /// Scores after scaling, of one query head: `[positions, keys]`; keys that are not visible are -inf.
    Scores,
    /// Probabilities of one query head, `[positions, keys]`; keys that are not visible are 0.
    Probabilities,
    /// What attention reads, `[positions, heads * head_dim]`.
    Context,
    /// Output projection with bias, `[positions, hidden]`.
    AttentionOutput,
    /// Residual stream after attention, `[positions, hidden]`.
    AttentionResidual,
    /// Norm before the experts, `[positions, hidden]`.
    MlpNorm,
    /// Router logits, `[positions, experts]`.
    RouterLogits,
    /// Chosen experts by rank, `[positions, experts_per_token]`; whole numbers.
    ExpertIds,
    /// Their weights by rank, `[positions, experts_per_token]`.
    ExpertWeights,
    /// Gate and up rows interleaved, with bias, of the expert at one rank: `[positions, 2 * intermediate]`.
    GateUp,
    /// SwiGLU of the expert at one rank, `[positions, intermediate]`.
    Activation,
    /// Down projection with bias of the expert at one rank, `[positions, hidden]`.
    Down,
    /// Sum of the experts, `[positions, hidden]`.
    MlpOutput,
    /// Residual stream after the layer, `[positions, hidden]`.
    LayerOutput,
    /// The last norm, `[rows, hidden]`.
    FinalNorm,
    /// Logits, `[rows, vocabulary]`.
    Logits,
}

impl TapPoint {
    /// All of them, in order.
    pub const ALL: [Self; 23] = [
        Self::Embedding,
        Self::AttentionNorm,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::QueryRotated,
        Self::KeyRotated,
        Self::Scores,
        Self::Probabilities,
        Self::Context,
        Self::AttentionOutput,
        Self::AttentionResidual,
        Self::MlpNorm,
        Self::RouterLogits,
        Self::ExpertIds,
        Self::ExpertWeights,
        Self::GateUp,
        Self::Activation,
        Self::Down,
        Self::MlpOutput,
        Self::LayerOutput,
        Self::FinalNorm,
        Self::Logits,
    ];

    /// The name in files and on a command line: lower case with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::AttentionNorm => "attention_norm",
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::QueryRotated => "query_rotated",
            Self::KeyRotated => "key_rotated",
            Self::Scores => "scores",
            Self::Probabilities => "probabilities",
            Self::Context => "context",
            Self::AttentionOutput => "attention_output",
            Self::AttentionResidual => "attention_residual",
            Self::MlpNorm => "mlp_norm",
            Self::RouterLogits => "router_logits",
            Self::ExpertIds => "expert_ids",
            Self::ExpertWeights => "expert_weights",
            Self::GateUp => "gate_up",
            Self::Activation => "activation",
            Self::Down => "down",
            Self::MlpOutput => "mlp_output",
            Self::LayerOutput => "layer_output",
            Self::FinalNorm => "final_norm",
            Self::Logits => "logits",
        }
    }

    /// The point of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.name() == name)
    }

    /// Whether each layer has it; the embedding, the last norm and the logits stand alone.
    #[must_use]
    pub const fn is_of_layer(self) -> bool {
        !matches!(self, Self::Embedding | Self::FinalNorm | Self::Logits)
    }
}

/// The parts of a forward pass, in the order in which they are computed; all but the first and the last two are done
/// once a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Rows of the embedding, and the angles of the rotation.
    Embedding,
    /// Norm before attention.
    AttentionNorm,
    /// Query, key and value projections.
    Projections,
    /// Rotation of queries and keys.
    Rotation,
    /// Keys and values are written to the cache.
    Cache,
    /// Scores, softmax and sums of values.
    Attention,
    /// Output projection and its addition to the residual stream.
    AttentionOutput,
    /// Norm before the experts.
    MlpNorm,
    /// Router logits, and the choice of experts.
    Router,
    /// Gate and up projections of the experts, and SwiGLU.
    GateUp,
    /// Down projections of the experts.
    Down,
    /// Sum of the experts and its addition to the residual stream.
    ExpertSum,
    /// The last norm.
    FinalNorm,
    /// Logits.
    Unembedding,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Embedding,
        Self::AttentionNorm,
        Self::Projections,
        Self::Rotation,
        Self::Cache,
        Self::Attention,
        Self::AttentionOutput,
        Self::MlpNorm,
        Self::Router,
        Self::GateUp,
        Self::Down,
        Self::ExpertSum,
        Self::FinalNorm,
        Self::Unembedding,
    ];

    /// A short name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::AttentionNorm => "attention norm",
            Self::Projections => "query, key, value",
            Self::Rotation => "rotation",
            Self::Cache => "cache",
            Self::Attention => "attention",
            Self::AttentionOutput => "attention output",
            Self::MlpNorm => "experts' norm",
            Self::Router => "router",
            Self::GateUp => "gate and up",
            Self::Down => "down",
            Self::ExpertSum => "sum of experts",
            Self::FinalNorm => "last norm",
            Self::Unembedding => "unembedding",
        }
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TapSite {
    /// Which value it is.
    pub point: TapPoint,
    /// The layer, for values of a layer.
    pub layer: Option<usize>,
    /// The query head of `Scores` and `Probabilities`, the rank of `GateUp`, `Activation` and `Down`.
    pub slot: Option<usize>,
    /// The absolute position of the first row; the others follow without a gap.
    pub position: usize,
}

/// Values of a tap: f32 in the profiles `bf16` and `f32`, f64 in `f64`.
#[derive(Clone, Copy, Debug)]
pub enum TapValues<'a> {
    /// Of `bf16` and `f32`.
    F32(ArrayView2<'a, f32>),
    /// Of `f64`.
    F64(ArrayView2<'a, f64>),
}

/// Receives the intermediate values of a forward pass.
///
/// `()` takes nothing and costs nothing: a value that no tap wants is not collected.
pub trait Tap: Send {
    /// Whether this point of this layer is wanted; values that are not are not collected.
    fn wants(&self, point: TapPoint, layer: Option<usize>) -> bool {
        let _ = (point, layer);
        true
    }

    /// Takes the values at a site.
    fn record(&mut self, site: TapSite, values: TapValues<'_>);

    /// Tells that a part of the pass begins; the one before it has ended.
    fn begin(&mut self, stage: Stage) {
        let _ = stage;
    }

    /// Whether the pass is to end here with [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted); asked before each
    /// layer.
    fn interrupted(&self) -> bool {
        false
    }
}

impl Tap for () {
    fn wants(&self, _: TapPoint, _: Option<usize>) -> bool {
        false
    }

    fn record(&mut self, _: TapSite, _: TapValues<'_>) {}
}
