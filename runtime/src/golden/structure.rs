//! Regularities of errors: what can be said where no known bug fits.

use super::bounds::Bounded;
use super::local::{Judge, is_inside, part_name, whole};
use super::mutants::Mutants;
use super::report::{Finding, Report, Structure};
use super::{Dtype, Site};
use crate::error::Result;
use crate::tap::TapPoint;

/// Facts of the first wrong point.
pub(super) fn facts(judge: &Judge<'_>, report: &Report) -> Result<Vec<Structure>> {
    let Some(first) = report.first_wrong() else { return Ok(Vec::new()) };
    let mut facts = places(judge, report, first);
    if first.site.point != TapPoint::ExpertIds {
        facts.extend(values(judge, first)?);
    }
    let site = first.site;
    Ok(facts.into_iter().map(|fact| Structure { site, fact }).collect())
}

/// Where the errors are, and where not.
fn places(judge: &Judge<'_>, report: &Report, first: &Finding) -> Vec<String> {
    let mut facts = Vec::new();
    let together: Vec<&Finding> =
        report.findings.iter().filter(|finding| whole(&finding.site) == whole(&first.site)).collect();
    let wrong: Vec<&&Finding> = together.iter().filter(|finding| finding.outside > 0).collect();
    if wrong.len() < together.len() {
        let names: Vec<String> =
            wrong.iter().take(8).filter_map(|finding| finding.site.part.map(part_name)).collect();
        facts.push(format!("only {} of {} parts: {}", wrong.len(), together.len(), names.join(", ")));
    }
    let rows = &first.by_position;
    let out: Vec<u32> =
        rows.iter().filter(|(_, ratio)| *ratio > 1.0).map(|(position, _)| *position).collect();
    if let (Some(&from), Some(&to)) = (out.first(), out.last())
        && out.len() < rows.len()
    {
        let window = judge.config.sliding_window as u32;
        let from_on = rows.iter().filter(|(position, _)| *position >= from).count() == out.len();
        if from_on && from == window {
            facts.push(format!(
                "only positions from {from} on, where the window of {window} keys begins to move"
            ));
        } else if from_on && from > 0 {
            facts.push(format!("only positions from {from} on"));
        } else if out.iter().all(|position| position % 32 == 0) && out.len() > 1 {
            facts.push("only positions that are multiples of 32".to_owned());
        } else {
            facts.push(format!("{} of {} positions, from {from} to {to}", out.len(), rows.len()));
        }
    }
    let layers = |right: bool| {
        report
            .findings
            .iter()
            .filter(move |finding| finding.site.point == first.site.point && (finding.outside == 0) == right)
            .filter_map(|finding| finding.site.layer)
            .collect::<std::collections::BTreeSet<u32>>()
    };
    let (wrong, right) = (layers(false), layers(true));
    if right.len() > 1 && wrong.is_disjoint(&right) {
        let kind = |layer: &u32| judge.config.layer_types.get(*layer as usize).copied();
        let kinds: Vec<_> = wrong.iter().map(kind).collect();
        if kinds.windows(2).all(|pair| pair[0] == pair[1])
            && right.iter().all(|layer| kind(layer) != kinds[0])
        {
            facts.push("only layers of one kind of attention".to_owned());
        }
    }
    if first.not_finite > 0 {
        facts.push(format!("{} of {} elements are NaN or infinite", first.not_finite, first.elements));
    }
    facts
}

/// What the values are, compared with the expected ones.
fn values(judge: &Judge<'_>, first: &Finding) -> Result<Vec<String>> {
    let site = first.site;
    let given = judge.given();
    let evaluator = judge.evaluator(&given, judge.formulas(Mutants::NONE));
    let positions: Vec<u32> = first.by_position.iter().map(|(position, _)| *position).collect();
    let rows = judge.chosen_rows(&positions, None);
    let (Some(found), Some(expected)) = (judge.source.read(&site)?, evaluator.computed(site, &rows)?) else {
        return Ok(Vec::new());
    };
    let wrong: Vec<u32> =
        first.by_position.iter().filter(|(_, ratio)| *ratio > 1.0).map(|(position, _)| *position).collect();
    let pairs: Vec<(u32, &[f64], &[Bounded])> = wrong
        .iter()
        .filter_map(|&position| Some((position, found.at(position)?, expected.at(position)?)))
        .collect();
    let mut facts = Vec::new();
    let one = pairs.first().and_then(|(_, row, _)| row.first().copied()).unwrap_or(0.0);
    if pairs.iter().all(|(_, row, _)| row.iter().all(|&value| value == one)) {
        return Ok(vec![format!("the values there are all {one}")]);
    }
    facts.extend(ratio(&pairs));
    let is_permutation =
        |(_, row, expected): &(u32, &[f64], &[Bounded])| permuted(row, expected, found.dtype);
    if pairs.iter().all(is_permutation) {
        facts.push("the expected values in another order".to_owned());
    }
    for (name, shift) in [("before", -1_i64), ("after", 1)] {
        let shifted = |(position, row, _): &(u32, &[f64], &[Bounded])| {
            let other = i64::from(*position) + shift;
            let other = u32::try_from(other).ok().and_then(|other| expected.at(other));
            other.is_some_and(|other| fits(row, other, found.dtype))
        };
        let all = pairs.len() > 2;
        if all && pairs.iter().filter(|pair| shifted(pair)).count() + 1 >= pairs.len() {
            facts.push(format!("each row is that of the position {name}"));
        }
    }
    facts.extend(bias(judge, site, &pairs));
    facts.extend(elements(&pairs, found.width, found.dtype));
    Ok(facts)
}

/// A constant ratio, of all rows or in each.
fn ratio(pairs: &[(u32, &[f64], &[Bounded])]) -> Option<String> {
    let mut by_row = Vec::new();
    for (_, row, expected) in pairs {
        let ratios = row.iter().zip(*expected).filter(|(_, expected)| expected.exact.abs() > 1e-6);
        let ratios: Vec<f64> = ratios.map(|(value, expected)| value / expected.exact).collect();
        let mean = ratios.iter().sum::<f64>() / ratios.len().max(1) as f64;
        if ratios.len() < 2 || !ratios.iter().all(|ratio| (ratio - mean).abs() <= 0.01 * mean.abs()) {
            return None;
        }
        by_row.push(mean);
    }
    let (least, most) = (
        by_row.iter().copied().fold(f64::INFINITY, f64::min),
        by_row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    );
    if by_row.is_empty() || (least - 1.0).abs().max((most - 1.0).abs()) < 0.005 {
        return None;
    }
    Some(match (most - least).abs() <= 0.01 * most.abs() {
        true => format!("each value is {:.5} times the expected one", (least + most) / 2.0),
        false => format!("a constant ratio in each row, from {least:.4} to {most:.4}"),
    })
}

fn fits(row: &[f64], expected: &[Bounded], dtype: Dtype) -> bool {
    row.iter().zip(expected).all(|(&value, expected)| is_inside(value, expected.stored(dtype)))
}

/// Whether sorted values lie within sorted bounds, masked ones left out.
fn permuted(row: &[f64], expected: &[Bounded], dtype: Dtype) -> bool {
    let sorted = |values: Vec<f64>| {
        let mut values = values;
        values.sort_by(f64::total_cmp);
        values
    };
    let (row, stored): (Vec<f64>, Vec<Bounded>) = row
        .iter()
        .zip(expected)
        .map(|(&value, expected)| (value, expected.stored(dtype)))
        .filter(|&(value, expected)| expected.exact != f64::NEG_INFINITY || !is_inside(value, expected))
        .unzip();
    let low = sorted(stored.iter().map(|expected| expected.low).collect());
    let high = sorted(stored.iter().map(|expected| expected.high).collect());
    let distinct = low.windows(2).filter(|pair| pair[0] != pair[1]).count();
    distinct > 2
        && sorted(row)
            .iter()
            .zip(low.iter().zip(&high))
            .all(|(value, (low, high))| low <= value && value <= high)
}

/// Whether what is left is a multiple of a bias.
fn bias(judge: &Judge<'_>, site: Site, pairs: &[(u32, &[f64], &[Bounded])]) -> Option<String> {
    let layer = &judge.weights.layers[site.layer? as usize];
    let bias = match site.point {
        TapPoint::Query => layer.query.bias.as_ref(),
        TapPoint::Key => layer.key.bias.as_ref(),
        TapPoint::Value => layer.value.bias.as_ref(),
        TapPoint::AttentionOutput => layer.output.bias.as_ref(),
        TapPoint::RouterLogits => layer.router.bias.as_ref(),
        _ => None,
    }?;
    let mut multiples = Vec::new();
    for (_, row, expected) in pairs {
        for ((value, expected), &bias) in row.iter().zip(*expected).zip(bias) {
            let bias = f64::from(bias);
            if bias.abs() > 64.0 * (expected.high - expected.low) && bias != 0.0 {
                multiples.push((value - expected.exact) / bias);
            }
        }
    }
    let whole = multiples.first()?.round();
    let constant = whole != 0.0 && multiples.iter().all(|multiple| (multiple - whole).abs() < 0.05);
    constant.then(|| match whole {
        -1.0 => "the bias is missing".to_owned(),
        _ => format!("the bias is there {} times", whole + 1.0),
    })
}

/// Which elements of rows are wrong.
fn elements(pairs: &[(u32, &[f64], &[Bounded])], width: usize, dtype: Dtype) -> Option<String> {
    let mut wrong = vec![false; width];
    for (_, row, expected) in pairs {
        for ((wrong, value), expected) in wrong.iter_mut().zip(*row).zip(*expected) {
            *wrong |= !is_inside(*value, expected.stored(dtype));
        }
    }
    let places: Vec<usize> = (0..width).filter(|&element| wrong[element]).collect();
    let (&first, &last) = (places.first()?, places.last()?);
    if places.len() == width {
        return None;
    }
    if places.len() == last - first + 1 {
        return Some(format!("only elements {first} to {last} of {width}"));
    }
    let even = places.iter().all(|place| place % 2 == 0);
    let odd = places.iter().all(|place| place % 2 == 1);
    if (even || odd) && places.len() > 2 {
        return Some(format!("only {} elements", if even { "even" } else { "odd" }));
    }
    Some(format!("{} of {width} elements, between {first} and {last}", places.len()))
}
