//! Arrays as files declare them, and their elements as exact f64.

use std::io::Read as _;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::container::printable;
use crate::error::{Error, ErrorKind, Result};
use crate::golden::site::Dtype;
use crate::weights::Bytes;

/// The type of an element in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    const ALL: [(&'static str, Self, u64); 13] = [
        ("bool", Self::Bool, 1),
        ("u8", Self::U8, 1),
        ("i8", Self::I8, 1),
        ("u16", Self::U16, 2),
        ("i16", Self::I16, 2),
        ("u32", Self::U32, 4),
        ("i32", Self::I32, 4),
        ("u64", Self::U64, 8),
        ("i64", Self::I64, 8),
        ("f16", Self::F16, 2),
        ("bf16", Self::Bf16, 2),
        ("f32", Self::F32, 4),
        ("f64", Self::F64, 8),
    ];

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL.iter().find(|(known, ..)| *known == name).map(|&(_, element, _)| element)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// Bytes of an element.
    pub(crate) fn size(self) -> u64 {
        Self::ALL[self as usize].2
    }

    /// What a report calls it.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::Bf16,
            Self::F32 => Dtype::F32,
            Self::F64 => Dtype::F64,
            _ => Dtype::Int,
        }
    }

    /// The value of an element, most significant byte last. `bytes` are exactly those of the element.
    ///
    /// Whole numbers above 2^53 are rounded; no value of a model is so large.
    pub(crate) fn decode(self, bytes: [u8; 8]) -> f64 {
        let word = u64::from_le_bytes(bytes);
        match self {
            Self::Bool | Self::U8 | Self::U16 | Self::U32 | Self::U64 => word as f64,
            Self::I8 => f64::from(word as u8 as i8),
            Self::I16 => f64::from(word as u16 as i16),
            Self::I32 => f64::from(word as u32 as i32),
            Self::I64 => word as i64 as f64,
            Self::F16 => f16_to_f64(word as u16),
            Self::Bf16 => f64::from(f32::from_bits((word as u32) << 16)),
            Self::F32 => f64::from(f32::from_bits(word as u32)),
            Self::F64 => f64::from_bits(word),
        }
    }
}

/// The value of an IEEE half; exact.
pub(crate) fn f16_to_f64(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// Where the bytes of an array are.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// As they are, in a mapped file.
    Plain(Bytes),
    /// Compressed, behind a header of so many bytes.
    Deflated {
        /// The compressed bytes.
        bytes: Bytes,
        /// Bytes before the first element once it is unpacked.
        skip: u64,
        /// The check sum of all unpacked bytes.
        crc: u32,
    },
}

/// One array of a dump.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) element: Element,
    /// Most significant byte first.
    pub(crate) is_big_endian: bool,
    /// Length and stride of each axis, strides in elements; the product of lengths and sizes was checked.
    pub(crate) axes: Vec<(usize, u64)>,
    pub(crate) stored: Stored,
    /// The absolute position of each row, where the file says them for this array.
    pub(crate) positions: Option<Vec<u32>>,
}

/// The most bytes that one array may unpack to: a compressed array is read whole.
const MAX_UNPACKED: u64 = 4 << 30;

/// Deflate makes at most this of a byte.
const MAX_RATIO: u64 = 1040;

impl Array {
    /// The lengths of the axes.
    pub(crate) fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|&(len, _)| len).collect()
    }

    /// Strides of an array whose last axis lies closest, or its first one.
    ///
    /// None if the lengths multiply to more than 2^60 or to nothing that an address can hold.
    pub(crate) fn contiguous(shape: &[u64], first_is_closest: bool) -> Option<Vec<(usize, u64)>> {
        let mut axes = vec![(0, 0); shape.len()];
        let mut stride = 1_u64;
        for step in 0..shape.len() {
            let axis = if first_is_closest { step } else { shape.len() - 1 - step };
            axes[axis] = (usize::try_from(shape[axis]).ok()?, stride);
            // An axis without elements has no second element to reach.
            stride = stride.checked_mul(shape[axis].max(1)).filter(|&stride| stride <= 1 << 60)?;
        }
        Some(axes)
    }

    /// The number of elements from the first to the last that the axes reach, both included.
    ///
    /// None if that is more than 2^60.
    pub(crate) fn reach(axes: &[(usize, u64)]) -> Option<u64> {
        if axes.iter().any(|&(len, _)| len == 0) {
            return Some(0);
        }
        let mut last = 0_u64;
        for &(len, stride) in axes {
            last = last.checked_add((len as u64 - 1).checked_mul(stride)?)?;
        }
        (last < 1 << 60).then_some(last + 1)
    }

    /// Bytes that the array must have.
    pub(crate) fn needed(&self) -> Result<u64> {
        let elements = Self::reach(&self.axes);
        elements.and_then(|elements| elements.checked_mul(self.element.size())).ok_or_else(|| {
            Error::new(ErrorKind::Dump, format!("the shape {:?} is too large", self.shape()))
                .in_tensor(printable(&self.name))
        })
    }

    /// The bytes of the elements, unpacked if they are compressed.
    pub(crate) fn bytes(&self) -> Result<Bytes> {
        match &self.stored {
            Stored::Plain(bytes) => Ok(bytes.clone()),
            Stored::Deflated { bytes, skip, crc } => self.unpack(bytes, *skip, *crc),
        }
    }

    fn unpack(&self, packed: &[u8], skip: u64, crc: u32) -> Result<Bytes> {
        let broken = |rule: String| Error::new(ErrorKind::Dump, rule).in_tensor(printable(&self.name));
        let needed = self.needed()?;
        let whole = needed.checked_add(skip).filter(|&whole| whole <= MAX_UNPACKED);
        let Some(whole) = whole else {
            return Err(broken(format!("a compressed array may have {MAX_UNPACKED} bytes, found {needed}")));
        };
        if whole / MAX_RATIO > packed.len() as u64 + 1 {
            return Err(broken(format!("{} compressed bytes cannot be {whole}", packed.len())));
        }
        let mut out = Vec::new();
        DeflateDecoder::new(packed)
            .take(whole + 1)
            .read_to_end(&mut out)
            .map_err(|error| broken("its compressed bytes are damaged".to_owned()).caused_by(error))?;
        if out.len() as u64 != whole {
            return Err(broken(format!("unpacks to {} bytes, and should to {whole}", out.len())));
        }
        let mut found = Crc::new();
        found.update(&out);
        if found.sum() != crc {
            return Err(broken("its check sum is wrong".to_owned()));
        }
        let bytes = Bytes::from(out);
        let range = skip as usize..whole as usize;
        Ok(bytes.slice(range))
    }

    /// Checks that the bytes that are there suffice, and that no two elements share one.
    pub(crate) fn check(&self) -> Result<()> {
        let needed = self.needed()?;
        let shape = self.shape();
        let elements = shape.iter().try_fold(1_u64, |product, &len| product.checked_mul(len as u64));
        if elements.is_none_or(|elements| elements > needed / self.element.size()) {
            let rule = format!("the strides of {shape:?} put elements in each other's place");
            return Err(Error::new(ErrorKind::Dump, rule).in_tensor(printable(&self.name)));
        }
        match &self.stored {
            Stored::Plain(bytes) if (bytes.len() as u64) < needed => {
                let found = bytes.len();
                let rule = format!("{} {shape:?} takes {needed} bytes, found {found}", self.element.name());
                Err(Error::new(ErrorKind::Dump, rule).in_tensor(printable(&self.name)))
            }
            _ => Ok(()),
        }
    }

    /// One element of the array's bytes; `index` counts elements from the first.
    ///
    /// # Panics
    ///
    /// If the element is outside of `bytes`.
    #[inline]
    pub(crate) fn element_at(&self, bytes: &[u8], index: u64, element: Element) -> f64 {
        let size = element.size() as usize;
        let from = &bytes[index as usize * size..][..size];
        let mut word = [0; 8];
        word[..size].copy_from_slice(from);
        if self.is_big_endian {
            word[..size].reverse();
        }
        element.decode(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 2f64.powi(-24)),
            (0x03ff, 1023.0 * 2f64.powi(-24)),
            (0x0400, 2f64.powi(-14)),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_953_125),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(f16_to_f64(bits), value, "{bits:#06x}");
        }
        assert!(f16_to_f64(0x7e00).is_nan());
        assert!(f16_to_f64(0x8000).is_sign_negative());
    }

    #[test]
    fn whole_numbers_keep_their_sign() {
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            word
        };
        assert_eq!(Element::I8.decode(word(&[0xff])), -1.0);
        assert_eq!(Element::I16.decode(word(&(-300_i16).to_le_bytes())), -300.0);
        assert_eq!(Element::I64.decode((-5_i64).to_le_bytes()), -5.0);
        assert_eq!(Element::U32.decode(word(&u32::MAX.to_le_bytes())), 4_294_967_295.0);
    }

    #[test]
    fn shapes_that_overflow_have_no_axes() {
        assert!(Array::contiguous(&[u64::MAX, 2], false).is_none());
        assert!(Array::contiguous(&[1 << 40, 1 << 40], true).is_none());
        assert_eq!(Array::contiguous(&[2, 3], false), Some(vec![(2, 3), (3, 1)]));
        assert_eq!(Array::contiguous(&[2, 3], true), Some(vec![(2, 1), (3, 2)]));
        assert!(Array::reach(&[(2, u64::MAX), (2, u64::MAX)]).is_none());
        assert_eq!(Array::reach(&[(0, 5), (9, 1)]), Some(0));
        assert_eq!(Array::reach(&[(3, 5), (2, 1)]), Some(12));
    }
}
