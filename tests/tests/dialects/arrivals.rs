//! Every type of message of every dialect, as the receiver's phone shows it: exactly that type, with everything that was asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_tests::files::{self, FileServer, film, picture, voice};
use switchboard_tests::form::{BOUNDARY, Part, field, file, form};

use crate::stage::{CUSTOMER, Cast, SHOP};

const VCARD: &str =
    "BEGIN:VCARD\nVERSION:3.0\nFN:Ann Ä\nORG:Shop;\nTEL;type=CELL;waid=491520000009:+49 1520 000009\nEND:VCARD";

struct Scene {
    cast: Cast,
    web: FileServer,
    group: String,
}

/// Whether a shown message has everything that is expected, however much else it has.
fn has(shown: &Value, expected: &Value) -> bool {
    match (shown, expected) {
        (Value::Object(shown), Value::Object(expected)) => {
            expected.iter().all(|(name, wanted)| has(shown.get(name).unwrap_or(&Value::Null), wanted))
        }
        _ => shown == expected,
    }
}

impl Scene {
    async fn open() -> Self {
        let cast = Cast::start().await;
        let wish = json!({ "subject": "Club", "participants": [CUSTOMER, SHOP] });
        let group = cast.stage.sim("POST", "groups", wish).await["jid"].as_str().unwrap().to_owned();
        Self { cast, web: files::serve().await, group }
    }

    async fn post(&self, path: &str, (header, key): (&str, String), content_type: &str, body: Vec<u8>) -> LocalAnswer {
        let headers = [(header, key), ("content-type", content_type.to_owned())];
        let answer = self.cast.stage.http().exchange("POST", path, &headers, body).await.unwrap();
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer
    }

    /// Sends each body, and waits until the phone shows what is expected of it. `null` in an expectation is what must not be there.
    async fn all_arrive(&self, path: &str, key: (&str, String), table: Vec<(Value, Value)>) {
        for (body, expected) in table {
            self.post(path, key.clone(), "application/json", body.to_string().into_bytes()).await;
            self.arrives(&expected).await;
        }
    }

    async fn arrives(&self, expected: &Value) {
        self.cast.stage.phone_shows(CUSTOMER, |shown| has(shown, expected)).await;
    }

    fn bearer(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.cast.ours.tenant_key))
    }
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// A file that a phone shows: its type, caption and MIME type.
fn shown(kind: &str, caption: &str, mime: &str) -> Value {
    json!({ "type": kind, "caption": caption, "media": { "mime": mime }, "view_once": null })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_prosendi_arrives_as_that_type() {
    let scene = Scene::open().await;
    let of =
        |file: &str, caption: &str| json!({ "recipient": CUSTOMER, "message": caption, "media_url": scene.web.url(file) });
    let mut invoice = shown("document", "an invoice", "application/pdf");
    invoice["media"]["file_name"] = json!("invoice.pdf");
    let to_group = json!({ "recipient": scene.group, "message": "to all", "is_group": true });
    let mut in_group = text("to all");
    in_group["chat"] = json!(scene.group);
    let table = vec![
        (json!({ "recipient": format!("+{CUSTOMER}"), "message": "Ünïcode 👋" }), text("Ünïcode 👋")),
        (of("photo.png", "a picture"), shown("image", "a picture", "image/png")),
        (of("film.mp4", "a film"), shown("video", "a film", "video/mp4")),
        (of("invoice.pdf", "an invoice"), invoice),
        (json!({ "recipient": CUSTOMER, "media_url": scene.web.url("sound.ogg") }), json!({ "type": "audio", "ptt": null })),
        (to_group, in_group),
    ];
    let key = ("x-api-key", scene.cast.ours.tenant_key.clone());
    scene.all_arrive("/api/whatsapp/send", key, table).await;
    scene.cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_wamux_arrives_as_that_type() {
    let scene = Scene::open().await;
    let texts = vec![(json!({ "to": CUSTOMER, "message": "plain" }), text("plain"))];
    scene.all_arrive("/api/v1/messages", scene.bearer(), texts).await;
    let media = |file: &str, kind: &str, caption: &str| json!({ "to": CUSTOMER, "mediaUrl": scene.web.url(file), "mediaType": kind, "caption": caption });
    let files = vec![
        (media("photo.png", "image", "a picture"), shown("image", "a picture", "image/png")),
        (media("film.mp4", "video", "a film"), shown("video", "a film", "video/mp4")),
    ];
    scene.all_arrive("/api/v1/messages/media", scene.bearer(), files).await;
    let audio = |ptt: bool| json!({ "to": CUSTOMER, "audioUrl": scene.web.url("sound.ogg"), "ptt": ptt });
    let sounds = vec![
        (audio(true), json!({ "type": "audio", "ptt": true })),
        (audio(false), json!({ "type": "audio", "ptt": null })),
    ];
    scene.all_arrive("/api/v1/messages/audio", scene.bearer(), sounds).await;
    scene.cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_sendapi_arrives_as_that_type() {
    let scene = Scene::open().await;
    let of = |kind: &str, object: Value| json!({ "to": CUSTOMER, "type": kind, kind: object });
    let url = |file: &str| scene.web.url(file);
    let mut bill = shown("document", "to pay", "application/pdf");
    bill["media"]["file_name"] = json!("Bill.pdf");
    let place = json!({ "latitude": 52.5, "longitude": -13.25, "name": "Tower", "address": "Square 1" });
    let poll = json!({ "question": "When?", "options": ["Mon", "Tue", "Wed"], "selectable_count": 2 });
    let asked = json!({ "name": "When?", "options": ["Mon", "Tue", "Wed"], "selectable_count": 2 });
    let in_body = json!({ "base64": STANDARD.encode(picture()), "caption": "in the body" });
    let table = vec![
        (of("text", json!({ "body": "plain" })), text("plain")),
        (of("image", json!({ "url": url("photo.png"), "caption": "a picture" })), shown("image", "a picture", "image/png")),
        (of("image", in_body), shown("image", "in the body", "image/png")),
        (of("video", json!({ "url": url("film.mp4"), "caption": "a film" })), shown("video", "a film", "video/mp4")),
        (of("audio", json!({ "url": url("sound.ogg"), "ptt": true })), json!({ "type": "audio", "ptt": true })),
        (of("audio", json!({ "url": url("sound.ogg") })), json!({ "type": "audio", "ptt": null })),
        (of("document", json!({ "url": url("invoice.pdf"), "filename": "Bill.pdf", "caption": "to pay" })), bill),
        (of("location", place.clone()), json!({ "type": "location", "location": place })),
        (
            of("contact", json!({ "name": "Bo", "phone": "+491520000008" })),
            json!({ "type": "contact", "contact": { "display_name": "Bo" } }),
        ),
        (
            of("contact", json!({ "vcard": VCARD })),
            json!({ "type": "contact", "contact": { "display_name": "Ann Ä", "vcard": VCARD } }),
        ),
        (of("poll", poll), json!({ "type": "poll", "poll": asked })),
    ];
    scene.all_arrive("/v1/whatsapp/send", scene.bearer(), table).await;
    scene.cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_wasender_arrives_as_that_type() {
    let scene = Scene::open().await;
    let key = ("authorization", format!("Bearer {}", scene.cast.connected.key));
    let with = |mut object: Value| {
        object["to"] = json!(CUSTOMER);
        object
    };
    let url = |file: &str| scene.web.url(file);
    let mut bill = shown("document", "to pay", "application/pdf");
    bill["media"]["file_name"] = json!("Bill.pdf");
    let asked =
        |count: u32| json!({ "type": "poll", "poll": { "name": "?", "options": ["a", "b"], "selectable_count": count } });
    let poll = |any: bool| with(json!({ "poll": { "question": "?", "options": ["a", "b"], "multiSelect": any } }));
    let card = |name: &str| json!({ "type": "contact", "contact": { "display_name": name } });
    let once = json!({ "type": "image", "caption": "only once", "view_once": true });
    let mentioned =
        json!({ "type": "text", "text": "you @491520000001", "mentions": [format!("{CUSTOMER}@s.whatsapp.net")] });
    let table = vec![
        (with(json!({ "text": "plain" })), text("plain")),
        (with(json!({ "image": { "url": url("photo.png"), "caption": "nested" } })), shown("image", "nested", "image/png")),
        (with(json!({ "imageUrl": url("photo.png"), "text": "flat" })), shown("image", "flat", "image/png")),
        (with(json!({ "imageUrl": url("photo.png"), "text": "only once", "viewOnce": true })), once),
        (with(json!({ "video": { "url": url("film.mp4"), "caption": "nested" } })), shown("video", "nested", "video/mp4")),
        (with(json!({ "videoUrl": url("film.mp4"), "text": "flat" })), shown("video", "flat", "video/mp4")),
        (with(json!({ "audioUrl": url("sound.ogg") })), json!({ "type": "audio" })),
        (with(json!({ "documentUrl": url("invoice.pdf"), "text": "to pay", "fileName": "Bill.pdf" })), bill),
        (
            with(json!({ "stickerUrl": url("sticker.webp") })),
            json!({ "type": "sticker", "media": { "mime": "image/webp" } }),
        ),
        (
            with(json!({ "location": { "latitude": "52.5", "longitude": "-13.25", "name": "Tower" } })),
            json!({ "type": "location", "location": { "latitude": 52.5, "longitude": -13.25, "name": "Tower" } }),
        ),
        (with(json!({ "contact": { "fullName": "Ann", "phoneNumber": "+491520000009" } })), card("Ann")),
        (with(json!({ "contact": { "name": "Bo", "phone": "+491520000008" } })), card("Bo")),
        (poll(false), asked(1)),
        (poll(true), asked(0)),
        (with(json!({ "text": "you @491520000001", "mentions": [format!("{CUSTOMER}@s.whatsapp.net")] })), mentioned),
    ];
    scene.all_arrive("/api/v1/send-message", key.clone(), table).await;
    let first = scene
        .post("/api/send-message", key.clone(), "application/json", with(json!({ "text": "first" })).to_string().into())
        .await;
    let (number, id) = (first.json()["data"]["msgId"].clone(), first.json()["messageId"].clone());
    let answer = with(json!({ "text": "answer", "replyTo": number }));
    let quoting = json!({ "type": "text", "text": "answer", "quoted_id": id });
    scene.all_arrive("/api/v1/send-message", key, vec![(answer, quoting)]).await;
    scene.cast.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_wafastapi_arrives_as_that_type() {
    let scene = Scene::open().await;
    let key = ("x-api-key", scene.cast.connected.key.clone());
    let place = json!({ "degreesLatitude": 52.5, "degreesLongitude": "-13.25", "name": "Tower", "address": "Square 1" });
    let there = json!({ "latitude": 52.5, "longitude": -13.25, "name": "Tower", "address": "Square 1" });
    let poll = json!({ "number": CUSTOMER, "name": "?", "values": ["a", "b", "c"], "selectableCount": 2 });
    let asked = json!({ "name": "?", "options": ["a", "b", "c"], "selectable_count": 2 });
    let bare = scene.group.trim_end_matches("@g.us");
    for (path, body, expected) in [
        ("text", json!({ "number": CUSTOMER, "message": "plain" }), text("plain")),
        (
            "text",
            json!({ "group": bare, "message": "to all" }),
            json!({ "type": "text", "text": "to all", "chat": scene.group }),
        ),
        ("location", json!({ "number": CUSTOMER, "location": place }), json!({ "type": "location", "location": there })),
        ("poll", poll, json!({ "type": "poll", "poll": asked })),
    ] {
        scene.all_arrive(&format!("/api/whatsapp/send/{path}"), key.clone(), vec![(body, expected)]).await;
    }
    let (png, mp4, ogg) = (picture(), film(), voice());
    let to = || field("number", CUSTOMER);
    let once = |kind: &str, caption: &str| json!({ "type": kind, "caption": caption, "view_once": true });
    let photo = || file("photos", "a.png", "image/png", &png);
    let film = || file("videos", "a.mp4", "video/mp4", &mp4);
    let sound = || file("audios", "a.ogg", "audio/ogg", &ogg);
    let mut list = shown("document", "prices", "application/pdf");
    list["media"]["file_name"] = json!("Preis Liste.pdf");
    let (yes, no) = (|name: &str| field(name, "true"), |name: &str| field(name, "false"));
    let forms: Vec<(&str, Vec<Part<'_>>, Value)> = vec![
        ("photo", vec![to(), field("caption", "look"), photo()], shown("image", "look", "image/png")),
        ("photo", vec![to(), field("caption", "once"), yes("viewOnce"), photo()], once("image", "once")),
        ("video", vec![to(), field("caption", "film"), no("gif"), film()], shown("video", "film", "video/mp4")),
        ("video", vec![to(), field("caption", "loop"), yes("gif"), film()], shown("gif", "loop", "video/mp4")),
        ("video", vec![to(), field("caption", "once"), yes("viewOnce"), film()], once("video", "once")),
        ("audio", vec![to(), yes("voice"), sound()], json!({ "type": "audio", "ptt": true })),
        ("audio", vec![to(), sound()], json!({ "type": "audio", "ptt": null })),
        (
            "file",
            vec![
                to(),
                field("caption", "prices"),
                file("files", "Preis Liste.pdf", "application/pdf", b"%PDF-1.7 and so on"),
            ],
            list,
        ),
    ];
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    for (path, parts, expected) in forms {
        scene.post(&format!("/api/whatsapp/send/{path}"), key.clone(), &content_type, form(&parts)).await;
        scene.arrives(&expected).await;
    }
    let body = json!({ "number": CUSTOMER, "message": "to be changed" }).to_string().into_bytes();
    let id = scene.post("/api/whatsapp/send/text", key.clone(), "application/json", body).await.json()["messageId"].clone();
    let about = |emoji: &str| json!({ "number": CUSTOMER, "messageKey": id, "emoji": emoji });
    let reacted = |emoji: &str| json!({ "type": "reaction", "reaction": { "message_id": id, "emoji": emoji } });
    let table = vec![(about("🎉"), reacted("🎉")), (about(""), reacted(""))];
    scene.all_arrive("/api/whatsapp/message/react", key.clone(), table).await;
    let gone = json!({ "number": CUSTOMER, "messageKey": { "id": id, "fromMe": true } });
    let table = vec![(gone, json!({ "type": "revoke", "revoked": id }))];
    scene.all_arrive("/api/whatsapp/message/delete", key, table).await;
    scene.cast.stage.stop().await;
}
