//! From an array to rows: which axis is which, in what order the elements of a row lie.

mod shapes;

pub(crate) use shapes::{Shape, shapes};

use crate::golden::dump::array::Array;
use crate::golden::site::Part;

/// What an axis of an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Positions.
    Rows,
    /// One of the parts of a value: a head, a rank.
    Parts,
    /// A factor of a row; those with smaller numbers are the outer ones of the row as it is judged.
    Row(u8),
}

/// One axis that a value may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) role: Role,
    /// None where any length will do: rows, and keys.
    pub(crate) len: Option<usize>,
}

/// Where the rows of one part of a value lie in an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The element that comes first.
    pub(crate) start: u64,
    pub(crate) rows: usize,
    /// Elements from a row to the next.
    pub(crate) row_stride: u64,
    /// Length and stride of the factors of a row, outer ones first.
    pub(crate) row: Vec<(usize, u64)>,
}

impl View {
    /// Nothing, where the views are kept elsewhere.
    pub(crate) const fn none() -> Self {
        Self { start: 0, rows: 0, row_stride: 0, row: Vec::new() }
    }

    /// Elements of a row.
    pub(crate) fn width(&self) -> usize {
        self.row.iter().map(|&(len, _)| len).product()
    }

    /// The elements `from..from + len` of each row, of rows that lie in one piece.
    pub(crate) fn columns(&self, from: usize, len: usize) -> Option<Self> {
        let &[(width, stride)] = &self.row[..] else { return None };
        (from + len <= width).then(|| Self {
            start: self.start + from as u64 * stride,
            row: vec![(len, stride)],
            ..self.clone()
        })
    }

    /// Gives the place of each element of a row, from the start of the row.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        let mut offsets = vec![0];
        for &(len, stride) in &self.row {
            offsets =
                offsets.iter().flat_map(|&at| (0..len as u64).map(move |step| at + step * stride)).collect();
        }
        offsets
    }
}

/// An array read as the rows of a value, one view a part.
#[derive(Clone, Debug)]
pub(crate) struct Fitted {
    pub(crate) views: Vec<(Option<Part>, View)>,
    /// What had to be guessed.
    pub(crate) guesses: Vec<String>,
}

/// Finds the first of the shapes that an array has, exactly or with padding behind its rows and at their ends.
///
/// `rows` is their number where it is known; what is behind them is then padding.
pub(crate) fn fit(array: &Array, shapes: &[Shape], rows: Option<usize>) -> Option<Fitted> {
    // Axes of one element say nothing.
    let axes: Vec<(usize, u64)> = array.axes.iter().copied().filter(|&(len, _)| len != 1).collect();
    for (rows, padding) in [(rows, 0), (None, 0), (rows, MOST_PADDING), (None, MOST_PADDING)] {
        for shape in shapes {
            if let Some((strides, padded)) = assign(&axes, &shape.axes, rows, padding) {
                let mut guesses: Vec<String> = shape.guess.iter().map(|guess| (*guess).to_owned()).collect();
                guesses.extend(padded);
                return Some(Fitted { views: shape.views(&strides), guesses });
            }
        }
    }
    None
}

/// Rows and their ends are padded to a multiple of at most this.
const MOST_PADDING: usize = 512;

/// Length and stride of each axis of a shape.
type Strides = Vec<(usize, u64)>;

/// Matches the axes of an array with those of a shape: one with one, or several of the shape with one.
fn assign(
    axes: &[(usize, u64)],
    shape: &[Axis],
    rows: Option<usize>,
    padding: usize,
) -> Option<(Strides, Vec<String>)> {
    // Axes of one element are not in `axes`; where rows may be any number, they may be one.
    let mut guesses = Vec::new();
    let mut strides = vec![(1, 0); shape.len()];
    let wanted: Vec<usize> = (0..shape.len()).filter(|&index| shape[index].len != Some(1)).collect();
    for drops in without_free(shape, &wanted, rows) {
        let wanted: Vec<usize> = wanted.iter().copied().filter(|index| !drops.contains(index)).collect();
        guesses.clear();
        strides.fill((1, 0));
        if walk(axes, shape, &wanted, rows, padding, &mut strides, &mut guesses).is_some() {
            return Some((strides, guesses));
        }
    }
    None
}

/// The sets of axes of free length that may have one element: none of them, then the rows, the keys, both.
fn without_free(shape: &[Axis], wanted: &[usize], rows: Option<usize>) -> Vec<Vec<usize>> {
    let free: Vec<usize> = wanted.iter().copied().filter(|&index| shape[index].len.is_none()).collect();
    let mut sets = vec![vec![]];
    for &index in &free {
        if shape[index].role == Role::Rows && rows.is_some_and(|rows| rows != 1) {
            continue;
        }
        for at in 0..sets.len() {
            sets.push([sets[at].as_slice(), &[index]].concat());
        }
    }
    sets
}

fn walk(
    axes: &[(usize, u64)],
    shape: &[Axis],
    wanted: &[usize],
    rows: Option<usize>,
    padding: usize,
    strides: &mut Strides,
    guesses: &mut Vec<String>,
) -> Option<()> {
    let Some((&(len, stride), axes)) = axes.split_first() else {
        return wanted.is_empty().then_some(());
    };
    let &first = wanted.first()?;
    if shape[first].len.is_none() {
        let is_rows = shape[first].role == Role::Rows;
        let taken = match rows {
            Some(rows) if is_rows && len != rows => {
                let is_padded = padding > 0 && len > rows && len <= rows.next_multiple_of(padding);
                if !is_padded {
                    return None;
                }
                guesses.push(format!("rows from {rows} to {len} are taken as padding"));
                rows
            }
            _ => len,
        };
        strides[first] = (taken, stride);
        return walk(axes, shape, &wanted[1..], rows, padding, strides, guesses);
    }
    let mut product = 1_usize;
    for (count, &index) in wanted.iter().enumerate() {
        // A row may be merged with other factors, not with rows.
        let Some(factor) = shape[index].len else { break };
        product = product.checked_mul(factor)?;
        let is_padded = padding > 0 && len > product && len <= product.next_multiple_of(padding);
        if product == len || is_padded {
            let known = guesses.len();
            if is_padded {
                guesses.push(format!("elements from {product} to {len} of a row are taken as padding"));
            }
            let mut inner = stride;
            for &index in wanted[..=count].iter().rev() {
                let len = shape[index].len.unwrap_or(1);
                strides[index] = (len, inner);
                inner = inner.checked_mul(len as u64)?;
            }
            if walk(axes, shape, &wanted[count + 1..], rows, padding, strides, guesses).is_some() {
                return Some(());
            }
            guesses.truncate(known);
        }
        if product > len {
            break;
        }
    }
    None
}

#[cfg(test)]
mod tests;
