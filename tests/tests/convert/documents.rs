//! The page on conversion lists the losses that the code knows.

use std::fmt::Write as _;
use std::fs;

use harmony_format::convert::{LossKind, Severity};

const BEGIN: &str = "<!-- losses: begin -->\n";
const END: &str = "<!-- losses: end -->\n";

fn table() -> String {
    let mut table = "| Code | Name | Severity | What it covers |\n|---|---|---|---|\n".to_owned();
    for kind in LossKind::ALL {
        let severity = match kind.severity() {
            Severity::Note => "note",
            Severity::Warning => "warning",
        };
        let (code, name, summary) = (kind.code(), kind.name(), kind.summary());
        writeln!(table, "| {code} | `{name}` | {severity} | {summary} |").expect("a string takes all text");
    }
    table
}

#[test]
fn the_page_lists_the_losses_that_the_code_knows() {
    let path = gptoss_tests::fixtures_root().with_file_name("docs").join("convert.md");
    let page = fs::read_to_string(&path).unwrap();
    let begin = page.find(BEGIN).expect("the mark before the table") + BEGIN.len();
    let end = page.find(END).expect("the mark after the table");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{}{}{}", &page[..begin], table(), &page[end..])).unwrap();
    } else {
        assert_eq!(&page[begin..end], table(), "UPDATE_DOCS=1 rewrites the table");
    }
}

#[test]
fn codes_and_names_are_unique_and_in_order() {
    for (place, kind) in LossKind::ALL.into_iter().enumerate() {
        assert_eq!(kind.code(), format!("C{:02}", place + 1));
        assert!(LossKind::ALL[..place].iter().all(|other| other.name() != kind.name()));
    }
}
