//! What a model may answer, given tools and a response format: Lark, GBNF.
