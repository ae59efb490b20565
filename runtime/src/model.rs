//! The model: from tokens to logits.

mod attention;
pub mod kv_cache;
mod mlp;
mod pass;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::packed::PackedFile;
use crate::config::ModelConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::logits::Logits;
use crate::numerics::{Arithmetic, Bf16, F32, F64, Rope};
use crate::profile::Profile;
use crate::simd::{Isa, Oracle, Scalar, Simd};
use crate::tap::Tap;
use crate::threads::Threads;
use crate::weights::Weights;
use kv_cache::{Cache, KvCache};
use pass::Pass;

/// How a model is to be run. None of it changes a bit of what is computed, but for the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// Which values are rounded to what.
    pub profile: Profile,
    /// The instruction set; the best that the machine has where none is given, which may be one for long prompts and
    /// another for all else.
    pub isa: Option<Isa>,
    /// The number of threads; one a core where none is given.
    pub threads: Option<NonZeroUsize>,
}

/// Which positions' logits are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// Those of every token.
    All,
    /// Those of the last token.
    #[default]
    Last,
    /// None: only the cache is filled. No unembedding is computed.
    None,
}

/// A model that is ready to run.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    weights: Weights,
    profile: Profile,
    isas: Isas,
    threads: Threads,
}

/// Tokens of a pass from which on it is bound by products; below, by the reading of weights.
const MANY_TOKENS: usize = 64;

/// The instruction sets of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Isas {
    few: Isa,
    /// Of passes of [`MANY_TOKENS`] and more.
    many: Isa,
}

impl Model {
    /// Opens a checkpoint, checks all of it, and makes it ready to run.
    ///
    /// `path` is a folder or a file as [`Checkpoint::open`] takes it. Weights are mapped, not copied.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::open`], [`Weights::load`] and [`Model::new`].
    ///
    /// ```no_run
    /// use std::path::Path;
    ///
    /// use gptoss_runtime::{Model, ModelOptions};
    ///
    /// let model = Model::load(Path::new("gpt-oss-20b"), ModelOptions::default())?;
    /// let mut cache = model.new_cache(4096, 128)?;
    /// let logits = model.prefill(&[200006, 17360], &mut cache, &mut ())?;
    /// println!("{}", logits.argmax(0));
    /// # Ok::<(), gptoss_runtime::Error>(())
    /// ```
    pub fn load(path: &Path, options: ModelOptions) -> Result<Self> {
        let (isas, threads) = prepare(options)?;
        let (config, weights) = threads.run(|| {
            let checkpoint = Checkpoint::open(path)?;
            let weights = Weights::load(&checkpoint)?;
            Ok::<_, Error>((checkpoint.config().clone(), weights))
        })?;
        Ok(Self { config, weights, profile: options.profile, isas, threads })
    }

    /// As [`load`](Self::load), from a checkpoint that is open. `prepare` is called with it on the model's own threads
    /// first; to copy it into huge pages, for instance.
    ///
    /// # Errors
    ///
    /// Those of `prepare`, [`Weights::load`] and [`Model::new`].
    pub fn load_checkpoint(
        checkpoint: Checkpoint,
        options: ModelOptions,
        prepare_checkpoint: impl FnOnce(Checkpoint) -> Result<Checkpoint> + Send,
    ) -> Result<Self> {
        let (isas, threads) = prepare(options)?;
        let (config, weights) = threads.run(|| {
            let checkpoint = prepare_checkpoint(checkpoint)?;
            Ok::<_, Error>((checkpoint.config().clone(), Weights::load(&checkpoint)?))
        })?;
        Ok(Self { config, weights, profile: options.profile, isas, threads })
    }

    /// As [`load`](Self::load), with the matrices that the file `packed` of this checkpoint holds: the same values in fewer
    /// bytes a token.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load) and [`PackedFile::open`].
    pub fn load_packed(path: &Path, packed: &Path, options: ModelOptions) -> Result<Self> {
        let (isas, threads) = prepare(options)?;
        let (config, weights) = threads.run(|| {
            let checkpoint = Checkpoint::open(path)?;
            let packed = PackedFile::open(packed, &checkpoint)?;
            let weights = Weights::load_packed(&checkpoint, &packed)?;
            Ok::<_, Error>((checkpoint.config().clone(), weights))
        })?;
        Ok(Self { config, weights, profile: options.profile, isas, threads })
    }

    /// A model of weights that are already loaded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Isa`] if the machine lacks the instruction set, [`ErrorKind::Io`] if threads cannot be started.
    pub fn new(config: ModelConfig, weights: Weights, options: ModelOptions) -> Result<Self> {
        let (isas, threads) = prepare(options)?;
        Ok(Self { config, weights, profile: options.profile, isas, threads })
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The model's weights.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Which values are rounded to what.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The instruction set of a pass of so many tokens.
    #[must_use]
    pub fn isa(&self, tokens: usize) -> Isa {
        if tokens < MANY_TOKENS { self.isas.few } else { self.isas.many }
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// An empty cache for up to `capacity` positions, of which a forward pass may add `chunk` at a time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Context`] if either is 0 or the context is longer than the model's.
    pub fn new_cache(&self, capacity: usize, chunk: usize) -> Result<KvCache> {
        KvCache::new(&self.config, self.profile, capacity, chunk)
    }

    /// Computes `tokens`, which follow those that `cache` holds, adds them to it, and gives the logits of the last one.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Token`] if there are no tokens or one is outside the vocabulary;
    /// - [`ErrorKind::Context`] if the cache has no room for them;
    /// - [`ErrorKind::Cache`] if it is of another profile or shape;
    /// - [`ErrorKind::NotFinite`] if a hidden state or a logit is a NaN or infinite;
    /// - [`ErrorKind::Interrupted`] if `tap` asked for it.
    ///
    /// After an error the cache holds what it held before.
    pub fn forward(&self, tokens: &[u32], cache: &mut KvCache, tap: &mut dyn Tap) -> Result<Logits> {
        self.forward_rows(tokens, Rows::Last, cache, tap)
    }

    /// As [`forward`](Self::forward), with the logits of those positions that `rows` says.
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward).
    pub fn forward_rows(
        &self,
        tokens: &[u32],
        rows: Rows,
        cache: &mut KvCache,
        tap: &mut dyn Tap,
    ) -> Result<Logits> {
        self.check_tokens(tokens)?;
        cache.check(&self.config)?;
        self.threads.run_awake(|| match (self.profile, cache) {
            (Profile::Bf16, KvCache::Bf16(cache)) => self.on_bf16_isa(tokens, rows, cache, tap),
            (Profile::F32, KvCache::F32(cache)) => self.on_isa::<F32>(tokens, rows, cache, tap),
            (Profile::F64, KvCache::F64(cache)) => {
                self.pass::<F64, _>(Oracle::detect(), tokens, rows, cache, tap)
            }
            (profile, cache) => {
                let rule = format!("the model runs in {profile} and the cache is of {}", cache.profile());
                Err(Error::new(ErrorKind::Cache, rule))
            }
        })
    }

    /// As [`forward_rows`](Self::forward_rows) with [`Rows::Last`] for any number of tokens: as many at a time as the
    /// cache's chunk allows.
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward); the cache then holds the chunks that were finished.
    pub fn prefill(&self, tokens: &[u32], cache: &mut KvCache, tap: &mut dyn Tap) -> Result<Logits> {
        self.check_tokens(tokens)?;
        if tokens.len() > cache.capacity() - cache.len() {
            let rule = format!(
                "the context of {} positions holds {} and has no room for {} more",
                cache.capacity(),
                cache.len(),
                tokens.len()
            );
            return Err(Error::new(ErrorKind::Context, rule));
        }
        let last = (tokens.len() - 1) / cache.chunk() * cache.chunk();
        let (most, rest) = tokens.split_at(last);
        for chunk in most.chunks(cache.chunk()) {
            self.forward_rows(chunk, Rows::None, cache, tap)?;
        }
        self.forward_rows(rest, Rows::Last, cache, tap)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        if tokens.is_empty() {
            return Err(Error::new(ErrorKind::Token, "a forward pass needs at least one token"));
        }
        let vocab_size = self.config.vocab_size;
        match tokens.iter().find(|&&token| token as usize >= vocab_size) {
            Some(token) => {
                let rule = format!("token {token} is outside the vocabulary of {vocab_size}");
                Err(Error::new(ErrorKind::Token, rule))
            }
            None => Ok(()),
        }
    }

    /// The profile `bf16` has one instruction set more.
    fn on_bf16_isa(
        &self,
        tokens: &[u32],
        rows: Rows,
        cache: &mut Cache<Bf16>,
        tap: &mut dyn Tap,
    ) -> Result<Logits> {
        #[cfg(target_arch = "x86_64")]
        if self.isa(tokens.len()) == Isa::Avx512Bf16
            && let Some(simd) = crate::simd::Avx512Bf16::detect()
        {
            return self.pass::<Bf16, _>(simd, tokens, rows, cache, tap);
        }
        self.on_isa::<Bf16>(tokens, rows, cache, tap)
    }

    fn on_isa<A: Arithmetic<Real = f32>>(
        &self,
        tokens: &[u32],
        rows: Rows,
        cache: &mut Cache<A>,
        tap: &mut dyn Tap,
    ) -> Result<Logits> {
        let isa = self.isa(tokens.len());
        #[cfg(target_arch = "x86_64")]
        {
            use crate::simd::{Avx2, Avx512};
            if isa >= Isa::Avx512
                && let Some(simd) = Avx512::detect()
            {
                return self.pass::<A, _>(simd, tokens, rows, cache, tap);
            }
            if isa >= Isa::Avx2
                && let Some(simd) = Avx2::detect()
            {
                return self.pass::<A, _>(simd, tokens, rows, cache, tap);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if isa == Isa::Neon
            && let Some(simd) = crate::simd::Neon::detect()
        {
            return self.pass::<A, _>(simd, tokens, rows, cache, tap);
        }
        self.pass::<A, _>(Scalar::detect(), tokens, rows, cache, tap)
    }

    fn pass<A: Arithmetic, S: Simd<Real = A::Real>>(
        &self,
        simd: S,
        tokens: &[u32],
        rows: Rows,
        cache: &mut Cache<A>,
        tap: &mut dyn Tap,
    ) -> Result<Logits> {
        let rope = Rope::new(&self.config.rope, self.config.head_dim);
        Pass { config: &self.config, weights: &self.weights, rope, simd, tap }.run(tokens, rows, cache)
    }
}

/// The instruction sets and the threads that are asked for.
fn prepare(options: ModelOptions) -> Result<(Isas, Threads)> {
    let isas = match options.isa {
        Some(isa) => Isas { few: isa.require()?, many: isa },
        None => Isas { few: Isa::best(), many: Isa::best_for_products() },
    };
    Ok((isas, Threads::new(options.threads)?))
}
