//! The control API with requests that make no sense.

use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};

use super::rng::{Rng, fuzz};
use crate::blobs::Blobs;
use crate::certificate::{ServerKeys, StoredKeys};
use crate::control::{CONTROL_PREFIX, control, scan_by_login_name};
use crate::journal::Journal;
use crate::media::MediaHosts;
use crate::network::Network;
use crate::shared::Shared;

fn shared() -> Shared {
    let keys = ServerKeys::new(&StoredKeys::generate(), 1_700_000_000_000).unwrap();
    Shared::new(
        Network::default(),
        None,
        Journal::open(None).unwrap(),
        Blobs::open(None).unwrap(),
        keys,
        MediaHosts::in_memory(),
    )
}

/// Words that the API knows, in a place where they may not belong.
const WORDS: [&str; 34] = [
    "number",
    "name",
    "to",
    "text",
    "id",
    "code",
    "fault",
    "device",
    "ms",
    "count",
    "seed",
    "rate",
    "kinds",
    "keys",
    "expire",
    "subject",
    "participants",
    "media",
    "poll",
    "location",
    "contact",
    "reaction",
    "type",
    "state",
    "chat",
    "message_id",
    "options",
    "file",
    "url",
    "quoted_id",
    "caption",
    "available",
    "jid",
    "push_name",
];

fn value(rng: &mut Rng, depth: usize) -> Value {
    match rng.below(9) {
        0 => json!(rng.next() as i64),
        1 => json!(f64::from(rng.next() as u32) / 7.0),
        2 => Value::Null,
        3 => json!(rng.once_in(2)),
        4 => json!(rng.pick(&["15550001111", "+15550002222", "15550001111@s.whatsapp.net", "1@lid", "1@g.us"])),
        5 => json!(rng.pick(&["delay", "random", "refuse_login", "drop", "clear", "one_time", "composing", "read"])),
        6 if depth < 4 => Value::Array((0..rng.below(5)).map(|_| value(rng, depth + 1)).collect()),
        7 if depth < 4 => body(rng, depth + 1),
        _ => json!(rng.text()),
    }
}

fn body(rng: &mut Rng, depth: usize) -> Value {
    let mut fields = Map::new();
    for _ in 0..rng.below(7) {
        let name = if rng.once_in(8) { rng.text() } else { rng.pick(&WORDS).to_owned() };
        fields.insert(name, value(rng, depth));
    }
    Value::Object(fields)
}

fn path(rng: &mut Rng) -> String {
    let parts = [
        "phones",
        "faults",
        "journal",
        "stats",
        "groups",
        "messages",
        "scan",
        "presence",
        "chatstate",
        "receipts",
        "media",
        "15550001111",
        "%2B15550002222",
        "%ff",
        "",
        "x",
    ];
    let segments: Vec<String> = (0..1 + rng.below(4)).map(|_| rng.pick(&parts).to_owned()).collect();
    // Nothing is waited for: a request that waits would only make the test slow.
    let query =
        rng.pick(&["", "?after=0", "?after=x", "?limit=18446744073709551615", "?after=18446744073709551615&limit=0"]);
    format!("{CONTROL_PREFIX}{}{query}", segments.join("/"))
}

#[test]
fn no_request_stops_the_control_api() {
    let shared = shared();
    // Some requests may wait, though none does so here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    fuzz("control", |rng, _| {
        let method = rng.pick(&["GET", "POST", "POST", "POST", "PUT", "DELETE", "PATCH", "x"]);
        let mut bytes = body(rng, 0).to_string().into_bytes();
        if rng.once_in(6) {
            rng.damage(&mut bytes);
        }
        let path = path(rng);
        let answered = control(&shared, method, &path, &bytes).now_or_never();
        if let Some(answer) = answered {
            assert!((200..500).contains(&answer.status), "{method} {path} {}: {answer:?}", String::from_utf8_lossy(&bytes));
        }
        let scanned = scan_by_login_name(&shared, rng.text().as_bytes()).now_or_never().unwrap();
        assert!((400..500).contains(&scanned.status));
    });
}
