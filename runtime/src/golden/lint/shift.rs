//! Rows that stand at the position beside their own.

use super::{Finding, Rule};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::golden::site::{Site, Source, Values};
use crate::tap::TapPoint;
use crate::weights::Weights;

/// The fewest pairs of rows from which a shift is told.
const FEWEST: usize = 4;

/// Compares embedding rows with those of the tokens, and each value of the residual stream with the one before.
pub(super) fn find(
    source: &dyn Source,
    config: &ModelConfig,
    weights: Option<&Weights>,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let embedding = Site::alone(TapPoint::Embedding);
    let mut before = source.read(&embedding)?.map(|values| (embedding, values));
    if let (Some((_, values)), Some(weights), Some(tokens)) = (&before, weights, source.tokens())
        && let Some(shift) = of_embedding(values, weights, tokens, config)
    {
        findings.push(finding(vec![embedding], shift, "the tokens"));
    }
    for layer in 0..config.num_layers() as u32 {
        for point in [TapPoint::AttentionResidual, TapPoint::LayerOutput] {
            let site = Site::of_layer(layer, point);
            let Some(values) = source.read(&site)? else { continue };
            if let Some((earlier, earlier_values)) = &before
                && let Some(shift) = of_residual(earlier_values, &values)
            {
                findings.push(finding(vec![site], shift, &earlier.to_string()));
            }
            before = Some((site, values));
        }
    }
    Ok(findings)
}

fn finding(sites: Vec<Site>, shift: i64, beside: &str) -> Finding {
    let side = if shift > 0 { "behind" } else { "before" };
    Rule::Shifted.found(sites, format!("rows stand one position {side} those of {beside}"))
}

/// The shift under which every row is the embedding of its token, if that is not 0.
fn of_embedding(values: &Values, weights: &Weights, tokens: &[u32], config: &ModelConfig) -> Option<i64> {
    let mut row = vec![0.0; config.hidden_size];
    let mut fits = |shift: i64| {
        let mut differ = false;
        let mut count = 0;
        for (index, &position) in values.positions.iter().enumerate() {
            let Some(&token) =
                usize::try_from(i64::from(position) - shift).ok().and_then(|at| tokens.get(at))
            else {
                continue;
            };
            if token as usize >= config.vocab_size || values.width != row.len() {
                return false;
            }
            weights.embedding.row(token as usize, &mut row);
            differ |= tokens.get(position as usize) != Some(&token);
            count += 1;
            if !values.row(index).iter().zip(&row).all(|(&a, &b)| a == f64::from(b)) {
                return false;
            }
        }
        count > 1 && (differ || shift == 0)
    };
    if fits(0) {
        return None;
    }
    [1, -1].into_iter().find(|&shift| fits(shift))
}

/// The shift under which rows are most alike, if that is not 0.
///
/// A layer adds to the residual stream, so that a row after it points in about the direction of the same row before, and
/// rows of other positions do not, or less so.
fn of_residual(before: &Values, after: &Values) -> Option<i64> {
    let likeness = |shift: i64| {
        let (mut sum, mut count) = (0.0, 0);
        for (index, &position) in after.positions.iter().enumerate() {
            let other =
                u32::try_from(i64::from(position) - shift).ok().and_then(|position| before.at(position));
            let Some(other) = other.filter(|other| other.len() == after.width) else { continue };
            sum += cosine(other, after.row(index));
            count += 1;
        }
        (count >= FEWEST).then(|| sum / count as f64)
    };
    let here = likeness(0)?;
    let (shift, best) = [1, -1]
        .into_iter()
        .filter_map(|shift| Some((shift, likeness(shift)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    // Half of what is left to be equal: a run of one token has rows that are alike at all positions.
    (here.is_finite() && 1.0 - best < 0.5 * (1.0 - here)).then_some(shift)
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
