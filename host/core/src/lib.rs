//! The core of Switchboard: records, pure rules, storage and the flow of messages.
//!
//! Nothing here opens a network connection, knows WebAssembly or speaks HTTP. Rules are pure (time and randomness are
//! arguments), `storage` alone knows the engine, and `flow` moves messages and events between the two.

pub mod clock;
pub mod entropy;
pub mod flow;
pub mod records;
pub mod rules;
pub mod storage;
