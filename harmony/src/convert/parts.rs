//! The parts of a content, as Chat and Responses list them.

use serde_json::Value;

use super::loss::{LossKind, Losses};
use super::node::{Minor, Node};
use crate::{Content, Result};

/// Text, or the text parts of a list; what is no text is reported.
pub(super) fn read_content(content: &Node<'_>, losses: &mut Losses) -> Result<Vec<Content>> {
    const MINOR: [Minor<'_>; 1] = [Minor {
        keys: &["annotations", "logprobs", "cache_control"],
        kind: LossKind::Annotation,
        why: "Harmony holds the text alone",
    }];
    if let Value::String(text) = content.value {
        return Ok(vec![text.as_str().into()]);
    }
    if !content.value.is_array() {
        return Err(content.error("content must be a string or a list of parts"));
    }
    let mut items: Vec<Content> = Vec::new();
    for part in content.items()? {
        part.object()?;
        let key = match part.tag() {
            "text" | "input_text" | "output_text" | "reasoning_text" | "summary_text" => "text",
            "refusal" => {
                losses.add(
                    LossKind::Refusal,
                    part.pointer.clone(),
                    "that this is a refusal",
                    "the text is kept",
                );
                "refusal"
            }
            "image"
            | "image_url"
            | "input_image"
            | "input_audio"
            | "audio_url"
            | "output_audio"
            | "video_url"
            | "file"
            | "input_file"
            | "computer_screenshot" => {
                let what = format!("a part of type {:?}", part.tag());
                losses.add(LossKind::Media, part.pointer, what, "Harmony holds text only");
                continue;
            }
            other => {
                let what = format!("a part of type {other:?}");
                losses.add(LossKind::Item, part.pointer, what, "the type is not known here");
                continue;
            }
        };
        items.push(part.need_text(key)?.into());
        part.report_rest(&["type", key], &MINOR, losses);
    }
    if items.is_empty() {
        items.push("".into());
    }
    Ok(items)
}
