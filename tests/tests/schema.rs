//! JSON Schema to TypeScript: real schemas in both styles, and what the reference style loses of them.

use std::fs;

use gptoss_tests::fixtures;
use harmony_format::SchemaStyle;
use harmony_format::schema::{losses, typescript};
use harmony_format::testing::strategies::schemas;
use serde_json::Value;

/// The cases of fixtures/schema: name and schema.
fn cases() -> impl Iterator<Item = (String, Value)> {
    fixtures("schema").into_iter().map(|case| {
        let name =
            case.file_name().and_then(|name| name.to_str()).expect("a case has a plain name").to_owned();
        let text = fs::read_to_string(case.join("schema.json")).expect("each case has a schema");
        (name, serde_json::from_str(&text).expect("a schema is JSON"))
    })
}

#[test]
fn both_styles_of_real_schemas() {
    for (name, schema) in cases() {
        insta::assert_snapshot!(format!("{name}-reference"), typescript(&schema, SchemaStyle::Reference));
        insta::assert_snapshot!(format!("{name}-typed"), typescript(&schema, SchemaStyle::Typed));
    }
}

#[test]
fn losses_of_real_schemas() {
    for (name, schema) in cases() {
        let lines: Vec<String> = losses(&schema)
            .iter()
            .map(|loss| format!("{:?} {}: {}", loss.pointer, loss.keyword, loss.text))
            .collect();
        insta::assert_snapshot!(format!("{name}-losses"), lines.join("\n"));
    }
}

proptest::proptest! {
    /// The typed style ends lines with line feeds alone; a loss names a place that exists.
    #[test]
    fn any_schema_is_written_and_its_losses_lie_in_it(schema in schemas()) {
        let text = typescript(&schema, SchemaStyle::Typed);
        proptest::prop_assert!(!text.contains(['\r', '\u{2028}', '\u{2029}']), "{:?}", text);
        for loss in losses(&schema) {
            proptest::prop_assert!(schema.pointer(&loss.pointer).is_some(), "{:?}", loss);
        }
    }
}
