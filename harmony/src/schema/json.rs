//! Values as compact JSON, with numbers spelled as the official library spells them.

use std::io;

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Large numbers as `1e16`; `serde_json` spells them `1e+16`, which the official release does not.
struct OfficialNumbers;

impl Formatter for OfficialNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        let mut text = Vec::with_capacity(24);
        CompactFormatter.write_f64(&mut text, number)?;
        text.retain(|&byte| byte != b'+');
        writer.write_all(&text)
    }
}

/// The JSON text of a value, without spaces.
pub(super) fn write(value: &Value) -> String {
    let mut text = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut text, OfficialNumbers))
        .expect("a value is always JSON, and memory takes every byte");
    String::from_utf8(text).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn numbers_are_spelled_as_in_the_official_release() {
        let numbers = [
            (json!(1e15), "1000000000000000.0"),
            (json!(1e16), "1e16"),
            (json!(18446744073709551616.0), "1.8446744073709552e19"),
            (json!(1e300), "1e300"),
            (json!(1e-5), "0.00001"),
            (json!(1e-7), "1e-7"),
            (json!(-0.0), "-0.0"),
            (json!({"a+b": [1.5e20, "1e+5"]}), r#"{"a+b":[1.5e20,"1e+5"]}"#),
        ];
        for (number, text) in numbers {
            assert_eq!(super::write(&number), text);
            assert_eq!(serde_json::from_str::<Value>(text).unwrap(), number);
        }
    }
}
