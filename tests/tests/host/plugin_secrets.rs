//! Secrets of plugins over the host's own API: written, never read back, and for the plugin alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::Account;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const PLUGINS: &str = "/switchboard/v1/plugins";
const PLUGIN: &str = "/switchboard/v1/plugins/letters";
const SECRET: &str = "sk_live_0123456789";

/// A plugin of the tenant's own.
async fn upload(account: &Account) {
    let headers =
        [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/wasm".to_owned())];
    let component = std::fs::read(env!("GUEST_LETTERHEAD")).unwrap();
    let path = "/switchboard/v1/plugins?name=letters";
    let made = account.http.exchange("POST", path, &headers, component).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
}

async fn ask(account: &Account, key: &str, method: &str, path: &str, body: Option<Value>) -> LocalAnswer {
    account.http.json(method, &format!("{PLUGIN}/secrets{path}"), Some(key), body.as_ref()).await.unwrap()
}

fn names(listed: &LocalAnswer) -> Vec<String> {
    assert_eq!(listed.status, 200, "{listed:?}");
    assert!(!String::from_utf8_lossy(&listed.body).contains("sk_"), "{listed:?}");
    let secrets = listed.json()["secrets"].as_array().unwrap().clone();
    secrets.iter().map(|secret| secret["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_written_listed_without_its_value_and_removed() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    upload(&account).await;
    let key = &account.tenant_key;
    let put = async |name: &str, body: Value| ask(&account, key, "PUT", &format!("/{name}"), Some(body)).await;
    let made = put("API_KEY", json!({ "value": SECRET })).await;
    assert_eq!((made.status, &made.json()["name"]), (201, &json!("API_KEY")), "{made:?}");
    let again = put("API_KEY", json!({ "value": "sk_another" })).await;
    assert_eq!((again.status, &again.json()["created_at"]), (200, &made.json()["created_at"]), "{again:?}");
    assert!(!String::from_utf8_lossy(&again.body).contains("sk_"), "{again:?}");
    put("B.2-x_y", json!({ "value": "x" })).await;
    assert_eq!(names(&ask(&account, key, "GET", "", None).await), ["API_KEY", "B.2-x_y"]);

    // Nobody reads it back, and no error says it.
    assert_eq!(ask(&account, key, "GET", "/API_KEY", None).await.status, 405);
    for (name, body, place) in [
        ("API_KEY", json!({ "value": "" }), "#/value"),
        ("API_KEY", json!({ "value": format!("sk_{}", "x".repeat(10_238)) }), "#/value"),
        ("API_KEY", json!({ "value": [SECRET] }), "#/value"),
        ("API_KEY", json!({ "value": SECRET, "sk_": 1 }), "#/sk_"),
    ] {
        let refused = put(name, body).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!(place)), "{refused:?}");
        assert!(!String::from_utf8_lossy(&refused.body).contains(SECRET), "{refused:?}");
    }
    let refused = put("API%20KEY", json!({ "value": SECRET })).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["parameter"]), (422, &json!("secret")), "{refused:?}");
    assert_eq!(put("BIG", json!({ "value": "x".repeat(10_240) })).await.status, 201);

    assert_eq!(ask(&account, key, "DELETE", "/API_KEY", None).await.status, 204);
    assert_eq!(ask(&account, key, "DELETE", "/API_KEY", None).await.status, 404);
    for n in 0..62 {
        assert_eq!(put(&format!("S{n}"), json!({ "value": "x" })).await.status, 201);
    }
    let full = put("MORE", json!({ "value": "x" })).await;
    assert_eq!(
        (full.status, &full.json()["limit"], &full.json()["max"]),
        (403, &json!("plugin_secrets"), &json!(64)),
        "{full:?}"
    );
    let value = json!({ "value": "x" });
    let nowhere = account.http.json("PUT", "/switchboard/v1/plugins/none/secrets/A", Some(key), Some(&value));
    assert_eq!(nowhere.await.unwrap().status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_their_owners_and_outlive_a_restart() {
    let stage = Stage::start().await;
    let (ours, theirs) = (stage.account("Ours").await, stage.account("Theirs").await);
    upload(&ours).await;
    upload(&theirs).await;
    let put = ask(&ours, &ours.tenant_key, "PUT", "/API_KEY", Some(json!({ "value": SECRET }))).await;
    assert_eq!(put.status, 201, "{put:?}");
    assert!(names(&ask(&theirs, &theirs.tenant_key, "GET", "", None).await).is_empty());
    assert_eq!(ask(&theirs, &theirs.tenant_key, "DELETE", "/API_KEY", None).await.status, 404);
    assert_eq!(names(&ask(&ours, ADMIN_KEY, "GET", &format!("?tenant={}", ours.tenant), None).await), ["API_KEY"]);
    let reader = ours.key(json!({ "kind": "tenant", "scopes": ["plugins:read"] })).await;
    assert_eq!(ask(&ours, &reader, "PUT", "/API_KEY", Some(json!({ "value": "x" }))).await.status, 403);
    assert_eq!(ask(&ours, &reader, "DELETE", "/API_KEY", None).await.status, 403);
    let stage = stage.restart().await;
    let ours = Account { http: stage.http(), ..ours };
    assert_eq!(names(&ask(&ours, &ours.tenant_key, "GET", "", None).await), ["API_KEY"], "it is kept");
    let deleted = ours.http.json("DELETE", PLUGIN, Some(&ours.tenant_key), None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    upload(&ours).await;
    assert!(names(&ask(&ours, &ours.tenant_key, "GET", "", None).await).is_empty(), "it went with its plugin");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_reads_the_newest_value_of_the_secrets_that_were_granted_to_it() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let component = STANDARD.encode(std::fs::read(env!("GUEST_KEEPER")).unwrap());
    let wish = json!({
        "name": "keeper", "component_base64": component, "mounts": [{ "prefix": "/keeper" }], "grants": "asked",
    });
    assert_eq!(account.post(PLUGINS, ADMIN_KEY, wish).await.status, 201);
    let put = async |name: &str, value: &str| {
        let path = format!("{PLUGINS}/keeper/secrets/{name}");
        let put = account.http.json("PUT", &path, Some(ADMIN_KEY), Some(&json!({ "value": value }))).await.unwrap();
        assert!(matches!(put.status, 200 | 201), "{put:?}");
    };
    let lengths = async || {
        let acts = json!([{ "secret": "API_KEY" }, { "secret": "OTHER" }]);
        String::from_utf8(account.post("/keeper/acts", &account.tenant_key, acts).await.body).unwrap()
    };
    let denied = "denied: secrets: the plugin has no grant for it: \"OTHER\"";
    assert_eq!(lengths().await, format!("not found; {denied}"));
    put("API_KEY", SECRET).await;
    put("OTHER", SECRET).await;
    assert_eq!(lengths().await, format!("18; {denied}"));
    put("API_KEY", "sk_new").await;
    assert_eq!(lengths().await, format!("6; {denied}"));
    stage.stop().await;
}
