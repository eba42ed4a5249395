//! Responders as a chain: one that ends it keeps those behind it from being told.

use serde_json::{Value, json};
use switchboard_tests::account::{Account, phone, received, shows, write};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const PLUGINS: &str = "/switchboard/v1/plugins";

async fn set(account: &Account, plugin: &str, config: Value) {
    let path = format!("{PLUGINS}/{plugin}/config");
    let set = account.http.json("PUT", &path, Some(&account.tenant_key), Some(&config)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
}

fn closed(ends_chain: bool, order: u32) -> Value {
    json!({ "zone": "+00:00", "reply": "closed", "again_after_minutes": 60, "ends_chain": ends_chain, "order": order })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_behind_the_end_is_not_told_and_the_order_is_that_of_the_configurations() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    for (name, config) in [
        ("business-hours", closed(true, 1)),
        ("auto-reply", json!({ "replies": [{ "keyword": "hello", "reply": "hi" }], "order": 2 })),
    ] {
        let wish = json!({ "name": name, "builtin": name, "config": config });
        let made = account.post(PLUGINS, &account.tenant_key, wish).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let told = async || {
        let told = received(stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await;
        told.iter().map(|shown| shown["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hello").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "closed").await;

    // Whoever does not end it is told first, and lets the others be told.
    set(&account, "business-hours", closed(false, 1)).await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hello").await;
    shows(stage.control(), ADMIN_KEY, CUSTOMER, "hi").await;
    assert_eq!(told().await, ["closed", "hi"], "the first hello was for business-hours alone");

    // Behind auto-reply the end comes too late for it.
    set(&account, "business-hours", closed(true, 3)).await;
    write(stage.control(), ADMIN_KEY, CUSTOMER, SHOP, "hello again").await;
    let last = async || told().await.len() == 3;
    assert!(switchboard_tests::patience::until(switchboard_tests::patience::PATIENCE, last).await);
    assert_eq!(told().await, ["closed", "hi", "hi"]);

    let wrong = json!({ "zone": "+00:00", "reply": "x", "order": "first" });
    let path = format!("{PLUGINS}/business-hours/config");
    let refused = account.http.json("PUT", &path, Some(&account.tenant_key), Some(&wrong)).await.unwrap();
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/order")), "{refused:?}");
    stage.stop().await;
}
