//! All repairs in one table: the codes of diagnostics and the page docs/recovery.md come from here.

use crate::Repair;

/// A row of the table of repairs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The repair.
    pub repair: Repair,
    /// The stable code, `R01` and so on.
    pub code: &'static str,
    /// The stable name in lower case with hyphens.
    pub name: &'static str,
    /// What is malformed, in one sentence.
    pub what: &'static str,
    /// An output of a model, after `<|start|>assistant` unless it begins with `…`; for `R19` the arguments.
    pub example: &'static str,
    /// What is made of it.
    pub done: &'static str,
    /// What `openai-harmony` 0.0.8 makes of it.
    pub official: &'static str,
    /// Where it was reported.
    pub source: &'static str,
}

/// All repairs, in the order of their codes.
///
/// ```
/// use harmony_format::recover;
///
/// for entry in recover::table() {
///     println!("{} {}: {}", entry.code, entry.name, entry.what);
/// }
/// # assert_eq!(recover::table().len(), 26);
/// ```
#[must_use]
pub fn table() -> &'static [Entry] {
    &TABLE
}

/// One row; the order of the arguments is that of the fields.
const fn row(repair: Repair, names: [&'static str; 2], text: [&'static str; 5]) -> Entry {
    let [code, name] = names;
    let [what, example, done, official, source] = text;
    Entry { repair, code, name, what, example, done, official, source }
}

static TABLE: [Entry; 26] = [
    row(
        Repair::StrayStop,
        ["R01", "stray-stop"],
        [
            "A stop token stands where no message is open.",
            "<|channel|>final<|message|>4<|end|><|return|>",
            "The token is set aside, as engines treat it: as the end of the output.",
            "An error in strict and lenient mode: unexpected token while expecting the start token.",
            "vllm-project/vllm#37072",
        ],
    ),
    row(
        Repair::MissingStart,
        ["R02", "missing-start"],
        [
            "A message begins without `<|start|>`, with a role, a channel or any other text.",
            "<|channel|>analysis<|message|>Hm.<|end|>assistant<|channel|>final<|message|>4<|return|>",
            "The message is read as if `<|start|>` stood there; without a role it is the assistant's.",
            "An error for each token up to the next `<|start|>`; the message is lost.",
            "vllm-project/vllm#22519",
        ],
    ),
    row(
        Repair::MissingMessage,
        ["R03", "missing-message"],
        [
            "The header is not ended by `<|message|>`.",
            "<|channel|>final {\"a\": 1}<|return|>",
            "A known channel, a recipient and a content type end the header, the rest is the content, white space kept.",
            "Strict: an error at the end of the input. Lenient: only the first message of a parser with a preset role is read, \
             with its white space collapsed; any other is lost without an error.",
            "vllm-project/vllm#45736, vllm-project/vllm#47062",
        ],
    ),
    row(
        Repair::BareText,
        ["R04", "bare-text"],
        [
            "Text without any header, as refusals have it.",
            "I must refuse<|end|>",
            "The text is the content of a message without a channel.",
            "Strict: an error at the end of the input. Lenient: read if it is the first message, else lost.",
            "openai/harmony#80",
        ],
    ),
    row(
        Repair::LoneType,
        ["R05", "type-without-recipient"],
        [
            "A content type stands in a header without a recipient, as structured outputs have it.",
            "<|channel|>final <|constrain|>json<|message|>{\"a\": 1}<|return|>",
            "It is read as the content type.",
            "It is read as the recipient.",
            "openai/harmony#144, vllm-project/vllm#45570",
        ],
    ),
    row(
        Repair::SpacedConstrain,
        ["R06", "spaced-constrain"],
        [
            "White space stands between `<|constrain|>` and the type.",
            "<|channel|>commentary to=functions.f <|constrain|> json<|message|>{}<|call|>",
            "Marker and word are joined to `<|constrain|>json`.",
            "An error: unexpected tokens remaining in message header.",
            "vllm-project/vllm#23567",
        ],
    ),
    row(
        Repair::RepeatedRecipient,
        ["R07", "repeated-recipient"],
        [
            "The header has more than one recipient.",
            "<|channel|>commentary to=functions.f to=functions.f<|message|>{}<|call|>",
            "Equal ones are collapsed; of different ones the first counts.",
            "An error, or the second is read as the content type's neighbour: unexpected tokens remaining in message header.",
            "sgl-project/sglang#35299",
        ],
    ),
    row(
        Repair::SecondChannel,
        ["R08", "second-channel"],
        [
            "A second `<|channel|>` stands after the recipient.",
            "<|channel|>commentary to=functions.f<|channel|>commentary json<|message|>{}<|call|>",
            "The recipient ends at the marker, the first channel stays, a content type after it counts.",
            "The marker and what follows it become part of the recipient.",
            "vllm-project/vllm#31677, ollama/ollama#12132",
        ],
    ),
    row(
        Repair::CallOffChannel,
        ["R09", "call-off-channel"],
        [
            "A function is called on another channel than `commentary`.",
            "<|channel|>analysis to=functions.f code<|message|>{}<|call|>",
            "It parses. The kind of the message is a tool call, whatever its channel; there is no diagnostic.",
            "It parses.",
            "vllm-project/vllm#28139, waybarrios/vllm-mlx#562",
        ],
    ),
    row(
        Repair::Preamble,
        ["R10", "preamble"],
        [
            "Commentary without a recipient, with tools or without.",
            "<|channel|>commentary<|message|>I will look that up.<|end|>",
            "It parses. The kind of the message is a preamble, which users may see; there is no diagnostic.",
            "It parses.",
            "vllm-project/vllm#23167",
        ],
    ),
    row(
        Repair::StrayChannel,
        ["R11", "stray-channel"],
        [
            "A channel's name has stray punctuation, or a channel stands before the channel.",
            "<|channel|>commentary to=assistant<|channel|>analysis<|message|>Hm.<|end|>",
            "Of more channels without a call the last counts, and `to=assistant` before it is dropped; \
             `commentary?` is `commentary`; a name without a letter or digit is no channel.",
            "Garbage in the channel or the recipient, or an error.",
            "ggml-org/llama.cpp#27720",
        ],
    ),
    row(
        Repair::EmptyChannel,
        ["R12", "empty-channel"],
        [
            "`<|channel|>` stands without a name, or the name without `<|channel|>`.",
            "<|channel|><|message|>4<|return|>",
            "No channel; a known name that stands after white space or without the marker is the channel.",
            "An error: channel marker present but no channel value found in header.",
            "vllm-project/vllm#43408",
        ],
    ),
    row(
        Repair::DoubledStart,
        ["R13", "doubled-start"],
        [
            "`<|start|>` or the role stands twice.",
            "<|end|><|start|><|start|>assistant<|channel|>final<|message|>4<|return|>",
            "They are collapsed.",
            "An error (unknown role), or garbage in the recipient.",
            "no public thread; found by comparison with the official library",
        ],
    ),
    row(
        Repair::GluedType,
        ["R14", "glued-type"],
        [
            "The content type is glued to the recipient.",
            "<|channel|>commentary to=functions.fjson<|message|>{}<|call|>",
            "Where the tools are given, `functions.fjson` is `functions.f` with content type `json`.",
            "The recipient is `functions.fjson`.",
            "ggml-org/llama.cpp#15158",
        ],
    ),
    row(
        Repair::BareRecipient,
        ["R15", "bare-recipient"],
        [
            "The recipient lacks its namespace or its `to=`.",
            "<|channel|>commentary to=get_weather<|message|>{}<|call|>",
            "It parses. The kind of the message is a call of the function, `functions.` or not; \
             `python`, `browser` and `container` are built-in tools, `assistant` is none; there is no diagnostic.",
            "It parses.",
            "vllm-project/vllm#42454",
        ],
    ),
    row(
        Repair::Unfinished,
        ["R16", "unfinished"],
        [
            "The output ends without a stop token: it met a length limit, or the engine removed the token.",
            "<|channel|>final<|message|>The answer is",
            "The message is kept with status `incomplete`; a header that says no more than a role is set aside.",
            "In content it parses; in a header an error: unexpected EOS.",
            "cubist38/mlx-openai-server#156, openai/harmony#33",
        ],
    ),
    row(
        Repair::SpelledMarker,
        ["R17", "spelled-marker"],
        [
            "Markers are spelled with ordinary tokens, as quantised models do.",
            "<|channel|>final<|message|>4<|return|>",
            "With `textual_markers` each spelling is the marker. Otherwise it is text, as it must be where users' text comes in.",
            "It is content, or an error outside a message.",
            "unslothai/unsloth#5162",
        ],
    ),
    row(
        Repair::MissingEnd,
        ["R18", "missing-end"],
        [
            "`<|start|>` or `<|channel|>` stands in the content.",
            "<|channel|>analysis<|message|>Hm.<|start|>assistant<|channel|>final<|message|>4<|return|>",
            "The message ends there with status `incomplete`, and the next begins.",
            "The marker and all that follows it are content, as text.",
            "no public thread; found by comparison with the official library",
        ],
    ),
    row(
        Repair::Arguments,
        ["R19", "malformed-arguments"],
        [
            "The arguments of a call are not exactly one JSON object.",
            "[{\"a\": 1}]",
            "`recover::arguments` unwraps a list of one object, takes the first complete object, \
             and keeps the raw text where there is none.",
            "The content is returned as it is.",
            "ollama/ollama#17638, ollama/ollama#17642, ollama/ollama#12884",
        ],
    ),
    row(
        Repair::UnknownTool,
        ["R20", "unknown-tool"],
        [
            "The recipient is none of the given tools.",
            "<|channel|>commentary to=container.exec code<|message|>{}<|call|>",
            "It parses. Where the tools are given, the name is reported.",
            "It parses.",
            "openai/harmony#60, vllm-project/vllm#35906",
        ],
    ),
    row(
        Repair::RepeatedPrompt,
        ["R21", "repeated-prompt"],
        [
            "The role is preset, and the output begins with `<|start|>` and a role all the same.",
            "<|start|>assistant<|channel|>final<|message|>4<|return|>",
            "The header begins at the `<|start|>`, and the role that follows it counts.",
            "The recipient is `<|start|>assistant`.",
            "openai/harmony#33, openai/openai-cookbook#2038",
        ],
    ),
    row(
        Repair::UnreadableHeader,
        ["R22", "unreadable-header"],
        [
            "A header has words that mean nothing there, or bytes that are not UTF-8.",
            "<|channel|>commentary well then, let us see<|message|>4<|end|>",
            "The rest of the header and the message are kept; the diagnostic has the words.",
            "An error, after which all up to the next `<|start|>` is lost: unexpected tokens remaining in message header.",
            "openai/harmony#38",
        ],
    ),
    row(
        Repair::UnknownToken,
        ["R23", "unknown-token"],
        [
            "A token id is not in the vocabulary.",
            "<|channel|>final<|message|>4 (and the id 999999)<|return|>",
            "U+FFFD in content, ignored in a header, set aside between messages; the rest of the message is kept.",
            "In content the rest of the message becomes one U+FFFD; an error elsewhere.",
            "no public thread; found by comparison with the official library",
        ],
    ),
    row(
        Repair::StrayMarker,
        ["R24", "stray-marker"],
        [
            "A marker means nothing where it stands.",
            "<|channel|>final<|message|><|message|>4<|return|>",
            "A doubled `<|message|>` is dropped; any other marker in content is kept as text, `<|startoftext|>` elsewhere is ignored.",
            "The marker is content, as text.",
            "openai/harmony#72",
        ],
    ),
    row(
        Repair::StrayText,
        ["R25", "stray-text"],
        [
            "White space stands between messages, or a `<|start|>` with nothing after it.",
            "<|channel|>final<|message|>4<|return|>\n",
            "It is set aside.",
            "An error: unexpected token while expecting the start token.",
            "openai/harmony#60",
        ],
    ),
    row(
        Repair::MissingRole,
        ["R26", "missing-role"],
        [
            "`<|start|>` is followed by neither a role nor a tool's name.",
            "<|channel|>analysis<|message|>Hm.<|end|><|start|><|channel|>final<|message|>4<|return|>",
            "The message is the assistant's.",
            "An error: message header did not contain a role.",
            "no public thread; found by comparison with the official library",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_finds_its_row() {
        for (index, entry) in table().iter().enumerate() {
            assert_eq!(entry.repair as usize, index);
            assert_eq!(entry.code, format!("R{:02}", index + 1));
            assert_eq!(entry.repair.code(), entry.code);
        }
    }
}
