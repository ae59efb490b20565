//! The names of tools, as the format has them and as servers have them.

use std::collections::BTreeSet;

use crate::agent::table::is_identifier;

/// The most bytes of a name.
const LONGEST: usize = 64;

/// A legal name for each name, all of them different; none for a name that was there before.
///
/// Names that are legal stay as they are. Of the others, what is no letter or digit becomes `_`, and one that is taken
/// gets a number, in the order of the list.
pub(super) fn legal(names: &[String]) -> Vec<Option<String>> {
    let stays = |name: &str| is_identifier(name) && name.len() <= LONGEST;
    let mut taken: BTreeSet<String> = names.iter().filter(|name| stays(name)).cloned().collect();
    let mut seen = BTreeSet::new();
    let mut free = |base: String| {
        let numbered = (2..).map(|number: usize| {
            let suffix = format!("_{number}");
            format!("{}{suffix}", &base[..base.len().min(LONGEST - suffix.len())])
        });
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));
        let name = name.unwrap_or_default();
        taken.insert(name.clone());
        name
    };
    let mut of = |name: &String| {
        if !seen.insert(name.clone()) {
            return None;
        }
        Some(if stays(name) { name.clone() } else { free(made_legal(name)) })
    };
    names.iter().map(&mut of).collect()
}

fn made_legal(name: &str) -> String {
    let mut legal: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !legal.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        legal.insert(0, '_');
    }
    legal.truncate(LONGEST);
    legal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], expected: &[Option<&str>]) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let legal = legal(&names);
        assert_eq!(legal.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_identifier_becomes_one() {
        check(&["get-sum", "a.b/c", "2nd", "é", ""], &["get_sum", "a_b_c", "_2nd", "_", "__2"].map(Some));
    }

    #[test]
    fn legal_names_stay_and_others_give_way() {
        check(&["a-b", "a_b", "a.b", "a b"], &[Some("a_b_2"), Some("a_b"), Some("a_b_3"), Some("a_b_4")]);
        check(&["x", "x", "y-", "y-"], &[Some("x"), None, Some("y_"), None]);
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let (long, longer) = ("n".repeat(65), "n".repeat(66));
        let expected = [Some("n".repeat(64)), Some("n".repeat(62) + "_2")];
        assert_eq!(legal(&[long, longer]), expected);
    }
}
