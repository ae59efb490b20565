//! Timing and the table.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What one run of a line works through.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    None,
    Bytes(usize),
    Tokens(usize),
}

/// How long to measure, and which lines.
pub(crate) struct Bench {
    quick: bool,
    only: Vec<String>,
}

impl Bench {
    pub(crate) fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            quick: arguments.iter().any(|argument| argument == "--quick"),
            only: arguments.into_iter().filter(|argument| !argument.starts_with("--")).collect(),
        }
    }

    /// Measures both sides, one run after the other, and prints a line.
    pub(crate) fn line<A, B>(
        &mut self,
        name: &str,
        work: Work,
        mut ours: impl FnMut() -> A,
        theirs: Option<impl FnMut() -> B>,
    ) {
        if !self.only.is_empty() && !self.only.iter().any(|word| name.contains(word.as_str())) {
            return;
        }
        let mut times = (Vec::new(), Vec::new());
        let mut theirs = theirs;
        let begin = Instant::now();
        // Both see the same load of the machine: they take turns.
        loop {
            times.0.push(time(&mut ours));
            if let Some(theirs) = &mut theirs {
                times.1.push(time(theirs));
            }
            let runs = times.0.len();
            let enough = runs >= 10 && begin.elapsed() > Duration::from_secs(2);
            if self.quick || enough || runs >= 3 && begin.elapsed() > Duration::from_secs(10) {
                break;
            }
        }
        let (least, cell) = summary(times.0, work);
        let (theirs, ratio) = if theirs.is_some() {
            let (other, cell) = summary(times.1, work);
            (cell, format!("{:.1}x", other / least))
        } else {
            ("|".to_owned(), String::new())
        };
        println!("| {name} | {cell} | {theirs} | {ratio} |");
    }
}

fn time<T>(run: &mut impl FnMut() -> T) -> f64 {
    let begin = thread_time();
    let result = black_box(run());
    let end = thread_time();
    drop(result);
    end - begin
}

/// Seconds of CPU time of this thread.
fn thread_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The least time, and two cells: least and median, and the rate that the least is.
fn summary(mut times: Vec<f64>, work: Work) -> (f64, String) {
    times.sort_by(f64::total_cmp);
    let (least, median) = (times[0], times[times.len() / 2]);
    let rate = match work {
        Work::None => String::new(),
        Work::Bytes(bytes) => format!("{:.1} MB/s", bytes as f64 / least * 1e-6),
        Work::Tokens(tokens) => format!("{:.2} M tok/s", tokens as f64 / least * 1e-6),
    };
    (least, format!("{} / {} | {rate}", duration(least), duration(median)))
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{:.2} µs", seconds * 1e6),
        ..1.0 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

/// The name of the processor.
pub(crate) fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    name.unwrap_or("an unknown processor").to_owned()
}
