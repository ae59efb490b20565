//! Proptest strategies: conversations, schemas, texts, and token streams good and bad.
//!
//! They lean towards what breaks programs: spelled markers, empty strings, line breaks, characters cut in two.
//!
//! ```
//! use harmony_format::{Encoding, testing::strategies::texts};
//! use proptest::{prop_assert, proptest};
//!
//! let encoding = Encoding::o200k_harmony();
//! proptest!(|(text in texts())| {
//!     prop_assert!(!encoding.encode_ordinary(&text).iter().any(|&token| encoding.is_special(token)));
//! });
//! ```

mod schema;
mod stream;

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;

use crate::{
    Author, ChannelConfig, Content, Conversation, DeveloperContent, Message, ReasoningEffort, Role,
    SystemContent, ToolDescription, ToolNamespace,
};

pub use schema::{json_values, schemas};
pub use stream::{malformed_streams, token_streams};

/// Texts that hold what tokenizers and parsers trip over.
const FRAGMENTS: [&str; 40] = [
    "",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\0",
    "Hello, world!",
    "don't I'LL",
    "HTTPServer2000",
    "1234567",
    "١٢٣",
    "naïve café",
    "世界",
    "こんにちは",
    "👋🏾",
    "👩\u{200d}👩\u{200d}👧",
    "e\u{301}",
    "ǅ",
    "{\"a\": [1, 2.5, null]}",
    "to=functions.f",
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|constrain|>json",
    "<|call|>",
    "<|return|>",
    "<|endoftext|>",
    "<|reserved_200013|>",
    "<|endofprompt|>",
    "<|refusal|>",
    "<|sta",
    "rt|>",
    "assistant",
    "}} // namespace functions",
    "...///\n\n\n",
];

/// Short texts of every kind, spelled markers and lone spaces included.
pub fn texts() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        5 => select(&FRAGMENTS[..]).prop_map(str::to_owned),
        3 => "[a-zA-Z ]{1,12}",
        2 => "\\PC{0,6}",
        1 => vec(any::<char>(), 0..4).prop_map(String::from_iter),
        1 => "[ \\n\\r\\t]{1,4}",
        1 => (select(vec!["a", " ", "=", "\n", "é", "0"]), 1..40usize).prop_map(|(text, n)| text.repeat(n)),
    ];
    vec(fragment, 0..5).prop_map(|fragments| fragments.concat())
}

/// Names as programs choose them, and now and then any text.
pub fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["functions.get_weather", "functions", "python", "browser.search", "bob", "all", ""])
            .prop_map(str::to_owned),
        2 => "[a-z_]{1,8}(\\.[a-z_]{1,8})?",
        1 => texts(),
    ]
}

/// The five roles.
pub fn roles() -> impl Strategy<Value = Role> {
    select(&Role::ALL[..])
}

/// Conversations that render: each message has what its role demands.
///
/// They hold only what the official library knows, so no response formats.
pub fn conversations() -> impl Strategy<Value = Conversation> {
    vec(messages(), 0..6).prop_map(Conversation::new)
}

/// Conversations of which some do not render: tools without a name, content in the wrong role.
pub fn unchecked_conversations() -> impl Strategy<Value = Conversation> {
    let message = prop_oneof![3 => messages(), 2 => unchecked_messages()];
    vec(message, 0..5).prop_map(Conversation::new)
}

/// Messages that render, of every role, with names, recipients, channels and content types of every kind.
pub fn messages() -> impl Strategy<Value = Message> {
    roles().prop_flat_map(|role| {
        let name = match role {
            Role::Tool => names().prop_map(Some).boxed(),
            _ => weighted(0.1, names()).boxed(),
        };
        let content = match role {
            Role::System => prop_oneof![1 => text_content(), 3 => system_content()].boxed(),
            Role::Developer => prop_oneof![1 => text_content(), 3 => developer_content()].boxed(),
            Role::User | Role::Assistant | Role::Tool => text_content().boxed(),
        };
        message(Just(role), name, content)
    })
}

fn unchecked_messages() -> impl Strategy<Value = Message> {
    let content = prop_oneof![2 => text_content(), 1 => system_content(), 1 => developer_content()];
    message(roles(), of(names()), content)
}

fn message(
    role: impl Strategy<Value = Role>,
    name: impl Strategy<Value = Option<String>>,
    content: impl Strategy<Value = Content> + 'static,
) -> impl Strategy<Value = Message> {
    let channel = prop_oneof![
        6 => select(vec!["analysis", "commentary", "final"]).prop_map(str::to_owned),
        1 => texts(),
    ];
    let content_type = prop_oneof![
        6 => select(vec!["<|constrain|>json", "json", "code", "<|constrain|>", "<|constrain|> json", ""])
            .prop_map(str::to_owned),
        1 => texts(),
    ];
    let content = content.boxed();
    let contents = prop_oneof![5 => vec(content.clone(), 1..2), 1 => vec(content, 0..4)];
    (role, name, of(names()), contents, of(channel), weighted(0.3, content_type)).prop_map(
        |(role, name, recipient, content, channel, content_type)| Message {
            author: Author { role, name },
            recipient,
            content,
            channel,
            content_type,
        },
    )
}

fn text_content() -> impl Strategy<Value = Content> {
    texts().prop_map(Content::Text)
}

fn system_content() -> impl Strategy<Value = Content> {
    let effort = select(vec![ReasoningEffort::Low, ReasoningEffort::Medium, ReasoningEffort::High]);
    let channels = (vec(names(), 0..4), any::<bool>())
        .prop_map(|(valid_channels, channel_required)| ChannelConfig { valid_channels, channel_required });
    (of(texts()), of(effort), weighted(0.3, tools()), of(texts()), of(texts()), of(channels)).prop_map(
        |(model_identity, reasoning_effort, tools, date, knowledge_cutoff, channel_config)| {
            Content::System(SystemContent {
                model_identity,
                reasoning_effort,
                tools,
                conversation_start_date: date,
                knowledge_cutoff,
                channel_config,
            })
        },
    )
}

fn developer_content() -> impl Strategy<Value = Content> {
    (of(texts()), weighted(0.7, tools())).prop_map(|(instructions, tools)| {
        Content::Developer(DeveloperContent { instructions, tools, ..DeveloperContent::default() })
    })
}

fn tools() -> impl Strategy<Value = BTreeMap<String, ToolNamespace>> {
    let built_in = select(vec![ToolNamespace::browser(), ToolNamespace::python()]);
    let tool = (names(), texts(), of(schemas()))
        .prop_map(|(name, description, parameters)| ToolDescription { name, description, parameters });
    let own = (names(), of(texts()), vec(tool, 0..3)).prop_map(|(name, description, tools)| ToolNamespace {
        name,
        description,
        tools,
    });
    btree_map(names(), prop_oneof![1 => built_in, 4 => own], 0..3)
}
