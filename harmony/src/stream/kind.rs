//! What a message is for: reasoning, a call of a tool, the answer.

use crate::{Message, ParsedMessage, Role, channel};

/// What a message is for.
///
/// The recipient decides whether an assistant's message calls a tool, on any channel:
/// models call functions on `analysis`, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageKind<'a> {
    /// Chain of thought: the assistant on `analysis`, to nobody in particular.
    Reasoning,
    /// A call of a tool.
    ToolCall(Tool<'a>),
    /// The output of a tool.
    ToolResult(Tool<'a>),
    /// What the assistant tells the user before it calls tools: `commentary` without a recipient.
    Preamble,
    /// The answer: `final`, or no channel at all as in refusals without a header.
    Final,
    /// Anything else: what user, system or developer say, and channels that are not known.
    Other,
}

impl<'a> MessageKind<'a> {
    /// `reasoning`, `tool_call`, `tool_result`, `preamble`, `final` or `other`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::ToolCall(_) => "tool_call",
            Self::ToolResult(_) => "tool_result",
            Self::Preamble => "preamble",
            Self::Final => "final",
            Self::Other => "other",
        }
    }

    /// The tool that is called or that answers.
    #[must_use]
    pub const fn tool(self) -> Option<Tool<'a>> {
        match self {
            Self::ToolCall(tool) | Self::ToolResult(tool) => Some(tool),
            Self::Reasoning | Self::Preamble | Self::Final | Self::Other => None,
        }
    }
}

/// A tool, by its name in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool<'a> {
    /// A tool of gpt-oss itself: `python`, `browser.search`, `container.exec`; the name is complete.
    BuiltIn(&'a str),
    /// A function of the developer, without the prefix `functions.`; a bare name is a function, too.
    Function(&'a str),
}

impl<'a> Tool<'a> {
    /// The tool that a header names.
    ///
    /// ```
    /// use harmony_format::Tool;
    ///
    /// assert_eq!(Tool::from_name("functions.get_weather"), Tool::Function("get_weather"));
    /// assert_eq!(Tool::from_name("get_weather"), Tool::Function("get_weather"));
    /// assert_eq!(Tool::from_name("browser.search"), Tool::BuiltIn("browser.search"));
    /// ```
    #[must_use]
    pub fn from_name(name: &'a str) -> Self {
        let namespace = name.split_once('.').map_or(name, |(namespace, _)| namespace);
        match namespace {
            "python" | "browser" | "container" => Self::BuiltIn(name),
            _ => Self::Function(name.strip_prefix("functions.").unwrap_or(name)),
        }
    }

    /// The name: without `functions.` for a function, complete for a built-in tool.
    #[must_use]
    pub const fn name(self) -> &'a str {
        match self {
            Self::BuiltIn(name) | Self::Function(name) => name,
        }
    }
}

impl Message {
    /// What the message is for.
    ///
    /// ```
    /// use harmony_format::{Message, MessageKind, Role, Tool};
    ///
    /// // On the wrong channel, and still a call.
    /// let call = Message::new(Role::Assistant, "{}").with_channel("analysis").with_recipient("functions.f");
    /// assert_eq!(call.kind(), MessageKind::ToolCall(Tool::Function("f")));
    /// ```
    #[must_use]
    pub fn kind(&self) -> MessageKind<'_> {
        match self.author.role {
            Role::Tool => MessageKind::ToolResult(Tool::from_name(self.author.name.as_deref().unwrap_or(""))),
            Role::Assistant => match self.recipient.as_deref() {
                Some(name) if is_tool(name) => MessageKind::ToolCall(Tool::from_name(name)),
                _ => match self.channel.as_deref() {
                    Some(channel::ANALYSIS) => MessageKind::Reasoning,
                    Some(channel::COMMENTARY) => MessageKind::Preamble,
                    Some(channel::FINAL) | None => MessageKind::Final,
                    Some(_) => MessageKind::Other,
                },
            },
            Role::User | Role::System | Role::Developer => MessageKind::Other,
        }
    }
}

impl ParsedMessage {
    /// What the message is for; see [`Message::kind`].
    #[must_use]
    pub fn kind(&self) -> MessageKind<'_> {
        self.message.kind()
    }
}

/// Whether a recipient is a tool: neither a role nor everybody.
pub(crate) fn is_tool(recipient: &str) -> bool {
    recipient != "all" && recipient.parse::<Role>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipient_decides_before_the_channel() {
        use MessageKind::{Final, Other, Preamble, Reasoning, ToolCall};
        for (channel, recipient, kind) in [
            (Some("analysis"), None, Reasoning),
            (Some("analysis"), Some("all"), Reasoning),
            (Some("analysis"), Some("python"), ToolCall(Tool::BuiltIn("python"))),
            (Some("commentary"), None, Preamble),
            (Some("commentary"), Some("assistant"), Preamble),
            (Some("commentary"), Some("pythonic"), ToolCall(Tool::Function("pythonic"))),
            (Some("final"), Some("mcp.search"), ToolCall(Tool::Function("mcp.search"))),
            (Some("final"), None, Final),
            (None, None, Final),
            (Some("draft"), None, Other),
        ] {
            let mut message = Message::new(Role::Assistant, "");
            message.channel = channel.map(str::to_owned);
            message.recipient = recipient.map(str::to_owned);
            assert_eq!(message.kind(), kind);
        }
    }
}
