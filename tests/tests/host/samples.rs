//! Calls as integrators write them, in the languages that the APIs are documented with: nothing but the address, the key, the
//! number and the file's address is put in, and what they sent is read off the phone. Needs what the published clients need, and
//! PHP with its curl (see `.ci/run`).

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::files;
use switchboard_tests::patience::PATIENCE;
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::process::Command;

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const TESTS: &str = env!("CARGO_MANIFEST_DIR");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients/bin/python");

struct Scene {
    stage: Stage,
    account: Account,
    session: TestSession,
    web: files::FileServer,
}

impl Scene {
    async fn open() -> Self {
        let stage = Stage::start().await;
        let account = stage.account("Shop").await;
        let session = account.linked(stage.control(), "Shop", SHOP).await;
        phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
        Self { stage, account, session, web: files::serve().await }
    }

    /// Runs a sample; what it printed.
    async fn run(&self, sample: &str, key: &str) -> String {
        let path = format!("{TESTS}/samples/{sample}");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text
            .replace("BASE_URL", &format!("http://{}", self.stage.host.address()))
            .replace("YOUR_KEY", key)
            .replace("PHONE", &format!("+{CUSTOMER}"))
            .replace("MEDIA_URL", &self.web.url("photo.png"));
        let folder = tempfile::tempdir().unwrap();
        // Where Node looks for libraries.
        std::os::unix::fs::symlink(format!("{TESTS}/clients/node_modules"), folder.path().join("node_modules")).unwrap();
        let file = folder.path().join(Path::new(sample).file_name().unwrap());
        std::fs::write(&file, text).unwrap();
        let program = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sh") => "bash".to_owned(),
            Some("py") => std::env::var("CLIENTS_PYTHON").unwrap_or_else(|_| PYTHON.to_owned()),
            Some("php") => "php".to_owned(),
            _ => "node".to_owned(),
        };
        let run = Command::new(&program).arg(&file).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, run).await.expect("it hangs").expect("it cannot be started");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sample}: {said}\n{wrong}");
        said
    }

    async fn shows(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.stage.phone_shows(CUSTOMER, wanted).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_prosendi_in_four_languages_send_what_they_say() {
    let scene = Scene::open().await;
    for (sample, text) in [
        ("prosendi/text.sh", "prosendi by curl"),
        ("prosendi/text.py", "prosendi by python"),
        ("prosendi/text.cjs", "prosendi by node"),
        ("prosendi/text.php", "prosendi by php"),
    ] {
        let said = scene.run(sample, &scene.account.tenant_key).await;
        let answer: Value = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{sample}: {said}"));
        assert_eq!((&answer["success"], &answer["data"]["device_id"]), (&json!(true), &json!(scene.session.id)), "{answer}");
        scene.shows(|shown| shown["text"] == text).await;
    }
    scene.run("prosendi/media.sh", &scene.account.tenant_key).await;
    let shown = scene.shows(|shown| shown["caption"] == "prosendi media by curl").await;
    assert_eq!((&shown["type"], &shown["media"]["size"]), (&json!("image"), &json!(files::picture().len())));
    scene.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_wamux_and_wasender_send_what_they_say() {
    let scene = Scene::open().await;
    let said = scene.run("wamux/text.sh", &scene.account.tenant_key).await;
    let answer: Value = serde_json::from_str(&said).unwrap();
    let answered = (&answer["toPhone"], &answer["type"], &answer["status"]);
    assert_eq!(answered, (&json!(format!("+{CUSTOMER}")), &json!("text"), &json!("pending")));
    scene.shows(|shown| shown["text"] == "wamux by curl").await;
    scene.run("wasender/text.mjs", &scene.session.key).await;
    scene.shows(|shown| shown["text"] == "wasender by node").await;
    scene.stage.stop().await;
}
