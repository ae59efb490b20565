//! Byte pair encoding of a piece that is no token itself.
//!
//! Of all neighbouring tokens that can be merged, those with the lowest rank are, the first ones first,
//! until none are left. A merge only makes pairs of higher rank than its own: the build script finds the
//! one pair that becomes a token, and both halves have lower ranks.

use super::layout::NONE;
use super::radix::Queue;
use super::tables;
use crate::TokenId;

/// Longest piece, in bytes, whose pairs are searched again after each merge; that takes quadratic time.
const SMALL: usize = 64;

/// Appends the tokens of a piece.
pub(super) fn encode(piece: &[u8], tokens: &mut Vec<TokenId>) {
    if piece.len() <= SMALL { small(piece, tokens) } else { large(piece, tokens) }
}

fn rank(left: TokenId, right: TokenId) -> u32 {
    tables::merged(left, right).unwrap_or(NONE)
}

/// In place on the stack.
pub(super) fn small(piece: &[u8], tokens: &mut Vec<TokenId>) {
    // Each part and the rank of the pair that it is the left half of.
    let mut parts = [NONE; SMALL];
    let mut ranks = [NONE; SMALL];
    let mut len = piece.len();
    for (part, &byte) in parts.iter_mut().zip(piece) {
        *part = tables::single(byte);
    }
    for at in 1..len {
        ranks[at - 1] = rank(parts[at - 1], parts[at]);
    }
    loop {
        let mut at = 0;
        let mut best = NONE;
        for (index, &rank) in ranks[..len].iter().enumerate() {
            if rank < best {
                (at, best) = (index, rank);
            }
        }
        if best == NONE {
            break;
        }
        parts[at] = best;
        parts.copy_within(at + 2..len, at + 1);
        ranks.copy_within(at + 1..len, at);
        len -= 1;
        ranks[at] = if at + 1 < len { rank(best, parts[at + 1]) } else { NONE };
        if let Some(before) = at.checked_sub(1) {
            ranks[before] = rank(parts[before], best);
        }
    }
    tokens.extend_from_slice(&parts[..len]);
}

/// With a queue of the pairs by rank.
pub(super) fn large(piece: &[u8], tokens: &mut Vec<TokenId>) {
    let mut parts = Parts::new(piece);
    let mut queue = Queue::new();
    for at in 1..piece.len() {
        queue.push(rank(parts.tokens[at - 1], parts.tokens[at]), at - 1);
    }
    while let Some((merged, at)) = queue.pop() {
        let Some(next) = parts.next(at) else { continue };
        // The pair is stale if one of its halves has become part of another token: then the two tokens here,
        // if there still are two, are longer than the pair was.
        let length = tables::bytes(merged).map_or(0, <[u8]>::len);
        if parts.tokens[at] == NONE || parts.length(at) + parts.length(next) != length {
            continue;
        }
        parts.merge(at, next, merged);
        if let Some(next) = parts.next(at) {
            queue.push(rank(merged, parts.tokens[next]), at);
        }
        if let Some(before) = parts.before(at) {
            queue.push(rank(parts.tokens[before], merged), before);
        }
    }
    tokens.extend(parts.tokens.into_iter().filter(|&token| token != NONE));
}

/// The tokens of a piece as they are merged.
struct Parts {
    /// The token that begins at a byte; [`NONE`] within tokens.
    tokens: Vec<TokenId>,
    /// The length of the token that begins or ends with a byte; of no meaning between.
    lengths: Vec<u8>,
}

impl Parts {
    fn new(piece: &[u8]) -> Self {
        let tokens = piece.iter().map(|&byte| tables::single(byte)).collect();
        Self { tokens, lengths: vec![1; piece.len()] }
    }

    /// The length of the token that begins or ends with this byte.
    fn length(&self, at: usize) -> usize {
        self.lengths[at].into()
    }

    /// Where the token after the one at `at` begins.
    fn next(&self, at: usize) -> Option<usize> {
        let next = at + self.length(at);
        (next < self.tokens.len()).then_some(next)
    }

    /// Where the token before the one at `at` begins.
    fn before(&self, at: usize) -> Option<usize> {
        let end = at.checked_sub(1)?;
        Some(at - self.length(end))
    }

    fn merge(&mut self, at: usize, next: usize, merged: TokenId) {
        let length = self.lengths[at] + self.lengths[next];
        self.tokens[at] = merged;
        self.tokens[next] = NONE;
        self.lengths[at] = length;
        self.lengths[at + usize::from(length) - 1] = length;
    }
}
