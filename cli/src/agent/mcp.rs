//! Tools of MCP servers: programs that are started with the run, or HTTP endpoints. A server is a namespace.

mod client;
mod connection;
mod http;
mod names;
mod result;
mod start;
mod stdio;
mod tasks;
#[cfg(all(test, unix))]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use harmony_format::{Message, ToolDescription, ToolNamespace};
use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde_json::Value;

use self::connection::Connection;
use self::start::{Reach, Starting};
use super::process::Limits;
use super::toolbox::{self, Kit};
use super::{Answer, table, text};
use crate::error::{Error, Result};
use crate::interrupt;

/// Bytes that the model is told of a server's instructions, and of each tool's description.
const MOST_TOLD: usize = 4000;

/// Bytes of the result where the file says nothing.
const OUTPUT_KB: usize = 64;

/// Namespaces that are other tools.
const TAKEN: [&str; 3] = [ToolNamespace::FUNCTIONS, "browser", "python"];

/// A server, as `tools.toml` names it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Entry {
    command: Option<Vec<String>>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    pass_environment: Vec<String>,
    folder: Option<PathBuf>,
    #[serde(default)]
    confined: bool,
    /// The tools that may be called; all where it is not said.
    allow: Option<Vec<String>>,
    time: Option<f64>,
    memory_mb: Option<u64>,
    output_kb: Option<usize>,
}

/// Starts the servers, all at once, and asks each for its tools.
///
/// # Errors
///
/// If one cannot be started or does not tell its tools; with the name of the server. If the user pressed Ctrl-C.
pub(super) fn kits(
    entries: BTreeMap<String, Entry>,
    folder: &Path,
    at: &dyn Fn(&str, Error) -> Error,
) -> Result<Vec<Box<dyn Kit>>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let interrupt = interrupt::flag()?;
    let mut starting = Vec::new();
    for (name, entry) in entries {
        let planned = Plan::new(&name, entry, folder).map_err(|error| at(&name, error))?;
        starting.push((planned, name));
    }
    let mut started = Vec::new();
    for (plan, name) in starting {
        let begun = plan.reach.begin(&plan.limits);
        started.push((plan, begun, name));
    }
    let mut kits: Vec<Box<dyn Kit>> = Vec::new();
    for (plan, begun, name) in started {
        let server = plan.finish(begun, interrupt).map_err(|error| at(&name, error))?;
        kits.push(Box::new(server));
    }
    Ok(kits)
}

/// A server that is to be started.
#[derive(Debug)]
struct Plan {
    name: String,
    reach: Reach,
    limits: Limits,
    allow: Option<Vec<String>>,
}

impl Plan {
    fn new(name: &str, entry: Entry, folder: &Path) -> Result<Self> {
        if !table::is_identifier(name) || TAKEN.contains(&name) {
            let rule = format!(
                "{name:?} is no name of a server: letters, digits and _, and not {}",
                TAKEN.join(", ")
            );
            return Err(table::wrong(rule));
        }
        let of = |what: String| table::wrong(format!("mcp.{name}: {what}"));
        let limits = Limits {
            time: table::time(entry.time).map_err(of)?,
            memory: entry.memory_mb.map(|megabytes| megabytes.saturating_mul(1 << 20)),
            output: entry.output_kb.unwrap_or(OUTPUT_KB).saturating_mul(1 << 10),
        };
        let reach = match (entry.command, entry.url) {
            (Some(argv), None) => {
                let environment = table::environment(entry.environment, entry.pass_environment);
                let program =
                    table::program(argv, environment, entry.folder, entry.confined, folder).map_err(of)?;
                Reach::Program(program)
            }
            (None, Some(url)) => Reach::url(&url, entry.headers).map_err(of)?,
            _ => return Err(of("either command or url says where the server is".to_owned())),
        };
        Ok(Self { name: name.to_owned(), reach, limits, allow: entry.allow })
    }

    /// The server with its tools, once it is there.
    fn finish(self, begun: std::result::Result<Starting, String>, interrupt: &AtomicBool) -> Result<Server> {
        let name = &self.name;
        let trouble =
            |why: &str| Error::input("T004", format!("mcp.{name}: the server does not start: {why}"));
        let starting = begun.map_err(|why| trouble(&why))?;
        let (connection, told) = match starting.finish(&self.limits, interrupt)? {
            Ok(found) => found,
            Err(failed) => {
                return Err(trouble(&failed.why).below(failed.said.lines().map(str::to_owned).collect()));
            }
        };
        let mut notes = Vec::new();
        let is_allowed = |tool: &Tool| {
            self.allow.as_ref().is_none_or(|allowed| allowed.iter().any(|name| *name == tool.name))
        };
        let tools: Vec<Tool> = told.tools.into_iter().filter(is_allowed).collect();
        let is_missing = |name: &&String| !tools.iter().any(|tool| tool.name == **name);
        if let Some(missing) = self.allow.iter().flatten().find(is_missing) {
            let rule = format!("mcp.{name}: the server has no tool {missing:?}, which is to be allowed");
            return Err(table::wrong(rule));
        }
        let listed = listed(name, tools, &mut notes);
        let description = told.instructions.map(|text| text::cut(text.trim().to_owned(), MOST_TOLD));
        let namespace = ToolNamespace {
            name: name.clone(),
            description: description.filter(|text| !text.is_empty()),
            tools: listed.iter().map(|(name, tool)| tool.described(name)).collect(),
        };
        Ok(Server {
            name: self.name,
            reach: self.reach,
            limits: self.limits,
            connection: Some(connection),
            tools: listed.into_iter().collect(),
            namespace,
            notes,
        })
    }
}

/// A tool of a server.
#[derive(Debug)]
struct Listed {
    /// The name by which the server knows it.
    name: String,
    description: String,
    schema: Value,
}

impl Listed {
    fn described(&self, name: &str) -> ToolDescription {
        ToolDescription::new(name, self.description.clone(), self.schema.clone())
    }
}

/// The tools by the names that the model is told, in the server's order.
fn listed(server: &str, tools: Vec<Tool>, notes: &mut Vec<String>) -> Vec<(String, Listed)> {
    let own: Vec<String> = tools.iter().map(|tool| tool.name.clone().into_owned()).collect();
    let mut listed = Vec::new();
    let mut renamed = Vec::new();
    for (tool, name) in tools.into_iter().zip(names::legal(&own)) {
        let Some(name) = name else {
            notes.push(format!("mcp.{server}: of several tools {:?} only the first is told", tool.name));
            continue;
        };
        if name != tool.name {
            renamed.push(format!("{:?} as {name}", tool.name));
        }
        let description = tool.description.or(tool.title.map(Into::into)).unwrap_or_default();
        let description = text::cut(description.trim().to_owned(), MOST_TOLD);
        let schema = Value::Object(JsonObject::clone(&tool.input_schema));
        listed.push((name, Listed { name: tool.name.into_owned(), description, schema }));
    }
    if !renamed.is_empty() {
        notes.push(format!("mcp.{server}: told by names of letters, digits and _: {}", renamed.join(", ")));
    }
    listed
}

/// A server that runs, or did.
#[derive(Debug)]
struct Server {
    name: String,
    reach: Reach,
    limits: Limits,
    /// None if it could not be started again.
    connection: Option<Connection>,
    tools: BTreeMap<String, Listed>,
    namespace: ToolNamespace,
    notes: Vec<String>,
}

impl Server {
    /// The name of a tool in what a model calls; models leave out the namespace.
    fn tool<'a>(&self, recipient: &'a str) -> &'a str {
        recipient.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('.')).unwrap_or(recipient)
    }

    /// The connection, made again if the server is gone; else why there is none.
    fn connection(&mut self, interrupt: &AtomicBool) -> Result<std::result::Result<&mut Connection, String>> {
        let lives = match &mut self.connection {
            Some(connection) => connection.lives(interrupt)?,
            None => false,
        };
        if !lives {
            // What is left of the old one is ended first.
            self.connection = None;
            let found = match self.reach.begin(&self.limits) {
                Ok(starting) => starting.finish(&self.limits, interrupt)?,
                Err(why) => return Ok(Err(why)),
            };
            match found {
                Ok((connection, _)) => self.connection = Some(connection),
                Err(failed) => return Ok(Err(failed.whole())),
            }
        }
        Ok(self.connection.as_mut().ok_or_else(String::new))
    }
}

impl Kit for Server {
    fn namespaces(&self) -> Vec<ToolNamespace> {
        vec![self.namespace.clone()]
    }

    fn has(&self, recipient: &str) -> bool {
        self.tools.contains_key(self.tool(recipient))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn answer(
        &mut self,
        recipient: &str,
        call: &Message,
        interrupt: &AtomicBool,
        news: &mut dyn FnMut(&str),
    ) -> Result<Answer> {
        let Some(tool) = self.tools.get(self.tool(recipient)) else {
            return Ok(Answer::failed(format!("there is no tool {recipient}")));
        };
        let given = match toolbox::given(&tool.schema, &call.text()) {
            Ok(given) => given,
            Err(answer) => return Ok(answer),
        };
        let (name, limits) = (tool.name.clone(), self.limits);
        let server = self.name.clone();
        let connection = match self.connection(interrupt)? {
            Ok(connection) => connection,
            Err(why) => {
                return Ok(Answer::failed(format!("the server {server} cannot be started again: {why}")));
            }
        };
        connection.call(name, given, &limits, interrupt, &mut |text| news(&format!("{server}: {text}")))
    }
}
