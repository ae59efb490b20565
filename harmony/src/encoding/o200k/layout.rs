//! The layout of the tables of o200k: the build script writes with it, the crate reads with it.

/// Ordinary tokens: ids `0..ORDINARY`.
pub(crate) const ORDINARY: u32 = 199_998;
/// All tokens: the special ones are `ORDINARY..VOCABULARY`.
pub(crate) const VOCABULARY: u32 = 201_089;

/// Stands for "no token" where a table has a place to fill.
pub(crate) const NONE: u32 = u32::MAX;

/// Longest token, in bytes, that is found by its bytes as one number.
pub(crate) const SHORT_MAX: usize = 8;

/// Slots of the table of short tokens: 8 bytes of key and 4 of id each. A token has one slot and shares it with no other;
/// 94 of 100 are taken.
pub(crate) const SHORT_SLOTS: usize = 154 << 10;
/// Buckets of short tokens. Those of a bucket share a pilot, which the build script chose so that their slots are free.
pub(crate) const BUCKETS: usize = 1 << 15;
/// Slots of the table of long tokens: 4 bytes each, a fingerprint above an id.
pub(crate) const LONG_SLOTS: usize = 1 << 17;

/// Tokens that share the number from which their own places are counted.
pub(crate) const GROUP: usize = 64;
/// Groups of the places where tokens begin, and where the last one ends.
pub(crate) const GROUPS: usize = (VOCABULARY as usize + 1).div_ceil(GROUP);

/// Bits of an id within a slot.
pub(crate) const ID_BITS: u32 = 18;
/// The bits themselves; no token has this id, so it marks an empty slot.
pub(crate) const ID_MASK: u32 = (1 << ID_BITS) - 1;

/// Code points of a page of character classes.
pub(crate) const PAGE: usize = 256;
/// Pages of all code points.
pub(crate) const PAGES: usize = 0x11_0000 / PAGE;

/// `\p{Lu}` and `\p{Lt}`.
pub(crate) const UPPER: u8 = 1;
/// `\p{Lm}` and `\p{Lo}`: letters without case.
pub(crate) const CASELESS: u8 = 1 << 1;
/// `\p{M}`.
pub(crate) const MARK: u8 = 1 << 2;
/// `\p{Ll}`.
pub(crate) const LOWER: u8 = 1 << 3;
/// `\p{N}`.
pub(crate) const NUMBER: u8 = 1 << 4;
/// `\s` without `\r` and `\n`.
pub(crate) const SPACE: u8 = 1 << 5;
/// `\r` and `\n`.
pub(crate) const NEWLINE: u8 = 1 << 6;
/// Everything else.
pub(crate) const OTHER: u8 = 1 << 7;

/// Up to eight bytes as one number. Texts that differ only in zero bytes at the end share a key.
#[inline]
pub(crate) fn short_key(bytes: &[u8]) -> u64 {
    let mut key = [0; SHORT_MAX];
    for (to, from) in key.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(key)
}

/// The hash of a short token.
#[inline]
pub(crate) fn short_hash(key: u64) -> u64 {
    mix(key, 0x9e37_79b9_7f4a_7c15)
}

/// The bucket of a short token.
#[inline]
pub(crate) fn bucket(hash: u64) -> usize {
    (hash >> (64 - BUCKETS.trailing_zeros())) as usize
}

/// The only slot that a short token may have, by its hash and the pilot of its bucket (as PTHash does it: Pibiri and Trani,
/// SIGIR 2021).
#[inline]
pub(crate) fn short_slot(hash: u64, pilot: u16) -> usize {
    let spread = (hash ^ u64::from(pilot)).wrapping_mul(0xe703_7ed1_a0b4_28db);
    // As many slots as there are of 2^64: the high half of the product.
    ((u128::from(spread) * SHORT_SLOTS as u128) >> 64) as usize
}

/// The hash of a long token.
#[inline]
pub(crate) fn long_hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        hash = mix(hash ^ short_key(chunk), 0xa076_1d64_78bd_642f);
    }
    hash
}

/// The slot at which the search for a long token begins, and what the slot holds above the id.
#[inline]
pub(crate) fn long_slot(hash: u64) -> (usize, u32) {
    ((hash >> (64 - LONG_SLOTS.trailing_zeros())) as usize, hash as u32 & !ID_MASK)
}

/// A multiplication whose two halves are folded, so that every bit counts.
#[inline]
fn mix(value: u64, by: u64) -> u64 {
    let product = u128::from(value) * u128::from(by);
    (product as u64) ^ (product >> 64) as u64
}
