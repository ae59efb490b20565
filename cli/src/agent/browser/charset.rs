//! Bytes of pages and documents as text.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// The text of bytes: by their byte order mark, the charset that was named with them, the one that a page names itself,
/// else as UTF-8, and as Windows-1252 where they are none.
pub(super) fn decode(bytes: &[u8], named: Option<&str>) -> String {
    let by_mark = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let named = || named.and_then(|label| Encoding::for_label(label.trim().as_bytes()));
    let encoding = by_mark.or_else(named).or_else(|| own(bytes)).unwrap_or_else(|| {
        // A text that was cut may end within a character.
        let is_utf8 = std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true);
        if is_utf8 { UTF_8 } else { WINDOWS_1252 }
    });
    encoding.decode(bytes).0.into_owned()
}

/// The charset that a page names in its first bytes: `<meta charset=…>` or `content="…; charset=…"`.
fn own(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(1024)].to_ascii_lowercase();
    let head = String::from_utf8_lossy(head);
    let meta = head.match_indices("<meta").map(|(at, _)| &head[at..]);
    meta.filter_map(|meta| {
        let meta = meta.split('>').next()?;
        let (_, label) = meta.split_once("charset")?;
        let label = label.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
        let end =
            label.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c))).unwrap_or(label.len());
        Encoding::for_label(&label.as_bytes()[..end])
    })
    .next()
}

/// The `charset` of a content type.
pub(super) fn of_content_type(content_type: &str) -> Option<&str> {
    let parameters = content_type.split(';').skip(1);
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, charset)| charset.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_are_found() {
        for (bytes, named, expected) in [
            (&b"gr\xc3\xbc\xc3\x9fe"[..], None, "grüße"),
            (b"gr\xfc\xdfe", None, "grüße"),
            (b"gr\xfc\xdfe", Some("iso-8859-1"), "grüße"),
            (b"\xef\xbb\xbfgr\xc3\xbc", Some("iso-8859-1"), "grü"),
            (b"\xff\xfea\0", None, "a"),
            (b"<meta charset='koi8-r'>\xd2", None, "<meta charset='koi8-r'>р"),
            (
                b"<meta content=\"text/html; charset=iso-8859-5\">\xe2",
                None,
                "<meta content=\"text/html; charset=iso-8859-5\">т",
            ),
            (b"a\xff\xfe", Some("no-such"), "aÿþ"),
        ] {
            assert_eq!(decode(bytes, named), expected);
        }
        assert_eq!(of_content_type("text/html; Charset=\"utf-8\""), Some("utf-8"));
        assert_eq!(of_content_type("text/html"), None);
    }
}
