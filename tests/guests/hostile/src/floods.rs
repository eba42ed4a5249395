//! Asks its host for too much: too often, too large, too long, or for what is somebody else's.

use std::hint::black_box;
use std::time::{Duration, Instant};

use switchboard_guest_sdk::outbound::{HttpError, Request as Outgoing, fetch};
use switchboard_guest_sdk::types::{Field, HostError};
use switchboard_guest_sdk::{kv, secrets};

use crate::misdeeds::MIB;
use crate::outside;

/// A host that may be granted.
const URL: &str = "https://api.example.com/";

/// What the host says to `wish`, if it is one of these; `None` when it is none.
pub fn answer(wish: &str) -> Option<String> {
    Some(match wish {
        "kv-forever" => loop {
            black_box(kv::get("a").is_ok());
        },
        "kv-huge-key" => kept(kv::put(&"k".repeat(100_000), b"x", None)),
        "kv-huge-value" => kept(kv::put("a", &vec![b'x'; 100_000], None)),
        "kv-enormous-value" => kept(kv::put("a", &vec![b'x'; 16 * MIB], None)),
        "kv-fill" => fill(),
        "kv-then-trap" => {
            black_box(kv::put("half", b"done", None).is_ok());
            std::process::abort()
        }
        "secrets" => secrets::get("API_KEY").map_or_else(refusal, std::convert::identity),
        _ => return asked(wish),
    })
}

/// What comes of asking others in this way.
fn asked(wish: &str) -> Option<String> {
    let header = |name: &str, value: &str| vec![Field { name: name.to_owned(), value: value.to_owned() }];
    let get = |url: &str, headers: Vec<Field>| ask("GET", url, headers, 5_000);
    Some(match wish {
        "fetch-forever" => loop {
            black_box(get(URL, vec![]));
        },
        "fetch-many-headers" => get(URL, vec![Field { name: "x-a".to_owned(), value: "b".to_owned() }; 200_000]),
        "fetch-huge-body" => {
            let (method, url) = ("POST".to_owned(), URL.to_owned());
            let request = Outgoing { method, url, headers: vec![], body: vec![b'x'; 16 * MIB], timeout_ms: 5_000 };
            told(fetch(&request).map(|answer| answer.status))
        }
        "fetch-long-url" => get(&format!("{URL}{}", "a".repeat(200_000)), vec![]),
        "fetch-other-host" => get(URL, header("host", "internal.example.com")),
        "fetch-split" => get(URL, header("x-a", "b\r\nhost: internal.example.com")),
        "fetch-split-name" => get(URL, header("x-a: b\r\nhost", "internal.example.com")),
        "fetch-method" => ask("GET / HTTP/1.1\r\nhost: internal\r\n\r\nGET", URL, vec![], 5_000),
        "fetch-connect" => ask("CONNECT", URL, vec![], 5_000),
        "fetch-userinfo" => get("https://api.example.com@internal.example.com/", vec![]),
        "fetch-backslash" => get("https://internal.example.com\\@api.example.com/", vec![]),
        "fetch-file" => get("file:///etc/passwd", vec![]),
        "fetch-metadata" => get("http://169.254.169.254/latest/meta-data/", vec![]),
        "fetch-hang" => ask("GET", &format!("{URL}hang"), vec![], 0),
        _ => return None,
    })
}

/// Keeps values until the host takes no more.
fn fill() -> String {
    let mut n = 0_u32;
    loop {
        n += 1;
        if let Err(refused) = kv::put(&format!("k{n}"), &[b'x'; 4096], None) {
            return refusal(refused);
        }
    }
}

fn ask(method: &str, url: &str, headers: Vec<Field>, timeout_ms: u32) -> String {
    let request = Outgoing { method: method.to_owned(), url: url.to_owned(), headers, body: vec![], timeout_ms };
    told(fetch(&request).map(|answer| answer.status))
}

fn told(answer: Result<u16, HttpError>) -> String {
    answer.map_or_else(outside::words, |status| status.to_string())
}

fn kept(answer: Result<(), HostError>) -> String {
    answer.map_or_else(refusal, |()| "kept".to_owned())
}

fn refusal(error: HostError) -> String {
    match error {
        HostError::Denied(why) => format!("denied: {why}"),
        HostError::Invalid(invalid) => format!("invalid: {} {}", invalid.field, invalid.why),
        HostError::LimitReached(limit) => format!("limit: {} {} of {}", limit.limit, limit.used, limit.max),
        other => format!("{other:?}"),
    }
}

/// Reads the clock for ever.
pub fn clock() -> ! {
    loop {
        black_box(Instant::now());
    }
}

/// Sleeps for no time, for ever.
pub fn naps() -> ! {
    loop {
        std::thread::sleep(Duration::ZERO);
        std::thread::sleep(Duration::from_nanos(1));
    }
}

/// Prints for ever.
pub fn prints() -> ! {
    loop {
        println!("flood");
    }
}
