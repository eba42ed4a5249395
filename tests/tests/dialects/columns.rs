//! What a table must hold: every endpoint of a dialect with everything that can go wrong with it. What an endpoint needs follows
//! from its document (parameters, body); what cannot happen to it all the same stands here, with the reason.

use std::collections::BTreeSet;

use crate::document::Document;

/// Columns that every endpoint has.
const ALWAYS: [&str; 10] = [
    "success",
    "missing credential",
    "wrong credential",
    "expired credential",
    "revoked credential",
    "credential of another service",
    "credential without the scope",
    "credential of an inactive account",
    TOO_MANY,
    "wrong method",
];
/// The account has asked too often.
pub const TOO_MANY: &str = "too many requests";
/// Both answers are the same, and stand once.
pub const STRANGE: &str = "another account's object, and unknown id";
/// There is none; where objects belong to nobody.
pub const UNKNOWN: &str = "unknown id";
/// The session that is to do it is not connected.
pub const NOT_CONNECTED: &str = "not connected";
/// The account's plan is used up.
pub const OVER_LIMIT: &str = "over the limit";
/// What is no body of its type.
pub const MALFORMED: &str = "malformed body";
/// A body over its limit.
pub const LONG: &str = "body over the limit";

/// A member of a type that it cannot have; its name follows.
const WRONG_TYPE: &str = "wrong type";
/// A body without a member that it must have; its name follows.
const MISSING_FIELD: &str = "missing field";

/// Members of bodies and parameters of queries that name an object of the account.
const NAMES: [&str; 4] = ["session_id", "sessionId", "device_id", "replyTo"];

/// What cannot happen: the dialect or `*`, the column, the endpoints (`*` at the end for any that begin like this; without a
/// method for any of it), and why.
const CANNOT: &[(&str, &str, &str, &str)] = &[
    ("*", OVER_LIMIT, "GET *", "reading spends nothing"),
    ("*", OVER_LIMIT, "DELETE /devices/{id}", "giving up spends nothing"),
    ("*", OVER_LIMIT, "DELETE /keys/{id}", "giving up spends nothing"),
    ("*", OVER_LIMIT, "DELETE /sessions/{id}", "giving up spends nothing"),
    ("*", OVER_LIMIT, "DELETE /whatsapp/sessions/{id}", "giving up spends nothing"),
    ("*", OVER_LIMIT, "DELETE /whatsapp-sessions/{id}", "giving up spends nothing"),
    ("*", OVER_LIMIT, "/webhooks*", "plans say nothing of webhooks"),
    ("prosendi", OVER_LIMIT, "/devices/{id}*", "plans count devices, not what is done with them"),
    ("wamux", OVER_LIMIT, "/keys*", "plans say nothing of keys"),
    ("wamux", OVER_LIMIT, "/sessions/{id}*", "plans count sessions, not what is done with them"),
    ("sendapi", OVER_LIMIT, "/whatsapp/groups*", "plans count messages and sessions"),
    ("wasender", OVER_LIMIT, "/whatsapp-sessions/{id}*", "plans count sessions, not what is done with them"),
    ("wasender", OVER_LIMIT, "/contacts*", "plans count messages and sessions"),
    ("wasender", OVER_LIMIT, "/groups*", "plans count messages and sessions"),
    ("wasender", OVER_LIMIT, "POST /send-presence-update", "it is no message"),
    ("wasender", OVER_LIMIT, "POST /upload", "it is no message"),
    ("wasender", OVER_LIMIT, "POST /decrypt-media", "it is no message"),
    ("prosendi", NOT_CONNECTED, "/devices*", "a device is looked after in every state"),
    ("wamux", NOT_CONNECTED, "/sessions*", "a session is looked after in every state"),
    ("wamux", NOT_CONNECTED, "/keys*", "keys belong to no session"),
    ("wamux", NOT_CONNECTED, "/webhooks*", "webhooks belong to no session"),
    ("wamux", NOT_CONNECTED, "GET /messages*", "what is stored is read"),
    ("sendapi", NOT_CONNECTED, "/whatsapp/sessions*", "a session is looked after in every state"),
    ("sendapi", NOT_CONNECTED, "/webhooks*", "they tell of every state"),
    ("sendapi", NOT_CONNECTED, "GET /whatsapp/messages*", "what is stored is read"),
    ("wasender", NOT_CONNECTED, "/whatsapp-sessions*", "a session is looked after in every state"),
    ("wasender", NOT_CONNECTED, "/sessions/{id}/status", "it is the state that is asked for"),
    ("wasender", NOT_CONNECTED, "GET /status", "it is the state that is asked for"),
    ("wasender", NOT_CONNECTED, "GET /user", "the account is asked for"),
    ("wasender", NOT_CONNECTED, "GET /auth-check", "the key is asked for"),
    ("wasender", NOT_CONNECTED, "GET /messages/{msgId}/info", "what is stored is read"),
    ("wasender", NOT_CONNECTED, "GET /contacts", "what is stored is read"),
    ("wasender", NOT_CONNECTED, "PUT /contacts", "it is stored here"),
    ("wasender", NOT_CONNECTED, "POST /upload", "it is stored here"),
    ("wasender", NOT_CONNECTED, "POST /decrypt-media", "files are fetched without a session"),
    ("wasender", STRANGE, "/contacts*", "numbers belong to nobody"),
    ("wasender", STRANGE, "GET /on-whatsapp/{phone}", "numbers belong to nobody"),
    ("wasender", STRANGE, "GET /lid-from-pn/{x}", "numbers belong to nobody"),
    ("wasender", STRANGE, "GET /pn-from-lid/{x}", "numbers belong to nobody"),
    ("wasender", STRANGE, "GET /groups/invite/{code}", "whoever has a code may use it"),
    ("wasender", WRONG_TYPE, "POST /decrypt-media", "a message is looked for wherever the caller put it"),
    ("wasender", UNKNOWN, "/contacts/{phone}/block", "every number can be blocked"),
    ("wasender", UNKNOWN, "/contacts/{phone}/unblock", "every number can be unblocked"),
];

/// Fails unless the table of a dialect has every column of every endpoint. `told` are the endpoints and columns that it has.
pub fn assert_whole(dialect: &str, document: &Document, told: &BTreeSet<(String, String)>) {
    let mut missing = Vec::new();
    let mut used = BTreeSet::new();
    for endpoint in document.endpoints() {
        let has = |column: &str| {
            let of_column =
                |told: &str| told.strip_prefix(column).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
            told.iter().any(|(name, told)| *name == endpoint.name && of_column(told))
        };
        let mut wanted: Vec<&str> = ALWAYS.to_vec();
        wanted.extend([NOT_CONNECTED, OVER_LIMIT]);
        if endpoint.name.contains('{') || NAMES.iter().any(|name| endpoint.names.contains(*name)) {
            wanted.extend([STRANGE, UNKNOWN]);
        }
        if endpoint.takes_body {
            wanted.extend([MALFORMED, LONG, WRONG_TYPE]);
        }
        if endpoint.needs_field {
            wanted.push(MISSING_FIELD);
        }
        for column in wanted {
            let excuse = CANNOT.iter().position(|(whose, what, which, _)| {
                (*whose == "*" || *whose == dialect) && *what == column && is_meant(which, &endpoint.name)
            });
            let there = has(column) || (column == UNKNOWN && has(STRANGE));
            match excuse {
                Some(at) => {
                    used.insert(at);
                }
                None if there => {}
                None => missing.push(format!("{} [{column}]", endpoint.name)),
            }
        }
    }
    assert!(missing.is_empty(), "the table lacks {missing:#?}");
    let idle = CANNOT.iter().enumerate().filter(|(at, (whose, ..))| *whose == dialect && !used.contains(at));
    let idle: Vec<_> = idle.map(|(_, excuse)| excuse).collect();
    assert!(idle.is_empty(), "excuses of no endpoint: {idle:#?}");
}

/// Whether a pattern means an endpoint such as `GET /sessions/{id}`.
fn is_meant(pattern: &str, endpoint: &str) -> bool {
    let path = endpoint.split_once(' ').map_or("", |(_, path)| path);
    let name = if pattern.starts_with('/') { path } else { endpoint };
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}
