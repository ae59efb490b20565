//! The tables by which texts become tokens and tokens texts.

use std::io;
use std::path::Path;

use crate::layout::{
    BUCKETS, GROUP, GROUPS, ID_MASK, LONG_SLOTS, NONE, ORDINARY, SHORT_MAX, SHORT_SLOTS, VOCABULARY, bucket,
    long_hash, long_slot, short_hash, short_key, short_slot,
};
use crate::write as write_file;

pub(crate) fn write(out: &Path, tokens: &[Vec<u8>]) -> io::Result<()> {
    let specials: Vec<String> = (ORDINARY..VOCABULARY).map(special).collect();
    let all = || tokens.iter().map(Vec::as_slice).chain(specials.iter().map(String::as_bytes));
    let (groups, places) = places(all().map(<[u8]>::len));
    write_file(out, "groups.bin", u32s(groups))?;
    write_file(out, "places.bin", places.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())?;
    write_file(out, "bytes.bin", all().flatten().copied().collect::<Vec<u8>>())?;
    write_file(out, "single.bin", u32s(single(tokens)))?;
    write_file(out, "double.bin", u32s(double(tokens)))?;
    let (pilots, slots) = short(tokens);
    write_file(out, "pilots.bin", pilots.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())?;
    write_file(out, "short.bin", slots)?;
    write_file(out, "long.bin", u32s(long(tokens)))
}

fn u32s(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Where tokens of these lengths begin, and where the last ends: where each group begins, and each token within its group.
fn places(lengths: impl Iterator<Item = usize>) -> (Vec<u32>, Vec<u16>) {
    let (mut groups, mut places) = (Vec::new(), Vec::new());
    let mut place = 0;
    let mut lengths = lengths.fuse();
    for index in 0..GROUPS * GROUP {
        if index % GROUP == 0 {
            groups.push(place);
        }
        let within = place - groups.last().expect("a group has begun");
        places.push(u16::try_from(within).expect("tokens are short"));
        place += lengths.next().unwrap_or(0) as u32;
    }
    (groups, places)
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

/// The token of each two bytes, the first one times 256, if they are one.
fn double(tokens: &[Vec<u8>]) -> Vec<u32> {
    let mut table = vec![NONE; 1 << 16];
    for (id, token) in tokens.iter().enumerate() {
        if let [first, second] = token[..] {
            table[usize::from(first) << 8 | usize::from(second)] = id as u32;
        }
    }
    table
}

/// The pilots of the buckets, and the tokens of up to eight bytes by their bytes; those that end with a zero byte stay out.
fn short(tokens: &[Vec<u8>]) -> (Vec<u16>, Vec<u8>) {
    let mut buckets = vec![Vec::new(); BUCKETS];
    for (id, token) in tokens.iter().enumerate() {
        if token.len() <= SHORT_MAX && !token.ends_with(&[0]) {
            let key = short_key(token);
            let hash = short_hash(key);
            buckets[bucket(hash)].push((hash, key, id as u32));
        }
    }
    // The fullest first, while most slots are free.
    let mut order: Vec<usize> = (0..BUCKETS).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(buckets[index].len()));
    let mut pilots = vec![0; BUCKETS];
    let mut slots = vec![(0_u64, NONE); SHORT_SLOTS];
    for index in order {
        let fits = |pilot: &u16| {
            let mut taken: Vec<usize> =
                buckets[index].iter().map(|&(hash, ..)| short_slot(hash, *pilot)).collect();
            taken.sort_unstable();
            taken.windows(2).all(|pair| pair[0] != pair[1]) && taken.iter().all(|&slot| slots[slot].1 == NONE)
        };
        let pilot = (0..=u16::MAX).find(fits).expect("a pilot finds free slots");
        pilots[index] = pilot;
        for &(hash, key, id) in &buckets[index] {
            slots[short_slot(hash, pilot)] = (key, id);
        }
    }
    let bytes = slots.into_iter().flat_map(|(key, id)| key.to_le_bytes().into_iter().chain(id.to_le_bytes()));
    (pilots, bytes.collect())
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
