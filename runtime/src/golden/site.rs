//! The words in which dumps and checks talk: sites, values, and what a backend says of its arithmetic.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::profile::Profile;
use crate::tap::TapPoint;

/// One named value of a forward pass.
///
/// Written as `embedding`, `layer.3.query` or `layer.3.gate_up.expert.7`, which is also the name of its tensor in the
/// files that this crate records.
///
/// ```
/// use gptoss_runtime::golden::{Part, Site};
/// use gptoss_runtime::tap::TapPoint;
///
/// let site = Site { layer: Some(3), point: TapPoint::GateUp, part: Some(Part::Expert(7)) };
/// assert_eq!(site.to_string(), "layer.3.gate_up.expert.7");
/// assert_eq!("layer.3.gate_up.expert.7".parse::<Site>().unwrap(), site);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    /// The layer; none for the embedding, the last norm and the logits.
    pub layer: Option<u32>,
    /// Which value it is.
    pub point: TapPoint,
    /// Which part of it, where it has parts.
    pub part: Option<Part>,
}

/// A part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The query head of scores and probabilities.
    Head(u32),
    /// The rank of an expert among those that a position chose, 0 first.
    Rank(u32),
    /// The id of an expert; only the positions that chose it have values.
    Expert(u32),
}

impl Site {
    /// The site of a point of a layer.
    #[must_use]
    pub const fn of_layer(layer: u32, point: TapPoint) -> Self {
        Self { layer: Some(layer), point, part: None }
    }

    /// The site of a point that is not of a layer.
    #[must_use]
    pub const fn alone(point: TapPoint) -> Self {
        Self { layer: None, point, part: None }
    }

    /// The same with a part.
    #[must_use]
    pub const fn with(self, part: Part) -> Self {
        Self { part: Some(part), ..self }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(layer) = self.layer {
            write!(f, "layer.{layer}.")?;
        }
        f.write_str(self.point.name())?;
        match self.part {
            None => Ok(()),
            Some(Part::Head(head)) => write!(f, ".head.{head}"),
            Some(Part::Rank(rank)) => write!(f, ".rank.{rank}"),
            Some(Part::Expert(expert)) => write!(f, ".expert.{expert}"),
        }
    }
}

impl FromStr for Site {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        parse(name).ok_or_else(|| {
            let name: String = name.chars().take(80).collect();
            Error::new(ErrorKind::Dump, format!("{name:?} is not the name of a value"))
        })
    }
}

fn parse(name: &str) -> Option<Site> {
    let mut words = name.split('.');
    let mut word = words.next()?;
    let mut layer = None;
    if word == "layer" {
        layer = Some(number(words.next()?)?);
        word = words.next()?;
    }
    let point = TapPoint::by_name(word)?;
    if point.is_of_layer() != layer.is_some() {
        return None;
    }
    let part = match words.next() {
        None => None,
        Some(kind) => {
            let index = number(words.next()?)?;
            Some(match kind {
                "head" => Part::Head(index),
                "rank" => Part::Rank(index),
                "expert" => Part::Expert(index),
                _ => return None,
            })
        }
    };
    words.next().is_none().then_some(Site { layer, point, part })
}

/// A number as [`Site`] writes it: no sign and no zeros before it.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl Serialize for Site {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The type in which a dump stores a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// The upper half of an f32.
    Bf16,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Whole numbers of any size.
    Int,
}

impl Dtype {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Int => "int",
        }
    }
}

/// Rows of one site, each exact in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The absolute position of each row, ascending.
    ///
    /// Of an expert there are only the positions that chose it.
    pub positions: Vec<u32>,
    /// Elements of a row. Of scores and probabilities: keys, from position 0 on.
    pub width: usize,
    /// How the dump stored them.
    pub dtype: Dtype,
    /// `[positions, width]`, row by row.
    pub data: Vec<f64>,
}

impl Values {
    /// The row with this index, counted from the first that is there.
    ///
    /// # Panics
    ///
    /// If there are not so many rows.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f64] {
        &self.data[index * self.width..][..self.width]
    }

    /// The row of an absolute position, if it is there.
    #[must_use]
    pub fn at(&self, position: u32) -> Option<&[f64]> {
        self.positions.binary_search(&position).ok().map(|index| self.row(index))
    }
}

/// The expert that an element of [`TapPoint::ExpertIds`] names; none if it is no whole number from 0 on.
pub(super) fn expert_index(id: f64) -> Option<usize> {
    (id >= 0.0 && id.fract() == 0.0).then_some(id as usize)
}

/// In what a backend sums products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Accumulator {
    /// bf16: eight bits of precision.
    Bf16,
    /// f16: eleven bits.
    F16,
    /// f32 sums of operands that were rounded to TF32: eleven bits.
    Tf32,
    /// f32: twenty-four bits.
    F32,
    /// f64: fifty-three bits.
    F64,
}

impl Accumulator {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Bf16, Self::F16, Self::Tf32, Self::F32, Self::F64];

    /// The name as it is written on a command line and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Tf32 => "tf32",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

impl FromStr for Accumulator {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|accumulator| accumulator.name() == name).ok_or_else(|| {
            let name: String = name.chars().take(80).collect();
            let rule = format!("an accumulator is bf16, f16, tf32, f32 or f64, found {name:?}");
            Error::new(ErrorKind::Dump, rule)
        })
    }
}

/// What a backend says of its arithmetic: facts, from which the allowed error is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Declared {
    /// Where it rounds, and to what.
    pub profile: Profile,
    /// In what it sums products.
    pub accumulate: Accumulator,
}

/// What gives values by site: a dump, or a test's own values.
pub trait Source {
    /// Every site that has values.
    fn sites(&self) -> Vec<Site>;

    /// The values of a site; none if it has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dump`] or [`ErrorKind::Io`] if they cannot be read.
    fn read(&self, site: &Site) -> Result<Option<Values>>;

    /// The token ids of the run, from position 0 on, if they are known.
    fn tokens(&self) -> Option<&[u32]>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_its_site() {
        for point in TapPoint::ALL {
            let site = match point.is_of_layer() {
                true => Site::of_layer(23, point),
                false => Site::alone(point),
            };
            for site in
                [site, site.with(Part::Head(63)), site.with(Part::Rank(0)), site.with(Part::Expert(9))]
            {
                assert_eq!(site.to_string().parse::<Site>().unwrap(), site);
            }
        }
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        for name in [
            "",
            "layer",
            "layer.3",
            "layer.query",
            "layer.x.query",
            "layer.03.query",
            "layer.+3.query",
            "layer.3.query.",
            "layer.3.query.head",
            "layer.3.query.head.1.2",
            "layer.4294967296.query",
            "query",
            "layer.0.embedding",
            "layer.3.query.slot.1",
            "../layer.3.query",
        ] {
            assert_eq!(name.parse::<Site>().unwrap_err().kind(), ErrorKind::Dump, "{name}");
        }
    }

    #[test]
    fn rows_are_found_by_position() {
        let values =
            Values { positions: vec![2, 5], width: 2, dtype: Dtype::F32, data: vec![1.0, 2.0, 3.0, 4.0] };
        assert_eq!(values.at(5), Some(&[3.0, 4.0][..]));
        assert_eq!(values.at(3), None);
    }
}
