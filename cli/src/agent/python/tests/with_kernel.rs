//! Cells in a real kernel, which is not confined: a test cannot become another program.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use harmony_format::Role;

use crate::agent::python::*;

/// One kernel at a time: what one leaves behind is looked for.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn python(table: &str) -> Python {
    let program = std::env::var("GPTOSS_TEST_PYTHON").expect("GPTOSS_TEST_PYTHON is a Python with ipykernel");
    let section: Section = toml::from_str(&format!("program = {program:?}\n{table}")).unwrap();
    let mut wishes = Wishes { sandbox: Some(Sandbox::Off), ask: None };
    Python::new(section, Path::new("/"), &mut wishes).unwrap()
}

fn cell(python: &mut Python, code: &str) -> Answer {
    let call = Message::new(Role::Assistant, code).with_recipient("python").with_channel("analysis");
    python.answer("python", &call, &AtomicBool::new(false), &mut |_| {}).unwrap()
}

fn told(python: &mut Python, code: &str) -> String {
    let answer = cell(python, code);
    assert!(!answer.has_failed, "{}", answer.text);
    answer.text
}

/// What the model is told of a cell that was stopped.
fn error(python: &mut Python, code: &str) -> String {
    let answer = cell(python, code);
    assert!(answer.has_failed, "{}", answer.text);
    serde_json::from_str::<Value>(&answer.text).unwrap()["error"].as_str().unwrap().to_owned()
}

#[test]
fn state_is_kept_and_output_is_what_a_notebook_shows() {
    let _alone = alone();
    let mut python = python("");
    assert_eq!(told(&mut python, "x = 20\nx + 1"), "21");
    assert_eq!(
        told(&mut python, "print('a', flush=True)\nimport sys\nprint('b', file=sys.stderr, flush=True)\nx"),
        "a\nb\n20"
    );
    assert_eq!(told(&mut python, "x;"), "");
    assert_eq!(told(&mut python, "_"), "20");
    let failed = cell(&mut python, "print('before')\ndef f():\n    return 1/0\nf()");
    assert!(failed.has_failed);
    assert!(failed.text.starts_with("before\n-----"), "{}", failed.text);
    assert!(failed.text.ends_with("ZeroDivisionError: division by zero"), "{}", failed.text);
    assert!(!failed.text.contains('\u{1b}'));
    assert!(cell(&mut python, "if x").text.contains("SyntaxError"));
    // A failure keeps the state, too.
    assert_eq!(told(&mut python, "x"), "20");
    assert!(cell(&mut python, "input('name? ')").text.contains("StdinNotImplementedError"));
    let display = "from IPython.display import display, HTML, Image, clear_output\ndisplay(HTML('<b>h</b>'))\nImage(data=bytes([137,80,78,71])+b'0'*96, format='png')";
    assert_eq!(
        told(&mut python, display),
        "<IPython.core.display.HTML object>\n<IPython.core.display.Image object>\n[image/png, 100 bytes]"
    );
    assert_eq!(told(&mut python, "print(1); clear_output(); print(2)"), "2");
    assert!(told(&mut python, "len?").contains("Return the number of items"));
    // Text of the format stays text.
    assert_eq!(told(&mut python, "print('<|end|>')"), "<|end|>");
    assert_eq!(told(&mut python, "{'code': 'x'}"), "{'code': 'x'}");
    assert_eq!(told(&mut python, "{\"code\": \"x\"}"), "20");
}

#[test]
fn a_cell_ends_at_its_time() {
    let _alone = alone();
    let mut python = python("time = 1.5");
    told(&mut python, "x = 1");
    let began = Instant::now();
    let text = error(&mut python, "print('so far')\nimport time\ntime.sleep(60)");
    assert!(
        text.starts_with(
            "the execution timed out after 1.5 seconds and was interrupted; variables are kept\nso far\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("KeyboardInterrupt: ") || text.ends_with("KeyboardInterrupt:"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(told(&mut python, "x"), "1");
    // What does not let itself be interrupted is killed, and the model is told that its state is gone.
    let stubborn = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass";
    assert!(error(&mut python, stubborn).ends_with("the kernel was killed"));
    let answer = cell(&mut python, "x");
    assert!(
        answer
            .text
            .starts_with("[the kernel was restarted: variables and imports of earlier calls are gone]\n"),
        "{}",
        answer.text
    );
    assert!(answer.text.contains("NameError"), "{}", answer.text);
    assert_eq!(told(&mut python, "2"), "2");
}

#[test]
fn a_kernel_that_dies_is_told_and_replaced() {
    let _alone = alone();
    let mut python = python("");
    for (code, expected) in [
        ("import os; os._exit(3)", "the kernel died: exit status: 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "the kernel died: signal: 11"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the kernel died: signal: 9"),
    ] {
        told(&mut python, "open('kept', 'a').write('k')");
        let text = error(&mut python, code);
        assert!(text.starts_with(expected), "{text}");
        assert!(told(&mut python, "1").starts_with("[the kernel was restarted"));
    }
    // Files are kept.
    assert_eq!(told(&mut python, "open('kept').read()"), "'kkk'");
}

#[test]
fn output_is_cut_and_takes_no_memory() {
    let _alone = alone();
    let mut endless = python("output-kb = 1\ntime = 3");
    let mut python = python("output-kb = 1");
    let before = resident();
    let text = told(&mut python, "for i in range(400): print('a' * 1_000_000)");
    assert!(text.starts_with(&format!("{}\n[output cut: ", "a".repeat(1024))), "{text}");
    let text = told(&mut python, "print('b' * 100_000_000)");
    assert!(text.starts_with(&format!("{}\n[output cut: ", "b".repeat(1024))), "{text}");
    drop(python);
    let text = error(&mut endless, "i = 0\nwhile True:\n    print(i)\n    i += 1");
    assert!(text.contains("timed out") && text.contains("[output cut: "), "{text}");
    assert!(text.contains("KeyboardInterrupt"), "{text}");
    assert_eq!(told(&mut endless, "i > 1000"), "True");
    assert!(resident() < before + (100 << 20), "{} more", resident() - before);
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn ctrl_c_ends_the_kernel() {
    let _alone = alone();
    let mut python = python("");
    let id = told(&mut python, "import os; os.getpid()");
    let stop = Arc::new(AtomicBool::new(false));
    let (soon, began) = (stop.clone(), Instant::now());
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        soon.store(true, Ordering::Relaxed);
    });
    let call = Message::new(Role::Assistant, "import time; time.sleep(60)").with_recipient("python");
    assert!(python.answer("python", &call, &stop, &mut |_| {}).is_err());
    thread.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!Path::new("/proc").join(&id).exists(), "{id}");
}

#[test]
fn nothing_is_left_behind() {
    let _alone = alone();
    let mut python = python("");
    let text = told(
        &mut python,
        "import os, subprocess\nprint(os.getcwd())\nprint(os.environ['HOME'])\nprint(os.getpid())\nprint(subprocess.Popen(['sleep', '100']).pid)\nprint(subprocess.Popen(['sleep', '100'], start_new_session=True).pid)",
    );
    let lines: Vec<&str> = text.lines().collect();
    assert!(Path::new(lines[0]).is_dir() && Path::new(lines[1]).is_dir());
    drop(python);
    assert!(!Path::new(lines[0]).exists() && !Path::new(lines[1]).exists());
    for id in &lines[2..] {
        assert!(!Path::new("/proc").join(id).exists(), "{id}");
    }
}

#[test]
fn a_folder_of_the_user_is_where_the_code_starts_and_stays() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("module.py"), "x = 7").unwrap();
    let mut python = python(&format!("folder = {:?}", folder.path()));
    assert_eq!(told(&mut python, "import module\nopen('new', 'w').write('text')\nmodule.x"), "7");
    drop(python);
    assert_eq!(std::fs::read_to_string(folder.path().join("new")).unwrap(), "text");
    let mut left: Vec<_> =
        folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["__pycache__", "module.py", "new"]);
}
