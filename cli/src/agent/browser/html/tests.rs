//! Pages that are made to harm.

use std::time::{Duration, Instant};

use crate::agent::browser::html::{Text, text};

/// Reads a page, which takes little time and gives little text, whatever it is.
#[track_caller]
fn read(html: &str) -> Text {
    let began = Instant::now();
    let read = text(html, "http://a.org/");
    // The clock is looked at now and then, and the machine may be slow.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    assert!(read.text.len() < 8 << 20, "{}", read.text.len());
    read
}

#[test]
fn pages_that_are_deep() {
    let count = 200_000;
    for tag in ["div", "b", "span", "table", "a href=x", "sup", "q", "math"] {
        read(&format!("<{tag}>").repeat(count));
        read(&format!("<{tag}>x").repeat(count));
    }
    for tags in ["<ul><li>x", "<ol><li>", "<blockquote>x", "<blockquote>", "<pre>\n", "<ul><blockquote>x"] {
        let read = read(&tags.repeat(count));
        assert!(read.links.is_empty());
    }
}

#[test]
fn pages_that_are_wide() {
    read(&format!("<p {}>x", "a ".repeat(500_000)));
    let attributes: String = (0..300_000).map(|number| format!("a{number} ")).collect();
    read(&format!("<p {attributes}>x"));
    read(&"<a href=x>".repeat(400_000));
    read(&format!("<a href=x>{}</a>", "<b>y</b>".repeat(400_000)));
    let links: String = (0..100_000).map(|number| format!("<a href={number}>y</a>")).collect();
    assert_eq!(read(&links).links.len(), 100_000);
    read(&"<abbr title=x>y</abbr>".repeat(200_000));
    read(&"<li>".repeat(1_000_000));
    read(&"x<b>".repeat(1_000_000));
    read(&"<!--".repeat(1_000_000));
    read(&"<![CDATA[".repeat(400_000));
    read(&"<script>".repeat(400_000));
    read(&"<".repeat(4_000_000));
    read(&"</".repeat(2_000_000));
}

#[test]
fn entities_are_characters_once() {
    let read = read(
        "&lt;script&gt; &amp;lt; &#x110000; &#0; &#xD800; &nosuch; &#1010101010101010; &NotEqualTilde; &CounterClockwiseContourIntegral;",
    );
    assert!(
        read.text.starts_with("<script> &lt; \u{fffd} \u{fffd} \u{fffd} &nosuch; \u{fffd} ≂̸ ∳"),
        "{}",
        read.text
    );
    self::read(&"&".repeat(4_000_000));
    self::read(&"&amp;".repeat(1_000_000));
    self::read(&"&CounterClockwiseContourIntegra".repeat(100_000));
    self::read(&format!("&#{};", "9".repeat(4_000_000)));
}

#[test]
fn what_is_not_well_formed_is_read() {
    for (html, expected) in [
        ("<p>a <b>b <i>c</b> d</i> e", "a b c d e"),
        ("</p></div></ul></blockquote>x", "x"),
        ("<ul><li>a<li>b", "* a \n  * b"),
        ("<a href=x>never ends", "never ends"),
        ("x <a href=x>y<a href=z>w</a>", "x 【0†y】【1†w】"),
        ("<title>never ends", ""),
        ("<title>T</title>x<title>U</title>y", "x y"),
        ("a\0b", "ab"),
        ("<p title=\"unclosed>x", ""),
        ("plain < text > here & there", "plain < text > here & there"),
        ("😀 stays", "😀 stays"),
        ("a<math><mi>x</mi></math>b", "ab"),
        ("<a href='javascript:alert(1)'>j</a> <a href='data:text/html,x'>d</a>", "j d"),
    ] {
        assert_eq!(read(html).text, expected, "{html}");
    }
    assert_eq!(read("<title> T\n&amp; <b>u</title>x").title.as_deref(), Some(" T\n& <b>u"));
    assert_eq!(read("<title>T</title><svg><title>U</title></svg>").title.as_deref(), Some("T"));
}
