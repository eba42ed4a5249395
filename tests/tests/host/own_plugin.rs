//! From nothing to a plugin of one's own that answers, by the command line alone, and by the words of README.

use std::path::Path;

use serde_json::{Value, json};
use switchboard_tests::patience::PATIENCE;
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::io::AsyncBufReadExt;
use tokio::process::Command;

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

const README: &str = include_str!("../../../README.md");

/// The one block of README in this language that says `words`.
fn block_of_readme(language: &str, words: &str) -> &'static str {
    let blocks = README.split("\n```").skip(1).step_by(2).filter_map(|block| block.strip_prefix(language));
    let found: Vec<&str> = blocks.filter(|block| block.contains(words)).collect();
    assert_eq!(found.len(), 1, "{words}: {found:?}");
    found[0]
}

/// Does what README says, with the demonstration running, from `export BASE=…` to the last line; what the commands print.
async fn as_readme_says(words: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let (program, folder) = (env!("CARGO_BIN_EXE_host-under-test"), place.path().join("target/debug"));
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(program, folder.join("switchboard")).unwrap();
    let log = std::fs::File::create(place.path().join("log")).unwrap();
    let mut demonstration = Command::new(program);
    let data_dir = place.path().join("data");
    demonstration.arg("demo").arg("--data-dir").arg(data_dir).stdout(std::process::Stdio::piped()).stderr(log);
    let mut demonstration = demonstration.kill_on_drop(true).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(demonstration.stdout.take().unwrap()).lines();
    let export = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the demonstration ended");
            if line.starts_with("export BASE=") {
                return line;
            }
        }
    };
    let export = tokio::time::timeout(2 * PATIENCE, export).await.expect("it never said what to paste");
    let mut shell = Command::new("bash");
    shell.args(["-e", "-u", "-o", "pipefail", "-c"]).arg(format!("{export}\n{}", block_of_readme("sh", words)));
    let ended = shell.env_remove("CARGO_TARGET_DIR").current_dir(place.path()).output().await.unwrap();
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ended.status.success(), "{said}");
    demonstration.kill().await.unwrap();
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_rust_answers_by_the_words_of_readme() {
    let said = as_readme_says("plugin new greeter").await;
    let shown = said.rsplit_once("\"messages\"").map(|(_, shown)| shown).unwrap_or_else(|| panic!("{said}"));
    assert!(shown.contains("\"Good morning\""), "{said}");
    assert!(said.contains("answering a text of 12 characters"), "{said}");
}

#[cfg(feature = "toolchains")]
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_javascript_answers_by_the_words_of_readme() {
    let said = as_readme_says("--language javascript").await;
    let shown = said.rsplit_once("\"messages\"").map(|(_, shown)| shown).unwrap_or_else(|| panic!("{said}"));
    assert!(shown.contains("\"Good evening\""), "{said}");
    assert!(said.contains("answering a text of 12 characters"), "{said}");
}

/// The plugin that README shows, built and tried, on a host: who draws a number is called when it is its turn.
#[cfg(feature = "toolchains")]
#[tokio::test(flavor = "multi_thread")]
async fn the_waiting_line_in_javascript_that_readme_shows_serves_its_customers() {
    use switchboard_tests::account::{phone, shows, write};

    const SHOP: &str = "491510000001";
    const CUSTOMER: &str = "491520000001";
    const OTHER: &str = "491520000002";
    let (stage, place) = (Stage::start().await, tempfile::tempdir().unwrap());
    let account = stage.account("Shop").await;
    account.linked(stage.control(), "Shop", SHOP).await;
    assert_eq!(plugin(place.path(), &[], &["new", "line", "--language", "javascript"]).await.0, 0);
    let project = place.path().join("line");
    let write_file = |name: &str, text: &str| std::fs::write(project.join(name), text).unwrap();
    write_file("plugin.js", block_of_readme("js", "You are number"));
    write_file("grants.json", block_of_readme("json", "\"secrets\": [\"WORD\"]"));
    let message = |text: &str| json!({ "event": { "message": { "from": "+49 152 00000001", "text": text } } });
    let step = |text: &str, expect: Value| {
        let mut step = message(text);
        step["expect"] = expect;
        step
    };
    let case = json!({ "about": "a number, and its turn", "secrets": { "WORD": "please" }, "steps": [
        step("ticket", json!({ "commands": [{ "text": "You are number 1, with 0 before you." }], "kv": { "drawn": "1" } })),
        step("next please", json!({ "commands": [{ "text": "It is your turn, number 1." }], "kv": { "called": "1" } })),
        step("next please", json!({ "commands": [] })),
    ] });
    write_file("tests/answers.json", &case.to_string());
    let (exit, built) = plugin(&project, &[], &["build"]).await;
    assert_eq!(exit, 0, "{built}");
    let (exit, tested) = plugin(&project, &[], &["test"]).await;
    assert_eq!((exit, &tested["passed"]), (0, &json!(1)), "{tested}");

    let url = format!("http://{}", stage.host.address());
    let host = [("SWITCHBOARD_URL", url.as_str()), ("SWITCHBOARD_KEY", account.tenant_key.as_str())];
    let (exit, deployed) = plugin(&project, &host, &["deploy", "--grant"]).await;
    assert_eq!((exit, &deployed["state"]), (0, &json!("active")), "{deployed}");
    let secret = "/switchboard/v1/plugins/line/secrets/WORD";
    let put = account.http.json("PUT", secret, Some(&account.tenant_key), Some(&json!({ "value": "please" }))).await;
    assert!(put.unwrap().status < 300);
    for customer in [CUSTOMER, OTHER] {
        phone(stage.control(), ADMIN_KEY, customer).await;
    }
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "ticket").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "You are number 1, with 0 before you.").await;
    write(stage.control(), ADMIN_KEY, OTHER, SHOP, "ticket").await;
    shows(stage.control(), ADMIN_KEY, OTHER, "You are number 2, with 1 before you.").await;
    write(stage.control(), ADMIN_KEY, OTHER, SHOP, "next guess").await;
    write(stage.control(), ADMIN_KEY, OTHER, SHOP, "next please").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "It is your turn, number 1.").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_project_asks_before_it_is_given_anything_and_is_told_of() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let place = tempfile::tempdir().unwrap();
    let url = format!("http://{}", stage.host.address());
    let host = [("SWITCHBOARD_URL", url.as_str()), ("SWITCHBOARD_KEY", account.tenant_key.as_str())];
    let deploy = ["deploy", env!("PLUGIN_AUTO_REPLY"), "--name", "greeter"];
    let (exit, asked) = plugin(place.path(), &host, &deploy).await;
    assert_eq!((exit, &asked["error"]["code"]), (1, &json!("grants_needed")), "{asked}");
    let (exit, deployed) = plugin(place.path(), &host, &[&deploy[..], &["--grant", "--note", "first"]].concat()).await;
    assert_eq!((exit, &deployed["state"], &deployed["version"]), (0, &json!("active"), &json!(1)), "{deployed}");
    let (exit, versions) = plugin(place.path(), &host, &["versions", "greeter"]).await;
    assert_eq!((exit, &versions["versions"][0]["active"]), (0, &json!(true)), "{versions}");
    let (exit, shown) = plugin(place.path(), &host, &["inspect", "greeter"]).await;
    assert_eq!((exit, &shown["grants"]["fields"]), (0, &json!(["text"])), "{shown}");
    let (exit, refused) = plugin(place.path(), &host, &["rollback", "greeter"]).await;
    assert_eq!((exit, &refused["error"]["code"]), (1, &json!("nothing_before")), "{refused}");
    stage.stop().await;
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
    let (exit, told) = versions("ftp://x", ADMIN_KEY).await;
    assert_eq!((exit, &told["code"]), (2, &json!("address")), "{told}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-under-test"));
    let usage = command.args(["plugin", "versions"]).output().await.unwrap();
    assert_eq!(usage.status.code(), Some(2));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_refuses_as_the_host_does() {
    let (stage, place) = (Stage::start().await, tempfile::tempdir().unwrap());
    let account = stage.account("Shop").await;
    let write = |name: &str, bytes: &[u8]| std::fs::write(place.path().join(name), bytes).unwrap();
    write("empty.wasm", b"");
    write("text.wasm", b"not a component");
    write("core.wasm", b"\0asm\x01\0\0\0");
    let keys = env!("GUEST_IMPORTS_KEYS");
    let headers =
        [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", "application/wasm".to_owned())];
    for (component, code) in [
        ("empty.wasm", "empty"),
        ("text.wasm", "not_wasm"),
        ("core.wasm", "core_module"),
        (keys, "forbidden_import"),
        (env!("GUEST_NO_INTERFACE"), "no_known_interface"),
    ] {
        let (exit, told) = plugin(place.path(), &[], &["check", component]).await;
        assert_eq!((exit, &told["error"]["code"]), (1, &json!(code)), "{told}");
        let bytes = std::fs::read(place.path().join(component)).unwrap();
        let path = "/switchboard/v1/plugins?name=checked";
        let refused = account.http.exchange("POST", path, &headers, bytes).await.unwrap();
        assert_eq!(told["error"], refused.json(), "{component}");
    }
    let (exit, told) = plugin(place.path(), &[], &["check", "missing.wasm"]).await;
    assert_eq!((exit, &told["error"]["code"]), (1, &json!("unreadable")), "{told}");
    assert_eq!(plugin(place.path(), &[], &["check", keys, "--operator"]).await.0, 0);
    write("config.json", br#"{"replies": 5}"#);
    let (exit, told) = plugin(place.path(), &[], &["check", env!("PLUGIN_AUTO_REPLY"), "--config", "config.json"]).await;
    assert_eq!((exit, &told["error"]["errors"][0]["pointer"]), (1, &json!("#/replies")), "{told}");
    assert_eq!(told["error"]["code"], "config");
    write("config.json", br#""open-body""#);
    let (exit, told) = plugin(place.path(), &[], &["check", env!("GUEST_HOSTILE"), "--config", "config.json"]).await;
    assert_eq!((exit, &told["error"]["code"]), (1, &json!("open_body")), "{told}");
    stage.stop().await;
}
