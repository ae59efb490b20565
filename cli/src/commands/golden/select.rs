//! Lists of numbers and of points on the command line.

use std::collections::BTreeSet;
use std::str::FromStr;

use gptoss_runtime::tap::TapPoint;

/// Numbers and ranges of numbers: `0,3,8-11`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers(pub(super) BTreeSet<u32>);

/// The most numbers of a list.
const MOST: usize = 1 << 20;

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = BTreeSet::new();
        let number = |word: &str| word.parse::<u32>().map_err(|_| format!("{word:?} is not a whole number"));
        for word in text.split(',') {
            let (first, last) = match word.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(word)?, number(word)?),
            };
            if first > last {
                return Err(format!("{word} ends before it begins"));
            }
            if (last - first) as usize >= MOST - numbers.len().min(MOST) {
                return Err(format!("a list has fewer than {MOST} numbers"));
            }
            numbers.extend(first..=last);
        }
        Ok(Self(numbers))
    }
}

/// The name of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point(pub(super) TapPoint);

impl FromStr for Point {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        TapPoint::by_name(name).map(Self).ok_or_else(|| {
            let names: Vec<&str> = TapPoint::ALL.into_iter().map(TapPoint::name).collect();
            format!("the points are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        let read = |text: &str| text.parse::<Numbers>().map(|Numbers(numbers)| Vec::from_iter(numbers));
        assert_eq!(read("3,0,8-10"), Ok(vec![0, 3, 8, 9, 10]));
        for text in ["", "1,", "-1", "3-1", "a", "0-4294967295", "1.5"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
