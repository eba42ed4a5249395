//! How messages and events move: intake, outbox, timers, inbox, responders and webhook deliveries.
//!
//! Workers never call each other. They meet only in storage; a wake says that there is something new to look at, and a
//! missed wake costs time and never a message, because every worker looks at storage first.

pub mod delivery_worker;
mod endpoint_lanes;
pub mod guards;
pub mod housekeeper;
pub mod inbox;
pub mod intake;
pub mod lasting;
pub mod media;
pub mod media_worker;
mod outage;
pub mod outbox_worker;
mod responder_rounds;
pub mod responder_worker;
pub mod schedule_worker;
pub mod sender_route;
pub mod wakes;

#[cfg(test)]
mod tests;
