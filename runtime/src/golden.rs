//! Golden checks: what a run computed is recorded, and what another program computed is judged.
//!
//! A dump holds named values of a forward pass: a [`Site`] says which, [`Values`] are its rows. Whatever gives values by
//! site is a [`Source`]: a [`Dump`], or a test's own values. [`record`](record::record) writes what a model of this crate
//! computes.
//!
//! An engine in Rust needs no file: what it computed goes into [`Memory`], site by site.
//!
//! ```
//! use gptoss_runtime::Profile;
//! use gptoss_runtime::golden::report::Verdict;
//! use gptoss_runtime::golden::{
//!     Accumulator, CheckOptions, Declared, Dtype, Memory, Site, Values, check, probe,
//! };
//! use gptoss_runtime::tap::TapPoint;
//!
//! # fn main() -> Result<(), gptoss_runtime::Error> {
//! let (config, weights) = (probe::config(), probe::weights()?);
//! let tokens = [3, 1];
//! // What the engine's own buffer holds: here the embedding of each token.
//! let width = config.hidden_size;
//! let mut buffer = vec![0.0_f32; tokens.len() * width];
//! for (&id, row) in tokens.iter().zip(buffer.chunks_exact_mut(width)) {
//!     weights.embedding.row(id as usize, row);
//! }
//!
//! let mut dump = Memory { tokens: Some(tokens.to_vec()), ..Memory::default() };
//! let data = buffer.iter().map(|&value| f64::from(value)).collect();
//! let values = Values { positions: vec![0, 1], width, dtype: Dtype::F32, data };
//! dump.values.insert(Site::alone(TapPoint::Embedding), values);
//!
//! let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
//! let options = CheckOptions { power: false, ..CheckOptions::new(declared) };
//! let report = check(&config, &weights, &dump, &options)?;
//! assert_eq!(report.verdict, Verdict::Right);
//!
//! // One element of the second row is wrong.
//! dump.values.values_mut().for_each(|values| values.data[width] = 1.0 - values.data[width]);
//! let report = check(&config, &weights, &dump, &options)?;
//! assert_eq!(report.first_wrong().and_then(|wrong| wrong.first_outside), Some(1));
//! # Ok(())
//! # }
//! ```

mod backend;
mod bisect;
mod bounds;
mod dump;
mod e2e;
pub mod explain;
mod formats;
mod graph;
mod layout;
pub mod lint;
mod local;
pub mod mutants;
mod name;
mod names;
mod number;
mod oracle;
mod power;
pub mod probe;
pub mod record;
pub mod report;
mod segment;
mod sensitivity;
mod site;
mod structure;
pub mod vectors;

pub use backend::{Memory, Simulation, all_sites, simulate, simulate_by_layer};
pub use bisect::{Bisected, bisect};
pub use dump::{Dump, Matched, Matching, Meta, Unmatched};
pub use e2e::e2e;
pub use local::{CheckOptions, check};
pub use mutants::{Mutant, Mutants};
pub use names::{Entry, GateUpOrder, Heads, Rotary, Scheme, Table};
pub use report::Report;
pub use segment::segment;
pub use sensitivity::{Sensitivity, sensitivity};
pub use site::{Accumulator, Declared, Dtype, Part, Site, Source, Values};
