//! Files of messages that came in: fetched on demand or by themselves, asked of the phone again, and told when they are gone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_tests::account::{Account, TestSession, phone};
use switchboard_tests::stage::{ADMIN_KEY, Stage};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

/// A shop whose session is linked, and a customer with a phone.
struct Shop {
    stage: Stage,
    account: Account,
    session: TestSession,
}

impl Shop {
    async fn open() -> Self {
        let stage = Stage::start().await;
        let account = stage.account("Shop").await;
        let session = account.linked(stage.control(), "Shop", SHOP).await;
        phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
        Self { stage, account, session }
    }

    /// The customer sends a file; the id of the message.
    async fn gets(&self, kind: &str, mime: &str, bytes: &[u8]) -> String {
        let content = json!({ kind: { "base64": STANDARD.encode(bytes), "mime": mime } });
        self.stage.phone_sends(CUSTOMER, SHOP, content).await
    }

    /// The event of a message that came in.
    async fn event(&self, id: &str) -> Value {
        self.account.event("message.received", |data| data["whatsapp_id"] == id).await;
        let events = self.account.events().await;
        events.into_iter().find(|event| event["data"]["whatsapp_id"] == id && event["type"] == "message.received").unwrap()
    }

    async fn fetch(&self, event: &Value) -> (u16, Value) {
        let path = format!("/switchboard/v1/events/{}/media", event["n"]);
        let answer = self.account.post(&path, &self.account.tenant_key, json!({})).await;
        (answer.status, answer.json())
    }

    async fn bytes(&self, handle: &Value) -> Vec<u8> {
        let path = format!("/switchboard/v1/media/{}/content", handle.as_str().unwrap());
        let answer = self.account.get(&path, &self.account.tenant_key).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body.to_vec()
    }

    async fn set(&self, settings: Value) -> (u16, Value) {
        let path = format!("/switchboard/v1/sessions/{}", self.session.id);
        let key = Some(self.account.tenant_key.as_str());
        let body = json!({ "settings": settings });
        let answer = self.account.http.json("PATCH", &path, key, Some(&body)).await.unwrap();
        (answer.status, answer.json())
    }

    /// What became of the file of a message.
    async fn told(&self, event_type: &str, id: &str) -> Value {
        self.account.event(event_type, |data| data["whatsapp_id"] == id).await
    }

    async fn fault(&self, fault: Value) {
        self.stage.sim("POST", "faults", fault).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_came_in_is_fetched_on_demand_once_and_for_its_tenant_alone() {
    let shop = Shop::open().await;
    let bytes = b"a,b\n1,2\n".repeat(4000);
    let id = shop.gets("document", "text/csv", &bytes).await;
    let event = shop.event(&id).await;
    let (status, media) = shop.fetch(&event).await;
    assert_eq!((status, &media["size"], &media["mime"]), (200, &json!(bytes.len()), &json!("text/csv")), "{media}");
    assert_eq!(shop.bytes(&media["id"]).await, bytes);
    assert_eq!(media["sha256"], event["data"]["content"]["value"]["sha256"]);
    let (status, again) = shop.fetch(&event).await;
    assert_eq!((status, &again["id"]), (200, &media["id"]));
    let stranger = shop.stage.account("Stranger").await;
    let path = format!("/switchboard/v1/events/{}/media", event["n"]);
    assert_eq!(stranger.post(&path, &stranger.tenant_key, json!({})).await.status, 404);

    // What is no picture is kept as what the message says it is.
    let id = shop.gets("image", "image/png", b"\x89PNG, or so they say").await;
    let (status, media) = shop.fetch(&shop.event(&id).await).await;
    assert_eq!((status, &media["mime"], &media["kind"]), (200, &json!("image/png"), &json!("image")), "{media}");

    let text = shop.stage.phone_sends(CUSTOMER, SHOP, json!({ "text": "no file" })).await;
    let (status, problem) = shop.fetch(&shop.event(&text).await).await;
    assert_eq!((status, &problem["code"]), (422, &json!("no_file")), "{problem}");
    assert_eq!(shop.fetch(&json!({ "n": 999_999 })).await.0, 404);
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_off_line_fetches_nothing_and_says_so_but_what_is_kept_stays() {
    let shop = Shop::open().await;
    let (kept, left) = (shop.gets("audio", "audio/ogg", b"OggS").await, shop.gets("audio", "audio/ogg", b"OggS 2").await);
    let (kept, left) = (shop.event(&kept).await, shop.event(&left).await);
    assert_eq!(shop.fetch(&kept).await.0, 200);
    let path = format!("/switchboard/v1/sessions/{}/disconnect", shop.session.id);
    assert_eq!(shop.account.post(&path, &shop.account.tenant_key, json!({})).await.status, 200);
    assert_eq!(shop.fetch(&kept).await.0, 200);
    let (status, problem) = shop.fetch(&left).await;
    assert_eq!((status, &problem["code"]), (409, &json!("not_connected")), "{problem}");
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_wants_its_files_gets_them_by_itself_also_after_a_restart() {
    let shop = Shop::open().await;
    let (status, problem) = shop.set(json!({ "fetch_media": "yes" })).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem.to_string().contains("true or false"), "{problem}");
    let before = shop.gets("document", "text/plain", b"before it was wished").await;
    shop.event(&before).await;
    assert_eq!(shop.set(json!({ "fetch_media": true })).await.0, 200);
    let id = shop.gets("document", "text/plain", b"minutes").await;
    let told = shop.told("media.stored", &id).await;
    let event = shop.event(&id).await;
    assert_eq!((&told["event"], &told["size"], &told["mime"]), (&event["n"], &json!(7), &json!("text/plain")), "{told}");
    assert_eq!(told["chat"], event["data"]["chat"]);
    assert_eq!(shop.bytes(&told["media"]).await, b"minutes");
    assert_eq!(shop.fetch(&event).await.1["id"], told["media"]);
    let stored = shop.account.events().await.into_iter().filter(|event| event["type"] == "media.stored").count();
    assert_eq!(stored, 1, "what came before the wish is left where it is");

    // What could not be fetched before the host stopped is fetched by the next one.
    shop.fault(json!({ "fault": "media_slow", "delay_ms": 600_000 })).await;
    let late = shop.gets("document", "text/plain", b"late minutes").await;
    shop.event(&late).await;
    let Shop { stage, account, session } = shop;
    let stage = stage.restart().await;
    let account = Account { http: stage.http(), ..account };
    let shop = Shop { stage, account, session };
    shop.fault(json!({ "fault": "media_clear" })).await;
    let told = shop.told("media.stored", &late).await;
    assert_eq!(shop.bytes(&told["media"]).await, b"late minutes");
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_whatsapp_has_no_longer_is_asked_of_the_phone_and_what_nobody_has_is_told_as_gone() {
    let shop = Shop::open().await;
    let id = shop.gets("document", "text/plain", b"an old file").await;
    let event = shop.event(&id).await;
    shop.fault(json!({ "fault": "media_missing", "number": CUSTOMER, "id": id })).await;
    let (status, media) = shop.fetch(&event).await;
    assert_eq!(status, 200, "{media}");
    assert_eq!(shop.bytes(&media["id"]).await, b"an old file");
    shop.stage.stop().await;
}
