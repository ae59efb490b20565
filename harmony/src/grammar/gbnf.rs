//! GBNF, as llama.cpp reads it.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Note;
use super::schema::Compiler;
use super::text::{JSON, STRING, TEXT, literal};
use super::turn::{Node, Turn};
use crate::Result;

/// A grammar and what it leaves out.
pub(super) struct Gbnf {
    pub(super) text: String,
    pub(super) notes: Vec<Note>,
}

pub(super) fn write(turn: &Turn) -> Result<Gbnf> {
    let mut compiler = Compiler::new(turn.rules.iter().map(|(name, _)| name_of(name)));
    let mut notes = Vec::new();
    if turn.parallel_lost {
        let text =
            "several calls in a turn need their stop tokens in the grammar: one call is allowed".to_owned();
        notes.push(Note { schema: "turn".to_owned(), pointer: String::new(), text });
    }
    let mut values = Vec::new();
    for schema in &turn.schemas {
        values.push(compiler.document(schema, &mut notes)?);
    }

    let mut rules = Vec::new();
    for (name, node) in &turn.rules {
        let mut body = String::new();
        match node {
            // One tool a line.
            Node::Alt(options) => {
                for (index, option) in options.iter().enumerate() {
                    body.push_str(if index == 0 { "" } else { " |\n   " });
                    node_to_gbnf(option, &values, &mut body);
                }
            }
            node => node_to_gbnf(node, &values, &mut body),
        }
        rules.push((name_of(name).to_owned(), body));
    }
    rules.extend(compiler.rules);

    let mut text = String::new();
    for note in &notes {
        writeln!(text, "# {note}").expect("a string takes all that is written");
    }
    for (name, body) in &rules {
        writeln!(text, "{name} ::= {}", body.trim_start()).expect("a string takes all that is written");
    }
    for (name, body) in shared(&rules) {
        writeln!(text, "{name} ::= {body}").expect("a string takes all that is written");
    }
    Ok(Gbnf { text, notes })
}

/// llama.cpp calls the start rule `root`.
fn name_of(rule: &str) -> &str {
    if rule == "start" { "root" } else { rule }
}

/// The rules of text and JSON that are used, in a fixed order.
fn shared(rules: &[(String, String)]) -> Vec<(&'static str, &'static str)> {
    let all: Vec<_> = [TEXT, STRING, JSON].concat();
    let mut used = BTreeSet::new();
    let mut bodies: Vec<&str> = rules.iter().map(|(_, body)| body.as_str()).collect();
    while let Some(body) = bodies.pop() {
        for (index, (name, rule)) in all.iter().enumerate() {
            if mentions(body, name) && used.insert(index) {
                bodies.push(rule);
            }
        }
    }
    used.into_iter().map(|index| all[index]).collect()
}

/// Whether a rule's body refers to another by this name. Literals and classes do not count.
fn mentions(body: &str, name: &str) -> bool {
    let mut rest = body;
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '"' => closing(rest, b'"'),
            '[' => closing(rest, b']'),
            c if c.is_ascii_alphanumeric() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
                if &rest[..end] == name {
                    return true;
                }
                end
            }
            c => c.len_utf8(),
        };
        rest = &rest[end..];
    }
    false
}

/// The end of a literal or a class that begins here.
fn closing(text: &str, close: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != close {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Writes a node with a space before each of its parts.
fn node_to_gbnf(node: &Node, values: &[String], gbnf: &mut String) {
    match node {
        Node::Marker(token) => {
            gbnf.push(' ');
            gbnf.push_str(&literal(token.as_str()));
        }
        Node::Literal(text) => {
            gbnf.push(' ');
            gbnf.push_str(&literal(text));
        }
        Node::Text => gbnf.push_str(" text"),
        Node::NonEmptyText => gbnf.push_str(" some-text"),
        Node::Json(index) => {
            gbnf.push(' ');
            gbnf.push_str(&values[*index]);
        }
        Node::Rule(name) => {
            gbnf.push(' ');
            gbnf.push_str(name_of(name));
        }
        Node::Seq(parts) => parts.iter().for_each(|part| node_to_gbnf(part, values, gbnf)),
        Node::Alt(options) => match &options[..] {
            [only] => node_to_gbnf(only, values, gbnf),
            options => {
                // An empty alternative is an optional group.
                let (empty, some): (Vec<_>, Vec<_>) =
                    options.iter().partition(|option| matches!(option, Node::Seq(parts) if parts.is_empty()));
                gbnf.push_str(" (");
                for (index, option) in some.into_iter().enumerate() {
                    gbnf.push_str(if index == 0 { "" } else { " |" });
                    node_to_gbnf(option, values, gbnf);
                }
                gbnf.push_str(if empty.is_empty() { " )" } else { " )?" });
            }
        },
        Node::Star(part) => {
            gbnf.push_str(" (");
            node_to_gbnf(part, values, gbnf);
            gbnf.push_str(" )*");
        }
    }
}
