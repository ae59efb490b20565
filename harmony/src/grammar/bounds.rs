//! Whole numbers between bounds, as GBNF over their digits.

/// The least and the greatest value, each included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: Option<i64>,
    pub(super) greatest: Option<i64>,
}

/// The expression for all whole numbers within the bounds; none if there is no such number.
pub(super) fn integers(bounds: Bounds) -> Option<String> {
    let Bounds { least, greatest } = bounds;
    if let (Some(least), Some(greatest)) = (least, greatest)
        && least > greatest
    {
        return None;
    }
    let mut options = Vec::new();
    // Below zero: the sign, and the bounds swapped.
    if least.is_none_or(|least| least < 0) {
        let nearest = greatest.filter(|&greatest| greatest < 0).map_or(1, i64::unsigned_abs);
        let magnitudes = naturals(nearest, least.map(i64::unsigned_abs));
        options.push(format!("\"-\" ({})", magnitudes.join(" | ")));
    }
    if greatest.is_none_or(|greatest| greatest >= 0) {
        let first = least.filter(|&least| least > 0).map_or(0, i64::unsigned_abs);
        options.extend(naturals(first, greatest.map(i64::unsigned_abs)));
    }
    Some(format!("({})", options.join(" | ")))
}

/// Alternatives for the numbers from `first` to `last`, without leading zeros.
fn naturals(first: u64, last: Option<u64>) -> Vec<String> {
    let digits = |number: u64| number.to_string().into_bytes();
    let (low, high) = (digits(first), last.map(digits));
    let longest = high.as_ref().map_or(low.len(), Vec::len);
    let mut options = Vec::new();
    for length in low.len()..=longest {
        let from =
            if length == low.len() { low.clone() } else { [&b"1"[..], &vec![b'0'; length - 1]].concat() };
        let to = match &high {
            Some(high) if high.len() == length => high.clone(),
            _ => vec![b'9'; length],
        };
        options.push(same_length(&from, &to));
    }
    if high.is_none() {
        options.push(format!("[1-9] [0-9]{{{longest},}}"));
    }
    options
}

/// The numbers from `from` to `to`, which have equally many digits, leading zeros allowed.
fn same_length(from: &[u8], to: &[u8]) -> String {
    let ([low, from_rest @ ..], [high, to_rest @ ..]) = (from, to) else { return String::new() };
    let count = from_rest.len();
    let any = match count {
        0 => String::new(),
        1 => " [0-9]".to_owned(),
        _ => format!(" [0-9]{{{count}}}"),
    };
    if low == high {
        return join(digit(*low, *high), &same_length(from_rest, to_rest));
    }
    let from_zeros = from_rest.iter().all(|&digit| digit == b'0');
    let to_nines = to_rest.iter().all(|&digit| digit == b'9');
    let mut options = Vec::new();
    if !from_zeros {
        options.push(join(digit(*low, *low), &same_length(from_rest, &vec![b'9'; count])));
    }
    let (first, last) = (low + u8::from(!from_zeros), high - u8::from(!to_nines));
    if first <= last {
        options.push(format!("{}{any}", digit(first, last)));
    }
    if !to_nines {
        options.push(join(digit(*high, *high), &same_length(&vec![b'0'; count], to_rest)));
    }
    match &options[..] {
        [only] => only.clone(),
        options => format!("({})", options.join(" | ")),
    }
}

fn join(first: String, rest: &str) -> String {
    if rest.is_empty() { first } else { format!("{first} {rest}") }
}

fn digit(first: u8, last: u8) -> String {
    match first == last {
        true => format!("\"{}\"", first as char),
        false => format!("[{}-{}]", first as char, last as char),
    }
}
