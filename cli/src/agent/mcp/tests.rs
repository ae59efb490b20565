//! A server of a few lines of shell, and what it does wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use harmony_format::Role;
use serde_json::{Value, json};

use super::*;
use crate::agent::process::Program;

/// Reads requests and answers them: `$id` is that of the request, `$line` all of it. Each line is kept in `seen`.
const SERVER: &str = r#"
say() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
text() { say '{"content":[{"type":"text","text":"'"$1"'"}]}'; }
note() { printf '{"jsonrpc":"2.0","method":"notifications/%s"%s}\n' "$1" "$2"; }
while read -r line; do
    echo "$line" >> seen
    id=${line#*'"id":'}
    id=${id%%[,\}]*}
    case $line in
        *'"initialize"'*) say '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"},"instructions":"Ask kindly."}' ;;
        *'"tools/list"'*'"cursor":"more"'*) say '{"tools":[{"name":"get-it","inputSchema":{"type":"object"}}]}' ;;
        *'"tools/list"'*) say '{"tools":[{"name":"do","description":"Does.","inputSchema":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}}],"nextCursor":"more"}' ;;
        *'"tools/call"'*) CALL ;;
        *'"ping"'*) say '{}' ;;
    esac
done
"#;

/// A folder for a server of which `call` answers calls.
fn entry(name: &str, call: &str, more: &str) -> (PathBuf, Entry) {
    let folder = std::env::temp_dir().join(format!("gptoss-mcp-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("server.sh"), SERVER.replace("CALL", call)).unwrap();
    let text = format!("command = [\"sh\", \"server.sh\"]\npass-environment = [\"PATH\"]\n{more}");
    (folder, toml::from_str(&text).unwrap())
}

fn open(entry: Entry, folder: &Path) -> Result<Server> {
    let plan = Plan::new("fake", entry, folder)?;
    let begun = plan.reach.begin(&plan.limits);
    plan.finish(begun, &AtomicBool::new(false))
}

/// A server of which `call` answers calls.
struct Fake {
    server: Server,
    folder: PathBuf,
}

impl Fake {
    #[track_caller]
    fn new(name: &str, call: &str, more: &str) -> Self {
        let (folder, entry) = entry(name, call, more);
        Self { server: open(entry, &folder).unwrap(), folder }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Answer {
        self.call_heard(tool, arguments).0
    }

    /// The answer, and what was heard of the call meanwhile.
    fn call_heard(&mut self, tool: &str, arguments: &Value) -> (Answer, Vec<String>) {
        let call = Message::new(Role::Assistant, arguments.to_string()).with_recipient(tool);
        let mut heard = Vec::new();
        let mut hear = |text: &str| heard.push(text.to_owned());
        let answer = self.server.answer(tool, &call, &AtomicBool::new(false), &mut hear).unwrap();
        (answer, heard)
    }

    /// What a call of the first tool fails with.
    #[track_caller]
    fn failure(&mut self) -> String {
        let answer = self.call("fake.do", &json!({"n": 1}));
        assert!(answer.has_failed, "{answer:?}");
        serde_json::from_str::<Value>(&answer.text).unwrap()["error"].as_str().unwrap().to_owned()
    }

    fn seen(&self) -> String {
        std::fs::read_to_string(self.folder.join("seen")).unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn tools_are_listed_page_by_page_and_called_by_their_own_names() {
    let mut fake = Fake::new("list", "text done", "");
    let namespace = &fake.server.namespaces()[0];
    assert_eq!((namespace.name.as_str(), namespace.description.as_deref()), ("fake", Some("Ask kindly.")));
    let told: Vec<_> =
        namespace.tools.iter().map(|tool| (tool.name.as_str(), tool.description.as_str())).collect();
    assert_eq!(told, [("do", "Does."), ("get_it", "")]);
    assert_eq!(
        fake.server.notes(),
        ["mcp.fake: told by names of letters, digits and _: \"get-it\" as get_it"]
    );
    for (recipient, has) in
        [("fake.do", true), ("get_it", true), ("fake.get-it", false), ("functions.do", false)]
    {
        assert_eq!(fake.server.has(recipient), has, "{recipient}");
    }
    assert_eq!(fake.call("fake.get_it", &json!({})), Answer::new("done"));
    assert!(fake.seen().lines().last().unwrap().contains(r#""name":"get-it""#), "{}", fake.seen());
}

#[test]
fn only_allowed_tools_are_told() {
    let fake = Fake::new("allow", "text done", "allow = [\"get-it\"]");
    assert_eq!(fake.server.namespaces()[0].tools.len(), 1);
    assert!(!fake.server.has("fake.do") && fake.server.has("fake.get_it"));
    let (folder, entry) = entry("allow_none", "text done", "allow = [\"other\"]");
    let error = open(entry, &folder).unwrap_err();
    assert!(error.to_json()["rule"].as_str().unwrap().contains("has no tool \"other\""));
}

#[test]
fn arguments_that_do_not_fit_are_not_sent() {
    let mut fake = Fake::new("misfit", "text done", "");
    assert!(fake.call("fake.do", &json!({"n": "x"})).text.contains("do not fit"));
    assert!(!fake.seen().contains("tools/call"));
}

#[test]
fn errors_are_told() {
    let mut fake =
        Fake::new("error", r#"say '{"content":[{"type":"text","text":"no"}],"isError":true}'"#, "");
    assert_eq!(fake.failure(), "no");
    let error = r#"printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"oh"}}\n' "$id""#;
    assert_eq!(Fake::new("protocol_error", error, "").failure(), "error -32602: oh");
    let odd = Fake::new("odd", r#"say '{"what":7}'"#, "").failure();
    assert_eq!(odd, "the server answered with what is no result of a tool");
}

#[test]
fn a_server_that_is_gone_is_told_and_started_again_at_the_next_call() {
    let call = "if [ -e died ]; then text back; else touch died; echo ouch >&2; exit 3; fi";
    let mut fake = Fake::new("dies", call, "");
    assert_eq!(fake.failure(), "the server is gone: it ended: exit status: 3\nouch");
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("back"));
    // One that cannot be started again is told, too.
    let mut fake = Fake::new("dies_for_good", "rm server.sh; exit 0", "");
    assert!(fake.failure().starts_with("the server is gone: it ended: exit status: 0"));
    assert!(fake.failure().starts_with("the server fake cannot be started again: "));
}

#[test]
fn a_call_that_times_out_is_cancelled() {
    let mut fake = Fake::new("slow", "[ -e slow ] && text now; touch slow", "time = 0.5");
    let began = Instant::now();
    assert_eq!(fake.failure(), "timed out after 0.5 s");
    assert!(began.elapsed() < Duration::from_secs(4));
    // A server that still listens is called again; it was told before.
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("now"));
    let seen = fake.seen();
    let cancelled = seen.lines().find(|line| line.contains("notifications/cancelled")).expect(&seen);
    assert!(cancelled.contains("\"reason\":\"timed out\""), "{cancelled}");
    assert_eq!(seen.matches("\"initialize\"").count(), 1);
}

#[test]
fn a_server_that_does_not_listen_any_more_is_started_again() {
    let call = "if [ -e stuck ]; then text back; else touch stuck; sleep 60; fi";
    let mut fake = Fake::new("stuck", call, "time = 0.5");
    assert_eq!(fake.failure(), "timed out after 0.5 s");
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("back"));
    assert_eq!(fake.seen().matches("\"initialize\"").count(), 2);
}

#[test]
fn ctrl_c_cancels_a_call() {
    let mut fake = Fake::new("ctrl_c", ":", "");
    let call = Message::new(Role::Assistant, "{\"n\":1}").with_recipient("fake.do");
    let error = fake.server.answer("fake.do", &call, &AtomicBool::new(true), &mut |_| {}).unwrap_err();
    assert_eq!(error.exit(), crate::error::INTERRUPTED);
    fake.server.connection = None;
    assert!(fake.seen().contains("\"reason\":\"interrupted\""), "{}", fake.seen());
}

#[test]
fn what_is_no_message_is_passed_over_and_told_where_nothing_else_came() {
    let mut fake = Fake::new("noise", "echo hello; echo; echo '[]'; text done", "");
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("done"));
    let mut fake = Fake::new("noise_only", "echo hello", "time = 0.5");
    assert_eq!(fake.failure(), "timed out after 0.5 s; its output is no message: \"hello\"");
}

#[test]
fn a_message_without_end_takes_no_memory_and_ends_the_server() {
    let call = "head -c 1000000000 /dev/zero | tr '\\0' a";
    let mut fake = Fake::new("endless", call, "");
    let began = Instant::now();
    assert_eq!(fake.failure(), "the server is gone: it wrote a message of more than 16 MiB");
    // It has written only what was read.
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn long_results_are_cut() {
    let call = r#"text "$(head -c 5000 /dev/zero | tr '\0' a)""#;
    let mut fake = Fake::new("long", call, "output-kb = 1");
    let told = format!("{}\n[output cut: 3976 more bytes]", "a".repeat(1024));
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new(told));
}

#[test]
fn progress_and_changes_reach_the_user_while_the_call_lasts() {
    let call = r#"note progress ',"params":{"progressToken":1,"progress":1,"total":2,"message":"half"}'
        note tools/list_changed; text done"#;
    let mut fake = Fake::new("progress", call, "");
    let (answer, heard) = fake.call_heard("fake.do", &json!({"n": 1}));
    assert_eq!(answer, Answer::new("done"));
    let changed = "fake: its tools changed; the model goes on with those it was told";
    assert_eq!(heard, ["fake: 1 of 2, half", changed]);
    assert_eq!(fake.server.namespaces()[0].tools.len(), 2);
}

/// Requests of the server are declined, and the call goes on.
#[test]
fn what_a_server_asks_for_is_declined() {
    let call = r#"mine=$id
        for method in sampling/createMessage roots/list elicitation/create other/thing; do
            case $method in
                s*) params='{"messages":[],"maxTokens":1}' ;;
                e*) params='{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{}}}' ;;
                *) params='{}' ;;
            esac
            printf '{"jsonrpc":"2.0","id":"s","method":"%s","params":%s}\n' "$method" "$params"
            read -r reply
            echo "$reply" >> replies
        done
        id=$mine; text done"#;
    let mut fake = Fake::new("asks", call, "");
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("done"));
    let replies = std::fs::read_to_string(fake.folder.join("replies")).unwrap();
    let replies: Vec<Value> = replies.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<String> = replies
        .iter()
        .map(|reply| match reply["error"]["code"].as_i64() {
            Some(code) => code.to_string(),
            None => reply["result"]["action"].as_str().unwrap_or_default().to_owned(),
        })
        .collect();
    assert_eq!(said, ["-32601", "-32601", "decline", "-32601"]);
}

/// Such a server knows no `initialize`: each request says what else would be said there.
#[test]
fn a_server_of_the_newest_protocol_alone_is_understood() {
    let (folder, entry) = entry("modern", "text done", "");
    let discovered = r#"*'"server/discover"'*) say '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"},"ttlMs":0,"cacheScope":"private"}' ;;"#;
    let refused = r#"*'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id" ;;"#;
    let script = std::fs::read_to_string(folder.join("server.sh")).unwrap();
    let (before, rest) = script.split_once(r#"*'"initialize"'*)"#).unwrap();
    let (_, after) = rest.split_once(";;\n").unwrap();
    std::fs::write(folder.join("server.sh"), format!("{before}{refused}\n{discovered}\n{after}")).unwrap();
    let mut fake = Fake { server: open(entry, &folder).unwrap(), folder };
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("done"));
    let seen = fake.seen();
    assert!(seen.lines().last().unwrap().contains("io.modelcontextprotocol/protocolVersion"), "{seen}");
}

#[test]
fn a_server_that_does_not_start_is_an_error_with_what_it_said() {
    for (name, script, more, rule, said) in [
        ("exits", "echo 'no key' >&2; exit 7", "", "exit status: 7", json!(["no key"])),
        ("mute", "cat > /dev/null", "time = 0.3", "it did not answer within 0.3 s", Value::Null),
        ("talks", "echo Welcome!; cat > /dev/null", "time = 0.3", "is no message: \"Welcome!\"", Value::Null),
    ] {
        let (folder, entry) = entry(name, "", more);
        std::fs::write(folder.join("server.sh"), script).unwrap();
        let error = open(entry, &folder).unwrap_err().to_json();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(error["code"], "T004");
        assert!(error["rule"].as_str().unwrap().contains(rule), "{error}");
        assert_eq!(error["below"], said);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_ends_with_all_that_it_started() {
    let mut fake = Fake::new("ends", "sleep 600 & echo $! > pid; trap '' TERM; text done", "");
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("done"));
    let pid = std::fs::read_to_string(fake.folder.join("pid")).unwrap();
    fake.server.connection = None;
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

/// What a program leaves running is killed when it ends; a server is not.
#[test]
#[cfg(target_os = "linux")]
fn a_server_outlives_the_end_of_other_tools() {
    let call = "sh -c 'setsid sleep 600 & :' & (sleep 600 & echo $! > pid); text done";
    let mut fake = Fake::new("outlives", call, "");
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("done"));
    let program = Program {
        argv: ["/bin/true"].map(str::to_owned).into(),
        folder: None,
        environment: Vec::new(),
        confinement: super::super::launch::Confinement::default(),
    };
    let limits = Limits { time: Duration::from_secs(10), memory: None, output: 10 };
    program.run(Vec::new(), &limits, &AtomicBool::new(false)).unwrap();
    let pid = std::fs::read_to_string(fake.folder.join("pid")).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
    assert!(!state.contains(") Z "), "{state}");
    assert_eq!(fake.call("fake.do", &json!({"n": 1})), Answer::new("done"));
}

#[test]
fn tables_that_are_wrong_are_told() {
    for (name, text, rule) in [
        ("a b", "command = [\"sh\"]", "no name of a server"),
        ("python", "command = [\"sh\"]", "no name of a server"),
        ("a", "", "either command or url"),
        ("a", "command = [\"sh\"]\nurl = \"http://a\"", "either command or url"),
        ("a", "command = [\"no-such-program\"]", "there is no program"),
        ("a", "url = \"ftp://a\"", "no URL of http or https"),
        ("a", "url = \"http://a\"\nheaders = { \"a b\" = \"\" }", "no header"),
        ("a", "command = [\"sh\"]\ntime = 0", "time is a number"),
    ] {
        let entries = BTreeMap::from([(name.to_owned(), toml::from_str(text).unwrap())]);
        let error = kits(entries, Path::new("/"), &|_, error| error).unwrap_err();
        assert!(error.to_json()["rule"].as_str().unwrap().contains(rule), "{text}");
    }
    assert!(toml::from_str::<Entry>("comand = []").is_err());
}
