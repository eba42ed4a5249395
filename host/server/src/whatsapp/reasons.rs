//! The words in which a customer reads why a session is not connected, or why a message did not go out.

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
    // The library's words begin with the code.
    format!("WhatsApp has banned the account for {} s ({})", ban.expire.num_seconds(), short(&ban.code.to_string()))
}

/// What the codes mean with which the server refuses a login, as far as clients have found out.
fn login_meaning(reason: ConnectFailureReason) -> Option<&'static str> {
    Some(match reason {
        ConnectFailureReason::BadUserAgent => "it does not take what this client says of itself",
        ConnectFailureReason::CatExpired => "a token of the login has expired",
        ConnectFailureReason::CatInvalid => "a token of the login is not good",
        ConnectFailureReason::NotFound => "it does not know the account",
        ConnectFailureReason::ClientUnknown => "it does not know this client",
        ConnectFailureReason::InternalServerError => "a fault of its own",
        ConnectFailureReason::ServiceUnavailable => "it is not available now",
        _ => return None,
    })
}

/// The login was refused for another reason.
pub(super) fn refused(failure: &ConnectFailure) -> String {
    let code = failure.reason.code();
    let said = failure.message.as_deref().map(short);
    match said.or_else(|| login_meaning(failure.reason).map(str::to_owned)) {
        Some(words) => format!("WhatsApp refused the login ({code}: {words})"),
        None => format!("WhatsApp refused the login ({code})"),
    }
}

/// The connection stood open and carried nothing.
pub(super) fn silent(silence: Duration) -> String {
    format!("the server has not answered for {} s", silence.as_secs())
}

/// What the codes mean with which the server refuses a message for good, as far as clients have found out.
fn nack_meaning(code: &str) -> Option<&'static str> {
    Some(match code {
        "400" => "the message was not well formed",
        "401" | "403" => "this account may not write to this chat",
        "404" => "the receiver is not on WhatsApp, or the group does not exist",
        "405" => "this is not allowed in this chat",
        "406" => "the message was not acceptable",
        "420" => "this account is not a member of the group, or may not write in it",
        "421" => "the group has changed how it addresses its members: send it again",
        "429" => "this account sends too fast",
        "463" => "the receiver has to write first: WhatsApp holds this account back from opening chats with strangers",
        "475" => "this account has opened as many new chats as WhatsApp lets it for now",
        "479" => "a part of the message has a form that WhatsApp does not take, such as an address of the wrong kind",
        "487" => "the message could not be parsed",
        "488" | "489" | "490" => "WhatsApp does not know this kind of message",
        "491" => "the content of the message could not be read",
        "495" => "a secret is missing that the message belongs to",
        "499" => "the message that it is about is no longer there",
        _ => return None,
    })
}

/// The server knows nobody by the number that a message goes to.
pub(super) const NOT_ON_WHATSAPP: &str =
    "the receiver is not on WhatsApp: there is no account of this number (code recipient_not_on_whatsapp)";

/// The server refused a message for good.
pub(super) fn nacked(code: &str) -> String {
    let code = short(code);
    match nack_meaning(&code) {
        Some(meaning) => format!("WhatsApp refused it: {meaning} (code {code})"),
        None => format!("WhatsApp refused it for a reason that it gives only as code {code}"),
    }
}

/// The server could not take a message, by a fault of its own: it is sent again.
pub(super) fn failed_to_take(code: &str) -> String {
    format!("WhatsApp could not take it now (code {}): it is sent again", short(code))
}

fn short(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(SERVER_WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_message_says_what_the_code_means_and_keeps_it() {
        for (code, words) in [
            ("404", "the receiver is not on WhatsApp"),
            ("463", "the receiver has to write first"),
            ("475", "as many new chats as WhatsApp lets it"),
            ("479", "a form that WhatsApp does not take"),
        ] {
            let said = nacked(code);
            assert!(said.contains(words) && said.ends_with(&format!("(code {code})")), "{said}");
        }
        assert_eq!(nacked("498"), "WhatsApp refused it for a reason that it gives only as code 498");
        assert_eq!(failed_to_take("503"), "WhatsApp could not take it now (code 503): it is sent again");
    }
}
