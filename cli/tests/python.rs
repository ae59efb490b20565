//! The tool `python` with a real kernel, in its sandbox.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cli/support.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::{command, finish, folder, gptoss};

/// A table, and a conversation that waits for the result of a call.
struct Case {
    folder: PathBuf,
    tools: String,
    conversation: String,
}

fn case(name: &str, table: &str, recipient: &str, code: &str) -> Case {
    let folder = folder(name);
    let python = std::env::var("GPTOSS_TEST_PYTHON").expect("GPTOSS_TEST_PYTHON is a Python with ipykernel");
    let tools = folder.join("tools.toml");
    std::fs::write(&tools, format!("[python]\nprogram = {python:?}\n{table}")).unwrap();
    let conversation = folder.join("conversation.json");
    let call = json!({"role": "assistant", "channel": "analysis", "recipient": recipient, "content": code});
    let messages = json!({"messages": [{"role": "user", "content": "Compute."}, call]});
    std::fs::write(&conversation, messages.to_string()).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    Case { folder, tools: text(tools), conversation: text(conversation) }
}

impl Case {
    fn arguments(&self) -> Vec<&str> {
        vec!["run", "--conversation", &self.conversation, "--tools", &self.tools, "--ndjson", "-n", "1"]
    }

    /// What the model is told, and whether the call failed.
    fn told(&self, more: &[&str]) -> (String, bool) {
        self.told_by(command(&[&self.arguments(), more].concat()))
    }

    /// The same where bubblewrap is not found.
    fn told_without_bubblewrap(&self, more: &[&str]) -> (String, bool) {
        let mut run = command(&[&self.arguments(), more].concat());
        run.env("PATH", &self.folder);
        self.told_by(run)
    }

    fn told_by(&self, run: Command) -> (String, bool) {
        let run = finish(run, "");
        let events = run.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let result = events.into_iter().find(|event| event["type"] == "tool_result");
        let result = result.unwrap_or_else(|| panic!("{}{}", run.out, run.err));
        let content = &result["message"]["content"];
        let text = content.as_str().or_else(|| content[0]["text"].as_str()).unwrap().to_owned();
        assert_eq!(result["message"]["channel"], "analysis");
        (text, result["failed"].as_bool().unwrap())
    }
}

#[test]
fn a_call_is_answered_and_nothing_is_left() {
    let code = "import os\nprint(os.getcwd(), os.environ['HOME'])\nopen('file', 'w').write('abc')";
    for recipient in ["python", "python.exec", "functions.python"] {
        let (text, has_failed) = case("python_answers", "", recipient, code).told_without_bubblewrap(&[]);
        assert!(!has_failed, "{text}");
        let (folders, result) = text.split_once('\n').unwrap();
        assert_eq!(result, "3");
        for folder in folders.split(' ') {
            assert!(folder.contains("gptoss-") && !Path::new(folder).exists(), "{folder}");
        }
    }
}

/// Whether bubblewrap is there and works.
fn has_bubblewrap() -> bool {
    let arguments =
        "--unshare-all --ro-bind / / --tmpfs /mnt --dir /mnt/data --dev /dev --proc /proc /bin/true";
    let status = Command::new("bwrap").args(arguments.split(' ')).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Where files are kept is where the model is told that they are.
#[test]
fn the_model_is_told_what_is_true() {
    let code = "import os; os.path.ismount('/mnt/data') and os.getcwd()";
    let case = case("python_prompt", "time = 7", "python", code);
    let tape = case.folder.join("run.json");
    let prompt = || std::fs::read_to_string(&tape).unwrap();
    let record = ["--record", tape.to_str().unwrap()];
    let common = "Internet access for this session is disabled";
    assert_eq!(case.told_without_bubblewrap(&record).0, "False");
    let text = prompt();
    assert!(text.contains("time out after 7.0 seconds. The current folder can be used"), "{text}");
    assert!(text.contains(common) && !text.contains("'/mnt/data' can"), "{text}");
    if has_bubblewrap() {
        assert_eq!(case.told(&record).0, "'/mnt/data'");
        let text = prompt();
        assert!(text.contains("time out after 7.0 seconds. The drive at '/mnt/data' can be used"), "{text}");
        assert!(text.contains(common), "{text}");
    }
}

#[test]
fn a_python_without_a_kernel_is_told_with_what_to_do() {
    let path = folder("python_bare").join("tools.toml");
    std::fs::write(&path, "[python]\nprogram = \"/usr/bin/env\"").unwrap();
    let run = gptoss(&["run", "x", "--tools", path.to_str().unwrap()], "").fails_with("T001");
    assert!(run.err.contains("does not run as Python"), "{}", run.err);
    std::fs::write(&path, "[python]\nprogram = \"no-such-python\"").unwrap();
    gptoss(&["run", "x", "--tools", path.to_str().unwrap()], "").fails_with("T001");
    std::fs::write(&path, "[python]\nnetwork = true").unwrap();
    gptoss(&["run", "x", "--tools", path.to_str().unwrap()], "").fails_with("T001");
}

/// What code might do outside, each with its name; `PLACE` is a folder that is not its own, `PORT` somebody listens on.
const ATTEMPTS: &str = r#"
import ctypes, json, os, pathlib, socket, subprocess, sys
place = pathlib.Path(PLACE)
result = {}

def attempt(name):
    def run(action):
        try:
            action()
            result[name] = 'done'
        except BaseException as error:
            result[name] = 'refused: ' + type(error).__name__
    return run

@attempt('read a secret')
def _(): (place / '.ssh/id_ed25519').read_text()
@attempt('read it by a link')
def _():
    os.symlink(place / '.ssh/id_ed25519', 'link')
    open('link').read()
@attempt('read it by a hard link')
def _():
    os.link(place / '.ssh/id_ed25519', 'hard')
    open('hard').read()
@attempt('list a folder')
def _(): os.listdir(place)
@attempt('read what another process was started with')
def _(): open(f'/proc/{os.getppid()}/environ').read()
@attempt('write a file')
def _(): (place / 'new').write_text('x')
@attempt('change a file')
def _(): open(place / 'file', 'a').write('x')
@attempt('truncate a file')
def _(): os.truncate(place / 'file', 0)
@attempt('rename a file')
def _():
    (place / 'file').rename(place / 'other')
    (place / 'other').rename(place / 'file')
@attempt('remove a file')
def _(): (place / 'victim').unlink()
@attempt('make a folder')
def _(): (place / 'folder').mkdir()
@attempt('write in the folder of all temporary files')
def _():
    path = pathlib.Path('/tmp/gptoss-test-' + str(os.getpid()))
    path.write_text('x')
    path.unlink()
@attempt('connect to this machine')
def _(): socket.create_connection(('127.0.0.1', PORT), timeout=5)
@attempt('send a datagram')
def _(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))
@attempt('listen')
def _():
    s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
@attempt('connect to a socket in a folder')
def _(): socket.socket(socket.AF_UNIX).connect(os.path.relpath(place / 'socket'))
@attempt('send a datagram to a socket in a folder')
def _(): socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', os.path.relpath(place / 'datagrams'))
@attempt('send a datagram from one of a pair')
def _(): socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', os.path.relpath(place / 'datagrams'))
@attempt('connect to an abstract socket')
def _(): socket.socket(socket.AF_UNIX).connect('\0' + ABSTRACT)
@attempt('start a program')
def _(): subprocess.run(['/bin/true'], check=True)
@attempt('start a program by posix_spawn')
def _(): os.waitpid(os.posix_spawn('/bin/true', ['/bin/true'], {}), 0)
@attempt('start a program by a shell')
def _():
    if os.system('true') != 0: raise OSError('no shell')
@attempt('fork')
def _():
    for _ in range(20):
        child = os.fork()
        if child == 0: os._exit(0)
        os.waitpid(child, 0)
@attempt('fork by the number of the call')
def _():
    libc = ctypes.CDLL(None, use_errno=True)
    number = {'x86_64': 57}.get(os.uname().machine)
    child = os.fork() if number is None else libc.syscall(number)
    if child == 0: os._exit(0)
    if child < 0: raise OSError(ctypes.get_errno(), 'fork')
    os.waitpid(child, 0)
@attempt('write a file that fills the disk')
def _():
    with open('large', 'wb') as file: file.truncate(1 << 31)
@attempt('signal the program')
def _(): os.kill(os.getppid(), 0)
print(json.dumps(result))
"#;

/// What became of each attempt.
fn attempts(name: &str, sandbox: &str, may_wrap: bool) -> BTreeMap<String, String> {
    let outside = folder(&format!("{name}_outside"));
    std::fs::create_dir(outside.join(".ssh")).unwrap();
    std::fs::write(outside.join(".ssh/id_ed25519"), "secret").unwrap();
    std::fs::write(outside.join("file"), "kept").unwrap();
    std::fs::write(outside.join("victim"), "").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    // A path of a socket is short.
    let short = std::env::temp_dir().join(format!("gptoss-test-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&short);
    let _unix = UnixListener::bind(&short).unwrap();
    std::fs::rename(&short, outside.join("socket")).unwrap();
    let _datagrams = UnixDatagram::bind(&short).unwrap();
    std::fs::rename(&short, outside.join("datagrams")).unwrap();
    let hidden = format!("gptoss-test-{}-{name}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&hidden).unwrap()).unwrap();
    let code = ATTEMPTS
        .replace("PLACE", &format!("{:?}", outside.to_str().unwrap()))
        .replace("PORT", &tcp.local_addr().unwrap().port().to_string())
        .replace("ABSTRACT", &format!("{hidden:?}"));
    let case = case(name, "", "python", &code);
    let arguments = ["--sandbox", sandbox];
    let (text, has_failed) =
        if may_wrap { case.told(&arguments) } else { case.told_without_bubblewrap(&arguments) };
    assert!(!has_failed, "{text}");
    let last = text.lines().last().unwrap();
    let result = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"));
    let is_changed = std::fs::read_to_string(outside.join("file")).unwrap() != "kept"
        || !outside.join("victim").exists()
        || outside.join("new").exists();
    assert_eq!(is_changed, sandbox == "off");
    result
}

#[test]
fn what_reaches_outside_is_refused_and_only_by_the_sandbox() {
    let free = attempts("python_free", "off", true);
    let stopped: Vec<_> = free.iter().filter(|(_, became)| *became != "done").collect();
    assert!(stopped.is_empty() && free.len() == 26, "{free:?}");
    // By Landlock and seccomp alone, and where it is there by bubblewrap, too.
    for (name, may_wrap) in [("python_confined", false), ("python_wrapped", true)] {
        let confined = attempts(name, "require", may_wrap);
        assert_eq!(confined.len(), free.len());
        for (attempt, became) in &confined {
            println!("{name}: {attempt}: {became}");
        }
        let done: Vec<_> = confined.iter().filter(|(_, became)| *became == "done").collect();
        assert!(done.is_empty(), "{name}: {done:?}");
    }
}

/// What a notebook needs is there: threads, files of its own, events, the standard library.
#[test]
fn the_sandbox_leaves_room_to_work() {
    let code = "
import asyncio, concurrent.futures, decimal, hashlib, multiprocessing.pool, pathlib, sqlite3, tempfile, zoneinfo
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    assert list(pool.map(lambda x: x * x, range(4))) == [0, 1, 4, 9]
with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, 'a').write_text('a')
sqlite3.connect('data.db').execute('create table t (x)')
async def later():
    await asyncio.sleep(0.01)
    return 5
(await later(), decimal.Decimal('0.1') * 3, hashlib.sha256(b'').hexdigest()[:4], pathlib.Path('data.db').exists())";
    let (text, has_failed) = case("python_room", "", "python", code).told(&["--sandbox", "require"]);
    assert_eq!((text.as_str(), has_failed), ("(5, Decimal('0.3'), 'e3b0', True)", false));
}

#[test]
fn memory_is_limited() {
    let code = "x = bytearray(3_000_000_000)";
    let (text, has_failed) = case("python_memory", "memory-mb = 2000", "python", code).told(&[]);
    assert!(has_failed && text.ends_with("MemoryError: ") || text.ends_with("MemoryError"), "{text}");
}

#[test]
fn running_without_a_sandbox_is_said() {
    let case = case("python_said", "sandbox = \"off\"", "python", "1 + 1");
    let run = gptoss(&case.arguments(), "");
    assert!(run.err.contains("warning: python runs without a sandbox"), "{}", run.err);
    let run = gptoss(&[&case.arguments(), &["--sandbox", "require"][..]].concat(), "");
    assert!(!run.err.contains("sandbox"), "{}", run.err);
}

#[test]
fn a_cell_that_is_stopped_and_a_kernel_that_dies_are_told() {
    for (name, code, expected) in [
        (
            "python_slow",
            "import time\nprint('so far', flush=True)\ntime.sleep(60)",
            "variables are kept\nso far\n",
        ),
        ("python_exits", "import os; os._exit(3)", "the kernel died: exit status: 3"),
        ("python_crashes", "import ctypes; ctypes.string_at(0)", "the kernel died: "),
    ] {
        let case = case(name, "time = 2", "python", code);
        for (text, has_failed) in [case.told(&[]), case.told_without_bubblewrap(&[])] {
            let error = serde_json::from_str::<Value>(&text).unwrap()["error"].as_str().unwrap().to_owned();
            assert!(has_failed && error.contains(expected), "{error}");
        }
    }
}

/// Starts a run whose cell sleeps, and waits until it does; the folder of the kernel.
fn sleeping(name: &str, may_wrap: bool) -> (Child, String) {
    let data = folder(&format!("{name}_data"));
    let code = "
import os, time
open('at.tmp', 'w').write(os.environ['HOME'])
os.rename('at.tmp', 'at')
time.sleep(100)";
    let case = case(name, &format!("folder = {:?}", data.to_str().unwrap()), "python", code);
    let mut run = command(&case.arguments());
    if !may_wrap {
        run.env("PATH", &case.folder);
    }
    let child = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let home = loop {
        if let Ok(text) = std::fs::read_to_string(data.join("at")) {
            break text;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the kernel does not start");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(Path::new(&home).is_dir() && !processes(&home).is_empty());
    (child, home)
}

/// The processes that were started with a word.
fn processes(word: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let commands = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let texts = commands.map(|command| String::from_utf8_lossy(&command).replace('\0', " "));
    texts.filter(|text| text.contains(word)).collect()
}

#[test]
fn nothing_survives_ctrl_c() {
    for may_wrap in [false, true] {
        let (child, home) = sleeping("python_ctrl_c", may_wrap);
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
        assert!(!Path::new(&home).exists());
        // What was killed takes a moment to be gone.
        awaits(|| processes(&home).is_empty());
    }
}

#[test]
fn nothing_survives_that_the_program_is_killed() {
    for may_wrap in [false, true] {
        let (mut child, home) = sleeping("python_killed", may_wrap);
        child.kill().unwrap();
        child.wait().unwrap();
        awaits(|| processes(&home).is_empty() && !Path::new(&home).exists());
    }
}

fn awaits(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Without the package the table is an error that says what to install.
#[test]
fn a_missing_kernel_is_told_with_the_command_that_installs_it() {
    let environment = folder("python_empty");
    let python = std::env::var("GPTOSS_TEST_PYTHON").unwrap();
    // An interpreter without packages: those of the environment are found by the name that it is called with.
    let script = environment.join("python");
    std::fs::write(&script, format!("#!/bin/sh\nexec {python} -S \"$@\"\n")).unwrap();
    let mut executable = std::fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut executable, 0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    let table = environment.join("tools.toml");
    std::fs::write(&table, "[python]\nprogram = \"./python\"").unwrap();
    let run = finish(command(&["run", "x", "--tools", table.to_str().unwrap()]), "").fails_with("T001");
    assert!(
        run.err.contains("has no ipykernel") && run.err.contains("-m pip install ipykernel"),
        "{}",
        run.err
    );
}
