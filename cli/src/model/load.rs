//! From the flags to a model that is ready to run.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use gptoss_runtime::checkpoint::packed::FILE_NAME;
use gptoss_runtime::checkpoint::{Checkpoint, exit_on_lost_pages};
use gptoss_runtime::simd::Isa;
use gptoss_runtime::{Model, ModelOptions, Profile};

use crate::context::Context;
use crate::error::{Error, MODEL, Result};
use crate::interrupt;
use crate::model::machine::Memory;
use crate::model::{Packed, Pages, gigabytes};
use crate::progress::Progress;

/// How a model is to be run, as the global flags say.
pub(crate) fn options(context: &Context, profile: Profile) -> Result<ModelOptions> {
    let isa = context.isa.map(Isa::require).transpose()?;
    Ok(ModelOptions { profile, isa, threads: NonZeroUsize::new(context.threads) })
}

/// Opens a checkpoint, and warns of what is odd about it.
pub(crate) fn open(path: &Path, context: &Context) -> Result<Checkpoint> {
    exit_on_lost_pages(i32::from(MODEL));
    let checkpoint = Checkpoint::open(path).map_err(|error| Error::from(error).or_file(path))?;
    for warning in checkpoint.warnings() {
        context.warn(warning);
    }
    Ok(checkpoint)
}

/// The file of packed matrices in the folder of a checkpoint.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    folder.join(FILE_NAME)
}

/// The file of packed matrices that `--packed` asks for.
pub(crate) fn packed_file(path: &Path, packed: &Packed) -> Option<PathBuf> {
    match packed {
        Packed::Off => None,
        Packed::Auto => Some(beside(path)).filter(|file| file.exists()),
        Packed::File(file) => Some(file.clone()),
    }
}

/// Loads a model as the flags say: its profile, its threads, where its weights lie, and in which form.
pub(crate) fn model(path: &Path, packed: &Packed, context: &Context) -> Result<Model> {
    exit_on_lost_pages(i32::from(MODEL));
    let options = options(context, context.profile.unwrap_or_default())?;
    if let Some(file) = packed_file(path, packed) {
        if context.pages == Pages::Huge {
            return Err(Error::usage("packed matrices are used where they are mapped")
                .help("leave out --pages huge, or --packed"));
        }
        return Model::load_packed(path, &file, options).map_err(|error| Error::from(error).or_file(path));
    }
    let loaded = match context.pages {
        Pages::Map => Model::load(path, options).map_err(Error::from),
        Pages::Huge => Checkpoint::open(path).map_err(Error::from).and_then(|checkpoint| {
            let size = checkpoint.files().iter().map(|file| file.size).sum();
            check_memory(size)?;
            let flag = interrupt::flag()?;
            let progress = Mutex::new(Progress::new(context.quiet));
            Model::load_checkpoint(checkpoint, options, |checkpoint| {
                let copied = checkpoint.copy_to_huge_pages(|done, total| {
                    progress.lock().unwrap_or_else(PoisonError::into_inner).report(done, total);
                    !flag.load(Ordering::Relaxed)
                });
                drop(progress);
                copied
            })
            .map_err(Error::from)
        }),
    };
    loaded.map_err(|error| error.or_file(path))
}

/// A copy must fit into memory together with what else runs; cached files can go.
fn check_memory(bytes: u64) -> Result<()> {
    match Memory::read() {
        Some(memory) if memory.available < bytes => {
            let rule = format!(
                "a copy of the weights takes {}, and {} of memory are available",
                gigabytes(bytes),
                gigabytes(memory.available)
            );
            Err(Error::does_not_fit(rule).help("use them where they are mapped: --pages map"))
        }
        _ => Ok(()),
    }
}
