//! Files that change while they are mapped.

use std::fs::OpenOptions;
use std::process::Command;

use gptoss_runtime::ErrorKind;
use gptoss_runtime::checkpoint::{Checkpoint, exit_on_lost_pages};
use gptoss_runtime::weights::Weights;

use crate::checkpoint::{Experts, hugging_face};

const FILE: &str = "model.safetensors";
/// Set in the process that is to lose its pages.
const CHILD: &str = "GPTOSS_TEST_LOSES_PAGES";

#[test]
fn a_file_that_is_cut_off_while_mapped_ends_the_process_with_a_message() {
    if std::env::var_os(CHILD).is_some() {
        exit_on_lost_pages(4);
        let folder = tempfile::tempdir().unwrap();
        hugging_face(Experts::Mxfp4).write(folder.path());
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let last = checkpoint.bytes(checkpoint.parts().last().unwrap());
        OpenOptions::new().write(true).open(folder.path().join(FILE)).unwrap().set_len(0).unwrap();
        // The folder stays behind, since nothing runs after this.
        std::fs::remove_dir_all(folder.path()).unwrap();
        println!("read {}", last.iter().map(|&byte| u64::from(byte)).sum::<u64>());
        std::process::exit(0);
    }
    let name = "shrinking::a_file_that_is_cut_off_while_mapped_ends_the_process_with_a_message";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.code(), Some(4), "{message}");
    assert!(message.contains("a page of a mapped file cannot be read"), "{message}");
}

#[test]
fn a_file_that_was_written_to_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    hugging_face(Experts::Mxfp4).write(folder.path());
    let path = folder.path().join(FILE);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    Weights::load(&checkpoint).expect("nothing has changed yet");

    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len - 1).unwrap();
    let error = Weights::load(&checkpoint).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Io, Some(&*path)));
    assert!(error.rule().contains(&format!("now has {}", len - 1)), "{error}");

    file.set_len(len).unwrap();
    let error = checkpoint.check_unchanged().unwrap_err();
    assert!(error.rule().contains("was written to"), "{error}");
}
