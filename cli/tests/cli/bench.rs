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
fn nothing_to_measure_is_a_usage_error() {
    bench(&["-p", "0", "-n", "0"]).exits(2);
    bench(&["-p", "x"]).exits(2);
    gptoss(&["bench"], "").exits(2);
    gptoss(&["bench", "--model", "docs"], "").exits(4);
}
