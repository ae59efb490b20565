//! Gates and ups that lie in arrays of their own become one value.

use std::collections::BTreeMap;

use super::{Recipe, Why};
use crate::golden::layout::View;
use crate::golden::site::Part;

/// Where the rows of each part of a value are.
pub(super) type Parts = Vec<(Option<Part>, View)>;

/// Gates and ups whose other half is not found yet, by layer, part and first position, with their array.
pub(super) type Halves = BTreeMap<(Option<u32>, Option<Part>, Option<u32>), (usize, Half)>;

/// Gates or ups, until the others are found.
pub(super) struct Half {
    pub(super) is_up: bool,
    pub(super) views: Parts,
    pub(super) recipe: Recipe,
}

impl Half {
    /// Makes one value of two halves.
    pub(super) fn join(
        self,
        index: usize,
        other: &Self,
        other_index: usize,
    ) -> Result<Vec<(Option<Part>, Recipe)>, Why> {
        if self.is_up == other.is_up {
            return Err("gate and up make one value, and one of them is there twice".to_owned());
        }
        if self.recipe.rows != other.recipe.rows || self.recipe.element != other.recipe.element {
            return Err("gate and up have other rows or another type".to_owned());
        }
        let (gate, gates, up, ups) = match self.is_up {
            false => (index, &self.views, other_index, &other.views),
            true => (other_index, &other.views, index, &self.views),
        };
        if gates.len() != ups.len() {
            return Err("gate and up have other parts".to_owned());
        }
        let recipes = gates.iter().zip(ups).map(|((part, gates), (_, ups))| {
            let sources = vec![(gate, gates.clone()), (up, ups.clone())];
            (*part, Recipe { sources, ..self.recipe.clone() })
        });
        Ok(recipes.collect())
    }
}
