//! Any text as a conversation: an error or a conversation that survives its own JSON and every rendering.
#![no_main]

use harmony_format::{Conversation, Encoding, RenderOptions, Role, SchemaStyle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(conversation) = Conversation::from_json(text) else { return };
    let again = Conversation::from_json(&conversation.to_json()).expect("canonical JSON is readable");
    assert_eq!(again, conversation);
    let encoding = Encoding::o200k_harmony();
    for options in [
        RenderOptions::completion(Role::Assistant),
        RenderOptions::training().schema_style(SchemaStyle::Typed),
        RenderOptions::storage(),
    ] {
        let Ok(rendered) = encoding.render_detailed(&conversation, &options) else { continue };
        let text = encoding.render_text(&conversation, &options).expect("both views succeed");
        assert_eq!(encoding.decode_utf8(&rendered.tokens).expect("rendered tokens are text"), text);
    }
});
