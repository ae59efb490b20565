//! The methods: names, parameters, results.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harmony_format::{
    AllowedSpecial, Conversation, DropPolicy, Encoding, Error, ErrorKind, Event, Message, ParseOptions,
    Parsed, ParsedMessage, RenderOptions, Role, TokenId, ToolNamespace,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::failure::{Failure, Kind};
use super::streams::Streams;

/// What every method answers: raw JSON, or why not.
pub(super) type Answer = Result<Box<RawValue>, Failure>;

/// The one name that the official library knows.
const ENCODING_NAME: &str = "HarmonyGptOss";

/// The encoding and the streams of one connection.
pub(super) struct Server {
    encoding: Encoding,
    streams: Streams,
}

impl Server {
    pub(super) fn new() -> Self {
        Self { encoding: Encoding::o200k_harmony(), streams: Streams::default() }
    }

    /// Calls a method by its name.
    pub(super) fn call(&mut self, method: &str, params: Option<&RawValue>) -> Answer {
        let encoding = &self.encoding;
        match method {
            "load_harmony_encoding" => load(read(params)?),
            "render" => render_message(encoding, &read(params)?),
            "render_conversation" => render_conversation(encoding, &read(params)?, RenderOptions::storage()),
            "render_conversation_for_training" => {
                render_conversation(encoding, &read(params)?, RenderOptions::training())
            }
            "render_conversation_for_completion" => render_for_completion(encoding, &read(params)?),
            "parse_messages_from_completion_tokens" => parse(encoding, &read(params)?),
            "encode" => encode(encoding, &read(params)?),
            "decode_utf8" => decode_utf8(encoding, &read(params)?),
            "decode_bytes" => decode_bytes(encoding, &read(params)?),
            "special_tokens" => {
                let Nothing {} = read(params)?;
                let names: Vec<String> =
                    encoding.special_tokens().into_iter().map(|(_, name)| name).collect();
                raw(&json!({ "special_tokens": names }))
            }
            "is_special_token" => {
                let IsSpecial { token } = read(params)?;
                raw(&encoding.is_special(token))
            }
            "stop_tokens" => {
                let Nothing {} = read(params)?;
                tokens(&encoding.stop_tokens())
            }
            "stop_tokens_for_assistant_actions" => {
                let Nothing {} = read(params)?;
                tokens(&encoding.stop_tokens_for_assistant_actions())
            }
            "get_tool_namespace_config" => {
                let Name { name } = read(params)?;
                let namespace =
                    ToolNamespace::built_in(&name).map_err(|error| Failure::harmony(Kind::Value, &error))?;
                raw(&namespace)
            }
            "stream_new" => self.streams.open(encoding, &read(params)?),
            "stream_process" => self.streams.process(read(params)?),
            "stream_process_eos" => self.streams.finish(&read(params)?),
            "stream_free" => self.streams.close(&read(params)?),
            "recover" => recover(encoding, read(params)?),
            unknown => Err(Failure::method(unknown)),
        }
    }
}

/// Reads parameters, which are given by name.
fn read<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, Failure> {
    object("`params`", params.map_or("{}", RawValue::get))
}

/// Reads an object; a derived reader alone would also take a list of its fields.
fn object<'a, T: Deserialize<'a>>(what: &str, json: &'a str) -> Result<T, Failure> {
    if !json.starts_with('{') {
        return Err(Failure::params(format!("{what} must be an object with named values")));
    }
    serde_json::from_str(json).map_err(|error| Failure::params(format!("{what}: {error}")))
}

/// A result as raw JSON.
pub(super) fn raw(value: &impl Serialize) -> Answer {
    serde_json::value::to_raw_value(value).map_err(|error| Failure::params(error.to_string()))
}

fn tokens(tokens: &[TokenId]) -> Answer {
    raw(&json!({ "tokens": tokens }))
}

/// Reads a role; none where none is given.
pub(super) fn role(word: Option<&str>) -> Result<Option<Role>, Failure> {
    word.map(str::parse).transpose().map_err(|error: Error| Failure::harmony(Kind::Value, &error))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

fn load(Name { name }: Name) -> Answer {
    if name != ENCODING_NAME {
        let message = format!("Invalid HarmonyEncodingName: {name}");
        return Err(Failure::value(ErrorKind::UnknownEncoding, message));
    }
    raw(&json!({ "name": ENCODING_NAME }))
}

/// Reads a document of Harmony; the official front door calls bad JSON a `ValueError`.
fn document<T>(what: &str, json: &RawValue, read: impl Fn(&str) -> Result<T, Error>) -> Result<T, Failure> {
    read(json.get()).map_err(|error| {
        let message = format!("invalid {what} JSON: {}", error.reference_message());
        Failure::worded(Kind::Value, &error, message)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenderMessage<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(borrow)]
    render_options: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MessageOptions {
    conversation_has_function_tools: bool,
}

fn render_message(encoding: &Encoding, params: &RenderMessage<'_>) -> Answer {
    let options: MessageOptions = params
        .render_options
        .map(|json| object("`render_options`", json.get()))
        .transpose()?
        .unwrap_or_default();
    let message = document("message", params.message, Message::from_json)?;
    let rendered = encoding
        .render_message(&message, options.conversation_has_function_tools, &RenderOptions::storage())
        .map_err(|error| Failure::harmony(Kind::Runtime, &error))?;
    tokens(&rendered)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenderConversation<'a> {
    #[serde(borrow)]
    conversation: &'a RawValue,
    #[serde(borrow)]
    config: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenderForCompletion<'a> {
    #[serde(borrow)]
    conversation: &'a RawValue,
    next_turn_role: String,
    #[serde(borrow)]
    config: Option<&'a RawValue>,
}

/// As the official library: no configuration drops nothing, an empty one drops.
fn drop_policy(config: Option<&RawValue>) -> Result<DropPolicy, Failure> {
    #[derive(Deserialize)]
    struct Config {
        auto_drop_analysis: Option<bool>,
    }
    let Some(config) = config else { return Ok(DropPolicy::None) };
    let config: Config = object("`config`", config.get())?;
    Ok(if config.auto_drop_analysis.unwrap_or(true) { DropPolicy::Reference } else { DropPolicy::None })
}

fn render_conversation(
    encoding: &Encoding,
    params: &RenderConversation<'_>,
    options: RenderOptions,
) -> Answer {
    let policy = drop_policy(params.config)?;
    let conversation = document("conversation", params.conversation, Conversation::from_json)?;
    let rendered = encoding
        .render(&conversation, &options.drop(policy))
        .map_err(|error| Failure::harmony(Kind::Runtime, &error))?;
    tokens(&rendered)
}

fn render_for_completion(encoding: &Encoding, params: &RenderForCompletion<'_>) -> Answer {
    let policy = drop_policy(params.config)?;
    let conversation = document("conversation", params.conversation, Conversation::from_json)?;
    let next = params.next_turn_role.parse().map_err(|error: Error| Failure::harmony(Kind::Value, &error))?;
    let rendered = encoding
        .render(&conversation, &RenderOptions::completion(next).drop(policy))
        .map_err(|error| Failure::harmony(Kind::Harmony, &error))?;
    tokens(&rendered)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parse {
    tokens: Vec<TokenId>,
    role: Option<String>,
    strict: Option<bool>,
}

/// How to parse; strict unless told otherwise.
pub(super) fn parse_options(first_role: Option<&str>, strict: Option<bool>) -> Result<ParseOptions, Failure> {
    let options = if strict.unwrap_or(true) { ParseOptions::strict() } else { ParseOptions::lenient() };
    Ok(options.role(role(first_role)?))
}

/// The messages alone, flat.
pub(super) fn flat(messages: &[ParsedMessage]) -> Vec<&Message> {
    messages.iter().map(|parsed| &parsed.message).collect()
}

fn parse(encoding: &Encoding, params: &Parse) -> Answer {
    let options = parse_options(params.role.as_deref(), params.strict)?;
    let parsed =
        encoding.parse(&params.tokens, &options).map_err(|error| Failure::harmony(Kind::Harmony, &error))?;
    raw(&json!({ "messages": flat(&parsed.messages) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encode {
    text: String,
    #[serde(default)]
    allowed_special: Option<Allowed>,
}

/// A list of spellings, or "all".
#[derive(Deserialize)]
#[serde(untagged)]
enum Allowed {
    Word(String),
    Spellings(Vec<String>),
}

fn encode(encoding: &Encoding, params: &Encode) -> Answer {
    let encoded = match &params.allowed_special {
        None => encoding.encode_ordinary(&params.text),
        Some(Allowed::Word(word)) if word == "all" => encoding.encode(&params.text, AllowedSpecial::All),
        Some(Allowed::Word(_)) => {
            return Err(Failure::params("`allowed_special` must be a list of spellings or \"all\""));
        }
        Some(Allowed::Spellings(spellings)) => {
            let spellings: Vec<&str> = spellings.iter().map(String::as_str).collect();
            encoding.encode(&params.text, AllowedSpecial::Only(&spellings))
        }
    };
    tokens(&encoded)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    tokens: Vec<TokenId>,
}

fn decode_utf8(encoding: &Encoding, params: &Tokens) -> Answer {
    let text = encoding.decode_utf8(&params.tokens).map_err(|error| {
        let what = if error.kind() == ErrorKind::InvalidToken { "Invalid token error: " } else { "" };
        let message = format!("Could not decode tokens: {what}{}", error.reference_message());
        Failure::worded(Kind::Harmony, &error, message)
    })?;
    raw(&json!({ "text": text }))
}

fn decode_bytes(encoding: &Encoding, params: &Tokens) -> Answer {
    let bytes =
        encoding.decode_bytes(&params.tokens).map_err(|error| Failure::harmony(Kind::Harmony, &error))?;
    raw(&json!({ "base64": BASE64_STANDARD.encode(bytes) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IsSpecial {
    token: TokenId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recover {
    tokens: Option<Vec<TokenId>>,
    text: Option<String>,
    role: Option<String>,
    #[serde(default)]
    tools: Vec<String>,
}

/// Parses anything; what was malformed is repaired and reported.
fn recover(encoding: &Encoding, params: Recover) -> Answer {
    let options = ParseOptions::recover().role(role(params.role.as_deref())?).tools(params.tools);
    let mut stream = encoding.stream(options);
    let mut events: Vec<Event> = Vec::new();
    match (&params.tokens, &params.text) {
        (Some(tokens), None) => {
            for &token in tokens {
                events.extend(stream.push(token).map_err(unexpected)?);
            }
        }
        (None, Some(text)) => events.extend(stream.push_text(text).map_err(unexpected)?),
        _ => return Err(Failure::params("`recover` takes either `tokens` or `text`")),
    }
    events.extend(stream.finish().map_err(unexpected)?);
    let Parsed { messages, diagnostics, spans } = stream.into_parsed();
    raw(&json!({ "messages": flat(&messages), "events": events, "diagnostics": diagnostics, "spans": spans }))
}

/// Recovery has no errors of its own; should there be one, say so.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn unexpected(error: Error) -> Failure {
    Failure::harmony(Kind::Harmony, &error)
}
