//! MXFP4: blocks of 32 four-bit floats with one power of two as their scale.
//!
//! OCP Microscaling Formats (MX) Specification 1.0: elements are E2M1, the scale is E8M0.
//! Byte k of a block holds element 2k in its low half and 2k + 1 in its high half (gpt-oss checkpoints).

use std::fmt;

/// Elements of a block.
pub const BLOCK_LEN: usize = 32;
/// Bytes of a block without its scale.
pub const BLOCK_BYTES: usize = BLOCK_LEN / 2;
/// The greatest scale byte with which every element is a bf16 number.
pub const MAX_SCALE: u8 = 252;

/// What the sixteen codes of E2M1 stand for; bit 3 is the sign.
pub const E2M1: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// A scale byte that no checkpoint may have: 253 and 254 overflow, 255 is the NaN of E8M0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleError(
    /// The scale byte.
    pub u8,
);

impl fmt::Display for ScaleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an MXFP4 scale must be at most {MAX_SCALE}, found {}", self.0)
    }
}

impl std::error::Error for ScaleError {}

/// Unpacks one block, in the order of its elements; each value is exactly a bf16 number.
///
/// # Errors
///
/// [`ScaleError`] if `scale` is above [`MAX_SCALE`].
///
/// ```
/// use gptoss_runtime::dtype::mxfp4;
///
/// // Scale 128 is 2^1; the first byte holds code 2 (1.0) and code 15 (-6.0).
/// let mut block = [0; mxfp4::BLOCK_BYTES];
/// block[0] = 0xf2;
/// let values = mxfp4::unpack(&block, 128)?;
/// assert_eq!(values[..3], [2.0, -12.0, 0.0]);
/// # Ok::<(), mxfp4::ScaleError>(())
/// ```
pub fn unpack(block: &[u8; BLOCK_BYTES], scale: u8) -> Result<[f32; BLOCK_LEN], ScaleError> {
    if scale > MAX_SCALE {
        return Err(ScaleError(scale));
    }
    let factor = exp2(i32::from(scale) - 127);
    let mut values = [0.0; BLOCK_LEN];
    for (pair, &byte) in values.chunks_exact_mut(2).zip(block) {
        pair[0] = E2M1[usize::from(byte & 15)] * factor;
        pair[1] = E2M1[usize::from(byte >> 4)] * factor;
    }
    Ok(values)
}

/// 2 to the power of `exponent`, from -127 to 127; exact, -127 being subnormal.
pub(crate) const fn exp2(exponent: i32) -> f32 {
    match exponent {
        -127 => f32::from_bits(0x0040_0000),
        _ => f32::from_bits(((exponent + 127) as u32) << 23),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::bf16;

    #[test]
    fn every_code_at_every_scale_is_a_bf16_number() {
        let codes: [u8; BLOCK_BYTES] = std::array::from_fn(|byte| (byte as u8 % 8) * 0x22 + 0x10);
        for scale in 0..=MAX_SCALE {
            for value in unpack(&codes, scale).unwrap() {
                assert_eq!(bf16::to_f32(bf16::from_f32(value)).to_bits(), value.to_bits(), "scale {scale}");
            }
        }
    }

    #[test]
    fn the_low_half_of_a_byte_comes_first() {
        let block: [u8; BLOCK_BYTES] = std::array::from_fn(|byte| byte as u8 | ((15 - byte as u8) << 4));
        let values = unpack(&block, 127).unwrap();
        for code in 0..16 {
            assert_eq!(values[2 * code].to_bits(), E2M1[code].to_bits());
            assert_eq!(values[2 * code + 1].to_bits(), E2M1[15 - code].to_bits());
        }
    }

    #[test]
    fn scales_are_exact_powers_of_two() {
        let mut block = [0; BLOCK_BYTES];
        block[0] = 0x02;
        for scale in 0..=MAX_SCALE {
            let value = f64::from(unpack(&block, scale).unwrap()[0]);
            assert_eq!(value.to_bits(), (u64::from(scale) + 1023 - 127) << 52, "scale {scale}");
        }
    }

    #[test]
    fn scales_above_252_are_refused() {
        for scale in [253, 254, 255] {
            assert_eq!(unpack(&[0; BLOCK_BYTES], scale), Err(ScaleError(scale)));
        }
    }
}
