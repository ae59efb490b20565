//! Renders, parses, recovers, lints and converts the Harmony chat format of OpenAI's gpt-oss models.
//!
//! Everything is offline: the vocabulary is part of the crate. Text never becomes a special token.
//! With the default options the tokens, messages and errors are those of the official library, `openai-harmony` 0.0.8.
//!
//! | to | start from |
//! |---|---|
//! | make or read a conversation | [`Conversation`], [`Message`], [`SystemContent`], [`DeveloperContent`] |
//! | render it | [`Encoding::render`], [`Encoding::render_detailed`], [`RenderOptions`] |
//! | parse what a model said | [`Encoding::stream`], [`Encoding::parse`], [`ParseOptions`] |
//! | see what was repaired | [`Mode::Recover`], [`Parsed::diagnostics`], [`recover`] |
//! | check a conversation | [`lint`], [`arguments`], [`Encoding::check_round_trip`] |
//! | come from or go to OpenAI's APIs | [`convert`] |
//! | hold a model to the format | [`grammar`] |
//! | test | the module `testing`, behind the feature `testing` |
//!
//! # Example
//!
//! ```
//! use harmony_format::{Conversation, Encoding, Message, MessageKind, ParseOptions, RenderOptions, Role, SystemContent};
//!
//! let encoding = Encoding::o200k_harmony();
//! let conversation = Conversation::new([
//!     Message::new(Role::System, SystemContent::default()),
//!     Message::new(Role::User, "What is 2 + 2?"),
//! ]);
//! let prompt = encoding.render(&conversation, &RenderOptions::completion(Role::Assistant))?;
//!
//! // What a model said to this prompt: the stop token in the middle should not be there.
//! # let answer = encoding.encode_prompt("<|channel|>analysis<|message|>Easy.<|end|><|call|><|start|>assistant<|channel|>final<|message|>4<|return|>");
//! let parsed = encoding.parse(&answer, &ParseOptions::recover().role(Role::Assistant))?;
//! assert_eq!(parsed.messages[1].kind(), MessageKind::Final);
//! assert_eq!(parsed.messages[1].message.text(), "4");
//! assert_eq!(parsed.diagnostics[0].repair.name(), "stray-stop");
//! # Ok::<(), harmony_format::Error>(())
//! ```

#![forbid(unsafe_code)]

mod content;
mod encoding;
mod error;
mod header;
mod lexeme;
mod message;
pub mod recover;
mod render;
mod round_trip;
mod special;
mod stream;
mod utf8;

pub mod arguments;
pub mod convert;
pub mod grammar;
pub mod lint;
pub mod schema;
#[cfg(feature = "testing")]
pub mod testing;

pub use content::{
    ChannelConfig, DeveloperContent, ReasoningEffort, ResponseFormat, SystemContent, ToolDescription,
    ToolNamespace,
};
pub use encoding::{AllowedSpecial, Encoding, TokenId};
pub use error::{Error, ErrorKind, Position, Result};
pub use lexeme::{Lexeme, lex};
pub use message::{Author, Content, Conversation, Message, Role, channel};
pub use recover::Repair;
pub use render::{
    DropPolicy, Dropped, Part, Purpose, RecipientPosition, RenderOptions, Rendered, SchemaStyle, Segment,
    render_tools,
};
pub use special::SpecialToken;
pub use stream::{
    Diagnostic, Event, Events, Header, MessageKind, Mode, Owner, ParseOptions, Parsed, ParsedMessage, Span,
    State, Status, StreamParser, Tool,
};

/// The examples of the README are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
