//! The JSON of events, and the state as the official library serialises it.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::utf8::Utf8Stream;
use crate::{Diagnostic, Event, Header, Mode, Owner, Parsed, ParsedMessage, Span, Status, StreamParser};

use super::machine::{Body, Stage};

impl Serialize for Header {
    /// As a message without content: flat, absent fields left out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            role: crate::Role,
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            recipient: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            channel: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            content_type: Option<&'a str>,
        }
        Flat {
            role: self.author.role,
            name: self.author.name.as_deref(),
            recipient: self.recipient.as_deref(),
            channel: self.channel.as_deref(),
            content_type: self.content_type.as_deref(),
        }
        .serialize(serializer)
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for ParsedMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ParsedMessage", 2)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("status", &self.status)?;
        out.end()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "lowercase")]
        enum Tagged<'a> {
            Start { header: &'a Header },
            Delta { text: &'a str },
            End(&'a ParsedMessage),
            Repair { diagnostic: &'a Diagnostic },
        }
        match self {
            Self::Start(header) => Tagged::Start { header },
            Self::Delta(text) => Tagged::Delta { text },
            Self::End(parsed) => Tagged::End(parsed),
            Self::Repair(diagnostic) => Tagged::Repair { diagnostic },
        }
        .serialize(serializer)
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Diagnostic", 6)?;
        out.serialize_field("code", self.repair.code())?;
        out.serialize_field("name", self.repair.name())?;
        out.serialize_field("tokens", &[self.tokens.start, self.tokens.end])?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("found", &self.found)?;
        out.serialize_field("note", &self.note)?;
        out.end()
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (owner, index) = match self.owner {
            Owner::Message(index) => ("message", index),
            Owner::Diagnostic(index) => ("diagnostic", index),
        };
        let mut out = serializer.serialize_struct("Span", 3)?;
        out.serialize_field("tokens", &[self.tokens.start, self.tokens.end])?;
        out.serialize_field("owner", owner)?;
        out.serialize_field("index", &index)?;
        out.end()
    }
}

impl Serialize for Parsed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let messages: Vec<_> = self.messages.iter().map(|parsed| &parsed.message).collect();
        let statuses: Vec<_> = self.messages.iter().map(|parsed| parsed.status).collect();
        let mut out = serializer.serialize_struct("Parsed", 4)?;
        out.serialize_field("messages", &messages)?;
        out.serialize_field("statuses", &statuses)?;
        out.serialize_field("diagnostics", &self.diagnostics)?;
        out.serialize_field("spans", &self.spans)?;
        out.end()
    }
}

impl StreamParser {
    /// The state as the official library serialises it. Costs as much as encoding the content.
    ///
    /// Where the input is text, and in [`Mode::Recover`], the tokens are those of the text.
    #[must_use]
    pub fn state_json(&self) -> Value {
        match &self.core.stage {
            Stage::Start => json!({"state": "ExpectStart"}),
            Stage::Header(header) => {
                let tokens = match header.tokens.as_slice() {
                    [] => self.encoding().encode_prompt(&header.text()),
                    tokens => tokens.to_vec(),
                };
                json!({"state": "Header", "header_tokens": tokens})
            }
            Stage::Loose(header) => {
                json!({"state": "Header", "header_tokens": self.encoding().encode_prompt(&header.text())})
            }
            Stage::Content(body) => json!({
                "state": "Content",
                "header": reference_header(&body.header),
                "content_tokens": self.content_tokens(body),
            }),
        }
    }

    /// The content's tokens as the official library has them: each delta encoded by itself.
    fn content_tokens(&self, body: &Body) -> Vec<u32> {
        let mut tokens = Vec::new();
        let read = &self.tokens()[body.tokens_before..];
        if self.core.options.mode == Mode::Recover || read.is_empty() {
            self.encoding().encode_ordinary_into(&body.content, &mut tokens);
            return tokens;
        }
        let mut utf8 = Utf8Stream::default();
        for &token in read {
            // After an unknown token the official library encodes no more.
            let Some(bytes) = self.encoding().token_bytes(token) else { break };
            let mut delta = String::new();
            utf8.push_reference(bytes, &mut delta);
            // The official library encodes the replacement of invalid bytes apart from what stands before it.
            let replaced = utf8.just_replaced().then(|| delta.pop()).flatten();
            self.encoding().encode_ordinary_into(&delta, &mut tokens);
            if let Some(c) = replaced {
                self.encoding().encode_ordinary_into(c.encode_utf8(&mut [0; 4]), &mut tokens);
            }
        }
        tokens
    }
}

/// The header with the fields that the official library writes, absent ones as null.
fn reference_header(header: &Header) -> Value {
    let mut author = json!({"role": header.author.role});
    if let Some(name) = &header.author.name {
        author["name"] = json!(name);
    }
    json!({
        "author": author,
        "recipient": header.recipient,
        "channel": header.channel,
        "content_type": header.content_type,
    })
}
