//! A run as a file that a golden check reads.

use std::collections::HashMap;

use gptoss_runtime::tap::TapPoint;
use safetensors::Dtype;
use safetensors::tensor::{SafeTensorError, TensorView};

use super::pass::Run;

/// The values of a run as safetensors, with the names and shapes of `docs/golden-checks.md`: bf16, and expert ids as I32.
///
/// # Errors
///
/// None that can happen: names differ and shapes fit.
pub fn to_safetensors(run: &Run, tokens: &[u32]) -> Result<Vec<u8>, SafeTensorError> {
    let data: Vec<(String, Dtype, Vec<u8>)> = run
        .values
        .iter()
        .map(|value| match value.point {
            TapPoint::ExpertIds => {
                (value.name(), Dtype::I32, value.bits.iter().flat_map(|id| id.to_le_bytes()).collect())
            }
            // Every value has passed through b, so that the lower half is 0.
            _ => {
                let upper = value.bits.iter().flat_map(|bits| ((bits >> 16) as u16).to_le_bytes());
                (value.name(), Dtype::BF16, upper.collect())
            }
        })
        .collect();
    let views = data
        .iter()
        .zip(&run.values)
        .map(|((name, dtype, bytes), value)| Ok((name, TensorView::new(*dtype, value.shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    let metadata: HashMap<String, String> = [
        ("generator", "WGSL".to_owned()),
        ("profile", "bf16".to_owned()),
        ("accumulate", "f32".to_owned()),
        ("tokens", format!("{tokens:?}")),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text))
    .collect();
    safetensors::serialize(views, Some(metadata))
}
