//! The KV cache: keys and values of the positions so far, so that each position is computed once.
//!
//! What is computed from a cache has the same bits however it came about: in one pass or many, truncated, forked, or
//! saved and loaded.

mod cache;
mod file;
mod head;
#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use head::{Head, Run};

use crate::config::ModelConfig;
use crate::error::Result;
use crate::numerics::{Bf16, F32, F64};
use crate::profile::Profile;

/// `$body` with `$cache` bound to the cache inside.
macro_rules! each {
    ($self:expr, $cache:ident => $body:expr) => {
        match $self {
            KvCache::Bf16($cache) => $body,
            KvCache::F32($cache) => $body,
            KvCache::F64($cache) => $body,
        }
    };
}
use each;

/// A cache of any profile.
///
/// A clone is a fork: a copy that shares nothing, from which another continuation can be computed.
#[derive(Clone, Debug)]
pub enum KvCache {
    /// Of [`Profile::Bf16`].
    Bf16(Cache<Bf16>),
    /// Of [`Profile::F32`].
    F32(Cache<F32>),
    /// Of [`Profile::F64`].
    F64(Cache<F64>),
}

impl KvCache {
    /// An empty cache; see [`Cache::new`].
    ///
    /// # Errors
    ///
    /// As [`Cache::new`].
    pub fn new(config: &ModelConfig, profile: Profile, capacity: usize, chunk: usize) -> Result<Self> {
        Ok(match profile {
            Profile::Bf16 => Self::Bf16(Cache::new(config, capacity, chunk)?),
            Profile::F32 => Self::F32(Cache::new(config, capacity, chunk)?),
            Profile::F64 => Self::F64(Cache::new(config, capacity, chunk)?),
        })
    }

    /// The profile whose values it holds.
    #[must_use]
    pub fn profile(&self) -> Profile {
        match self {
            Self::Bf16(_) => Profile::Bf16,
            Self::F32(_) => Profile::F32,
            Self::F64(_) => Profile::F64,
        }
    }

    /// Positions so far.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(self, cache => cache.len())
    }

    /// Whether there are no positions yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions that there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        each!(self, cache => cache.capacity())
    }

    /// Positions that one forward pass can append at most.
    #[must_use]
    pub fn chunk(&self) -> usize {
        each!(self, cache => cache.chunk())
    }

    /// The tokens of the positions so far.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        each!(self, cache => cache.tokens())
    }

    /// Bytes of memory that keys and values take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        each!(self, cache => cache.bytes())
    }

    /// The shortest length, from which on every length can be truncated to; see [`Cache::least_truncation`].
    #[must_use]
    pub fn least_truncation(&self) -> usize {
        each!(self, cache => cache.least_truncation())
    }

    /// Drops the positions from `length` on; see [`Cache::truncate`].
    ///
    /// # Errors
    ///
    /// As [`Cache::truncate`].
    pub fn truncate(&mut self, length: usize) -> Result<()> {
        each!(self, cache => cache.truncate(length))
    }

    /// Takes back the first position that was dropped; see [`Cache::take_back`].
    pub(crate) fn take_back(&mut self, token: u32) {
        each!(self, cache => cache.take_back(token));
    }

    /// Drops all positions and gives their memory back.
    pub fn clear(&mut self) {
        each!(self, cache => cache.clear());
    }

    /// Whether this cache is laid out for the models of `config`; see [`Cache::check`].
    ///
    /// # Errors
    ///
    /// As [`Cache::check`].
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        each!(self, cache => cache.check(config))
    }
}
