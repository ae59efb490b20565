//! The name of a value on the command line.

use gptoss_runtime::ModelConfig;
use gptoss_runtime::golden::Site;
use gptoss_runtime::golden::explain::sites;

use crate::error::{Error, Result};

/// Names that an unknown one may have been meant to be.
const NEAREST: usize = 3;

/// The site of this name, if the model has it.
pub(super) fn read(name: &str, config: &ModelConfig) -> Result<Site> {
    let known = sites(config);
    if let Some(site) = name.parse().ok().filter(|site| known.contains(site)) {
        return Ok(site);
    }
    let shown: String = name.chars().take(80).collect();
    let nearest = nearest(&shown, known.iter().map(ToString::to_string)).join(", ");
    Err(Error::usage(format!("the model has no value {shown:?}"))
        .help(format!("the nearest names are {nearest}")))
}

/// Those that go on where the name ends, then those with the least distance, the nearest first; of equal ones the first.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Vec<String> {
    let rank = |other: &str| (!other.starts_with(name), strsim::levenshtein(name, other));
    let mut known: Vec<_> = known.map(|other| (rank(&other), other)).collect();
    known.sort_by_key(|(rank, _)| *rank);
    known.into_iter().take(NEAREST).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_its_part_is_near_to_its_parts() {
        let known = ["layer.1.key", "layer.1.scores.head.0"].map(str::to_owned);
        assert_eq!(nearest("layer.1.scores", known.into_iter())[0], "layer.1.scores.head.0");
    }
}
