//! What a plugin must never be able to harm its host with.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use switchboard_guest_sdk::config;

/// 1 MiB.
pub const MIB: usize = 1024 * 1024;

/// Computes for ever.
pub fn spin() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Calls itself until the stack is full.
pub fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return 0;
    }
    let below = recurse(depth.wrapping_add(1));
    // Something is left to do after the call: it cannot be turned into a loop.
    black_box(below).wrapping_add(depth)
}

/// Takes memory, and touches it, until there is no more.
pub fn grow() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; MIB]));
    }
}

/// Looks for a way to match what cannot match: twice as many ways with each letter.
pub fn match_badly() -> bool {
    // The pattern (a|a)*b.
    fn matches(rest: &[u8]) -> bool {
        match rest {
            [b'a', rest @ ..] => black_box(matches(rest)) || black_box(matches(rest)),
            [b'b'] => true,
            _ => false,
        }
    }
    matches(black_box(&[b'a'; 200]))
}

/// Writes a document that doubles with every line.
pub fn double() -> ! {
    let mut document = "\"lol\"".to_owned();
    loop {
        document = black_box(format!("[{document},{document}]"));
    }
}

/// Leaves memory full of holes and what was in them, and breaks.
pub fn fragment() -> ! {
    let mut held: Vec<Vec<u8>> = (0..2_000_usize).map(|n| vec![0xA5; 1 + n * 7 % 4096]).collect();
    let mut at = 0_usize;
    held.retain(|_| {
        at += 1;
        at.is_multiple_of(2)
    });
    black_box(&held);
    std::process::abort()
}

/// Calls the host for ever.
pub fn call_the_host() -> ! {
    loop {
        black_box(config::<()>().is_ok());
    }
}

/// Panics.
#[expect(clippy::panic, reason = "a panic is what is asked for")]
pub fn panic() -> ! {
    panic!("asked to panic")
}

/// How often this instance was asked: 1, unless it served a call before.
pub fn count() -> u32 {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    COUNTER.fetch_add(1, Ordering::Relaxed) + 1
}
