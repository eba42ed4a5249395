//! The HTTP front door: the only room that knows hyper.
//!
//! `listener` takes connections, `front_door` sends each request to the host's own API or to the plugin whose route it is,
//! `mounts` is the table of those routes, `native` is the host's own API.

mod events;
mod front_door;
mod input;
mod listener;
#[cfg(feature = "sim")]
mod local_client;
mod mounts;
mod native;
mod problem;

pub use front_door::{FrontDoor, SimControl, SimControlAnswer};
pub use listener::{Listener, ListenerError};
#[cfg(feature = "sim")]
pub use local_client::{LocalAnswer, LocalClient, LocalClientError};
pub use mounts::{MountTable, RouteError};
