//! What a client can do wrong, and the dialect's own answer to it. The table of answers is a golden file:
//! `UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write as _;

use serde_json::json;
use switchboard::http::{LocalAnswer, LocalClient};
use switchboard_tests::account::{Account, TestSession};
use switchboard_tests::stage::Stage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/wasender-errors.txt");
const SHOP: &str = "491510000001";

/// A request that is wrong, by the name of what is wrong with it.
struct Wrong {
    name: &'static str,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn bearer(key: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {key}")), ("content-type", "application/json".to_owned())]
}

fn send(name: &'static str, key: &str, body: impl Into<Vec<u8>>) -> Wrong {
    Wrong { name, method: "POST", path: "/api/v1/send-message".to_owned(), headers: bearer(key), body: body.into() }
}

fn call(name: &'static str, method: &'static str, path: impl Into<String>, key: &str) -> Wrong {
    Wrong { name, method, path: path.into(), headers: bearer(key), body: Vec::new() }
}

/// What everybody can get wrong about a message.
fn wrong_messages(key: &str) -> Vec<Wrong> {
    let text = |to: &str, text: &str| json!({ "to": to, "text": text }).to_string();
    vec![
        send("malformed JSON", key, "{\"to\":"),
        send("JSON that is no object", key, "[1]"),
        send("empty body", key, ""),
        send("missing to", key, r#"{"text":"hi"}"#),
        send("missing text", key, format!(r#"{{"to":"{SHOP}"}}"#)),
        send("wrong type of to", key, r#"{"to":5,"text":"hi"}"#),
        send("wrong type of text", key, format!(r#"{{"to":"{SHOP}","text":["hi"]}}"#)),
        send("null is missing", key, format!(r#"{{"to":"{SHOP}","text":null}}"#)),
        send("empty text", key, text(SHOP, "  ")),
        send("text over the limit", key, text(SHOP, &"x".repeat(65_537))),
        send("number with letters", key, text("49151ABC", "hi")),
        send("number too short", key, text("12345", "hi")),
        send("number too long", key, text("1234567890123456", "hi")),
        send("JID of nothing", key, text("someone@example.org", "hi")),
        send("image from an inner network", key, format!(r#"{{"to":"{SHOP}","image":{{"url":"http://10.0.0.1/a.png"}}}}"#)),
        send("image without its URL", key, format!(r#"{{"to":"{SHOP}","image":{{}}}}"#)),
        send("coordinates out of range", key, format!(r#"{{"to":"{SHOP}","location":{{"latitude":"91","longitude":0}}}}"#)),
        send("poll with one option", key, format!(r#"{{"to":"{SHOP}","poll":{{"question":"?","options":["a"]}}}}"#)),
        send("quote of nothing", key, format!(r#"{{"to":"{SHOP}","text":"hi","replyTo":1}}"#)),
        send("mention of nobody", key, format!(r#"{{"to":"{SHOP}","text":"hi","mentions":["everybody"]}}"#)),
        send("over-long body", key, vec![b' '; 1024 * 1024 + 1]),
    ]
}

/// What can be wrong about who calls and what for.
fn wrong_calls(mine: &Account, session: &TestSession, other: &Account, others: &TestSession) -> Vec<Wrong> {
    let text = json!({ "to": SHOP, "text": "hi" }).to_string();
    let own = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let foreign = format!("/api/v1/whatsapp-sessions/{}", others.id);
    let create = |name, body: &str| Wrong {
        name,
        method: "POST",
        path: "/api/v1/whatsapp-sessions".to_owned(),
        headers: bearer(&mine.token),
        body: body.into(),
    };
    vec![
        Wrong { headers: vec![], ..send("no credential", "", text.clone()) },
        send("unknown key", "ses_live_nobody-has-this-key", text.clone()),
        send("personal token where a session's key is needed", &mine.token, text.clone()),
        send("disconnected session", &session.key, text),
        call("session's key where the account is asked", "GET", "/api/v1/whatsapp-sessions", &session.key),
        call("unknown session", "GET", "/api/v1/whatsapp-sessions/1", &mine.token),
        call("session id that is no number", "GET", "/api/v1/whatsapp-sessions/first", &mine.token),
        call("session of another tenant", "GET", foreign.clone(), &mine.token),
        call("delete a session of another tenant", "DELETE", foreign.clone(), &mine.token),
        call("connect a session of another tenant", "POST", format!("{foreign}/connect"), &mine.token),
        call("session out of the key's reach", "GET", own.clone(), &others.key),
        call("key of another tenant", "GET", own.clone(), &other.token),
        call("no QR code waits", "GET", format!("{own}/qrcode"), &mine.token),
        call("unknown path", "GET", "/api/v1/nothing", &mine.token),
        call("unknown path of the other base", "GET", "/api/nothing", &mine.token),
        call("unknown path without a credential", "GET", "/api/v1/nothing", ""),
        call("method that nobody serves", "PUT", "/api/v1/send-message", &mine.token),
        call("method that nobody serves, on a session", "PATCH", own, &mine.token),
        create("session without a name", "{}"),
        create("session whose name is a number", r#"{"name":1}"#),
        create("session with a bad number", r#"{"name":"x","phone_number":"abc"}"#),
        create("session with a wrong flag", r#"{"name":"x","webhook_enabled":"yes"}"#),
    ]
}

async fn answer(http: LocalClient, wrong: Wrong) -> (String, LocalAnswer) {
    let answer = http.exchange(wrong.method, &wrong.path, &wrong.headers, wrong.body).await.unwrap();
    let mut line = format!("{}\n  {} {}", wrong.name, answer.status, String::from_utf8_lossy(&answer.body));
    if let Some(allow) = answer.header("allow") {
        write!(line, "\n  Allow: {allow}").unwrap();
    }
    (line, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_has_the_dialects_own_answer() {
    let stage = Stage::start().await;
    let (mine, other) = (stage.account("Mine").await, stage.account("Other").await);
    let connected = mine.linked(stage.control(), "Connected", SHOP).await;
    let idle = mine.session("Idle").await;
    let others = other.session("Other").await;
    let mut table = String::new();
    let mut wrongs = wrong_messages(&connected.key);
    wrongs.extend(wrong_calls(&mine, &idle, &other, &others));
    for wrong in wrongs {
        let (line, answer) = answer(stage.http(), wrong).await;
        assert!(answer.status < 500, "{line}");
        assert_eq!(answer.json()["success"], false, "{line}");
        assert!(answer.json()["code"].is_string() && answer.json()["message"].is_string(), "{line}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{line}");
        assert!(answer.header("x-request-id").is_some(), "{line}");
        table.push_str(&line.replace(&idle.id.to_string(), "<session>").replace(&others.id.to_string(), "<other>"));
        table.push('\n');
    }
    stage.stop().await;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &table).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("run once with UPDATE_GOLDEN=1");
    assert_eq!(table, golden, "run with UPDATE_GOLDEN=1 if this is what clients shall see from now on");
}

/// Writes all of a request before it reads anything, as many clients do; the status of the answer.
async fn blurt(stage: &Stage, request_line: &str, key: &str, content_type: &str) -> u16 {
    let mut stream = TcpStream::connect(stage.host.address()).await.unwrap();
    let body = vec![b' '; 64 * 1024];
    let head = format!(
        "{request_line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\n\r\n",
        body.len() * 500
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..500 {
        stream.write_all(&body).await.unwrap();
    }
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_writes_all_before_it_reads_sees_why_it_was_refused() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.session("Idle").await;
    let form = "multipart/form-data; boundary=x";
    let told = [
        ("POST /api/v1/send-message", session.key.as_str(), "application/json", 413),
        ("POST /api/v1/send-message", "nobody's", "application/json", 401),
        ("POST /api/v1/nothing", session.key.as_str(), "application/json", 404),
        ("PUT /api/v1/send-message", session.key.as_str(), "application/json", 405),
        ("POST /api/v1/upload", session.key.as_str(), form, 422),
        ("POST /switchboard/v1/plugins?name=x", account.tenant_key.as_str(), "application/wasm", 422),
        ("POST /switchboard/v1/sessions", account.tenant_key.as_str(), "application/json", 413),
        ("POST /switchboard/v1/sessions", "nobody's", "application/json", 401),
    ];
    for (request_line, key, content_type, status) in told {
        assert_eq!(blurt(&stage, request_line, key, content_type).await, status, "{request_line} {key}");
    }
    stage.stop().await;
}
