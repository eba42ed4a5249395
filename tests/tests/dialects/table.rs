//! A table of requests and their answers, kept as a golden file: `UPDATE_GOLDEN=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use switchboard::http::{LocalAnswer, LocalClient};

use crate::columns::{self, LONG, MALFORMED, NOT_CONNECTED, OVER_LIMIT, STRANGE, TOO_MANY, UNKNOWN};
use crate::document::Document;

/// Headers of answers that are part of the promise.
const HEADERS: [&str; 9] = [
    "allow",
    "cache-control",
    "content-type",
    "idempotent-replayed",
    "retry-after",
    "www-authenticate",
    "x-accel-buffering",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
];
/// Numbers from here on are drawn by the host, or are moments.
const DRAWN_FROM: u64 = 1_000_000;
/// What ids begin with that the host draws; the rest of them are digits.
const PREFIXES: [&str; 6] = ["sess_", "msg_in", "msg_", "batch_", "grp_", "wh_"];
/// Fields that depend on the moment, or are set by something that may happen before the answer or after it.
const SOON: [&str; 5] = ["lastActivityAt", "last_active_at", "last_seen_at", "publicUrl", "retry_after"];
/// The longest JSON body but one.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How a dialect is called.
pub struct Api {
    /// Speaks to the host.
    pub http: LocalClient,
    /// The header with which a key is presented.
    pub key_header: fn(&str) -> (&'static str, String),
    /// A key that may do everything.
    pub key: String,
    /// A key of an account that has nothing left to send.
    pub spent_key: String,
    /// A key of an account that may ask nothing.
    pub throttled_key: String,
    /// Keys that will not do, by what is wrong with them.
    pub bad_keys: Vec<(&'static str, String)>,
    /// What stands for values that are drawn anew each time.
    pub known: BTreeMap<String, &'static str>,
    /// What the dialect promises.
    pub document: Document,
    /// The answers so far.
    pub told: String,
    /// The endpoints and columns that they are of.
    pub columns: BTreeSet<(String, String)>,
}

/// An endpoint and what can be wrong about calling it.
#[derive(Default)]
pub struct Row<'a> {
    pub method: &'a str,
    pub path: String,
    pub body: Option<Value>,
    /// Fields without which it does not work.
    pub required: &'a [&'a str],
    /// Fields, and a value of the wrong type.
    pub typed: &'a [(&'a str, Value)],
    /// More bodies that are refused, by what is wrong with them.
    pub wrong: &'a [(&'a str, Value)],
    /// The same endpoint about somebody else's object, and about none: the answers must be the same.
    pub foreign: Option<(String, Option<Value>)>,
    pub unknown: Option<(String, Option<Value>)>,
    /// The same with a session that is not connected.
    pub not_connected: Option<(String, Option<Value>)>,
    /// The key of a session that is not connected, where the key alone says which session is meant.
    pub idle_key: Option<String>,
    /// Whether it sends or makes a session, so that a plan can be used up.
    pub sends: bool,
    /// The path, where the account whose plan is used up has objects of its own.
    pub spent_path: Option<String>,
    /// A method that nobody serves on this path.
    pub wrong_method: &'a str,
}

impl Api {
    /// Asks once; the answer.
    pub async fn ask(&self, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> LocalAnswer {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.ask_raw(method, path, key, bytes).await
    }

    async fn ask_raw(&self, method: &str, path: &str, key: Option<&str>, body: Vec<u8>) -> LocalAnswer {
        let mut headers: Vec<(&str, String)> = key.map(self.key_header).into_iter().collect();
        headers.push(("content-type", "application/json".to_owned()));
        self.exchange(method, path, &headers, body).await
    }

    /// Asks once, with just these headers; the answer, which the document has to promise.
    pub async fn exchange(&self, method: &str, path: &str, headers: &[(&str, String)], body: Vec<u8>) -> LocalAnswer {
        let answer = self.http.exchange(method, path, headers, body).await.unwrap();
        self.document.check(method, path, &answer);
        answer
    }

    /// Walks an endpoint through every column.
    pub async fn walk(&mut self, row: Row<'_>) {
        let Row { method, path, body, .. } = &row;
        let key = self.key.clone();
        let name = format!("{method} {}", self.normalised(&json!(path)).as_str().unwrap());
        if let Some(Err(why)) = body.as_ref().and_then(|body| self.document.allows(method, path, body)) {
            panic!("{name}: the document does not allow what succeeds: {why}");
        }
        self.tell(&name, "success", self.ask(method, path, Some(&key), body.as_ref()).await);
        self.tell(&name, "missing credential", self.ask(method, path, None, body.as_ref()).await);
        for (what, bad) in self.bad_keys.clone() {
            self.tell(&name, what, self.ask(method, path, Some(&bad), body.as_ref()).await);
        }
        let throttled = self.throttled_key.clone();
        self.tell(&name, TOO_MANY, self.ask(method, path, Some(&throttled), body.as_ref()).await);
        self.walk_fields(&name, &row).await;
        self.walk_objects(&name, &row).await;
        if row.not_connected.is_some() || row.idle_key.is_some() {
            let (path, body) = row.not_connected.clone().unwrap_or_else(|| (path.clone(), body.clone()));
            let key = row.idle_key.clone().unwrap_or_else(|| key.clone());
            self.tell(&name, NOT_CONNECTED, self.ask(method, &path, Some(&key), body.as_ref()).await);
        }
        if row.sends {
            let spent = self.spent_key.clone();
            let (path, body) = (row.spent_path.as_ref().unwrap_or(path), body.clone().map(without_session));
            self.tell(&name, OVER_LIMIT, self.ask(method, path, Some(&spent), body.as_ref()).await);
        }
        if row.body.is_some() {
            self.tell(&name, MALFORMED, self.ask_raw(method, path, Some(&key), b"{\"a\":".to_vec()).await);
            let long = self.ask_raw(method, path, Some(&key), vec![b' '; BODY_BYTES_MAX + 1]).await;
            self.tell(&name, LONG, long);
        }
        self.tell(&name, "wrong method", self.ask(row.wrong_method, path, Some(&key), None).await);
    }

    async fn walk_objects(&mut self, name: &str, row: &Row<'_>) {
        let Some((unknown, unknown_body)) = &row.unknown else { return };
        let key = self.key.clone();
        let unknown = self.ask(row.method, unknown, Some(&key), unknown_body.as_ref()).await;
        let Some((foreign, foreign_body)) = &row.foreign else {
            self.tell(name, UNKNOWN, unknown);
            return;
        };
        let foreign = self.ask(row.method, foreign, Some(&key), foreign_body.as_ref()).await;
        let body = |answer: &LocalAnswer| (answer.status, self.normalised(&answer.json()));
        assert_eq!(body(&foreign), body(&unknown), "{name}: another account's object is one that does not exist");
        self.tell(name, STRANGE, unknown);
    }

    async fn walk_fields(&mut self, name: &str, row: &Row<'_>) {
        let Some(Value::Object(body)) = &row.body else { return };
        let key = self.key.clone();
        let changed = |field: &str, value: Option<&Value>| {
            let mut body: Map<String, Value> = body.clone();
            match value {
                Some(value) => body.insert(field.to_owned(), value.clone()),
                None => body.remove(field),
            };
            Value::Object(body)
        };
        let mut required: Vec<String> = row.required.iter().map(|field| (*field).to_owned()).collect();
        let promised = self.document.required_members(row.method, &row.path);
        required.extend(promised.into_iter().filter(|field| !row.required.contains(&field.as_str())));
        for field in &required {
            let body = changed(field, None);
            let allowed = self.document.allows(row.method, &row.path, &body);
            assert!(!matches!(allowed, Some(Ok(()))), "{name}: the document allows a body without {field}");
            let answer = self.ask(row.method, &row.path, Some(&key), Some(&body)).await;
            self.tell(name, &format!("missing field: {field}"), answer);
        }
        let is_told = |field: &str| row.typed.iter().any(|(told, _)| *told == field);
        // What is read only beside other members may be anything here: the document says so.
        let matters = |field: &str, value: &Value| {
            !matches!(self.document.allows(row.method, &row.path, &changed(field, Some(value))), Some(Ok(())))
        };
        let mut others = self.document.wrong_members(row.method, &row.path);
        others.retain(|(field, value)| !is_told(field) && matters(field, value));
        let own = row.typed.iter().map(|(field, value)| ((*field).to_owned(), value.clone()));
        for (field, value) in own.chain(others).collect::<Vec<_>>().iter() {
            let body = changed(field, Some(value));
            let allowed = self.document.allows(row.method, &row.path, &body);
            assert!(!matches!(allowed, Some(Ok(()))), "{name}: the document allows {field} to be {value}");
            let answer = self.ask(row.method, &row.path, Some(&key), Some(&body)).await;
            assert!((400..500).contains(&answer.status), "{name}: {field} may be {value}: {answer:?}");
            self.tell(name, &format!("wrong type: {field}"), answer);
        }
        for (what, body) in row.wrong {
            let answer = self.ask(row.method, &row.path, Some(&key), Some(body)).await;
            self.tell(name, what, answer);
        }
    }

    /// Adds an answer to the table.
    pub fn tell(&mut self, name: &str, column: &str, answer: LocalAnswer) {
        assert!(answer.status != 500, "{name} [{column}]: {answer:?}");
        let (method, path) = name.split_once(' ').unwrap();
        if let Some(endpoint) = self.document.name_of(method, path) {
            self.columns.insert((endpoint, column.to_owned()));
        }
        let name = self.normalised(&json!(name)).as_str().unwrap().to_owned();
        writeln!(self.told, "== {name} [{column}]\n{}", answer.status).unwrap();
        for header in HEADERS {
            if let Some(value) = answer.header(header) {
                let value = if header == "retry-after" { "<seconds>" } else { value };
                writeln!(self.told, "{header}: {value}").unwrap();
            }
        }
        let body = match serde_json::from_slice(&answer.body) {
            Ok(body) => serde_json::to_string_pretty(&self.normalised(&body)).unwrap(),
            Err(_) if answer.body.is_empty() => "(empty)".to_owned(),
            // Comments come in between when they will; two line ends would end the entry of the table.
            Err(_) if answer.header("content-type") == Some("text/event-stream") => {
                let text = String::from_utf8(answer.body).unwrap();
                let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with(':')).collect();
                lines.join("\n")
            }
            Err(_) => panic!("{name} [{column}] is no JSON: {answer:?}"),
        };
        writeln!(self.told, "{body}\n").unwrap();
    }

    /// The same without what is drawn anew each time.
    pub fn normalised(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.normalised(item)).collect(),
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| match SOON.contains(&name.as_str()) {
                    true => (name.clone(), json!("<depends on the moment>")),
                    false => (name.clone(), self.normalised(value)),
                };
                Value::Object(fields.iter().map(field).collect())
            }
            Value::Number(number) => match self.known.get(&number.to_string()) {
                Some(token) => json!(token),
                None if number.as_u64().is_some_and(|number| number >= DRAWN_FROM) => json!("<number>"),
                None => value.clone(),
            },
            Value::String(text) => json!(self.normalised_text(text)),
            other => other.clone(),
        }
    }

    fn normalised_text(&self, text: &str) -> String {
        let is_time = text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
        if is_time {
            return "<time>".to_owned();
        }
        if text.starts_with("req_") {
            return "<request>".to_owned();
        }
        for (start, token) in [
            ("data:image/png;base64,", "<png>"),
            ("2@", "<code>"),
            ("sk_live_", "<key>"),
            ("ses_live_", "<key>"),
            ("msg_test_", "<delivery>"),
            ("whsec_", "<secret>"),
        ] {
            if text.starts_with(start) {
                return token.to_owned();
            }
        }
        let mut text = text.to_owned();
        for (value, token) in &self.known {
            text = text.replace(value.as_str(), token);
        }
        if let Some((before, _)) = text.split_once("try again in ") {
            return format!("{before}try again in <seconds> s");
        }
        if let Some(name) = drawn(&text) {
            return name;
        }
        if let Some((address, _)) = text.split_once("?token=lnk_") {
            let steps: Vec<&str> = address.split('/').map(|step| if is_uuid(step) { "<uuid>" } else { step }).collect();
            return format!("{}?token=<token>", steps.join("/"));
        }
        if is_uuid(&text) { "<uuid>".to_owned() } else { text }
    }

    /// Compares the whole table with its golden file.
    pub fn compare(&self, dialect: &str) {
        self.document.assert_all_asked();
        columns::assert_whole(dialect, &self.document, &self.columns);
        let path = format!("{}/golden/{dialect}.txt", env!("CARGO_MANIFEST_DIR"));
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            std::fs::write(&path, &self.told).unwrap();
            return;
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        let blocks = |text: &str| text.split("\n\n").map(str::to_owned).collect::<Vec<_>>();
        for (told, expected) in blocks(&self.told).iter().zip(&blocks(&golden)) {
            assert_eq!(told, expected, "differs from golden/{dialect}.txt; UPDATE_GOLDEN=1 writes it anew");
        }
        assert_eq!(self.told, golden, "differs from golden/{dialect}.txt; UPDATE_GOLDEN=1 writes it anew");
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// What stands for a text that is drawn anew each time.
fn drawn(text: &str) -> Option<String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(prefix) = PREFIXES.into_iter().find(|prefix| text.strip_prefix(prefix).is_some_and(digits)) {
        return Some(format!("<{prefix}…>"));
    }
    if let Some(server) = ["@g.us", "@lid"].into_iter().find(|server| text.strip_suffix(server).is_some_and(digits)) {
        return Some(format!("<digits>{server}"));
    }
    if text.starts_with("https://chat.whatsapp.com/") {
        return Some("<invite link>".to_owned());
    }
    let is_whatsapp_id = text.len() == 22 && text.starts_with("3EB0") && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whatsapp_id.then(|| "<whatsapp id>".to_owned())
}

/// The same wish of an account that has other sessions.
fn without_session(mut body: Value) -> Value {
    for field in ["device_id", "sessionId", "session_id"] {
        if let Some(body) = body.as_object_mut() {
            body.remove(field);
        }
    }
    body
}
