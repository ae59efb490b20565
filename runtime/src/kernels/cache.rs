//! How much the caches hold, which tells how much to compute at a time. Bits do not depend on it.

use std::sync::LazyLock;

/// Bytes of the L2 cache of a core where the system does not say.
const USUAL: usize = 1 << 20;
/// Less is taken for this much, as products at a time would be few.
pub(super) const LEAST: usize = 256 << 10;
/// More is taken for this much: such a cache is often one of several cores.
const MOST: usize = 2 << 20;

/// Bytes of the L2 cache of a core.
pub(super) fn l2_bytes() -> usize {
    static BYTES: LazyLock<usize> = LazyLock::new(|| read().unwrap_or(USUAL).clamp(LEAST, MOST));
    *BYTES
}

/// As Linux tells it of the first core.
fn read() -> Option<usize> {
    // Miri has no files.
    if cfg!(miri) {
        return None;
    }
    let cache = std::path::Path::new("/sys/devices/system/cpu/cpu0/cache/index2");
    let [level, size] = ["level", "size"].map(|name| std::fs::read_to_string(cache.join(name)).ok());
    (level?.trim() == "2").then(|| bytes(size?.trim())).flatten()
}

/// A size such as `1024K`.
fn bytes(size: &str) -> Option<usize> {
    let (digits, unit) = match size.split_at_checked(size.len().checked_sub(1)?)? {
        (digits, "K") => (digits, 1 << 10),
        (digits, "M") => (digits, 1 << 20),
        _ => (size, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(bytes("1024K"), Some(1 << 20));
        assert_eq!(bytes("2M"), Some(2 << 20));
        assert_eq!(bytes("524288"), Some(512 << 10));
        assert_eq!([bytes(""), bytes("K"), bytes("large"), bytes("é")], [None; 4]);
    }

    #[test]
    fn some_size_is_known() {
        assert!((LEAST..=MOST).contains(&l2_bytes()));
    }
}
