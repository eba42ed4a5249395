//! What cannot start says why, by the name of what is wrong, and ends with a failure.

use std::path::Path;

use tokio::process::Command;

use switchboard_tests::patience::PATIENCE;

/// What the host says before it gives up.
async fn refusal(arguments: &[&str], variable: (&str, &str)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_host-under-test")));
    command.arg("serve").arg("--listen").arg("127.0.0.1:0").arg("--data-dir").arg(folder.path().join("data"));
    command.args(arguments).env(variable.0, variable.1).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("it went on").unwrap();
    assert!(!ended.status.success(), "{ended:?}");
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[tokio::test]
async fn an_address_that_is_no_network_a_filter_that_is_none_and_a_figure_out_of_its_range_are_named() {
    let none = ("SWITCHBOARD_LOG", "");
    let said = refusal(&["--sim", "foo"], none).await;
    assert!(said.contains("\"foo\" is not the address of a simulated network"), "{said}");
    let said = refusal(&["--sim", "http://127.0.0.1:1/ws/chat"], none).await;
    assert!(said.contains("http:// is not ws:// or wss://"), "{said}");
    let said = refusal(&[], ("SWITCHBOARD_LOG", "inof")).await;
    assert!(said.contains("SWITCHBOARD_LOG: \"inof\" is none of: off, error, warn, info, debug, trace"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("switchboard.toml");
    std::fs::write(&file, "[media]\ndays = 0\n").unwrap();
    let said = refusal(&["--config", file.to_str().unwrap()], none).await;
    assert!(said.contains("media.days is 0; 1 to 3650 are allowed"), "{said}");
}
