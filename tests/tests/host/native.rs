//! The host's own API for tenants: every endpoint with its successes, which are held against the document, and its refusals.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, TestSession, phone, scan, shows};
use switchboard_tests::contract::Contract;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const BASE: &str = "/switchboard/v1";

/// A client that holds every answer against the document.
struct Client {
    account: Account,
    contract: Contract,
}

impl Client {
    async fn of(stage: &Stage, account: &Account) -> Self {
        Self { account: account.clone(), contract: Contract::of(stage.http()).await }
    }

    async fn call(&self, method: &str, template: &str, ids: &[&Value], query: &str, body: Option<Value>) -> LocalAnswer {
        let mut path = template.to_owned();
        for id in ids {
            let (before, rest) = path.split_once('{').unwrap();
            path = format!("{before}{id}{}", rest.split_once('}').unwrap().1);
        }
        let key = Some(&*self.account.tenant_key);
        let answer = self.account.http.json(method, &format!("{BASE}{path}{query}"), key, body.as_ref()).await.unwrap();
        self.contract.check(method, template, &answer);
        answer
    }

    async fn get(&self, template: &str, ids: &[&Value], query: &str) -> Value {
        let answer = self.call("GET", template, ids, query, None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    async fn post(&self, template: &str, ids: &[&Value], body: Value, status: u16) -> Value {
        let answer = self.call("POST", template, ids, "", Some(body)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        answer.json()
    }
}

/// A host, a client, a linked session and a phone to write to.
async fn ready() -> (Stage, Client, TestSession) {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let client = Client::of(&stage, &account).await;
    (stage, client, shop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_made_changed_linked_taken_off_line_and_removed() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let client = Client::of(&stage, &account).await;
    let wish =
        json!({ "name": "Desk", "phone_number": "+49 1510 000001", "settings": { "fetch_media": true, "sending": null } });
    let made = client.post("/sessions", &[], wish, 201).await;
    assert_eq!(
        (&made["state"], &made["phone_number"], &made["settings"]),
        (&json!("created"), &json!(SHOP), &json!({ "fetch_media": true }))
    );
    let id = &made["id"];
    let edit = json!({ "name": "Front desk", "settings": { "fetch_media": null, "pacing": { "gap_ms": 500 } } });
    let changed = client.call("PATCH", "/sessions/{session}", &[id], "", Some(edit)).await.json();
    assert_eq!((&changed["name"], &changed["settings"]), (&json!("Front desk"), &json!({ "pacing": { "gap_ms": 500 } })));
    assert_eq!(client.get("/sessions/{session}", &[id], "").await, changed);

    assert_eq!(client.call("GET", "/sessions/{session}/qr", &[id], "", None).await.status, 409);
    let connecting = client.post("/sessions/{session}/connect", &[id], json!({ "wait_ms": 10000 }), 200).await;
    assert_eq!(connecting["state"], "pairing");
    let qr = client.get("/sessions/{session}/qr", &[id], "").await;
    let png = client.call("GET", "/sessions/{session}/qr", &[id], "?format=png", None).await;
    assert!(png.body.starts_with(b"\x89PNG") && png.header("cache-control") == Some("no-store"));
    phone(stage.control(), ADMIN_KEY, SHOP).await;
    scan(stage.control(), ADMIN_KEY, SHOP, qr["text"].as_str().unwrap()).await;
    let connected = async || client.get("/sessions/{session}", &[id], "").await["state"] == "connected";
    assert!(until(PATIENCE, connected).await);
    let taken =
        client.call("POST", "/sessions/{session}/pairing-code", &[id], "", Some(json!({ "phone_number": SHOP }))).await;
    assert_eq!(taken.status, 409, "{taken:?}");

    assert_eq!(client.post("/sessions/{session}/disconnect", &[id], json!({}), 200).await["state"], "disconnected");
    assert_eq!(client.post("/sessions/{session}/connect", &[id], json!({}), 200).await["state"], "connected");
    assert_eq!(client.call("DELETE", "/sessions/{session}", &[id], "", None).await.status, 204);
    assert_eq!(client.call("GET", "/sessions/{session}", &[id], "", None).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_typed_into_the_phone_links_a_session() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let client = Client::of(&stage, &account).await;
    phone(stage.control(), ADMIN_KEY, SHOP).await;
    let session = account.session("Desk").await;
    let id = &json!(session.id);
    let refused =
        client.call("POST", "/sessions/{session}/pairing-code", &[id], "", Some(json!({ "phone_number": "12" }))).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/phone_number")));
    let nobody = json!({ "phone_number": "491510000077" });
    let refused = client.call("POST", "/sessions/{session}/pairing-code", &[id], "", Some(nobody)).await;
    let told = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(refused.status == 409 && told.contains("491510000077 is not on WhatsApp"), "{refused:?}");
    // The code that was drawn first is lost: the second one links.
    for _ in 0..2 {
        let drawn =
            client.post("/sessions/{session}/pairing-code", &[id], json!({ "phone_number": format!("+{SHOP}") }), 200).await;
        assert_eq!((drawn["code"].as_str().unwrap().len(), &drawn["phone_number"]), (8, &json!(SHOP)), "{drawn}");
    }
    let drawn = client.post("/sessions/{session}/pairing-code", &[id], json!({ "phone_number": SHOP }), 200).await;
    let path = format!("{BASE}/sim/phones/{SHOP}/link");
    let linked = account.post(&path, ADMIN_KEY, json!({ "code": drawn["code"] })).await;
    assert_eq!(linked.status, 200, "{linked:?}");
    account.wait_for(&session, "connected").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_sent_looked_at_filtered_and_paged() {
    let (stage, client, shop) = ready().await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let body = json!({ "session_id": shop.id, "to": CUSTOMER, "text": text });
        ids.push(client.post("/messages", &[], body, 202).await["id"].clone());
    }
    let shown = shows(stage.control(), ADMIN_KEY, CUSTOMER, "one").await;
    let quoting = json!({
        "session_id": shop.id, "to": format!("{CUSTOMER}@s.whatsapp.net"), "content": { "type": "text", "value": "four" },
        "quote": { "message_id": shown["id"] }, "mentions": [CUSTOMER], "priority": "bulk",
    });
    ids.push(client.post("/messages", &[], quoting, 202).await["id"].clone());
    let shown = shows(stage.control(), ADMIN_KEY, CUSTOMER, "four").await;
    assert!(shown["quoted_id"].is_string(), "{shown}");
    let acknowledged = async || client.get("/messages/{message}", &[&ids[3]], "").await["reached"]["acknowledged"].is_u64();
    assert!(until(PATIENCE, acknowledged).await);

    let mut listed = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = client.get("/messages", &[], &query).await;
        listed.extend(page["messages"].as_array().unwrap().iter().map(|message| message["id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=3&cursor={next}");
    }
    assert_eq!(listed, ids.iter().rev().cloned().collect::<Vec<_>>());
    let count = async |query: &str| client.get("/messages", &[], query).await["messages"].as_array().unwrap().len();
    assert_eq!(count(&format!("?session_id={}&chat=%2B{CUSTOMER}", shop.id)).await, 4);
    assert_eq!(
        (count("?session_id=1").await, count(&format!("?chat={SHOP}")).await, count("?state=expired").await),
        (0, 0, 0)
    );
    for wrong in ["state=gone", "limit=0", "limit=201", "cursor=x", "chat=nobody", "session_id=x"] {
        assert_eq!(client.call("GET", "/messages", &[], &format!("?{wrong}"), None).await.status, 422, "{wrong}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_later_can_be_taken_back_and_one_that_went_out_cannot() {
    let (stage, client, shop) = ready().await;
    let soon = client.post("/messages", &[], json!({ "session_id": shop.id, "to": CUSTOMER, "text": "now" }), 202).await;
    let at = soon["accepted_at"].as_u64().unwrap() + 3_600_000;
    let later = json!({ "session_id": shop.id, "to": CUSTOMER, "text": "later", "send_at": at, "expires_at": at + 1000 });
    let later = client.post("/messages", &[], later, 202).await;
    assert_eq!((&later["send_at"], &later["state"]), (&json!(at), &json!("queued")));
    for _ in 0..2 {
        let cancelled = client.call("DELETE", "/messages/{message}", &[&later["id"]], "", None).await;
        assert_eq!((cancelled.status, &cancelled.json()["state"]), (200, &json!("cancelled")), "{cancelled:?}");
    }
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "now").await;
    assert_eq!(client.call("DELETE", "/messages/{message}", &[&soon["id"]], "", None).await.status, 409);
    let past = json!({ "session_id": shop.id, "to": CUSTOMER, "text": "x", "expires_at": 1 });
    assert_eq!(client.post("/messages", &[], past, 422).await["errors"][0]["pointer"], "#/expires_at");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_tells_what_became_of_each_message_and_how_far_they_are() {
    let (stage, client, shop) = ready().await;
    let messages =
        json!([{ "to": CUSTOMER, "text": "1" }, { "to": "nobody", "text": "2" }, { "to": CUSTOMER, "text": "3" }]);
    let body = json!({ "session_id": shop.id, "name": "Sale", "messages": messages });
    let batch = client.post("/messages/batch", &[], body, 202).await;
    let results = batch["results"].as_array().unwrap();
    assert!(results[0]["message_id"].is_u64() && results[2]["message_id"].is_u64(), "{batch}");
    assert!(results[1]["error"].as_str().unwrap().starts_with("to: "), "{batch}");
    assert_eq!(results.iter().map(|result| result["index"].clone()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(results[1]["errors"][0]["pointer"], "#/messages/1/to");
    let message = client.get("/messages/{message}", &[&results[0]["message_id"]], "").await;
    assert_eq!((&message["batch_id"], &message["priority"]), (&batch["id"], &json!("bulk")));
    let mut progress = Value::Null;
    let done = async || {
        progress = client.get("/batches/{batch}", &[&batch["id"]], "").await;
        progress["states"]["delivered"] == 2
    };
    assert!(until(PATIENCE, done).await, "{progress}");
    assert_eq!((&progress["messages"], &progress["name"]), (&json!(2), &json!("Sale")));
    for wrong in
        [json!([]), json!([{ "to": "nobody", "text": "2" }]), json!(vec![json!({ "to": CUSTOMER, "text": "x" }); 1001])]
    {
        client.post("/messages/batch", &[], json!({ "session_id": shop.id, "messages": wrong }), 422).await;
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_entry_of_a_batch_leaves_the_others_alone() {
    let (stage, client, shop) = ready().await;
    let good = |text: &str| json!({ "to": CUSTOMER, "text": text });
    let messages = json!([
        good("1"),
        { "to": CUSTOMER, "txt": "2" },
        5,
        { "to": CUSTOMER, "content": { "type": "image", "value": { "source": { "blob": "med_1" }, "captoin": "x" } } },
        { "to": CUSTOMER, "text": "x", "session_id": 1 },
        { "to": CUSTOMER, "content": { "type": "poll", "value": { "name": "?", "options": ["a", "a"] } } },
        good("7"),
    ]);
    let body = json!({ "session_id": shop.id, "messages": messages });
    let batch = client.post("/messages/batch", &[], body, 202).await;
    assert_eq!(batch["messages"], 2, "{batch}");
    let results = batch["results"].as_array().unwrap();
    assert!(results[0]["message_id"].is_u64() && results[6]["message_id"].is_u64(), "{batch}");
    for (index, place) in [
        (1, "#/messages/1/txt"),
        (2, "#/messages/2"),
        (3, "#/messages/3/content/value/captoin"),
        (4, "#/messages/4/session_id"),
        (5, "#/messages/5/content/value/options/1"),
    ] {
        let result = &results[index];
        assert_eq!((&result["index"], &result["errors"][0]["pointer"]), (&json!(index), &json!(place)), "{result}");
        assert!(result["message_id"].is_null() && result["error"].is_string(), "{result}");
    }
    for text in ["1", "7"] {
        shows(stage.control(), ADMIN_KEY, CUSTOMER, text).await;
    }
    let body = json!({ "session_id": shop.id, "messages": [{ "to": CUSTOMER }, { "too": CUSTOMER }] });
    let refused = client.post("/messages/batch", &[], body, 422).await;
    assert_eq!(refused["results"][1]["errors"][0]["pointer"], "#/messages/1/too", "{refused}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_field_of_a_body_is_told_with_its_place_the_value_and_what_is_allowed() {
    let (stage, client, shop) = ready().await;
    let content = |content_type: &str, value: Value| json!({ "content": { "type": content_type, "value": value } });
    let card = json!({ "display_name": "Ada", "phones": ["+491520000001", "12"] });
    for (more, place, words) in [
        (
            content("image", json!({ "source": { "blob": "med_1" }, "captoin": "x" })),
            "#/content/value/captoin",
            "is not a field",
        ),
        (content("location", json!({ "latitude": 91, "longitude": 0 })), "#/content/value/latitude", "is 91; -90 to 90"),
        (
            content("location", json!({ "latitude": "up", "longitude": 0 })),
            "#/content/value/latitude",
            "is \"up\"; a number",
        ),
        (content("contacts", json!([card])), "#/content/value/0/phones/1", "\"12\" is not"),
        (content("text", json!(" ")), "#/content/value", "is empty"),
        (content("edit", json!({ "message_id": "3EB0", "text": "" })), "#/content/value/text", "is empty"),
        (content("hologram", json!({})), "#/content/type", "\"hologram\" is none of: text, image"),
        (json!({ "text": "x", "quote": { "id": "3EB0" } }), "#/quote/id", "is not a field; there are: message_id, sender"),
        (json!({ "text": "x", "mentions": [5] }), "#/mentions/0", "is 5; a string is expected"),
        (json!({ "text": "x", "mentions": ["nobody"] }), "#/mentions", "nobody"),
        (json!({ "text": "x", "priority": "high" }), "#/priority", "\"high\" is none of: interactive, bulk"),
        (json!({ "text": "x", "send_at": "tomorrow" }), "#/send_at", "a whole number from 0 on is expected"),
        (json!({ "text": "" }), "#/text", "is empty"),
    ] {
        let mut body = more.clone();
        body["session_id"] = json!(shop.id);
        body["to"] = json!(CUSTOMER);
        let refused = client.post("/messages", &[], body, 422).await;
        let error = &refused["errors"][0];
        assert_eq!(error["pointer"], place, "{more}: {refused}");
        assert!(error["detail"].as_str().unwrap().contains(words), "{more}: {refused}");
    }
    let settings = json!({ "name": "x", "settings": { "pacing": { "gap_ms": "x" } } });
    assert_eq!(client.post("/sessions", &[], settings, 422).await["errors"][0]["pointer"], "#/settings/pacing/gap_ms");
    let refused = client.call("GET", "/messages", &[], "?limit=0", None).await.json();
    assert_eq!((&refused["errors"][0]["parameter"], &refused["errors"][0]["pointer"]), (&json!("limit"), &json!(null)));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_bound_to_a_session_sees_and_uses_that_session_alone() {
    let (stage, client, shop) = ready().await;
    let account = &client.account;
    let other = account.session("Other").await;
    let body = json!({ "to": CUSTOMER, "text": "mine" });
    let sent = account.post(&format!("{BASE}/messages"), &shop.key, body.clone()).await;
    assert_eq!((sent.status, &sent.json()["session_id"]), (202, &json!(shop.id)), "{sent:?}");
    let others = json!({ "session_id": other.id, "to": CUSTOMER, "text": "x" });
    assert_eq!(account.post(&format!("{BASE}/messages"), &shop.key, others).await.status, 404);
    let listed = account.get(&format!("{BASE}/sessions"), &shop.key).await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(account.get(&format!("{BASE}/sessions/{}", other.id), &shop.key).await.status, 404);
    assert_eq!(account.get(&format!("{BASE}/messages"), &other.key).await.json()["messages"], json!([]));
    assert_eq!(account.get(&format!("{BASE}/messages/{}", sent.json()["id"]), &other.key).await.status, 404);
    assert_eq!(account.get(&format!("{BASE}/events"), &other.key).await.json()["events"], json!([]));
    assert_eq!(account.post(&format!("{BASE}/sessions"), &shop.key, json!({ "name": "x" })).await.status, 403);
    let page = client.get("/sessions", &[], "?limit=1").await;
    let rest = client.get("/sessions", &[], &format!("?cursor={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!((page["sessions"].as_array().unwrap().len(), rest["sessions"].as_array().unwrap().len()), (1, 1));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_log_is_filtered_and_paged_from_either_end() {
    let (stage, client, shop) = ready().await;
    client.post("/messages", &[], json!({ "session_id": shop.id, "to": CUSTOMER, "text": "hi" }), 202).await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "hi").await;
    let delivered =
        async || !client.get("/events", &[], "?type=message.delivered").await["events"].as_array().unwrap().is_empty();
    assert!(until(PATIENCE, delivered).await);
    let numbers = async |query: &str| -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = client.get("/events", &[], &format!("?{query}{cursor}")).await;
            numbers.extend(page["events"].as_array().unwrap().iter().map(|event| event["n"].as_u64().unwrap()));
            let Some(next) = page["next_cursor"].as_str() else { return numbers };
            cursor = format!("&cursor={next}");
        }
    };
    let all = numbers("limit=1").await;
    assert!(all.len() > 3 && all.is_sorted(), "{all:?}");
    let mut backwards = numbers("limit=2&order=desc").await;
    backwards.reverse();
    assert_eq!(backwards, all);
    let (of_messages, of_sessions) = (numbers("type=message.*&order=desc").await, numbers("type=session.*").await);
    assert_eq!(of_messages.len() + of_sessions.len(), all.len());
    assert_eq!(numbers(&format!("type=message.*&chat={CUSTOMER}&session_id={}", shop.id)).await.len(), of_messages.len());
    assert!(numbers(&format!("chat={SHOP}")).await.is_empty() && numbers("session_id=1&order=desc").await.is_empty());
    for wrong in [
        "order=up",
        "type=mess*",
        "type=message.*,bogus",
        "type=bogus.*",
        "cursor=x",
        "chat=nobody",
        "session_id=x",
        "limit=501",
    ] {
        assert_eq!(client.call("GET", "/events", &[], &format!("?{wrong}"), None).await.status, 422, "{wrong}");
    }
    stage.stop().await;
}

/// Method, path below the base, and a scope that covers it; `S` and `M` stand for another tenant's session and message.
const ENDPOINTS: [(&str, &str, &str); 16] = [
    ("GET", "/sessions", "sessions:read"),
    ("POST", "/sessions", "sessions:write"),
    ("GET", "/sessions/S", "sessions:read"),
    ("PATCH", "/sessions/S", "sessions:write"),
    ("DELETE", "/sessions/S", "sessions:write"),
    ("POST", "/sessions/S/connect", "sessions:write"),
    ("POST", "/sessions/S/disconnect", "sessions:write"),
    ("GET", "/sessions/S/qr", "sessions:read"),
    ("POST", "/sessions/S/pairing-code", "sessions:write"),
    ("GET", "/messages", "messages:read"),
    ("POST", "/messages", "messages:write"),
    ("POST", "/messages/batch", "messages:write"),
    ("GET", "/messages/M", "messages:read"),
    ("DELETE", "/messages/M", "messages:write"),
    ("GET", "/batches/M", "messages:read"),
    ("GET", "/events", "messages:read"),
];

fn body_of(path: &str) -> Value {
    match path {
        "/sessions" => json!({ "name": "x" }),
        "/messages" => json!({ "session_id": 1, "to": CUSTOMER, "text": "x" }),
        "/messages/batch" => json!({ "session_id": 1, "messages": [{ "to": CUSTOMER, "text": "x" }] }),
        path if path.ends_with("pairing-code") => json!({ "phone_number": CUSTOMER }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_refuses_who_may_not_call_it_and_hides_what_is_anothers() {
    let stage = Stage::start().await;
    let (mine, other) = (stage.account("Mine").await, stage.account("Other").await);
    let session = other.linked(stage.control(), "Other", SHOP).await;
    let body = json!({ "session_id": session.id, "to": CUSTOMER, "text": "x" });
    let message = other.post(&format!("{BASE}/messages"), &other.tenant_key, body).await.json()["id"].clone();
    let narrow = mine.key(json!({ "kind": "tenant", "scopes": ["plugins:*"] })).await;
    for (method, path, scope) in ENDPOINTS {
        let real = format!("{BASE}{}", path.replace('S', &session.id.to_string()).replace('M', &message.to_string()));
        let body = (method != "GET").then(|| body_of(path));
        let call = async |key: Option<&str>| {
            let answer = mine.http.json(method, &real, key, body.as_ref()).await.unwrap();
            let problem = answer.header("content-type") == Some("application/problem+json");
            assert!(answer.status < 400 || problem && answer.json()["status"] == answer.status, "{answer:?}");
            (answer.status, answer.json()["detail"].as_str().unwrap_or_default().to_owned())
        };
        let place = format!("{method} {path}");
        for (key, status) in [(None, 401), (Some("sk_live_nobody"), 401), (Some(&*mine.token), 403), (Some(ADMIN_KEY), 403)]
        {
            assert_eq!(call(key).await.0, status, "{place} {key:?}");
        }
        assert_eq!(call(Some(&narrow)).await, (403, format!("the key lacks the scope {scope}")), "{place}");
        let foreign = path.contains(['S', 'M']) || path.starts_with("/messages") && method == "POST";
        let allowed = mine.key(json!({ "kind": "tenant", "scopes": [scope] })).await;
        if foreign {
            assert_eq!(call(Some(&allowed)).await.0, 404, "{place}");
        } else {
            assert!(call(Some(&allowed)).await.0 < 300, "{place}");
        }
    }
    assert_eq!(other.status(&session).await, "connected", "nobody touched it");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_says_what_is_wrong_with_a_body_or_a_method() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.session("Desk").await;
    let headers =
        [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/json".to_owned())];
    let of_session = format!("/sessions/{}", session.id);
    let link = format!("{of_session}/pairing-code");
    for (method, path, body, status) in [
        ("POST", "/sessions", r#"{"name":"#, 400),
        ("POST", "/sessions", "{}", 422),
        ("POST", "/sessions", r#"{"name":5}"#, 422),
        ("POST", "/sessions", r#"{"name":"x","colour":"red"}"#, 422),
        ("POST", "/sessions", r#"{"name":" "}"#, 422),
        ("PATCH", &of_session, "[", 400),
        ("PATCH", &of_session, r#"{"name":5}"#, 422),
        ("PATCH", &of_session, r#"{"name":""}"#, 422),
        ("PATCH", &of_session, r#"{"settings":[]}"#, 422),
        ("POST", &format!("{of_session}/connect"), r#"{"wait_ms":10001}"#, 422),
        ("GET", &format!("{of_session}/qr?format=gif"), "", 422),
        ("POST", &link, "", 400),
        ("POST", &link, "{}", 422),
        ("POST", "/messages", "", 400),
        ("POST", "/messages", "{}", 422),
        ("POST", "/messages", r#"{"to":"4915","text":5}"#, 422),
        ("POST", "/messages", r#"{"to":"491520000001","text":"x"}"#, 409),
        ("POST", "/messages", r#"{"session_id":1,"to":"491520000001"}"#, 422),
        (
            "POST",
            "/messages",
            r#"{"session_id":1,"to":"491520000001","text":"x","content":{"type":"text","value":"x"}}"#,
            422,
        ),
        ("POST", "/messages/batch", r#"{"messages":5}"#, 422),
        ("POST", "/messages/batch", "{", 400),
        ("GET", "/sessions/first", "", 404),
        ("GET", "/messages/first", "", 404),
        ("GET", "/nothing", "", 404),
        ("PUT", "/sessions", "", 405),
        ("POST", &of_session, "", 405),
        ("PATCH", "/messages", "", 405),
        ("GET", "/messages/1/text", "", 404),
        ("POST", "/events/stream", "", 405),
        ("DELETE", "/openapi.json", "", 405),
    ] {
        let answer =
            account.http.exchange(method, &format!("{BASE}{path}"), &headers, body.as_bytes().to_vec()).await.unwrap();
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
    let idle = json!({ "session_id": session.id, "to": CUSTOMER, "text": "x" });
    let refused = account.post(&format!("{BASE}/messages"), &account.tenant_key, idle).await;
    assert_eq!((refused.status, &refused.json()["state"]), (409, &json!("created")), "{refused:?}");
    let long = vec![b' '; 1024 * 1024 + 1];
    let refused = account.http.exchange("POST", &format!("{BASE}/messages"), &headers, long).await.unwrap();
    assert_eq!(refused.status, 413);
    stage.stop().await;
}
