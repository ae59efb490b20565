//! An explained value for a terminal.

use std::io::Write;

use gptoss_runtime::golden::explain::{Choice, Element, Explained, Input, Number, Origin};

use crate::color;
use crate::commands::golden::report::short;
use crate::context::Context;
use crate::error::Result;
use crate::model::grouped;
use crate::output::Output;

/// Values of an input that are shown.
const VALUES: usize = 4;
/// Elements of a row that are shown.
const ELEMENTS: usize = 16;

pub(super) fn write(
    explained: &Explained,
    is_element: bool,
    context: &Context,
    out: &mut Output,
) -> Result<()> {
    let paint = out.paint;
    let token = explained.token.map_or_else(String::new, |token| format!(" (token {token})"));
    let element = match explained.elements.as_slice() {
        [element] if is_element => format!(", element {}", element.element),
        row => format!(", {} elements", grouped(row.len() as u64)),
    };
    let title = format!("{}, position {}{token}{element}", explained.site, explained.position);
    writeln!(out, "{}", paint.paint(color::BOLD, title))?;
    writeln!(out, "  formula   {}", explained.formula)?;
    writeln!(out, "  contract  docs/numerics.md, {}", explained.clause)?;
    let fused = if explained.fused { ", fused" } else { "" };
    let sums = explained.accumulate.name();
    writeln!(out, "  declared  profile {}, sums in {sums}{fused}", explained.profile)?;
    writeln!(out, "{}", paint.paint(color::BOLD, "inputs"))?;
    for input in &explained.inputs {
        write_input(input, context.verbose, out)?;
    }
    writeln!(out, "{}", paint.paint(color::BOLD, format!("value ({})", explained.dtype.name())))?;
    match explained.elements.as_slice() {
        [element] if is_element => write_element(element, out)?,
        row => write_row(row, context.verbose, out)?,
    }
    if let Some(choice) = explained.choice {
        let meaning = match choice {
            Choice::Same => "the experts of the contract",
            Choice::Tie => "others of equal logits",
            Choice::Explained => "others, within what the logits may be off by",
            Choice::Wrong => "a chosen expert has a lower logit than one that was not chosen",
        };
        writeln!(out, "  choice    {meaning}")?;
    }
    for note in &explained.notes {
        writeln!(out, "  {} {note}", paint.paint(color::HELP, "note"))?;
    }
    Ok(())
}

fn write_input(input: &Input, all: bool, out: &mut Output) -> Result<()> {
    let from = match input.from {
        Origin::Dump => "dump",
        Origin::Computed => "computed",
        Origin::Weights => "weights",
        Origin::Constant => "constant",
    };
    let shown = if all { input.values.len() } else { VALUES };
    let values: Vec<String> = input.values.iter().take(shown).map(number).collect();
    let rest = match input.values.len() {
        0 => "the whole tensor".to_owned(),
        count if count > shown => format!(", … {} in all", grouped(count as u64)),
        _ => String::new(),
    };
    let dtype = input.dtype.name();
    writeln!(out, "  {}: {}{rest} ({from}, {dtype})", input.name, values.join(", "))?;
    Ok(())
}

fn number(number: &Number) -> String {
    format!("{} {}", number.value, number.bits)
}

fn write_element(element: &Element, out: &mut Output) -> Result<()> {
    writeln!(out, "  oracle    {} (f64, no rounding)", element.oracle)?;
    writeln!(out, "  expected  {}", number(&element.expected))?;
    let bounds = if element.low.is_nan() || element.high.is_nan() {
        "nothing can be said: what it is computed from is not finite, or in doubt".to_owned()
    } else if element.low == element.high {
        format!("{} alone", element.low)
    } else {
        format!("{} to {}", element.low, element.high)
    };
    writeln!(out, "  bounds    {bounds}")?;
    if let Some(found) = &element.found {
        let (style, verdict) = verdict(found.inside);
        let verdict = out.paint.paint(style, verdict);
        let ulps = found.ulps.map_or_else(String::new, |ulps| format!(", {ulps:+} ulp"));
        let ratio = if found.ratio.is_nan() {
            String::new()
        } else {
            format!(", error/bound {}", short(found.ratio))
        };
        writeln!(out, "  found     {} {}{ulps}{ratio}, {verdict}", found.value, found.bits)?;
    }
    Ok(())
}

fn verdict(inside: Option<bool>) -> (anstyle::Style, &'static str) {
    match inside {
        Some(true) => (color::GOOD, "inside"),
        Some(false) => (color::ERROR, "OUTSIDE"),
        None => (color::WARNING, "unknown"),
    }
}

fn write_row(row: &[Element], all: bool, out: &mut Output) -> Result<()> {
    let title = format!(
        "  {:>7} {:>24} {:>24} {:>24} {:>10} {:>11}",
        "element", "oracle", "expected", "found", "ulp", "error/bound"
    );
    writeln!(out, "{}", out.paint.paint(color::BOLD, title.trim_end()))?;
    let is_outside =
        |element: &&Element| element.found.as_ref().is_some_and(|found| found.inside == Some(false));
    let outside = row.iter().filter(is_outside).count();
    let most = if all { row.len() } else { ELEMENTS };
    // The wrong ones are why somebody asks.
    let mut shown: Vec<&Element> = row.iter().filter(is_outside).take(most).collect();
    shown.extend(row.iter().filter(|element| !is_outside(element)).take(most - shown.len()));
    shown.sort_by_key(|element| element.element);
    for element in &shown {
        let found = element.found.as_ref();
        let (style, verdict) = found.map_or((color::WARNING, ""), |found| verdict(found.inside));
        let ulps = found.and_then(|found| found.ulps).map_or_else(String::new, |ulps| format!("{ulps:+}"));
        let ratio =
            found.filter(|found| !found.ratio.is_nan()).map_or_else(String::new, |found| short(found.ratio));
        let value = found.map_or_else(String::new, |found| format!("{} {}", digits(found.value), found.bits));
        let expected = format!("{} {}", digits(element.expected.value), element.expected.bits);
        let line = format!(
            "  {:>7} {:>24} {expected:>24} {value:>24} {ulps:>10} {ratio:>11} {verdict}",
            element.element,
            digits(element.oracle)
        );
        let is_wrong = is_outside(element);
        match is_wrong {
            true => writeln!(out, "{}", out.paint.paint(style, line))?,
            false => writeln!(out, "{}", line.trim_end())?,
        }
    }
    let rest = row.len() - shown.len();
    if rest > 0 {
        writeln!(out, "  and {} more; --verbose and --json have all", grouped(rest as u64))?;
    }
    if row.iter().any(|element| element.found.is_some()) {
        let count = grouped(row.len() as u64);
        writeln!(out, "  {} of {count} elements are outside of their bounds", grouped(outside as u64))?;
    }
    Ok(())
}

/// Enough digits to tell numbers of f32 apart in a table.
fn digits(value: f64) -> String {
    let plain = value.to_string();
    if plain.len() <= 13 { plain } else { format!("{value:.6e}") }
}
