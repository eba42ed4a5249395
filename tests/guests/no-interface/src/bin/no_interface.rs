//! A program, not a plugin: it exports `wasi:cli/run` and none of our interfaces.

fn main() {}
