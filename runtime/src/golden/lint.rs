//! What is odd about a dump before any value is judged: files that were written or named wrongly.

pub(super) mod bits;
mod shift;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config::ModelConfig;
use crate::error::Result;
use crate::golden::dump::Matching;
use crate::golden::site::{Site, Source, Values};
use crate::tap::TapPoint;
use crate::weights::Weights;

/// One thing that is odd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which rule found it.
    pub rule: Rule,
    /// The values; none if the finding is of the whole dump.
    pub sites: Vec<Site>,
    /// What was found.
    pub text: String,
    /// What to do.
    pub help: &'static str,
}

/// The rules, each a way in which a dump goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Nothing in the dump is a value of the model.
    NothingMatched,
    /// Every element is zero.
    AllZero,
    /// An element is a NaN, or infinite where it cannot be.
    NotFinite,
    /// Every element is the same number.
    Constant,
    /// Every position has the same row.
    SameRows,
    /// A value has the same bits in each layer.
    SameInLayers,
    /// Two values that are never equal have the same bits.
    SameValues,
    /// The numbers make sense with their bytes in the other order.
    ByteSwapped,
    /// The numbers make sense as bf16, and are declared as f16.
    Bf16AsF16,
    /// The numbers make sense as f16, and are declared as bf16.
    F16AsBf16,
    /// Rows stand at the position beside their own.
    Shifted,
    /// Layers are counted from 1.
    LayersFromOne,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::NothingMatched,
        Self::AllZero,
        Self::NotFinite,
        Self::Constant,
        Self::SameRows,
        Self::SameInLayers,
        Self::SameValues,
        Self::ByteSwapped,
        Self::Bf16AsF16,
        Self::F16AsBf16,
        Self::Shifted,
        Self::LayersFromOne,
    ];

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NothingMatched => "nothing-matched",
            Self::AllZero => "all-zero",
            Self::NotFinite => "not-finite",
            Self::Constant => "constant",
            Self::SameRows => "same-rows",
            Self::SameInLayers => "same-in-layers",
            Self::SameValues => "same-values",
            Self::ByteSwapped => "byte-swapped",
            Self::Bf16AsF16 => "bf16-as-f16",
            Self::F16AsBf16 => "f16-as-bf16",
            Self::Shifted => "shifted",
            Self::LayersFromOne => "layers-from-one",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::NothingMatched => {
                "name the arrays as one of the known schemes does, or write a table of names"
            }
            Self::AllZero => "the buffer was read before it was written, or it is another buffer",
            Self::NotFinite => "the value itself may be wrong: an overflow, or a row that was never computed",
            Self::Constant => "the buffer was filled and never written",
            Self::SameRows => "one row was copied to all positions, or only one was computed",
            Self::SameInLayers => "one buffer serves all layers and was read once, after the last one",
            Self::SameValues => "a buffer was read after another value was written to it",
            Self::ByteSwapped => "declare the other byte order, or swap the bytes",
            Self::Bf16AsF16 => "declare the elements as bf16",
            Self::F16AsBf16 => "declare the elements as f16",
            Self::Shifted => "say the positions of the rows: metadata `positions`",
            Self::LayersFromOne => "count layers from 0, or set `layer_from = 1` in a table of names",
        }
    }

    fn found(self, sites: Vec<Site>, text: impl Into<String>) -> Finding {
        Finding { rule: self, sites, text: text.into(), help: self.help() }
    }
}

/// Looks for all that is odd in a dump.
///
/// `weights` add the comparison of embedding rows with those of the tokens, `matching` what the names say.
///
/// # Errors
///
/// Those of [`Source::read`].
pub fn lint(
    source: &dyn Source,
    config: &ModelConfig,
    weights: Option<&Weights>,
    matching: Option<&Matching>,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let sites = source.sites();
    if sites.is_empty() {
        findings.push(Rule::NothingMatched.found(Vec::new(), "no array of the dump is a value of the model"));
    }
    if let Some(matching) = matching {
        findings.extend(layers_from_one(config, &sites, matching));
    }
    let mut digests: BTreeMap<Site, [u8; 32]> = BTreeMap::new();
    let tokens_differ = source.tokens().is_none_or(|tokens| tokens.windows(2).any(|pair| pair[0] != pair[1]));
    for &site in &sites {
        let Some(values) = source.read(&site)? else { continue };
        if let Some(finding) = of_one(site, &values, tokens_differ) {
            findings.push(finding);
        } else if values.data.len() > 1 {
            digests.insert(site, digest(&values));
        }
    }
    findings.extend(equal(&digests));
    findings.extend(shift::find(source, config, weights)?);
    findings.sort_by_key(|finding| (finding.rule, finding.sites.clone()));
    Ok(join(findings))
}

/// Findings of one rule and one text become one.
fn join(findings: Vec<Finding>) -> Vec<Finding> {
    let mut joined: Vec<Finding> = Vec::new();
    for finding in findings {
        match joined.iter_mut().find(|other| other.rule == finding.rule && other.text == finding.text) {
            Some(other) => other.sites.extend(finding.sites),
            None => joined.push(finding),
        }
    }
    joined
}

/// What is odd about the values of one site; the first thing.
fn of_one(site: Site, values: &Values, tokens_differ: bool) -> Option<Finding> {
    let data = &values.data;
    let found = |rule: Rule, text: &str| Some(rule.found(vec![site], text));
    let &first = data.first()?;
    // Before all else, as bytes in the wrong order make NaNs.
    if let Some(rule) = bits::misread(site.point, values) {
        let text = match rule {
            Rule::ByteSwapped => "the numbers make sense with their bytes in the other order",
            Rule::Bf16AsF16 => "declared as f16, and the numbers make sense as bf16",
            _ => "declared as bf16, and the numbers make sense as f16",
        };
        return found(rule, text);
    }
    let masked = site.point == TapPoint::Scores;
    if let Some(at) = data.iter().position(|&value| !(value.is_finite() || masked && value < 0.0)) {
        let position = values.positions[at / values.width];
        let what = if data[at].is_nan() { "a NaN" } else { "infinite" };
        let count = data.iter().filter(|value| value.is_nan()).count();
        let all = if count == data.len() { "every element is a NaN" } else { "" };
        let text = match all {
            "" => format!("{what} at position {position}, element {}", at % values.width),
            all => all.to_owned(),
        };
        return Some(Rule::NotFinite.found(vec![site], text));
    }
    if data.len() > 1 && data.iter().all(|&value| value == 0.0) {
        return found(Rule::AllZero, "every element is zero");
    }
    if data.len() > 1 && data.iter().all(|&value| value.to_bits() == first.to_bits()) {
        return found(Rule::Constant, "every element is the same number");
    }
    let rows = values.positions.len();
    // A router may well choose the same experts everywhere, and one token has one embedding.
    let may_repeat = matches!(site.point, TapPoint::ExpertIds | TapPoint::ExpertWeights)
        || (site.layer.is_none_or(|layer| layer == 0) && !tokens_differ)
        || matches!(site.point, TapPoint::Scores | TapPoint::Probabilities);
    if rows > 1 && !may_repeat && (1..rows).all(|row| same(values.row(row), values.row(0))) {
        return found(Rule::SameRows, "every position has the same row");
    }
    None
}

fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn digest(values: &Values) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update((values.width as u64).to_le_bytes());
    for (position, row) in values.positions.iter().zip(values.data.chunks(values.width)) {
        sha.update(position.to_le_bytes());
        let mut bytes = Vec::with_capacity(8 * row.len());
        row.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        sha.update(bytes);
    }
    sha.finalize().into()
}

/// Values that have the same bits and cannot.
fn equal(digests: &BTreeMap<Site, [u8; 32]>) -> Vec<Finding> {
    let mut by_digest: BTreeMap<[u8; 32], Vec<Site>> = BTreeMap::new();
    for (&site, &digest) in digests {
        // Whole numbers and what they weigh repeat by chance.
        if !matches!(site.point, TapPoint::ExpertIds | TapPoint::ExpertWeights) {
            by_digest.entry(digest).or_default().push(site);
        }
    }
    let mut findings = Vec::new();
    for sites in by_digest.into_values().filter(|sites| sites.len() > 1) {
        let points: BTreeSet<TapPoint> = sites.iter().map(|site| site.point).collect();
        // Position 0 is not rotated by any angle, so that its query is rotated by a factor alone.
        let rotation = |point: &TapPoint| {
            matches!(point, TapPoint::Query | TapPoint::QueryRotated | TapPoint::Key | TapPoint::KeyRotated)
        };
        let layers: BTreeSet<_> = sites.iter().map(|site| site.layer).collect();
        if layers.len() == 1 && points.iter().all(rotation) {
            continue;
        }
        let rule = if points.len() == 1 && layers.len() > 1 { Rule::SameInLayers } else { Rule::SameValues };
        let text = match rule {
            Rule::SameInLayers => {
                format!("{} has the same bits in {} layers", sites[0].point.name(), layers.len())
            }
            _ => "these values have the same bits".to_owned(),
        };
        findings.push(rule.found(sites, text));
    }
    findings
}

/// A layer behind the last one, and none with the number 0.
fn layers_from_one(config: &ModelConfig, sites: &[Site], matching: &Matching) -> Option<Finding> {
    let count = config.num_layers();
    let behind = format!("there is no layer {count};");
    let has_behind = matching.unmatched.iter().any(|unmatched| unmatched.why.starts_with(&behind));
    let has_first = sites.iter().any(|site| site.layer == Some(0));
    let text = format!("there is a layer {count} and none with the number 0; the model has {count}");
    (has_behind && !has_first).then(|| Rule::LayersFromOne.found(Vec::new(), text))
}

#[cfg(test)]
mod tests;
