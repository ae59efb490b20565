//! A gpt-oss forward pass in WGSL: the shaders of `tests/wgsl`, and what uploads weights and runs them.
//!
//! It follows `docs/numerics.md` in the profile `bf16` and shares no arithmetic with the runtime, from which it takes the
//! configuration and the constants of the rotation. Known bugs are pipeline-overridable constants of the shaders, named
//! as the catalogue names them with underscores.
//!
//! The shaders are to give the same bits on every device that rounds +, − and × of f32 to nearest; this was tried on
//! Mesa's llvmpipe and on an NVIDIA H200.

mod device;
mod dump;
mod pass;
mod tensors;

pub use device::{Device, KERNELS, Kernels};
pub use dump::to_safetensors;
pub use pass::{Run, Value, run};
pub use tensors::Tensors;

use gptoss_runtime::golden::Mutant;

/// The name of the shaders' constant that switches a bug of the catalogue on.
#[must_use]
pub fn switch(bug: Mutant) -> String {
    bug.id().replace('.', "_")
}

/// The bugs of the catalogue that the shaders have a switch for, in its order.
#[must_use]
pub fn bugs() -> Vec<Mutant> {
    let declares = |bug: &Mutant| {
        let declaration = format!("override {}: bool", switch(*bug));
        KERNELS.iter().any(|(_, source)| source.contains(&declaration))
    };
    Mutant::all().filter(declares).collect()
}
