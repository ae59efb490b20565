//! Which files a checkpoint consists of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::file;
use crate::error::{Error, ErrorKind, Result};

const INDEX: &str = "model.safetensors.index.json";

/// The files of a checkpoint.
#[derive(Debug)]
pub(super) struct Listing {
    /// Where `config.json` is.
    pub(super) folder: PathBuf,
    /// The files of weights, by path.
    pub(super) files: Vec<PathBuf>,
    pub(super) index: Option<Index>,
}

/// What an index file says.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) path: PathBuf,
    /// Bytes of all tensors, if the index says so.
    pub(super) total_size: Option<u64>,
    /// From the name of a tensor to the name of its file.
    pub(super) weight_map: BTreeMap<String, String>,
}

/// Finds the files of a folder in either layout, or takes `path` as the only one.
pub(super) fn list(path: &Path) -> Result<Listing> {
    let io = |error| Error::new(ErrorKind::Io, "cannot be opened").in_file(path).caused_by(error);
    if !std::fs::metadata(path).map_err(io)?.is_dir() {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        return Ok(Listing { folder, files: vec![path.to_owned()], index: None });
    }
    if let Some(listing) = list_folder(path)? {
        return Ok(listing);
    }
    // A download of OpenAI's files alone keeps their folder.
    let original = path.join("original");
    if original.is_dir()
        && let Some(listing) = list_folder(&original)?
    {
        return Ok(listing);
    }
    Err(Error::new(ErrorKind::Io, "the folder holds no *.safetensors file").in_file(path))
}

/// The files that stand in `folder` itself; nothing if there are none.
fn list_folder(folder: &Path) -> Result<Option<Listing>> {
    let index_path = folder.join(INDEX);
    if index_path.exists() {
        let index = read_index(index_path)?;
        let mut names: Vec<&String> = index.weight_map.values().collect();
        names.sort();
        names.dedup();
        let files = names.into_iter().map(|name| folder.join(name)).collect();
        return Ok(Some(Listing { folder: folder.to_owned(), files, index: Some(index) }));
    }
    let io = |error| Error::new(ErrorKind::Io, "the folder cannot be read").in_file(folder).caused_by(error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "safetensors") {
            files.push(path);
        }
    }
    files.sort();
    Ok((!files.is_empty()).then(|| Listing { folder: folder.to_owned(), files, index: None }))
}

fn read_index(path: PathBuf) -> Result<Index> {
    let broken = |rule: String| Error::new(ErrorKind::Header, rule).in_file(&path);
    let json = file::json(&path, ErrorKind::Header)?;
    let read: IndexJson = serde_json::from_str(&json)
        .map_err(|error| broken("is not an index of safetensors".to_owned()).caused_by(error))?;
    let (mut weight_map, mut existing) = (BTreeMap::new(), BTreeSet::new());
    for (tensor, file) in read.weight_map.0 {
        let mut components = Path::new(&file).components();
        let plain = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
        if !plain || file.contains(['/', '\\']) {
            return Err(broken(format!("names a file outside its folder: {file:?}")).in_tensor(tensor));
        }
        if !existing.contains(&file) && !path.with_file_name(&file).exists() {
            return Err(broken(format!("names a file that does not exist: {file:?}")).in_tensor(tensor));
        }
        existing.insert(file.clone());
        if weight_map.insert(tensor.clone(), file).is_some() {
            let rule = "the tensor stands twice in the index";
            return Err(Error::new(ErrorKind::DuplicateTensor, rule).in_file(&path).in_tensor(tensor));
        }
    }
    let total_size = read.metadata.and_then(|metadata| metadata.get("total_size")?.as_u64());
    Ok(Index { total_size, weight_map, path })
}

#[derive(Deserialize)]
struct IndexJson {
    metadata: Option<serde_json::Map<String, serde_json::Value>>,
    weight_map: Pairs,
}

/// An object as its pairs, so that a key that stands twice shows.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from tensors to files")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
