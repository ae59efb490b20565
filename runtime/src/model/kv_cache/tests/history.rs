//! Any history of a cache against one that keeps every position.

use std::io::Cursor;

use proptest::prelude::*;

use super::config;
use crate::config::{LayerType, ModelConfig};
use crate::error::ErrorKind;
use crate::model::kv_cache::file::{Element, read, write};
use crate::model::kv_cache::{Bf16, Cache, F32, F64};
use crate::numerics::{Arithmetic, Real};

const MODEL: [u8; 32] = [7; 32];
const CAPACITY: usize = 60;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// A pass that stops after so many layers.
    Stop(usize, usize),
    /// To a part of the length, in percent.
    Truncate(usize),
    Fork,
    SaveAndLoad,
    /// With another chunk.
    SaveAndLoadWith(usize),
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1_usize..9).prop_map(Step::Append),
        1 => (1_usize..9, 0_usize..4).prop_map(|(count, layers)| Step::Stop(count, layers)),
        2 => (0_usize..101).prop_map(Step::Truncate),
        3 => (80_usize..101).prop_map(Step::Truncate),
        1 => Just(Step::Fork),
        1 => Just(Step::SaveAndLoad),
        1 => (1_usize..9).prop_map(Step::SaveAndLoadWith),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 1..40)
}

/// An element of the position that was the `serial`-th to be computed; no two positions have equal ones.
fn element<A: Arithmetic>(serial: usize, layer: usize, head: usize, place: usize) -> A::Stored {
    let number = serial * 997 + layer * 331 + head * 101 + place * 7;
    A::store(A::b(A::Real::from_f64((number % 251) as f64 - 125.0)))
}

/// A cache and what each of its positions is.
#[derive(Clone)]
struct Pair<A: Arithmetic> {
    cache: Cache<A>,
    serials: Vec<usize>,
    config: ModelConfig,
}

impl<A: Arithmetic<Stored: Element>> Pair<A> {
    fn new(config: ModelConfig, chunk: usize) -> Self {
        Self { cache: Cache::new(&config, CAPACITY, chunk).unwrap(), serials: Vec::new(), config }
    }

    /// A forward pass that stops before layer `layers`; whether it was done.
    fn pass(&mut self, count: usize, layers: usize, serial: &mut usize) -> bool {
        let first = self.cache.len();
        if first + count > CAPACITY || count > self.cache.chunk() {
            assert_eq!(self.cache.reserve(count).unwrap_err().kind(), ErrorKind::Context);
            return false;
        }
        self.cache.reserve(count).unwrap();
        let kept = self.serials.len();
        self.serials.extend((0..count).map(|offset| *serial + offset));
        *serial += count;
        for layer in 0..layers.min(self.config.num_layers()) {
            for head in 0..self.config.num_key_value_heads {
                let (keys, values) = self.expected(layer, head, first..first + count);
                if layer % 2 == 0 {
                    self.cache.layer_mut(layer)[head].write(first, &keys, &values);
                } else {
                    let size = self.config.head_dim;
                    for offset in 0..count {
                        let place = offset * size..(offset + 1) * size;
                        let (key, value) = self.cache.layer_mut(layer)[head].entry_mut(first + offset);
                        key.copy_from_slice(&keys[place.clone()]);
                        value.copy_from_slice(&values[place]);
                    }
                }
            }
            for query in first..first + count {
                self.check_query(layer, query, query + 1);
            }
            // All that the chunk's queries see, at once.
            self.check_query(layer, first, first + count);
        }
        let done = layers >= self.config.num_layers();
        if done {
            let tokens: Vec<u32> = self.serials[first..].iter().map(|&s| (s % 1000) as u32).collect();
            self.cache.advance(&tokens);
        } else {
            self.serials.truncate(kept);
        }
        done
    }

    fn expected(
        &self,
        layer: usize,
        head: usize,
        positions: std::ops::Range<usize>,
    ) -> (Vec<A::Stored>, Vec<A::Stored>) {
        let size = self.config.head_dim;
        let all = |offset: usize| {
            let row = |&serial: &usize| {
                (0..size).map(move |place| element::<A>(serial, layer, head, offset + place))
            };
            self.serials[positions.clone()].iter().flat_map(row).collect()
        };
        (all(0), all(1000))
    }

    /// Checks what a query sees of the positions before `end`.
    fn check_query(&self, layer: usize, query: usize, end: usize) {
        let first = match self.config.layer_types[layer] {
            LayerType::Sliding => (query + 1).saturating_sub(self.config.sliding_window),
            LayerType::Full => 0,
        };
        // A window of 1 sees nothing before the query.
        let first = first.min(end);
        for head in 0..self.config.num_key_value_heads {
            let (mut keys, mut values, mut next) = (Vec::new(), Vec::new(), first);
            for run in self.cache.runs(layer, head, first..end) {
                assert_eq!(run.first, next);
                next += run.keys.len() / self.config.head_dim;
                keys.extend_from_slice(run.keys);
                values.extend_from_slice(run.values);
            }
            assert!(self.expected(layer, head, first..end) == (keys, values), "layer {layer} query {query}");
        }
    }

    fn check(&self) {
        let length = self.serials.len();
        assert_eq!(self.cache.len(), length);
        let tokens: Vec<u32> = self.serials.iter().map(|&s| (s % 1000) as u32).collect();
        assert_eq!(self.cache.tokens(), tokens);
        for layer in 0..self.config.num_layers() {
            self.check_query(layer, length, length);
        }
        let least = self.cache.least_truncation();
        assert!(least <= length);
        for shorter in 0..=length + 1 {
            let mut truncated = self.clone();
            let result = truncated.cache.truncate(shorter);
            if shorter <= length && (shorter == 0 || shorter >= least) {
                result.unwrap();
                truncated.serials.truncate(shorter);
                assert_eq!(truncated.cache.len(), shorter);
                for layer in 0..self.config.num_layers() {
                    truncated.check_query(layer, shorter, shorter);
                }
            } else {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::Context);
                assert_eq!(truncated.cache.len(), length);
            }
        }
    }

    fn saved_and_loaded(&self, chunk: usize) -> Self {
        let mut file = Cursor::new(Vec::new());
        write(&self.cache, &MODEL, &mut file).unwrap();
        let file = file.into_inner();
        let mut cache = Cache::new(&self.config, CAPACITY, chunk).unwrap();
        read(&mut cache, &file[..], file.len() as u64, &self.config, &MODEL).unwrap();
        if chunk >= self.cache.chunk() {
            assert_eq!(cache.least_truncation(), self.cache.least_truncation());
            let mut again = Cursor::new(Vec::new());
            write(&cache, &MODEL, &mut again).unwrap();
            assert!(file == again.into_inner(), "a loaded cache is saved as the same bytes");
        }
        Self { cache, ..self.clone() }
    }
}

fn follow<A: Arithmetic<Stored: Element>>(config: &ModelConfig, chunk: usize, steps: &[Step]) {
    let mut pair = Pair::<A>::new(config.clone(), chunk);
    let (mut forks, mut serial, mut longest) = (Vec::new(), 0, 0);
    for step in steps {
        match *step {
            Step::Append(count) => _ = pair.pass(count, usize::MAX, &mut serial),
            Step::Stop(count, layers) => {
                let layers = layers.min(config.num_layers() - 1);
                longest = longest.max((pair.serials.len() + count).min(CAPACITY));
                pair.pass(count, layers, &mut serial);
            }
            Step::Truncate(percent) => {
                let length = pair.serials.len() * percent / 100;
                if pair.cache.truncate(length).is_ok() {
                    pair.serials.truncate(length);
                }
                if length == 0 {
                    longest = 0;
                }
            }
            Step::Fork => forks.push(pair.clone()),
            Step::SaveAndLoad => pair = pair.saved_and_loaded(pair.cache.chunk()),
            Step::SaveAndLoadWith(chunk) => {
                // A larger ring does not bring back what the smaller one dropped.
                longest += chunk.saturating_sub(pair.cache.chunk());
                pair = pair.saved_and_loaded(chunk);
            }
            Step::Clear => {
                pair.cache.clear();
                pair.serials.clear();
                longest = 0;
            }
        }
        longest = longest.max(pair.serials.len());
        pair.check();
        assert!(pair.cache.least_truncation() <= longest.saturating_sub(pair.cache.chunk()));
    }
    for fork in forks {
        fork.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_history_reads_as_if_each_position_were_kept(
        window in 1_usize..12,
        chunk in 1_usize..9,
        key_heads in 1_usize..3,
        head_dim in 1_usize..4,
        profile in 0..3,
        steps in steps(),
    ) {
        let config = config(window, key_heads, head_dim);
        match profile {
            0 => follow::<Bf16>(&config, chunk, &steps),
            1 => follow::<F32>(&config, chunk, &steps),
            _ => follow::<F64>(&config, chunk, &steps),
        }
    }

    #[test]
    fn models_whose_layers_are_all_alike_keep_their_history(
        window in 1_usize..12,
        chunk in 1_usize..9,
        sliding: bool,
        steps in steps(),
    ) {
        let layer_type = if sliding { LayerType::Sliding } else { LayerType::Full };
        let config = ModelConfig { layer_types: vec![layer_type; 2], ..config(window, 1, 2) };
        follow::<Bf16>(&config, chunk, &steps);
    }
}
