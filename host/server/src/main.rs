//! The binary `switchboard`.

use std::process::ExitCode;

/// Allocates for the whole process: small, and gives memory back when a burst is over.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    switchboard::cli::main()
}
