use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harmony_format::{Conversation, Encoding, Message, Role};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::documents;

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

#[test]
fn what_an_answer_cites_is_linked() {
    let page_shown = |cursor: u64, url: &str| {
        json!({
            "tool": "browser.open", "arguments": "{}", "result": format!("[{cursor}] T"), "failed": false, "seconds": 0.25,
            "page": {"cursor": cursor, "url": url, "title": "T <i>", "first_line": 0, "last_line": 9},
        })
    };
    let said = |text: &str, channel: &str, to: Option<&str>| {
        let role = if to == Some("assistant") { "tool" } else { "assistant" };
        json!({"role": role, "name": "browser.open", "recipient": to, "channel": channel, "content": text})
    };
    let record = json!({
        "schema": "gptoss.record/1", "model": "tiny", "model_digest": "00",
        "settings": {
            "profile": "bf16", "temperature": 0.0, "top_p": 1.0, "top_k": null, "min_p": 0.0, "seed": 0,
            "max_tokens": null, "context": 100, "enforced": false, "most_calls": 16,
        },
        "conversation": {"messages": [{"role": "user", "content": "Which?"}]},
        "calls": [page_shown(0, "https://example.com/?a=\"b\""), page_shown(1, "javascript:alert(1)")],
        "messages": [
            said("{}", "analysis", Some("browser.open")),
            said("[0] T", "analysis", Some("assistant")),
            said("{}", "analysis", Some("browser.open")),
            said("[1] T", "analysis", Some("assistant")),
            said("One【0†L3】, two【1†L2-L4】, three【7†L1】.", "final", None),
        ],
        "answers": [], "end": "return", "seconds": 1.0,
    });
    let read = documents::read(&record.to_string(), documents::From::Auto).unwrap();
    let transcript = Transcript::of_conversation(&Encoding::o200k_harmony(), &read.conversation).unwrap();
    let page = page("run", &transcript.with_record(&read.tape.unwrap()));
    let sources = page.split_once("<ol class=\"sources\"").unwrap().1.split_once("</ol>").unwrap().0;
    let sources: Vec<&str> = sources.lines().filter(|line| line.starts_with("<li>")).collect();
    assert_eq!(
        sources,
        [
            "<li><a href=\"#m2\">【0†L3】</a> <a href=\"https://example.com/?a=&quot;b&quot;\" \
             rel=\"noopener noreferrer\" target=\"_blank\">T &lt;i&gt;</a> \
             <code>https://example.com/?a=&quot;b&quot;</code> line 3</li>",
            // Only pages of the web are links.
            "<li><a href=\"#m4\">【1†L2-L4】</a> T &lt;i&gt; <code>javascript:alert(1)</code> lines 2 to 4</li>",
            "<li>【7†L1】 <span class=\"state\">no page has this number</span></li>",
        ]
    );
    assert_eq!(page.matches(" · 0.25 s</span>").count(), 2);
}
