//! One tenant uses up all that it may of something, and another has all of its own.

use serde_json::{Value, json};
use switchboard_tests::account::Account;
use switchboard_tests::stage::ADMIN_KEY;

use super::Cell;
use super::rows::Row;
use super::town::{BASE, CUSTOMER, Town};

/// Tries to use up what a row is about.
pub async fn tried(town: &Town, row: &Row) -> Cell {
    match row.name {
        "the Signal store of a session" | "ids" => limited(town, "sessions", 1, sessions).await,
        "messages" | "schedules" => limited(town, "messages_per_month", 0, messages).await,
        "media" => limited(town, "media_bytes", 10, media).await,
        "rate counters and usage" => limited(town, "api_requests_per_minute", 0, usage).await,
        "what plugins keep" => kept(town).await,
        "secrets of plugins" => secrets(town).await,
        "session keys" | "texts of errors" => {
            Cell::NoSurface("wrong keys are counted for each address, and a right one always passes")
        }
        "logs of plugins" | "the tail stream" => Cell::NoSurface("each plugin has its own newest 1,000 calls"),
        "metrics labels" => Cell::NoSurface("labels are constants of the program"),
        "webhooks and their signing keys" | "runs that wait or were parked, and dead deliveries" => {
            Cell::NoSurface("each tenant has lanes of its own; the hostile suite floods them")
        }
        "routers of tenants" => {
            Cell::NoSurface("requests that the routers of one tenant answer at once are counted for each")
        }
        "artifacts of plugins" | "the cache of compiled code" => {
            Cell::NoSurface("each owner uploads in turn; the hostile suite uploads more at once than wait")
        }
        "contacts" | "templates" => Cell::NoSurface("rows of a tenant's own, of which the number is limited for each"),
        _ => Cell::NoSurface("there is none to use up"),
    }
}

/// Whether somebody may have one more.
async fn sessions(account: &Account, _: u64) -> u16 {
    account.post(&format!("{BASE}/sessions"), &account.tenant_key, json!({ "name": "one more" })).await.status
}

async fn messages(account: &Account, session: u64) -> u16 {
    let wish = json!({ "session_id": session, "to": CUSTOMER, "text": "one more" });
    account.post(&format!("{BASE}/messages"), &account.tenant_key, wish).await.status
}

async fn media(account: &Account, _: u64) -> u16 {
    let file = json!({ "base64": "JVBERi0xLjQgb25lIG1vcmUgb25lIG1vcmU=", "file_name": "more.pdf" });
    account.post(&format!("{BASE}/media"), &account.tenant_key, file).await.status
}

async fn usage(account: &Account, _: u64) -> u16 {
    account.get(&format!("{BASE}/usage"), &account.tenant_key).await.status
}

/// With a limit set for one tenant, that one has no more, and the other has.
async fn limited(town: &Town, limit: &str, figure: u64, more: impl AsyncFn(&Account, u64) -> u16) -> Cell {
    set(&town.theirs, json!({ limit: figure })).await;
    let theirs = more(&town.theirs, town.their_session.id).await;
    let ours = more(&town.ours, town.our_session.id).await;
    set(&town.theirs, json!({})).await;
    let mut leaks = Vec::new();
    if (200..300).contains(&theirs) {
        leaks.push(format!("{limit} of {figure} does not hold: {theirs}"));
    }
    if !(200..300).contains(&ours) {
        leaks.push(format!("another's {limit} is used up: {ours}"));
    }
    Cell::Tried(2, leaks)
}

async fn set(account: &Account, limits: Value) {
    let path = format!("{BASE}/tenants/{}", account.tenant);
    let change = json!({ "limits": limits });
    let set = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&change)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

async fn kept(town: &Town) -> Cell {
    let put = async |account: &Account, name: String| {
        let answer = account.post("/prober/try", &account.tenant_key, json!({ "verb": "kv.put", "name": name })).await;
        String::from_utf8(answer.body).unwrap()
    };
    let mut refused = String::new();
    for n in 0..6 {
        refused = put(&town.theirs, format!("{n}{}", "x".repeat(500))).await;
    }
    let ours = put(&town.ours, "one-more".to_owned()).await;
    let gone = json!({ "verb": "kv.delete", "name": "one-more" });
    town.ours.post("/prober/try", &town.ours.tenant_key, gone).await;
    let mut leaks = Vec::new();
    if !refused.contains("kv_bytes") {
        leaks.push(format!("its room does not end: {refused}"));
    }
    if ours != "Ok(())" {
        leaks.push(format!("another's room is used up: {ours}"));
    }
    Cell::Tried(7, leaks)
}

async fn secrets(town: &Town) -> Cell {
    let put = async |account: &Account, plugin: &str, name: String| {
        let path = format!("{BASE}/plugins/{plugin}/secrets/{name}");
        let body = json!({ "value": "x" });
        account.http.json("PUT", &path, Some(&account.tenant_key), Some(&body)).await.unwrap().status
    };
    let mut last = 0;
    for n in 0..65 {
        last = put(&town.theirs, "mine", format!("NAME_{n}")).await;
    }
    let ours = put(&town.ours, super::town::PLUGIN, "ONE_MORE".to_owned()).await;
    let path = format!("{BASE}/plugins/{}/secrets/ONE_MORE", super::town::PLUGIN);
    let deleted = town.ours.http.json("DELETE", &path, Some(&town.ours.tenant_key), None).await.unwrap();
    let mut leaks = Vec::new();
    if (200..300).contains(&last) {
        leaks.push(format!("65 secrets are taken: {last}"));
    }
    if ours != 201 || deleted.status != 204 {
        leaks.push(format!("another's are used up: {ours}"));
    }
    Cell::Tried(66, leaks)
}
