//! From nothing to a plugin of one's own that answers, by the command line alone.

use std::path::Path;

use serde_json::{Value, json};
use switchboard_tests::account::{phone, shows, write};
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::process::Command;

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

/// Runs a command of the shipped command line; its exit code, and what it prints as JSON.
pub(crate) async fn plugin(folder: &Path, environment: &[(&str, &str)], words: &[&str]) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-under-test"));
    let output = command.arg("plugin").args(words).arg("--json").envs(environment.iter().copied()).current_dir(folder);
    let output = output.output().await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let told = serde_json::from_str(printed.trim()).unwrap_or(Value::Null);
    assert!(!told.is_null(), "{words:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_project_in_rust_builds_passes_its_test_and_answers_as_it_is() {
    answers_as_it_is("rust", &[&["cargo", "test"]]).await;
}

#[cfg(feature = "toolchains")]
#[tokio::test(flavor = "multi_thread")]
async fn a_new_project_in_javascript_builds_passes_its_test_and_answers_as_it_is() {
    answers_as_it_is("javascript", &[&["npm", "install"], &["npm", "test"]]).await;
}

/// What the TypeScript compiler finds wrong with a project, as an editor would.
#[cfg(feature = "toolchains")]
async fn type_faults(project: &Path) -> String {
    let tsc = concat!(env!("CARGO_MANIFEST_DIR"), "/guests-js/node_modules/.bin/tsc");
    let checked = Command::new(tsc).args(["-p", "jsconfig.json"]).current_dir(project).output().await.unwrap();
    String::from_utf8(checked.stdout).unwrap()
}

#[cfg(feature = "toolchains")]
#[tokio::test(flavor = "multi_thread")]
async fn an_editor_knows_the_types_of_the_contract_in_a_new_project_in_javascript() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(plugin(place.path(), &[], &["new", "greeter", "--language", "javascript"]).await.0, 0);
    let project = place.path().join("greeter");
    assert_eq!(type_faults(&project).await, "");
    let program = std::fs::read_to_string(project.join("plugin.js")).unwrap();
    for (right, wrong, fault) in [
        ("tag: \"send\"", "tag: \"sent\"", "TS2322"),
        ("message.fromMe", "message.fromUs", "TS2339"),
        ("write(\"info\"", "write(\"loud\"", "TS2345"),
        ("eventKinds()", "eventKind()", "TS"),
    ] {
        std::fs::write(project.join("plugin.js"), program.replace(right, wrong)).unwrap();
        let faults = type_faults(&project).await;
        assert!(faults.contains("plugin.js") && faults.contains(fault), "{wrong}: {faults}");
    }
}

/// A project in JavaScript serves what its `package.json` says, with instances that are kept.
#[cfg(feature = "toolchains")]
#[tokio::test(flavor = "multi_thread")]
async fn a_project_in_javascript_exports_what_its_package_says() {
    let (stage, place) = (Stage::start().await, tempfile::tempdir().unwrap());
    let account = stage.account("Shop").await;
    assert_eq!(plugin(place.path(), &[], &["new", "counting", "--language", "javascript"]).await.0, 0);
    let project = place.path().join("counting");
    let mut package: Value = serde_json::from_slice(&std::fs::read(project.join("package.json")).unwrap()).unwrap();
    package["switchboard"] = json!({ "exports": ["router", "configurable"], "keepInstance": true });
    std::fs::write(project.join("package.json"), package.to_string()).unwrap();
    std::fs::write(project.join("plugin.js"), include_str!("../../guests-js/counting.js")).unwrap();
    std::fs::write(project.join("grants.json"), "{}").unwrap();
    assert_eq!(type_faults(&project).await, "");
    let (exit, built) = plugin(&project, &[], &["build"]).await;
    assert_eq!(exit, 0, "{built}");
    let (exit, checked) = plugin(&project, &[], &["check"]).await;
    assert_eq!((exit, &checked["interfaces"]), (0, &json!(["router"])), "{checked}");
    assert_eq!((&checked["keeps_instance"], &checked["routes"]), (&json!(true), &json!(["GET /count"])), "{checked}");

    let url = format!("http://{}", stage.host.address());
    let host = [("SWITCHBOARD_URL", url.as_str()), ("SWITCHBOARD_KEY", account.tenant_key.as_str())];
    let (exit, deployed) = plugin(&project, &host, &["deploy"]).await;
    assert_eq!((exit, &deployed["state"]), (0, &json!("active")), "{deployed}");
    let count = async || {
        let path = format!("/t/{}/counting/count", account.tenant);
        let answer = account.http.json("GET", &path, None, None).await.unwrap();
        String::from_utf8(answer.body).unwrap()
    };
    assert_eq!([count().await, count().await, count().await], ["1", "2", "3"]);
    let configure = async |config: Value| {
        let path = "/switchboard/v1/plugins/counting/config";
        account.http.json("PUT", path, Some(&account.tenant_key), Some(&config)).await.unwrap()
    };
    let refused = configure(json!({ "from": "two" })).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/from")), "{refused:?}");
    assert_eq!(configure(json!({ "from": 40 })).await.status, 200);
    assert_eq!([count().await, count().await], ["41", "42"], "another configuration is another instance");
    stage.stop().await;
}

/// Goes the way that README describes, with these commands for the project's own test.
async fn answers_as_it_is(language: &str, tests: &[&[&str]]) {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let place = tempfile::tempdir().unwrap();
    assert_eq!(plugin(place.path(), &[], &["new", "greeter", "--language", language]).await.0, 0);
    let project = place.path().join("greeter");
    for words in tests {
        let mut command = Command::new(words[0]);
        let ended = command.args(&words[1..]).env_remove("CARGO_TARGET_DIR").current_dir(&project).output().await.unwrap();
        assert!(ended.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }
    let (exit, built) = plugin(&project, &[], &["build"]).await;
    assert_eq!(exit, 0, "{built}");
    assert!(built["component"].as_str().unwrap().ends_with("greeter.wasm"), "{built}");
    let (exit, checked) = plugin(&project, &[], &["check"]).await;
    assert_eq!((exit, &checked["interfaces"], &checked["class"]), (0, &json!(["responder"]), &json!("small")), "{checked}");
    assert_eq!(checked["asked"]["send"], json!({ "per_minute": 60 }), "{checked}");
    let (exit, tested) = plugin(&project, &[], &["test"]).await;
    assert_eq!((exit, &tested["failed"]), (0, &json!(0)), "{tested}");
    assert!(tested["passed"].as_u64() >= Some(2), "{tested}");

    let url = format!("http://{}", stage.host.address());
    let host = [("SWITCHBOARD_URL", url.as_str()), ("SWITCHBOARD_KEY", account.tenant_key.as_str())];
    // It asks before it is given anything.
    let (exit, asked) = plugin(&project, &host, &["deploy"]).await;
    assert_eq!((exit, &asked["error"]["code"]), (1, &json!("grants_needed")), "{asked}");
    let (exit, deployed) = plugin(&project, &host, &["deploy", "--grant", "--note", "first"]).await;
    assert_eq!((exit, &deployed["state"], &deployed["version"]), (0, &json!("active"), &json!(1)), "{deployed}");
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hello").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "hello").await;

    let (exit, versions) = plugin(&project, &host, &["versions", "greeter"]).await;
    assert_eq!((exit, &versions["versions"][0]["active"]), (0, &json!(true)), "{versions}");
    let (exit, shown) = plugin(&project, &host, &["inspect", "greeter"]).await;
    assert_eq!((exit, &shown["grants"]["fields"]), (0, &json!(["text"])), "{shown}");
    let (exit, refused) = plugin(&project, &host, &["rollback", "greeter"]).await;
    assert_eq!((exit, &refused["error"]["code"]), (1, &json!("nothing_before")), "{refused}");
    let (exit, logs) = plugin(&project, &host, &["logs", "greeter"]).await;
    let line = &logs["calls"][0]["log"][0]["message"];
    assert_eq!((exit, line), (0, &json!("answering a text of 5 characters")), "{logs}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_what_kind_of_failure_it_is() {
    let stage = Stage::start().await;
    let place = tempfile::tempdir().unwrap();
    let url = format!("http://{}", stage.host.address());
    let versions = async |url: &str, key: &str| {
        let host = [("SWITCHBOARD_URL", url), ("SWITCHBOARD_KEY", key)];
        let (exit, told) = plugin(place.path(), &host, &["versions", "none"]).await;
        (exit, told["error"].clone())
    };
    assert_eq!(versions(&url, ADMIN_KEY).await.0, 1, "there is no such plugin");
    assert_eq!(versions(&url, "wrong").await.0, 4);
    let (exit, told) = versions("http://127.0.0.1:1", ADMIN_KEY).await;
    assert_eq!((exit, &told["code"]), (3, &json!("unreachable")), "{told}");
    assert_eq!(versions("ftp://x", ADMIN_KEY).await.1["code"], "address");
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-under-test"));
    let usage = command.args(["plugin", "versions"]).output().await.unwrap();
    assert_eq!(usage.status.code(), Some(2));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_refuses_with_the_codes_of_the_host() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(place.path().join(name), bytes).unwrap();
    write("empty.wasm", b"");
    write("text.wasm", b"not a component");
    write("core.wasm", b"\0asm\x01\0\0\0");
    let keys = env!("GUEST_IMPORTS_KEYS");
    for (component, code) in [
        ("empty.wasm", "empty"),
        ("text.wasm", "not_wasm"),
        ("core.wasm", "core_module"),
        ("missing.wasm", "unreadable"),
        (keys, "forbidden_import"),
    ] {
        let (exit, told) = plugin(place.path(), &[], &["check", component]).await;
        assert_eq!((exit, &told["error"]["code"]), (1, &json!(code)), "{told}");
    }
    assert_eq!(plugin(place.path(), &[], &["check", keys, "--operator"]).await.0, 0);
    write("config.json", br#"{"replies": 5}"#);
    let (exit, told) = plugin(place.path(), &[], &["check", env!("PLUGIN_AUTO_REPLY"), "--config", "config.json"]).await;
    assert_eq!((exit, &told["error"]["errors"][0]["path"]), (1, &json!(["replies"])), "{told}");
}
