//! What a dump says of its run: tokens, positions, arithmetic, where it comes from.

use std::collections::BTreeMap;

use super::array::Array;
use super::container::printable;
use crate::error::{Error, ErrorKind, Result};
use crate::golden::names::{Holds, Table, known};
use crate::golden::site::Accumulator;
use crate::profile::Profile;

/// What a dump says of its run.
///
/// The names in the metadata of a safetensors file are those of the fields; lists are JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// The version of the layout, of files that this crate recorded.
    pub format: Option<String>,
    /// The program that wrote the file.
    pub generator: Option<String>,
    /// The version of the numerics contract.
    pub contract: Option<u32>,
    /// The digest of the weights in hex.
    pub weights: Option<String>,
    /// The rounding points of the backend.
    pub profile: Option<Profile>,
    /// In what the backend sums products.
    pub accumulate: Option<Accumulator>,
    /// The token ids of the run, from position 0 on.
    pub tokens: Option<Vec<u32>>,
    /// The absolute positions of rows.
    pub positions: Option<Vec<u32>>,
}

/// The most tokens of a run.
pub(super) const MAX_TOKENS: usize = 1 << 24;

impl Meta {
    /// Reads what the metadata of the files say; a table has the last word.
    pub(super) fn read(metadata: &BTreeMap<String, String>, table: Option<&Table>) -> Result<Self> {
        let text = |name: &str| metadata.get(name).cloned();
        let mut meta = Self {
            format: text("gptoss.dump"),
            generator: text("generator"),
            weights: text("weights"),
            ..Self::default()
        };
        if let Some(text) = metadata.get("contract") {
            let version = text.parse().map_err(|_| broken("contract", "a number", text))?;
            meta.contract = Some(version);
        }
        let profile = table.and_then(|table| table.profile.as_ref()).or(metadata.get("profile"));
        meta.profile = profile.map(|name| name.parse().map_err(Error::into_dump)).transpose()?;
        let accumulate = table.and_then(|table| table.accumulate.as_ref()).or(metadata.get("accumulate"));
        meta.accumulate = accumulate.map(|name| name.parse()).transpose()?;
        for (name, of_table, list) in [
            ("tokens", table.and_then(|table| table.tokens.clone()), &mut meta.tokens),
            ("positions", table.and_then(|table| table.positions.clone()), &mut meta.positions),
        ] {
            let of_file = || metadata.get(name).map(|text| numbers(name, text)).transpose();
            *list = match of_table {
                Some(numbers) => Some(numbers),
                None => of_file()?,
            };
            check_len(name, list.as_deref().unwrap_or_default())?;
        }
        check_positions(meta.positions.as_deref().unwrap_or_default())?;
        Ok(meta)
    }

    /// Takes tokens and positions from arrays that hold them, and gives arrays the positions that metadata name.
    pub(super) fn read_arrays(
        &mut self,
        arrays: &mut [Array],
        table: Option<&Table>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        for array in arrays {
            let by_table = table.and_then(|table| table.known(&array.name)).map(|(known, _)| known);
            let list = match by_table.or_else(|| known(&array.name)).map(|known| known.holds) {
                Some(Holds::Tokens) => &mut self.tokens,
                Some(Holds::Positions) => &mut self.positions,
                _ => {
                    if let Some(text) = metadata.get(&format!("positions.{}", array.name)) {
                        array.positions = Some(numbers(&array.name, text)?);
                    }
                    continue;
                }
            };
            // What is said twice is taken from where it stands in words.
            if list.is_none() {
                *list = Some(whole_numbers(array)?);
            }
        }
        check_positions(self.positions.as_deref().unwrap_or_default())
    }
}

/// A list as JSON has it, or as words.
fn numbers(name: &str, text: &str) -> Result<Vec<u32>> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let words = inner.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let numbers: Vec<u32> = words
        .map(|word| word.parse().map_err(|_| broken(name, "a list of whole numbers", word)))
        .collect::<Result<_>>()?;
    check_len(name, &numbers)?;
    Ok(numbers)
}

/// The elements of an array of one row.
fn whole_numbers(array: &Array) -> Result<Vec<u32>> {
    let axes: Vec<(usize, u64)> = array.axes.iter().copied().filter(|&(len, _)| len != 1).collect();
    let (len, stride) = match axes[..] {
        [] => (1, 0),
        [axis] => axis,
        _ => return Err(broken(&array.name, "one row of whole numbers", &format!("{:?}", array.shape()))),
    };
    if len > MAX_TOKENS {
        return Err(broken(&array.name, "at most 16777216 numbers", &len.to_string()));
    }
    let bytes = array.bytes()?;
    (0..len as u64)
        .map(|index| {
            let value = array.element_at(&bytes, index * stride, array.element);
            let is_whole = value >= 0.0 && value <= f64::from(u32::MAX) && value.fract() == 0.0;
            is_whole
                .then_some(value as u32)
                .ok_or_else(|| broken(&array.name, "whole numbers", &value.to_string()))
        })
        .collect()
}

fn check_len(name: &str, numbers: &[u32]) -> Result<()> {
    match numbers.len() {
        0..=MAX_TOKENS => Ok(()),
        more => Err(broken(name, "at most 16777216 numbers", &more.to_string())),
    }
}

/// A position has one row, and is one that a run can have.
pub(super) fn check_positions(positions: &[u32]) -> Result<()> {
    let mut sorted = positions.to_vec();
    sorted.sort_unstable();
    if let Some(&last) = sorted.last().filter(|&&last| last as usize >= MAX_TOKENS) {
        let rule = format!("position {last}, and a run has at most {MAX_TOKENS}");
        return Err(Error::new(ErrorKind::Dump, rule));
    }
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::new(ErrorKind::Dump, format!("position {} stands twice", pair[0]))),
        None => Ok(()),
    }
}

fn broken(name: &str, what: &str, found: &str) -> Error {
    let found = printable(found);
    Error::new(ErrorKind::Dump, format!("must be {what}, found {found:?}")).in_tensor(printable(name))
}
