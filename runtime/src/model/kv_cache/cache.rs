//! The cache of one profile.

use super::head::{Head, Run};
use crate::config::{LayerType, ModelConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::numerics::Arithmetic;
use std::fmt;
use std::ops::Range;

/// Keys and values of the positions so far in the arithmetic of one profile.
///
/// A forward pass of `n` positions calls [`reserve`](Self::reserve) once; in each layer writes the new positions
/// ([`layer_mut`](Self::layer_mut)) and reads what a query sees ([`layer`](Self::layer)); and ends with
/// [`advance`](Self::advance). A pass that stops before `advance` leaves the cache as it was, except that it may have
/// moved [`least_truncation`](Self::least_truncation).
///
/// A clone is a fork: a copy that shares nothing, from which another continuation can be computed.
#[derive(Clone)]
pub struct Cache<A: Arithmetic> {
    pub(super) shape: Shape,
    pub(super) layers: Vec<Vec<Head<A::Stored>>>, // layers, key heads
    pub(super) tokens: Vec<u32>,
    capacity: usize,
    chunk: usize,
    /// Slots of a sliding layer; of every layer where none slides.
    slots: usize,
    /// Sliding layers hold every position from here up to the length.
    pub(super) held: usize,
    /// Positions reserved beyond the length.
    reserved: usize,
}

/// What of a model's shape decides the layout of its cache.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) layer_types: Vec<LayerType>,
    pub(super) key_heads: usize,
    pub(super) head_dim: usize,
    pub(super) window: usize,
}

impl Shape {
    pub(super) fn new(config: &ModelConfig) -> Self {
        Self {
            layer_types: config.layer_types.clone(),
            key_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            window: config.sliding_window,
        }
    }
}

impl<A: Arithmetic> Cache<A> {
    /// An empty cache for `capacity` positions, of which one forward pass appends at most `chunk`.
    ///
    /// A `chunk` above `capacity` counts as `capacity`. Memory is taken as positions come. Sliding layers keep
    /// `sliding_window + chunk` positions, so a larger chunk also lets [`truncate`](Self::truncate) go back further.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Context`] if `capacity` or `chunk` is 0, if `capacity` is more than the model's
    /// `max_position_embeddings`, or if its bytes do not fit the address space.
    pub fn new(config: &ModelConfig, capacity: usize, chunk: usize) -> Result<Self> {
        let error = |rule: String| Error::new(ErrorKind::Context, rule);
        if capacity == 0 || chunk == 0 {
            return Err(error("a cache has room for at least one position, and appends at least one".into()));
        }
        let most = config.max_position_embeddings;
        if capacity > most {
            return Err(error(format!("a context of {capacity} positions; the model has at most {most}")));
        }
        let entry = 2 * size_of::<A::Stored>();
        [config.num_layers(), config.num_key_value_heads, config.head_dim, entry]
            .into_iter()
            .try_fold(capacity, usize::checked_mul)
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .ok_or_else(|| error(format!("a cache of {capacity} positions exceeds the address space")))?;
        let shape = Shape::new(config);
        let chunk = chunk.min(capacity);
        let slots = if shape.layer_types.contains(&LayerType::Sliding) {
            shape.window.saturating_add(chunk).min(capacity)
        } else {
            capacity
        };
        let layer = |&layer_type: &LayerType| {
            let slots = if layer_type == LayerType::Sliding { slots } else { capacity };
            vec![Head::new(slots, shape.head_dim); shape.key_heads]
        };
        let layers = shape.layer_types.iter().map(layer).collect();
        Ok(Self { shape, layers, tokens: Vec::new(), capacity, chunk, slots, held: 0, reserved: 0 })
    }

    /// Positions so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no positions yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Positions that there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Positions that one forward pass can append at most.
    #[must_use]
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// The tokens of the positions so far.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Bytes of memory that keys and values take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layers.iter().flatten().map(Head::bytes).sum()
    }

    /// Whether this cache is laid out for the models of `config`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cache`] if the layers, key heads, head size or window differ.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        if self.shape == Shape::new(config) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Cache, "the cache was made for a model of another shape"))
    }

    /// Makes room for the next `count` positions, which can then be written and read in every layer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Context`] if `count` is more than [`chunk`](Self::chunk), if the context would be longer than
    /// [`capacity`](Self::capacity), or if the memory cannot be had. The cache can still be used.
    pub fn reserve(&mut self, count: usize) -> Result<()> {
        let error = |rule: String| Err(Error::new(ErrorKind::Context, rule));
        if count > self.chunk {
            return error(format!("{count} positions at once; the cache was made for {}", self.chunk));
        }
        let (length, capacity) = (self.len(), self.capacity);
        if count > capacity - length {
            return error(format!(
                "the context of {capacity} positions holds {length} and has no room for {count} more"
            ));
        }
        let end = length + count;
        for head in self.layers.iter_mut().flatten() {
            head.grow(end)?;
        }
        self.held = self.held.max(end.saturating_sub(self.slots));
        self.reserved = count;
        Ok(())
    }

    /// The heads of a layer, to be read.
    ///
    /// # Panics
    ///
    /// If there is no such layer.
    #[must_use]
    #[inline]
    pub fn layer(&self, layer: usize) -> &[Head<A::Stored>] {
        &self.layers[layer]
    }

    /// The heads of a layer, to be written at the positions reserved.
    ///
    /// # Panics
    ///
    /// If there is no such layer.
    #[inline]
    pub fn layer_mut(&mut self, layer: usize) -> &mut [Head<A::Stored>] {
        &mut self.layers[layer]
    }

    /// What `layer` holds of `positions` for `key_head`: at most two runs, in ascending order.
    ///
    /// A query at a reserved position finds all that it sees.
    ///
    /// # Panics
    ///
    /// If there is no such layer or head, or a position is not held.
    pub fn runs(
        &self,
        layer: usize,
        key_head: usize,
        positions: Range<usize>,
    ) -> impl Iterator<Item = Run<'_, A::Stored>> {
        assert!(positions.end <= self.len() + self.reserved, "positions beyond those reserved");
        let held = if self.shape.layer_types[layer] == LayerType::Sliding { self.held } else { 0 };
        assert!(positions.is_empty() || positions.start >= held, "positions that are no longer held");
        self.layers[layer][key_head].runs(positions)
    }

    /// Ends a forward pass: the positions reserved are those of `tokens` from now on.
    ///
    /// # Panics
    ///
    /// If there are more tokens than positions reserved.
    pub fn advance(&mut self, tokens: &[u32]) {
        assert!(tokens.len() <= self.reserved, "more tokens than positions reserved");
        self.tokens.extend_from_slice(tokens);
        self.reserved = 0;
    }

    /// The shortest length, from which on up to [`len`](Self::len) every length can be truncated to.
    ///
    /// Full layers hold everything; a sliding layer holds its window and at least the last [`chunk`](Self::chunk)
    /// positions more. (0 can always be truncated to, too.)
    #[must_use]
    pub fn least_truncation(&self) -> usize {
        // A query at the new length sees the `window - 1` positions before it.
        let before = self.shape.window.saturating_sub(1);
        if self.held == 0 || before == 0 { 0 } else { self.held + before }
    }

    /// Drops the positions from `length` on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Context`], and nothing is dropped, if `length` is more than [`len`](Self::len), or if it is
    /// neither 0 nor at least [`least_truncation`](Self::least_truncation): then the sliding layers no longer hold
    /// what the next position would see.
    pub fn truncate(&mut self, length: usize) -> Result<()> {
        let (now, least) = (self.len(), self.least_truncation());
        if length > now {
            let rule = format!("cannot be truncated to {length} positions, having {now}");
            return Err(Error::new(ErrorKind::Context, rule));
        }
        if length != 0 && length < least {
            let rule = format!(
                "cannot be truncated to {length} positions: sliding layers hold enough from {least} on, or for 0"
            );
            return Err(Error::new(ErrorKind::Context, rule));
        }
        self.tokens.truncate(length);
        self.held = self.held.min(length);
        self.reserved = 0;
        Ok(())
    }

    /// Takes back the first position that [`truncate`](Self::truncate) dropped, whose token is `token`. Its keys and values
    /// are there as long as nothing was reserved since.
    pub(super) fn take_back(&mut self, token: u32) {
        self.tokens.push(token);
    }

    /// Drops all positions and gives their memory back.
    pub fn clear(&mut self) {
        self.tokens = Vec::new();
        self.layers.iter_mut().flatten().for_each(Head::clear);
        self.held = 0;
        self.reserved = 0;
    }

    /// Positions that a sliding layer can hold at most.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// Takes on `tokens`, whose keys and values were written; sliding layers start at `held` or, with fewer slots,
    /// later.
    pub(super) fn restore(&mut self, tokens: Vec<u32>, held: usize) {
        self.held = held.max(tokens.len().saturating_sub(self.slots));
        self.tokens = tokens;
    }
}

impl<A: Arithmetic> fmt::Debug for Cache<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("profile", &A::PROFILE)
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .field("chunk", &self.chunk)
            .finish_non_exhaustive()
    }
}
