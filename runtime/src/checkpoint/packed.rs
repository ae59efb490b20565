//! Packed matrices of a checkpoint in a file beside it: the same weights in fewer bytes.
//!
//! The file is a safetensors file. For each matrix NAME that is smaller when packed (see [`packed_bf16`]) it has NAME.data
//! (U8), NAME.tables (U8, `[rows, 16]`), NAME.starts (U32, `[rows + 1]`) and NAME.escaped (U16). Its metadata has the
//! format and the version of the contract, the files of the checkpoint, and for each matrix the SHA-256 of these four and
//! of the original elements.
//!
//! [`packed_bf16`]: crate::weights::packed_bf16

#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

pub use write::{Summary, write};

use super::{Checkpoint, Part, file, safetensors};
use crate::error::{Error, ErrorKind, Result};
use crate::numerics::CONTRACT_VERSION;
use crate::weights::packed_bf16::{PackedBf16, TABLE, flushed};

/// The name that such a file has beside its checkpoint.
pub const FILE_NAME: &str = "packed.gptoss";

/// The value of `format` in the metadata.
const FORMAT: &str = "gptoss-packed/1";
/// Rows of each matrix that are compared with the original when a file is opened.
const SAMPLES: usize = 16;
/// Bytes of the original that are packed, or compared, at a time.
const PANEL: usize = 16 << 20;

/// A file of packed matrices that fits a checkpoint.
#[derive(Clone, Debug)]
pub struct PackedFile {
    path: PathBuf,
    size: u64,
    matrices: HashMap<String, PackedBf16>,
    metadata: BTreeMap<String, String>,
}

impl PackedFile {
    /// Opens the file `path`, which was packed from `checkpoint`.
    ///
    /// Shapes and places are checked, and of each matrix some rows are compared with the original; all of them where the
    /// checkpoint's files have another size or time of modification than when they were packed. [`verify`](Self::verify)
    /// compares everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be read, [`ErrorKind::Header`] if it is no safetensors file,
    /// [`ErrorKind::Packed`] if it does not hold what it should.
    pub fn open(path: &Path, checkpoint: &Checkpoint) -> Result<Self> {
        let (bytes, _) = file::weights(path)?;
        let header = safetensors::header(&bytes).map_err(|error| error.in_file(path))?;
        let broken = |rule: String| Error::new(ErrorKind::Packed, rule).in_file(path);
        let said = |name: &str| header.metadata.get(name).map_or("nothing", String::as_str);
        for (name, expected) in [("format", FORMAT.to_owned()), ("contract", CONTRACT_VERSION.to_string())] {
            if said(name) != expected {
                return Err(broken(format!("the {name} must be {expected}, found {}", said(name))));
            }
        }
        let ranges: HashMap<&str, _> = header
            .tensors
            .iter()
            .map(|entry| (entry.name.as_str(), entry.range.start as usize..entry.range.end as usize))
            .collect();
        let mut matrices = HashMap::new();
        for part in candidates(checkpoint) {
            let piece = |what: &str| ranges.get(format!("{}.{what}", part.name).as_str()).cloned();
            let pieces = (piece("data"), piece("tables"), piece("starts"), piece("escaped"));
            let (Some(data), Some(tables), Some(starts), Some(escaped)) = pieces else { continue };
            let (rows, cols) = (part.shape[0], part.shape[1]);
            let matrix = PackedBf16::from_parts(
                rows,
                cols,
                bytes.slice(data),
                bytes.slice(tables),
                &bytes[starts],
                &bytes[escaped],
            )
            .map_err(|rule| broken(rule.to_owned()).in_tensor(&part.name))?;
            matrices.insert(part.name.clone(), matrix);
        }
        if 4 * matrices.len() != header.tensors.len() {
            let rule = "holds other tensors than the four of each matrix that the checkpoint has";
            return Err(broken(rule.to_owned()));
        }
        let is_same = said("files") == files(checkpoint);
        let this =
            Self { path: path.to_owned(), size: bytes.len() as u64, matrices, metadata: header.metadata };
        for (part, matrix) in this.parts(checkpoint) {
            let step = if is_same { matrix.rows().div_ceil(SAMPLES) } else { 1 };
            let last = matrix.rows().saturating_sub(1);
            let rows: Vec<usize> = (0..matrix.rows()).step_by(step.max(1)).chain([last]).collect();
            this.compare(checkpoint, part, matrix, &rows)?;
        }
        Ok(this)
    }

    /// Compares all of the file: each matrix with the original, element by element, and both with their SHA-256.
    ///
    /// `progress` is told how many bytes of the originals of how many are done, and ends the work by breaking. Runs in
    /// parallel on the current rayon pool.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Packed`] with the matrix that differs, [`ErrorKind::Interrupted`] if `progress` broke.
    pub fn verify(
        &self,
        checkpoint: &Checkpoint,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<()> {
        let total = self.parts(checkpoint).map(|(part, _)| part.range.len() as u64).sum();
        let mut done = 0;
        for (part, matrix) in self.parts(checkpoint) {
            let original = checkpoint.bytes(part);
            let (packed_hash, original_hash) =
                rayon::join(|| hash(matrix), || Sha256::digest(&original[..]).into());
            for (what, found) in [("packed", packed_hash), ("original", original_hash)] {
                let found = super::digest::hex(&found);
                if self.metadata.get(&format!("{what}.{}", part.name)) != Some(&found) {
                    let rule = format!("the {what} bytes have another SHA-256 than when they were packed");
                    return Err(self.broken(rule, part));
                }
            }
            let rows: Vec<usize> = (0..matrix.rows()).collect();
            for rows in rows.chunks(panel_rows(matrix.cols())) {
                self.compare(checkpoint, part, matrix, rows)?;
                done += (2 * rows.len() * matrix.cols()) as u64;
                if progress(done, total).is_break() {
                    return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
                }
            }
        }
        Ok(())
    }

    /// The packed matrix of a name, if it is in the file.
    #[must_use]
    pub fn matrix(&self, name: &str) -> Option<&PackedBf16> {
        self.matrices.get(name)
    }

    /// The number of matrices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.matrices.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.matrices.is_empty()
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The packed matrices with their originals, in the checkpoint's order.
    fn parts<'a>(&'a self, checkpoint: &'a Checkpoint) -> impl Iterator<Item = (&'a Part, &'a PackedBf16)> {
        checkpoint.parts().iter().filter_map(|part| Some((part, self.matrices.get(&part.name)?)))
    }

    /// Checks that some rows are those of the checkpoint.
    fn compare(
        &self,
        checkpoint: &Checkpoint,
        part: &Part,
        matrix: &PackedBf16,
        rows: &[usize],
    ) -> Result<()> {
        let original = checkpoint.bytes(part);
        let cols = matrix.cols();
        let differs = rows.par_iter().find_any(|&&row| {
            let mut found = vec![0; cols];
            matrix.unpack(row, &mut found);
            let expected = original[2 * row * cols..][..2 * cols].as_chunks::<2>().0;
            !expected.iter().zip(&found).all(|(&bits, &found)| flushed(u16::from_le_bytes(bits)) == found)
        });
        match differs {
            Some(row) => {
                let rule = format!("row {row} is not that of {}", checkpoint.path().display());
                Err(self.broken(rule, part))
            }
            None => Ok(()),
        }
    }

    fn broken(&self, rule: String, part: &Part) -> Error {
        Error::new(ErrorKind::Packed, rule).in_file(&self.path).in_tensor(&part.name)
    }
}

/// The matrices that are worth packing: bf16, and all of it read for each token.
fn candidates(checkpoint: &Checkpoint) -> impl Iterator<Item = &Part> {
    let is_tied = !checkpoint.parts().iter().any(|part| part.name == "lm_head.weight");
    checkpoint.parts().iter().filter(move |part| {
        let in_attention = part.name.contains(".self_attn.") && part.name.ends_with("_proj.weight");
        in_attention || part.name == "lm_head.weight" || (is_tied && part.name == "model.embed_tokens.weight")
    })
}

/// The checkpoint's files with their sizes and times of modification.
fn files(checkpoint: &Checkpoint) -> String {
    let mut text = String::new();
    for file in checkpoint.files() {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let modified = file.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        // What is not known never equals itself.
        let modified = modified.map_or_else(|| "unknown".to_owned(), |time| time.as_nanos().to_string());
        let _ = writeln!(text, "{name} {} {modified}", file.size);
    }
    text
}

/// SHA-256 of the four pieces of a matrix.
fn hash(matrix: &PackedBf16) -> [u8; 32] {
    let pieces = matrix.pieces();
    let mut sha = Sha256::new();
    sha.update(pieces.data);
    sha.update(pieces.tables);
    pieces.starts.iter().for_each(|start| sha.update(start.to_le_bytes()));
    pieces.escaped.iter().for_each(|group| sha.update(group.to_le_bytes()));
    sha.finalize().into()
}

/// Rows of a panel.
fn panel_rows(cols: usize) -> usize {
    (PANEL / (2 * cols).max(1)).max(1)
}
