//! The tables by which texts become tokens and tokens texts.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::layout::{
    ID_BITS, ID_MASK, LONG_SLOTS, NONE, ORDINARY, PAIR_SLOTS, SHORT_MAX, SHORT_SLOTS, VOCABULARY, long_hash,
    long_slot, pair_key, pair_slot, short_key, short_slot,
};
use crate::write as write_file;

pub(crate) fn write(out: &Path, tokens: &[Vec<u8>]) -> io::Result<()> {
    let specials: Vec<String> = (ORDINARY..VOCABULARY).map(special).collect();
    let all = || tokens.iter().map(Vec::as_slice).chain(specials.iter().map(String::as_bytes));
    let mut end = 0_u32;
    let ends = all().map(|token| {
        end += token.len() as u32;
        end
    });
    write_file(out, "ends.bin", u32s([0].into_iter().chain(ends)))?;
    write_file(out, "bytes.bin", all().flatten().copied().collect::<Vec<u8>>())?;
    write_file(out, "single.bin", u32s(single(tokens)))?;
    write_file(out, "short.bin", short(tokens))?;
    write_file(out, "long.bin", u32s(long(tokens)))?;
    write_file(out, "pairs.bin", pairs(tokens).into_iter().flat_map(u64::to_le_bytes).collect::<Vec<u8>>())
}

fn u32s(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// The spelling of a special token.
fn special(id: u32) -> String {
    match id {
        199_998 => "<|startoftext|>".to_owned(),
        199_999 => "<|endoftext|>".to_owned(),
        200_002 => "<|return|>".to_owned(),
        200_003 => "<|constrain|>".to_owned(),
        200_005 => "<|channel|>".to_owned(),
        200_006 => "<|start|>".to_owned(),
        200_007 => "<|end|>".to_owned(),
        200_008 => "<|message|>".to_owned(),
        200_012 => "<|call|>".to_owned(),
        id => format!("<|reserved_{id}|>"),
    }
}

/// The token of each byte.
fn single(tokens: &[Vec<u8>]) -> Vec<u32> {
    let mut table = vec![NONE; 256];
    for (id, token) in tokens.iter().enumerate() {
        if let [byte] = token[..] {
            table[usize::from(byte)] = id as u32;
        }
    }
    assert!(!table.contains(&NONE), "every byte must be a token");
    table
}

/// The tokens of two to eight bytes by their bytes; those that end with a zero byte stay out.
fn short(tokens: &[Vec<u8>]) -> Vec<u8> {
    let mut slots = vec![(0_u64, NONE); SHORT_SLOTS];
    for (id, token) in tokens.iter().enumerate() {
        if token.len() <= SHORT_MAX && !token.ends_with(&[0]) {
            let key = short_key(token);
            let mut slot = short_slot(key);
            while slots[slot].0 != 0 {
                slot = (slot + 1) % SHORT_SLOTS;
            }
            slots[slot] = (key, id as u32);
        }
    }
    slots.into_iter().flat_map(|(key, id)| key.to_le_bytes().into_iter().chain(id.to_le_bytes())).collect()
}

/// The other tokens by a hash of their bytes.
fn long(tokens: &[Vec<u8>]) -> Vec<u32> {
    let mut slots = vec![NONE; LONG_SLOTS];
    for (id, token) in tokens.iter().enumerate() {
        if token.len() > SHORT_MAX || token.ends_with(&[0]) {
            let (mut slot, fingerprint) = long_slot(long_hash(token));
            while slots[slot] & ID_MASK != ID_MASK {
                slot = (slot + 1) % LONG_SLOTS;
            }
            slots[slot] = fingerprint | id as u32;
        }
    }
    slots
}

/// For each token the one pair of tokens that byte pair encoding can merge to it.
///
/// When the pair with the lowest rank is merged, the bytes of the result hold no pair of lower rank, and no
/// merge has crossed their ends. So the pair is what the bytes alone become with all merges of lower rank,
/// whatever surrounds them. Tokens that do not become a pair that way are only found as a whole.
fn pairs(tokens: &[Vec<u8>]) -> Vec<u64> {
    let single = single(tokens);
    let mut merges: HashMap<(u32, u32), u32> = HashMap::with_capacity(tokens.len());
    let mut parts: Vec<u32> = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        parts.clear();
        parts.extend(token.iter().map(|&byte| single[usize::from(byte)]));
        while parts.len() > 2 {
            // The merges known so far are all those of lower rank; of equal ranks the first counts.
            let candidates = parts.windows(2).enumerate();
            let best =
                candidates.filter_map(|(at, pair)| Some((*merges.get(&(pair[0], pair[1]))?, at))).min();
            let Some((merged, at)) = best else { break };
            parts[at] = merged;
            parts.remove(at + 1);
        }
        if let [left, right] = parts[..] {
            merges.insert((left, right), id as u32);
        }
    }
    let mut slots = vec![u64::MAX; PAIR_SLOTS];
    let mut merges: Vec<_> = merges.into_iter().collect();
    merges.sort_unstable_by_key(|&(_, merged)| merged);
    for ((left, right), merged) in merges {
        let key = pair_key(left, right);
        let mut slot = pair_slot(key);
        while slots[slot] != u64::MAX {
            slot = (slot + 1) % PAIR_SLOTS;
        }
        slots[slot] = key << ID_BITS | u64::from(merged);
    }
    slots
}
