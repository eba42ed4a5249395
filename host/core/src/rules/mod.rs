//! Pure rules: facts in, decision out. No clock, no randomness, no storage.

pub mod address;
pub mod backoff;
