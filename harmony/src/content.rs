//! What system and developer messages say: identity, effort, channels, tools, response formats.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, ErrorKind, Result, channel};

/// How long the model should think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReasoningEffort {
    /// `low`
    Low,
    /// `medium`, the default of the models.
    Medium,
    /// `high`
    High,
}

impl ReasoningEffort {
    /// The word as it is rendered, in lower case. JSON has it capitalised.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for ReasoningEffort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReasoningEffort {
    type Err = Error;

    /// Reads `low`, `medium` or `high`, in any case of letters.
    fn from_str(word: &str) -> Result<Self> {
        [Self::Low, Self::Medium, Self::High]
            .into_iter()
            .find(|effort| effort.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Json,
                    format!("reasoning effort must be low, medium or high, found {word:?}"),
                )
            })
    }
}

/// The channels that the model may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelConfig {
    /// Their names, in the order in which they are listed.
    pub valid_channels: Vec<String>,
    /// Whether every message must name its channel.
    pub channel_required: bool,
}

impl ChannelConfig {
    /// These channels, one of which every message must name.
    pub fn require(channels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { valid_channels: channels.into_iter().map(Into::into).collect(), channel_required: true }
    }
}

/// What a system message says.
///
/// [`SystemContent::default`] has the defaults of the official constructor; in JSON an absent field is absent.
///
/// ```
/// use harmony_format::{ReasoningEffort, SystemContent};
///
/// let content = SystemContent::default()
///     .with_reasoning_effort(ReasoningEffort::High)
///     .with_conversation_start_date("2025-06-28");
/// assert_eq!(content.knowledge_cutoff.as_deref(), Some("2024-06"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemContent {
    /// Who the model is told to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identity: Option<String>,
    /// How long the model should think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Built-in tools, ordered by key; the rendered name is [`ToolNamespace::name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeMap<String, ToolNamespace>>,
    /// The current date as the model is told it, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_start_date: Option<String>,
    /// Until when the model was trained, `YYYY-MM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knowledge_cutoff: Option<String>,
    /// The channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_config: Option<ChannelConfig>,
}

impl Default for SystemContent {
    // The constructor of openai-harmony 0.0.8.
    fn default() -> Self {
        Self {
            model_identity: Some("You are ChatGPT, a large language model trained by OpenAI.".to_owned()),
            reasoning_effort: Some(ReasoningEffort::Medium),
            tools: None,
            conversation_start_date: None,
            knowledge_cutoff: Some("2024-06".to_owned()),
            channel_config: Some(ChannelConfig::require([
                channel::ANALYSIS,
                channel::COMMENTARY,
                channel::FINAL,
            ])),
        }
    }
}

impl SystemContent {
    /// System content in which every field is absent.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            model_identity: None,
            reasoning_effort: None,
            tools: None,
            conversation_start_date: None,
            knowledge_cutoff: None,
            channel_config: None,
        }
    }

    /// Sets who the model is told to be.
    #[must_use]
    pub fn with_model_identity(mut self, identity: impl Into<String>) -> Self {
        self.model_identity = Some(identity.into());
        self
    }

    /// Sets how long the model should think.
    #[must_use]
    pub fn with_reasoning_effort(mut self, effort: ReasoningEffort) -> Self {
        self.reasoning_effort = Some(effort);
        self
    }

    /// Sets the current date as the model is told it.
    #[must_use]
    pub fn with_conversation_start_date(mut self, date: impl Into<String>) -> Self {
        self.conversation_start_date = Some(date.into());
        self
    }

    /// Sets until when the model was trained.
    #[must_use]
    pub fn with_knowledge_cutoff(mut self, cutoff: impl Into<String>) -> Self {
        self.knowledge_cutoff = Some(cutoff.into());
        self
    }

    /// Sets the channels.
    #[must_use]
    pub fn with_channel_config(mut self, config: ChannelConfig) -> Self {
        self.channel_config = Some(config);
        self
    }

    /// Adds a namespace of tools under its own name.
    #[must_use]
    pub fn with_tools(mut self, namespace: ToolNamespace) -> Self {
        self.tools.get_or_insert_default().insert(namespace.name.clone(), namespace);
        self
    }
}

/// What a developer message says.
///
/// ```
/// use harmony_format::{DeveloperContent, ToolDescription};
/// use serde_json::json;
///
/// let content = DeveloperContent::default()
///     .with_instructions("Answer in one sentence.")
///     .with_function_tools([ToolDescription::new("now", "The time.", json!({"type": "object"}))]);
/// assert!(content.tools.is_some_and(|tools| tools.contains_key("functions")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeveloperContent {
    /// The instructions, known elsewhere as the system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Tools, ordered by key; function tools have the key `functions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeMap<String, ToolNamespace>>,
    /// What the final answer must look like; rendered after the tools. The official library has no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_formats: Option<Vec<ResponseFormat>>,
}

impl DeveloperContent {
    /// Sets the instructions.
    #[must_use]
    pub fn with_instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Adds function tools: the namespace `functions`.
    #[must_use]
    pub fn with_function_tools(self, tools: impl IntoIterator<Item = ToolDescription>) -> Self {
        self.with_tools(ToolNamespace {
            name: ToolNamespace::FUNCTIONS.to_owned(),
            description: None,
            tools: tools.into_iter().collect(),
        })
    }

    /// Adds a namespace of tools under its own name.
    #[must_use]
    pub fn with_tools(mut self, namespace: ToolNamespace) -> Self {
        self.tools.get_or_insert_default().insert(namespace.name.clone(), namespace);
        self
    }

    /// Adds a response format.
    #[must_use]
    pub fn with_response_format(mut self, format: ResponseFormat) -> Self {
        self.response_formats.get_or_insert_default().push(format);
        self
    }
}

/// A group of tools with a common prefix, for example `functions` or `browser`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolNamespace {
    /// The name as it is rendered.
    pub name: String,
    /// What the tools are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The tools. A namespace without any is a tool itself, as `python` is.
    pub tools: Vec<ToolDescription>,
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolDescription {
    /// Its name within the namespace.
    pub name: String,
    /// What it does; may be empty.
    pub description: String,
    /// JSON Schema of its arguments; none for a tool without arguments. Key order is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
}

impl ToolDescription {
    /// A tool whose arguments follow `parameters`, a JSON Schema.
    pub fn new(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        Self { name: name.into(), description: description.into(), parameters: Some(parameters) }
    }
}

/// A shape that the final answer must have: `# Response Formats` of the Harmony guide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponseFormat {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema, rendered compact and in key order.
    pub schema: Value,
}

impl ToolNamespace {
    /// The key and name of the namespace of function tools.
    pub const FUNCTIONS: &'static str = "functions";

    /// A built-in namespace by name: `browser` or `python`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownNamespace`] for any other name.
    pub fn built_in(name: &str) -> Result<Self> {
        match name {
            "browser" => Ok(Self::browser()),
            "python" => Ok(Self::python()),
            _ => Err(Error::new(
                ErrorKind::UnknownNamespace,
                format!("the built-in tool namespaces are browser and python, found {name:?}"),
            )
            .reference(format!("Unknown tool namespace: {name}"))),
        }
    }

    /// The built-in `browser`, as openai-harmony 0.0.8 has it. It belongs into a system message.
    #[must_use]
    pub fn browser() -> Self {
        let tool =
            |name: &str, description: &str, parameters| ToolDescription::new(name, description, parameters);
        Self {
            name: "browser".to_owned(),
            description: Some(BROWSER.to_owned()),
            tools: vec![
                tool(
                    "search",
                    "Searches for information related to `query` and displays `topn` results.",
                    json!({
                        "type": "object",
                        "properties": {
                            "query": {"type": "string"},
                            "topn": {"type": "number", "default": 10},
                            "source": {"type": "string"}
                        },
                        "required": ["query"]
                    }),
                ),
                tool(
                    "open",
                    BROWSER_OPEN,
                    json!({
                        "type": "object",
                        "properties": {
                            "id": {"type": ["number", "string"], "default": -1},
                            "cursor": {"type": "number", "default": -1},
                            "loc": {"type": "number", "default": -1},
                            "num_lines": {"type": "number", "default": -1},
                            "view_source": {"type": "boolean", "default": false},
                            "source": {"type": "string"}
                        }
                    }),
                ),
                tool(
                    "find",
                    "Finds exact matches of `pattern` in the current page, or the page given by `cursor`.",
                    json!({
                        "type": "object",
                        "properties": {
                            "pattern": {"type": "string"},
                            "cursor": {"type": "number", "default": -1}
                        },
                        "required": ["pattern"]
                    }),
                ),
            ],
        }
    }

    /// The built-in `python`, as openai-harmony 0.0.8 has it. It belongs into a system message.
    #[must_use]
    pub fn python() -> Self {
        Self { name: "python".to_owned(), description: Some(PYTHON.to_owned()), tools: Vec::new() }
    }
}

// The texts of the built-in namespaces are what the models were trained on: openai-harmony 0.0.8, `chat.rs`.
const BROWSER: &str = "\
Tool for browsing.
The `cursor` appears in brackets before each browsing display: `[{cursor}]`.
Cite information from the tool using the following format:
`【{cursor}†L{line_start}(-L{line_end})?】`, for example: `【6†L9-L11】` or `【8†L3】`.
Do not quote more than 10 words directly from the tool output.
sources=web (default: web)";

const BROWSER_OPEN: &str = "\
Opens the link `id` from the page indicated by `cursor` starting at line number `loc`, showing `num_lines` lines.
Valid link ids are displayed with the formatting: `【{id}†.*】`.
If `cursor` is not provided, the most recent page is implied.
If `id` is a string, it is treated as a fully qualified URL associated with `source`.
If `loc` is not provided, the viewport will be positioned at the beginning of the document or centered on \
the most relevant passage, if available.
Use this function without `id` to scroll to a new location of an opened page.";

const PYTHON: &str = "\
Use this tool to execute Python code in your chain of thought. The code will not be shown to the user. \
This tool should be used for internal reasoning, but not for code that is intended to be visible to the user \
(e.g. when creating plots, tables, or files).

When you send a message containing Python code to python, it will be executed in a stateful Jupyter notebook \
environment. python will respond with the output of the execution or time out after 120.0 seconds. \
The drive at '/mnt/data' can be used to save and persist user files. \
Internet access for this session is UNKNOWN. Depends on the cluster.";
