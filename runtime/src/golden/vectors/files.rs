//! Vectors as files: JSON for people and scripts, safetensors for programs.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Data, Level, Tensor, Vector, model, vectors};
use crate::checkpoint::safetensors::framed;
use crate::error::{Error, ErrorKind, Result};
use crate::numerics::CONTRACT_VERSION;

/// Writes all vectors to `folder`, which is made if it is not there.
///
/// `index.json` tells what there is. `L0.json` and `L1.json` hold the vectors with their numbers, `L0.safetensors` and
/// `L1.safetensors` the same numbers as `NAME/in/INPUT` and `NAME/out/RESULT`. `model/` is a small synthetic checkpoint,
/// `L2.safetensors`, `L3.safetensors` and `L4.safetensors` are dumps of it. Gives the names of the files.
///
/// # Errors
///
/// [`ErrorKind::Io`] if a file cannot be written.
pub fn write(folder: &Path) -> Result<Vec<String>> {
    create(folder)?;
    let all = vectors();
    let (mut index, mut names) = (Vec::new(), Vec::new());
    for (level, about) in [
        (Level::Weights, "what stored weights stand for"),
        (Level::Operations, "one operation at a time, in the profile bf16"),
    ] {
        let of_level: Vec<&Vector> = all.iter().filter(|vector| vector.level == level).collect();
        let name = level.name();
        let list: Vec<Value> = of_level.iter().map(|vector| to_json(vector)).collect();
        put(folder, &format!("{name}.json"), &pretty(&json!(list)), &mut names)?;
        put(folder, &format!("{name}.safetensors"), &safetensors(&of_level), &mut names)?;
        index.push(json!({
            "level": name,
            "about": about,
            "vectors": of_level.iter().map(|vector| &vector.name).collect::<Vec<_>>(),
            "files": [format!("{name}.json"), format!("{name}.safetensors")],
        }));
    }
    index.extend(model::write(folder, &mut names)?);
    let index = json!({
        "schema": "gptoss.golden-vectors/1",
        "contract": CONTRACT_VERSION,
        "profile": "bf16",
        "levels": index,
    });
    put(folder, "index.json", &pretty(&index), &mut names)?;
    Ok(names)
}

/// Makes a folder.
pub(super) fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| {
        Error::new(ErrorKind::Io, "the folder cannot be made").in_file(folder).caused_by(error)
    })
}

/// Writes a file of the folder.
pub(super) fn put(folder: &Path, name: &str, bytes: &[u8], names: &mut Vec<String>) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot be written").in_file(&path).caused_by(error))?;
    names.push(name.to_owned());
    Ok(())
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("strings and numbers are JSON");
    text.push(b'\n');
    text
}

fn to_json(vector: &Vector) -> Value {
    let tensors = |tensors: &[(&'static str, Tensor)]| {
        let all = tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor_json(tensor)));
        Value::Object(all.collect::<Map<_, _>>())
    };
    json!({
        "name": vector.name,
        "clause": vector.clause,
        "about": vector.about,
        "inputs": tensors(&vector.inputs),
        "expected": tensors(&vector.expected),
    })
}

/// Numbers as JSON has them: each is exact when it is read as f64. What JSON has no number for is a string.
fn tensor_json(tensor: &Tensor) -> Value {
    let floats = |data: &[f32]| -> Value {
        data.iter()
            .map(|&value| match value.is_finite() {
                true => json!(f64::from(value)),
                false => json!(value.to_string()),
            })
            .collect()
    };
    let values = match &tensor.data {
        Data::U8(data) => json!(data),
        Data::I32(data) => json!(data),
        Data::Bf16(data) | Data::F32(data) => floats(data),
    };
    json!({"dtype": dtype(&tensor.data).to_lowercase(), "shape": tensor.shape, "values": values})
}

fn dtype(data: &Data) -> &'static str {
    match data {
        Data::U8(_) => "U8",
        Data::I32(_) => "I32",
        Data::Bf16(_) => "BF16",
        Data::F32(_) => "F32",
    }
}

fn safetensors(vectors: &[&Vector]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    header.insert(
        "__metadata__".to_owned(),
        json!({"contract": CONTRACT_VERSION.to_string(), "profile": "bf16"}),
    );
    for vector in vectors {
        for (side, tensors) in [("in", &vector.inputs), ("out", &vector.expected)] {
            for (name, tensor) in tensors {
                let start = data.len();
                append(&tensor.data, &mut data);
                let entry = json!({
                    "dtype": dtype(&tensor.data),
                    "shape": tensor.shape,
                    "data_offsets": [start, data.len()],
                });
                header.insert(format!("{}/{side}/{name}", vector.name), entry);
            }
        }
    }
    [framed(&header, 64, 0), data].concat()
}

fn append(from: &Data, to: &mut Vec<u8>) {
    match from {
        Data::U8(data) => to.extend(data),
        Data::I32(data) => to.extend(data.iter().flat_map(|value| value.to_le_bytes())),
        // A bf16 is the upper half of its f32.
        Data::Bf16(data) => {
            to.extend(data.iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()));
        }
        Data::F32(data) => to.extend(data.iter().flat_map(|value| value.to_le_bytes())),
    }
}
