//! Which array holds which value.

mod halves;

use serde::Serialize;

use super::array::{Array, Element};
use super::container::printable;
use super::meta::{MAX_TOKENS, check_positions};
use super::{Dump, Recipe};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::golden::layout::{Fitted, View, fit, shapes};
use crate::golden::names::{Entry, GateUpOrder, Holds, Known, Scheme, Table, known};
use crate::golden::site::{Part, Site};
use crate::tap::TapPoint;
use halves::{Half, Halves};

/// What was found in a dump.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Matching {
    /// Arrays that hold values.
    pub matched: Vec<Matched>,
    /// Arrays that hold none that is judged.
    pub unmatched: Vec<Unmatched>,
    /// What else was read otherwise than it stands in the files.
    pub notes: Vec<String>,
}

/// An array and the value that it holds.
#[derive(Clone, Debug, Serialize)]
pub struct Matched {
    /// Its name in the dump.
    pub name: String,
    /// The value; its parts, where it has some, are counted in `sites`.
    pub value: Site,
    /// How many sites it gives values to.
    pub sites: usize,
    /// Whose names these are.
    pub scheme: Scheme,
    /// Its shape in the dump.
    pub shape: Vec<usize>,
    /// The type of its elements, as it is read.
    pub dtype: &'static str,
    /// What had to be guessed.
    pub guesses: Vec<String>,
}

/// An array that holds nothing that is judged.
#[derive(Clone, Debug, Serialize)]
pub struct Unmatched {
    /// Its name in the dump.
    pub name: String,
    /// Its shape in the dump.
    pub shape: Vec<usize>,
    /// Why.
    pub why: String,
}

/// An array whose name is known.
struct Candidate<'a> {
    index: usize,
    known: Known,
    entry: Option<&'a Entry>,
    /// The position of the first row, where the name says it.
    first: Option<u32>,
}

type Why = String;

impl Dump {
    /// Finds for each array what it holds.
    pub(super) fn match_arrays(&mut self, config: &ModelConfig, table: Option<&Table>) -> Result<()> {
        let mut candidates = Vec::new();
        for index in 0..self.arrays.len() {
            let (first, name) = pass(&self.arrays[index].name);
            let found = match table.and_then(|table| table.known(name)) {
                Some((known, entry)) => Some((known, Some(entry))),
                None => known(name).map(|known| (known, None)),
            };
            match found {
                Some((known, entry)) => candidates.push(Candidate { index, known, entry, first }),
                None => self.leave(index, "the name is not known".to_owned()),
            }
        }
        // The best name of a value first; parts of experts last, as they need to know who was chosen.
        candidates.sort_by_key(|candidate| {
            let is_expert = matches!(candidate.known.part, Some(Part::Expert(_)));
            (is_expert, std::cmp::Reverse(candidate.known.rank), candidate.index)
        });
        let mut halves = Halves::new();
        for candidate in candidates {
            if let Err(why) = self.take(config, &candidate, &mut halves)? {
                self.leave(candidate.index, why);
            }
        }
        for (_, (index, _)) in halves {
            self.leave(index, "gate and up make one value, and the other is not there".to_owned());
        }
        self.matching.matched.sort_by_key(|matched| matched.value);
        self.matching.unmatched.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    fn leave(&mut self, index: usize, why: Why) {
        let array = &self.arrays[index];
        self.matching.unmatched.push(Unmatched { name: array.name.clone(), shape: array.shape(), why });
    }

    /// Adds what an array holds, or tells why it cannot.
    fn take(
        &mut self,
        config: &ModelConfig,
        candidate: &Candidate<'_>,
        halves: &mut Halves,
    ) -> Result<Result<(), Why>> {
        let Candidate { index, known, entry, first } = *candidate;
        let array = &self.arrays[index];
        match known.holds {
            Holds::Nothing(why) => return Ok(Err(why.to_owned())),
            Holds::Tokens | Holds::Positions => return Ok(Ok(())),
            _ => {}
        }
        if let Some(layer) = known.layer.filter(|&layer| layer as usize >= config.num_layers()) {
            let count = config.num_layers();
            return Ok(Err(format!("there is no layer {layer}; the model has {count}, from 0 on")));
        }
        if let Some(why) = part_is_out_of_range(config, known.part) {
            return Ok(Err(why));
        }
        let positions = match &array.positions {
            Some(positions) => Some(positions.clone()),
            None if matches!(known.part, Some(Part::Expert(_))) => match self.routed(known)? {
                Some(positions) => Some(positions),
                None => return Ok(Err("which positions chose the expert is not known".to_owned())),
            },
            None => None,
        };
        let run = self.meta.positions.as_ref().or(self.meta.tokens.as_ref()).map(Vec::len);
        let rows = positions.as_ref().map(Vec::len).or(run.filter(|_| first.is_none()));
        let fitted = fit(array, &shapes(config, known.holds, known.part, entry), rows);
        let Some(Fitted { views, mut guesses }) = fitted else {
            return Ok(Err(format!("the shape {:?} fits no layout of this value", array.shape())));
        };
        guesses.extend(known.guess.map(str::to_owned));
        let element = match element(array, entry, known.holds) {
            Ok((element, guess)) => {
                guesses.extend(guess.map(str::to_owned));
                element
            }
            Err(why) => return Ok(Err(why)),
        };
        let count = views[0].1.rows;
        if views.iter().any(|(_, view)| view.width() == 0) {
            return Ok(Err("its rows have no elements".to_owned()));
        }
        if count > MAX_TOKENS {
            return Ok(Err(format!("{count} rows, and a run has at most {MAX_TOKENS} positions")));
        }
        let positions = match first {
            Some(first) if positions.is_none() => match first.checked_add(count as u32) {
                Some(end) => Some((first..end).collect()),
                None => return Ok(Err(format!("there is no position {first} with {count} rows behind it"))),
            },
            _ => positions,
        };
        let rows = match self.rows(count, positions, known.scheme) {
            Ok((rows, guess)) => {
                guesses.extend(guess);
                rows
            }
            Err(why) => return Ok(Err(why)),
        };
        if let Err(error) = check_positions(&rows) {
            return Ok(Err(error.rule().to_owned()));
        }
        let mut rows: Vec<(u32, usize)> = rows.into_iter().enumerate().map(|(row, at)| (at, row)).collect();
        rows.sort_unstable();
        let is_swapped = entry.is_some_and(|entry| entry.gate_up == GateUpOrder::Swapped)
            && known.holds == Holds::Point(TapPoint::GateUp);
        let recipe = |view| Recipe {
            sources: vec![(index, view)],
            element,
            rows: rows.clone(),
            is_swapped,
            chosen: None,
        };

        let mut sites = Vec::new();
        let site = |point, part: Option<Part>| Site { layer: known.layer, point, part: part.or(known.part) };
        match known.holds {
            Holds::Point(point) => {
                sites.extend(views.into_iter().map(|(part, view)| (site(point, part), recipe(view))));
            }
            Holds::QueryKeyValue { is_rotated } => {
                let (query, key) = (config.query_size(), config.key_value_size());
                let points = match is_rotated {
                    true => [TapPoint::QueryRotated, TapPoint::KeyRotated, TapPoint::Value],
                    false => [TapPoint::Query, TapPoint::Key, TapPoint::Value],
                };
                let places = [(0, query), (query, key), (query + key, key)];
                for (point, (from, len)) in points.into_iter().zip(places) {
                    let Some(view) = views[0].1.columns(from, len) else {
                        return Ok(Err("queries, keys and values do not lie side by side".to_owned()));
                    };
                    sites.push((site(point, None), recipe(view)));
                }
            }
            Holds::Gate | Holds::Up => {
                let half = Half { is_up: known.holds == Holds::Up, views, recipe: recipe(View::none()) };
                let key = (known.layer, known.part, first);
                let Some((other, first)) = halves.remove(&key) else {
                    halves.insert(key, (index, half));
                    return Ok(Ok(()));
                };
                match first.join(other, &half, index) {
                    Ok(joined) => sites.extend(
                        joined.into_iter().map(|(part, recipe)| (site(TapPoint::GateUp, part), recipe)),
                    ),
                    Err(why) => return Ok(Err(why)),
                }
            }
            Holds::RouterScores | Holds::Router => {
                let (_, view) = views.into_iter().next().expect("a fitted array has a view");
                let is_whole = view.width() != config.experts_per_token;
                let mut recipe = recipe(view);
                let is_scores = match known.holds {
                    Holds::Router if is_whole => self.is_sparse(&recipe, config.experts_per_token)?,
                    _ => true,
                };
                if is_whole && is_scores {
                    recipe.chosen = Some(config.experts_per_token);
                }
                let point = if is_scores { TapPoint::ExpertWeights } else { TapPoint::RouterLogits };
                sites.push((site(point, None), recipe));
            }
            Holds::Tokens | Holds::Positions | Holds::Nothing(_) => {}
        }
        self.add(index, known, sites, element, guesses)
    }

    fn add(
        &mut self,
        index: usize,
        known: Known,
        sites: Vec<(Site, Recipe)>,
        element: Element,
        guesses: Vec<String>,
    ) -> Result<Result<(), Why>> {
        if let Some((taken, _)) = sites.iter().find(|(site, recipe)| self.overlaps(site, recipe)) {
            return Ok(Err(format!("{taken} comes from another array")));
        }
        let Some((first, _)) = sites.first() else { return Ok(Err("it has no rows".to_owned())) };
        let array = &self.arrays[index];
        let value = if sites.len() == 1 { *first } else { Site { part: None, ..*first } };
        self.matching.matched.push(Matched {
            name: array.name.clone(),
            value,
            sites: sites.len(),
            scheme: known.scheme,
            shape: array.shape(),
            dtype: element.name(),
            guesses,
        });
        for (site, recipe) in sites {
            self.recipes.entry(site).or_default().push(recipe);
        }
        Ok(Ok(()))
    }

    /// Whether a site has rows already that would be doubled, or of another width or type.
    fn overlaps(&self, site: &Site, recipe: &Recipe) -> bool {
        let Some(known) = self.recipes.get(site) else { return false };
        let has_keys = matches!(site.point, TapPoint::Scores | TapPoint::Probabilities);
        let width = |recipe: &Recipe| recipe.sources.iter().map(|(_, view)| view.width()).sum::<usize>();
        known.iter().any(|other| {
            let is_other = other.element != recipe.element
                || other.chosen != recipe.chosen
                || (width(other) != width(recipe) && !has_keys);
            let doubles =
                |(position, _): &(u32, usize)| other.rows.binary_search_by_key(position, |row| row.0).is_ok();
            is_other || recipe.rows.iter().any(doubles)
        })
    }

    /// The position of each of `count` rows.
    fn rows(
        &self,
        count: usize,
        own: Option<Vec<u32>>,
        scheme: Scheme,
    ) -> Result<(Vec<u32>, Option<String>), Why> {
        let meta = &self.meta;
        if let Some(own) = own {
            return match own.len() == count {
                true => Ok((own, None)),
                false => Err(format!("{count} rows at {} positions", own.len())),
            };
        }
        let all = || (0..count as u32).collect::<Vec<u32>>();
        if let Some(positions) = meta.positions.as_ref().filter(|positions| positions.len() == count) {
            return Ok((positions.clone(), None));
        }
        let run =
            meta.positions.clone().or(meta.tokens.as_ref().map(|tokens| (0..tokens.len() as u32).collect()));
        match run {
            None => Ok((all(), Some("rows are taken as positions from 0 on".to_owned()))),
            Some(run) if run.len() == count => Ok((run, None)),
            // These compute the last layer for the positions alone whose logits are wanted.
            Some(run)
                if count < run.len()
                    && (count == 1 || [Scheme::LlamaCpp, Scheme::Metal].contains(&scheme)) =>
            {
                let last = run[run.len() - count..].to_vec();
                let what = if count == 1 { "the row is" } else { "the rows are" };
                Ok((last, Some(format!("{what} taken as the last of {}", run.len()))))
            }
            Some(run) => Err(format!("{count} rows, and the run has {} positions", run.len())),
        }
    }

    /// The positions that chose an expert, as the dump's own ids say.
    fn routed(&self, known: Known) -> Result<Option<Vec<u32>>> {
        let (Some(layer), Some(Part::Expert(expert))) = (known.layer, known.part) else { return Ok(None) };
        let Some(ids) = self.read(&Site::of_layer(layer, TapPoint::ExpertIds))? else { return Ok(None) };
        let chose = |index: &usize| ids.row(*index).contains(&f64::from(expert));
        Ok(Some((0..ids.positions.len()).filter(chose).map(|index| ids.positions[index]).collect()))
    }

    /// Whether the first row has but so many elements that are not zero, and none below.
    fn is_sparse(&self, recipe: &Recipe, count: usize) -> Result<bool> {
        let (index, view) = &recipe.sources[0];
        let array = &self.arrays[*index];
        if view.rows == 0 {
            return Ok(false);
        }
        let bytes = array.bytes()?;
        let row: Vec<f64> = view
            .offsets()
            .into_iter()
            .map(|offset| array.element_at(&bytes, view.start + offset, recipe.element))
            .collect();
        Ok(row.iter().all(|&value| value >= 0.0)
            && row.iter().filter(|&&value| value != 0.0).count() <= count)
    }
}

/// Splits `p128/NAME` or `p128-255/NAME`, the rows of one pass of several, into the first position and the name.
fn pass(name: &str) -> (Option<u32>, &str) {
    let split = name.strip_prefix('p').and_then(|rest| rest.split_once('/')).and_then(|(place, name)| {
        let first = place.split_once('-').map_or(place, |(first, _)| first);
        Some((first.parse().ok()?, name))
    });
    split.map_or((None, name), |(first, name)| (Some(first), name))
}

fn part_is_out_of_range(config: &ModelConfig, part: Option<Part>) -> Option<Why> {
    let (what, index, count) = match part? {
        Part::Head(index) => ("head", index, config.num_attention_heads),
        Part::Rank(index) => ("rank", index, config.experts_per_token),
        Part::Expert(index) => ("expert", index, config.num_experts),
    };
    (index as usize >= count).then(|| format!("there is no {what} {index}; there are {count}, from 0 on"))
}

/// As what the elements of an array are read.
fn element(
    array: &Array,
    entry: Option<&Entry>,
    holds: Holds,
) -> Result<(Element, Option<&'static str>), Why> {
    if let Some(name) = entry.and_then(|entry| entry.dtype.as_deref()) {
        return match Element::by_name(name) {
            Some(element) if element.size() == array.element.size() => Ok((element, None)),
            Some(element) => Err(format!("{} cannot be read as {}", array.element.name(), element.name())),
            None => Err(format!("the type {:?} is not known", printable(name))),
        };
    }
    let is_whole = holds == Holds::Point(TapPoint::ExpertIds);
    match array.element {
        Element::U16 if !is_whole => Ok((Element::Bf16, Some("16-bit whole numbers are read as bf16"))),
        Element::F16 | Element::Bf16 | Element::F32 | Element::F64 => Ok((array.element, None)),
        _ if is_whole => Ok((array.element, None)),
        other => Err(format!("{} is no type of this value", other.name())),
    }
}
