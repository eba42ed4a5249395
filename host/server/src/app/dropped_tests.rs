//! Requests and runs whose callers go away, at every point where they wait: what they change is there as a whole or not at all, it
//! is told to whoever waits for it, and what is served is what is stored.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::records::event::NewFact;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::plugin::Plugin;
use switchboard_core::rules::event_read::read_event;
use switchboard_core::rules::plugin_plan::PluginFigures;
use switchboard_core::storage::{NewKey, Storage};
use switchboard_runtime::Compiler;
use switchboard_runtime::verbs::{FetchAnswer, FetchError, FetchRequest, FetchVerbs};
use tempfile::TempDir;
use tokio::task::yield_now;

use super::rehearsal::{Rehearsal, RehearsalSettings, account, connected, master_key};
use crate::accounts::KeyWish;
use crate::builtins::builtin;
use crate::http::{LocalAnswer, LocalClientError, ask_holding};
use crate::plugins::{GrantWish, Install};

const TENANT: TenantId = TenantId(1);
const SESSION: SessionId = SessionId(1);
const NOW: Timestamp = Timestamp(1_768_478_400_000);
/// More waits than anything here has.
const POLLS_MAX: usize = 1_000;

/// Nobody is reached.
struct Nowhere;

#[async_trait]
impl FetchVerbs for Nowhere {
    async fn fetch(&self, _: TenantId, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
        Err(FetchError::Unreachable(request.url))
    }
}

/// A host whose storage writes on a thread of its own, as every host's does.
struct Stage {
    host: Rehearsal,
    tenant_key: String,
    _disk: TempDir,
}

/// A request of the tenant's, or of the operator's.
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    content_type: &'a str,
    body: Vec<u8>,
    operator: bool,
}

impl<'a> Asked<'a> {
    fn json(method: &'a str, path: &'a str, body: &Value) -> Self {
        Self { method, path, content_type: "application/json", body: body.to_string().into_bytes(), operator: false }
    }

    fn upload(path: &'a str, component: Vec<u8>) -> Self {
        Self { method: "POST", path, content_type: "application/wasm", body: component, operator: false }
    }
}

/// The component of this name, as its `n`th version: each has another mark at its end.
fn component(name: &str, n: u8) -> Vec<u8> {
    let mut bytes = builtin(name).unwrap().component.to_vec();
    // A custom section of two bytes: its name, which is one letter.
    bytes.extend([0, 2, 1, b'a' + n]);
    bytes
}

/// Polls `asked` up to `polls` times, each time that it is woken, and drops it; what it came to, if it did.
async fn dropped_after<T>(polls: usize, asked: impl Future<Output = T>) -> Option<T> {
    let (mut asked, mut left) = (Box::pin(asked), polls);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match asked.as_mut().poll(context) {
            Poll::Pending if left == 0 => Poll::Ready(None),
            polled => polled.map(Some),
        }
    })
    .await
}

impl Stage {
    /// A host with one account. `compiled` keeps what was compiled for the next one.
    async fn open(compiled: &Path) -> Self {
        let disk = TempDir::new().unwrap();
        let storage = Storage::open(&disk.path().join("storage"), master_key()).await.unwrap();
        let (program, compiler) = (PathBuf::new(), Compiler::InProcess);
        let folder = compiled.to_owned();
        let settings = RehearsalSettings { now: NOW, folder, program, compiler, fetches: Arc::new(Nowhere) };
        let host = Rehearsal::over(storage, settings).unwrap();
        host.storage.create_tenant(&account(TENANT, NOW)).await.unwrap();
        let key = |wish: Value| -> NewKey {
            let wish: KeyWish = serde_json::from_value(wish).unwrap();
            host.accounts.draw_key(TENANT, &wish)
        };
        let own_key = key(json!({ "kind": "session", "session_id": SESSION }));
        host.storage.create_session(&connected(TENANT, SESSION, "15550100000".to_owned(), NOW), &own_key).await.unwrap();
        let tenants = key(json!({ "kind": "tenant" }));
        host.storage.create_key(&tenants).await.unwrap();
        Self { host, tenant_key: tenants.text, _disk: disk }
    }

    /// The same with the two versions of a plugin, the second of them active.
    async fn with_versions(compiled: &Path) -> Self {
        let stage = Self::open(compiled).await;
        for n in 0..2 {
            stage.install("replies", component("auto-reply", n), None).await;
        }
        stage
    }

    async fn install(&self, name: &str, component: Vec<u8>, config: Option<Value>) {
        let (grants, note) = (Some(GrantWish::Asked), String::new());
        let mounts = (name == "shop").then(|| serde_json::from_value(json!([{ "prefix": "/shop" }])).unwrap());
        let (tenant, name) = (TENANT, name.to_owned());
        let install = Install { tenant, name, component, mounts, config, grants, activate: true, note, by: None };
        self.host.plugins.install(install).await.unwrap();
    }

    /// Asks through the front door. `place` is held until the request has come to its end.
    async fn ask(&self, asked: &Asked<'_>, place: Arc<()>) -> Result<LocalAnswer, LocalClientError> {
        let Asked { method, path, content_type, body, operator } = asked;
        let key = if *operator { master_key().to_hex() } else { self.tenant_key.clone() };
        let mut headers = vec![("host".to_owned(), "localhost".to_owned())];
        headers.push(("authorization".to_owned(), format!("Bearer {key}")));
        headers.push(("content-type".to_owned(), (*content_type).to_owned()));
        if *path == SHOP {
            headers.push(("x-shopify-hmac-sha256".to_owned(), signature(body)));
        }
        ask_holding(&self.host.door, method, path, &headers, body.clone(), place).await
    }

    /// Asks, goes away after this many polls, and waits until the request has come to its end all the same; the status, if it was
    /// answered before.
    async fn ask_and_go(&self, polls: usize, asked: &Asked<'_>) -> Option<u16> {
        let place = Arc::new(());
        let answered = dropped_after(polls, self.ask(asked, Arc::clone(&place))).await;
        while Arc::strong_count(&place) > 1 {
            yield_now().await;
        }
        answered.map(|answer| answer.unwrap().status)
    }

    /// What is stored of the account and its plugins.
    async fn stored(&self) -> String {
        let storage = &self.host.storage;
        let (tenant, plugins) = (storage.tenant(TENANT).await.unwrap(), storage.plugins(TENANT).await.unwrap());
        let mut versions = Vec::new();
        for plugin in &plugins {
            let kept = storage.plugin_versions(TENANT, &plugin.name).await.unwrap();
            versions.extend(kept.into_iter().map(|version| (plugin.name.clone(), version.n, version.sha256)));
        }
        format!("{tenant:?} {plugins:?} {versions:?}")
    }

    /// What is served has to be what is stored.
    async fn assert_served_as_stored(&self, when: &str) {
        let (storage, plugins) = (&self.host.storage, &self.host.plugins);
        // Which versions there are beside the active one is nothing that is served.
        let shown = |plugin: &Plugin| {
            let Plugin { name, sha256, config, grants, mounts, .. } = plugin;
            format!("{name} {sha256} {config} {grants:?} {mounts:?}")
        };
        let mut stored = storage.plugins(TENANT).await.unwrap();
        stored.retain(|plugin| !plugin.stopped && !plugin.sha256.is_empty());
        let stored: BTreeSet<String> = stored.iter().map(shown).collect();
        let served: BTreeSet<String> = plugins.of(TENANT).iter().map(|active| shown(&active.record)).collect();
        assert_eq!(served, stored, "{when}");
        let figures = PluginFigures::of(&storage.tenant(TENANT).await.unwrap().unwrap());
        for active in plugins.of(TENANT) {
            assert_eq!(*active.context(TENANT, 0).figures, figures, "{when}");
        }
    }

    async fn messages(&self) -> u64 {
        self.host.storage.outbox_depth(TENANT, SESSION).await.unwrap()
    }
}

/// Drops a change after each number of polls until it comes to its end before it is dropped.
async fn assert_whole(compiled: &Path, asked: Asked<'_>) {
    let name = format!("{} {}", asked.method, asked.path);
    let mut stage = Stage::with_versions(compiled).await;
    let before = stage.stored().await;
    let status = stage.ask_and_go(POLLS_MAX, &asked).await.unwrap();
    assert!((200..300).contains(&status), "{name}: {status}");
    let after = stage.stored().await;
    assert_ne!(before, after, "{name}");
    stage.assert_served_as_stored(&name).await;
    let mut anew = true;
    for polls in 0..POLLS_MAX {
        if anew {
            stage = Stage::with_versions(compiled).await;
        }
        let when = format!("{name}, dropped after {polls} polls");
        let answered = stage.ask_and_go(polls, &asked).await;
        let stored = stage.stored().await;
        assert!(stored == before || stored == after, "{when}: {stored}");
        stage.assert_served_as_stored(&when).await;
        anew = stored != before;
        if answered.is_some() {
            return;
        }
    }
    panic!("{name}: it never came to its end");
}

#[tokio::test]
async fn an_upload_is_whole_wherever_its_caller_goes_away() {
    let compiled = TempDir::new().unwrap();
    let path = "/switchboard/v1/plugins?name=another&grants=asked";
    assert_whole(compiled.path(), Asked::upload(path, component("auto-reply", 2))).await;
    let path = "/switchboard/v1/plugins?name=replies";
    assert_whole(compiled.path(), Asked::upload(path, component("auto-reply", 2))).await;
}

#[tokio::test]
async fn a_swap_is_whole_wherever_its_caller_goes_away() {
    let compiled = TempDir::new().unwrap();
    let path = |rest: &str| format!("/switchboard/v1/plugins/replies{rest}");
    let (config, grants) =
        (json!({ "groups": true }), json!({ "sessions": "all", "fields": ["text", "number"], "send": { "per_minute": 7 } }));
    for (method, rest, body) in [
        ("POST", "/versions/1/activate", json!({})),
        ("POST", "/rollback", json!({})),
        ("PUT", "/config", config),
        ("PUT", "/grants", grants),
        ("PATCH", "", json!({ "stopped": true })),
        ("DELETE", "/versions/1", json!({})),
        ("DELETE", "", json!({})),
    ] {
        assert_whole(compiled.path(), Asked::json(method, &path(rest), &body)).await;
    }
}

#[tokio::test]
async fn a_change_of_an_account_is_whole_wherever_the_operator_goes_away() {
    let compiled = TempDir::new().unwrap();
    let change = json!({ "limits": { "plugin_cpu_ms": 5 }, "hosts": ["hooks.shop.example"] });
    let asked = Asked::json("PATCH", "/switchboard/v1/tenants/1", &change);
    assert_whole(compiled.path(), Asked { operator: true, ..asked }).await;
}

/// Where the shop's router is.
const SHOP: &str = "/t/1/shop/orders";
const SHOP_SECRET: &str = "a secret of the shop";

fn signature(body: &[u8]) -> String {
    let mut hmac = Hmac::<Sha256>::new_from_slice(SHOP_SECRET.as_bytes()).unwrap();
    hmac.update(body);
    STANDARD.encode(hmac.finalize().into_bytes())
}

#[tokio::test]
async fn a_router_whose_caller_goes_away_has_sent_its_message_whole_or_not() {
    let compiled = TempDir::new().unwrap();
    let order = json!({ "id": 1, "phone": "+15550100001" });
    let asked = Asked::json("POST", SHOP, &order);
    for polls in 0..POLLS_MAX {
        let stage = Stage::open(compiled.path()).await;
        let config = json!({ "text": "Thank you!", "to": ["/phone"] });
        stage.install("shop", component("shop-order", 0), Some(config)).await;
        let kept = stage.host.storage.keep_plugin_secret(TENANT, "shop", "SHOP_SECRET", SHOP_SECRET, NOW).await;
        kept.unwrap();
        let answered = stage.ask_and_go(polls, &asked).await;
        let rung = stage.host.door.wakes.outbox(SESSION).notified().now_or_never().is_some();
        assert_eq!(stage.messages().await == 1, rung, "dropped after {polls} polls");
        if let Some(status) = answered {
            assert_eq!((status, stage.messages().await), (200, 1));
            return;
        }
        // The shop tells of it again: whatever came of it before, its customer hears of it once.
        assert_eq!(stage.ask_and_go(POLLS_MAX, &asked).await, Some(200));
        assert_eq!(stage.messages().await, 1, "dropped after {polls} polls");
    }
    panic!("it never came to its end");
}

#[tokio::test]
async fn a_run_of_a_responder_is_whole_wherever_it_is_dropped() {
    let compiled = TempDir::new().unwrap();
    let screens = json!([{ "name": "main", "text": "1 or 1", "choices": [{ "says": "1", "to": "main" }] }]);
    let config = json!({ "begin": ["menu"], "first": "main", "screens": screens });
    let (from, chat) = ("15550100001@s.whatsapp.net", "15550100001@s.whatsapp.net");
    let said = json!({ "from": from, "chat": chat, "content": { "type": "text", "value": "menu" } });
    for polls in 0..POLLS_MAX {
        let stage = Stage::open(compiled.path()).await;
        let (host, storage) = (&stage.host, &stage.host.storage);
        stage.install("menu", component("menu", 0), Some(config.clone())).await;
        let event = read_event(&json!({ "type": "message.received", "data": said }), SESSION, NOW).unwrap();
        let fact = NewFact { fact: event.fact, once: None, poll: None };
        storage.record_facts(TENANT, SESSION, host.clock.now(), &[fact]).await.unwrap();
        let standing = async || {
            // Behind whatever is on its way to the disk.
            storage.change_tenant(TENANT, |_| ()).await.unwrap();
            let kept = storage.kv(TENANT, "1/menu", u64::MAX).usage(None, NOW).await.unwrap();
            (stage.messages().await, kept.used > 0)
        };
        let ended = dropped_after(polls, host.responders.serve(TENANT)).await.is_some();
        let now = standing().await;
        assert!([(0, false), (1, true)].contains(&now), "dropped after {polls} polls: {now:?}");
        if ended {
            assert_eq!(now, (1, true));
            return;
        }
        // As after a restart.
        host.responders.serve(TENANT).await.unwrap();
        assert_eq!(standing().await, (1, true), "dropped after {polls} polls");
    }
    panic!("it never came to its end");
}
