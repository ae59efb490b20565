//! For a browser: one page with pictures that loads nothing and runs nothing.

mod charts;

use std::fmt::{self, Write};

use gptoss_runtime::golden::report::Suspect;

use super::{Checked, bug, percent, short};
use crate::html::{BASE_STYLE, Text};
use crate::model::grouped;

const STYLE: &str = include_str!("html/page.css");

pub(crate) fn page(checked: &Checked<'_>) -> String {
    super::drawn(checked, write)
}

fn write(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    let report = checked.report;
    let (name, verdict) = (checked.name(), checked.verdict());
    write!(
        to,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <meta name=\"generator\" content=\"gptoss {version}\">\n<title>{verdict}: {name}</title>\n\
         <style>\n{BASE_STYLE}{STYLE}</style>\n</head>\n<body>\n",
        version = env!("CARGO_PKG_VERSION"),
        name = Text(&name),
    )?;
    write!(
        to,
        "<header class=\"{verdict}\">\n<p class=\"verdict\">{}</p>\n<h1>{}</h1>\n<p class=\"facts\">{} · mode {} · {}",
        verdict.to_uppercase(),
        Text(&checked.summary()),
        Text(&name),
        checked.mode(),
        checked.arithmetic(),
    )?;
    if let Some(tokens) = &checked.meta.tokens {
        write!(to, " · {} tokens", grouped(tokens.len() as u64))?;
    }
    writeln!(to, "</p>\n</header>\n<main>")?;
    wrong(checked, to)?;
    if !report.suspects.is_empty() {
        section(to, "Known bugs that explain it")?;
        for suspect in &report.suspects {
            write_suspect(suspect, to)?;
        }
        writeln!(to, "</section>")?;
    }
    odd(checked, to)?;
    if !report.findings.is_empty() {
        charts::write(checked, to)?;
        points(checked, to)?;
    }
    if let Some(drift) = &report.drift {
        section(to, "The next token")?;
        writeln!(
            to,
            "<p>{} of {} positions have the same most likely token. The distributions diverge by {} nats on average, by \
             {} at most.</p>\n</section>",
            grouped(drift.same_top),
            grouped(drift.rows),
            short(drift.kl_mean),
            short(drift.kl_max),
        )?;
    }
    power(checked, to)?;
    arrays(checked, to)?;
    writeln!(to, "</main>\n</body>\n</html>")
}

fn section(to: &mut String, title: &str) -> fmt::Result {
    writeln!(to, "<section>\n<h2>{title}</h2>")
}

/// The first wrong site.
fn wrong(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    let Some(first) = checked.report.first_wrong() else { return Ok(()) };
    section(to, "Wrong first")?;
    let inputs: Vec<String> = first.inputs.iter().map(|site| format!("<code>{site}</code>")).collect();
    let inputs = if inputs.is_empty() { "the tokens".to_owned() } else { inputs.join(", ") };
    writeln!(
        to,
        "<p><code class=\"big\">{}</code>, computed from {}: {} of {} elements are outside of their bounds.</p>",
        first.site,
        inputs,
        grouped(first.outside),
        grouped(first.elements),
    )?;
    if let Some(worst) = &first.worst {
        writeln!(
            to,
            "<div class=\"wide\"><table><tr><th>position<th>element<th>found<th>least allowed<th>greatest allowed<th>of the profile<th>exact</tr>\
             <tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr></table></div>",
            worst.position, worst.element, worst.value, worst.low, worst.high, worst.rounded, worst.exact,
        )?;
    }
    let here = checked.report.structure.iter().filter(|structure| structure.site == first.site);
    for structure in here {
        writeln!(to, "<p>Structure: {}.</p>", Text(&structure.fact))?;
    }
    writeln!(to, "</section>")
}

fn write_suspect(suspect: &Suspect, to: &mut String) -> fmt::Result {
    let name = bug(suspect);
    writeln!(
        to,
        "<article>\n<h3><code>{name}</code> explains {}</h3>\n<p>{}: {}.</p>",
        percent(suspect.explained),
        Text(suspect.title),
        Text(suspect.formula),
    )?;
    writeln!(
        to,
        "<p>Under it {} of {} elements of <code>{}</code> stay outside of their bounds, and the rms error is {} \
         instead of {}.</p>",
        grouped(suspect.outside_after),
        grouped(suspect.outside),
        suspect.site,
        short(suspect.error_rms_after),
        short(suspect.error_rms),
    )?;
    if !suspect.threads.is_empty() {
        writeln!(to, "<p class=\"soft\">Reported as {}.</p>", Text(&suspect.threads.join(", ")))?;
    }
    if !suspect.or.is_empty() {
        let others: Vec<String> = suspect.or.iter().map(ToString::to_string).collect();
        writeln!(to, "<p class=\"soft\">These explain it as well here: {}.</p>", Text(&others.join(", ")))?;
    }
    writeln!(to, "</article>")
}

/// What the lint found.
fn odd(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    if checked.lint.is_empty() && checked.stale.is_none() {
        return Ok(());
    }
    section(to, "Odd about the dump")?;
    writeln!(to, "<ul>")?;
    if let Some(stale) = checked.stale {
        writeln!(to, "<li>{}</li>", Text(stale))?;
    }
    for finding in checked.lint {
        let sites: Vec<String> =
            finding.sites.iter().take(8).map(|site| format!("<code>{site}</code>")).collect();
        let more = finding.sites.len().saturating_sub(sites.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(
            to,
            "<li><b>{}</b>: {}. {}{more}<br><span class=\"soft\">{}</span></li>",
            finding.rule.name(),
            Text(&finding.text),
            sites.join(", "),
            Text(finding.help),
        )?;
    }
    writeln!(to, "</ul>\n</section>")
}

fn points(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    section(to, "By value")?;
    writeln!(
        to,
        "<div class=\"wide\"><table>\n<tr><th>value<th>sites<th>elements<th>outside<th>error / bound<th>rms error\
         <th>rms of the profile's rounding</tr>"
    )?;
    for (point, summary) in checked.points() {
        let class = if summary.outside > 0 { " class=\"bad\"" } else { "" };
        writeln!(
            to,
            "<tr{class}><td><code>{}</code><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            point.name(),
            summary.sites,
            grouped(summary.elements),
            grouped(summary.outside),
            short(summary.worst_ratio),
            short(summary.error_rms()),
            short(summary.reference_rms()),
        )?;
    }
    writeln!(to, "</table></div>\n</section>")
}

fn power(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    let power = &checked.report.power;
    if power.total == 0 {
        return Ok(());
    }
    section(to, "What this check could have seen")?;
    let share = power.seen.len() as f64 / power.total as f64;
    writeln!(
        to,
        "<p>{} of {} known bugs would have shown in this dump.</p>\n\
         <svg class=\"bar\" viewBox=\"0 0 100 3\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\
         <rect class=\"rest\" width=\"100\" height=\"3\"/><rect class=\"part\" width=\"{:.2}\" height=\"3\"/></svg>",
        power.seen.len(),
        power.total,
        percent(share),
        100.0 * share,
    )?;
    if !power.blind.is_empty() {
        writeln!(to, "<div class=\"wide\"><table>\n<tr><th>blind to<th>because<th>needs<th>shown by</tr>")?;
        for blind in &power.blind {
            writeln!(
                to,
                "<tr><td><code>{}</code><td class=\"text\">{}<td class=\"text\">{}<td class=\"text\">{}</tr>",
                blind.mutant,
                Text(&blind.reason),
                Text(&blind.needs),
                Text(&blind.prompt.text)
            )?;
        }
        writeln!(to, "</table></div>")?;
    }
    let seen: Vec<String> = power.seen.iter().map(|mutant| format!("<code>{mutant}</code>")).collect();
    if !seen.is_empty() {
        writeln!(
            to,
            "<details><summary>Those that would have shown</summary><p>{}</p></details>",
            seen.join(", ")
        )?;
    }
    writeln!(to, "</section>")
}

/// Which arrays were taken as what.
fn arrays(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    section(to, "Arrays of the dump")?;
    let matching = checked.matching;
    writeln!(to, "<p>{} matched, {} left.</p>", matching.matched.len(), matching.unmatched.len())?;
    let guessed = matching.matched.iter().filter(|matched| !matched.guesses.is_empty());
    if guessed.clone().next().is_some() {
        writeln!(to, "<h3>Guessed</h3>\n<ul>")?;
        for matched in guessed {
            let guesses = matched.guesses.join("; ");
            writeln!(to, "<li><code>{}</code>: {}</li>", Text(&matched.name), Text(&guesses))?;
        }
        writeln!(to, "</ul>")?;
    }
    let unjudged = &checked.report.unjudged;
    if !matching.unmatched.is_empty() || !unjudged.is_empty() {
        writeln!(to, "<details><summary>Left, and not judged</summary>\n<ul>")?;
        for unmatched in &matching.unmatched {
            writeln!(to, "<li><code>{}</code>: {}</li>", Text(&unmatched.name), Text(&unmatched.why))?;
        }
        for unjudged in unjudged {
            writeln!(to, "<li><code>{}</code>: {}</li>", unjudged.site, Text(&unjudged.reason))?;
        }
        writeln!(to, "</ul></details>")?;
    }
    writeln!(
        to,
        "<details><summary>Matched</summary>\n<div class=\"wide\"><table>\n<tr><th>array<th>value<th>shape<th>type<th>names of</tr>"
    )?;
    for matched in &matching.matched {
        writeln!(
            to,
            "<tr><td><code>{}</code><td><code>{}</code><td>{:?}<td>{}<td>{}</tr>",
            Text(&matched.name),
            matched.value,
            matched.shape,
            matched.dtype,
            matched.scheme,
        )?;
    }
    writeln!(to, "</table></div></details>\n</section>")
}
