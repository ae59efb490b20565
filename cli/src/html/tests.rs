use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harmony_format::{Conversation, Encoding, Message, Role};
use sha2::{Digest, Sha256};

use super::*;

fn page_of(messages: impl IntoIterator<Item = Message>) -> String {
    let conversation = Conversation::new(messages);
    page("a <b> & \"c\"", &Transcript::of_conversation(&Encoding::o200k_harmony(), &conversation).unwrap())
}

#[test]
fn the_page_allows_its_own_script_alone() {
    let hash = BASE64_STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    assert_eq!(SCRIPT_HASH, hash, "page.js has changed: put this hash into html.rs");
}

#[test]
fn nothing_in_a_conversation_becomes_markup() {
    let hostile =
        "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onmouseover=alert(3) <!--";
    let page = page_of([
        Message::new(Role::User, hostile)
            .with_channel(hostile)
            .with_recipient(hostile)
            .with_content_type(hostile),
        Message::new(Role::Assistant, hostile).with_channel("analysis"),
    ]);
    assert_eq!(page.matches("<script").count(), 2, "the data and our script");
    assert_eq!(page.matches("</script>").count(), 2);
    for markup in ["<img", "<!--", "<b> &"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;img src=x onerror=alert(2)&gt;&quot;&#39; onmouseover=alert(3) &lt;!--"));
}

#[test]
fn the_page_loads_nothing() {
    let page = page_of([Message::new(Role::User, "hi")]);
    for reference in ["http:", "https:", "src=", "url(", "@import", "fetch(", "import("] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn the_script_gets_lengths_in_units_of_utf_16() {
    let page = page_of([Message::new(Role::User, "a👋🏾\r\n\0b")]);
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let end = start + page[start..].find("</script>").unwrap();
    let data: serde_json::Value = serde_json::from_str(&page[start..end]).unwrap();
    let content = data.as_array().unwrap().iter().find(|run| run["ids"][0] == 64).unwrap();
    let total: u64 = content["lens"].as_array().unwrap().iter().map(|len| len.as_u64().unwrap()).sum();
    assert_eq!(total, "a👋🏾\r\n\0b".encode_utf16().count() as u64);
    assert!(page.contains("a👋🏾&#13;\n\u{fffd}b</div>"));
}
