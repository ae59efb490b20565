//! The first wrong op of a dump, and all that is needed to compute it again, in one small file.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::graph::{inputs, order};
use super::local::{CheckOptions, Judge, check, is_inside};
use super::mutants::Mutants;
use super::report::Report;
use super::site::expert_index;
use super::{Site, Source, Values};
use crate::checkpoint::safetensors::framed;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::tap::TapPoint;
use crate::weights::{Matrix, Weights};

/// Elements of a row that a replay file keeps.
const ELEMENTS: usize = 4096;
/// Rows of keys and values that a replay file keeps: the last ones before the position.
const KEYS: usize = 128;
/// Elements of such a row.
const KEY_ELEMENTS: usize = 512;

/// The first wrong op.
#[derive(Clone, Debug)]
pub struct Bisected {
    /// The value that is wrong first, in the order of the data flow; of its parts the first wrong one.
    pub site: Site,
    /// The first position at which it is wrong. No later token has a part in it: the prompt up to here still shows it.
    pub position: u32,
    /// The element of that row that is furthest out.
    pub element: usize,
    /// The shortest prompt that still shows it: the tokens up to `position`, if the dump has tokens.
    pub prompt: Option<Vec<u32>>,
    /// A safetensors file below 1 MB with the op's inputs, the row of its matrix, what was found, and between which bounds
    /// it should be.
    pub replay: Vec<u8>,
    /// The check that found it.
    pub report: Report,
}

/// Finds the first wrong op of a dump; none if nothing is wrong.
///
/// Each value is judged by the values right before it that the dump has, so the first wrong one is where the error is made, as
/// closely as the dump tells.
///
/// # Errors
///
/// What [`check`] returns.
pub fn bisect(
    config: &ModelConfig,
    weights: &Weights,
    source: &dyn Source,
    options: &CheckOptions,
) -> Result<Option<Bisected>> {
    let report = check(config, weights, source, options)?;
    let Some(first) = report.first_wrong() else { return Ok(None) };
    let (site, position) = (first.site, first.first_outside.unwrap_or(0));
    let Some(values) = source.read(&site)? else { return Ok(None) };
    let mut judge = Judge::new(config, weights, source, options, &|_| true);
    let mut sites = source.sites();
    sites.sort_by_key(order);
    judge.all = judge.positions(&sites)?;
    let given = judge.given();
    let evaluator = judge.evaluator(&given, judge.formulas(Mutants::NONE));
    let rows: Arc<[u32]> = Arc::from([position]);
    let found = values.at(position).unwrap_or_default();
    let mut file = Replay::default();
    let mut element = 0;
    if let Some(block) = evaluator.computed(site, &rows)?.filter(|block| block.width == values.width) {
        let expected: Vec<_> = block.row(0).iter().map(|x| x.stored(values.dtype)).collect();
        let out = |index: &usize| {
            if is_inside(found[*index], expected[*index]) {
                return f64::NEG_INFINITY;
            }
            let distance = (expected[*index].low - found[*index]).max(found[*index] - expected[*index].high);
            if distance.is_nan() { f64::INFINITY } else { distance }
        };
        element = (0..found.len()).max_by(|a, b| out(a).total_cmp(&out(b))).unwrap_or(0);
        let start = (element / ELEMENTS) * ELEMENTS;
        let part = start..found.len().min(start + ELEMENTS);
        file.meta("elements", format!("{start}..{}", part.end));
        file.add("found", 1, found[part.clone()].to_vec());
        let lane =
            |take: fn(&super::bounds::Bounded) -> f64| expected[part.clone()].iter().map(take).collect();
        file.add("expected.low", 1, lane(|x| x.low));
        file.add("expected.high", 1, lane(|x| x.high));
        file.add("expected.exact", 1, lane(|x| x.exact));
        file.add("expected.rounded", 1, lane(|x| x.rounded));
    }
    for input in inputs(&site, config.num_layers() as u32) {
        if let Some(values) = source.read(&input)? {
            file.input(&input, &values, position);
        }
    }
    if let Some(row) = matrix(config, weights, &site, source, position)?.map(|matrix| {
        let mut row = vec![0.0; matrix.cols];
        matrix.row(element.min(matrix.rows.saturating_sub(1)), &mut row);
        row
    }) {
        file.add("weights.row", 1, row.iter().map(|&weight| f64::from(weight)).collect());
    }
    file.meta("site", site.to_string());
    file.meta("position", position.to_string());
    file.meta("element", element.to_string());
    file.meta("profile", options.declared.profile.to_string());
    file.meta("accumulate", options.declared.accumulate.name().to_owned());
    let prompt = source.tokens().map(|tokens| tokens[..tokens.len().min(position as usize + 1)].to_vec());
    Ok(Some(Bisected { site, position, element, prompt, replay: file.bytes(), report }))
}

/// The matrix of a value that has one.
fn matrix<'a>(
    config: &ModelConfig,
    weights: &'a Weights,
    site: &Site,
    source: &dyn Source,
    position: u32,
) -> Result<Option<&'a Matrix>> {
    use TapPoint as P;
    if site.point == P::Logits {
        return Ok(Some(&weights.unembedding));
    }
    let Some(layer) = site.layer.and_then(|layer| weights.layers.get(layer as usize)) else {
        return Ok(None);
    };
    let expert = match site.part {
        Some(super::Part::Expert(expert)) => Some(expert as usize),
        Some(super::Part::Rank(rank)) => source
            .read(&Site { point: P::ExpertIds, part: None, ..*site })?
            .and_then(|ids| ids.at(position).and_then(|row| expert_index(*row.get(rank as usize)?))),
        _ => None,
    };
    let expert = expert.filter(|&expert| expert < config.num_experts).map(|expert| &layer.experts[expert]);
    Ok(match site.point {
        P::Query => Some(&layer.query.matrix),
        P::Key => Some(&layer.key.matrix),
        P::Value => Some(&layer.value.matrix),
        P::AttentionOutput => Some(&layer.output.matrix),
        P::RouterLogits => Some(&layer.router.matrix),
        P::GateUp => expert.map(|expert| &expert.gate_up.matrix),
        P::Down => expert.map(|expert| &expert.down.matrix),
        _ => None,
    })
}

/// A small safetensors file of f64 arrays.
#[derive(Default)]
struct Replay {
    meta: Map<String, Value>,
    arrays: Vec<(String, usize, Vec<f64>)>,
}

impl Replay {
    fn meta(&mut self, name: &str, value: String) {
        self.meta.insert(name.to_owned(), Value::String(value));
    }

    fn add(&mut self, name: &str, rows: usize, data: Vec<f64>) {
        self.arrays.push((name.to_owned(), rows, data));
    }

    /// The row of a position; of keys and values the rows up to it.
    fn input(&mut self, site: &Site, values: &Values, position: u32) {
        if matches!(site.point, TapPoint::KeyRotated | TapPoint::Value) {
            let rows: Vec<usize> =
                (0..values.positions.len()).filter(|&row| values.positions[row] <= position).collect();
            let rows = &rows[rows.len().saturating_sub(KEYS)..];
            let width = values.width.min(KEY_ELEMENTS);
            let data = rows.iter().flat_map(|&row| values.row(row)[..width].to_vec()).collect();
            self.add(&format!("input.{site}"), rows.len(), data);
        } else if let Some(row) = values.at(position) {
            self.add(&format!("input.{site}"), 1, row[..row.len().min(ELEMENTS)].to_vec());
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), Value::Object(self.meta.clone()));
        let mut start = 0;
        for (name, rows, data) in &self.arrays {
            let end = start + 8 * data.len();
            let width = data.len() / (*rows).max(1);
            let entry = json!({"dtype": "F64", "shape": [rows, width], "data_offsets": [start, end]});
            header.insert(name.clone(), entry);
            start = end;
        }
        let mut bytes = framed(&header, 8, 0);
        for (_, _, data) in &self.arrays {
            data.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{Accumulator, Declared, Mutant, Simulation, probe, simulate};
    use crate::profile::Profile;

    #[test]
    fn the_first_wrong_op_comes_with_a_small_file_and_the_shortest_prompt() {
        let (config, weights) = (probe::config(), probe::weights().unwrap());
        let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
        let simulation = Simulation {
            declared,
            seed: 4,
            mutants: Mutants::one(Mutant::RopeInterleaved),
            decoded_from: None,
        };
        let dump = simulate(&config, &weights, &probe::tokens()[..12], &simulation).unwrap();
        let options = CheckOptions { power: false, ..CheckOptions::new(declared) };
        let found = bisect(&config, &weights, &dump, &options).unwrap().unwrap();
        assert_eq!(found.site, Site::of_layer(0, TapPoint::QueryRotated));
        // The rotation of position 0 is right however pairs are formed.
        assert_eq!((found.position, found.prompt.map(|ids| ids.len())), (1, Some(2)));
        assert!(found.replay.len() < 1 << 20);
        let length = u64::from_le_bytes(found.replay[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&found.replay[8..8 + length]).unwrap();
        assert_eq!(header["__metadata__"]["site"], "layer.0.query_rotated");
        assert_eq!(header["input.layer.0.query"]["shape"], json!([1, 512]));
        let end = header["expected.rounded"]["data_offsets"][1].as_u64().unwrap() as usize;
        assert!(end + 8 + length <= found.replay.len());
    }

    /// The keys that a row does not see are no worse than the one that is wrong.
    #[test]
    fn a_wrong_score_is_found_among_those_that_are_masked() {
        let (config, weights) = (probe::config(), probe::weights().unwrap());
        let declared = Declared { profile: Profile::F32, accumulate: Accumulator::F32 };
        let simulation = Simulation { declared, seed: 4, mutants: Mutants::NONE, decoded_from: None };
        let mut dump = simulate(&config, &weights, &probe::tokens()[..12], &simulation).unwrap();
        let site = Site::of_layer(0, TapPoint::Scores).with(crate::golden::Part::Head(0));
        dump.values.get_mut(&site).unwrap().data[5 * 12 + 2] += 1.0;
        let options = CheckOptions { power: false, names: false, ..CheckOptions::new(declared) };
        let found = bisect(&config, &weights, &dump, &options).unwrap().unwrap();
        assert_eq!((found.site, found.position, found.element), (site, 5, 2));
    }

    #[test]
    fn a_right_dump_has_no_first_wrong_op() {
        let (config, weights) = (probe::config(), probe::weights().unwrap());
        let declared = Declared { profile: Profile::F32, accumulate: Accumulator::F32 };
        let simulation = Simulation { declared, seed: 4, mutants: Mutants::NONE, decoded_from: None };
        let dump = simulate(&config, &weights, &probe::tokens()[..6], &simulation).unwrap();
        let options = CheckOptions { power: false, ..CheckOptions::new(declared) };
        assert!(bisect(&config, &weights, &dump, &options).unwrap().is_none());
    }
}
