//! A second implementation of the client agrees: an unmodified Baileys pairs with the simulated network, exchanges encrypted
//! texts both ways with a Switchboard session, and logs out. Needs Node, and `npm ci` in `tests/baileys`.

use std::process::Stdio;

use serde_json::json;
use switchboard_tests::patience::PATIENCE;
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::process::Command;

const SESSION_NUMBER: &str = "491510000001";
const BAILEYS_NUMBER: &str = "491530000001";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_baileys_talks_with_a_session_both_ways() {
    let stage = Stage::start().await;
    let account = stage.account("Baileys").await;
    account.auto_reply(json!({ "replies": [{ "keyword": "ping", "reply": "pong" }] })).await;
    let session = account.linked(stage.control(), "S", SESSION_NUMBER).await;
    let talk = Command::new("node")
        .arg("talk.mjs")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/baileys"))
        .env("SIM_WS", stage.sim.ws_url())
        .env("SIM_ROOT_KEY", hex(&stage.sim.root_public_key()))
        .env("SIM_CONTROL", format!("http://{}/switchboard/v1/sim", stage.sim.local_addr()))
        .env("SIM_ADMIN_KEY", ADMIN_KEY)
        .env("HOST", format!("http://{}", stage.host.address()))
        .env("SESSION_KEY", &session.key)
        .env("SESSION_NUMBER", SESSION_NUMBER)
        .env("BAILEYS_NUMBER", BAILEYS_NUMBER)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE * 2, talk).await.expect("it hangs").expect("node cannot be started");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("ok 6"), "{said}");
    stage.stop().await;
}
