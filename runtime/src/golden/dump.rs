//! Dumps: files of named values, which are read when they are asked for.

pub(crate) mod array;
mod container;
mod matching;
mod meta;

use std::collections::BTreeMap;
use std::path::Path;

use array::{Array, Element};
pub use matching::{Matched, Matching, Unmatched};
pub use meta::Meta;

use crate::config::ModelConfig;
use crate::error::Result;
use crate::golden::layout::View;
use crate::golden::names::Table;
use crate::golden::site::{Declared, Part, Site, Source, Values, expert_index};
use crate::tap::TapPoint;

/// An opened dump: every array's name and shape was matched with the values of a model, and no value has been read.
///
/// Read are safetensors, NumPy arrays (`.npy`), archives of them (`.npz`), bare elements with a JSON manifest, and folders
/// of these. Names may be those of this crate ([`Site`]), module paths of Hugging Face's transformers, names of OpenAI's
/// code for PyTorch and Metal, of llama.cpp's callback, or those of a [`Table`]. [`matching`](Self::matching) tells what
/// was found and what was guessed.
#[derive(Debug)]
pub struct Dump {
    arrays: Vec<Array>,
    /// One for each pass that wrote rows.
    recipes: BTreeMap<Site, Vec<Recipe>>,
    meta: Meta,
    matching: Matching,
}

/// How the rows of a site come out of arrays.
#[derive(Clone, Debug)]
struct Recipe {
    /// One array; or gates and ups, whose elements take turns.
    sources: Vec<(usize, View)>,
    /// As what the elements are read.
    element: Element,
    /// Position and index of each row, by position.
    rows: Vec<(u32, usize)>,
    /// Ups stand before gates.
    is_swapped: bool,
    /// Rows have an element for each expert, and so many of them are meant.
    chosen: Option<usize>,
}

impl Dump {
    /// Opens a file or a folder of files, and matches its arrays with the values of a model.
    ///
    /// `table` says what is to be known beyond the names that are known anyway.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dump`](crate::ErrorKind::Dump) with the file, the array and the rule that is broken. An array that
    /// fits no value is no error: it is in [`Matching::unmatched`].
    pub fn open(path: &Path, config: &ModelConfig, table: Option<&Table>) -> Result<Self> {
        if let Some(table) = table {
            table.check()?;
        }
        let contents = container::open(path)?;
        let located = |error: crate::error::Error| error.in_file(path);
        let mut meta = Meta::read(&contents.metadata, table).map_err(located)?;
        let mut dump = Self {
            arrays: contents.arrays,
            recipes: BTreeMap::new(),
            meta: Meta::default(),
            matching: Matching::default(),
        };
        dump.matching.notes = contents.notes;
        for (name, why) in contents.unreadable {
            dump.matching.unmatched.push(Unmatched { name, shape: Vec::new(), why });
        }
        meta.read_arrays(&mut dump.arrays, table, &contents.metadata).map_err(located)?;
        dump.meta = meta;
        dump.match_arrays(config, table).map_err(located)?;
        Ok(dump)
    }

    /// Every site that has values, in the order of the forward pass.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        self.recipes.keys()
    }

    /// The values of a site; none if it has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dump`](crate::ErrorKind::Dump) if compressed bytes are damaged.
    pub fn read(&self, site: &Site) -> Result<Option<Values>> {
        let Some(recipes) = self.recipes.get(site) else { return Ok(None) };
        let mut pieces = Vec::with_capacity(recipes.len());
        for recipe in recipes {
            pieces.push(self.read_piece(site, recipe)?);
        }
        Ok(Some(join(pieces, site.point == TapPoint::Scores)))
    }

    /// The rows of one array.
    fn read_piece(&self, site: &Site, recipe: &Recipe) -> Result<Values> {
        let mut data = Vec::new();
        let mut width = 0;
        for (turn, (index, view)) in recipe.sources.iter().enumerate() {
            let array = &self.arrays[*index];
            let bytes = array.bytes()?;
            let (turns, offsets) = (recipe.sources.len(), view.offsets());
            width = turns * offsets.len();
            data.resize(recipe.rows.len() * width, 0.0);
            for (&(_, row), out) in recipe.rows.iter().zip(data.chunks_exact_mut(width)) {
                let start = view.start + row as u64 * view.row_stride;
                for (&offset, out) in offsets.iter().zip(out[turn..].iter_mut().step_by(turns)) {
                    *out = array.element_at(&bytes, start + offset, recipe.element);
                }
            }
        }
        if recipe.is_swapped {
            data.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        }
        let mut values = Values {
            positions: recipe.rows.iter().map(|&(position, _)| position).collect(),
            width,
            dtype: recipe.element.dtype(),
            data,
        };
        if let Some(count) = recipe.chosen {
            self.choose(site, count, &mut values)?;
        }
        Ok(values)
    }

    /// Leaves of each row, which has an element for each expert, those of the chosen ones by rank.
    fn choose(&self, site: &Site, count: usize, values: &mut Values) -> Result<()> {
        let ids = self.read(&Site { point: TapPoint::ExpertIds, ..*site })?;
        let mut data = Vec::with_capacity(values.positions.len() * count);
        for (index, &position) in values.positions.iter().enumerate() {
            let row = values.row(index);
            match ids.as_ref().and_then(|ids| ids.at(position)) {
                // An id that is none gives a NaN, which no check lets pass.
                Some(ids) => {
                    let chosen = |&id: &f64| expert_index(id).and_then(|id| row.get(id).copied());
                    data.extend(ids.iter().map(|id| chosen(id).unwrap_or(f64::NAN)));
                }
                None => {
                    let mut sorted = row.to_vec();
                    sorted.sort_by(|a, b| b.total_cmp(a));
                    data.extend(&sorted[..count]);
                }
            }
        }
        values.width = count;
        values.data = data;
        Ok(())
    }

    /// The token ids of the run, from position 0 on, if the dump or the table names them.
    #[must_use]
    pub fn tokens(&self) -> Option<&[u32]> {
        self.meta.tokens.as_deref()
    }

    /// What the dump or the table says of the backend's arithmetic, if it says both.
    #[must_use]
    pub fn declared(&self) -> Option<Declared> {
        Some(Declared { profile: self.meta.profile?, accumulate: self.meta.accumulate? })
    }

    /// What the dump says of its run.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Which array holds which value, what fits nothing, and what was guessed.
    #[must_use]
    pub fn matching(&self) -> &Matching {
        &self.matching
    }

    /// The parts that a point of a layer has.
    #[must_use]
    pub fn parts(&self, layer: Option<u32>, point: TapPoint) -> Vec<Option<Part>> {
        let from = Site { layer, point, part: None };
        let here = self.recipes.range(from..).map(|(site, _)| site);
        here.take_while(|site| site.layer == layer && site.point == point).map(|site| site.part).collect()
    }
}

/// Rows of several passes as those of one, by position.
fn join(mut pieces: Vec<Values>, is_scores: bool) -> Values {
    if pieces.len() == 1 {
        return pieces.remove(0);
    }
    // Of scores, later rows have more keys than earlier ones, which do not see them.
    let width = pieces.iter().map(|piece| piece.width).max().unwrap_or(0);
    let mut rows: Vec<(u32, Vec<f64>)> = Vec::new();
    for piece in &pieces {
        for (index, &position) in piece.positions.iter().enumerate() {
            let mut row = piece.row(index).to_vec();
            row.resize(width, if is_scores { f64::NEG_INFINITY } else { 0.0 });
            rows.push((position, row));
        }
    }
    rows.sort_by_key(|(position, _)| *position);
    let dtype = pieces[0].dtype;
    let (positions, rows): (Vec<u32>, Vec<Vec<f64>>) = rows.into_iter().unzip();
    Values { positions, width, dtype, data: rows.concat() }
}

impl Source for Dump {
    fn sites(&self) -> Vec<Site> {
        self.recipes.keys().copied().collect()
    }

    fn read(&self, site: &Site) -> Result<Option<Values>> {
        Dump::read(self, site)
    }

    fn tokens(&self) -> Option<&[u32]> {
        Dump::tokens(self)
    }
}

#[cfg(test)]
mod tests;
