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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_found_is_named() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let stranger = stage.account("Other").await.session("Theirs").await;
    let foreign = format!("sessions/{}", stranger.id);
    for (path, kind) in [
        ("sessions/1", "session"),
        ("sessions/first", "session"),
        (&foreign, "session"),
        ("sessions/1/qr", "session"),
        ("messages/1", "message"),
        ("messages/first", "message"),
        ("batches/1", "batch"),
        ("webhooks/first", "webhook"),
    ] {
        let missing = account.get(&format!("/switchboard/v1/{path}"), &account.tenant_key).await;
        let detail = json!(format!("there is no {kind} of this id"));
        assert_eq!((missing.status, &missing.json()["detail"]), (404, &detail), "{path}: {missing:?}");
    }
    let message = json!({ "session_id": stranger.id, "to": "491520000001", "text": "hello" });
    let missing = account.post("/switchboard/v1/messages", &account.tenant_key, message).await;
    assert_eq!((missing.status, &missing.json()["detail"]), (404, &json!("there is no session of this id")), "{missing:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_named_in_every_spelling_of_its_id_and_nothing_else_names_it() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let session = account.session("Till").await.id;
    let keys = format!("/switchboard/v1/tenants/{}/keys", account.tenant);
    let uuid = switchboard_ids::uuid(switchboard_ids::Kind::Session, session).unwrap();
    for spelt in [json!(session), json!(session.to_string()), json!(format!("sess_{session}")), json!(uuid)] {
        let made = account.post(&keys, ADMIN_KEY, json!({ "kind": "session", "session_id": spelt })).await;
        assert_eq!((made.status, &made.json()["session_id"]), (201, &json!(session)), "{spelt}: {made:?}");
        let text = spelt.as_str().map_or_else(|| spelt.to_string(), str::to_owned);
        let shown = account.get(&format!("/switchboard/v1/sessions/{text}"), &account.tenant_key).await;
        assert_eq!((shown.status, &shown.json()["id"]), (200, &json!(session)), "{text}: {shown:?}");
        let listed = account.get(&format!("/switchboard/v1/events?session_id={text}"), &account.tenant_key).await;
        assert_eq!(listed.status, 200, "{text}: {listed:?}");
        let message = json!({ "session_id": spelt, "to": "491520000001", "text": "hello" });
        let refused = account.post("/switchboard/v1/messages", &account.tenant_key, message).await;
        assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("not_connected")), "{refused:?}");
    }
    for other in [json!("first"), json!(-1), json!(1.5), json!(true), json!(format!("msg_{session}"))] {
        let refused = account.post(&keys, ADMIN_KEY, json!({ "kind": "session", "session_id": other })).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("#/session_id")), "{refused:?}");
    }
    let none = account.post(&keys, ADMIN_KEY, json!({ "kind": "tenant", "session_id": null })).await;
    assert_eq!(none.status, 201, "{none:?}");
    let refused = account.get("/switchboard/v1/events?session_id=first", &account.tenant_key).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["parameter"]), (422, &json!("session_id")), "{refused:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_pacing_that_cannot_be_kept_are_refused_in_plain_words() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    for (pacing, place, why) in [
        (json!({ "gap": 5 }), "/gap", "pacing.gap: \"gap\" is not a rule; there are: messages_per_minute, "),
        (json!({ "gap_ms": "5" }), "/gap_ms", "pacing.gap_ms: gap_ms is \"5\"; a whole number from 0 up is expected"),
        (json!({ "typing": { "slow": 1 } }), "/typing/slow", "pacing.typing.slow: typing: \"slow\" is not a rule"),
        (json!([5]), "", "pacing: an object is expected, with any of: messages_per_minute, "),
    ] {
        let wish = json!({ "name": "Till", "settings": { "pacing": pacing } });
        let refused = account.post("/switchboard/v1/sessions", &account.tenant_key, wish).await;
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(refused.status == 422 && detail.contains(why), "{detail}");
        assert_eq!(refused.json()["errors"][0]["pointer"], format!("#/settings/pacing{place}"), "{refused:?}");
    }
    stage.stop().await;
}
