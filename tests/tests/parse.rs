//! Parsing: the official library's messages, states, deltas and errors; properties of every stream.

use std::fs;

use harmony_format::{
    Author, Conversation, DropPolicy, Encoding, Event, Message, Mode, Owner, ParseOptions, Parsed,
    RecipientPosition, RenderOptions, Repair, Role, SpecialToken,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

/// A stream as the official library read it, the end of the input as its last step; see fixtures/streams/record.py.
///
/// `RECORDINGS=FILE` reads other recordings than the committed ones.
#[derive(Deserialize)]
struct Recording {
    role: Option<Role>,
    strict: bool,
    tokens: Vec<u32>,
    trace: Vec<Value>,
    messages: Vec<Message>,
}

fn recordings() -> Vec<Recording> {
    let path = match std::env::var("RECORDINGS") {
        Ok(path) => path.into(),
        Err(_) => gptoss_tests::fixtures_root().join("streams/official.jsonl"),
    };
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a recording a line")).collect()
}

#[test]
fn every_step_is_that_of_the_official_library() {
    let encoding = Encoding::o200k_harmony();
    for Recording { role, strict, tokens, trace, messages } in recordings() {
        let mode = if strict { Mode::Strict } else { Mode::Lenient };
        let mut stream = encoding.stream(ParseOptions { mode, ..ParseOptions::default() }.role(role));
        for (step, official) in trace.iter().enumerate() {
            let result = match tokens.get(step) {
                Some(&token) => stream.push(token).map(|_| ()),
                None => stream.finish().map(|_| ()),
            };
            let ours = json!({
                "error": result.err().map(|error| error.reference_message().to_owned()),
                "state": stream.state_json(),
                "delta": stream.last_content_delta(),
                "content": stream.current_content(),
                "role": stream.current_role(),
                "channel": stream.current_channel(),
                "recipient": stream.current_recipient(),
                "content_type": stream.current_content_type(),
                "messages": stream.messages().len(),
            });
            assert_eq!(&ours, official, "step {step} of {tokens:?}, {mode:?}, role {role:?}");
        }
        assert_eq!(stream.tokens(), tokens);
        let ours: Vec<_> = stream.messages().iter().map(|parsed| parsed.message.clone()).collect();
        assert_eq!(ours, messages, "{tokens:?}");
    }
}

const WORDS: [&str; 30] = [
    "assistant",
    "user",
    "tool",
    "analysis",
    "commentary",
    "final",
    " to=functions.f",
    "to=x",
    " to=assistant",
    " json",
    " code",
    "functions.f",
    "python",
    ":",
    " ",
    "\n",
    "\u{3000}",
    "{\"a\":1}",
    "hello",
    "é",
    "👋🏾",
    "<|channel|>",
    "<|end",
    "|>",
    "<",
    "<|start|>",
    "assistantassistant",
    "?",
    "user:bob",
    "<|endoftext|>",
];

/// Tokens that look like Harmony here and there.
fn tokens() -> impl Strategy<Value = Vec<u32>> {
    let encoding = Encoding::o200k_harmony();
    let word = proptest::sample::select(WORDS.map(|word| encoding.encode_ordinary(word)).to_vec());
    let marker = proptest::sample::select(
        SpecialToken::ALL.map(|marker| vec![encoding.marker_id(marker).expect("o200k has all")]).to_vec(),
    );
    // Ids below 400 are mostly single bytes and pairs; some of the others do not exist.
    let any = prop_oneof![0..400u32, 0..201_200u32].prop_map(|token| vec![token]);
    let piece = prop_oneof![4 => word.clone(), 4 => marker, 1 => any];
    let noise = proptest::collection::vec(piece.clone(), 0..24).prop_map(|pieces| pieces.concat());

    let id = |marker: SpecialToken| vec![encoding.marker_id(marker).expect("o200k has all")];
    let maybe =
        |marker| proptest::option::weighted(0.9, Just(id(marker))).prop_map(Option::unwrap_or_default);
    let rarely = proptest::option::weighted(0.3, Just(id(SpecialToken::Constrain)))
        .prop_map(Option::unwrap_or_default);
    let stop = [SpecialToken::End, SpecialToken::Return, SpecialToken::Call].map(id).to_vec();
    let parts: Vec<BoxedStrategy<Vec<Vec<u32>>>> = vec![
        maybe(SpecialToken::Start).prop_map(|token| vec![token]).boxed(),
        proptest::collection::vec(word.clone(), 0..3).boxed(),
        (maybe(SpecialToken::Channel), word.clone()).prop_map(|(marker, name)| vec![marker, name]).boxed(),
        proptest::collection::vec((rarely, word).prop_map(|(marker, name)| [marker, name].concat()), 0..3)
            .boxed(),
        maybe(SpecialToken::Message).prop_map(|token| vec![token]).boxed(),
        proptest::collection::vec(piece, 0..4).boxed(),
        proptest::sample::select(stop).prop_map(|token| vec![token]).boxed(),
    ];
    let message = parts.prop_map(|parts| parts.concat().concat());
    let messages = proptest::collection::vec(message, 1..4).prop_map(|messages| messages.concat());
    prop_oneof![noise, messages]
}

fn options(mode: Mode) -> impl Strategy<Value = ParseOptions> {
    let role = proptest::option::of(proptest::sample::select(Role::ALL.to_vec()));
    (role, any::<bool>(), any::<bool>()).prop_map(move |(role, tools, textual_markers)| {
        let options = ParseOptions { mode, textual_markers, ..ParseOptions::default() }.role(role);
        if tools { options.tools(["functions.f", "python"]) } else { options }
    })
}

/// The events of a stream and whether there was an error; checks that deltas make up the contents.
fn read(options: &ParseOptions, tokens: &[u32]) -> (Vec<Event>, bool) {
    let mut stream = Encoding::o200k_harmony().stream(options.clone());
    let mut events = Vec::new();
    let mut failed = false;
    for &token in tokens {
        match stream.push(token) {
            Ok(more) => events.extend(more),
            Err(_) => failed = true,
        }
    }
    match stream.finish() {
        Ok(more) => events.extend(more),
        Err(_) => failed = true,
    }
    let mut content = String::new();
    for event in &events {
        match event {
            Event::Start(_) => content.clear(),
            Event::Delta(text) => {
                assert!(!text.is_empty());
                content.push_str(text);
            }
            Event::End(parsed) => assert_eq!(parsed.message.text(), content),
            Event::Repair(_) => {}
        }
    }
    (events, failed)
}

fn assert_partition(parsed: &Parsed, len: usize) {
    let mut at = 0;
    for span in &parsed.spans {
        assert_eq!(span.tokens.start, at);
        assert!(span.tokens.end > at);
        at = span.tokens.end;
        match span.owner {
            Owner::Message(index) => assert!(index < parsed.messages.len()),
            Owner::Diagnostic(index) => assert!(index < parsed.diagnostics.len()),
        }
    }
    assert_eq!(at, len);
    for diagnostic in &parsed.diagnostics {
        assert!(diagnostic.message.is_none_or(|index| index < parsed.messages.len()), "{diagnostic:?}");
        assert!(
            diagnostic.tokens.start <= diagnostic.tokens.end && diagnostic.tokens.end <= len,
            "{diagnostic:?}"
        );
    }
}

/// Deltas of one message as one: where a text is cut, they are cut, too.
fn joined(events: Vec<Event>) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    for event in events {
        match (out.last_mut(), event) {
            (Some(Event::Delta(before)), Event::Delta(delta)) => before.push_str(&delta),
            (_, event) => out.push(event),
        }
    }
    out
}

/// The events of a text in pieces, and the first error.
fn read_text(options: &ParseOptions, pieces: &[&str]) -> (Vec<Event>, Option<String>) {
    let mut stream = Encoding::o200k_harmony().stream(options.clone());
    let mut events = Vec::new();
    let mut error = None;
    for piece in pieces {
        match stream.push_text(piece) {
            Ok(more) => events.extend(more),
            Err(found) => error = error.or(Some(format!("{found} {:?}", found.position()))),
        }
    }
    match stream.finish() {
        Ok(more) => events.extend(more),
        Err(found) => error = error.or(Some(format!("{found} {:?}", found.position()))),
    }
    // After an error the events come with the next call.
    events.extend(stream.push_text("").expect("no text, no error"));
    (joined(events), error)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn recover_gives_every_token_one_owner(options in options(Mode::Recover), tokens in tokens()) {
        let parsed = Encoding::o200k_harmony().parse(&tokens, &options).unwrap();
        assert_partition(&parsed, tokens.len());
        let (events, failed) = read(&options, &tokens);
        prop_assert!(!failed);
        let repairs = events.iter().filter(|event| matches!(event, Event::Repair(_))).count();
        prop_assert_eq!(repairs, parsed.diagnostics.len());
    }

    #[test]
    fn deltas_make_up_the_contents(strict in options(Mode::Strict), lenient in options(Mode::Lenient), tokens in tokens()) {
        read(&strict, &tokens);
        read(&lenient, &tokens);
    }

    #[test]
    fn without_a_diagnostic_recover_reads_as_strict_does(
        role in proptest::option::of(proptest::sample::select(Role::ALL.to_vec())),
        tokens in tokens(),
    ) {
        let encoding = Encoding::o200k_harmony();
        // In strict mode white space beyond ASCII is a part of words, and a marker may be spelled in a header.
        let odd = ["\u{3000}", "<|channel|>"].map(|text| encoding.encode_ordinary(text));
        if odd.iter().any(|odd| tokens.windows(odd.len()).any(|window| window == odd)) {
            return Ok(());
        }
        let recovered = encoding.parse(&tokens, &ParseOptions::recover().role(role)).unwrap();
        // Strict mode takes a role with a name for a tool.
        let named = |parsed: &harmony_format::ParsedMessage| {
            parsed.message.author.role != Role::Tool && parsed.message.author.name.is_some()
        };
        if recovered.diagnostics.is_empty()
            && !recovered.messages.iter().any(named)
            && let Ok(strict) = encoding.parse(&tokens, &ParseOptions::strict().role(role))
        {
            prop_assert_eq!(recovered, strict);
        }
    }

    #[test]
    fn strict_gives_every_token_a_message(options in options(Mode::Strict), tokens in tokens()) {
        if let Ok(parsed) = Encoding::o200k_harmony().parse(&tokens, &options) {
            assert_partition(&parsed, tokens.len());
        }
    }

    #[test]
    fn a_text_may_be_cut_anywhere(
        mode in proptest::sample::select(vec![Mode::Strict, Mode::Lenient, Mode::Recover]),
        role in proptest::option::of(proptest::sample::select(Role::ALL.to_vec())),
        tokens in tokens(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let encoding = Encoding::o200k_harmony();
        let known: Vec<u32> = tokens.into_iter().filter(|&token| encoding.token_bytes(token).is_some()).collect();
        let text = encoding.decode_lossy(&known).unwrap();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).filter(|&at| text.is_char_boundary(at)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
        let options = ParseOptions { mode, ..ParseOptions::default() }.role(role);
        prop_assert_eq!(read_text(&options, &pieces), read_text(&options, &[&text]));
        if mode == Mode::Recover {
            assert_partition(&encoding.parse_text(&text, &options).unwrap(), text.len());
        }
    }
}

#[test]
fn recover_reads_conversations_as_strict_does() {
    let encoding = Encoding::o200k_harmony();
    let mut compared = 0;
    for case in gptoss_tests::fixtures("harmony") {
        let text = fs::read_to_string(case.join("conversation.json")).unwrap();
        let conversation = Conversation::from_json(&text).unwrap();
        let tokens = encoding.render(&conversation, &RenderOptions::storage()).unwrap();
        // Where the official library cannot read what it wrote, there is nothing to compare with.
        let Ok(strict) = encoding.parse(&tokens, &ParseOptions::strict()) else { continue };
        let recovered = encoding.parse(&tokens, &ParseOptions::recover()).unwrap();
        assert_eq!(recovered.diagnostics, [], "{}", case.display());
        assert_eq!(recovered, strict, "{}", case.display());
        compared += 1;
    }
    assert!(compared >= 6, "only {compared} conversations were compared");
}

/// Messages that a header can hold: names without white space, no recipient `all`, a content type with a recipient or certain.
fn messages() -> impl Strategy<Value = Vec<Message>> {
    let word = "[a-zA-Z_][a-zA-Z0-9_.-]{0,8}";
    let author = prop_oneof![
        proptest::sample::select(vec![Role::User, Role::Assistant, Role::System, Role::Developer])
            .prop_map(Author::from),
        word.prop_map(|name| Author::new(Role::User, name)),
        word.prop_map(|name| Author::new(Role::Tool, format!("functions.{name}"))),
    ];
    let channel = proptest::option::of(prop_oneof![
        proptest::sample::select(vec!["analysis", "commentary", "final"]).prop_map(str::to_owned),
        "[a-z]{1,6}",
    ]);
    let recipient = proptest::option::of(word.prop_filter("omitted", |name| name != "all"));
    let kind =
        proptest::option::of(proptest::sample::select(vec!["json", "<|constrain|>json", "text/plain"]));
    let message = (author, channel, recipient, kind, any::<String>()).prop_map(
        |(author, channel, recipient, content_type, content)| Message {
            author,
            recipient,
            content: vec![content.into()],
            channel,
            content_type: content_type.map(str::to_owned),
        },
    );
    proptest::collection::vec(message, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_rendered_comes_back(messages in messages(), after_channel in any::<bool>()) {
        let encoding = Encoding::o200k_harmony();
        let position =
            if after_channel { RecipientPosition::AfterChannel } else { RecipientPosition::BeforeChannel };
        let options = RenderOptions::storage().drop(DropPolicy::None).recipient(position);
        let conversation = Conversation::new(messages);
        let tokens = encoding.render(&conversation, &options).unwrap();
        let parsed = encoding.parse(&tokens, &ParseOptions::recover()).unwrap();
        let found: Vec<_> = parsed.messages.iter().map(|parsed| parsed.message.clone()).collect();
        prop_assert_eq!(found, conversation.messages);
        // A content type without a recipient is what strict mode misreads; nothing else is malformed.
        for diagnostic in &parsed.diagnostics {
            prop_assert_eq!(diagnostic.repair, Repair::LoneType);
        }
    }
}

#[test]
fn no_input_costs_more_than_its_length() {
    let encoding = Encoding::o200k_harmony();
    let channel = encoding.encode_prompt("<|channel|>a");
    let word = encoding.encode_ordinary("assistant");
    let [start, end] =
        [SpecialToken::Start, SpecialToken::End].map(|marker| encoding.marker_id(marker).unwrap());
    // Bytes that begin no character, bytes that continue none, doubled beginnings, headers without an end.
    let invalid = encoding.encode_ordinary("👋")[1];
    for piece in [vec![start], [vec![start], word.clone()].concat(), word, channel, vec![end], vec![invalid]]
    {
        for mode in [Mode::Strict, Mode::Lenient, Mode::Recover] {
            for prefix in ["", "<|start|>assistant<|channel|>", "<|start|>user<|message|>"] {
                let mut tokens = encoding.encode_prompt(prefix);
                tokens.extend(piece.iter().cycle().take(100_000));
                let begun = std::time::Instant::now();
                read(&ParseOptions { mode, ..ParseOptions::default() }, &tokens);
                let took = begun.elapsed();
                // Linear cost is some 20 ms; quadratic cost would be minutes.
                assert!(took.as_secs() < 4, "{mode:?} {prefix} {piece:?} took {took:?}");
            }
        }
    }
}

#[test]
fn names_and_tools_without_recipients_come_back() {
    let encoding = Encoding::o200k_harmony();
    for (text, role, name) in [
        ("<|start|>user:bob<|message|>Hi<|end|>", Role::User, "bob"),
        ("<|start|>functions.f<|message|>1<|end|>", Role::Tool, "functions.f"),
        ("<|start|>python<|channel|>analysis<|message|>1<|end|>", Role::Tool, "python"),
    ] {
        let parsed = encoding.parse(&encoding.encode_prompt(text), &ParseOptions::recover()).unwrap();
        assert_eq!(parsed.diagnostics, [], "{text}");
        assert_eq!(parsed.messages[0].message.author, Author::new(role, name));
    }
}

#[test]
fn the_json_of_events_is_stable() {
    let encoding = Encoding::o200k_harmony();
    let text = "<|channel|>final<|message|>4<|end|><|return|>";
    let mut stream = encoding.stream(ParseOptions::recover().role(Role::Assistant));
    let mut events: Vec<Event> = Vec::new();
    for token in encoding.encode_prompt(text) {
        events.extend(stream.push(token).unwrap());
    }
    assert_eq!(
        serde_json::to_value(&events).unwrap(),
        json!([
            {"type": "start", "header": {"role": "assistant", "channel": "final"}},
            {"type": "delta", "text": "4"},
            {"type": "end", "message": {"role": "assistant", "content": "4", "channel": "final"}, "status": "end"},
            {"type": "repair", "diagnostic": {
                "code": "R01", "name": "stray-stop", "tokens": [5, 6], "message": null, "found": "<|return|>",
                "note": "no message is open here, set aside",
            }},
        ])
    );
    assert_eq!(
        serde_json::to_value(stream.into_parsed()).unwrap()["spans"],
        json!([
            {"tokens": [0, 5], "owner": "message", "index": 0},
            {"tokens": [5, 6], "owner": "diagnostic", "index": 0},
        ])
    );
}
