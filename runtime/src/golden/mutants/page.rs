//! The page of the catalogue, written from its table.

use std::fmt::Write as _;
use std::path::Path;

use super::Mutant;

const HEAD: &str = "\
# Known bugs of gpt-oss programs

<!-- Written by runtime/src/golden/mutants/page.rs from the table: UPDATE_DOCS=1 cargo test -p gptoss-runtime --lib golden::mutants -->

Bugs that gpt-oss programs had, each as a change of one formula of the forward pass.
A wrong value of a dump is computed again under each of them, and the report names the one that explains its error; for a right dump it tells which of them would have shown.
`gptoss golden mutants` puts each into a made-up backend and measures whether it is seen and named; `gptoss golden mutants --list` is this page on a terminal.

They stand in the order of the data flow; of two bugs, the earlier one is named first.
Each ninth of the 1,820 ways to put two of them into the two layers of the probe, both in every layer or one in each, was measured: of 161 pairs in which each changes what the other gives, the earlier one is named first in 160, and beside a window that is open to the right one key too many is not named (a bug that gives the same bits in that layer counts as the same; `cargo run --release -p gptoss-runtime --example golden_pairs -- 9`; without the number, all of them).
Each is a variant of the one formula in `runtime/src/golden/oracle.rs`. A new one is a row of `runtime/src/golden/mutants/table.rs` and a branch where the formula is.

";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| bug | what is wrong | changes |\n|---|---|---|\n");
    let points = |mutant: Mutant| {
        let points = mutant.describe().points.iter().map(|point| format!("`{}`", point.name()));
        points.collect::<Vec<_>>().join(", ")
    };
    for mutant in Mutant::all() {
        let row = mutant.describe();
        let anchor = row.id.replace('.', "");
        writeln!(page, "| [`{}`](#{anchor}) | {} | {} |", row.id, row.title, points(mutant)).unwrap();
    }
    for mutant in Mutant::all() {
        let row = mutant.describe();
        write!(page, "\n## {}\n\n", row.id).unwrap();
        writeln!(page, "{}: {}.\n", capital(row.title), row.formula).unwrap();
        writeln!(page, "- What it looks like: {}.", row.signature).unwrap();
        writeln!(page, "- What shows it: {}.", row.needs).unwrap();
        writeln!(page, "- Reported in {}.", row.threads.join(", ")).unwrap();
    }
    page
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[test]
fn the_page_of_known_bugs_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/golden-mutants.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/golden-mutants.md is stale");
}
