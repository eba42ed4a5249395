//! Plugins that ask those who keep them waiting, or the host itself.

use std::net::SocketAddr;

use base64::Engine;
use serde_json::{Value, json};
use switchboard_tests::stage::ADMIN_KEY;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{PLUGINS, Street};

/// A server that says `head`, then `part` without end, as fast as it is read, or nothing at all.
async fn server(head: &'static str, part: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while !part.is_empty() && stream.write_all(part).await.is_ok() {}
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

/// The misbehaving router, mounted by the operator, which may ask these; what it is told when it asks `url`.
async fn asked(street: &Street, hosts: &[String], url: &str, timeout_ms: u64) -> Value {
    let component = base64::engine::general_purpose::STANDARD.encode(std::fs::read(env!("GUEST_HOSTILE")).unwrap());
    let wish = json!({
        "name": "asks", "component_base64": component, "mounts": [{ "prefix": "/asks" }], "grants": { "http": hosts },
    });
    let made = street.attacker.post(PLUGINS, ADMIN_KEY, wish).await;
    assert!(matches!(made.status, 200 | 201), "{made:?}");
    street.attacker.post("/asks/fetch", "", json!({ "url": url, "timeout_ms": timeout_ms })).await.json()
}

async fn assert_told(head: &'static str, part: &'static [u8], words: &str) {
    let street = Street::start().await;
    let url = format!("http://{}", server(head, part).await);
    let told = asked(&street, std::slice::from_ref(&url), &format!("{url}/"), 1_000).await;
    assert!(told["error"].as_str().is_some_and(|why| why.starts_with(words)), "{told}");
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_one_who_never_answers__is_timed_out() {
    assert_told("", b"", "timed-out: 1000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_one_whose_answer_never_ends__is_cut_off() {
    assert_told("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 65_536], "too-large").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_one_whose_answer_stops_in_the_middle__is_timed_out() {
    assert_told("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf", b"", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_one_with_headers_without_end__is_cut_off() {
    assert_told("HTTP/1.1 200 OK\r\n", b"x-more: and more, and more, and more, and more, and more\r\n", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_the_hosts_own_door__is_denied() {
    let street = Street::start().await;
    let url = format!("http://{}", street.stage.host.address());
    let told = asked(&street, std::slice::from_ref(&url), &format!("{url}/switchboard/v1/tenants"), 1_000).await;
    assert!(told["error"].as_str().is_some_and(|why| why.starts_with("denied: ")), "{told}");
    street.end().await;
}
