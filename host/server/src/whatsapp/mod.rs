//! WhatsApp sessions: the only room that knows the client library.
//!
//! One task owns one session and its client. What the client must remember goes through `storage`, what comes in through
//! the durability hook in `inbound`, what goes out through `outbound`.

mod content;
mod inbound;
mod lost;
mod network;
mod outbound;
mod session_task;
mod sessions;
mod signals;
pub mod storage;

pub use network::WhatsAppNetwork;
pub use sessions::{Live, LiveQr, SessionDeps, SessionSettings, Sessions};
