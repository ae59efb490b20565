//! One look at every byte of the weights, at the speed of memory.

use rayon::prelude::*;

use crate::dtype::mxfp4;

/// Bytes of a piece that one thread takes.
const PIECE: usize = 1 << 20;

/// What a look at bf16 elements found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bf16Scan {
    /// Whether no element is a NaN or infinite.
    pub(super) finite: bool,
    /// Whether some element is not zero and below 2^-50.
    pub(super) tiny: bool,
}

/// Looks at little-endian bf16 elements.
pub(super) fn bf16(data: &[u8]) -> Bf16Scan {
    let piece = |data: &[u8]| {
        let (mut greatest, mut least) = (0, i16::MAX);
        for element in data.as_chunks::<2>().0 {
            let magnitude = u16::from_le_bytes(*element) & 0x7fff;
            greatest = greatest.max(magnitude as i16);
            least = least.min(shifted(magnitude));
        }
        Bf16Scan { finite: greatest < INFINITY, tiny: least < shifted(LEAST_KEPT) }
    };
    let none = Bf16Scan { finite: true, tiny: false };
    let both = |a: Bf16Scan, b: Bf16Scan| Bf16Scan { finite: a.finite && b.finite, tiny: a.tiny || b.tiny };
    if data.len() <= PIECE {
        return piece(data);
    }
    data.par_chunks(PIECE).map(piece).reduce(|| none, both)
}

const INFINITY: i16 = 0x7f80;
/// 2^-50, below which values are flushed.
const LEAST_KEPT: u16 = (127 - 50) << 7;

/// Magnitudes in an order with zero as the greatest, in signed numbers, for which every x86-64 has a vector minimum.
#[inline(always)]
fn shifted(magnitude: u16) -> i16 {
    (magnitude.wrapping_sub(1) ^ 0x8000) as i16
}

/// The least and the greatest byte; (127, 127) for no bytes.
pub(super) fn range(bytes: &[u8]) -> (u8, u8) {
    let piece = |bytes: &[u8]| {
        let (mut least, mut greatest) = (u8::MAX, 0);
        for &byte in bytes {
            least = least.min(byte);
            greatest = greatest.max(byte);
        }
        (least, greatest)
    };
    match bytes.len() {
        0 => (127, 127),
        1..=PIECE => piece(bytes),
        _ => bytes.par_chunks(PIECE).map(piece).reduce(|| (u8::MAX, 0), |a, b| (a.0.min(b.0), a.1.max(b.1))),
    }
}

/// The index of the first element that is a NaN or infinite, and its bits.
pub(super) fn first_not_finite(data: &[u8]) -> Option<(usize, u16)> {
    let bits = data.as_chunks::<2>().0.iter().map(|&element| u16::from_le_bytes(element));
    bits.enumerate().find(|(_, bits)| bits & 0x7f80 == 0x7f80)
}

/// The index of the first scale byte that is too great, and the byte.
pub(super) fn first_bad_scale(scales: &[u8]) -> Option<(usize, u8)> {
    scales.iter().copied().enumerate().find(|&(_, scale)| scale > mxfp4::MAX_SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::bf16::to_f32;
    use crate::numerics::flush;

    #[test]
    fn every_bf16_is_judged_as_its_value_says() {
        for bits in 0..=u16::MAX {
            let value = to_f32(bits);
            let expected = Bf16Scan { finite: value.is_finite(), tiny: value != 0.0 && flush(value) == 0.0 };
            assert_eq!(bf16(&bits.to_le_bytes()), expected, "{bits:#06x}");
            // Alone among ones, at any place of a vector, and in the last piece of many.
            let place = usize::from(bits) % 61;
            let mut row = [0x3f80_u16; 61].map(u16::to_le_bytes);
            row[place] = bits.to_le_bytes();
            assert_eq!(bf16(row.as_flattened()), expected, "{bits:#06x} at {place}");
        }
    }

    #[test]
    fn the_last_piece_is_looked_at() {
        let mut data = vec![0; 2 * PIECE + 6];
        assert_eq!(bf16(&data), Bf16Scan { finite: true, tiny: false });
        data[2 * PIECE + 5] = 0x7f;
        data[2 * PIECE + 4] = 0x80;
        assert_eq!(bf16(&data), Bf16Scan { finite: false, tiny: false });
        assert_eq!(first_not_finite(&data), Some((PIECE + 2, 0x7f80)));
    }

    #[test]
    fn ranges_are_those_of_all_bytes() {
        assert_eq!(range(&[]), (127, 127));
        let mut bytes = vec![120; 2 * PIECE + 1];
        bytes[2 * PIECE] = 253;
        bytes[PIECE] = 3;
        assert_eq!(range(&bytes), (3, 253));
        assert_eq!(first_bad_scale(&bytes), Some((2 * PIECE, 253)));
    }
}
