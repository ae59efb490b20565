//! This crate and the official one side by side, in CPU time of the thread.
//!
//! `cargo bench -p gptoss-tests --features differential` measures for a few minutes and prints Markdown;
//! with `-- --quick` each line runs once, to see that it does. A word as argument picks the lines that hold it.

mod clock;
mod corpus;

use std::hint::black_box;

use harmony_format::{Conversation, Encoding, ParseOptions, RenderOptions, Role, StreamParser, TokenId};
use openai_harmony::chat::{Conversation as OfficialConversation, Role as OfficialRole};
use openai_harmony::{HarmonyEncoding, HarmonyEncodingName, StreamableParser, load_harmony_encoding};

use clock::{Bench, Work};

fn main() {
    if let Some(code) = gptoss_tests::official::run_again_with_vocabulary() {
        std::process::exit(code);
    }
    let theirs = load_harmony_encoding(HarmonyEncodingName::HarmonyGptOss).expect("the vocabulary is given");
    let ours = Encoding::o200k_harmony();
    let mut bench = Bench::from_arguments();
    println!("{} · minimum / median of CPU time of one thread\n", clock::processor());
    println!("| what | this crate | | openai-harmony 0.0.8 | | ratio |\n|---|---:|---:|---:|---:|---:|");
    start(&mut bench, &ours, &theirs);
    for bytes in [108_000, 1_060_000] {
        conversation(&mut bench, &ours, &theirs, bytes);
    }
    for tokens in [10_000, 100_000, 1_000_000] {
        stream(&mut bench, &ours, &theirs, "one message", &corpus::one_message(&ours, tokens));
        stream(&mut bench, &ours, &theirs, "short messages", &corpus::short_messages(&ours, tokens));
    }
    text(&mut bench, &ours, &theirs);
    runs(&mut bench, &ours);
}

/// What a program pays before its first use.
fn start(bench: &mut Bench, ours: &Encoding, theirs: &HarmonyEncoding) {
    bench.line("new encoding", Work::None, Encoding::o200k_harmony, None::<fn() -> ()>);
    bench.line(
        "new stream parser",
        Work::None,
        || ours.stream(ParseOptions::strict()),
        Some(|| StreamableParser::new(theirs.clone(), Some(OfficialRole::Assistant))),
    );
}

/// A conversation of about this many bytes as JSON: read, written, rendered and parsed back.
fn conversation(bench: &mut Bench, ours: &Encoding, theirs: &HarmonyEncoding, bytes: usize) {
    let json = corpus::conversation(bytes).to_json();
    let conversation = Conversation::from_json(&json).expect("our own JSON");
    let official: OfficialConversation = serde_json::from_str(&json).expect("JSON for both");
    let options = RenderOptions::completion(Role::Assistant);
    let render_theirs = || {
        let config = Some(Default::default());
        theirs
            .render_conversation_for_completion(&official.messages, OfficialRole::Assistant, config.as_ref())
            .expect("a conversation that both render")
    };
    let tokens = ours.render(&conversation, &options).expect("a conversation that both render");
    assert_eq!(tokens, render_theirs(), "both must render the same");

    let name = format!("{} kB, {} messages", json.len() / 1000, conversation.messages.len());
    let size = Work::Bytes(json.len());
    let count = Work::Tokens(tokens.len());
    bench.line(
        &format!("read JSON, {name}"),
        size,
        || Conversation::from_json(&json),
        Some(|| serde_json::from_str::<OfficialConversation>(&json)),
    );
    bench.line(
        &format!("write JSON, {name}"),
        size,
        || conversation.to_json(),
        Some(|| serde_json::to_string(&official)),
    );
    bench.line(
        &format!("render, {name}"),
        size,
        || ours.render(&conversation, &options),
        Some(render_theirs),
    );
    bench.line(
        &format!("render with parts, {name}"),
        size,
        || ours.render_detailed(&conversation, &options),
        None::<fn() -> ()>,
    );
    let whole = &tokens[..tokens.len() - 2];
    bench.line(
        &format!("parse, {name}"),
        count,
        || ours.parse(whole, &ParseOptions::strict()).expect("rendered"),
        Some(|| theirs.parse_messages_from_completion_tokens(whole.iter().copied(), None).expect("rendered")),
    );
    bench.line(
        &format!("parse in recover, {name}"),
        count,
        || ours.parse(whole, &ParseOptions::recover()).expect("rendered"),
        None::<fn() -> ()>,
    );
}

/// A stream in which the content is read after every token. The official library copies the whole content
/// for that, in quadratic time, so there the last delta is read.
fn stream(bench: &mut Bench, ours: &Encoding, theirs: &HarmonyEncoding, what: &str, tokens: &[TokenId]) {
    let read_ours = |options: ParseOptions| {
        let mut parser: StreamParser = ours.stream(options.role(Role::Assistant));
        let mut read = 0;
        for &token in tokens {
            for event in parser.push(token).expect("a legal stream") {
                black_box(event);
            }
            read += black_box(parser.current_content()).len();
        }
        read
    };
    let read_theirs = || {
        let mut parser = StreamableParser::new(theirs.clone(), Some(OfficialRole::Assistant))
            .expect("the vocabulary is given");
        let mut read = 0;
        for &token in tokens {
            parser.process(token).expect("a legal stream");
            read += black_box(parser.last_content_delta().expect("a legal stream"))
                .map_or(0, |delta| delta.len());
        }
        read
    };
    let count = Work::Tokens(tokens.len());
    let name = format!("stream {}, {what}", tokens.len());
    bench.line(&name, count, || read_ours(ParseOptions::strict()), Some(read_theirs));
    bench.line(&format!("{name}, recover"), count, || read_ours(ParseOptions::recover()), None::<fn() -> ()>);
}

/// Text without a conversation.
fn text(bench: &mut Bench, ours: &Encoding, theirs: &HarmonyEncoding) {
    let text = corpus::text(1_000_000);
    let tokens = ours.encode_ordinary(&text);
    assert_eq!(tokens, theirs.tokenizer().encode_ordinary(&text), "both must encode the same");
    let size = Work::Bytes(text.len());
    bench.line(
        "encode 1 MB",
        size,
        || ours.encode_ordinary(&text),
        Some(|| theirs.tokenizer().encode_ordinary(&text)),
    );
    bench.line(
        "decode 1 MB",
        size,
        || ours.decode_utf8(&tokens),
        Some(|| theirs.tokenizer().decode_utf8(&tokens)),
    );
}

/// Pieces of a million characters; the official library takes minutes or panics.
fn runs(bench: &mut Bench, ours: &Encoding) {
    let mut random = corpus::Random::new();
    let letters: String = (0..1_000_000).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    let runs = [
        ("spaces", " ".repeat(1_000_000)),
        ("letters a", "a".repeat(1_000_000)),
        ("random letters", letters),
        ("dashes", "-".repeat(1_000_000)),
        ("digits", "7".repeat(1_000_000)),
        ("apostrophes", "'".repeat(1_000_000)),
        ("ideographs", "世".repeat(1_000_000)),
        ("emoji", "👋🏾".repeat(500_000)),
    ];
    for (name, text) in runs {
        let size = Work::Bytes(text.len());
        bench.line(&format!("encode 1 M {name}"), size, || ours.encode_ordinary(&text), None::<fn() -> ()>);
    }
}
