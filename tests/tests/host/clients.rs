//! Published clients of a dialect, unmodified, call every one of their methods against a live host, and what they sent is read
//! off the phones. Needs Node and `npm ci` in `tests/clients`, and a Python environment in `target/clients` (see `.ci/run`).

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_core::records::content::MediaSource;
use switchboard_core::records::event::Fact;
use switchboard_core::records::id::TenantId;
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::files;
use switchboard_tests::patience::PATIENCE;
use switchboard_tests::receiver::Receiver;
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::process::Command;

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// Everything that a client is told of.
async fn scene(stage: &Stage, account: &Account, session: &TestSession, web: &files::FileServer) -> Value {
    let picture = STANDARD.encode(files::picture());
    let receiver = Receiver::start().await;
    listen(account, session, &receiver).await;
    let sealed = sealed(stage, account, &picture).await;
    json!({
        "base": format!("http://{}/api", stage.host.address()),
        "session": session.id,
        "session_key": session.key,
        "personal_token": account.token,
        "customer": CUSTOMER,
        "files": web.url(""),
        "picture": picture,
        "sealed": sealed,
        "hooks": delivered(account, session, &receiver).await,
        "invite": invitation(stage).await,
    })
}

/// Events that both clients have a shape for.
const HOOKS: [&str; 6] =
    ["contacts.upsert", "message-receipt.update", "message.sent", "messages.recieved", "messages.update", "messages.upsert"];

/// From now on the session tells the receiver what happens to it, as the published clients expect that.
async fn listen(account: &Account, session: &TestSession, receiver: &Receiver) {
    let path = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let hook = json!({ "webhook_url": receiver.url("/"), "webhook_events": HOOKS, "webhook_format": "wasender" });
    let set = account.http.json("PUT", &path, Some(&account.token), Some(&hook)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

/// A delivery of each, as it came; after that nobody listens any more.
async fn delivered(account: &Account, session: &TestSession, receiver: &Receiver) -> Value {
    let sent = account.send(session, CUSTOMER, "for the webhook").await;
    assert_eq!(sent.status, 200, "{sent:?}");
    let mut hooks = Vec::new();
    for name in HOOKS {
        let came = receiver.wait_for(1, |request| request.json()["event"] == name).await.remove(0);
        hooks.push(json!({ "body": came.body, "signature": came.header("x-webhook-signature") }));
    }
    let path = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let off = json!({ "webhook_url": "", "webhook_events": [] });
    let set = account.http.json("PUT", &path, Some(&account.token), Some(&off)).await.unwrap();
    assert_eq!((set.status, &set.json()["data"]["webhook_url"]), (200, &json!("")), "{set:?}");
    Value::Array(hooks)
}

/// A file that the customer sent, as WhatsApp's own clients know it.
async fn sealed(stage: &Stage, account: &Account, picture: &str) -> Value {
    let content = json!({ "image": { "base64": picture, "mime": "image/png" } });
    let id = stage.phone_sends(CUSTOMER, SHOP, content).await;
    account.event("message.received", |data| data["whatsapp_id"] == json!(id)).await;
    let events = account.events().await;
    let n = events.iter().find(|event| event["data"]["whatsapp_id"] == json!(id)).unwrap()["n"].as_u64().unwrap();
    let event = stage.host.storage().event(TenantId(account.tenant), n).await.unwrap().unwrap();
    let Fact::MessageReceived(incoming) = event.fact else { panic!("{event:?}") };
    let media = incoming.content.media().unwrap();
    let MediaSource::WhatsApp(place) = &media.source else { panic!("{media:?}") };
    let base64 = |text: &str| json!(STANDARD.encode(hex::decode(text).unwrap()));
    let image = json!({
        "mediaKey": base64(&place.media_key),
        "fileSha256": base64(media.sha256.as_deref().unwrap()),
        "fileEncSha256": base64(&place.enc_sha256),
        "mimetype": "image/png",
        "directPath": place.direct_path,
    });
    json!({ "key": { "id": id }, "message": { "imageMessage": image } })
}

/// The code that invites into somebody else's group.
async fn invitation(stage: &Stage) -> String {
    let host = stage.account("Host").await;
    let session = host.linked(stage.control(), "Host", "491510000004").await;
    let made = host.post("/api/v1/groups", &session.key, json!({ "name": "Theirs", "participants": [CUSTOMER] })).await;
    assert_eq!(made.status, 200, "{made:?}");
    let jid = made.json()["data"]["id"].as_str().unwrap().to_owned();
    let link = host.get(&format!("/api/v1/groups/{jid}/invite-link"), &session.key).await.json();
    link["data"]["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

/// Lets a client go through all of its methods.
async fn drive(mut command: Command, name: &str) {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let web = files::serve().await;
    let scene = scene(&stage, &account, &session, &web).await;
    let run = command.current_dir(FOLDER).env("SCENE", scene.to_string()).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE * 2, run).await.expect("it hangs").expect("it cannot be started");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong: Vec<&str> = said.lines().filter(|line| !line.contains("true")).collect();
    assert!(output.status.success(), "{}\n{}", wrong.join("\n"), String::from_utf8_lossy(&output.stderr));
    arrived(&stage, name).await;
    stage.stop().await;
}

/// Reads off the phone what the client of this name sent.
async fn arrived(stage: &Stage, name: &str) {
    let shows = async |wanted: &dyn Fn(&Value) -> bool| stage.phone_shows(CUSTOMER, wanted).await;
    let has = |shown: &Value, text: &str| shown.to_string().contains(text);
    for text in ["send", "quote", "mention", "edited"] {
        shows(&|shown| has(shown, &format!("{name} {text}"))).await;
    }
    for kind in ["image", "video", "document", "audio", "sticker", "contact", "location"] {
        shows(&|shown| shown["type"] == kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_client_for_node_does_all_that_it_can() {
    let mut command = Command::new("node");
    command.arg("drive.mjs");
    drive(command, "npm").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_clients_for_python_do_all_that_they_can() {
    for name in ["sync", "async"] {
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients/bin/python");
        let mut command = Command::new(std::env::var("CLIENTS_PYTHON").unwrap_or_else(|_| python.to_owned()));
        command.args(["drive.py", name]);
        drive(command, name).await;
    }
}
