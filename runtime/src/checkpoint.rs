//! A folder or a file of safetensors: which tensors there are, and that they are those of the model.

mod digest;
pub(crate) mod file;
mod folder;
#[cfg(feature = "mmap")]
mod huge_pages;
#[cfg(feature = "mmap")]
mod map;
pub mod packed;
mod parts;
pub(crate) mod safetensors;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[cfg(feature = "mmap")]
pub use map::exit_on_lost_pages;
pub use parts::Part;
pub use safetensors::Dtype;

use crate::config::{ModelConfig, generation_eos};
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Bytes;

/// How tensors are named, and whether query, key and value share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// That of Hugging Face's transformers: `model.layers.0.self_attn.q_proj.weight`.
    HuggingFace,
    /// That of OpenAI's `original/` folder: `block.0.attn.qkv.weight`.
    OpenAi,
}

/// One file of a checkpoint.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes before the data: eight of length, then the header.
    pub header_len: u64,
    modified: Option<SystemTime>,
    /// Whether it is part of the program and no file at all.
    embedded: bool,
    bytes: Bytes,
}

/// One tensor of a checkpoint, as its file declares it.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The name in the file.
    pub name: String,
    /// Its file: an index into [`files`](Checkpoint::files).
    pub file: usize,
    /// The type of its elements.
    pub dtype: Dtype,
    /// The number of elements along each axis.
    pub shape: Vec<usize>,
    /// Its bytes, from the start of the file.
    pub range: Range<usize>,
}

/// An opened checkpoint: every header is read, and every tensor that the configuration asks for is there once, with its
/// shape and dtype. No weight has been read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    config: ModelConfig,
    layout: Layout,
    files: Vec<CheckpointFile>,
    tensors: Vec<Tensor>,
    parts: Vec<Part>,
    warnings: Vec<String>,
}

impl Checkpoint {
    /// Opens a checkpoint.
    ///
    /// `path` is a folder with an index and the files that it names, or without an index and with any number of
    /// `*.safetensors`, or a single file with `config.json` beside it. The names of the tensors tell the layout.
    /// The folder `original/` is looked into only where there is no such file beside it.
    ///
    /// # Errors
    ///
    /// The file, the tensor and the rule that is broken; see [`ErrorKind`] for the kinds.
    pub fn open(path: &Path) -> Result<Self> {
        let listing = folder::list(path)?;
        let config = read_config(&listing.folder)?;
        let mut files = Vec::new();
        for path in listing.files {
            let (bytes, modified) = file::weights(&path)?;
            files.push((path, bytes, modified));
        }
        Self::of_files(path, config, files, listing.index.as_ref(), false)
    }

    /// A checkpoint that is in memory, such as one that is part of the program: the text of its `config.json`, and the
    /// bytes of its only safetensors file, which are used where they are. `name` stands where errors name a file.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    ///
    /// ```no_run
    /// use gptoss_runtime::checkpoint::Checkpoint;
    ///
    /// let (config, weights) = (std::fs::read_to_string("config.json")?, std::fs::read("model.safetensors")?);
    /// let checkpoint = Checkpoint::from_bytes("my model", &config, weights.into())?;
    /// println!("{} tensors", checkpoint.tensors().len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_bytes(name: &str, config: &str, weights: Bytes) -> Result<Self> {
        let name = Path::new(name);
        let config = ModelConfig::from_json(config).map_err(|error| error.in_file(name))?;
        Self::of_files(name, config, vec![(name.to_owned(), weights, None)], None, true)
    }

    fn of_files(
        path: &Path,
        config: ModelConfig,
        sources: Vec<(PathBuf, Bytes, Option<SystemTime>)>,
        index: Option<&folder::Index>,
        embedded: bool,
    ) -> Result<Self> {
        let mut files = Vec::new();
        let mut tensors = Vec::new();
        for (path, bytes, modified) in sources {
            let header = safetensors::header(&bytes).map_err(|error| error.in_file(&path))?;
            tensors.extend(header.tensors.into_iter().map(|entry| Tensor {
                name: entry.name,
                file: files.len(),
                dtype: entry.dtype,
                // Both are within the file, so they fit unless the shape has a zero, too.
                shape: entry.shape.iter().map(|&len| usize::try_from(len).unwrap_or(usize::MAX)).collect(),
                range: entry.range.start as usize..entry.range.end as usize,
            }));
            let size = bytes.len() as u64;
            files.push(CheckpointFile { path, size, header_len: header.len, modified, embedded, bytes });
        }
        check_doubled(&files, &tensors)?;
        let mut warnings = Vec::new();
        if let Some(index) = index {
            check_index(index, &files, &tensors, &mut warnings)?;
        }
        let Some(layout) = parts::layout(tensors.iter().map(|tensor| tensor.name.as_str())) else {
            let rule = "no file holds a tensor with a name of gpt-oss";
            return Err(Error::new(ErrorKind::MissingTensor, rule).in_file(path));
        };
        let parts = parts::find(&config, layout, &files, &tensors).map_err(|error| error.in_file(path))?;
        warn_of_unused(&files, &tensors, &parts, &mut warnings);
        Ok(Self { path: path.to_owned(), config, layout, files, tensors, parts, warnings })
    }

    /// What was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The shape of the model.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How the tensors are named.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The files of weights, by path.
    #[must_use]
    pub fn files(&self) -> &[CheckpointFile] {
        &self.files
    }

    /// All tensors, file by file in the order of their bytes; those that the model has no use for, too.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The weights of the model by names that are the same in both layouts: embedding, layers, norm, unembedding.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What is odd about the files and does not keep the model from running: tensors that nothing uses, an index that
    /// leaves out a tensor or gives another total size.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The bytes of a weight.
    ///
    /// # Panics
    ///
    /// If `part` is not one of this checkpoint's [`parts`](Self::parts).
    #[must_use]
    pub fn bytes(&self, part: &Part) -> Bytes {
        self.files[self.tensors[part.tensor].file].bytes.slice(part.range.clone())
    }

    /// Checks that every file has the length and the time of modification that it had when it was opened.
    ///
    /// A file that is written to while it is mapped changes the weights under the model. [`Weights::load`] checks this
    /// when it has read everything; check again after a run whose result must be beyond doubt.
    ///
    /// [`Weights::load`]: crate::weights::Weights::load
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] with the file that changed.
    pub fn check_unchanged(&self) -> Result<()> {
        for file in self.files.iter().filter(|file| !file.embedded) {
            let (size, modified) = file::state(&file.path)?;
            let rule = match (size == file.size, modified == file.modified) {
                (false, _) => format!("had {} bytes when it was opened, and now has {size}", file.size),
                (true, false) => "was written to after it was opened".to_owned(),
                (true, true) => continue,
            };
            return Err(Error::new(ErrorKind::Io, rule).in_file(&file.path));
        }
        Ok(())
    }

    /// `error` with the tensor of `part` and its file.
    pub(crate) fn locate(&self, error: Error, part: &Part) -> Error {
        let tensor = &self.tensors[part.tensor];
        error.in_file(&self.files[tensor.file].path).in_tensor(&tensor.name)
    }
}

/// `config.json`, and the stop tokens of `generation_config.json` where that names some.
fn read_config(folder: &Path) -> Result<ModelConfig> {
    let path = folder.join("config.json");
    let mut config = ModelConfig::from_json(&file::json(&path, ErrorKind::Config)?)
        .map_err(|error| error.in_file(&path))?;
    let path = folder.join("generation_config.json");
    if path.exists() {
        let ids =
            generation_eos(&file::json(&path, ErrorKind::Config)?).map_err(|error| error.in_file(&path))?;
        if !ids.is_empty() {
            config.eos_token_ids = ids;
        }
    }
    Ok(config)
}

/// No tensor stands in two files; within a file the header was checked.
fn check_doubled(files: &[CheckpointFile], tensors: &[Tensor]) -> Result<()> {
    let mut seen = HashMap::new();
    for tensor in tensors {
        if let Some(first) = seen.insert(tensor.name.as_str(), tensor.file) {
            let rule = format!("the tensor stands in {} as well", files[first].path.display());
            return Err(Error::new(ErrorKind::DuplicateTensor, rule)
                .in_file(&files[tensor.file].path)
                .in_tensor(&tensor.name));
        }
    }
    Ok(())
}

/// Each tensor of the index is in the file that the index names.
fn check_index(
    index: &folder::Index,
    files: &[CheckpointFile],
    tensors: &[Tensor],
    warnings: &mut Vec<String>,
) -> Result<()> {
    let by_name: HashMap<&str, &Tensor> =
        tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    for (name, file) in &index.weight_map {
        let rule = match by_name.get(name.as_str()) {
            None => format!("the index places the tensor in {file:?}, and no file holds it"),
            Some(tensor) if files[tensor.file].path.file_name().is_some_and(|name| name != file.as_str()) => {
                let found = files[tensor.file].path.display();
                format!("the index places the tensor in {file:?}, and it is in {found}")
            }
            Some(_) => continue,
        };
        return Err(Error::new(ErrorKind::MissingTensor, rule).in_file(&index.path).in_tensor(name));
    }
    let left_out = tensors.iter().filter(|tensor| !index.weight_map.contains_key(&tensor.name));
    if let Some(first) = left_out.clone().next() {
        let count = left_out.count();
        warnings.push(format!("{}: leaves out {count} tensors, {} first", index.path.display(), first.name));
    }
    let total: u64 = tensors.iter().map(|tensor| tensor.range.len() as u64).sum();
    if let Some(declared) = index.total_size.filter(|&declared| declared != total) {
        let path = index.path.display();
        warnings.push(format!("{path}: declares {declared} bytes, and the tensors have {total}"));
    }
    Ok(())
}

/// One warning for each file that holds tensors without a use.
fn warn_of_unused(files: &[CheckpointFile], tensors: &[Tensor], parts: &[Part], warnings: &mut Vec<String>) {
    let mut used = vec![false; tensors.len()];
    for part in parts {
        used[part.tensor] = true;
    }
    let mut unused: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (tensor, _) in tensors.iter().zip(used).filter(|(_, used)| !used) {
        unused.entry(tensor.file).or_default().push(&tensor.name);
    }
    for (file, names) in unused {
        let (path, count, first) = (files[file].path.display(), names.len(), names[0]);
        warnings.push(format!("{path}: the model has no use for {count} of its tensors, {first} first"));
    }
}

#[cfg(test)]
mod tests;
