//! A queue of pairs by rank for byte pair encoding.

use super::layout::{ID_BITS, NONE};

/// Bits of a place in an entry; the rank stands above them.
const PLACE_BITS: u32 = u64::BITS - ID_BITS;

/// A monotone radix queue: no rank below the last one popped is ever pushed, equal ranks come out in the
/// order in which they went in. Pushing and popping take constant time, but for the number of bits of a rank.
pub(super) struct Queue {
    /// Bucket 0 holds entries of the rank `last`; bucket `n` those that differ from it first in bit `n - 1`.
    buckets: [Vec<u64>; ID_BITS as usize + 1],
    /// How much of bucket 0 has been popped.
    popped: usize,
    last: u32,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { buckets: Default::default(), popped: 0, last: 0 }
    }

    /// Adds the pair at `place`, unless its rank is [`NONE`].
    pub(super) fn push(&mut self, rank: u32, place: usize) {
        if rank != NONE {
            self.insert(u64::from(rank) << PLACE_BITS | place as u64);
        }
    }

    fn insert(&mut self, entry: u64) {
        let differing = (entry >> PLACE_BITS) as u32 ^ self.last;
        let bucket = (u32::BITS - differing.leading_zeros()) as usize;
        self.buckets[bucket].push(entry);
    }

    /// Removes the first pair of the lowest rank.
    pub(super) fn pop(&mut self) -> Option<(u32, usize)> {
        if self.popped == self.buckets[0].len() {
            self.refill()?;
        }
        let entry = self.buckets[0][self.popped];
        self.popped += 1;
        Some(((entry >> PLACE_BITS) as u32, (entry & ((1 << PLACE_BITS) - 1)) as usize))
    }

    /// Moves the entries of the next rank to the first bucket, which is used up.
    fn refill(&mut self) -> Option<()> {
        self.buckets[0].clear();
        self.popped = 0;
        let bucket = self.buckets.iter().position(|bucket| !bucket.is_empty())?;
        let entries = std::mem::take(&mut self.buckets[bucket]);
        let lowest = entries.iter().map(|entry| entry >> PLACE_BITS).min()?;
        self.last = lowest as u32;
        for entry in entries {
            self.insert(entry);
        }
        Some(())
    }
}
