//! Which reasoning a conversation no longer needs.

use super::{DropPolicy, Dropped};
use crate::{Message, Role, channel};

/// The messages that `policy` leaves out, in order.
pub(super) fn dropped(messages: &[Message], policy: DropPolicy) -> Vec<Dropped> {
    let Some(answer) = answer(messages, policy) else { return Vec::new() };
    (0..answer)
        .filter(|&index| is_on(&messages[index], channel::ANALYSIS))
        .map(|message| Dropped { message, because_of: answer })
        .collect()
}

/// The message before which all analysis goes.
fn answer(messages: &[Message], policy: DropPolicy) -> Option<usize> {
    let is_assistant = |message: &Message| message.author.role == Role::Assistant;
    match policy {
        // openai-harmony 0.0.8, `render_conversation_into`: nothing goes while a later turn is in progress.
        DropPolicy::Reference => {
            let last = messages.iter().rfind(|&message| is_assistant(message))?;
            if !is_on(last, channel::FINAL) {
                return None;
            }
            messages.iter().position(|message| is_on(message, channel::FINAL))
        }
        DropPolicy::LastFinal => {
            messages.iter().rposition(|message| is_assistant(message) && is_on(message, channel::FINAL))
        }
        DropPolicy::None => None,
    }
}

fn is_on(message: &Message, channel: &str) -> bool {
    message.channel.as_deref() == Some(channel)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message per word: `u` user, `a` analysis, `c` call on commentary, `t` tool, `f` final.
    fn check(policy: DropPolicy, conversation: &str, expected: &[usize]) {
        let messages: Vec<Message> = conversation
            .split(' ')
            .map(|word| match word {
                "u" => Message::new(Role::User, ""),
                "a" => Message::new(Role::Assistant, "").with_channel("analysis"),
                "c" => {
                    Message::new(Role::Assistant, "").with_channel("commentary").with_recipient("functions.f")
                }
                "t" => Message::new(Role::Tool, "").with_channel("commentary"),
                "ta" => Message::new(Role::Tool, "").with_channel("analysis"),
                "f" => Message::new(Role::Assistant, "").with_channel("final"),
                _ => unreachable!("{word}"),
            })
            .collect();
        let found: Vec<_> = dropped(&messages, policy).iter().map(|dropped| dropped.message).collect();
        assert_eq!(found, expected, "{policy:?} {conversation}");
    }

    #[test]
    fn the_reference_drops_before_the_first_final_and_only_after_an_answer() {
        check(DropPolicy::Reference, "u a f", &[1]);
        check(DropPolicy::Reference, "u a f u a f", &[1]);
        check(DropPolicy::Reference, "u a f u a c t", &[]);
        check(DropPolicy::Reference, "u a ta a f u", &[1, 2, 3]);
        check(DropPolicy::Reference, "u a", &[]);
    }

    #[test]
    fn last_final_drops_before_the_last_answer_and_keeps_the_turn_in_progress() {
        check(DropPolicy::LastFinal, "u a f u a f", &[1, 4]);
        check(DropPolicy::LastFinal, "u a f u a c t", &[1]);
        check(DropPolicy::LastFinal, "u a c t", &[]);
    }

    #[test]
    fn none_drops_nothing() {
        check(DropPolicy::None, "u a f u a f", &[]);
    }
}
