//! Byte pair encoding of a piece that is no token itself.
//!
//! Of all neighbouring tokens whose bytes together are a token, those with the lowest rank are merged, the first ones
//! first, until none are left. Ids are ranks. Every token is what its own bytes become that way; so a merge makes no pair
//! of lower rank than its own: one that spans it would have been merged before.

use super::layout::{NONE, SHORT_MAX};
use super::radix::Queue;
use super::tables;
use crate::TokenId;

/// Longest piece, in bytes, whose pairs are searched again after each merge; that takes quadratic time.
const SMALL: usize = 64;

/// Appends the tokens of a piece.
pub(super) fn encode(piece: &[u8], tokens: &mut Vec<TokenId>) {
    if piece.len() <= SMALL { small(piece, tokens) } else { large(piece, tokens) }
}

/// The rank of the token that is these bytes, if they are one.
#[inline]
fn rank(text: &[u8], start: usize, end: usize) -> u32 {
    tables::whole(text, start..end).unwrap_or(NONE)
}

/// In place on the stack.
pub(super) fn small(piece: &[u8], tokens: &mut Vec<TokenId>) {
    let mut len = piece.len();
    // With room behind it, every part can be read as one number.
    let mut text = [0; SMALL + SHORT_MAX];
    text[..len].copy_from_slice(piece);
    // Each part, where it begins, and the rank of the pair that it is the left half of.
    let mut parts = [NONE; SMALL];
    let mut starts = [0_u8; SMALL + 1];
    let mut ranks = [NONE; SMALL];
    for at in 0..len {
        parts[at] = tables::single(piece[at]);
        starts[at + 1] = at as u8 + 1;
        if at + 1 < len {
            ranks[at] = tables::double(piece[at], piece[at + 1]);
        }
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
        starts.copy_within(at + 2..len + 1, at + 1);
        ranks.copy_within(at + 1..len, at);
        len -= 1;
        let place = |part: usize| usize::from(starts[part]);
        ranks[at] = if at + 1 < len { rank(&text, place(at), place(at + 2)) } else { NONE };
        if let Some(before) = at.checked_sub(1) {
            ranks[before] = rank(&text, place(before), place(at + 1));
        }
    }
    tokens.extend_from_slice(&parts[..len]);
}

/// With a queue of the pairs by rank.
pub(super) fn large(piece: &[u8], tokens: &mut Vec<TokenId>) {
    let mut parts = Parts::new(piece);
    let mut queue = Queue::new();
    for at in 1..piece.len() {
        queue.push(tables::double(piece[at - 1], piece[at]), at - 1);
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
            queue.push(rank(piece, at, next + parts.length(next)), at);
        }
        if let Some(before) = parts.before(at) {
            queue.push(rank(piece, before, at + length), before);
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
