//! Tokens that the caller bars or forces.

use super::*;

/// The bits of these tokens.
fn bits(tokens: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut words = vec![0; 2];
    tokens.into_iter().for_each(|token| words[token as usize / 32] |= 1 << (token % 32));
    words
}

#[test]
fn all_tokens_allowed_is_no_limit_and_words_that_are_missing_allow_none() {
    let model = model(Profile::Bf16);
    let expected = generate(&model, &PROMPT, &mut cache(&model, 64, 8), &options(12));
    let mut fresh = cache(&model, 64, 8);
    let mut generation = model.generate(&PROMPT, &mut fresh, options(12)).unwrap();
    let all = bits(0..64);
    let found: Vec<Step> = std::iter::from_fn(|| generation.next_allowed(&all)).map(Result::unwrap).collect();
    assert_eq!(found, expected);

    let mut fresh = cache(&model, 64, 8);
    let mut generation = model.generate(&PROMPT, &mut fresh, options(40)).unwrap();
    while let Some(step) = generation.next_allowed(&all[..1]) {
        assert!(step.unwrap().token < 32);
    }
}

#[test]
fn what_is_allowed_is_chosen_as_if_the_rest_had_no_weight() {
    let model = model(Profile::F64);
    let options = GenerateOptions { logprobs: Some(64), ..options(6) };
    let allowed = [3, 8, 31, 32, 40, 63];
    let mut fresh = cache(&model, 64, 8);
    let mut generation = model.generate(&PROMPT, &mut fresh, options.clone()).unwrap();
    let mut context = PROMPT.to_vec();
    for _ in 0..6 {
        let step = generation.next_allowed(&bits(allowed)).unwrap().unwrap();
        let logits =
            crate::reference::forward(model.config(), model.weights(), Profile::F64, &context, &mut ())
                .unwrap();
        let row: Vec<f64> = (0..64).map(|token| logits.get(context.len() - 1, token)).collect();
        let barred = |token| if allowed.contains(&token) { row[token as usize] } else { f64::NEG_INFINITY };
        let only: Vec<f64> = (0..64).map(barred).collect();
        assert_eq!(step.token, options.sampler.sample(&only, context.len() as u64).unwrap());
        // The log-probability is that among all tokens.
        assert_eq!(step.logprob, Some(LogSoftmax::new(&row).unwrap().of(step.token).value));
        context.push(step.token);
    }
}

#[test]
fn nothing_allowed_is_an_error() {
    let model = model(Profile::F32);
    let mut fresh = cache(&model, 64, 8);
    let mut generation = model.generate(&PROMPT, &mut fresh, options(6)).unwrap();
    assert_eq!(generation.next_allowed(&[]).unwrap().unwrap_err().kind(), ErrorKind::NotFinite);
    assert!(generation.next_allowed(&[1]).is_none());
    assert!(generation.force(1).is_none());
}

/// Forced tokens are those of a prompt that has them, in fewer passes.
#[test]
fn forced_tokens_change_what_follows_as_a_prompt_would() {
    let model = model(Profile::Bf16);
    for draft in [0, 3] {
        let options = GenerateOptions { draft, ..options(12) };
        let mut fresh = cache(&model, 64, 4);
        let mut generation = model.generate(&PROMPT, &mut fresh, options.clone()).unwrap();
        let mut context = PROMPT.to_vec();
        let forced = [7, 7, 1, 2, 50, 7];
        context.push(generation.next().unwrap().unwrap().token);
        for token in forced {
            let step = generation.force(token).unwrap().unwrap();
            assert_eq!(step, Step { token, logprob: None, top_logprobs: Vec::new(), stop: None });
            context.push(token);
        }
        let rest: Vec<u32> = generation.by_ref().map(|step| step.unwrap().token).collect();
        assert_eq!(rest.len(), 12 - 7, "forced tokens count");
        if draft == 0 {
            assert_eq!(generation.draft_counts().passes, 1 + 5, "no pass is made for a forced token");
        }
        let expected = generate(&model, &context, &mut cache(&model, 64, 8), &super::options(5));
        assert_eq!(rest, tokens(&expected));
        context.extend(rest);
        assert_eq!(fresh.tokens(), &context[..context.len() - 1]);
    }
}

#[test]
fn a_forced_token_ends_a_generation_like_any_other() {
    let model = model(Profile::F32);
    let force = |options: GenerateOptions, capacity, forced: &[u32]| {
        let mut fresh = cache(&model, capacity, 8);
        let mut generation = model.generate(&PROMPT, &mut fresh, options).unwrap();
        let stops: Vec<_> = forced
            .iter()
            .map_while(|&token| generation.force(token))
            .map(|step| step.unwrap().stop)
            .collect();
        assert!(stops[..stops.len() - 1].iter().all(Option::is_none));
        (stops.len(), stops[stops.len() - 1])
    };
    let stopping = GenerateOptions { stop_tokens: Some(vec![5]), ..options(10) };
    assert_eq!(force(stopping, 64, &[1, 2, 5, 3]), (3, Some(StopReason::StopToken)));
    assert_eq!(force(options(3), 64, &[1; 9]), (3, Some(StopReason::MaxTokens)));
    let full = GenerateOptions { max_tokens: None, ..options(0) };
    assert_eq!(force(full, 12, &[1; 9]), (4, Some(StopReason::ContextFull)));
    let mut fresh = cache(&model, 12, 8);
    let mut generation = model.generate(&PROMPT, &mut fresh, options(3)).unwrap();
    assert_eq!(generation.force(64).unwrap().unwrap_err().kind(), ErrorKind::Token);
    assert!(generation.next().is_none());
}
