//! Keys and values of one head: a ring of positions.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};

/// Keys and values of one head of one layer.
///
/// Position `p` lies in slot `p % slots`; a full layer has as many slots as the cache has positions, so it never wraps.
/// Memory is taken as positions come.
#[derive(Clone)]
pub struct Head<T> {
    keys: Vec<T>,   // slots in use, head_dim
    values: Vec<T>, // slots in use, head_dim
    slots: usize,
    head_dim: usize,
}

/// Keys and values of consecutive positions that lie side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run<'a, T> {
    /// The absolute position of the first.
    pub first: usize,
    /// Keys after rotation, `[positions, head_dim]`.
    pub keys: &'a [T],
    /// Values, `[positions, head_dim]`.
    pub values: &'a [T],
}

impl<T: Copy + Default> Head<T> {
    pub(super) fn new(slots: usize, head_dim: usize) -> Self {
        Self { keys: Vec::new(), values: Vec::new(), slots, head_dim }
    }

    /// Takes memory for the positions before `end`.
    pub(super) fn grow(&mut self, end: usize) -> Result<()> {
        let elements = end.min(self.slots) * self.head_dim;
        let most = self.slots * self.head_dim;
        for buffer in [&mut self.keys, &mut self.values] {
            if elements > buffer.capacity() {
                // Twice as much each time, but no more than can ever be used.
                let target = elements.max(buffer.capacity().saturating_mul(2)).min(most);
                buffer.try_reserve_exact(target - buffer.len()).map_err(|error| {
                    Error::new(ErrorKind::Context, format!("no memory for {end} positions")).caused_by(error)
                })?;
            }
            if elements > buffer.len() {
                buffer.resize(elements, T::default());
            }
        }
        Ok(())
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self) {
        self.keys = Vec::new();
        self.values = Vec::new();
    }

    pub(super) fn keys_mut(&mut self) -> &mut [T] {
        &mut self.keys
    }

    pub(super) fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// Bytes of memory taken.
    pub(super) fn bytes(&self) -> usize {
        (self.keys.capacity() + self.values.capacity()) * size_of::<T>()
    }

    /// The places of the key and the value of `position`, `head_dim` elements each.
    ///
    /// # Panics
    ///
    /// If [`Cache::reserve`](super::Cache::reserve) was not called for this position.
    #[inline]
    pub fn entry_mut(&mut self, position: usize) -> (&mut [T], &mut [T]) {
        let start = position % self.slots * self.head_dim;
        let place = start..start + self.head_dim;
        (&mut self.keys[place.clone()], &mut self.values[place])
    }

    /// Writes keys and values of the positions from `first` on, `[positions, head_dim]` each.
    ///
    /// # Panics
    ///
    /// If the two differ in length, are not whole positions, or
    /// [`Cache::reserve`](super::Cache::reserve) was not called for these positions.
    pub fn write(&mut self, first: usize, keys: &[T], values: &[T]) {
        assert_eq!(keys.len(), values.len(), "as many keys as values");
        assert_eq!(keys.len() % self.head_dim, 0, "whole positions");
        let range = first..first + keys.len() / self.head_dim;
        let [front, back] = self.places(range);
        let (front_keys, back_keys) = keys.split_at(front.len());
        let (front_values, back_values) = values.split_at(front.len());
        self.keys[front.clone()].copy_from_slice(front_keys);
        self.keys[back.clone()].copy_from_slice(back_keys);
        self.values[front].copy_from_slice(front_values);
        self.values[back].copy_from_slice(back_values);
    }

    /// What is held of `positions`: at most two runs, none of them empty, in ascending order.
    ///
    /// # Panics
    ///
    /// If there are more positions than slots, or some were never written.
    #[inline]
    pub fn runs(&self, positions: Range<usize>) -> impl Iterator<Item = Run<'_, T>> + use<'_, T> {
        let first = positions.start;
        let [front, back] = self.places(positions);
        let second = first + front.len() / self.head_dim;
        [(first, front), (second, back)]
            .into_iter()
            .filter(|(_, place)| !place.is_empty())
            .map(|(first, place)| Run { first, keys: &self.keys[place.clone()], values: &self.values[place] })
    }

    /// Where `positions` lie among the elements: up to the last slot, then from slot 0 on.
    #[inline]
    pub(super) fn places(&self, positions: Range<usize>) -> [Range<usize>; 2] {
        let count = positions.len();
        assert!(count <= self.slots, "{count} positions in {} slots", self.slots);
        let start = positions.start % self.slots;
        let front = count.min(self.slots - start);
        let elements = |range: Range<usize>| range.start * self.head_dim..range.end * self.head_dim;
        [elements(start..start + front), elements(0..count - front)]
    }
}

impl<T> fmt::Debug for Head<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({} slots of {})", self.slots, self.head_dim)
    }
}
