//! One value explained: what it is computed from, by which formula, and between which bounds it should be.

mod inputs;
mod observe;
mod text;

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::bounds::Bounded;
use super::formats::{BF16, F16, F32, F64, Format};
use super::graph::{Evaluator, order};
use super::lint::bits::f16_bits;
use super::local::{CheckOptions, Judge, is_inside, missing, ratio};
use super::mutants::Mutants;
use super::oracle::judge_choice;
use super::record::{stored, width};
use super::{Accumulator, Dtype, Part, Site, Source};
use crate::config::ModelConfig;
use crate::dtype::bf16;
use crate::error::Error;
use crate::profile::Profile;
use crate::tap::TapPoint;
use crate::weights::Weights;

pub use super::oracle::Choice;
pub use observe::observe;

/// Which value is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The site. Queries, keys, values and contexts may have a head, though sites of dumps hold all heads: then the row
    /// is that of the head.
    pub site: Site,
    /// The absolute position.
    pub position: u32,
    /// The element of the row; the whole row without it.
    pub element: Option<usize>,
}

/// A value of a forward pass, explained.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The site.
    pub site: Site,
    /// The absolute position.
    pub position: u32,
    /// The token at that position, if it is known.
    pub token: Option<u32>,
    /// The rounding points that were declared.
    pub profile: &'static str,
    /// The accumulator that was declared.
    pub accumulate: Accumulator,
    /// Whether rounding points may be missing within an operation.
    pub fused: bool,
    /// How the value is computed.
    pub formula: &'static str,
    /// Where `docs/numerics.md` says so.
    pub clause: &'static str,
    /// What this very value is computed from.
    pub inputs: Vec<Input>,
    /// The type in which expected and found values are written.
    pub dtype: Dtype,
    /// The elements that were asked about.
    pub elements: Vec<Element>,
    /// Of chosen experts: what is to be said of the choice.
    pub choice: Option<Choice>,
    /// What else is to be known, in sentences.
    pub notes: Vec<String>,
}

impl Explained {
    /// Whether some element is outside of its bounds.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.elements
            .iter()
            .filter_map(|element| element.found.as_ref())
            .any(|found| found.inside == Some(false))
    }
}

/// What a value is computed from.
#[derive(Clone, Debug, Serialize)]
pub struct Input {
    /// The site, the tensor of the checkpoint (by its Hugging Face name), or the constant.
    pub name: String,
    /// Where it comes from.
    pub from: Origin,
    /// The type in which its values are written.
    pub dtype: Dtype,
    /// Its values in order; empty where a whole tensor takes part.
    pub values: Vec<Number>,
}

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The dump, or the run.
    Dump,
    /// The dump lacks it; it was computed from what comes before it, as the declared profile rounds.
    Computed,
    /// The checkpoint's weights.
    Weights,
    /// The configuration, or the model's definition.
    Constant,
}

/// A number and its bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Number {
    /// The number.
    pub value: f64,
    /// Its bits in hexadecimal, as the type of the array has them.
    pub bits: String,
}

impl Number {
    /// A value as an array of this type holds it.
    #[must_use]
    pub fn new(value: f64, dtype: Dtype) -> Self {
        let bits = match dtype {
            Dtype::Bf16 => format!("0x{:04x}", bf16::from_f32(value as f32)),
            Dtype::F16 => format!("0x{:04x}", f16_bits(value)),
            Dtype::F32 => format!("0x{:08x}", (value as f32).to_bits()),
            Dtype::F64 => format!("0x{:016x}", value.to_bits()),
            Dtype::Int => format!("0x{:x}", value as i64),
        };
        Self { value, bits }
    }
}

/// One element of a row.
#[derive(Clone, Debug, Serialize)]
pub struct Element {
    /// Its place in the row.
    pub element: usize,
    /// Without any rounding, from these inputs.
    pub oracle: f64,
    /// With the rounding points of the declared profile, and exact sums.
    pub expected: Number,
    /// The least honest value; NaN where nothing can be said.
    pub low: f64,
    /// The greatest honest value.
    pub high: f64,
    /// What was found, if the dump has it.
    pub found: Option<Found>,
}

/// What a dump has for an element.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The value.
    pub value: f64,
    /// Its bits.
    pub bits: String,
    /// How many numbers of the type lie between it and the expected one, with the sign of the difference. The type is the
    /// dump's, or bf16 where both are numbers of it and the profile rounds to it. None for whole numbers, and where either
    /// is not finite.
    pub ulps: Option<i64>,
    /// The error against the oracle in units of what is allowed.
    pub ratio: f64,
    /// Whether it is within the bounds; none where nothing can be said.
    pub inside: Option<bool>,
}

/// Why a value is not explained.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unexplained {
    /// The model has no such site.
    Site,
    /// The run has only so many positions.
    Position(u32),
    /// The row has only so many elements.
    Element(usize),
    /// What it is computed from is not there, as this says.
    Missing(String),
    /// The dump could not be read.
    Failed(Error),
}

impl From<Error> for Unexplained {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The sites that a model has, as questions may name them: heads of queries, keys, values and contexts included.
#[must_use]
pub fn sites(config: &ModelConfig) -> Vec<Site> {
    let mut sites = super::all_sites(config);
    for layer in 0..config.num_layers() as u32 {
        for point in TapPoint::ALL {
            let site = Site::of_layer(layer, point);
            sites.extend((0..heads(config, point)).map(|head| site.with(Part::Head(head))));
            if matches!(point, TapPoint::GateUp | TapPoint::Activation | TapPoint::Down) {
                sites.extend((0..config.num_experts as u32).map(|expert| site.with(Part::Expert(expert))));
            }
        }
    }
    sites
}

/// Heads that lie side by side in a row of this point; 0 if it has none.
fn heads(config: &ModelConfig, point: TapPoint) -> u32 {
    use TapPoint as P;
    match point {
        P::Query | P::QueryRotated | P::Context => config.num_attention_heads as u32,
        P::Key | P::KeyRotated | P::Value => config.num_key_value_heads as u32,
        _ => 0,
    }
}

/// Explains a value of a dump or of a run.
///
/// Its inputs are the dump's own where the dump has them, as in [`check`](super::check).
///
/// # Errors
///
/// [`Unexplained`] says why not.
///
/// ```
/// use gptoss_runtime::Profile;
/// use gptoss_runtime::golden::explain::{Question, explain};
/// use gptoss_runtime::golden::{Accumulator, CheckOptions, Declared, Mutants, Simulation, probe, simulate};
///
/// let (config, weights) = (probe::config(), probe::weights()?);
/// let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
/// let backend = Simulation { declared, seed: 1, mutants: Mutants::NONE, decoded_from: None };
/// let dump = simulate(&config, &weights, &[3, 1, 4], &backend)?;
/// let question = Question { site: "layer.1.query".parse()?, position: 2, element: Some(9) };
/// let explained = explain(&config, &weights, &dump, &CheckOptions::new(declared), question).unwrap();
/// assert_eq!(explained.clause, "step 3, clauses 4 and 5");
/// assert_eq!(explained.elements[0].found.as_ref().unwrap().inside, Some(true));
/// # Ok::<(), gptoss_runtime::Error>(())
/// ```
pub fn explain(
    config: &ModelConfig,
    weights: &Weights,
    source: &dyn Source,
    options: &CheckOptions,
    question: Question,
) -> Result<Explained, Unexplained> {
    let Question { site: asked, position, element } = question;
    if !sites(config).contains(&asked) {
        return Err(Unexplained::Site);
    }
    let (site, cut) = without_head(config, asked);
    let mut judge = Judge::new(config, weights, source, options, &|_| true);
    let mut known = source.sites();
    known.sort_by_key(order);
    judge.all = judge.positions(&known)?;
    if !judge.all.contains(&position) {
        return Err(Unexplained::Position(judge.all.len() as u32));
    }
    let whole = width(config, site.point, judge.all.len());
    let cut = cut.unwrap_or(0..whole);
    if element.is_some_and(|element| element >= cut.len()) {
        return Err(Unexplained::Element(cut.len()));
    }
    let range = match element {
        Some(element) => cut.start + element..cut.start + element + 1,
        None => cut.clone(),
    };
    let given = judge.given();
    let evaluator = judge.evaluator(&given, judge.formulas(Mutants::NONE));
    let rows: Arc<[u32]> = Arc::from([position]);
    let block = evaluator.computed(site, &rows)?.filter(|block| block.width == whole);
    let block = block.ok_or_else(|| Unexplained::Missing(missing(site, config)))?;
    let values = source.read(&site)?.filter(|values| values.width == whole);
    let found = values.as_ref().and_then(|values| values.at(position));
    let profile = options.declared.profile;
    let dtype = match &values {
        Some(values) => values.dtype,
        None => stored(profile, site.point),
    };
    let mut explained = Explained {
        site: asked,
        position,
        token: source.tokens().and_then(|tokens| tokens.get(position as usize).copied()),
        profile: profile.name(),
        accumulate: options.declared.accumulate,
        fused: options.fused,
        formula: text::formula(site.point),
        clause: text::clause(site.point),
        inputs: Vec::new(),
        dtype,
        elements: Vec::new(),
        choice: None,
        notes: Vec::new(),
    };
    for index in range.clone() {
        let bounded = block.row(0)[index];
        let found = found.map(|row| row[index]);
        explained.elements.push(self::element(index - cut.start, bounded, found, dtype, profile));
    }
    if site.point == TapPoint::ExpertIds {
        choose(&mut explained, &evaluator, site, &rows, found)?;
    }
    if found.is_none() {
        explained.notes.push("the dump has no value of it at this position".to_owned());
    }
    let single = element.is_some();
    inputs::Collector {
        judge: &judge,
        given: &given,
        evaluator: &evaluator,
        rows: &rows,
        site,
        single,
        range,
    }
    .collect(&mut explained)?;
    Ok(explained)
}

/// The site of a dump that holds it, and where its head lies there.
fn without_head(config: &ModelConfig, site: Site) -> (Site, Option<Range<usize>>) {
    match site.part {
        Some(Part::Head(head)) if heads(config, site.point) > 0 => {
            let start = head as usize * config.head_dim;
            (Site { part: None, ..site }, Some(start..start + config.head_dim))
        }
        _ => (site, None),
    }
}

fn element(element: usize, bounded: Bounded, found: Option<f64>, dtype: Dtype, profile: Profile) -> Element {
    let expected = bounded.stored(dtype);
    let unknown = expected.is_nan() && !expected.exact.is_nan();
    let found = found.map(|value| {
        let number = Number::new(value, dtype);
        Found {
            value,
            bits: number.bits,
            ulps: ulps(value, expected.rounded, dtype, profile),
            ratio: if unknown { f64::NAN } else { ratio(value, expected) },
            inside: (!unknown).then(|| is_inside(value, expected)),
        }
    });
    Element {
        element,
        oracle: expected.exact,
        expected: Number::new(expected.rounded, dtype),
        low: expected.low,
        high: expected.high,
        found,
    }
}

/// A choice of experts is right or wrong as a whole.
fn choose(
    explained: &mut Explained,
    evaluator: &Evaluator<'_, super::bounds::Bounds>,
    site: Site,
    rows: &Arc<[u32]>,
    found: Option<&[f64]>,
) -> Result<(), Unexplained> {
    let logits = evaluator.value(Site { point: TapPoint::RouterLogits, ..site }, rows)?;
    let (Some(logits), Some(found)) = (logits, found) else { return Ok(()) };
    let choice = judge_choice(logits.row(0), found);
    explained.choice = Some(choice);
    for found in explained.elements.iter_mut().filter_map(|element| element.found.as_mut()) {
        found.inside = Some(choice != Choice::Wrong);
        found.ratio = if choice == Choice::Wrong { f64::INFINITY } else { 0.0 };
    }
    Ok(())
}

/// How many numbers of the format lie from `expected` to `value`.
fn ulps(value: f64, expected: f64, dtype: Dtype, profile: Profile) -> Option<i64> {
    let own = match dtype {
        Dtype::Int => return None,
        Dtype::Bf16 => BF16,
        Dtype::F16 => F16,
        Dtype::F32 => F32,
        Dtype::F64 => F64,
    };
    if !value.is_finite() || !expected.is_finite() {
        return None;
    }
    let coarse = profile == Profile::Bf16 && BF16.holds(value) && BF16.holds(expected);
    let format = if coarse && own.precision > BF16.precision { BF16 } else { own };
    let distance = i128::from(place(value, format)) - i128::from(place(expected, format));
    Some(distance.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

/// The place of a number among the numbers of a format, 0 at zero.
fn place(value: f64, format: Format) -> i64 {
    let size = value.abs();
    let exponent = super::formats::exponent(size).max(format.least);
    let quantum = super::formats::exp2(exponent - (format.precision - 1));
    // In subnormals of f64 the bits themselves count.
    let steps = if format == F64 {
        size.to_bits() as i64
    } else {
        let binades = i64::from(exponent - format.least) << (format.precision - 1);
        binades + (size / quantum).round() as i64
    };
    if value < 0.0 { -steps } else { steps }
}

#[cfg(test)]
mod tests;
