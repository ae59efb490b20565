//! What the rules look at: the messages, the tools, and which result answers which call.

use super::LintOptions;
use super::pairs::Pairs;
use super::tools::{Tool, Tools};
use crate::{Content, Conversation, Message, Parsed, Role, ToolNamespace, channel};

/// The channels that the models were trained on.
pub(super) const CHANNELS: [&str; 3] = [channel::ANALYSIS, channel::COMMENTARY, channel::FINAL];

/// The built-in namespaces.
pub(super) const BUILT_IN: [&str; 2] = ["browser", "python"];

/// What the rules look at.
pub(super) struct Context<'a> {
    pub(super) messages: Vec<&'a Message>,
    /// What was parsed, if this is a transcript.
    pub(super) parsed: Option<&'a Parsed>,
    /// The tools that are declared.
    pub(super) tools: Tools<'a>,
    pub(super) pairs: Pairs<'a>,
}

/// What a recipient is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BuiltIn,
    Function,
    Unknown,
}

impl<'a> Context<'a> {
    pub(super) fn of_conversation(conversation: &'a Conversation, options: &'a LintOptions) -> Self {
        Self::new(conversation.messages.iter().collect(), None, options)
    }

    pub(super) fn of_transcript(parsed: &'a Parsed, options: &'a LintOptions) -> Self {
        Self::new(parsed.messages.iter().map(|parsed| &parsed.message).collect(), Some(parsed), options)
    }

    fn new(messages: Vec<&'a Message>, parsed: Option<&'a Parsed>, options: &'a LintOptions) -> Self {
        Self { parsed, tools: Tools::new(&messages, &options.tools), pairs: Pairs::of(&messages), messages }
    }

    /// The messages with their indices.
    pub(super) fn indexed(&self) -> impl Iterator<Item = (usize, &'a Message)> {
        self.messages.iter().copied().enumerate()
    }

    /// The assistant's calls of tools: index, message, recipient.
    pub(super) fn calls(&self) -> impl Iterator<Item = (usize, &'a Message, &'a str)> {
        self.indexed().filter_map(|(index, message)| Some((index, message, call(message)?)))
    }

    /// The results of tools.
    pub(super) fn results(&self) -> impl Iterator<Item = (usize, &'a Message)> {
        self.indexed().filter(|(_, message)| message.author.role == Role::Tool)
    }

    pub(super) fn tool(&self, name: &str) -> Option<&Tool<'a>> {
        self.tools.get(name)
    }

    pub(super) fn kind(&self, recipient: &str) -> Kind {
        let (namespace, _) = recipient.split_once('.').unwrap_or((recipient, ""));
        let declared = self.tool(recipient).or_else(|| self.tools.of_namespace(namespace).next());
        match declared {
            Some(tool) if tool.is_built_in => Kind::BuiltIn,
            Some(_) => Kind::Function,
            None if namespace == ToolNamespace::FUNCTIONS => Kind::Function,
            None if BUILT_IN.contains(&namespace) => Kind::BuiltIn,
            None => Kind::Unknown,
        }
    }
}

/// The recipient, if this is the call of a tool.
pub(super) fn call(message: &Message) -> Option<&str> {
    let recipient = message.recipient.as_deref()?;
    let is_tool = !recipient.trim().is_empty() && recipient != "all" && recipient.parse::<Role>().is_err();
    (message.author.role == Role::Assistant && is_tool).then_some(recipient)
}

/// The namespaces that a message declares, each with the role whose content it stands in.
pub(super) fn namespaces(message: &Message) -> impl Iterator<Item = (&ToolNamespace, Role)> {
    message.content.iter().flat_map(|content| {
        let (tools, role) = match content {
            Content::System(system) => (system.tools.as_ref(), Role::System),
            Content::Developer(developer) => (developer.tools.as_ref(), Role::Developer),
            Content::Text(_) => (None, message.author.role),
        };
        tools.into_iter().flat_map(|tools| tools.values()).map(move |namespace| (namespace, role))
    })
}

/// Whether a message is on a channel.
pub(super) fn is_on(message: &Message, channel: &str) -> bool {
    message.channel.as_deref() == Some(channel)
}

/// The pointer to a text item.
pub(super) fn text_pointer(index: usize, message: &Message, item: usize) -> String {
    match message.content.as_slice() {
        [Content::Text(_)] => format!("/messages/{index}/content"),
        _ => format!("/messages/{index}/content/{item}/text"),
    }
}

/// Whether a word can stand in a header: not empty, no white space, no marker.
pub(super) fn is_clean(word: &str) -> bool {
    !word.is_empty() && !word.contains(char::is_whitespace) && !word.contains("<|")
}
