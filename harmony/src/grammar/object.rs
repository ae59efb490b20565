//! Objects and arrays: what stands in which order, and what may be left out.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::keywords::step;
use super::schema::{Document, one_of, open, repeat};
use super::text::json_string;
use crate::Result;

struct Property {
    /// `"key" ws ":" ws value`
    pair: String,
    required: bool,
}

impl Document<'_> {
    /// Properties come in the order of the schema, those that it does not list after them.
    pub(super) fn object(
        &mut self,
        map: &Map<String, Value>,
        pointer: &str,
        hint: &str,
    ) -> Result<Option<String>> {
        let required: Vec<&str> = map
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let demanded: HashSet<&str> = required.iter().copied().collect();
        let additional = open(map, "additionalProperties");
        let none = Map::new();
        let listed = map.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let mut properties = Vec::new();
        for (key, schema) in listed {
            let at = step(&step(pointer, "properties"), key);
            let is_required = demanded.contains(key.as_str());
            if !self.property(&mut properties, key, schema, is_required, &at, hint)? {
                return Ok(None);
            }
        }
        for key in required.iter().filter(|key| !listed.contains_key(**key)) {
            let at = step(pointer, "additionalProperties");
            if !self.property(&mut properties, key, &additional, true, &at, hint)? {
                return Ok(None);
            }
        }

        let others = self.others(map, &additional, pointer, hint)?;
        let least = self.count(map, "minProperties", pointer).unwrap_or(0);
        let most = self.count(map, "maxProperties", pointer);
        let others = match others {
            Some(value) if most != Some(0) => {
                let names = listed.keys().map(String::as_str).chain(required.iter().copied());
                let key = self.other_key(names, hint);
                Some(self.rule(&format!("{hint}-other"), format!("{key} ws \":\" ws {value}")))
            }
            _ => None,
        };
        if properties.is_empty() {
            let limits = (least, most);
            return Ok(others_only(others.as_deref(), limits).map(|body| self.rule(hint, body)));
        }
        let fewest = properties.iter().filter(|property| property.required).count() as u64;
        if least > fewest {
            self.note(&step(pointer, "minProperties"), "`minProperties` beside `properties` is not enforced");
        }
        if let Some(most) = most
            && (most < properties.len() as u64 || others.is_some())
        {
            self.note(&step(pointer, "maxProperties"), "`maxProperties` beside `properties` is not enforced");
        }
        let body = self.members(&properties, others.as_deref(), hint);
        Ok(Some(self.rule(hint, body)))
    }

    /// Adds a property. False: it is required, and no value fits it.
    fn property(
        &mut self,
        properties: &mut Vec<Property>,
        key: &str,
        schema: &Value,
        required: bool,
        pointer: &str,
        hint: &str,
    ) -> Result<bool> {
        let Some(value) = self.inner(schema, pointer, &format!("{hint}-{key}"))? else {
            return Ok(!required);
        };
        let pair = format!("{} ws \":\" ws {value}", json_string(key));
        properties.push(Property { pair, required });
        Ok(true)
    }

    /// The values of keys that are not listed.
    fn others(
        &mut self,
        map: &Map<String, Value>,
        additional: &Value,
        pointer: &str,
        hint: &str,
    ) -> Result<Option<String>> {
        let mut values = Vec::new();
        if let Some(Value::Object(patterns)) = map.get("patternProperties") {
            let at = step(pointer, "patternProperties");
            self.note(&at, "the keys of `patternProperties` are not enforced");
            for (pattern, schema) in patterns {
                values.extend(self.inner(schema, &step(&at, pattern), &format!("{hint}-pattern"))?);
            }
        }
        values.extend(self.inner(
            additional,
            &step(pointer, "additionalProperties"),
            &format!("{hint}-value"),
        )?);
        Ok(one_of(values))
    }

    /// A key that is none of these names.
    fn other_key<'a>(&mut self, names: impl Iterator<Item = &'a str>, hint: &str) -> String {
        let mut tree = Tree::default();
        let mut is_any = true;
        for name in names {
            let json = Value::from(name).to_string();
            tree.insert(&json[1..json.len() - 1]);
            is_any = false;
        }
        if is_any {
            return "string".to_owned();
        }
        let body = self.branch(&tree, hint);
        self.rule(&format!("{hint}-key"), format!("\"\\\"\" {body}"))
    }

    /// The rest of a key after what leads to this branch: it leaves the tree, or ends where no name ends.
    ///
    /// Where a key leaves the tree, it does so neither with `<` nor with an escape of an ordinary character.
    fn branch(&mut self, tree: &Tree, hint: &str) -> String {
        let mut options = Vec::new();
        if !tree.ends {
            options.push("\"\\\"\"".to_owned());
        }
        let mut excluded = String::new();
        let mut escapes = BTreeMap::new();
        for (&c, child) in &tree.children {
            if c == '\\' {
                escapes.extend(child.children.iter());
                continue;
            }
            excluded.push_str(&in_class(c));
            let rest = self.branch(child, hint);
            options.push(format!("{} {rest}", super::text::literal(&c.to_string())));
        }
        options.push(format!("[^\"\\\\<\\x00-\\x1f{excluded}] string-rest"));
        // No escape may spell what stands in a listed name as it is.
        match escapes.is_empty() {
            true => options.push(r#""\\" ["\\bfnrt] string-rest"#.to_owned()),
            false => {
                for (&c, child) in escapes {
                    let rest = self.branch(child, hint);
                    options.push(format!("{} {rest}", super::text::literal(&format!("\\{c}"))));
                }
            }
        }
        self.rule(&format!("{hint}-key"), options.join(" | "))
    }

    /// `{`, the properties, what is not listed, `}`.
    fn members(&mut self, properties: &[Property], others: Option<&str>, hint: &str) -> String {
        let end = others.map(|other| format!("(ws \",\" ws {other})*")).unwrap_or_default();
        // The first that is written is one of those up to the first required one.
        let last_first = properties.iter().position(|property| property.required);
        let last_first = last_first.unwrap_or(properties.len() - 1);
        // What may follow after something was written, from the last property to the first, and its parts backwards.
        let mut after: Vec<String> = others.map(|_| end.clone()).into_iter().collect();
        let text = |after: &[String]| after.iter().rev().map(String::as_str).collect::<Vec<_>>().join(" ");
        let mut tails = Vec::new();
        for (index, property) in properties.iter().enumerate().rev() {
            if index <= last_first {
                tails.push(text(&after));
            }
            if index == 0 {
                break;
            }
            if property.required {
                after.push(format!("ws \",\" ws {}", property.pair));
            } else {
                after.push(format!("(ws \",\" ws {})?", property.pair));
                // A name keeps the grammar linear in the number of optional properties.
                after = vec![self.rule(&format!("{hint}-rest"), text(&after))];
            }
        }
        tails.reverse();

        let mut first = Vec::new();
        for (property, tail) in properties.iter().zip(&tails) {
            first.push(format!("{} {tail}", property.pair).trim_end().to_owned());
        }
        let may_be_empty = !properties[last_first].required;
        if may_be_empty && let Some(other) = others {
            first.push(format!("{other} {end}").trim_end().to_owned());
        }
        match (may_be_empty, &first[..]) {
            (true, first) => format!("\"{{\" ws (({}) ws)? \"}}\"", first.join(" | ")),
            (false, [only]) => format!("\"{{\" ws {only} ws \"}}\""),
            (false, first) => format!("\"{{\" ws ({}) ws \"}}\"", first.join(" | ")),
        }
    }

    pub(super) fn array(
        &mut self,
        map: &Map<String, Value>,
        pointer: &str,
        hint: &str,
    ) -> Result<Option<String>> {
        // Before 2020-12, a list of schemas in `items` and the rest in `additionalItems`.
        let (prefix, rest, word) = match map.get("items") {
            Some(Value::Array(prefix)) => (&prefix[..], open(map, "additionalItems"), "items"),
            _ => {
                let prefix = map.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                (prefix, open(map, "items"), "prefixItems")
            }
        };
        let least = self.count(map, "minItems", pointer).unwrap_or(0);
        let most = self.count(map, "maxItems", pointer);
        if most.is_some_and(|most| most < least) {
            return Ok(None);
        }
        let item = match most {
            Some(most) if most <= prefix.len() as u64 => None,
            _ => self.inner(&rest, &step(pointer, "items"), &format!("{hint}-item"))?,
        };
        let mut places = Vec::new();
        for (index, schema) in prefix.iter().enumerate().take(most.unwrap_or(u64::MAX) as usize) {
            let at = step(&step(pointer, word), &index.to_string());
            let Some(value) = self.inner(schema, &at, &format!("{hint}-{index}"))? else { break };
            places.push(value);
        }
        let fixed = places.len() as u64;
        let item = item.filter(|_| places.len() == prefix.len());
        if item.is_none() && least > fixed {
            return Ok(None);
        }

        // What follows the fixed places, then each of them from the last to the first.
        let (fewest, greatest) = (least.saturating_sub(fixed), most.map(|most| most - fixed));
        let mut body = match &item {
            Some(item) if fixed > 0 => format!("(ws \",\" ws {item}){}", repeat(fewest, greatest)),
            Some(item) if greatest == Some(1) => item.clone(),
            Some(item) => {
                let more = repeat(fewest.saturating_sub(1), greatest.map(|most| most.saturating_sub(1)));
                format!("{item} (ws \",\" ws {item}){more}")
            }
            None => String::new(),
        };
        for (index, value) in places.iter().enumerate().rev() {
            body = format!("{value} {body}").trim_end().to_owned();
            if index > 0 {
                body = format!("ws \",\" ws {body}");
                if (index as u64) >= least {
                    body = format!("({body})?");
                }
            }
        }
        let body = match (body.is_empty() || most == Some(0), least) {
            (true, _) => "\"[\" ws \"]\"".to_owned(),
            (false, 0) => format!("\"[\" ws ({body} ws)? \"]\""),
            (false, _) => format!("\"[\" ws {body} ws \"]\""),
        };
        Ok(Some(self.rule(hint, body)))
    }
}

/// An object all of whose keys are free.
fn others_only(other: Option<&str>, (least, most): (u64, Option<u64>)) -> Option<String> {
    if most.is_some_and(|most| most < least) || other.is_none() && least > 0 {
        return None;
    }
    let Some(other) = other else { return Some("\"{\" ws \"}\"".to_owned()) };
    let more = repeat(least.saturating_sub(1), most.map(|most| most.saturating_sub(1)));
    let some = format!("{other} (ws \",\" ws {other}){more} ws");
    Some(if least == 0 { format!("\"{{\" ws ({some})? \"}}\"") } else { format!("\"{{\" ws {some} \"}}\"") })
}

/// Names by their characters.
#[derive(Default)]
struct Tree {
    children: BTreeMap<char, Tree>,
    ends: bool,
}

impl Tree {
    fn insert(&mut self, name: &str) {
        match name.chars().next() {
            Some(c) => self.children.entry(c).or_default().insert(&name[c.len_utf8()..]),
            None => self.ends = true,
        }
    }
}

/// A character within `[…]`.
fn in_class(c: char) -> String {
    match c {
        ']' | '[' | '\\' => format!("\\{c}"),
        '^' | '-' => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    }
}
