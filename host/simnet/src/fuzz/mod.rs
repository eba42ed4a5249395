//! Property tests with hostile input, from a seed that is printed: nothing may panic, and nothing may grow without end.
//!
//! Each runs for `SIM_FUZZ_SECONDS` (2 if not set), from `SIM_FUZZ_SEED` if that is set.

mod bombs;
mod bytes_tests;
mod control_tests;
mod growth_tests;
mod network_tests;
mod phone_tests;
mod requests;
mod restore_tests;
mod rng;
mod stanzas;

pub(crate) use bombs::{zlib_of_zeros, zlib_stored};
