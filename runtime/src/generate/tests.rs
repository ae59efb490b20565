mod draft;
mod steered;

use std::num::NonZeroUsize;

use super::*;
use crate::config::{LayerType, ModelConfig, RopeConfig};
use crate::model::ModelOptions;
use crate::profile::Profile;
use crate::sampler::{SamplerOptions, philox4x32_10};
use crate::weights::{Expert, Layer, Linear, Matrix, Storage, Weights};

const STOP: u32 = 63;

fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 64,
        hidden_size: 32,
        intermediate_size: 32,
        layer_types: vec![LayerType::Sliding, LayerType::Full],
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 16,
        num_experts: 4,
        experts_per_token: 2,
        sliding_window: 4,
        rms_norm_eps: 1e-5,
        swiglu_limit: 7.0,
        rope: RopeConfig {
            theta: 150_000.0,
            factor: 32.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 4096,
            truncate: false,
        },
        max_position_embeddings: 256,
        eos_token_ids: vec![STOP],
        attention_bias: true,
        tie_word_embeddings: false,
    }
}

/// Weights by chance, a different stream for each matrix.
struct Chance(u32);

impl Chance {
    fn numbers(&mut self, count: usize, scale: f32) -> Vec<f32> {
        self.0 += 1;
        let number = |index| {
            let [word, ..] = philox4x32_10([index as u32, self.0, 0, 0], [0, 0]);
            let value = (word as f32 / 4_294_967_296.0 - 0.5) * scale;
            f32::from_bits(value.to_bits() & 0xffff_0000)
        };
        (0..count).map(number).collect()
    }

    fn matrix(&mut self, rows: usize, cols: usize) -> Matrix {
        let numbers = self.numbers(rows * cols, 1.0);
        let bytes: Vec<u8> =
            numbers.iter().flat_map(|number| ((number.to_bits() >> 16) as u16).to_le_bytes()).collect();
        Matrix { rows, cols, storage: Storage::Bf16 { data: bytes.into(), tiny: true } }
    }

    fn linear(&mut self, rows: usize, cols: usize) -> Linear {
        Linear { matrix: self.matrix(rows, cols), bias: Some(self.numbers(rows, 1.0)) }
    }
}

fn model(profile: Profile) -> Model {
    model_on(profile, 1)
}

fn model_on(profile: Profile, threads: usize) -> Model {
    let (config, weights) = parts();
    Model::new(config, weights, ModelOptions { profile, threads: NonZeroUsize::new(threads), isa: None })
        .unwrap()
}

fn parts() -> (ModelConfig, Weights) {
    let config = config();
    let (hidden, query, key) = (config.hidden_size, config.query_size(), config.key_value_size());
    let mut chance = Chance(0);
    let layers = (0..config.num_layers())
        .map(|_| Layer {
            attention_norm: vec![1.0; hidden],
            query: chance.linear(query, hidden),
            key: chance.linear(key, hidden),
            value: chance.linear(key, hidden),
            sinks: chance.numbers(config.num_attention_heads, 1.0),
            output: chance.linear(hidden, query),
            mlp_norm: vec![1.0; hidden],
            router: chance.linear(config.num_experts, hidden),
            experts: (0..config.num_experts)
                .map(|_| Expert {
                    gate_up: chance.linear(2 * config.intermediate_size, hidden),
                    down: chance.linear(hidden, config.intermediate_size),
                })
                .collect(),
        })
        .collect();
    let weights = Weights {
        embedding: chance.matrix(config.vocab_size, hidden),
        layers,
        norm: vec![1.0; hidden],
        unembedding: chance.matrix(config.vocab_size, hidden),
    };
    (config, weights)
}

fn cache(model: &Model, capacity: usize, chunk: usize) -> KvCache {
    model.new_cache(capacity, chunk).unwrap()
}

/// Options that no stop token ends.
fn options(max_tokens: usize) -> GenerateOptions {
    let sampler = Sampler::new(SamplerOptions { seed: 11, top_p: 0.95, ..Default::default() }).unwrap();
    GenerateOptions {
        sampler,
        max_tokens: Some(max_tokens),
        stop_tokens: Some(Vec::new()),
        ..Default::default()
    }
}

fn tokens(steps: &[Step]) -> Vec<u32> {
    steps.iter().map(|step| step.token).collect()
}

fn generate(model: &Model, prompt: &[u32], cache: &mut KvCache, options: &GenerateOptions) -> Vec<Step> {
    model.generate(prompt, cache, options.clone()).unwrap().map(Result::unwrap).collect()
}

const PROMPT: [u32; 9] = [3, 1, 4, 1, 5, 9, 2, 6, 5];

#[test]
fn steps_are_what_the_reference_and_the_sampler_say() {
    for profile in Profile::ALL {
        let model = model(profile);
        let options = GenerateOptions { logprobs: Some(3), ..options(6) };
        let steps = generate(&model, &PROMPT, &mut cache(&model, 32, 8), &options);
        assert_eq!(steps.len(), 6);
        let mut context = PROMPT.to_vec();
        for (index, step) in steps.iter().enumerate() {
            let logits =
                crate::reference::forward(model.config(), model.weights(), profile, &context, &mut ())
                    .unwrap();
            let row: Vec<f64> = (0..64).map(|token| logits.get(context.len() - 1, token)).collect();
            let softmax = LogSoftmax::new(&row).unwrap();
            let token = options.sampler.sample(&row, context.len() as u64).unwrap();
            let expected = Step {
                token,
                logprob: Some(softmax.of(token).value),
                top_logprobs: softmax.best(3),
                stop: (index == 5).then_some(StopReason::MaxTokens),
            };
            assert_eq!(*step, expected, "{profile} {index}");
            context.push(token);
        }
    }
}

#[test]
fn chunks_and_threads_change_nothing() {
    let model = model(Profile::F32);
    let options = GenerateOptions { logprobs: Some(0), ..options(8) };
    let expected = generate(&model, &PROMPT, &mut cache(&model, 32, 32), &options);
    for chunk in [1, 2, 4, 8, 9] {
        assert_eq!(generate(&model, &PROMPT, &mut cache(&model, 32, chunk), &options), expected, "{chunk}");
    }
    for threads in 1..=3 {
        let model = model_on(Profile::F32, threads);
        let found = generate(&model, &PROMPT, &mut cache(&model, 32, 4), &options);
        assert_eq!(found, expected, "{threads}");
    }
}

#[test]
fn what_is_stopped_and_resumed_goes_on_as_it_would_have() {
    let model = model(Profile::Bf16);
    let expected = tokens(&generate(&model, &PROMPT, &mut cache(&model, 64, 8), &options(20)));
    let mut cache = cache(&model, 64, 8);
    let mut context = PROMPT.to_vec();
    for count in [1, 4, 0, 15] {
        let generation = model.generate(&context, &mut cache, options(20)).unwrap();
        // All but the last token are in the cache, since no pass has read that one.
        assert_eq!(generation.reused(), if context.len() == PROMPT.len() { 0 } else { context.len() - 1 });
        let some: Vec<Step> = generation.take(count).map(Result::unwrap).collect();
        context.extend(tokens(&some));
    }
    assert_eq!(context[PROMPT.len()..], expected);
}

#[test]
fn a_shared_prefix_is_computed_once() {
    let model = model(Profile::F32);
    let fresh = |prompt: &[u32]| tokens(&generate(&model, prompt, &mut cache(&model, 64, 8), &options(3)));
    let mut cache = cache(&model, 64, 8);
    let first = fresh(&PROMPT);
    let mut follow_up = PROMPT.to_vec();
    follow_up.extend(&first);
    follow_up.extend([7, 7]);
    let mut other_end = PROMPT.to_vec();
    other_end[7] = 8;
    let mut long: Vec<u32> = other_end.clone();
    long.extend((0..30).map(|n| n * 5 % 60));
    let mut other_start = long.clone();
    other_start[1] = 2;
    for (prompt, reused) in [
        (&PROMPT[..], 0),
        // The last token of a prompt is computed again for its logits.
        (&PROMPT, 8),
        // Two of the three tokens that were given have been read.
        (&follow_up, 11),
        (&other_end, 7),
        (&long, 9),
        // The sliding layer no longer holds what this would need, so all is computed anew.
        (&PROMPT, 0),
        (&long, 7),
        (&other_start, 0),
    ] {
        let generation = model.generate(prompt, &mut cache, options(3)).unwrap();
        assert_eq!(generation.reused(), reused, "{prompt:?}");
        let steps: Vec<Step> = generation.map(Result::unwrap).collect();
        assert_eq!(tokens(&steps), fresh(prompt), "{prompt:?}");
        assert_eq!(cache.len(), prompt.len() + 2);
    }
}

#[test]
fn each_reason_to_stop_is_told() {
    let model = model(Profile::F32);
    let all = tokens(&generate(&model, &PROMPT, &mut cache(&model, 64, 8), &options(40)));
    let stop = |given: Option<Vec<u32>>, capacity| {
        let options = GenerateOptions { stop_tokens: given, max_tokens: None, ..options(0) };
        let mut cache = cache(&model, capacity, 8);
        let mut generation = model.generate(&PROMPT, &mut cache, options).unwrap();
        let steps: Vec<Step> = generation.by_ref().map(Result::unwrap).collect();
        assert!(generation.next().is_none());
        assert!(steps[..steps.len() - 1].iter().all(|step| step.stop.is_none()));
        assert_eq!(tokens(&steps), all[..steps.len()]);
        (steps.len(), steps[steps.len() - 1].stop.unwrap())
    };
    let place = |token| all.iter().position(|&other| other == token).unwrap() + 1;
    assert_eq!(stop(Some(vec![all[5]]), 64), (place(all[5]), StopReason::StopToken));
    // One position is computed for each token but the last.
    assert_eq!(stop(Some(Vec::new()), 16), (8, StopReason::ContextFull));
    assert_eq!(stop(Some(Vec::new()), 9), (1, StopReason::ContextFull));
    // By default the stop tokens are those of the model.
    let mut own = options(0);
    (own.max_tokens, own.stop_tokens) = (Some(200), None);
    own.sampler = Sampler::new(SamplerOptions { temperature: 1e3, ..Default::default() }).unwrap();
    let steps = generate(&model, &PROMPT, &mut cache(&model, 256, 8), &own);
    let last = &steps[steps.len() - 1];
    assert_eq!((last.token, last.stop), (STOP, Some(StopReason::StopToken)));

    let mut untouched = cache(&model, 16, 8);
    assert!(generate(&model, &PROMPT, &mut untouched, &options(0)).is_empty());
    assert!(untouched.is_empty());
}

#[test]
fn prompts_that_cannot_be_read_are_errors_and_leave_the_cache() {
    let model = model(Profile::F32);
    let mut cache = cache(&model, 12, 8);
    generate(&model, &PROMPT, &mut cache, &options(2));
    let before = cache.tokens().to_vec();
    for (prompt, kind) in
        [(&[][..], ErrorKind::Token), (&[1, 64], ErrorKind::Token), (&[1; 13], ErrorKind::Context)]
    {
        assert_eq!(model.generate(prompt, &mut cache, options(1)).unwrap_err().kind(), kind);
        assert_eq!(cache.tokens(), before);
    }
}

#[test]
fn an_interrupt_ends_it_and_the_cache_can_go_on() {
    let model = model(Profile::F32);
    let expected = tokens(&generate(&model, &PROMPT, &mut cache(&model, 64, 4), &options(6)));
    let interrupt = Arc::new(AtomicBool::new(false));
    let interruptible = GenerateOptions { interrupt: Some(interrupt.clone()), ..options(6) };
    let mut cache = cache(&model, 64, 4);

    let mut generation = model.generate(&PROMPT, &mut cache, interruptible.clone()).unwrap();
    let mut context = PROMPT.to_vec();
    context.extend(tokens(&generation.by_ref().take(2).map(Result::unwrap).collect::<Vec<_>>()));
    interrupt.store(true, Ordering::Relaxed);
    assert_eq!(generation.next().unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
    assert!(generation.next().is_none());
    assert_eq!(cache.tokens(), &context[..context.len() - 1]);

    // Before the first pass, too.
    let mut generation = model.generate(&context, &mut cache, interruptible.clone()).unwrap();
    assert_eq!(generation.next().unwrap().unwrap_err().kind(), ErrorKind::Interrupted);

    interrupt.store(false, Ordering::Relaxed);
    let rest = tokens(&generate(&model, &context, &mut cache, &interruptible));
    assert_eq!(rest[..4], expected[2..]);
}
