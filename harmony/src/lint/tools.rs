//! The tools that are declared, by the names that calls use.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::context::BUILT_IN;
use crate::{Message, Role, ToolNamespace};

/// A tool as calls name it.
pub(super) struct Tool<'a> {
    /// With its namespace: `functions.get_weather`, or `python`.
    pub(super) name: String,
    pub(super) parameters: Option<&'a Value>,
    /// Whether the system message declares it, and calls go to the analysis channel.
    pub(super) is_built_in: bool,
}

/// The tools; of those with one name the first counts.
#[derive(Default)]
pub(super) struct Tools<'a> {
    all: Vec<Tool<'a>>,
    by_name: HashMap<String, usize>,
    by_namespace: HashMap<String, Vec<usize>>,
    by_short_name: HashMap<String, Vec<usize>>,
    /// The lengths of the names.
    lengths: BTreeSet<usize>,
}

impl<'a> Tools<'a> {
    /// The tools that messages declare, and others.
    pub(super) fn new(messages: &[&'a Message], others: &'a [ToolNamespace]) -> Self {
        let mut tools = Self::default();
        for (namespace, role) in messages.iter().flat_map(|message| super::context::namespaces(message)) {
            let is_built_in = role == Role::System && namespace.name != ToolNamespace::FUNCTIONS;
            tools.declare(namespace, is_built_in);
        }
        for namespace in others {
            tools.declare(namespace, BUILT_IN.contains(&namespace.name.as_str()));
        }
        tools
    }

    fn declare(&mut self, namespace: &'a ToolNamespace, is_built_in: bool) {
        if namespace.tools.is_empty() {
            self.add(Tool { name: namespace.name.clone(), parameters: None, is_built_in });
        }
        for tool in &namespace.tools {
            self.add(Tool {
                name: format!("{}.{}", namespace.name, tool.name),
                parameters: tool.parameters.as_ref(),
                is_built_in,
            });
        }
    }

    fn add(&mut self, tool: Tool<'a>) {
        if self.by_name.contains_key(&tool.name) {
            return;
        }
        let index = self.all.len();
        let (namespace, short_name) = tool.name.split_once('.').unwrap_or((&tool.name, &tool.name));
        self.by_namespace.entry(namespace.to_owned()).or_default().push(index);
        self.by_short_name.entry(short_name.to_owned()).or_default().push(index);
        self.by_name.insert(tool.name.clone(), index);
        self.lengths.insert(tool.name.len());
        self.all.push(tool);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The tool with this full name.
    pub(super) fn get(&self, name: &str) -> Option<&Tool<'a>> {
        self.by_name.get(name).map(|&index| &self.all[index])
    }

    /// The tools of a namespace.
    pub(super) fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Tool<'a>> {
        self.by_namespace.get(namespace).into_iter().flatten().map(|&index| &self.all[index])
    }

    /// The tools with this name within their namespace.
    pub(super) fn of_short_name(&self, name: &str) -> impl Iterator<Item = &Tool<'a>> {
        self.by_short_name.get(name).into_iter().flatten().map(|&index| &self.all[index])
    }

    /// The tool with the longest name that a text begins with.
    pub(super) fn that_begins(&self, text: &str) -> Option<&Tool<'a>> {
        let lengths = self.lengths.range(..=text.len()).rev();
        lengths.filter_map(|&length| text.get(..length)).find_map(|start| self.get(start))
    }
}
