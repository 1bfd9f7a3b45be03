//! The program `atena`; all of it is in the library beside this file.

use std::process::ExitCode;

fn main() -> ExitCode {
    atena_cli::main()
}
