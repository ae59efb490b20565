use proptest::prelude::*;

use super::*;
use crate::dtype::bf16::{from_f32, to_f32};

fn bytes(elements: &[u16]) -> Vec<u8> {
    elements.iter().flat_map(|bits| bits.to_le_bytes()).collect()
}

/// Packs, and checks that every element comes back flushed; what was packed.
fn round_trip(cols: usize, elements: &[u16]) -> PackedBf16 {
    let rows = elements.len() / cols;
    let packed = PackedBf16::pack(rows, cols, &bytes(elements));
    let mut out = vec![0; cols];
    for (row, expected) in elements.chunks_exact(cols).enumerate() {
        packed.unpack(row, &mut out);
        let expected: Vec<u16> =
            expected.iter().map(|&bits| (flush(to_f32(bits)).to_bits() >> 16) as u16).collect();
        assert_eq!(out, expected, "row {row}");
    }
    // However odd the elements are, they take little more than they did.
    let plain = 2 * rows * cols;
    let padding = rows * (2 * LINE + ESCAPE);
    assert!(packed.size() <= plain + plain / 100 + TABLE * rows + 4 * (rows + 1) + padding);
    packed
}

/// How large a matrix of `numbers` becomes, where bf16 is 1.
fn ratio(mut numbers: impl FnMut() -> f32) -> f64 {
    let (rows, cols) = (64, 2880);
    let elements: Vec<u16> = (0..rows * cols).map(|_| from_f32(numbers())).collect();
    round_trip(cols, &elements).size() as f64 / (2 * rows * cols) as f64
}

/// Numbers in [0, 1), and the normal and Student's t distributions of them.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn student(&mut self, freedom: u32) -> f64 {
        let square: f64 = (0..freedom).map(|_| self.normal().powi(2)).sum();
        self.normal() / (square / f64::from(freedom)).sqrt()
    }
}

#[test]
fn the_size_of_known_distributions() {
    let mut random = Random(1);
    let normal = ratio(|| 0.02 * random.normal() as f32);
    // A row has its own sixteen exponents, and few elements of a row are far below its greatest.
    assert!((0.753..0.756).contains(&normal), "{normal}");
    let student = ratio(|| 0.02 * random.student(3) as f32);
    assert!((0.753..0.760).contains(&student), "{student}");
    let cauchy = ratio(|| 0.02 * random.student(1) as f32);
    assert!((0.80..0.92).contains(&cauchy), "{cauchy}");
    for constant in [0.0, -0.0, 1.0, -1e30, 1e-30] {
        let constant = ratio(|| constant);
        assert!((0.753..0.754).contains(&constant), "{constant}");
    }
    // Rows of other scales cost nothing, as each has its own table.
    let mut count = 0;
    let rows = ratio(|| {
        count += 1;
        (random.normal() * f64::from(count / 2880 % 40 - 20).exp2()) as f32
    });
    assert!((0.753..0.756).contains(&rows), "{rows}");
    // Every exponent alike: all groups are escaped.
    let adversarial = ratio(|| f32::from_bits(((77.0 + 170.0 * random.uniform()) as u32) << 23));
    assert!((1.0..1.02).contains(&adversarial), "{adversarial}");
}

#[test]
fn a_matrix_that_gains_nothing_says_so() {
    let wide: Vec<u16> = (0..128 * 16).map(|k| (77 + k % 128) << 7).collect();
    let packed = round_trip(128, &wide);
    assert_eq!(packed.escaped(), 16);
    assert!(!packed.gains());
    assert!(round_trip(128, &vec![0x3f80; 128 * 16]).gains());
}

#[test]
fn one_stray_exponent_at_any_place_escapes_its_group_alone() {
    for cols in [1, 31, 32, 33, 64, 96, 97, 128, 129, 192, 224, 256 + 65, 384] {
        for place in 0..cols {
            // Sixteen exponents many times each, so that the stray one is the rarest.
            let mut row: Vec<u16> =
                (0..8 * cols).map(|k| (0x3000 + (k as u16 % 16) * 0x80) | 0x8055).collect();
            row[3 * cols + place] = 0x4123;
            let packed = round_trip(cols, &row);
            assert!(packed.escaped() <= 1, "{cols} {place}");
        }
    }
}

#[test]
fn every_bit_pattern_that_is_finite_comes_back_flushed() {
    let all: Vec<u16> = (0..=u16::MAX).filter(|bits| bits & 0x7f80 != 0x7f80).collect();
    round_trip(128, &all);
    round_trip(32, &all);
    round_trip(all.len(), &all);
    // Side by side with others.
    let mixed: Vec<u16> = (0..all.len()).map(|k| all[k * 257 % all.len()]).collect();
    round_trip(255, &mixed[..mixed.len() / 255 * 255]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 128 }))]

    #[test]
    fn any_finite_matrix_comes_back(
        cols in 1_usize..400,
        rows in 1_usize..4,
        exponents in 1_u16..255,
        lowest in 0_u16..255,
        seed in any::<u64>(),
    ) {
        let mut random = Random(seed);
        let elements: Vec<u16> = (0..rows * cols)
            .map(|_| {
                let spread = random.uniform().powi(4) * f64::from(exponents);
                let exponent = (lowest + spread as u16).min(254);
                let (mantissa, sign) = (random.uniform() * 128.0, random.uniform() < 0.5);
                (exponent << 7) | mantissa as u16 | (u16::from(sign) << 15)
            })
            .collect();
        round_trip(cols, &elements);
    }
}
