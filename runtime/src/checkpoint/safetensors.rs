//! The header of a safetensors file: eight bytes of length, a JSON object, then the data without holes.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// The element types of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names of the format")]
pub enum Dtype {
    Bool,
    U8,
    I8,
    F8E5M2,
    F8E4M3,
    F8E8M0,
    I16,
    U16,
    F16,
    Bf16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,
}

impl Dtype {
    const ALL: [(&'static str, Self, u64); 17] = [
        ("BOOL", Self::Bool, 1),
        ("U8", Self::U8, 1),
        ("I8", Self::I8, 1),
        ("F8_E5M2", Self::F8E5M2, 1),
        ("F8_E4M3", Self::F8E4M3, 1),
        ("F8_E8M0", Self::F8E8M0, 1),
        ("I16", Self::I16, 2),
        ("U16", Self::U16, 2),
        ("F16", Self::F16, 2),
        ("BF16", Self::Bf16, 2),
        ("I32", Self::I32, 4),
        ("U32", Self::U32, 4),
        ("F32", Self::F32, 4),
        ("C64", Self::C64, 8),
        ("F64", Self::F64, 8),
        ("I64", Self::I64, 8),
        ("U64", Self::U64, 8),
    ];

    /// The name in a header.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// Bytes of an element.
    #[must_use]
    pub fn size(self) -> u64 {
        Self::ALL[self as usize].2
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, ..)| *known == name).map(|&(_, dtype, _)| dtype)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One tensor of a header.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    /// Bytes, from the start of the file.
    pub(crate) range: Range<u64>,
}

/// A header: its length with the eight bytes before it, and its tensors in the order of their data.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) len: u64,
    pub(crate) tensors: Vec<Entry>,
    /// `__metadata__`.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// What a file begins with: the length of a header, and the header with spaces behind it, so that the data start at a
/// multiple of `align` bytes, and not before `least`.
pub(crate) fn framed(header: &Map<String, Value>, align: usize, least: usize) -> Vec<u8> {
    let mut text = serde_json::to_vec(header).expect("strings and numbers are JSON");
    let len = (8 + text.len()).next_multiple_of(align).max(least);
    text.resize(len - 8, b' ');
    [&(text.len() as u64).to_le_bytes(), text.as_slice()].concat()
}

/// Reads and checks the header of a whole file.
pub(crate) fn header(file: &[u8]) -> Result<Header> {
    let (json, data_start) = json(file)?;
    let (mut tensors, metadata) = entries(json)?;
    tensors.sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
    // Now the data must be one tensor after the other, up to the end of the file.
    let data_len = file.len() as u64 - data_start;
    let mut end = 0;
    for tensor in &mut tensors {
        let Range { start, end: tensor_end } = tensor.range;
        if tensor_end > data_len {
            let rule = format!("its bytes end at {tensor_end}, and the file has {data_len} bytes of data");
            return Err(broken(rule).in_tensor(&tensor.name));
        }
        if start < end {
            let rule = format!("its bytes start at {start}, within the tensor before it that ends at {end}");
            return Err(broken(rule).in_tensor(&tensor.name));
        }
        if start > end {
            let rule = format!("its bytes start at {start}, and no tensor holds those from {end} on");
            return Err(broken(rule).in_tensor(&tensor.name));
        }
        end = tensor_end;
        tensor.range = data_start + start..data_start + tensor_end;
    }
    if end != data_len {
        return Err(broken(format!(
            "the tensors hold {end} bytes, and the file has {data_len} bytes of data"
        )));
    }
    Ok(Header { len: data_start, tensors, metadata })
}

fn broken(rule: impl Into<String>) -> Error {
    Error::new(ErrorKind::Header, rule)
}

/// The JSON of the header, and where the data starts.
fn json(file: &[u8]) -> Result<(&[u8], u64)> {
    if file.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Err(broken("this is a Git LFS pointer, not the file itself; `git lfs pull` fetches it"));
    }
    let text = file.trim_ascii_start();
    if text.starts_with(b"<") && text.iter().take(64).any(u8::is_ascii_alphabetic) && looks_like_html(text) {
        return Err(broken("this is an HTML page, not a safetensors file; the download went wrong"));
    }
    let Some((len, rest)) = file.split_first_chunk() else {
        return Err(broken(format!("a safetensors file has at least 8 bytes, found {}", file.len())));
    };
    let len = u64::from_le_bytes(*len);
    if len > MAX_HEADER || len > rest.len() as u64 {
        let most = MAX_HEADER.min(rest.len() as u64);
        return Err(broken(format!(
            "not a safetensors file, or cut off: its first 8 bytes say that the header has {len} bytes, \
             of at most {most}"
        )));
    }
    let json = &rest[..len as usize];
    if json.first() != Some(&b'{') {
        return Err(broken("the header must start with {"));
    }
    Ok((json, 8 + len))
}

/// Whether text that starts with `<` is a web page.
fn looks_like_html(text: &[u8]) -> bool {
    let start = text[..text.len().min(256)].to_ascii_lowercase();
    [&b"<!doctype"[..], b"<html", b"<head", b"<?xml", b"<body"].iter().any(|tag| start.starts_with(tag))
}

/// The tensors of the header's JSON, offsets still counting from the start of the data, and the metadata.
fn entries(json: &[u8]) -> Result<(Vec<Entry>, BTreeMap<String, String>)> {
    let mut state = State::default();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = deserializer.deserialize_map(Tensors(&mut state)).and_then(|()| deserializer.end());
    let Err(error) = read else { return Ok((state.entries, state.metadata)) };
    let error = match state.failure {
        Some(failure) => failure,
        None => broken("the header is not what safetensors prescribes").caused_by(error),
    };
    Err(match state.current {
        Some(name) => error.in_tensor(name),
        None => error,
    })
}

/// What was read so far, and where a failure lies.
#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    metadata: BTreeMap<String, String>,
    names: HashSet<String>,
    /// The tensor being read.
    current: Option<String>,
    /// Why reading stopped, if it was no matter of JSON.
    failure: Option<Error>,
}

impl State {
    /// Stops reading because of `error`.
    fn fail<T, E: serde::de::Error>(&mut self, error: Error) -> Result<T, E> {
        self.failure = Some(error);
        Err(E::custom("a rule of the format is broken"))
    }
}

/// The outer object: `__metadata__` and the tensors by name.
struct Tensors<'a>(&'a mut State);

impl<'de> Visitor<'de> for Tensors<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if std::mem::replace(&mut metadata, true) {
                    return self.0.fail(broken("__metadata__ stands twice"));
                }
                self.0.metadata = map.next_value::<Metadata>()?.0;
                continue;
            }
            self.0.current = Some(name.clone());
            if !self.0.names.insert(name.clone()) {
                let rule = "the tensor stands twice in the header";
                return self.0.fail(Error::new(ErrorKind::DuplicateTensor, rule));
            }
            let entry = map.next_value_seed(Tensor { name, state: self.0 })?;
            self.0.entries.push(entry);
            self.0.current = None;
        }
        Ok(())
    }
}

/// One tensor: an object of dtype, shape and data_offsets.
struct Tensor<'a> {
    name: String,
    state: &'a mut State,
}

impl<'de> DeserializeSeed<'de> for Tensor<'_> {
    type Value = Entry;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Tensor<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entry, M::Error> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "dtype" => dtype.replace(map.next_value::<String>()?).is_some(),
                "shape" => shape.replace(map.next_value::<Vec<u64>>()?).is_some(),
                "data_offsets" => offsets.replace(map.next_value::<(u64, u64)>()?).is_some(),
                _ => return Err(M::Error::unknown_field(&key, &["dtype", "shape", "data_offsets"])),
            };
            if twice {
                return self.state.fail(broken(format!("{key} stands twice")));
            }
        }
        let dtype = dtype.ok_or_else(|| M::Error::missing_field("dtype"))?;
        let shape = shape.ok_or_else(|| M::Error::missing_field("shape"))?;
        let (start, end) = offsets.ok_or_else(|| M::Error::missing_field("data_offsets"))?;
        let Some(dtype) = Dtype::parse(&dtype) else {
            let dtype: String = dtype.chars().take(40).collect();
            return self.state.fail(Error::new(ErrorKind::Dtype, format!("unknown dtype {dtype:?}")));
        };
        let size = shape.iter().try_fold(dtype.size(), |size, &len| size.checked_mul(len));
        let Some(size) = size else {
            return self.state.fail(broken(format!("the shape {shape:?} has more than 2^64 bytes")));
        };
        if end.checked_sub(start) != Some(size) {
            let rule = format!("{dtype} {shape:?} takes {size} bytes, and the offsets are {start} and {end}");
            return self.state.fail(broken(rule));
        }
        Ok(Entry { name: self.name, dtype, shape, range: start..end })
    }
}

/// `__metadata__`: strings by name; the last of those with one name.
struct Metadata(BTreeMap<String, String>);

impl<'de> serde::Deserialize<'de> for Metadata {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings in __metadata__")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Metadata, M::Error> {
                let mut strings = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    strings.insert(name, value);
                }
                Ok(Metadata(strings))
            }
        }
        deserializer.deserialize_map(Strings)
    }
}
