//! Runs a checkpoint in WGSL on a Vulkan device, a software one unless `GPTOSS_TEST_VULKAN=hardware` asks for another, and
//! writes every named value as a dump: `wgsl_dump FOLDER IDS FILE [BUG]`, the ids with commas between them, the bug by its
//! id in the catalogue.

use std::path::Path;
use std::process::ExitCode;

use gptoss_runtime::checkpoint::Checkpoint;
use gptoss_runtime::golden::Mutant;
use gptoss_tests::wgsl::{Device, Kernels, Tensors, run, switch, to_safetensors};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dump(&arguments) {
        Ok(sentence) => {
            println!("{sentence}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn dump(arguments: &[String]) -> Result<String, String> {
    let (folder, ids, file, bug) = match arguments {
        [folder, ids, file] => (folder, ids, file, None),
        [folder, ids, file, bug] => {
            (folder, ids, file, Some(bug.parse::<Mutant>().map_err(|error| error.to_string())?))
        }
        _ => return Err("wgsl_dump FOLDER IDS FILE [BUG]".to_owned()),
    };
    let tokens: Vec<u32> = ids
        .split(',')
        .map(|id| id.trim().parse().map_err(|_| format!("{id:?} is not a token id")))
        .collect::<Result<_, _>>()?;
    let checkpoint = Checkpoint::open(Path::new(folder)).map_err(|error| error.to_string())?;
    let tensors = Tensors::open(Path::new(folder))?;
    let device = Device::open()?;
    let switch = bug.map(switch);
    let switches: Vec<&str> = switch.iter().map(String::as_str).collect();
    let kernels = Kernels::new(&device, &switches);
    let run = run(&kernels, checkpoint.config(), &tensors, &tokens, None);
    let bytes = to_safetensors(&run, &tokens).map_err(|error| error.to_string())?;
    std::fs::write(file, bytes).map_err(|error| format!("{file}: {error}"))?;
    Ok(format!("{} values of {} tokens on {}", run.values.len(), tokens.len(), device.name()))
}
