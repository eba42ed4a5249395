//! A message that goes through one dialect is found through all the others that can look, under their own ids.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_ids::{Kind, uuid};
use switchboard_tests::patience::{PATIENCE, until};

use crate::stage::{CUSTOMER, Cast, SHOP};

/// A way to look for messages.
struct View {
    name: &'static str,
    /// The list, and where in its answer the entries are.
    list: String,
    entries: &'static str,
    /// The key that it takes.
    key: String,
    /// A message's id as it spells it.
    spelled: fn(u64) -> Value,
    /// Where one message is found by that id.
    one: fn(&str) -> String,
    /// Where that answer has the message's own id, and the one that WhatsApp knows it by; empty where it tells none.
    id: &'static str,
    whatsapp_id: &'static str,
}

fn views(cast: &Cast) -> [View; 4] {
    let (tenant, session) = (cast.ours.tenant_key.clone(), cast.connected.id);
    [
        View {
            name: "wamux",
            list: "/api/v1/messages?limit=100".to_owned(),
            entries: "/messages",
            key: tenant.clone(),
            spelled: |number| json!(uuid(Kind::Message, number).unwrap()),
            one: |id| format!("/api/v1/messages/{id}"),
            id: "/id",
            whatsapp_id: "/whatsappMessageId",
        },
        View {
            name: "sendapi",
            list: "/v1/whatsapp/messages?per_page=100".to_owned(),
            entries: "/data",
            key: tenant.clone(),
            spelled: |number| json!(format!("msg_{number}")),
            one: |id| format!("/v1/whatsapp/messages/{id}"),
            id: "/id",
            whatsapp_id: "",
        },
        View {
            name: "wasender",
            list: format!("/api/v1/whatsapp-sessions/{session}/message-logs?per_page=100"),
            entries: "/data/data",
            key: cast.connected.key.clone(),
            spelled: |number| json!(number),
            one: |id| format!("/api/v1/messages/{id}/info"),
            id: "/data/msgId",
            whatsapp_id: "/data/id",
        },
        View {
            name: "native",
            list: "/switchboard/v1/messages".to_owned(),
            entries: "/messages",
            key: tenant,
            spelled: |number| json!(number),
            one: |id| format!("/switchboard/v1/messages/{id}"),
            id: "/id",
            whatsapp_id: "/whatsapp_id",
        },
    ]
}

/// Sends a text by each API; the name of the API, and what it answers.
async fn sent_by_each(cast: &Cast) -> Vec<(&'static str, LocalAnswer)> {
    let (tenant, session) = (&cast.ours.tenant_key, &cast.connected.key);
    let mut sent = Vec::new();
    for (name, path, (header, key), body) in [
        ("prosendi", "/api/whatsapp/send", ("x-api-key", tenant), json!({ "recipient": CUSTOMER, "message": "prosendi" })),
        ("wamux", "/api/v1/messages", ("authorization", tenant), json!({ "to": CUSTOMER, "message": "wamux" })),
        ("sendapi", "/v1/whatsapp/send", ("authorization", tenant), json!({ "to": CUSTOMER, "message": "sendapi" })),
        (
            "wafastapi",
            "/api/whatsapp/send/text",
            ("x-api-key", session),
            json!({ "number": CUSTOMER, "message": "wafastapi" }),
        ),
        ("wasender", "/api/v1/send-message", ("authorization", session), json!({ "to": CUSTOMER, "text": "wasender" })),
        (
            "native",
            "/switchboard/v1/messages",
            ("authorization", tenant),
            json!({ "session_id": cast.connected.id, "to": CUSTOMER, "content": { "type": "text", "value": "native" } }),
        ),
    ] {
        let key = if header == "authorization" { format!("Bearer {key}") } else { key.clone() };
        let headers = [(header, key), ("content-type", "application/json".to_owned())];
        let answer = cast.stage.http().exchange("POST", path, &headers, body.to_string().into_bytes()).await.unwrap();
        assert!((200..300).contains(&answer.status), "{name}: {answer:?}");
        sent.push((name, answer));
    }
    sent
}

/// The number that a message has in the host, from what the native API lists.
fn number(listed: &Value, text: &str) -> u64 {
    let all = listed["messages"].as_array().unwrap();
    let one = all.iter().find(|one| one["content"]["value"] == text).unwrap_or_else(|| panic!("{text}: {listed}"));
    one["id"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_through_one_api_is_found_through_every_other_under_its_own_id() {
    let cast = Cast::start().await;
    let sent = sent_by_each(&cast).await;
    cast.stage.phone_shows(CUSTOMER, |shown| shown["text"] == "native").await;
    let listed = cast.ours.get("/switchboard/v1/messages", &cast.ours.tenant_key).await.json();
    // What each told its caller is that same message.
    for (name, answer) in &sent {
        let (number, told) = (number(&listed, name), answer.json());
        let native = cast.ours.get(&format!("/switchboard/v1/messages/{number}"), &cast.ours.tenant_key).await.json();
        let (id, expected) = match *name {
            "prosendi" => (&told["data"]["message_id"], json!(number)),
            "wamux" => (&told["id"], json!(uuid(Kind::Message, number).unwrap())),
            "sendapi" => (&told["id"], json!(format!("msg_{number}"))),
            "wafastapi" => (&told["messageId"], native["whatsapp_id"].clone()),
            "wasender" => (&told["data"]["msgId"], json!(number)),
            _ => (&told["id"], json!(number)),
        };
        assert_eq!(*id, expected, "{name}: {told}");
    }
    for view in views(&cast) {
        let list = cast.ours.get(&view.list, &view.key).await;
        let entries = list.json().pointer(view.entries).unwrap().as_array().unwrap().clone();
        assert_eq!(entries.len(), sent.len(), "{}: {list:?}", view.name);
        for (name, _) in &sent {
            let (number, place) = (number(&listed, name), format!("sent by {name}, looked for by {}", view.name));
            let id = (view.spelled)(number);
            assert!(entries.iter().any(|entry| entry["id"] == id), "{place}: {list:?}");
            let id_text = id.as_str().map_or_else(|| id.to_string(), ToOwned::to_owned);
            let path = (view.one)(&id_text);
            let native = cast.ours.get(&format!("/switchboard/v1/messages/{number}"), &cast.ours.tenant_key).await.json();
            let known = async || {
                let one = cast.ours.get(&path, &view.key).await.json();
                let same = one.pointer(view.id) == Some(&id) && one.to_string().contains(CUSTOMER);
                same && (view.whatsapp_id.is_empty() || one.pointer(view.whatsapp_id) == native.get("whatsapp_id"))
            };
            assert!(until(PATIENCE, known).await, "{place}: {:?}", cast.ours.get(&path, &view.key).await);
        }
    }
    cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_from_a_phone_is_listed_where_a_list_has_both_directions_and_is_told_in_the_log() {
    let cast = Cast::start().await;
    let id = cast.stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "from a phone" })).await;
    cast.ours.event("message.received", |data| data["whatsapp_id"] == id.as_str()).await;
    let listed = cast.ours.get("/v1/whatsapp/messages?direction=in", &cast.ours.tenant_key).await.json();
    let one = listed["data"][0].clone();
    assert_eq!(
        (&one["content"]["body"], &one["from"]),
        (&json!("from a phone"), &json!(format!("+{CUSTOMER}"))),
        "{listed}"
    );
    let path = format!("/v1/whatsapp/messages/{}", one["id"].as_str().unwrap());
    let again = cast.ours.get(&path, &cast.ours.tenant_key).await.json();
    assert_eq!((&again["id"], &again["content"]), (&one["id"], &one["content"]), "{again}");
    // The other lists are of what was sent: a received message would have no receiver to show there.
    for view in views(&cast).iter().filter(|view| view.name != "sendapi") {
        let list = cast.ours.get(&view.list, &view.key).await.json();
        assert_eq!(list.pointer(view.entries), Some(&json!([])), "{}: {list}", view.name);
    }
    cast.stage.stop().await;
}
