use super::attention::{self, Run};
use super::elementwise;
use super::*;
use crate::dtype::bf16;
use crate::numerics::{self, Arithmetic, Bf16, F32, F64, Order, Real, dot};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512, Avx512Bf16};
use crate::simd::{Oracle, Scalar, Simd};
use crate::weights::packed_bf16::PackedBf16;
use crate::weights::{Matrix, Storage};

/// Runs a check for every profile on every instruction set that this machine has.
macro_rules! on_each_isa {
    ($check:ident) => {
        $check::<Bf16, _>(Scalar::detect());
        $check::<F32, _>(Scalar::detect());
        $check::<F64, _>(Oracle::detect());
        #[cfg(target_arch = "x86_64")]
        {
            Avx2::detect().map($check::<Bf16, _>);
            Avx2::detect().map($check::<F32, _>);
            Avx512::detect().map($check::<Bf16, _>);
            Avx512::detect().map($check::<F32, _>);
            Avx512Bf16::detect().map($check::<Bf16, _>);
        }
        #[cfg(target_arch = "aarch64")]
        {
            crate::simd::Neon::detect().map($check::<Bf16, _>);
            crate::simd::Neon::detect().map($check::<F32, _>);
        }
    };
}

/// The bits of a number, whatever its type.
fn bits<R: Real>(value: R) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.append_to(&mut bytes);
    bytes
}

/// A generator of numbers that round, cancel and lie at the edge of the flush.
struct Numbers(u64);

impl Numbers {
    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn below(&mut self, n: u32) -> u32 {
        self.bits() % n
    }

    fn number(&mut self) -> f32 {
        let bits = self.bits();
        let exponent = match self.below(16) {
            0 => 77,
            1 => 76,
            2 => 150,
            3 => return 0.0,
            _ => 118 + self.below(12),
        };
        f32::from_bits((bits & 0x807f_ffff) | exponent << 23)
    }

    fn activations<A: Arithmetic>(&mut self, count: usize) -> Vec<A::Real> {
        (0..count).map(|_| A::b(A::Real::from_f32(self.number()))).collect()
    }

    fn bf16_bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).flat_map(|_| bf16::from_f32(self.number()).to_le_bytes()).collect()
    }

    fn mxfp4(&mut self, rows: usize, cols: usize, scales: (u8, u8)) -> Matrix {
        let blocks: Vec<u8> = (0..rows * cols / 2).map(|_| self.bits() as u8).collect();
        let span = u32::from(scales.1 - scales.0) + 1;
        let bytes: Vec<u8> = (0..rows * cols / 32).map(|_| scales.0 + self.below(span) as u8).collect();
        Matrix {
            rows,
            cols,
            storage: Storage::Mxfp4 { blocks: blocks.into(), scales: bytes.into(), scale_range: scales },
        }
    }
}

fn check_product<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    matrix: &Matrix,
    order: Order,
    x: &[A::Real],
    selected: &[usize],
) {
    let packed = PackedRows::new(simd, order, x, matrix.cols);
    let rows = 1..matrix.rows;
    let mut out = vec![A::Real::ONE; rows.len() * selected.len()];
    matmul(simd, matrix, rows.clone(), &packed, selected, &mut Scratch::default(), &mut out);
    // The size of the cache, which is another one on each machine, changes no bit.
    let mut small = Scratch { l2: cache::LEAST, ..Scratch::default() };
    let mut out_of_small = vec![A::Real::ZERO; out.len()];
    matmul(simd, matrix, rows.clone(), &packed, selected, &mut small, &mut out_of_small);
    assert!(out.iter().zip(&out_of_small).all(|(&out, &of_small)| bits(out) == bits(of_small)));
    let mut weights = vec![0.0; matrix.cols];
    for row in rows.clone() {
        matrix.row(row, &mut weights);
        let weights: Vec<A::Real> = weights.iter().map(|&weight| A::Real::from_f32(weight)).collect();
        for (index, &selected) in selected.iter().enumerate() {
            let x = &x[selected * matrix.cols..][..matrix.cols];
            let expected = dot(order, &weights, x);
            let found = out[index * rows.len() + row - 1];
            assert_eq!(bits(found), bits(expected), "{order:?} {:?} row {row}", matrix.storage);
        }
    }
}

/// Rows of bf16 that have no, one, some and many groups that packing escapes, at any place.
fn with_escapes(numbers: &mut Numbers, data: &[u8], cols: usize) -> Vec<u8> {
    let mut data = data.to_vec();
    for (row, elements) in data.chunks_exact_mut(2 * cols).enumerate() {
        let (elements, _) = elements.as_chunks_mut::<2>();
        for bits in elements.iter_mut() {
            // As many exponents as a row can name.
            let exponent = 118 + numbers.below(16) as u16;
            *bits = (u16::from_le_bytes(*bits) & 0x807f | exponent << 7).to_le_bytes();
        }
        let strays = [0, 1, 1, 2, 5, 40][row];
        for stray in 0..strays {
            let place = numbers.below(cols as u32) as usize;
            let exponent = 80 + stray % 32;
            elements[place] = (numbers.bits() as u16 & 0x807f | exponent << 7).to_le_bytes();
        }
    }
    data
}

fn products_of_all_lengths<A: Arithmetic, S: Simd<Real = A::Real>>(simd: S) {
    let mut numbers = Numbers(7);
    let mut escaped = 0;
    for cols in 1..=3 * 128 + 1 {
        let x = numbers.activations::<A>(9 * cols);
        let many = [8, 0, 3, 3, 1, 7, 2];
        for selected in [&many[..1], &many[..2], &many[..]] {
            let data = numbers.bf16_bytes(6 * cols);
            // An odd address: bytes need no alignment.
            let shifted: Vec<u8> = std::iter::once(0).chain(data.iter().copied()).collect();
            let data: crate::weights::Bytes = shifted.into();
            let data = data.slice(1..1 + 12 * cols);
            let dense = |storage| Matrix { rows: 6, cols, storage };
            let packed = PackedBf16::pack(6, cols, &with_escapes(&mut numbers, &data, cols));
            escaped += packed.escaped();
            for order in [Order::D, Order::E] {
                let packed = dense(Storage::PackedBf16(packed.clone()));
                check_product::<A, S>(simd, &packed, order, &x, selected);
                check_product::<A, S>(
                    simd,
                    &dense(Storage::Bf16 { data: data.clone(), tiny: true }),
                    order,
                    &x,
                    selected,
                );
                let transposed = Storage::Bf16Transposed { data: data.clone(), tiny: true };
                check_product::<A, S>(simd, &dense(transposed), order, &x, selected);
            }
            if cols % 32 == 0 {
                for scales in [(78, 127), (0, 252), (119, 120), (128, 130)] {
                    let matrix = numbers.mxfp4(6, cols, scales);
                    for order in [Order::D, Order::E] {
                        check_product::<A, S>(simd, &matrix, order, &x, selected);
                    }
                }
            }
        }
    }
    assert!(escaped > 1000, "{escaped}");
}

#[test]
fn products_are_the_sums_of_clause_4() {
    on_each_isa!(products_of_all_lengths);
}

/// More rows than a block of a small cache has and more activations than a panel, in two and four parts and as a whole; and
/// more rows than are summed at a time where they are stored by columns.
fn products_of_many_rows<A: Arithmetic, S: Simd<Real = A::Real>>(simd: S) {
    let mut numbers = Numbers(8);
    let small = [1, 31, 32, 33, 64, 65, 96, 97, 127, 129, 160, 250, 384];
    let large = [(41, 1440, 16), (70, 2880, 100), (300, 133, 1), (270, 129, 2), (290, 160, 3)];
    let sizes = small.map(|cols| (7, cols, 17)).into_iter().chain(large);
    for (rows, cols, count) in sizes {
        let x = numbers.activations::<A>(9 * cols);
        let selected: Vec<usize> = (0..count).map(|_| numbers.below(9) as usize).collect();
        let data = numbers.bf16_bytes(rows * cols);
        let packed = PackedBf16::pack(rows, cols, &data);
        let mut storages = vec![
            (Order::D, Storage::PackedBf16(packed)),
            (Order::D, Storage::Bf16 { data: data.clone().into(), tiny: true }),
            (Order::E, Storage::Bf16Transposed { data: data.clone().into(), tiny: true }),
            (Order::D, Storage::Bf16Transposed { data: data.into(), tiny: true }),
        ];
        if cols % 32 == 0 {
            let scales = if numbers.below(2) == 0 { (78, 127) } else { (0, 252) };
            storages.push((Order::E, numbers.mxfp4(rows, cols, scales).storage));
        }
        for (order, storage) in storages {
            check_product::<A, S>(simd, &Matrix { rows, cols, storage }, order, &x, &selected);
        }
    }
}

#[test]
fn products_of_many_rows_are_the_sums_of_clause_4() {
    on_each_isa!(products_of_many_rows);
}

fn attention_of_all_lengths<A: Arithmetic, S: Simd<Real = A::Real>>(simd: S) {
    let mut numbers = Numbers(11);
    for head_dim in [2, 30, 32, 34, 64, 96, 128, 160, 192] {
        for (first, counts) in [(0, [5, 0]), (250, [9, 3]), (3, [300, 270]), (511, [1, 1])] {
            let queries = numbers.activations::<A>(3 * head_dim);
            let total = counts[0] + counts[1];
            let keys: Vec<A::Stored> =
                numbers.activations::<A>(total * head_dim).into_iter().map(A::store).collect();
            let split = counts[0] * head_dim;
            let runs =
                [Run { first, rows: &keys[..split] }, Run { first: first + counts[0], rows: &keys[split..] }];
            let scale = numerics::inverse_sqrt::<A::Real>(head_dim);
            let packed = PackedRows::new(simd, Order::D, &queries, head_dim);
            let mut scores = vec![A::Real::ZERO; 2 * total];
            attention::scores::<A, S>(simd, &packed, 1, &runs, scale, &mut scores);
            let restored: Vec<A::Real> = keys.iter().map(|&key| A::restore(key)).collect();
            for (index, found) in scores.iter().enumerate() {
                let query = &queries[(1 + index / total) * head_dim..][..head_dim];
                let key = &restored[index % total * head_dim..][..head_dim];
                let expected = A::b(A::b(dot(Order::D, query, key)) * scale);
                assert_eq!(bits(*found), bits(expected), "head_dim {head_dim}");
            }
            // Seven heads, and scores as they occur, so that probabilities are not all one and nothing.
            let mut found: Vec<A::Real> =
                (0..7 * total).map(|_| A::b(A::Real::from_f32(numbers.number()))).collect();
            let mut expected = found.clone();
            for (found, expected) in found.chunks_mut(total).zip(expected.chunks_mut(total)) {
                attention::softmax_with_sink::<A, S>(simd, found, first, 0.25);
                numerics::softmax_with_sink::<A>(expected, first, 0.25);
            }
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(bits(*found), bits(*expected));
            }
            let mut context = vec![A::Real::ONE; 7 * head_dim];
            attention::weighted_sums::<A, S>(simd, &found, &runs, head_dim, &mut context);
            for (index, found_element) in context.iter().enumerate() {
                let (head, element) = (index / head_dim, index % head_dim);
                let terms = (0..total)
                    .map(|j| (first + j, found[head * total + j], restored[j * head_dim + element]));
                let expected = numerics::weighted_sum::<A>(terms);
                assert_eq!(bits(*found_element), bits(expected), "head_dim {head_dim} head {head}");
            }
        }
    }
}

#[test]
fn attention_is_clause_8() {
    on_each_isa!(attention_of_all_lengths);
}

fn elementwise_of_all_lengths<A: Arithmetic, S: Simd<Real = A::Real>>(simd: S) {
    let mut numbers = Numbers(13);
    for n in (1..200).chain([2880]) {
        let x = numbers.activations::<A>(n);
        let scale: Vec<f32> = (0..n).map(|_| numerics::round_bf16(numbers.number())).collect();
        let (mut found, mut expected) = (vec![A::Real::ZERO; n], vec![A::Real::ZERO; n]);
        elementwise::rms_norm::<A, S>(simd, &x, &scale, 1e-5, &mut found);
        numerics::rms_norm::<A>(&x, &scale, 1e-5, &mut expected);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(bits(*found), bits(*expected), "norm of {n}");
        }
        let rows: Vec<Vec<A::Real>> = (0..4).map(|_| numbers.activations::<A>(n)).collect();
        let weights = numbers.activations::<A>(4);
        let views: Vec<&[A::Real]> = rows.iter().map(Vec::as_slice).collect();
        elementwise::sum_experts::<A, S>(simd, &views, &weights, &mut found);
        for (k, found) in found.iter().enumerate() {
            let sum = (0..4).fold(A::Real::ZERO, |sum, rank| weights[rank].fma(rows[rank][k], sum));
            assert_eq!(bits(*found), bits(A::b(sum)), "experts of {n}");
        }
        let gate_up = numbers.activations::<A>(2 * n);
        elementwise::swiglu_rows::<A, S>(simd, &gate_up, 7.0, &mut found);
        for (k, found) in found.iter().enumerate() {
            let expected = numerics::swiglu::<A>(gate_up[2 * k], gate_up[2 * k + 1], 7.0);
            assert_eq!(bits(*found), bits(expected), "swiglu of {n}");
        }
    }
}

#[test]
fn elementwise_kernels_are_their_clauses() {
    on_each_isa!(elementwise_of_all_lengths);
}
