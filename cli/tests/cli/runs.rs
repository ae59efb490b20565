//! Runs on record with real tools: each is run again, without its tools, to the byte.

use crate::support::{gptoss, root};

#[track_caller]
fn replay(name: &str, tools: &[&str], answer: &str) {
    let folder = root().join("fixtures/runs");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let record = path(&format!("{name}.json"));
    let run = gptoss(&["run", "--replay", &record, "--json"], "").exits(0).json();
    assert_eq!(run["answer"], answer);
    let text = std::fs::read_to_string(&record).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let calls = record["calls"].as_array().unwrap();
    let called: Vec<&str> = calls.iter().map(|call| call["tool"].as_str().unwrap()).collect();
    assert_eq!(called, tools);
    assert!(calls.iter().all(|call| call["failed"] == false));
}

#[test]
fn a_function_that_a_program_answers() {
    replay("function", &["functions.get_weather"], "It is 17 °C with light rain in Paris.");
}

#[test]
fn a_tool_of_an_mcp_server() {
    replay("mcp", &["shop.get_price"], "The tool says: 3");
}

#[test]
fn python_in_a_notebook() {
    replay("python", &["python"], "4821 * 77 = 371217.");
}

#[test]
fn a_folder_of_documents_is_searched_and_cited() {
    replay("documents", &["browser.search", "browser.open"], "The ferry costs 12 coins.【1†L2】");
    let record = root().join("fixtures/runs/documents.json");
    let page = gptoss(&["view", record.to_str().unwrap(), "--html", "-"], "").exits(0);
    assert!(page.out.contains("<ol class=\"sources\""), "{}", page.out);
    let shown = gptoss(&["view", record.to_str().unwrap()], "").exits(0);
    assert!(shown.out.contains("【1†L2】 is ferry.txt (ferry.txt), line 2"), "{}", shown.out);
}
