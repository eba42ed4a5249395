//! The plugin runtime against everything that a plugin may try: no call harms the host, its neighbour or the next call.

mod cache;
mod cancel;
mod guards;
mod hostile;
mod http;
mod kept;
mod kv;
mod refusals;
mod router;
mod secrets;
mod stage;
mod streams;
mod suite;
#[cfg(feature = "toolchains")]
mod toolchains;
mod upload;
mod webhook;
