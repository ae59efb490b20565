//! What a conversation is set up with: effort, date, instructions, tools, the shape of the answer.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use harmony_format::grammar::{self, ContentType, Grammar};
use harmony_format::{
    Content, Conversation, DeveloperContent, Message, ReasoningEffort, ResponseFormat, Role, SchemaStyle,
    SystemContent, ToolDescription, ToolNamespace,
};
use serde_json::Value;

use super::args::{Effort, Enforce};
use super::enforce::{Enforcer, Rules};
use super::speaker::{ModelChoice, Speaker};
use super::{example, exchange};
use crate::agent::sandbox::{Sandbox, Wishes};
use crate::agent::toolbox::Toolbox;
use crate::agent::{self, Answer, table};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::toolset::{self, Tools};
use crate::{documents, input};

/// What the model is told before the user says something.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SetupArgs {
    /// How long the model thinks [default: what the conversation says, else medium]
    #[arg(long, value_enum, value_name = "EFFORT")]
    pub(crate) effort: Option<Effort>,
    /// Instructions, known elsewhere as the system prompt
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Tools that the model may call: a tools.toml, which says what answers them; a file of definitions in any common shape,
    /// whose calls are shown; example, for a get_weather that answers from a table in this program; or none [default: none,
    /// and example for tiny]
    #[arg(long, value_name = "FILE|example|none")]
    pub(crate) tools: Option<String>,
    /// Whether code that the model writes is run in a sandbox, over what the tools.toml says
    #[arg(long, value_enum, value_name = "WHEN", hide_short_help = true)]
    pub(crate) sandbox: Option<Sandbox>,
    /// The JSON Schema that the answer follows
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// The date that the model is told, as YYYY-MM-DD [default: none, so that answers can be had again]
    #[arg(long, value_name = "DATE", hide_short_help = true)]
    pub(crate) date: Option<String>,
    /// Whether tokens that would break the format, name an unknown tool or misfit a schema are barred
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", hide_short_help = true)]
    pub(crate) enforce: Enforce,
}

/// The same, with the files read.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) effort: Option<ReasoningEffort>,
    pub(crate) system: Option<String>,
    pub(crate) tools: ToolChoice,
    pub(crate) schema: Option<Value>,
    pub(crate) date: Option<String>,
    pub(crate) enforce: Enforce,
}

/// Which tools are declared.
#[derive(Debug)]
pub(crate) enum ToolChoice {
    /// Those of the conversation.
    Own,
    /// The example tool, which this program runs.
    Example,
    /// Those of a file.
    Declared(Tools),
    /// Those of a file that says what answers them.
    Run(Toolbox),
}

impl ToolChoice {
    /// Reads the value of `--tools`, and tells the user what there is to know of the tools.
    pub(crate) fn read(value: &str, wishes: &mut Wishes<'_>, context: &Context) -> Result<Self> {
        Ok(match value {
            "none" => Self::Own,
            "example" => Self::Example,
            path if path.ends_with(".toml") => {
                let toolbox = table::read(path.as_ref(), wishes)?;
                toolbox.notes().into_iter().for_each(|note| context.warn(note));
                Self::Run(toolbox)
            }
            path => Self::Declared(toolset::read(path.as_ref())?),
        })
    }

    /// What is declared besides what the conversation declares.
    fn namespaces(&self) -> Vec<ToolNamespace> {
        match self {
            Self::Own => Vec::new(),
            Self::Example => vec![example::namespace()],
            Self::Declared(tools) => tools.values().cloned().collect(),
            Self::Run(toolbox) => toolbox.namespaces(),
        }
    }

    /// Whether calls are answered here.
    pub(crate) fn is_run(&self) -> bool {
        matches!(self, Self::Example | Self::Run(_))
    }
}

impl agent::Tools for ToolChoice {
    fn answer(
        &mut self,
        call: &Message,
        interrupt: &AtomicBool,
        news: &mut dyn FnMut(&str),
    ) -> Result<Option<Answer>> {
        match self {
            Self::Own | Self::Declared(_) => Ok(None),
            Self::Example => Ok(Some(exchange::call_example(call))),
            Self::Run(toolbox) => toolbox.answer(call, interrupt, news),
        }
    }

    fn most_calls(&self) -> usize {
        match self {
            Self::Run(toolbox) => toolbox.most_calls(),
            _ => agent::MOST_CALLS,
        }
    }
}

impl SetupArgs {
    /// Reads the files. Without `--tools` the tiny model has the example, unless there is a conversation of its own.
    pub(crate) fn read(
        &self,
        model: &ModelChoice,
        has_conversation: bool,
        wishes: &mut Wishes<'_>,
        context: &Context,
    ) -> Result<Setup> {
        let tools = match &self.tools {
            Some(value) => ToolChoice::read(value, wishes, context)?,
            None if *model == ModelChoice::Tiny && !has_conversation && self.schema.is_none() => {
                ToolChoice::Example
            }
            None => ToolChoice::Own,
        };
        let schema = match &self.schema {
            Some(path) => {
                let document = input::read_text(path)?;
                let schema =
                    documents::value(&document.text).map_err(|error| error.in_file(&document.name))?;
                // Wrong schemas are told with their file.
                let check = Grammar::new().response_schema(schema.clone()).to_lark();
                check.map_err(|error| Error::in_document(error, &document.text).in_file(&document.name))?;
                Some(schema)
            }
            None => None,
        };
        Ok(Setup {
            effort: self.effort.map(ReasoningEffort::from),
            system: self.system.clone(),
            tools,
            schema,
            date: self.date.clone(),
            enforce: self.enforce,
        })
    }
}

impl Setup {
    /// Puts it into a conversation; what the conversation says already stays, unless it is said here.
    pub(crate) fn apply(&self, conversation: &mut Conversation) -> Result<()> {
        let mut namespaces = self.tools.namespaces();
        if let Some(system) = system(conversation) {
            if self.effort.is_some() {
                system.reasoning_effort = self.effort;
            }
            if self.date.is_some() {
                system.conversation_start_date.clone_from(&self.date);
            }
            for namespace in namespaces.iter().filter(|namespace| is_built_in(&namespace.name)) {
                *system = std::mem::take(system).with_tools(namespace.clone());
            }
        } else if self.effort.is_some()
            || self.date.is_some()
            || namespaces.iter().any(|namespace| is_built_in(&namespace.name))
        {
            return Err(Error::usage(
                "--effort, --date and the tools browser and python need structured system content, this conversation has text",
            )
            .help("write the system message as an item of type `system_content`"));
        }
        namespaces.retain(|namespace| !is_built_in(&namespace.name));
        if self.system.is_none() && self.schema.is_none() && namespaces.is_empty() {
            return Ok(());
        }
        let developer = developer(conversation)?;
        if self.system.is_some() {
            developer.instructions.clone_from(&self.system);
        }
        for namespace in namespaces {
            *developer = std::mem::take(developer).with_tools(namespace);
        }
        if let Some(schema) = &self.schema {
            let format =
                ResponseFormat { name: "answer".to_owned(), description: None, schema: schema.clone() };
            developer.response_formats = Some(vec![format]);
        }
        Ok(())
    }

    /// What holds the answers to the grammar of the conversation, if they are to be held to it. What of the schemas is
    /// not held to is told. `rules` keeps the vocabulary for the next time.
    pub(crate) fn enforcement(
        &self,
        conversation: &Conversation,
        speaker: &Speaker,
        rules: &mut Option<Rc<Rules>>,
        context: &Context,
    ) -> Result<Option<Enforcement>> {
        let grammar = Grammar::for_conversation(conversation)
            .both_header_orders(true)
            .content_types([ContentType::Constrained, ContentType::Plain]);
        let asks = namespaces(conversation).next().is_some() || format(conversation).is_some();
        match self.enforce {
            Enforce::Off => return Ok(None),
            Enforce::Auto if !asks || !cfg!(feature = "constrain") => return Ok(None),
            Enforce::Auto | Enforce::Always => {}
        }
        for note in grammar.notes(grammar::Format::Lark)? {
            context.warn(note);
        }
        let rules = match rules {
            Some(rules) => rules.clone(),
            None => {
                let made = Rules::new(&speaker.encoding, speaker.model.config().vocab_size)?;
                rules.insert(Rc::new(made)).clone()
            }
        };
        // A grammar that llguidance refuses is told before anything is generated.
        let refused = |error| rules.refusal(schemas(conversation)).unwrap_or(error);
        let beginning = rules.enforce(&grammar).map_err(refused)?;
        Ok(Some(Enforcement { beginning }))
    }
}

/// What answers are held to.
pub(crate) struct Enforcement {
    /// At the beginning of an answer.
    beginning: Enforcer,
}

impl Enforcement {
    /// Holds the next answer to the grammar.
    pub(crate) fn next(&self) -> Enforcer {
        self.beginning.clone()
    }
}

fn is_built_in(name: &str) -> bool {
    ["browser", "python"].contains(&name)
}

/// The schemas of a conversation, with the names by which errors tell them.
fn schemas(conversation: &Conversation) -> impl Iterator<Item = (String, Value)> {
    let tools = namespaces(conversation).flat_map(|namespace| {
        let named = |tool: &ToolDescription| {
            Some((format!("{}.{}", namespace.name, tool.name), tool.parameters.clone()?))
        };
        namespace.tools.iter().filter_map(named)
    });
    tools.chain(format(conversation).map(|format| ("response".to_owned(), format.schema.clone())))
}

/// The namespaces of tools that a conversation declares.
pub(crate) fn namespaces(conversation: &Conversation) -> impl Iterator<Item = &ToolNamespace> {
    let tools = contents(conversation).filter_map(|content| match content {
        Content::System(system) => system.tools.as_ref(),
        Content::Developer(developer) => developer.tools.as_ref(),
        Content::Text(_) => None,
    });
    tools.flat_map(|tools| tools.values())
}

/// How the tools of a conversation are described: byte for byte as by the official library where they are developers'
/// functions. Servers of tools have schemas that lose their types so; they are described by what keeps them, and with them
/// all tools, because a prompt has one style.
pub(crate) fn schema_style(conversation: &Conversation) -> SchemaStyle {
    let is_server = |namespace: &ToolNamespace| {
        namespace.name != ToolNamespace::FUNCTIONS && !is_built_in(&namespace.name)
    };
    if namespaces(conversation).any(is_server) { SchemaStyle::Typed } else { SchemaStyle::Reference }
}

/// What the answer looks like, if the conversation says so, and says it once.
pub(crate) fn format(conversation: &Conversation) -> Option<&ResponseFormat> {
    let mut formats = contents(conversation)
        .filter_map(|content| match content {
            Content::Developer(developer) => developer.response_formats.as_ref(),
            Content::System(_) | Content::Text(_) => None,
        })
        .flatten();
    formats.next().filter(|_| formats.next().is_none())
}

fn contents(conversation: &Conversation) -> impl Iterator<Item = &Content> {
    conversation.messages.iter().flat_map(|message| &message.content)
}

/// The full names of the tools that a conversation declares.
pub(crate) fn tool_names(conversation: &Conversation) -> Vec<String> {
    namespaces(conversation)
        .flat_map(|namespace| toolset::names(&Tools::from([(namespace.name.clone(), namespace.clone())])))
        .collect()
}

/// The system content of a conversation, a new one where there is no system message; none where that is text.
pub(crate) fn system(conversation: &mut Conversation) -> Option<&mut SystemContent> {
    let messages = &mut conversation.messages;
    if !messages.iter().any(|message| message.author.role == Role::System) {
        messages.insert(0, Message::new(Role::System, SystemContent::default()));
    }
    messages.iter_mut().flat_map(|message| &mut message.content).find_map(|content| match content {
        Content::System(system) => Some(system),
        Content::Developer(_) | Content::Text(_) => None,
    })
}

/// The developer content of a conversation, a new one where there is no developer message.
pub(crate) fn developer(conversation: &mut Conversation) -> Result<&mut DeveloperContent> {
    let messages = &mut conversation.messages;
    let is = |role| move |message: &Message| message.author.role == role;
    let at = match messages.iter().position(is(Role::Developer)) {
        Some(at) => at,
        None => {
            let at = messages.iter().rposition(is(Role::System)).map_or(0, |at| at + 1);
            messages.insert(at, Message::new(Role::Developer, DeveloperContent::default()));
            at
        }
    };
    messages[at]
        .content
        .iter_mut()
        .find_map(|content| match content {
            Content::Developer(developer) => Some(developer),
            Content::System(_) | Content::Text(_) => None,
        })
        .ok_or_else(|| {
            Error::usage("--system, --tools and --schema need structured developer content, this conversation has text")
                .help("write the developer message as an item of type `developer_content`")
        })
}

/// Takes the tools out of a conversation.
pub(crate) fn remove_tools(conversation: &mut Conversation) {
    for content in conversation.messages.iter_mut().flat_map(|message| &mut message.content) {
        match content {
            Content::System(system) => system.tools = None,
            Content::Developer(developer) => developer.tools = None,
            Content::Text(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_of_servers_keep_their_types() {
        for (names, style) in [
            (&["functions"][..], SchemaStyle::Reference),
            (&["browser", "functions", "python"], SchemaStyle::Reference),
            (&["functions", "words"], SchemaStyle::Typed),
        ] {
            let namespace = |name: &&str| ToolNamespace {
                name: (*name).to_owned(),
                description: None,
                tools: vec![ToolDescription {
                    name: "f".into(),
                    description: String::new(),
                    parameters: None,
                }],
            };
            let content =
                names.iter().map(namespace).fold(DeveloperContent::default(), DeveloperContent::with_tools);
            let conversation = Conversation { messages: vec![Message::new(Role::Developer, content)] };
            assert_eq!(schema_style(&conversation), style, "{names:?}");
        }
    }
}
