//! JSON Lines: one document a line in, one answer a line out, in order.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::support::{command, folder, gptoss};

fn conversations(count: usize) -> String {
    (0..count)
        .map(|index| format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"number {index}\"}}]}}\n"))
        .collect()
}

#[test]
fn answers_are_in_order_on_any_number_of_threads() {
    let input = conversations(3000);
    let one = gptoss(&["render", "-", "--jsonl", "--threads", "1"], &input).exits(0).out;
    assert_eq!(one.lines().count(), 3000);
    for (index, line) in one.lines().enumerate() {
        assert!(line.contains(&format!("number {index}<|end|>")), "{line}");
    }
    for threads in ["2", "7"] {
        assert_eq!(gptoss(&["render", "-", "--jsonl", "--threads", threads], &input).exits(0).out, one);
    }
}

#[test]
fn json_lines_are_recognised() {
    let two = conversations(2);
    assert_eq!(gptoss(&["render", "-", "--emit", "ids"], &two).exits(0).out.lines().count(), 2);
    assert_eq!(
        gptoss(&["render", "-", "--emit", "ids"], format!("\n\n{two}\n")).exits(0).out.lines().count(),
        2
    );
    // One document, be it on one line, is one document.
    let run = gptoss(&["render", "-"], conversations(1)).exits(0);
    assert!(run.out.starts_with("<|start|>"), "{}", run.out);
    let path = folder("recognised").join("one.jsonl");
    std::fs::write(&path, conversations(1)).unwrap();
    let run = gptoss(&["render", path.to_str().unwrap()], "").exits(0);
    assert!(run.out.starts_with("\"<|start|>"), "{}", run.out);
}

#[test]
fn a_bad_line_is_named_and_the_rest_goes_on() {
    let mut input = conversations(2).into_bytes();
    input.extend(b"{\"messages\":[{\"role\":\"User\",\"content\":\"\"}]}\n\nxx\n\"\xff\"\n");
    input.extend(conversations(1).bytes());
    let run = gptoss(&["render", "-", "--emit", "ids"], &input).exits(3);
    let answers: Vec<_> = run.out.lines().map(|line| line.starts_with('[')).collect();
    assert_eq!(answers, [true, true, false, false, false, true]);
    assert_eq!(run.out.lines().nth(2), Some("null"));
    insta::assert_snapshot!(run.err);
}

#[test]
fn every_command_that_takes_lines_answers_each() {
    let input = conversations(2);
    for args in [&["convert", "-", "--to", "chat"][..], &["lint", "-", "--json"], &["render", "-", "--json"]]
    {
        let run = gptoss(args, &input).exits(0);
        let lines: Vec<serde_json::Value> =
            run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{args:?}");
    }
    let said = "\"<|message|>hi<|end|>\"\n[200008,12194,200007]\n{\"text\":\"<|message|>x<|end|>\"}\n{\"ids\":[200008,12194,200007]}\n";
    let run = gptoss(&["parse", "-", "--jsonl"], said).exits(0);
    assert_eq!(run.out.lines().filter(|line| line.contains("\"messages\":[{")).count(), 4, "{}", run.out);
    let run = gptoss(&["parse", "-", "--jsonl"], "{\"id\":1}\n7\n").exits(3);
    assert_eq!(run.out, "null\nnull\n");
}

#[test]
fn what_does_not_fit_on_a_line_is_refused() {
    gptoss(&["render", "-", "--emit", "table"], conversations(2)).exits(2);
    gptoss(&["parse", "-", "--jsonl", "--emit", "pretty"], "\"\"\n").exits(2);
}

#[test]
fn a_worker_answers_before_the_next_line_comes() {
    for threads in ["1", "3"] {
        let mut child = command(&["render", "-", "--jsonl", "--emit", "ids", "--threads", threads])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        for line in conversations(5).lines() {
            writeln!(stdin, "{line}").unwrap();
            let mut answer = String::new();
            stdout.read_line(&mut answer).unwrap();
            assert!(answer.starts_with('['), "{answer}");
        }
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn lines_longer_than_a_batch_are_answered() {
    let line =
        format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}\n", "word ".repeat(60_000));
    let run = gptoss(&["render", "-", "--emit", "ids", "--threads", "2"], line.repeat(4)).exits(0);
    assert_eq!(run.out.lines().count(), 4);
}
