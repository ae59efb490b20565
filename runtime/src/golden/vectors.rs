//! Test vectors for people who write kernels: inputs and expected values of each operation, to the bit.
//!
//! Five levels: `L0` weights, `L1` operations, `L2` layers, `L3` the model, `L4` decoding. The first two are lists of
//! [`Vector`]s; the others are dumps of a small synthetic model that is written beside them. All of it is computed by the
//! plain definitions of the numerics contract in the profile `bf16`, on any machine the same.

mod files;
mod model;
mod operations;
mod weights;

pub use files::write;

use crate::synth::random::{GAMMA, mix};

/// A conformance level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// What stored weights stand for.
    Weights,
    /// One operation.
    Operations,
    /// Every value of a layer.
    Layers,
    /// From tokens to logits.
    Model,
    /// Token by token, with the choice of each.
    Decode,
}

impl Level {
    /// The name in files: `L0` to `L4`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weights => "L0",
            Self::Operations => "L1",
            Self::Layers => "L2",
            Self::Model => "L3",
            Self::Decode => "L4",
        }
    }
}

/// Inputs of an operation and what comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// The operation and the case: `dot.d.33`.
    pub name: String,
    /// Its level.
    pub level: Level,
    /// The clause of `docs/numerics.md`.
    pub clause: u8,
    /// What it shows.
    pub about: &'static str,
    /// Its inputs by name.
    pub inputs: Vec<(&'static str, Tensor)>,
    /// What comes out, by name.
    pub expected: Vec<(&'static str, Tensor)>,
}

/// An array of a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// The elements, last axis closest.
    pub data: Data,
}

/// Elements of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Bytes.
    U8(Vec<u8>),
    /// Whole numbers.
    I32(Vec<i32>),
    /// bf16, as the f32 that it stands for.
    Bf16(Vec<f32>),
    /// f32.
    F32(Vec<f32>),
}

impl Tensor {
    fn new(shape: impl Into<Vec<usize>>, data: Data) -> Self {
        let tensor = Self { shape: shape.into(), data };
        debug_assert_eq!(tensor.shape.iter().product::<usize>(), tensor.len(), "a shape has its elements");
        tensor
    }

    fn row(data: Data) -> Self {
        let tensor = Self { shape: Vec::new(), data };
        Self { shape: vec![tensor.len()], data: tensor.data }
    }

    fn bf16(row: Vec<f32>) -> Self {
        Self::row(Data::Bf16(row))
    }

    fn f32(row: Vec<f32>) -> Self {
        Self::row(Data::F32(row))
    }

    fn i32(row: impl IntoIterator<Item = usize>) -> Self {
        Self::row(Data::I32(row.into_iter().map(|number| number as i32).collect()))
    }

    fn len(&self) -> usize {
        match &self.data {
            Data::U8(data) => data.len(),
            Data::I32(data) => data.len(),
            Data::Bf16(data) | Data::F32(data) => data.len(),
        }
    }
}

/// All vectors of the levels `L0` and `L1`.
#[must_use]
pub fn vectors() -> Vec<Vector> {
    let mut vectors = weights::vectors();
    vectors.extend(operations::vectors());
    vectors
}

/// SplitMix64: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A multiple of 2^-23 in -1..1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// bf16 numbers below `size`.
    fn bf16(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| crate::numerics::round_bf16(self.unit() * size)).collect()
    }
}

#[cfg(test)]
mod tests;
