//! Drafts change how long the tokens take, and nothing else.

use proptest::prelude::*;

use super::*;

/// A step with the bits of its log-probabilities.
type StepBits = (u32, Option<u64>, Vec<(u32, u64)>, Option<StopReason>);

fn bits(step: &Step) -> StepBits {
    let top = step.top_logprobs.iter().map(|top| (top.token, top.value.to_bits())).collect();
    (step.token, step.logprob.map(f64::to_bits), top, step.stop)
}

/// All that a generation leaves.
#[derive(Debug, PartialEq)]
struct Outcome {
    steps: Vec<StepBits>,
    error: Option<ErrorKind>,
    cached: Vec<u32>,
    /// What follows when generation goes on from the cache, without drafts.
    next: Vec<StepBits>,
}

impl Outcome {
    fn text(&self) -> Vec<u32> {
        self.steps.iter().map(|step| step.0).collect()
    }
}

/// What a drafter has read before: nothing, or the prompt with these tokens after it.
type Foresight<'a> = Option<&'a [u32]>;

fn foresee(drafter: &mut Option<Drafter>, foresight: Foresight<'_>, prompt: &[u32]) {
    if let (Some(drafter), Some(foresight)) = (drafter, foresight) {
        let mut seer = Drafter::new(drafter.limit());
        seer.extend([prompt, foresight, prompt].concat());
        *drafter = seer;
    }
}

fn outcome(
    model: &Model,
    prompt: &[u32],
    cache: &mut KvCache,
    options: &GenerateOptions,
    foresight: Foresight<'_>,
) -> (Outcome, DraftCounts) {
    let mut generation = model.generate(prompt, cache, options.clone()).unwrap();
    foresee(&mut generation.drafter, foresight, prompt);
    let (mut steps, mut error, mut context) = (Vec::new(), None, prompt.to_vec());
    for step in generation.by_ref() {
        match step {
            Ok(step) => {
                context.push(step.token);
                steps.push(bits(&step));
            }
            Err(found) => error = Some(found.kind()),
        }
    }
    let counts = generation.draft_counts();
    assert_eq!(steps.len(), counts.passes + counts.accepted, "{counts:?}");
    let cached = cache.tokens().to_vec();
    let mut next = Vec::new();
    if context.len() <= cache.capacity() {
        let on = GenerateOptions { draft: 0, max_tokens: Some(3), ..options.clone() };
        let generation = model.generate(&context, cache, on).unwrap();
        assert_eq!(generation.reused(), context.len() - 1);
        next.extend(generation.map_while(Result::ok).map(|step| bits(&step)));
    }
    (Outcome { steps, error, cached, next }, counts)
}

/// `text` with another token at every `period`-th place.
fn disturbed(text: &[u32], period: usize) -> Vec<u32> {
    text.iter().enumerate().map(|(n, &token)| token ^ u32::from(n % period == period - 1)).collect()
}

fn samplers() -> [Sampler; 7] {
    let plain = SamplerOptions { seed: 5, ..SamplerOptions::default() };
    [
        SamplerOptions::greedy(),
        plain,
        SamplerOptions { temperature: 0.3, ..plain },
        SamplerOptions { top_k: Some(4), ..plain },
        SamplerOptions { top_p: 0.6, ..plain },
        SamplerOptions { min_p: 0.2, temperature: 2.0, ..plain },
        SamplerOptions { top_k: Some(20), top_p: 0.9, min_p: 0.01, ..plain },
    ]
    .map(|options| Sampler::new(options).unwrap())
}

/// Every draft length with every sampler, where drafts are right, wrong and partly right.
fn every_draft(profile: Profile) {
    let model = model(profile);
    let mut sum = DraftCounts::default();
    for sampler in samplers() {
        let mut options = GenerateOptions { sampler, logprobs: Some(2), ..options(30) };
        let (expected, counts) = outcome(&model, &PROMPT, &mut cache(&model, 60, 12), &options, None);
        assert_eq!(counts, DraftCounts { passes: 30, drafted: 0, accepted: 0 });
        let text = expected.text();
        let wrong = disturbed(&text, 7);
        for draft in [1, 2, 3, 8, 40] {
            options.draft = draft;
            for (foresight, chunk) in
                [(None, 12), (Some(&text), 64), (Some(&text), 2), (Some(&wrong), 9), (Some(&wrong), 1)]
            {
                let foresight = foresight.map(Vec::as_slice);
                let (found, counts) =
                    outcome(&model, &PROMPT, &mut cache(&model, 60, chunk), &options, foresight);
                assert_eq!(found, expected, "{profile} {sampler:?} {draft} {foresight:?} {chunk}");
                if chunk == 1 {
                    assert_eq!(counts.drafted, 0);
                }
                if chunk == 64 {
                    // All drafts are right; the first token comes from the prompt's pass.
                    assert_eq!(counts.accepted, counts.drafted);
                    assert_eq!(counts.passes, 1 + 29_usize.div_ceil(draft + 1));
                }
                sum.drafted += counts.drafted;
                sum.accepted += counts.accepted;
            }
        }
    }
    assert!(sum.accepted > 1000 && sum.drafted > sum.accepted + 100, "{profile} {sum:?}");
}

#[test]
fn every_draft_and_sampler_gives_the_same_bits_in_bf16() {
    every_draft(Profile::Bf16);
}

#[test]
fn every_draft_and_sampler_gives_the_same_bits_in_f32() {
    every_draft(Profile::F32);
}

#[test]
fn every_draft_and_sampler_gives_the_same_bits_in_f64() {
    every_draft(Profile::F64);
}

#[test]
fn a_text_that_repeats_itself_is_drafted_from_itself() {
    let model = model(Profile::F32);
    let block: Vec<u32> = (0..10).map(|n| n * 7 % 60).collect();
    let forced = block.repeat(8);
    let mut options = GenerateOptions { forced: forced.clone(), logprobs: Some(1), ..options(80) };
    let (expected, _) = outcome(&model, &block, &mut cache(&model, 128, 16), &options, None);
    options.draft = 8;
    let (found, counts) = outcome(&model, &block, &mut cache(&model, 128, 16), &options, None);
    assert_eq!(found.text(), forced);
    assert_eq!(found, expected);
    // Two tokens are not foreseen; the other 78 come from passes of nine.
    assert_eq!(counts, DraftCounts { passes: 11, drafted: 69, accepted: 69 });
}

#[test]
fn drafts_that_keep_being_wrong_are_no_longer_paid_for() {
    let model = model(Profile::F32);
    // The same two tokens return, and another one follows them each time.
    let text: Vec<u32> = (3..36).flat_map(|n| [1, 2, n]).collect();
    let options = GenerateOptions { draft: 8, forced: text, ..options(99) };
    let (_, counts) = outcome(&model, &[40, 1, 2], &mut cache(&model, 128, 16), &options, None);
    assert_eq!(counts.accepted, 0);
    assert_eq!(counts.drafted, 8 + 4 + 2 + 1);
}

#[test]
fn a_stop_token_within_a_draft_ends_it_there() {
    let model = model(Profile::F32);
    let (plain, _) = outcome(&model, &PROMPT, &mut cache(&model, 64, 16), &options(12), None);
    let text = plain.text();
    let place = text.iter().position(|&token| token == text[5]).unwrap();
    let mut options = GenerateOptions { stop_tokens: Some(vec![text[5]]), ..options(12) };
    let (expected, _) = outcome(&model, &PROMPT, &mut cache(&model, 64, 16), &options, None);
    assert_eq!(expected.steps[place].3, Some(StopReason::StopToken));
    options.draft = 11;
    let (found, counts) = outcome(&model, &PROMPT, &mut cache(&model, 64, 16), &options, Some(&text));
    assert_eq!(found, expected);
    // The draft went on beyond it.
    assert_eq!(counts.passes, 2);
    assert!(counts.drafted > counts.accepted, "{counts:?}");
}

#[test]
fn no_position_is_computed_whose_token_cannot_be_given() {
    let model = model(Profile::F32);
    for (capacity, most) in [(9, None), (10, None), (16, None), (16, Some(5)), (40, Some(1)), (40, Some(6))] {
        let mut options = GenerateOptions { max_tokens: most, ..options(0) };
        let (expected, _) = outcome(&model, &PROMPT, &mut cache(&model, capacity, 16), &options, None);
        let count = expected.steps.len();
        let reason = if most.is_none() { StopReason::ContextFull } else { StopReason::MaxTokens };
        assert_eq!(expected.steps[count - 1].3, Some(reason));
        let text = [expected.text(), vec![1, 2, 3, 4, 5]].concat();
        options.draft = 15;
        let (found, counts) =
            outcome(&model, &PROMPT, &mut cache(&model, capacity, 16), &options, Some(&text));
        assert_eq!(found, expected, "{capacity} {most:?}");
        let drafted = count.saturating_sub(2);
        assert_eq!(counts, DraftCounts { passes: count.min(2), drafted, accepted: drafted });
    }
}

#[test]
fn interrupted_anywhere_the_cache_is_that_of_the_tokens_given() {
    let model = model(Profile::Bf16);
    let (plain, _) = outcome(&model, &PROMPT, &mut cache(&model, 64, 8), &options(20), None);
    let text = plain.text();
    for count in 0..20 {
        let interrupt = Arc::new(AtomicBool::new(false));
        let options = GenerateOptions { draft: 6, interrupt: Some(interrupt.clone()), ..options(20) };
        let mut cache = cache(&model, 64, 8);
        let mut generation = model.generate(&PROMPT, &mut cache, options.clone()).unwrap();
        foresee(&mut generation.drafter, Some(&text), &PROMPT);
        let some: Vec<Step> = generation.by_ref().take(count).map(Result::unwrap).collect();
        let context = [&PROMPT[..], &tokens(&some)].concat();
        assert_eq!(context[PROMPT.len()..], text[..count]);
        interrupt.store(true, Ordering::Relaxed);
        assert_eq!(generation.next().unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
        assert!(generation.next().is_none());
        assert_eq!(cache.tokens(), if count == 0 { &[] } else { &context[..context.len() - 1] });

        interrupt.store(false, Ordering::Relaxed);
        let rest = generate(&model, &context, &mut cache, &options);
        assert_eq!(tokens(&rest)[..20 - count], text[count..]);
    }
}

#[test]
fn a_drafted_token_that_cannot_be_computed_is_no_error() {
    let (config, mut weights) = parts();
    let Storage::Bf16 { data, .. } = &weights.embedding.storage else { unreachable!() };
    let mut bytes = data.to_vec();
    // The embedding of token 0 is infinite.
    bytes[..2].copy_from_slice(&[0x80, 0x7f]);
    weights.embedding.storage = Storage::Bf16 { data: bytes.into(), tiny: true };
    let model = Model::new(config, weights, ModelOptions::default()).unwrap();
    let text: Vec<u32> = (0..20).map(|n| 1 + n * 3 % 60).collect();
    let mut wrong = text.clone();
    wrong[4] = 0;

    let mut options = GenerateOptions { forced: text, ..options(20) };
    let (expected, _) = outcome(&model, &PROMPT, &mut cache(&model, 64, 16), &options, None);
    assert_eq!((expected.steps.len(), expected.error), (20, None));
    options.draft = 10;
    let (found, counts) = outcome(&model, &PROMPT, &mut cache(&model, 64, 16), &options, Some(&wrong));
    assert_eq!(found, expected);
    // The passes that met it were done again without a draft.
    assert!(counts.passes >= 5, "{counts:?}");

    // Where it is the text's own, it is an error.
    options.forced = wrong.clone();
    let (found, _) = outcome(&model, &PROMPT, &mut cache(&model, 64, 16), &options, Some(&wrong));
    options.draft = 0;
    let (expected, _) = outcome(&model, &PROMPT, &mut cache(&model, 64, 16), &options, None);
    assert_eq!((expected.steps.len(), expected.error), (5, Some(ErrorKind::NotFinite)));
    assert_eq!(found, expected);
}

#[test]
fn the_cache_is_saved_as_the_same_file() {
    let model = model(Profile::Bf16);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.safetensors");
    let saved = |draft, foresight: Foresight<'_>| {
        // No more positions than a sliding layer has slots, so that it holds all of them.
        let mut cache = cache(&model, 30, 26);
        let options = GenerateOptions { draft, ..options(15) };
        let mut generation = model.generate(&PROMPT, &mut cache, options).unwrap();
        foresee(&mut generation.drafter, foresight, &PROMPT);
        let steps: Vec<Step> = generation.by_ref().map(Result::unwrap).collect();
        let counts = generation.draft_counts();
        cache.save(&path, &[7; 32]).unwrap();
        (tokens(&steps), std::fs::read(&path).unwrap(), counts)
    };
    let (text, expected, _) = saved(0, None);
    let (_, found, counts) = saved(8, Some(&disturbed(&text, 6)));
    assert!(counts.accepted > 0 && counts.drafted > counts.accepted, "{counts:?}");
    assert!(found == expected);
}

#[test]
fn a_cache_whose_window_has_moved_on_is_saved_and_gone_on_with() {
    let model = model(Profile::F32);
    let (plain, _) = outcome(&model, &PROMPT, &mut cache(&model, 128, 4), &options(90), None);
    let (text, wrong) = (plain.text(), disturbed(&plain.text(), 5));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.safetensors");
    for count in [20, 33, 34, 35, 60] {
        let mut cache = cache(&model, 128, 4);
        let options = GenerateOptions { draft: 3, ..options(90) };
        let mut generation = model.generate(&PROMPT, &mut cache, options).unwrap();
        foresee(&mut generation.drafter, Some(&wrong), &PROMPT);
        let steps: Vec<Step> = generation.by_ref().take(count).map(Result::unwrap).collect();
        let counts = generation.draft_counts();
        assert!(counts.accepted > 0 && counts.drafted > counts.accepted, "{counts:?}");
        cache.save(&path, &[7; 32]).unwrap();
        let mut loaded = KvCache::load(&path, model.config(), Profile::F32, &[7; 32], 128, 4).unwrap();
        let context = [&PROMPT[..], &tokens(&steps)].concat();
        let on = self::options(90 - count);
        let generation = model.generate(&context, &mut loaded, on).unwrap();
        assert_eq!(generation.reused(), context.len() - 1);
        let rest: Vec<u32> = generation.map(|step| step.unwrap().token).collect();
        assert_eq!(rest, text[count..], "{count}");
    }
}

#[test]
fn a_forced_token_outside_the_vocabulary_is_an_error() {
    let model = model(Profile::F32);
    let options = GenerateOptions { forced: vec![3, 64], ..options(4) };
    let mut cache = cache(&model, 32, 8);
    let error = model.generate(&PROMPT, &mut cache, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Token);
    assert_eq!(error.rule(), "the forced token 64 is outside the vocabulary of 64");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_drafted_nothing_changes(
        prompt in prop::collection::vec(0_u32..64, 1..20),
        forced in prop::collection::vec(0_u32..4, 0..30),
        (capacity, chunk, draft) in (20_usize..64, 1_usize..20, 1_usize..20),
        (temperature, seed) in (prop::sample::select(vec![0.0, 0.2, 1.0]), any::<u64>()),
        max_tokens in prop::option::of(1_usize..40),
        stop_tokens in prop::collection::vec(0_u32..64, 0..3),
        noise in prop::collection::vec((0_usize..50, 0_u32..64), 0..6),
    ) {
        let model = model(Profile::F32);
        let cache = || cache(&model, capacity, chunk);
        let options = |draft| GenerateOptions {
            sampler: Sampler::new(SamplerOptions { temperature, seed, ..SamplerOptions::default() }).unwrap(),
            max_tokens,
            stop_tokens: Some(stop_tokens.clone()),
            logprobs: Some(1),
            interrupt: None,
            draft,
            forced: forced.clone(),
        };
        let (expected, _) = outcome(&model, &prompt, &mut cache(), &options(0), None);
        let (found, _) = outcome(&model, &prompt, &mut cache(), &options(draft), None);
        prop_assert_eq!(&found, &expected);
        let mut text = [expected.text(), (0..8).collect()].concat();
        for (place, token) in noise {
            if let Some(old) = text.get_mut(place) {
                *old = token;
            }
        }
        let (found, _) = outcome(&model, &prompt, &mut cache(), &options(draft), Some(&text));
        prop_assert_eq!(&found, &expected);
    }
}
