//! Bad input: each error states the rule and the place.

use std::process::Stdio;

use crate::support::{command, folder, gptoss};

#[test]
fn an_unknown_role_is_underlined() {
    let run = gptoss(&["render", "-"], "{\"messages\":[\n{\"role\":\"User\",\"content\":\"hi\"}]}");
    insta::assert_snapshot!(run.fails_with("H001").err);
}

#[test]
fn a_missing_tool_name_is_found_in_its_message() {
    let run = gptoss(
        &["render", "-"],
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},\n {\"role\":\"tool\",\"content\":\"x\"}]}",
    );
    insta::assert_snapshot!(run.fails_with("H010").err);
}

#[test]
fn content_in_the_wrong_role_is_found_in_its_message() {
    let text = r#"{"messages":[{"role":"user","content":[{"type":"system_content"}]}]}"#;
    insta::assert_snapshot!(gptoss(&["render", "-"], text).fails_with("H011").err);
}

#[test]
fn bytes_that_are_not_utf8_are_found_by_offset() {
    insta::assert_snapshot!(gptoss(&["render", "-"], b"{\"messages\":\n[\xff").fails_with("H008").err);
    for args in
        [&["parse", "-"][..], &["tokens", "encode", "-"], &["lint", "-"], &["convert", "-", "--to", "chat"]]
    {
        gptoss(args, b"x\xff").exits(3);
    }
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let deep = format!("{{\"messages\":[{{\"role\":\"user\",\"content\":{}", "[".repeat(200_000));
    gptoss(&["render", "-"], &deep).fails_with("H001");
    gptoss(&["convert", "-", "--to", "chat"], "[".repeat(200_000)).fails_with("H001");
    gptoss(&["lint", "-"], "[".repeat(200_000)).exits(3);
    gptoss(&["tools", "render", "-"], "[".repeat(200_000)).fails_with("H001");
}

#[test]
fn an_empty_file_is_an_error() {
    for args in [&["render", "-"][..], &["convert", "-", "--to", "chat"], &["tools", "render", "-"]] {
        gptoss(args, "").fails_with("H001");
        gptoss(args, " \n\n").fails_with("H001");
    }
}

#[test]
fn a_tokenizer_without_the_markers_is_an_error() {
    let folder = folder("tokenizer");
    let path = folder.join("tokenizer.json");
    let model = r#"{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,
        "end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"vocab":{"a":0},"merges":[]}"#;
    let text = format!(
        r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
        "pre_tokenizer":null,"post_processor":null,"decoder":null,"model":{model}}}"#
    );
    std::fs::write(&path, text).unwrap();
    let run = gptoss(&["tokens", "count", "-", "--tokenizer", path.to_str().unwrap()], "a");
    assert!(run.fails_with("H006").err.contains("help: "));
    std::fs::write(&path, "{").unwrap();
    gptoss(&["tokens", "count", "-", "--tokenizer", path.to_str().unwrap()], "a").fails_with("H006");
}

#[test]
fn a_folder_and_a_missing_file_are_errors() {
    let run = gptoss(&["render", "docs"], "").fails_with("H005");
    assert_eq!(run.err, "error[H005]: a file is needed, docs is a directory\n");
    let run = gptoss(&["render", "no-such-file.json"], "").fails_with("H005");
    assert_eq!(run.err, "error[H005]: no such file: no-such-file.json\n");
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let text =
        format!(r#"{{"messages":[{{"role":"user","content":"{}","channel":7}}]}}"#, "x".repeat(1 << 20));
    let run = gptoss(&["render", "-"], &text).fails_with("H001");
    assert!(run.err.len() < 400, "{}", run.err);
    assert!(run.err.contains("\"channel\":7"), "{}", run.err);
}

#[test]
fn text_that_steers_a_terminal_is_not_repeated() {
    let run = gptoss(&["render", "-"], "{\"messages\":[{\"role\":\"\\u001b[2J\u{202e}\",\"content\":\"\"}]}");
    assert!(!run.fails_with("H001").err.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn a_document_that_ends_too_early_is_shown_where_it_ends() {
    let err = gptoss(&["render", "-"], "{\"messages\": [\n\n").fails_with("H001").err;
    assert!(err.contains("(standard input, line 1 column 15)"), "{err}");
    assert!(err.contains("  | {\"messages\": [\n  |               ^\n"), "{err}");
    let folder = folder("bad_input_empty");
    let path = folder.join("tools.json");
    std::fs::write(&path, "\n").unwrap();
    let err = gptoss(&["run", "Hi", "--tools", path.to_str().unwrap()], "").fails_with("H001").err;
    assert!(err.starts_with("error[H001]: a JSON document is needed, the input is empty"), "{err}");
}

#[test]
fn an_error_as_json_has_the_same_facts() {
    let run = gptoss(&["render", "-", "--json"], "{\"messages\":[\n{\"role\":\"User\",\"content\":\"hi\"}]}")
        .exits(3);
    insta::assert_snapshot!(run.err);
    let run = gptoss(&["render", "--json"], "").exits(2);
    let error: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(error["code"], "usage");
}

#[test]
fn a_document_in_no_known_format_is_an_error() {
    insta::assert_snapshot!(gptoss(&["render", "-"], "{\"hello\":1}").fails_with("H017").err);
}

/// Standard output without a reader: `/dev/full` and a closed pipe.
#[cfg(unix)]
mod output {
    use super::*;

    #[test]
    fn a_closed_pipe_ends_quietly() {
        for args in [&["tokens", "special"][..], &["demo"], &["man"], &["--help"]] {
            let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
            assert_eq!(output.status.code(), Some(0), "{args:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(&["tokens", "special"]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stderr.starts_with(b"error[H005]: cannot write the result"));
    }
}
