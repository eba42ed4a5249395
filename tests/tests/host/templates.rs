//! Templates: stored through the host's own API, tried out, and sent as what they say.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_core::records::id::TenantId;
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::contract::Contract;
use switchboard_tests::files::{picture, serve};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

use crate::policies::damage;

const CUSTOMER: &str = "491520000001";
const TEMPLATES: &str = "/switchboard/v1/templates";

async fn start() -> (Stage, Account, TestSession) {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.linked(stage.control(), "S", "491510000001").await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    (stage, account, session)
}

async fn store(account: &Account, name: &str, language: &str, definition: Value) -> LocalAnswer {
    let wish = json!({ "name": name, "language": language, "definition": definition });
    account.post(TEMPLATES, &account.tenant_key, wish).await
}

async fn ask(account: &Account, method: &str, path: &str, body: Option<Value>) -> LocalAnswer {
    account.http.json(method, &format!("{TEMPLATES}{path}"), Some(&account.tenant_key), body.as_ref()).await.unwrap()
}

async fn send(account: &Account, session: &TestSession, call: Value) -> LocalAnswer {
    let wish = json!({ "session_id": session.id, "to": CUSTOMER, "content": { "type": "template", "value": call } });
    account.post("/switchboard/v1/messages", &account.tenant_key, wish).await
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_stored_listed_changed_and_removed() {
    let stage = Stage::start().await;
    let (ours, theirs) = (stage.account("Ours").await, stage.account("Theirs").await);
    let contract = Contract::of(stage.http()).await;
    let made = store(&ours, "welcome", "en-us", json!({ "body": "Hello {{name}}" })).await;
    contract.check("post", "/templates", &made);
    assert_eq!((made.status, &made.json()["language"]), (201, &json!("en_US")), "{made:?}");
    assert_eq!(made.json()["parameters"], json!(["name"]));
    let id = made.json()["id"].as_u64().unwrap();
    assert_eq!(store(&ours, "welcome", "en_US", json!({ "body": "x" })).await.json()["code"], "taken");
    assert_eq!(store(&ours, "welcome", "de", json!({ "body": "Hallo {{name}}" })).await.status, 201);
    assert_eq!(store(&ours, "bye", "en", json!({ "body": "Bye" })).await.status, 201);

    let listed = ask(&ours, "GET", "?limit=2", None).await;
    contract.check("get", "/templates", &listed);
    assert_eq!(listed.json()["templates"].as_array().unwrap().len(), 2);
    let next = listed.json()["next_cursor"].as_str().unwrap().to_owned();
    let rest = ask(&ours, "GET", &format!("?limit=2&cursor={next}"), None).await.json();
    assert_eq!((rest["templates"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    assert_eq!(ask(&ours, "GET", "?name=welcome", None).await.json()["templates"].as_array().unwrap().len(), 2);

    let changed = ask(&ours, "PATCH", &format!("/{id}"), Some(json!({ "definition": { "body": "Hi {{1}}" } }))).await;
    contract.check("patch", "/templates/{template}", &changed);
    assert_eq!((changed.status, &changed.json()["parameters"]), (200, &json!(["1"])), "{changed:?}");
    assert_eq!(ask(&ours, "PATCH", &format!("/{id}"), Some(json!({ "language": "de" }))).await.status, 409);
    for (method, body) in [("GET", None), ("PATCH", Some(json!({ "name": "x" }))), ("DELETE", None)] {
        let foreign = ask(&theirs, method, &format!("/{id}"), body).await;
        assert_eq!(foreign.status, 404, "another tenant's template does not exist: {foreign:?}");
    }
    let shown = ask(&ours, "GET", &format!("/{id}"), None).await;
    contract.check("get", "/templates/{template}", &shown);
    assert_eq!(shown.json(), changed.json());
    assert_eq!(ask(&ours, "DELETE", &format!("/{id}"), None).await.status, 204);
    assert_eq!(ask(&ours, "GET", &format!("/{id}"), None).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_refused_by_its_place() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let big = json!({ "body": "x".repeat(33_000) });
    for (name, language, definition, place, why) in [
        ("Welcome", "en", json!({ "body": "x" }), "#/name", "a-z"),
        ("welcome", "english", json!({ "body": "x" }), "#/language", "en_US"),
        ("welcome", "en", json!({ "body": "{{x" }), "#/definition/body", "without }}"),
        ("welcome", "en", json!({ "body": "{{1}} {{name}}" }), "#/definition", "one or the other"),
        (
            "welcome",
            "en",
            json!({ "text": "x" }),
            "#/definition/text",
            "is not a field; there are: header, body, footer, buttons",
        ),
        ("welcome", "en", json!({ "body": 5 }), "#/definition/body", "is 5; a string is expected"),
        (
            "welcome",
            "en",
            json!({ "body": "x", "buttons": [{ "type": "reply" }] }),
            "#/definition/buttons/0/title",
            "required",
        ),
        (
            "welcome",
            "en",
            json!({ "body": "x", "header": { "type": "image", "url": "a" } }),
            "#/definition/header/url",
            "does not begin with https:// or http://",
        ),
        ("welcome", "en", big, "#/definition", "the limit is 32768"),
    ] {
        let refused = store(&account, name, language, definition).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!(place)), "{refused:?}");
        assert!(refused.json()["detail"].as_str().unwrap().contains(why), "{refused:?}");
    }
    let reader = account.key(json!({ "kind": "tenant", "scopes": ["templates:read"] })).await;
    let wish = json!({ "name": "welcome", "language": "en", "definition": { "body": "x" } });
    assert_eq!(account.post(TEMPLATES, &reader, wish.clone()).await.status, 403);
    assert_eq!(account.get(TEMPLATES, &reader).await.status, 200);
    let session = account.session("S").await;
    assert_eq!(account.post(TEMPLATES, &session.key, wish).await.status, 403, "it would be every session's");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_tried_out_without_sending_anything() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let contract = Contract::of(stage.http()).await;
    let button = json!({ "type": "reply", "id": "ok", "title": "{{2}}" });
    let made = store(&account, "ask", "en", json!({ "body": "Well, {{1}}?", "buttons": [button] })).await.json();
    let path = format!("/{}/preview", made["id"]);
    let shown = ask(&account, "POST", &path, Some(json!({ "parameters": ["Ada", "Yes"] }))).await;
    contract.check("post", "/templates/{template}/preview", &shown);
    let content = &shown.json()["content"];
    assert_eq!((&content["type"], &content["value"]["body"]), (&json!("interactive"), &json!("Well, Ada?")), "{shown:?}");
    assert_eq!(content["value"]["buttons"][0]["title"], "Yes");
    let missing = ask(&account, "POST", &path, Some(json!({ "parameters": { "1": "Ada" } }))).await;
    assert_eq!((missing.status, &missing.json()["code"]), (422, &json!("missing_parameter")), "{missing:?}");
    assert_eq!(missing.json()["parameter"], "2");
    let surplus = ask(&account, "POST", &path, Some(json!({ "parameters": ["Ada", "Yes", "No"] }))).await;
    let told = "\"3\" is no parameter of the template: it has 1, 2";
    assert_eq!((surplus.status, &surplus.json()["errors"][0]["detail"]), (422, &json!(told)), "{surplus:?}");
    let wrong = ask(&account, "POST", &path, Some(json!({ "parameters": ["Ada", []] }))).await;
    assert!(wrong.json()["errors"][0]["pointer"].as_str().unwrap().starts_with("#/parameters"), "{wrong:?}");
    let long = ask(&account, "POST", &path, Some(json!({ "parameters": ["Ada", "x".repeat(21)] }))).await;
    assert!(long.json()["detail"].as_str().unwrap().contains("the limit is 20"), "{long:?}");
    assert_eq!(account.events().await, Vec::<Value>::new());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_arrives_as_what_it_says_in_the_language_that_is_meant() {
    let (stage, account, session) = start().await;
    store(&account, "welcome", "en", json!({ "body": "Hello {{name}}", "footer": "Bye" })).await;
    store(&account, "welcome", "de", json!({ "body": "Hallo {{name}}" })).await;
    let call = |language: Option<&str>| json!({ "name": "welcome", "language": language, "parameters": { "name": "Ada" } });
    let sent = send(&account, &session, call(Some("en_GB"))).await;
    assert_eq!((sent.status, &sent.json()["template"]["language"]), (202, &json!("en")), "{sent:?}");
    assert_eq!(sent.json()["content"], json!({ "type": "text", "value": "Hello Ada\n\nBye" }));
    stage.phone_shows(CUSTOMER, |shown| shown["text"] == "Hello Ada\n\nBye").await;

    let unclear = send(&account, &session, call(None)).await;
    assert_eq!((unclear.status, &unclear.json()["code"]), (422, &json!("no_such_template")), "{unclear:?}");
    assert!(unclear.json()["detail"].as_str().unwrap().contains("de, en"), "{unclear:?}");
    let set = ask(&account, "PUT", "/settings", Some(json!({ "default_language": "DE" }))).await;
    assert_eq!(set.json(), json!({ "default_language": "de" }), "{set:?}");
    assert_eq!(send(&account, &session, call(None)).await.status, 202);
    stage.phone_shows(CUSTOMER, |shown| shown["text"] == "Hallo Ada").await;
    let surplus = json!({ "name": "welcome", "language": "en", "parameters": { "name": "Ada", "nmae": "Bea" } });
    let surplus = send(&account, &session, surplus).await;
    assert_eq!(surplus.json()["errors"][0]["pointer"], "#/content/value/parameters", "{surplus:?}");
    assert!(surplus.json()["detail"].as_str().unwrap().ends_with("it has name"), "{surplus:?}");
    let missing = send(&account, &session, json!({ "name": "welcome", "parameters": [] })).await;
    assert_eq!((missing.status, &missing.json()["parameter"]), (422, &json!("name")), "{missing:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_way_to_render_comes_before_the_one_that_is_carried() {
    let (stage, account, session) = start().await;
    let headers =
        [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/wasm".to_owned())];
    let component = std::fs::read(env!("GUEST_LETTERHEAD")).unwrap();
    let path = "/switchboard/v1/plugins?name=letterhead";
    let made = account.http.exchange("POST", path, &headers, component).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(store(&account, "letter", "en", json!({ "body": "x" })).await.status, 422);
    for says in ["hello", "trap", "again"] {
        assert_eq!(store(&account, says, "en", json!({ "says": says })).await.status, 201);
    }
    let sent = send(&account, &session, json!({ "name": "hello", "parameters": { "to": "Ada" } })).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    stage.phone_shows(CUSTOMER, |shown| shown["text"] == "ACME Ltd.\nAda, hello").await;
    let trapped = send(&account, &session, json!({ "name": "trap" })).await;
    assert_eq!(trapped.status, 503, "{trapped:?}");
    let again = send(&account, &session, json!({ "name": "again" })).await;
    assert_eq!(again.status, 422, "{again:?}");
    let other = stage.account("B").await;
    assert_eq!(store(&other, "plain", "en", json!({ "body": "x" })).await.status, 201, "others have the carried one");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_place_of_a_template_plugin_that_cannot_be_loaded() {
    let (stage, account, session) = start().await;
    assert_eq!(store(&account, "plain", "en", json!({ "body": "x" })).await.status, 201);
    let headers =
        [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/wasm".to_owned())];
    let component = std::fs::read(env!("GUEST_LETTERHEAD")).unwrap();
    let path = "/switchboard/v1/plugins?name=letterhead";
    assert_eq!(account.http.exchange("POST", path, &headers, component).await.unwrap().status, 201);
    damage(stage.host.storage(), TenantId(account.tenant), "letterhead").await;
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    account.wait_for(&session, "connected").await;
    assert_eq!(store(&account, "other", "en", json!({ "body": "x" })).await.status, 503);
    let sent = send(&account, &session, json!({ "name": "plain" })).await;
    assert_eq!(sent.status, 503, "{sent:?}");
    let path = "/switchboard/v1/plugins/letterhead";
    let deleted = account.http.json("DELETE", path, Some(&account.tenant_key), None).await.unwrap();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    let sent = send(&account, &session, json!({ "name": "plain" })).await;
    assert_eq!(sent.status, 202, "the one that is carried renders again: {sent:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buttons_arrive_below_a_file_or_a_place() {
    let (stage, account, session) = start().await;
    let files = serve().await;
    let buttons = json!([{ "type": "reply", "id": "yes", "title": "Yes" }]);
    let header = json!({ "type": "image", "url": "{{1}}" });
    let definition = json!({ "header": header, "body": "Lunch?", "footer": "until noon", "buttons": buttons });
    assert_eq!(store(&account, "lunch", "en", definition).await.status, 201);
    let header = json!({ "type": "location", "latitude": "{{1}}", "longitude": 13.4, "name": "{{2}}", "address": "Here 1" });
    let definition = json!({ "header": header, "body": "Meet here?", "buttons": buttons });
    assert_eq!(store(&account, "meet", "en", definition).await.status, 201);

    let url = files.url("photo.png");
    let sent = send(&account, &session, json!({ "name": "lunch", "parameters": [url] })).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let kept = &sent.json()["content"]["value"]["attachment"];
    assert_eq!((&kept["type"], kept["value"]["source"]["blob"].is_string()), (&json!("image"), true), "{sent:?}");
    let shown = stage.phone_shows(CUSTOMER, |shown| shown["text"] == "Lunch?").await;
    let asked = &shown["interactive"];
    assert_eq!((&asked["header"]["kind"], &asked["footer"]), (&json!("image"), &json!("until noon")), "{shown}");
    assert_eq!(asked["buttons"][0]["params"], json!({ "display_text": "Yes", "id": "yes" }), "{shown}");
    let path = format!("/switchboard/v1/sim/phones/{CUSTOMER}/messages/{}/media", shown["n"]);
    let file = stage.control().json("GET", &path, Some(ADMIN_KEY), None).await.unwrap();
    assert_eq!((file.status, file.body), (200, picture()), "the phone opens it");

    let sent = send(&account, &session, json!({ "name": "meet", "parameters": ["52.5", "Shop"] })).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let shown = stage.phone_shows(CUSTOMER, |shown| shown["text"] == "Meet here?").await;
    let place = json!({ "latitude": 52.5, "longitude": 13.4, "name": "Shop", "address": "Here 1" });
    assert_eq!(shown["interactive"]["header"], json!({ "kind": "location", "location": place }), "{shown}");
    let lost = send(&account, &session, json!({ "name": "meet", "parameters": ["91", "Shop"] })).await;
    assert!(lost.status == 422 && lost.json()["detail"].as_str().unwrap().contains("-90 to 90"), "{lost:?}");
    let gone = send(&account, &session, json!({ "name": "lunch", "parameters": [files.url("gone.png")] })).await;
    assert_eq!(gone.status, 422, "a file that is not there is no message: {gone:?}");
    stage.stop().await;
}
