//! Look-ups in the tables that the build script wrote.

use std::ops::Range;

use super::layout::{
    BUCKETS, GROUP, GROUPS, ID_MASK, LONG_SLOTS, PAGE, PAGES, SHORT_MAX, SHORT_SLOTS, VOCABULARY, bucket,
    long_hash, long_slot, short_hash, short_key, short_slot,
};
use crate::TokenId;

/// Where in [`BYTES`] a group of tokens begins.
static GROUP_PLACES: &[[u8; 4]; GROUPS] = table(include_bytes!(concat!(env!("OUT_DIR"), "/groups.bin")));
/// Where each token begins within its group.
static PLACES: &[[u8; 2]; GROUPS * GROUP] = table(include_bytes!(concat!(env!("OUT_DIR"), "/places.bin")));
static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bytes.bin"));
static SINGLE: &[[u8; 4]; 256] = table(include_bytes!(concat!(env!("OUT_DIR"), "/single.bin")));
static DOUBLE: &[[u8; 4]; 1 << 16] = table(include_bytes!(concat!(env!("OUT_DIR"), "/double.bin")));
static PILOTS: &[[u8; 2]; BUCKETS] = table(include_bytes!(concat!(env!("OUT_DIR"), "/pilots.bin")));
static SHORT: &[[u8; 12]; SHORT_SLOTS] = table(include_bytes!(concat!(env!("OUT_DIR"), "/short.bin")));
static LONG: &[[u8; 4]; LONG_SLOTS] = table(include_bytes!(concat!(env!("OUT_DIR"), "/long.bin")));
static PAGE_INDEX: &[u8; PAGES] = include_bytes!(concat!(env!("OUT_DIR"), "/page_index.bin"));
static CLASSES: &[[u8; PAGE]; 256] = table(include_bytes!(concat!(env!("OUT_DIR"), "/pages.bin")));

/// Bytes as entries of a fixed size. Evaluated by the compiler.
const fn table<const SIZE: usize, const ENTRIES: usize>(
    bytes: &'static [u8],
) -> &'static [[u8; SIZE]; ENTRIES] {
    let (entries, []) = bytes.as_chunks::<SIZE>() else { panic!("a table of another entry size") };
    match entries.first_chunk::<ENTRIES>() {
        Some(table) if entries.len() == ENTRIES => table,
        _ => panic!("a table of another length"),
    }
}

/// The bytes of a token.
#[inline]
pub(super) fn bytes(token: TokenId) -> Option<&'static [u8]> {
    if token >= VOCABULARY {
        return None;
    }
    let [start, end] = [token as usize, token as usize + 1].map(|index| {
        let within = u16::from_le_bytes(PLACES[index]);
        u32::from_le_bytes(GROUP_PLACES[index / GROUP]) as usize + usize::from(within)
    });
    BYTES.get(start..end)
}

/// The token of one byte.
#[inline]
pub(super) fn single(byte: u8) -> TokenId {
    u32::from_le_bytes(SINGLE[usize::from(byte)])
}

/// The token of two bytes, or [`NONE`].
#[inline]
pub(super) fn double(first: u8, second: u8) -> TokenId {
    u32::from_le_bytes(DOUBLE[usize::from(first) << 8 | usize::from(second)])
}

/// The token that is this whole piece of `text`.
#[inline]
pub(super) fn whole(text: &[u8], piece: Range<usize>) -> Option<TokenId> {
    let length = piece.len();
    // A piece has a last byte, which is seldom zero.
    if length > SHORT_MAX || length == 0 || text[piece.end - 1] == 0 {
        return long(&text[piece]);
    }
    short(match text.get(piece.start..).and_then(|rest| rest.first_chunk()) {
        // The bytes after the piece are shifted out.
        Some(bytes) => {
            u64::from_le_bytes(*bytes) << (u64::BITS as usize - 8 * length)
                >> (u64::BITS as usize - 8 * length)
        }
        None => short_key(&text[piece]),
    })
}

#[inline]
fn short(key: u64) -> Option<TokenId> {
    let hash = short_hash(key);
    let pilot = u16::from_le_bytes(PILOTS[bucket(hash)]);
    // Below `SHORT_SLOTS` always; the compiler does not see it.
    let [key_bytes @ .., a, b, c, d] = *SHORT.get(short_slot(hash, pilot))?;
    (u64::from_le_bytes(key_bytes) == key).then(|| u32::from_le_bytes([a, b, c, d]))
}

#[inline]
fn long(piece: &[u8]) -> Option<TokenId> {
    let (mut slot, fingerprint) = long_slot(long_hash(piece));
    loop {
        let entry = u32::from_le_bytes(LONG[slot % LONG_SLOTS]);
        let id = entry & ID_MASK;
        if id == ID_MASK {
            return None;
        }
        if entry & !ID_MASK == fingerprint && bytes(id) == Some(piece) {
            return Some(id);
        }
        slot += 1;
    }
}

/// The class of a character: one of the bits in [`layout`](super::layout).
#[inline]
pub(super) fn class(code_point: u32) -> u8 {
    let code_point = code_point as usize;
    let page = PAGE_INDEX.get(code_point / PAGE).copied().unwrap_or(0);
    CLASSES[usize::from(page)][code_point % PAGE]
}
