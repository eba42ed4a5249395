//! What a host tells of plugins, in lines for people.

use serde_json::Value;
use switchboard_core::clock::Timestamp;
use switchboard_core::rules::event_json::iso_8601;

/// A member of what a host told; `null` when it did not tell it.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn moment(value: &Value, member: &str) -> String {
    value.get(member).and_then(Value::as_u64).map_or_else(|| "never".to_owned(), |at_ms| iso_8601(Timestamp(at_ms)))
}

fn words_of<'a>(value: &'a Value, member: &str) -> Vec<&'a str> {
    value.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A list of versions.
pub(super) fn versions_words(told: &Value) -> String {
    let mut lines = Vec::new();
    for version in member(told, "versions").as_array().into_iter().flatten() {
        let active = if member(version, "active") == true { "active" } else { "" };
        let sha256: String = text(version, "sha256").chars().take(12).collect();
        let (uploaded, note) = (moment(version, "uploaded_at"), text(version, "note"));
        lines.push(format!(
            "{:>4}  {sha256}  {:>9} bytes  {uploaded}  {active:<6}  {note}",
            member(version, "n"),
            member(version, "bytes")
        ));
    }
    if lines.is_empty() { "no versions".to_owned() } else { lines.join("\n") }
}

/// A plugin.
pub(super) fn plugin_words(told: &Value) -> String {
    let (version, latest) = (member(told, "version"), member(told, "latest"));
    let version = match version.as_u64() {
        Some(0) => format!("none is active; the newest that is kept is {latest}"),
        _ => format!("{version} of {latest}, since {}", moment(told, "activated_at")),
    };
    let mut lines = vec![
        format!("{}: {}", text(told, "name"), text(told, "state")),
        format!("  version     {version}"),
        format!("  sha256      {}", text(told, "sha256")),
        format!("  bytes       {}", member(told, "bytes")),
        format!("  interfaces  {}", words_of(told, "interfaces").join(", ")),
        format!("  config      {}", member(told, "config")),
        format!("  grants      {}", member(told, "grants")),
    ];
    if let Some(why) = member(told, "why").as_str() {
        lines.insert(1, format!("  why         {why}"));
    }
    for missing in words_of(told, "missing") {
        lines.push(format!("  not granted {missing}"));
    }
    lines.join("\n")
}

/// What a plugin was given, what it asks for, and what is missing.
pub(super) fn grants_words(name: &str, told: &Value) -> String {
    let mut lines = vec![
        format!("{name}:"),
        format!("  granted  {}", member(told, "granted")),
        format!("  asked    {}", member(told, "asked")),
    ];
    let missing = words_of(told, "missing");
    if !missing.is_empty() {
        lines.extend(missing.iter().map(|missing| format!("  missing  {missing}")));
        lines.push(format!("say yes to all of it with: switchboard plugin grants {name} --asked"));
    }
    lines.join("\n")
}

/// Runs that were parked, or that wait.
pub(super) fn runs_words(told: &Value, state: &str) -> String {
    let mut lines = Vec::new();
    for run in member(told, "runs").as_array().into_iter().flatten() {
        let due = member(run, "due_at").as_u64().map(|at| format!("  next {}", iso_8601(Timestamp(at)))).unwrap_or_default();
        lines.push(format!(
            "{}  {} of {}  {} tries{due}",
            text(run, "id"),
            text(run, "event_type"),
            moment(run, "event_at"),
            member(run, "tries"),
        ));
        if let Some(why) = member(run, "last_error").as_str() {
            lines.push(format!("    {why}"));
        }
    }
    if lines.is_empty() { format!("no runs are {state}") } else { lines.join("\n") }
}

/// One call, with what it logged below it.
pub(super) fn call_words(call: &Value) -> String {
    let event = member(call, "event").as_u64().map(|event| format!(" event {event}")).unwrap_or_default();
    let mut words = format!(
        "{}  {}  {} {}{event}  v{}  {} us  {} KiB  {} host calls",
        moment(call, "at"),
        text(call, "end"),
        text(call, "interface"),
        text(call, "call"),
        member(call, "version"),
        member(call, "took_us"),
        member(call, "memory_bytes").as_u64().unwrap_or_default() / 1024,
        member(call, "host_calls"),
    );
    if let Some(attempt) = member(call, "attempt").as_u64().filter(|attempt| *attempt > 1) {
        words.push_str(&format!("  try {attempt}"));
    }
    if let Some(why) = member(call, "why").as_str() {
        words.push_str(&format!("\n    {why}"));
    }
    for line in member(call, "log").as_array().into_iter().flatten() {
        words.push_str(&format!("\n    {}: {}", text(line, "level"), text(line, "message")));
    }
    if let Some(dropped) = member(call, "log_dropped").as_u64().filter(|dropped| *dropped > 0) {
        words.push_str(&format!("\n    {dropped} more lines had no room"));
    }
    words
}

/// A list of calls, the oldest first: as one reads a log.
pub(super) fn logs_words(told: &Value) -> String {
    let calls: Vec<String> = member(told, "calls").as_array().into_iter().flatten().rev().map(call_words).collect();
    if calls.is_empty() { "no calls are remembered".to_owned() } else { calls.join("\n") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_shown_with_why_it_failed_and_what_it_logged() {
        let call = json!({
            "at": 1_768_478_400_123_u64, "end": "trap", "interface": "responder", "call": "run_1_2:x_7", "event": 7,
            "version": 3, "attempt": 2, "took_us": 91, "memory_bytes": 131_072, "host_calls": 2, "why": "unreachable",
            "log": [{ "level": "warn", "message": "odd" }], "log_dropped": 4,
        });
        let lines = [
            "2026-01-15T12:00:00.123Z  trap  responder run_1_2:x_7 event 7  v3  91 us  128 KiB  2 host calls  try 2",
            "    unreachable",
            "    warn: odd",
            "    4 more lines had no room",
        ];
        assert_eq!(call_words(&call), lines.join("\n"));
        assert_eq!(logs_words(&json!({ "calls": [] })), "no calls are remembered");
    }

    #[test]
    fn a_plugin_without_an_active_version_shows_what_is_kept_and_what_is_missing() {
        let words =
            plugin_words(&json!({ "name": "x", "state": "stopped", "version": 0, "latest": 3, "missing": ["send"] }));
        assert!(words.contains("none is active; the newest that is kept is 3") && words.contains("not granted send"));
        let grants = grants_words("x", &json!({ "granted": {}, "asked": { "kv_bytes": 1 }, "missing": ["kv_bytes"] }));
        assert!(grants.ends_with("switchboard plugin grants x --asked"), "{grants}");
    }

    #[test]
    fn a_run_is_shown_with_its_last_error() {
        let run = json!({
            "id": "run_1_1:x_7", "event_type": "message.received", "event_at": 0, "tries": 8, "last_error": "no", "due_at": null,
        });
        let line = "run_1_1:x_7  message.received of 1970-01-01T00:00:00.000Z  8 tries";
        assert_eq!(runs_words(&json!({ "runs": [run] }), "parked"), format!("{line}\n    no"));
        assert_eq!(runs_words(&json!({ "runs": [] }), "waiting"), "no runs are waiting");
    }
}
