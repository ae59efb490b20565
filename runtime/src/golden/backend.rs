//! A backend made up for tests: honest arithmetic of a chosen kind, in an order of its own, with or without known bugs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::formats::{BF16, F32, F64, Format};
use super::graph::{Evaluator, Given, order};
use super::mutants::Mutants;
use super::number::Machine;
use super::oracle::Formulas;
use super::record::stored;
use super::{Declared, Dtype, Part, Site, Source, Values};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::numerics;
use crate::profile::Profile;
use crate::synth::random::{GAMMA, mix};
use crate::tap::TapPoint;
use crate::weights::Weights;

/// A dump in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The values of each site.
    pub values: BTreeMap<Site, Values>,
    /// The token ids of the run.
    pub tokens: Option<Vec<u32>>,
}

impl Source for Memory {
    fn sites(&self) -> Vec<Site> {
        self.values.keys().copied().collect()
    }

    fn read(&self, site: &Site) -> Result<Option<Values>> {
        Ok(self.values.get(site).cloned())
    }

    fn tokens(&self) -> Option<&[u32]> {
        self.tokens.as_deref()
    }
}

/// A backend that is made up.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// What it declares, and does.
    pub declared: Declared,
    /// Which orders of summation, and which last places of functions.
    pub seed: u64,
    /// The bugs that it has.
    pub mutants: Mutants,
    /// The first position that it decodes one by one, if it decodes.
    pub decoded_from: Option<u32>,
}

/// What a made-up backend computes: every value of every layer.
///
/// # Errors
///
/// [`ErrorKind::Token`] if there are no tokens or one is outside the vocabulary.
pub fn simulate(
    config: &ModelConfig,
    weights: &Weights,
    tokens: &[u32],
    simulation: &Simulation,
) -> Result<Memory> {
    run(config, weights, tokens, simulation, Memory::default(), &|_| true)
}

/// The same with bugs of each layer's own, in place of those of `simulation`: `bugs` has one set a layer. What comes after
/// the layers has none.
///
/// # Errors
///
/// [`ErrorKind::Token`] if there are no tokens or one is outside the vocabulary.
///
/// # Panics
///
/// If there is not one set a layer.
pub fn simulate_by_layer(
    config: &ModelConfig,
    weights: &Weights,
    tokens: &[u32],
    simulation: &Simulation,
    bugs: &[Mutants],
) -> Result<Memory> {
    assert_eq!(bugs.len(), config.num_layers(), "one set a layer");
    let mut dump = Memory::default();
    for (layer, &mutants) in bugs.iter().chain([&Mutants::NONE]).enumerate() {
        let simulation = Simulation { mutants, ..simulation.clone() };
        let is_here = |site: &Site| match (site.layer, site.point) {
            (Some(at), _) => at as usize == layer,
            (None, TapPoint::Embedding) => layer == 0,
            (None, _) => layer == bugs.len(),
        };
        dump = run(config, weights, tokens, &simulation, dump, &is_here)?;
    }
    Ok(dump)
}

/// Adds to a dump what is computed at the sites that `is_here` names, from what the dump has.
fn run(
    config: &ModelConfig,
    weights: &Weights,
    tokens: &[u32],
    simulation: &Simulation,
    before: Memory,
    is_here: &dyn Fn(&Site) -> bool,
) -> Result<Memory> {
    let known = |&token: &u32| (token as usize) < config.vocab_size;
    if tokens.is_empty() || !tokens.iter().all(known) {
        return Err(Error::new(ErrorKind::Token, "a run needs tokens, all of them within the vocabulary"));
    }
    let machine = Plain::new(simulation.declared, simulation.seed);
    let given = Given::new(&before, &machine, &|_| true);
    let formulas = Formulas::new(config, weights, simulation.mutants, simulation.decoded_from);
    let all: Arc<[u32]> = (0..tokens.len() as u32).collect();
    let evaluator = Evaluator::new(formulas, &machine, &given, Some(tokens), all.clone());
    let mut values = BTreeMap::new();
    for site in all_sites(config).into_iter().filter(is_here) {
        if let Some(block) = evaluator.computed(site, &all)? {
            let computed = Values {
                positions: all.to_vec(),
                width: block.width,
                dtype: stored(simulation.declared.profile, site.point),
                data: block.data.clone(),
            };
            values.insert(site, computed);
        }
    }
    drop(evaluator);
    drop(given);
    let mut dump = before;
    dump.values.append(&mut values);
    dump.tokens = Some(tokens.to_vec());
    Ok(dump)
}

/// Every site of a model, in the order of the data flow, experts by rank.
pub fn all_sites(config: &ModelConfig) -> Vec<Site> {
    let mut sites = Vec::new();
    for point in TapPoint::ALL {
        if !point.is_of_layer() {
            sites.push(Site::alone(point));
            continue;
        }
        for layer in 0..config.num_layers() as u32 {
            let site = Site::of_layer(layer, point);
            match point {
                TapPoint::Scores | TapPoint::Probabilities => {
                    let heads = 0..config.num_attention_heads as u32;
                    sites.extend(heads.map(|head| site.with(Part::Head(head))));
                }
                TapPoint::GateUp | TapPoint::Activation | TapPoint::Down => {
                    let ranks = 0..config.experts_per_token as u32;
                    sites.extend(ranks.map(|rank| site.with(Part::Rank(rank))));
                }
                _ => sites.push(site),
            }
        }
    }
    sites.sort_by_key(order);
    sites
}

/// The arithmetic of such a backend.
pub(super) struct Plain {
    declared: Declared,
    accumulator: Format,
    operand: Format,
    single: Format,
    seed: u64,
}

impl Plain {
    pub(super) fn new(declared: Declared, seed: u64) -> Self {
        let (accumulator, operand) = declared.accumulate.formats();
        let single = if declared.profile == Profile::F64 { F64 } else { F32 };
        Self { declared, accumulator, operand, single, seed }
    }

    /// SplitMix64 of the seed and a number.
    fn chance(&self, salt: u64) -> u64 {
        mix(self.seed.wrapping_add(salt.wrapping_mul(GAMMA)))
    }

    /// A result that is off by up to so many last places.
    fn off(&self, value: f64, ulps: i64) -> f64 {
        let rounded = self.single.round(value);
        let places = (self.chance(value.to_bits()) % (2 * ulps as u64 + 1)) as i64 - ulps;
        self.single.round(rounded + places as f64 * self.single.half_ulp(rounded) * 2.0 * 0.999)
    }

    /// A sum of products in a format, in an order that the seed chooses.
    fn summed(&self, format: Format, operand: Format, a: &[f64], b: &[f64], addend: f64) -> f64 {
        let n = a.len();
        let chance = self.chance(n as u64);
        let lanes = 1 << (chance % 6);
        let fused = chance >> 8 & 1 == 0;
        let last = chance >> 9 & 1 == 0;
        let mut step = ((chance >> 16) as usize % n.max(1)) | 1;
        while n > 1 && gcd(step, n) != 1 {
            step += 2;
        }
        let start = (chance >> 32) as usize % n.max(1);
        let mut sums = vec![0.0; lanes];
        sums[0] = if last { 0.0 } else { addend };
        step %= n.max(1);
        let mut k = start;
        // Weights and activations are numbers of f32 already.
        let narrow = operand.precision < F32.precision;
        for index in 0..n {
            let (x, y) = if narrow { (operand.round(a[k]), operand.round(b[k])) } else { (a[k], b[k]) };
            let sum = &mut sums[index % lanes];
            // A product of two f32 is exact in f64, so the sum is as good as that of a fused operation.
            *sum = format.round(if fused { *sum + x * y } else { *sum + format.round(x * y) });
            k += step;
            if k >= n {
                k -= n;
            }
        }
        let sum = match chance >> 10 & 1 {
            0 => sums.iter().fold(0.0, |sum, lane| format.round(sum + lane)),
            _ => sums.iter().rev().fold(0.0, |sum, lane| format.round(sum + lane)),
        };
        if last { format.round(sum + addend) } else { sum }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Machine for Plain {
    type Number = f64;
    type Row = Vec<f64>;

    fn number(&self, value: f64) -> f64 {
        self.single.round(value)
    }

    fn given(&self, value: f64, _: Dtype) -> f64 {
        value
    }

    fn unknown(&self, x: f64) -> f64 {
        x
    }

    fn below(&self, a: f64, b: f64) -> bool {
        a < b
    }

    fn value(&self, x: f64) -> f64 {
        x
    }

    fn row(&self, numbers: &[f64]) -> Vec<f64> {
        numbers.to_vec()
    }

    fn weights(&self, weights: &[f32]) -> Vec<f64> {
        weights.iter().map(|&weight| f64::from(weight)).collect()
    }

    fn dot(&self, a: &Vec<f64>, b: &Vec<f64>, range: Range<usize>, addend: Option<f64>) -> f64 {
        let (a, b) = (&a[range.clone()], &b[range]);
        self.summed(self.accumulator, self.operand, a, b, addend.unwrap_or(0.0))
    }

    fn mean_square(&self, x: &[f64]) -> f64 {
        let sum = self.summed(self.single, self.single, x, x, 0.0);
        self.single.round(sum / x.len() as f64)
    }

    fn sum(&self, x: &[f64]) -> f64 {
        let ones = vec![1.0; x.len()];
        self.summed(self.single, self.single, x, &ones, 0.0)
    }

    fn add(&self, a: f64, b: f64) -> f64 {
        self.single.round(a + b)
    }

    fn sub(&self, a: f64, b: f64) -> f64 {
        self.single.round(a - b)
    }

    fn mul(&self, a: f64, b: f64) -> f64 {
        self.single.round(a * b)
    }

    fn div(&self, a: f64, b: f64) -> f64 {
        self.off(a / b, 2)
    }

    fn sqrt(&self, a: f64) -> f64 {
        self.off(a.sqrt(), 1)
    }

    fn exp(&self, a: f64) -> f64 {
        self.off(numerics::exp(a), 2).max(0.0)
    }

    fn neg(&self, a: f64) -> f64 {
        -a
    }

    fn map(&self, a: f64, function: &dyn Fn(f64) -> f64) -> f64 {
        function(a)
    }

    fn round(&self, a: f64) -> f64 {
        match self.declared.profile {
            Profile::Bf16 => f64::from(numerics::flush(BF16.round(a) as f32)),
            Profile::F32 | Profile::F64 => a,
        }
    }

    fn greatest(&self, x: &[f64]) -> f64 {
        x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    fn cos_sin(&self, position: u32, frequency: f64, factor: f64) -> (f64, f64) {
        let angle = self.single.round(f64::from(position) * self.single.round(frequency));
        let factor = self.single.round(factor);
        let scaled = |value: f64| self.single.round(self.single.round(value) * factor);
        (scaled(angle.cos()), scaled(angle.sin()))
    }
}

#[cfg(test)]
mod tests;
