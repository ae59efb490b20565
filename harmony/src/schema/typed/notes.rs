//! What stands in comments: descriptions, defaults, formats and limits.

use serde_json::{Map, Value};

use super::{Doc, LINE_ENDS, literal, one_line};

/// A pattern or a `not` longer than this is left out.
const LONGEST: usize = 80;

type Schema = Map<String, Value>;

/// What any schema may say, whatever its type.
pub(super) fn doc(schema: &Schema) -> Doc {
    let mut doc = Doc::default();
    if let Some(description) = schema.get("description").and_then(Value::as_str) {
        doc.lines.extend(lines(description));
    }
    let examples = schema.get("examples").and_then(Value::as_array).filter(|examples| !examples.is_empty());
    if let Some(examples) = examples {
        let examples: Vec<String> = examples.iter().map(literal).collect();
        doc.lines.push(format!("Examples: {}", examples.join(", ")));
    }
    doc.default = schema.get("default").map(literal);
    if let Some(not) = schema.get("not").map(literal).filter(|not| not.len() <= LONGEST) {
        doc.notes.push(format!("not {not}"));
    }
    if schema.get("deprecated") == Some(&Value::Bool(true)) {
        doc.notes.push("deprecated".to_owned());
    }
    doc
}

/// The limits of a schema without a type: they hold for the types that they fit.
pub(super) fn of_any(schema: &Schema) -> Doc {
    let mut doc = of_string(schema);
    doc.absorb(of_number(schema, false));
    doc
}

pub(super) fn of_string(schema: &Schema) -> Doc {
    let mut notes = Vec::new();
    for keyword in ["format", "contentEncoding", "contentMediaType"] {
        notes.extend(schema.get(keyword).and_then(Value::as_str).map(one_line));
    }
    notes.extend(count(schema, "minLength", "maxLength", "character"));
    let pattern = schema.get("pattern").and_then(Value::as_str).filter(|pattern| pattern.len() <= LONGEST);
    notes.extend(pattern.map(|pattern| format!("pattern {}", one_line(pattern))));
    Doc { notes, ..Doc::default() }
}

pub(super) fn of_number(schema: &Schema, is_integer: bool) -> Doc {
    let mut notes = Vec::new();
    if is_integer {
        notes.push("integer".to_owned());
    }
    let number = |keyword: &str| schema.get(keyword).filter(|limit| limit.is_number());
    // Before draft 6 a limit was made exclusive by `true`.
    let is_exclusive = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    match (number("minimum"), number("maximum")) {
        (Some(minimum), Some(maximum))
            if !is_exclusive("exclusiveMinimum") && !is_exclusive("exclusiveMaximum") =>
        {
            notes.push(format!("{minimum} to {maximum}"));
        }
        (minimum, maximum) => {
            let at_least = if is_exclusive("exclusiveMinimum") { "more than" } else { "at least" };
            let at_most = if is_exclusive("exclusiveMaximum") { "less than" } else { "at most" };
            notes.extend(minimum.map(|minimum| format!("{at_least} {minimum}")));
            notes.extend(maximum.map(|maximum| format!("{at_most} {maximum}")));
        }
    }
    notes.extend(number("exclusiveMinimum").map(|minimum| format!("more than {minimum}")));
    notes.extend(number("exclusiveMaximum").map(|maximum| format!("less than {maximum}")));
    notes.extend(number("multipleOf").map(|step| format!("a multiple of {step}")));
    Doc { notes, ..Doc::default() }
}

pub(super) fn of_array(schema: &Schema) -> Doc {
    let mut notes: Vec<String> = count(schema, "minItems", "maxItems", "item").into_iter().collect();
    // The length of a tuple is plain to see.
    if schema.contains_key("prefixItems") || schema.get("items").is_some_and(Value::is_array) {
        notes.clear();
    }
    if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
        notes.push("unique".to_owned());
    }
    Doc { notes, ..Doc::default() }
}

pub(super) fn of_object(schema: &Schema) -> Doc {
    Doc {
        notes: count(schema, "minProperties", "maxProperties", "property").into_iter().collect(),
        ..Doc::default()
    }
}

/// How many there may be.
fn count(schema: &Schema, minimum: &str, maximum: &str, thing: &str) -> Option<String> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    let things = |n: u64| match (n, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        (_, None) => format!("{n} {thing}s"),
    };
    match (limit(minimum).filter(|&minimum| minimum > 0), limit(maximum)) {
        (Some(minimum), Some(maximum)) if minimum == maximum => Some(things(minimum)),
        (Some(minimum), Some(maximum)) => Some(format!("{minimum} to {}", things(maximum))),
        (Some(minimum), None) => Some(format!("at least {}", things(minimum))),
        (None, Some(maximum)) => Some(format!("at most {}", things(maximum))),
        (None, None) => None,
    }
}

/// The title of a property, unless it only repeats the key, as titles made by a program do.
pub(super) fn add_title(doc: &mut Doc, key: &str, schema: &Value) {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let Some(title) = schema.get("title").and_then(Value::as_str) else { return };
    if letters(title) != letters(key) {
        doc.lines.splice(0..0, lines(title));
    }
}

/// Takes over what is said about a part, with the part's name before it.
pub(super) fn add_inner(doc: &mut Doc, part: &str, inner: Doc) {
    let mut lines = inner.lines.into_iter();
    if let Some(first) = lines.next() {
        doc.lines.push(format!("{}{}: {first}", part[..1].to_uppercase(), &part[1..]));
        doc.lines.extend(lines);
    }
    let notes = Doc { lines: Vec::new(), default: inner.default, notes: inner.notes }.trailing();
    if !notes.is_empty() {
        doc.notes.push(format!("{part}: {notes}"));
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().flat_map(|line| line.split(LINE_ENDS)).map(str::to_owned).collect()
}
