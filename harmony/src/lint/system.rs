//! Rules over what system content says: identity, effort, dates and channels.

use super::Edit;
use super::context::{Context, namespaces};
use super::rule::{Example, Report, Rule, Severity};
use super::setup::systems;
use crate::{Role, ToolNamespace, channel};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L410",
        name: "identity-missing",
        severity: Severity::Info,
        what: "The system content has no model identity.",
        why: "The official Python package puts in its own when it reads such JSON, the Rust crate does not: the same \
              file gives two prompts.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Low"}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "model_identity": "You are ChatGPT, a large language model trained by OpenAI.", "reasoning_effort": "Low"}]}"#,
        },
        fix: None,
        sources: &[],
        check: identity_missing,
    },
    Rule {
        code: "L411",
        name: "effort-missing",
        severity: Severity::Warning,
        what: "The system content has no reasoning effort.",
        why: "How long the model thinks is then its own choice. The official Python package puts in medium when it \
              reads such JSON, the Rust crate nothing.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content"}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Medium"}]}"#,
        },
        fix: None,
        sources: &[],
        check: effort_missing,
    },
    Rule {
        code: "L412",
        name: "date-form",
        severity: Severity::Warning,
        what: "The conversation's start date is no date of the form YYYY-MM-DD.",
        why: "The model was trained on this form; another is easily misread, 06/07/2025 for one.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "conversation_start_date": "28.6.2025"}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "conversation_start_date": "2025-06-28"}]}"#,
        },
        fix: Some("what follows a date of this form, a time of day as a rule, goes"),
        sources: &[],
        check: date_form,
    },
    Rule {
        code: "L413",
        name: "cutoff-form",
        severity: Severity::Warning,
        what: "The knowledge cutoff is no month of the form YYYY-MM.",
        why: "The model was trained on this form.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "knowledge_cutoff": "June 2024"}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "knowledge_cutoff": "2024-06"}]}"#,
        },
        fix: None,
        sources: &[],
        check: cutoff_form,
    },
    Rule {
        code: "L414",
        name: "channels-missing",
        severity: Severity::Warning,
        what: "The system content lists no channels.",
        why: "Without the line the model leaves the channel out more often, and functions are not sent to the channel \
              `commentary`: that sentence stands below the list.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Low"}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Low", "channel_config": {"valid_channels": ["analysis", "commentary", "final"], "channel_required": true}}]}"#,
        },
        fix: None,
        sources: &[],
        check: channels_missing,
    },
    Rule {
        code: "L415",
        name: "channel-not-required",
        severity: Severity::Info,
        what: "The system content lists channels but does not require one.",
        why: "The model was trained with the sentence \"Channel must be included for every message.\"",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "channel_config": {"valid_channels": ["final"], "channel_required": false}}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "channel_config": {"valid_channels": ["final"], "channel_required": true}}]}"#,
        },
        fix: None,
        sources: &[],
        check: channel_not_required,
    },
    Rule {
        code: "L416",
        name: "commentary-not-listed",
        severity: Severity::Error,
        what: "Functions are declared, but the list of channels lacks `commentary`.",
        why: "The prompt then says that calls must go to a channel that is not valid.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "channel_config": {"valid_channels": ["analysis", "final"], "channel_required": true}}]}
{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "channel_config": {"valid_channels": ["analysis", "commentary", "final"], "channel_required": true}}]}
{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}"#,
        },
        fix: Some("it is added, before `final` if that is there: the next line of the prompt names it"),
        sources: &["vllm#23167"],
        check: commentary_not_listed,
    },
];

/// A finding about the content of a system message, or a field of it.
fn in_system(index: usize, item: usize, field: &str) -> String {
    format!("/messages/{index}/content/{item}{field}")
}

fn identity_missing(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, item, _) in systems(context).filter(|(.., system)| system.model_identity.is_none()) {
        report.add(index, in_system(index, item, ""), "the system content has no model identity");
    }
}

fn effort_missing(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, item, _) in systems(context).filter(|(.., system)| system.reasoning_effort.is_none()) {
        report.add(index, in_system(index, item, ""), "the system content has no reasoning effort");
    }
}

fn date_form(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, item, system) in systems(context) {
        let Some(date) = &system.conversation_start_date else { continue };
        let Some(problem) = date_problem(date) else { continue };
        let pointer = in_system(index, item, "/conversation_start_date");
        let added = report.add(index, pointer.clone(), problem);
        if let Some(day) = date.get(..10).filter(|day| date_problem(day).is_none())
            && date[10..].starts_with(['T', ' '])
        {
            added.fix([Edit::Add { path: pointer, value: day.into() }]);
        }
    }
}

fn cutoff_form(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, item, system) in systems(context) {
        if let Some(problem) = system.knowledge_cutoff.as_deref().and_then(month_problem) {
            report.add(index, in_system(index, item, "/knowledge_cutoff"), problem);
        }
    }
}

fn channels_missing(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, item, system) in systems(context) {
        if system.channel_config.as_ref().is_none_or(|config| config.valid_channels.is_empty()) {
            report.add(index, in_system(index, item, ""), "the system content lists no channels");
        }
    }
}

fn channel_not_required(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, item, system) in systems(context) {
        if let Some(config) = &system.channel_config
            && !config.channel_required
            && !config.valid_channels.is_empty()
        {
            let pointer = in_system(index, item, "/channel_config/channel_required");
            report.add(index, pointer, "the channel is not required");
        }
    }
}

fn commentary_not_listed(context: &Context<'_>, report: &mut Report<'_>) {
    let has_functions =
        context.messages.iter().flat_map(|message| namespaces(message)).any(|(namespace, role)| {
            role == Role::Developer
                && namespace.name == ToolNamespace::FUNCTIONS
                && !namespace.tools.is_empty()
        });
    if !has_functions {
        return;
    }
    for (index, item, system) in systems(context) {
        let Some(config) = &system.channel_config else { continue };
        let channels = &config.valid_channels;
        if channels.is_empty() || channels.iter().any(|one| one == channel::COMMENTARY) {
            continue;
        }
        let pointer = in_system(index, item, "/channel_config/valid_channels");
        let at = channels.iter().position(|one| one == channel::FINAL).unwrap_or(channels.len());
        report
            .add(index, pointer.clone(), "functions are called on `commentary`, which is not listed")
            .fix([Edit::Add { path: format!("{pointer}/{at}"), value: channel::COMMENTARY.into() }]);
    }
}

fn date_problem(date: &str) -> Option<String> {
    let is_date = match split_digits(date)[..] {
        [(4, year), (2, month), (2, day)] => (1..=days(year, month)).contains(&day),
        _ => false,
    };
    (!is_date).then(|| format!("a date has the form YYYY-MM-DD, found {date:?}"))
}

fn month_problem(month: &str) -> Option<String> {
    let is_month = matches!(split_digits(month)[..], [(4, _), (2, 1..=12)]);
    (!is_month).then(|| format!("a month has the form YYYY-MM, found {month:?}"))
}

/// The parts between hyphens that are digits: how many, and their value; nothing if one is not.
fn split_digits(text: &str) -> Vec<(usize, u32)> {
    let number = |part: &str| {
        let is_digits = part.bytes().all(|byte| byte.is_ascii_digit());
        Some((part.len(), is_digits.then(|| part.parse().ok())??))
    };
    text.split('-').map(number).collect::<Option<_>>().unwrap_or_default()
}

/// The days of a month of the Gregorian calendar; none of a month that does not exist.
fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(400) || (year.is_multiple_of(4) && !year.is_multiple_of(100)) => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_exist_in_the_calendar() {
        for date in ["2025-06-28", "2024-02-29", "2000-02-29", "1999-12-31"] {
            assert_eq!(date_problem(date), None, "{date}");
        }
        for date in [
            "2025-02-29",
            "1900-02-29",
            "2025-13-01",
            "2025-00-10",
            "2025-6-28",
            "25-06-28",
            "+025-06-28",
            "",
        ] {
            assert!(date_problem(date).is_some(), "{date}");
        }
    }

    #[test]
    fn months_are_one_to_twelve() {
        assert_eq!(month_problem("2024-06"), None);
        for month in ["2024-13", "2024-00", "2024-6", "June 2024", "2024-06-01"] {
            assert!(month_problem(month).is_some(), "{month}");
        }
    }
}
