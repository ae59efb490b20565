//! Clause 15: the order of candidates.

use std::cmp::Ordering;

use crate::numerics::Real;

/// By logit, descending; equal ones by id, ascending.
fn compare<R: Real>(a: &(R, u32), b: &(R, u32)) -> Ordering {
    b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1))
}

/// The first `count` ids in order; all if there are fewer. No logit is a NaN.
///
/// One pass, and sorting of what is returned: candidates are gathered until there are a good many more than `count`, then all
/// but the best `count` go, and from then on only what comes before the last of them is gathered.
pub(super) fn best<R: Real>(logits: &[R], count: usize) -> Vec<u32> {
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    let room = count.saturating_mul(2).max(256).min(logits.len());
    let mut gathered: Vec<(R, u32)> = Vec::with_capacity(room);
    let mut least = None;
    for (id, &logit) in logits.iter().enumerate() {
        // Of equal logits the earlier id comes first, and ids ascend here.
        if least.is_some_and(|least| logit <= least) {
            continue;
        }
        if gathered.len() == room && room > count {
            gathered.select_nth_unstable_by(count - 1, compare);
            gathered.truncate(count);
            let bound = gathered[count - 1].0;
            least = Some(bound);
            if logit <= bound {
                continue;
            }
        }
        gathered.push((logit, id as u32));
    }
    gathered.sort_unstable_by(compare);
    gathered.truncate(count);
    gathered.into_iter().map(|(_, id)| id).collect()
}
