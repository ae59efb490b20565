//! Generation: an iterator of tokens over a model and a cache.

mod verify;

use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::draft::Drafter;
use crate::error::{Error, ErrorKind, Result};
use crate::logits::Logits;
use crate::model::Model;
use crate::model::kv_cache::KvCache;
use crate::numerics::Real;
use crate::sampler::{LogSoftmax, Logprob, Sampler};
use crate::tap::{Tap, TapPoint, TapSite, TapValues};
use verify::Verified;

/// How tokens are generated, and until when.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// How a token is chosen.
    pub sampler: Sampler,
    /// The greatest number of tokens; without it, generation goes on until another reason ends it.
    pub max_tokens: Option<usize>,
    /// The tokens that end a generation; without them, those that the model's files declare.
    pub stop_tokens: Option<Vec<u32>>,
    /// Gives the log-probability of each token, and of this many of the likeliest beside it.
    pub logprobs: Option<usize>,
    /// Set to true from any thread, it ends the work within a layer's time with [`ErrorKind::Interrupted`].
    pub interrupt: Option<Arc<AtomicBool>>,
    /// Up to this many tokens are guessed from the text so far ([`Drafter`]) and verified in one pass; 0 guesses none.
    ///
    /// It changes how long the same tokens, log-probabilities and errors take, which pays where text repeats itself. A pass
    /// has at most as many tokens as the cache's chunk, so a draft has at most one less; where drafts were wrong, the
    /// sliding layers hold up to `draft` positions less of what lies before their window
    /// ([`KvCache::least_truncation`]).
    pub draft: usize,
    /// Tokens that are given first, whatever the sampler would choose: to score a text or to measure with it.
    pub forced: Vec<u32>,
}

/// What passes and drafts came to. Each token given comes from a pass of its own, from an accepted draft, or from
/// [`Generation::force`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DraftCounts {
    /// Passes that gave a token; a prompt counts as one.
    pub passes: usize,
    /// Tokens that were drafted and computed.
    pub drafted: usize,
    /// Those of them that were given, too.
    pub accepted: usize,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The token is one of the stop tokens.
    StopToken,
    /// As many tokens as were asked for are there.
    MaxTokens,
    /// The cache has no room for the token, so that none can follow.
    ContextFull,
}

/// One generated token.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The token; a stop token is given like any other.
    pub token: u32,
    /// ln of its probability before temperature and filters, where [`GenerateOptions::logprobs`] asks for it.
    pub logprob: Option<f64>,
    /// The likeliest tokens, the likeliest first; as many as asked for.
    pub top_logprobs: Vec<Logprob>,
    /// Why this is the last token, if it is.
    pub stop: Option<StopReason>,
}

/// The tokens that follow a prompt, computed one by one as they are asked for; made by [`Model::generate`].
///
/// It may be dropped at any time. The cache then holds the prompt and the tokens that were given, but for the last of them,
/// which no pass has read yet; a generation from all of them goes on with the tokens that would have come.
#[derive(Debug)]
pub struct Generation<'a> {
    model: &'a Model,
    cache: &'a mut KvCache,
    options: GenerateOptions,
    /// Tokens that follow those in the cache and are not computed yet.
    pending: Vec<u32>,
    /// The logits of the last pass.
    verified: Option<Verified>,
    drafter: Option<Drafter>,
    counts: DraftCounts,
    reused: usize,
    given: usize,
    ended: bool,
}

impl Model {
    /// Generates what follows `prompt`.
    ///
    /// Where `cache` begins with tokens of the prompt, these are not computed again; what the cache holds beyond them is
    /// dropped. The prompt is read in chunks of the cache's size when the first token is asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Token`] if the prompt is empty or a token of it, or a forced one, is outside the vocabulary,
    /// [`ErrorKind::Context`] if the cache has no room for it. An error of the iterator ends it.
    ///
    /// ```no_run
    /// use std::path::Path;
    ///
    /// use gptoss_runtime::{GenerateOptions, Model, ModelOptions};
    ///
    /// let model = Model::load(Path::new("gpt-oss-20b"), ModelOptions::default())?;
    /// let mut cache = model.new_cache(4096, 128)?;
    /// let options = GenerateOptions { max_tokens: Some(100), ..GenerateOptions::default() };
    /// for step in model.generate(&[200006, 17360, 200008], &mut cache, options)? {
    ///     println!("{}", step?.token);
    /// }
    /// # Ok::<(), gptoss_runtime::Error>(())
    /// ```
    pub fn generate<'a>(
        &'a self,
        prompt: &[u32],
        cache: &'a mut KvCache,
        options: GenerateOptions,
    ) -> Result<Generation<'a>> {
        let Some((_, all_but_last)) = prompt.split_last() else {
            return Err(Error::new(ErrorKind::Token, "a prompt has at least one token"));
        };
        let vocab_size = self.config().vocab_size;
        if let Some(place) = prompt.iter().position(|&token| token as usize >= vocab_size) {
            let rule =
                format!("token {} at {place} is outside the vocabulary of {vocab_size}", prompt[place]);
            return Err(Error::new(ErrorKind::Token, rule));
        }
        if let Some(token) = options.forced.iter().find(|&&token| token as usize >= vocab_size) {
            let rule = format!("the forced token {token} is outside the vocabulary of {vocab_size}");
            return Err(Error::new(ErrorKind::Token, rule));
        }
        if prompt.len() > cache.capacity() {
            let rule = format!(
                "a prompt of {} tokens does not fit into a context of {}",
                prompt.len(),
                cache.capacity()
            );
            return Err(Error::new(ErrorKind::Context, rule));
        }
        // The last token of the prompt is computed in any case: its logits are wanted.
        let shared = cache.tokens().iter().zip(all_but_last).take_while(|(a, b)| a == b).count();
        if shared < cache.len() {
            if shared >= cache.least_truncation() {
                cache.truncate(shared)?;
            } else {
                cache.clear();
            }
        }
        let drafter = (options.draft > 0).then(|| {
            let mut drafter = Drafter::new(options.draft);
            drafter.extend(prompt.iter().copied());
            drafter
        });
        Ok(Generation {
            model: self,
            reused: cache.len(),
            pending: prompt[cache.len()..].to_vec(),
            cache,
            ended: options.max_tokens == Some(0),
            options,
            verified: None,
            drafter,
            counts: DraftCounts::default(),
            given: 0,
        })
    }
}

impl Generation<'_> {
    /// How many tokens of the prompt the cache held already.
    #[must_use]
    pub fn reused(&self) -> usize {
        self.reused
    }

    /// What passes and drafts came to so far.
    #[must_use]
    pub fn draft_counts(&self) -> DraftCounts {
        self.counts
    }

    /// As [`next`](Iterator::next), chosen only from the tokens whose bit is set in `allowed`: that of token `t` is bit
    /// `t % 32` of word `t / 32`, and words that are not there have none set.
    ///
    /// It is the token that the sampler chooses where the logits of all others are -inf; log-probabilities are those of
    /// the model, before that. An error of kind [`ErrorKind::NotFinite`] if no token is allowed.
    pub fn next_allowed(&mut self, allowed: &[u32]) -> Option<Result<Step>> {
        self.advance(Some(allowed))
    }

    /// Gives `token` as the next one, without a pass and without log-probabilities: it is read in one pass together with
    /// the tokens before and after it that no pass has read.
    ///
    /// Nothing if the generation has ended. An error of kind [`ErrorKind::Token`] if the vocabulary lacks the token.
    pub fn force(&mut self, token: u32) -> Option<Result<Step>> {
        if self.ended {
            return None;
        }
        let vocab_size = self.model.config().vocab_size;
        if token as usize >= vocab_size {
            self.ended = true;
            let rule = format!("the forced token {token} is outside the vocabulary of {vocab_size}");
            return Some(Err(Error::new(ErrorKind::Token, rule)));
        }
        let position = self.cache.len() + self.pending.len();
        let stop = self.give(token, position);
        self.ended = stop.is_some();
        Some(Ok(Step { token, logprob: None, top_logprobs: Vec::new(), stop }))
    }

    fn advance(&mut self, allowed: Option<&[u32]>) -> Option<Result<Step>> {
        if self.ended {
            return None;
        }
        let step = self.step(allowed);
        self.ended = !matches!(step, Ok(Step { stop: None, .. }));
        Some(step)
    }

    /// Computes what is pending and gives the next token.
    fn step(&mut self, allowed: Option<&[u32]>) -> Result<Step> {
        let verified = self.verify()?;
        let position = self.cache.len();
        let (token, logprob, top_logprobs) = match &verified.logits {
            Logits::F32(rows) => self.choose(&rows.row(verified.row).to_vec(), position, allowed)?,
            Logits::F64(rows) => self.choose(&rows.row(verified.row).to_vec(), position, allowed)?,
        };
        self.verified = Some(verified);
        let stop = self.give(token, position);
        Ok(Step { token, logprob, top_logprobs, stop })
    }

    /// Takes on the token at `position`, and tells why it is the last one, if it is.
    fn give(&mut self, token: u32, position: usize) -> Option<StopReason> {
        if let Some(drafter) = &mut self.drafter {
            drafter.push(token);
        }
        self.pending.push(token);
        self.given += 1;

        let stop_tokens = self.options.stop_tokens.as_ref().unwrap_or(&self.model.config().eos_token_ids);
        if stop_tokens.contains(&token) {
            Some(StopReason::StopToken)
        } else if self.options.max_tokens == Some(self.given) {
            Some(StopReason::MaxTokens)
        } else if position == self.cache.capacity() {
            Some(StopReason::ContextFull)
        } else {
            None
        }
    }

    /// The token at `position`, and the log-probabilities that are wanted.
    fn choose<R: Real>(
        &self,
        row: &[R],
        position: usize,
        allowed: Option<&[u32]>,
    ) -> Result<(u32, Option<f64>, Vec<Logprob>)> {
        let token = match (self.options.forced.get(self.given), allowed) {
            (Some(&token), _) => token,
            (None, None) => self.options.sampler.sample(row, position as u64)?,
            (None, Some(allowed)) => {
                let mut row = row.to_vec();
                bar(&mut row, allowed);
                self.options.sampler.sample(&row, position as u64)?
            }
        };
        let Some(count) = self.options.logprobs else {
            return Ok((token, None, Vec::new()));
        };
        let softmax = LogSoftmax::new(row)?;
        Ok((token, Some(softmax.of(token).value), softmax.best(count)))
    }
}

/// Bars the tokens whose bit is not set.
fn bar<R: Real>(row: &mut [R], allowed: &[u32]) {
    let barred = R::from_f32(f32::NEG_INFINITY);
    let words = allowed.iter().copied().chain(std::iter::repeat(0));
    for (logits, word) in row.chunks_mut(32).zip(words) {
        // Most words have no bit or all.
        match word {
            0 => logits.fill(barred),
            u32::MAX => {}
            word => {
                for (bit, logit) in logits.iter_mut().enumerate() {
                    if word >> bit & 1 == 0 {
                        *logit = barred;
                    }
                }
            }
        }
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(None)
    }
}

impl FusedIterator for Generation<'_> {}

/// A tap that takes no values and only tells whether the caller wants the pass to end.
struct Poll<'a>(Option<&'a AtomicBool>);

impl Tap for Poll<'_> {
    fn wants(&self, _: TapPoint, _: Option<usize>) -> bool {
        false
    }

    fn record(&mut self, _: TapSite, _: TapValues<'_>) {}

    fn interrupted(&self) -> bool {
        self.0.is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
