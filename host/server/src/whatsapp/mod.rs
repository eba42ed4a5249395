//! WhatsApp sessions: the only room that knows the client library.
//!
//! One task owns one session and its client. What the client must remember goes through `storage`, what comes in through
//! the durability hook in `inbound` or, where the library has none, through `observed` and the `barrier`; what goes out goes
//! through `outbound`, and what callers want to know of groups and people is asked at the `desk`. `liveness` doubts connections that are silent, `connects` keeps sessions from coming all at once.

mod barrier;
mod bearings;
mod connects;
mod contacts;
mod content;
mod desk;
mod downloads;
mod groups;
mod inbound;
mod linking;
mod liveness;
mod lost;
mod media;
mod names;
mod network;
mod observed;
mod outbound;
mod presence;
mod reasons;
mod received;
mod session_task;
mod sessions;
mod signals;
pub mod storage;
mod votes;

pub use desk::AskError;
pub use linking::{PairingCode, PairingCodeError};
pub use media::Uploader;
pub use network::WhatsAppNetwork;
pub use sessions::{Live, LiveQr, SessionDeps, SessionSettings, Sessions};
