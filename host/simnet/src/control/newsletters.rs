//! The part of the control API that is about newsletters.

use serde::Deserialize;
use serde_json::json;

use super::{ControlAnswer, ControlFault, read};
use crate::network::CommandFault;
use crate::shared::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    by: String,
    name: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostBody {
    by: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByBody {
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReactionBody {
    by: String,
    /// An empty one takes the reaction back.
    emoji: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowersBody {
    numbers: Vec<String>,
}

/// Carries out a request below `newsletters`; `parts` is what follows that.
pub(super) fn dispatch(
    shared: &Shared,
    method: &str,
    path: &str,
    parts: &[&str],
    body: &[u8],
) -> Result<ControlAnswer, ControlFault> {
    match (method, parts) {
        ("POST", []) => {
            let NewBody { by, name, description } = read(body)?;
            let (jid, invite) = shared.change(|network| network.make_newsletter(&by, &name, &description))??;
            Ok(ControlAnswer::json(201, &json!({ "jid": jid, "invite": invite })))
        }
        ("GET", [jid]) => {
            let summary = shared.look(|network| network.newsletter_summary(jid))?;
            Ok(ControlAnswer::json(200, &json!(summary)))
        }
        ("POST", [jid, "followers"]) => {
            let FollowersBody { numbers } = read(body)?;
            shared.change(|network| network.follow_by_phones(jid, &numbers))??;
            Ok(ControlAnswer::json(200, &json!({ "followers": numbers.len() })))
        }
        ("DELETE", [jid, "followers", number]) => {
            shared.change(|network| network.unfollow_by_phone(jid, number))??;
            Ok(done())
        }
        ("POST", [jid, "messages"]) => {
            let PostBody { by, text } = read(body)?;
            let (id, server_id) = shared.change(|network| network.post_by_phone(jid, &by, &text))??;
            Ok(ControlAnswer::json(201, &json!({ "id": id, "server_id": server_id })))
        }
        (method, [jid, "messages", post, what @ ..]) => {
            act_on_post(shared, method, path, (*jid, server_id(post)?), what, body)
        }
        (_, [] | [_] | [_, "followers", ..] | [_, "messages"]) => Err(not_served(method, path)),
        _ => Err(ControlFault::NotFound(path.to_owned())),
    }
}

fn act_on_post(
    shared: &Shared,
    method: &str,
    path: &str,
    (jid, server_id): (&str, u64),
    what: &[&str],
    body: &[u8],
) -> Result<ControlAnswer, ControlFault> {
    match (method, what) {
        ("PATCH", []) => {
            let PostBody { by, text } = read(body)?;
            shared.change(|network| network.edit_by_phone(jid, &by, server_id, &text))??;
        }
        ("DELETE", []) => {
            let ByBody { by } = read(body)?;
            shared.change(|network| network.revoke_by_phone(jid, &by, server_id))??;
        }
        ("POST", ["reactions"]) => {
            let ReactionBody { by, emoji } = read(body)?;
            shared.change(|network| network.react_by_phone(jid, &by, server_id, &emoji))??;
        }
        (_, [] | ["reactions"]) => return Err(not_served(method, path)),
        _ => return Err(ControlFault::NotFound(path.to_owned())),
    }
    Ok(done())
}

fn server_id(text: &str) -> Result<u64, ControlFault> {
    text.parse().map_err(|_| CommandFault::no_post(text).into())
}

fn done() -> ControlAnswer {
    ControlAnswer::json(200, &json!({}))
}

fn not_served(method: &str, path: &str) -> ControlFault {
    ControlFault::Method { method: method.to_owned(), path: path.to_owned() }
}
