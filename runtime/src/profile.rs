//! The profiles: which values are rounded to what.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// Which values are rounded to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The rounding points of OpenAI's PyTorch reference in bf16; dot products in f32.
    #[default]
    Bf16,
    /// Every activation in f32, no rounding but that of f32.
    F32,
    /// Everything in f64: the oracle that errors are measured against.
    F64,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Bf16, Self::F32, Self::F64];

    /// The name as it is written on a command line and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|profile| profile.name() == name).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("a profile is bf16, f32 or f64, found {name:?}"))
        })
    }
}
