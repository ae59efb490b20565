//! A user's own names: patterns, the values that they hold, and how those are laid out.

use serde::Deserialize;

use super::{Holds, Known, Scheme};
use crate::error::{Error, ErrorKind, Result};
use crate::golden::site::Part;
use crate::tap::TapPoint;

/// A table of names, read from JSON or TOML.
///
/// ```
/// use gptoss_runtime::golden::Table;
///
/// let table: Table = serde_json::from_str(
///     r#"{
///         "layer_from": 1,
///         "profile": "bf16",
///         "array": [
///             {"name": "blk{layer}/q", "value": "query", "heads": "first"},
///             {"name": "blk{layer}/mlp1", "value": "gate_up", "gate_up": "concatenated"}
///         ]
///     }"#,
/// )
/// .unwrap();
/// table.check().unwrap();
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The number of the first layer in names: 0, or 1 where layers are counted from 1.
    #[serde(default)]
    pub layer_from: u32,
    /// The token ids of the run, if the dump does not hold them.
    pub tokens: Option<Vec<u32>>,
    /// The absolute positions of the rows, if the dump does not hold them.
    pub positions: Option<Vec<u32>>,
    /// The rounding points of the backend: `bf16`, `f32` or `f64`.
    pub profile: Option<String>,
    /// In what it sums products: `bf16`, `f16`, `tf32`, `f32` or `f64`.
    pub accumulate: Option<String>,
    /// The names, the first that fits counts.
    #[serde(default)]
    pub array: Vec<Entry>,
}

/// One pattern of a [`Table`].
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name; `{layer}`, `{head}`, `{rank}` and `{expert}` stand for numbers.
    pub name: String,
    /// The name of a point, such as `query`, or `qkv`, `qkv_rotated`, `gate`, `up`, `router_scores`, `tokens`,
    /// `positions`, or `ignore`.
    pub value: String,
    /// Whether rows are the last axis.
    #[serde(default)]
    pub transposed: bool,
    /// Where heads lie, if they are not merged into rows.
    #[serde(default)]
    pub heads: Heads,
    /// How gate and up lie in a row.
    #[serde(default)]
    pub gate_up: GateUpOrder,
    /// How the pairs of a head that are rotated together lie.
    #[serde(default)]
    pub rotary: Rotary,
    /// The type as which the elements are read, where the file says another: `bf16` for bf16 in u16.
    pub dtype: Option<String>,
}

/// Where the axis of heads lies.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Heads {
    /// Within a row, as an axis or merged.
    #[default]
    Within,
    /// Before the axis of rows.
    First,
}

/// How gate and up lie in a row of `2 * intermediate` elements.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum GateUpOrder {
    /// Gate 0, up 0, gate 1, up 1 and so on, as the weights have them.
    #[default]
    Interleaved,
    /// All gates, then all ups.
    Concatenated,
    /// All ups, then all gates.
    Swapped,
}

/// How the elements of a head lie that are rotated together.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Rotary {
    /// Element i with element i + half.
    #[default]
    Halves,
    /// Element 2i with element 2i + 1.
    Interleaved,
}

impl Table {
    /// Checks that every value is known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dump`] with the entry.
    pub fn check(&self) -> Result<()> {
        for entry in &self.array {
            let broken = |rule: String| Error::new(ErrorKind::Dump, rule).in_tensor(&entry.name);
            if entry.holds().is_none() {
                return Err(broken(format!("{:?} is not the name of a value", entry.value)));
            }
            if entry.pieces().is_none() {
                return Err(broken("stands for {layer}, {head}, {rank} and {expert}, once each".to_owned()));
            }
        }
        Ok(())
    }

    /// The entry that fits a name, and what it says of it.
    pub(crate) fn known(&self, name: &str) -> Option<(Known, &Entry)> {
        self.array.iter().find_map(|entry| entry.known(name, self.layer_from).map(|known| (known, entry)))
    }
}

/// A piece of a pattern.
enum Piece<'a> {
    Text(&'a str),
    Number(&'a str),
}

impl Entry {
    fn holds(&self) -> Option<Holds> {
        Some(match self.value.as_str() {
            "qkv" => Holds::QueryKeyValue { is_rotated: false },
            "qkv_rotated" => Holds::QueryKeyValue { is_rotated: true },
            "gate" => Holds::Gate,
            "up" => Holds::Up,
            "router_scores" => Holds::RouterScores,
            "tokens" => Holds::Tokens,
            "positions" => Holds::Positions,
            "ignore" => Holds::Nothing("the table says so"),
            name => Holds::Point(TapPoint::by_name(name)?),
        })
    }

    fn pieces(&self) -> Option<Vec<Piece<'_>>> {
        let mut pieces = Vec::new();
        let mut rest = self.name.as_str();
        let mut seen = Vec::new();
        while let Some(at) = rest.find('{') {
            pieces.push(Piece::Text(&rest[..at]));
            let (word, after) = rest[at + 1..].split_once('}')?;
            if !["layer", "head", "rank", "expert"].contains(&word) || seen.contains(&word) {
                return None;
            }
            seen.push(word);
            pieces.push(Piece::Number(word));
            rest = after;
        }
        pieces.push(Piece::Text(rest));
        Some(pieces)
    }

    fn known(&self, name: &str, layer_from: u32) -> Option<Known> {
        let (mut rest, mut layer, mut part) = (name, None, None);
        for piece in self.pieces()? {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(text)?,
                Piece::Number(word) => {
                    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                    let number: u32 = rest[..end].parse().ok()?;
                    rest = &rest[end..];
                    match word {
                        "layer" => layer = Some(number.checked_sub(layer_from)?),
                        "head" => part = Some(Part::Head(number)),
                        "rank" => part = Some(Part::Rank(number)),
                        _ => part = Some(Part::Expert(number)),
                    }
                }
            }
        }
        let holds = self.holds()?;
        let needs_layer = match holds {
            Holds::Point(point) => point.is_of_layer(),
            Holds::Tokens | Holds::Positions | Holds::Nothing(_) => false,
            _ => true,
        };
        let fits = rest.is_empty() && (layer.is_some() || !needs_layer);
        fits.then(|| Known { part, ..Known::new(Scheme::Table, layer.filter(|_| needs_layer), holds) })
    }
}
