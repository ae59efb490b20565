//! The shapes that arrays of each value come in, the most usual first.

use super::{Axis, Role, View};
use crate::config::ModelConfig;
use crate::golden::names::{Entry, GateUpOrder, Heads, Holds, Rotary};
use crate::golden::site::Part;
use crate::tap::TapPoint;

/// One shape of a value.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) axes: Vec<Axis>,
    /// What is assumed with it.
    pub(crate) guess: Option<&'static str>,
    /// What the axis of parts counts.
    pub(crate) part: Option<fn(u32) -> Part>,
}

const ROWS: Axis = Axis { role: Role::Rows, len: None };
const KEYS: Axis = Axis { role: Role::Row(0), len: None };

const fn row(order: u8, len: usize) -> Axis {
    Axis { role: Role::Row(order), len: Some(len) }
}

const fn parts(len: usize) -> Axis {
    Axis { role: Role::Parts, len: Some(len) }
}

impl Shape {
    fn new(axes: Vec<Axis>) -> Self {
        Self { axes, guess: None, part: None }
    }

    fn guess(self, guess: &'static str) -> Self {
        Self { guess: Some(guess), ..self }
    }

    fn part(self, part: fn(u32) -> Part) -> Self {
        Self { part: Some(part), ..self }
    }

    /// Where the rows of each part lie, given length and stride of each axis.
    pub(super) fn views(&self, strides: &[(usize, u64)]) -> Vec<(Option<Part>, View)> {
        let (mut rows, mut parts, mut factors) = ((1, 0), None, Vec::new());
        for (axis, &(len, stride)) in self.axes.iter().zip(strides) {
            match axis.role {
                Role::Rows => rows = (len, stride),
                Role::Parts => parts = Some((len, stride)),
                Role::Row(order) => factors.push((order, (len, stride))),
            }
        }
        factors.sort_by_key(|&(order, _)| order);
        let row = merge(factors.into_iter().map(|(_, factor)| factor));
        let view = |start| View { start, rows: rows.0, row_stride: rows.1, row: row.clone() };
        match (parts, self.part) {
            (Some((len, stride)), Some(part)) => {
                (0..len as u64).map(|index| (Some(part(index as u32)), view(index * stride))).collect()
            }
            _ => vec![(None, view(0))],
        }
    }
}

/// Joins factors that lie one after the other.
fn merge(factors: impl Iterator<Item = (usize, u64)>) -> Vec<(usize, u64)> {
    let mut merged: Vec<(usize, u64)> = Vec::new();
    for (len, stride) in factors.filter(|&(len, _)| len != 1) {
        match merged.last_mut() {
            Some(last) if last.1 == stride.saturating_mul(len as u64) => *last = (last.0 * len, stride),
            _ => merged.push((len, stride)),
        }
    }
    if merged.is_empty() { vec![(1, 1)] } else { merged }
}

/// The shapes of what an array holds; `entry` is what a user's table says of the layout.
pub(crate) fn shapes(
    config: &ModelConfig,
    holds: Holds,
    part: Option<Part>,
    entry: Option<&Entry>,
) -> Vec<Shape> {
    let shapes = match holds {
        Holds::Point(point) => point_shapes(config, point, part, entry),
        Holds::QueryKeyValue { .. } => plain(config.query_size() + 2 * config.key_value_size()),
        Holds::Gate | Holds::Up => ranked(config, &[row(0, config.intermediate_size)], part, None),
        Holds::RouterScores => [plain(config.experts_per_token), plain(config.num_experts)].concat(),
        Holds::Router => [plain(config.num_experts), plain(config.experts_per_token)].concat(),
        Holds::Tokens | Holds::Positions | Holds::Nothing(_) => Vec::new(),
    };
    match entry {
        // Who says how an array lies leaves nothing to guess.
        Some(entry) => shapes
            .into_iter()
            .filter(|shape| is_transposed(shape) == entry.transposed)
            .map(|shape| Shape { guess: None, ..shape })
            .collect(),
        None => shapes,
    }
}

/// Whether rows are the last axis.
fn is_transposed(shape: &Shape) -> bool {
    shape.axes.len() > 1 && shape.axes.last().is_some_and(|axis| axis.role == Role::Rows)
}

fn point_shapes(
    config: &ModelConfig,
    point: TapPoint,
    part: Option<Part>,
    entry: Option<&Entry>,
) -> Vec<Shape> {
    let rotary = entry.map_or(Rotary::default(), |entry| entry.rotary);
    let heads_first = entry.map(|entry| entry.heads == Heads::First);
    let (groups, all) = (config.num_key_value_heads, config.num_attention_heads);
    let heads = |group, rotary| heads(groups, group, config.head_dim, rotary, heads_first);
    match point {
        TapPoint::Query | TapPoint::QueryRotated => heads(all / groups, rotary),
        TapPoint::Key | TapPoint::KeyRotated => heads(1, rotary),
        TapPoint::Value => heads(1, Rotary::Halves),
        TapPoint::Context => heads(all / groups, Rotary::Halves),
        TapPoint::Scores | TapPoint::Probabilities => match part {
            Some(_) => vec![Shape::new(vec![ROWS, KEYS])],
            None => {
                let head = parts(config.num_attention_heads);
                vec![
                    Shape::new(vec![head, ROWS, KEYS]).part(Part::Head),
                    Shape::new(vec![ROWS, head, KEYS]).part(Part::Head),
                ]
            }
        },
        TapPoint::GateUp => {
            let (size, order) = (config.intermediate_size, entry.map(|entry| entry.gate_up));
            let axes = match order {
                None | Some(GateUpOrder::Interleaved) => [row(0, size), row(1, 2)],
                // Swapped halves are put right after they are found.
                Some(GateUpOrder::Concatenated | GateUpOrder::Swapped) => [row(1, 2), row(0, size)],
            };
            let mut shapes = ranked(config, &axes, part, None);
            if order.is_none() && size != 2 {
                let halves = [row(1, 2), row(0, size)];
                let guess = "an axis of two before the others is taken as gate and up";
                shapes.extend(ranked(config, &halves, part, Some(guess)));
            }
            shapes
        }
        TapPoint::Activation => ranked(config, &[row(0, config.intermediate_size)], part, None),
        TapPoint::Down => ranked(config, &[row(0, config.hidden_size)], part, None),
        TapPoint::ExpertIds | TapPoint::ExpertWeights => plain(config.experts_per_token),
        TapPoint::RouterLogits => plain(config.num_experts),
        TapPoint::Logits => plain(config.vocab_size),
        _ => plain(config.hidden_size),
    }
}

/// A row without parts.
fn plain(width: usize) -> Vec<Shape> {
    vec![
        Shape::new(vec![ROWS, row(0, width)]),
        Shape::new(vec![row(0, width), ROWS]).guess("the last axis is taken as that of rows"),
    ]
}

/// A row of heads: groups that share a key head, which may lie apart, merged, or merged with their elements.
fn heads(groups: usize, group: usize, dim: usize, rotary: Rotary, heads_first: Option<bool>) -> Vec<Shape> {
    let inner = match rotary {
        Rotary::Halves => vec![row(2, dim)],
        // Stored as [half, 2]; in a row the two halves are apart.
        Rotary::Interleaved => vec![row(3, dim / 2), row(2, 2)],
    };
    let join = |axes: &[&[Axis]]| axes.concat();
    let (heads, rows) = (&[row(0, groups), row(1, group)][..], &[ROWS][..]);
    let within = Shape::new(join(&[rows, heads, &inner]));
    let first = Shape::new(join(&[heads, rows, &inner]));
    let last = Shape::new(join(&[heads, &inner, rows])).guess("the last axis is taken as that of rows");
    match heads_first {
        None => vec![within, first.guess("the first axis is taken as that of heads"), last],
        Some(true) => vec![first],
        Some(false) => vec![within, last],
    }
}

/// A row of an expert: of one part, or with an axis of ranks.
fn ranked(
    config: &ModelConfig,
    inner: &[Axis],
    part: Option<Part>,
    guess: Option<&'static str>,
) -> Vec<Shape> {
    let mut shapes = match part {
        Some(_) => vec![
            Shape::new([&[ROWS], inner].concat()),
            Shape::new([inner, &[ROWS]].concat()).guess("the last axis is taken as that of rows"),
        ],
        None => {
            let ranks = parts(config.experts_per_token);
            vec![
                Shape::new([&[ROWS, ranks], inner].concat()).part(Part::Rank),
                Shape::new([&[ranks, ROWS], inner].concat())
                    .part(Part::Rank)
                    .guess("the first axis is taken as that of ranks"),
            ]
        }
    };
    if let Some(guess) = guess {
        shapes.retain(|shape| shape.guess.is_none());
        shapes.iter_mut().for_each(|shape| shape.guess = Some(guess));
    }
    shapes
}
