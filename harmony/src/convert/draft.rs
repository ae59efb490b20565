//! What a reader gathers before it is a conversation.

use std::collections::BTreeMap;

use super::Options;
use super::address::Address;
use super::loss::{LossKind, Losses};
use super::waiting::Waiting;
use crate::{
    Author, Content, DeveloperContent, Message, ReasoningEffort, Role, SystemContent, ToolDescription,
    ToolNamespace, channel,
};

/// The content type of a call with JSON arguments.
pub(super) const JSON_ARGUMENTS: &str = "<|constrain|>json";
/// The content type of a call of a built-in tool.
pub(super) const CODE: &str = "code";

/// A conversation with the place that each message came from.
pub(super) struct Read {
    pub(super) messages: Vec<Message>,
    /// For each message the pointer of its source.
    pub(super) origins: Vec<String>,
    pub(super) losses: Losses,
}

/// The place in the source that a place in the conversation came from.
pub(super) fn origin(origins: &[String], pointer: &str) -> String {
    let index =
        pointer.strip_prefix("/messages/").and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
    index.and_then(|index| origins.get(index)).cloned().unwrap_or_default()
}

/// What a message has to do with calls; each call has a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    None,
    Call(usize),
    Result(usize),
}

struct Entry {
    message: Message,
    origin: String,
    link: Link,
}

/// Settings and messages, as they are found.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) effort: Option<ReasoningEffort>,
    pub(super) identity: Option<String>,
    pub(super) built_in: Vec<ToolNamespace>,
    /// Instructions, tools and response formats that the document has beside its messages.
    pub(super) developer: DeveloperContent,
    pub(super) losses: Losses,
    body: Vec<Entry>,
    waiting: Waiting,
    calls: usize,
}

impl Draft {
    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    pub(super) fn add_namespace(&mut self, name: &str, description: Option<String>) -> &mut ToolNamespace {
        let tools = self.developer.tools.get_or_insert_default();
        tools.entry(name.to_owned()).or_insert_with(|| ToolNamespace {
            name: name.to_owned(),
            description,
            tools: Vec::new(),
        })
    }

    pub(super) fn add_function(&mut self, tool: ToolDescription) {
        self.add_namespace(ToolNamespace::FUNCTIONS, None).tools.push(tool);
    }

    pub(super) fn add_built_in(&mut self, namespace: ToolNamespace) {
        if !self.built_in.contains(&namespace) {
            self.built_in.push(namespace);
        }
    }

    pub(super) fn push(&mut self, message: Message, origin: impl Into<String>) {
        self.body.push(Entry { message, origin: origin.into(), link: Link::None });
    }

    /// Adds a call of `tool`, a full name such as `functions.f`.
    pub(super) fn push_call(&mut self, id: &str, tool: &str, author: Author, arguments: &str, origin: &str) {
        let message = Message::new(author, arguments)
            .with_recipient(tool)
            .with_channel(channel::COMMENTARY)
            .with_content_type(JSON_ARGUMENTS);
        let number = self.calls;
        self.calls += 1;
        self.waiting.add(number, id, tool);
        let link = Link::Call(number);
        self.body.push(Entry { message, origin: origin.to_owned(), link });
    }

    /// Takes the waiting call with this id, the latest if there are several: its tool and its number.
    pub(super) fn take_call(&mut self, id: &str) -> Option<(String, usize)> {
        self.waiting.take_id(id)
    }

    /// Takes the oldest waiting call of this tool and returns its number.
    pub(super) fn answer_call(&mut self, tool: &str) -> Option<usize> {
        self.waiting.take_tool(tool)
    }

    /// Adds the result of a call.
    pub(super) fn push_result(
        &mut self,
        tool: &str,
        call: Option<usize>,
        content: Vec<Content>,
        origin: &str,
    ) {
        let mut message = Message::new(Author::new(Role::Tool, tool), "")
            .with_recipient(Role::Assistant.as_str())
            .with_channel(channel::COMMENTARY);
        message.content = content;
        let link = call.map_or(Link::None, Link::Result);
        self.body.push(Entry { message, origin: origin.to_owned(), link });
    }

    pub(super) fn finish(mut self, options: &Options) -> Read {
        self.order_results();
        self.report_misattributed();
        let system = self.system(options);
        let Self { developer, mut losses, mut body, .. } = self;
        let from_document = |message| Entry { message, origin: String::new(), link: Link::None };
        if developer != DeveloperContent::default() {
            match body.first_mut().and_then(|entry| leading_instructions(&mut entry.message)) {
                Some(content) if developer.instructions.is_none() => {
                    content.tools = developer.tools;
                    content.response_formats = developer.response_formats;
                }
                _ => body.insert(0, from_document(Message::new(Role::Developer, developer))),
            }
        }
        if let Some(system) = system {
            body.insert(0, from_document(Message::new(Role::System, system)));
        }
        losses.0.sort_by_key(|loss| loss.pointer.is_empty());
        let (messages, origins) = body.into_iter().map(|entry| (entry.message, entry.origin)).unzip();
        Read { messages, origins, losses }
    }

    fn system(&mut self, options: &Options) -> Option<SystemContent> {
        let called_for = self.effort.is_some() || self.identity.is_some() || !self.built_in.is_empty();
        let mut system = match &options.system {
            Some(system) => system.clone(),
            None if called_for => SystemContent::default(),
            None => return None,
        };
        system.reasoning_effort = self.effort.or(system.reasoning_effort);
        system.model_identity = self.identity.take().or(system.model_identity);
        Some(self.built_in.drain(..).fold(system, SystemContent::with_tools))
    }

    /// Results of one tool that stand side by side are put into the order of their calls,
    /// because order is all that Harmony has to match them.
    fn order_results(&mut self) {
        let is_result = |entry: &Entry| matches!(entry.link, Link::Result(_));
        for run in self.body.chunk_by_mut(|a, b| is_result(a) && is_result(b)) {
            // For each entry, where it belongs.
            let mut places: Vec<usize> = (0..run.len()).collect();
            let mut of_tool: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
            for (place, entry) in run.iter().enumerate().filter(|(_, entry)| is_result(entry)) {
                of_tool.entry(entry.message.author.name.as_deref()).or_default().push(place);
            }
            for old in of_tool.into_values() {
                let mut ordered = old.clone();
                ordered.sort_by_key(|&place| match run[place].link {
                    Link::Result(call) => Some(call),
                    Link::None | Link::Call(_) => None,
                });
                for (entry, place) in ordered.into_iter().zip(old) {
                    places[entry] = place;
                }
            }
            for at in 0..run.len() {
                while places[at] != at {
                    let place = places[at];
                    run.swap(at, place);
                    places.swap(at, place);
                }
            }
        }
    }

    /// Reports results that do not answer the oldest waiting call of their tool.
    fn report_misattributed(&mut self) {
        let mut waiting = Waiting::default();
        for entry in &self.body {
            match (entry.link, &entry.message.recipient, &entry.message.author.name) {
                (Link::Call(number), Some(tool), _) => waiting.add(number, "", tool),
                (Link::Result(number), _, Some(tool)) => {
                    let oldest = waiting.take_tool(tool);
                    if oldest != Some(number) {
                        let what = format!("which call of {tool} this result answers");
                        let why = "Harmony matches results to calls by order, and an older call has none yet";
                        self.losses.add(LossKind::Orphan, entry.origin.clone(), what, why);
                    }
                }
                _ => {}
            }
        }
    }
}

fn leading_instructions(message: &mut Message) -> Option<&mut DeveloperContent> {
    match message.content.as_mut_slice() {
        [Content::Developer(content)] => Some(content),
        _ => None,
    }
}

/// The full name of a function: `functions.` before it. A name that a model wrote in full is kept as it is.
pub(super) fn full_name(name: &str, pointer: String, losses: &mut Losses) -> String {
    match Address::of(name) {
        Address::Function { bare: false, name: short } => {
            let why = format!("the function is called {short:?}");
            losses.add(LossKind::Recipient, pointer, format!("the prefix of {name:?}"), why);
            name.to_owned()
        }
        _ => format!("{}.{name}", ToolNamespace::FUNCTIONS),
    }
}
