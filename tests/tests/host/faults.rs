//! What goes wrong on the way between a host and WhatsApp: what the customer sees of it, and how traffic recovers by itself.
//!
//! `connection` has what happens to connections, `login` what to logins, `messages` what to messages.

#[path = "faults/connection.rs"]
mod connection;
#[path = "faults/login.rs"]
mod login;
#[path = "faults/messages.rs"]
mod messages;

use std::cell::Cell;

use serde_json::{Value, json};
use switchboard_tests::account::{Account, TestSession, phone, received, scan, write};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage, impatient};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const OTHER_CUSTOMER: &str = "491520000002";
/// Longer than any test waits, so that only the test ends a fault.
const HOUR_MS: u64 = 3_600_000;

/// A shop with a session that is connected, and its customers.
struct Shop {
    stage: Stage,
    account: Account,
    session: TestSession,
    texts: Cell<u32>,
}

impl Shop {
    /// A host that soon doubts a silent connection.
    async fn open() -> Self {
        let stage = Stage::start_with(impatient()).await;
        let account = stage.account("Shop").await;
        let session = account.linked(stage.control(), "Shop", SHOP).await;
        for number in [CUSTOMER, OTHER_CUSTOMER] {
            phone(stage.control(), ADMIN_KEY, number).await;
        }
        let shop = Self { stage, account, session, texts: Cell::new(0) };
        shop.trades().await;
        shop
    }

    async fn close(self) {
        self.stage.stop().await;
    }

    /// Stops the host in order and starts it anew.
    async fn restart(self) -> Self {
        let stage = self.stage.restart().await;
        let account = Account { http: stage.http(), ..self.account };
        Self { stage, account, ..self }
    }

    /// Puts a fault on the session's device.
    async fn fault(&self, fault: Value) {
        let mut body = fault;
        body["number"] = body.get("number").cloned().unwrap_or_else(|| json!(SHOP));
        self.sim_fault(body).await;
    }

    async fn clear(&self) {
        self.sim_fault(json!({ "fault": "clear" })).await;
    }

    async fn sim_fault(&self, body: Value) {
        let path = "/switchboard/v1/sim/faults";
        let done = self.stage.control().json("POST", path, Some(ADMIN_KEY), Some(&body)).await.unwrap();
        assert_eq!(done.status / 100, 2, "{body}: {done:?}");
    }

    /// Everything that has happened, oldest first.
    async fn events(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().map_or(0, |event| event["n"].as_u64().unwrap());
            let path = format!("/switchboard/v1/events?after={after}");
            let page = self.account.get(&path, &self.account.tenant_key).await.json();
            let page = page["events"].as_array().unwrap().clone();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// How many events there are: a mark to read on from.
    async fn mark(&self) -> usize {
        self.events().await.len()
    }

    /// The states of the session since `mark`, with their reasons.
    async fn states_since(&self, mark: usize) -> Vec<(String, String)> {
        let events = self.events().await;
        let states = events.iter().skip(mark).filter(|event| event["type"] == "session.state");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        states.map(|event| (text(&event["data"]["state"]), text(&event["data"]["reason"]))).collect()
    }

    /// Waits until the session has come into `state` for a reason that begins like this, after `mark`.
    async fn comes_to(&self, mark: usize, state: &str, reason: &str) {
        let mut seen = Vec::new();
        let reached = until(PATIENCE, async || {
            seen = self.states_since(mark).await;
            seen.iter().any(|(told, why)| told == state && why.starts_with(reason))
        });
        assert!(reached.await, "never {state} ({reason}); but {seen:?}");
    }

    /// Waits until the session, having been elsewhere since `mark`, is connected.
    async fn comes_back(&self, mark: usize) {
        let mut seen = Vec::new();
        let reached = until(PATIENCE, async || {
            seen = self.states_since(mark).await;
            seen.len() > 1 && seen.last().is_some_and(|(state, _)| state == "connected")
        });
        assert!(reached.await, "it never came back; but {seen:?}");
    }

    /// Asks to connect it, as a customer does.
    async fn connect(&self) {
        let path = format!("/api/v1/whatsapp-sessions/{}/connect", self.session.id);
        let asked = self.account.post(&path, &self.session.key, json!({})).await;
        assert_eq!(asked.status, 200, "{asked:?}");
    }

    /// Links it to its phone anew.
    async fn link(&self) {
        let code = self.account.qr(&self.session).await;
        scan(self.stage.control(), ADMIN_KEY, SHOP, &code).await;
        self.account.wait_for(&self.session, "connected").await;
    }

    /// A text that was not used before.
    fn text(&self) -> String {
        self.texts.set(self.texts.get() + 1);
        format!("text {}", self.texts.get())
    }

    /// Lets the shop write to its customer; the WhatsApp id of what was accepted.
    async fn sends(&self, text: &str) -> String {
        let sent = self.account.send(&self.session, CUSTOMER, text).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        sent.json()["messageId"].as_str().unwrap().to_owned()
    }

    /// Lets a customer write to the shop; the id of the message.
    async fn hears_from(&self, customer: &str, text: &str) -> String {
        write(self.stage.control(), ADMIN_KEY, customer, SHOP, text).await
    }

    /// Waits until the customer's phone shows this text, and asserts that it shows it once.
    async fn arrives(&self, text: &str) {
        let shown = async || {
            let all = received(self.stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
            all.iter().filter(|message| message["text"] == text).count()
        };
        let reached = until(PATIENCE, async || shown().await > 0).await;
        assert!(reached, "the customer never saw {text:?}");
        assert_eq!(shown().await, 1, "{text:?}");
    }

    /// The texts that customers wrote, as events, in their order.
    async fn heard(&self) -> Vec<String> {
        let events = self.events().await;
        let messages = events.iter().filter(|event| event["type"] == "message.received");
        messages.map(|event| event["data"]["content"]["value"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until what a customer wrote is an event, and asserts that it is one.
    async fn is_heard(&self, text: &str) {
        let times = async || self.heard().await.iter().filter(|heard| *heard == text).count();
        let reached = until(PATIENCE, async || times().await > 0).await;
        assert!(reached, "{text:?} never became an event");
        assert_eq!(times().await, 1, "{text:?}");
    }

    /// The states that a message of the shop has come to, as events, in their order.
    async fn way_of(&self, whatsapp_id: &str) -> Vec<String> {
        let events = self.events().await;
        let of_it =
            events.iter().filter(|event| event["data"]["whatsapp_id"] == whatsapp_id && event["data"]["state"].is_string());
        of_it.map(|event| event["data"]["state"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until a message of the shop has come to this state.
    async fn message_is(&self, whatsapp_id: &str, state: &str) {
        let mut way = Vec::new();
        let reached = until(PATIENCE, async || {
            way = self.way_of(whatsapp_id).await;
            way.iter().any(|told| told == state)
        });
        assert!(reached.await, "message {whatsapp_id} was never {state}; but {way:?}");
    }

    /// Messages go in both directions, each once.
    async fn trades(&self) {
        let (to, from) = (self.text(), self.text());
        let id = self.sends(&to).await;
        self.hears_from(CUSTOMER, &from).await;
        self.arrives(&to).await;
        self.is_heard(&from).await;
        self.message_is(&id, "delivered").await;
    }
}
