//! Assertions, redactions and proptest strategies for tests of programs that speak Harmony.
//!
//! Add the crate to the `dev-dependencies` with the feature `testing`.
//!
//! | to | start from |
//! |---|---|
//! | say which tools a model called, with which arguments | [`assert_calls`] |
//! | say what it answered | [`assert_final`] |
//! | say what it did, step by step | [`expect`] |
//! | compare messages or tokens as a whole | [`assert_messages_eq`], [`assert_tokens_eq`] |
//! | keep a snapshot without dates and chains of thought | [`redact`] |
//! | try a program on any conversation or malformed output | [`strategies`] |
//!
//! What the model thought is passed over unless a test asks for it.
//! A failed assertion panics with the message and the token that differ, and with a list of all messages:
//!
//! ```text
//! message 1 is not as expected: its content differs
//! at token 7 of the message, token 13 of the input
//!   actual   <|start|>assistant<|channel|>final<|message|>It is sunny.<|end|>
//!                                                              ^^^^^^
//!   expected <|start|>assistant<|channel|>final<|message|>It is rainy.<|end|>
//!                                                              ^^^^^^
//! the messages are
//!    0 reasoning: Easy.
//! >  1 final: It is sunny.
//! ```
//!
//! # Example
//!
//! ```
//! use harmony_format::testing::{assert_calls, expect};
//! use harmony_format::{Encoding, ParseOptions, Role};
//! use serde_json::json;
//!
//! let encoding = Encoding::o200k_harmony();
//! let said = encoding.encode_prompt(
//!     "<|channel|>analysis<|message|>Look it up.<|end|>\
//!      <|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\":\"Paris\"}<|call|>",
//! );
//! let parsed = encoding.parse(&said, &ParseOptions::recover().role(Role::Assistant))?;
//!
//! assert_calls(&parsed, [("functions.get_weather", json!({"city": "Paris"}))]);
//! expect(&parsed).no_repairs().call("get_weather", json!({"city": "Paris"})).end();
//! # Ok::<(), harmony_format::Error>(())
//! ```

mod assert;
mod diff;
mod excerpt;
mod expect;
mod redact;
pub mod strategies;
mod transcript;

pub use assert::{assert_calls, assert_final, assert_messages_eq, assert_tokens_eq};
pub use expect::{Expect, expect};
pub use redact::{Redact, redact};
pub use transcript::Transcript;
