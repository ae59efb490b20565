//! The types that the official library's way loses: a schema becomes a small syntax tree, the tree becomes text.

mod build;
mod merge;
mod notes;
mod print;

use serde_json::Value;

pub(super) fn write(schema: &Value) -> String {
    print::root(&build::build(schema))
}

/// A TypeScript type.
#[derive(Clone, Debug, PartialEq)]
enum Type {
    /// A word or a literal: `string`, `null`, `"celsius"`, `7`.
    Word(String),
    /// `any`, and in a comment what it stands for.
    Opaque(String),
    Array(Box<Type>),
    Tuple {
        items: Vec<TupleItem>,
        rest: Option<Box<Type>>,
    },
    Record {
        keys: Box<Type>,
        values: Box<Type>,
    },
    Object {
        properties: Vec<Property>,
        rest: Option<Box<Type>>,
    },
    Union(Vec<Described>),
    Intersection(Vec<Type>),
}

#[derive(Clone, Debug, PartialEq)]
struct TupleItem {
    ty: Type,
    optional: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Property {
    key: String,
    required: bool,
    value: Described,
}

/// A type with what is said about it in comments.
#[derive(Clone, Debug, PartialEq)]
struct Described {
    ty: Type,
    doc: Doc,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Doc {
    /// Comment lines.
    lines: Vec<String>,
    default: Option<String>,
    /// Short remarks, each without a line break.
    notes: Vec<String>,
}

impl Type {
    fn word(word: &str) -> Self {
        Self::Word(word.to_owned())
    }

    fn any() -> Self {
        Self::word("any")
    }

    fn never() -> Self {
        Self::word("never")
    }

    fn null() -> Self {
        Self::word("null")
    }

    /// An object of which nothing is known.
    fn any_object() -> Self {
        Self::Record { keys: Box::new(Self::word("string")), values: Box::new(Self::any()) }
    }

    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }

    fn is_object(&self) -> bool {
        matches!(self, Self::Object { .. } | Self::Record { .. })
    }
}

impl From<Type> for Described {
    fn from(ty: Type) -> Self {
        Self { ty, doc: Doc::default() }
    }
}

impl Doc {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what `other` says and this does not.
    fn absorb(&mut self, other: Self) {
        for line in other.lines {
            if !self.lines.contains(&line) {
                self.lines.push(line);
            }
        }
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.default = self.default.take().or(other.default);
    }

    /// Default and remarks in one line; empty if there are none.
    fn trailing(&self) -> String {
        let default = self.default.iter().map(|default| format!("default: {default}"));
        default.chain(self.notes.iter().cloned()).collect::<Vec<_>>().join(", ")
    }
}

/// The characters that end a line, and with it a comment, in TypeScript.
const LINE_ENDS: [char; 4] = ['\n', '\r', '\u{2028}', '\u{2029}'];

/// The text with a space for each character that ends a line.
fn one_line(text: &str) -> String {
    text.replace(LINE_ENDS, " ")
}

/// A JSON value as a literal: as a type and in comments.
fn literal(value: &Value) -> String {
    super::compact(value).replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}
