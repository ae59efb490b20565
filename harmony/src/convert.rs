//! OpenAI API messages <-> Conversation.
