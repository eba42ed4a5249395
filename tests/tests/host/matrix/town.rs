//! Two tenants and an operator in one host. Everything of the one has the word `canary` in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_tests::account::{Account, TestSession, phone, shows, write};
use switchboard_tests::components::stamped;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::receiver::Receiver;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

pub const BASE: &str = "/switchboard/v1";
pub const CUSTOMER: &str = "491520000001";
const OURS: &str = "491510000001";
const THEIRS: &str = "491510000002";
/// What one tenant's plugin is called, and what is called alike and never was.
pub const PLUGIN: &str = "canary-bot";
pub const NEVER_PLUGIN: &str = "canary-bat";
/// The routers of either.
const ROUTER: &str = "canary-router";
pub const OWN_ROUTER: &str = "their-router";

/// What stands in braces, by name.
pub type Ids = Vec<(&'static str, String)>;

pub struct Town {
    pub stage: Stage,
    /// Whose everything is.
    pub ours: Account,
    pub our_session: TestSession,
    /// Who wants it.
    pub theirs: Account,
    pub their_session: TestSession,
    pub ids: Ids,
    pub never: Ids,
    /// What was there before anybody tried anything.
    before: Vec<(String, Value)>,
    /// Where webhooks go.
    _receiver: Receiver,
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn made(account: &Account, path: &str, wish: Value) -> Value {
    let answer = account.post(&format!("{BASE}{path}"), &account.tenant_key, wish).await;
    assert!(matches!(answer.status, 200..=202), "{path}: {answer:?}");
    answer.json()
}

impl Town {
    pub async fn start() -> Self {
        let stage = Stage::start().await;
        let (ours, theirs) = (stage.account("canary-account").await, stage.account("Theirs").await);
        let our_session = ours.linked(stage.control(), "canary-session", OURS).await;
        let their_session = theirs.linked(stage.control(), "T", THEIRS).await;
        let person = json!({ "number": CUSTOMER, "name": "canary-person" });
        stage.sim("POST", "phones", person).await;
        phone(stage.control(), ADMIN_KEY, "491520000002").await;
        let receiver = Receiver::start().await;
        prober(&ours).await;
        own_prober(&ours, ROUTER).await;
        own_prober(&theirs, OWN_ROUTER).await;
        bot(&ours, PLUGIN).await;
        bot(&theirs, "mine").await;
        let ids = everything(&stage, &ours, &our_session, &their_session, &receiver).await;
        let never = never(&ids);
        let mut town =
            Self { stage, ours, our_session, theirs, their_session, ids, never, before: Vec::new(), _receiver: receiver };
        town.before = town.everything_of_ours().await;
        town
    }

    /// What its owner finds of what others may have changed.
    async fn everything_of_ours(&self) -> Vec<(String, Value)> {
        let paths = [
            "/sessions/{session}",
            "/messages/{scheduled}",
            "/batches/{batch}",
            "/media/{media}",
            "/webhooks/{webhook}",
            "/templates/{template}",
            "/plugins/{plugin}",
            "/plugins/{plugin}/config",
            "/plugins/{plugin}/grants",
            "/plugins/{plugin}/secrets",
            "/plugins/{plugin}/versions",
        ];
        let mut found = Vec::new();
        for path in paths {
            let path = filled(path, &self.ids);
            let answer = self.ours.get(&format!("{BASE}{path}"), &self.ours.tenant_key).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            found.push((path, answer.json()));
        }
        let acts = json!({ "verb": "kv.scan" });
        let kept = self.ours.post("/prober/try", &self.ours.tenant_key, acts).await;
        found.push(("kv".to_owned(), json!(String::from_utf8(kept.body).unwrap())));
        found
    }

    /// Everything is as it was.
    pub async fn end(self) {
        let after = self.everything_of_ours().await;
        for ((path, before), (_, after)) in self.before.iter().zip(after) {
            // How often the plugin was called, and when a session was last on line, is its owner's own doing.
            let plain = |mut value: Value| {
                if let Some(fields) = value.as_object_mut() {
                    fields.retain(|name, _| !matches!(name.as_str(), "calls" | "last_us" | "updated_at" | "last_active_at"));
                }
                value
            };
            assert_eq!(plain(before.clone()), plain(after), "{path}");
        }
        self.stage.stop().await;
    }

    /// What is told of tenants that never were has none of these words in it.
    pub fn marks(&self) -> Vec<String> {
        let long = |(_, id): &(&'static str, String)| (id.len() >= 6).then(|| id.clone());
        let not_own = |id: &String| *id != self.their_session.id.to_string() && id != CUSTOMER;
        self.ids.iter().filter_map(long).filter(not_own).chain(["canary".to_owned()]).collect()
    }
}

/// A text with what stands in braces put in.
pub fn filled(text: &str, ids: &Ids) -> String {
    ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
}

async fn prober(account: &Account) {
    let component = STANDARD.encode(std::fs::read(env!("GUEST_PROBER")).unwrap());
    let wish = json!({
        "name": "prober", "component_base64": component, "mounts": [{ "prefix": "/prober" }], "grants": "asked",
    });
    let made = account.post(&format!("{BASE}/plugins"), ADMIN_KEY, wish).await;
    assert_eq!(made.status, 201, "{made:?}");
}

async fn own_prober(account: &Account, name: &str) {
    let component_base64 = STANDARD.encode(std::fs::read(env!("GUEST_PROBER")).unwrap());
    made(account, "/plugins", json!({ "name": name, "component_base64": component_base64, "grants": "asked" })).await;
}

async fn bot(account: &Account, name: &str) {
    // Each account's has other bytes.
    let component = stamped(env!("GUEST_BOT"), u16::from(name == PLUGIN));
    let headers =
        [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/wasm".to_owned())];
    let path = format!("{BASE}/plugins?name={name}&grants=asked");
    let made = account.http.exchange("POST", &path, &headers, component).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
}

/// Makes one of everything for a tenant; where it is.
async fn everything(
    stage: &Stage,
    ours: &Account,
    session: &TestSession,
    their_session: &TestSession,
    receiver: &Receiver,
) -> Ids {
    let key = &ours.tenant_key;
    let put = async |path: String, body: Value| {
        let put = ours.http.json("PUT", &format!("{BASE}{path}"), Some(key), Some(&body)).await.unwrap();
        assert!(matches!(put.status, 200 | 201), "{put:?}");
    };
    put(format!("/plugins/{PLUGIN}/config"), json!({ "word": "canary-config" })).await;
    put(format!("/plugins/{PLUGIN}/secrets/API_KEY"), json!({ "value": "canary-secret" })).await;
    ours.post("/prober/try", key, json!({ "verb": "kv.put", "name": "canary-kept" })).await;
    for said in ["canary-heard", "put canary-key"] {
        write(stage.control(), ADMIN_KEY, CUSTOMER, OURS, said).await;
    }
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "kept").await;
    // A run that fails again and again.
    write(stage.control(), ADMIN_KEY, "491520000002", OURS, "half").await;
    let run = waiting_run(ours).await;
    let text_wish = json!({ "session_id": session.id, "to": CUSTOMER, "text": "canary-sent" });
    let message = made(ours, "/messages", text_wish.clone()).await;
    let mut later = text_wish;
    later["send_at"] = json!(message["accepted_at"].as_u64().unwrap() + 86_400_000);
    let scheduled = made(ours, "/messages", later).await;
    let messages = json!([{ "to": CUSTOMER, "text": "canary-batched" }]);
    let batch = made(ours, "/messages/batch", json!({ "session_id": session.id, "messages": messages })).await;
    let file = json!({ "base64": STANDARD.encode("%PDF-1.4 canary-file"), "file_name": "canary.pdf" });
    let media = made(ours, "/media", file).await;
    let hook = json!({ "name": "canary-hook", "url": receiver.url("/canary"), "events": ["message.received"] });
    let webhook = made(ours, "/webhooks", hook).await;
    let template =
        made(ours, "/templates", json!({ "name": "canary_words", "language": "en", "definition": { "body": "canary" } }))
            .await;
    let keys = ours.get(&format!("{BASE}/tenants/{}/keys", ours.tenant), ADMIN_KEY).await.json();
    let versions = ours.get(&format!("{BASE}/plugins/{PLUGIN}/versions"), key).await.json();
    vec![
        ("session", session.id.to_string()),
        ("own_session", their_session.id.to_string()),
        ("own_plugin", "mine".to_owned()),
        ("tenant", ours.tenant.to_string()),
        ("key", text(&keys["keys"][0]["id"])),
        ("message", text(&message["id"])),
        ("whatsapp", text(&message["whatsapp_id"])),
        ("scheduled", text(&scheduled["id"])),
        ("batch", text(&batch["id"])),
        ("media", text(&media["id"])),
        ("webhook", text(&webhook["id"])),
        ("template", text(&template["id"])),
        ("template_name", "canary_words".to_owned()),
        ("plugin", PLUGIN.to_owned()),
        ("router", ROUTER.to_owned()),
        ("kept", "canary-kept".to_owned()),
        ("sha", text(&versions["versions"][0]["sha256"])),
        ("run", run),
    ]
}

async fn waiting_run(account: &Account) -> String {
    let mut page = Value::Null;
    let waits = until(PATIENCE, async || {
        page = account.get(&format!("{BASE}/plugins/{PLUGIN}/runs?state=waiting"), &account.tenant_key).await.json();
        page["runs"][0]["id"].is_string()
    });
    assert!(waits.await, "{page}");
    text(&page["runs"][0]["id"])
}

/// The same of what never was: ids that look alike.
fn never(ids: &Ids) -> Ids {
    let alike = |(name, id): &(&'static str, String)| {
        let never = match *name {
            "own_session" | "own_plugin" => id.clone(),
            "plugin" => NEVER_PLUGIN.to_owned(),
            "template_name" => "canary_wards".to_owned(),
            "router" => "canary-rooter".to_owned(),
            "kept" => "canary-lost".to_owned(),
            "sha" => "0".repeat(64),
            "whatsapp" => format!("3EB0{}", "0".repeat(id.len() - 4)),
            "media" => format!("{}{}", &id[..id.len() - 8], if id.ends_with("00000000") { "11111111" } else { "00000000" }),
            "run" => id.replace(PLUGIN, NEVER_PLUGIN),
            // Fewer digits, so that they were drawn for nobody.
            _ => (id.parse::<u64>().unwrap() ^ 0b1010).to_string(),
        };
        assert!(never != *id || name.starts_with("own"), "{name}");
        (*name, never)
    };
    ids.iter().map(alike).collect()
}
