//! What the commands on models share.

pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod ranges;
pub(crate) mod size;

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use gptoss_runtime::ModelConfig;
use gptoss_runtime::simd::Isa;

/// The value of `--isa`: an instruction set, or none for the best that the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IsaChoice(pub(crate) Option<Isa>);

impl FromStr for IsaChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "auto" {
            return Ok(Self(None));
        }
        name.parse()
            .map(|isa| Self(Some(isa)))
            .map_err(|error: gptoss_runtime::Error| error.rule().to_owned())
    }
}

impl fmt::Display for IsaChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or("auto", Isa::name))
    }
}

impl<'de> serde::Deserialize<'de> for IsaChoice {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The value of `--packed`: a file of packed matrices that is used in place of the checkpoint's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Packed {
    /// None.
    #[default]
    Off,
    /// That in the folder of the checkpoint, if there is one.
    Auto,
    /// This one.
    File(PathBuf),
}

impl FromStr for Packed {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(match name {
            "off" => Self::Off,
            "auto" => Self::Auto,
            path => Self::File(PathBuf::from(path)),
        })
    }
}

/// Where a model's weights lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pages {
    /// In the mapped files: nothing is copied
    #[default]
    Map,
    /// In memory of their own, in huge pages: a little faster, for as much memory as the files have bytes
    Huge,
}

/// Bytes as a person reads them: `13.76 GB`, in powers of ten.
pub(crate) fn gigabytes(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        1e9.. => format!("{:.2} GB", bytes / 1e9),
        1e6.. => format!("{:.2} MB", bytes / 1e6),
        1e3.. => format!("{:.2} kB", bytes / 1e3),
        _ => format!("{bytes} B"),
    }
}

/// A count as model cards write it: `20.9 B`.
pub(crate) fn short(number: u64) -> String {
    let number = number as f64;
    match number {
        1e9.. => format!("{:.1} B", number / 1e9),
        1e6.. => format!("{:.1} M", number / 1e6),
        _ => format!("{:.1} K", number / 1e3),
    }
}

/// A whole number with its thousands apart: `20,914,757,184`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Token ids by a rule: id i, from 0, is (7919 i + 1) modulo the size of the vocabulary.
pub(crate) fn prompt(config: &ModelConfig, count: usize) -> Vec<u32> {
    (0..count as u64).map(|index| ((7919 * index + 1) % config.vocab_size as u64) as u32).collect()
}

/// Lower-case hex of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (20_914_757_184, "20,914,757,184")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn an_instruction_set_is_named() {
        assert_eq!("auto".parse(), Ok(IsaChoice(None)));
        assert_eq!("avx2".parse(), Ok(IsaChoice(Some(Isa::Avx2))));
        assert!("sse".parse::<IsaChoice>().is_err());
    }
}
