//! The speed of the products of matrices beside what the machine can do at best, in one run.
//!
//! Rows: GB of weights a second for one row of activations, out of memory, beside a plain read of the same bytes.
//! Tiles: GFLOP/s for many rows of activations, beside dot products of registers only. They are bound by computation, so
//! their seconds are those of the threads' CPU time, which other processes change little.
//!
//! Usage: `cargo bench -p gptoss-runtime --bench kernels -- [--isa NAME] [--threads N] [--mib N] [--rows N] [--many N]
//! [--storage NAME] [--repeats N]`
//! `--mib 0` leaves out the rows; few rows of a tile stay in the cache. `--many` is the rows of activations of the tiles,
//! `--storage` how the label of their weights begins, which also leaves out attention.

use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use gptoss_runtime::kernels::attention::{self, Run};
use gptoss_runtime::kernels::{PackedRows, Scratch, matmul};
use gptoss_runtime::numerics::{Arithmetic, Bf16, F32, Order};
use gptoss_runtime::simd::{Isa, Kernel, Scalar, Simd, Tile};
use gptoss_runtime::weights::{Bytes, Matrix, Storage};
use rustix::time::{ClockId, clock_gettime};

/// Elements of a row: the width of the released models.
const COLS: usize = 2880;
/// Rows that a thread takes at a time.
const CHUNK: usize = 96;
/// The same of what is stored by columns and multiplied without tiles, as the runtime does.
const COLUMNS_CHUNK: usize = 256;

struct Options {
    isa: Option<Isa>,
    threads: Option<usize>,
    mib: usize,
    repeats: usize,
    rows: usize,
    many: Vec<usize>,
    storage: String,
}

fn options() -> Options {
    let many = vec![1, 2, 3, 4, 5, 6, 8, 16, 32, 64];
    let mut options =
        Options { isa: None, threads: None, mib: 1024, repeats: 7, rows: 5760, many, storage: String::new() };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let number = || value.parse().unwrap_or_else(|_| panic!("{name} takes a number, found {value:?}"));
        match name.as_str() {
            "--isa" => options.isa = Some(value.parse().expect("an instruction set")),
            "--threads" => options.threads = Some(number()),
            "--mib" => options.mib = number(),
            "--rows" => options.rows = number(),
            "--many" => options.many = vec![number()],
            "--storage" => options.storage = value,
            "--repeats" => options.repeats = number(),
            _ => panic!("unknown option {name}"),
        }
    }
    options
}

/// Bytes without a pattern.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// bf16 numbers from 2^-8 to 2^7, so that sums stay finite.
fn noise_bf16(bytes: usize) -> Vec<u8> {
    let mut out = noise(bytes);
    for pair in out.chunks_exact_mut(2) {
        pair[1] = (pair[1] & 0x80) | 0x3c | (pair[1] & 3);
    }
    out
}

fn mxfp4(rows: usize) -> Matrix {
    let scales = noise(rows * COLS / 32).into_iter().map(|byte| 112 + byte % 14).collect::<Vec<u8>>();
    let blocks = noise(rows * COLS / 2).into();
    Matrix {
        rows,
        cols: COLS,
        storage: Storage::Mxfp4 { blocks, scales: scales.into(), scale_range: (112, 125) },
    }
}

fn bf16(rows: usize) -> Matrix {
    let data: Bytes = noise_bf16(rows * COLS * 2).into();
    Matrix { rows, cols: COLS, storage: Storage::Bf16 { data, tiny: false } }
}

/// The storage of experts that were written in bf16.
fn by_columns(rows: usize) -> Matrix {
    let data: Bytes = noise_bf16(rows * COLS * 2).into();
    Matrix { rows, cols: COLS, storage: Storage::Bf16Transposed { data, tiny: false } }
}

fn activations<A: Arithmetic>(rows: usize) -> Vec<A::Real> {
    use gptoss_runtime::numerics::Real;
    let bytes = noise_bf16(rows * COLS * 2);
    bytes
        .chunks_exact(2)
        .map(|pair| f32::from_bits(u32::from(u16::from_le_bytes([pair[0], pair[1]])) << 16))
        .map(A::Real::from_f32)
        .collect()
}

/// Seconds on the clock.
fn time<T>(run: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// Runs `work` on chunks of `0..rows`, on so many threads; the mean CPU seconds of a thread.
fn share(
    threads: usize,
    rows: usize,
    chunk: usize,
    work: impl Fn(&mut dyn FnMut() -> Option<Range<usize>>) + Sync,
) -> f64 {
    let next = AtomicUsize::new(0);
    let cpu_time = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let one = || {
        let start = cpu_time();
        work(&mut || {
            let start = next.fetch_add(chunk, Ordering::Relaxed);
            (start < rows).then(|| start..rows.min(start + chunk))
        });
        cpu_time() - start
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let seconds = running.into_iter().map(|thread| thread.join().expect("no panic in a thread"));
        seconds.sum::<f64>() / threads as f64
    })
}

/// Reads all bytes once.
fn read(threads: usize, bytes: &[u8]) -> f64 {
    share(threads, bytes.len(), 1 << 20, |next| {
        let mut sums = [0_u64; 16];
        while let Some(range) = next() {
            for line in bytes[range].chunks_exact(128) {
                for (sum, word) in sums.iter_mut().zip(line.chunks_exact(8)) {
                    *sum ^= u64::from_le_bytes(word.try_into().expect("eight bytes"));
                }
            }
        }
        black_box(sums);
    })
}

fn product<S: Simd>(
    simd: S,
    threads: usize,
    matrix: &Matrix,
    x: &PackedRows<S>,
    selected: &[usize],
    chunk: usize,
) -> f64 {
    share(threads, matrix.rows, chunk, |next| {
        let mut scratch = Scratch::default();
        let mut out = vec![Default::default(); chunk * selected.len()];
        while let Some(rows) = next() {
            let out = &mut out[..rows.len() * selected.len()];
            matmul(simd, matrix, rows, x, selected, &mut scratch, out);
        }
        black_box(&out);
    })
}

/// Attention of one key head at a depth of `KEYS`, GB of the cache a second: once as what all query heads of the group
/// share, and the GFLOP/s of that.
fn heads<A: Arithmetic, S: Simd<Real = A::Real>>(simd: S, options: &Options) {
    const KEYS: usize = 4096;
    const HEAD_DIM: usize = 64;
    const GROUP: usize = 8;
    let rows = activations::<A>((KEYS * HEAD_DIM).div_ceil(COLS));
    let stored: Vec<A::Stored> = rows[..KEYS * HEAD_DIM].iter().map(|&value| A::store(value)).collect();
    let queries = PackedRows::new(simd, Order::D, &rows[..GROUP * HEAD_DIM], HEAD_DIM);
    let scale = gptoss_runtime::numerics::inverse_sqrt::<A::Real>(HEAD_DIM);
    let runs = [Run { first: 0, rows: &stored[..] }];
    let mut scores = vec![A::Real::default(); GROUP * KEYS];
    let mut out = vec![A::Real::default(); GROUP * HEAD_DIM];
    let report = |label: &str, step: &mut dyn FnMut()| {
        let passes = 50;
        let mut seconds: Vec<f64> = (0..options.repeats)
            .map(|_| time(|| (0..passes).for_each(|_| step())) / f64::from(passes))
            .collect();
        seconds.sort_by(f64::total_cmp);
        let bytes = std::mem::size_of_val(&stored[..]) as f64 / 1e9;
        let flop = (2 * GROUP * KEYS * HEAD_DIM) as f64 / 1e9;
        let (least, middle) = (seconds[0], seconds[seconds.len() / 2]);
        println!(
            "  {label:12}: {:5.1} ({:5.1}) GB/s, {:5.1} ({:5.1}) GFLOP/s, {:6.1} us",
            bytes / least,
            bytes / middle,
            flop / least,
            flop / middle,
            least * 1e6
        );
    };
    println!("  attention, {KEYS} keys of {HEAD_DIM}, {GROUP} query heads, one thread (least time, median)");
    report("scores", &mut || attention::scores::<A, S>(simd, &queries, 0, &runs, scale, &mut scores));
    report("softmax", &mut || {
        for row in scores.chunks_exact_mut(KEYS) {
            attention::softmax_with_sink::<A, S>(simd, row, 0, 0.5);
        }
    });
    report("weighted sum", &mut || {
        attention::weighted_sums::<A, S>(simd, &scores, &runs, HEAD_DIM, &mut out);
    });
    black_box(&out);
}

/// Dot products of registers: what tiles cannot exceed.
struct Peak;

const TURNS: usize = 1_000_000;

/// Sums side by side, so that none waits for its last product: two products a cycle that take six cycles need twelve;
/// and as many as there are registers for.
const fn chains(tile: Tile) -> usize {
    match tile {
        Tile::Large => 12,
        Tile::Small => 6,
    }
}

impl<S: Simd> Kernel<S> for Peak {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        match S::TILE {
            Tile::Large => Self::chains::<S, { chains(Tile::Large) }>(simd),
            Tile::Small => Self::chains::<S, { chains(Tile::Small) }>(simd),
        }
    }
}

impl Peak {
    #[inline(always)]
    fn chains<S: Simd, const CHAINS: usize>(simd: S) {
        let pair = simd.load_pair(&black_box(S::Packed::default()));
        let mut sums = [simd.zero(); CHAINS];
        for _ in 0..TURNS {
            for sum in &mut sums {
                *sum = simd.dot2(*sum, pair, pair);
            }
        }
        for sum in sums {
            black_box(simd.store(sum));
        }
    }
}

fn measure<A: Arithmetic, S: Simd<Real = A::Real>>(name: &str, simd: S, options: &Options) {
    let threads: Vec<usize> = options.threads.map_or_else(|| vec![1, 2], |threads| vec![threads]);
    let rows = (options.mib << 20) / (COLS / 2 + COLS / 32);
    let experts = mxfp4(rows);
    let dense = bf16((options.mib << 20) / (2 * COLS));
    println!("{name}, profile {}", A::PROFILE);
    if options.storage.is_empty() {
        heads::<A, S>(simd, options);
    }
    println!("  rows of {COLS}, GB/s (least time, median)          ratio to the read");
    let x = activations::<A>(options.many.iter().copied().max().unwrap_or(1));
    for &threads in &threads {
        let large = [("mxfp4 E", &experts, Order::E), ("bf16 D", &dense, Order::D)];
        for (label, matrix, order) in large.into_iter().filter(|_| options.mib > 0) {
            let packed = PackedRows::new(simd, order, &x, COLS);
            let (bytes, all): (&[u8], usize) = match &matrix.storage {
                Storage::Mxfp4 { blocks, scales, .. } => (blocks, blocks.len() + scales.len()),
                Storage::Bf16 { data, .. } | Storage::Bf16Transposed { data, .. } => (data, data.len()),
                Storage::PackedBf16(_) => unreachable!("packed matrices have a benchmark of their own"),
            };
            let (mut reads, mut products) = (Vec::new(), Vec::new());
            // In turns, so that both meet the same moments of a shared machine.
            for _ in 0..options.repeats {
                reads.push(bytes.len() as f64 / 1e9 / time(|| read(threads, bytes)));
                let seconds = time(|| product(simd, threads, matrix, &packed, &[0], CHUNK));
                products.push(all as f64 / 1e9 / seconds);
            }
            reads.sort_by(f64::total_cmp);
            products.sort_by(f64::total_cmp);
            let (last, middle) = (reads.len() - 1, reads.len() / 2);
            println!(
                "  {label:8} {threads} threads: {:5.1} ({:5.1}); read {:5.1} ({:5.1})   {:3.0} % ({:3.0} %)",
                products[last],
                products[middle],
                reads[last],
                reads[middle],
                100.0 * products[last] / reads[last],
                100.0 * products[middle] / reads[middle],
            );
        }
    }
    let tile_rows = options.rows;
    println!(
        "  tiles, {tile_rows} rows of {COLS}, GFLOP/s (least time, median)          ratio to registers only"
    );
    let small = [
        ("mxfp4 E", mxfp4(options.rows), Order::E),
        ("bf16 D", bf16(options.rows), Order::D),
        ("bf16 E, by columns", by_columns(options.rows), Order::E),
    ];
    for &threads in &threads {
        for (label, matrix, order) in small.iter().filter(|(label, ..)| label.starts_with(&options.storage)) {
            let packed = PackedRows::new(simd, *order, &x, COLS);
            for &many in &options.many {
                let selected: Vec<usize> = (0..many).collect();
                let chunk = if label.ends_with("columns") && many <= 2 { COLUMNS_CHUNK } else { CHUNK };
                // Long enough to be timed.
                let passes = (200_000 / (matrix.rows * many)).max(1);
                let flop = 2.0 * passes as f64 * matrix.rows as f64 * COLS as f64 * many as f64 / 1e9;
                let peak_flop = (threads * TURNS * chains(S::TILE) * 64) as f64 / 1e9;
                let (mut peaks, mut products) = (Vec::new(), Vec::new());
                for _ in 0..options.repeats {
                    let seconds = share(threads, threads, 1, |next| {
                        while next().is_some() {
                            simd.vectorize(Peak);
                        }
                    });
                    peaks.push(peak_flop / seconds);
                    let seconds: f64 =
                        (0..passes).map(|_| product(simd, threads, matrix, &packed, &selected, chunk)).sum();
                    products.push(flop / seconds);
                }
                peaks.sort_by(f64::total_cmp);
                products.sort_by(f64::total_cmp);
                let (last, middle) = (peaks.len() - 1, peaks.len() / 2);
                println!(
                    "  {label:8} {threads} threads, {many:2} rows: {:6.1} ({:6.1}); registers {:6.1} ({:6.1})   {:3.0} % ({:3.0} %)",
                    products[last],
                    products[middle],
                    peaks[last],
                    peaks[middle],
                    100.0 * products[last] / peaks[last],
                    100.0 * products[middle] / peaks[middle],
                );
            }
        }
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
