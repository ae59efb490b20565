//! Rules over a conversation or a transcript.
