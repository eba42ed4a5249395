//! A plugin that misbehaves on request: the text of a message, the path of a request or the configuration says how.
//!
//! Asked for nothing bad it echoes, so that a test can see that the runtime is still well.

mod attempts;
mod floods;
mod misdeeds;
mod outside;
mod responder;
mod router;
mod webhook;

use switchboard_guest_sdk::{export_responder, export_router, export_webhook};

struct Hostile;

export_router!(Hostile);
export_responder!(Hostile);
export_webhook!(Hostile);
