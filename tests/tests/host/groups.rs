//! Groups through the dialect `wasender`: whatever a customer does is seen on the network, and what WhatsApp refuses is told.

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const BRANCH: &str = "491510000002";
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
    let account = stage.account("Shop").await;
    let session = account.linked(stage.control(), "Shop", SHOP).await;
    (stage, account, session)
}

/// A request with a session's key.
async fn call(stage: &Stage, session: &TestSession, method: &str, path: &str, body: Value) -> LocalAnswer {
    let body = Some(body).filter(|body| !body.is_null());
    stage.http().json(method, &format!("/api/v1/{path}"), Some(&session.key), body.as_ref()).await.unwrap()
}

/// The same where it must succeed; its data.
async fn done(stage: &Stage, session: &TestSession, method: &str, path: &str, body: Value) -> Value {
    let answer = call(stage, session, method, path, body).await;
    assert_eq!((answer.status, &answer.json()["success"]), (200, &json!(true)), "{method} {path}: {answer:?}");
    answer.json()["data"].clone()
}

/// The same where it must be refused; what the dialect says.
async fn refused(stage: &Stage, session: &TestSession, method: &str, path: &str, body: Value) -> (u16, String) {
    let answer = call(stage, session, method, path, body).await;
    assert_eq!(answer.json()["success"], false, "{method} {path}: {answer:?}");
    (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
}

/// A group of the shop and these people; its JID.
async fn group(stage: &Stage, session: &TestSession, people: &[&str]) -> String {
    let made = done(stage, session, "POST", "groups", json!({ "name": "Club", "participants": people })).await;
    made["id"].as_str().unwrap().to_owned()
}

/// One member as the network knows them.
async fn on_network(stage: &Stage, group: &str, number: &str) -> Option<Value> {
    let there = stage.sim("GET", &format!("groups/{group}"), Value::Null).await;
    let members = there["participants"].as_array().unwrap().clone();
    members.into_iter().find(|member| member["number"] == number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_made_listed_and_looked_at() {
    let (stage, _, session) = shop().await;
    let people = json!([CUSTOMER, jid(FRIEND)]);
    let body = json!({ "name": "Book club", "participants": people, "description": "Every Monday" });
    let made = done(&stage, &session, "POST", "groups", body).await;
    let id = made["id"].as_str().unwrap();
    assert!(id.ends_with("@g.us"), "{made:#}");
    let there = stage.sim("GET", &format!("groups/{id}"), Value::Null).await;
    assert_eq!((&there["subject"], &there["description"]), (&json!("Book club"), &json!("Every Monday")), "{there:#}");
    assert_eq!(there["participants"].as_array().unwrap().len(), 3, "{there:#}");

    for path in [format!("groups/{id}"), format!("groups/{}/metadata", id.replace('@', "%40"))] {
        let told = done(&stage, &session, "GET", &path, Value::Null).await;
        assert_eq!((&told["subject"], &told["desc"]), (&json!("Book club"), &json!("Every Monday")), "{told:#}");
        assert_eq!((&told["owner"], &told["size"]), (&json!(jid(SHOP)), &json!(3)), "{told:#}");
        assert!(told["creation"].as_u64().unwrap() > 1_700_000_000, "{told:#}");
        let members = told["participants"].as_array().unwrap();
        let own = members.iter().find(|member| member["id"] == jid(SHOP).as_str()).unwrap();
        assert_eq!((&own["admin"], &own["isSuperAdmin"]), (&json!("superadmin"), &json!(true)), "{own:#}");
        let other = members.iter().find(|member| member["jid"] == jid(FRIEND).as_str()).unwrap();
        assert_eq!((&other["admin"], &other["isAdmin"]), (&Value::Null, &json!(false)), "{other:#}");
    }
    let members = done(&stage, &session, "GET", &format!("groups/{id}/participants"), Value::Null).await;
    assert_eq!(members.as_array().unwrap().len(), 3, "{members:#}");

    let second = group(&stage, &session, &[CUSTOMER]).await;
    let all = done(&stage, &session, "GET", "groups", Value::Null).await;
    let names: Vec<&Value> = all.as_array().unwrap().iter().map(|group| &group["name"]).collect();
    assert_eq!(names.len(), 2, "what was made is in the list at once: {all:#}");
    assert!(all.to_string().contains(id) && all.to_string().contains(&second), "{all:#}");
    let page = done(&stage, &session, "GET", "groups?paginated=true&page=2&limit=1", Value::Null).await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["total"]), (1, &json!(2)), "{page:#}");
    assert_eq!((&page["current_page"], &page["last_page"]), (&json!(2), &json!(2)), "{page:#}");
    let wrong = refused(&stage, &session, "GET", "groups?limit=0", Value::Null).await;
    assert_eq!(wrong, (422, "VALIDATION_ERROR".to_owned()));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_go_rise_and_fall_and_each_is_told_what_became_of_them() {
    let (stage, _, session) = shop().await;
    let id = group(&stage, &session, &[CUSTOMER]).await;
    let add = format!("groups/{id}/participants/add");
    let told = done(&stage, &session, "POST", &add, json!({ "participants": [FRIEND, CUSTOMER, NOBODY] })).await;
    let of = |number: &str| told.as_array().unwrap().iter().find(|one| one["jid"] == jid(number).as_str()).cloned().unwrap();
    assert_eq!((&of(FRIEND)["status"], &of(FRIEND)["message"]), (&json!(200), &json!("added")), "{told:#}");
    assert_eq!((&of(CUSTOMER)["status"], &of(NOBODY)["status"]), (&json!(409), &json!(404)), "{told:#}");
    assert!(on_network(&stage, &id, FRIEND).await.is_some());

    let update = format!("groups/{id}/participants/update");
    for (action, admin) in [("promote", true), ("demote", false)] {
        let told = done(&stage, &session, "PUT", &update, json!({ "action": action, "participants": [jid(FRIEND)] })).await;
        assert_eq!(told[0]["status"], 200, "{told:#}");
        assert_eq!(on_network(&stage, &id, FRIEND).await.unwrap()["admin"], admin, "{action}");
    }
    let remove = format!("groups/{id}/participants/remove");
    let told = done(&stage, &session, "POST", &remove, json!({ "participants": [FRIEND] })).await;
    assert_eq!((&told[0]["status"], &told[0]["id"]), (&json!(200), &json!(jid(FRIEND))), "{told:#}");
    assert!(on_network(&stage, &id, FRIEND).await.is_none());

    for (method, path, body) in [
        ("POST", &add, json!({})),
        ("POST", &add, json!({ "participants": [] })),
        ("POST", &add, json!({ "participants": ["everybody"] })),
        ("POST", &add, json!({ "participants": [id] })),
        ("PUT", &update, json!({ "action": "praise", "participants": [FRIEND] })),
        ("PUT", &update, json!({ "participants": [FRIEND] })),
    ] {
        let wrong = refused(&stage, &session, method, path, body.clone()).await;
        assert_eq!(wrong, (422, "VALIDATION_ERROR".to_owned()), "{body}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_changed_by_admins_alone() {
    let (stage, _, session) = shop().await;
    let id = group(&stage, &session, &[CUSTOMER]).await;
    let path = format!("groups/{id}/settings");
    let body = json!({ "subject": "Readers", "description": "Mondays", "announce": true, "restrict": true });
    let told = done(&stage, &session, "PUT", &path, body.clone()).await;
    assert_eq!(told, body);
    let there = stage.sim("GET", &format!("groups/{id}"), Value::Null).await;
    assert_eq!((&there["subject"], &there["description"]), (&json!("Readers"), &json!("Mondays")), "{there:#}");
    assert_eq!((&there["announcement"], &there["locked"]), (&json!(true), &json!(true)), "{there:#}");
    let told = done(&stage, &session, "PUT", &path, json!({ "description": "", "announce": false })).await;
    assert_eq!((&told["description"], &told["announce"], &told["subject"]), (&json!(""), &json!(false), &json!("Readers")));
    let long = json!({ "subject": "x".repeat(101) });
    assert_eq!(refused(&stage, &session, "PUT", &path, long).await.0, 422);

    let theirs = stage.sim("POST", "groups", json!({ "subject": "Theirs", "participants": [CUSTOMER, SHOP] })).await;
    let theirs = theirs["jid"].as_str().unwrap();
    stage.sim("PATCH", &format!("groups/{theirs}"), json!({ "by": CUSTOMER, "locked": true })).await;
    let path = format!("groups/{theirs}/settings");
    let wrong = refused(&stage, &session, "PUT", &path, json!({ "subject": "Mine" })).await;
    assert_eq!(wrong, (403, "FORBIDDEN".to_owned()));
    let wrong = refused(
        &stage,
        &session,
        "POST",
        &format!("groups/{theirs}/participants/remove"),
        json!({ "participants": [CUSTOMER] }),
    )
    .await;
    assert_eq!(wrong, (403, "FORBIDDEN".to_owned()));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_read_and_accepted_by_another_session_and_who_leaves_is_gone() {
    let (stage, account, session) = shop().await;
    let branch = account.linked(stage.control(), "Branch", BRANCH).await;
    let id = group(&stage, &session, &[CUSTOMER]).await;
    let link = done(&stage, &session, "GET", &format!("groups/{id}/invite-link"), Value::Null).await;
    let link = link["link"].as_str().unwrap().to_owned();
    let code = link.strip_prefix("https://chat.whatsapp.com/").unwrap_or_else(|| panic!("{link}")).to_owned();

    let told = done(&stage, &branch, "GET", &format!("groups/invite/{code}"), Value::Null).await;
    assert_eq!((&told["subject"], &told["size"]), (&json!("Club"), &json!(2)), "{told:#}");
    assert_eq!((&told["groupJid"], &told["inviteCode"]), (&json!(id), &json!(code)), "{told:#}");
    assert_eq!(told["owner"], jid(SHOP), "{told:#}");
    let joined = done(&stage, &branch, "POST", "groups/invite/accept", json!({ "code": code })).await;
    assert_eq!((&joined["groupJid"], &joined["pendingApproval"]), (&json!(id), &json!(false)), "{joined:#}");
    assert!(on_network(&stage, &id, BRANCH).await.is_some());
    let wrong = refused(&stage, &branch, "GET", "groups/invite/nosuchinvitation000000", Value::Null).await;
    assert_eq!(wrong, (404, "NOT_FOUND".to_owned()));
    let body = json!({ "code": "nosuchinvitation000000" });
    assert_eq!(refused(&stage, &branch, "POST", "groups/invite/accept", body).await.0, 404);
    assert_eq!(refused(&stage, &branch, "POST", "groups/invite/accept", json!({})).await.0, 422);

    let left = done(&stage, &branch, "POST", &format!("groups/{id}/leave"), json!({})).await;
    assert_eq!(left, json!({}));
    assert!(on_network(&stage, &id, BRANCH).await.is_none());
    let all = done(&stage, &branch, "GET", "groups", Value::Null).await;
    assert_eq!(all, json!([]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_somebody_else_makes_is_in_the_list_at_once() {
    let (stage, account, session) = shop().await;
    let id = group(&stage, &session, &[CUSTOMER]).await;
    done(&stage, &session, "GET", "groups", Value::Null).await;
    let people = format!("groups/{id}/participants");
    stage.sim("POST", &people, json!({ "by": SHOP, "action": "promote", "numbers": [CUSTOMER] })).await;
    stage.sim("PATCH", &format!("groups/{id}"), json!({ "by": CUSTOMER, "subject": "Renamed" })).await;
    account.event("group.changed", |data| data["change"] == "subject").await;
    let all = done(&stage, &session, "GET", "groups", Value::Null).await;
    assert_eq!(all[0]["subject"], "Renamed", "{all:#}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_a_picture_has_none_under_either_name() {
    let (stage, _, session) = shop().await;
    let id = group(&stage, &session, &[CUSTOMER]).await;
    let picture = done(&stage, &session, "GET", &format!("groups/{id}/picture"), Value::Null).await;
    assert_eq!(picture, json!({ "url": null, "imgUrl": null }));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_session_finds_nothing_of_a_group_and_one_off_line_asks_nobody() {
    let (stage, account, session) = shop().await;
    let id = group(&stage, &session, &[CUSTOMER]).await;
    let other = stage.account("Other").await;
    let theirs = other.linked(stage.control(), "Other", BRANCH).await;
    assert_eq!(done(&stage, &theirs, "GET", "groups", Value::Null).await, json!([]));
    for (method, path, body) in [
        ("GET", format!("groups/{id}"), Value::Null),
        ("GET", format!("groups/{id}/participants"), Value::Null),
        ("GET", format!("groups/{id}/invite-link"), Value::Null),
        ("PUT", format!("groups/{id}/settings"), json!({ "subject": "Mine" })),
        ("POST", format!("groups/{id}/participants/add"), json!({ "participants": [FRIEND] })),
    ] {
        let (status, _) = refused(&stage, &theirs, method, &path, body).await;
        assert!(matches!(status, 403 | 404), "{method} {path}: {status}");
    }
    let none = refused(&stage, &session, "GET", "groups/120363000000000000@g.us", Value::Null).await;
    assert_eq!(none, (404, "NOT_FOUND".to_owned()));
    assert_eq!(refused(&stage, &session, "GET", "groups/club", Value::Null).await.0, 422);

    account.post(&format!("/api/v1/whatsapp-sessions/{}/disconnect", session.id), &account.token, json!({})).await;
    assert!(until(PATIENCE, async || account.status(&session).await == "disconnected").await);
    for (method, path, body) in [
        ("GET", "groups".to_owned(), Value::Null),
        ("POST", "groups".to_owned(), json!({ "name": "Club", "participants": [CUSTOMER] })),
        ("POST", format!("groups/{id}/leave"), json!({})),
    ] {
        let off = refused(&stage, &session, method, &path, body).await;
        assert_eq!(off, (409, "SESSION_DISCONNECTED".to_owned()), "{method} {path}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_the_scope_asks_nothing_of_groups() {
    let (stage, account, session) = shop().await;
    let wish = json!({ "kind": "session", "session_id": session.id, "scopes": ["groups:read"] });
    let reader = TestSession { id: session.id, key: account.key(wish).await };
    assert_eq!(done(&stage, &reader, "GET", "groups", Value::Null).await, json!([]));
    let body = json!({ "name": "Club", "participants": [CUSTOMER] });
    assert_eq!(refused(&stage, &reader, "POST", "groups", body).await.0, 401);
    assert_eq!(refused(&stage, &reader, "GET", "contacts", Value::Null).await.0, 401);
    stage.stop().await;
}
