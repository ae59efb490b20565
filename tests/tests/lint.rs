//! Every lint rule: where it fires, where it is silent, what it mends, and what its page says.
//!
//! `UPDATE_DOCS=1` writes docs/lint.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gptoss_tests::{fixtures, fixtures_root};
use harmony_format::lint::{self, Example, Finding, LintOptions, Rule};
use harmony_format::{
    Author, ChannelConfig, Content, Conversation, DeveloperContent, Encoding, Message, ParseOptions, Role,
    SystemContent, ToolDescription, ToolNamespace,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn conversation(path: &Path) -> Conversation {
    Conversation::from_json(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn all(conversation: &Conversation) -> Vec<Finding> {
    lint::conversation(conversation, &LintOptions::default())
}

fn codes(findings: &[Finding]) -> BTreeSet<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

/// The findings in a transcript, its markers spelled out.
fn in_transcript(text: &str) -> Vec<Finding> {
    let parsed =
        Encoding::o200k_harmony().parse_text(text, &ParseOptions::recover()).expect("recovery never fails");
    lint::transcript(&parsed, &LintOptions::default())
}

/// The findings in `bad` or `good` of a case, a conversation or a transcript.
fn findings(case: &Path, which: &str) -> Vec<Finding> {
    let text = case.join(which).with_extension("txt");
    if text.exists() {
        in_transcript(read(&text).trim_end_matches('\n'))
    } else {
        all(&conversation(&case.join(which).with_extension("json")))
    }
}

/// The cases that are conversations.
fn conversations() -> impl Iterator<Item = PathBuf> {
    fixtures("lint").into_iter().filter(|case| case.join("bad.json").exists())
}

/// The rule that a fixture folder `L202-result-not-to-assistant` is about.
fn rule_of(case: &Path) -> &'static Rule {
    let folder = case.file_name().and_then(|name| name.to_str()).expect("a folder name in UTF-8");
    let (code, name) = folder.split_once('-').expect("CODE-name");
    let rule = lint::rule(code).unwrap_or_else(|| panic!("{folder}: no such rule"));
    assert_eq!(rule.name, name, "{folder}");
    rule
}

#[test]
fn every_rule_has_a_fixture() {
    let with_fixture: BTreeSet<&str> = fixtures("lint").iter().map(|case| rule_of(case).code).collect();
    let rules: BTreeSet<&str> = lint::rules().map(|rule| rule.code).collect();
    assert_eq!(rules, with_fixture);
}

#[test]
fn a_rule_alone_fires_on_its_bad_fixture_and_the_good_twin_is_silent() {
    let mut wrong = Vec::new();
    for case in fixtures("lint") {
        let (bad, good) = (findings(&case, "bad"), findings(&case, "good"));
        if codes(&bad) != BTreeSet::from([rule_of(&case).code]) || !good.is_empty() {
            wrong.push(format!("{}: bad {:?}, good {:?}", case.display(), codes(&bad), codes(&good)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pointers_and_bytes_lead_to_something() {
    for case in conversations() {
        let conversation = conversation(&case.join("bad.json"));
        let json: serde_json::Value = serde_json::from_str(&conversation.to_json()).unwrap();
        for finding in all(&conversation) {
            let value = json.pointer(&finding.pointer);
            let value = value.unwrap_or_else(|| panic!("{}: {finding:?}", case.display()));
            if let Some(bytes) = finding.bytes {
                let text = value.as_str().expect("bytes count within a text");
                assert!(text.get(bytes).is_some_and(|part| !part.is_empty()), "{}", case.display());
            }
        }
    }
}

#[test]
fn a_rule_that_mends_makes_its_bad_fixture_silent() {
    for case in conversations() {
        let rule = rule_of(&case);
        let mut conversation = conversation(&case.join("bad.json"));
        let before = conversation.clone();
        let fixed = lint::fix(&mut conversation, &LintOptions::default());
        if rule.fix.is_some() {
            assert!(codes(&fixed).contains(rule.code), "{}: {fixed:#?}", case.display());
            let left = all(&conversation);
            assert!(left.is_empty(), "{}: {left:#?}", case.display());
        } else {
            assert_eq!(conversation, before, "{}: {fixed:#?}", case.display());
        }
    }
}

#[test]
fn a_rule_fires_on_its_own_example_and_not_on_the_mended_one() {
    let parse = |lines: &str| -> Conversation {
        lines.lines().map(|line| harmony_format::Message::from_json(line).unwrap()).collect()
    };
    for rule in lint::rules() {
        let [before, after] = match rule.example {
            Example::Messages { before, after } => [before, after].map(|lines| all(&parse(lines))),
            Example::Transcript { before, after } => [before, after].map(in_transcript),
        };
        assert!(codes(&before).contains(rule.code), "{} is silent on its example", rule.code);
        assert!(!codes(&after).contains(rule.code), "{} fires on its mended example", rule.code);
    }
}

#[test]
fn codes_and_names_are_unique_and_in_order() {
    let codes: Vec<_> = lint::rules().map(|rule| rule.code).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    let names: BTreeSet<_> = lint::rules().map(|rule| rule.name).collect();
    assert_eq!(names.len(), codes.len());
}

#[test]
fn selectors_leave_out_pick_and_raise() {
    let bad = conversation(&fixtures_root().join("lint/L206-parallel-calls/bad.json"));
    let with = |only: &[&str], allow: &[&str], deny: &[&str]| {
        let own = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect();
        let options =
            LintOptions { only: own(only), allow: own(allow), deny: own(deny), ..LintOptions::default() };
        assert!(options.unknown_selectors().is_empty());
        lint::conversation(&bad, &options)
    };
    assert_eq!(with(&[], &["parallel-calls"], &[]), []);
    assert_eq!(with(&["L1"], &[], &[]), []);
    assert_eq!(with(&["L2"], &[], &[]).len(), 1);
    assert_eq!(with(&[], &[], &["L206"])[0].severity, lint::Severity::Error);
    assert_eq!(with(&[], &[], &[])[0].severity, lint::Severity::Info);
}

#[test]
fn findings_in_a_transcript_carry_their_place_and_no_fix() {
    for case in fixtures("lint").into_iter().filter(|case| case.join("bad.txt").exists()) {
        let text = read(&case.join("bad.txt"));
        for finding in findings(&case, "bad") {
            let place = finding.tokens.clone().unwrap_or_else(|| panic!("{finding:?}"));
            assert!(text.get(place).is_some_and(|part| part.starts_with("<|")), "{finding:?}");
            assert!(finding.fix.is_empty(), "{finding:?}");
        }
    }
}

/// The conversations that other tests render and parse; what lint says of each is known.
#[test]
fn what_the_shared_conversations_break_is_known() {
    let found: Vec<String> = fixtures("harmony")
        .iter()
        .map(|case| {
            let findings = all(&conversation(&case.join("conversation.json")));
            let codes: Vec<_> = codes(&findings).into_iter().collect();
            format!("{}: {}", case.file_name().unwrap().display(), codes.join(" ")).trim_end().to_owned()
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"), @"
    built_in_tools: L303
    edges: L003 L004 L005 L007 L008 L010 L201 L202 L305 L402 L411 L414 L602 L603
    injection: L001 L005 L008 L107 L202 L204 L401 L601
    multi_turn: L301 L302 L410 L415
    response_format: L401
    schema_zoo: L401 L504 L506
    training: L401
    weather:
    ");
}

/// docs/lint.md, made of the table.
fn page() -> String {
    let mut page = String::from(
        "\
# Lint rules

`gptoss lint FILE...` applies these rules to conversations and transcripts; `--fix` mends what can be mended with certainty.
In a program: `harmony_format::lint`.

A selector is a code (`L202`), the beginning of one (`L2`, a whole group), or a name.
A code is never used for another rule.
An *error* cannot be rendered, cannot be parsed back, or contradicts itself.
A *warning* is something that the model was not trained on, or that another program reads differently.
An *info* is worth knowing.

This page is made of the table in the source; a test compares the two.

| code | name | severity | mended | finds |
|---|---|---|---|---|
",
    );
    for rule in lint::rules() {
        let Rule { code, name, severity, what, .. } = rule;
        let mended = if rule.fix.is_some() { "yes" } else { "" };
        page += &format!(
            "| [{code}](#{}) | `{name}` | {severity} | {mended} | {} |\n",
            code.to_lowercase(),
            what.replace('|', "\\|")
        );
    }
    let mut group = ' ';
    for rule in lint::rules() {
        let first = rule.code.chars().nth(1).expect("a code is a letter and digits");
        if first != group {
            group = first;
            let title = match group {
                '0' => "Headers",
                '1' => "Calls",
                '2' => "Results",
                '3' => "Turns and reasoning",
                '4' => "System and developer messages",
                '5' => "Declarations of tools and formats",
                '6' => "Contents",
                '7' => "Transcripts",
                _ => panic!("no title for the group {group}"),
            };
            page += &format!("\n## {title}\n");
        }
        page += &format!("\n<a id=\"{}\"></a>\n\n", rule.code.to_lowercase());
        page +=
            &format!("### {} {} ({})\n\n{}\n{}\n", rule.code, rule.name, rule.severity, rule.what, rule.why);
        let (language, before, after) = match rule.example {
            Example::Messages { before, after } => ("json", before, after),
            Example::Transcript { before, after } => ("text", before, after),
        };
        page += &format!("\n```{language}\n{before}\n```\n\nBetter:\n\n```{language}\n{after}\n```\n");
        match rule.fix {
            Some(fix) => page += &format!("\n`--fix`: {fix}.\n"),
            None => page += "\n`--fix` leaves it: what was meant is not certain.\n",
        }
        if !rule.sources.is_empty() {
            page += &format!("\nMet in: {}.\n", rule.sources.join(", "));
        }
    }
    page
}

#[test]
fn the_page_is_made_of_the_table() {
    let path = fixtures_root().parent().unwrap().join("docs/lint.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    assert!(
        read(&path) == page(),
        "docs/lint.md differs from lint::rules(): UPDATE_DOCS=1 cargo test -p gptoss-tests --test lint"
    );
}

/// Values that headers have and should not have.
fn word() -> impl Strategy<Value = Option<String>> {
    let words = vec![
        "",
        " ",
        "all",
        "assistant",
        "user",
        "functions.now",
        "functions.now<|channel|>commentary",
        "now",
        "functions.today",
        " functions.now",
        "python",
        "python.exec",
        "browser",
        "analysis",
        "commentary",
        "final",
        "Final",
        "commentary ",
        "odd one",
        "json",
        "<|constrain|>json",
        "<|constrain|> json",
        "json<|constrain|>",
    ];
    prop_oneof![Just(None), select(words).prop_map(|word| Some(word.to_owned()))]
}

fn content() -> impl Strategy<Value = Content> {
    let texts = vec!["", "{}", "{", "\"quoted\"", "<|end|>", "# Instructions", "text"];
    let tools = || {
        let tool = || ToolDescription::new("now", "The time.", json!({"type": "object"}));
        let functions = ["functions", "tools"].map(|name| ToolNamespace {
            name: name.to_owned(),
            description: None,
            tools: vec![tool()],
        });
        select(vec![
            None,
            Some(functions[0].clone()),
            Some(functions[1].clone()),
            Some(ToolNamespace::python()),
        ])
    };
    let keyed = |key: &str, tools: Option<ToolNamespace>| {
        tools.map(|tools| [(if key.is_empty() { tools.name.clone() } else { key.to_owned() }, tools)].into())
    };
    let key = || select(vec!["", "functions"]);
    let date =
        select(vec![None, Some("2025-06-28T10:00"), Some("2025-06-28"), Some("today"), Some("2025-06-280")]);
    let channels = select(vec![vec![], vec!["final"], vec!["analysis", "commentary", "final"]]);
    prop_oneof![
        4 => select(texts).prop_map(Content::from),
        1 => (tools(), key(), date, channels).prop_map(move |(tools, key, date, channels)| {
            let mut system = SystemContent::empty().with_channel_config(ChannelConfig::require(channels));
            system.conversation_start_date = date.map(str::to_owned);
            system.tools = keyed(key, tools);
            system.into()
        }),
        1 => (tools(), key()).prop_map(move |(tools, key)| {
            DeveloperContent { tools: keyed(key, tools), ..DeveloperContent::default() }.into()
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let fields = (select(&Role::ALL[..]), word(), word(), vec(content(), 0..3), word(), word());
    fields.prop_map(|(role, name, recipient, content, channel, content_type)| Message {
        author: Author { role, name },
        recipient,
        content,
        channel,
        content_type,
    })
}

proptest! {
    /// Mending leaves nothing that could be mended, changes nothing the second time, and reports what it did.
    #[test]
    fn mending_is_complete_and_idempotent(messages in vec(message(), 0..8)) {
        let before = Conversation::new(messages);
        let mut once = before.clone();
        let options = LintOptions::default();
        let fixed = lint::fix(&mut once, &options);
        prop_assert_eq!(fixed.is_empty(), once == before);
        let left = all(&once);
        prop_assert!(left.iter().all(|finding| finding.fix.is_empty()), "{:#?}", left);
        let mut twice = once.clone();
        prop_assert!(lint::fix(&mut twice, &options).is_empty());
        prop_assert_eq!(once, twice);
    }

    /// Every pointer leads to a value of the JSON, and every range of bytes to a part of the text there.
    #[test]
    fn places_exist(messages in vec(message(), 0..8)) {
        let conversation = Conversation::new(messages);
        let json: serde_json::Value = serde_json::from_str(&conversation.to_json()).unwrap();
        for finding in all(&conversation) {
            let value = json.pointer(&finding.pointer);
            prop_assert!(value.is_some(), "{:?}", finding);
            if let Some(bytes) = finding.bytes.clone() {
                let text = value.and_then(|value| value.as_str());
                prop_assert!(text.is_some_and(|text| text.get(bytes).is_some()), "{:?}", finding);
            }
        }
    }
}
