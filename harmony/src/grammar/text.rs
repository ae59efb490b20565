//! Text and JSON strings in GBNF, free of whatever spells a special token.
//!
//! llama.cpp matches a special token by its spelling, so text that may spell one may *be* one.
//! These rules follow a spelling, `<|` and `|>` with a word of letters, digits and `_` between them, character by
//! character, and have no way to complete it.
//! All else stays legal, the beginnings of markers included.

/// `text` and `some-text`: anything, and anything but nothing.
pub(super) const TEXT: &[(&str, &str)] = &[
    ("text", r#"| [^<] text | "<" text-angle"#),
    ("some-text", r#"[^<] text | "<" text-angle"#),
    ("text-angle", r#"| [^<|] text | "<" text-angle | "|" text-bar"#),
    ("text-bar", r#"| [^<a-z0-9_] text | "<" text-angle | [a-z0-9_] text-word"#),
    ("text-word", r#"| [^<|a-z0-9_] text | "<" text-angle | [a-z0-9_] text-word | "|" text-end"#),
    ("text-end", r#"| [^<>] text | "<" text-angle"#),
];

/// `string`: a JSON string.
///
/// A string with a limit of length counts characters and cannot follow a spelling besides.
/// It is either free of `<` or free of `|`; where it must have both, one is escaped.
pub(super) const STRING: &[(&str, &str)] = &[
    ("string", r#""\"" string-rest"#),
    ("string-rest", r#""\"" | [^"\\<\x00-\x1f] string-rest | escape string-rest | "<" string-angle"#),
    (
        "string-angle",
        r#""\"" | [^"\\<|\x00-\x1f] string-rest | escape string-rest | "<" string-angle | "|" string-bar"#,
    ),
    (
        "string-bar",
        r#""\"" | [^"\\<a-z0-9_\x00-\x1f] string-rest | escape string-rest | "<" string-angle | [a-z0-9_] string-word"#,
    ),
    (
        "string-word",
        r#""\"" | [^"\\<|a-z0-9_\x00-\x1f] string-rest | escape string-rest | "<" string-angle | [a-z0-9_] string-word | "|" string-end"#,
    ),
    ("string-end", r#""\"" | [^"\\<>\x00-\x1f] string-rest | escape string-rest | "<" string-angle"#),
    ("char-no-angle", r#"[^"\\<\x00-\x1f] | escape"#),
    ("char-no-bar", r#"[^"\\|\x00-\x1f] | escape"#),
    (
        "escape",
        r#""\\" (["\\/bfnrt] | "u" ([0-9a-ce-fA-CE-F] hex{3} | [dD] [0-7] hex{2} | [dD] [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2}))"#,
    ),
    ("hex", "[0-9a-fA-F]"),
];

/// JSON without a schema, white space, and the formats of strings that are short to say.
pub(super) const JSON: &[(&str, &str)] = &[
    ("ws", r#"| " " | "\r"? "\n" [ \t]{0,40}"#),
    ("value", r#"object | array | string | number | boolean | null"#),
    ("object", r#""{" ws (pair (ws "," ws pair)* ws)? "}""#),
    ("pair", r#"string ws ":" ws value"#),
    ("array", r#""[" ws (value (ws "," ws value)* ws)? "]""#),
    ("number", r#""-"? magnitude"#),
    ("magnitude", r#"natural ("." [0-9]+)? ([eE] [-+]? [0-9]+)?"#),
    ("integer", r#""-"? natural"#),
    ("natural", r#""0" | [1-9] [0-9]*"#),
    ("boolean", r#""true" | "false""#),
    ("null", r#""null""#),
    ("date", r#"[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])"#),
    (
        "time",
        r#"([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" ([0-5] [0-9] | "60") ("." [0-9]+)? ([zZ] | [-+] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])"#,
    ),
    ("date-time", "date [tT] time"),
    ("uuid", r#"hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}"#),
];

/// A text as a GBNF literal.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A JSON string as a GBNF literal. A `<` before a `|` is escaped, or the literal could be a special token.
pub(super) fn json_string(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    literal(&json.replace("<|", "\\u003c|"))
}
