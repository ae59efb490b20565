//! Malformed output: each repair has a fixture and a place in docs/recovery.md, and no token is ever lost.
//!
//! `UPDATE_FIXTURES=1` writes what `recover` makes of each fixture, `UPDATE_DOCS=1` writes docs/recovery.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gptoss_tests::fixtures_root;
use harmony_format::recover::{self, Entry};
use harmony_format::{Encoding, Message, MessageKind, ParseOptions, Parsed, Role, Tool};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One malformed output.
#[derive(Deserialize, Serialize)]
struct Fixture {
    /// The repair that it is about.
    repair: String,
    /// Where it was reported.
    source: String,
    /// For R19: the content of a call instead of an output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    textual_markers: bool,
    /// The output: prompt text, or else tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<u32>,
    /// What the official library makes of it, recorded: `{"error": …}` or `{"messages": …}` for both modes.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    official: Value,
    /// What `recover` makes of it.
    #[serde(default)]
    recover: Value,
}

fn fixtures() -> Vec<(PathBuf, Fixture)> {
    let mut paths: Vec<_> = fs::read_dir(fixtures_root().join("malformed"))
        .expect("fixtures/malformed")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable file");
        let fixture =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, fixture)
    };
    paths.into_iter().map(read).collect()
}

impl Fixture {
    fn tokens(&self, encoding: &Encoding) -> Vec<u32> {
        match &self.text {
            Some(text) if self.textual_markers => encoding.encode_ordinary(text),
            Some(text) => encoding.encode_prompt(text),
            None => self.tokens.clone(),
        }
    }

    fn options(&self, options: ParseOptions) -> ParseOptions {
        options.role(self.role).tools(self.tools.clone()).textual_markers(self.textual_markers)
    }

    fn recovered(&self, encoding: &Encoding) -> Value {
        if let Some(text) = &self.arguments {
            let arguments = recover::arguments(text);
            let repairs: Vec<_> = arguments.repairs.iter().map(ToString::to_string).collect();
            return json!({"value": arguments.value, "repairs": repairs});
        }
        let parsed = encoding
            .parse(&self.tokens(encoding), &self.options(ParseOptions::recover()))
            .expect("never fails");
        let mut value = serde_json::to_value(&parsed).expect("is JSON");
        value["kinds"] = parsed.messages.iter().map(|parsed| kind(parsed.kind())).collect();
        value
    }
}

fn kind(kind: MessageKind<'_>) -> String {
    match kind.tool() {
        Some(Tool::Function(name)) => format!("{} function {name}", kind.as_str()),
        Some(Tool::BuiltIn(name)) => format!("{} built-in {name}", kind.as_str()),
        None => kind.as_str().to_owned(),
    }
}

/// The table's rows, each with the JSON of its repair.
fn codes(value: &Value) -> BTreeSet<String> {
    let diagnostics = value["diagnostics"].as_array().into_iter().flatten();
    diagnostics.map(|diagnostic| diagnostic["code"].as_str().expect("a code").to_owned()).collect()
}

/// Rows that are handled by [`MessageKind`], without a diagnostic.
const SILENT: [&str; 3] = ["R09", "R10", "R15"];

#[test]
fn each_fixture_is_repaired_as_recorded() {
    let encoding = Encoding::o200k_harmony();
    for (path, mut fixture) in fixtures() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let recovered = fixture.recovered(&encoding);
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fixture.recover = recovered;
            let text = serde_json::to_string_pretty(&fixture).unwrap();
            fs::write(&path, text + "\n").unwrap();
            continue;
        }
        assert_eq!(recovered, fixture.recover, "{name}; UPDATE_FIXTURES=1 writes it anew");
        assert!(name[..2] == fixture.repair[1..], "{name} is named after {}", fixture.repair);
        if fixture.arguments.is_none() {
            let silent = SILENT.contains(&fixture.repair.as_str());
            assert_eq!(codes(&recovered).contains(&fixture.repair), !silent, "{name}: {recovered}");
            if silent {
                assert!(codes(&recovered).is_empty(), "{name}: {recovered}");
            }
        }
    }
}

#[test]
fn each_fixture_is_read_by_strict_and_lenient_as_by_the_official_library() {
    let encoding = Encoding::o200k_harmony();
    for (path, fixture) in fixtures() {
        if fixture.arguments.is_some() {
            continue;
        }
        for (key, options) in [("strict", ParseOptions::strict()), ("lenient", ParseOptions::lenient())] {
            let ours = match encoding.parse(&fixture.tokens(&encoding), &fixture.options(options)) {
                Ok(parsed) => json!({"messages": messages(&parsed)}),
                Err(error) => json!({"error": error.reference_message()}),
            };
            assert_eq!(ours, fixture.official[key], "{} {key}", path.display());
        }
    }
}

fn messages(parsed: &Parsed) -> Vec<&Message> {
    parsed.messages.iter().map(|parsed| &parsed.message).collect()
}

#[test]
fn each_repair_has_a_fixture() {
    let covered: BTreeSet<_> = fixtures().into_iter().map(|(_, fixture)| fixture.repair).collect();
    for entry in recover::table() {
        assert!(
            covered.contains(entry.code),
            "{} {} has no file in fixtures/malformed",
            entry.code,
            entry.name
        );
    }
    assert_eq!(covered.len(), recover::table().len(), "{covered:?}");
}

#[test]
fn docs_recovery_is_the_table() {
    let path = fixtures_root().parent().unwrap().join("docs/recovery.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/recovery.md differs from recover::table(): UPDATE_DOCS=1 cargo test -p gptoss-tests --test recover"
    );
}

fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    page += "\n| code | name | what |\n|---|---|---|\n";
    for entry in recover::table() {
        let Entry { code, name, what, .. } = entry;
        page += &format!("| [{code}](#{}) | {name} | {} |\n", anchor(entry), cell(what));
    }
    let fixtures = fixtures();
    for entry in recover::table() {
        let Entry { code, name, what, example, done, official, source, .. } = entry;
        let example = example.replace('\n', "\\n");
        let files = fixtures.iter().filter(|(_, fixture)| fixture.repair == *code);
        let files: Vec<_> = files.map(|(path, _)| format!("`{}`", relative(path))).collect();
        let files = files.join(", ");
        page += &format!(
            "\n## {code} {name}\n\n{what}\n\n```text\n{example}\n```\n\n* **Repair:** {done}\n\
             * **`openai-harmony` 0.0.8:** {official}\n* **Reported in:** {source}.\n* **Fixtures:** {files}.\n"
        );
    }
    page
}

fn anchor(entry: &Entry) -> String {
    format!("{}-{}", entry.code.to_lowercase(), entry.name)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn relative(path: &Path) -> String {
    format!("fixtures/malformed/{}", path.file_name().unwrap_or_default().display())
}

const INTRODUCTION: &str = "# Recovery of malformed output

<!-- Written by tests/tests/recover.rs from recover::table(): UPDATE_DOCS=1 cargo test -p gptoss-tests --test recover -->

Models do not always follow the format, and engines cut or add tokens.
`ParseOptions::recover()` reads any tokens without an error and without losing one:
each token is in exactly one message or in the span of one diagnostic, and `Parsed::spans` says in which.
Output that follows the format gives the messages of strict mode and no diagnostic.

What is malformed has a named repair with a stable code. Each repair is one diagnostic with
the tokens, the message, what was found, and what was made of it.
A message that no stop token ended has status `incomplete`.

A word in a header that neither `to=` nor `<|channel|>` introduces is

* a channel, if it is `analysis`, `commentary` or `final` and the header has no other channel;
* a content type, if it is `json`, `code`, `text`, `markdown` or a media type such as `text/plain`, if it begins with `<|constrain|>`, or if it is the only word beside a `to=`;
* a recipient otherwise, if it can be a name: a letter or `_`, then letters, digits and `_-.:/`.

The first word after `<|start|>` is a role, a role with a name such as `user:bob`, or the name of a tool.

In the examples `\\n` is a line break; each is what a model says after `<|start|>assistant`.
";
