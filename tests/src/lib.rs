//! The harness of the whole-host tests: hosts in this process or in one of their own, on a simulated network.

#[cfg(feature = "sim")]
pub mod account;
pub mod components;
#[cfg(feature = "sim")]
pub mod contract;
#[cfg(feature = "sim")]
pub mod event_stream;
#[cfg(feature = "sim")]
pub mod files;
#[cfg(feature = "sim")]
pub mod form;
#[cfg(feature = "sim")]
pub mod patience;
#[cfg(feature = "sim")]
pub mod process;
#[cfg(feature = "sim")]
pub mod raw_client;
#[cfg(feature = "sim")]
pub mod receiver;
pub mod records;
pub mod schema;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "sim")]
pub mod stage;
