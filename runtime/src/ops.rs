//! Kernels spread over threads: each output element is computed by one task, and no sum is split (clause 12).

use ndarray::{Array2, ArrayRef2};
use rayon::prelude::*;

use crate::kernels::elementwise::{Bias, finish};
use crate::kernels::{PackedRows, Scratch, matmul, most_direct};
use crate::numerics::{Arithmetic, Order, Real};
use crate::simd::Simd;
use crate::weights::{Linear, Storage};

/// Rows of weights of a task. Even, so that a gate and its up row stay together.
pub(crate) const TASK_ROWS: usize = 64;
/// Rows of activations that a task packs.
const TASK_TOKENS: usize = 16;
/// Tasks for each thread with which all are busy to the end. Where rows of weights give fewer, those of activations are
/// split, too, although that unpacks the weights once more.
const ENOUGH_TASKS: usize = 8;
/// The fewest rows of activations that are worth it: whole tiles, for which it pays to unpack.
const PIECE_TOKENS: usize = 48;

/// Packs rows of activations.
pub(crate) fn pack<S: Simd>(simd: S, order: Order, rows: &ArrayRef2<S::Real>) -> PackedRows<S> {
    let (count, cols) = rows.dim();
    let rows = rows.as_slice().expect("rows lie one after the other");
    if count <= TASK_TOKENS {
        return PackedRows::new(simd, order, rows, cols);
    }
    let mut packed = PackedRows::zeros(order, count, cols);
    let parts: Vec<_> = packed.parts_mut(TASK_TOKENS).zip(rows.chunks(TASK_TOKENS * cols)).collect();
    parts.into_par_iter().for_each(|(part, rows)| part.pack(simd, rows));
    packed
}

/// A product to be computed: some rows of activations with all rows of a matrix.
pub(crate) struct Product<'a, S: Simd> {
    pub(crate) linear: &'a Linear,
    pub(crate) x: &'a PackedRows<S>,
    /// Which rows of `x`.
    pub(crate) selected: &'a [usize],
}

impl<S: Simd> Product<'_, S> {
    /// Rows of weights of a task.
    fn task_rows(&self) -> usize {
        let matrix = &self.linear.matrix;
        match matrix.storage {
            // Long pieces of each column, as memory is read faster in those.
            Storage::Bf16Transposed { .. } if self.selected.len() <= most_direct::<S>(matrix) => {
                4 * TASK_ROWS
            }
            _ => TASK_ROWS,
        }
    }
}

/// Rows that were computed in tasks: each task's columns lie together, `[selected, columns]`.
pub(crate) struct TaskRows<R> {
    data: Vec<R>,
    rows: usize,
    cols: usize,
    width: usize,
}

impl<R: Real> TaskRows<R> {
    fn zeros(rows: usize, cols: usize, width: usize) -> Self {
        Self { data: vec![R::ZERO; rows * cols], rows, cols, width }
    }

    /// Elements of a row.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Copies a row to `out`.
    pub(crate) fn copy_row(&self, row: usize, out: &mut [R]) {
        let parts = self.data.chunks((self.rows * self.width).max(1));
        for (part, out) in parts.zip(out.chunks_mut(self.width)) {
            out.copy_from_slice(&part[row * out.len()..][..out.len()]);
        }
    }

    /// All rows, one after the other.
    pub(crate) fn into_rows(self) -> Array2<R> {
        let (rows, cols) = (self.rows, self.cols);
        let data = if rows == 1 {
            self.data
        } else {
            let mut data = vec![R::ZERO; rows * cols];
            data.par_chunks_mut(cols.max(1)).enumerate().for_each(|(row, out)| self.copy_row(row, out));
            data
        };
        Array2::from_shape_vec((rows, cols), data).expect("as many elements as rows and columns say")
    }
}

/// Products with rounding and bias (clauses 4 and 5), all of them in one go.
pub(crate) fn linear<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    products: &[Product<'_, S>],
    bias: Bias,
) -> Vec<TaskRows<A::Real>> {
    run::<A, S>(simd, products, 1, |raw, out, bias_part| {
        out.copy_from_slice(raw);
        finish::<A, S>(simd, out, bias_part, bias);
    })
}

/// As [`linear`], with what a task makes of its raw products: (raw, out, bias of its rows). It makes one
/// output of each `rows_per_output` rows of the matrix.
pub(crate) fn run<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    products: &[Product<'_, S>],
    rows_per_output: usize,
    then: impl Fn(&[A::Real], &mut [A::Real], Option<&[f32]>) + Sync,
) -> Vec<TaskRows<A::Real>> {
    let mut results: Vec<TaskRows<A::Real>> = products
        .iter()
        .map(|product| {
            let [cols, width] =
                [product.linear.matrix.rows, product.task_rows()].map(|rows| rows / rows_per_output);
            TaskRows::zeros(product.selected.len(), cols, width)
        })
        .collect();
    let parts: usize =
        products.iter().map(|product| product.linear.matrix.rows.div_ceil(product.task_rows())).sum();
    let pieces = (ENOUGH_TASKS * rayon::current_num_threads()).div_ceil(parts.max(1));
    let mut tasks = Vec::new();
    for (product, result) in products.iter().zip(&mut results) {
        let (rows, selected) = (product.linear.matrix.rows, product.selected);
        let piece = selected.len().div_ceil(pieces).max(1).next_multiple_of(PIECE_TOKENS);
        let mut rest = &mut result.data[..];
        let task_rows = product.task_rows();
        for first in (0..rows).step_by(task_rows) {
            let rows = first..(first + task_rows).min(rows);
            let width = rows.len() / rows_per_output;
            for selected in selected.chunks(piece) {
                let out = rest.split_off_mut(..selected.len() * width).expect("a place for each output");
                tasks.push((product, rows.clone(), selected, out));
            }
        }
    }
    tasks.into_par_iter().for_each_init(
        || (Scratch::default(), Vec::new()),
        |(scratch, raw), (product, rows, selected, out)| {
            raw.resize(rows.len() * selected.len(), A::Real::ZERO);
            matmul(simd, &product.linear.matrix, rows.clone(), product.x, selected, scratch, raw);
            then(raw, out, product.linear.bias.as_ref().map(|bias| &bias[rows]));
        },
    );
    results
}
