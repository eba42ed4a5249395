//! A child that behaves as the host's own, and, asked to, as one whose decoder was taken over by the file.

#![expect(clippy::unwrap_used, reason = "only tests start it")]

use std::process::ExitCode;

use switchboard_confine::{ProcessLimits, limit_this_process};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let name = std::env::args().next().unwrap_or_default();
    let limits = ProcessLimits {
        address_bytes: 512 * 1024 * 1024,
        cpu_seconds: 1,
        file_bytes: Some(0),
        open_files: Some(8),
        processes: Some(0),
    };
    if name.ends_with("spins") {
        limit_this_process(&limits).unwrap();
        loop {
            std::hint::black_box(0);
        }
    }
    if name.ends_with("eats") {
        limit_this_process(&limits).unwrap();
        let mut held = Vec::new();
        loop {
            held.push(vec![1_u8; 1024 * 1024]);
        }
    }
    if name.ends_with("writes") {
        limit_this_process(&limits).unwrap();
        let target = std::path::Path::new(&name).with_extension("written");
        std::fs::write(target, "what a file made it write").unwrap();
        return ExitCode::SUCCESS;
    }
    switchboard_media::child::main(&words)
}
