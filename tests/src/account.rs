//! What every test does first: a tenant, its keys, its sessions, and phones that scan.

use serde_json::{Value, json};
use switchboard::http::{LocalAnswer, LocalClient};

use crate::patience::{PATIENCE, until};

/// A tenant with its keys, as a client of a host.
#[derive(Clone)]
pub struct Account {
    /// Speaks to the host.
    pub http: LocalClient,
    /// The operator's key.
    pub admin_key: String,
    /// The tenant's id.
    pub tenant: u64,
    /// A key of kind tenant.
    pub tenant_key: String,
    /// A personal access token.
    pub token: String,
}

/// A session of an account.
#[derive(Clone, Debug)]
pub struct TestSession {
    /// Its id.
    pub id: u64,
    /// Its own key.
    pub key: String,
}

impl Account {
    /// Makes a tenant and its keys.
    pub async fn create(http: LocalClient, admin_key: &str, name: &str) -> Self {
        let tenant =
            http.json("POST", "/switchboard/v1/tenants", Some(admin_key), Some(&json!({ "name": name }))).await.unwrap();
        assert_eq!(tenant.status, 201, "{tenant:?}");
        let tenant = tenant.json()["id"].as_u64().unwrap();
        let mut account =
            Self { http, admin_key: admin_key.to_owned(), tenant, tenant_key: String::new(), token: String::new() };
        account.tenant_key = account.key(json!({ "kind": "tenant" })).await;
        account.token = account.key(json!({ "kind": "personal" })).await;
        account.unhurried().await;
        account
    }

    /// Lets sessions send as fast as tests do: through the dialect `wasender` it is 10 messages a minute otherwise.
    async fn unhurried(&self) {
        let path = "/switchboard/v1/plugins/wasender/config";
        let limit = json!({ "messages_per_minute": null });
        if self.get(path, &self.admin_key).await.json() != limit {
            let set = self.http.json("PUT", path, Some(&self.admin_key), Some(&limit)).await.unwrap();
            assert_eq!(set.status, 200, "{set:?}");
        }
    }

    /// Makes a key.
    pub async fn key(&self, wish: Value) -> String {
        let path = format!("/switchboard/v1/tenants/{}/keys", self.tenant);
        let made = self.http.json("POST", &path, Some(&self.admin_key), Some(&wish)).await.unwrap();
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["key"].as_str().unwrap().to_owned()
    }

    /// Uploads the carried auto-reply for this tenant.
    pub async fn auto_reply(&self, config: Value) {
        let upload = json!({ "name": "auto-reply", "builtin": "auto-reply", "config": config });
        let answer = self.post("/switchboard/v1/plugins", &self.tenant_key, upload).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }

    /// Makes a session through the dialect.
    pub async fn session(&self, name: &str) -> TestSession {
        let answer = self.post("/api/v1/whatsapp-sessions", &self.token, json!({ "name": name })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let data = &answer.json()["data"];
        TestSession { id: data["id"].as_u64().unwrap(), key: data["api_key"].as_str().unwrap().to_owned() }
    }

    /// Asks for the QR code of a session.
    pub async fn qr(&self, session: &TestSession) -> String {
        let path = format!("/api/v1/whatsapp-sessions/{}/connect", session.id);
        let answer = self.post(&path, &self.token, json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["data"]["qrCode"].as_str().unwrap_or_else(|| panic!("no QR code: {answer:?}")).to_owned()
    }

    /// A session that is linked to `number` and connected. `control` speaks to the simulated network.
    pub async fn linked(&self, control: LocalClient, name: &str, number: &str) -> TestSession {
        let session = self.session(name).await;
        let code = self.qr(&session).await;
        phone(control, &self.admin_key, number).await;
        scan(control, &self.admin_key, number, &code).await;
        self.wait_for(&session, "connected").await;
        session
    }

    /// The status of a session, as the dialect tells it.
    pub async fn status(&self, session: &TestSession) -> String {
        let answer = self.http.json("GET", "/api/v1/status", Some(&session.key), None).await.unwrap();
        answer.json()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns once a session has this status.
    pub async fn wait_for(&self, session: &TestSession, wanted: &str) {
        let reached = until(PATIENCE, async || self.status(session).await == wanted).await;
        assert!(reached, "session {} never became {wanted}", session.id);
    }

    /// Sends a text through the dialect.
    pub async fn send(&self, session: &TestSession, to: &str, text: &str) -> LocalAnswer {
        self.post("/api/v1/send-message", &session.key, json!({ "to": to, "text": text })).await
    }

    /// Everything in the tenant's event log.
    pub async fn events(&self) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.get(&format!("/switchboard/v1/events?after={after}"), &self.tenant_key).await.json();
            let events = page["events"].as_array().unwrap();
            let Some(last) = events.last() else { return all };
            after = last["n"].as_u64().unwrap();
            all.extend(events.iter().cloned());
        }
    }

    /// Waits until the log has an event of this type that is wanted; its data.
    pub async fn event(&self, event_type: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut all = Vec::new();
        let is = |event: &Value| event["type"] == event_type && wanted(&event["data"]);
        let found = until(PATIENCE, async || {
            all = self.events().await;
            all.iter().any(is)
        })
        .await;
        assert!(found, "no such {event_type} in {all:#?}");
        all.into_iter().find(is).unwrap()["data"].clone()
    }

    /// A POST with a JSON body.
    pub async fn post(&self, path: &str, key: &str, body: Value) -> LocalAnswer {
        self.http.json("POST", path, Some(key), Some(&body)).await.unwrap()
    }

    /// A GET.
    pub async fn get(&self, path: &str, key: &str) -> LocalAnswer {
        self.http.json("GET", path, Some(key), None).await.unwrap()
    }
}

/// A simulated phone.
pub async fn phone(control: LocalClient, admin_key: &str, number: &str) {
    let made = control
        .json("POST", "/switchboard/v1/sim/phones", Some(admin_key), Some(&json!({ "number": number })))
        .await
        .unwrap();
    assert!(matches!(made.status, 200 | 201), "{made:?}");
}

/// Lets a phone scan a QR code.
pub async fn scan(control: LocalClient, admin_key: &str, number: &str, code: &str) {
    let path = format!("/switchboard/v1/sim/phones/{number}/scan");
    let linked = control.json("POST", &path, Some(admin_key), Some(&json!({ "code": code }))).await.unwrap();
    assert_eq!(linked.status, 200, "{linked:?}");
}

/// Lets a phone write to `to`; the id of its message.
pub async fn write(control: LocalClient, admin_key: &str, number: &str, to: &str, text: &str) -> String {
    let path = format!("/switchboard/v1/sim/phones/{number}/messages");
    let body = json!({ "to": to, "text": text });
    let written = control.json("POST", &path, Some(admin_key), Some(&body)).await.unwrap();
    assert_eq!(written.status, 201, "{written:?}");
    written.json()["id"].as_str().unwrap().to_owned()
}

/// What a phone received after its message number `after`.
pub async fn received(control: LocalClient, admin_key: &str, number: &str, after: u64, wait_ms: u64) -> Vec<Value> {
    let path = format!("/switchboard/v1/sim/phones/{number}/messages?after={after}&wait_ms={wait_ms}");
    let page = control.json("GET", &path, Some(admin_key), None).await.unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    page.json()["messages"].as_array().unwrap().clone()
}

/// Waits until a phone shows `text`.
pub async fn shows(control: LocalClient, admin_key: &str, number: &str, text: &str) -> Value {
    let shown = async {
        let mut after = 0;
        loop {
            for message in received(control, admin_key, number, after, 5000).await {
                after = message["n"].as_u64().unwrap();
                if message["text"] == text {
                    return message;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("+{number} never showed {text:?}"))
}
