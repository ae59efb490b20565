//! Conversations and messages: data and their JSON, nothing else.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{DeveloperContent, Error, ErrorKind, Result, SystemContent};

/// The channels that gpt-oss models use. Any other string is allowed in a message, too.
pub mod channel {
    /// Chain of thought; not meant for the end user.
    pub const ANALYSIS: &str = "analysis";
    /// Calls of function tools, and preambles to them.
    pub const COMMENTARY: &str = "commentary";
    /// The answer.
    pub const FINAL: &str = "final";
}

/// A list of messages, oldest first.
///
/// # Examples
///
/// ```
/// use harmony_format::{Conversation, Message, Role};
///
/// let conversation = Conversation::new([
///     Message::new(Role::User, "What is 2 + 2?"),
///     Message::new(Role::Assistant, "4").with_channel("final"),
/// ]);
/// let json = conversation.to_json();
/// assert_eq!(Conversation::from_json(&json)?, conversation);
/// # Ok::<(), harmony_format::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

impl Conversation {
    /// A conversation of these messages.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self { messages: messages.into_iter().collect() }
    }

    /// Reads the JSON that this crate, the official Rust crate or the official Python package wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Json`] with line and column if `text` is not a conversation.
    pub fn from_json(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }

    /// Writes canonical JSON: fields in a fixed order, absent ones left out, a single text as a plain string.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .expect("strings, maps with string keys and finite numbers are always JSON")
    }
}

impl FromIterator<Message> for Conversation {
    fn from_iter<I: IntoIterator<Item = Message>>(messages: I) -> Self {
        Self::new(messages)
    }
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person, or the program in the person's place.
    User,
    /// The model.
    Assistant,
    /// Identity, date, reasoning effort, channels and built-in tools.
    System,
    /// Instructions and function tools.
    Developer,
    /// The output of a tool.
    Tool,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::User, Self::Assistant, Self::System, Self::Developer, Self::Tool];

    /// The word that stands in a header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
            Self::Developer => "developer",
            Self::Tool => "tool",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    /// Exact and lower case.
    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownRole,
                format!("role must be one of user, assistant, system, developer, tool, found {word:?}"),
            )
            .reference(format!("unknown role: {word}"))
        })
    }
}

/// The writer of a message: a role and, for tools, the tool's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Author {
    /// The role.
    pub role: Role,
    /// The name; a message of role [`Role::Tool`] needs one to be rendered.
    pub name: Option<String>,
}

impl Author {
    /// An author with a name, for example a tool `functions.get_weather`.
    pub fn new(role: Role, name: impl Into<String>) -> Self {
        Self { role, name: Some(name.into()) }
    }
}

impl From<Role> for Author {
    fn from(role: Role) -> Self {
        Self { role, name: None }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who wrote it.
    pub author: Author,
    /// To whom it goes: a tool such as `functions.get_weather`, or the role `assistant`; none is everybody.
    pub recipient: Option<String>,
    /// What it says. Items are concatenated without a separator when rendered.
    pub content: Vec<Content>,
    /// The channel, one of [`channel`] as a rule.
    pub channel: Option<String>,
    /// How the content is to be read, for example `<|constrain|>json`.
    pub content_type: Option<String>,
}

impl Message {
    /// A message with one content item.
    ///
    /// ```
    /// use harmony_format::{Author, Message, Role};
    ///
    /// let result = Message::new(Author::new(Role::Tool, "functions.get_weather"), r#"{"sunny": true}"#)
    ///     .with_recipient("assistant")
    ///     .with_channel("commentary");
    /// assert_eq!(result.text(), r#"{"sunny": true}"#);
    /// ```
    pub fn new(author: impl Into<Author>, content: impl Into<Content>) -> Self {
        Self {
            author: author.into(),
            recipient: None,
            content: vec![content.into()],
            channel: None,
            content_type: None,
        }
    }

    /// Sets the channel.
    #[must_use]
    pub fn with_channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Sets the recipient.
    #[must_use]
    pub fn with_recipient(mut self, recipient: impl Into<String>) -> Self {
        self.recipient = Some(recipient.into());
        self
    }

    /// Sets the content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Adds a content item.
    #[must_use]
    pub fn with_content(mut self, content: impl Into<Content>) -> Self {
        self.content.push(content.into());
        self
    }

    /// The text items, concatenated; system and developer content is left out.
    #[must_use]
    pub fn text(&self) -> String {
        self.content.iter().filter_map(Content::as_text).collect()
    }

    /// Writes canonical JSON, as [`Conversation::to_json`].
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .expect("strings, maps with string keys and finite numbers are always JSON")
    }

    /// Reads one message from JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Json`] with line and column if `text` is not a message.
    pub fn from_json(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }
}

/// One item of a message's content.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text; it is rendered as ordinary text, so a marker spelled in it stays text.
    Text(String),
    /// What a system message says; only there.
    System(SystemContent),
    /// What a developer message says; only there.
    Developer(DeveloperContent),
}

impl Content {
    /// The text, if this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::System(_) | Self::Developer(_) => None,
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<SystemContent> for Content {
    fn from(content: SystemContent) -> Self {
        Self::System(content)
    }
}

impl From<DeveloperContent> for Content {
    fn from(content: DeveloperContent) -> Self {
        Self::Developer(content)
    }
}

/// A message as JSON has it: flat, the author's fields inlined, in the order of the official library.
#[derive(Serialize, Deserialize)]
#[serde(
    rename = "Message",
    expecting = "struct Message",
    bound(deserialize = "S: Deserialize<'de>, C: Deserialize<'de>")
)]
struct Flat<S, C> {
    role: Role,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    name: Option<S>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    recipient: Option<S>,
    content: C,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    channel: Option<S>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    content_type: Option<S>,
}

const fn none<T>() -> Option<T> {
    None
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Flat {
            role: self.author.role,
            name: self.author.name.as_deref(),
            recipient: self.recipient.as_deref(),
            content: Items(&self.content),
            channel: self.channel.as_deref(),
            content_type: self.content_type.as_deref(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = Flat::<String, OwnedItems>::deserialize(deserializer)?;
        Ok(Self {
            author: Author { role: flat.role, name: flat.name },
            recipient: flat.recipient,
            content: flat.content.0,
            channel: flat.channel,
            content_type: flat.content_type,
        })
    }
}

/// Writes a single text as a plain string and anything else as a list.
struct Items<'a>(&'a [Content]);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [Content::Text(text)] => text.serialize(serializer),
            items => items.serialize(serializer),
        }
    }
}

struct OwnedItems(Vec<Content>);

impl<'de> Deserialize<'de> for OwnedItems {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemsVisitor;

        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = OwnedItems;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of content items")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OwnedItems, E> {
                Ok(OwnedItems(vec![text.into()]))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<OwnedItems, E> {
                Ok(OwnedItems(vec![text.into()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OwnedItems, A::Error> {
                let mut content = Vec::new();
                while let Some(item) = items.next_element()? {
                    content.push(item);
                }
                Ok(OwnedItems(content))
            }
        }

        deserializer.deserialize_any(ItemsVisitor)
    }
}

#[derive(Serialize, Deserialize)]
struct TextFields<T> {
    text: T,
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Tagged<'a> {
            Text(TextFields<&'a str>),
            SystemContent(&'a SystemContent),
            DeveloperContent(&'a DeveloperContent),
        }
        match self {
            Self::Text(text) => Tagged::Text(TextFields { text }),
            Self::System(content) => Tagged::SystemContent(content),
            Self::Developer(content) => Tagged::DeveloperContent(content),
        }
        .serialize(serializer)
    }
}

/// The values of `type` in a content item.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tag {
    Text,
    SystemContent,
    DeveloperContent,
}

impl Tag {
    fn read<'de, D: Deserializer<'de>>(self, fields: D) -> Result<Content, D::Error> {
        Ok(match self {
            Self::Text => Content::Text(TextFields::<String>::deserialize(fields)?.text),
            Self::SystemContent => Content::System(SystemContent::deserialize(fields)?),
            Self::DeveloperContent => Content::Developer(DeveloperContent::deserialize(fields)?),
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;

        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a content item with a `type`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Content, A::Error> {
                let mut early: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some(key) = fields.next_key::<String>()? {
                    if key != "type" {
                        early.push((key, fields.next_value()?));
                        continue;
                    }
                    let tag: Tag = fields.next_value()?;
                    // As a rule the tag comes first, and errors in the rest keep their place.
                    if early.is_empty() {
                        return tag.read(MapAccessDeserializer::new(NoSecondTag(fields)));
                    }
                    let mut fields = NoSecondTag(fields);
                    while let Some(key) = fields.next_key::<String>()? {
                        early.push((key, fields.next_value()?));
                    }
                    return tag
                        .read(Buffered::new(&early))
                        .map_err(|error| de::Error::custom(without_place(&error)));
                }
                Err(de::Error::missing_field("type"))
            }
        }

        deserializer.deserialize_map(ItemVisitor)
    }
}

/// The fields of an item after its tag; a second tag is an error like any duplicate.
struct NoSecondTag<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for NoSecondTag<A> {
    type Error = A::Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.0.next_key::<String>()? {
            Some(key) if key == "type" => Err(de::Error::duplicate_field("type")),
            Some(key) => seed.deserialize(de::value::StringDeserializer::new(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

/// The message of an error without the place that `serde_json` appends: it counts from the start of a field, not of the document.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// Fields that were read before the tag; raw, so that duplicate keys inside them are still seen.
struct Buffered<'a> {
    fields: std::slice::Iter<'a, (String, Box<RawValue>)>,
    value: Option<&'a RawValue>,
}

impl<'a> Buffered<'a> {
    fn new(fields: &'a [(String, Box<RawValue>)]) -> MapAccessDeserializer<Self> {
        MapAccessDeserializer::new(Self { fields: fields.iter(), value: None })
    }
}

impl<'a> MapAccess<'a> for Buffered<'a> {
    type Error = serde_json::Error;

    fn next_key_seed<K: de::DeserializeSeed<'a>>(&mut self, seed: K) -> serde_json::Result<Option<K::Value>> {
        let Some((key, value)) = self.fields.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(de::value::StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'a>>(&mut self, seed: V) -> serde_json::Result<V::Value> {
        let value = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(value)
    }
}

#[cfg(test)]
mod tests;
