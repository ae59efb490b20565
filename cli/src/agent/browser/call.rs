//! Calls of the browser, as models write them.

use harmony_format::recover;
use serde_json::{Map, Value};

use crate::agent::Answer;

/// A call that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Search {
        query: String,
    },
    Open {
        target: Target,
        cursor: i64,
        /// Where the view starts.
        line: Option<usize>,
        /// Lines of the view.
        count: Option<usize>,
        as_source: bool,
    },
    Find {
        pattern: String,
        cursor: i64,
    },
}

/// What is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Url(String),
    /// A link of the page of the cursor.
    Link(usize),
    /// The page of the cursor itself.
    Here,
}

/// The function that a recipient names, which may be none that there is; none if it is not of the browser.
pub(super) fn function(recipient: &str) -> Option<&str> {
    let name = recipient.strip_prefix("functions.").unwrap_or(recipient);
    let rest = name.strip_prefix("browser")?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

impl Call {
    /// Reads the content of a call.
    ///
    /// # Errors
    ///
    /// What the model is told of a call that cannot be answered.
    pub(super) fn read(function: &str, content: &str) -> Result<Self, Answer> {
        let value = if content.trim().is_empty() {
            Value::Object(Map::new())
        } else {
            recover::arguments(content).value.unwrap_or(Value::Null)
        };
        let Value::Object(mut given) = value else {
            return Err(Answer::failed("Invalid function arguments"));
        };
        // `{"arguments": {…}}` and the like.
        let nested = ["arguments", "args", "parameters", "input"];
        if given.len() == 1
            && let Some(Value::Object(inner)) = nested.iter().find_map(|name| given.get(*name)).cloned()
        {
            given = inner;
        }
        let function = match function {
            "search" | "open" | "find" => function,
            // What is asked for tells which one is meant.
            _ if text(&given, &["query", "q"]).is_some() => "search",
            _ if text(&given, &["pattern"]).is_some() => "find",
            _ if ["id", "url", "loc", "cursor"].iter().any(|key| given.contains_key(*key)) => "open",
            _ => return Err(Answer::failed(format!("Unknown function: {function}"))),
        };
        Self::of(function, &given).map_err(|told| Answer { has_failed: true, ..Answer::new(told) })
    }

    fn of(function: &str, given: &Map<String, Value>) -> Result<Self, String> {
        let cursor = || Ok::<_, String>(integer(given, "cursor")?.unwrap_or(-1));
        match function {
            "search" => {
                let query = text(given, &["query", "q"]).ok_or("`query` is missing: a text to search for")?;
                Ok(Self::Search { query })
            }
            "find" => {
                let pattern =
                    text(given, &["pattern", "query"]).ok_or("`pattern` is missing: a text to find")?;
                Ok(Self::Find { pattern, cursor: cursor()? })
            }
            _ => {
                let not_negative = |name| -> Result<_, String> {
                    Ok(integer(given, name)?.and_then(|number| usize::try_from(number).ok()))
                };
                Ok(Self::Open {
                    target: target(given)?,
                    cursor: cursor()?,
                    line: not_negative("loc")?,
                    count: not_negative("num_lines")?.filter(|&count| count > 0),
                    as_source: flag(given, "view_source"),
                })
            }
        }
    }
}

fn target(given: &Map<String, Value>) -> Result<Target, String> {
    let id = given.get("id").filter(|id| !id.is_null()).or_else(|| given.get("url"));
    if let Some(Value::String(url)) = id {
        let url = url.trim();
        let number = url.strip_prefix('【').and_then(|link| link.split('†').next()).unwrap_or(url);
        return match number.parse::<i64>() {
            Ok(number) => Ok(usize::try_from(number).map_or(Target::Here, Target::Link)),
            Err(_) if url.is_empty() => Ok(Target::Here),
            Err(_) => Ok(Target::Url(url.to_owned())),
        };
    }
    let id = integer(given, "id")?.unwrap_or(-1);
    Ok(usize::try_from(id).map_or(Target::Here, Target::Link))
}

/// A text under one of some names; numbers are texts, too.
fn text(given: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let of = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            words.filter(|words| !words.is_empty()).map(|words| words.join(" "))
        }
        _ => None,
    };
    names.iter().find_map(|name| given.get(*name).and_then(of))
}

/// A whole number; one that is written as a text, too.
fn integer(given: &Map<String, Value>, name: &str) -> Result<Option<i64>, String> {
    let wrong = |kind: &str| Err(format!("`{name}` should be an integer, not `{kind}`"));
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match number.as_i64().or_else(|| number.as_f64().and_then(whole)) {
            Some(number) => Ok(Some(number)),
            None => wrong("float"),
        },
        Some(Value::String(text)) => {
            // Lines are shown as `L12`.
            let digits = text.trim();
            let digits = digits.strip_prefix(['L', 'l']).unwrap_or(digits);
            match digits.parse().ok().or_else(|| digits.parse().ok().and_then(whole)) {
                Some(number) => Ok(Some(number)),
                None => wrong("str"),
            }
        }
        Some(Value::Bool(_)) => wrong("bool"),
        Some(Value::Array(_)) => wrong("list"),
        Some(Value::Object(_)) => wrong("dict"),
    }
}

fn flag(given: &Map<String, Value>, name: &str) -> bool {
    match given.get(name) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
        Some(Value::Number(number)) => number.as_f64() == Some(1.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(target: Target) -> Call {
        Call::Open { target, cursor: -1, line: None, count: None, as_source: false }
    }

    #[track_caller]
    fn check(recipient: &str, content: &str, expected: Call) {
        assert_eq!(Call::read(function(recipient).unwrap(), content), Ok(expected), "{recipient} {content}");
    }

    #[test]
    fn calls_are_read_as_models_write_them() {
        let search = |query: &str| Call::Search { query: query.to_owned() };
        check("browser.search", r#"{"query":"a b","topn":3,"source":"web"}"#, search("a b"));
        check("functions.browser.search", r#"{"query":"a"}"#, search("a"));
        check("browser.run", r#"{"query":"a"}"#, search("a"));
        check("browser", r#"{"q":2024}"#, search("2024"));
        check("browser.search", r#"{"arguments":{"query":["a","b"]}}"#, search("a b"));
        check("browser.open", "", open(Target::Here));
        check("browser.open", r#"{"id":"3"}"#, open(Target::Link(3)));
        check("browser.open", r#"{"id":3.0,"cursor":null}"#, open(Target::Link(3)));
        check("browser.open", r#"{"id":"【3†Oslo】"}"#, open(Target::Link(3)));
        check("browser.open", r#"{"id":-1}"#, open(Target::Here));
        check("browser.open", r#"{"url":"a.md"}"#, open(Target::Url("a.md".to_owned())));
        let all = r#"{"id":"https://a.org","cursor":"2","loc":"L7","num_lines":"9","view_source":"true"}"#;
        let target = Target::Url("https://a.org".to_owned());
        check(
            "browser.open",
            all,
            Call::Open { target, cursor: 2, line: Some(7), count: Some(9), as_source: true },
        );
        check(
            "browser.find",
            r#"{"pattern":"x","cursor":-2}"#,
            Call::Find { pattern: "x".to_owned(), cursor: -2 },
        );
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (name, content, told) in [
            ("search", "[1]", r#"{"error":"Invalid function arguments"}"#),
            ("search", "{}", "`query` is missing: a text to search for"),
            ("click", "{}", r#"{"error":"Unknown function: click"}"#),
            ("open", r#"{"cursor":"x"}"#, "`cursor` should be an integer, not `str`"),
            ("open", r#"{"cursor":{}}"#, "`cursor` should be an integer, not `dict`"),
            ("open", r#"{"loc":1.5}"#, "`loc` should be an integer, not `float`"),
        ] {
            let answer = Call::read(name, content).unwrap_err();
            assert_eq!((answer.text.as_str(), answer.has_failed), (told, true));
        }
        assert_eq!(function("functions.browse"), None);
        assert_eq!(function("browsers.search"), None);
    }
}
