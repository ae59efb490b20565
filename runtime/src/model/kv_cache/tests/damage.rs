//! Files that are damaged, of something else, or could not be written.

use std::fs;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::config;
use crate::config::{LayerType, ModelConfig};
use crate::error::{Error, ErrorKind};
use crate::model::kv_cache::file::{Element, read, write};
use crate::model::kv_cache::{Bf16, Cache, F32, F64, KvCache};
use crate::numerics::{Arithmetic, Real};
use crate::profile::Profile;

const MODEL: [u8; 32] = [0xa5; 32];

/// A cache of 11 positions whose sliding layers hold fewer.
fn small<A: Arithmetic>() -> Cache<A> {
    let mut cache = Cache::<A>::new(&config(3, 2, 2), 100, 2).unwrap();
    for position in 0..11 {
        cache.reserve(1).unwrap();
        for layer in 0..3 {
            for head in cache.layer_mut(layer) {
                let (key, value) = head.entry_mut(position);
                key.fill(A::store(A::Real::from_f64(1.0 + position as f64)));
                value.fill(A::store(A::Real::from_f64(-1.5)));
            }
        }
        cache.advance(&[position as u32]);
    }
    cache
}

fn file<A: Arithmetic<Stored: Element>>(cache: &Cache<A>) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    write(cache, &MODEL, &mut file).unwrap();
    file.into_inner()
}

fn load<A: Arithmetic<Stored: Element>>(
    file: &[u8],
    config: &ModelConfig,
    model: &[u8; 32],
) -> Result<Cache<A>, Error> {
    let mut cache = Cache::new(config, 100, 2).unwrap();
    read(&mut cache, file, file.len() as u64, config, model).map(|()| cache)
}

/// Checks that the file is refused for a rule in which `words` stand.
#[track_caller]
fn refused<A: Arithmetic<Stored: Element>>(file: &[u8], words: &str) {
    let error = load::<A>(file, &config(3, 2, 2), &MODEL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert!(error.to_string().contains(words), "{error}");
}

/// The file with the digest that its content has.
fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    let key = b"\"sha256\":\"";
    let start = file.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    file[start..start + 64].fill(b'0');
    let digest: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    file[start..start + 64].copy_from_slice(digest.as_bytes());
    file
}

/// The file with other text of the same length, sealed.
fn replaced(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let start = file.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    let mut file = file.to_vec();
    file[start..start + to.len()].copy_from_slice(to.as_bytes());
    sealed(file)
}

#[test]
fn every_bit_flip_and_every_truncation_is_an_error_of_the_cache() {
    let whole = file(&small::<Bf16>());
    let config = config(3, 2, 2);
    load::<Bf16>(&whole, &config, &MODEL).unwrap();
    for byte in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1 << bit;
            let error = load::<Bf16>(&damaged, &config, &MODEL).unwrap_err();
            // A length that was doubled could be more than the cache has room for.
            let known = matches!(error.kind(), ErrorKind::Cache | ErrorKind::Context);
            assert!(known, "byte {byte}, bit {bit}: {error}");
        }
        let error = load::<Bf16>(&whole[..byte], &config, &MODEL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cache, "the first {byte} bytes: {error}");
    }
    refused::<Bf16>(&[&whole[..], &[0]].concat(), "its header calls for");
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error_of_the_cache() {
    let whole = file(&small::<F32>());
    let config = config(3, 2, 2);
    for length in 0..whole.len() {
        let mut cache = Cache::<F32>::new(&config, 100, 2).unwrap();
        let error = read(&mut cache, &whole[..length], whole.len() as u64, &config, &MODEL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cache);
    }
}

#[test]
fn files_that_are_no_caches_are_refused() {
    refused::<Bf16>(b"", "no saved cache");
    refused::<Bf16>(b"version https://git-lfs.github.com/spec/v1\n", "a header of");
    refused::<Bf16>(&[&[255; 8][..], &[0; 100]].concat(), "a header of");
    refused::<Bf16>(&[&2_u64.to_le_bytes()[..], b"{}"].concat(), "no metadata");
    let other = br#"{"__metadata__":{"format":"pt"}}"#;
    refused::<Bf16>(&[&(other.len() as u64).to_le_bytes()[..], other].concat(), "the format \"pt\"");
    let deep = "[".repeat(3000);
    refused::<Bf16>(&[&3000_u64.to_le_bytes()[..], deep.as_bytes()].concat(), "no metadata");
}

#[test]
fn a_cache_of_another_model_profile_shape_or_version_is_refused() {
    let whole = file(&small::<Bf16>());
    refused::<F32>(&whole, "of the profile \"bf16\", where \"f32\"");
    let config = config(3, 2, 2);
    let error = load::<Bf16>(&whole, &config, &[0; 32]).unwrap_err();
    assert!(error.rule().contains("of the model with the digest"), "{error}");
    for (other, words) in [
        (ModelConfig { sliding_window: 4, ..config.clone() }, "a window of \"3\""),
        (ModelConfig { num_key_value_heads: 1, ..config.clone() }, "key heads number \"2\""),
        (ModelConfig { head_dim: 4, ..config.clone() }, "a size of \"2\""),
        (ModelConfig { layer_types: vec![LayerType::Full; 3], ..config.clone() }, "layers \"sliding full"),
    ] {
        let error = load::<Bf16>(&whole, &other, &MODEL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cache);
        assert!(error.rule().contains(words), "{error}");
    }
    refused::<Bf16>(&replaced(&whole, r#"format_version":"1"#, r#"format_version":"2"#), "format version");
    refused::<Bf16>(
        &replaced(&whole, r#"contract_version":"1"#, r#"contract_version":"0"#),
        "contract version",
    );
}

#[test]
fn content_that_no_cache_holds_is_refused_though_the_digest_fits() {
    let whole = file(&small::<Bf16>());
    // Sliding layers keep 5 of 11 positions, from 6 on; a query at 11 sees 9 and 10.
    refused::<Bf16>(&replaced(&whole, r#"sliding_first":"6"#, r#"sliding_first":"9"#), "header other than");
    let late = replaced(&whole, r#"sliding_first":"6","#, r#"sliding_first":"11""#);
    refused::<Bf16>(&late, "no metadata");
    refused::<Bf16>(&replaced(&whole, r#""length":"11""#, r#""length":"08""#), "header other than");
    refused::<Bf16>(&replaced(&whole, r#""length":"11""#, r#""length":"-1""#), "no number");
    refused::<Bf16>(&replaced(&whole, r#""length":"11""#, r#""length":"06""#), "lack positions");
    refused::<Bf16>(&replaced(&whole, "layers.0.keys", "layers.9.keys"), "header other than");

    let start = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for bits in [0x7f80_u16, 0xff80, 0x7fc0, 0xffff, 0x8000, 0x0001, 0x2680 - 1, 0xa67f] {
        let mut bad = whole.clone();
        bad[start..start + 2].copy_from_slice(&bits.to_le_bytes());
        refused::<Bf16>(&sealed(bad), "holds a number");
    }
    let mut good = whole.clone();
    good[start..start + 2].copy_from_slice(&0x2680_u16.to_le_bytes());
    load::<Bf16>(&sealed(good), &config(3, 2, 2), &MODEL).unwrap();
    let mut bad = whole.clone();
    let last = bad.len() - 4;
    bad[last..].copy_from_slice(&1000_u32.to_le_bytes());
    refused::<Bf16>(&sealed(bad), "holds a number");

    let whole = file(&small::<F64>());
    let start = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for (bits, valid) in [(f64::NAN.to_bits(), false), (f64::INFINITY.to_bits(), false), (1, true)] {
        let mut other = whole.clone();
        other[start..start + 8].copy_from_slice(&bits.to_le_bytes());
        assert_eq!(load::<F64>(&sealed(other), &config(3, 2, 2), &MODEL).is_ok(), valid);
    }
}

#[test]
fn a_cache_with_less_room_than_the_file_has_positions_is_an_error_of_the_context() {
    let whole = file(&small::<F32>());
    let config = config(3, 2, 2);
    let mut cache = Cache::<F32>::new(&config, 10, 2).unwrap();
    let error = read(&mut cache, &whole[..], whole.len() as u64, &config, &MODEL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Context);
    let mut cache = Cache::<F32>::new(&config, 11, 2).unwrap();
    read(&mut cache, &whole[..], whole.len() as u64, &config, &MODEL).unwrap();
}

/// A disk with room for some bytes.
struct Disk {
    file: Cursor<Vec<u8>>,
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.file.seek(place)
    }
}

#[test]
fn what_a_full_disk_took_is_never_a_cache() {
    let cache = small::<Bf16>();
    let config = config(3, 2, 2);
    // The digest is written last, over its place.
    let size = file(&cache).len() + 64;
    for room in 0..size {
        let mut disk = Disk { file: Cursor::new(Vec::new()), room };
        let error = write(&cache, &MODEL, &mut disk).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        load::<Bf16>(disk.file.get_ref(), &config, &MODEL).unwrap_err();
    }
    let mut disk = Disk { file: Cursor::new(Vec::new()), room: size };
    write(&cache, &MODEL, &mut disk).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_saved_file_replaces_the_old_one_whole_and_nothing_stays_behind_on_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.safetensors");
    let cache = KvCache::F32(small());
    let config = config(3, 2, 2);
    fs::write(&path, "something else").unwrap();
    let error = KvCache::load(&path, &config, Profile::F32, &MODEL, 100, 2).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Cache, Some(&*path)));

    cache.save(&path, &MODEL).unwrap();
    assert_eq!(names(folder.path()), ["cache.safetensors"]);
    let loaded = KvCache::load(&path, &config, Profile::F32, &MODEL, 100, 2).unwrap();
    assert_eq!((loaded.len(), loaded.tokens()), (11, cache.tokens()));

    // A folder stands in the way: the rename fails.
    let taken = folder.path().join("folder");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("content"), "").unwrap();
    for path in [taken.clone(), folder.path().join("none").join("cache")] {
        let error = cache.save(&path, &MODEL).unwrap_err();
        assert_eq!((error.kind(), error.file()), (ErrorKind::Io, Some(&*path)));
        let error = KvCache::load(&path, &config, Profile::F32, &MODEL, 100, 2).unwrap_err();
        assert_eq!((error.kind(), error.file()), (ErrorKind::Io, Some(&*path)));
    }
    assert_eq!(names(folder.path()), ["cache.safetensors", "folder"]);
    assert_eq!(names(&taken), ["content"]);
}
