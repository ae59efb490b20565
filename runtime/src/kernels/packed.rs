//! Rows of activations in the order in which dot products take them.

use crate::numerics::{ACCUMULATORS, LANES, Order, Real};
use crate::simd::{Kernel, Simd};

/// Elements of one step of all lanes: sixteen pairs.
pub(super) const STEP: usize = 2 * LANES;

/// Rows packed for one [`Order`]: for each row its accumulators one after the other, for each accumulator its steps.
///
/// Order E has one step a group of 128 and accumulator. Under order D a group of 32 is one step of one accumulator, so
/// that the accumulators may differ by one step.
#[derive(Clone, Debug)]
pub struct PackedRows<S: Simd> {
    order: Order,
    cols: usize,
    data: Vec<S::Packed>,
}

/// Steps of one accumulator for rows of `cols` elements.
#[inline(always)]
pub(super) const fn steps(order: Order, cols: usize, accumulator: usize) -> usize {
    let groups = cols.div_ceil(order.group());
    match order {
        Order::E => groups,
        Order::D => (groups + ACCUMULATORS - 1 - accumulator) / ACCUMULATORS,
    }
}

/// The first step of an accumulator among those of a row.
#[inline(always)]
pub(super) const fn first_step(order: Order, cols: usize, accumulator: usize) -> usize {
    let mut first = 0;
    let mut before = 0;
    while before < accumulator {
        first += steps(order, cols, before);
        before += 1;
    }
    first
}

/// Steps of a row.
#[inline(always)]
pub(super) const fn row_steps(order: Order, cols: usize) -> usize {
    first_step(order, cols, ACCUMULATORS)
}

/// Which step of its accumulators a group is.
#[inline(always)]
pub(super) const fn step_of(order: Order, group: usize) -> usize {
    match order {
        Order::E => group,
        Order::D => group / ACCUMULATORS,
    }
}

/// Where step `step` of `accumulator` begins in a row of elements.
#[inline(always)]
pub(super) const fn start(order: Order, accumulator: usize, step: usize) -> usize {
    match order {
        Order::E => order.group() * step,
        Order::D => order.group() * (ACCUMULATORS * step + accumulator),
    }
}

/// Packs one row, padded with +0, and gives its steps one by one: (accumulator, step, operands).
#[inline(always)]
pub(super) fn pack_row<S: Simd>(
    simd: S,
    order: Order,
    row: &[S::Real],
    mut next: impl FnMut(usize, usize, S::Packed),
) {
    for accumulator in 0..ACCUMULATORS {
        for step in 0..steps(order, row.len(), accumulator) {
            let start = start(order, accumulator, step);
            let (mut even, mut odd) = ([S::Real::ZERO; LANES], [S::Real::ZERO; LANES]);
            if let Some(group) = row.get(start..start + order.group()) {
                for lane in 0..LANES {
                    even[lane] = group[order.element(lane, accumulator, 1)];
                    odd[lane] = group[order.element(lane, accumulator, 0)];
                }
            } else {
                let at = |k: usize| row.get(start + k).copied().unwrap_or(S::Real::ZERO);
                for lane in 0..LANES {
                    even[lane] = at(order.element(lane, accumulator, 1));
                    odd[lane] = at(order.element(lane, accumulator, 0));
                }
            }
            next(accumulator, step, simd.pack(&even, &odd));
        }
    }
}

struct Pack<'a, S: Simd> {
    order: Order,
    cols: usize,
    rows: &'a [S::Real],
    out: &'a mut [S::Packed],
}

impl<S: Simd> Kernel<S> for Pack<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let places = self.out.chunks_exact_mut(row_steps(self.order, self.cols));
        for (row, out) in self.rows.chunks_exact(self.cols).zip(places) {
            let mut places = out.iter_mut();
            pack_row(simd, self.order, row, |_, _, packed| {
                if let Some(place) = places.next() {
                    *place = packed;
                }
            });
        }
    }
}

impl<S: Simd> PackedRows<S> {
    /// Packs `rows`, each of `cols` elements, one after the other.
    ///
    /// # Panics
    ///
    /// If `cols` is 0 or does not divide the number of elements.
    #[must_use]
    pub fn new(simd: S, order: Order, rows: &[S::Real], cols: usize) -> Self {
        assert!(cols > 0 && rows.len().is_multiple_of(cols), "rows of one length");
        let mut packed = Self::zeros(order, rows.len() / cols, cols);
        packed.parts_mut(rows.len() / cols).for_each(|part| part.pack(simd, rows));
        packed
    }

    /// `count` rows of `cols` zeros.
    ///
    /// # Panics
    ///
    /// If `cols` is 0.
    #[must_use]
    pub fn zeros(order: Order, count: usize, cols: usize) -> Self {
        assert!(cols > 0, "rows have elements");
        Self { order, cols, data: vec![S::Packed::default(); count * row_steps(order, cols)] }
    }

    /// The rows in parts of `count`, each to be packed on its own.
    pub fn parts_mut(&mut self, count: usize) -> impl Iterator<Item = PackedPart<'_, S>> {
        let (order, cols) = (self.order, self.cols);
        let places = (count * row_steps(order, cols)).max(1);
        self.data.chunks_mut(places).map(move |out| PackedPart { order, cols, out })
    }

    /// The order for which they were packed.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Elements of a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len() / row_steps(self.order, self.cols)
    }

    /// All steps of one row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline(always)]
    #[must_use]
    pub(super) fn row(&self, row: usize) -> &[S::Packed] {
        let steps = row_steps(self.order, self.cols);
        &self.data[row * steps..][..steps]
    }
}

/// Some of the rows of a [`PackedRows`].
#[derive(Debug)]
pub struct PackedPart<'a, S: Simd> {
    order: Order,
    cols: usize,
    out: &'a mut [S::Packed],
}

impl<S: Simd> PackedPart<'_, S> {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.out.len() / row_steps(self.order, self.cols)
    }

    /// Packs `rows`, which are as many as this part has.
    ///
    /// # Panics
    ///
    /// If the number of elements differs.
    pub fn pack(self, simd: S, rows: &[S::Real]) {
        assert_eq!(rows.len(), self.rows() * self.cols, "as many rows as the part has");
        simd.vectorize(Pack::<S> { order: self.order, cols: self.cols, rows, out: self.out });
    }
}
