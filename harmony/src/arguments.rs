//! Tool arguments against the tool's JSON Schema: which value misfits which rule, and where.

mod locate;
mod number;

use serde_json::{Map, Value};

pub use locate::{Locator, locate};
pub(crate) use number::equal;
use number::{compare, is_integer, is_multiple};

/// A value that does not follow a rule of its schema.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Misfit {
    /// The value, as a JSON Pointer (RFC 6901) into the arguments; empty for the arguments as a whole.
    pub pointer: String,
    /// The keyword of the schema that was not met, for example `required`.
    pub rule: &'static str,
    /// The rule and what was found, in one line of lower case.
    pub text: String,
}

/// Checks a value against a JSON Schema and lists what does not fit, in the order of the schema's keywords.
///
/// Keywords that are checked: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`,
/// `propertyNames`, `dependentRequired`, `minProperties`, `maxProperties`, `items`, `prefixItems`, `minItems`,
/// `maxItems`, `uniqueItems`, `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`,
/// `minLength`, `maxLength`, `anyOf`, `oneOf`, `allOf`, `not`, `if`/`then`/`else`, and `$ref` to a place in the same schema.
/// They mean what JSON Schema 2020-12 says; `nullable: true` of OpenAPI lets `null` pass, too.
/// Any other keyword, such as `pattern` or `format`, is passed over, so a finding is never wrong because of one.
/// A schema whose references multiply without end is checked up to a fixed number of steps.
///
/// ```
/// use harmony_format::arguments;
/// use serde_json::json;
///
/// let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
/// assert!(arguments::check(&schema, &json!({"city": "Paris"})).is_empty());
///
/// let misfits = arguments::check(&schema, &json!({"city": 7}));
/// assert_eq!(misfits[0].pointer, "/city");
/// assert_eq!(misfits[0].text, "must be a string, found 7");
/// ```
#[must_use]
pub fn check(schema: &Value, value: &Value) -> Vec<Misfit> {
    let mut checker = Checker { root: schema, steps: STEPS, active: Vec::new(), at: String::new() };
    let mut misfits = Vec::new();
    checker.visit(schema, value, &mut misfits);
    misfits
}

/// The value that a local reference such as `#/$defs/city` names, if it is there.
pub(crate) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = percent_decode(reference.strip_prefix('#')?)?;
    root.pointer(&fragment)
}

/// Adds a key to a JSON Pointer, escaped as RFC 6901 asks.
pub(crate) fn push_key(pointer: &mut String, key: &str) {
    pointer.push('/');
    for c in key.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => pointer.push(c),
        }
    }
}

/// Characters of a value that are shown.
const LONGEST: usize = 60;

/// The value as compact JSON, cut to a length that fits into a line.
pub(crate) fn show(value: &Value) -> String {
    let mut text = String::new();
    write_beginning(value, &mut text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Appends a value as compact JSON; what goes beyond what is shown may be left out, since it may be large.
fn write_beginning(value: &Value, text: &mut String) {
    // No character has more than four bytes.
    let is_enough = |text: &String| text.len() > 4 * LONGEST;
    match value {
        Value::String(string) => {
            let end = string.char_indices().nth(LONGEST).map_or(string.len(), |(end, _)| end);
            *text += &Value::from(&string[..end]).to_string();
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if is_enough(text) {
                    break;
                }
                *text += if index > 0 { "," } else { "" };
                write_beginning(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                if is_enough(text) {
                    break;
                }
                *text += if index > 0 { "," } else { "" };
                *text += &Value::from(key.as_str()).to_string();
                text.push(':');
                write_beginning(member, text);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => *text += &value.to_string(),
    }
}

/// More visits than any schema of a tool needs; a schema can refer to itself in exponentially many ways.
const STEPS: usize = 200_000;

struct Checker<'a> {
    root: &'a Value,
    steps: usize,
    /// The references that are being followed, each with the value that it is applied to.
    active: Vec<(*const Value, *const Value)>,
    /// The value that is being looked at.
    at: String,
}

impl<'a> Checker<'a> {
    fn visit(&mut self, schema: &'a Value, value: &Value, misfits: &mut Vec<Misfit>) {
        if self.steps == 0 {
            return;
        }
        self.steps -= 1;
        match schema {
            Value::Bool(false) => {
                self.report(misfits, "false", format!("must be absent, found {}", show(value)));
            }
            Value::Object(rules) => {
                if value.is_null() && rules.get("nullable") == Some(&Value::Bool(true)) {
                    return;
                }
                self.reference(rules, value, misfits);
                self.any_value(rules, value, misfits);
                match value {
                    Value::Number(number) => self.number(rules, number, misfits),
                    Value::String(text) => self.string(rules, text, misfits),
                    Value::Array(items) => self.array(rules, items, misfits),
                    Value::Object(members) => self.object(rules, members, misfits),
                    Value::Null | Value::Bool(_) => {}
                }
                self.alternatives(rules, value, misfits);
                self.conditions(rules, value, misfits);
            }
            _ => {}
        }
    }

    fn report(&self, misfits: &mut Vec<Misfit>, rule: &'static str, text: String) {
        misfits.push(Misfit { pointer: self.at.clone(), rule, text });
    }

    fn fits(&mut self, schema: &'a Value, value: &Value) -> bool {
        let mut misfits = Vec::new();
        self.visit(schema, value, &mut misfits);
        misfits.is_empty()
    }

    /// Visits a member or an item.
    fn below(&mut self, key: &str, schema: &'a Value, value: &Value, misfits: &mut Vec<Misfit>) {
        let length = self.at.len();
        push_key(&mut self.at, key);
        self.visit(schema, value, misfits);
        self.at.truncate(length);
    }

    fn reference(&mut self, rules: &'a Map<String, Value>, value: &Value, misfits: &mut Vec<Misfit>) {
        let Some(target) = rules.get("$ref").and_then(Value::as_str) else { return };
        let Some(schema) = resolve(self.root, target) else { return };
        // A reference that leads back to itself without going deeper into the value says nothing.
        let step = (std::ptr::from_ref(schema), std::ptr::from_ref(value));
        if !self.active.contains(&step) {
            self.active.push(step);
            self.visit(schema, value, misfits);
            self.active.pop();
        }
    }

    fn any_value(&mut self, rules: &Map<String, Value>, value: &Value, misfits: &mut Vec<Misfit>) {
        let types: Vec<&str> = match rules.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !types.is_empty() && !types.iter().any(|name| is_type(value, name)) {
            let wanted: Vec<_> = types.iter().map(|name| with_article(name)).collect();
            self.report(misfits, "type", format!("must be {}, found {}", wanted.join(" or "), show(value)));
        }
        if let Some(Value::Array(allowed)) = rules.get("enum")
            && !allowed.iter().any(|one| equal(one, value))
        {
            let allowed = show_list(allowed);
            self.report(misfits, "enum", format!("must be one of {allowed}, found {}", show(value)));
        }
        if let Some(only) = rules.get("const")
            && !equal(only, value)
        {
            self.report(misfits, "const", format!("must be {}, found {}", show(only), show(value)));
        }
    }

    fn number(&mut self, rules: &Map<String, Value>, number: &serde_json::Number, misfits: &mut Vec<Misfit>) {
        use std::cmp::Ordering::{Greater, Less};
        let bounds: [(&'static str, &str, &[std::cmp::Ordering]); 4] = [
            ("minimum", "at least", &[Less]),
            ("maximum", "at most", &[Greater]),
            ("exclusiveMinimum", "more than", &[Less, std::cmp::Ordering::Equal]),
            ("exclusiveMaximum", "less than", &[Greater, std::cmp::Ordering::Equal]),
        ];
        for (rule, words, wrong) in bounds {
            if let Some(Value::Number(bound)) = rules.get(rule)
                && wrong.contains(&compare(number, bound))
            {
                self.report(misfits, rule, format!("must be {words} {bound}, found {number}"));
            }
        }
        if let Some(Value::Number(step)) = rules.get("multipleOf")
            && !is_multiple(number, step)
        {
            self.report(misfits, "multipleOf", format!("must be a multiple of {step}, found {number}"));
        }
    }

    fn string(&mut self, rules: &Map<String, Value>, text: &str, misfits: &mut Vec<Misfit>) {
        if !rules.contains_key("minLength") && !rules.contains_key("maxLength") {
            return;
        }
        let length = text.chars().count();
        self.size(rules, length, ["minLength", "maxLength"], "characters", misfits);
    }

    fn array(&mut self, rules: &'a Map<String, Value>, items: &[Value], misfits: &mut Vec<Misfit>) {
        self.size(rules, items.len(), ["minItems", "maxItems"], "items", misfits);
        if rules.get("uniqueItems") == Some(&Value::Bool(true))
            && let Some((first, last)) = number::first_equal(items)
        {
            let text = format!("must have no item twice, items {first} and {last} are equal");
            self.report(misfits, "uniqueItems", text);
        }
        let first = match rules.get("prefixItems") {
            Some(Value::Array(schemas)) => {
                for (index, (schema, item)) in schemas.iter().zip(items).enumerate() {
                    self.below(&index.to_string(), schema, item, misfits);
                }
                schemas.len()
            }
            _ => 0,
        };
        if let Some(schema) = rules.get("items") {
            for (index, item) in items.iter().enumerate().skip(first) {
                self.below(&index.to_string(), schema, item, misfits);
            }
        }
    }

    fn object(
        &mut self,
        rules: &'a Map<String, Value>,
        members: &Map<String, Value>,
        misfits: &mut Vec<Misfit>,
    ) {
        for name in strings(rules.get("required")).filter(|name| !members.contains_key(*name)) {
            self.report(misfits, "required", format!("must have the property {name:?}"));
        }
        if let Some(Value::Object(dependent)) = rules.get("dependentRequired") {
            for (key, needed) in dependent.iter().filter(|(key, _)| members.contains_key(*key)) {
                for name in strings(Some(needed)).filter(|name| !members.contains_key(*name)) {
                    let text = format!("must have the property {name:?}, because it has {key:?}");
                    self.report(misfits, "dependentRequired", text);
                }
            }
        }
        self.size(rules, members.len(), ["minProperties", "maxProperties"], "properties", misfits);
        let properties = rules.get("properties").and_then(Value::as_object);
        // Patterns are not checked, so any other property may be one that a pattern allows.
        let rest = rules.get("additionalProperties").filter(|_| !rules.contains_key("patternProperties"));
        for (key, member) in members {
            if let Some(schema) = rules.get("propertyNames") {
                let name = Value::String(key.clone());
                if !self.fits(schema, &name) {
                    self.report(misfits, "propertyNames", format!("must not have the property {key:?}"));
                }
            }
            match (properties.and_then(|properties| properties.get(key)), rest) {
                (Some(schema), _) => self.below(key, schema, member, misfits),
                (None, Some(Value::Bool(false))) => {
                    let mut pointer = self.at.clone();
                    push_key(&mut pointer, key);
                    let text = match properties.filter(|properties| !properties.is_empty()) {
                        Some(known) => {
                            let names = known.keys().take(MOST).map(|key| show(&Value::from(key.as_str())));
                            let names = join(names, known.len());
                            format!("must not be there, the properties are {names}")
                        }
                        None => "must not be there, there are no properties".to_owned(),
                    };
                    misfits.push(Misfit { pointer, rule: "additionalProperties", text });
                }
                (None, Some(schema)) => self.below(key, schema, member, misfits),
                (None, None) => {}
            }
        }
    }

    fn size(
        &mut self,
        rules: &Map<String, Value>,
        size: usize,
        [least, most]: [&'static str; 2],
        what: &str,
        misfits: &mut Vec<Misfit>,
    ) {
        let limit = |rule| match rules.get(rule) {
            Some(Value::Number(limit)) => Some((limit, compare(&size.into(), limit))),
            _ => None,
        };
        if let Some((limit, std::cmp::Ordering::Less)) = limit(least) {
            self.report(misfits, least, format!("must have {limit} or more {what}, found {size}"));
        }
        if let Some((limit, std::cmp::Ordering::Greater)) = limit(most) {
            self.report(misfits, most, format!("must have {limit} or fewer {what}, found {size}"));
        }
    }

    fn alternatives(&mut self, rules: &'a Map<String, Value>, value: &Value, misfits: &mut Vec<Misfit>) {
        for schema in list(rules.get("allOf")) {
            self.visit(schema, value, misfits);
        }
        for rule in ["anyOf", "oneOf"] {
            let Some(Value::Array(schemas)) = rules.get(rule) else { continue };
            let mut failures = Vec::new();
            for schema in schemas {
                let mut found = Vec::new();
                self.visit(schema, value, &mut found);
                failures.push(found);
            }
            let fitting = failures.iter().filter(|found| found.is_empty()).count();
            if fitting == 0 {
                let closest =
                    failures.iter().filter_map(|found| Some((found.len(), found.first()?))).min_by_key(
                        // A deeper misfit means that the alternative was meant and one part of it is wrong.
                        |(count, first)| (std::cmp::Reverse(first.pointer.len()), *count),
                    );
                let why = closest.map(|(_, first)| self.explain(first)).unwrap_or_default();
                let text = format!("must fit one of {} alternatives{why}", schemas.len());
                self.report(misfits, rule, text);
            } else if rule == "oneOf" && fitting > 1 {
                let text = format!("must fit exactly one of {} alternatives, fits {fitting}", schemas.len());
                self.report(misfits, rule, text);
            }
        }
    }

    fn explain(&self, closest: &Misfit) -> String {
        match closest.pointer.strip_prefix(self.at.as_str()) {
            Some("") | None => format!("; the closest: {}", closest.text),
            Some(below) => format!("; the closest: {below} {}", closest.text),
        }
    }

    fn conditions(&mut self, rules: &'a Map<String, Value>, value: &Value, misfits: &mut Vec<Misfit>) {
        if let Some(schema) = rules.get("not")
            && self.fits(schema, value)
        {
            self.report(
                misfits,
                "not",
                format!("must not be what the schema excludes, found {}", show(value)),
            );
        }
        if let Some(condition) = rules.get("if") {
            let branch = if self.fits(condition, value) { "then" } else { "else" };
            if let Some(schema) = rules.get(branch) {
                self.visit(schema, value, misfits);
            }
        }
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    list(value).iter().filter_map(Value::as_str)
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => matches!(value, Value::Number(number) if is_integer(number)),
        // A type that JSON does not have says nothing about a value.
        _ => true,
    }
}

fn with_article(name: &str) -> String {
    match name {
        "null" => name.to_owned(),
        "array" | "integer" | "object" => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

/// How much of a list is shown.
const MOST: usize = 8;

fn show_list(values: &[Value]) -> String {
    join(values.iter().take(MOST).map(show), values.len())
}

/// The beginning of a list of so many.
fn join(shown: impl Iterator<Item = String>, all: usize) -> String {
    let more = if all > MOST { ", …" } else { "" };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
