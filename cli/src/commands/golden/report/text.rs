//! For a terminal: the verdict first.

use std::io::Write;

use gptoss_runtime::golden::report::{Finding, Suspect};

use super::{Checked, bug, percent, short};
use crate::color;
use crate::commands::golden::{dump, lint};
use crate::context::Context;
use crate::error::Result;
use crate::model::grouped;
use crate::output::Output;

pub(crate) fn write(checked: &Checked<'_>, context: &Context, out: &mut Output) -> Result<()> {
    let (paint, report) = (out.paint, checked.report);
    let style = if checked.passed() { color::GOOD.bold() } else { color::ERROR };
    let verdict = paint.paint(style, checked.verdict().to_uppercase());
    writeln!(out, "{verdict}  {}", checked.summary())?;
    writeln!(out, "  {}: mode {}, {}", checked.name(), checked.mode(), checked.arithmetic())?;
    if let Some(first) = report.first_wrong() {
        write_wrong(first, out)?;
    }
    for (index, suspect) in report.suspects.iter().enumerate() {
        write_suspect(suspect, index, out)?;
    }
    for structure in &report.structure {
        writeln!(out, "  {} {}: {}", paint.paint(color::HELP, "structure"), structure.site, structure.fact)?;
    }
    lint::tell(checked.lint, out)?;
    writeln!(out)?;
    dump::tell(checked.matching, context, out)?;
    if !report.findings.is_empty() {
        write_points(checked, out)?;
    }
    if !report.routing.is_empty() {
        write_routing(checked, out)?;
    }
    if let Some(drift) = &report.drift {
        writeln!(
            out,
            "next token: {} of {} positions have the same most likely one; divergence {} nats on average, {} at most",
            grouped(drift.same_top),
            grouped(drift.rows),
            short(drift.kl_mean),
            short(drift.kl_max)
        )?;
    }
    for unjudged in &report.unjudged {
        writeln!(
            out,
            "  {} {}: {}",
            paint.paint(color::WARNING, "not judged"),
            unjudged.site,
            unjudged.reason
        )?;
    }
    write_power(checked, out)
}

fn write_wrong(first: &Finding, out: &mut Output) -> Result<()> {
    let inputs: Vec<String> = first.inputs.iter().map(ToString::to_string).collect();
    match inputs.as_slice() {
        [] => writeln!(out, "  computed from the tokens")?,
        inputs => writeln!(out, "  computed from {}", dump::names(inputs.iter().map(String::as_str)))?,
    }
    if let Some(worst) = &first.worst {
        writeln!(
            out,
            "  worst at position {}, element {}: found {}, allowed {} to {}",
            worst.position, worst.element, worst.value, worst.low, worst.high
        )?;
    }
    Ok(())
}

fn write_suspect(suspect: &Suspect, index: usize, out: &mut Output) -> Result<()> {
    let name = bug(suspect);
    let label = if index == 0 { "known bug" } else { "or" };
    let name = out.paint.paint(color::BOLD, name);
    writeln!(
        out,
        "  {label} {name} explains {} of the error at {}: {}",
        percent(suspect.explained),
        suspect.site,
        suspect.title
    )?;
    writeln!(out, "    {}", suspect.formula)?;
    writeln!(
        out,
        "    under it {} of {} elements stay outside of their bounds, rms error {} instead of {}",
        grouped(suspect.outside_after),
        grouped(suspect.outside),
        short(suspect.error_rms_after),
        short(suspect.error_rms)
    )?;
    if !suspect.threads.is_empty() {
        writeln!(out, "    see {}", suspect.threads.join(", "))?;
    }
    if !suspect.or.is_empty() {
        let others: Vec<String> = suspect.or.iter().map(ToString::to_string).collect();
        writeln!(out, "    the same here: {}", others.join(", "))?;
    }
    Ok(())
}

fn write_points(checked: &Checked<'_>, out: &mut Output) -> Result<()> {
    let title = format!(
        "{:<20} {:>6} {:>12} {:>9} {:>11} {:>10} {:>10}",
        "value", "sites", "elements", "outside", "error/bound", "rms error", "of profile"
    );
    writeln!(out, "\n{}", out.paint.paint(color::BOLD, title))?;
    for (point, summary) in checked.points() {
        let row = format!(
            "{:<20} {:>6} {:>12} {:>9} {:>11} {:>10} {:>10}",
            point.name(),
            summary.sites,
            grouped(summary.elements),
            grouped(summary.outside),
            short(summary.worst_ratio),
            short(summary.error_rms()),
            short(summary.reference_rms()),
        );
        match summary.outside {
            0 => writeln!(out, "{row}")?,
            _ => writeln!(out, "{}", out.paint.paint(color::ERROR, row))?,
        }
    }
    Ok(())
}

fn write_routing(checked: &Checked<'_>, out: &mut Output) -> Result<()> {
    let sum = |field: fn(&gptoss_runtime::golden::report::Routing) -> u64| {
        checked.report.routing.iter().map(field).sum::<u64>()
    };
    writeln!(
        out,
        "\nexperts: {} choices, {} the same, {} others of equal logits, {} within the bounds of the logits, {} wrong",
        grouped(sum(|routing| routing.rows)),
        grouped(sum(|routing| routing.same)),
        grouped(sum(|routing| routing.ties)),
        grouped(sum(|routing| routing.explained)),
        grouped(sum(|routing| routing.wrong)),
    )?;
    Ok(())
}

fn write_power(checked: &Checked<'_>, out: &mut Output) -> Result<()> {
    let power = &checked.report.power;
    if power.total == 0 {
        return Ok(());
    }
    let title = format!("power: {} of {} known bugs would have shown", power.seen.len(), power.total);
    writeln!(out, "\n{}", out.paint.paint(color::BOLD, title))?;
    for blind in &power.blind {
        writeln!(out, "  blind to {}: {}; needs {}", blind.mutant, blind.reason, blind.needs)?;
        writeln!(out, "    shown by {}", blind.prompt.text)?;
    }
    Ok(())
}
