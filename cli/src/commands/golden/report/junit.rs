//! For test runners: JUnit XML, one case a judged site, and one for the dump itself.

use std::fmt::{self, Write};

use gptoss_runtime::golden::report::Verdict;

use super::{Checked, percent, short};
use crate::html::Text;

pub(crate) fn page(checked: &Checked<'_>) -> String {
    super::drawn(checked, write)
}

fn write(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    let report = checked.report;
    let wrong = report.findings.iter().filter(|finding| finding.outside > 0).count();
    let is_blind = report.verdict == Verdict::Blind;
    let failures = wrong + checked.lint.len() + usize::from(is_blind || checked.stale.is_some());
    let tests = report.findings.len() + report.unjudged.len() + checked.lint.len() + 1;
    let skipped = report.unjudged.len();
    writeln!(to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        to,
        "<testsuites name=\"gptoss golden check\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">"
    )?;
    writeln!(
        to,
        "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
        Text(&checked.name())
    )?;
    let case = |to: &mut String, class: &str, name: &str| {
        write!(to, "    <testcase classname=\"{}\" name=\"{}\"", Text(class), Text(name))
    };
    case(to, "dump", "is judged")?;
    let reason = checked.stale.or(is_blind.then_some(report.summary.as_str()));
    match reason {
        Some(reason) => failure(to, reason, reason)?,
        None => writeln!(to, "/>")?,
    }
    for finding in checked.lint {
        case(to, "lint", finding.rule.name())?;
        let sites: Vec<String> = finding.sites.iter().map(ToString::to_string).collect();
        failure(to, &finding.text, &format!("{}\n{}", finding.help, sites.join("\n")))?;
    }
    for finding in &report.findings {
        let class = finding.site.layer.map_or_else(|| "model".to_owned(), |layer| format!("layer {layer}"));
        case(to, &class, &finding.site.to_string())?;
        if finding.outside == 0 {
            writeln!(to, "/>")?;
            continue;
        }
        let message =
            format!("{} of {} elements are outside of their bounds", finding.outside, finding.elements);
        let mut text = format!("error over bound {}\n", short(finding.worst_ratio));
        if let Some(worst) = &finding.worst {
            writeln!(
                text,
                "worst at position {}, element {}: found {}, allowed {} to {}",
                worst.position, worst.element, worst.value, worst.low, worst.high
            )?;
        }
        for suspect in report.suspects.iter().filter(|suspect| suspect.site == finding.site) {
            writeln!(
                text,
                "{} explains {}: {}",
                suspect.mutant,
                percent(suspect.explained),
                suspect.formula
            )?;
        }
        failure(to, &message, &text)?;
    }
    for unjudged in &report.unjudged {
        let class = unjudged.site.layer.map_or_else(|| "model".to_owned(), |layer| format!("layer {layer}"));
        case(to, &class, &unjudged.site.to_string())?;
        writeln!(to, ">\n      <skipped message=\"{}\"/>\n    </testcase>", Text(&unjudged.reason))?;
    }
    writeln!(to, "  </testsuite>\n</testsuites>")
}

fn failure(to: &mut String, message: &str, text: &str) -> fmt::Result {
    writeln!(to, ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>", Text(message), Text(text))
}
