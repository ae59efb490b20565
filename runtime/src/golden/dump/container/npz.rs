//! Archives of NumPy arrays (`.npz`): zip files whose members are stored or deflated.

use std::collections::HashSet;
use std::io::{Cursor, Read as _};

use flate2::read::DeflateDecoder;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::npy::Header;
use super::{Contents, broken, printable, slice};
use crate::error::Result;
use crate::golden::dump::array::Stored;
use crate::weights::Bytes;

/// Bytes of a member that are unpacked to find its header.
const HEAD: u64 = (1 << 16) + 12;

pub(super) fn read(bytes: &Bytes, contents: &mut Contents) -> Result<()> {
    let damaged = |error: ZipError| broken("the archive is damaged").caused_by(error);
    let mut archive = ZipArchive::new(Cursor::new(&bytes[..])).map_err(damaged)?;
    if declared(bytes).is_some_and(|count| usize::from(count) != archive.len()) {
        return Err(broken("the archive is damaged, or a name stands twice in it"));
    }
    let mut names = HashSet::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(damaged)?;
        let name = member.name().map_err(damaged)?.into_owned();
        if name.ends_with("data.pkl") {
            return Err(super::pickle());
        }
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
            contents.unreadable.push((name, "not an array".to_owned()));
            continue;
        };
        if !names.insert(name.clone()) {
            return Err(broken("the name stands twice").in_tensor(printable(&name)));
        }
        if member.encrypted() {
            return Err(broken("the member is encrypted").in_tensor(printable(&name)));
        }
        let start = member.data_start().unwrap_or(u64::MAX);
        let packed = slice(bytes, start, member.compressed_size()).ok_or_else(|| {
            broken("cut off, or its bytes lie outside of the archive").in_tensor(printable(&name))
        })?;
        let at = |error: crate::error::Error| error.in_tensor(printable(&name));
        match member.compression() {
            CompressionMethod::Stored => {
                let header = Header::read(&packed).map_err(at)?;
                let data = packed.slice(header.len as usize..packed.len());
                header.add(name, Stored::Plain(data), contents);
            }
            CompressionMethod::Deflated => {
                let mut head = Vec::new();
                let unpacked = DeflateDecoder::new(&packed[..]).take(HEAD).read_to_end(&mut head);
                unpacked.map_err(|error| at(broken("its compressed bytes are damaged").caused_by(error)))?;
                let header = Header::read(&head).map_err(at)?;
                let (skip, crc) = (header.len, member.crc32());
                header.add(name, Stored::Deflated { bytes: packed, skip, crc }, contents);
            }
            method => return Err(at(broken(format!("members are stored or deflated, found {method}")))),
        }
    }
    Ok(())
}

/// The number of members that the end of an archive declares; more than 65534 are counted elsewhere.
fn declared(bytes: &[u8]) -> Option<u16> {
    /// Bytes of the record of the end, without a comment.
    const END: usize = 22;
    let from = bytes.len().saturating_sub(END + usize::from(u16::MAX));
    let at = bytes[from..].windows(END).rposition(|end| end.starts_with(b"PK\x05\x06"))?;
    let count = bytes[from + at + 10..].first_chunk().map(|count| u16::from_le_bytes(*count))?;
    (count != u16::MAX).then_some(count)
}
