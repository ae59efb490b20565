//! What must hold for any text: no special token out of text, and what is rendered can be read back.

use harmony_format::{
    Author, Conversation, Encoding, ErrorKind, Message, ParseOptions, Position, RecipientPosition,
    RenderOptions, Role, channel,
};
use proptest::prelude::*;
use proptest::sample::select;

/// Every spelling of a special token, whole and mangled.
fn spelling() -> impl Strategy<Value = String> {
    let names: Vec<String> =
        Encoding::o200k_harmony().special_tokens().into_iter().map(|(_, spelling)| spelling).collect();
    (select(names), 0..4_usize, any::<char>(), any::<prop::sample::Index>()).prop_map(|(name, how, c, at)| {
        let at = at.index(name.len());
        match how {
            0 => name,
            1 => name.repeat(2),
            2 => format!("{}{c}{}", &name[..at], &name[at..]),
            _ => format!("{}{name}{}", &name[..at], &name[at..]),
        }
    })
}

/// Text with many spellings of markers in it.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        spelling(),
        select(vec![
            "<|", "|>", "<", "|", "start", "<|end|", " to=", "\r\n", "\u{feff}", "\u{2028}", "👋🏾", "'ſ"
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A word that a header can hold.
fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.é-]{1,12}"
}

/// A message whose header the format can hold.
fn plain_message() -> impl Strategy<Value = Message> {
    let author = prop_oneof![
        select(vec![Role::User, Role::System, Role::Developer]).prop_map(Author::from),
        Just(Author::from(Role::Assistant)),
        word().prop_map(|name| Author::new(Role::Tool, format!("functions.{name}"))),
    ];
    let recipient = prop::option::of(word().prop_map(|name| format!("functions.{name}")));
    let channel = prop::option::of(select(vec![channel::ANALYSIS, channel::COMMENTARY, channel::FINAL]));
    let content_type = prop::option::of(select(vec!["<|constrain|>json", "json", "code"]));
    (author, recipient, channel, content_type, hostile()).prop_map(
        |(author, recipient, channel, content_type, text)| {
            let mut message = Message::new(author, text);
            // A content type alone is ambiguous in the format: it is read where a recipient stands before it.
            message.content_type = content_type.filter(|_| recipient.is_some()).map(str::to_owned);
            message.recipient = recipient;
            message.channel = channel.map(str::to_owned);
            message
        },
    )
}

/// A message with anything in its header.
fn wild_message() -> impl Strategy<Value = Message> {
    let field =
        || prop::option::of(prop_oneof![hostile(), word(), Just("all".to_owned()), Just(String::new())]);
    (select(Role::ALL.to_vec()), field(), field(), field(), field(), hostile()).prop_map(
        |(role, name, recipient, channel, content_type, text)| {
            let name = if role == Role::Tool { name.or(Some(String::new())) } else { name };
            Message {
                author: Author { role, name },
                recipient,
                channel,
                content_type,
                ..Message::new(role, text)
            }
        },
    )
}

fn storage(recipient: RecipientPosition) -> RenderOptions {
    let mut options = RenderOptions::storage();
    options.drop = harmony_format::DropPolicy::None;
    options.recipient = recipient;
    options
}

fn read_back(conversation: &Conversation, options: &RenderOptions) -> Vec<Message> {
    let encoding = Encoding::o200k_harmony();
    let tokens = encoding.render(conversation, options).expect("it renders");
    let parsed = encoding.parse(&tokens, &ParseOptions::recover()).expect("recover never fails");
    parsed.messages.into_iter().map(|parsed| parsed.message).collect()
}

#[test]
fn no_character_yields_a_special_token() {
    let encoding = Encoding::o200k_harmony();
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    for block in all.chunks(4096) {
        let text: String = block.iter().collect();
        let tokens = encoding.encode_ordinary(&text);
        assert!(!tokens.iter().any(|&token| encoding.is_special(token)), "from {:?}", block[0]);
        assert_eq!(encoding.decode_utf8(&tokens).expect("text"), text, "from {:?}", block[0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_yields_a_special_token(text in hostile()) {
        let encoding = Encoding::o200k_harmony();
        let tokens = encoding.encode_ordinary(&text);
        prop_assert!(!tokens.iter().any(|&token| encoding.is_special(token)));
        prop_assert_eq!(encoding.decode_utf8(&tokens).expect("text"), text);
    }

    #[test]
    fn a_plain_conversation_is_read_back(messages in prop::collection::vec(plain_message(), 0..5)) {
        let conversation = Conversation::new(messages);
        for position in [RecipientPosition::BeforeChannel, RecipientPosition::AfterChannel] {
            let options = storage(position);
            prop_assert_eq!(&read_back(&conversation, &options), &conversation.messages);
            Encoding::o200k_harmony().check_round_trip(&conversation, &options).expect("it can be read back");
        }
    }

    #[test]
    fn what_cannot_be_read_back_is_refused(messages in prop::collection::vec(wild_message(), 0..4)) {
        let conversation = Conversation::new(messages);
        let options = storage(RecipientPosition::BeforeChannel);
        let same = read_back(&conversation, &options) == conversation.messages;
        match Encoding::o200k_harmony().check_round_trip(&conversation, &options) {
            Ok(()) => prop_assert!(same),
            Err(error) => {
                prop_assert!(!same, "{}", error);
                prop_assert_eq!(error.kind(), ErrorKind::NotInvertible);
                match error.position() {
                    Some(&Position::Message(index)) => prop_assert!(index < conversation.messages.len()),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}

#[test]
fn the_refusal_names_the_field() {
    let call = |recipient: &str| {
        Conversation::new([Message::new(Role::Assistant, "{}")
            .with_channel("commentary")
            .with_recipient(recipient)])
    };
    let check = |recipient: &str| {
        Encoding::o200k_harmony()
            .check_round_trip(&call(recipient), &storage(RecipientPosition::BeforeChannel))
    };
    check("functions.f").expect("plain");
    let error = check("all").expect_err("`all` is not written");
    assert_eq!(error.to_string(), r#"recipient "all" would be read back as none (message 0)"#);
}
