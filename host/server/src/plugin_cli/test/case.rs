//! The files of `plugin test`: what a case gives, what its steps do, and what is expected of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use switchboard_core::clock::Timestamp;
use switchboard_core::records::content::{Content, Extras};
use switchboard_core::records::plugin::Grants;
use switchboard_core::records::session::SessionState;
use switchboard_core::rules::calendar;
use switchboard_core::rules::said_back::said_back;

use super::super::Failed;

/// Most bytes of one file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most cases of one run.
const CASES_MAX: usize = 1_000;
/// When a case begins that does not say so: 2026-01-15T12:00:00Z.
const NOW: Timestamp = Timestamp(1_768_478_400_000);
/// Longest step of the clock.
const ADVANCE_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// One case: a plugin as it is set up, and what happens to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What it shows.
    pub(super) about: String,
    /// The plugin's configuration.
    pub(super) config: Option<Value>,
    /// What the plugin finds wrong with that: then there are no steps.
    pub(super) config_faults: Option<Vec<Value>>,
    /// What the plugin is given; what it asks for unless it is there.
    pub(super) grants: Option<Grants>,
    /// When it begins, RFC 3339.
    now: Option<String>,
    /// Secrets by name.
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, String>,
    /// What the plugin keeps already: texts, or any JSON.
    #[serde(default)]
    pub(super) kv: BTreeMap<String, Value>,
    /// What others answer it over HTTP.
    #[serde(default)]
    pub(super) http: Vec<Mock>,
    /// The account's sessions; one that is connected unless they are there.
    #[serde(default)]
    pub(super) sessions: Vec<GivenSession>,
    /// Where its routes are, of a tenant's plugin below the tenant's own place.
    pub(super) mount: Option<String>,
    /// What happens, in this order.
    #[serde(default)]
    pub(super) steps: Vec<Step>,
}

/// What others answer to one kind of request. The first that fits answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mock {
    /// Any unless it is there.
    pub(super) method: Option<String>,
    /// The whole URL.
    pub(super) url: String,
    /// What the body has in it.
    pub(super) body_contains: Option<String>,
    #[serde(default = "ok")]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// A text as it is, other JSON written out.
    #[serde(default)]
    pub(super) body: Value,
    /// In place of an answer: `timed_out` or `unreachable`.
    pub(super) error: Option<MockError>,
    /// How often it answers; as often as it is asked unless it is there.
    pub(super) times: Option<u32>,
}

fn ok() -> u16 {
    200
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MockError {
    TimedOut,
    Unreachable,
}

/// A session of the account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenSession {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) name: Option<String>,
    /// Digits.
    #[serde(default)]
    pub(super) phone_number: Option<String>,
    #[serde(default)]
    pub(super) state: Option<SessionState>,
    #[serde(default)]
    pub(super) settings: Map<String, Value>,
}

/// One thing that happens, and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// What it shows.
    pub(super) about: Option<String>,
    /// How far the clock goes on first, such as `30 m`: what waits is tried at its time.
    pub(super) advance: Option<String>,
    /// Responders: an event as the API or a webhook shows it, or `{"message":{"from","text"}}`.
    pub(super) event: Option<Value>,
    /// Routers: a request.
    pub(super) request: Option<GivenRequest>,
    /// Policies: a message that somebody wants to send.
    pub(super) policy: Option<GivenSend>,
    /// Templates: a definition, and the parameters that it is filled with.
    pub(super) template: Option<GivenTemplate>,
    /// Webhook formats: an event, and the endpoint it goes to.
    pub(super) webhook: Option<GivenDelivery>,
    /// Sender routes: a message that names no session.
    pub(super) sender_route: Option<GivenSend>,
    #[serde(default)]
    pub(super) expect: Expect,
}

/// A message that came in, in short.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenMessage {
    /// A number or a JID.
    pub(super) from: String,
    pub(super) text: Option<String>,
    /// In place of `text`: as the API writes it.
    pub(super) content: Option<Content>,
    /// What they call themselves.
    pub(super) name: Option<String>,
    /// JID of the group that it was written in.
    pub(super) group: Option<String>,
    /// The session that it came to; the first unless it is there.
    pub(super) session_id: Option<u64>,
    /// WhatsApp's id of it.
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) extras: Extras,
}

/// A request to a router. `{tenant_key}`, `{personal_key}` and `{session_key}` in a header stand for keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenRequest {
    #[serde(default = "get")]
    pub(super) method: String,
    /// Below the mount, with the query.
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// A text as it is; other JSON written out, with its content type.
    #[serde(default)]
    pub(super) body: Value,
}

fn get() -> String {
    "GET".to_owned()
}

/// A message that somebody wants to send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenSend {
    pub(super) to: String,
    pub(super) text: Option<String>,
    pub(super) content: Option<Content>,
    #[serde(default)]
    pub(super) extras: Extras,
    /// The first unless it is there.
    pub(super) session_id: Option<u64>,
}

/// A template and a call of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenTemplate {
    #[serde(default = "template")]
    pub(super) name: String,
    #[serde(default = "english")]
    pub(super) language: String,
    pub(super) definition: Value,
    /// By name, or a list; none: it is only checked.
    pub(super) parameters: Option<Value>,
}

fn template() -> String {
    "template".to_owned()
}

fn english() -> String {
    "en".to_owned()
}

/// An event on its way to an endpoint.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenDelivery {
    /// As in `event`; none: the endpoint is tested.
    pub(super) event: Option<Value>,
    #[serde(default = "receiver")]
    pub(super) url: String,
    #[serde(default)]
    pub(super) settings: Map<String, Value>,
}

fn receiver() -> String {
    "https://example.com/webhook".to_owned()
}

/// What is expected of a step. What is left out is not looked at, but that every call has to end well.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// How the last call ended: `reply`, `plugin_error`, `trap`, `limit_exceeded`, `refused`, or `none` when there was no call.
    pub(super) outcome: Option<String>,
    /// What the reason of a failure has in it.
    pub(super) why: Option<String>,
    /// Everything that is sent, in order; of each the members that are named.
    pub(super) commands: Option<Vec<Value>>,
    /// Some of what is sent.
    pub(super) commands_include: Option<Vec<Value>>,
    /// Some of what is kept; `null` for what is not there.
    pub(super) kv: Option<Map<String, Value>>,
    /// What others were asked over HTTP, in order.
    pub(super) http: Option<Vec<Value>>,
    /// What lines of the log have in them, level in front.
    pub(super) log: Option<Vec<String>>,
    /// How many runs wait, and how many were parked: `{"waiting","parked"}`.
    pub(super) runs: Option<Value>,
    /// The answer of whatever was asked.
    pub(super) answer: Option<Value>,
}

impl Case {
    /// When it begins.
    ///
    /// # Errors
    /// When that is no time.
    pub(super) fn begins_at(&self) -> Result<Timestamp, String> {
        let Some(text) = &self.now else { return Ok(NOW) };
        calendar::moment(text).ok_or_else(|| format!("now: {:?} is no time such as 2026-01-15T12:00:00Z", said_back(text)))
    }
}

/// A time as people write it: `500 ms`, `30 s`, `5 m`, `2 h`, `7 d`.
pub(super) fn read_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let (given, most) = (said_back(text), ADVANCE_MAX.as_secs() / 86_400);
        format!("advance: {given:?} is no time such as \"500 ms\", \"30 s\", \"5 m\", \"2 h\" or \"7 d\", up to {most} d")
    };
    let end = text.find(|symbol: char| !symbol.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms)).ok_or_else(wrong)?;
    Some(Duration::from_millis(ms)).filter(|time| *time <= ADVANCE_MAX).ok_or_else(wrong)
}

/// A text as it is, other JSON written out.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The cases of a file, or of every `*.json` in a folder, each with its file.
pub(super) fn read_cases(place: &Path) -> Result<Vec<(PathBuf, Case)>, Failed> {
    let unreadable = |error: std::io::Error| Failed::refused("unreadable", format!("{}: {error}", place.display()));
    let mut files = Vec::new();
    if place.is_dir() {
        for entry in std::fs::read_dir(place).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        files.sort();
    } else {
        files.push(place.to_owned());
    }
    let mut cases = Vec::new();
    for file in files {
        cases.extend(read_file(&file)?.into_iter().map(|case| (file.clone(), case)));
    }
    if cases.is_empty() || cases.len() > CASES_MAX {
        let why = format!("{}: {} cases; 1 to {CASES_MAX} are expected", place.display(), cases.len());
        return Err(Failed::refused("cases", why));
    }
    Ok(cases)
}

fn read_file(file: &Path) -> Result<Vec<Case>, Failed> {
    let wrong = |code: &str, why: String| Failed::refused(code, format!("{}: {why}", file.display()));
    let bytes = std::fs::metadata(file).map_err(|error| wrong("unreadable", error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(wrong("cases", format!("has {bytes} bytes; the limit is {FILE_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong("unreadable", error.to_string()))?;
    let many = text.trim_start().starts_with('[');
    // Read from the text itself, so that what is wrong has its line.
    let read = if many { serde_json::from_str(&text) } else { serde_json::from_str(&text).map(|case| vec![case]) };
    read.map_err(|error| wrong("cases", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, ms) in [("500 ms", 500), ("30s", 30_000), ("5 m", 300_000), ("2 h", 7_200_000), ("7 d", 604_800_000)] {
            assert_eq!(read_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "30", "m", "-1 s", "1 y", "4000 d", "99999999999999999999 s", "18446744073709551615 d"] {
            assert!(read_duration(wrong).unwrap_err().starts_with("advance: "), "{wrong}");
        }
    }

    #[test]
    fn a_file_has_one_case_or_several_and_what_is_wrong_is_named_with_its_line() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
        write("b.json", r#"{"about": "one", "steps": [{"event": {"message": {"from": "1", "text": "x"}}}]}"#);
        write("a.json", r#"[{"about": "two"}, {"about": "three"}]"#);
        write("notes.txt", "not a case");
        let abouts: Vec<String> = read_cases(place.path()).unwrap().into_iter().map(|(_, case)| case.about).collect();
        assert_eq!(abouts, ["two", "three", "one"]);
        write("c.json", "{\"about\": \"four\",\n \"stepps\": []}");
        let refused = read_cases(place.path()).unwrap_err();
        assert!(refused.words.contains("c.json: unknown field `stepps`") && refused.words.contains("line 2"), "{refused:?}");
        assert_eq!(read_cases(&place.path().join("none.json")).unwrap_err().json["code"], "unreadable");
    }
}
