//! bf16: the upper half of an f32.

/// The f32 that a bf16 stands for; exact.
///
/// ```
/// assert_eq!(gptoss_runtime::dtype::bf16::to_f32(0x3fc0), 1.5);
/// ```
#[must_use]
pub const fn to_f32(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

/// The bf16 nearest to an f32, ties to even; a NaN stays a NaN, and what is too large becomes infinite.
///
/// ```
/// use gptoss_runtime::dtype::bf16;
///
/// assert_eq!(bf16::from_f32(1.5), 0x3fc0);
/// // Half a unit in the last place: the even neighbour.
/// assert_eq!(bf16::from_f32(f32::from_bits(0x3f80_8000)), 0x3f80);
/// assert_eq!(bf16::from_f32(f32::from_bits(0x3f81_8000)), 0x3f82);
/// ```
#[must_use]
pub const fn from_f32(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        // The quiet bit keeps a NaN whose payload lies in the lower half from becoming an infinity.
        return (bits >> 16) as u16 | 0x0040;
    }
    let half_up = 0x7fff + ((bits >> 16) & 1);
    ((bits + half_up) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bf16_survives_the_round_trip() {
        for bits in 0..=u16::MAX {
            let value = to_f32(bits);
            if value.is_nan() {
                assert!(to_f32(from_f32(value)).is_nan());
            } else {
                assert_eq!(from_f32(value), bits);
            }
        }
    }

    #[test]
    fn rounding_takes_the_nearest_and_on_a_tie_the_even_one() {
        for upper in 0..0x7f80_u32 {
            let (low, high) = (upper as u16, upper as u16 + 1);
            let even = if low % 2 == 0 { low } else { high };
            for (rest, expected) in
                [(0, low), (1, low), (0x7fff, low), (0x8000, even), (0x8001, high), (0xffff, high)]
            {
                let value = f32::from_bits(upper << 16 | rest);
                assert_eq!(from_f32(value), expected, "{value:e}");
                assert_eq!(from_f32(-value), expected | 0x8000, "{value:e}");
            }
        }
    }

    #[test]
    fn a_nan_with_a_low_payload_stays_a_nan() {
        assert!(to_f32(from_f32(f32::from_bits(0x7f80_0001))).is_nan());
    }
}
