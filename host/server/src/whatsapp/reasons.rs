//! The words in which a customer reads why a session is not connected.

use std::time::Duration;

use whatsapp_rust::transport::DisconnectReason;
use whatsapp_rust::wacore::types::events::{ConnectFailure, ConnectFailureReason, LoggedOut, TemporaryBan};

/// Most characters that are repeated of what the server said.
const SERVER_WORDS_MAX: usize = 200;

pub(super) const REPLACED: &str = "another connection took this device's place";
pub(super) const OUTDATED: &str = "WhatsApp no longer takes this client version (405)";
pub(super) const LOST: &str = "the connection was lost";

/// The connection ended.
pub(super) fn disconnected(reason: &DisconnectReason) -> String {
    match reason {
        DisconnectReason::ServerClose { code: Some(code), .. } => format!("WhatsApp closed the connection ({code})"),
        DisconnectReason::ServerClose { code: None, .. } => "WhatsApp closed the connection".to_owned(),
        DisconnectReason::StreamEnded => "the connection ended".to_owned(),
        DisconnectReason::ReadError(error) => format!("the connection broke: {}", short(error)),
        DisconnectReason::Unknown => LOST.to_owned(),
    }
}

/// The device is no longer linked.
pub(super) fn logged_out(out: &LoggedOut) -> String {
    if out.on_connect {
        format!("WhatsApp no longer knows this device ({}): link it again", out.reason.code())
    } else {
        "the device was unlinked: link it again".to_owned()
    }
}

/// The account is locked: it is for its owner to talk to WhatsApp.
pub(super) fn locked(out: &LoggedOut) -> Option<String> {
    let locked = out.reason == ConnectFailureReason::AccountLocked;
    locked.then(|| format!("WhatsApp has locked the account ({})", out.reason.code()))
}

/// The account is banned for a time.
pub(super) fn banned(ban: &TemporaryBan) -> String {
    let code = ban.code.code();
    format!("WhatsApp has banned the account for {} s ({code}: {})", ban.expire.num_seconds(), short(&ban.code.to_string()))
}

/// The login was refused for another reason.
pub(super) fn refused(failure: &ConnectFailure) -> String {
    let code = failure.reason.code();
    match &failure.message {
        Some(words) => format!("WhatsApp refused the login ({code}: {})", short(words)),
        None => format!("WhatsApp refused the login ({code})"),
    }
}

/// The connection stood open and carried nothing.
pub(super) fn silent(silence: Duration) -> String {
    format!("the server has not answered for {} s", silence.as_secs())
}

fn short(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(SERVER_WORDS_MAX).collect()
}
