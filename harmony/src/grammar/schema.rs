//! JSON Schema -> rules of GBNF.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::bounds::{Bounds, integers};
use super::keywords::{INEXPRESSIBLE, step};
use super::merge::{both, type_names};
use super::text::json_string;
use super::{Note, turn};
use crate::arguments::{check, resolve};
use crate::{Error, ErrorKind, Position, Result};

/// llama.cpp refuses a grammar with a repetition near 2,000.
pub(super) const MOST_REPETITIONS: u64 = 1000;

/// How deep schemas are followed into each other before they are refused.
const DEEPEST: usize = 200;

const TYPES: [&str; 7] = ["object", "array", "string", "integer", "number", "boolean", "null"];

/// Keywords that say nothing about a value.
const ANNOTATIONS: [&str; 18] = [
    "$schema",
    "$id",
    "id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentMediaType",
    "contentEncoding",
    "x-guidance",
];

/// Turns schemas into rules.
pub(super) struct Compiler {
    pub(super) rules: Vec<(String, String)>,
    names: HashSet<String>,
    /// For a name that was asked for more than once, the number that the next one gets.
    numbers: HashMap<String, usize>,
    /// The notes of all schemas; each is made once.
    noted: HashSet<Note>,
}

impl Compiler {
    /// A compiler that gives no rule one of these names.
    pub(super) fn new<'a>(taken: impl Iterator<Item = &'a str>) -> Self {
        let shared = [super::text::TEXT, super::text::STRING, super::text::JSON];
        let shared = shared.into_iter().flatten().map(|(name, _)| *name);
        let names = taken.chain(shared).map(str::to_owned).collect();
        Self { rules: Vec::new(), names, numbers: HashMap::new(), noted: HashSet::new() }
    }

    /// The expression for the values of a whole schema.
    pub(super) fn document(&mut self, schema: &turn::Schema, notes: &mut Vec<Note>) -> Result<String> {
        let mut document = Document {
            compiler: self,
            root: &schema.value,
            owner: &schema.owner,
            notes: Vec::new(),
            references: BTreeMap::new(),
            open: Vec::new(),
            depth: 0,
        };
        let hint = schema.owner.clone();
        let value = document.value(&schema.value, "", &hint)?;
        let value = value.ok_or_else(|| document.error("", "fits no value"))?;
        for mut note in std::mem::take(&mut document.notes) {
            note.pointer = origin(&schema.value, &note.pointer);
            if self.noted.insert(note.clone()) {
                notes.push(note);
            }
        }
        Ok(value)
    }

    /// Adds a rule under a name like `hint`, and gives the name.
    fn rule(&mut self, hint: &str, body: String) -> String {
        let name = self.reserve(hint);
        self.rules.push((name.clone(), body));
        name
    }

    fn reserve(&mut self, hint: &str) -> String {
        let mut base = String::new();
        for c in hint.chars() {
            match c.is_ascii_alphanumeric() {
                true => base.push(c),
                false if base.ends_with('-') || base.is_empty() => {}
                false => base.push('-'),
            }
        }
        let base = if base.is_empty() { "schema" } else { base.trim_end_matches('-') };
        if self.names.insert(base.to_owned()) {
            return base.to_owned();
        }
        let number = self.numbers.entry(base.to_owned()).or_insert(2);
        loop {
            let name = format!("{base}-{number}");
            *number += 1;
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// The place in a document that a place in a merged schema comes from: what stands beside a union is read as
/// if it stood in each variant. Where that is not found, the nearest place around it.
fn origin(root: &Value, pointer: &str) -> String {
    let Some((parent, word)) = pointer.rsplit_once('/') else { return String::new() };
    let mut around = parent;
    loop {
        let at = format!("{around}/{word}");
        if root.pointer(&at).is_some() {
            return at;
        }
        match around.rsplit_once('/') {
            Some((outer, _)) => around = outer,
            None => return origin(root, parent),
        }
    }
}

/// One schema while it is compiled.
///
/// Expressions are single terms: a name, a literal or a group. None is a schema that no value fits.
pub(super) struct Document<'a> {
    compiler: &'a mut Compiler,
    root: &'a Value,
    owner: &'a str,
    notes: Vec<Note>,
    /// The rules of references that were met.
    references: BTreeMap<String, String>,
    /// References that are being followed without a value around them.
    open: Vec<String>,
    depth: usize,
}

impl Document<'_> {
    pub(super) fn note(&mut self, pointer: &str, text: impl Into<String>) {
        self.notes.push(Note {
            schema: self.owner.to_owned(),
            pointer: pointer.to_owned(),
            text: text.into(),
        });
    }

    pub(super) fn error(&self, pointer: &str, why: &str) -> Error {
        Error::new(ErrorKind::Grammar, format!("the schema of {:?} {why}", self.owner))
            .at(Position::Pointer(pointer.to_owned()))
    }

    pub(super) fn rule(&mut self, hint: &str, body: String) -> String {
        self.compiler.rule(hint, body)
    }

    /// A value inside another: references may lead back from here.
    pub(super) fn inner(&mut self, schema: &Value, pointer: &str, hint: &str) -> Result<Option<String>> {
        let open = std::mem::take(&mut self.open);
        let value = self.value(schema, pointer, hint);
        self.open = open;
        value
    }

    fn value(&mut self, schema: &Value, pointer: &str, hint: &str) -> Result<Option<String>> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(pointer, "is nested too deep"));
        }
        let value = match schema {
            Value::Bool(true) => Ok(Some("value".to_owned())),
            Value::Object(map) => self.map(map, pointer, hint),
            _ => Ok(None),
        };
        self.depth -= 1;
        value
    }

    fn map(&mut self, map: &Map<String, Value>, pointer: &str, hint: &str) -> Result<Option<String>> {
        for word in INEXPRESSIBLE.iter().filter(|word| map.contains_key(**word)) {
            self.note(&step(pointer, word), format!("`{word}` is not enforced"));
        }
        if let Some(Value::String(reference)) = map.get("$ref") {
            return self.reference(reference, map, pointer, hint);
        }
        if let Some(Value::Array(parts)) = map.get("allOf") {
            let mut all = without(map, &["allOf"]);
            for part in parts {
                all = self.both(&all, &self.resolved(part), pointer);
            }
            return self.value(&all, pointer, hint);
        }
        if let Some(value) = map.get("const") {
            return Ok(self.listed(std::slice::from_ref(value), &without(map, &["const"])));
        }
        if let Some(Value::Array(values)) = map.get("enum") {
            return Ok(self.listed(values, &without(map, &["enum"])));
        }
        for word in ["anyOf", "oneOf"] {
            let Some(Value::Array(variants)) = map.get(word) else { continue };
            let at = step(pointer, word);
            if word == "oneOf" {
                self.note(&at, "`oneOf` is read as `anyOf`");
            }
            let mut rest = without(map, &[word]);
            let nullable = rest.as_object_mut().and_then(|rest| rest.shift_remove("nullable"));
            let mut options = Vec::new();
            for (index, variant) in variants.iter().enumerate() {
                let variant = match limits(&rest) {
                    true => self.both(&rest, &self.resolved(variant), pointer),
                    false => variant.clone(),
                };
                options.extend(self.value(&variant, &step(&at, &index.to_string()), hint)?);
            }
            if nullable == Some(Value::Bool(true)) {
                options.push("null".to_owned());
            }
            return Ok(one_of(options));
        }
        self.typed(map, pointer, hint)
    }

    /// A reference, and what stands beside it.
    fn reference(
        &mut self,
        reference: &str,
        map: &Map<String, Value>,
        pointer: &str,
        hint: &str,
    ) -> Result<Option<String>> {
        let at = step(pointer, "$ref");
        let Some(target) = resolve(self.root, reference) else {
            return Err(self.error(&at, &format!("refers to {reference:?}, which is not in it")));
        };
        let rest = without(map, &["$ref"]);
        if limits(&rest) {
            let schema = self.both(&rest, target, pointer);
            return self.value(&schema, pointer, hint);
        }
        if self.open.iter().any(|open| open == reference) {
            return Err(self.error(&at, "refers to itself without a value in between"));
        }
        if let Some(rule) = self.references.get(reference) {
            return Ok(Some(rule.clone()));
        }
        let name = self.compiler.reserve(match reference.rsplit(['/', '#']).next() {
            Some("") | None => hint,
            Some(last) => last,
        });
        self.references.insert(reference.to_owned(), name.clone());
        self.open.push(reference.to_owned());
        let target = target.clone();
        let value = self.value(&target, &reference[1..], &name)?;
        self.open.pop();
        match value {
            Some(body) => {
                self.compiler.rules.push((name.clone(), body));
                Ok(Some(name))
            }
            None => Err(self.error(&at, "refers to a schema that no value fits")),
        }
    }

    /// The schema that a reference names, or the schema itself.
    fn resolved(&self, schema: &Value) -> Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|name| resolve(self.root, name));
        match (target, schema) {
            (Some(target), Value::Object(map)) => both(&without(map, &["$ref"]), target, &mut Vec::new()),
            _ => schema.clone(),
        }
    }

    fn both(&mut self, a: &Value, b: &Value, pointer: &str) -> Value {
        let mut lost = Vec::new();
        let schema = both(a, b, &mut lost);
        lost.into_iter().for_each(|text| self.note(pointer, text));
        schema
    }

    /// Those of the values that fit the rest of the schema.
    fn listed(&self, values: &[Value], rest: &Value) -> Option<String> {
        let fits = |value: &&Value| match rest.get("$ref").is_none() {
            true => check(rest, value).iter().all(|misfit| misfit.rule == "$ref"),
            false => true,
        };
        one_of(values.iter().filter(fits).map(literal_json).collect())
    }

    fn typed(&mut self, map: &Map<String, Value>, pointer: &str, hint: &str) -> Result<Option<String>> {
        let mut types: Vec<&str> = map.get("type").map(type_names).unwrap_or_default();
        if let Some(unknown) = types.iter().find(|name| !TYPES.contains(name)) {
            return Err(self.error(&step(pointer, "type"), &format!("has no type {unknown:?}")));
        }
        if types.is_empty() {
            types = implied_types(map);
            match &types[..] {
                [] => return Ok(Some("value".to_owned())),
                names => self.note(pointer, format!("no `type`: read as {}", names.join(" or "))),
            }
        }
        if types.contains(&"number") {
            types.retain(|name| *name != "integer");
        }
        if map.get("nullable") == Some(&Value::Bool(true)) && !types.contains(&"null") {
            types.push("null");
        }
        let mut options = Vec::new();
        for name in types {
            options.extend(match name {
                "object" => self.object(map, pointer, hint)?,
                "array" => self.array(map, pointer, hint)?,
                "string" => self.string(map, pointer),
                "integer" => self.integer(map, pointer),
                "number" => self.number(map, pointer),
                other => Some(other.to_owned()),
            });
        }
        Ok(one_of(options))
    }

    /// A count such as `minLength` that is not beyond what llama.cpp repeats.
    pub(super) fn count(&mut self, map: &Map<String, Value>, word: &str, pointer: &str) -> Option<u64> {
        let value = map.get(word)?;
        let count =
            value.as_u64().or_else(|| value.as_f64().filter(|count| *count >= 0.0).map(|count| count as u64));
        let Some(count) = count else {
            self.note(&step(pointer, word), format!("`{word}` is not enforced"));
            return None;
        };
        if count < MOST_REPETITIONS {
            return Some(count);
        }
        if word.starts_with("min") {
            self.note(&step(pointer, word), format!("`{word}` is enforced up to {}", MOST_REPETITIONS - 1));
            return Some(MOST_REPETITIONS - 1);
        }
        self.note(&step(pointer, word), format!("`{word}` of {MOST_REPETITIONS} or more is not enforced"));
        None
    }

    fn string(&mut self, map: &Map<String, Value>, pointer: &str) -> Option<String> {
        if map.contains_key("pattern") {
            self.note(&step(pointer, "pattern"), "`pattern` is not enforced");
        }
        let least = self.count(map, "minLength", pointer).unwrap_or(0);
        let most = self.count(map, "maxLength", pointer);
        if most.is_some_and(|most| most < least) {
            return None;
        }
        match map.get("format").and_then(Value::as_str) {
            Some(name @ ("date" | "time" | "date-time" | "uuid")) => {
                if least > 0 || most.is_some() {
                    self.note(pointer, "limits of length beside `format` are not enforced");
                }
                return Some(format!("(\"\\\"\" {name} \"\\\"\")"));
            }
            Some(name) => self.note(&step(pointer, "format"), format!("the format {name:?} is not enforced")),
            None => {}
        }
        if least == 0 && most.is_none() {
            return Some("string".to_owned());
        }
        let times = repeat(least, most);
        Some(format!("(\"\\\"\" (char-no-angle{times} | char-no-bar{times}) \"\\\"\")"))
    }

    fn integer(&mut self, map: &Map<String, Value>, pointer: &str) -> Option<String> {
        if map.contains_key("multipleOf") {
            self.note(&step(pointer, "multipleOf"), "`multipleOf` is not enforced");
        }
        let mut bounds = Bounds { least: None, greatest: None };
        for (word, is_least, excluded) in [
            ("minimum", true, 0.0),
            ("exclusiveMinimum", true, 1.0),
            ("maximum", false, 0.0),
            ("exclusiveMaximum", false, 1.0),
        ] {
            let Some(value) = map.get(word) else { continue };
            let bound = value.as_f64().map(|value| match is_least {
                true if excluded > 0.0 => value.floor() + 1.0,
                true => value.ceil(),
                false if excluded > 0.0 => value.ceil() - 1.0,
                false => value.floor(),
            });
            // Beyond this, not every whole number is an f64.
            let Some(bound) = bound.filter(|bound| bound.abs() < 9e15).map(|bound| bound as i64) else {
                self.note(&step(pointer, word), format!("`{word}` is not enforced"));
                continue;
            };
            if is_least {
                bounds.least = Some(bounds.least.map_or(bound, |least| least.max(bound)));
            } else {
                bounds.greatest = Some(bounds.greatest.map_or(bound, |greatest| greatest.min(bound)));
            }
        }
        if bounds == (Bounds { least: None, greatest: None }) {
            return Some("integer".to_owned());
        }
        integers(bounds)
    }

    fn number(&mut self, map: &Map<String, Value>, pointer: &str) -> Option<String> {
        let mut name = "number";
        for word in ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"] {
            let Some(bound) = map.get(word) else { continue };
            if word == "minimum" && bound.as_f64() == Some(0.0) {
                name = "magnitude";
            } else {
                self.note(&step(pointer, word), format!("`{word}` of a number is not enforced"));
            }
        }
        Some(name.to_owned())
    }
}

/// `{least,most}`
pub(super) fn repeat(least: u64, most: Option<u64>) -> String {
    match most {
        Some(most) if most == least => format!("{{{least}}}"),
        Some(most) => format!("{{{least},{most}}}"),
        None if least == 0 => "*".to_owned(),
        None => format!("{{{least},}}"),
    }
}

/// Alternatives as one term.
pub(super) fn one_of(mut options: Vec<String>) -> Option<String> {
    let mut seen = BTreeSet::new();
    options.retain(|option| seen.insert(option.clone()));
    match &options[..] {
        [] => None,
        [only] => Some(only.clone()),
        options => Some(format!("({})", options.join(" | "))),
    }
}

fn without(map: &Map<String, Value>, words: &[&str]) -> Value {
    Value::Object(
        map.iter()
            .filter(|(key, _)| !words.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

/// Whether a schema says anything about a value.
fn limits(schema: &Value) -> bool {
    schema.as_object().is_none_or(|map| map.keys().any(|key| !ANNOTATIONS.contains(&key.as_str())))
}

/// The types that keywords speak of, where there is no `type`.
fn implied_types(map: &Map<String, Value>) -> Vec<&'static str> {
    let any = |words: &[&str]| words.iter().any(|word| map.contains_key(*word));
    let mut types = Vec::new();
    if any(&[
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "minProperties",
        "maxProperties",
    ]) {
        types.push("object");
    }
    if any(&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]) {
        types.push("array");
    }
    if any(&["minLength", "maxLength", "pattern", "format"]) {
        types.push("string");
    }
    if any(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
        types.push("number");
    }
    types
}

/// Exactly this value, with white space where JSON has it.
pub(super) fn literal_json(value: &Value) -> String {
    match value {
        Value::String(text) => json_string(text),
        Value::Array(items) if !items.is_empty() => {
            let items: Vec<String> = items.iter().map(literal_json).collect();
            format!("(\"[\" ws {} ws \"]\")", items.join(" ws \",\" ws "))
        }
        Value::Array(_) => "(\"[\" ws \"]\")".to_owned(),
        Value::Object(map) if !map.is_empty() => {
            let pairs: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{} ws \":\" ws {}", json_string(key), literal_json(value)))
                .collect();
            format!("(\"{{\" ws {} ws \"}}\")", pairs.join(" ws \",\" ws "))
        }
        Value::Object(_) => "(\"{\" ws \"}\")".to_owned(),
        other => super::text::literal(&other.to_string()),
    }
}

/// The schema of what may follow, by default anything.
pub(super) fn open(map: &Map<String, Value>, word: &str) -> Value {
    map.get(word).cloned().unwrap_or_else(|| json!(true))
}
