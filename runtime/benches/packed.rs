//! The size and the speed of packed bf16 matrices beside plain ones, for weights of many distributions.
//!
//! A line for each distribution: bytes of the packed matrix by those of the plain one; times of one row of activations
//! with all rows of the matrix, out of memory, in turns (least time, median) and their ratio; and as a check whether the
//! products are the same bits. `--many N` takes N rows of activations.
//!
//! Usage: `cargo bench -p gptoss-runtime --bench packed -- [--isa NAME] [--threads N] [--mib N] [--many N] [--repeats N] [--only NAME]`

use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

use gptoss_runtime::dtype::bf16::from_f32;
use gptoss_runtime::kernels::{PackedRows, Scratch, matmul};
use gptoss_runtime::numerics::{Arithmetic, Bf16, F32, Order, Real};
use gptoss_runtime::simd::{Isa, Scalar, Simd};
use gptoss_runtime::weights::packed_bf16::PackedBf16;
use gptoss_runtime::weights::{Matrix, Storage};

/// Elements of a row: the width of the released models.
const COLS: usize = 2880;
/// Rows that differ; a matrix repeats them.
const ROWS: usize = 1024;
/// Rows that a thread takes at a time.
const CHUNK: usize = 64;

struct Options {
    isa: Option<Isa>,
    threads: usize,
    mib: usize,
    many: usize,
    repeats: usize,
    only: String,
}

fn options() -> Options {
    let mut options = Options { isa: None, threads: 2, mib: 512, many: 1, repeats: 7, only: String::new() };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let number = || value.parse().unwrap_or_else(|_| panic!("{name} takes a number, found {value:?}"));
        match name.as_str() {
            "--isa" => options.isa = Some(value.parse().expect("an instruction set")),
            "--threads" => options.threads = number(),
            "--mib" => options.mib = number(),
            "--many" => options.many = number(),
            "--repeats" => options.repeats = number(),
            "--only" => options.only = value,
            _ => panic!("unknown option {name}"),
        }
    }
    options
}

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

/// What a name, a random number generator and the number of an element give.
type Distribution = (&'static str, fn(&mut Random, usize) -> f64);

const DISTRIBUTIONS: &[Distribution] = &[
    ("normal", |random, _| 0.02 * random.normal()),
    ("normal, rows of any scale", |random, k| {
        random.normal() * f64::from((k / COLS % 40) as i32 - 20).exp2()
    }),
    ("normal, columns of any scale", |random, k| random.normal() * f64::from((k % 12) as i32 - 6).exp2()),
    ("uniform", |random, _| 0.1 * random.uniform() - 0.05),
    ("Student t, 5", |random, _| 0.02 * random.student(5)),
    ("Student t, 3", |random, _| 0.02 * random.student(3)),
    ("Student t, 2", |random, _| 0.02 * random.student(2)),
    ("Student t, 1", |random, _| 0.02 * random.student(1)),
    ("nine of ten zero", |random, _| if random.uniform() < 0.9 { 0.0 } else { 0.02 * random.normal() }),
    ("constant", |_, _| 0.02),
    ("zero", |_, _| 0.0),
    ("denormal", |random, _| 1e-39 * random.normal()),
    ("a stray element a group", |random, k| match k % 128 {
        77 => f64::from((k / 128 % 40) as i32 - 45).exp2(),
        _ => 0.25 + random.uniform(),
    }),
    ("every exponent", |random, _| (60.0 * random.uniform() - 40.0).exp2()),
];

/// Runs `work` on chunks of `0..rows`, on so many threads.
fn share(threads: usize, rows: usize, work: impl Fn(Range<usize>) + Sync) -> f64 {
    let next = Mutex::new((0..rows).step_by(CHUNK));
    let claim = || next.lock().expect("no panic in a thread").next();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(first) = claim() {
                    work(first..(first + CHUNK).min(rows));
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}

fn product<S: Simd>(simd: S, options: &Options, matrix: &Matrix, x: &PackedRows<S>) -> (f64, Vec<S::Real>) {
    let selected: Vec<usize> = (0..options.many).collect();
    let all = Mutex::new(vec![S::Real::ZERO; matrix.rows]);
    let seconds = share(options.threads, matrix.rows, |rows| {
        let mut scratch = Scratch::default();
        let mut out = vec![S::Real::ZERO; rows.len() * options.many];
        matmul(simd, matrix, rows.clone(), x, &selected, &mut scratch, &mut out);
        all.lock().expect("no panic in a thread")[rows.clone()].copy_from_slice(&out[..rows.len()]);
    });
    (seconds, all.into_inner().expect("no panic in a thread"))
}

fn measure<A: Arithmetic, S: Simd<Real = A::Real>>(name: &str, simd: S, options: &Options) {
    let (threads, many) = (options.threads, options.many);
    println!(
        "{name}, {threads} threads, {many} rows of activations, {} MiB; ms (least, median)",
        options.mib
    );
    let mut random = Random(1);
    let x: Vec<A::Real> = (0..many * COLS).map(|_| A::b(A::Real::from_f64(random.normal()))).collect();
    let x = PackedRows::new(simd, Order::D, &x, COLS);
    for (name, number) in DISTRIBUTIONS.iter().filter(|(name, _)| name.contains(&options.only)) {
        let some: Vec<u8> =
            (0..ROWS * COLS).flat_map(|k| from_f32(number(&mut random, k) as f32).to_le_bytes()).collect();
        let times = ((options.mib << 20) / some.len()).max(1);
        let rows = times * ROWS;
        let data = some.repeat(times);
        let packed = PackedBf16::pack(rows, COLS, &data);
        let (size, gains) = (packed.size() as f64 / data.len() as f64, packed.gains());
        let of = |storage| Matrix { rows, cols: COLS, storage };
        let tiny = *name == "denormal";
        let plain = of(Storage::Bf16 { data: data.into(), tiny });
        let packed = of(Storage::PackedBf16(packed));
        let (mut plain_times, mut packed_times) = (Vec::new(), Vec::new());
        for _ in 0..options.repeats {
            let (seconds, expected) = product(simd, options, &plain, &x);
            plain_times.push(1e3 * seconds);
            let (seconds, found) = product(simd, options, &packed, &x);
            packed_times.push(1e3 * seconds);
            assert!(found == expected, "the same products");
        }
        plain_times.sort_by(f64::total_cmp);
        packed_times.sort_by(f64::total_cmp);
        let middle = options.repeats / 2;
        let verdict = if gains { "" } else { "  (stays plain)" };
        println!(
            "  {name:28} size {size:.4}; plain {:6.1} ({:6.1}), packed {:6.1} ({:6.1}), {:.2}x ({:.2}x){verdict}",
            plain_times[0],
            plain_times[middle],
            packed_times[0],
            packed_times[middle],
            plain_times[0] / packed_times[0],
            plain_times[middle] / packed_times[middle],
        );
    }
}

fn main() {
    let options = options();
    let isa = options.isa.unwrap_or_else(Isa::best).require().expect("an instruction set of this machine");
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            let simd = gptoss_runtime::simd::Avx2::detect().expect("it was just found");
            measure::<F32, _>("avx2", simd, &options);
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            let simd = gptoss_runtime::simd::Avx512::detect().expect("it was just found");
            measure::<F32, _>("avx512", simd, &options);
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 => {
            let simd = gptoss_runtime::simd::Avx512Bf16::detect().expect("it was just found");
            measure::<Bf16, _>("avx512bf16", simd, &options);
        }
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => {
            let simd = gptoss_runtime::simd::Neon::detect().expect("it was just found");
            measure::<F32, _>("neon", simd, &options);
        }
        _ => measure::<F32, _>("scalar", Scalar::detect(), &options),
    }
}
