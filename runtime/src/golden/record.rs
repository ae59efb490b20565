//! Records named values of a run as safetensors, row by row as they are computed.

mod plan;

use std::io::{self, Seek, SeekFrom, Write};

use ndarray::ArrayView2;

pub(super) use plan::width;
pub use plan::{Plan, Selection};

use crate::dtype::bf16;
use crate::error::{Error, ErrorKind, Result};
use crate::golden::site::{Dtype, Part, Site};
use crate::model::{Model, Rows};
use crate::numerics::Real;
use crate::profile::Profile;
use crate::tap::{Tap, TapPoint, TapSite, TapValues};

/// The version of the layout of recorded files, which their metadata name `gptoss.dump`.
pub const FORMAT: &str = "1";

/// Positions that are computed at once.
const CHUNK: usize = 128;

/// Runs `tokens` from an empty context and writes the values that `selection` asks for to `to`, from its start.
///
/// The file is safetensors: one tensor a site, named as [`Site`] writes it, `[positions, width]`, in bf16, f32 or f64 as
/// the profile of the model is, and experts' ids as I32. Its header says where each row goes, so rows are written when
/// they are computed and none is kept: a file may be larger than the memory. `weights` is the digest of the weights
/// ([`Checkpoint::weights_digest`](crate::checkpoint::Checkpoint::weights_digest)), which is stored in hex beside tokens,
/// positions, profile and contract version.
///
/// # Errors
///
/// [`ErrorKind::Io`] if `to` cannot be written; [`ErrorKind::Interrupted`] once `interrupted` is true, which is asked
/// before each layer; [`ErrorKind::Dump`] if the selection leaves nothing, and the errors of [`Model::forward_rows`].
///
/// ```no_run
/// use std::fs::File;
/// use std::path::Path;
///
/// use gptoss_runtime::golden::record::{Selection, record};
/// use gptoss_runtime::{Model, ModelOptions};
///
/// let model = Model::load(Path::new("gpt-oss-20b"), ModelOptions::default())?;
/// let tokens = [200006, 1428, 200008];
/// let file = File::create("golden.safetensors").unwrap();
/// record(&model, &tokens, &Selection::layers(), None, file, &|| false)?;
/// # Ok::<(), gptoss_runtime::Error>(())
/// ```
pub fn record<W: Write + Seek + Send>(
    model: &Model,
    tokens: &[u32],
    selection: &Selection,
    weights: Option<[u8; 32]>,
    to: W,
    interrupted: &(dyn Fn() -> bool + Sync),
) -> Result<W> {
    let plan = Plan::new(model.config(), model.profile(), tokens, selection)?;
    let wants_logits = plan.wants(TapPoint::Logits, None) || plan.wants(TapPoint::FinalNorm, None);
    let chunk = CHUNK.min(tokens.len());
    let mut cache = model.new_cache(tokens.len(), chunk)?;
    let mut recorder = Recorder::new(&plan, weights, to, interrupted)?;
    for part in tokens[..plan.last_position() as usize + 1].chunks(chunk) {
        let here = cache.len() as u32..(cache.len() + part.len()) as u32;
        let rows = match plan.positions().iter().find(|position| here.contains(position)) {
            Some(&first) if wants_logits => {
                if first + 1 == here.end {
                    Rows::Last
                } else {
                    Rows::All
                }
            }
            _ => Rows::None,
        };
        let computed = model.forward_rows(part, rows, &mut cache, &mut recorder);
        // Why it could not be written is the reason, not that the pass ended.
        if let Some(error) = recorder.failure.take() {
            return Err(error);
        }
        computed?;
    }
    recorder.finish()
}

/// The tap that writes.
struct Recorder<'a, W> {
    plan: &'a Plan,
    to: W,
    /// Bytes of data that were written.
    written: u64,
    failure: Option<Error>,
    interrupted: &'a (dyn Fn() -> bool + Sync),
}

impl<'a, W: Write + Seek> Recorder<'a, W> {
    fn new(
        plan: &'a Plan,
        weights: Option<[u8; 32]>,
        mut to: W,
        interrupted: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Self> {
        to.write_all(&plan.header(weights)).map_err(cannot_write)?;
        Ok(Self { plan, to, written: 0, failure: None, interrupted })
    }

    fn finish(mut self) -> Result<W> {
        if self.written != self.plan.data_len() {
            let (written, planned) = (self.written, self.plan.data_len());
            let rule = format!("{written} bytes of values were computed, and {planned} were planned");
            return Err(Error::new(ErrorKind::Dump, rule));
        }
        self.to.flush().map_err(cannot_write)?;
        Ok(self.to)
    }

    fn write_rows<R: Real>(&mut self, site: Site, first: usize, rows: &ArrayView2<'_, R>) -> Result<()> {
        let Some(tensor) = self.plan.tensor(&site) else { return Ok(()) };
        // Keys that no query of the run sees are not there; those after the chunk are not visible.
        let padding = if site.point == TapPoint::Scores { f64::NEG_INFINITY } else { 0.0 };
        let width = tensor.width;
        let (mut bytes, mut start) = (Vec::new(), None);
        for (row, values) in rows.rows().into_iter().enumerate() {
            let position = (first + row) as u32;
            let Ok(index) = self.plan.positions().binary_search(&position) else { continue };
            // Wanted positions that follow each other are written at once.
            start.get_or_insert(index);
            for value in values.iter().take(width) {
                encode(value.to_f64(), tensor.dtype, &mut bytes);
            }
            for _ in values.len()..width {
                encode(padding, tensor.dtype, &mut bytes);
            }
        }
        let Some(start) = start else { return Ok(()) };
        let offset = self.plan.data_start(&site) + (start * width * plan::size(tensor.dtype)) as u64;
        self.to.seek(SeekFrom::Start(offset)).map_err(cannot_write)?;
        self.to.write_all(&bytes).map_err(cannot_write)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

impl<W: Write + Seek + Send> Tap for Recorder<'_, W> {
    fn wants(&self, point: TapPoint, layer: Option<usize>) -> bool {
        self.failure.is_none() && self.plan.wants(point, layer.map(|layer| layer as u32))
    }

    fn record(&mut self, site: TapSite, values: TapValues<'_>) {
        let part = site.slot.map(|slot| match site.point {
            TapPoint::Scores | TapPoint::Probabilities => Part::Head(slot as u32),
            _ => Part::Rank(slot as u32),
        });
        let named = Site { layer: site.layer.map(|layer| layer as u32), point: site.point, part };
        let written = match values {
            TapValues::F32(rows) => self.write_rows(named, site.position, &rows),
            TapValues::F64(rows) => self.write_rows(named, site.position, &rows),
        };
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    fn interrupted(&self) -> bool {
        self.failure.is_some() || (self.interrupted)()
    }
}

/// Appends a value that the type holds exactly, little-endian.
fn encode(value: f64, dtype: Dtype, to: &mut Vec<u8>) {
    match dtype {
        Dtype::Bf16 => to.extend(bf16::from_f32(value as f32).to_le_bytes()),
        Dtype::F64 => to.extend(value.to_le_bytes()),
        Dtype::Int => to.extend((value as i32).to_le_bytes()),
        Dtype::F32 | Dtype::F16 => to.extend((value as f32).to_le_bytes()),
    }
}

/// How the values of a profile are stored without loss.
pub(super) const fn stored(profile: Profile, point: TapPoint) -> Dtype {
    match (point, profile) {
        (TapPoint::ExpertIds, _) => Dtype::Int,
        (_, Profile::Bf16) => Dtype::Bf16,
        (_, Profile::F32) => Dtype::F32,
        (_, Profile::F64) => Dtype::F64,
    }
}

fn cannot_write(error: io::Error) -> Error {
    Error::new(ErrorKind::Io, "the recording cannot be written").caused_by(error)
}

#[cfg(test)]
mod tests;
