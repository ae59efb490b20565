//! A forward pass in WGSL on a Vulkan device, a software one unless `GPTOSS_TEST_VULKAN=hardware` asks for another: equal
//! to the reference bit for bit, right by a golden check, and with a known bug in the shaders named by it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod cancelling;
mod equal;
mod named;
mod numbers;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use gptoss_runtime::ModelConfig;
use gptoss_runtime::checkpoint::Checkpoint;
use gptoss_runtime::golden::{Mutant, probe};
use gptoss_runtime::weights::Weights;
use gptoss_tests::fixtures_root;
use gptoss_tests::wgsl::{Device, Kernels, Run, Tensors, run, switch};

/// The device of all tests. None of the kind that is wanted is a failure: these tests run where there is one.
static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let device = Device::open().unwrap();
    eprintln!("on {}", device.name());
    device
});

/// The shaders without a bug.
static RIGHT: LazyLock<Kernels<'static>> = LazyLock::new(|| Kernels::new(&DEVICE, &[]));

/// A checkpoint, read twice: by the runtime, and as the bytes of its files.
struct Model {
    config: ModelConfig,
    weights: Weights,
    tensors: Tensors,
}

impl Model {
    fn open(folder: &Path) -> Self {
        let checkpoint = Checkpoint::open(folder).unwrap();
        Self {
            config: checkpoint.config().clone(),
            weights: Weights::load(&checkpoint).unwrap(),
            tensors: Tensors::open(folder).unwrap(),
        }
    }

    fn run(&self, kernels: &Kernels<'_>, tokens: &[u32]) -> Run {
        run(kernels, &self.config, &self.tensors, tokens, None)
    }
}

fn probe_folder() -> PathBuf {
    fixtures_root().join("probe")
}

/// A run of the probe with a bug, or without.
fn run_probe(model: &Model, bug: Option<Mutant>) -> Run {
    let compiled = bug.map(|bug| Kernels::new(&DEVICE, &[&switch(bug)]));
    let kernels = compiled.as_ref().unwrap_or(&RIGHT);
    let decoded_from = Some(probe::DECODED_FROM as usize);
    run(kernels, &model.config, &model.tensors, &probe::tokens(), decoded_from)
}
