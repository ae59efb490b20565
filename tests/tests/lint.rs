//! Every lint rule: where it fires, where it is silent, what it mends, and what its page says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gptoss_tests::{fixtures, fixtures_root};
use harmony_format::Conversation;
use harmony_format::lint::{self, Example, Finding, LintOptions, Rule};

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
    let rules: BTreeSet<&str> = lint::rules()
        .filter(|rule| matches!(rule.example, Example::Messages { .. }))
        .map(|rule| rule.code)
        .collect();
    assert_eq!(rules, with_fixture);
}

#[test]
fn a_rule_alone_fires_on_its_bad_fixture_and_the_good_twin_is_silent() {
    let mut wrong = Vec::new();
    for case in fixtures("lint") {
        let bad = all(&conversation(&case.join("bad.json")));
        let good = all(&conversation(&case.join("good.json")));
        if codes(&bad) != BTreeSet::from([rule_of(&case).code]) || !good.is_empty() {
            wrong.push(format!("{}: bad {:?}, good {:?}", case.display(), codes(&bad), codes(&good)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pointers_and_bytes_lead_to_something() {
    for case in fixtures("lint") {
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
    for case in fixtures("lint") {
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
        let Example::Messages { before, after } = rule.example else { continue };
        let fires = |lines| codes(&all(&parse(lines))).contains(rule.code);
        assert!(fires(before), "{} is silent on its example", rule.code);
        assert!(!fires(after), "{} fires on its mended example", rule.code);
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
