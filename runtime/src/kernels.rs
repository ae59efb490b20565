//! The inner loops: single-threaded, on slices, generic over [`Simd`](crate::simd::Simd), with the sums of clause 4.

pub mod attention;
mod cache;
mod columns;
pub mod elementwise;
mod matmul;
mod packed;
mod packed_bf16;
mod rows;
#[cfg(test)]
mod tests;
mod tiles;
mod transpose;
mod unpack;

pub(crate) use matmul::most_direct;
pub use matmul::{Scratch, matmul};
pub use packed::{PackedPart, PackedRows};
