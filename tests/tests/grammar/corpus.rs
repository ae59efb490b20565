//! Legal and malformed turns.

use harmony_format::grammar::{ContentType, Grammar, Reasoning, ToolChoice};
use harmony_format::{ToolDescription, ToolNamespace};
use serde_json::json;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) grammar: Grammar,
    pub(crate) legal: Vec<String>,
    /// What is legal so far, and what is not legal after it.
    pub(crate) malformed: Vec<(String, String)>,
}

fn case(name: &'static str, grammar: Grammar, legal: &[&str], malformed: &[(&str, &str)]) -> Case {
    Case {
        name,
        grammar,
        legal: legal.iter().map(|&text| text.to_owned()).collect(),
        malformed: malformed.iter().map(|&(good, bad)| (good.to_owned(), bad.to_owned())).collect(),
    }
}

pub(crate) fn weather() -> ToolDescription {
    ToolDescription::new(
        "get_weather",
        "The weather.",
        json!({
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "format": {"type": "string", "enum": ["celsius", "fahrenheit"]}
            },
            "required": ["location"],
            "additionalProperties": false
        }),
    )
}

pub(crate) fn tools() -> Grammar {
    let now = ToolDescription { name: "now".to_owned(), description: String::new(), parameters: None };
    Grammar::new()
        .functions([weather(), now])
        .built_in(ToolNamespace::browser())
        .built_in(ToolNamespace::python())
}

const THINK: &str = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant";

/// All cases. The numbers are those of the repairs: R01 a stray stop token, and so on.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "no tools",
            Grammar::new(),
            &[
                "<|channel|>final<|message|><|return|>",
                "<|channel|>final<|message|>a < b <| c <|x d <<|end\u{200b}|> \u{1f30d}\r\n\0<|return|>",
                "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>analysis<|message|>Two.<|end|>\
                 <|start|>assistant<|channel|>commentary<|message|>Wait.<|end|>\
                 <|start|>assistant<|channel|>final<|message|>Done.<|return|>",
            ],
            &[
                ("<|channel|>final<|message|>Hi", "<|end|>"),
                ("<|channel|>final<|message|>Hi", "<|call|>"),
                ("<|channel|>final<|message|>Hi", "<|start|>"),
                ("<|channel|>final<|message|>Hi", "<|endoftext|>"),
                ("<|channel|>final<|message|>Hi", "<|reserved_200013|>"),
                // A stop token after the end of a message.
                ("<|channel|>analysis<|message|>Hm.<|end|>", "<|return|>"),
                ("<|channel|>analysis<|message|>Hm.<|end|>", "<|call|>"),
                // <|start|> is missing.
                (
                    "<|channel|>analysis<|message|>Hm.<|end|>",
                    "assistant<|channel|>final<|message|>Hi<|return|>",
                ),
                // <|message|> is missing.
                ("<|channel|>final", " {\"a\": 1}<|return|>"),
                ("<|channel|>final", "<|return|>"),
                // No header at all.
                ("", "I must refuse.<|end|>"),
                ("", "final<|message|>Hi<|return|>"),
                // A content type without a response format.
                ("<|channel|>final", " <|constrain|>json<|message|>{}<|return|>"),
                // Text after the channel, no channel, an empty channel.
                ("<|channel|>commentary", "?<|message|>Hi<|end|>"),
                ("<|channel|>", "??<|message|>Hi<|end|>"),
                ("<|channel|>", "<|message|>Hi<|end|>"),
                ("<|channel|>commentary", " to=assistant<|channel|>analysis<|message|>Hm.<|end|>"),
                ("", "<|message|>Hi<|end|>"),
                // Doubled beginnings.
                ("<|channel|>analysis<|message|>Hm.<|end|><|start|>", "<|start|>assistant"),
                ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant", "assistant<|channel|>final"),
                ("", "<|start|>assistant<|channel|>final<|message|>Hi<|return|>"),
                // The role of another.
                ("<|channel|>analysis<|message|>Hm.<|end|><|start|>", "user<|message|>Hi<|end|>"),
                // <|start|> in content: <|end|> is missing.
                ("<|channel|>analysis<|message|>Hm.", "<|start|>assistant"),
                ("<|channel|>analysis<|message|>Hm.", "<|channel|>final"),
                // A call without tools.
                ("<|channel|>commentary", " to=functions.get_weather <|constrain|>json<|message|>{}<|call|>"),
                ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant", " to=functions.now"),
            ],
        ),
        case(
            "tools",
            tools(),
            &[
                "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"location\":\"Paris\"}<|call|>",
                "<|channel|>commentary to=functions.get_weather json<|message|>{ \"location\": \"<|end\", \"format\": \"celsius\" }<|call|>",
                "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\n  \"location\": \"S\\u00e3o \\\"Paulo\\\"\"\n}<|call|>",
                "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}<|call|>",
                "<|channel|>analysis to=browser.search <|constrain|>json<|message|>{\"query\":\"x\",\"topn\":3.5e0}<|call|>",
                "<|channel|>analysis to=browser.search code<|message|>{\"query\":\"x\"}<|call|>",
                "<|channel|>analysis to=browser.open<|message|>{\"id\":\"https://example.org\"}<|call|>",
                "<|channel|>analysis to=python code<|message|>print(1 < 2)\n<|call|>",
                "<|channel|>analysis to=python<|message|><|call|>",
                "<|channel|>commentary<|message|>I look it up.<|end|><|start|>assistant\
                 <|channel|>analysis<|message|>Now.<|end|><|start|>assistant\
                 <|channel|>commentary to=functions.now json<|message|>{}<|call|>",
                "<|channel|>final<|message|>Hi<|return|>",
            ],
            &[
                // Malformed arguments: a list around them, a missing brace, more after them, wrong types.
                (
                    "<|channel|>commentary to=functions.get_weather json<|message|>",
                    "[{\"location\":\"x\"}]<|call|>",
                ),
                ("<|channel|>commentary to=functions.get_weather json<|message|>{\"location\":\"x", "\"]"),
                (
                    "<|channel|>commentary to=functions.get_weather json<|message|>{\"location\":\"x\"",
                    "<|call|>",
                ),
                ("<|channel|>commentary to=functions.now json<|message|>{}", " and more<|call|>"),
                ("<|channel|>commentary to=functions.get_weather json<|message|>{\"location\":", "3}"),
                ("<|channel|>commentary to=functions.get_weather json<|message|>", "{}<|call|>"),
                ("<|channel|>commentary to=functions.get_weather json<|message|>{\"location", "<|end|>"),
                // A call that ends as a message or as an answer does.
                ("<|channel|>commentary to=functions.now json<|message|>{}", "<|end|>"),
                ("<|channel|>commentary to=functions.now json<|message|>{}", "<|return|>"),
                // The type joined to the name, or a space within the content type.
                ("<|channel|>commentary to=functions.now", "json<|message|>{}<|call|>"),
                ("<|channel|>commentary to=functions.now <|constrain|>", " json<|message|>{}<|call|>"),
                ("<|channel|>commentary to=functions.now", "<|constrain|>json<|message|>{}<|call|>"),
                ("<|channel|>commentary to=functions.now", "<|message|>{}<|call|>"),
                // The recipient twice; a second channel.
                ("<|channel|>commentary to=functions.now", " to=functions.now<|message|>{}<|call|>"),
                ("<|channel|>commentary to=functions.now", "<|channel|>commentary json<|message|>{}<|call|>"),
                // The recipient before the channel, bare, or unknown.
                ("", " to=functions.now<|channel|>commentary json<|message|>{}<|call|>"),
                ("<|channel|>commentary to", "=get_weather json<|message|>{}<|call|>"),
                ("<|channel|>commentary to=functions.", "unknown json<|message|>{}<|call|>"),
                ("<|channel|>commentary to=", "container.exec json<|message|>{}<|call|>"),
                // A tool on a channel that is not its own.
                ("<|channel|>analysis to=", "functions.now code<|message|>{}<|call|>"),
                ("<|channel|>commentary to=", "python code<|message|>1<|call|>"),
                ("<|channel|>final", " to=functions.now json<|message|>{}<|call|>"),
                // A second call; more after the end.
                ("<|channel|>commentary to=functions.now json<|message|>{}<|call|>", "<|start|>assistant"),
                ("<|channel|>final<|message|>Hi<|return|>", "<|return|>"),
                ("<|channel|>analysis to=python code<|message|>1", "<|end|>"),
            ],
        ),
        case(
            "both orders, several calls, no content type",
            tools()
                .both_header_orders(true)
                .parallel_calls(true)
                .stop_tokens_in_gbnf(true)
                .content_types([ContentType::Constrained, ContentType::Absent]),
            &[
                " to=functions.now<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
                "<|channel|>commentary to=functions.now<|message|>{}<|call|>\
                 <|start|>assistant to=functions.now<|channel|>commentary<|message|>{}<|call|>\
                 <|start|>assistant<|channel|>analysis to=python<|message|>1<|call|>",
            ],
            &[
                ("<|channel|>commentary to=functions.now", " json<|message|>{}<|call|>"),
                (" to=functions.now<|channel|>", "analysis<|message|>{}<|call|>"),
                (" to=functions.now<|channel|>commentary", " to=functions.now<|message|>{}<|call|>"),
                (
                    "<|channel|>commentary to=functions.now<|message|>{}<|call|><|start|>assistant<|channel|>",
                    "final",
                ),
            ],
        ),
        case(
            "a response format",
            Grammar::new()
                .response_schema(json!({
                    "type": "object",
                    "properties": {"n": {"type": "integer"}},
                    "required": ["n"]
                }))
                .reasoning(Reasoning::Forbidden)
                .preambles(false),
            &[
                "<|channel|>final <|constrain|>json<|message|>{\"n\": 1}<|return|>",
                "<|channel|>final<|message|>{\"n\":-12,\"more\":[1,{\"a\":null}]}<|return|>",
            ],
            &[
                ("<|channel|>final<|message|>", "One.<|return|>"),
                ("<|channel|>final<|message|>{\"n\":1", ".5}"),
                ("<|channel|>final <|constrain|>json", " <|message|>"),
                ("<|channel|>", "analysis<|message|>Hm.<|end|>"),
                ("<|channel|>", "commentary<|message|>Hm.<|end|>"),
            ],
        ),
        case(
            "a tool by name, after reasoning",
            tools().tool_choice(ToolChoice::Named("functions.now".to_owned())).reasoning(Reasoning::Required),
            &[&format!("{THINK}<|channel|>commentary to=functions.now json<|message|>{{}}<|call|>")],
            &[
                ("<|channel|>", "commentary to=functions.now json<|message|>{}<|call|>"),
                ("<|channel|>analysis<|message|>", "<|end|>"),
                (&format!("{THINK}<|channel|>"), "final<|message|>Hi<|return|>"),
                (&format!("{THINK}<|channel|>commentary to=functions"), ".get_weather json<|message|>"),
            ],
        ),
        case(
            "any tool, no answer",
            tools().tool_choice(ToolChoice::Required).reasoning(Reasoning::Forbidden),
            &["<|channel|>analysis to=python<|message|>1<|call|>"],
            &[("<|channel|>", "final"), ("<|channel|>analysis", "<|message|>Hm.<|end|>")],
        ),
        case(
            "tools that may not be called",
            tools().tool_choice(ToolChoice::None),
            &[
                "<|channel|>commentary<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>",
            ],
            &[("<|channel|>commentary", " to=functions.now json<|message|>{}<|call|>")],
        ),
    ]
}
