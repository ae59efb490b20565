//! Renders, parses, recovers, lints and converts the Harmony chat format of OpenAI's gpt-oss models.

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
