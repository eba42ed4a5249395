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

use switchboard_guest_sdk::subscriber::Subscription;
use switchboard_guest_sdk::{config, export_responder, export_router, export_subscriber, export_webhook};

struct Hostile;

export_router!(Hostile);
export_responder!(Hostile);
export_webhook!(Hostile);
export_subscriber!(Hostile, subscription());

fn subscription() -> Subscription {
    let chats = match config::<String>().as_deref() {
        Ok("many-chats") => vec!["+1 555 010-0001".to_owned(); 1001],
        Ok("no-chat") => vec!["Ann".to_owned()],
        _ => vec![],
    };
    Subscription { chats, ..Subscription::everything() }
}
