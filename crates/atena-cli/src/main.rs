//! The program `atena`; all of it is in the library beside this file.

use std::process::ExitCode;

/// Chunks are tens of thousands of small texts, allocated together and freed by another thread (docs/performance.md).
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    atena_cli::main()
}
