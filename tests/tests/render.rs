//! Rendering: the same tokens as the official library recorded, and the views of one rendering agree.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use gptoss_tests::fixtures;
use harmony_format::{
    Conversation, DropPolicy, Encoding, RecipientPosition, RenderOptions, Role, SpecialToken,
};

fn conversation(name: &str) -> Conversation {
    let path = gptoss_tests::fixtures_root().join("harmony").join(name).join("conversation.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Conversation::from_json(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names() -> impl Iterator<Item = String> {
    fixtures("harmony").into_iter().map(|case| {
        case.file_name().expect("a folder has a name").to_str().expect("names are UTF-8").to_owned()
    })
}

#[test]
fn tokens_are_those_of_the_official_library() {
    let encoding = Encoding::o200k_harmony();
    let mut compared = 0;
    for name in names() {
        let path = gptoss_tests::fixtures_root().join("harmony").join(&name).join("official.json");
        // The official library has no response formats, so that there is nothing to compare with.
        let Ok(record) = fs::read_to_string(path) else { continue };
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let conversation = conversation(&name);
        let completion = RenderOptions::completion(Role::Assistant);
        for (key, options) in [
            ("completion", completion),
            ("completion_keeping_analysis", completion.drop(DropPolicy::None)),
            ("training", RenderOptions::training()),
            ("storage", RenderOptions::storage()),
        ] {
            let tokens = encoding.render(&conversation, &options).unwrap();
            let official: Vec<u32> = serde_json::from_value(record[key].clone()).unwrap();
            let text = |tokens: &[u32]| encoding.decode_lossy(tokens).unwrap();
            assert_eq!(text(&tokens), text(&official), "{name} {key}");
            assert_eq!(tokens, official, "{name} {key}");
            compared += 1;
        }
    }
    assert!(compared >= 28, "only {compared} recordings were found");
}

#[test]
fn text_tokens_and_details_are_views_of_one_rendering() {
    let encoding = Encoding::o200k_harmony();
    for name in names() {
        let conversation = conversation(&name);
        for purpose in
            [RenderOptions::completion(Role::Tool), RenderOptions::training(), RenderOptions::storage()]
        {
            for recipient in [RecipientPosition::BeforeChannel, RecipientPosition::AfterChannel] {
                let options = purpose.recipient(recipient);
                let tokens = encoding.render(&conversation, &options).unwrap();
                let text = encoding.render_text(&conversation, &options).unwrap();
                assert_eq!(encoding.decode_utf8(&tokens).unwrap(), text);

                let rendered = encoding.render_detailed(&conversation, &options).unwrap();
                assert_eq!(rendered.tokens, tokens);
                assert_eq!(rendered.loss_mask.len(), tokens.len());
                let mut at = 0;
                for segment in &rendered.segments {
                    assert_eq!(segment.tokens.start, at, "segments have no gaps");
                    at = segment.tokens.end;
                }
                assert_eq!(at, tokens.len());
            }
        }
    }
}

#[test]
fn a_response_format_is_compact_json_below_its_name() {
    let options = RenderOptions::storage();
    let text = Encoding::o200k_harmony().render_text(&conversation("response_format"), &options).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn after_channel_moves_the_recipient_of_the_assistant_only() {
    let options = RenderOptions::completion(Role::Assistant).recipient(RecipientPosition::AfterChannel);
    let text = Encoding::o200k_harmony().render_text(&conversation("weather"), &options).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn no_spelling_in_a_conversation_becomes_a_marker() {
    use SpecialToken::{Call, Channel, End, Message, Start};

    let encoding = Encoding::o200k_harmony();
    let tokens = encoding.render(&conversation("injection"), &RenderOptions::storage()).unwrap();
    let markers: Vec<_> = tokens.iter().filter_map(|&token| encoding.marker(token)).collect();
    assert_eq!(
        markers,
        [Start, Message, End, Start, Channel, Message, Call, Start, Channel, Message, End],
        "three messages, two of them on a channel"
    );
    assert_eq!(tokens.iter().filter(|&&token| encoding.is_special(token)).count(), markers.len());
}

#[test]
fn the_loss_mask_covers_what_a_model_says_and_nothing_else() {
    let encoding = Encoding::o200k_harmony();
    let trained = |name: &str, options: RenderOptions| {
        let rendered = encoding.render_detailed(&conversation(name), &options).unwrap();
        let counted = rendered.tokens.iter().zip(&rendered.loss_mask).filter(|(_, counts)| **counts);
        let tokens: Vec<u32> = counted.map(|(&token, _)| token).collect();
        encoding.decode_utf8(&tokens).unwrap()
    };
    assert_eq!(
        trained("training", RenderOptions::training().drop(DropPolicy::None)),
        "<|channel|>analysis<|message|>Simple arithmetic.<|end|>\
         <|start|>assistant<|channel|>final<|message|>4<|return|>"
    );
    // The tool's output stands between the call and the end, and is not the model's.
    assert_eq!(
        trained("weather", RenderOptions::training().recipient(RecipientPosition::AfterChannel)),
        "<|channel|>analysis<|message|>\
         The user asks about rain in Paris. I should look at the current weather there.<|end|>\
         <|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>\
         {\"location\": \"Paris, France\"}<|call|>"
    );
}
