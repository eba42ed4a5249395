//! The control API for what the devices of one account have among themselves: app state, linking by code, unlinking.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{ControlAnswer, ControlFault, read};
use crate::address::parse_number;
use crate::network::{CommandFault, DirtyBody, LinkFault, LinkId, LinkOutcome};
use crate::phone::{EnteredCode, StateAction, normal_link_code};
use crate::shared::Shared;

/// How long a client may take over a code: deriving the key alone is slow on purpose.
const LINK_MS_MAX: u64 = 45_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkBody {
    code: String,
}

/// Whether what follows a phone's number in a path is served here.
pub(super) fn serves(rest: &[&str]) -> bool {
    matches!(rest, ["app-state" | "link" | "dirty"] | ["devices", _])
}

/// Carries out one request.
pub(super) async fn dispatch(
    shared: &Shared,
    method: &str,
    number: &str,
    rest: &[&str],
    body: &[u8],
) -> Result<ControlAnswer, ControlFault> {
    match (method, rest) {
        ("GET", ["app-state"]) => {
            let state = shared.look(|network| network.state_of(number))?;
            Ok(ControlAnswer::json(200, &json!(state)))
        }
        ("POST", ["app-state"]) => {
            let action: StateAction = read(body)?;
            let outcome = shared.change(|network| network.act_on_state(number, &action))??;
            Ok(ControlAnswer::json(200, &json!(outcome)))
        }
        ("GET", ["link"]) => {
            let number = parse_number(number).map_err(CommandFault::from)?;
            // A change, so that the network knows the time and leaves out what has expired.
            let clients = shared.change(|network| network.waiting_for_code(&number))?;
            Ok(ControlAnswer::json(200, &json!({ "clients": clients })))
        }
        ("POST", ["link"]) => {
            let body: LinkBody = read(body)?;
            link(shared, number, &body.code).await
        }
        ("POST", ["dirty"]) => {
            let body: DirtyBody = read(body)?;
            let devices = shared.change(|network| network.make_dirty(number, &body))??;
            Ok(ControlAnswer::json(200, &json!({ "devices": devices })))
        }
        ("DELETE", ["devices", device]) => {
            let device = device.parse().map_err(|_| ControlFault::NotFound(format!("devices/{device}")))?;
            shared.change(|network| network.unlink_companion(number, device))??;
            Ok(ControlAnswer::json(200, &json!({ "device": device })))
        }
        _ => Err(ControlFault::Method { method: method.to_owned(), path: rest.join("/") }),
    }
}

/// Types a code into a phone, and waits until the client is linked or the code has turned out to be wrong.
async fn link(shared: &Shared, number: &str, code: &str) -> Result<ControlAnswer, ControlFault> {
    let number = parse_number(number).map_err(CommandFault::from)?;
    let code = normal_link_code(code).map_err(link_fault)?;
    let known = shared.look(|network| network.state_of(&number).map(drop));
    known?;
    let (link, wrapped) = shared.change(|network| network.link_hello(&number))?.map_err(CommandFault::from)?;
    // Slow on purpose, and not under the network's lock.
    let entered = tokio::task::spawn_blocking(move || EnteredCode::new(&code, &wrapped)).await;
    let entered = entered.map_err(|_| ControlFault::PairingFailed)?.map_err(link_fault)?;
    shared.change(|network| network.enter_link_code(&number, link, entered))?.map_err(CommandFault::from)?;
    wait_for_link(shared, link).await
}

async fn wait_for_link(shared: &Shared, link: LinkId) -> Result<ControlAnswer, ControlFault> {
    let deadline = Instant::now() + Duration::from_millis(LINK_MS_MAX);
    let mut offered = None;
    loop {
        let mut changed = std::pin::pin!(shared.changed.notified());
        // Registered before looking: a change between the two must not be missed.
        changed.as_mut().enable();
        if offered.is_none() {
            match shared.change(|network| network.link_outcome(link))? {
                LinkOutcome::Offered(key) => offered = Some(key),
                LinkOutcome::Failed(fault) => return Err(CommandFault::from(fault).into()),
                LinkOutcome::Pending => {}
            }
        }
        if let Some(key) = &offered {
            match shared.look(|network| network.scan_outcome(link, key)) {
                Some(true) => {
                    let jid = shared.look(|network| network.address_text(key));
                    return Ok(ControlAnswer::json(200, &json!({ "jid": jid, "device": key.device })));
                }
                Some(false) => return Err(ControlFault::PairingFailed),
                None => {}
            }
        }
        timeout_at(deadline, changed).await.map_err(|_| ControlFault::PairingTimeout(LINK_MS_MAX))?;
    }
}

fn link_fault(error: crate::phone::LinkCodeError) -> ControlFault {
    CommandFault::from(LinkFault::from(error)).into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::{SimConfig, SimNet};

    async fn net() -> SimNet {
        let listen = "127.0.0.1:0".parse().unwrap();
        let net = SimNet::start(SimConfig { data_dir: None, listen, tls_listen: None, admin_key: "key".to_owned() })
            .await
            .unwrap();
        let made = net.control("POST", "/switchboard/v1/sim/phones", br#"{"number":"15550001111","name":"Ann"}"#).await;
        assert_eq!(made.status, 201);
        net
    }

    async fn ask(net: &SimNet, method: &str, path: &str, body: &str) -> (u16, Value) {
        let path = format!("/switchboard/v1/sim/phones/{path}");
        let answer = net.control(method, &path, body.as_bytes()).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    #[tokio::test]
    async fn app_state_is_changed_and_shown() {
        let net = net().await;
        let pin = r#"{"action":"pin","chat":"+15550002222"}"#;
        let (status, outcome) = ask(&net, "POST", "+15550001111/app-state", pin).await;
        assert_eq!(
            (status, outcome["collection"].as_str(), outcome["version"].as_u64()),
            (200, Some("regular_low"), Some(1))
        );
        let (status, state) = ask(&net, "GET", "15550001111/app-state", "").await;
        assert_eq!(status, 200);
        let collections = state["collections"].as_array().unwrap();
        let low = collections.iter().find(|collection| collection["name"] == "regular_low").unwrap();
        assert_eq!(low["entries"][0]["index"], serde_json::json!(["pin_v1", "15550002222@s.whatsapp.net"]));
        assert_eq!(low["entries"][0]["value"], serde_json::json!({ "pinned": true }));
        assert_eq!(state["keys"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_said() {
        let net = net().await;
        let refused = [
            ("POST", "15550009999/app-state", r#"{"action":"rotate_key"}"#, 404),
            ("GET", "15550009999/app-state", "", 404),
            ("POST", "15550001111/app-state", r#"{"action":"fly"}"#, 422),
            ("POST", "15550001111/app-state", r#"{"action":"push_name","name":""}"#, 422),
            ("POST", "15550001111/link", r#"{"code":"ABCD-1234"}"#, 410),
            ("POST", "15550001111/link", r#"{"code":"ABC"}"#, 422),
            ("POST", "15550009999/link", r#"{"code":"ABCD-1234"}"#, 404),
            ("POST", "15550001111/dirty", r#"{"type":"everything"}"#, 422),
            ("POST", "15550001111/dirty", r#"{"type":"groups","device":7}"#, 404),
            ("DELETE", "15550001111/devices/7", "", 404),
            ("DELETE", "15550001111/devices/x", "", 404),
            ("GET", "15550001111/devices/7", "", 405),
            ("PUT", "15550001111/app-state", "", 405),
        ];
        for (method, path, body, expected) in refused {
            let (status, problem) = ask(&net, method, path, body).await;
            assert_eq!(status, expected, "{method} {path} {body}: {problem}");
        }
        let (status, waiting) = ask(&net, "GET", "15550001111/link", "").await;
        assert_eq!((status, waiting), (200, serde_json::json!({ "clients": [] })));
    }
}
