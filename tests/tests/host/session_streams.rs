//! Streams that plugins word: the one of the dialect `wamux` with its codes, whatever a tenant's own dialect streams, and the
//! tokens in links that open them.

use serde_json::{Value, json};
use switchboard_ids::{Kind, from_uuid, uuid};
use switchboard_tests::account::{Account, phone, scan, write};
use switchboard_tests::event_stream::EventStream;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const LIVE: &str = env!("GUEST_LIVE");
const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
/// Streams that one tenant may have open.
const STREAMS_MAX: usize = 64;

/// A session made through `wamux`: its answer, its number, and the path of its stream with the token.
struct Pairing {
    shown: Value,
    number: u64,
    stream: String,
}

async fn pairing(stage: &Stage, account: &Account) -> Pairing {
    let made = account.post("/api/v1/sessions", &account.tenant_key, json!({ "session_key": "Till" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    shown(stage, made.json())
}

fn shown(stage: &Stage, shown: Value) -> Pairing {
    let number = from_uuid(Kind::Session, shown["id"].as_str().unwrap()).unwrap();
    let base = format!("http://{}", stage.host.address());
    let stream = shown["streamUrl"].as_str().unwrap().strip_prefix(&base).unwrap().to_owned();
    Pairing { shown, number, stream }
}

async fn open(stage: &Stage, path: &str, key: &str) -> EventStream {
    EventStream::open(stage.host.address(), path, key, None).await
}

/// Installs the guest that streams for every tenant, below `/live`.
async fn install_live(stage: &Stage) {
    use base64::Engine as _;
    let component = base64::engine::general_purpose::STANDARD.encode(std::fs::read(LIVE).unwrap());
    let upload = json!({ "name": "live", "component_base64": component, "mounts": [{ "prefix": "/live", "owner": true }] });
    let made = stage.http().json("POST", "/switchboard/v1/plugins", Some(ADMIN_KEY), Some(&upload)).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sees_the_codes_of_a_session_until_it_is_connected() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    phone(stage.control(), ADMIN_KEY, SHOP).await;
    let session = pairing(&stage, &account).await;
    let path = format!("/api/v1/sessions/{}/stream", session.shown["id"].as_str().unwrap());
    assert!(session.stream.starts_with(&format!("{path}?token=lnk_")), "{}", session.stream);
    let mut by_token = open(&stage, &session.stream, "").await;
    let mut by_key = open(&stage, &path, &account.tenant_key).await;
    for stream in [&by_token, &by_key] {
        assert_eq!(stream.status, 200, "{:?}", stream.head);
        for line in ["content-type: text/event-stream", "cache-control: no-cache", "x-accel-buffering: no"] {
            assert!(stream.head.iter().any(|given| given == line), "{line} in {:?}", stream.head);
        }
    }
    for stream in [&mut by_token, &mut by_key] {
        let code = stream.next_of("qr").await;
        assert!(code.data["qr_data"].as_str().unwrap().starts_with("data:image/png;base64,iVBOR"), "{code:?}");
        assert_eq!(code.data.as_object().unwrap().len(), 1, "{code:?}");
    }
    let qr = account.get(&format!("/switchboard/v1/sessions/{}/qr", session.number), &account.tenant_key).await.json();
    scan(stage.control(), ADMIN_KEY, SHOP, qr["text"].as_str().unwrap()).await;
    for stream in [&mut by_token, &mut by_key] {
        assert_eq!(stream.next_of("connected").await.data, json!({ "phone_number": SHOP }));
        assert!(stream.next().await.is_none(), "the stream ends behind it");
    }
    let mut late = open(&stage, &session.stream, "").await;
    assert_eq!(late.next().await.unwrap().name, "connected", "at once");
    assert!(late.next().await.is_none());
    let head = stage.http().json("HEAD", &path, Some(&account.tenant_key), None).await.unwrap();
    let header = |name| head.header(name).map(str::to_owned);
    assert_eq!((head.status, header("content-type").as_deref()), (200, Some("text/event-stream")), "{head:?}");
    assert!(head.body.is_empty());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_comes_to_nothing_is_told_as_an_error_that_ends_the_stream() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let key = &account.tenant_key;
    let session = pairing(&stage, &account).await;
    let id = session.shown["id"].as_str().unwrap();
    let mut stream = open(&stage, &session.stream, "").await;
    stream.next_of("qr").await;
    let off = account.post(&format!("/api/v1/sessions/{id}/disconnect"), key, json!({})).await;
    assert_eq!(off.status, 200, "{off:?}");
    let error = stream.next_of("error").await;
    assert_eq!((&error.data["session_id"], &error.data["reason"]), (&json!(id), &json!("The session was disconnected")));
    let at = error.data["timestamp"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z'), "{at}");
    assert!(stream.next().await.is_none());
    let mut again = open(&stage, &session.stream, "").await;
    assert_eq!(again.next().await.unwrap().name, "error", "at once");

    let restarted = account.post(&format!("/api/v1/sessions/{id}/restart"), key, json!({})).await;
    let mut stream = open(&stage, &shown(&stage, restarted.json()).stream, "").await;
    stream.next_of("qr").await;
    let by_key = format!("/api/v1/sessions/{id}/stream");
    let mut watched = open(&stage, &by_key, key).await;
    watched.next_of("qr").await;
    let gone = stage.http().json("DELETE", &format!("/api/v1/sessions/{id}"), Some(key), None).await.unwrap();
    assert_eq!(gone.status, 204, "{gone:?}");
    for stream in [&mut stream, &mut watched] {
        assert_eq!(stream.next_of("error").await.data["session_id"], json!(id));
        assert!(stream.next().await.is_none());
    }
    assert_eq!(open(&stage, &by_key, key).await.status, 404, "no stream begins where there is no session");
    assert_eq!(open(&stage, &session.stream, "").await.status, 401);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_own_sessions_stream_through_its_own_api_and_nothing_else() {
    let stage = Stage::start().await;
    install_live(&stage).await;
    let (account, stranger) = (stage.account("Shop").await, stage.account("Other").await);
    let (session, other) = (pairing(&stage, &account).await, pairing(&stage, &account).await);
    let token = session.stream.split_once("token=").unwrap().1.to_owned();
    let path_of = |pairing: &Pairing| pairing.stream.split_once('?').unwrap().0.to_owned();
    let foreign = path_of(&pairing(&stage, &stranger).await);
    for (path, status) in [
        (format!("{}?token={token}", path_of(&session)), 200),
        (format!("{}?token={token}", path_of(&other)), 404),
        (format!("{foreign}?token={token}"), 404),
        (format!("{}?token={token}x", path_of(&session)), 401),
        (format!("{}?token=", path_of(&session)), 401),
        (path_of(&session), 401),
        (format!("/api/v1/sessions?token={token}"), 401),
        // The same token at another plugin, and that plugin's at this one.
        (format!("/live/life/{}?t={token}", session.number), 401),
    ] {
        assert_eq!(open(&stage, &path, "").await.status, status, "{path}");
    }
    assert_eq!(open(&stage, "/api/v1/sessions", &token).await.status, 401, "it is no bearer token");
    assert_eq!(open(&stage, "/switchboard/v1/sessions", &token).await.status, 401);
    let drawn = account.get(&format!("/live/link/{}", session.number), &account.tenant_key).await;
    let drawn = String::from_utf8(drawn.body).unwrap();
    assert_eq!(open(&stage, &format!("{}?token={drawn}", path_of(&session)), "").await.status, 401);
    let mut live = open(&stage, &format!("/live/life/{}?t={drawn}", session.number), "").await;
    assert_eq!((live.status, live.next().await.unwrap().data), (200, json!(0)));
    let again = stage.http().json("GET", &format!("/live/link/{}?t={drawn}", session.number), None, None).await.unwrap();
    assert_eq!(again.status, 403, "a token draws no other");
    let seen = stage.http().json("GET", &format!("/live/query?a=1&t={drawn}"), None, None).await.unwrap();
    let seen = String::from_utf8(seen.body).unwrap();
    assert!(seen.contains("\"a\"") && !seen.contains("lnk_") && seen.ends_with("below /live"), "{seen}");
    assert_eq!(account.get(&format!("/live/link/{foreign}"), &account.tenant_key).await.status, 404);
    let limited = account.key(json!({ "kind": "tenant", "scopes": ["messages:*"] })).await;
    assert_eq!(account.get(&format!("/live/link/{}", session.number), &limited).await.status, 403);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_what_it_opened_end_with_the_key_that_it_was_drawn_under() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let keys = format!("/switchboard/v1/tenants/{}/keys", account.tenant);
    let made = account.post(&keys, ADMIN_KEY, json!({ "kind": "tenant" })).await.json();
    let session = pairing(&stage, &account).await;
    let path = format!("/api/v1/sessions/{}", uuid(Kind::Session, session.number).unwrap());
    let drawn = account.get(&path, made["key"].as_str().unwrap()).await.json();
    let drawn = shown(&stage, drawn).stream;
    let mut stream = open(&stage, &drawn, "").await;
    stream.next_of("qr").await;
    let revoked = stage.http().json("DELETE", &format!("{keys}/{}", made["id"]), Some(ADMIN_KEY), None).await.unwrap();
    assert_eq!(revoked.status, 204);
    while let Some(event) = stream.next().await {
        assert_eq!(event.name, "qr", "nothing but what was on its way");
    }
    assert_eq!(open(&stage, &drawn, "").await.status, 401);
    assert_eq!(open(&stage, &session.stream, "").await.status, 200, "another key's token is none of its business");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_too_many_is_refused_in_the_words_of_the_dialect() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = pairing(&stage, &account).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        streams.push(open(&stage, &session.stream, "").await);
    }
    assert!(streams.iter().all(|stream| stream.status == 200));
    let refused = stage.http().json("GET", &session.stream, None, None).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10")), "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().starts_with("Rate limit exceeded"), "{refused:?}");
    streams.clear();
    let free = async || open(&stage, &session.stream, "").await.status == 200;
    assert!(until(PATIENCE, free).await, "places come free again");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_streams_the_events_that_it_asked_for_and_a_broken_one_ends_its_stream_alone() {
    let stage = Stage::start().await;
    install_live(&stage).await;
    let account = stage.account("Shop").await;
    let session = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let (key, life) = (&account.tenant_key, format!("/live/life/{}", session.id));
    let mut chosen = open(&stage, "/live/events?kind=message.received&kind=message.acknowledged", key).await;
    let mut watched = open(&stage, &life, key).await;
    assert_eq!(watched.next().await.unwrap().name, "connected");
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "one").await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "two").await;
    for told in 0..2 {
        let event = chosen.next().await.unwrap();
        assert_eq!((event.name.as_str(), event.data), ("message.received", json!(told)), "what it kept came back");
    }
    for (method, path) in [("POST", "/live/events"), ("GET", "/live/anybody"), ("GET", "/live/events?kind=nothing")] {
        let failed = stage.http().json(method, path, Some(key), Some(&json!({}))).await.unwrap();
        assert_eq!((failed.status, failed.body.as_slice()), (500, b"failed".as_slice()), "{method} {path}: {failed:?}");
    }
    let fault = json!({ "fault": "log_out", "number": SHOP });
    stage.sim("POST", "faults", fault).await;
    while let Some(event) = watched.next().await {
        assert_eq!(event.name, "reconnecting", "the guest breaks when it is to word the logout");
    }
    assert_eq!(account.get("/live/query", key).await.status, 200, "the plugin goes on");

    let off = stage.http().json("PUT", "/switchboard/v1/apis/live", Some(key), Some(&json!({ "enabled": false }))).await;
    assert_eq!(off.unwrap().status, 200);
    while chosen.next().await.is_some() {}
    assert_eq!(open(&stage, "/live/events", key).await.status, 404);
    stage.stop().await;
}
