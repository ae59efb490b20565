//! How large a model is: parameters, bytes by group, bytes that a token reads, and the cache.

use gptoss_runtime::checkpoint::Checkpoint;
use gptoss_runtime::{LayerType, ModelConfig, Profile};

/// Groups of tensors, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Embedding,
    Unembedding,
    /// Projections, biases and sinks.
    Attention,
    Router,
    /// The four-bit codes of MXFP4.
    ExpertBlocks,
    /// The scale bytes of MXFP4.
    ExpertScales,
    /// Experts that are stored as bf16.
    ExpertMatrices,
    ExpertBiases,
    Norms,
}

impl Group {
    pub(crate) const ALL: [Self; 9] = [
        Self::Embedding,
        Self::Unembedding,
        Self::Attention,
        Self::Router,
        Self::ExpertBlocks,
        Self::ExpertScales,
        Self::ExpertMatrices,
        Self::ExpertBiases,
        Self::Norms,
    ];

    /// The name in tables and in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Unembedding => "unembedding",
            Self::Attention => "attention",
            Self::Router => "router",
            Self::ExpertBlocks => "expert blocks",
            Self::ExpertScales => "expert scales",
            Self::ExpertMatrices => "expert matrices",
            Self::ExpertBiases => "expert biases",
            Self::Norms => "norms",
        }
    }

    /// The group of a weight, by its name in Hugging Face's layout.
    fn of_name(name: &str) -> Self {
        match name {
            "model.embed_tokens.weight" => Self::Embedding,
            "lm_head.weight" => Self::Unembedding,
            name if name.contains(".self_attn.") => Self::Attention,
            name if name.contains(".mlp.router.") => Self::Router,
            name if name.contains(".mlp.experts.") => match name.rsplit_once('_') {
                Some((_, "blocks")) => Self::ExpertBlocks,
                Some((_, "scales")) => Self::ExpertScales,
                Some((_, "bias")) => Self::ExpertBiases,
                _ => Self::ExpertMatrices,
            },
            _ => Self::Norms,
        }
    }

    /// Parameters that this many bytes hold: a code of MXFP4 is one, a scale byte is none, all else is bf16.
    fn parameters(self, bytes: u64) -> u64 {
        match self {
            Self::ExpertBlocks => 2 * bytes,
            Self::ExpertScales => 0,
            _ => bytes / 2,
        }
    }

    /// Whether a token reads only the part of its experts.
    fn is_expert(self) -> bool {
        matches!(self, Self::ExpertBlocks | Self::ExpertScales | Self::ExpertMatrices | Self::ExpertBiases)
    }
}

/// The bytes of a model by group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Size {
    bytes: [u64; Group::ALL.len()],
    experts: u64,
    experts_per_token: u64,
    vocab_size: u64,
}

impl Size {
    /// No bytes yet.
    fn empty(config: &ModelConfig) -> Self {
        Self {
            bytes: [0; Group::ALL.len()],
            experts: config.num_experts as u64,
            experts_per_token: config.experts_per_token as u64,
            vocab_size: config.vocab_size as u64,
        }
    }

    /// What a checkpoint of this shape has where its experts are MXFP4 and all else is bf16, as in the releases.
    pub(crate) fn of_config(config: &ModelConfig) -> Self {
        let of = |number: usize| number as u64;
        let (hidden, inner) = (of(config.hidden_size), of(config.intermediate_size));
        let (query, key) = (of(config.query_size()), of(config.key_value_size()));
        let (layers, experts) = (of(config.num_layers()), of(config.num_experts));
        let projections = (query + 2 * key) * (hidden + 1) + hidden * (query + 1);
        let codes = experts * 3 * inner * hidden;
        let mut size = Self::empty(config);
        size.add(Group::Embedding, 2 * of(config.vocab_size) * hidden);
        size.add(Group::Unembedding, 2 * of(config.vocab_size) * hidden);
        size.add(Group::Attention, 2 * layers * (projections + of(config.num_attention_heads)));
        size.add(Group::Router, 2 * layers * experts * (hidden + 1));
        size.add(Group::ExpertBlocks, layers * codes / 2);
        size.add(Group::ExpertScales, layers * codes / 32);
        size.add(Group::ExpertBiases, 2 * layers * experts * (2 * inner + hidden));
        size.add(Group::Norms, 2 * hidden * (2 * layers + 1));
        size
    }

    /// What a checkpoint has.
    pub(crate) fn of_checkpoint(checkpoint: &Checkpoint) -> Self {
        let mut size = Self::empty(checkpoint.config());
        for part in checkpoint.parts() {
            size.add(Group::of_name(&part.name), part.range.len() as u64);
        }
        size
    }

    /// Counts bytes of a group.
    fn add(&mut self, group: Group, bytes: u64) {
        self.bytes[group as usize] += bytes;
    }

    /// The bytes of a group.
    pub(crate) fn bytes(&self, group: Group) -> u64 {
        self.bytes[group as usize]
    }

    /// All bytes.
    pub(crate) fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// All parameters, as the model card counts them.
    pub(crate) fn parameters(&self) -> u64 {
        Group::ALL.into_iter().map(|group| group.parameters(self.bytes(group))).sum()
    }

    /// Parameters that take part in the products of a token, as the model card counts them: without the embedding.
    pub(crate) fn active_parameters(&self) -> u64 {
        let active = |group: Group| self.share(group, group.parameters(self.bytes(group)));
        let multiplied = |&group: &Group| group != Group::Embedding || self.is_tied();
        Group::ALL.into_iter().filter(multiplied).map(active).sum()
    }

    /// Whether the embedding is the unembedding, too.
    fn is_tied(&self) -> bool {
        self.bytes(Group::Unembedding) == 0
    }

    /// Bytes of weights that one token reads while decoding: one row of the embedding, its experts, all else.
    pub(crate) fn bytes_per_token(&self) -> u64 {
        Group::ALL.into_iter().map(|group| self.bytes_per_token_of(group)).sum()
    }

    /// The same of one group.
    pub(crate) fn bytes_per_token_of(&self, group: Group) -> u64 {
        self.share(group, self.bytes(group))
    }

    /// Floating-point operations of the weights for one position; attention itself and the unembedding not counted.
    pub(crate) fn operations_per_position(&self) -> u64 {
        2 * self.active_parameters() - self.operations_per_row()
    }

    /// Floating-point operations of one row of logits.
    pub(crate) fn operations_per_row(&self) -> u64 {
        let group = if self.is_tied() { Group::Embedding } else { Group::Unembedding };
        2 * group.parameters(self.bytes(group))
    }

    /// The part of a group that one token reads.
    fn share(&self, group: Group, all: u64) -> u64 {
        match group {
            Group::Embedding if !self.is_tied() => all / self.vocab_size.max(1),
            group if group.is_expert() => {
                (u128::from(all) * u128::from(self.experts_per_token) / u128::from(self.experts.max(1)))
                    as u64
            }
            _ => all,
        }
    }
}

/// Bytes of a number of the cache.
fn cache_number(profile: Profile) -> u64 {
    match profile {
        Profile::Bf16 => 2,
        Profile::F32 => 4,
        Profile::F64 => 8,
    }
}

/// Bytes of keys and values of `positions`, of which sliding layers hold at most their window and `chunk` more.
pub(crate) fn cache_bytes(config: &ModelConfig, profile: Profile, positions: usize, chunk: usize) -> u64 {
    let slots = |layer: &LayerType| match layer {
        LayerType::Full => positions,
        LayerType::Sliding => positions.min(config.sliding_window.saturating_add(chunk)),
    };
    let slots: u64 = config.layer_types.iter().map(|layer| slots(layer) as u64).sum();
    slots * 2 * config.key_value_size() as u64 * cache_number(profile)
}

/// Bytes of keys and values that a token behind `positions` others reads.
pub(crate) fn cache_bytes_per_token(config: &ModelConfig, profile: Profile, positions: usize) -> u64 {
    cache_bytes(config, profile, positions, 0)
}

/// Floating-point operations of scores and sums of values for `count` positions behind `depth` others.
pub(crate) fn attention_operations(config: &ModelConfig, depth: usize, count: usize) -> u64 {
    let keys = |layer: &LayerType| -> u64 {
        let visible = |position: usize| match layer {
            LayerType::Full => position + 1,
            LayerType::Sliding => (position + 1).min(config.sliding_window),
        };
        (depth..depth + count).map(|position| visible(position) as u64).sum()
    };
    config.layer_types.iter().map(keys).sum::<u64>() * 4 * config.query_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use gptoss_runtime::synth::{gpt_oss_20b, gpt_oss_120b};

    #[test]
    fn parameters_are_counted_as_in_the_model_card() {
        let small = Size::of_config(&gpt_oss_20b());
        assert_eq!((small.parameters(), small.active_parameters() / 1_000_000), (20_914_757_184, 3608));
        let large = Size::of_config(&gpt_oss_120b());
        assert_eq!((large.parameters(), large.active_parameters() / 1_000_000), (116_829_156_672, 5132));
    }

    #[test]
    fn bytes_are_those_of_the_release() {
        let small = Size::of_config(&gpt_oss_20b());
        assert_eq!(small.total(), 13_761_264_768);
        assert_eq!(small.bytes(Group::Attention), 1_274_406_912);
        assert_eq!(small.bytes(Group::ExpertScales), 597_196_800);
        assert_eq!(Size::of_config(&gpt_oss_120b()).total(), 65_248_815_744);
    }

    #[test]
    fn the_cache_grows_by_the_full_layers_alone() {
        let config = gpt_oss_20b();
        let grown = |profile| cache_bytes(&config, profile, 4096, 0) - cache_bytes(&config, profile, 4095, 0);
        assert_eq!((grown(Profile::Bf16), grown(Profile::F32)), (24_576, 49_152));
        assert_eq!(cache_bytes(&config, Profile::Bf16, 4096, 0), 4096 * 24_576 + 128 * 24_576);
    }
}
