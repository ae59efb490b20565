//! The differences that are known, with what they are and what they do. The page docs/template-diff.md has this table.

/// A kind of difference between a template's prompt and ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    ConstrainMissing,
    RecipientPosition,
    ToolOutputQuoted,
    DefaultComment,
    CallMissing,
    PromptMessageMissing,
    ContentAsReasoning,
    Date,
    ReasoningKept,
    ToolText,
    SectionOrder,
    SystemText,
    Stop,
    GenerationPrompt,
    ToolRecipient,
    ArgumentsRewritten,
    Channel,
    MarkerInText,
    MessageMissing,
    MessageAdded,
    Unknown,
}

/// An entry of the table.
pub(crate) struct Entry {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the tests check that an entry stands at the place of its kind")
    )]
    pub(crate) kind: Kind,
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) effect: &'static str,
}

const fn entry(
    kind: Kind,
    code: &'static str,
    name: &'static str,
    what: &'static str,
    effect: &'static str,
) -> Entry {
    Entry { kind, code, name, what, effect }
}

/// All kinds, in the order of their codes.
pub(crate) const ENTRIES: [Entry; 21] = [
    entry(
        Kind::ConstrainMissing,
        "T01",
        "constrain-missing",
        "The content type of a call has no `<|constrain|>` before it.",
        "The model sees calls in its history that it would write differently.",
    ),
    entry(
        Kind::RecipientPosition,
        "T02",
        "recipient-position",
        "The recipient of a call stands on the other side of the channel.",
        "Models write it after the channel; both places are read, but history in another order than the model's own pulls it away from the right channel.",
    ),
    entry(
        Kind::ToolOutputQuoted,
        "T03",
        "tool-output-quoted",
        "The output of a tool is written as a JSON string, in quotes and with escapes.",
        "The model reads escaped text; tokens are wasted.",
    ),
    entry(
        Kind::DefaultComment,
        "T04",
        "default-comment",
        "The comma after a type with a default stands inside the comment.",
        "The declaration is no valid TypeScript; the default reads as if the comma belonged to it.",
    ),
    entry(
        Kind::CallMissing,
        "T05",
        "call-missing",
        "Of several calls in one turn only the first is written.",
        "The model sees results of calls that it never made.",
    ),
    entry(
        Kind::PromptMessageMissing,
        "T06",
        "prompt-message-missing",
        "A system or developer message is left out.",
        "Its instructions are lost without a word.",
    ),
    entry(
        Kind::ContentAsReasoning,
        "T07",
        "content-as-reasoning",
        "Text that the user saw is written on the channel analysis.",
        "It is dropped with the reasoning later, and the model learns to speak to the user in its reasoning.",
    ),
    entry(
        Kind::Date,
        "T08",
        "date",
        "The current date is another one: templates take it from the clock.",
        "The same conversation gives another prompt each day; caches and tests break.",
    ),
    entry(
        Kind::ReasoningKept,
        "T09",
        "reasoning-kept",
        "Reasoning is left out on one side only.",
        "Old reasoning costs tokens; reasoning that is missing within a turn of calls makes the model start over.",
    ),
    entry(
        Kind::ToolText,
        "T10",
        "tool-text",
        "A tool or its arguments are described in other words or types.",
        "The model may fill arguments differently.",
    ),
    entry(
        Kind::SectionOrder,
        "T11",
        "section-order",
        "The sections of the developer message stand in another order.",
        "The prompt is not the one that the model was trained with.",
    ),
    entry(
        Kind::SystemText,
        "T12",
        "system-text",
        "The system message has other lines.",
        "Identity, effort or channels may be taken differently.",
    ),
    entry(
        Kind::Stop,
        "T13",
        "stop",
        "A message ends with another token.",
        "A history that ends in `<|return|>` or lacks `<|call|>` is not what the model was trained with.",
    ),
    entry(
        Kind::GenerationPrompt,
        "T14",
        "generation-prompt",
        "The header that the model goes on from is different.",
        "The model begins another message than the one that is wanted.",
    ),
    entry(
        Kind::ToolRecipient,
        "T15",
        "tool-recipient",
        "The output of a tool has another author or recipient.",
        "The model may not take it as the answer to its call.",
    ),
    entry(
        Kind::ArgumentsRewritten,
        "T16",
        "arguments-rewritten",
        "The JSON of a call has the same value in other characters.",
        "The model sees spaces or escapes that it did not write, and cached prefixes do not match.",
    ),
    entry(
        Kind::Channel,
        "T17",
        "channel",
        "A message stands on another channel, or on none.",
        "Calls, reasoning and answers may be confused.",
    ),
    entry(
        Kind::MarkerInText,
        "T18",
        "marker-in-text",
        "A marker that a text spells becomes a real one.",
        "Whoever writes the text can write messages in the name of others.",
    ),
    entry(
        Kind::MessageMissing,
        "T19",
        "message-missing",
        "Another message is left out.",
        "What it says is lost.",
    ),
    entry(
        Kind::MessageAdded,
        "T20",
        "message-added",
        "There is a message more.",
        "The model reads what nobody said.",
    ),
    entry(
        Kind::Unknown,
        "T99",
        "unknown",
        "None of the above; the tokens that differ are shown.",
        "Not known.",
    ),
];

impl Kind {
    pub(crate) fn entry(self) -> &'static Entry {
        &ENTRIES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_entry_in_the_order_of_the_codes() {
        for (place, entry) in ENTRIES.iter().enumerate() {
            assert_eq!(entry.kind as usize, place, "{}", entry.code);
            assert!(place == 0 || ENTRIES[place - 1].code < entry.code);
        }
    }

    #[test]
    fn the_page_has_this_table() {
        let page = include_str!("../../../docs/template-diff.md");
        for Entry { code, name, what, effect, .. } in &ENTRIES {
            let row = format!("| {code} | `{name}` | {what} | {effect} |")
                .replace("<|", "<\\|")
                .replace("|>", "\\|>");
            assert!(page.contains(&row), "docs/template-diff.md lacks this row:\n{row}");
        }
    }
}
