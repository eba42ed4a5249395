//! The host as a process of its own: the same command line as the shipped binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard::cli::main()
}
