//! Where the time of a test goes.

use std::time::{Duration, Instant};

use gptoss_runtime::tap::{Stage, Tap, TapPoint, TapSite, TapValues};
use gptoss_runtime::weights::{Matrix, Storage, Weights};
use gptoss_runtime::{ModelConfig, Profile};

use super::Test;
use crate::error::Result;
use crate::interrupt::Watch;
use crate::model::size::{self, Group, Size};

/// Adds up the time of each part of a forward pass.
pub(crate) struct Stages {
    watch: Watch,
    running: Option<(Stage, Instant)>,
    times: [Duration; Stage::ALL.len()],
}

impl Stages {
    pub(crate) fn new(watch: Watch) -> Self {
        Self { watch, running: None, times: [Duration::ZERO; Stage::ALL.len()] }
    }

    /// An error if Ctrl-C was pressed.
    pub(crate) fn check(&self) -> Result<()> {
        self.watch.check()
    }

    /// A pass has ended.
    pub(crate) fn end(&mut self) {
        if let Some((stage, began)) = self.running.take() {
            self.times[stage as usize] += began.elapsed();
        }
    }

    /// Begins anew.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.watch);
    }

    /// The seconds of all passes, by stage.
    pub(crate) fn seconds(&self) -> [f64; Stage::ALL.len()] {
        self.times.map(|time| time.as_secs_f64())
    }
}

impl Tap for Stages {
    fn wants(&self, _: TapPoint, _: Option<usize>) -> bool {
        false
    }

    fn record(&mut self, _: TapSite, _: TapValues<'_>) {}

    fn begin(&mut self, stage: Stage) {
        let now = Instant::now();
        if let Some((before, began)) = self.running.replace((stage, now)) {
            self.times[before as usize] += now - began;
        }
    }

    fn interrupted(&self) -> bool {
        self.watch.interrupted()
    }
}

/// How many bytes fewer a token reads because matrices are packed, by stage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saved {
    projections: u64,
    output: u64,
    unembedding: u64,
}

impl Saved {
    pub(crate) fn of(weights: &Weights) -> Self {
        let saved = |matrix: &Matrix| match &matrix.storage {
            Storage::PackedBf16(packed) => {
                (2 * matrix.rows * matrix.cols).saturating_sub(packed.size()) as u64
            }
            _ => 0,
        };
        let mut this = Self { unembedding: saved(&weights.unembedding), ..Self::default() };
        for layer in &weights.layers {
            for linear in [&layer.query, &layer.key, &layer.value] {
                this.projections += saved(&linear.matrix);
            }
            this.output += saved(&layer.output.matrix);
        }
        this
    }

    /// Of all stages.
    pub(crate) fn total(&self) -> u64 {
        self.projections + self.output + self.unembedding
    }
}

/// What the stages of one repetition of a test read and compute; 0 where that is next to nothing.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    /// Bytes of weights and cache; none for a prompt, whose tokens share them.
    pub(crate) bytes: [u64; Stage::ALL.len()],
    /// Floating-point operations.
    pub(crate) operations: [u64; Stage::ALL.len()],
}

impl Work {
    pub(crate) fn of(config: &ModelConfig, size: &Size, profile: Profile, test: Test, saved: &Saved) -> Self {
        let of = |number: usize| number as u64;
        let (hidden, inner) = (of(config.hidden_size), of(config.intermediate_size));
        let (query, key) = (of(config.query_size()), of(config.key_value_size()));
        let (layers, chosen) = (of(config.num_layers()), of(config.experts_per_token));
        let tokens = of(test.tokens());
        let experts = [Group::ExpertBlocks, Group::ExpertScales, Group::ExpertMatrices]
            .map(|group| size.bytes_per_token_of(group))
            .iter()
            .sum::<u64>();
        let unembedding = size.operations_per_row();

        let mut work = Self { bytes: [0; Stage::ALL.len()], operations: [0; Stage::ALL.len()] };
        let mut add = |stage: Stage, bytes_per_token: u64, operations: u64| {
            if test.generated > 0 {
                work.bytes[stage as usize] = bytes_per_token * tokens;
            }
            work.operations[stage as usize] = operations;
        };
        let projections = layers * hidden * (query + 2 * key);
        add(Stage::Projections, 2 * projections - saved.projections, 2 * projections * tokens);
        let middle = test.depth + test.tokens() / 2;
        let cache = size::cache_bytes_per_token(config, profile, middle);
        add(Stage::Attention, cache, size::attention_operations(config, test.depth, test.tokens()));
        let output = layers * hidden * query;
        add(Stage::AttentionOutput, 2 * output - saved.output, 2 * output * tokens);
        let router = layers * hidden * of(config.num_experts);
        add(Stage::Router, 2 * router, 2 * router * tokens);
        let down = layers * chosen * hidden * inner;
        add(Stage::GateUp, experts / 3 * 2, 4 * down * tokens);
        add(Stage::Down, experts / 3, 2 * down * tokens);
        add(Stage::Unembedding, unembedding - saved.unembedding, unembedding * of(test.generated).max(1));
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_of_all_stages_is_that_of_the_model() {
        let config = gptoss_runtime::synth::gpt_oss_20b();
        let size = Size::of_config(&config);
        let test = Test { prompt: 0, generated: 4, depth: 100, draft: None };
        let work = Work::of(&config, &size, Profile::Bf16, test, &Saved::default());
        let bytes: u64 = work.bytes.iter().sum();
        let cache = size::cache_bytes_per_token(&config, Profile::Bf16, 102);
        let all = 4 * (size.bytes_per_token() + cache);
        // Biases, norms, sinks and the row of the embedding are left out.
        assert!(bytes < all && all - bytes < all / 500, "{bytes} of {all}");
        let operations: u64 = work.operations.iter().sum();
        let all = 4 * (size.operations_per_position() + size.operations_per_row())
            + size::attention_operations(&config, 100, 4);
        assert!(operations < all && all - operations < all / 500, "{operations} of {all}");

        let saved = Saved { projections: 5, output: 7, unembedding: 11 };
        let packed = Work::of(&config, &size, Profile::Bf16, test, &saved);
        assert_eq!(bytes - packed.bytes.iter().sum::<u64>(), 4 * saved.total());
    }
}
