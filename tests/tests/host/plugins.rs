//! Plugins that a tenant uploads: they run as soon as the upload is answered, for that tenant alone.

use std::path::Path;

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, phone, received, shows, write};
use switchboard_tests::components::replaced;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const HOSTILE: &str = env!("GUEST_HOSTILE");
const AUTO_REPLY: &str = env!("PLUGIN_AUTO_REPLY");
const CUSTOMER: &str = "491520000001";

async fn upload(account: &Account, key: &str, name: &str, component: Vec<u8>) -> LocalAnswer {
    let headers = [("authorization", format!("Bearer {key}")), ("content-type", "application/wasm".to_owned())];
    let path = format!("/switchboard/v1/plugins?name={name}&grants=asked");
    account.http.exchange("POST", &path, &headers, component).await.unwrap()
}

fn component(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(path)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_live_configured_replaced_and_deleted_while_the_host_runs() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    account.linked(stage.control(), "S", "491510000001").await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;

    let made = upload(&account, &account.tenant_key, "replies", component(AUTO_REPLY)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["interfaces"], json!(["responder"]));
    let config = json!({ "replies": [{ "keyword": "one", "reply": "first" }] });
    let path = "/switchboard/v1/plugins/replies";
    let put = stage.http().json("PUT", &format!("{path}/config"), Some(&account.tenant_key), Some(&config)).await.unwrap();
    assert_eq!(put.status, 200, "{put:?}");
    write(stage.control(), ADMIN_KEY, CUSTOMER, "491510000001", "one").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "first").await;

    // The same component again keeps its configuration.
    assert_eq!(upload(&account, &account.tenant_key, "replies", component(AUTO_REPLY)).await.json()["config"], config);
    let delete = stage.http().json("DELETE", path, Some(&account.tenant_key), None).await.unwrap();
    assert_eq!(delete.status, 204, "{delete:?}");
    assert_eq!(account.get(path, &account.tenant_key).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_an_object_within_its_limit_and_what_was_before_stays_when_it_is_not() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let key = &account.tenant_key;
    account.auto_reply(json!({ "replies": [] })).await;
    let path = "/switchboard/v1/plugins/auto-reply/config";
    let large = json!({ "replies": [{ "keyword": "x", "reply": "y".repeat(256 * 1024) }] });
    for (config, why) in [
        (json!([{ "keyword": "x" }]), "is an array; an object is expected"),
        (json!("x"), "is a text; an object is expected"),
        (json!(null), "is null; an object is expected"),
        (large, "the limit is 262144"),
    ] {
        let put = stage.http().json("PUT", path, Some(key), Some(&config)).await.unwrap();
        let upload = json!({ "name": "auto-reply", "builtin": "auto-reply", "config": config });
        let posted = account.post("/switchboard/v1/plugins", key, upload).await;
        for (answer, place) in [(put, "#"), (posted, "#/config")] {
            assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (422, &json!(place)), "{answer:?}");
            assert!(answer.json()["detail"].as_str().unwrap().contains(why), "{answer:?}");
        }
    }
    assert_eq!(account.get(path, key).await.json(), json!({ "replies": [] }));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_would_not_follow_is_refused_by_place_and_what_was_before_stays() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let path = "/switchboard/v1/plugins/wasender/config";
    let put = async |config: Value| stage.http().json("PUT", path, Some(ADMIN_KEY), Some(&config)).await.unwrap();
    let good = json!({ "requests_per_minute": 1_000, "messages_per_minute": null });
    let set = put(good.clone()).await;
    assert_eq!((set.status, &set.json()["config"]), (200, &good), "{set:?}");
    let refused = put(json!({ "messages_per_minute": -1, "requests_per_minute": 0, "requests/min": 5 })).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let expected = "a whole number from 1 to 1000000, or null for no limit, is expected";
    let errors = json!([
        { "pointer": "#/messages_per_minute", "detail": format!("is -1; {expected}") },
        { "pointer": "#/requests~1min", "detail": "is not known; there are: requests_per_minute, messages_per_minute" },
        { "pointer": "#/requests_per_minute", "detail": format!("is 0; {expected}") },
    ]);
    assert_eq!((&refused.json()["errors"], &refused.json()["code"]), (&errors, &json!("config")), "{refused:?}");
    assert_eq!(refused.json()["detail"], format!("messages_per_minute: is -1; {expected}"));
    assert_eq!(account.get(path, ADMIN_KEY).await.json(), good);

    let key = &account.tenant_key;
    let wish = json!({ "name": "replies", "builtin": "auto-reply", "config": { "replies": [{ "keyword": "x" }] } });
    let refused = account.post("/switchboard/v1/plugins", key, wish).await;
    let place = json!("#/config/replies/0/reply");
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &place), "{refused:?}");
    assert_eq!(account.get("/switchboard/v1/plugins/replies", key).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_finds_faults_with_the_configuration_there_is_does_not_take_the_place_of_the_one_before() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let key = &account.tenant_key;
    assert_eq!(upload(&account, key, "mine", component(env!("GUEST_LETTERHEAD"))).await.status, 201);
    let (path, any) = ("/switchboard/v1/plugins/mine", json!({ "anything": ["goes"] }));
    let put = stage.http().json("PUT", &format!("{path}/config"), Some(key), Some(&any)).await.unwrap();
    assert_eq!(put.status, 200, "it checks nothing: {put:?}");
    let refused = upload(&account, key, "mine", component(AUTO_REPLY)).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/config/anything")), "{refused:?}");
    let kept = account.get(path, key).await.json();
    assert_eq!((&kept["interfaces"], &kept["config"]), (&json!(["template"]), &any));
    let put = stage.http().json("PUT", &format!("{path}/config"), Some(key), Some(&json!({}))).await.unwrap();
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(upload(&account, key, "mine", component(AUTO_REPLY)).await.status, 201);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_answers_its_own_tenant_alone_and_survives_a_restart() {
    let stage = Stage::start().await;
    let (ours, theirs) = (stage.account("Ours").await, stage.account("Theirs").await);
    ours.auto_reply(json!({ "replies": [{ "keyword": "ping", "reply": "pong of ours" }] })).await;
    ours.linked(stage.control(), "Ours", "491510000001").await;
    theirs.linked(stage.control(), "Theirs", "491510000002").await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let stage = stage.restart().await;
    let theirs = Account { http: stage.http(), ..theirs };
    assert_eq!(theirs.get("/switchboard/v1/plugins/auto-reply", &theirs.tenant_key).await.status, 404);
    write(stage.control(), ADMIN_KEY, CUSTOMER, "491510000002", "ping").await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, "491510000001", "ping").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "pong of ours").await;
    let shown = received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_cannot_run_is_refused_by_name() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let mut broken = component(AUTO_REPLY);
    broken.truncate(broken.len() / 2);
    let cases = [
        (Vec::new(), "empty"),
        (b"PK\x03\x04".to_vec(), "not_wasm"),
        (b"\0asm\x01\0\0\0".to_vec(), "core_module"),
        (b"\x7fELF\x02\x01\x01\0".to_vec(), "precompiled"),
        (broken, "truncated"),
        (component(env!("GUEST_NO_INTERFACE")), "no_known_interface"),
        (component(env!("GUEST_IMPORTS_KEYS")), "forbidden_import"),
    ];
    for (bytes, code) in cases {
        let refused = upload(&account, &account.tenant_key, "bad", bytes).await;
        assert_eq!((refused.status, &refused.json()["code"]), (422, &json!(code)), "{refused:?}");
    }
    let newer = replaced(&component(AUTO_REPLY), b"plugin/config@0.1.0", b"plugin/config@0.7.0");
    let refused = upload(&account, &account.tenant_key, "newer", newer).await.json();
    let told = |name: &str| refused[name].as_str().unwrap_or_default().to_owned();
    assert_eq!((told("code"), told("interface")), ("wrong_version".into(), "switchboard:plugin/config@0.7.0".into()));
    assert_eq!((told("asked"), told("offered")), ("0.7.0".into(), "0.1.0".into()));
    assert!(told("change").contains("Cargo.toml") && told("detail").ends_with(&told("change")), "{refused}");
    assert_eq!(account.get("/switchboard/v1/plugins", &account.tenant_key).await.json()["plugins"], json!([]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_needs_a_key_a_name_and_a_type() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let limited = account.key(json!({ "kind": "tenant", "scopes": ["messages:*"] })).await;
    for (key, status) in [("", 401), ("sk_live_nobody", 401), (account.token.as_str(), 403), (limited.as_str(), 403)] {
        assert_eq!(upload(&account, key, "x", component(AUTO_REPLY)).await.status, status, "{key}");
    }
    let key = &account.tenant_key;
    assert_eq!(upload(&account, key, "Not%20A%20Name", component(AUTO_REPLY)).await.status, 422);
    let router = upload(&account, ADMIN_KEY, "hostile", component(HOSTILE)).await;
    assert_eq!((router.status, &router.json()["errors"][0]["pointer"]), (422, &json!("#/mounts")), "{router:?}");
    let text = [("authorization", format!("Bearer {key}")), ("content-type", "text/plain".to_owned())];
    let refused = account.http.exchange("POST", "/switchboard/v1/plugins?name=x", &text, vec![1]).await.unwrap();
    assert_eq!(refused.status, 415);
    let mounted = json!({ "name": "x", "builtin": "wasender", "mounts": [{ "prefix": "/api/v2" }] });
    let refused = account.post("/switchboard/v1/plugins", key, mounted).await;
    let told = refused.json()["errors"][0].clone();
    assert_eq!((refused.status, &told["pointer"]), (422, &json!("#/builtin")), "{refused:?}");
    let words = told["detail"].as_str().unwrap();
    let (_, offered) = words.split_once("may name: ").unwrap();
    assert!(words.contains("for all tenants at once") && offered.starts_with("auto-reply, business-hours"), "{words}");
    assert!(offered.contains("templates") && !offered.contains("wasender"), "{words}");
    let operators = upload(&account, key, "bad", component(env!("GUEST_IMPORTS_KEYS"))).await.json();
    assert!(operators["detail"].as_str().unwrap().contains("let the operator install the plugin"), "{operators}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_mounts_a_router_and_no_two_serve_the_same() {
    use base64::Engine;
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let component_base64 = base64::engine::general_purpose::STANDARD.encode(component(HOSTILE));
    let mount = |prefix: &str| json!({ "name": "hostile", "component_base64": component_base64, "mounts": [{ "prefix": prefix, "owner": true }] });
    let made = account.post("/switchboard/v1/plugins", ADMIN_KEY, mount("/hostile")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let trap = account.get("/hostile/trap", "").await;
    assert!(trap.status >= 500, "{trap:?}");
    let forged = account.get("/hostile/forge", "").await;
    assert!(forged.header("x-forged").is_none(), "{forged:?}");
    assert_eq!(account.get("/healthz", "").await.status, 200);

    let taken = json!({ "name": "second", "builtin": "wasender", "mounts": [{ "prefix": "/api/v1" }] });
    let refused = account.post("/switchboard/v1/plugins", ADMIN_KEY, taken).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("routes")), "{refused:?}");
    let reserved = json!({ "name": "second", "builtin": "wasender", "mounts": [{ "prefix": "/switchboard/x" }] });
    assert_eq!(account.post("/switchboard/v1/plugins", ADMIN_KEY, reserved).await.status, 409);
    stage.stop().await;
}
