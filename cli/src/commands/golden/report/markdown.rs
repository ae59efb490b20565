//! For a pull request: short, with the rest folded.

use std::fmt::{self, Write};

use super::{Checked, ULPS, percent, short};
use crate::model::grouped;

pub(crate) fn page(checked: &Checked<'_>) -> String {
    super::drawn(checked, write)
}

fn write(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    let report = checked.report;
    let sign = if checked.passed() { "✅" } else { "❌" };
    writeln!(to, "### {sign} gpt-oss golden check: {}\n", checked.verdict())?;
    writeln!(to, "{}\n", Text(&checked.summary()))?;
    writeln!(to, "`{}`, {}\n", Code(&checked.name()), checked.arithmetic())?;
    for suspect in &report.suspects {
        writeln!(
            to,
            "- **{}** explains {} of the error at `{}`: {}. {}.{}",
            suspect.mutant,
            percent(suspect.explained),
            suspect.site,
            Text(suspect.title),
            Text(suspect.formula),
            threads(suspect.threads),
        )?;
    }
    for structure in &report.structure {
        writeln!(to, "- `{}`: {}", structure.site, Text(&structure.fact))?;
    }
    for finding in checked.lint {
        writeln!(to, "- **{}**: {}; {}", finding.rule.name(), Text(&finding.text), Text(finding.help))?;
    }
    if !report.findings.is_empty() {
        writeln!(
            to,
            "\n| value | sites | elements | outside | error / bound | rms error | of the profile |"
        )?;
        writeln!(to, "|---|--:|--:|--:|--:|--:|--:|")?;
        for (point, summary) in checked.points() {
            let mark = if summary.outside > 0 { "**" } else { "" };
            writeln!(
                to,
                "| {} | {} | {} | {mark}{}{mark} | {} | {} | {} |",
                point.name(),
                summary.sites,
                grouped(summary.elements),
                grouped(summary.outside),
                short(summary.worst_ratio),
                short(summary.error_rms()),
                short(summary.reference_rms()),
            )?;
        }
    }
    if let Some(drift) = &report.drift {
        writeln!(
            to,
            "\n{} of {} positions have the same most likely next token; divergence {} nats on average, {} at most.",
            grouped(drift.same_top),
            grouped(drift.rows),
            short(drift.kl_mean),
            short(drift.kl_max),
        )?;
    }
    let power = &report.power;
    if power.total > 0 {
        let title = format!("{} of {} known bugs would have shown", power.seen.len(), power.total);
        let mut lines = String::new();
        for blind in &power.blind {
            writeln!(
                lines,
                "- `{}`: {}; needs {}; shown by {}",
                blind.mutant,
                Text(&blind.reason),
                Text(&blind.needs),
                Text(&blind.prompt.text)
            )?;
        }
        folded(to, &title, &lines)?;
    }
    let mut lines = String::new();
    for matched in &checked.matching.matched {
        for guess in &matched.guesses {
            writeln!(lines, "- guessed for `{}`: {}", Code(&matched.name), Text(guess))?;
        }
    }
    for unmatched in &checked.matching.unmatched {
        writeln!(lines, "- left `{}`: {}", Code(&unmatched.name), Text(&unmatched.why))?;
    }
    for unjudged in &report.unjudged {
        writeln!(lines, "- not judged `{}`: {}", unjudged.site, Text(&unjudged.reason))?;
    }
    let count = checked.matching.matched.len();
    folded(to, &format!("{count} arrays matched, {} left", checked.matching.unmatched.len()), &lines)?;
    let mut lines = String::new();
    let points = checked.points();
    for (index, name) in ULPS.iter().enumerate() {
        let count: u64 = points.iter().map(|(_, summary)| summary.ulps[index]).sum();
        if count > 0 {
            writeln!(lines, "- {name}: {}", grouped(count))?;
        }
    }
    folded(to, "Distance from the profile's value in last places of bf16", &lines)
}

/// Lines behind a title; nothing if there are none.
fn folded(to: &mut String, title: &str, lines: &str) -> fmt::Result {
    match lines {
        "" => writeln!(to, "\n{title}"),
        lines => writeln!(to, "\n<details><summary>{title}</summary>\n\n{lines}\n</details>"),
    }
}

fn threads(threads: &[&str]) -> String {
    match threads {
        [] => String::new(),
        threads => format!(" See {}.", threads.join(", ")),
    }
}

/// Text in which nothing is markup.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '@' | '!' => write!(f, "\\{c}")?,
                c if c.is_control() => f.write_str(" ")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Text between backticks.
struct Code<'a>(&'a str);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                // A backtick would end it, and a pipe a cell of a table.
                '`' => f.write_char('\'')?,
                '|' => f.write_char('/')?,
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
