//! What faults and hostile clients do on a real connection, and what they do not do to others.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use switchboard_simnet::{SimConfig, SimNet};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::WA_CONN_HEADER;

use common::{ADMIN_KEY, Device, Wire, attribute, control, link, request};

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

async fn start() -> (SimNet, SocketAddr) {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let sim = SimNet::start(SimConfig { data_dir: None, listen, tls_listen: None, admin_key: ADMIN_KEY.to_owned() })
        .await
        .unwrap();
    let address = sim.local_addr();
    (sim, address)
}

async fn fault(address: SocketAddr, command: Value) {
    control(address, "POST", "faults", &command).await;
}

fn ping() -> Node {
    request("w:p", "get", NodeBuilder::new("ping").build())
}

/// The next stanza that `wanted` knows; what comes before it is dropped.
async fn wait_for(wire: &mut Wire, wanted: impl Fn(&Node) -> bool) -> Node {
    loop {
        let node = wire.next().await.expect("the server hung up");
        if wanted(&node) {
            return node;
        }
    }
}

/// Whether the server answers a ping, and how soon.
async fn answers(wire: &mut Wire, within: Duration) -> bool {
    wire.send(&ping()).await;
    timeout(within, wait_for(wire, |node| node.tag == "iq")).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_connection_holds_both_directions_and_loses_nothing() {
    let (_sim, address) = start().await;
    let (ann, bob) = (link(address, ANN).await, link(address, BOB).await);
    let (mut ann_wire, mut bob_wire) = (ann.connect(address).await, bob.connect(address).await);
    assert!(answers(&mut bob_wire, Duration::from_secs(5)).await);
    let begun = Instant::now();
    fault(address, json!({ "fault": "stall", "number": BOB, "ms": 700 })).await;
    ann_wire.send(&Device::message(&bob, "A1")).await;
    bob_wire.send(&ping()).await;
    let first = bob_wire.next().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(650), "{:?}", begun.elapsed());
    let second = bob_wire.next().await.unwrap();
    let mut tags = [first.tag.to_string(), second.tag.to_string()];
    tags.sort();
    assert_eq!(tags, ["iq", "message"]);
    wait_for(&mut ann_wire, |node| node.tag == "ack" && attribute(node, "id") == "A1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connection_says_nothing_while_a_new_one_works() {
    let (_sim, address) = start().await;
    let bob = link(address, BOB).await;
    let mut old = bob.connect(address).await;
    assert!(answers(&mut old, Duration::from_secs(5)).await);
    fault(address, json!({ "fault": "half_open", "number": BOB })).await;
    assert!(!answers(&mut old, Duration::from_millis(300)).await);
    let mut new = bob.connect(address).await;
    assert!(answers(&mut new, Duration::from_secs(5)).await);
    assert!(timeout(Duration::from_millis(200), old.next()).await.is_err(), "not even its end is told");
    fault(address, json!({ "fault": "clear", "number": BOB })).await;
    assert_eq!(wait_for(&mut old, |node| node.tag == "stream:error").await.tag, "stream:error");
    while old.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_connection_ends_politely_or_breaks_off() {
    let (_sim, address) = start().await;
    let bob = link(address, BOB).await;
    let mut polite = bob.connect(address).await;
    fault(address, json!({ "fault": "drop", "number": BOB })).await;
    while polite.next().await.is_some() {}
    assert!(polite.was_closed());
    let mut broken = bob.connect(address).await;
    fault(address, json!({ "fault": "drop", "number": BOB, "abrupt": true })).await;
    while broken.next().await.is_some() {}
    assert!(!broken.was_closed());
    bob.connect(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_login_ends_with_the_reason() {
    let (_sim, address) = start().await;
    let bob = link(address, BOB).await;
    fault(address, json!({ "fault": "refuse_login", "number": BOB, "code": 503, "count": 1 })).await;
    let mut refused = bob.open(address).await;
    let failure = refused.next().await.unwrap();
    assert_eq!((failure.tag.as_ref(), attribute(&failure, "reason").as_str()), ("failure", "503"));
    assert!(refused.next().await.is_none());
    bob.connect(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poisonous_stanzas_end_their_own_connection_only() {
    let (_sim, address) = start().await;
    let (ann, bob) = (link(address, ANN).await, link(address, BOB).await);
    let mut bob_wire = bob.connect(address).await;
    // Addresses inside addresses; lists inside lists; a list of everything; a bomb that is none; nothing at all.
    let poisons: [Vec<u8>; 5] = [
        [[0, 248, 3, 10, 11].as_slice(), &[250; 300_000]].concat(),
        [[0].as_slice(), &[248, 2, 10, 248, 1].repeat(50_000)].concat(),
        vec![0, 248, 2, 10, 249, 255, 255],
        vec![2, 0x78, 0x9c, 0xff, 0xff],
        Vec::new(),
    ];
    for poison in poisons {
        let mut wire = ann.connect(address).await;
        wire.send_plain(&poison).await.unwrap();
        while let Some(node) = wire.next().await {
            assert_eq!(node.tag, "ack", "what was confirmed before the poison came");
        }
    }
    assert!(answers(&mut bob_wire, Duration::from_secs(5)).await);
    assert!(answers(&mut ann.connect(address).await, Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn giant_frames_are_refused_when_they_are_announced() {
    let (_sim, address) = start().await;
    let mut socket = Wire::socket(address).await;
    let mut intro = WA_CONN_HEADER.to_vec();
    intro.extend([0xff, 0xff, 0xff]);
    socket.send(Message::Binary(intro.into())).await.unwrap();
    let ended = timeout(Duration::from_secs(5), async { while let Some(Ok(_)) = socket.next().await {} }).await;
    assert!(ended.is_ok(), "the server waits for sixteen megabytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn flooding_client_slows_itself_and_nobody_else() {
    let (_sim, address) = start().await;
    let (ann, bob) = (link(address, ANN).await, link(address, BOB).await);
    let (mut ann_wire, mut bob_wire) = (ann.connect(address).await, bob.connect(address).await);
    let stanza = wacore_binary::marshal(&NodeBuilder::new("ib").build()).unwrap();
    let flood = tokio::spawn(async move {
        let begun = Instant::now();
        for _ in 0..16_000 {
            if ann_wire.send_plain(&stanza).await.is_err() {
                break;
            }
        }
        assert!(answers(&mut ann_wire, Duration::from_secs(30)).await, "it is slow, not lost");
        begun.elapsed()
    });
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        assert!(answers(&mut bob_wire, Duration::from_secs(10)).await);
        slowest = slowest.max(begun.elapsed());
    }
    let took = flood.await.unwrap();
    assert!(took > Duration::from_millis(2_500), "16,000 stanzas went through in {took:?}");
    assert!(slowest < Duration::from_secs(2), "somebody else waited {slowest:?}");
}
