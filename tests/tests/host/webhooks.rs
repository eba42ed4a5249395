//! Webhooks from end to end: what happens to a session reaches a receiver, signed, in order, and again after a failure.

use base64::Engine;
use serde_json::{Value, json};
use switchboard_core::rules::webhook_signature::{hex_signature, sign};
use switchboard_tests::account::{Account, phone, write};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::receiver::{Received, Receiver};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMERS: [&str; 2] = ["491520000001", "491520000002"];
const HOOKS: &str = "/switchboard/v1/webhooks";

async fn hook(account: &Account, wish: Value) -> Value {
    let made = account.post(HOOKS, &account.tenant_key, wish).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

fn is_message(request: &Received) -> bool {
    request.json()["type"] == "message.received"
}

fn text(request: &Received) -> String {
    request.json()["data"]["content"]["value"].as_str().unwrap_or_default().to_owned()
}

async fn say(stage: &Stage, customer: &str, text: &str) {
    write(stage.control(), ADMIN_KEY, customer, SHOP, text).await;
}

fn assert_signed(request: &Received, secrets: &[&str]) {
    let seconds = request.header("webhook-timestamp").parse().unwrap();
    let expected = sign(request.header("webhook-id"), seconds, request.body.as_bytes(), secrets.iter().copied()).unwrap();
    assert_eq!(request.header("webhook-signature"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_webhook_signed_and_again_after_a_failure_under_the_same_id() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMERS[0]).await;
    let receiver = Receiver::that(|_, before| Some((if before == 0 { 500 } else { 200 }, String::new()))).await;
    let made =
        hook(&account, json!({ "url": receiver.url("/in"), "events": ["message.received"], "headers": { "X-Shop": "7" } }))
            .await;
    let secret = made["secret"].as_str().unwrap();
    say(&stage, CUSTOMERS[0], "Good day").await;

    let requests = receiver.wait_for(2, is_message).await;
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    assert_eq!(requests[0].body, requests[1].body);
    for request in &requests {
        assert_signed(request, &[secret]);
        assert_eq!((request.path.as_str(), request.header("x-shop")), ("/in", "7"));
        assert_eq!((text(request), &request.json()["data"]["session_id"]), ("Good day".to_owned(), &json!(shop.id)));
    }
    let path = format!("{HOOKS}/{}/attempts", made["id"]);
    let mut log = json!(null);
    let logged = async || {
        log = account.get(&path, &account.tenant_key).await.json();
        log["attempts"].as_array().unwrap().len() == 2
    };
    assert!(until(PATIENCE, logged).await, "{log}");
    let seen: Vec<_> =
        log["attempts"].as_array().unwrap().iter().map(|a| (a["status"].clone(), a["answer"].clone())).collect();
    assert_eq!(seen, [(json!(200), json!("fine")), (json!(500), json!("fine"))]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_order_each_chat_arrives_in_order_although_the_receiver_fails_now_and_then() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.linked(stage.control(), "Shop", SHOP).await;
    let receiver = Receiver::that(|_, before| Some((if before == 1 { 503 } else { 200 }, String::new()))).await;
    hook(&account, json!({ "url": receiver.url("/"), "events": ["message.received"], "ordered": true })).await;
    for customer in CUSTOMERS {
        phone(stage.control(), ADMIN_KEY, customer).await;
    }
    for n in 0..5 {
        for customer in CUSTOMERS {
            say(&stage, customer, &format!("{customer} {n}")).await;
        }
    }
    let requests = receiver.wait_for(11, is_message).await;
    for customer in CUSTOMERS {
        let mut texts: Vec<String> = requests.iter().map(text).filter(|text| text.starts_with(customer)).collect();
        texts.dedup();
        let expected: Vec<String> = (0..5).map(|n| format!("{customer} {n}")).collect();
        assert_eq!(texts, expected);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_shown_without_its_secret_tested_replayed_and_deleted() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let key = account.tenant_key.clone();
    account.linked(stage.control(), "Shop", SHOP).await;
    let receiver = Receiver::start().await;
    let made = hook(&account, json!({ "url": receiver.url("/"), "name": "Till", "signing": "ed25519" })).await;
    assert!(made.get("secret").is_none() && made["public_keys"][0].as_str().unwrap().starts_with("whpk_"), "{made}");
    let path = format!("{HOOKS}/{}", made["id"]);
    assert_eq!(account.get(&path, &key).await.json(), made);
    assert_eq!(account.get(HOOKS, &key).await.json(), json!({ "webhooks": [made] }));

    let tested = account.post(&format!("{path}/test"), &key, json!({})).await;
    assert_eq!(tested.status, 202, "{tested:?}");
    let test = &receiver.wait_for(1, |request| request.json()["type"] == "webhook.test").await[0];
    assert_eq!(tested.json()["webhook_id"], test.header("webhook-id"));
    assert!(test.header("webhook-signature").starts_with("v1a,"));

    let replayed = account.post(&format!("{path}/replay"), &key, json!({ "event": 1 })).await;
    assert_eq!((replayed.status, replayed.json()), (202, json!({ "replayed": 1, "next": null })));
    let again = &receiver.wait_for(1, |request| request.json()["data"]["n"] == 1).await[0];
    assert_eq!(again.header("webhook-id"), format!("msg_{}_1", made["id"]));

    let off = account.http.json("PATCH", &path, Some(&key), Some(&json!({ "active": false, "name": "Old" }))).await.unwrap();
    assert_eq!((off.status, &off.json()["active"], &off.json()["name"]), (200, &json!(false), &json!("Old")));
    let on = account.post(&format!("{path}/enable"), &key, json!({})).await;
    assert_eq!((on.status, &on.json()["active"]), (200, &json!(true)));
    assert_eq!(account.http.json("DELETE", &path, Some(&key), None).await.unwrap().status, 204);
    assert_eq!(account.get(&path, &key).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_filter_leaves_out_is_replayed_only_by_force_and_ranges_keep_to_the_filter() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let key = account.tenant_key.clone();
    account.linked(stage.control(), "Shop", SHOP).await;
    // What linking wrote into the log are session states alone.
    let receiver = Receiver::start().await;
    let made = hook(&account, json!({ "url": receiver.url("/"), "events": ["message.*"] })).await;
    let path = format!("{HOOKS}/{}/replay", made["id"]);
    let refused = account.post(&path, &key, json!({ "event": 1 })).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("filtered")), "{refused:?}");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("session.state") && detail.contains("message.*"), "{detail}");
    let range = account.post(&path, &key, json!({ "from": 1, "to": 2 })).await;
    assert_eq!((range.status, range.json()), (202, json!({ "replayed": 0, "next": null })));
    let forced = account.post(&path, &key, json!({ "event": 1, "force": true })).await;
    assert_eq!((forced.status, &forced.json()["replayed"]), (202, &json!(1)), "{forced:?}");
    let came = &receiver.wait_for(1, |_| true).await[0];
    assert_eq!((&came.json()["type"], &came.json()["data"]["n"]), (&json!("session.state"), &json!(1)));
    for wrong in
        [json!({}), json!({ "force": true }), json!({ "from": 1, "to": 2, "force": true }), json!({ "event": 1, "to": 2 })]
    {
        let refused = account.post(&path, &key, wrong).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#")), "{refused:?}");
    }
    assert_eq!(account.post(&path, &key, json!({ "event": 99_999 })).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_webhook_is_refused_by_field() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let url = "https://shop.example/in";
    for (wish, status, field) in [
        (json!({ "url": "ftp://shop.example/" }), 422, "url"),
        (json!({ "url": "http://169.254.169.254/latest" }), 422, "url"),
        (json!({ "url": "http://10.0.0.1/" }), 422, "url"),
        (json!({ "url": url, "events": [] }), 422, "events"),
        (json!({ "url": url, "events": ["nonsense"] }), 422, "events"),
        (
            json!({ "url": url, "events": ["message.*", "message.recieved"] }),
            422,
            "events.1: \"message.recieved\" is no type of events",
        ),
        (json!({ "url": url, "format": "nobody" }), 422, "format"),
        (json!({ "url": url, "secret": "short" }), 422, "secret"),
        (json!({ "url": url, "signing": "ed25519", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }), 422, "secret"),
        (json!({ "url": url, "headers": { "Host": "other" } }), 422, "headers"),
        (json!({ "url": url, "session_id": 99_999 }), 404, "session"),
        (json!({ "url": url, "surprise": 1 }), 422, "surprise: is not a field; there are: url, "),
    ] {
        let refused = account.post(HOOKS, &account.tenant_key, wish.clone()).await;
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(refused.status, status, "{wish}: {detail}");
        assert!(detail.starts_with(field), "{wish}: {detail}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_exists_only_for_keys_that_reach_it() {
    let stage = Stage::start().await;
    let (account, stranger) = (stage.account("Shop").await, stage.account("Other").await);
    let (one, other) = (account.session("One").await, account.session("Two").await);
    let made = hook(&account, json!({ "url": "https://shop.example/", "session_id": one.id })).await;
    let path = format!("{HOOKS}/{}", made["id"]);
    let narrow = account.key(json!({ "kind": "tenant", "scopes": ["messages:*"] })).await;
    let reader = account.key(json!({ "kind": "tenant", "scopes": ["webhooks:read"] })).await;
    let cases = [
        (account.tenant_key.as_str(), 200),
        (&one.key, 200),
        (&other.key, 404),
        (&stranger.tenant_key, 404),
        (&narrow, 403),
        (&reader, 200),
        (&account.token, 403),
        (ADMIN_KEY, 403),
        ("sk_live_nobody", 401),
    ];
    for (key, status) in cases {
        assert_eq!(account.get(&path, key).await.status, status, "{key}");
    }
    assert_eq!(account.get(HOOKS, &other.key).await.json(), json!({ "webhooks": [] }));
    let refused = account.post(HOOKS, &reader, json!({ "url": "https://shop.example/" })).await;
    assert_eq!(refused.status, 403);
    let foreign = account.post(HOOKS, &one.key, json!({ "url": "https://shop.example/", "session_id": other.id })).await;
    assert_eq!(foreign.status, 404);
    let own = account.post(HOOKS, &one.key, json!({ "url": "https://shop.example/" })).await;
    assert_eq!((own.status, &own.json()["session_id"]), (201, &json!(one.id)));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_is_owed_survives_a_restart_and_so_does_its_secret() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMERS[0]).await;
    // The first request is never answered: the host stops while it is under way.
    let receiver = Receiver::that(|_, before| (before > 0).then(|| (200, String::new()))).await;
    let made = hook(&account, json!({ "url": receiver.url("/"), "events": ["message.received"] })).await;
    say(&stage, CUSTOMERS[0], "Good day").await;
    let first = receiver.wait_for(1, is_message).await.remove(0);
    let stage = stage.restart().await;
    let second = receiver.wait_for(2, is_message).await.remove(1);
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_signed(&second, &[made["secret"].as_str().unwrap()]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_shapes_what_is_sent_and_the_host_signs_it_and_keeps_its_own_headers() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let component = base64::engine::general_purpose::STANDARD.encode(std::fs::read(env!("GUEST_HOSTILE")).unwrap());
    let install = json!({ "name": "hostile", "component_base64": component, "mounts": [{ "prefix": "/hostile" }] });
    let installed = account.post("/switchboard/v1/plugins", ADMIN_KEY, install).await;
    assert_eq!(installed.status, 201, "{installed:?}");
    let session = account.session("Till").await;
    let receiver = Receiver::start().await;
    let wish = json!({ "url": receiver.url("/"), "format": "hostile", "session_id": session.id });
    let made = hook(&account, wish).await;
    account.post(&format!("{HOOKS}/{}/test", made["id"]), &account.tenant_key, json!({})).await;
    let request = receiver.wait_for(1, |_| true).await.remove(0);
    assert_eq!(request.body, "session.state 0 of Till");
    assert_eq!((request.header("x-format"), request.header("content-type")), ("hostile", "text/plain"));
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(request.header("x-signature"), hex_signature(secret, &[request.body.as_bytes()]));
    assert!(request.header("webhook-id").starts_with("msg_test_"));
    assert_signed(&request, &[secret]);
    stage.stop().await;
}

/// A third party's verifier; needs its Python environment in `target/verifier`, or `VERIFIER_PYTHON`.
#[cfg(feature = "verifier")]
#[tokio::test(flavor = "multi_thread")]
async fn a_third_partys_verifier_takes_either_secret_while_one_replaces_the_other() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let receiver = Receiver::start().await;
    let made = hook(&account, json!({ "url": receiver.url("/") })).await;
    let path = format!("{HOOKS}/{}", made["id"]);
    let rotated = account.post(&format!("{path}/rotate"), &account.tenant_key, json!({})).await.json();
    let test = format!("{path}/test");
    account.post(&test, &account.tenant_key, json!({})).await;
    let both = receiver.wait_for(1, |_| true).await.remove(0);
    let (old, new) = (made["secret"].as_str().unwrap(), rotated["secret"].as_str().unwrap());
    assert_ne!(old, new);
    for secret in [old, new] {
        verifier::verify(secret, &both).await.unwrap();
    }
    let mut forged = both.clone();
    forged.body.push(' ');
    verifier::verify(new, &forged).await.unwrap_err();

    // Without a grace time the new secret signs alone.
    let at_once = json!({ "keep_old_seconds": 0 });
    let last = account.post(&format!("{path}/rotate"), &account.tenant_key, at_once).await.json();
    account.post(&test, &account.tenant_key, json!({})).await;
    let alone = receiver.wait_for(2, |_| true).await.remove(1);
    verifier::verify(last["secret"].as_str().unwrap(), &alone).await.unwrap();
    for secret in [old, new] {
        verifier::verify(secret, &alone).await.unwrap_err();
    }
    stage.stop().await;
}

#[cfg(feature = "verifier")]
mod verifier {
    use std::process::Stdio;

    use serde_json::json;
    use switchboard_tests::receiver::Received;
    use tokio::io::AsyncWriteExt;
    use tokio::process::Command;

    /// Asks the reference library whether the request is signed with `secret`.
    pub(super) async fn verify(secret: &str, request: &Received) -> Result<(), String> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let python = std::env::var("VERIFIER_PYTHON").unwrap_or_else(|_| format!("{root}/target/verifier/bin/python"));
        let mut child = Command::new(&python)
            .arg(format!("{root}/tests/verifier/verify.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{python}: {error}; make the environment as .ci/run does"));
        let input = json!({ "secret": secret, "headers": request.headers, "body": request.body }).to_string();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() || said.starts_with("refused: "), "{said}");
        if output.status.success() { Ok(()) } else { Err(said) }
    }
}
