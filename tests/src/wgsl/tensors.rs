//! The tensors of a checkpoint as they lie in its files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

/// The bytes of each tensor, by its name in Hugging Face's layout.
#[derive(Clone, Debug, Default)]
pub struct Tensors(HashMap<String, Vec<u8>>);

impl Tensors {
    /// Reads every safetensors file of a folder.
    ///
    /// # Errors
    ///
    /// A sentence that names the file that cannot be read.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let located = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let mut tensors = HashMap::new();
        for entry in fs::read_dir(folder).map_err(|error| located(folder, &error))? {
            let path = entry.map_err(|error| located(folder, &error))?.path();
            if path.extension().is_none_or(|extension| extension != "safetensors") {
                continue;
            }
            let bytes = fs::read(&path).map_err(|error| located(&path, &error))?;
            let file = SafeTensors::deserialize(&bytes).map_err(|error| located(&path, &error))?;
            tensors.extend(file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())));
        }
        Ok(Self(tensors))
    }

    /// The bytes of a tensor.
    ///
    /// # Panics
    ///
    /// If there is no tensor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> &[u8] {
        self.0.get(name).unwrap_or_else(|| panic!("the checkpoint has no tensor {name}"))
    }
}
