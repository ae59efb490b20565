//! The character classes that the splitter tells apart.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use regex_syntax::hir::{Class, HirKind};

use crate::layout::{CASELESS, LOWER, MARK, NEWLINE, NUMBER, OTHER, PAGE, PAGES, SPACE, UPPER};
use crate::write as write_file;

/// The classes by the patterns of the regex library that define them; a later one wins.
const CLASSES: [(&str, u8); 7] = [
    (r"[\p{Lu}\p{Lt}]", UPPER),
    (r"[\p{Lm}\p{Lo}]", CASELESS),
    (r"\p{M}", MARK),
    (r"\p{Ll}", LOWER),
    (r"\p{N}", NUMBER),
    (r"\s", SPACE),
    (r"[\r\n]", NEWLINE),
];

pub(crate) fn write(out: &Path) -> io::Result<()> {
    let mut classes = vec![OTHER; PAGE * PAGES];
    for (pattern, class) in CLASSES {
        for (start, end) in ranges(pattern) {
            classes[start as usize..=end as usize].fill(class);
        }
    }
    let mut pages: Vec<&[u8]> = Vec::new();
    let mut known = HashMap::new();
    let mut index = Vec::with_capacity(PAGES);
    for page in classes.chunks(PAGE) {
        let number = *known.entry(page).or_insert_with(|| {
            pages.push(page);
            pages.len() - 1
        });
        index.push(u8::try_from(number).expect("fewer than 256 pages differ"));
    }
    pages.resize(256, pages[0]);
    write_file(out, "page_index.bin", index)?;
    write_file(out, "pages.bin", pages.concat())
}

fn ranges(pattern: &str) -> Vec<(char, char)> {
    let hir = regex_syntax::parse(pattern).expect("the patterns are valid");
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().map(|range| (range.start(), range.end())).collect()
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        kind => unreachable!("{pattern} is a class, not {kind:?}"),
    }
}
