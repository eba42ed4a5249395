//! `plugin test`: cases of a component run on a host in memory, and what is not as expected is shown beside what is.

use std::path::Path;

use serde_json::{Value, json};

use crate::own_plugin::plugin;

/// What the cases of a component come to, and the exit code.
async fn tested(component: &str, cases: Value) -> (i32, Value) {
    let place = tempfile::tempdir().unwrap();
    run(place.path(), component, cases).await
}

async fn run(place: &Path, component: &str, cases: Value) -> (i32, Value) {
    std::fs::write(place.join("cases.json"), cases.to_string()).unwrap();
    plugin(place, &[], &["test", component, "--cases", "cases.json"]).await
}

/// The cases pass, every one.
async fn pass(component: &str, cases: Value) {
    let (exit, told) = tested(component, cases).await;
    assert_eq!((exit, &told["failed"]), (0, &json!(0)), "{told:#}");
}

/// What is not as expected in the first case: where, what was expected and what was found.
async fn faults(component: &str, case: Value) -> Vec<(String, Value, Value)> {
    let (exit, told) = tested(component, case).await;
    assert_eq!((exit, &told["failed"]), (5, &json!(1)), "{told:#}");
    let steps = told["cases"][0]["steps"].as_array().unwrap();
    let faults = steps.iter().flat_map(|step| step["faults"].as_array().unwrap());
    let member = |fault: &Value, name: &str| fault[name].clone();
    faults
        .map(|fault| (fault["path"].as_str().unwrap().to_owned(), member(fault, "expected"), member(fault, "found")))
        .collect()
}

fn text(text: &str) -> Value {
    json!({ "message": { "from": "+491520000001", "text": text } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_leads_on_by_what_it_keeps_until_the_clock_says_that_it_is_over() {
    let config = json!({ "begin": ["menu"], "first": "main", "forget_after_minutes": 30, "screens": [
        { "name": "main", "text": "1 Hours", "choices": [{ "says": "1", "to": "hours" }] },
        { "name": "hours", "text": "9 to 17", "choices": [{ "says": "0", "to": "main" }] },
    ] });
    let says = |said: &str, answer: &str| json!({ "event": text(said), "expect": { "commands": [{ "text": answer }] } });
    let at = "at/1/491520000001@s.whatsapp.net";
    pass(
        env!("PLUGIN_MENU"),
        json!([
            { "about": "it leads on", "config": config, "grants": { "sessions": "all", "fields": ["text", "number"],
              "kv_bytes": 4096, "send": { "per_minute": 60 } }, "steps": [
                says("menu", "1 Hours"),
                { "event": text("1"), "expect": { "commands": [{ "to": "+491520000001", "text": "9 to 17" }], "kv": { at: "hours" } } },
                { "advance": "29 m", "event": text("what?"), "expect": { "commands": [{ "text": "9 to 17" }] } },
                { "advance": "31 m", "event": text("0"), "expect": { "commands": [], "kv": { at: null } } },
            ] },
            { "about": "where somebody stands is kept", "config": config, "kv": { at: "hours" },
              "grants": { "sessions": "all", "fields": ["text", "number"], "kv_bytes": 4096, "send": { "per_minute": 60 } },
              "steps": [says("0", "1 Hours")] },
            { "about": "a configuration with faults", "config": { "begin": 5 },
              "config_faults": [{ "path": "begin" }, { "path": "first" }, { "path": "screens" }] },
        ]),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_traps_keeps_nothing_and_is_tried_again_when_its_time_comes() {
    let acts = |acts: Value| text(&acts.to_string());
    pass(
        env!("GUEST_KEEPER"),
        json!({ "about": "all or nothing", "kv": { "a": "1" }, "secrets": { "API_KEY": "sk_1234" }, "steps": [
            { "event": acts(json!([{ "put": ["a", "2"] }, "trap"])),
              "expect": { "outcome": "trap", "commands": [], "kv": { "a": "1" }, "runs": { "waiting": 1, "parked": 0 } } },
            // The chat waits for its first run.
            { "event": acts(json!([{ "put": ["b", "3"] }])), "expect": { "outcome": "none", "kv": { "b": null } } },
            // Tries one after the other, each later; after the last it is parked, and the next goes on.
            { "advance": "2 h", "expect": { "outcome": "reply", "commands": [{ "text": "kept" }],
              "kv": { "a": "1", "b": "3" }, "runs": { "waiting": 0, "parked": 1 } } },
            { "event": acts(json!([{ "log_secret": ["it is", "API_KEY"] }])), "expect": { "log": ["info it is ***"] } },
            { "event": acts(json!([{ "put_large": ["c", 5000] }])),
              "expect": { "commands": [{ "text": { "$contains": "limit: kv_bytes" } }], "kv": { "c": null } } },
        ] }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_answer_is_mocked_and_what_no_mock_answers_is_named() {
    let grants = json!({ "sessions": "all", "fields": ["text"], "send": { "per_minute": 60 }, "http": ["api.example.com"] });
    let (url, other) = ("https://api.example.com/a", "https://api.example.com/b");
    let fetch = |url: &str| text(&format!("fetch {url}"));
    let case = |http: Value, steps: Value| json!({ "about": "it asks", "grants": grants, "http": http, "steps": steps });
    pass(
        env!("GUEST_HOSTILE"),
        case(
            json!([{ "url": url, "status": 204, "times": 1 }, { "method": "get", "url": url, "error": "unreachable" }]),
            json!([
                // It asks twice.
                { "event": fetch(url), "expect": { "commands": [{ "text": "204 unreachable: nobody answers" }],
                  "http": [{ "method": "GET", "url": url }, { "url": url, "body": "" }] } },
                // It was not granted: nobody is asked.
                { "event": fetch("https://other.example.com/"),
                  "expect": { "commands": [{ "text": { "$contains": "denied: " } }], "http": [] } },
            ]),
        ),
    )
    .await;
    let found = faults(env!("GUEST_HOSTILE"), case(json!([]), json!([{ "event": fetch(other) }]))).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].0.as_str(), &found[0].2), ("http", &json!(format!("GET {other}"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_webhook_formats_and_sender_routes_are_asked_as_the_host_asks_them() {
    let send = |to: &str| json!({ "to": to, "text": "hello" });
    pass(
        env!("PLUGIN_RECIPIENTS"),
        json!({ "about": "Germany alone", "config": { "allow": ["+49"] }, "steps": [
            { "policy": send("+491520000001"), "expect": { "answer": { "allow": true } } },
            { "policy": send("+331520000001"), "expect": { "answer": { "allow": false, "reason": { "$contains": "not on the list" } } } },
        ] }),
    )
    .await;
    let line = json!({ "text": { "$contains": "hello" } });
    pass(
        env!("PLUGIN_SLACK"),
        json!({ "about": "lines", "steps": [
            { "webhook": { "event": text("hello") }, "expect": { "answer": { "requests": [{ "signing": "none", "body": line }] } } },
            { "webhook": { "event": { "type": "session.state", "data": { "state": "connected", "reason": null } } },
              "expect": { "answer": { "requests": [] } } },
        ] }),
    )
    .await;
    pass(
        env!("PLUGIN_ROUND_ROBIN"),
        json!({ "about": "in turn", "sessions": [{ "id": 7 }, { "id": 8 }, { "id": 9, "state": "disconnected" }], "steps": [
            { "sender_route": send("+491520000001"), "expect": { "answer": { "session_id": 7 } } },
            { "sender_route": send("+491520000001"), "expect": { "answer": { "session_id": 8 } } },
            { "sender_route": send("+491520000001"), "expect": { "answer": { "session_id": 7 } } },
        ] }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_checked_and_filled_and_requests_pass_the_front_door() {
    pass(
        env!("PLUGIN_TEMPLATES"),
        json!({ "about": "a greeting", "steps": [
            { "template": { "definition": { "body": "Hello {{name}}" } }, "expect": { "answer": { "parameters": ["name"] } } },
            { "template": { "definition": { "body": "Hello {{name}}" }, "parameters": { "name": "Ann" } },
              "expect": { "answer": { "content": { "type": "text", "value": "Hello Ann" } } } },
            { "template": { "definition": { "body": "Hello {{name}}" }, "parameters": {} },
              "expect": { "answer": { "missing_parameter": "name" } } },
            { "template": { "definition": { "body": 5 } }, "expect": { "answer": { "faults": [{ "place": ["body"] }] } } },
        ] }),
    )
    .await;
    // A tenant's own router, which has what it was given.
    let acts = json!([{ "put": ["a", "1"] }]);
    let key = json!({ "Authorization": "Bearer {tenant_key}" });
    pass(
        env!("GUEST_KEEPER"),
        json!({ "about": "requests", "mount": "/keeper", "steps": [
            { "request": { "method": "POST", "path": "/acts", "headers": key, "body": acts },
              "expect": { "answer": { "status": 200, "body": "kept" }, "kv": { "a": "1" } } },
            { "request": { "method": "POST", "path": "/open/acts", "body": [{ "send": [1, "+491520000001", "hello"] }] },
              "expect": { "commands": [{ "to": "+491520000001", "text": "hello", "session_id": 1 }] } },
            { "about": "a key is asked for", "request": { "method": "POST", "path": "/acts", "body": acts },
              "expect": { "answer": { "status": 400, "body": { "$contains": "Missing" } } } },
            { "request": { "path": "/nothing" }, "expect": { "answer": { "body": { "$contains": "NotFound" } } } },
        ] }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_expected_is_shown_with_its_place_and_nothing_stays_behind() {
    let config = json!({ "replies": [{ "keyword": "hi", "reply": "hello" }] });
    let steps = json!([{ "event": text("hi"), "expect": { "commands": [{ "text": "bye" }], "log": ["what"] } }]);
    let found = faults(env!("PLUGIN_AUTO_REPLY"), json!({ "about": "x", "config": config, "steps": steps })).await;
    let paths: Vec<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["commands[0].text", "log"]);
    assert_eq!((&found[0].1, &found[0].2), (&json!("bye"), &json!("hello")));

    let place = tempfile::tempdir().unwrap();
    let scratch = place.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let write = |cases: &str| std::fs::write(place.path().join("cases.json"), cases).unwrap();
    write(&json!({ "about": "x", "config": config, "steps": steps }).to_string());
    let environment = [("TMPDIR", scratch.to_str().unwrap())];
    let words = ["test", env!("PLUGIN_AUTO_REPLY"), "--cases", "cases.json"];
    assert_eq!(plugin(place.path(), &environment, &words).await.0, 5);
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "its folder is gone");
    for (cases, code) in [("{\"about\": 5}", "cases"), ("[]", "cases"), ("", "cases")] {
        write(cases);
        let (exit, told) = plugin(place.path(), &environment, &words).await;
        assert_eq!((exit, &told["error"]["code"]), (1, &json!(code)), "{cases}: {told}");
    }
    write(&json!({ "about": "x", "steps": [{ "event": text("hi"), "policy": {"to": "+1", "text": "x"} }] }).to_string());
    let (exit, told) = plugin(place.path(), &environment, &words).await;
    assert_eq!(exit, 5);
    assert!(told["cases"][0]["error"].as_str().unwrap().contains("a step has one of"), "{told}");
    let other = json!({ "about": "x", "steps": [{ "policy": { "to": "+49 152 00000001", "text": "hi" } }] });
    let (exit, told) = run(place.path(), env!("PLUGIN_AUTO_REPLY"), other).await;
    let why = told["cases"][0]["error"].as_str().unwrap();
    assert!(exit == 5 && why.contains("does not export auth-policy; it exports: responder"), "{told}");
    let (exit, told) = run(place.path(), env!("GUEST_NO_INTERFACE"), json!({ "about": "x" })).await;
    assert_eq!((exit, &told["error"]["code"]), (1, &json!("no_known_interface")), "{told}");
}
