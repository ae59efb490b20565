//! From a schema to a type.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Described, Doc, Property, TupleItem, Type, literal, merge, notes};
use crate::schema::{MAX_DEPTH, pointer};

/// References may repeat a definition again and again; after this many schemas the rest is `any`.
const MAX_SCHEMAS: usize = 10_000;

pub(super) fn build(schema: &Value) -> Described {
    Builder { root: schema, followed: Vec::new(), levels_left: MAX_DEPTH, schemas_left: MAX_SCHEMAS }
        .build(schema)
}

struct Builder<'a> {
    root: &'a Value,
    /// The references that are being followed, the innermost last.
    followed: Vec<&'a str>,
    levels_left: usize,
    schemas_left: usize,
}

type Schema = Map<String, Value>;

impl<'a> Builder<'a> {
    fn build(&mut self, schema: &'a Value) -> Described {
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(false) => return Type::never().into(),
            _ => return Type::any().into(),
        };
        if self.levels_left == 0 || self.schemas_left == 0 {
            return Type::Opaque("not shown".to_owned()).into();
        }
        self.levels_left -= 1;
        self.schemas_left -= 1;
        let described = self.build_fields(schema);
        self.levels_left += 1;
        described
    }

    fn build_fields(&mut self, schema: &'a Schema) -> Described {
        let mut inherited = Doc::default();
        let mut ty = Type::any();
        let mut required = required(schema);
        let mut add = |part: Described| {
            ty = merge::intersect(std::mem::replace(&mut ty, Type::any()), part.ty);
            inherited.absorb(part.doc);
        };
        if let Some(reference) = text(schema, "$ref") {
            add(self.reference(reference));
        }
        for part in list(schema, "allOf") {
            required.extend(part.as_object().map(self::required).unwrap_or_default());
            add(self.build(part));
        }
        add(self.own(schema));
        for keyword in ["anyOf", "oneOf"] {
            let variants = list(schema, keyword);
            if !variants.is_empty() {
                let variants = variants.iter().map(|variant| self.build(variant)).collect();
                add(merge::union(variants));
            }
        }
        if let Type::Object { properties, .. } = &mut ty {
            for property in properties {
                property.required |= required.contains(property.key.as_str());
            }
        }
        let nullable = schema.get("nullable") == Some(&Value::Bool(true)) && !ty.is("any");
        let mut doc = notes::doc(schema);
        if nullable {
            let union = merge::union(vec![Described { ty, doc: inherited }, Type::null().into()]);
            (ty, inherited) = (union.ty, union.doc);
        }
        doc.absorb(inherited);
        Described { ty, doc }
    }

    fn reference(&mut self, reference: &'a str) -> Described {
        let name = || Type::Opaque(pointer::name(reference));
        if self.followed.contains(&reference) {
            return name().into();
        }
        let Some(target) = pointer::resolve(self.root, reference) else { return name().into() };
        // The root is being written from the start, whether a reference names it or not.
        if std::ptr::eq(target, self.root) {
            return name().into();
        }
        self.followed.push(reference);
        let described = self.build(target);
        self.followed.pop();
        described
    }

    /// What the schema says by its own `const`, `enum`, `type` and the keywords that belong to a type.
    fn own(&mut self, schema: &'a Schema) -> Described {
        if let Some(value) = schema.get("const") {
            return Type::Word(literal(value)).into();
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            let literals = values.iter().map(|value| Type::Word(literal(value)).into()).collect();
            return merge::union(literals);
        }
        let has = |keywords: &[&str]| keywords.iter().any(|keyword| schema.contains_key(*keyword));
        match schema.get("type") {
            Some(Value::String(name)) => self.named(name, schema),
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                merge::union(names.map(|name| self.named(name, schema)).collect())
            }
            _ if has(&["properties", "additionalProperties", "patternProperties"]) => self.object(schema),
            _ if has(&["items", "prefixItems"]) => self.array(schema),
            _ => Described { ty: Type::any(), doc: notes::of_any(schema) },
        }
    }

    fn named(&mut self, name: &str, schema: &'a Schema) -> Described {
        match name {
            "object" => self.object(schema),
            "array" => self.array(schema),
            "string" => Described { ty: Type::word("string"), doc: notes::of_string(schema) },
            "number" | "integer" => {
                Described { ty: Type::word("number"), doc: notes::of_number(schema, name == "integer") }
            }
            "boolean" | "null" => Type::word(name).into(),
            _ => Type::any().into(),
        }
    }

    fn object(&mut self, schema: &'a Schema) -> Described {
        let mut doc = notes::of_object(schema);
        let required = required(schema);
        let mut properties = Vec::new();
        let declared = schema.get("properties").and_then(Value::as_object);
        for (key, value) in declared.into_iter().flatten() {
            let mut value_type = self.build(value);
            notes::add_title(&mut value_type.doc, key, value);
            let required = required.contains(key.as_str());
            properties.push(Property { key: key.clone(), required, value: value_type });
        }
        let additional = schema.get("additionalProperties");
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let mut rest: Vec<Described> =
            patterns.into_iter().flatten().map(|(_, value)| self.build(value)).collect();
        match additional {
            Some(Value::Bool(false)) => {}
            Some(additional) => rest.push(self.build(additional)),
            None if declared.is_none() && rest.is_empty() => rest.push(Type::any().into()),
            None => {}
        }
        // A key that is demanded and not described.
        for key in list(schema, "required").iter().filter_map(Value::as_str) {
            if declared.is_some() && !declared.is_some_and(|declared| declared.contains_key(key)) {
                properties.push(Property { key: key.to_owned(), required: true, value: Type::any().into() });
            }
        }
        let rest = (!rest.is_empty()).then(|| merge::union(rest));
        let ty = match rest {
            Some(values) if properties.is_empty() => {
                let keys = schema.get("propertyNames").map_or(Type::any(), |names| self.build(names).ty);
                let keys = merge::intersect(Type::word("string"), keys);
                notes::add_inner(&mut doc, "values", values.doc);
                Type::Record { keys: Box::new(keys), values: Box::new(values.ty) }
            }
            Some(values) => {
                notes::add_inner(&mut doc, "other values", values.doc);
                Type::Object { properties, rest: Some(Box::new(values.ty)) }
            }
            None => Type::Object { properties, rest: None },
        };
        Described { ty, doc }
    }

    fn array(&mut self, schema: &'a Schema) -> Described {
        let mut doc = notes::of_array(schema);
        // Before 2020-12 the list was called `items`, and what follows it `additionalItems`.
        let (listed, following) = match (schema.get("prefixItems"), schema.get("items")) {
            (Some(Value::Array(listed)), following) => (Some(listed), following),
            (_, Some(Value::Array(listed))) => (Some(listed), schema.get("additionalItems")),
            (_, items) => (None, items),
        };
        let Some(listed) = listed else {
            let items = following.map_or(Type::any().into(), |items| self.build(items));
            notes::add_inner(&mut doc, "each", items.doc);
            return Described { ty: Type::Array(Box::new(items.ty)), doc };
        };
        let count = |keyword| schema.get(keyword).and_then(Value::as_u64);
        let minimum = count("minItems").unwrap_or(u64::MAX);
        let mut items = Vec::new();
        for (index, item) in listed.iter().enumerate() {
            let item = self.build(item);
            notes::add_inner(&mut doc, &format!("item {}", index + 1), item.doc);
            items.push(TupleItem { ty: item.ty, optional: index as u64 >= minimum });
        }
        let is_full = count("maxItems").is_some_and(|maximum| maximum <= listed.len() as u64);
        let rest = match following {
            Some(Value::Bool(false)) => None,
            _ if is_full => None,
            Some(following) => Some(Box::new(self.build(following).ty)),
            None => Some(Box::new(Type::any())),
        };
        Described { ty: Type::Tuple { items, rest }, doc }
    }
}

fn list<'a>(schema: &'a Schema, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(schema: &'a Schema, keyword: &str) -> Option<&'a str> {
    schema.get(keyword)?.as_str()
}

fn required(schema: &Schema) -> HashSet<&str> {
    list(schema, "required").iter().filter_map(Value::as_str).collect()
}
