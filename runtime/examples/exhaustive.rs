//! Checks exp on every f32, and the rotation table of the released models at every position.
//!
//! ```sh
//! cargo run --release -p gptoss-runtime --example exhaustive
//! ```
//!
//! exp is checked without the reduction by ln 2 that the crate uses. For a block of neighbouring arguments, e to the power of the first
//! comes from a Taylor series and repeated squaring in numbers of two f64; its neighbours from that times a short series of the
//! difference. Where the error of the short series could change the rounding, the argument has a long series of its own.
//! The rotation table is compared with a digest that `tests/python/elementary_tables.py` made with mpmath.

use std::process::ExitCode;

use gptoss_runtime::RopeConfig;
use gptoss_runtime::numerics::{F32, Rope, exp};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Arguments of a block: 2^12 neighbours differ by less than 2^-11 of their size.
const BLOCK: u32 = 1 << 12;
/// A bound of the relative error of the short form: its series leaves out less than 2^-60, and its 20 operations round by at
/// most 2^-53 each, all but the last few times a small number.
const SHORT_ERROR: f64 = 1.0 / (1_u64 << 49) as f64;

/// A number as the sum of two f64.
#[derive(Clone, Copy)]
struct Pair(f64, f64);

impl Pair {
    fn normal(high: f64, low: f64) -> Self {
        let sum = high + low;
        Self(sum, low - (sum - high))
    }

    fn times(self, other: Self) -> Self {
        let product = self.0 * other.0;
        let error = self.0.mul_add(other.0, -product);
        Self::normal(product, error + (self.0 * other.1 + self.1 * other.0))
    }

    fn plus_one(self) -> Self {
        let sum = 1.0 + self.0;
        let part = sum - 1.0;
        let error = (1.0 - (sum - part)) + (self.0 - part);
        Self::normal(sum, error + self.1)
    }

    fn divided(self, divisor: f64) -> Self {
        let first = self.0 / divisor;
        let rest = (-first).mul_add(divisor, self.0) + self.1;
        Self::normal(first, rest / divisor)
    }
}

/// e^x to about 2^-88: the series of x / 2^14, squared 14 times. For |x| below 89.
fn long_exp(x: f64) -> Pair {
    let small = Pair(x / 16_384.0, 0.0);
    let mut sum = Pair(1.0, 0.0);
    for term in (1..=14).rev() {
        sum = sum.times(small).divided(f64::from(term)).plus_one();
    }
    for _ in 0..14 {
        sum = sum.times(sum);
    }
    sum
}

/// e^d - 1 for |d| below 0.05.
fn short_expm1(d: f64) -> f64 {
    let mut sum = 1.0 / 3_628_800.0;
    for factorial in [362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0] {
        sum = sum * d + 1.0 / factorial;
    }
    sum * d
}

/// Where the exact value of an argument lies between two f32: how near the middle it is.
struct Hard {
    argument: u32,
    /// Distance from the middle over the distance of the two f32.
    distance: f64,
}

/// The nearest f32 and how near its value is to the middle of two.
fn round(value: Pair) -> (f32, f64) {
    let near = value.0 as f32;
    let rest = (value.0 - f64::from(near)) + value.1;
    let toward = if rest > 0.0 { near.next_up() } else { near.next_down() };
    let step = f64::from(toward) - f64::from(near);
    let share = rest / step;
    if share > 0.5 { (toward, share - 0.5) } else { (near, 0.5 - share) }
}

/// Checks the block that starts at `first`; the arguments that are wrong, and the hard ones.
fn check_block(first: u32) -> (Vec<u32>, Vec<Hard>) {
    let start = f64::from(f32::from_bits(first));
    let base = long_exp(start).0;
    let (mut wrong, mut hard) = (Vec::new(), Vec::new());
    for argument in first..first + BLOCK {
        let x = f32::from_bits(argument);
        if !(-87.0..f32::from_bits(0x42b1_7218)).contains(&x) {
            continue;
        }
        let value = base + base * short_expm1(f64::from(x) - start);
        let (low, high) = ((value * (1.0 - SHORT_ERROR)) as f32, (value * (1.0 + SHORT_ERROR)) as f32);
        let mut expected = low;
        if low.to_bits() != high.to_bits() {
            let (nearest, distance) = round(long_exp(f64::from(x)));
            expected = nearest;
            hard.push(Hard { argument, distance });
        }
        if exp(x).to_bits() != expected.to_bits() {
            wrong.push(argument);
        }
    }
    (wrong, hard)
}

/// exp on every f32.
fn check_exp() -> bool {
    // Below 2^-25 in size, e^x is nearer to 1 than to any other f32; NaN and what lies outside have one value each.
    let right = |bits: u32| {
        let x = f32::from_bits(bits);
        let expected = match x {
            _ if x.is_nan() => return exp(x).is_nan(),
            _ if x < -87.0 => 0.0_f32,
            _ if x >= f32::from_bits(0x42b1_7218) => f32::INFINITY,
            _ if x.abs() < 1.0 / 33_554_432.0 => 1.0,
            // The blocks below.
            _ => return true,
        };
        exp(x).to_bits() == expected.to_bits()
    };
    let simple = (0..=u32::MAX).into_par_iter().filter(|&bits| !right(bits)).count();

    let blocks = (0x3300_0000..0x42b2_0000_u32).into_par_iter().step_by(BLOCK as usize);
    let (wrong, mut hard) = blocks.flat_map_iter(|first| [first, first | 1 << 31]).map(check_block).reduce(
        Default::default,
        |mut all, more| {
            all.0.extend(more.0);
            all.1.extend(more.1);
            all
        },
    );
    hard.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    println!(
        "exp: {} of all f32 are wrong; {} needed the long series, the hardest:",
        simple + wrong.len(),
        hard.len()
    );
    for Hard { argument, distance } in hard.iter().take(12) {
        println!("  {argument:08x}: {distance:.2e} of a unit from the middle");
    }
    simple + wrong.len() == 0
}

/// Cosine and sine of the released models at all positions.
fn check_rotation() -> bool {
    const TABLES: &str = include_str!("../../fixtures/numerics/elementary.json");
    let tables: serde_json::Value = serde_json::from_str(TABLES).expect("the file is JSON");
    let expected = &tables["released_rope"];
    let config = RopeConfig {
        theta: 150_000.0,
        factor: 32.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_context: 4096,
        truncate: false,
    };
    let rope = Rope::<F32>::new(&config, 64);
    let positions = expected["positions"].as_u64().expect("a number") as usize;
    let rows: Vec<Vec<u8>> = (0..positions)
        .into_par_iter()
        .map(|position| {
            let pairs = (0..32).map(|pair| rope.cos_sin(position, pair));
            pairs.flat_map(|(cos, sin)| [cos.to_le_bytes(), sin.to_le_bytes()]).flatten().collect()
        })
        .collect();
    let mut digest = Sha256::new();
    rows.iter().for_each(|row| digest.update(row));
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let same = Some(found.as_str()) == expected["sha256"].as_str();
    println!(
        "rotation: {positions} positions, {}",
        if same { "the digest of mpmath" } else { "another digest" }
    );
    same
}

fn main() -> ExitCode {
    let checks = [check_exp(), check_rotation()];
    if checks.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
