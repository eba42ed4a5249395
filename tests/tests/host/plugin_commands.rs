//! The command line for plugins against a whole host: grants, runs that were parked, and what it says when something is missing.

use serde_json::{Value, json};
use switchboard_tests::account::{phone, shows, write};
use switchboard_tests::components::stamped;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::process::Command;

use crate::own_plugin::plugin;

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

/// What a command says to people, and its exit code.
async fn said(environment: &[(&str, &str)], words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-under-test"));
    command.env_remove("SWITCHBOARD_KEY").env_remove("SWITCHBOARD_URL");
    let output = command.arg("plugin").args(words).envs(environment.iter().copied()).output().await.unwrap();
    let text = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    (output.status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_lacks_is_shown_given_and_what_was_parked_is_released_and_dropped() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let limit = async |messages: u64| {
        let change = json!({ "limits": { "messages_per_month": messages } });
        let path = format!("/switchboard/v1/tenants/{}", account.tenant);
        assert_eq!(account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&change)).await.unwrap().status, 200);
    };
    let place = tempfile::tempdir().unwrap();
    let url = format!("http://{}", stage.host.address());
    let host = [("SWITCHBOARD_URL", url.as_str()), ("SWITCHBOARD_KEY", account.tenant_key.as_str())];
    let ask = async |words: &[&str]| plugin(place.path(), &host, words).await;

    // It is kept until its owner says yes, and nothing is said twice.
    let deploy = ["deploy", env!("PLUGIN_AUTO_REPLY"), "--name", "replies"];
    let (exit, words) = said(&host, &deploy).await;
    assert_eq!((exit, words.matches("\n  sessions").count()), (1, 1), "{words}");
    assert!(words.contains("switchboard plugin grants replies --asked"), "{words}");
    let (exit, shown) = ask(&["inspect", "replies"]).await;
    let missing = shown["missing"].as_array().unwrap().len();
    assert!(exit == 0 && missing > 1, "{shown}");
    let (_, words) = said(&host, &["inspect", "replies"]).await;
    assert!(words.contains("the newest that is kept is 1") && words.contains("not granted"), "{words}");
    let (exit, given) = ask(&["grants", "replies", "--asked"]).await;
    assert_eq!((exit, &given["missing"]), (0, &json!([])), "{given}");
    let less = json!({ "sessions": "all", "fields": ["text"], "send": { "per_minute": 7 } });
    std::fs::write(place.path().join("grants.json"), less.to_string()).unwrap();
    let (exit, given) = ask(&["grants", "replies", "--set", "grants.json"]).await;
    assert_eq!((exit, &given["granted"]["send"]), (0, &json!({ "per_minute": 7 })), "{given}");

    let config = json!({ "replies": [{ "keyword": "hi", "reply": "hello" }] });
    let path = "/switchboard/v1/plugins/replies/config";
    let set = account.http.json("PUT", path, Some(&account.tenant_key), Some(&config)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    limit(1).await;
    for _ in 0..3 {
        write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hi").await;
    }
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "hello").await;
    // Whoever asks right after the call finds it.
    let (exit, logs) = ask(&["logs", "replies"]).await;
    assert_eq!((exit, logs["calls"].as_array().map(|calls| calls.is_empty())), (0, Some(false)), "{logs}");
    let mut runs = Value::Null;
    let parked = until(PATIENCE, async || {
        runs = ask(&["runs", "replies"]).await.1;
        runs["runs"].as_array().unwrap().len() == 2
    });
    assert!(parked.await, "{runs}");
    let first = runs["runs"][0]["id"].as_str().unwrap();
    let (exit, words) = said(&host, &["runs", "replies"]).await;
    assert!(exit == 0 && words.contains(first) && words.contains("messages_per_month"), "{words}");
    assert_eq!(ask(&["drop", "replies", first]).await, (0, json!({ "dropped": first })));
    assert_eq!(ask(&["drop", "replies", first]).await.0, 1);
    limit(10).await;
    assert_eq!(ask(&["release", "replies"]).await, (0, json!({ "released": 1 })));
    let settled =
        until(PATIENCE, async || said(&host, &["runs", "replies", "--waiting"]).await.1 == "no runs are waiting\n");
    assert!(settled.await);

    // Somebody else's plugin is found by its tenant alone.
    let operator = [("SWITCHBOARD_URL", url.as_str()), ("SWITCHBOARD_KEY", ADMIN_KEY)];
    let (exit, words) = said(&operator, &["versions", "replies"]).await;
    assert!(exit == 1 && words.contains("--tenant"), "{words}");
    let tenant = account.tenant.to_string();
    assert_eq!(said(&operator, &["versions", "replies", "--tenant", &tenant]).await.0, 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_named_and_a_refusal_says_its_code() {
    let (exit, words) = said(&[], &["versions", "greeter"]).await;
    assert!(exit == 2 && words.contains("SWITCHBOARD_KEY"), "{words}");
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x.wasm");
    std::fs::write(&file, b"not a component").unwrap();
    let (exit, words) = said(&[], &["check", file.to_str().unwrap()]).await;
    assert!(exit == 1 && words.contains("not_wasm: not a WebAssembly component"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_kept_made_active_and_gone_back_from() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let place = tempfile::tempdir().unwrap();
    let component = |n: u16| {
        let path = place.path().join(format!("replies-{n}.wasm"));
        std::fs::write(&path, stamped(env!("PLUGIN_AUTO_REPLY"), n)).unwrap();
        path.display().to_string()
    };
    let url = format!("http://{}", stage.host.address());
    let host = [("SWITCHBOARD_URL", url.as_str()), ("SWITCHBOARD_KEY", account.tenant_key.as_str())];
    let deploy = async |n: u16, more: &[&str]| {
        let component = component(n);
        said(&host, &[&["deploy", &component, "--name", "replies"], more].concat()).await
    };
    assert_eq!(deploy(1, &["--keep"]).await, (0, "replies: version 1 is kept; none is active yet\n".to_owned()));
    assert_eq!(deploy(1, &["--grant"]).await, (0, "replies: version 1 is live\n".to_owned()));
    let kept = deploy(2, &["--keep"]).await;
    assert_eq!(kept, (0, "replies: version 2 is kept; version 1 is the active one\n".to_owned()));
    assert_eq!(deploy(2, &[]).await, (0, "replies: version 2 is live\n".to_owned()));
    let back = said(&host, &["rollback", "replies"]).await;
    assert_eq!(back, (0, "replies: version 1 is the active one\n".to_owned()));
    let (exit, versions) = plugin(place.path(), &host, &["versions", "replies"]).await;
    let active = |n: u64| {
        versions["versions"].as_array().unwrap().iter().any(|version| version["n"] == n && version["active"] == true)
    };
    assert!(exit == 0 && active(1) && !active(2), "{versions}");
    let grant = said(&host, &["grants", "replies", "--asked", "--version", "2"]).await;
    assert!(grant.0 == 0 && said(&host, &["rollback", "replies"]).await.1.contains("version 1"), "it made 2 the active one");
    let stop = json!({ "stopped": true });
    let path = "/switchboard/v1/plugins/replies";
    assert_eq!(account.http.json("PATCH", path, Some(&account.tenant_key), Some(&stop)).await.unwrap().status, 200);
    let kept = deploy(2, &[]).await;
    let words = "replies: version 2 is the active one; the plugin is stopped, and stays so\n";
    assert_eq!(kept, (0, words.to_owned()));
    // Another key would not get by a limit: it is no matter of keys.
    let change = json!({ "limits": { "plugin_component_bytes": 1000 } });
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    assert_eq!(account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&change)).await.unwrap().status, 200);
    let (exit, words) = deploy(3, &[]).await;
    assert!(exit == 1 && words.contains("limit_reached") && words.contains("1000"), "{words}");
    stage.stop().await;
}
