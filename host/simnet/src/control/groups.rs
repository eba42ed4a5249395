//! The part of the control API that is about groups.

use serde::Deserialize;
use serde_json::json;

use super::{ControlAnswer, ControlFault, read};
use crate::network::GroupFault;
use crate::shared::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrivacyBody {
    invite_only: bool,
}

/// Carries out one request; `None` when nothing of this kind is served there. `parts` begins with `groups`, or with the
/// phone whose place in groups it is about.
pub(super) fn dispatch(
    shared: &Shared,
    method: &str,
    parts: &[&str],
    body: &[u8],
) -> Result<Option<ControlAnswer>, ControlFault> {
    let answer = match (method, parts) {
        ("POST", ["groups"]) => {
            let body = read(body)?;
            let made = shared.change(|network| network.create_group_by_command(body))??;
            ControlAnswer::json(201, &made)
        }
        ("GET", ["groups"]) => ControlAnswer::json(200, &json!({ "groups": shared.look(|network| network.groups()) })),
        ("GET", ["groups", jid]) => ControlAnswer::json(200, &shared.look(|network| network.group_by_command(jid))?),
        ("PATCH", ["groups", jid]) => {
            let patch = read(body)?;
            ControlAnswer::json(200, &shared.change(|network| network.patch_group(jid, &patch))??)
        }
        ("POST", ["groups", jid, "participants"]) => {
            let act = read(body)?;
            ControlAnswer::json(200, &shared.change(|network| network.act_in_group(jid, &act))??)
        }
        ("POST", ["phones", number, "group_privacy"]) => {
            let PrivacyBody { invite_only } = read(body)?;
            shared.change(|network| network.set_group_privacy(number, invite_only))??;
            ControlAnswer::json(200, &json!({ "invite_only": invite_only }))
        }
        (_, ["groups"] | ["groups", _] | ["groups", _, "participants"] | ["phones", _, "group_privacy"]) => {
            let path = parts.join("/");
            return Err(ControlFault::Method { method: method.to_owned(), path });
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// The HTTP status and title of what went wrong with a group.
pub(super) fn status_of(fault: &GroupFault) -> (u16, &'static str) {
    match fault {
        GroupFault::NoGroup(_) => (404, "no such group"),
        GroupFault::Refused(refusal) => match refusal.code {
            401 | 403 | 405 => (403, "not allowed in this group"),
            404 => (404, "not found in this group"),
            304 | 409 | 410 | 412 | 419 | 436 => (409, "not possible in this group"),
            _ => (422, "invalid request"),
        },
        _ => (422, "invalid request"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{SimConfig, SimNet};

    async fn ask(net: &SimNet, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/switchboard/v1/sim/{path}");
        let answer = net.control(method, &path, body.to_string().as_bytes()).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    #[tokio::test]
    async fn a_group_is_made_changed_and_written_to_over_http() {
        let listen = "127.0.0.1:0".parse().unwrap();
        let net =
            SimNet::start(SimConfig { data_dir: None, listen, tls_listen: None, admin_key: String::new() }).await.unwrap();
        for number in ["15550001111", "15550002222", "15550003333"] {
            ask(&net, "POST", "phones", json!({ "number": number })).await;
        }
        let body = json!({ "subject": "Friends", "participants": ["15550001111", "15550002222"] });
        let (status, made) = ask(&net, "POST", "groups", body).await;
        assert_eq!(status, 201);
        let group = format!("groups/{}", made["jid"].as_str().unwrap());
        let add = json!({ "by": "15550001111", "action": "add", "numbers": ["15550003333"] });
        let people = format!("{group}/participants");
        assert_eq!(ask(&net, "POST", &people, add.clone()).await.0, 200);
        let text = json!({ "to": made["jid"], "text": "hello" });
        assert_eq!(ask(&net, "POST", "phones/15550003333/messages", text).await.0, 201);
        let (_, received) = ask(&net, "GET", "phones/15550002222/messages", Value::Null).await;
        let message = &received["messages"][0];
        assert_eq!((&message["chat"], message["from"].as_str()), (&made["jid"], Some("15550003333@s.whatsapp.net")));
        let (_, shown) = ask(&net, "PATCH", &group, json!({ "by": "15550001111", "announcement": true })).await;
        assert_eq!(shown["announcement"], true);
        let (_, all) = ask(&net, "GET", "groups", Value::Null).await;
        assert_eq!(all["groups"], json!([ask(&net, "GET", &group, Value::Null).await.1]));
        assert_eq!(ask(&net, "POST", "phones/15550002222/group_privacy", json!({ "invite_only": true })).await.0, 200);
    }

    #[tokio::test]
    async fn what_is_not_possible_with_a_group_has_a_status_of_its_own() {
        let listen = "127.0.0.1:0".parse().unwrap();
        let net =
            SimNet::start(SimConfig { data_dir: None, listen, tls_listen: None, admin_key: String::new() }).await.unwrap();
        for number in ["15550001111", "15550002222"] {
            ask(&net, "POST", "phones", json!({ "number": number })).await;
        }
        let body = json!({ "subject": "Friends", "participants": ["15550001111", "15550002222"] });
        let group = ask(&net, "POST", "groups", body).await.1["jid"].as_str().unwrap().to_owned();
        let (people, group) = (format!("groups/{group}/participants"), format!("groups/{group}"));
        let by_member = json!({ "by": "15550002222", "locked": true });
        let refusals = [
            ("POST", "groups", json!({ "subject": "Nobody", "participants": [] }), 422),
            ("POST", "groups", json!({ "subject": "Who", "participants": ["15559999999"] }), 404),
            ("POST", "groups", json!({ "subject": " ", "participants": ["15550001111"] }), 422),
            ("GET", "groups/1@g.us", Value::Null, 404),
            ("DELETE", "groups", Value::Null, 405),
            ("PATCH", group.as_str(), by_member, 403),
            ("POST", people.as_str(), json!({ "by": "15550002222", "action": "join" }), 409),
            ("POST", people.as_str(), json!({ "by": "15550002222", "action": "dance" }), 422),
            ("POST", "groups/1/2/3", Value::Null, 404),
        ];
        for (method, path, body, expected) in refusals {
            assert_eq!(ask(&net, method, path, body.clone()).await.0, expected, "{method} {path} {body}");
        }
    }
}
