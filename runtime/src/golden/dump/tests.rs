use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::golden::site::Dtype;

mod damage;
mod formats;
mod mapping;

fn config() -> ModelConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/a64/config.json");
    ModelConfig::from_json(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Arrays of f32 with their names and shapes.
type Arrays = Vec<(String, Vec<usize>, Vec<f32>)>;

/// An array whose elements count up from `from`.
fn counting(name: &str, shape: &[usize], from: f32) -> (String, Vec<usize>, Vec<f32>) {
    let len: usize = shape.iter().product();
    (name.to_owned(), shape.to_vec(), (0..len).map(|index| from + index as f32).collect())
}

/// A safetensors file of f32.
fn safetensors(arrays: &Arrays, metadata: Value) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    header.insert("__metadata__".to_owned(), metadata);
    for (name, shape, values) in arrays {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), &data].concat()
}

/// A folder with one file.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn open(name: &str, bytes: &[u8]) -> Result<Dump> {
    let (_folder, path) = file(name, bytes);
    Dump::open(&path, &config(), None)
}

#[track_caller]
fn dump(arrays: &Arrays, metadata: Value) -> Dump {
    open("dump.safetensors", &safetensors(arrays, metadata)).unwrap()
}

#[track_caller]
fn read(dump: &Dump, site: &str) -> Values {
    let site: Site = site.parse().unwrap();
    dump.read(&site).unwrap().unwrap_or_else(|| panic!("no values at {site}: {:#?}", dump.matching()))
}

/// A NumPy file of these bytes.
fn npy(descr: &str, shape: &str, fortran: bool, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(data);
    bytes
}

/// A zip archive of members, stored or deflated.
fn zip(members: &[(&str, &[u8], bool)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes, is_deflated) in members {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let packed = if *is_deflated {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        } else {
            bytes.to_vec()
        };
        let mut fields = vec![20, 0, 0, 0, if *is_deflated { 8 } else { 0 }, 0, 0, 0, 0x21, 0];
        fields.extend(crc.sum().to_le_bytes());
        fields.extend((packed.len() as u32).to_le_bytes());
        fields.extend((bytes.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        let at = out.len() as u32;
        out.extend(b"PK\x03\x04");
        out.extend(&fields);
        out.extend(name.as_bytes());
        out.extend(packed);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, count) = (out.len() as u32, members.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}
