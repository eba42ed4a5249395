//! Files that come with requests to plugins, through the dialects that take them: to the screen of a phone, or refused whole.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_core::records::content::MediaSource;
use switchboard_core::records::event::Fact;
use switchboard_core::records::id::TenantId;
use switchboard_tests::account::{Account, TestSession, phone, received};
use switchboard_tests::files::{film, picture, voice};
use switchboard_tests::form::{BOUNDARY, Part, field, file, form};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";
const MIB: usize = 1024 * 1024;

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

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> LocalAnswer {
        let headers: Vec<(&str, String)> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.stage.http().exchange("POST", path, &headers, body).await.unwrap()
    }

    /// A form for wafastapi.
    async fn form(&self, path: &str, parts: &[Part<'_>]) -> LocalAnswer {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [("x-api-key", self.session.key.as_str()), ("content-type", content_type.as_str())];
        self.post(&format!("/api/whatsapp{path}"), &headers, form(parts)).await
    }

    /// JSON for wafastapi.
    async fn json(&self, path: &str, body: &Value) -> LocalAnswer {
        let headers = [("x-api-key", self.session.key.as_str()), ("content-type", "application/json")];
        self.post(&format!("/api/whatsapp{path}"), &headers, body.to_string().into_bytes()).await
    }

    /// What the customer's phone shows of a message.
    async fn shown(&self, id: &Value) -> Value {
        self.stage.phone_shows(CUSTOMER, |message| &message["id"] == id).await
    }

    /// Sends a form that must be taken; what the phone shows of its messages.
    async fn sends(&self, path: &str, parts: &[Part<'_>]) -> Vec<Value> {
        let answer = self.form(path, parts).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let ids = answer["messages"].as_array().unwrap();
        let count = json!(ids.len());
        assert_eq!((&answer["success"], &answer["sent"], &answer["queued"]), (&json!(true), &count, &count), "{answer}");
        let mut shown = Vec::new();
        for id in ids {
            shown.push(self.shown(id).await);
        }
        shown
    }

    /// Bytes of media that the tenant keeps.
    async fn kept(&self) -> Value {
        let usage = self.account.get("/switchboard/v1/usage", &self.account.tenant_key).await.json();
        usage["limits"].as_array().unwrap().iter().find(|limit| limit["limit"] == "media_bytes").unwrap()["used"].clone()
    }

    /// How many messages the customer's phone has, once it shows one more.
    async fn shows_in_all(&self) -> usize {
        let last = self.json("/send/text", &json!({ "number": CUSTOMER, "message": "the last" })).await;
        self.shown(&last.json()["messageId"]).await;
        received(self.stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_form_reach_the_phone_in_their_order_with_the_caption_on_the_first() {
    let shop = Shop::open().await;
    let (png, mp4, ogg) = (picture(), film(), voice());
    let to = field("number", CUSTOMER);
    let caption = field("caption", "look");

    let two = [
        to.clone(),
        caption.clone(),
        file("photos", "a.png", "image/png", &png),
        file("photos", "b.png", "image/png", &png),
    ];
    let shown = shop.sends("/send/photo", &two).await;
    let seen: Vec<_> = shown.iter().map(|one| (one["type"].as_str(), one["caption"].as_str())).collect();
    assert_eq!(seen, [(Some("image"), Some("look")), (Some("image"), None)]);
    assert_eq!(shown[1]["media"]["size"], png.len());

    // A client that names no type, and says who it is for last.
    let untold = ("name=\"photos\"; filename=\"a\"".to_owned(), png.as_slice());
    let once = shop.sends("/send/photo", &[untold, field("viewOnce", "true"), to.clone()]).await;
    assert_eq!((&once[0]["type"], &once[0]["view_once"]), (&json!("image"), &json!(true)), "{once:#?}");

    for (gif, expected) in [("true", "gif"), ("false", "video")] {
        let parts = [to.clone(), caption.clone(), field("gif", gif), file("videos", "a.mp4", "video/mp4", &mp4)];
        let shown = shop.sends("/send/video", &parts).await;
        assert_eq!((&shown[0]["type"], &shown[0]["caption"]), (&json!(expected), &json!("look")), "{shown:#?}");
    }
    for (as_voice, ptt) in [("true", true), ("false", false)] {
        let parts = [to.clone(), field("voice", as_voice), file("audios", "a.ogg", "audio/ogg", &ogg)];
        let shown = shop.sends("/send/audio", &parts).await;
        assert_eq!((&shown[0]["type"], shown[0]["ptt"].as_bool().unwrap_or(false)), (&json!("audio"), ptt), "{shown:#?}");
    }
    let parts = [to, caption, file("files", "Price list.pdf", "application/pdf", b"%PDF-1.7 and so on")];
    let shown = shop.sends("/send/file", &parts).await;
    assert_eq!((&shown[0]["type"], &shown[0]["media"]["file_name"]), (&json!("document"), &json!("Price list.pdf")));
    assert_eq!(shown[0]["caption"], "look");
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_with_a_file_that_will_not_do_is_refused_whole_and_leaves_nothing_behind() {
    let shop = Shop::open().await;
    let (png, mp4) = (picture(), film());
    let to = field("number", CUSTOMER);
    let good = file("photos", "a.png", "image/png", &png);
    let large = vec![b'x'; 100 * MIB + 1];
    let eleven: Vec<_> = std::iter::once(to.clone()).chain((0..11).map(|_| good.clone())).collect();
    let cases: [(&str, Vec<Part<'_>>, u16); 12] = [
        ("/send/file", vec![to.clone(), file("files", "a.bin", "application/octet-stream", &large)], 413),
        ("/send/photo", vec![to.clone(), good.clone(), file("photos", "b.png", "image/png", b"no picture")], 415),
        ("/send/photo", vec![to.clone(), good.clone(), file("photos", "b.png", "text/plain", &png)], 415),
        ("/send/photo", vec![to.clone(), file("photos", "a.mp4", "image/png", &mp4)], 415),
        ("/send/video", vec![to.clone(), file("videos", "a.png", "image/png", &png)], 415),
        ("/send/file", vec![to.clone(), file("files", "a.html", "text/html", b"<!doctype html><p>no")], 415),
        ("/send/file", vec![to.clone(), file("files", "a.txt", "text/plain", b"")], 415),
        ("/send/photo", eleven, 400),
        ("/send/photo", vec![to.clone()], 400),
        ("/send/photo", vec![to.clone(), good.clone(), file("movies", "a.png", "image/png", &png)], 400),
        ("/send/photo", vec![to.clone(), field("group", "120363041234567890"), good.clone()], 400),
        ("/send/photo", vec![good.clone()], 400),
    ];
    for (path, parts, status) in cases {
        let refused = shop.form(path, &parts).await;
        let answer = refused.json();
        assert_eq!((refused.status, &answer["success"]), (status, &json!(false)), "{path}: {refused:?}");
        assert!(answer["error"].as_str().is_some_and(|why| !why.is_empty()), "{path}: {refused:?}");
        assert_eq!(shop.kept().await, 0, "{path} {status}");
    }
    let other = [("x-api-key", shop.session.key.as_str()), ("content-type", "application/json")];
    assert_eq!(shop.post("/api/whatsapp/send/photo", &other, b"{}".to_vec()).await.status, 415);
    let cut = [("x-api-key", shop.session.key.as_str()), ("content-type", "multipart/form-data; boundary=----a0b1c2")];
    let mut body = form(&[to, good]);
    body.truncate(body.len() - 30);
    assert_eq!(shop.post("/api/whatsapp/send/photo", &cut, body).await.status, 400);
    assert_eq!((shop.kept().await, shop.shows_in_all().await), (json!(0), 1));
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_endpoints_of_wafastapi_send_what_they_are_told() {
    let shop = Shop::open().await;
    let text = shop.json("/send/text", &json!({ "number": format!("+{CUSTOMER}"), "message": "hello", "zzz": 1 })).await;
    assert_eq!(text.status, 200, "{text:?}");
    let text = text.json();
    let (id, jid) = (&text["messageId"], format!("{CUSTOMER}@s.whatsapp.net"));
    assert_eq!(text["key"], json!({ "remoteJid": jid, "fromMe": true, "id": id }));
    assert_eq!(shop.shown(id).await["text"], "hello");

    let place = json!({ "degreesLatitude": 52.5, "degreesLongitude": 13.4, "name": "Home" });
    let nested = shop.json("/send/location", &json!({ "number": CUSTOMER, "location": place })).await;
    let flat = json!({ "number": CUSTOMER, "location.degreesLatitude": "52.5", "location.degreesLongitude": 13.4 });
    let flat = shop.json("/send/location", &flat).await;
    let (latitude, longitude) = (field("location.degreesLatitude", "52.5"), field("location.degreesLongitude", "13.4"));
    let multipart = shop.form("/send/location", &[field("number", CUSTOMER), latitude, longitude]).await;
    let headers = [("x-api-key", shop.session.key.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let body = format!("number=%2B{CUSTOMER}&location.degreesLatitude=52.5&location.degreesLongitude=13.4");
    let urlencoded = shop.post("/api/whatsapp/send/location", &headers, body.into_bytes()).await;
    for answer in [nested, flat, multipart, urlencoded] {
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = shop.shown(&answer.json()["messageId"]).await;
        assert_eq!(shown["type"], "location", "{shown:#}");
    }
    let poll = json!({ "number": CUSTOMER, "name": "Lunch?", "values": ["Soup", "Cake"] });
    let poll = shop.json("/send/poll", &poll).await;
    assert_eq!(shop.shown(&poll.json()["messageId"]).await["type"], "poll", "{poll:?}");

    let react = json!({ "number": CUSTOMER, "messageKey": id, "emoji": "👍" });
    let react = shop.json("/message/react", &react).await;
    assert_eq!((react.status, react.json()), (200, json!({ "success": true, "message": "Reaction sent" })));
    shop.stage.phone_shows(CUSTOMER, |message| message["type"] == "reaction").await;
    let delete = json!({ "number": CUSTOMER, "messageKey": { "remoteJid": jid, "fromMe": true, "id": id } });
    let delete = shop.json("/message/delete", &delete).await;
    assert_eq!((delete.status, delete.json()), (200, json!({ "success": true, "message": "Message deleted" })));
    shop.stage.phone_shows(CUSTOMER, |message| message["type"] == "revoke").await;
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wafastapi_says_what_is_wrong_in_its_own_words() {
    let shop = Shop::open().await;
    let place = json!({ "degreesLatitude": 91, "degreesLongitude": 0 });
    for (path, body) in [
        ("/send/text", json!({ "message": "x" })),
        ("/send/text", json!({ "number": CUSTOMER, "group": "1203", "message": "x" })),
        ("/send/text", json!({ "number": "12ab", "message": "x" })),
        ("/send/text", json!({ "number": CUSTOMER })),
        ("/send/text", json!({ "number": CUSTOMER, "message": 5 })),
        ("/send/location", json!({ "number": CUSTOMER, "location": place })),
        ("/send/location", json!({ "number": CUSTOMER })),
        ("/send/poll", json!({ "number": CUSTOMER, "name": "Lunch?", "values": ["Soup"] })),
        ("/send/poll", json!({ "number": CUSTOMER, "name": "Lunch?", "values": "Soup" })),
        ("/message/react", json!({ "number": CUSTOMER, "emoji": "x" })),
        ("/message/delete", json!({ "number": CUSTOMER, "messageKey": {} })),
        ("/message/delete", json!([])),
    ] {
        let refused = shop.json(path, &body).await;
        assert_eq!((refused.status, &refused.json()["success"]), (400, &json!(false)), "{path} {body}: {refused:?}");
    }
    let neither = shop.json("/send/text", &json!({ "message": "x", "number": null })).await;
    assert_eq!(neither.json()["error"], "Either number or group must be provided");
    for (key, status) in [("", 401), ("ses_live_wrong", 401), (&*shop.account.tenant_key, 404)] {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        let body = json!({ "number": CUSTOMER, "message": "x" }).to_string().into_bytes();
        let refused = shop.post("/api/whatsapp/send/text", &headers, body).await;
        assert_eq!((refused.status, &refused.json()["success"]), (status, &json!(false)), "{key}: {refused:?}");
    }
    let path = format!("/api/v1/whatsapp-sessions/{}/disconnect", shop.session.id);
    assert_eq!(shop.account.post(&path, &shop.session.key, json!({})).await.status, 200);
    let refused = shop.json("/send/text", &json!({ "number": CUSTOMER, "message": "x" })).await;
    assert_eq!((refused.status, &refused.json()["error"]), (404, &json!("no active session for this key")));
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_under_an_idempotency_key_is_known_by_its_fields_and_files() {
    let shop = Shop::open().await;
    let png = picture();
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("x-api-key", &*shop.session.key), ("content-type", &*content_type), ("idempotency-key", "order-1")];
    let body = |caption, name| {
        let to = field("number", CUSTOMER);
        form(&[to, field("caption", caption), file("photos", name, "image/png", &png)])
    };
    let path = "/api/whatsapp/send/photo";
    let first = shop.post(path, &headers, body("look", "a.png")).await;
    let kept = shop.kept().await;
    let again = shop.post(path, &headers, body("look", "a.png")).await;
    assert_eq!((again.status, &again.body, again.header("idempotent-replayed")), (200, &first.body, Some("true")));
    for other in [body("no", "a.png"), body("look", "b.png")] {
        let refused = shop.post(path, &headers, other).await;
        assert_eq!((refused.status, &refused.json()["success"]), (422, &json!(false)), "{refused:?}");
    }
    assert_eq!((shop.kept().await, shop.shows_in_all().await), (kept, 2));
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sends_four_files_at_once_and_a_fifth_is_told_to_come_back() {
    let shop = Shop::open().await;
    let head = format!(
        "POST /api/whatsapp/send/file HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: 1000000\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n--{BOUNDARY}\r\n\
         content-disposition: form-data; name=\"files\"; filename=\"a.txt\"\r\n\r\nand so on",
        shop.session.key
    );
    let begin = async || {
        let mut stream = TcpStream::connect(shop.stage.host.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut coming = vec![begin().await, begin().await, begin().await];
    let parts = [field("number", CUSTOMER), file("files", "b.txt", "text/plain", b"words")];
    let mut last = None;
    let refused = until(PATIENCE, async || {
        // Which of two comes first nobody knows: one that is refused in the place of this request is followed by another.
        coming.push(begin().await);
        let answer = shop.form("/send/file", &parts).await;
        let refused = answer.status == 429 && answer.header("retry-after").is_some();
        last = Some(answer);
        refused
    })
    .await;
    assert!(refused, "{last:?}");
    drop(coming);
    let taken = until(PATIENCE, async || shop.form("/send/file", &parts).await.status == 200).await;
    assert!(taken, "no place became free");
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wasender_takes_a_file_in_every_way_and_gives_a_public_address_that_can_be_sent() {
    let shop = Shop::open().await;
    let png = picture();
    let bearer = format!("Bearer {}", shop.session.key);
    let form_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let text = STANDARD.encode(&png);
    let plain = json!({ "base64": text, "mimetype": "image/png" }).to_string().into_bytes();
    let data_url = json!({ "base64": format!("data:image/png;base64,{text}") }).to_string().into_bytes();
    let mut url = String::new();
    for (content_type, body) in [
        ("application/json", plain),
        ("application/json", data_url),
        (&form_type, form(&[file("whatever", "a.png", "image/png", &png)])),
        ("image/png", png.clone()),
    ] {
        let headers = [("authorization", &*bearer), ("content-type", content_type)];
        let answer = shop.post("/api/v1/upload", &headers, body).await;
        assert_eq!(answer.status, 200, "{content_type}: {answer:?}");
        let answer = answer.json();
        url = answer["publicUrl"].as_str().unwrap().to_owned();
        assert_eq!((&answer["success"], &answer["data"]["publicUrl"]), (&json!(true), &json!(url)));
        let path = url.strip_prefix(&format!("http://{}", shop.stage.host.address())).unwrap();
        let public = shop.stage.http().json("GET", path, None, None).await.unwrap();
        assert!(public.status == 200 && public.body == png, "{content_type}: {}", public.status);
    }
    let sent = json!({ "to": CUSTOMER, "imageUrl": url });
    let sent = shop.account.post("/api/v1/send-message", &shop.session.key, sent).await;
    assert_eq!(shop.shown(&sent.json()["messageId"]).await["type"], "image", "{sent:?}");
    for (content_type, body, status) in [
        ("application/json", json!({ "base64": "not base64!" }).to_string().into_bytes(), 422),
        ("application/json", json!({ "base64": "" }).to_string().into_bytes(), 422),
        ("application/json", json!({ "base64": STANDARD.encode("<!doctype html><p>no") }).to_string().into_bytes(), 415),
        ("application/json", b"{\"base64\":\"aGk=\"".to_vec(), 422),
        ("application/json", b"{}".to_vec(), 422),
        ("application/json", vec![b' '; 32 * MIB + 1], 413),
        ("application/json", vec![b' '; 2 * MIB], 413),
        (&form_type, form(&[field("file", "no file")]), 422),
        ("multipart/mixed; boundary=x", b"--x--".to_vec(), 415),
        ("image/png", Vec::new(), 422),
    ] {
        let headers = [("authorization", &*bearer), ("content-type", content_type)];
        let refused = shop.post("/api/v1/upload", &headers, body).await;
        assert_eq!((refused.status, &refused.json()["success"]), (status, &json!(false)), "{content_type}: {refused:?}");
    }
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wasender_opens_a_sealed_file_of_whatsapp_and_fetches_from_nowhere_else() {
    let shop = Shop::open().await;
    let png = picture();
    let content = json!({ "image": { "base64": STANDARD.encode(&png), "mime": "image/png" } });
    let id = shop.stage.phone_sends(CUSTOMER, SHOP, content).await;
    shop.account.event("message.received", |data| data["whatsapp_id"] == json!(id)).await;
    let events = shop.account.events().await;
    let n = events.iter().find(|event| event["data"]["whatsapp_id"] == json!(id)).unwrap()["n"].as_u64().unwrap();
    let event = shop.stage.host.storage().event(TenantId(shop.account.tenant), n).await.unwrap().unwrap();
    let Fact::MessageReceived(incoming) = event.fact else { panic!("{event:?}") };
    let media = incoming.content.media().unwrap();
    let MediaSource::WhatsApp(place) = &media.source else { panic!("{media:?}") };
    let base64 = |text: &str| json!(STANDARD.encode(hex::decode(text).unwrap()));
    let sealed = json!({
        "mediaKey": base64(&place.media_key),
        "fileSha256": base64(media.sha256.as_deref().unwrap()),
        "fileEncSha256": base64(&place.enc_sha256),
        "fileLength": png.len().to_string(),
        "mimetype": "image/png",
        "directPath": place.direct_path,
    });
    let message = json!({ "imageMessage": sealed });
    let key = json!({ "id": id });
    for body in [
        json!({ "data": { "messages": { "key": key, "message": message } } }),
        json!({ "data": { "key": key, "message": { "viewOnceMessageV2": { "message": message } } } }),
        json!({ "key": key, "message": message }),
    ] {
        let opened = shop.account.post("/api/v1/decrypt-media", &shop.session.key, body).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let url = opened.json()["publicUrl"].as_str().unwrap().to_owned();
        let path = url.strip_prefix(&format!("http://{}", shop.stage.host.address())).unwrap();
        assert!(shop.stage.http().json("GET", path, None, None).await.unwrap().body == png);
    }
    for (name, value) in [
        ("directPath", json!("@169.254.169.254/latest")),
        ("directPath", json!(null)),
        ("mediaKey", json!("no base64!")),
        ("fileSha256", json!(null)),
    ] {
        let mut message = message.clone();
        message["imageMessage"][name] = value;
        let refused = shop.account.post("/api/v1/decrypt-media", &shop.session.key, json!({ "message": message })).await;
        assert_eq!((refused.status, &refused.json()["success"]), (422, &json!(false)), "{name}: {refused:?}");
    }
    shop.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_form_are_sent_together_or_not_at_all() {
    let shop = Shop::open().await;
    let tenant = format!("/switchboard/v1/tenants/{}", shop.account.tenant);
    let limits = json!({ "limits": { "messages_per_month": 3 } });
    let set = shop.stage.http().json("PATCH", &tenant, Some(ADMIN_KEY), Some(&limits)).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    let png = picture();
    let photos = |count: usize| {
        let photo = file("photos", "a.png", "image/png", &png);
        [vec![field("number", CUSTOMER)], vec![photo; count]].concat()
    };
    assert_eq!(shop.sends("/send/photo", &photos(1)).await.len(), 1);
    let refused = shop.form("/send/photo", &photos(3)).await;
    assert_eq!((refused.status, &refused.json()["success"]), (429, &json!(false)), "{refused:?}");
    let left = ["x-ratelimit-limit", "x-ratelimit-remaining"].map(|name| refused.header(name));
    assert_eq!(left, [Some("3"), Some("2")], "the refusal cost nothing: {refused:?}");
    assert_eq!(shop.sends("/send/photo", &photos(2)).await.len(), 2);
    assert_eq!(received(shop.stage.control(), ADMIN_KEY, CUSTOMER, 0, 0).await.len(), 3);
    shop.stage.stop().await;
}
