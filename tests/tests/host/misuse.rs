//! What a caller may get wrong without noticing: it is refused, and says so.

use serde_json::json;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_made_from_a_wish_with_a_misspelt_field() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let path = format!("/switchboard/v1/tenants/{}/keys", account.tenant);
    let wish = json!({ "kind": "tenant", "scope": ["messages:read"] });
    let refused = account.post(&path, ADMIN_KEY, wish).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.json()["errors"][0]["pointer"], "#/scope", "{refused:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_is_not_read_as_the_fields_of_an_object() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    for (path, key, body) in [
        ("/switchboard/v1/messages", &account.tenant_key, json!([1, "491520000001", "hello"])),
        ("/switchboard/v1/tenants", &ADMIN_KEY.to_owned(), json!(["Other", "free", {}])),
    ] {
        let refused = account.post(path, key, body).await;
        assert_eq!(refused.status, 422, "{path}: {refused:?}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("an object is expected"), "{refused:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_own_address_is_no_place_for_webhooks() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let url = format!("http://{}/hook", stage.host.address());
    let refused = account.post("/switchboard/v1/webhooks", &account.tenant_key, json!({ "url": url })).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("this server"), "{refused:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_keeps_all_the_media_it_may_is_told_so_as_its_own_affair() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let path = format!("/switchboard/v1/tenants/{}", account.tenant);
    let limits = json!({ "limits": { "media_bytes": 10 } });
    let changed = account.http.json("PATCH", &path, Some(ADMIN_KEY), Some(&limits)).await.unwrap();
    assert_eq!(changed.status, 200, "{changed:?}");
    let body = json!({ "base64": "JVBERi0xLjQKJSUlJSUlJSUlJSUlJSUlCg==" });
    let refused = account.post("/switchboard/v1/media", &account.tenant_key, body).await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("full")), "{refused:?}");
    stage.stop().await;
}
