//! What [`SchemaStyle::Reference`](crate::SchemaStyle::Reference) loses or garbles.

use serde_json::{Map, Value};

use super::{MAX_DEPTH, pointer, reference};

/// A place in a schema that the official library's TypeScript loses or garbles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// JSON Pointer to the schema that has the keyword; empty is the root.
    pub pointer: String,
    /// The keyword.
    pub keyword: String,
    /// What happens, as a sentence without a full stop.
    pub text: String,
}

/// The places where [`SchemaStyle::Reference`](crate::SchemaStyle::Reference) loses or garbles something, in document order.
///
/// Parts that are never written, such as definitions, have no losses of their own: the reference to them has.
/// Limits that TypeScript has no word for, such as `minimum`, `pattern` and `format`, are not listed.
///
/// ```
/// use harmony_format::schema::losses;
/// use serde_json::json;
///
/// let schema = json!({
///     "type": "object",
///     "properties": {"unit": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
/// });
/// let losses = losses(&schema);
/// assert_eq!((&*losses[0].pointer, &*losses[0].keyword), ("/properties/unit", "anyOf"));
/// assert_eq!(losses[0].text, "is not read, so that the type becomes any");
/// ```
#[must_use]
pub fn losses(schema: &Value) -> Vec<Loss> {
    let mut finder = Finder { losses: Vec::new(), levels_left: MAX_DEPTH };
    finder.visit(schema, "", Place::Root);
    finder.losses
}

/// Where a schema stands; some keywords are read in some places only.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Property,
    Items,
    Variant,
}

/// Keywords that say something about the type and are never read.
const UNREAD: [&str; 12] = [
    "$ref",
    "$dynamicRef",
    "anyOf",
    "allOf",
    "not",
    "if",
    "const",
    "prefixItems",
    "patternProperties",
    "propertyNames",
    "dependentSchemas",
    "dependentRequired",
];

struct Finder {
    losses: Vec<Loss>,
    levels_left: usize,
}

impl Finder {
    fn visit(&mut self, schema: &Value, at: &str, place: Place) {
        if self.levels_left == 0 {
            return;
        }
        self.levels_left -= 1;
        match schema {
            Value::Object(fields) => self.visit_fields(schema, fields, at, place),
            Value::Bool(false) => self.add(at, "false", "becomes any, though nothing is allowed"),
            _ => {}
        }
        self.levels_left += 1;
    }

    fn visit_fields(&mut self, schema: &Value, fields: &Map<String, Value>, at: &str, place: Place) {
        let written = Written::of(fields);
        for keyword in UNREAD.into_iter().filter(|keyword| fields.contains_key(*keyword)) {
            let text = match written {
                Written::Nothing => "is not read, so that the type becomes any",
                _ => "is not read",
            };
            self.add(at, keyword, text);
        }
        self.visit_type(fields, at, written);
        self.visit_enum(fields, at, written);
        self.visit_texts(fields, at, place, written);
        if fields.get("nullable") == Some(&Value::Bool(true)) {
            match place {
                Place::Root | Place::Items => self.add(at, "nullable", "is not read here"),
                // A property with `oneOf` writes its variants only.
                Place::Property if written == Written::OneOf => {
                    self.add(at, "nullable", "is not read beside oneOf");
                }
                Place::Property | Place::Variant => {
                    let text = reference::write(schema);
                    if text.contains("null") && !text.split(" | ").any(|member| member == "null") {
                        let text = "has no effect, because the letters `null` stand somewhere in the type";
                        self.add(at, "nullable", text);
                    }
                }
            }
        }
        match written {
            Written::OneOf => {
                for (index, variant) in list(fields, "oneOf").iter().enumerate() {
                    self.visit(variant, &format!("{at}/oneOf/{index}"), Place::Variant);
                }
                for keyword in ["properties", "items"] {
                    if fields.contains_key(keyword) {
                        self.add(at, keyword, "is not read beside oneOf");
                    }
                }
            }
            Written::Object => self.visit_object(fields, at),
            Written::Array => {
                if let Some(items) = fields.get("items") {
                    if items.is_array() {
                        self.add(at, "items", "becomes any, being a list");
                    }
                    if is_union(items) {
                        let text = "is a union without parentheses, so that only its last member is an array";
                        self.add(at, "items", text);
                    }
                    self.visit(items, &pointer::child(at, "items"), Place::Items);
                }
            }
            Written::Nothing | Written::Types | Written::Other => {}
        }
    }

    fn visit_type(&mut self, fields: &Map<String, Value>, at: &str, written: Written) {
        match fields.get("type") {
            Some(Value::String(name)) if name == "null" && written == Written::Other => {
                self.add(at, "type", "becomes any instead of null");
            }
            Some(Value::String(name)) if written == Written::Nothing => {
                self.add(at, "type", &format!("becomes any, being the unknown {name:?}"));
            }
            Some(Value::Array(names)) if written == Written::Types => {
                let has = |name: &str| names.iter().any(|own| own == name);
                for (name, keyword) in [("array", "items"), ("object", "properties"), ("string", "enum")] {
                    if has(name) && fields.contains_key(keyword) {
                        self.add(at, keyword, "is not read beside a list of types");
                    }
                }
                for name in ["array", "object"].into_iter().filter(|name| has(name)) {
                    self.add(at, "type", &format!("writes the bare word {name}"));
                }
            }
            Some(_) => {}
            None if written == Written::Nothing => {
                for keyword in ["properties", "additionalProperties", "items"] {
                    if fields.contains_key(keyword) {
                        self.add(at, keyword, "is not read without a type, so that the type becomes any");
                    }
                }
            }
            None => {}
        }
    }

    fn visit_enum(&mut self, fields: &Map<String, Value>, at: &str, written: Written) {
        let values = list(fields, "enum");
        let is_string = written == Written::Other && fields.get("type").is_some_and(|name| name == "string");
        if values.is_empty() || written == Written::Types {
            return;
        }
        if !is_string {
            self.add(at, "enum", "is not read, because only strings are");
            return;
        }
        if values.iter().any(|value| !value.is_string()) {
            self.add(at, "enum", "loses the values that are not strings");
        }
        if values.iter().filter_map(Value::as_str).any(|value| value.contains(['"', '\\', '\n', '\r'])) {
            self.add(at, "enum", "has a value that is not escaped");
        }
    }

    /// Descriptions and the like: where they are written, a line break takes the rest out of the comment.
    fn visit_texts(&mut self, fields: &Map<String, Value>, at: &str, place: Place, written: Written) {
        let is_property = place == Place::Property;
        for (keyword, is_written) in [
            ("title", is_property),
            ("description", place != Place::Items && place != Place::Root || written == Written::Object),
            ("default", is_property || place == Place::Variant),
        ] {
            let Some(text) = fields.get(keyword).and_then(Value::as_str) else { continue };
            if is_written && text.contains('\n') {
                self.add(at, keyword, "has a line break, after which the text is no comment any more");
            } else if !is_written && keyword == "description" {
                self.add(at, keyword, "is not written");
            }
        }
        let examples = list(fields, "examples").iter().filter_map(Value::as_str);
        if is_property && examples.into_iter().any(|example| example.contains('\n')) {
            self.add(at, "examples", "has a line break, after which the text is no comment any more");
        }
    }

    fn visit_object(&mut self, fields: &Map<String, Value>, at: &str) {
        let nothing = Map::new();
        let properties = fields.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
        if fields.get("additionalProperties").is_some_and(Value::is_object) {
            self.add(at, "additionalProperties", "is not read, so that the values have no type");
        }
        for key in list(fields, "required").iter().filter_map(Value::as_str) {
            if !properties.contains_key(key) {
                self.add(at, "required", &format!("demands {key:?}, which is not written"));
            }
        }
        let place = pointer::child(at, "properties");
        for (key, schema) in properties {
            if !super::is_identifier(key) {
                self.add(at, "properties", &format!("has the key {key:?}, which is written without quotes"));
            }
            self.visit(schema, &pointer::child(&place, key), Place::Property);
        }
    }

    fn add(&mut self, pointer: &str, keyword: &str, text: &str) {
        self.losses.push(Loss {
            pointer: pointer.to_owned(),
            keyword: keyword.to_owned(),
            text: text.to_owned(),
        });
    }
}

/// What the reference style makes its text of.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    OneOf,
    /// A list of types.
    Types,
    Object,
    Array,
    /// Another type that has a name.
    Other,
    /// `any`, for want of anything that is read.
    Nothing,
}

impl Written {
    fn of(fields: &Map<String, Value>) -> Self {
        if fields.get("oneOf").is_some_and(Value::is_array) {
            return Self::OneOf;
        }
        match fields.get("type") {
            Some(Value::Array(names)) if names.iter().any(Value::is_string) => Self::Types,
            Some(Value::String(name)) => match name.as_str() {
                "object" => Self::Object,
                "array" => Self::Array,
                "string" | "number" | "integer" | "boolean" | "null" => Self::Other,
                _ => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }
}

/// Whether the text of the schema is a union, so that `[]` after it belongs to its last member.
fn is_union(schema: &Value) -> bool {
    let Some(fields) = schema.as_object() else { return false };
    let strings = |keyword| list(fields, keyword).iter().filter(|value| value.is_string()).count();
    match Written::of(fields) {
        Written::OneOf => list(fields, "oneOf").len() > 1,
        Written::Types => strings("type") > 1,
        Written::Other => fields.get("type").is_some_and(|name| name == "string") && strings("enum") > 1,
        Written::Object | Written::Array | Written::Nothing => false,
    }
}

fn list<'a>(fields: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    fields.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
