//! The part of the hostile suite that needs a whole host: what plugins do to messages, to their own life, and to whom they ask. The
//! name of each case says how it must end; after each, a neighbour's plugin answers as ever, and nothing came to it.

mod asking;
mod lifecycle;
mod messaging;

use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::account::{Account, TestSession, phone, received, shows, write};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const PLUGINS: &str = "/switchboard/v1/plugins";
const ATTACKERS: &str = "491510000001";
const NEIGHBOURS: &str = "491510000002";
const CUSTOMER: &str = "491520000001";
const OTHER_CUSTOMER: &str = "491520000002";
const NEIGHBOURS_CUSTOMER: &str = "491520000009";

/// A host with an account whose plugin misbehaves, and another whose plugin answers `ping`.
struct Street {
    stage: Stage,
    attacker: Account,
    attackers_session: TestSession,
    neighbour: Account,
    neighbours_session: TestSession,
}

impl Street {
    async fn start() -> Self {
        let stage = Stage::start().await;
        let (attacker, neighbour) = (stage.account("Attacker").await, stage.account("Neighbour").await);
        let attackers_session = attacker.linked(stage.control(), "A", ATTACKERS).await;
        let neighbours_session = neighbour.linked(stage.control(), "N", NEIGHBOURS).await;
        for number in [CUSTOMER, OTHER_CUSTOMER, NEIGHBOURS_CUSTOMER] {
            phone(stage.control(), ADMIN_KEY, number).await;
        }
        neighbour.auto_reply(json!({ "replies": [{ "keyword": "ping", "reply": "pong" }] })).await;
        Self { stage, attacker, attackers_session, neighbour, neighbours_session }
    }

    /// The same, with the bot as the attacker's plugin.
    async fn with_bot() -> Self {
        let street = Self::start().await;
        let made = upload(&street.attacker, "bot", bot()).await;
        assert_eq!(made.status, 201, "{made:?}");
        street
    }

    /// Somebody writes to the attacker's session.
    async fn tell(&self, from: &str, text: &str) {
        write(self.stage.control(), ADMIN_KEY, from, ATTACKERS, text).await;
    }

    /// What a customer has been sent.
    async fn shown(&self, number: &str) -> Vec<String> {
        let shown = received(self.stage.control(), ADMIN_KEY, number, 0, 0).await;
        shown.iter().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until a customer has been sent so many messages.
    async fn shown_times(&self, number: &str, count: usize) -> Vec<String> {
        let mut shown = Vec::new();
        let all = until(PATIENCE, async || {
            shown = self.shown(number).await;
            shown.len() >= count
        });
        assert!(all.await, "{shown:?}");
        shown
    }

    /// Waits until a run of the attacker's bot has failed with these words.
    async fn run_fails(&self, words: &str) -> Value {
        run_fails(&self.attacker, words).await
    }

    /// The neighbour's plugin answers as before, and the neighbour finds what it knows and nothing else.
    async fn end(self) {
        write(self.stage.control(), ADMIN_KEY, NEIGHBOURS_CUSTOMER, NEIGHBOURS, "ping").await;
        shows(self.stage.control(), ADMIN_KEY, NEIGHBOURS_CUSTOMER, "pong").await;
        assert_eq!(self.shown(NEIGHBOURS_CUSTOMER).await, ["pong"]);
        let key = &self.neighbour.tenant_key;
        let messages = self.neighbour.get("/switchboard/v1/messages", key).await.json();
        assert_eq!(messages["messages"].as_array().unwrap().len(), 1, "{messages}");
        let plugins = self.neighbour.get(PLUGINS, key).await.json();
        let names: Vec<&Value> = plugins["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
        assert_eq!(names, ["auto-reply"]);
        let failed = self.neighbour.get(&format!("{PLUGINS}/auto-reply/logs?failed=true"), key).await.json();
        assert_eq!(failed["calls"], json!([]));
        let ready = self.neighbour.get("/readyz", "").await;
        assert_eq!(ready.status, 200, "{ready:?}");
        self.stage.stop().await;
    }
}

fn bot() -> Vec<u8> {
    std::fs::read(env!("GUEST_BOT")).unwrap()
}

async fn upload(account: &Account, name: &str, component: Vec<u8>) -> LocalAnswer {
    let key = format!("Bearer {}", account.tenant_key);
    let headers = [("authorization", key), ("content-type", "application/wasm".to_owned())];
    account.http.exchange("POST", &format!("{PLUGINS}?name={name}&grants=asked"), &headers, component).await.unwrap()
}

/// Gives the bot these grants.
async fn grant(account: &Account, grants: Value) {
    let path = format!("{PLUGINS}/bot/grants");
    let set = account.http.json("PUT", &path, Some(&account.tenant_key), Some(&grants)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

/// Runs of an account's bot that wait or are parked.
async fn runs(account: &Account) -> Vec<Value> {
    let mut runs = Vec::new();
    for state in ["waiting", "parked"] {
        let page = account.get(&format!("{PLUGINS}/bot/runs?state={state}"), &account.tenant_key).await;
        assert_eq!(page.status, 200, "{page:?}");
        runs.extend(page.json()["runs"].as_array().unwrap().clone());
    }
    runs
}

/// Waits until a run of an account's bot has failed with these words.
async fn run_fails(account: &Account, words: &str) -> Value {
    let (mut seen, mut found) = (Vec::new(), Value::Null);
    let failed = until(PATIENCE, async || {
        seen = runs(account).await;
        let with = |run: &&Value| run["last_error"].as_str().is_some_and(|why| why.contains(words));
        found = seen.iter().find(with).cloned().unwrap_or_default();
        !found.is_null()
    });
    assert!(failed.await, "{words}: {seen:?}");
    found
}
