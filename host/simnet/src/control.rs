//! The control API: phones to make, codes to scan, messages to send and read, faults to inject.
//!
//! It takes and gives plain values, so that a host can serve it under its own front door. The caller has
//! checked the operator's key.

mod calls;
#[cfg(test)]
mod channels_tests;
mod groups;
mod newsletters;
mod own_devices;
mod phones;
mod routes;

pub use routes::CONTROL_ROUTES;

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::media::control::{is_media_fault, media_fault, media_of_message, tls_certificate};
use crate::network::{
    ActFault, CommandFault, DeviceCommandFault, FaultCommand, LinkFault, PackOffer, PersonCommand, ScanFault,
};
use crate::phone::{ComposeFault, PairingCode};
use crate::shared::{ChangeError, Shared};

/// Where the API lives.
pub(crate) const CONTROL_PREFIX: &str = "/switchboard/v1/sim/";
/// The longest a request waits for a message.
const WAIT_MS_MAX: u64 = 60_000;
/// Journal entries in one answer, and how many there are without a limit in the request.
const JOURNAL_LIMIT_MAX: usize = 1_000;
/// How long a scanned client may take to confirm.
const SCAN_MS_MAX: u64 = 15_000;
const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";

/// An answer of the control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body's media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl ControlAnswer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: JSON, body: body.to_string().into_bytes() }
    }

    /// A refusal as RFC 9457 has it.
    pub(crate) fn problem(status: u16, title: &str, detail: impl Into<String>) -> Self {
        let body = json!({ "type": "about:blank", "title": title, "status": status, "detail": detail.into() });
        Self { status, content_type: PROBLEM_JSON, body: body.to_string().into_bytes() }
    }

    /// The same for a request of which a part is wrong: `place` has its name, `pointer` in a body or `parameter` in a query.
    fn problem_at(status: u16, title: &str, detail: String, (name, place): (&str, &str)) -> Self {
        let errors = json!([{ name: place, "detail": detail }]);
        let body = json!({ "type": "about:blank", "title": title, "status": status, "detail": detail, "errors": errors });
        Self { status, content_type: PROBLEM_JSON, body: body.to_string().into_bytes() }
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
enum ControlFault {
    #[error(transparent)]
    Command(#[from] CommandFault),
    #[error("the change could not be written down")]
    Change(#[from] ChangeError),
    #[error("body is not what is expected here: {error}")]
    Body {
        error: serde_json::Error,
        /// Where in the body, as a JSON pointer.
        pointer: String,
    },
    #[error("query parameter {name} is not a number: {value:?}")]
    Query { name: &'static str, value: String },
    #[error("the client gave the pairing up")]
    PairingFailed,
    #[error("the client did not confirm the pairing within {0} ms")]
    PairingTimeout(u64),
    #[error("nothing is served at {0}")]
    NotFound(String),
    #[error("{method} is not served at {path}")]
    Method { method: String, path: String },
}

impl From<ControlFault> for ControlAnswer {
    fn from(fault: ControlFault) -> Self {
        let (status, title) = match &fault {
            ControlFault::NotFound(_) => (404, "not found"),
            ControlFault::Method { .. } => (405, "method not allowed"),
            ControlFault::Change(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "a change could not be written down");
                (500, "internal error")
            }
            ControlFault::PairingFailed => (422, "pairing failed"),
            ControlFault::PairingTimeout(_) => (504, "pairing timed out"),
            ControlFault::Body { .. } | ControlFault::Query { .. } => (422, "invalid request"),
            ControlFault::Command(command) => match command {
                CommandFault::NoPhone(_) | CommandFault::Scan(ScanFault::NoPhone(_)) => (404, "no such phone"),
                CommandFault::NoRecipient(_) => (404, "no such recipient"),
                CommandFault::Group(fault) => groups::status_of(fault),
                CommandFault::Newsletter(fault) if fault.code() == 404 => (404, "not found"),
                CommandFault::Newsletter(fault) if fault.code() == 403 => (403, "not allowed"),
                CommandFault::NoStatus(_) | CommandFault::NoCall(_) => (404, "not found"),
                CommandFault::Compose(ComposeFault::UnknownMessage { .. })
                | CommandFault::Act(ActFault::UnknownMessage(_)) => (404, "no such message"),
                CommandFault::Scan(ScanFault::NotWaiting) => (410, "code is no longer valid"),
                CommandFault::Link(LinkFault::NotWaiting(_)) => (410, "no client is waiting"),
                CommandFault::Devices(DeviceCommandFault::NoDevice { .. }) => (404, "no such device"),
                _ => (422, "invalid request"),
            },
        };
        let place = match &fault {
            ControlFault::Body { pointer, .. } => Some(("pointer", pointer.as_str())),
            ControlFault::Query { name, .. } => Some(("parameter", *name)),
            ControlFault::Command(CommandFault::Scan(ScanFault::Phone(_))) => Some(("pointer", "#/code")),
            _ => None,
        };
        match place {
            Some(place) => Self::problem_at(status, title, fault.to_string(), place),
            None => Self::problem(status, title, fault.to_string()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhoneBody {
    number: String,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanBody {
    code: String,
}

/// Carries out one request.
pub(crate) async fn control(shared: &Shared, method: &str, path_and_query: &str, body: &[u8]) -> ControlAnswer {
    match dispatch(shared, method, path_and_query, body).await {
        Ok(answer) => answer,
        Err(fault) => fault.into(),
    }
}

/// Scans a code with the phone that belongs to the client's login name.
pub(crate) async fn scan_by_login_name(shared: &Shared, body: &[u8]) -> ControlAnswer {
    let code = String::from_utf8_lossy(body);
    match scan(shared, None, &code).await {
        Ok(answer) => answer,
        Err(fault) => fault.into(),
    }
}

async fn dispatch(shared: &Shared, method: &str, path_and_query: &str, body: &[u8]) -> Result<ControlAnswer, ControlFault> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let unknown = || ControlFault::NotFound(path.to_owned());
    let rest = path.strip_prefix(CONTROL_PREFIX).ok_or_else(unknown)?;
    let parts: Vec<String> = rest.split('/').map(percent_decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (method, parts.as_slice()) {
        ("POST", ["phones"]) => create_phone(shared, &read(body)?),
        ("GET", ["phones"]) => {
            let phones = shared.look(|network| network.phones());
            Ok(ControlAnswer::json(200, &json!({ "phones": phones })))
        }
        ("POST", ["phones", number, "scan"]) => {
            let body: ScanBody = read(body)?;
            scan(shared, Some(*number), &body.code).await
        }
        ("PATCH", ["phones", number]) => {
            let command: PersonCommand = read(body)?;
            shared.change(|network| network.change_person_by_command(number, &command))??;
            Ok(ControlAnswer::json(200, &json!({})))
        }
        ("POST", ["phones", number, "reinstall"]) => {
            let identity = shared.change(|network| network.reinstall_phone(number))??;
            Ok(ControlAnswer::json(200, &json!({ "identity": hex::encode(identity) })))
        }
        ("POST", ["faults"]) if is_media_fault(body) => Ok(media_fault(shared, body)),
        ("POST", ["faults"]) => {
            let command: FaultCommand = read(body)?;
            let devices = shared.change(|network| network.apply_fault(&command))??;
            Ok(ControlAnswer::json(200, &json!({ "devices": devices })))
        }
        ("GET", ["phones", number, "messages", n, "media"]) => Ok(media_of_message(shared, number, n).await),
        ("POST", ["sticker-packs"]) => offer_sticker_pack(shared, &read(body)?),
        ("GET", ["certificate"]) => Ok(tls_certificate(shared)),
        (_, ["phones", _, "messages", _, "media"] | ["certificate"]) => {
            Err(ControlFault::Method { method: method.to_owned(), path: path.to_owned() })
        }
        ("GET", ["faults"]) => Ok(ControlAnswer::json(200, &shared.look(|network| network.list_faults()))),
        ("GET", ["journal"]) => {
            let after = number_in(query, "after")?.unwrap_or(0);
            let limit =
                number_in(query, "limit")?.map_or(JOURNAL_LIMIT_MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            let entries = shared.journal_after(after, limit.min(JOURNAL_LIMIT_MAX));
            Ok(ControlAnswer::json(200, &json!({ "entries": entries })))
        }
        ("GET", ["stats"]) => Ok(stats(shared)),
        (method, ["newsletters", parts @ ..]) => newsletters::dispatch(shared, method, path, parts, body),
        (method, ["phones", number, what @ ("calls" | "status" | "business"), rest @ ..]) => {
            calls::dispatch(shared, method, path, number, (what, rest), body)
        }
        (_, ["phones", number, room @ ("messages" | "receipts" | "chatstate" | "chatstates" | "presence")]) => {
            let answer = phones::act(shared, method, number, room, query, body).await?;
            answer.ok_or_else(|| ControlFault::Method { method: method.to_owned(), path: path.to_owned() })
        }
        (_, ["phones", number, rest @ ..]) if own_devices::serves(rest) => {
            own_devices::dispatch(shared, method, number, rest, body).await
        }
        ("GET", ["reports"]) => {
            let reports = shared.look(|network| network.spam_reports());
            Ok(ControlAnswer::json(200, &json!({ "reports": reports })))
        }
        (
            _,
            ["phones" | "faults" | "journal" | "stats" | "reports" | "sticker-packs"]
            | ["phones", _]
            | ["phones", _, "scan" | "reinstall"],
        ) => Err(ControlFault::Method { method: method.to_owned(), path: path.to_owned() }),
        (_, rest) => groups::dispatch(shared, method, rest, body)?.ok_or_else(unknown),
    }
}

fn stats(shared: &Shared) -> ControlAnswer {
    let mut stats = json!(shared.look(|network| network.stats()));
    if let Some(stats) = stats.as_object_mut() {
        let broken = shared.handshakes_broken.load(std::sync::atomic::Ordering::Relaxed);
        stats.insert("handshakes_broken".to_owned(), json!(broken));
    }
    ControlAnswer::json(200, &stats)
}

fn offer_sticker_pack(shared: &Shared, offer: &PackOffer) -> Result<ControlAnswer, ControlFault> {
    shared.change(|network| network.offer_sticker_pack(offer))?.map_err(CommandFault::from)?;
    Ok(ControlAnswer::json(201, &json!({})))
}

fn create_phone(shared: &Shared, body: &PhoneBody) -> Result<ControlAnswer, ControlFault> {
    let (phone, created) = shared.change(|network| network.ensure_phone(&body.number, body.name.as_deref()))??;
    Ok(ControlAnswer::json(if created { 201 } else { 200 }, &json!(phone)))
}

/// Scans a code and waits until the client has confirmed, so that the caller may go on at once.
async fn scan(shared: &Shared, number: Option<&str>, code: &str) -> Result<ControlAnswer, ControlFault> {
    let code = PairingCode::parse(code).map_err(|error| CommandFault::from(ScanFault::from(error)))?;
    let number = number.map(crate::address::parse_number).transpose().map_err(CommandFault::from)?;
    let scanned = shared.change(|network| network.scan(&code, number.as_deref()))?;
    let (link, key) = scanned.map_err(CommandFault::from)?;
    let deadline = Instant::now() + Duration::from_millis(SCAN_MS_MAX);
    loop {
        let mut changed = std::pin::pin!(shared.changed.notified());
        // Registered before looking: a change between the two must not be missed.
        changed.as_mut().enable();
        match shared.look(|network| network.scan_outcome(link, &key)) {
            Some(true) => {
                let jid = shared.look(|network| network.address_text(&key));
                return Ok(ControlAnswer::json(200, &json!({ "jid": jid, "device": key.device })));
            }
            Some(false) => return Err(ControlFault::PairingFailed),
            None => {}
        }
        timeout_at(deadline, changed).await.map_err(|_| ControlFault::PairingTimeout(SCAN_MS_MAX))?;
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlFault> {
    serde_json::from_slice(body).map_err(|error| ControlFault::Body { pointer: place_of(&error, body), error })
}

/// Where the body is wrong: at a member of the whole that is not known or not there, as far as that is certain, else at the whole.
fn place_of(error: &serde_json::Error, body: &[u8]) -> String {
    let words = error.to_string();
    let named = |start: &str| words.strip_prefix(start)?.split_once('`').map(|(name, _)| name);
    let members: serde_json::Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let flat = members.values().all(|value| !value.is_object() && !value.is_array());
    let unknown = named("unknown field `").filter(|name| members.contains_key(*name));
    match unknown.or_else(|| named("missing field `").filter(|_| flat)) {
        Some(name) => format!("#/{}", name.replace('~', "~0").replace('/', "~1")),
        None => "#".to_owned(),
    }
}

fn number_in(query: &str, name: &'static str) -> Result<Option<u64>, ControlFault> {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
    let Some((_, value)) = value else { return Ok(None) };
    value.parse().map(Some).map_err(|_| ControlFault::Query { name, value: value.to_owned() })
}

/// One path segment with its `%XX` resolved; a stray percent sign stays as it is.
pub(crate) fn percent_decoded(segment: &str) -> String {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let escaped = match (byte, ahead.next(), ahead.next()) {
            (b'%', Some(high), Some(low)) => hex::decode([high, low]).ok().and_then(|bytes| bytes.first().copied()),
            _ => None,
        };
        if escaped.is_some() {
            bytes = ahead;
        }
        decoded.push(escaped.unwrap_or(byte));
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{number_in, percent_decoded};

    #[test]
    fn plus_sign_in_a_path_may_be_escaped() {
        assert_eq!(percent_decoded("%2B15550001111"), "+15550001111");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz"), "%zz");
    }

    #[test]
    fn query_numbers_are_read_by_name() {
        assert_eq!(number_in("after=3&wait_ms=9", "wait_ms").unwrap(), Some(9));
        assert_eq!(number_in("", "after").unwrap(), None);
        assert!(number_in("after=x", "after").is_err());
    }
}
