//! System and developer messages, line by line.

use std::collections::BTreeMap;

use super::catalog::Kind;

/// A difference in a text: its kind, our lines, the template's lines.
pub(super) type Found = (Kind, String, String);

/// Compares the contents of two system messages.
pub(super) fn system(ours: &str, theirs: &str) -> Vec<Found> {
    let (gone, new) = lines(ours, theirs);
    let is_date = |line: &&str| line.starts_with("Current date:");
    let part = |lines: &[&str], dates: bool| {
        lines.iter().filter(|line| is_date(line) == dates).copied().collect::<Vec<_>>().join("\n")
    };
    let mut found = Vec::new();
    for (kind, dates) in [(Kind::Date, true), (Kind::SystemText, false)] {
        let (gone, new) = (part(&gone, dates), part(&new, dates));
        if gone != new {
            found.push((kind, gone, new));
        }
    }
    if found.is_empty() {
        found.push((Kind::SystemText, ours.to_owned(), theirs.to_owned()));
    }
    found
}

/// Compares the contents of two developer messages.
pub(super) fn developer(ours: &str, theirs: &str) -> Vec<Found> {
    let (ours, theirs) = (split(ours), split(theirs));
    let titles =
        |sections: &[(String, String)]| sections.iter().map(|(title, _)| title.clone()).collect::<Vec<_>>();
    let (our_titles, their_titles) = (titles(&ours), titles(&theirs));
    let mut found = Vec::new();
    let sorted = |mut titles: Vec<String>| {
        titles.sort();
        titles
    };
    if our_titles != their_titles && sorted(our_titles.clone()) == sorted(their_titles.clone()) {
        found.push((Kind::SectionOrder, our_titles.join(", "), their_titles.join(", ")));
    }
    let get = |sections: &[(String, String)], title: &str| {
        sections.iter().find(|(other, _)| other == title).map(|(_, text)| text.trim_end().to_owned())
    };
    let only_theirs = their_titles.iter().filter(|title| !our_titles.contains(title));
    for title in our_titles.iter().chain(only_theirs) {
        let (ours, theirs) = (get(&ours, title).unwrap_or_default(), get(&theirs, title).unwrap_or_default());
        if ours != theirs {
            if title == "# Tools" {
                tools(&ours, &theirs, &mut found);
            } else {
                found.push((Kind::Unknown, ours, theirs));
            }
        }
    }
    if found.is_empty() {
        found.push((Kind::Unknown, our_titles.join(", "), their_titles.join(", ")));
    }
    found
}

fn tools(ours: &str, theirs: &str, found: &mut Vec<Found>) {
    let (mut gone, mut new) = lines(ours, theirs);
    gone.retain(|line| {
        let Some((declaration, default)) = line.split_once(", // default: ") else { return true };
        let comma_in_comment = format!("{declaration} // default: {default},");
        let Some(at) = new.iter().position(|line| line.trim() == comma_in_comment.trim()) else {
            return true;
        };
        found.push((Kind::DefaultComment, (*line).to_owned(), new.remove(at).to_owned()));
        false
    });
    if !gone.is_empty() || !new.is_empty() {
        found.push((Kind::ToolText, gone.join("\n"), new.join("\n")));
    } else if found.is_empty() {
        found.push((Kind::ToolText, ours.to_owned(), theirs.to_owned()));
    }
}

/// The sections of a developer message, each with its heading.
fn split(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match sections.last_mut() {
            Some((_, text)) if !line.starts_with("# ") => text.push_str(line),
            _ => sections.push((line.trim_end().to_owned(), line.to_owned())),
        }
    }
    sections
}

/// The lines that only one side has, in their order.
fn lines<'a>(ours: &'a str, theirs: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let only = |of: &'a str, other: &'a str| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for line in other.lines() {
            *counts.entry(line).or_default() += 1;
        }
        of.lines()
            .filter(|line| match counts.get_mut(line) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    false
                }
                _ => true,
            })
            .collect()
    };
    (only(ours, theirs), only(theirs, ours))
}
