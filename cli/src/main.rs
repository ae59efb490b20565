//! The command `gptoss`.
fn main() {}
