//! How messages and events move: intake, outbox, timers, inbox and responders.
//!
//! Workers never call each other. They meet only in storage; a wake says that there is something new to look at, and a
//! missed wake costs time and never a message, because every worker looks at storage first.

pub mod inbox;
pub mod intake;
pub mod outbox_worker;
pub mod responder_worker;
pub mod schedule_worker;
pub mod wakes;

#[cfg(test)]
mod tests;
