//! What a request says beside its messages, taken out of the messages that say it in Harmony.

use serde_json::Value;

use super::Options;
use super::loss::{LossKind, Losses};
use super::steps::expect;
use crate::{
    Content, Conversation, DeveloperContent, Message, ReasoningEffort, ResponseFormat, Role, SystemContent,
    ToolNamespace,
};

/// Instructions that stand as a message of their own.
pub(super) struct Instructions {
    pub(super) index: usize,
    pub(super) role: Role,
    pub(super) name: Option<String>,
    pub(super) text: String,
}

/// A message of the conversation proper.
pub(super) enum Part<'a> {
    Instructions(Instructions),
    Message(usize, &'a Message),
}

/// A conversation, sorted into what requests keep apart.
#[derive(Default)]
pub(super) struct Front<'a> {
    /// Only set if it differs from what the reader assumes, except for the effort.
    pub(super) identity: Option<(&'a str, String)>,
    pub(super) effort: Option<ReasoningEffort>,
    /// `browser` and `python`, each with its place.
    pub(super) built_in: Vec<(&'static str, String)>,
    /// The instructions of the developer message that the conversation begins with.
    pub(super) instructions: Option<Instructions>,
    /// Namespaces of developer messages, each with its place.
    pub(super) tools: Vec<(&'a ToolNamespace, String)>,
    pub(super) formats: Vec<(&'a ResponseFormat, String)>,
    pub(super) body: Vec<Part<'a>>,
    /// The leading developer message, if it has tools or formats but no instructions.
    bare: Option<usize>,
}

impl<'a> Front<'a> {
    pub(super) fn new(conversation: &'a Conversation, options: &Options, losses: &mut Losses) -> Self {
        let mut front = Self::default();
        let mut has_system = false;
        for (index, message) in conversation.messages.iter().enumerate() {
            if !matches!(message.author.role, Role::System | Role::Developer) {
                front.body.push(Part::Message(index, message));
                continue;
            }
            expect(losses, index, message, [None, None, None]);
            if message.content.iter().all(|item| item.as_text().is_some()) {
                let what = format!("that the {} text stands alone", message.author.role);
                let why = "it becomes instructions, which Harmony renders under a heading";
                losses.add(LossKind::InstructionText, format!("/messages/{index}/content"), what, why);
                front.say(index, message, message.text());
                continue;
            }
            for (item, content) in message.content.iter().enumerate() {
                let pointer = format!("/messages/{index}/content/{item}");
                match (content, message.author.role) {
                    (Content::System(content), Role::System) if index == 0 && item == 0 => {
                        has_system = true;
                        name_is_lost(message, index, losses);
                        front.take_system(content, &pointer, options, losses);
                    }
                    (Content::Developer(content), Role::Developer) => {
                        let leads = item == 0 && index == usize::from(has_system);
                        front.take_developer(content, message, (index, leads, pointer), losses);
                    }
                    (Content::Text(text), _) => {
                        let why = "it becomes instructions of their own";
                        losses.add(LossKind::Position, pointer, "text beside other content", why);
                        front.say(index, message, text.clone());
                    }
                    (Content::System(_), Role::System) => {
                        let why = "only the first message can say it; it is left out";
                        losses.add(LossKind::Position, pointer, "further system content", why);
                    }
                    (Content::System(_) | Content::Developer(_), role) => {
                        let what = format!("content that does not belong into a message of role {role}");
                        losses.add(LossKind::Item, pointer, what, "it is left out");
                    }
                }
            }
        }
        if !has_system && options.system.is_some() {
            let why = "servers, and reading this back, begin with one";
            losses.add(LossKind::NoSystem, "/messages", "that there is no system message", why);
        }
        front
    }

    fn say(&mut self, index: usize, message: &Message, text: String) {
        let name = message.author.name.clone();
        self.body.push(Part::Instructions(Instructions { index, role: message.author.role, name, text }));
    }

    fn take_system(
        &mut self,
        content: &'a SystemContent,
        pointer: &str,
        options: &Options,
        losses: &mut Losses,
    ) {
        let base = options.system.clone().unwrap_or_default();
        self.effort = content.reasoning_effort;
        if content.reasoning_effort.is_none() && base.reasoning_effort.is_some() {
            let why = "without one, servers take medium";
            losses.add(LossKind::Effort, pointer, "that no effort is stated", why);
        }
        match &content.model_identity {
            identity if *identity == base.model_identity => {}
            Some(identity) => self.identity = Some((identity, format!("{pointer}/model_identity"))),
            None => {
                let why = "servers begin with the default one";
                losses.add(LossKind::SystemContent, pointer, "that no identity is stated", why);
            }
        }
        let more = [
            ("conversation_start_date", content.conversation_start_date == base.conversation_start_date),
            ("knowledge_cutoff", content.knowledge_cutoff == base.knowledge_cutoff),
            ("channel_config", content.channel_config == base.channel_config),
        ];
        for (field, same) in more {
            if !same {
                let why = "a request has no field for it, servers state their own";
                losses.add(LossKind::SystemContent, format!("{pointer}/{field}"), field, why);
            }
        }
        let empty = std::collections::BTreeMap::new();
        let (tools, assumed) =
            (content.tools.as_ref().unwrap_or(&empty), base.tools.as_ref().unwrap_or(&empty));
        for key in assumed.keys().filter(|key| !tools.contains_key(*key)) {
            let why = "servers begin with it";
            losses.add(LossKind::Tool, pointer, format!("that there is no tool {key:?}"), why);
        }
        for (key, namespace) in tools {
            if assumed.get(key) == Some(namespace) {
                continue;
            }
            let mut pointer = format!("{pointer}/tools");
            crate::arguments::push_key(&mut pointer, key);
            let Some(name) = ["browser", "python"].into_iter().find(|name| *name == namespace.name) else {
                let what = format!("the built-in namespace {:?}", namespace.name);
                losses.add(
                    LossKind::Tool,
                    pointer,
                    what,
                    "only browser and python are known; it is left out",
                );
                continue;
            };
            if key != name || ToolNamespace::built_in(name).ok().as_ref() != Some(namespace) {
                let what = format!("how {name} is described");
                losses.add(LossKind::ToolDetail, pointer.clone(), what, "a request only names it");
            }
            self.built_in.push((name, pointer));
        }
    }

    fn take_developer(
        &mut self,
        content: &'a DeveloperContent,
        message: &Message,
        (index, leads, pointer): (usize, bool, String),
        losses: &mut Losses,
    ) {
        let tools = content.tools.iter().flatten().map(|(key, namespace)| {
            let mut pointer = format!("{pointer}/tools");
            crate::arguments::push_key(&mut pointer, key);
            (key, namespace, pointer)
        });
        let mut is_empty = content.instructions.is_none();
        let moved = "a request says it once, before all messages";
        for (key, namespace, pointer) in tools {
            is_empty = false;
            if !leads {
                let what = format!("where the namespace {key:?} stands");
                losses.add(LossKind::Position, pointer.clone(), what, moved);
            }
            if *key != namespace.name {
                let what = format!("the key {key:?} of the namespace {:?}", namespace.name);
                losses.add(LossKind::ToolDetail, pointer.clone(), what, "a request has the name only");
            }
            self.tools.push((namespace, pointer));
        }
        for (item, format) in content.response_formats.iter().flatten().enumerate() {
            is_empty = false;
            let pointer = format!("{pointer}/response_formats/{item}");
            if !leads {
                losses.add(LossKind::Position, pointer.clone(), "where the response format stands", moved);
            }
            self.formats.push((format, pointer));
        }
        let text = match &content.instructions {
            Some(text) => text.clone(),
            None => {
                name_is_lost(message, index, losses);
                if is_empty {
                    losses.add(
                        LossKind::Empty,
                        pointer,
                        "developer content that says nothing",
                        "it is left out",
                    );
                } else if leads {
                    self.bare = Some(index);
                }
                return;
            }
        };
        if leads {
            let name = message.author.name.clone();
            self.instructions = Some(Instructions { index, role: Role::Developer, name, text });
        } else {
            self.say(index, message, text);
        }
    }

    /// Tools and formats without instructions join the instructions that follow them.
    /// `first` is what was written as the first message, and `instructions` where the first instructions stand.
    pub(super) fn report_merge(
        &self,
        first: Option<&Value>,
        instructions: Option<usize>,
        losses: &mut Losses,
    ) {
        let declares = !self.tools.is_empty() || !self.formats.is_empty();
        let role = first.and_then(|first| first["role"].as_str());
        if self.instructions.is_some() || !declares || !matches!(role, Some("system" | "developer")) {
            return;
        }
        for index in self.bare.into_iter().chain(instructions) {
            let what = "that the tools or formats and the instructions after them are two messages";
            losses.add(
                LossKind::Position,
                format!("/messages/{index}"),
                what,
                "reading a request joins them",
            );
        }
    }
}

fn name_is_lost(message: &Message, index: usize, losses: &mut Losses) {
    if let Some(name) = &message.author.name {
        let what = format!("the name {name:?}");
        losses.add(
            LossKind::Name,
            format!("/messages/{index}/name"),
            what,
            "a setting of the request has no author",
        );
    }
}
