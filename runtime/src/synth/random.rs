//! Numbers that follow from a seed, a name and an index.

use std::sync::{Arc, OnceLock};

use crate::dtype::bf16;

/// The increment of SplitMix64.
pub(crate) const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
/// What sixteen random bits are looked up in.
pub(super) type Table = [u16; 1 << 16];

/// The output function of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of 64-bit words: SplitMix64 that starts at a state made of a seed and a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream(u64);

impl Stream {
    /// The stream `name` under `seed`.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        let absorb = |state: u64, byte| mix(state.wrapping_add(GAMMA) ^ u64::from(byte));
        Self(name.bytes().fold(mix(seed), absorb))
    }

    /// The word at `index`.
    #[inline(always)]
    pub(super) const fn word(self, index: u64) -> u64 {
        mix(self.0.wrapping_add(GAMMA.wrapping_mul(index.wrapping_add(1))))
    }

    /// The sixteen bits at `index`; a word holds four, the lowest first.
    #[inline(always)]
    pub(super) const fn half(self, index: u64) -> u16 {
        (self.word(index / 4) >> (index % 4 * 16)) as u16
    }
}

/// The bf16 numbers nearest to `mean + deviation * z` for the 65,536 values of z that [`quantiles`] holds.
pub(super) fn gaussian(mean: f64, deviation: f64) -> Arc<Table> {
    let bits = |z: &f64| bf16::from_f32((mean + deviation * z) as f32);
    let table: Vec<u16> = quantiles().iter().map(bits).collect();
    Arc::new(table.try_into().expect("there are 65,536 quantiles"))
}

/// The quantiles (i + 1/2) / 65,536 of a bell curve of mean 0 and variance 1: the sum of eight uniform numbers of
/// 15 bits (Irwin-Hall), counted in whole numbers, so that every machine gets the same ones.
fn quantiles() -> &'static [f64] {
    static QUANTILES: OnceLock<Vec<f64>> = OnceLock::new();
    QUANTILES.get_or_init(|| {
        const TERMS: usize = 8;
        const VALUES: usize = 1 << 15;
        // How many of the 2^120 outcomes have each sum; each round adds a term.
        let mut counts = vec![1_u128];
        for _ in 0..TERMS {
            let mut window = 0;
            counts = (0..counts.len() + VALUES - 1)
                .map(|sum| {
                    window += counts.get(sum).unwrap_or(&0);
                    window -= sum.checked_sub(VALUES).map_or(0, |left| counts[left]);
                    window
                })
                .collect();
        }
        let highest = (counts.len() - 1) as f64;
        let deviation = (TERMS as f64 * ((VALUES * VALUES - 1) as f64) / 12.0).sqrt();
        let mut sum = 0;
        let mut below = counts[0];
        (0..1_u128 << 16)
            .map(|index| {
                while below < (2 * index + 1) << 103 {
                    sum += 1;
                    below += counts[sum];
                }
                (2.0 * sum as f64 - highest) / (2.0 * deviation)
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_split_mix_64() {
        // The first outputs of the generator of the Java library for the state 1234567.
        let words: Vec<u64> = (0..3).map(|index| Stream(1_234_567).word(index)).collect();
        assert_eq!(words, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn halves_are_the_quarters_of_words() {
        let stream = Stream::new(7, "a");
        let word = stream.word(5);
        let halves: Vec<u64> = (20..24).map(|index| u64::from(stream.half(index))).collect();
        assert_eq!(halves[0] | halves[1] << 16 | halves[2] << 32 | halves[3] << 48, word);
    }

    #[test]
    fn seeds_and_names_have_streams_of_their_own() {
        let streams = [(0, "a"), (1, "a"), (0, "b"), (0, "ab"), (0, "ba"), (0, "")];
        let mut words: Vec<u64> =
            streams.iter().map(|&(seed, name)| Stream::new(seed, name).word(0)).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), streams.len());
    }

    #[test]
    fn quantiles_rise_are_symmetric_and_have_variance_one() {
        let z = quantiles();
        assert_eq!(z.len(), 1 << 16);
        assert!(z.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(z.iter().zip(z.iter().rev()).all(|(low, high)| low + high == 0.0));
        // A tail beyond the last quantile is cut, so the variance is a little below 1.
        let variance = z.iter().map(|z| z * z).sum::<f64>() / z.len() as f64;
        assert!((0.999..1.0).contains(&variance), "{variance}");
        // As of a normal distribution, nearly.
        let within = |limit: f64| z.iter().filter(|z| z.abs() < limit).count() as f64 / z.len() as f64;
        assert!((within(1.0) - 0.6827).abs() < 0.01, "{}", within(1.0));
        assert!((within(2.0) - 0.9545).abs() < 0.01, "{}", within(2.0));
    }
}
