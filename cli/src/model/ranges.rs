//! The ranges of scale bytes and sinks of a checkpoint.

use gptoss_runtime::checkpoint::Checkpoint;
use gptoss_runtime::dtype::bf16;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ranges {
    /// None where no expert is stored as MXFP4.
    pub(crate) scales: Option<Scales>,
    /// The least and the greatest sink.
    pub(crate) sinks: (f32, f32),
}

/// The scale bytes: byte s is the power of two with exponent s - 127.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scales {
    pub(crate) min: u8,
    pub(crate) max: u8,
    /// Scales below 2^-49, with which products can be so small that they are flushed to zero.
    pub(crate) below_78: u64,
    /// Bytes above 252: the value is not finite in bf16.
    pub(crate) invalid: u64,
}

impl Ranges {
    /// Reads all scale bytes and sinks.
    pub(crate) fn read(checkpoint: &Checkpoint) -> Self {
        let mut counts = [0_u64; 256];
        let mut sinks = (f32::INFINITY, f32::NEG_INFINITY);
        for part in checkpoint.parts() {
            if part.name.ends_with("_scales") {
                for &byte in &checkpoint.bytes(part)[..] {
                    counts[usize::from(byte)] += 1;
                }
            } else if part.name.ends_with(".sinks") {
                for bytes in checkpoint.bytes(part).as_chunks::<2>().0 {
                    let sink = bf16::to_f32(u16::from_le_bytes(*bytes));
                    sinks = (sinks.0.min(sink), sinks.1.max(sink));
                }
            }
        }
        Self { scales: Scales::of(&counts), sinks }
    }
}

impl Scales {
    /// From how often each byte occurs.
    fn of(counts: &[u64; 256]) -> Option<Self> {
        let occurs = |byte: &u8| counts[usize::from(*byte)] > 0;
        Some(Self {
            min: (0..=u8::MAX).find(occurs)?,
            max: (0..=u8::MAX).rev().find(occurs)?,
            below_78: counts[..78].iter().sum(),
            invalid: counts[253..].iter().sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_counted_at_the_bounds() {
        let mut counts = [0; 256];
        assert_eq!(Scales::of(&counts), None);
        for byte in [77, 78, 252, 253] {
            counts[byte] = 1;
        }
        assert_eq!(Scales::of(&counts), Some(Scales { min: 77, max: 253, below_78: 1, invalid: 1 }));
    }
}
