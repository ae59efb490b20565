//! The tools of a run: kits, of which each answers the calls of its tools.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use harmony_format::{Message, ToolNamespace, arguments, recover};
use serde_json::Value;

use super::process::{self, Limits, Program};
use super::{Answer, Tools, command, http};
use crate::error::Result;
use crate::toolset;

/// Tools of one kind.
pub(super) trait Kit: std::fmt::Debug {
    /// What the model is told of its tools; `browser` and `python` are told in the system message, all else to the developer's.
    fn namespaces(&self) -> Vec<ToolNamespace>;

    /// Whether it answers the calls of a recipient.
    fn has(&self, recipient: &str) -> bool;

    /// What the user should know of the tools before they are called.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Answers a call of one of its tools; `news` hears how far it is, in lines.
    ///
    /// # Errors
    ///
    /// If the run cannot go on: Ctrl-C. A tool that fails is an [`Answer`].
    fn answer(
        &mut self,
        recipient: &str,
        call: &Message,
        interrupt: &AtomicBool,
        news: &mut dyn FnMut(&str),
    ) -> Result<Answer>;
}

/// Tools, and what answers them.
#[derive(Debug)]
pub(crate) struct Toolbox {
    kits: Vec<Box<dyn Kit>>,
    most_calls: usize,
}

impl Toolbox {
    pub(super) fn new(kits: Vec<Box<dyn Kit>>, most_calls: usize) -> Self {
        Self { kits, most_calls }
    }

    /// What the model is told of them.
    pub(crate) fn namespaces(&self) -> Vec<ToolNamespace> {
        self.kits.iter().flat_map(|kit| kit.namespaces()).collect()
    }

    /// What the user should know of them.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.kits.iter().flat_map(|kit| kit.notes()).collect()
    }

    fn unknown(&self, recipient: &str) -> Answer {
        let tools =
            self.namespaces().into_iter().map(|namespace| (namespace.name.clone(), namespace)).collect();
        Answer::failed(format!(
            "there is no tool {recipient}; there are {}",
            toolset::names(&tools).join(", ")
        ))
    }
}

impl Tools for Toolbox {
    fn answer(
        &mut self,
        call: &Message,
        interrupt: &AtomicBool,
        news: &mut dyn FnMut(&str),
    ) -> Result<Option<Answer>> {
        let recipient = call.recipient.as_deref().unwrap_or_default();
        match self.kits.iter_mut().find(|kit| kit.has(recipient)) {
            Some(kit) => kit.answer(recipient, call, interrupt, news).map(Some),
            None => Ok(Some(self.unknown(recipient))),
        }
    }

    fn most_calls(&self) -> usize {
        self.most_calls
    }
}

/// A function that is run here.
#[derive(Clone, Debug)]
pub(super) struct Function {
    /// The schema of its arguments.
    pub(super) schema: Value,
    pub(super) limits: Limits,
    pub(super) runs: Runs,
}

/// What answers a function.
#[derive(Clone, Debug)]
pub(super) enum Runs {
    Program(Program),
    Endpoint(http::Endpoint),
}

/// Developers' functions, by their names in the namespace `functions`.
#[derive(Debug)]
pub(super) struct Functions {
    pub(super) functions: BTreeMap<String, Function>,
    pub(super) namespace: ToolNamespace,
}

impl Kit for Functions {
    fn namespaces(&self) -> Vec<ToolNamespace> {
        if self.functions.is_empty() { Vec::new() } else { vec![self.namespace.clone()] }
    }

    fn has(&self, recipient: &str) -> bool {
        self.functions.contains_key(name(recipient))
    }

    fn answer(
        &mut self,
        recipient: &str,
        call: &Message,
        interrupt: &AtomicBool,
        _: &mut dyn FnMut(&str),
    ) -> Result<Answer> {
        let Some(function) = self.functions.get(name(recipient)) else {
            return Ok(Answer::failed(format!("there is no function {recipient}")));
        };
        let given = match given(&function.schema, &call.text()) {
            Ok(given) => given,
            Err(answer) => return Ok(answer),
        };
        process::adopt_strays();
        match &function.runs {
            Runs::Program(program) => command::run(program, &function.limits, &given, interrupt),
            Runs::Endpoint(endpoint) => endpoint.call(&function.limits, &given, interrupt),
        }
    }
}

/// The name of a function; models leave out the namespace.
fn name(recipient: &str) -> &str {
    recipient.strip_prefix("functions.").unwrap_or(recipient)
}

/// The arguments of a call, if they fit; what the model is told if they do not.
pub(super) fn given(schema: &Value, text: &str) -> std::result::Result<Value, Answer> {
    let Some(value) = recover::arguments(text).value else {
        return Err(Answer::failed("the arguments are no JSON object"));
    };
    let misfits = arguments::check(schema, &value);
    if misfits.is_empty() {
        return Ok(value);
    }
    let of = |misfit: &arguments::Misfit| match misfit.pointer.as_str() {
        "" => misfit.text.clone(),
        pointer => format!("{pointer} {}", misfit.text),
    };
    let all: Vec<String> = misfits.iter().take(5).map(of).collect();
    Err(Answer::failed(format!("the arguments do not fit: {}", all.join("; "))))
}
