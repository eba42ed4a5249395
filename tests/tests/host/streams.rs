//! Server-sent events of a tenant's log.

use serde_json::json;
use switchboard_tests::account::{Account, phone, write};
use switchboard_tests::event_stream::EventStream;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const PATH: &str = "/switchboard/v1/events/stream";
/// Streams that one tenant may have open.
const STREAMS_MAX: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_happens_and_goes_on_where_it_was_after_a_restart() {
    let stage = Stage::start().await;
    let (account, stranger) = (stage.account("Shop").await, stage.account("Other").await);
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let address = stage.host.address();
    let mut strangers = EventStream::open(address, &format!("{PATH}?after=0"), &stranger.tenant_key, None).await;
    let mut stream = EventStream::open(address, &format!("{PATH}?type=message.*"), &account.tenant_key, None).await;
    assert_eq!(stream.status, 200, "{:?}", stream.head);
    for line in ["content-type: text/event-stream", "cache-control: no-cache", "x-accel-buffering: no"] {
        assert!(stream.head.iter().any(|given| given == line), "{line} in {:?}", stream.head);
    }
    let control = stage.control();
    let told = async |stream: &mut EventStream, text: &str| {
        let id = write(control, ADMIN_KEY, CUSTOMER, SHOP, text).await;
        let event = stream.next().await.unwrap();
        assert_eq!((event.name.as_str(), &event.data["data"]["whatsapp_id"]), ("message.received", &json!(id)), "{event:?}");
        assert_eq!((&event.data["n"], &event.data["session_id"]), (&json!(event.id), &json!(shop.id)));
        event.id
    };
    let first = told(&mut stream, "one").await;
    let second = told(&mut stream, "two").await;
    assert!(second > first);

    let stage = stage.restart().await;
    assert!(stream.next().await.is_none(), "the stream ends with the host");
    assert!(strangers.next().await.is_none(), "nothing of another tenant is told");
    let account = Account { http: stage.http(), ..account };
    account.wait_for(&shop, "connected").await;
    let path = format!("{PATH}?type=message.received,poll.vote&session_id={}&chat={CUSTOMER}", shop.id);
    let mut stream = EventStream::open(stage.host.address(), &path, &account.tenant_key, Some(first)).await;
    assert_eq!(stream.next().await.unwrap().id, second, "what was missed comes first");
    told(&mut stream, "three").await;
    drop(stream);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_key_and_tells_nothing_more() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let keys = format!("/switchboard/v1/tenants/{}/keys", account.tenant);
    let made = account.post(&keys, ADMIN_KEY, json!({ "kind": "tenant" })).await.json();
    let mut stream = EventStream::open(stage.host.address(), PATH, made["key"].as_str().unwrap(), None).await;
    let path = format!("{keys}/{}", made["id"]);
    assert_eq!(stage.http().json("DELETE", &path, Some(ADMIN_KEY), None).await.unwrap().status, 204);
    account.linked(stage.control(), "Shop", SHOP).await;
    assert!(stream.next().await.is_none(), "nothing that happened since");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_so_many_streams_and_no_more_and_others_have_theirs() {
    let stage = Stage::start().await;
    let (account, other) = (stage.account("Shop").await, stage.account("Other").await);
    let address = stage.host.address();
    let mut open = Vec::new();
    for _ in 0..STREAMS_MAX {
        open.push(EventStream::open(address, PATH, &account.tenant_key, None).await);
    }
    assert!(open.iter().all(|stream| stream.status == 200));
    let refused = EventStream::open(address, PATH, &account.tenant_key, None).await;
    assert_eq!(refused.status, 429);
    assert!(refused.head.iter().any(|line| line == "retry-after: 10"), "{:?}", refused.head);
    assert_eq!(EventStream::open(address, PATH, &other.tenant_key, None).await.status, 200);
    open.clear();
    let free = async || EventStream::open(address, PATH, &account.tenant_key, None).await.status == 200;
    assert!(switchboard_tests::patience::until(switchboard_tests::patience::PATIENCE, free).await, "places come free again");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_refused_to_those_who_may_not_read_and_for_filters_that_mean_nothing() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let address = stage.host.address();
    let narrow = account.key(json!({ "kind": "tenant", "scopes": ["sessions:*"] })).await;
    for (key, status) in [("", 401), ("wrong", 401), (ADMIN_KEY, 403), (&narrow, 403)] {
        assert_eq!(EventStream::open(address, PATH, key, None).await.status, status, "{key}");
    }
    for query in ["after=x", "session_id=x", "type=mess*", "type=bogus", "type=session.nothing", "chat=nobody"] {
        let refused = EventStream::open(address, &format!("{PATH}?{query}"), &account.tenant_key, None).await;
        assert_eq!(refused.status, 422, "{query}");
    }
    stage.stop().await;
}
