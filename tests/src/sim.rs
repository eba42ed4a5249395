//! A simulated network of its own for a test, driven through its control API as outside checks drive it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::http::LocalClient;
use switchboard_simnet::{SimConfig, SimNet};

use crate::patience::PATIENCE;

/// Where the control API lives.
const CONTROL: &str = "/switchboard/v1/sim";
/// How long one look at a phone waits for something new, in milliseconds.
const LOOK_MS: u64 = 5_000;
/// The operator's key.
pub const ADMIN_KEY: &str = "adm_only-for-tests-0123456789";
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A network in this process.
#[derive(Clone)]
pub struct Sim {
    net: SimNet,
}

impl Sim {
    /// A network that keeps nothing.
    pub async fn start() -> Self {
        Self::start_on(None, LOOPBACK).await
    }

    /// A network that keeps its state in `folder`.
    pub async fn start_in(folder: &Path) -> Self {
        Self::start_on(Some(folder), LOOPBACK).await
    }

    /// Stops in order and starts anew on the same folder and the same port, so that clients find it again.
    pub async fn restart_in(self, folder: &Path) -> Self {
        let address = self.address();
        self.net.shutdown().await;
        drop(self);
        Self::start_on(Some(folder), address).await
    }

    async fn start_on(folder: Option<&Path>, listen: SocketAddr) -> Self {
        let config =
            SimConfig { data_dir: folder.map(Path::to_path_buf), listen, tls_listen: None, admin_key: ADMIN_KEY.to_owned() };
        Self { net: SimNet::start(config).await.unwrap() }
    }

    /// Ends it.
    pub async fn stop(self) {
        self.net.shutdown().await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.net.local_addr()
    }

    /// The URL that clients connect to.
    pub fn ws_url(&self) -> String {
        self.net.ws_url()
    }

    /// The key under which clients that verify certificates must trust it.
    pub fn root_public_key(&self) -> [u8; 32] {
        self.net.root_public_key()
    }

    /// Speaks plain HTTP to it, for what is not under the control API.
    pub fn http(&self) -> LocalClient {
        LocalClient::new(self.address())
    }

    /// One request to the control API: its status and its body.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.net.control(method, &format!("{CONTROL}/{path}"), &body).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    /// A GET that must be answered.
    pub async fn get(&self, path: &str) -> Value {
        self.must("GET", path, None).await
    }

    /// A POST that must be carried out.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.must("POST", path, Some(&body)).await
    }

    /// A request that must be carried out.
    pub async fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path} {body:?} answered {status}: {answer}");
        answer
    }

    /// Makes a phone, or finds the one that has the number.
    pub async fn phone(&self, number: &str) -> Value {
        self.post("phones", json!({ "number": number })).await
    }

    /// Makes a phone whose owner has a name.
    pub async fn phone_named(&self, number: &str, name: &str) -> Value {
        self.post("phones", json!({ "number": number, "name": name })).await
    }

    /// What the control API tells about a phone.
    pub async fn phone_summary(&self, number: &str) -> Value {
        let phones = self.get("phones").await;
        let phone = phones["phones"].as_array().unwrap().iter().find(|phone| phone["number"] == number);
        phone.unwrap_or_else(|| panic!("no phone has the number {number}: {phones}")).clone()
    }

    /// The devices linked to a phone.
    pub async fn devices(&self, number: &str) -> Vec<u64> {
        let phone = self.phone_summary(number).await;
        phone["devices"].as_array().unwrap().iter().map(|device| device.as_u64().unwrap()).collect()
    }

    /// Lets a phone scan the code that a client shows.
    pub async fn scan(&self, number: &str, code: &str) -> Value {
        self.post(&format!("phones/{number}/scan"), json!({ "code": code })).await
    }

    /// Lets a phone's owner send a message; its id. `content` is the body of the control API without `to`.
    pub async fn send(&self, number: &str, to: &str, content: Value) -> String {
        let mut body = content;
        body["to"] = json!(to);
        let sent = self.post(&format!("phones/{number}/messages"), body).await;
        sent["id"].as_str().unwrap_or_else(|| panic!("no id in {sent}")).to_owned()
    }

    /// Lets a phone's owner send a text; its id.
    pub async fn send_text(&self, number: &str, to: &str, text: &str) -> String {
        self.send(number, to, json!({ "text": text })).await
    }

    /// Puts a fault on the devices of a number, or on everyone's.
    pub async fn fault(&self, body: Value) -> Value {
        self.post("faults", body).await
    }

    /// What a phone shows by now, oldest first.
    pub async fn shown(&self, number: &str) -> Vec<Value> {
        let page = self.get(&format!("phones/{number}/messages?after=0&wait_ms=0")).await;
        page["messages"].as_array().unwrap().clone()
    }

    /// What a phone's owner has sent by now with any device, oldest first.
    pub async fn own(&self, number: &str) -> Vec<Value> {
        let page = self.get(&format!("phones/{number}/messages?own=true&after=0&wait_ms=0")).await;
        page["messages"].as_array().unwrap().clone()
    }

    /// What a phone has heard by now, in `room`: `receipts`, `chatstates` or `presence`.
    pub async fn heard(&self, number: &str, room: &str) -> Vec<Value> {
        let page = self.get(&format!("phones/{number}/{room}")).await;
        let entries = page.as_object().unwrap().values().next().unwrap();
        entries.as_array().unwrap().clone()
    }

    /// From now on typing that nobody renews lasts this long.
    pub fn typing_lasts(&self, ttl: Duration) {
        self.net.set_typing_ttl(ttl);
    }

    /// Waits until a phone shows a message that is wanted.
    pub async fn shows(&self, number: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut shown = Vec::new();
        let found = async {
            let mut after = 0;
            loop {
                let page = self.get(&format!("phones/{number}/messages?after={after}&wait_ms={LOOK_MS}")).await;
                for message in page["messages"].as_array().unwrap() {
                    after = message["n"].as_u64().unwrap();
                    if wanted(message) {
                        return message.clone();
                    }
                    shown.push(message.clone());
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await.ok();
        found.unwrap_or_else(|| panic!("+{number} never showed {what}; it shows {shown:#?}"))
    }

    /// Waits until a phone shows the message of this id.
    pub async fn shows_id(&self, number: &str, id: &str) -> Value {
        self.shows(number, &format!("message {id}"), |message| message["id"] == id).await
    }

    /// Waits until a phone shows this text.
    pub async fn shows_text(&self, number: &str, text: &str) -> Value {
        self.shows(number, &format!("{text:?}"), |message| message["text"] == text).await
    }

    /// The file that a shown message refers to, opened by its phone.
    pub async fn file(&self, number: &str, shown: &Value) -> Vec<u8> {
        let path = format!("{CONTROL}/phones/{number}/messages/{}/media", shown["n"]);
        let answer = self.net.control("GET", &path, b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    /// What the network counts.
    pub async fn stats(&self) -> Value {
        self.get("stats").await
    }

    /// Every message the network took, before any deduplication.
    pub async fn journal(&self) -> Vec<Value> {
        self.get("journal?after=0").await["entries"].as_array().unwrap().clone()
    }
}
