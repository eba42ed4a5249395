//! A second implementation of the client agrees: unmodified Baileys clients pair with the simulated network, talk with each
//! other, with a phone and with a Switchboard session in every way that is promised, and log out. Needs Node, and `npm ci`
//! in `tests/baileys`.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use switchboard_tests::patience::PATIENCE;
use switchboard_tests::sim::Sim;
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::process::Command;

const SESSION_NUMBER: &str = "491510000001";
const ADA_NUMBER: &str = "491530000001";
const BO_NUMBER: &str = "491530000002";
const PHONE_NUMBER: &str = "491530000003";

/// A network as the clients see it.
struct Seen {
    ws_url: String,
    root_key: [u8; 32],
    control: String,
    certificate: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs `talk.mjs`, which must go through to its end.
async fn talk(mode: &str, seen: &Seen, admin_key: &str, folder: &Path, more: &[(&str, &str)]) {
    let certificate = folder.join("network.pem");
    std::fs::write(&certificate, &seen.certificate).unwrap();
    let talk = Command::new("node")
        .args(["talk.mjs", mode])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/baileys"))
        .env("NODE_EXTRA_CA_CERTS", certificate)
        .env("SIM_WS", &seen.ws_url)
        .env("SIM_ROOT_KEY", hex(&seen.root_key))
        .env("SIM_CONTROL", &seen.control)
        .env("SIM_ADMIN_KEY", admin_key)
        .env("ADA_NUMBER", ADA_NUMBER)
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE * 2, talk).await.expect("it hangs").expect("node cannot be started");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("logging out") && said.contains("total"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unmodified_baileys_clients_talk_with_each_other_and_with_a_phone() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start().await;
    let seen = Seen {
        ws_url: sim.ws_url(),
        root_key: sim.root_public_key(),
        control: format!("http://{}/switchboard/v1/sim", sim.address()),
        certificate: sim.get("certificate").await["certificate"].as_str().unwrap().to_owned(),
    };
    let more = [("BO_NUMBER", BO_NUMBER), ("PHONE_NUMBER", PHONE_NUMBER)];
    talk("with-network", &seen, switchboard_tests::sim::ADMIN_KEY, folder.path(), &more).await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_baileys_talks_with_a_session_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::start().await;
    let account = stage.account("Baileys").await;
    account.auto_reply(json!({ "replies": [{ "keyword": "ping", "reply": "pong" }] })).await;
    let session = account.linked(stage.control(), "S", SESSION_NUMBER).await;
    let certificate = stage.control().json("GET", "/switchboard/v1/sim/certificate", Some(ADMIN_KEY), None).await.unwrap();
    let seen = Seen {
        ws_url: stage.sim.ws_url(),
        root_key: stage.sim.root_public_key(),
        control: format!("http://{}/switchboard/v1/sim", stage.sim.local_addr()),
        certificate: certificate.json()["certificate"].as_str().unwrap().to_owned(),
    };
    let host = format!("http://{}", stage.host.address());
    let more = [
        ("HOST", host.as_str()),
        ("SESSION_KEY", session.key.as_str()),
        ("SESSION_NUMBER", SESSION_NUMBER),
        ("TENANT_KEY", account.tenant_key.as_str()),
    ];
    talk("with-session", &seen, ADMIN_KEY, folder.path(), &more).await;
    stage.stop().await;
}
