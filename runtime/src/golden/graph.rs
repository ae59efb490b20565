//! The data flow: which value is computed from which, and values on demand.
//!
//! A value is taken from the dump where it has it, and computed from its inputs where it has not; so the op between two
//! dumped values is as long as the gap between them.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::number::Machine;
use super::oracle::{Block, Formulas, Projection};
use super::site::expert_index;
use super::{Dtype, Part, Site, Source, Values};
use crate::error::{Error, ErrorKind, Result};
use crate::tap::TapPoint;

/// Where a site stands in the data flow; sites sort by it.
pub(super) fn order(site: &Site) -> (u32, TapPoint, Option<Part>) {
    let layer = match (site.layer, site.point) {
        (Some(layer), _) => layer + 1,
        (None, TapPoint::Embedding) => 0,
        (None, _) => u32::MAX,
    };
    (layer, site.point, site.part)
}

/// The residual stream that a layer reads.
pub(super) fn hidden_before(layer: u32) -> Site {
    match layer.checked_sub(1) {
        None => Site::alone(TapPoint::Embedding),
        Some(before) => Site::of_layer(before, TapPoint::LayerOutput),
    }
}

/// What a value is computed from; sites with parts are named by one of them.
pub(super) fn inputs(site: &Site, layers: u32) -> Vec<Site> {
    use TapPoint as P;
    let layer = site.layer.unwrap_or(0);
    let at = |point| Site::of_layer(layer, point);
    let part = |point| Site { part: site.part, ..at(point) };
    match site.point {
        P::Embedding => vec![],
        P::AttentionNorm => vec![hidden_before(layer)],
        P::Query | P::Key | P::Value => vec![at(P::AttentionNorm)],
        P::QueryRotated => vec![at(P::Query)],
        P::KeyRotated => vec![at(P::Key)],
        P::Scores => vec![at(P::QueryRotated), at(P::KeyRotated)],
        P::Probabilities => vec![part(P::Scores)],
        P::Context => vec![at(P::Probabilities).with(Part::Head(0)), at(P::Value)],
        P::AttentionOutput => vec![at(P::Context)],
        P::AttentionResidual => vec![hidden_before(layer), at(P::AttentionOutput)],
        P::MlpNorm => vec![at(P::AttentionResidual)],
        P::RouterLogits => vec![at(P::MlpNorm)],
        P::ExpertIds => vec![at(P::RouterLogits)],
        P::ExpertWeights => vec![at(P::RouterLogits), at(P::ExpertIds)],
        P::GateUp => vec![at(P::MlpNorm), at(P::ExpertIds)],
        P::Activation => vec![part(P::GateUp)],
        P::Down => vec![part(P::Activation), at(P::ExpertIds)],
        P::MlpOutput => vec![at(P::Down).with(Part::Rank(0)), at(P::ExpertWeights), at(P::ExpertIds)],
        P::LayerOutput => vec![at(P::AttentionResidual), at(P::MlpOutput)],
        P::FinalNorm => vec![hidden_before(layers)],
        P::Logits => vec![Site::alone(P::FinalNorm)],
    }
}

type Shared<N> = Arc<Block<N>>;

/// A value with the type that the dump has it in.
type Typed<N> = (Shared<N>, Dtype);

/// The values of a dump that may be used as inputs, as numbers of a machine.
pub(super) struct Given<'a, M: Machine> {
    source: &'a dyn Source,
    machine: &'a M,
    sites: BTreeSet<Site>,
    blocks: RefCell<HashMap<Site, Typed<M::Number>>>,
}

impl<'a, M: Machine> Given<'a, M> {
    /// The sites of `source` that `allowed` names.
    pub(super) fn new(source: &'a dyn Source, machine: &'a M, allowed: &dyn Fn(&Site) -> bool) -> Self {
        let sites = source.sites().into_iter().filter(|site| allowed(site)).collect();
        Self { source, machine, sites, blocks: RefCell::default() }
    }

    /// Whether the dump has this value, or parts of it.
    pub(super) fn has(&self, site: &Site) -> bool {
        match site.part {
            None => self.sites.contains(site),
            Some(_) => self
                .sites
                .range(Site { part: None, ..*site }..)
                .next()
                .is_some_and(|found| (found.layer, found.point) == (site.layer, site.point)),
        }
    }

    fn block(&self, site: &Site) -> Result<Option<Shared<M::Number>>> {
        Ok(self.stored(site)?.map(|(block, _)| block))
    }

    /// How the dump stores this value, if it has it.
    pub(super) fn dtype(&self, site: &Site) -> Result<Option<Dtype>> {
        Ok(self.stored(site)?.map(|(_, dtype)| dtype))
    }

    fn stored(&self, site: &Site) -> Result<Option<(Shared<M::Number>, Dtype)>> {
        if !self.sites.contains(site) {
            return Ok(None);
        }
        if let Some(stored) = self.blocks.borrow().get(site) {
            return Ok(Some(stored.clone()));
        }
        let Some(values) = self.source.read(site)? else { return Ok(None) };
        let stored = (Arc::new(self.convert(site, &values)?), values.dtype);
        self.blocks.borrow_mut().insert(*site, stored.clone());
        Ok(Some(stored))
    }

    fn convert(&self, site: &Site, values: &Values) -> Result<Block<M::Number>> {
        check(site, values)?;
        let number = |&value: &f64| match site.point == TapPoint::Scores && value <= super::local::MASKED {
            true => self.machine.number(f64::NEG_INFINITY),
            false => self.machine.given(value, values.dtype),
        };
        Ok(Block {
            positions: values.positions.clone().into(),
            width: values.width,
            data: values.data.iter().map(number).collect(),
        })
    }

    /// Drops what was read of layers before this one.
    pub(super) fn forget_before(&self, layer: u32) {
        self.blocks.borrow_mut().retain(|site, _| site.layer.is_none_or(|at| at + 1 >= layer));
    }
}

/// A source must give what its types promise.
pub(super) fn check(site: &Site, values: &Values) -> Result<()> {
    let rows = values.positions.len();
    if rows.checked_mul(values.width) != Some(values.data.len()) || !values.positions.is_sorted() {
        let rule = format!("{site} has rows of another length than it says, or positions out of order");
        return Err(Error::new(ErrorKind::Dump, rule));
    }
    Ok(())
}

type Key = (Site, Arc<[u32]>);

/// Computes values from those that are given.
pub(super) struct Evaluator<'a, M: Machine> {
    pub(super) formulas: Formulas<'a>,
    machine: &'a M,
    given: &'a Given<'a, M>,
    tokens: Option<&'a [u32]>,
    /// All positions of the run.
    all: Arc<[u32]>,
    computed: RefCell<HashMap<Key, Option<Shared<M::Number>>>>,
}

/// The chosen experts of each row, and whether the choice is beyond doubt.
type Choices = Vec<(Vec<usize>, bool)>;

impl<'a, M: Machine> Evaluator<'a, M> {
    /// `all` are the positions of the run, from 0 on.
    pub(super) fn new(
        formulas: Formulas<'a>,
        machine: &'a M,
        given: &'a Given<'a, M>,
        tokens: Option<&'a [u32]>,
        all: Arc<[u32]>,
    ) -> Self {
        Self { formulas, machine, given, tokens, all, computed: RefCell::default() }
    }

    /// The points whose formulas are used to compute this value.
    pub(super) fn chain(&self, site: &Site) -> BTreeSet<TapPoint> {
        let mut points = BTreeSet::new();
        let mut open = vec![*site];
        let mut seen = BTreeSet::new();
        while let Some(site) = open.pop() {
            if seen.insert(site) {
                points.insert(site.point);
                let layers = self.formulas.config.num_layers() as u32;
                open.extend(inputs(&site, layers).into_iter().filter(|input| !self.given.has(input)));
            }
        }
        points
    }

    /// Drops what was computed.
    pub(super) fn forget(&self) {
        self.computed.borrow_mut().clear();
    }

    /// The rows of a value: given, or computed.
    pub(super) fn value(&self, site: Site, rows: &Arc<[u32]>) -> Result<Option<Shared<M::Number>>> {
        if let Some(block) = self.given.block(&site)?
            && let Some(block) = cut(&block, rows)
        {
            return Ok(Some(block));
        }
        if let Some(block) = self.assembled(site, rows)? {
            return Ok(Some(block));
        }
        self.computed(site, rows)
    }

    /// Rows of experts by rank from rows by expert, or the other way round.
    fn assembled(&self, site: Site, rows: &Arc<[u32]>) -> Result<Option<Shared<M::Number>>> {
        let (Some(layer), Some(part @ (Part::Rank(_) | Part::Expert(_)))) = (site.layer, site.part) else {
            return Ok(None);
        };
        if !self.given.has(&site) {
            return Ok(None);
        }
        let Some(choices) = self.choices(layer, rows)? else { return Ok(None) };
        let mut out: Option<Block<M::Number>> = None;
        for (&position, (chosen, _)) in rows.iter().zip(&choices) {
            let other = match part {
                Part::Rank(rank) => chosen.get(rank as usize).map(|&id| Part::Expert(id as u32)),
                Part::Expert(expert) => {
                    chosen.iter().position(|&id| id == expert as usize).map(|rank| Part::Rank(rank as u32))
                }
                Part::Head(_) => None,
            };
            let Some(other) = other else { return Ok(None) };
            let Some(block) = self.given.block(&site.with(other))? else { return Ok(None) };
            let Some(row) = block.at(position) else { return Ok(None) };
            out.get_or_insert_with(|| Block::new(rows.clone(), block.width)).data.extend_from_slice(row);
        }
        Ok(out.map(Arc::new))
    }

    /// Which experts rows chose: as the dump says, or by the logits.
    pub(super) fn choices(&self, layer: u32, rows: &Arc<[u32]>) -> Result<Option<Choices>> {
        let experts = self.formulas.config.num_experts;
        let ids = Site::of_layer(layer, TapPoint::ExpertIds);
        if let Some(block) = self.given.block(&ids)?
            && let Some(block) = cut(&block, rows)
        {
            let mut choices = Vec::with_capacity(rows.len());
            for (_, row) in block.rows() {
                let index = |&id| expert_index(self.machine.value(id)).filter(|&id| id < experts);
                let Some(chosen) = row.iter().map(index).collect() else { return Ok(None) };
                choices.push((chosen, true));
            }
            return Ok(Some(choices));
        }
        self.choices_by_logits(layer, rows)
    }

    /// The rows of a value, computed from its inputs whether or not it is given; none if inputs are missing.
    pub(super) fn computed(&self, site: Site, rows: &Arc<[u32]>) -> Result<Option<Shared<M::Number>>> {
        let key = (site, rows.clone());
        if let Some(block) = self.computed.borrow().get(&key) {
            return Ok(block.clone());
        }
        let block = self.compute(site, rows)?.map(Arc::new);
        self.computed.borrow_mut().insert(key, block.clone());
        Ok(block)
    }

    fn compute(&self, site: Site, rows: &Arc<[u32]>) -> Result<Option<Block<M::Number>>> {
        use TapPoint as P;
        let (formulas, machine) = (&self.formulas, self.machine);
        let config = formulas.config;
        let at = |point| Site { layer: site.layer, point, part: None };
        /// Returns from the function where an input is missing.
        macro_rules! input {
            ($site:expr, $rows:expr, $width:expr) => {
                match self.value($site, $rows)? {
                    Some(block) if block.width == $width => block,
                    _ => return Ok(None),
                }
            };
        }
        let number = site.layer.unwrap_or(0);
        let hidden = config.hidden_size;
        if number as usize >= config.num_layers() {
            return Ok(None);
        }
        let layer = &formulas.weights.layers[number as usize];
        let index = number as usize;
        Ok(Some(match site.point {
            P::Embedding => {
                return Ok(self.tokens.and_then(|ids| formulas.embedding(machine, ids, rows)));
            }
            P::AttentionNorm => {
                let x = input!(hidden_before(number), rows, hidden);
                formulas.norm(machine, &x, &layer.attention_norm)
            }
            P::Query | P::Key | P::Value => {
                let linear = match site.point {
                    P::Query => &layer.query,
                    P::Key => &layer.key,
                    _ => &layer.value,
                };
                formulas.linear(machine, &*input!(at(P::AttentionNorm), rows, hidden), linear)
            }
            P::QueryRotated => formulas.rotate(machine, &*input!(at(P::Query), rows, config.query_size())),
            P::KeyRotated => formulas.rotate(machine, &*input!(at(P::Key), rows, config.key_value_size())),
            P::Scores => {
                let Some(head) = head(site, config.num_attention_heads) else { return Ok(None) };
                let queries = input!(at(P::QueryRotated), rows, config.query_size());
                let keys = input!(at(P::KeyRotated), &self.all, config.key_value_size());
                formulas.scores(machine, index, head, &queries, &keys)
            }
            P::Probabilities => {
                let Some(head) = head(site, config.num_attention_heads) else { return Ok(None) };
                let scores = input!(Site { point: P::Scores, ..site }, rows, self.all.len());
                formulas.probabilities(machine, index, head, &scores)
            }
            P::Context => {
                let mut heads = Vec::new();
                for head in 0..config.num_attention_heads as u32 {
                    let site = at(P::Probabilities).with(Part::Head(head));
                    heads.push(input!(site, rows, self.all.len()));
                }
                let values = input!(at(P::Value), &self.all, config.key_value_size());
                formulas.context(machine, index, &heads, &values)
            }
            P::AttentionOutput => {
                let x = input!(at(P::Context), rows, config.query_size());
                formulas.attention_output(machine, &x, layer)
            }
            P::AttentionResidual => {
                let x = input!(hidden_before(number), rows, hidden);
                formulas.residual(machine, &x, &*input!(at(P::AttentionOutput), rows, hidden))
            }
            P::MlpNorm => {
                formulas.norm(machine, &*input!(at(P::AttentionResidual), rows, hidden), &layer.mlp_norm)
            }
            P::RouterLogits => formulas.router(machine, &*input!(at(P::MlpNorm), rows, hidden), layer),
            P::ExpertIds => {
                let Some(choices) = self.choices_by_logits(number, rows)? else { return Ok(None) };
                let mut block = Block::new(rows.clone(), config.experts_per_token);
                for (chosen, certain) in choices {
                    let ids = chosen.into_iter().map(|id| machine.number(id as f64));
                    block.data.extend(ids.map(|id| if certain { id } else { machine.unknown(id) }));
                }
                block
            }
            P::ExpertWeights => {
                let logits = input!(at(P::RouterLogits), rows, config.num_experts);
                let Some(choices) = self.choices(number, rows)? else { return Ok(None) };
                let chosen: Vec<_> = choices.iter().map(|(chosen, _)| chosen.clone()).collect();
                let mut block = formulas.expert_weights(machine, &logits, &chosen);
                self.doubt(&mut block, &choices);
                block
            }
            P::GateUp => {
                let x = input!(at(P::MlpNorm), rows, hidden);
                let Some((experts, choices)) = self.experts(site, rows)? else { return Ok(None) };
                let mut block = formulas.expert_linear(machine, index, Projection::GateUp, &x, &experts);
                self.doubt(&mut block, &choices);
                block
            }
            P::Activation => {
                let width = 2 * config.intermediate_size;
                formulas.activation(machine, &*input!(Site { point: P::GateUp, ..site }, rows, width))
            }
            P::Down => {
                let x = input!(Site { point: P::Activation, ..site }, rows, config.intermediate_size);
                let Some((experts, choices)) = self.experts(site, rows)? else { return Ok(None) };
                let mut block = formulas.expert_linear(machine, index, Projection::Down, &x, &experts);
                self.doubt(&mut block, &choices);
                block
            }
            P::MlpOutput => {
                let Some(choices) = self.choices(number, rows)? else { return Ok(None) };
                let k = choices.first().map_or(0, |(chosen, _)| chosen.len());
                let mut downs = Vec::new();
                for rank in 0..k as u32 {
                    downs.push(input!(at(P::Down).with(Part::Rank(rank)), rows, hidden));
                }
                let weights = input!(at(P::ExpertWeights), rows, k);
                let chosen: Vec<_> = choices.into_iter().map(|(chosen, _)| chosen).collect();
                formulas.expert_sum(machine, index, &downs, &weights, &chosen)
            }
            P::LayerOutput => {
                let x = input!(at(P::AttentionResidual), rows, hidden);
                formulas.residual(machine, &x, &*input!(at(P::MlpOutput), rows, hidden))
            }
            P::FinalNorm => {
                let x = input!(hidden_before(config.num_layers() as u32), rows, hidden);
                formulas.norm(machine, &x, &formulas.weights.norm)
            }
            P::Logits => formulas.logits(machine, &*input!(Site::alone(P::FinalNorm), rows, hidden)),
        }))
    }

    fn choices_by_logits(&self, layer: u32, rows: &Arc<[u32]>) -> Result<Option<Choices>> {
        let k = self.formulas.config.experts_per_token;
        let logits = self.value(Site::of_layer(layer, TapPoint::RouterLogits), rows)?;
        let logits = logits.filter(|logits| logits.width == self.formulas.config.num_experts);
        Ok(logits.map(|logits| logits.rows().map(|(_, row)| choose(self.machine, row, k)).collect()))
    }

    /// The expert of each row of a value that has one, and in how far the choice is certain.
    fn experts(&self, site: Site, rows: &Arc<[u32]>) -> Result<Option<(Vec<usize>, Choices)>> {
        let (Some(layer), Some(part)) = (site.layer, site.part) else { return Ok(None) };
        Ok(match part {
            Part::Expert(expert) if (expert as usize) < self.formulas.config.num_experts => {
                let expert = expert as usize;
                Some((vec![expert; rows.len()], vec![(vec![expert], true); rows.len()]))
            }
            Part::Rank(rank) => self.choices(layer, rows)?.and_then(|choices| {
                let chosen = choices.iter().map(|(chosen, _)| chosen.get(rank as usize).copied());
                Some((chosen.collect::<Option<Vec<_>>>()?, choices))
            }),
            _ => None,
        })
    }

    /// Takes what is known from rows whose choice of experts is in doubt.
    fn doubt(&self, block: &mut Block<M::Number>, choices: &Choices) {
        let width = block.width;
        for (index, (_, certain)) in choices.iter().enumerate() {
            if !certain {
                let row = &mut block.data[index * width..][..width];
                row.iter_mut().for_each(|x| *x = self.machine.unknown(*x));
            }
        }
    }
}

fn head(site: Site, heads: usize) -> Option<usize> {
    match site.part {
        Some(Part::Head(head)) if (head as usize) < heads => Some(head as usize),
        _ => None,
    }
}

/// The `k` greatest, and whether no other choice is possible.
fn choose<M: Machine>(machine: &M, logits: &[M::Number], k: usize) -> (Vec<usize>, bool) {
    let plain: Vec<f64> = logits.iter().map(|&logit| machine.value(logit)).collect();
    let chosen = crate::numerics::top_k(&plain, k);
    let certain = chosen.iter().all(|&id| {
        (0..logits.len())
            .filter(|other| !chosen.contains(other))
            .all(|other| machine.below(logits[other], logits[id]))
    });
    (chosen, certain)
}

/// Some rows of a block; none if one is missing.
fn cut<N: Copy>(block: &Shared<N>, rows: &Arc<[u32]>) -> Option<Shared<N>> {
    if block.positions == *rows {
        return Some(block.clone());
    }
    // A dump that has few of the rows must not make room for all of them.
    let found: Vec<&[N]> = rows.iter().map(|&position| block.at(position)).collect::<Option<_>>()?;
    Some(Arc::new(Block { positions: rows.clone(), width: block.width, data: found.concat() }))
}
