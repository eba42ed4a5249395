//! A responder in Python, uploaded to a whole host as any other component is.

use serde_json::json;
use switchboard_tests::account::{phone, shows, write};
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use switchboard_tests::toolchains::python;

const CUSTOMER: &str = "491520000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_in_python_is_uploaded_and_answers() {
    let component = python();
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    account.linked(stage.control(), "S", "491510000001").await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let bearer = format!("Bearer {}", account.tenant_key);
    let headers = [("authorization", bearer), ("content-type", "application/wasm".to_owned())];
    let path = "/switchboard/v1/plugins?name=python";
    let made = account.http.exchange("POST", path, &headers, component).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert_eq!((&made["class"], &made["uploaded"]["class"]), (&json!("large"), &json!("large")));
    let grants = json!({ "sessions": "all", "fields": ["text", "number"], "send": { "per_minute": 60 } });
    let path = "/switchboard/v1/plugins/python/grants";
    let granted = stage.http().json("PUT", path, Some(&account.tenant_key), Some(&grants)).await.unwrap();
    assert_eq!(granted.status, 200, "{granted:?}");
    write(stage.control(), ADMIN_KEY, CUSTOMER, "491510000001", "Guten Tag").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "Guten Tag").await;
    stage.stop().await;
}
