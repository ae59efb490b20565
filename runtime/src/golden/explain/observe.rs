//! The value that a run of this crate computes, and what it is computed from.

use std::collections::BTreeMap;

use super::{Question, without_head};
use crate::error::Result;
use crate::golden::graph::inputs;
use crate::golden::record::stored;
use crate::golden::{Memory, Part, Site, Values};
use crate::model::{Model, Rows};
use crate::profile::Profile;
use crate::tap::{Tap, TapPoint, TapSite, TapValues};

/// Positions that are computed at once.
const CHUNK: usize = 128;

/// Runs the tokens up to the position that is asked about, and keeps the value there and its inputs.
///
/// # Errors
///
/// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) once `interrupted` is true, which is asked before each layer,
/// and the errors of [`Model::forward_rows`].
///
/// # Panics
///
/// If the position is not one of the tokens'.
pub fn observe(
    model: &Model,
    tokens: &[u32],
    question: Question,
    interrupted: &(dyn Fn() -> bool + Sync),
) -> Result<Memory> {
    let tokens = &tokens[..=question.position as usize];
    let (site, _) = without_head(model.config(), question.site);
    let mut wanted = inputs(&site, model.config().num_layers() as u32);
    wanted.push(site);
    let chunk = CHUNK.min(tokens.len());
    let mut cache = model.new_cache(tokens.len(), chunk)?;
    let mut keeper = Keeper {
        wanted,
        position: question.position,
        profile: model.profile(),
        keys: tokens.len(),
        values: BTreeMap::new(),
        interrupted,
    };
    for part in tokens.chunks(chunk) {
        let is_last = cache.len() + part.len() == tokens.len();
        model.forward_rows(part, if is_last { Rows::Last } else { Rows::None }, &mut cache, &mut keeper)?;
    }
    Ok(Memory { values: keeper.values, tokens: Some(tokens.to_vec()) })
}

struct Keeper<'a> {
    wanted: Vec<Site>,
    position: u32,
    profile: Profile,
    keys: usize,
    values: BTreeMap<Site, Values>,
    interrupted: &'a (dyn Fn() -> bool + Sync),
}

impl Tap for Keeper<'_> {
    fn wants(&self, point: TapPoint, layer: Option<usize>) -> bool {
        let layer = layer.map(|layer| layer as u32);
        self.wanted.iter().any(|site| (site.point, site.layer) == (point, layer))
    }

    fn record(&mut self, at: TapSite, values: TapValues<'_>) {
        let part = at.slot.map(|slot| match at.point {
            TapPoint::Scores | TapPoint::Probabilities => Part::Head(slot as u32),
            _ => Part::Rank(slot as u32),
        });
        let site = Site { layer: at.layer.map(|layer| layer as u32), point: at.point, part };
        let rows: Vec<Vec<f64>> = match values {
            TapValues::F32(rows) => rows
                .rows()
                .into_iter()
                .map(|row| row.iter().map(|&value| f64::from(value)).collect())
                .collect(),
            TapValues::F64(rows) => rows.rows().into_iter().map(|row| row.to_vec()).collect(),
        };
        // Attention reads the keys and values of all positions; everything else is of one.
        let all = matches!(at.point, TapPoint::KeyRotated | TapPoint::Value);
        for (row, mut data) in rows.into_iter().enumerate() {
            let position = (at.position + row) as u32;
            if !all && position != self.position {
                continue;
            }
            if matches!(at.point, TapPoint::Scores | TapPoint::Probabilities) {
                let hidden = if at.point == TapPoint::Scores { f64::NEG_INFINITY } else { 0.0 };
                data.resize(self.keys, hidden);
            }
            let values = self.values.entry(site).or_insert_with(|| Values {
                positions: Vec::new(),
                width: data.len(),
                dtype: stored(self.profile, at.point),
                data: Vec::new(),
            });
            values.positions.push(position);
            values.data.extend(data);
        }
    }

    fn interrupted(&self) -> bool {
        (self.interrupted)()
    }
}
