//! URLs as links name them: what a relative one means, and what is shown of one.
//!
//! A page of the web has a URL of http or https, a document its path in the folder, percent-encoded and without a scheme.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The URL that a link of a page means; none if it is of another scheme.
pub(super) fn join(base: &str, link: &str) -> Option<String> {
    let link: String = link.trim().chars().filter(|c| !c.is_control()).collect();
    if let Some(scheme) = scheme(&link) {
        return is_web(scheme).then_some(link);
    }
    let (link, fragment) = match link.split_once('#') {
        Some((link, fragment)) => (link, Some(fragment)),
        None => (link.as_str(), None),
    };
    let Some(at) = base.find("://") else {
        // A document: there is no host and no query, and a place in it is not told.
        if link.starts_with("//") {
            return None;
        }
        let path = link.split('?').next().unwrap_or_default();
        let folder = if path.starts_with('/') { "" } else { folder(base) };
        return match path {
            "" => Some(base.to_owned()),
            path => Some(without_dots(&format!("{folder}{path}")).trim_start_matches('/').to_owned()),
        };
    };
    let base = base.split('#').next().unwrap_or(base);
    let after = at + "://".len();
    let host_end = base[after..].find(['/', '?']).map_or(base.len(), |length| after + length);
    let (origin, rest) = base.split_at(host_end);
    let (path, _) = split_query(rest);
    let mut joined = if link.starts_with("//") {
        format!("{}{link}", &base[..=at])
    } else if link.is_empty() {
        base.to_owned()
    } else if link.starts_with('?') {
        format!("{origin}{path}{link}")
    } else {
        let (own, query) = split_query(link);
        let folder = match own.starts_with('/') {
            true => "",
            false if path.is_empty() => "/",
            false => folder(path),
        };
        format!("{origin}{}{query}", without_dots(&format!("{folder}{own}")))
    };
    if let Some(fragment) = fragment {
        joined.push('#');
        joined += fragment;
    }
    Some(joined)
}

/// The part of a path with its last `/`.
fn folder(path: &str) -> &str {
    &path[..path.rfind('/').map_or(0, |slash| slash + 1)]
}

/// A path, and its query with the `?`.
fn split_query(path: &str) -> (&str, &str) {
    path.split_at(path.find('?').unwrap_or(path.len()))
}

/// A path without `.` and `..`; what is above its root is the root.
fn without_dots(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for part in path.trim_start_matches('/').split('/') {
        ends_open = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let slash = if is_absolute { "/" } else { "" };
    let end = if ends_open && !kept.is_empty() { "/" } else { "" };
    format!("{slash}{}{end}", kept.join("/"))
}

/// The scheme of a URL that has one.
pub(super) fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let is_one = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    is_one.then_some(scheme)
}

/// Whether a scheme is http or https.
pub(super) fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// The host of a URL with its port; nothing for a document.
pub(super) fn domain(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return "" };
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// A URL with `%41` as the character that it means.
pub(super) fn unquote(url: &str) -> String {
    percent_decode_str(url).decode_utf8_lossy().into_owned()
}

/// A text as a part of a URL: all but letters, digits and `_.-~/` percent-encoded.
pub(super) fn quote(text: &str) -> String {
    const MEANING: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');
    utf8_percent_encode(text, MEANING).to_string()
}

/// The path of a document as its URL: what would mean something else is percent-encoded, other alphabets are not.
pub(super) fn of_document(path: &str) -> String {
    const MEANING: &AsciiSet =
        &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'\\');
    let encoded = |c: char| match c.is_ascii() {
        true => utf8_percent_encode(c.encode_utf8(&mut [0; 4]), MEANING).to_string(),
        false => c.to_string(),
    };
    path.chars().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_to_their_page() {
        for (base, link, joined) in [
            ("http://a.org/b/c?q", "d", "http://a.org/b/d"),
            ("http://a.org/b/c", "/d?e#f", "http://a.org/d?e#f"),
            ("http://a.org/b/c", "../../../d", "http://a.org/d"),
            ("http://a.org/b/c", "./", "http://a.org/b/"),
            ("http://a.org", "d", "http://a.org/d"),
            ("http://a.org/b?x", "?y", "http://a.org/b?y"),
            ("https://a.org/b", "//c.org/d", "https://c.org/d"),
            ("http://a.org/b", "HTTP://c.org", "HTTP://c.org"),
            ("", "http://c.org/x", "http://c.org/x"),
            ("guide/a.md", "b.md", "guide/b.md"),
            ("guide/a.md", "../b.md#part", "b.md"),
            ("guide/a.md", "../../../etc/passwd", "etc/passwd"),
            ("guide/a.md", "/b.md", "b.md"),
            ("guide/a.md", "#part", "guide/a.md"),
        ] {
            assert_eq!(join(base, link).as_deref(), Some(joined), "{base} {link}");
        }
        for link in ["mailto:x@y", "javascript:1", "ftp://a.org/x", "data:text/html,x", "file:///etc/passwd"]
        {
            assert_eq!(join("http://a.org/", link), None);
        }
        assert_eq!(join("a.md", "//host/share"), None);
    }

    #[test]
    fn what_is_shown_of_a_url() {
        assert_eq!(domain("https://a.org:8080/b"), "a.org:8080");
        assert_eq!(domain("guide/a.md"), "");
        assert_eq!(unquote("a%20b%C3%9F%zz%4"), "a bß%zz%4");
        assert_eq!(unquote("%ff"), "\u{fffd}");
        assert_eq!(quote("a b/ß"), "a%20b/%C3%9F");
        assert_eq!(of_document("grüße/100 %.md"), "grüße/100%20%25.md");
    }
}
