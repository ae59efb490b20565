//! From a type to text.

use super::{Described, Doc, Property, TupleItem, Type, literal, one_line};
use crate::schema::is_identifier;

/// How far the properties of an object in an object are indented.
const STEP: usize = 4;

/// The whole, with its description above it.
pub(super) fn root(described: &Described) -> String {
    let mut printer = Printer(String::new());
    printer.comment(&described.doc.lines, 0);
    let trailing = described.doc.trailing();
    if !trailing.is_empty() {
        printer.comment(&[trailing], 0);
    }
    printer.ty(&described.ty, Indent { inner: 0, outer: 0 });
    printer.0
}

/// Where the lines of a type stand.
#[derive(Clone, Copy)]
struct Indent {
    /// Properties.
    inner: usize,
    /// Variants, and the brace that closes.
    outer: usize,
}

struct Printer(String);

impl Printer {
    fn ty(&mut self, ty: &Type, indent: Indent) {
        match ty {
            Type::Word(word) => self.0.push_str(word),
            Type::Opaque(name) => {
                self.0.push_str(&format!("any /* {} */", one_line(name).replace("*/", "* /")));
            }
            Type::Array(items) => {
                self.operand(items, indent);
                self.0.push_str("[]");
            }
            Type::Tuple { items, rest } => self.tuple(items, rest.as_deref(), indent),
            Type::Record { keys, values } => {
                self.0.push_str("Record<");
                self.ty(keys, indent);
                self.0.push_str(", ");
                self.ty(values, indent);
                self.0.push('>');
            }
            Type::Object { properties, rest } => self.object(properties, rest.as_deref(), indent),
            Type::Union(members) if members.iter().all(|member| member.doc.is_empty()) => {
                for (index, member) in members.iter().enumerate() {
                    self.0.push_str(if index == 0 { "" } else { " | " });
                    self.ty(&member.ty, indent);
                }
            }
            Type::Union(members) => self.variants(members, indent),
            Type::Intersection(members) => {
                for (index, member) in members.iter().enumerate() {
                    self.0.push_str(if index == 0 { "" } else { " & " });
                    self.operand(member, indent);
                }
            }
        }
    }

    /// In parentheses where it would not hold together.
    fn operand(&mut self, ty: &Type, indent: Indent) {
        if matches!(ty, Type::Union(_) | Type::Intersection(_)) {
            self.0.push('(');
            self.ty(ty, indent);
            self.0.push(')');
        } else {
            self.ty(ty, indent);
        }
    }

    fn tuple(&mut self, items: &[TupleItem], rest: Option<&Type>, indent: Indent) {
        self.0.push('[');
        for (index, item) in items.iter().enumerate() {
            self.0.push_str(if index == 0 { "" } else { ", " });
            if item.optional {
                self.operand(&item.ty, indent);
                self.0.push('?');
            } else {
                self.ty(&item.ty, indent);
            }
        }
        if let Some(rest) = rest {
            self.0.push_str(if items.is_empty() { "..." } else { ", ..." });
            self.operand(rest, indent);
            self.0.push_str("[]");
        }
        self.0.push(']');
    }

    fn object(&mut self, properties: &[Property], rest: Option<&Type>, indent: Indent) {
        if properties.is_empty() && rest.is_none() {
            self.0.push_str("{}");
            return;
        }
        self.0.push_str("{\n");
        let within = Indent { inner: indent.inner + STEP, outer: indent.inner };
        for property in properties {
            let doc = &property.value.doc;
            self.comment(&doc.lines, indent.inner);
            self.spaces(indent.inner);
            self.key(&property.key);
            self.0.push_str(if property.required { ":" } else { "?:" });
            self.value(&property.value.ty, within);
            self.0.push(',');
            self.trailing(doc);
            self.0.push('\n');
        }
        if let Some(rest) = rest {
            self.spaces(indent.inner);
            self.0.push_str("[key: string]:");
            self.value(rest, within);
            self.0.push_str(",\n");
        }
        self.spaces(indent.outer);
        self.0.push('}');
    }

    /// A type after a colon; it begins on the next line if it has variants with comments.
    fn value(&mut self, ty: &Type, indent: Indent) {
        let at = self.0.len();
        self.ty(ty, indent);
        if !self.0[at..].starts_with('\n') {
            self.0.insert(at, ' ');
        }
    }

    /// Each variant on a line of its own; ends on a line of its own.
    fn variants(&mut self, members: &[Described], indent: Indent) {
        self.0.push('\n');
        for member in members {
            let Described { ty, doc } = member;
            let is_short = doc.lines.len() <= 1 && !ty.is_object();
            if !is_short {
                self.comment(&doc.lines, indent.outer + 1);
            }
            self.spaces(indent.outer);
            self.0.push_str(" | ");
            self.operand_of_union(ty, indent);
            let mut rest = doc.clone();
            if is_short {
                rest.notes.splice(0..0, std::mem::take(&mut rest.lines));
            }
            self.trailing(&rest);
            self.0.push('\n');
        }
        self.spaces(indent.outer);
    }

    fn operand_of_union(&mut self, ty: &Type, indent: Indent) {
        match ty {
            Type::Union(_) => self.operand(ty, indent),
            _ => self.ty(ty, indent),
        }
    }

    /// Bare if it is a name, else quoted.
    fn key(&mut self, key: &str) {
        if is_identifier(key) {
            self.0.push_str(key);
        } else {
            self.0.push_str(&literal(&key.into()));
        }
    }

    fn trailing(&mut self, doc: &Doc) {
        let trailing = doc.trailing();
        if !trailing.is_empty() {
            self.0.push_str(&format!(" // {trailing}"));
        }
    }

    fn comment(&mut self, lines: &[String], indent: usize) {
        for line in lines {
            self.spaces(indent);
            self.0.push_str(format!("// {line}").trim_end());
            self.0.push('\n');
        }
    }

    fn spaces(&mut self, count: usize) {
        self.0.extend(std::iter::repeat_n(' ', count));
    }
}
