//! NumPy arrays (`.npy`): a magic number, a version, a Python literal, the elements.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use super::{Array, Contents, broken};
use crate::error::Result;
use crate::golden::dump::array::{Element, Stored};
use crate::weights::Bytes;

/// The longest text of a header that is read.
const MAX_HEADER: u64 = 1 << 16;

/// What stands before the elements.
pub(super) struct Header {
    element: Element,
    is_big_endian: bool,
    axes: Vec<(usize, u64)>,
    /// Bytes before the first element.
    pub(super) len: u64,
    /// What was read otherwise than it stands there.
    note: Option<&'static str>,
}

pub(super) fn read(name: String, bytes: &Bytes, contents: &mut Contents) -> Result<()> {
    let header = Header::read(bytes).map_err(|error| error.in_tensor(super::printable(&name)))?;
    let data = bytes.slice(header.len as usize..bytes.len());
    header.add(name, Stored::Plain(data), contents);
    Ok(())
}

impl Header {
    /// Reads the header at the start of `bytes`, which may go on behind it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let cut = || broken("cut off within its header");
        let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(|| broken("not a NumPy array"))?;
        let (&[major, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let (len, before) = match major {
            1 => (u64::from(u16::from_le_bytes(*rest.first_chunk().ok_or_else(cut)?)), 10),
            2 | 3 => (u64::from(u32::from_le_bytes(*rest.first_chunk().ok_or_else(cut)?)), 12),
            _ => return Err(broken(format!("version {major} of the format is not known"))),
        };
        if len > MAX_HEADER {
            return Err(broken(format!("a header has at most {MAX_HEADER} bytes, found {len}")));
        }
        let text = bytes.get(before..before + len as usize).ok_or_else(cut)?;
        let text =
            std::str::from_utf8(text).map_err(|error| broken("its header is not text").caused_by(error))?;
        let fields = Fields::parse(text).ok_or_else(|| broken("its header is not that of a plain array"))?;
        let (element, is_big_endian, note) = element(&fields.descr)?;
        let axes = Array::contiguous(&fields.shape, fields.fortran_order)
            .ok_or_else(|| broken(format!("the shape {:?} is too large", fields.shape)))?;
        Ok(Self { element, is_big_endian, axes, len: before as u64 + len, note })
    }

    /// Adds the array.
    pub(super) fn add(self, name: String, stored: Stored, contents: &mut Contents) {
        if let Some(note) = self.note {
            contents.notes.push(format!("{}: {note}", super::printable(&name)));
        }
        let Self { element, is_big_endian, axes, .. } = self;
        contents.arrays.push(Array { name, element, is_big_endian, axes, stored, positions: None });
    }
}

/// The type that `descr` names, and whether its most significant byte comes first.
fn element(descr: &str) -> Result<(Element, bool, Option<&'static str>)> {
    let (order, name) = match descr.split_at_checked(1) {
        Some((order @ ("<" | ">" | "|" | "="), name)) => (order, name),
        _ => ("<", descr),
    };
    let mut note = None;
    let element = match name {
        "b1" | "?" => Element::Bool,
        "u1" => Element::U8,
        "i1" => Element::I8,
        "u2" => Element::U16,
        "i2" => Element::I16,
        "u4" => Element::U32,
        "i4" => Element::I32,
        "u8" => Element::U64,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        "bfloat16" => Element::Bf16,
        "V2" => {
            note = Some("two bytes without a type are read as bf16, as ml_dtypes writes it");
            Element::Bf16
        }
        _ if name.starts_with('O') => {
            return Err(broken(
                "an array of Python objects is a pickle, which is not read; save plain numbers",
            ));
        }
        _ => return Err(broken(format!("elements of type {:?} are not read", super::printable(descr)))),
    };
    Ok((element, order == ">", note))
}

/// The three fields of a header.
struct Fields {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Fields {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, the fields in any order.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.trim_start();
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                return after.trim().is_empty().then_some(()).and_then(|()| {
                    Some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
                });
            }
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" if descr.is_none() => {
                    let (text, after) = quoted(value)?;
                    descr = Some(text.to_owned());
                    after
                }
                "fortran_order" if fortran_order.is_none() => {
                    let (word, after) = value.split_at(value.find(|c: char| !c.is_alphabetic())?);
                    fortran_order = Some(match word {
                        "True" => true,
                        "False" => false,
                        _ => return None,
                    });
                    after
                }
                "shape" if shape.is_none() => {
                    let (inner, after) = value.strip_prefix('(')?.split_once(')')?;
                    shape = Some(numbers(inner)?);
                    after
                }
                _ => return None,
            };
            rest = rest.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None if rest.starts_with('}') => {}
                None => return None,
            }
        }
    }
}

/// A string without escapes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
    let (inner, rest) = text[1..].split_once(quote)?;
    (!inner.contains('\\')).then_some((inner, rest))
}

/// The numbers of a tuple.
fn numbers(inner: &str) -> Option<Vec<u64>> {
    let inner = inner.trim();
    if inner.is_empty() {
        return Some(Vec::new());
    }
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    let parts: Vec<&str> = inner.split(',').collect();
    if parts.len() > 32 {
        return None;
    }
    // Python 2 wrote long integers with an L.
    parts.iter().map(|part| part.trim().trim_end_matches('L').parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn headers_of_numpy_are_read() {
        for (text, element, big, axes) in [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 512), }      \n",
                Element::F32,
                false,
                vec![(3, 512), (512, 1)],
            ),
            (
                "{'descr': '>f8', 'fortran_order': True, 'shape': (3, 5)}",
                Element::F64,
                true,
                vec![(3, 1), (5, 3)],
            ),
            ("{'shape': (7,), 'fortran_order': False, 'descr': '|i1'}", Element::I8, false, vec![(7, 1)]),
            ("{\"descr\": \"<V2\", 'fortran_order': False, 'shape': (), }", Element::Bf16, false, vec![]),
        ] {
            let bytes = header(text);
            let header = Header::read(&bytes).unwrap();
            assert_eq!((header.element, header.is_big_endian, header.axes), (element, big, axes), "{text}");
            assert_eq!(header.len as usize, bytes.len());
        }
    }

    #[test]
    fn other_headers_are_errors() {
        for (text, rule) in [
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "pickle"),
            ("{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", "<c16"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "plain array"),
            ("{'descr': '<f4', 'fortran_order': False}", "plain array"),
            ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "plain array"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "plain array"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "too large"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "plain array"),
            ("", "plain array"),
        ] {
            let error = Header::read(&header(text)).map(|header| header.len).unwrap_err();
            assert!(error.rule().contains(rule), "{text}: {error}");
        }
        for cut in 0..40 {
            let bytes = header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 512), }");
            assert!(Header::read(&bytes[..cut]).is_err());
        }
    }
}
