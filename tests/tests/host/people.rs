//! People and presence through the dialect `wasender`: who is known, what WhatsApp shows of them, and what they see.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const OTHER: &str = "491510000002";
const CUSTOMER: &str = "491520000001";
const FRIEND: &str = "491520000002";
const NOBODY: &str = "491529999999";

fn jid(number: &str) -> String {
    format!("{number}@s.whatsapp.net")
}

/// A shop that is linked, and two people with phones.
async fn shop() -> (Stage, Account, TestSession) {
    let stage = Stage::start().await;
    for number in [CUSTOMER, FRIEND] {
        phone(stage.control(), ADMIN_KEY, number).await;
    }
    stage.sim("PATCH", &format!("phones/{CUSTOMER}"), json!({ "name": "Ada", "about": "counting" })).await;
    let account = stage.account("Shop").await;
    let session = account.linked(stage.control(), "Shop", SHOP).await;
    (stage, account, session)
}

async fn call(stage: &Stage, session: &TestSession, method: &str, path: &str, body: Value) -> LocalAnswer {
    let body = Some(body).filter(|body| !body.is_null());
    stage.http().json(method, &format!("/api/v1/{path}"), Some(&session.key), body.as_ref()).await.unwrap()
}

async fn done(stage: &Stage, session: &TestSession, method: &str, path: &str, body: Value) -> Value {
    let answer = call(stage, session, method, path, body).await;
    assert_eq!((answer.status, &answer.json()["success"]), (200, &json!(true)), "{method} {path}: {answer:?}");
    answer.json()["data"].clone()
}

async fn refused(stage: &Stage, session: &TestSession, method: &str, path: &str, body: Value) -> (u16, String) {
    let answer = call(stage, session, method, path, body).await;
    assert_eq!(answer.json()["success"], false, "{method} {path}: {answer:?}");
    (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
}

/// What a phone saw of whoever types to it.
async fn chat_states(stage: &Stage, number: &str) -> Vec<Value> {
    let seen = stage.sim("GET", &format!("phones/{number}/chatstates"), Value::Null).await;
    seen["chatstates"].as_array().unwrap().iter().map(|state| state["state"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_is_known_by_name_and_is_saved_under_another() {
    let (stage, account, session) = shop().await;
    assert_eq!(done(&stage, &session, "GET", "contacts", Value::Null).await, json!([]));
    let id = stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "Hello" })).await;
    account.event("message.received", |data| data["whatsapp_id"] == id.as_str()).await;
    let known = async || {
        let all = done(&stage, &session, "GET", "contacts", Value::Null).await;
        all[0]["notify"] == "Ada" && all[0]["id"] == jid(CUSTOMER).as_str()
    };
    assert!(until(PATIENCE, known).await, "{:#}", done(&stage, &session, "GET", "contacts", Value::Null).await);

    let body = json!({ "phone": format!("+{CUSTOMER}"), "name": "Countess" });
    let saved = done(&stage, &session, "PUT", "contacts", body).await;
    assert_eq!((&saved["jid"], &saved["fullName"]), (&json!(jid(CUSTOMER)), &json!("Countess")), "{saved:#}");
    let one = done(&stage, &session, "GET", &format!("contacts/+{CUSTOMER}"), Value::Null).await;
    let expected = json!({
        "id": jid(CUSTOMER), "name": "Countess", "notify": "Ada", "verifiedName": null, "imgUrl": null, "status": "counting",
    });
    assert_eq!(one, expected);
    let body = json!({ "jid": jid(FRIEND), "fullName": "Bo" });
    done(&stage, &session, "PUT", "contacts", body).await;
    let page = done(&stage, &session, "GET", "contacts?paginated=1&limit=1&page=2", Value::Null).await;
    assert_eq!((&page["total"], &page["data"][0]["name"]), (&json!(2), &json!("Bo")), "{page:#}");

    for wrong in [
        json!({}),
        json!({ "phone": "x", "name": "Bo" }),
        json!({ "phone": FRIEND }),
        json!({ "phone": FRIEND, "name": "" }),
    ] {
        let (status, code) = refused(&stage, &session, "PUT", "contacts", wrong.clone()).await;
        assert_eq!((status, &*code), (422, "VALIDATION_ERROR"), "{wrong}");
    }
    let stranger = stage.account("Other").await;
    let theirs = stranger.linked(stage.control(), "Other", OTHER).await;
    assert_eq!(done(&stage, &theirs, "GET", "contacts", Value::Null).await, json!([]), "another tenant knows nobody");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phones_address_book_and_the_sessions_list_learn_from_each_other() {
    let (stage, _, session) = shop().await;
    let body = json!({ "phone": CUSTOMER, "fullName": "Countess", "saveOnPrimaryAddressbook": true });
    done(&stage, &session, "PUT", "contacts", body).await;
    let state = stage.sim("GET", &format!("phones/{SHOP}/app-state"), Value::Null).await;
    assert!(state.to_string().contains("Countess"), "{state:#}");
    let action = json!({ "action": "contact", "jid": jid(FRIEND), "full_name": "Bo" });
    stage.sim("POST", &format!("phones/{SHOP}/app-state"), action).await;
    let known = async || {
        let all = done(&stage, &session, "GET", "contacts", Value::Null).await;
        all.as_array().unwrap().iter().any(|one| one["id"] == jid(FRIEND).as_str() && one["name"] == "Bo")
    };
    assert!(until(PATIENCE, known).await, "{:#}", done(&stage, &session, "GET", "contacts", Value::Null).await);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_on_whatsapp_or_not_and_has_two_names_if_it_is() {
    let (stage, _, session) = shop().await;
    let there = done(&stage, &session, "GET", &format!("on-whatsapp/%2B{CUSTOMER}"), Value::Null).await;
    assert_eq!(there, json!({ "exists": true, "jid": jid(CUSTOMER) }));
    let none = done(&stage, &session, "GET", &format!("on-whatsapp/{NOBODY}"), Value::Null).await;
    assert_eq!(none, json!({ "exists": false, "jid": null }));
    assert_eq!(refused(&stage, &session, "GET", "on-whatsapp/somebody", Value::Null).await.0, 422);

    let lid = done(&stage, &session, "GET", &format!("lid-from-pn/{FRIEND}"), Value::Null).await;
    let lid = lid["lid"].as_str().unwrap().to_owned();
    assert!(lid.ends_with("@lid"), "{lid}");
    for asked in [lid.as_str(), lid.trim_end_matches("@lid")] {
        let phone = done(&stage, &session, "GET", &format!("pn-from-lid/{asked}"), Value::Null).await;
        assert_eq!(phone, json!({ "pn": jid(FRIEND) }));
    }
    for path in [format!("lid-from-pn/{NOBODY}"), "pn-from-lid/1".to_owned(), format!("contacts/{NOBODY}")] {
        let missing = refused(&stage, &session, "GET", &path, Value::Null).await;
        assert_eq!(missing, (404, "NOT_FOUND".to_owned()), "{path}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_has_an_address_where_there_is_one() {
    let (stage, _, session) = shop().await;
    let path = format!("contacts/{CUSTOMER}/picture");
    assert_eq!(done(&stage, &session, "GET", &path, Value::Null).await, json!({ "imgUrl": null }));
    stage.sim("PATCH", &format!("phones/{CUSTOMER}"), json!({ "picture": "/9j/4AAQSkZJRg==" })).await;
    for path in [path, format!("contacts/+{CUSTOMER}/profile-picture")] {
        let picture = done(&stage, &session, "GET", &path, Value::Null).await;
        assert!(picture["imgUrl"].as_str().is_some_and(|url| url.starts_with("http")), "{picture:#}");
    }
    let one = done(&stage, &session, "GET", &format!("contacts/{CUSTOMER}"), Value::Null).await;
    assert!(one["imgUrl"].is_string(), "{one:#}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_blocked_is_heard_no_more_until_they_are_unblocked() {
    let (stage, account, session) = shop().await;
    let told = done(&stage, &session, "POST", &format!("contacts/{CUSTOMER}/block"), json!({})).await;
    assert_eq!(told, json!({ "message": "Contact blocked" }));
    let unheard = stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "Do you hear me?" })).await;
    let heard = stage.phone_sends(FRIEND, SHOP, json!({ "text": "I am somebody else" })).await;
    account.event("message.received", |data| data["whatsapp_id"] == heard.as_str()).await;
    let all = account.events().await;
    assert!(!all.iter().any(|event| event["data"]["whatsapp_id"] == unheard.as_str()), "{all:#?}");

    let told = done(&stage, &session, "POST", &format!("contacts/+{CUSTOMER}/unblock"), json!({})).await;
    assert_eq!(told, json!({ "message": "Contact unblocked" }));
    let heard = stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "And now?" })).await;
    account.event("message.received", |data| data["whatsapp_id"] == heard.as_str()).await;
    let missing = refused(&stage, &session, "POST", &format!("contacts/{NOBODY}/block"), json!({})).await;
    assert_eq!(missing, (404, "NOT_FOUND".to_owned()));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_types_is_seen_on_the_phone_and_ends_when_it_was_told_to() {
    let (stage, _, session) = shop().await;
    let show = async |body: Value| done(&stage, &session, "POST", "send-presence-update", body).await;
    let told = show(json!({ "jid": jid(CUSTOMER), "type": "composing", "delayMs": 200 })).await;
    assert_eq!(told, json!({ "jid": jid(CUSTOMER), "type": "composing" }));
    let ended = async || chat_states(&stage, CUSTOMER).await == ["composing", "paused"];
    assert!(until(PATIENCE, ended).await, "{:?}", chat_states(&stage, CUSTOMER).await);
    show(json!({ "jid": FRIEND, "type": "recording" })).await;
    show(json!({ "jid": FRIEND, "type": "paused" })).await;
    let seen = async || chat_states(&stage, FRIEND).await == ["recording", "paused"];
    assert!(until(PATIENCE, seen).await, "{:?}", chat_states(&stage, FRIEND).await);
    show(json!({ "jid": jid(CUSTOMER), "type": "unavailable" })).await;
    show(json!({ "jid": jid(CUSTOMER), "type": "available" })).await;

    for wrong in [
        json!({ "jid": jid(CUSTOMER) }),
        json!({ "jid": jid(CUSTOMER), "type": "dancing" }),
        json!({ "type": "composing" }),
        json!({ "jid": "somebody", "type": "composing" }),
        json!({ "jid": jid(CUSTOMER), "type": "composing", "delayMs": 60_001 }),
    ] {
        let (status, code) = refused(&stage, &session, "POST", "send-presence-update", wrong.clone()).await;
        assert_eq!((status, &*code), (422, "VALIDATION_ERROR"), "{wrong}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_says_who_it_is_and_off_line_it_asks_nobody_but_knows_its_contacts() {
    let (stage, account, session) = shop().await;
    let user = done(&stage, &session, "GET", "user", Value::Null).await;
    assert_eq!((&user["id"], &user["name"]), (&json!(jid(SHOP)), &json!("Shop")), "{user:#}");
    assert!(user["lid"].as_str().unwrap().ends_with("@lid"), "{user:#}");
    for key in [&session.key, &account.token] {
        let caller = TestSession { id: session.id, key: key.clone() };
        let checked = done(&stage, &caller, "GET", "auth-check", Value::Null).await;
        assert_eq!(checked, json!({ "authenticated": true, "status": "connected" }));
    }
    assert_eq!(stage.http().json("GET", "/api/v1/auth-check", Some("nobody"), None).await.unwrap().status, 401);

    account.post(&format!("/api/v1/whatsapp-sessions/{}/disconnect", session.id), &account.token, json!({})).await;
    assert!(until(PATIENCE, async || account.status(&session).await == "disconnected").await);
    done(&stage, &session, "PUT", "contacts", json!({ "phone": CUSTOMER, "name": "Ada" })).await;
    assert_eq!(done(&stage, &session, "GET", "contacts", Value::Null).await[0]["name"], "Ada");
    for (method, path, body) in [
        ("GET", format!("on-whatsapp/{CUSTOMER}"), Value::Null),
        ("GET", format!("contacts/{CUSTOMER}"), Value::Null),
        ("POST", format!("contacts/{CUSTOMER}/block"), json!({})),
        ("POST", "send-presence-update".to_owned(), json!({ "jid": CUSTOMER, "type": "composing" })),
        ("PUT", "contacts".to_owned(), json!({ "phone": CUSTOMER, "name": "Ada", "saveOnPrimaryAddressbook": true })),
    ] {
        let off = refused(&stage, &session, method, &path, body).await;
        assert_eq!(off, (409, "SESSION_DISCONNECTED".to_owned()), "{method} {path}");
    }
    stage.stop().await;
}
