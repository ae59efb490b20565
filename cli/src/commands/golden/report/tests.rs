use gptoss_runtime::golden::report::{
    Counts, Finding, Mode, Power, Report, Routing, Structure, Unjudged, Worst,
};
use gptoss_runtime::golden::{Accumulator, Matched, Matching, Meta, Scheme, Site, Unmatched};

use super::*;

/// Text that ends elements, attributes, cells and lines wherever it is not escaped.
const HOSTILE: &str =
    "</script><script>alert(1)</script>\"'><img src=x onerror=y> ]]> `|` \u{1b}[2J\r\n\0&amp;";

fn site(name: &str) -> Site {
    name.parse().unwrap()
}

fn finding(name: &str, outside: u64, ratio: f64) -> Finding {
    Finding {
        site: site(name),
        inputs: vec![site("embedding")],
        rows: 3,
        elements: 192,
        single_valued: 0,
        outside,
        not_finite: 0,
        first_outside: (outside > 0).then_some(1),
        worst: Some(Worst {
            position: 1,
            element: 2,
            value: f64::NAN,
            exact: 0.1,
            rounded: 0.1,
            low: 0.0,
            high: 0.2,
        }),
        error_rms: 0.01,
        reference_rms: 0.005,
        allowed_rms: 0.02,
        worst_ratio: ratio,
        by_position: vec![(0, 0.0), (1, ratio), (2, 0.3)],
        ulps: [100, 50, 20, 10, 5, 3, 2, 1, 1, 0, 0, 0],
    }
}

fn report(verdict: Verdict) -> Report {
    let outside = if verdict == Verdict::Wrong { 7 } else { 0 };
    let ratio = if verdict == Verdict::Wrong { f64::INFINITY } else { 0.7 };
    Report {
        verdict,
        summary: HOSTILE.to_owned(),
        mode: Mode::Local,
        profile: "bf16",
        accumulate: Accumulator::F32,
        fused: false,
        findings: vec![finding("layer.0.query", 0, 0.4), finding("layer.1.layer_output", outside, ratio)],
        unjudged: vec![Unjudged { site: site("layer.0.down.rank.1"), reason: HOSTILE.to_owned() }],
        suspects: Vec::new(),
        structure: vec![Structure { site: site("layer.1.layer_output"), fact: HOSTILE.to_owned() }],
        routing: vec![Routing { layer: 0, rows: 3, same: 2, ties: 1, explained: 0, wrong: 0 }],
        drift: None,
        power: Power::default(),
        counts: Counts::default(),
    }
}

/// Draws a report about a dump whose names are hostile.
fn draw(verdict: Verdict, page: fn(&Checked<'_>) -> String) -> String {
    let matching = Matching {
        matched: vec![Matched {
            name: HOSTILE.to_owned(),
            value: site("layer.0.query"),
            sites: 1,
            scheme: Scheme::Gptoss,
            shape: vec![3, 64],
            dtype: "f32",
            guesses: vec![HOSTILE.to_owned()],
        }],
        unmatched: vec![Unmatched { name: HOSTILE.to_owned(), shape: vec![1], why: HOSTILE.to_owned() }],
        notes: vec![HOSTILE.to_owned()],
    };
    let lint = [lint::Finding {
        rule: lint::Rule::AllZero,
        sites: vec![site("layer.0.query")],
        text: HOSTILE.to_owned(),
        help: "none",
    }];
    let (meta, report) = (Meta::default(), report(verdict));
    page(&Checked {
        dump: Path::new(HOSTILE),
        meta: &meta,
        matching: &matching,
        lint: &lint,
        report: &report,
        stale: Some(HOSTILE),
    })
}

const VERDICTS: [Verdict; 3] = [Verdict::Right, Verdict::Wrong, Verdict::Blind];

#[test]
fn nothing_in_a_dump_becomes_markup_of_a_page() {
    for verdict in VERDICTS {
        let page = draw(verdict, html::page);
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(!page.contains('\u{1b}') && !page.contains('\0'));
        assert!(page.contains("default-src 'none'"), "the page loads nothing");
    }
}

#[test]
fn a_page_is_balanced_and_the_verdict_comes_first() {
    for (verdict, word) in VERDICTS.into_iter().zip(["suspicious", "wrong", "blind"]) {
        let page = draw(verdict, html::page);
        let body = page.split_once("<body>").unwrap().1;
        assert!(body.trim_start().starts_with(&format!("<header class=\"{word}\">")), "{verdict:?}");
        for tag in ["section", "svg", "table", "details", "div", "ul", "main", "article", "p"] {
            let (open, close) = (
                page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count(),
                page.matches(&format!("</{tag}>")).count(),
            );
            assert_eq!(open, close, "{tag}");
        }
    }
}

#[test]
fn junit_is_well_formed_and_fails_where_the_check_does() {
    for verdict in VERDICTS {
        let page = draw(verdict, junit::page);
        let mut open: Vec<&str> = Vec::new();
        let mut rest = page.as_str();
        while let Some((text, tag)) = rest.split_once('<') {
            assert!(!text.contains('>'), "{text}");
            let (tag, after) = tag.split_once('>').expect("a tag ends");
            rest = after;
            match tag {
                _ if tag.starts_with('?') || tag.ends_with('/') => {}
                _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(&tag[1..])),
                _ => open.push(tag.split(' ').next().unwrap()),
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(page.chars().all(|c| c == '\n' || !c.is_control()));
        let failures = page.matches("<failure ").count();
        assert!(page.contains(&format!("failures=\"{failures}\"")) && failures >= 2, "{failures}: {page}");
        assert_eq!(page.matches("<testcase ").count(), 5);
    }
}

#[test]
fn markdown_keeps_names_in_their_place() {
    for verdict in VERDICTS {
        let page = draw(verdict, markdown::page);
        // Between backticks nothing is markup.
        let prose: String = page.replace("\\`", "").split('`').step_by(2).collect();
        assert!(!prose.contains("<script") && !prose.contains("<img"), "{page}");
        assert!(!page.contains('\u{1b}'), "{page}");
        let row = page.lines().find(|line| line.starts_with("| query")).unwrap();
        assert_eq!(row.matches('|').count(), 8, "{row}");
        assert!(page.starts_with("### ❌"), "an odd dump does not pass");
    }
}

#[test]
fn numbers_are_short_and_shares_are_never_rounded_up() {
    for (value, text) in [
        (0.0, "0"),
        (1.0, "1.00"),
        (0.03125, "0.0312"),
        (1234.5, "1234"),
        (1.25e-7, "1.25e-7"),
        (f64::INFINITY, "inf"),
    ] {
        assert_eq!(short(value), text);
    }
    assert_eq!(percent(0.999_999), "99.99 %");
    assert_eq!(percent(1.0), "100 %");
}
