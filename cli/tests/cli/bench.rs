//! `gptoss bench`: the tests that are asked for, in each format.

use crate::support::gptoss;

const BENCH: [&str; 5] = ["bench", "--model", "fixtures/golden/a64", "-r", "2"];

fn bench(args: &[&str]) -> crate::support::Run {
    gptoss(&[&BENCH, args].concat(), "")
}

#[test]
fn every_test_has_a_row() {
    let run = bench(&["-p", "9,0", "-n", "3", "-d", "0,20", "--chunk", "7", "--json"]).exits(0).json();
    let rows = run["results"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["test"].as_str().unwrap()).collect();
    assert_eq!(names, ["pp9", "tg3", "pp9 @ d20", "tg3 @ d20"]);
    for row in rows {
        assert_eq!(row["samples_ns"].as_array().unwrap().len(), 2);
        assert!(row["avg_ts"].as_f64().unwrap() > 0.0);
        assert!(row["min_ts"].as_f64().unwrap() <= row["median_ts"].as_f64().unwrap());
        assert!(row["bandwidth"].as_f64().unwrap() > 1e6);
        assert_eq!(row["bandwidth_share"].is_null(), row["n_gen"] == 0);
    }
}

#[test]
fn the_table_and_the_lines_have_the_same_rows() {
    let table = bench(&["-p", "4", "-n", "2", "--profile", "f32", "--threads", "1"]).exits(0).out;
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 4, "{table}");
    assert!(rows[2].contains(" pp4 ") && rows[3].contains(" tg2 "), "{table}");
    let cells = |row: &str| row.matches('|').count();
    assert!(rows.iter().all(|row| cells(row) == cells(rows[0])), "{table}");

    let lines = bench(&["-p", "4", "-n", "2", "-o", "csv"]).exits(0).out;
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("build_version,cpu_info,backends,profile,"), "{}", lines[0]);
    assert!(lines[2].contains("\"tg2\""), "{}", lines[2]);
}

#[test]
fn drafts_are_measured_on_a_text_that_repeats_itself() {
    let run = bench(&["-p", "0", "-n", "40", "--draft", "0,7", "-d", "0,9", "--json"]).exits(0).json();
    let rows = run["results"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["test"].as_str().unwrap()).collect();
    assert_eq!(names, ["tg40 r64 draft0", "tg40 r64 draft7", "tg40 r64 draft0 @ d9", "tg40 r64 draft7 @ d9"]);
    for row in rows {
        let counts = ["n_draft", "passes", "drafted", "accepted"].map(|name| row[name].as_u64().unwrap());
        // Two tokens are not foreseen, the other 38 come from passes of eight.
        assert!(counts == [0, 40, 0, 0] || counts == [7, 7, 33, 33], "{counts:?}");
        assert_eq!(row["bandwidth_share"].is_null(), row["n_draft"] == 7);
    }
    let table = bench(&["-p", "0", "-n", "4", "--draft", "3"]).exits(0).out;
    assert!(table.ends_with("tg4 r64 draft3: 3 passes, 1 of 1 drafted tokens accepted\n"), "{table}");
}

#[test]
fn nothing_to_measure_is_a_usage_error() {
    bench(&["-p", "0", "-n", "0"]).exits(2);
    bench(&["-p", "x"]).exits(2);
    gptoss(&["bench"], "").exits(2);
    gptoss(&["bench", "--model", "docs"], "").exits(4);
}

#[test]
fn the_stages_of_a_test_add_up_to_its_time() {
    let args = ["-p", "64", "-n", "8", "--profile-ops", "--json"];
    for row in bench(&args).exits(0).json()["results"].as_array().unwrap() {
        let stages = row["stages_ns_per_token"].as_object().unwrap();
        let times = stages.values().map(|time| time.as_u64().unwrap());
        assert!(stages.iter().all(|(name, time)| name == "other" || time.as_u64() > Some(0)), "{row}");
        let mean = row["avg_ns"].as_f64().unwrap()
            / (row["n_prompt"].as_f64().unwrap() + row["n_gen"].as_f64().unwrap());
        // Each is a whole number of nanoseconds.
        let rounded = stages.len() as f64;
        assert!((times.sum::<u64>() as f64 - mean).abs() <= rounded, "{mean}: {row}");
    }
    let table = bench(&["-p", "4", "-n", "2", "--profile-ops"]).exits(0).out;
    assert_eq!(table.lines().filter(|line| line.starts_with("| gate and up ")).count(), 2, "{table}");
}

#[test]
fn weights_in_huge_pages_have_the_same_digest() {
    let digest = |pages: &str| {
        let args =
            ["logits", "--model", "fixtures/golden/a64", "--ids", "1,2,3", "--digest", "--pages", pages];
        gptoss(&args, "").exits(0).out
    };
    assert_eq!(digest("map"), digest("huge"));
    bench(&["-p", "4", "-n", "2", "--pages", "huge"]).exits(0);
    bench(&["--pages", "giant"]).exits(2);
}
