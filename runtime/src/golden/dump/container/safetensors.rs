//! A safetensors file as a dump.

use super::{Array, Contents};
use crate::checkpoint::{Dtype, safetensors};
use crate::error::Result;
use crate::golden::dump::array::{Element, Stored};
use crate::weights::Bytes;

pub(super) fn read(bytes: &Bytes, contents: &mut Contents) -> Result<()> {
    let header = safetensors::header(bytes)?;
    contents.metadata.extend(header.metadata);
    for entry in header.tensors {
        let Some(element) = element(entry.dtype) else {
            let why = format!("the type {} has no values", entry.dtype);
            contents.unreadable.push((entry.name, why));
            continue;
        };
        // The header was checked: the shape has as many bytes as the range, which lies within the file.
        let Some(axes) = Array::contiguous(&entry.shape, false) else {
            contents.unreadable.push((entry.name, "its shape is too large".to_owned()));
            continue;
        };
        contents.arrays.push(Array {
            name: entry.name,
            element,
            is_big_endian: false,
            axes,
            stored: Stored::Plain(bytes.slice(entry.range.start as usize..entry.range.end as usize)),
            positions: None,
        });
    }
    Ok(())
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::Bool => Element::Bool,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::U16 => Element::U16,
        Dtype::F16 => Element::F16,
        Dtype::Bf16 => Element::Bf16,
        Dtype::I32 => Element::I32,
        Dtype::U32 => Element::U32,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::I64 => Element::I64,
        Dtype::U64 => Element::U64,
        Dtype::F8E5M2 | Dtype::F8E4M3 | Dtype::F8E8M0 | Dtype::C64 => return None,
    })
}
