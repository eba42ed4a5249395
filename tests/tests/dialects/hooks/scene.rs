//! What happens while webhooks listen: a session is linked, people write, groups change, and in the end it goes off line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_core::records::id::TenantId;
use switchboard_tests::account::{Account, TestSession, phone, scan};
use switchboard_tests::files;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::receiver::{Received, Receiver};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

use crate::document::Document;
use crate::table::Api;

pub const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const FRIEND: &str = "491520000002";
/// Digits of a text that is an id or a moment; telephone numbers have fewer.
const DRAWN_DIGITS_MIN: usize = 7;

/// A host, an account, and phones.
pub struct Scene {
    stage: Stage,
    pub ours: Account,
}

impl Scene {
    pub async fn start() -> Self {
        let stage = Stage::start().await;
        let ours = stage.account("Ours").await;
        for number in [SHOP, CUSTOMER, FRIEND] {
            phone(stage.control(), ADMIN_KEY, number).await;
        }
        Self { stage, ours }
    }

    pub async fn stop(self) {
        self.stage.stop().await;
    }

    /// Lets everything happen to a session that was just made.
    pub async fn play(&self, session: &TestSession) {
        let Self { stage, ours } = self;
        let code = ours.qr(session).await;
        scan(stage.control(), ADMIN_KEY, SHOP, &code).await;
        ours.wait_for(session, "connected").await;
        stage.sim("PATCH", &format!("phones/{CUSTOMER}"), json!({ "name": "Ann" })).await;
        let text = self.said(json!({ "text": "Good day" }), "message.received").await;
        stage.sim("PATCH", &format!("phones/{CUSTOMER}"), json!({ "name": "Ann B." })).await;
        let picture = json!({ "base64": STANDARD.encode(files::picture()), "mime": "image/png", "caption": "a cat" });
        self.said(json!({ "image": picture }), "message.received").await;
        self.said(json!({ "edit": { "message_id": text, "text": "Good evening" } }), "message.edited").await;
        self.said(json!({ "revoke": { "message_id": text } }), "message.revoked").await;
        self.send(session).await;
        self.group().await;
        let call = stage.sim("POST", &format!("phones/{CUSTOMER}/calls"), json!({ "to": SHOP, "video": true })).await;
        ours.event("call.received", |data| data["call_id"] == call["id"]).await;
        stage.sim("POST", &format!("phones/{CUSTOMER}/chatstate"), json!({ "to": SHOP, "state": "composing" })).await;
        ours.event("chat.state", |data| data["state"] == "typing").await;
        let path = format!("/api/v1/whatsapp-sessions/{}/disconnect", session.id);
        assert_eq!(ours.post(&path, &ours.token, json!({})).await.status, 200);
    }

    /// The customer says something; its id, once the session has heard it.
    async fn said(&self, content: Value, event_type: &str) -> String {
        let id = self.stage.phone_sends(CUSTOMER, SHOP, content).await;
        self.ours.event(event_type, |data| data["whatsapp_id"] == id.as_str()).await;
        id
    }

    /// A text that is read and reacted to, a poll that is answered, and a text that nobody can have.
    async fn send(&self, session: &TestSession) {
        let Self { stage, ours } = self;
        let sent = ours.send(session, CUSTOMER, "Your order is ready").await.json();
        let id = sent["messageId"].as_str().unwrap().to_owned();
        stage.phone_shows(CUSTOMER, |shown| shown["id"] == id.as_str()).await;
        stage.sim("POST", &format!("phones/{CUSTOMER}/receipts"), json!({ "message_id": id })).await;
        ours.event("message.read", |data| data["whatsapp_id"] == id.as_str()).await;
        self.said(json!({ "reaction": { "message_id": id, "emoji": "👍" } }), "message.reaction").await;
        let poll =
            json!({ "to": CUSTOMER, "poll": { "question": "When?", "options": ["Mon", "Tue"], "multiSelect": false } });
        let poll = ours.post("/api/v1/send-message", &session.key, poll).await;
        assert_eq!(poll.status, 200, "{poll:?}");
        let poll = poll.json()["messageId"].as_str().unwrap().to_owned();
        stage.phone_shows(CUSTOMER, |shown| shown["id"] == poll.as_str()).await;
        self.said(json!({ "poll_vote": { "poll_id": poll, "options": ["Tue"] } }), "poll.vote").await;
        let doomed = json!({
            "session_id": session.id, "to": CUSTOMER, "text": "too late", "send_at": now_ms() + 3_600_000,
        });
        let doomed = ours.post("/switchboard/v1/messages", &ours.tenant_key, doomed).await;
        assert!(doomed.status < 300, "{doomed:?}");
        let path = format!("/switchboard/v1/messages/{}", doomed.json()["id"]);
        let cancelled = ours.http.json("DELETE", &path, Some(&ours.tenant_key), None).await.unwrap();
        assert!(cancelled.status < 300, "{cancelled:?}");
    }

    async fn group(&self) {
        let Self { stage, ours } = self;
        let made = stage.sim("POST", "groups", json!({ "subject": "Club", "participants": [CUSTOMER, SHOP] })).await;
        let group = made["jid"].as_str().unwrap().to_owned();
        let changed = async |change: &str| {
            ours.event("group.changed", |data| data["chat"] == group.as_str() && data["change"] == change).await
        };
        stage.sim("PATCH", &format!("groups/{group}"), json!({ "by": CUSTOMER, "subject": "Book club" })).await;
        changed("subject").await;
        let people = format!("groups/{group}/participants");
        for action in ["add", "promote", "demote", "remove", "add"] {
            stage.sim("POST", &people, json!({ "by": CUSTOMER, "action": action, "numbers": [FRIEND] })).await;
            changed(action).await;
        }
        stage.sim("POST", &people, json!({ "by": FRIEND, "action": "leave" })).await;
        changed("leave").await;
    }

    /// Waits until a request of each of these names has come.
    pub async fn wait_for_all(&self, receiver: &Receiver, wanted: &[&str], name: impl Fn(&Received) -> String) {
        let missing = || {
            let come: Vec<String> = receiver.all().iter().map(&name).collect();
            wanted.iter().filter(|wanted| !come.iter().any(|come| come == *wanted)).copied().collect::<Vec<_>>()
        };
        let all = until(PATIENCE, async || missing().is_empty()).await;
        assert!(all, "{:?} never came; these did: {:?}", missing(), receiver.all().iter().map(&name).collect::<Vec<_>>());
        assert!(until(PATIENCE, async || self.nothing_is_owed().await).await);
    }

    /// Whether every endpoint has been given everything that happened.
    async fn nothing_is_owed(&self) -> bool {
        let (storage, tenant) = (self.stage.host.storage(), TenantId(self.ours.tenant));
        let last = storage.last_event_number(tenant).await.unwrap();
        for endpoint in storage.webhooks(tenant).await.unwrap() {
            let passed = storage.webhook_cursor(tenant, endpoint.id).await.unwrap();
            if passed < last || storage.owed_count(tenant, endpoint.id).await.unwrap() > 0 {
                return false;
            }
        }
        true
    }

    /// The request of each name that tells of the earliest event, without what is drawn anew each time.
    pub fn told(
        &self,
        receiver: &Receiver,
        session: &TestSession,
        wanted: &[&str],
        name: impl Fn(&Received) -> String,
    ) -> String {
        let api = Api {
            http: self.stage.http(),
            key_header: |key| ("authorization", key.to_owned()),
            key: String::new(),
            spent_key: String::new(),
            bad_keys: Vec::new(),
            known: BTreeMap::from([(session.id.to_string(), "<session>")]),
            document: Document::default(),
            told: String::new(),
            columns: std::collections::BTreeSet::new(),
            throttled_key: String::new(),
        };
        let mut told = String::new();
        for wanted in wanted {
            let all = receiver.all();
            let number =
                |request: &&Received| request.header("webhook-id").split('_').nth(2).unwrap().parse::<u64>().unwrap();
            let first = all.iter().filter(|request| name(request) == *wanted).min_by_key(number).unwrap();
            let mut headers: Vec<&str> = first.headers.keys().map(String::as_str).filter(|name| is_own(name)).collect();
            headers.sort_unstable();
            let body = blurred(&api.normalised(&first.json()));
            let body = serde_json::to_string_pretty(&body).unwrap();
            writeln!(told, "== {wanted}\n{}\n{body}\n", headers.join(", ")).unwrap();
        }
        told
    }
}

fn is_own(header: &str) -> bool {
    header.starts_with("x-") || header.starts_with("webhook-")
}

fn now_ms() -> u64 {
    use switchboard_core::clock::{Clock, SystemClock};
    SystemClock.now().0
}

/// The same without ids that phones draw, codes and moments in texts.
fn blurred(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(blurred).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let name = if name.ends_with("@lid") { "<digits>@lid".to_owned() } else { name.clone() };
                (name, blurred(value))
            })
            .collect(),
        Value::String(text) => json!(blurred_text(text)),
        other => other.clone(),
    }
}

fn blurred_text(text: &str) -> &str {
    let known = [SHOP, CUSTOMER, FRIEND].iter().any(|number| text.contains(number));
    let digits = |text: &str| text.len() >= DRAWN_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_digit());
    if text.starts_with("2@") {
        return "<code>";
    }
    if text.strip_prefix("evt_").is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit())) {
        return "<evt_…>";
    }
    let is_id = text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
    if !known && (digits(text) || is_id) { "<drawn>" } else { text }
}

/// Compares what was told with its golden file: `UPDATE_GOLDEN=1` writes it anew.
pub fn compare(dialect: &str, told: &str) {
    let path = format!("{}/golden/{dialect}-webhooks.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(&path, told).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (told, expected) in told.split("\n\n").zip(golden.split("\n\n")) {
        assert_eq!(told, expected, "differs from golden/{dialect}-webhooks.txt; UPDATE_GOLDEN=1 writes it anew");
    }
    assert_eq!(told, golden, "differs from golden/{dialect}-webhooks.txt; UPDATE_GOLDEN=1 writes it anew");
}
