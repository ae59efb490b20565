//! One try to open, load and run a checkpoint, with its time and memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gptoss_runtime::checkpoint::Checkpoint;
use gptoss_runtime::weights::Weights;
use gptoss_runtime::{Error, ErrorKind, Model, ModelConfig, ModelOptions, Profile, Rows, reference};

const MOST_TIME: Duration = Duration::from_secs(1);
const MOST_MEMORY: usize = 64 << 20;

/// The system's allocator, with a count of the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(IN_USE.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the rules of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tries run one at a time, so that the memory of one is not counted to another.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Microseconds of the slowest try so far, and bytes of the largest.
static MOST: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// Opens, loads and runs what is in `path`: computes, or says why not.
///
/// # Panics
///
/// If anything panics, or takes too long or too much memory.
pub(crate) fn attempt(path: &Path) -> Result<(), Error> {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let checkpoint = Checkpoint::open(path)?;
        let weights = Weights::load(&checkpoint)?;
        run(checkpoint.config(), weights)
    }));
    let (time, memory) = (start.elapsed(), PEAK.load(Relaxed).saturating_sub(before));
    drop(guard);
    MOST[0].fetch_max(time.as_micros() as usize, Relaxed);
    MOST[1].fetch_max(memory, Relaxed);
    assert!(time < MOST_TIME, "took {time:?}");
    assert!(memory < MOST_MEMORY, "took {memory} bytes");
    outcome.expect("a damaged checkpoint is an error and never a panic")
}

/// Computes some positions twice, by the model and by the reference, which must agree.
fn run(config: &ModelConfig, weights: Weights) -> Result<(), Error> {
    let tokens = &[1, 0, 2][..config.max_position_embeddings.min(3)];
    let expected = reference::forward(config, &weights, Profile::Bf16, tokens, &mut ());
    let options = ModelOptions { threads: NonZeroUsize::new(1), ..ModelOptions::default() };
    let model = Model::new(config.clone(), weights, options)?;
    let mut cache = model.new_cache(tokens.len(), tokens.len())?;
    let logits = model.forward_rows(tokens, Rows::All, &mut cache, &mut ())?;
    assert_eq!(logits.digest(), expected?.digest());
    Ok(())
}

/// What a family of damages led to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) computed: usize,
    pub(crate) refused: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts an outcome after checking that an error has a place and a rule.
    pub(crate) fn count(&mut self, damage: &str, outcome: Result<(), Error>) {
        let Err(error) = outcome else {
            self.computed += 1;
            return;
        };
        assert!(!error.rule().is_empty(), "{damage}: an error without a rule");
        // A model that computes a NaN is the only error that no file is to blame for.
        let located = error.file().is_some() || error.kind() == ErrorKind::NotFinite;
        assert!(located, "{damage}: an error without a file: {error}");
        *self.refused.entry(format!("{:?}", error.kind())).or_default() += 1;
    }

    pub(crate) fn total(&self) -> usize {
        self.computed + self.refused.values().sum::<usize>()
    }

    /// Prints what was counted and checks that it was at least `least`.
    pub(crate) fn report(&self, family: &str, least: usize) {
        println!("{family}: {} tried, {} computed, refused {:?}", self.total(), self.computed, self.refused);
        let [time, memory] = MOST.each_ref().map(|most| most.load(Relaxed));
        println!("all tries so far: at most {time} us and {memory} bytes");
        assert!(self.total() >= least, "{family}: only {} cases", self.total());
    }
}
