//! The threads of a model, which stay awake while a pass runs.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::error::{Error, ErrorKind, Result};

/// Turns without work in which a thread only spins; afterwards it lets others run.
const SPINS: u32 = 2000;

/// How long a pass waits for threads that sleep or are busy.
const PATIENCE: Duration = Duration::from_micros(100);

/// A pool of threads.
#[derive(Debug)]
pub(crate) struct Threads {
    pool: ThreadPool,
    /// Whether the threads already look out for one pass.
    watched: AtomicBool,
}

impl Threads {
    /// As many as `count`, or as the machine has.
    pub(crate) fn new(count: Option<NonZeroUsize>) -> Result<Self> {
        let count = count.or_else(|| std::thread::available_parallelism().ok());
        let pool = ThreadPoolBuilder::new()
            .num_threads(count.map_or(1, NonZeroUsize::get))
            .thread_name(|index| format!("gptoss-{index}"))
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, "threads could not be started").caused_by(error))?;
        Ok(Self { pool, watched: AtomicBool::new(false) })
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `work` on one of the threads.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    /// As [`run`](Self::run), for work that is shared out often: until it ends the other threads look for their part
    /// without falling asleep, since to wake a thread takes longer than many a product.
    pub(crate) fn run_awake<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        // Two passes whose threads wait in each other's loop would never end, so only one has such loops.
        if self.pool.current_num_threads() == 1 || self.watched.swap(true, Ordering::Acquire) {
            return self.pool.install(work);
        }
        // Also when `work` panics.
        let _watch = SetAtEnd(&self.watched, false);
        let over = AtomicBool::new(false);
        let begin = Begin::default();
        self.pool.install(|| {
            let own = rayon::current_thread_index();
            rayon::scope(|scope| {
                let _end = SetAtEnd(&over, true);
                scope.spawn_broadcast(|_, context| {
                    if own != Some(context.index()) && begin.enter() {
                        look_for_work(&over);
                    }
                });
                begin.wait_for(self.pool.current_num_threads() - 1);
                work()
            })
        })
    }
}

/// Who looks for work when a pass begins. A thread that comes later may already be at a part of the pass, and wait for
/// another part when it takes up the loop; the pass would then wait for the loop, and the loop for the pass.
#[derive(Default)]
struct Begin {
    /// How many look for work, and [`Self::BEGUN`].
    state: AtomicUsize,
}

impl Begin {
    const BEGUN: usize = 1 << (usize::BITS - 1);

    /// Whether the pass has not begun, so that this thread may look for its work.
    fn enter(&self) -> bool {
        let enter = |state| (state & Self::BEGUN == 0).then_some(state + 1);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_ok()
    }

    /// Lets the pass begin when so many threads look for its work, or after a while without some of them.
    fn wait_for(&self, threads: usize) {
        let start = Instant::now();
        while self.state.load(Ordering::Acquire) < threads && start.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        self.state.fetch_or(Self::BEGUN, Ordering::AcqRel);
    }
}

/// Gives a flag its value when it is dropped.
struct SetAtEnd<'a>(&'a AtomicBool, bool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Ordering::Release);
    }
}

fn look_for_work(over: &AtomicBool) {
    let mut idle = 0;
    while !over.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(Yield::Executed) {
            idle = 0;
        } else if idle < SPINS {
            idle += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rayon::prelude::*;

    use super::{Begin, Threads};

    fn threads(count: usize) -> Threads {
        Threads::new(NonZeroUsize::new(count)).unwrap()
    }

    #[test]
    fn all_parts_are_done_on_any_number_of_threads() {
        for count in [1, 2, 5] {
            let threads = threads(count);
            for round in 0..100_usize {
                let sum: usize = threads.run_awake(|| (0..round).into_par_iter().map(|part| part + 1).sum());
                assert_eq!(sum, round * (round + 1) / 2, "{count} threads, round {round}");
            }
        }
    }

    #[test]
    fn who_comes_after_the_beginning_does_not_look_for_work() {
        let begin = Begin::default();
        assert!(begin.enter());
        begin.wait_for(1);
        assert!(!begin.enter(), "it may be at a part of the pass");
        let late = Begin::default();
        late.wait_for(2);
        assert!(!late.enter(), "the pass began without it");
    }

    #[test]
    fn passes_of_new_threads_end() {
        // More threads than cores, which begin while parts are already shared out.
        for _ in 0..500 {
            let threads = threads(5);
            let sum: usize = threads.run_awake(|| (0..64_usize).into_par_iter().map(|part| part + 1).sum());
            assert_eq!(sum, 65 * 32);
        }
    }

    #[test]
    fn a_panic_ends_the_watch() {
        let threads = threads(3);
        for _ in 0..3 {
            let work = || threads.run_awake(|| panic!("the work's own"));
            assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        }
        assert_eq!(threads.run_awake(|| 7), 7);
        assert!(!threads.watched.load(Ordering::Acquire), "nobody watches between two passes");
    }

    #[test]
    fn passes_at_the_same_time_end() {
        let threads = threads(2);
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        threads.run_awake(|| {
                            (0..8).into_par_iter().for_each(|_| {
                                done.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 4 * 200 * 8);
    }
}
