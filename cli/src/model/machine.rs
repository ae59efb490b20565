//! What this machine has: memory, and how fast it is read.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use memmap2::MmapMut;

/// Bytes of memory, as the kernel tells them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    /// What programs can take without swapping: free pages, and cached files that can be dropped.
    pub(crate) available: u64,
}

impl Memory {
    /// Reads `/proc/meminfo`; none where there is no such file.
    pub(crate) fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        Some(Self { total: field("MemTotal")?, available: field("MemAvailable")? })
    }
}

/// The name of the processor; none where `/proc/cpuinfo` does not tell it.
pub(crate) fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Bytes of memory that this program takes, mapped files not counted; none where `/proc` does not tell it.
pub(crate) fn anonymous_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// How fast memory is read, in bytes a second: one number a pass.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bandwidth {
    passes: Vec<f64>,
}

impl Bandwidth {
    /// Reads `bytes`, of which there must be more than caches hold, a few times on so many threads.
    pub(crate) fn of(bytes: &[u8], threads: usize) -> Self {
        let pass = |_| {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for part in bytes.chunks(bytes.len().div_ceil(threads).next_multiple_of(64)) {
                    scope.spawn(|| black_box(sum(part)));
                }
            });
            bytes.len() as f64 / start.elapsed().as_secs_f64()
        };
        Self { passes: (0..PASSES).map(pass).collect() }
    }

    /// The fastest pass.
    pub(crate) fn best(&self) -> f64 {
        self.passes.iter().copied().fold(0.0, f64::max)
    }

    /// The pass in the middle.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.passes.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// The passes of both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self { passes: self.passes.iter().chain(&other.passes).copied().collect() }
    }
}

/// The memory that a measurement reads; far beyond the caches of any processor, and in huge pages where there are such.
pub(crate) struct Reader {
    buffer: MmapMut,
    threads: usize,
}

/// Bytes that are read in a pass.
const BYTES: usize = 768 << 20;
/// Passes of a measurement.
const PASSES: usize = 5;

impl Reader {
    /// Takes the memory, or says why it cannot be had.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let mut buffer = MmapMut::map_anon(BYTES)?;
        // Without huge pages the figure is a little lower, which is no error.
        #[cfg(target_os = "linux")]
        let _ = buffer.advise(memmap2::Advice::HugePage);
        // Pages that nobody wrote are all the same page.
        std::thread::scope(|scope| {
            for part in buffer.chunks_mut(BYTES.div_ceil(threads)) {
                scope.spawn(|| part.fill(1));
            }
        });
        Ok(Self { buffer, threads })
    }

    /// Reads all of it a few times on all threads.
    pub(crate) fn measure(&self) -> Bandwidth {
        Bandwidth::of(&self.buffer, self.threads)
    }
}

/// Adds numbers in eight sums, which the compiler turns into the widest loads of the target.
fn sum(bytes: &[u8]) -> u64 {
    let mut sums = [0_u64; 8];
    for line in bytes.as_chunks::<64>().0 {
        for (sum, word) in sums.iter_mut().zip(line.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_ne_bytes(*word));
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:       24000000 kB\nMemFree:         1 kB\nMemAvailable:   23000000 kB\n";
        let memory = Memory { total: 24_000_000 << 10, available: 23_000_000 << 10 };
        assert_eq!(Memory::parse(text), Some(memory));
        assert_eq!(Memory::parse("MemTotal: x kB\n"), None);
    }

    #[test]
    fn the_median_is_the_pass_in_the_middle() {
        let bandwidth = Bandwidth { passes: vec![3.0, 1.0, 2.0] };
        assert_eq!((bandwidth.best(), bandwidth.median()), (3.0, 2.0));
    }

    #[test]
    fn every_whole_line_is_summed() {
        assert_eq!(sum(&[1; 640]), 80 * 0x0101_0101_0101_0101);
    }
}
