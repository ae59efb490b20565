//! What a model may answer, given tools and a response format: Lark, GBNF.
//!
//! A [`Grammar`] describes all that an assistant may generate after `<|start|>assistant`, up to and with the stop token
//! that ends its turn: reasoning, preambles, calls of tools, the final answer. An engine that is held to it by
//! [`Grammar::to_lark`] (llguidance) or [`Grammar::to_gbnf`] (llama.cpp) cannot produce a malformed turn.
//!
//! Headers are in the order in which models generate them, the channel first and then the recipient,
//! and not in the order in which the official library renders them.

mod bounds;
mod gbnf;
mod keywords;
mod lark;
mod merge;
mod object;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod turn;

use std::fmt;

use serde_json::Value;

use crate::{Content, Conversation, Result, ToolNamespace};

/// Whether the model thinks before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reasoning {
    /// As it likes, any number of messages on channel `analysis`.
    #[default]
    Free,
    /// The turn begins with a message on channel `analysis` that is not empty.
    Required,
    /// No message on channel `analysis`, calls of built-in tools apart.
    Forbidden,
}

/// Whether the model calls tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToolChoice {
    /// It calls a tool or answers.
    #[default]
    Auto,
    /// It answers.
    None,
    /// It calls a tool.
    Required,
    /// It calls this tool, by its full name such as `functions.get_weather`.
    Named(String),
}

/// How a call says that its content is JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// ` <|constrain|>json`, as the models were trained.
    Constrained,
    /// ` json`, as chat templates render it.
    Plain,
    /// Not at all.
    Absent,
}

/// A language in which a grammar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The dialect of Lark that llguidance reads.
    Lark,
    /// The grammars of llama.cpp.
    Gbnf,
}

/// Something that a schema says and the grammar does not hold the model to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    /// Whose schema it is: the full name of a tool, `response`, or `turn` where no schema is meant.
    pub schema: String,
    /// Where in the schema, as a JSON Pointer.
    pub pointer: String,
    /// What is lost, in one sentence without a full stop.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => write!(f, "{}: {}", self.schema, self.text),
            pointer => write!(f, "{} at {pointer}: {}", self.schema, self.text),
        }
    }
}

/// What a model may answer.
///
/// # Examples
///
/// ```
/// use harmony_format::grammar::{Grammar, ToolChoice};
/// use harmony_format::{ToolDescription, ToolNamespace};
/// use serde_json::json;
///
/// let weather = ToolDescription::new("get_weather", "The weather.", json!({
///     "type": "object",
///     "properties": {"city": {"type": "string"}},
///     "required": ["city"]
/// }));
/// let grammar = Grammar::new()
///     .functions([weather])
///     .built_in(ToolNamespace::python())
///     .tool_choice(ToolChoice::Required);
/// assert!(grammar.to_lark()?.contains("commentary to=functions.get_weather"));
/// # Ok::<(), harmony_format::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Grammar {
    tools: Vec<ToolNamespace>,
    built_in: Vec<ToolNamespace>,
    response: Option<Value>,
    reasoning: Reasoning,
    choice: ToolChoice,
    parallel: bool,
    both_orders: bool,
    preambles: bool,
    content_types: Vec<ContentType>,
    closed_objects: bool,
    stop_in_gbnf: bool,
}

impl Default for Grammar {
    fn default() -> Self {
        Self::new()
    }
}

impl Grammar {
    /// A grammar without tools: reasoning, preambles and a final answer of any text.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tools: Vec::new(),
            built_in: Vec::new(),
            response: None,
            reasoning: Reasoning::Free,
            choice: ToolChoice::Auto,
            parallel: false,
            both_orders: false,
            preambles: true,
            content_types: vec![ContentType::Constrained, ContentType::Plain],
            closed_objects: false,
            stop_in_gbnf: false,
        }
    }

    /// The grammar of the next answer in a conversation: its function tools, its built-in tools,
    /// and its response format if there is exactly one.
    ///
    /// ```
    /// use harmony_format::grammar::Grammar;
    /// use harmony_format::{Conversation, Message, Role, SystemContent, ToolNamespace};
    ///
    /// let system = SystemContent::default().with_tools(ToolNamespace::browser());
    /// let conversation = Conversation::new([Message::new(Role::System, system)]);
    /// assert!(Grammar::for_conversation(&conversation).to_lark()?.contains("analysis to=browser.open"));
    /// # Ok::<(), harmony_format::Error>(())
    /// ```
    #[must_use]
    pub fn for_conversation(conversation: &Conversation) -> Self {
        let mut grammar = Self::new();
        let mut formats = Vec::new();
        for content in conversation.messages.iter().flat_map(|message| &message.content) {
            match content {
                Content::System(system) => {
                    grammar.built_in.extend(system.tools.iter().flat_map(|tools| tools.values().cloned()));
                }
                Content::Developer(developer) => {
                    grammar.tools.extend(developer.tools.iter().flat_map(|tools| tools.values().cloned()));
                    formats.extend(developer.response_formats.iter().flatten());
                }
                Content::Text(_) => {}
            }
        }
        if let [format] = formats[..] {
            grammar.response = Some(format.schema.clone());
        }
        grammar
    }

    /// Adds function tools: the namespace `functions`.
    #[must_use]
    pub fn functions(self, tools: impl IntoIterator<Item = crate::ToolDescription>) -> Self {
        self.tools(ToolNamespace {
            name: ToolNamespace::FUNCTIONS.to_owned(),
            description: None,
            tools: tools.into_iter().collect(),
        })
    }

    /// Adds a namespace of tools that are called on channel `commentary`, as those of a developer message are.
    #[must_use]
    pub fn tools(mut self, namespace: ToolNamespace) -> Self {
        self.tools.push(namespace);
        self
    }

    /// Adds a namespace of tools that are called on channel `analysis`, as those of a system message are.
    /// A namespace without tools is a tool itself, and what it is given is free text.
    #[must_use]
    pub fn built_in(mut self, namespace: ToolNamespace) -> Self {
        self.built_in.push(namespace);
        self
    }

    /// Makes the final answer JSON that fits this schema.
    #[must_use]
    pub fn response_schema(mut self, schema: impl Into<Option<Value>>) -> Self {
        self.response = schema.into();
        self
    }

    /// Sets whether the model thinks before it answers; [`Reasoning::Free`] by default.
    #[must_use]
    pub fn reasoning(mut self, reasoning: Reasoning) -> Self {
        self.reasoning = reasoning;
        self
    }

    /// Sets whether the model calls tools; [`ToolChoice::Auto`] by default.
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.choice = choice;
        self
    }

    /// Allows several calls in a turn, each with its own `<|call|>`; the engine must then not stop at the first.
    /// One call by default.
    #[must_use]
    pub fn parallel_calls(mut self, yes: bool) -> Self {
        self.parallel = yes;
        self
    }

    /// Allows the recipient before the channel, too: ` to=functions.f<|channel|>commentary`, as history may show it.
    /// By default it comes after.
    #[must_use]
    pub fn both_header_orders(mut self, yes: bool) -> Self {
        self.both_orders = yes;
        self
    }

    /// Allows messages to the user on channel `commentary` before the calls or the answer. Allowed by default.
    #[must_use]
    pub fn preambles(mut self, yes: bool) -> Self {
        self.preambles = yes;
        self
    }

    /// Sets how a call may say that its content is JSON; by default ` <|constrain|>json` and ` json`.
    /// Calls of built-in tools may say ` code` or nothing, too.
    #[must_use]
    pub fn content_types(mut self, types: impl IntoIterator<Item = ContentType>) -> Self {
        self.content_types = types.into_iter().collect();
        self
    }

    /// Reads every object with `properties` and without `additionalProperties` as closed to other keys.
    /// By default it is open, as JSON Schema says.
    #[must_use]
    pub fn closed_objects(mut self, yes: bool) -> Self {
        self.closed_objects = yes;
        self
    }

    /// Writes the stop token that ends the turn into the GBNF, too.
    ///
    /// By default it is left to the engine: llama.cpp matches `<|call|>` and `<|return|>` not against a grammar but
    /// allows them where the grammar is complete.
    /// A Lark grammar always has it.
    #[must_use]
    pub fn stop_tokens_in_gbnf(mut self, yes: bool) -> Self {
        self.stop_in_gbnf = yes;
        self
    }

    /// The grammar in the dialect of Lark that llguidance reads; its start rule is `start`.
    ///
    /// Markers are special tokens of the tokenizer, and arguments are `%json` with the tool's schema.
    /// What llguidance does not hold the model to stands in comments at the top, as [`Grammar::notes`] has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Grammar`](crate::ErrorKind::Grammar) if a tool's name cannot stand in a header or is there twice,
    /// if the tool choice asks for a tool that is not there,
    /// or if a schema is not one, refers outside itself or fits no value.
    pub fn to_lark(&self) -> Result<String> {
        Ok(lark::write(&turn::Turn::new(self, Format::Lark)?))
    }

    /// The grammar as llama.cpp reads it; its start rule is `root`.
    ///
    /// What it does not hold the model to stands in comments at the top, as [`Grammar::notes`] has it.
    ///
    /// # Errors
    ///
    /// As [`Grammar::to_lark`].
    pub fn to_gbnf(&self) -> Result<String> {
        Ok(gbnf::write(&turn::Turn::new(self, Format::Gbnf)?)?.text)
    }

    /// What the schemas say and a grammar in this format does not hold the model to.
    ///
    /// # Errors
    ///
    /// As [`Grammar::to_lark`].
    pub fn notes(&self, format: Format) -> Result<Vec<Note>> {
        let turn = turn::Turn::new(self, format)?;
        match format {
            Format::Lark => Ok(lark::notes(&turn)),
            Format::Gbnf => Ok(gbnf::write(&turn)?.notes),
        }
    }
}
