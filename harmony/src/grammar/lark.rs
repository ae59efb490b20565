//! Lark, as llguidance reads it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::turn::{Node, Turn};
use super::{Note, keywords};

/// White space between the tokens of JSON: a space, or a line break and an indentation.
const WHITE_SPACE: &str = r"[ ]|\r?\n[ \t]{0,40}";

pub(super) fn write(turn: &Turn) -> String {
    let mut lark = String::new();
    for note in notes(turn) {
        writeln!(lark, "// {note}").expect("a string takes all that is written");
    }
    for (name, node) in &turn.rules {
        lark.push_str(name);
        lark.push(':');
        match node {
            // One tool a line.
            Node::Alt(options) => {
                for (index, option) in options.iter().enumerate() {
                    lark.push_str(if index == 0 { "" } else { "\n    |" });
                    node_to_lark(option, turn, &mut lark);
                }
            }
            node => node_to_lark(node, turn, &mut lark),
        }
        lark.push('\n');
    }
    // A special token is none of these characters, however it is spelled.
    lark.push_str("TEXT: /(.|\\n)*/\nSOME_TEXT: /(.|\\n)+/\n");
    lark
}

pub(super) fn notes(turn: &Turn) -> Vec<Note> {
    let mut notes = Vec::new();
    for schema in &turn.schemas {
        for (pointer, text) in keywords::beyond_llguidance(&schema.value) {
            notes.push(Note { schema: schema.owner.clone(), pointer, text });
        }
    }
    notes
}

/// Writes a node with a space before each of its parts.
fn node_to_lark(node: &Node, turn: &Turn, lark: &mut String) {
    match node {
        Node::Marker(token) => {
            lark.push(' ');
            lark.push_str(token.as_str());
        }
        Node::Literal(text) => {
            lark.push(' ');
            lark.push_str(&Value::from(text.as_str()).to_string());
        }
        Node::Text => lark.push_str(" TEXT"),
        Node::NonEmptyText => lark.push_str(" SOME_TEXT"),
        Node::Json(index) => {
            lark.push_str(" %json ");
            lark.push_str(&with_settings(&turn.schemas[*index].value).to_string());
        }
        Node::Rule(name) => {
            lark.push(' ');
            lark.push_str(name);
        }
        Node::Seq(parts) if parts.is_empty() => lark.push_str(" \"\""),
        Node::Seq(parts) => parts.iter().for_each(|part| node_to_lark(part, turn, lark)),
        Node::Alt(options) => match &options[..] {
            [only] => node_to_lark(only, turn, lark),
            options => {
                lark.push_str(" (");
                for (index, option) in options.iter().enumerate() {
                    lark.push_str(if index == 0 { "" } else { " |" });
                    node_to_lark(option, turn, lark);
                }
                lark.push_str(" )");
            }
        },
        Node::Star(part) => {
            lark.push_str(" (");
            node_to_lark(part, turn, lark);
            lark.push_str(" )*");
        }
    }
}

/// The schema with llguidance's own settings, and without what it would refuse.
fn with_settings(schema: &Value) -> Value {
    let mut schema = keywords::for_llguidance(schema);
    if let Value::Bool(true) = schema {
        schema = json!({});
    }
    if let Value::Object(map) = &mut schema {
        let settings = json!({
            "whitespace_pattern": WHITE_SPACE,
            "coerce_one_of": true,
            "lenient": true,
            "json_allow_general_unicode_escapes": true
        });
        map.insert("x-guidance".to_owned(), settings);
    }
    schema
}
