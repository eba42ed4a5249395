//! What was expected beside what was found.
//!
//! Of an object the members that are named are compared, of a list all of it and in order, and `{"$contains": "…"}` fits a text that
//! has it. A text that holds JSON is compared as JSON with whatever is no text.

use serde_json::{Map, Value, json};

use switchboard_core::rules::address::parse_recipient;

use super::case::Expect;

/// The member of an expectation that a part of a text will do for.
const CONTAINS: &str = "$contains";

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    /// Where, such as `commands[0].text`.
    pub(super) path: String,
    pub(super) expected: Value,
    pub(super) found: Value,
}

/// What a step came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How the last call ended.
    pub(super) outcome: String,
    /// Why it failed, or why there was none.
    pub(super) why: Option<String>,
    pub(super) commands: Vec<Value>,
    pub(super) kv: Map<String, Value>,
    pub(super) http: Vec<Value>,
    /// Requests that no mock answers.
    pub(super) unmocked: Vec<String>,
    /// Each with its level in front.
    pub(super) log: Vec<String>,
    pub(super) runs: Value,
    pub(super) answer: Value,
    /// What the calls used.
    pub(super) calls: Vec<Value>,
}

impl Found {
    /// All of it, for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "outcome": self.outcome, "why": self.why, "commands": self.commands, "kv": self.kv, "http": self.http,
            "log": self.log, "runs": self.runs, "answer": self.answer, "calls": self.calls,
        })
    }
}

/// Everything that is not as expected.
pub(super) fn faults(expect: &Expect, found: &Found) -> Vec<Fault> {
    let mut faults = Vec::new();
    for request in &found.unmocked {
        let expected = json!("a mock in \"http\" that answers it");
        faults.push(Fault { path: "http".to_owned(), expected, found: json!(request) });
    }
    let wished = expect.outcome.as_deref();
    // A step of the clock alone may find nothing to do.
    let well = found.outcome == "reply" || (found.outcome == "none" && found.why.is_none());
    if wished.map_or(!well, |wished| wished != found.outcome) {
        let why = found.why.as_ref().map_or_else(|| found.outcome.clone(), |why| format!("{}: {why}", found.outcome));
        faults.push(Fault { path: "outcome".to_owned(), expected: json!(wished.unwrap_or("reply")), found: json!(why) });
    }
    if let Some(why) = &expect.why {
        compare("why", &json!({ CONTAINS: why }), &json!(found.why), &mut faults);
    }
    if let Some(commands) = &expect.commands {
        compare("commands", &commands.iter().map(named).collect::<Value>(), &json!(found.commands), &mut faults);
    }
    for command in expect.commands_include.iter().flatten().map(named) {
        include("commands_include", &command, &found.commands, &mut faults);
    }
    if let Some(kv) = &expect.kv {
        compare("kv", &json!(kv), &json!(found.kv), &mut faults);
    }
    if let Some(http) = &expect.http {
        compare("http", &json!(http), &json!(found.http), &mut faults);
    }
    for line in expect.log.iter().flatten() {
        if !found.log.iter().any(|logged| logged.contains(line.as_str())) {
            faults.push(Fault { path: "log".to_owned(), expected: json!(line), found: json!(found.log) });
        }
    }
    if let Some(runs) = &expect.runs {
        compare("runs", runs, &found.runs, &mut faults);
    }
    if let Some(answer) = &expect.answer {
        compare("answer", answer, &found.answer, &mut faults);
    }
    faults
}

/// The same command with the address that the host makes of its `to`.
fn named(command: &Value) -> Value {
    let mut command = command.clone();
    if let Some(to) = command.get_mut("to")
        && let Some(jid) = to.as_str().and_then(|to| parse_recipient(to).ok())
    {
        *to = json!(jid.to_string());
    }
    command
}

fn include(path: &str, wanted: &Value, all: &[Value], faults: &mut Vec<Fault>) {
    let fits = |found: &Value| {
        let mut faults = Vec::new();
        compare("", wanted, found, &mut faults);
        faults.is_empty()
    };
    if !all.iter().any(fits) {
        faults.push(Fault { path: path.to_owned(), expected: wanted.clone(), found: json!(all) });
    }
}

/// Notes every place where `found` is not as expected.
pub(super) fn compare(path: &str, expected: &Value, found: &Value, faults: &mut Vec<Fault>) {
    let mut differ = || faults.push(Fault { path: path.to_owned(), expected: expected.clone(), found: found.clone() });
    match (expected, found) {
        (Value::Object(members), found) if members.len() == 1 && members.contains_key(CONTAINS) => {
            let part = members.get(CONTAINS).and_then(Value::as_str).unwrap_or_default();
            if !found.as_str().is_some_and(|text| text.contains(part)) {
                differ();
            }
        }
        (Value::Object(members), Value::Object(there)) => {
            for (name, expected) in members {
                compare(&format!("{path}.{name}"), expected, there.get(name).unwrap_or(&Value::Null), faults);
            }
        }
        (Value::Array(entries), Value::Array(there)) if entries.len() == there.len() => {
            for (at, (expected, found)) in entries.iter().zip(there).enumerate() {
                compare(&format!("{path}[{at}]"), expected, found, faults);
            }
        }
        (Value::Number(expected), Value::Number(found)) if expected.as_f64() == found.as_f64() => {}
        (Value::Null | Value::String(_), _) if expected == found => {}
        (Value::Null | Value::String(_), _) => differ(),
        (_, Value::String(text)) => match serde_json::from_str::<Value>(text) {
            Ok(held) if !held.is_string() => compare(path, expected, &held, faults),
            _ => differ(),
        },
        (expected, found) if expected == found => {}
        _ => differ(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(expected: Value, found: Value) -> Vec<String> {
        let mut faults = Vec::new();
        compare("it", &expected, &found, &mut faults);
        faults.into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn members_that_are_not_named_are_not_looked_at_and_lists_are_compared_whole() {
        assert!(paths(json!({ "a": 1 }), json!({ "a": 1.0, "b": 2 })).is_empty());
        assert_eq!(paths(json!({ "a": { "b": [1, 2] } }), json!({ "a": { "b": [1, 3] } })), ["it.a.b[1]"]);
        assert_eq!(paths(json!([1]), json!([1, 2])), ["it"]);
        assert_eq!(paths(json!({ "a": null }), json!({ "a": 1 })), ["it.a"]);
        assert!(paths(json!({ "a": null }), json!({})).is_empty());
    }

    #[test]
    fn texts_are_compared_whole_in_part_or_as_the_json_that_they_hold() {
        assert_eq!(paths(json!("1"), json!("11")), ["it"]);
        assert!(paths(json!({ "$contains": "lo w" }), json!("hello world")).is_empty());
        assert_eq!(paths(json!({ "$contains": "x" }), json!(null)), ["it"]);
        assert!(paths(json!({ "n": 5 }), json!("{\"n\": 5, \"m\": 6}")).is_empty());
        assert_eq!(paths(json!(5), json!("6")), ["it"]);
        assert_eq!(paths(json!({ "n": 5 }), json!("none")), ["it"]);
        assert_eq!(paths(json!({ "n": 5 }), json!("\"text\"")), ["it"], "a text in a text is no JSON to look into");
    }

    fn found() -> Found {
        Found { outcome: "reply".to_owned(), log: vec!["info hello".to_owned()], ..Found::default() }
    }

    #[test]
    fn a_failure_that_nobody_expects_is_a_fault_and_so_is_a_request_that_no_mock_answers() {
        assert!(faults(&Expect::default(), &found()).is_empty());
        let trapped = Found { outcome: "trap".to_owned(), why: Some("unreachable".to_owned()), ..found() };
        let seen = faults(&Expect::default(), &trapped);
        assert_eq!((seen[0].path.as_str(), &seen[0].found), ("outcome", &json!("trap: unreachable")));
        let expect = Expect { outcome: Some("trap".to_owned()), why: Some("unreach".to_owned()), ..Expect::default() };
        assert!(faults(&expect, &trapped).is_empty());
        let asked = Found { unmocked: vec!["GET https://a.example/".to_owned()], ..found() };
        assert_eq!(faults(&Expect::default(), &asked)[0].found, json!("GET https://a.example/"));
        let silent = Expect { log: Some(vec!["bye".to_owned()]), ..Expect::default() };
        assert_eq!(faults(&silent, &found())[0].path, "log");
    }

    #[test]
    fn whom_a_command_goes_to_may_be_written_as_a_number() {
        let sent = json!({ "to": "491520000001@s.whatsapp.net", "text": "hello" });
        let expect = |to: &str| Expect { commands: Some(vec![json!({ "to": to })]), ..Expect::default() };
        let found = Found { commands: vec![sent], ..found() };
        assert!(faults(&expect("+49 152 0000001"), &found).is_empty());
        assert_eq!(faults(&expect("+49 152 0000002"), &found)[0].path, "commands[0].to");
        let some = |text: &str| Expect { commands_include: Some(vec![json!({ "text": text })]), ..Expect::default() };
        assert!(faults(&some("hello"), &found).is_empty());
        assert_eq!(faults(&some("bye"), &found)[0].path, "commands_include");
    }
}
