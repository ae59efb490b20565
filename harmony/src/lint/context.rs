//! What the rules look at: the messages, the tools, and which result answers which call.

use serde_json::Value;

use super::LintOptions;
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
    pub(super) tools: Vec<Tool<'a>>,
    /// For a result, the call that it answers.
    pub(super) call_of: Vec<Option<usize>>,
    /// For a call, the result that answers it.
    pub(super) result_of: Vec<Option<usize>>,
    /// For a result that answers no call, the last calls that were open then, newest first.
    pub(super) open_calls: Vec<Vec<usize>>,
}

/// A tool as calls name it.
pub(super) struct Tool<'a> {
    /// With its namespace: `functions.get_weather`, or `python`.
    pub(super) name: String,
    pub(super) parameters: Option<&'a Value>,
    /// Whether the system message declares it, and calls go to the analysis channel.
    pub(super) is_built_in: bool,
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
        let mut tools = Vec::new();
        for (namespace, role) in messages.iter().flat_map(|message| namespaces(message)) {
            let is_built_in = role == Role::System && namespace.name != ToolNamespace::FUNCTIONS;
            declare(namespace, is_built_in, &mut tools);
        }
        for namespace in &options.tools {
            declare(namespace, BUILT_IN.contains(&namespace.name.as_str()), &mut tools);
        }
        let mut context = Self {
            parsed,
            tools,
            call_of: vec![None; messages.len()],
            result_of: vec![None; messages.len()],
            open_calls: vec![Vec::new(); messages.len()],
            messages,
        };
        context.pair();
        context
    }

    /// Pairs results with calls: a result answers the oldest open call of its name.
    fn pair(&mut self) {
        const MOST: usize = 8;
        let mut open: Vec<usize> = Vec::new();
        for (index, message) in self.messages.iter().enumerate() {
            if call(message).is_some() {
                open.push(index);
            } else if message.author.role == Role::Tool {
                let name = message.author.name.as_deref();
                match open.iter().position(|&call| self.messages[call].recipient.as_deref() == name) {
                    Some(position) => {
                        let call = open.remove(position);
                        self.call_of[index] = Some(call);
                        self.result_of[call] = Some(index);
                    }
                    None => self.open_calls[index] = open.iter().rev().take(MOST).copied().collect(),
                }
            }
        }
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
        self.tools.iter().find(|tool| tool.name == name)
    }

    pub(super) fn kind(&self, recipient: &str) -> Kind {
        let (namespace, _) = recipient.split_once('.').unwrap_or((recipient, ""));
        let declared =
            self.tool(recipient).or_else(|| self.tools.iter().find(|tool| tool.namespace() == namespace));
        match declared {
            Some(tool) if tool.is_built_in => Kind::BuiltIn,
            Some(_) => Kind::Function,
            None if namespace == ToolNamespace::FUNCTIONS => Kind::Function,
            None if BUILT_IN.contains(&namespace) => Kind::BuiltIn,
            None => Kind::Unknown,
        }
    }
}

impl Tool<'_> {
    pub(super) fn namespace(&self) -> &str {
        self.name.split_once('.').map_or(&self.name, |(namespace, _)| namespace)
    }

    /// The name within the namespace.
    pub(super) fn short_name(&self) -> &str {
        self.name.split_once('.').map_or(&self.name, |(_, name)| name)
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

fn declare<'a>(namespace: &'a ToolNamespace, is_built_in: bool, tools: &mut Vec<Tool<'a>>) {
    if namespace.tools.is_empty() {
        tools.push(Tool { name: namespace.name.clone(), parameters: None, is_built_in });
    }
    tools.extend(namespace.tools.iter().map(|tool| Tool {
        name: format!("{}.{}", namespace.name, tool.name),
        parameters: tool.parameters.as_ref(),
        is_built_in,
    }));
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
