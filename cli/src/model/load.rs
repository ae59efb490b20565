//! From the flags to a model that is ready to run.

use std::num::NonZeroUsize;
use std::path::Path;

use gptoss_runtime::checkpoint::{Checkpoint, exit_on_lost_pages};
use gptoss_runtime::simd::Isa;
use gptoss_runtime::{Model, ModelOptions, Profile};

use crate::context::Context;
use crate::error::{Error, MODEL, Result};

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

/// Loads a model in the profile of the flags.
pub(crate) fn model(path: &Path, context: &Context) -> Result<Model> {
    exit_on_lost_pages(i32::from(MODEL));
    let options = options(context, context.profile.unwrap_or_default())?;
    Model::load(path, options).map_err(|error| Error::from(error).or_file(path))
}
