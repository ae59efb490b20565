//! Facts about a backend on the command line.

use std::str::FromStr;

use gptoss_runtime::Profile;
use gptoss_runtime::golden::{Accumulator, CheckOptions, Declared, Dump};

use crate::error::{Error, Result};

/// One fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declaration {
    /// Where it rounds.
    Profile(Profile),
    /// In what it sums products.
    Accumulate(Accumulator),
    /// Rounding points within an operation may be missing.
    Fused,
    /// From this position on it decoded one by one.
    Decoded(u32),
}

impl FromStr for Declaration {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let rule = |error: gptoss_runtime::Error| error.rule().to_owned();
        match text.split_once('=') {
            Some(("profile", name)) => name.parse().map(Self::Profile).map_err(rule),
            Some(("accumulate", name)) => name.parse().map(Self::Accumulate).map_err(rule),
            Some(("decoded", position)) => {
                position.parse().map(Self::Decoded).map_err(|_| "decoded=N names a position".to_owned())
            }
            None if text == "fused" => Ok(Self::Fused),
            _ => Err("facts are profile=…, accumulate=…, fused and decoded=N".to_owned()),
        }
    }
}

/// How a dump is to be judged, as the flags say; what they do not say of the arithmetic, the dump does.
pub(super) fn options(facts: &[Declaration], dump: &Dump) -> Result<CheckOptions> {
    let (mut profile, mut accumulate) = (dump.meta().profile, dump.meta().accumulate);
    let (mut fused, mut decoded_from) = (false, None);
    for fact in facts {
        match *fact {
            Declaration::Profile(stated) => profile = Some(stated),
            Declaration::Accumulate(stated) => accumulate = Some(stated),
            Declaration::Fused => fused = true,
            Declaration::Decoded(position) => decoded_from = Some(position),
        }
    }
    let (Some(profile), Some(accumulate)) = (profile, accumulate) else {
        return Err(Error::usage("the dump does not say where the backend rounds and in what it sums")
            .help("state it, for example --declare profile=bf16,accumulate=f32"));
    };
    Ok(CheckOptions { fused, decoded_from, ..CheckOptions::new(Declared { profile, accumulate }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_and_others_are_not() {
        assert_eq!("profile=f32".parse(), Ok(Declaration::Profile(Profile::F32)));
        assert_eq!("accumulate=tf32".parse(), Ok(Declaration::Accumulate(Accumulator::Tf32)));
        assert_eq!("fused".parse(), Ok(Declaration::Fused));
        assert_eq!("decoded=96".parse(), Ok(Declaration::Decoded(96)));
        for text in ["", "profile", "profile=fp8", "accumulate=", "decoded=x", "tolerance=0.1"] {
            assert!(text.parse::<Declaration>().is_err(), "{text}");
        }
    }
}
