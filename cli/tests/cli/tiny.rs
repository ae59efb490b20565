//! The model inside the program, as a newcomer meets it.

use serde_json::{Value, json};

use crate::support::{gptoss, root};

const WEATHER: &str = "What is the weather in Paris?";

#[test]
fn the_first_command_reasons_calls_a_tool_reads_the_result_and_answers() {
    let run = gptoss(&["run", WEATHER, "--show", "all"], "").exits(0);
    insta::assert_snapshot!(run.out);
    assert!(run.err.contains("note: get_weather is an example"), "{}", run.err);
    let object = gptoss(&["run", WEATHER, "--json"], "").exits(0).json();
    let kinds: Vec<_> =
        object["messages"].as_array().unwrap().iter().map(|said| (&said["role"], &said["channel"])).collect();
    assert!(kinds.contains(&(&json!("assistant"), &json!("analysis"))), "{object}");
    assert!(kinds.contains(&(&json!("tool"), &json!("commentary"))), "{object}");
    assert_eq!(object["diagnostics"], json!([]));
    assert!(object["answer"].as_str().unwrap().contains("14"), "{object}");
}

/// One text everywhere: the snapshot is the same on other machines, too.
#[test]
fn every_way_gives_the_same_bytes() {
    let out = |more: &[&str]| gptoss(&[&["run", WEATHER, "--show", "all"], more].concat(), "").exits(0).out;
    let expected = out(&[]);
    let best = gptoss_runtime::simd::Isa::best();
    for isa in gptoss_runtime::simd::Isa::available() {
        if isa != best {
            assert_eq!(out(&["--isa", isa.name()]), expected, "{}", isa.name());
        }
    }
    for more in [&["--threads", "1"][..], &["--threads", "4"], &["--draft", "6"], &["--pages", "map"]] {
        assert_eq!(out(more), expected, "{more:?}");
    }
    // Tokens that only the grammar made it say would be others without it.
    assert_eq!(out(&["--enforce", "off"]), expected);
}

#[test]
fn efforts_differ_in_length() {
    let generated = |effort: &str| {
        let object = gptoss(&["run", WEATHER, "--effort", effort, "--json"], "").exits(0).json();
        object["usage"]["generated_tokens"].as_u64().unwrap()
    };
    let [low, medium, high] = ["low", "medium", "high"].map(generated);
    assert!(low < medium && medium < high, "{low} {medium} {high}");
}

#[test]
fn chat_remembers_and_computes_only_what_is_new() {
    let run = gptoss(&["chat"], "My name is Ana.\nWhat is my name?\nWhat is the weather in Oslo?\n").exits(0);
    assert!(run.out.contains("Ana"), "{}", run.out);
    assert!(run.out.contains("functions.get_weather → assistant"), "{}", run.out);
    let new: Vec<usize> = run
        .err
        .lines()
        .filter_map(|line| {
            let (read, rest) = line.split_once(" tokens read (")?;
            let reused: usize = rest.split_once(" of them")?.0.parse().ok()?;
            Some(read.parse::<usize>().ok()? - reused)
        })
        .collect();
    // The first reads everything; those after it the last answer and the next question.
    assert!(new.len() == 3 && new[0] > 100 && new[1] < 60 && new[2] < 130, "{new:?}");
}

#[test]
fn its_evaluation_holds_in_this_runtime() {
    let cases = root().join("fixtures/tiny/eval.jsonl");
    let object = gptoss(&["eval", cases.to_str().unwrap(), "--json"], "").exits(0).json();
    let all = &object["all"];
    let share = |count: &Value| 100 * count["right"].as_u64().unwrap() / count["of"].as_u64().unwrap();
    assert_eq!(all["well_formed"], 200, "{object}");
    assert!(share(&all["calls"]) >= 95 && share(&all["answers"]) >= 90, "{object}");
}
