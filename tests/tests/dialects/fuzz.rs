//! Inputs made from the documents of the dialects, right ones and wrong ones, against a live host: it never fails, and whatever it
//! answers is promised. Needs a Python environment in `target/schema` (see `.ci/run`). `SCHEMA_SEED` (1) makes other inputs,
//! `SCHEMA_EXAMPLES` (12) more of them.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_ids::{Kind, uuid};
use switchboard_tests::files::{self, FileServer};
use tokio::process::Command;

use crate::stage::{CUSTOMER, Cast};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema");
/// The longest run of one document.
const RUN_WAIT: Duration = Duration::from_secs(300);
/// Sessions that runs may delete, and that nobody needs.
const SPARE: usize = 3;

fn figure(name: &str, unset: u64) -> u64 {
    std::env::var(name).map_or(unset, |figure| figure.parse().unwrap())
}

/// What exists: a message of the connected session, a group that it is in, sessions to delete, and files.
struct There {
    message: u64,
    group: String,
    /// What the link into the group ends with.
    code: String,
    spare: Vec<u64>,
    web: FileServer,
}

async fn there(cast: &Cast) -> There {
    let sent = cast.ours.send(&cast.connected, CUSTOMER, "to be looked at").await.json();
    let body = json!({ "name": "Friends", "participants": [CUSTOMER] });
    let made = cast.ours.post("/api/v1/groups", &cast.connected.key, body).await.json();
    let mut spare = Vec::new();
    for n in 0..SPARE {
        spare.push(cast.ours.session(&format!("Spare {n}")).await.id);
    }
    let group = made["data"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let link = cast.ours.get(&format!("/api/v1/groups/{group}/invite-link"), &cast.connected.key).await.json();
    let code = link["data"]["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    There { message: sent["data"]["msgId"].as_u64().unwrap(), group, code, spare, web: files::serve().await }
}

/// Lets inputs be made from the document of a dialect; `scene` says what is real in it.
async fn tried(cast: &Cast, dialect: &str, scene: Value) {
    let seed = figure("SCHEMA_SEED", 1);
    let mut scene = scene;
    scene["seed"] = json!(seed);
    let connected = cast.connected.id;
    scene["keep"] = json!([connected.to_string(), format!("sess_{connected}"), uuid(Kind::Session, connected)]);
    let host = cast.stage.host.address();
    let binary = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/schema/bin/schemathesis").to_owned();
    let mut command = Command::new(std::env::var("SCHEMATHESIS").unwrap_or(binary));
    command.args(["run", &format!("http://{host}/switchboard/v1/openapi/{dialect}.json")]);
    command.args(["--seed", &seed.to_string(), "--max-examples", &figure("SCHEMA_EXAMPLES", 12).to_string()]);
    // It does not end as long as nobody scans the code.
    command.args(["--exclude-operation-id", "streamSession"]);
    command.current_dir(FOLDER).env("SCENE", scene.to_string()).env("SCHEMATHESIS_HOOKS", "hooks");
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(RUN_WAIT, run).await.expect("it does not end").expect("it cannot be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{dialect}:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{dialect}:\n{said}");
    assert_eq!(cast.ours.get("/api/v1/status", &cast.connected.key).await.status, 200, "{dialect}: the host lives on");
}

fn bearer(key: &str) -> Value {
    json!(["Authorization", format!("Bearer {key}")])
}

fn scene(key: Value, values: Value) -> Value {
    let picture = STANDARD.encode(files::picture());
    let files = json!({ "photos": picture, "files": picture, "file": picture });
    json!({ "key": key, "account_key": key, "account_paths": [], "values": values, "files": files, "ids": {}, "spare": {} })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prosendi_answers_is_promised() {
    let cast = Cast::start().await;
    let there = there(&cast).await;
    let values = json!({
        "recipient": CUSTOMER, "device_id": cast.connected.id, "message": "Hello", "media_url": there.web.url("photo.png"),
    });
    let mut scene = scene(json!(["X-API-Key", cast.ours.tenant_key]), values);
    scene["ids"] = json!({ "devices": [cast.connected.id, cast.idle.id] });
    scene["spare"] = json!({ "/devices/{id}": there.spare });
    tried(&cast, "prosendi", scene).await;
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wamux_answers_is_promised() {
    let cast = Cast::start().await;
    let there = there(&cast).await;
    let session = |id: u64| uuid(Kind::Session, id).unwrap();
    let values = json!({
        "to": CUSTOMER, "sessionId": session(cast.connected.id), "message": "Hello", "mediaUrl": there.web.url("photo.png"),
        "mediaType": "image", "audioUrl": there.web.url("sound.ogg"),
    });
    let mut scene = scene(bearer(&cast.ours.tenant_key), values);
    let key = cast.ours.post("/api/v1/keys", &cast.ours.tenant_key, json!({ "name": "spare" })).await.json();
    scene["ids"] = json!({
        "sessions": [session(cast.connected.id), session(cast.idle.id)],
        "messages": [uuid(Kind::Message, there.message)],
        "keys": [key["id"]],
    });
    let spare: Vec<String> = there.spare.iter().map(|id| session(*id)).collect();
    let idle = json!([session(cast.idle.id)]);
    scene["spare"] = json!({
        "/sessions/{id}": spare, "/sessions/{id}/disconnect": idle, "/sessions/{id}/restart": idle, "/keys/{id}": [key["id"]],
    });
    tried(&cast, "wamux", scene).await;
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sendapi_answers_is_promised() {
    let cast = Cast::start().await;
    let there = there(&cast).await;
    let session = |id: u64| format!("sess_{id}");
    let values =
        json!({ "to": CUSTOMER, "session_id": session(cast.connected.id), "phone": CUSTOMER, "participants": [[CUSTOMER]] });
    let mut scene = scene(bearer(&cast.ours.tenant_key), values);
    scene["ids"] = json!({
        "sessions": [session(cast.connected.id), session(cast.idle.id)],
        "messages": [format!("msg_{}", there.message)],
        "groups": [format!("grp_{}", there.group.trim_end_matches("@g.us"))],
    });
    let spare: Vec<String> = there.spare.iter().map(|id| session(*id)).collect();
    scene["spare"] = json!({ "/whatsapp/sessions/{id}": spare });
    tried(&cast, "sendapi", scene).await;
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wafastapi_answers_is_promised() {
    let cast = Cast::start().await;
    let there = there(&cast).await;
    let values = json!({ "number": CUSTOMER, "group": [null, null, there.group], "message": "Hello" });
    tried(&cast, "wafastapi", scene(json!(["X-API-Key", cast.connected.key]), values)).await;
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wasender_answers_is_promised() {
    let cast = Cast::start().await;
    let there = there(&cast).await;
    let values = json!({
        "to": CUSTOMER, "phone": CUSTOMER, "x": CUSTOMER, "jid": there.group, "msgId": there.message, "replyTo": there.message,
        "participants": [[CUSTOMER]], "text": "Hello", "code": there.code, "imageUrl": there.web.url("photo.png"),
        "base64": STANDARD.encode(files::picture()),
    });
    let mut scene = scene(bearer(&cast.connected.key), values);
    scene["account_key"] = bearer(&cast.ours.token);
    scene["account_paths"] = json!(["/whatsapp-sessions", "/sessions/"]);
    scene["ids"] = json!({ "whatsapp-sessions": [cast.connected.id, cast.idle.id], "sessions": [cast.connected.id] });
    let mut spare = json!({ "/whatsapp-sessions/{id}": there.spare });
    for action in ["connect", "disconnect", "restart", "regenerate-key", "regenerate-api-key"] {
        spare[format!("/whatsapp-sessions/{{id}}/{action}")] = json!([cast.idle.id]);
    }
    scene["spare"] = spare;
    tried(&cast, "wasender", scene).await;
    cast.stage.stop().await;
}
