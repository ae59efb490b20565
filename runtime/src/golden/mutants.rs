//! Known bugs of gpt-oss programs, each as a change of one formula of the oracle.

#[cfg(test)]
mod page;
mod table;

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::tap::TapPoint;

/// A known bug.
///
/// In the order of the data flow: of two bugs, the earlier one is named first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is described by its row of the table")]
pub enum Mutant {
    RopeInterleaved,
    YarnTruncate,
    YarnAbsent,
    YarnNoMscale,
    WindowPlusOne,
    WindowRightOpen,
    WindowAbsent,
    WindowParity,
    MaskStride,
    KvNotWritten,
    KvDescaleDropped,
    ScaleAbsent,
    SinkAbsent,
    SinkLogBase,
    SinkTwice,
    WindowStaleV,
    AttentionNotStored,
    OutputBiasPerRank,
    ResidualF16Overflow,
    RouterNoBias,
    RouterSoftmaxAll,
    Mxfp4Nibble,
    Mxfp4HighFirst,
    Mxfp4ScaleLinear,
    Mxfp4ScaleNan,
    GateUpBiasAbsent,
    MoeConcat,
    MoeSwap,
    SwigluLimitZero,
    SwigluNoLimit,
    SwigluAlphaOne,
    SwigluNoPlusOne,
    DownBiasPerRank,
    DownBiasUnweighted,
    MoeNoGateWeight,
}

/// What is known of a bug.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The bug.
    pub mutant: Mutant,
    /// Its name on a command line and in reports.
    pub id: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// The formula that stands instead of the right one.
    pub formula: &'static str,
    /// Threads that report it, as `owner/repository#number`; a name alone where the thread does not give more.
    pub threads: &'static [&'static str],
    /// What its error looks like.
    pub signature: &'static str,
    /// What a dump needs so that it shows.
    pub needs: &'static str,
    /// The points whose formula it changes.
    pub points: &'static [TapPoint],
}

impl Mutant {
    /// All of them, in the order of the data flow.
    pub fn all() -> impl Iterator<Item = Self> {
        table::TABLE.iter().map(|row| row.mutant)
    }

    /// What is known of it.
    ///
    /// # Panics
    ///
    /// Never: the table has a row for each.
    #[must_use]
    pub fn describe(self) -> &'static Description {
        &table::TABLE[self as usize]
    }

    /// Its name on a command line and in reports.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.describe().id
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Mutant {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self> {
        Self::all().find(|mutant| mutant.id() == id).ok_or_else(|| {
            let id: String = id.chars().take(80).collect();
            Error::new(ErrorKind::Config, format!("{id:?} is not the name of a known bug"))
        })
    }
}

impl Serialize for Mutant {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.id())
    }
}

/// A set of bugs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mutants(u64);

impl Mutants {
    /// None: the right formulas.
    pub const NONE: Self = Self(0);

    /// One bug.
    #[must_use]
    pub const fn one(mutant: Mutant) -> Self {
        Self(1 << mutant as u8)
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, mutant: Mutant) -> Self {
        Self(self.0 | 1 << mutant as u8)
    }

    /// Whether the bug is among them.
    #[must_use]
    pub const fn has(self, mutant: Mutant) -> bool {
        self.0 >> mutant as u8 & 1 == 1
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in it, in the order of the data flow.
    pub fn iter(self) -> impl Iterator<Item = Mutant> {
        Mutant::all().filter(move |&mutant| self.has(mutant))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_in_order() {
        for (index, mutant) in Mutant::all().enumerate() {
            assert_eq!(mutant as usize, index, "{mutant}");
            assert_eq!(mutant.id().parse::<Mutant>().unwrap(), mutant);
        }
    }

    #[test]
    fn at_least_thirty_bugs_have_a_thread_each_and_a_name_of_their_own() {
        let ids: HashSet<_> = Mutant::all().map(Mutant::id).collect();
        assert_eq!(ids.len(), Mutant::all().count());
        assert!(ids.len() >= 30);
        for mutant in Mutant::all() {
            let row = mutant.describe();
            assert!(!row.threads.is_empty() && !row.points.is_empty(), "{mutant}");
            assert!(row.threads.iter().all(|thread| thread.contains('#')), "{mutant}");
        }
    }

    #[test]
    fn they_stand_in_the_order_of_the_data_flow() {
        let first = |mutant: Mutant| mutant.describe().points.iter().min().copied();
        assert!(Mutant::all().map(first).is_sorted());
    }
}
