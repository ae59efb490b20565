//! A chat template run as transformers runs it.

use minijinja::value::{Kwargs, Value as Jinja};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value, json};

use super::{Moment, python_json};

/// What a template is given.
#[derive(Debug)]
pub(crate) struct Input {
    /// The names `messages`, `tools` and so on.
    pub(crate) variables: Map<String, Value>,
    /// What the clock says.
    pub(crate) now: Moment,
}

impl Input {
    /// From the body of a Chat request: arguments of calls as values, the way transformers wants them.
    pub(crate) fn of_chat(request: &Value, now: Moment) -> Self {
        let mut variables = Map::new();
        let mut messages = request["messages"].clone();
        for message in messages.as_array_mut().into_iter().flatten() {
            prepare(message);
        }
        variables.insert("messages".into(), messages);
        for name in ["tools", "reasoning_effort", "model_identity"] {
            if let Some(value) = request.get(name).filter(|value| !value.is_null()) {
                variables.insert(name.into(), value.clone());
            }
        }
        variables.insert("add_generation_prompt".into(), json!(true));
        variables.insert("bos_token".into(), json!("<|startoftext|>"));
        variables.insert("eos_token".into(), json!("<|return|>"));
        Self { variables, now }
    }
}

/// Reasoning under the name that templates read, arguments parsed, lists of texts joined.
fn prepare(message: &mut Value) {
    let Some(fields) = message.as_object_mut() else { return };
    for name in ["reasoning_content", "reasoning"] {
        if let Some(text) = fields.get(name).filter(|value| value.is_string()).cloned() {
            fields.entry("thinking").or_insert(text);
        }
    }
    if let Some(parts) = fields.get("content").and_then(Value::as_array) {
        let texts: Option<String> = parts.iter().map(|part| part["text"].as_str()).collect();
        if let Some(text) = texts {
            fields.insert("content".into(), json!(text));
        }
    }
    for call in fields.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        let arguments = &mut call["function"]["arguments"];
        if let Some(value) = arguments.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            *arguments = value;
        }
    }
}

/// Runs a template.
///
/// # Errors
///
/// In the words of the template's own exception, or of the template language.
pub(crate) fn render(template: &str, input: &Input) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    let now = input.now;
    environment.add_function("strftime_now", move |format: String| now.format(&format));
    environment.add_function("raise_exception", |message: String| -> Result<Jinja, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_filter("tojson", to_json);
    let template = without_generation_tags(template);
    environment.add_template("chat_template", &template).map_err(|error| explain(&error))?;
    let template = environment.get_template("chat_template").map_err(|error| explain(&error))?;
    template.render(&input.variables).map_err(|error| explain(&error))
}

#[expect(clippy::needless_pass_by_value, reason = "the template language passes options by value")]
fn to_json(value: &Jinja, options: Kwargs) -> Result<Jinja, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    // The other options of transformers change nothing about the values that a conversation has.
    for name in ["ensure_ascii", "separators", "sort_keys"] {
        let _: Option<Jinja> = options.get(name)?;
    }
    options.assert_all_used()?;
    let value = serde_json::to_value(value)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Jinja::from_safe_string(python_json::dumps(&value, indent)))
}

/// `{% generation %}` marks what is trained on; it writes nothing.
fn without_generation_tags(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let Some(len) = rest[start..].find("%}") else { break };
        let tag = &rest[start..start + len + 2];
        let inner = tag[2..len].trim_matches('-').trim();
        text += &rest[..start];
        text += &match inner {
            "generation" => tag.replace("generation", "if true"),
            "endgeneration" => tag.replace("endgeneration", "endif"),
            _ => tag.to_owned(),
        };
        rest = &rest[start + len + 2..];
    }
    text + rest
}

fn explain(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{what} (line {line} of the template)"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(template: &str, request: &Value) -> Result<String, String> {
        render(template, &Input::of_chat(request, Moment::of_date("2025-06-28").unwrap()))
    }

    #[test]
    fn templates_have_what_transformers_gives_them() {
        let request = json!({"messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "reasoning_content": "hm", "tool_calls": [{"function": {"name": "f", "arguments": "{\"x\":[1,2]}"}}]},
        ], "tools": []});
        let template = "{%- for m in messages -%}{% generation %}\n  {%- if m.role == 'system' %}{% continue %}{% endif -%}\n\
            {{ m.content }}{{ m.thinking }}{% if m.tool_calls %}{{ m.tool_calls[0].function.arguments|tojson }}{% endif %}\n\
            {%- endgeneration %}{% endfor %}|{{ strftime_now('%Y-%m-%d') }}|{{ 'x y'.split()[1] }}|{{ add_generation_prompt }}";
        assert_eq!(run(template, &request).unwrap(), "abhm{\"x\": [1, 2]}|2025-06-28|y|True");
    }

    #[test]
    fn errors_say_what_and_where() {
        let request = json!({"messages": []});
        assert_eq!(
            run("\n{{ raise_exception('no messages') }}", &request).unwrap_err(),
            "no messages (line 2 of the template)"
        );
        assert!(run("{% if %}", &request).unwrap_err().contains("line 1"));
    }
}
