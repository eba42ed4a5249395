//! The life of a session, through the dialect: pairing, going off and on line, being unlinked, being deleted.

use serde_json::{Value, json};
use switchboard_tests::account::{phone, scan};
use switchboard_tests::files::decoded;
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const NUMBER: &str = "491510000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_every_field_and_shows_its_key_to_the_account_alone() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let body =
        json!({ "name": "S", "phone_number": "+49 151", "webhook_url": "https://example.org/hook", "log_messages": false });
    assert_eq!(account.post("/api/v1/whatsapp-sessions", &account.token, body.clone()).await.status, 422);
    let body = json!({ "name": "S", "phone_number": "+49 1510 000001", "webhook_url": "https://example.org/hook", "log_messages": false });
    let made = account.post("/api/whatsapp-sessions", &account.token, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let session = made.json()["data"].clone();
    for field in [
        "id",
        "user_id",
        "name",
        "phone_number",
        "status",
        "api_key",
        "session_data",
        "last_active_at",
        "account_protection",
        "log_messages",
        "webhook_enabled",
        "webhook_url",
        "webhook_events",
        "webhook_secret",
        "created_at",
        "updated_at",
    ] {
        assert!(!session[field].is_null(), "{field} in {session}");
    }
    assert_eq!((&session["phone_number"], &session["status"]), (&json!(NUMBER), &json!("disconnected")));
    assert_eq!((&session["webhook_url"], &session["log_messages"]), (&json!("https://example.org/hook"), &json!(false)));
    let (id, key) = (&session["id"], session["api_key"].as_str().unwrap());
    let path = format!("/api/v1/whatsapp-sessions/{id}");
    assert_eq!(account.get(&path, key).await.json()["data"]["api_key"], "");
    assert_eq!(account.get(&path, &account.token).await.json()["data"], session);
    let by_header = [("x-api-token", account.token.clone())];
    let listed = account.http.exchange("GET", "/api/v1/whatsapp-sessions", &by_header, Vec::new()).await.unwrap();
    assert_eq!(listed.json()["data"], json!([session]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_qr_code_is_given_as_text_and_as_a_picture_that_says_the_same() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.session("S").await;
    let text = account.qr(&session).await;
    let path = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let get = |suffix: &str| {
        let path = format!("{path}/{suffix}");
        let account = account.clone();
        async move { account.get(&path, &account.token).await.json()["data"].clone() }
    };
    let plain: Value = get("qrcode").await;
    assert_eq!(plain["qrCode"], text);
    assert_eq!(decoded(plain["qrImage"].as_str().unwrap()), text);
    assert_eq!(decoded(get("qrcode?qr_as_image=true").await["qrCode"].as_str().unwrap()), text);
    assert_eq!(get("qr-code").await["qr_code"], text);
    let connect = account.post(&format!("{path}/connect"), &session.key, json!({ "qrAsImage": true })).await.json();
    assert_eq!(connect["data"]["status"], "need_scan");
    assert_eq!(decoded(connect["data"]["qrCode"].as_str().unwrap()), text);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_off_and_on_line_without_pairing_again() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.linked(stage.control(), "S", NUMBER).await;
    let path = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let connected = account.get(&path, &account.token).await.json()["data"].clone();
    assert_eq!(connected["phone_number"], NUMBER);
    assert_eq!(connected["session_data"]["jid"], format!("{NUMBER}@s.whatsapp.net"));
    let off = account.post(&format!("{path}/disconnect"), &session.key, json!({})).await;
    assert_eq!((off.status, &off.json()["data"]["status"]), (200, &json!("disconnected")), "{off:?}");
    assert_eq!(account.send(&session, "491520000001", "hi").await.status, 409);
    let on = account.post(&format!("{path}/connect"), &session.key, json!({})).await;
    assert_eq!((on.status, &on.json()["data"]["status"]), (200, &json!("connected")), "{on:?}");
    assert_eq!(account.get(&format!("{path}/qrcode"), &session.key).await.status, 422);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_its_phone_removes_is_logged_out_and_can_pair_again() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.linked(stage.control(), "S", NUMBER).await;
    let fault = json!({ "number": NUMBER, "device": 1, "fault": "log_out" });
    let faulted = stage.control().json("POST", "/switchboard/v1/sim/faults", Some(ADMIN_KEY), Some(&fault)).await.unwrap();
    assert_eq!(faulted.status / 100, 2, "{faulted:?}");
    account.wait_for(&session, "logged_out").await;
    let code = account.qr(&session).await;
    scan(stage.control(), ADMIN_KEY, NUMBER, &code).await;
    account.wait_for(&session, "connected").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_connection_drops_comes_back_and_one_that_is_replaced_does_not_fight() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    let session = account.linked(stage.control(), "S", NUMBER).await;
    let fault = |fault: &str| json!({ "number": NUMBER, "device": 1, "fault": fault });
    let control = stage.control();
    let act = |body: Value| async move {
        let done = control.json("POST", "/switchboard/v1/sim/faults", Some(ADMIN_KEY), Some(&body)).await.unwrap();
        assert_eq!(done.status / 100, 2, "{done:?}");
    };
    act(fault("drop")).await;
    account.wait_for(&session, "connecting").await;
    account.wait_for(&session, "connected").await;
    act(fault("replace")).await;
    account.wait_for(&session, "disconnected").await;
    assert_eq!(account.send(&session, "491520000001", "hi").await.status, 409);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_session_is_gone_from_the_host_and_from_its_phone() {
    let stage = Stage::start().await;
    let account = stage.account("A").await;
    phone(stage.control(), ADMIN_KEY, NUMBER).await;
    let session = account.linked(stage.control(), "S", NUMBER).await;
    let path = format!("/api/v1/whatsapp-sessions/{}", session.id);
    let deleted = stage.http().json("DELETE", &path, Some(&account.token), None).await.unwrap();
    assert_eq!((deleted.status, &deleted.json()["data"]), (200, &Value::Null), "{deleted:?}");
    assert_eq!(account.get(&path, &account.token).await.status, 404);
    assert_eq!(account.send(&session, "491520000001", "hi").await.status, 401);
    let stats = stage.control().json("GET", "/switchboard/v1/sim/stats", Some(ADMIN_KEY), None).await.unwrap().json();
    assert_eq!(stats["devices_connected"], 0, "{stats}");
    stage.stop().await;
}
