//! Longer ways than one op: from one dumped value to another, whatever the dump has between them.

use super::graph::order;
use super::local::{CheckOptions, Judge};
use super::report::{Mode, Report};
use super::{Site, Source};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Weights;

/// Judges the values of `to` as computed from those up to `from`, in the order of the data flow; what the dump has between
/// them is not looked at.
///
/// Bounds grow with each op, most of all through matrices: across more than a layer or so they hold, but hardly
/// anything is outside of them. The report's power says what is left to see.
///
/// # Errors
///
/// [`ErrorKind::Dump`] if the dump does not have `from` or `to`, or `to` does not come after `from`; what
/// [`check`](super::check) returns.
pub fn segment(
    config: &ModelConfig,
    weights: &Weights,
    source: &dyn Source,
    options: &CheckOptions,
    from: Site,
    to: Site,
) -> Result<Report> {
    let same = |site: &Site, wanted: &Site| {
        (site.layer, site.point) == (wanted.layer, wanted.point)
            && (wanted.part.is_none() || site.part == wanted.part)
    };
    for wanted in [&from, &to] {
        if !source.sites().iter().any(|site| same(site, wanted)) {
            return Err(Error::new(ErrorKind::Dump, format!("the dump does not have {wanted}")));
        }
    }
    let last = |site: &Site| (order(site).0, order(site).1);
    if last(&to) <= last(&from) {
        return Err(Error::new(ErrorKind::Dump, format!("{to} does not come after {from}")));
    }
    let judged = |site: &Site| same(site, &to);
    let allowed = |site: &Site| last(site) <= last(&from);
    Judge::new(config, weights, source, options, &allowed).only(&judged).report(Mode::Segment)
}
