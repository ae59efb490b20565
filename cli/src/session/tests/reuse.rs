//! What is computed once is not computed again, and changes nothing.

use harmony_format::{Author, DropPolicy, RenderOptions, Status};

use super::*;
use crate::session::turn::{End, Told};

/// Answers, and adds the answer as a message of reasoning and one of the final channel.
fn answer(
    session: &mut Session,
    conversation: &Conversation,
    max_tokens: usize,
) -> (Vec<String>, usize, usize) {
    let mut told = Vec::new();
    let turn = session
        .answer(conversation, &options(3, max_tokens), None, &mut |step| {
            told.push(format!("{step:?}"));
            Ok(())
        })
        .unwrap();
    assert_eq!(turn.usage.generated, max_tokens.min(turn.usage.generated));
    // The first line tells what was reused.
    (told.split_off(1), turn.usage.prompt, turn.usage.reused)
}

#[test]
fn the_next_prompt_is_computed_from_where_it_differs() {
    let mut session = session(1, 4096);
    let mut talk = conversation("One?");
    let (_, first, reused) = answer(&mut session, &talk, 40);
    assert_eq!(reused, 0);
    talk.messages.extend([
        Message::new(Role::Assistant, "Hm.").with_channel("analysis"),
        Message::new(Role::Assistant, "One.").with_channel("final"),
        Message::new(Role::User, "Two?"),
    ]);
    let (told, second, reused) = answer(&mut session, &talk, 40);
    // All of the first prompt; the reasoning that was said is not in the second.
    assert!(second > first && reused >= first - 1, "{reused} of {second}, the first had {first}");
    let (fresh, ..) = answer(&mut super::session(1, 4096), &talk, 40);
    assert_eq!(told, fresh);
}

/// The sliding layers forget where a long answer began; the copy does not.
#[test]
fn an_answer_longer_than_what_is_held_can_be_left_out_again() {
    let mut session = session(2, 4096);
    let mut talk = conversation("One?");
    let (_, first, _) = answer(&mut session, &talk, 1200);
    assert!(session.memory.cache.least_truncation() > first, "the cache alone cannot go back");
    talk.messages.extend([
        Message::new(Role::Assistant, "One.").with_channel("final"),
        Message::new(Role::User, "Two?"),
    ]);
    let (told, second, reused) = answer(&mut session, &talk, 30);
    assert!(reused >= first && reused < second, "{reused} of {second}, the first had {first}");
    let (fresh, ..) = answer(&mut super::session(2, 4096), &talk, 30);
    assert_eq!(told, fresh);
}

#[test]
fn a_copy_of_the_cache_changes_no_token() {
    let talk = conversation("One?");
    let said = |capacity, max_tokens| {
        let mut session = session(4, capacity);
        let (_, prompt, _) = answer(&mut session, &talk, max_tokens);
        session.memory.cache.tokens()[prompt..].to_vec()
    };
    // In the second all positions fit into the sliding layers, so that no copy is needed.
    let (long, short) = (said(4096, 900), said(500, 300));
    assert_eq!((long.len(), short.len()), (899, 299));
    assert_eq!(long[..299], short);
}

/// The model's tokens stand in the prompt that follows, though the renderer would write others.
#[test]
fn what_the_model_said_stands_in_its_own_tokens() {
    let mut session = session(5, 512);
    let encoding = session.speaker.encoding.clone();
    // The recipient after the channel, as models write it; the official renderer puts it before.
    let said = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>";
    let tokens = encoding.encode_prompt(said);
    let parsed =
        encoding.parse(&tokens, &harmony_format::ParseOptions::recover().role(Role::Assistant)).unwrap();
    assert_eq!(parsed.diagnostics, []);
    let start = encoding.encode_prompt("<|start|>assistant");
    session.memory.remember(&encoding, &start, &tokens, &parsed);
    let mut talk = conversation("One?");
    talk.messages.push(parsed.messages[0].message.clone());
    talk.messages.push(
        Message::new(Author::new(Role::Tool, "functions.f"), "1")
            .with_recipient("assistant")
            .with_channel("commentary"),
    );
    let prompt = session.memory.prompt(&talk, &encoding).unwrap().tokens;
    let text = encoding.decode_utf8(&prompt).unwrap();
    assert!(text.contains(&format!("<|start|>assistant{said}<|start|>functions.f to=assistant")), "{text}");
    // A message from elsewhere is rendered.
    talk.messages[2].content = vec!["{\"a\":1}".into()];
    let prompt = session.memory.prompt(&talk, &encoding).unwrap().tokens;
    let options = RenderOptions::completion(Role::Assistant).drop(DropPolicy::LastFinal);
    assert_eq!(prompt, encoding.render(&talk, &options).unwrap());
}

#[test]
fn an_answer_is_history_with_its_end() {
    let mut session = session(5, 512);
    let encoding = session.speaker.encoding.clone();
    let tokens = encoding.encode_prompt("<|channel|>final<|message|>4<|return|>");
    let parsed =
        encoding.parse(&tokens, &harmony_format::ParseOptions::recover().role(Role::Assistant)).unwrap();
    session.memory.remember(&encoding, &encoding.encode_prompt("<|start|>assistant"), &tokens, &parsed);
    let mut talk = conversation("2+2?");
    talk.messages.extend([parsed.messages[0].message.clone(), Message::new(Role::User, "Sure?")]);
    let prompt = session.memory.prompt(&talk, &encoding).unwrap().tokens;
    let text = encoding.decode_utf8(&prompt).unwrap();
    assert!(text.contains("<|channel|>final<|message|>4<|end|><|start|>user"), "{text}");
}

#[test]
fn each_end_is_told() {
    let talk = conversation("One?");
    let end = |capacity, max_tokens, interrupted: bool| {
        let mut session = session(6, capacity);
        let options = TurnOptions { max_tokens, ..options(1, 0) };
        options.interrupt.store(interrupted, std::sync::atomic::Ordering::Relaxed);
        let mut count = 0;
        let turn = session
            .answer(&talk, &options, None, &mut |step| {
                count += usize::from(matches!(step, Told::Event(_)));
                Ok(())
            })
            .unwrap();
        if let Some(last) = turn.parsed.messages.last() {
            assert!(turn.end == End::Interrupted || last.status == Status::Incomplete || count > 0);
        }
        turn.end
    };
    assert_eq!(end(4096, Some(5), false), End::MaxTokens);
    assert_eq!(end(400, None, false), End::ContextFull);
    assert_eq!(end(400, None, true), End::Interrupted);
}
