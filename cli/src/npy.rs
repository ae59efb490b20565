//! The header of a NumPy file (`.npy`, version 1.0): what an array of rows looks like to `numpy.load`.

/// The type of the numbers, as NumPy spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// Little-endian float32.
    F32,
    /// Little-endian float64.
    F64,
}

/// The bytes before the numbers of an array `[rows, columns]`, row by row.
///
/// Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The length of the header is a
/// multiple of 64, so that the numbers are aligned when the file is mapped.
pub(crate) fn header(number: Number, rows: usize, columns: usize) -> Vec<u8> {
    let descr = match number {
        Number::F32 => "<f4",
        Number::F64 => "<f8",
    };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let unpadded = PREFIX + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let length = u16::try_from(text.len()).expect("two numbers and a few words are short");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// Bytes before the text of the header: the magic, the version and the length.
const PREFIX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_aligned_and_says_what_follows() {
        for (rows, columns) in [(0, 1), (1, 201_088), (131_072, 201_088)] {
            let bytes = header(Number::F32, rows, columns);
            assert_eq!(bytes.len() % 64, 0);
            assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
            assert_eq!(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), bytes.len() - PREFIX);
            assert_eq!(bytes.last(), Some(&b'\n'));
        }
    }

    #[test]
    fn the_header_is_what_numpy_writes() {
        // numpy.lib.format.write_array_header_1_0 of a float64 array of shape (3, 512).
        let expected =
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (3, 512), }";
        let bytes = header(Number::F64, 3, 512);
        assert!(bytes.starts_with(expected));
        assert_eq!(bytes.len(), 128);
        assert!(bytes[expected.len()..127].iter().all(|&byte| byte == b' '));
    }
}
