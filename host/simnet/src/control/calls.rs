//! The part of the control API that is about calls, status posts and business profiles of phones.

use serde::Deserialize;
use serde_json::json;

use super::{ControlAnswer, ControlFault, read};
use crate::network::CallAct;
use crate::shared::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallBody {
    to: String,
    #[serde(default)]
    video: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActBody {
    action: CallAct,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusBody {
    text: String,
    /// The numbers that see it; without them, everybody the phone has talked with.
    to: Option<Vec<String>>,
}

/// Carries out a request below `phones/<number>`, for one of the three things there.
pub(super) fn dispatch(
    shared: &Shared,
    method: &str,
    path: &str,
    number: &str,
    (what, rest): (&str, &[&str]),
    body: &[u8],
) -> Result<ControlAnswer, ControlFault> {
    let done = || Ok(ControlAnswer::json(200, &json!({})));
    match (method, what, rest) {
        ("POST", "calls", []) => {
            let CallBody { to, video } = read(body)?;
            let id = shared.change(|network| network.call_by_phone(number, &to, video))??;
            Ok(ControlAnswer::json(201, &json!({ "id": id })))
        }
        ("GET", "calls", []) => {
            let calls = shared.look(|network| network.calls_of(number))?;
            Ok(ControlAnswer::json(200, &json!({ "calls": calls })))
        }
        ("POST", "calls", [id]) => {
            let ActBody { action } = read(body)?;
            shared.change(|network| network.act_in_call(number, id, action))??;
            done()
        }
        ("POST", "status", []) => {
            let StatusBody { text, to } = read(body)?;
            let id = shared.change(|network| network.post_status(number, &text, to.as_deref()))??;
            Ok(ControlAnswer::json(201, &json!({ "id": id })))
        }
        ("DELETE", "status", [id]) => {
            shared.change(|network| network.revoke_status(number, id))??;
            done()
        }
        ("PUT", "business", []) => {
            let profile = read(body)?;
            shared.change(|network| network.set_business(number, profile))??;
            done()
        }
        (_, "calls" | "status", [] | [_]) | (_, "business", []) => {
            Err(ControlFault::Method { method: method.to_owned(), path: path.to_owned() })
        }
        _ => Err(ControlFault::NotFound(path.to_owned())),
    }
}
