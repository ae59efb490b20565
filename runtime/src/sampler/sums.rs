//! Clause 15: sums over ids in blocks, and the draw.

/// Ids of a block.
const BLOCK: usize = 256;

/// The sum of one block: a chain from +0 over ascending ids.
fn block_sum(block: &[f64]) -> f64 {
    block.iter().fold(0.0, |sum, &weight| sum + weight)
}

/// The sum over ids.
pub(super) fn total(weights: &[f64]) -> f64 {
    weights.chunks(BLOCK).fold(0.0, |total, block| total + block_sum(block))
}

/// The first id at which the running sum exceeds `u` times the sum over ids.
///
/// At least one weight is above 0, and `u` is below 1.
pub(super) fn draw(weights: &[f64], u: f64) -> u32 {
    let blocks: Vec<f64> = weights.chunks(BLOCK).map(block_sum).collect();
    let target = u * blocks.iter().fold(0.0, |total, &sum| total + sum);
    let mut before = 0.0;
    for (index, &sum) in blocks.iter().enumerate() {
        if before + sum > target {
            let start = index * BLOCK;
            let mut chain = 0.0;
            for (offset, &weight) in weights[start..].iter().take(BLOCK).enumerate() {
                chain += weight;
                if before + chain > target {
                    return (start + offset) as u32;
                }
            }
        }
        before += sum;
    }
    unreachable!("u < 1 and a sum of normal numbers: the last running sum exceeds u times itself")
}
