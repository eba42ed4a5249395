//! Grants of plugins: a component asks, its owner gives, and is asked again when a version wants more.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, phone, received, write};
use switchboard_tests::components::asking;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::receiver::Receiver;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const BASE: &str = "/switchboard/v1/plugins";
const NOTHING: &str = r#"{"fields":[],"http":[],"kv_bytes":0,"secrets":[],"send":null,"sessions":{"only":[]}}"#;

/// A template plugin that asks for this.
fn component(wish: &Value) -> Vec<u8> {
    asking(env!("GUEST_LETTERHEAD"), wish)
}

async fn upload(account: &Account, query: &str, component: Vec<u8>) -> LocalAnswer {
    let headers =
        [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/wasm".to_owned())];
    account.http.exchange("POST", &format!("{BASE}?name=mine{query}"), &headers, component).await.unwrap()
}

async fn ask(account: &Account, method: &str, path: &str, body: Option<&Value>) -> LocalAnswer {
    account.http.json(method, &format!("{BASE}/{path}"), Some(&account.tenant_key), body).await.unwrap()
}

fn needed(answer: &LocalAnswer, missing: &[&str]) {
    let told = answer.json();
    assert_eq!((answer.status, &told["code"]), (409, &json!("grants_needed")), "{answer:?}");
    assert_eq!(told["missing"], json!(missing), "{answer:?}");
    let detail = told["detail"].as_str().unwrap();
    assert!(missing.iter().all(|line| detail.contains(line)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_asks_is_kept_until_its_owner_says_yes_and_asked_again_when_it_grows() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let first = json!({ "kv_bytes": 1024, "fields": ["text"] });
    let refused = upload(&account, "", component(&first)).await;
    needed(&refused, &["kv_bytes: keep 1024 bytes for each tenant, now 0", "fields: text, what messages say"]);
    assert_eq!(refused.json()["version"], 1);
    let kept = ask(&account, "GET", "mine", None).await.json();
    assert_eq!((&kept["state"], &kept["version"], &kept["latest"]), (&json!("stopped"), &json!(0), &json!(1)), "{kept}");
    let standing = ask(&account, "GET", "mine/grants", None).await.json();
    assert_eq!(standing["granted"].to_string(), NOTHING);
    assert_eq!((&standing["asked"]["kv_bytes"], standing["missing"].as_array().unwrap().len()), (&json!(1024), 2));

    needed(
        &ask(&account, "POST", "mine/versions/1/activate", None).await,
        &["kv_bytes: keep 1024 bytes for each tenant, now 0", "fields: text, what messages say"],
    );
    let yes = json!({ "grants": "asked" });
    let active = ask(&account, "POST", "mine/versions/1/activate", Some(&yes)).await;
    assert_eq!((active.status, &active.json()["state"], &active.json()["missing"]), (200, &json!("active"), &json!([])));
    assert_eq!(active.json()["grants"], active.json()["asked"]);

    // It grows: the one before goes on.
    let second = json!({ "kv_bytes": 1024, "fields": ["text", "number"], "http": ["api.example.com"] });
    let grown = ["http: ask api.example.com", "fields: number, the telephone numbers of people"];
    needed(&upload(&account, "", component(&second)).await, &grown);
    let shown = ask(&account, "GET", "mine", None).await.json();
    assert_eq!((&shown["version"], &shown["state"]), (&json!(1), &json!("active")));
    let both = upload(&account, "&grants=asked", component(&second)).await;
    assert_eq!((both.status, &both.json()["version"]), (200, &json!(2)), "no new version: {both:?}");
    assert_eq!(ask(&account, "GET", "mine/versions/2", None).await.json()["asked"]["http"], json!(["api.example.com"]));
    // What asks for less needs nobody's leave, also to go back to.
    assert_eq!(ask(&account, "POST", "mine/rollback", None).await.status, 200);
    assert_eq!(upload(&account, "", component(&json!({}))).await.status, 201);
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let standing = ask(&account, "GET", "mine/grants", None).await.json();
    assert_eq!((&standing["granted"]["http"], &standing["asked"]["http"]), (&json!(["api.example.com"]), &json!([])));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_gives_what_it_likes_and_takes_it_back() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    assert_eq!(upload(&account, "", component(&json!({}))).await.status, 201, "it asks for nothing");
    let grants = json!({ "http": ["*.example.com"], "send": { "per_minute": 5 }, "sessions": "all", "fields": ["media"] });
    let set = ask(&account, "PUT", "mine/grants", Some(&grants)).await;
    assert_eq!((set.status, &set.json()["granted"]["http"]), (200, &json!(["*.example.com"])), "{set:?}");
    assert_eq!(ask(&account, "GET", "mine", None).await.json()["grants"]["sessions"], json!("all"));
    let only = json!({ "sessions": { "only": [7] } });
    let set = ask(&account, "PUT", "mine/grants", Some(&only)).await;
    assert_eq!((&set.json()["granted"]["sessions"], &set.json()["granted"]["send"]), (&only["sessions"], &Value::Null));
    // Some sessions are enough for what asks for all.
    assert_eq!(upload(&account, "", component(&json!({ "sessions": "all" }))).await.status, 201);
    let again = upload(&account, "&grants=asked", component(&json!({ "sessions": "all" }))).await;
    assert_eq!(again.json()["grants"]["sessions"], only["sessions"], "what was narrowed stays so: {again:?}");
    let nothing = ask(&account, "PUT", "mine/grants", Some(&json!({}))).await;
    assert_eq!(nothing.json()["granted"].to_string(), NOTHING);
    let shown = ask(&account, "GET", "mine", None).await.json();
    assert_eq!((&shown["state"], shown["missing"].as_array().unwrap().len()), (&json!("active"), 1), "{shown}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_cannot_be_given_or_asked_for_are_refused_by_place() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    assert_eq!(upload(&account, "", component(&json!({}))).await.status, 201);
    for (grants, place) in [
        (json!({ "http": ["api.example.com/v1"] }), "/http/0"),
        (json!({ "kv_bytes": 1_u64 << 40 }), "/kv_bytes"),
        (json!({ "send": { "per_minute": 0 } }), "/send/per_minute"),
        (json!({ "send": { "per_minute": 1, "per_day": 9 } }), "/send/per_day"),
        (json!({ "fields": ["phone"] }), "/fields/0"),
        (json!({ "secrets": ["a key"] }), "/secrets/0"),
        (json!({ "sessions": "some" }), "/sessions"),
        (json!({ "everything": true }), "/everything"),
    ] {
        let put = ask(&account, "PUT", "mine/grants", Some(&grants)).await;
        assert_eq!((put.status, &put.json()["errors"][0]["pointer"]), (422, &json!(format!("#{place}"))), "{put:?}");
        let with = ask(&account, "POST", "mine/versions/1/activate", Some(&json!({ "grants": grants }))).await;
        assert_eq!(
            (with.status, &with.json()["errors"][0]["pointer"]),
            (422, &json!(format!("#/grants{place}"))),
            "{with:?}"
        );
    }
    let word = ask(&account, "POST", "mine/versions/1/activate", Some(&json!({ "grants": "all" }))).await;
    assert_eq!((word.status, &word.json()["errors"][0]["pointer"]), (422, &json!("#/grants")), "{word:?}");
    assert_eq!(upload(&account, "&grants=all", component(&json!({}))).await.status, 422);
    for wish in [json!({ "phone": true }), json!({ "sessions": { "only": [1] } }), json!({ "http": ["*"] })] {
        let refused = upload(&account, "", component(&wish)).await;
        assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("bad_declaration")), "{refused:?}");
    }
    assert_eq!(ask(&account, "GET", "mine/grants", None).await.json()["granted"].to_string(), NOTHING);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_of_one_owner_and_what_is_carried_gets_what_it_asks_for() {
    let stage = Stage::start().await;
    let (ours, theirs) = (stage.account("Ours").await, stage.account("Theirs").await);
    ours.auto_reply(json!({ "replies": [] })).await;
    let standing = ask(&ours, "GET", "auto-reply/grants", None).await.json();
    assert_eq!((&standing["granted"], &standing["missing"]), (&standing["asked"], &json!([])), "{standing}");
    assert_eq!((&standing["asked"]["sessions"], &standing["asked"]["fields"]), (&json!("all"), &json!(["text"])));
    for (method, body) in [("GET", None), ("PUT", Some(json!({})))] {
        assert_eq!(ask(&theirs, method, "auto-reply/grants", body.as_ref()).await.status, 404, "{method}");
    }
    let path = format!("{BASE}/auto-reply/grants?tenant={}", ours.tenant);
    assert_eq!(ours.get(&path, ADMIN_KEY).await.json(), standing);
    let reader = ours.key(json!({ "kind": "tenant", "scopes": ["plugins:read"] })).await;
    let put = ours.http.json("PUT", &format!("{BASE}/auto-reply/grants"), Some(&reader), Some(&json!({}))).await.unwrap();
    assert_eq!(put.status, 403, "{put:?}");
    // A responder that was given no session says that it hears nothing.
    let component = std::fs::read(env!("GUEST_HOSTILE")).unwrap();
    let upload = json!({
        "name": "deaf", "component_base64": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, component),
        "mounts": [{ "prefix": "/deaf" }],
    });
    let made = ours.post(BASE, ADMIN_KEY, upload).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.json()["missing"][0].as_str().unwrap().starts_with("sessions: none is granted"), "{made:?}");
    stage.stop().await;
}

const CUSTOMER: &str = "491520000001";
const SHOP: &str = "491510000001";

/// What the mirror says to the customer that it saw, the last time, once it has said so often that it saw something.
async fn told(stage: &Stage, times: usize) -> (Value, Value) {
    let mut shown = Vec::new();
    let all = until(PATIENCE, async || {
        shown = received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
        shown.len() >= times
    })
    .await;
    assert!(all, "{shown:?}");
    let last = shown.pop().unwrap();
    let (mention, seen) = last["text"].as_str().unwrap().split_once(' ').unwrap();
    assert_eq!(mention, format!("@{CUSTOMER}"), "whom it mentions is called by number again");
    (serde_json::from_str(seen).unwrap(), last)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_answers_without_knowing_whom_and_sees_what_it_is_given() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.linked(stage.control(), "S", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let some = json!({ "sessions": "all", "send": { "per_minute": 60 } });
    assert_eq!(upload(&account, "&grants=asked", asking(env!("GUEST_MIRROR"), &some)).await.status, 201);
    let id = write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hello").await;
    let (seen, shown) = told(&stage, 1).await;
    let pseudonym = seen["from"].as_str().unwrap().to_owned();
    assert!(pseudonym.starts_with("p_") && pseudonym.len() == 28, "{seen}");
    assert_eq!(seen, json!({ "chat": pseudonym, "from": pseudonym, "phone": null, "name": null, "text": "" }));
    assert_eq!(shown["quoted_id"], json!(id));

    let text = json!({ "sessions": { "only": [session.id] }, "send": { "per_minute": 60 }, "fields": ["text"] });
    assert_eq!(ask(&account, "PUT", "mine/grants", Some(&text)).await.status, 200);
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hello again").await;
    let (seen, _) = told(&stage, 2).await;
    assert_eq!((&seen["text"], &seen["from"]), (&json!("hello again"), &json!(pseudonym)), "the same name: {seen}");

    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let all = json!({ "sessions": "all", "send": { "per_minute": 60 }, "fields": ["text", "number", "contact_name"] });
    assert_eq!(ask(&account, "PUT", "mine/grants", Some(&all)).await.status, 200);
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "and again").await;
    let (seen, _) = told(&stage, 3).await;
    assert_eq!((&seen["phone"], &seen["text"]), (&json!(CUSTOMER), &json!("and again")), "{seen}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_of_a_tenant_sees_what_it_is_given_also_in_the_standard_body() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.linked(stage.control(), "S", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    assert_eq!(upload(&account, "", asking(env!("GUEST_MIRROR"), &json!({}))).await.status, 201);
    let receiver = Receiver::start().await;
    let wish =
        json!({ "url": receiver.url("/"), "format": "mine", "session_id": session.id, "events": ["message.received"] });
    let made = account.post("/switchboard/v1/webhooks", &account.tenant_key, wish).await;
    assert_eq!(made.status, 201, "{made:?}");
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "secret words").await;
    let shaped = receiver.wait_for(1, |_| true).await.remove(0).body;
    assert!(!shaped.contains("secret words") && !shaped.contains(CUSTOMER), "{shaped}");
    assert!(shaped.contains("p_") && shaped.contains("message.received"), "{shaped}");

    let grants = json!({ "fields": ["text", "number"] });
    assert_eq!(ask(&account, "PUT", "mine/grants", Some(&grants)).await.status, 200);
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "more words").await;
    let shaped = receiver.wait_for(2, |_| true).await.remove(1).body;
    assert!(shaped.contains("more words") && shaped.contains(CUSTOMER), "{shaped}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_asks_the_hosts_that_it_was_given_and_no_others() {
    use base64::Engine;
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let component = base64::engine::general_purpose::STANDARD.encode(std::fs::read(env!("GUEST_HOSTILE")).unwrap());
    let upload = json!({ "name": "asks", "component_base64": component, "mounts": [{ "prefix": "/asks" }] });
    assert_eq!(account.post(BASE, ADMIN_KEY, upload).await.status, 201);
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let fetch =
        async |url: String| account.post("/asks/fetch", "", json!({ "url": url, "headers": { "x-own": "1" } })).await.json();
    let denied = fetch(receiver.url("/orders")).await;
    assert!(denied["error"].as_str().unwrap().starts_with("denied: no grant names http://127.0.0.1"), "{denied}");

    let grants = json!({ "http": [receiver.url(""), "http://10.0.0.1", "http://169.254.169.254"] });
    let set = account.http.json("PUT", &format!("{BASE}/asks/grants"), Some(ADMIN_KEY), Some(&grants)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    let told = fetch(receiver.url("/orders?open=1")).await;
    assert_eq!((&told["status"], told.get("error")), (&json!(200), None), "{told}");
    let seen = receiver.wait_for(1, |_| true).await.remove(0);
    assert_eq!((seen.path.as_str(), seen.header("x-own"), seen.header("idempotency-key")), ("/orders?open=1", "1", ""));
    // A grant opens no inner network, and none opens another's host.
    for url in ["http://10.0.0.1/".to_owned(), "http://169.254.169.254/".to_owned(), other.url("/")] {
        let denied = fetch(url).await;
        assert!(denied["error"].as_str().unwrap().starts_with("denied: "), "{denied}");
    }
    assert!(other.all().is_empty());
    stage.stop().await;
}
