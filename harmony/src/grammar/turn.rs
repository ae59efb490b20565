//! The shape of a turn, before it is written in one language or another.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{ContentType, Format, Grammar, Reasoning, ToolChoice, keywords};
use crate::{Error, ErrorKind, Position, Result, SpecialToken, ToolNamespace, channel};

/// A piece of a rule.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Marker(SpecialToken),
    /// Ordinary text, exactly this.
    Literal(String),
    /// Any text without a special token.
    Text,
    /// The same, not empty.
    NonEmptyText,
    /// JSON by the schema with this index.
    Json(usize),
    Rule(&'static str),
    Seq(Vec<Node>),
    /// At least one.
    Alt(Vec<Node>),
    Star(Box<Node>),
}

/// A schema and whose it is.
#[derive(Debug)]
pub(super) struct Schema {
    /// The full name of a tool, or `response`.
    pub(super) owner: String,
    pub(super) value: Value,
}

/// The rules of a turn; the first is where it starts.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) rules: Vec<(&'static str, Node)>,
    pub(super) schemas: Vec<Schema>,
    /// Whether several calls were asked for that this format cannot have.
    pub(super) parallel_lost: bool,
}

/// A tool that can be called.
struct Tool {
    recipient: String,
    /// None: free text.
    parameters: Option<Value>,
    built_in: bool,
}

impl Turn {
    pub(super) fn new(grammar: &Grammar, format: Format) -> Result<Self> {
        let stop_written = format == Format::Lark || grammar.stop_in_gbnf;
        let mut builder = Builder { grammar, stop_written, schemas: Vec::new() };
        let rules = builder.turn(callable(grammar)?)?;
        Ok(Self {
            rules,
            schemas: builder.schemas,
            parallel_lost: grammar.parallel && !stop_written && grammar.choice != ToolChoice::None,
        })
    }
}

fn error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Grammar, message)
}

/// The tools that the choice leaves.
fn callable(grammar: &Grammar) -> Result<Vec<Tool>> {
    let mut tools = Vec::new();
    let mut names = HashSet::new();
    for (namespaces, built_in) in [(&grammar.tools, false), (&grammar.built_in, true)] {
        for namespace in namespaces {
            add(&mut tools, &mut names, namespace, built_in)?;
        }
    }
    match &grammar.choice {
        ToolChoice::Auto => {}
        ToolChoice::None => tools.clear(),
        ToolChoice::Required if tools.is_empty() => {
            return Err(error("a call is required, but there is no tool"));
        }
        ToolChoice::Required => {}
        ToolChoice::Named(name) => {
            let named: Vec<Tool> = tools.into_iter().filter(|tool| tool.recipient == *name).collect();
            if named.is_empty() {
                return Err(error(format!("a call of {name:?} is required, but there is no such tool")));
            }
            tools = named;
        }
    }
    Ok(tools)
}

fn add(
    tools: &mut Vec<Tool>,
    names: &mut HashSet<String>,
    namespace: &ToolNamespace,
    built_in: bool,
) -> Result<()> {
    let mut push = |recipient: String, parameters| {
        check_word(&recipient)?;
        if !names.insert(recipient.clone()) {
            return Err(error(format!("the tool {recipient:?} is declared twice")));
        }
        tools.push(Tool { recipient, parameters, built_in });
        Ok(())
    };
    if namespace.tools.is_empty() && built_in {
        return push(namespace.name.clone(), None);
    }
    for tool in &namespace.tools {
        let parameters = match &tool.parameters {
            None | Some(Value::Null) => json!({"type": "object", "additionalProperties": false}),
            Some(schema) => as_object(schema),
        };
        push(format!("{}.{}", namespace.name, tool.name), Some(parameters))?;
    }
    Ok(())
}

/// Arguments are an object, also where the schema leaves that open.
fn as_object(schema: &Value) -> Value {
    match schema {
        Value::Bool(true) => json!({"type": "object"}),
        Value::Object(map)
            if !["type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"]
                .iter()
                .any(|key| map.contains_key(*key)) =>
        {
            let mut map = map.clone();
            map.insert("type".to_owned(), "object".into());
            Value::Object(map)
        }
        other => other.clone(),
    }
}

/// A recipient is one word of a header.
fn check_word(recipient: &str) -> Result<()> {
    let bad = recipient.chars().find(|&c| c.is_whitespace() || c.is_control() || c == '<');
    if let Some(bad) = bad {
        return Err(error(format!(
            "the name of a tool must be one word of a header, found {bad:?} in {recipient:?}"
        )));
    }
    if recipient.split('.').any(str::is_empty) {
        return Err(error(format!("the name of a tool must not be empty, found {recipient:?}")));
    }
    Ok(())
}

struct Builder<'a> {
    grammar: &'a Grammar,
    stop_written: bool,
    schemas: Vec<Schema>,
}

fn literal(text: impl Into<String>) -> Node {
    Node::Literal(text.into())
}

/// `<|channel|>NAME<|message|>TEXT<|end|>`
fn message(name: &str, content: Node) -> Node {
    Node::Seq(vec![
        Node::Marker(SpecialToken::Channel),
        literal(name),
        Node::Marker(SpecialToken::Message),
        content,
        Node::Marker(SpecialToken::End),
    ])
}

impl Builder<'_> {
    fn turn(&mut self, tools: Vec<Tool>) -> Result<Vec<(&'static str, Node)>> {
        let grammar = self.grammar;
        let next = Node::Seq(vec![Node::Marker(SpecialToken::Start), literal("assistant")]);
        let mut interim = Vec::new();
        if grammar.reasoning != Reasoning::Forbidden {
            interim.push(Node::Rule("reasoning"));
        }
        if grammar.preambles {
            interim.push(Node::Rule("preamble"));
        }
        let mut last = Vec::new();
        if !tools.is_empty() {
            last.push(Node::Rule("calls"));
        }
        if matches!(grammar.choice, ToolChoice::Auto | ToolChoice::None) {
            last.push(Node::Rule("final"));
        }

        let mut turn = Vec::new();
        if grammar.reasoning == Reasoning::Required {
            turn.extend([message(channel::ANALYSIS, Node::NonEmptyText), Node::Rule("next")]);
        }
        if !interim.is_empty() {
            turn.push(Node::Star(Box::new(Node::Seq(vec![Node::Alt(interim), Node::Rule("next")]))));
        }
        turn.push(Node::Alt(last.clone()));

        let mut rules = vec![("start", Node::Seq(turn)), ("next", next)];
        if grammar.reasoning != Reasoning::Forbidden {
            rules.push(("reasoning", message(channel::ANALYSIS, Node::Text)));
        }
        if grammar.preambles {
            rules.push(("preamble", message(channel::COMMENTARY, Node::Text)));
        }
        if !tools.is_empty() {
            let more = Node::Seq(vec![Node::Rule("next"), Node::Rule("call")]);
            let calls = match grammar.parallel && self.stop_written {
                true => vec![Node::Rule("call"), Node::Star(Box::new(more))],
                false => vec![Node::Rule("call")],
            };
            rules.push(("calls", Node::Seq(calls)));
            let call = tools.into_iter().map(|tool| self.call(tool)).collect::<Result<_>>()?;
            rules.push(("call", Node::Alt(call)));
        }
        if matches!(grammar.choice, ToolChoice::Auto | ToolChoice::None) {
            rules.push(("final", self.answer()?));
        }
        Ok(rules)
    }

    fn stop(&self, token: SpecialToken) -> Node {
        if self.stop_written { Node::Marker(token) } else { Node::Seq(Vec::new()) }
    }

    fn schema(&mut self, owner: &str, mut value: Value) -> Result<Node> {
        keywords::check(&value).map_err(|(pointer, why)| {
            error(format!("the schema of {owner:?} {why}")).at(Position::Pointer(pointer))
        })?;
        if self.grammar.closed_objects {
            keywords::close_objects(&mut value);
        }
        self.schemas.push(Schema { owner: owner.to_owned(), value });
        Ok(Node::Json(self.schemas.len() - 1))
    }

    fn call(&mut self, tool: Tool) -> Result<Node> {
        let Tool { recipient, parameters, built_in } = tool;
        let channel = if built_in { channel::ANALYSIS } else { channel::COMMENTARY };
        let mut headers = vec![Node::Seq(vec![
            Node::Marker(SpecialToken::Channel),
            literal(format!("{channel} to={recipient}")),
        ])];
        if self.grammar.both_orders {
            headers.push(Node::Seq(vec![
                literal(format!(" to={recipient}")),
                Node::Marker(SpecialToken::Channel),
                literal(channel),
            ]));
        }
        let is_json = parameters.is_some();
        let content = match parameters {
            Some(schema) => self.schema(&recipient, schema)?,
            None => Node::Text,
        };
        Ok(Node::Seq(vec![
            Node::Alt(headers),
            Node::Alt(self.content_types(is_json, built_in)),
            Node::Marker(SpecialToken::Message),
            content,
            self.stop(SpecialToken::Call),
        ]))
    }

    fn content_types(&self, is_json: bool, built_in: bool) -> Vec<Node> {
        let mut forms = Vec::new();
        if built_in {
            forms.extend([Node::Seq(Vec::new()), literal(" code")]);
        }
        if is_json {
            for form in &self.grammar.content_types {
                match form {
                    ContentType::Constrained => forms.push(constrained_json()),
                    ContentType::Plain => forms.push(literal(" json")),
                    ContentType::Absent if built_in => {}
                    ContentType::Absent => forms.push(Node::Seq(Vec::new())),
                }
            }
        }
        if forms.is_empty() {
            forms.push(Node::Seq(Vec::new()));
        }
        forms
    }

    fn answer(&mut self) -> Result<Node> {
        let mut parts = vec![Node::Marker(SpecialToken::Channel), literal(channel::FINAL)];
        let content = match self.grammar.response.clone() {
            Some(schema) => {
                parts.push(Node::Alt(vec![Node::Seq(Vec::new()), constrained_json()]));
                self.schema("response", schema)?
            }
            None => Node::Text,
        };
        parts.extend([Node::Marker(SpecialToken::Message), content, self.stop(SpecialToken::Return)]);
        Ok(Node::Seq(parts))
    }
}

fn constrained_json() -> Node {
    Node::Seq(vec![literal(" "), Node::Marker(SpecialToken::Constrain), literal("json")])
}
