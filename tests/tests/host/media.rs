//! Files from an upload or a URL to the screen of a phone, and what is refused on the way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard::http::LocalAnswer;
use switchboard_core::flow::intake::SendWish;
use switchboard_core::records::content::{Content, Extras, Media, MediaSource};
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::message::Schedule;
use switchboard_tests::account::{Account, TestSession, phone, received};
use switchboard_tests::files::{film, picture, voice};
use switchboard_tests::form::{BOUNDARY, form};
use switchboard_tests::patience::PATIENCE;
use switchboard_tests::stage::{ADMIN_KEY, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SHOP: &str = "491510000001";
const CUSTOMER: &str = "491520000001";

async fn upload(stage: &Stage, account: &Account, query: &str, content_type: &str, body: Vec<u8>) -> LocalAnswer {
    let headers = [("authorization", format!("Bearer {}", account.tenant_key)), ("content-type", content_type.to_owned())];
    stage.http().exchange("POST", &format!("/switchboard/v1/media{query}"), &headers, body).await.unwrap()
}

async fn uploaded(stage: &Stage, account: &Account, body: Vec<u8>) -> Value {
    let answer = upload(stage, account, "", "application/octet-stream", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn of(blob: &Value) -> Media {
    let source = MediaSource::Blob(blob["id"].as_str().unwrap().to_owned());
    Media::at(source)
}

/// Has a message accepted, and what the customer's phone shows of it.
async fn shown(stage: &Stage, account: &Account, session: &TestSession, content: Content, extras: Extras) -> Value {
    let wish = SendWish {
        session: SessionId(session.id),
        to: CUSTOMER.to_owned(),
        content,
        extras,
        schedule: Schedule::default(),
        origin: None,
    };
    let message = stage.host.intake().accept(TenantId(account.tenant), wish).await.unwrap();
    on_screen(stage, &message.whatsapp_id).await
}

async fn on_screen(stage: &Stage, id: &str) -> Value {
    let shown = async {
        let mut after = 0;
        loop {
            for message in received(stage.control(), ADMIN_KEY, CUSTOMER, after, 5000).await {
                after = message["n"].as_u64().unwrap();
                if message["id"] == id {
                    return message;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("+{CUSTOMER} never showed {id}"))
}

/// A web server that answers every request with these bytes; its URL.
async fn web(content_type: &'static str, body: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_kind_reach_the_phone_as_they_were_given() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let caption = Some("look".to_owned());
    let png = uploaded(&stage, &account, picture()).await;
    assert_eq!((&png["kind"], &png["mime"], &png["width"]), (&json!("image"), &json!("image/png"), &json!(300)));
    let mp4 = uploaded(&stage, &account, film()).await;
    assert_eq!((&mp4["kind"], &mp4["seconds"], &mp4["height"]), (&json!("video"), &json!(9), &json!(360)));
    let ogg = uploaded(&stage, &account, voice()).await;
    assert_eq!((&ogg["kind"], &ogg["seconds"], &ogg["voice"]), (&json!("audio"), &json!(2), &json!(true)));
    let pdf = uploaded(&stage, &account, b"%PDF-1.7 and so on".to_vec()).await;
    let named = Some("Price list.pdf".to_owned());
    for (name, blob, content) in [
        ("image", &png, Content::Image(Media { caption: caption.clone(), ..of(&png) })),
        ("video", &mp4, Content::Video(Media { caption: caption.clone(), ..of(&mp4) })),
        ("gif", &mp4, Content::Video(Media { gif: true, caption: caption.clone(), ..of(&mp4) })),
        ("audio", &ogg, Content::Audio(of(&ogg))),
        ("voice", &ogg, Content::Audio(Media { voice_note: true, ..of(&ogg) })),
        ("document", &pdf, Content::Document(Media { file_name: named.clone(), caption: caption.clone(), ..of(&pdf) })),
    ] {
        let shown = shown(&stage, &account, &shop, content, Extras::default()).await;
        let kind = if name == "voice" { "audio" } else { name };
        assert_eq!(shown["type"], kind, "{name}: {shown:#}");
        for (field, expected) in [("mime", &blob["mime"]), ("size", &blob["size"]), ("sha256", &blob["sha256"])] {
            assert_eq!(&shown["media"][field], expected, "{name}: {field}: {shown:#}");
        }
        let has_caption = !matches!(name, "audio" | "voice");
        assert_eq!(shown["caption"].as_str(), has_caption.then_some("look"), "{name}: {shown:#}");
        assert_eq!(shown["ptt"].as_bool().unwrap_or(false), name == "voice", "{name}: {shown:#}");
        if name == "document" {
            assert_eq!(shown["media"]["file_name"], "Price list.pdf");
        }
    }
    let once = Extras { view_once: true, ..Extras::default() };
    let shown = shown(&stage, &account, &shop, Content::Image(of(&png)), once).await;
    assert_eq!((&shown["type"], &shown["view_once"]), (&json!("image"), &json!(true)), "{shown:#}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_by_url_reaches_the_phone_and_a_web_page_is_refused_before_it_is_accepted() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let shop = account.linked(stage.control(), "Shop", SHOP).await;
    phone(stage.control(), ADMIN_KEY, CUSTOMER).await;
    let picture_url = web("application/octet-stream", picture()).await;
    let body = json!({ "to": CUSTOMER, "text": "look", "imageUrl": format!("{picture_url}/a.png") });
    let sent = account.post("/api/v1/send-message", &shop.key, body).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    let shown = on_screen(&stage, sent.json()["messageId"].as_str().unwrap()).await;
    assert_eq!((&shown["type"], &shown["caption"]), (&json!("image"), &json!("look")), "{shown:#}");
    assert_eq!(shown["media"]["size"].as_u64(), Some(picture().len() as u64));

    let page_url = web("image/png", b"<!doctype html><title>404</title>".to_vec()).await;
    for target in [page_url, "http://169.254.169.254/latest/meta-data/".to_owned(), "file:///etc/passwd".to_owned()] {
        let body = json!({ "to": CUSTOMER, "imageUrl": target });
        let refused = account.post("/api/v1/send-message", &shop.key, body).await;
        assert!((400..500).contains(&refused.status), "{target}: {refused:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_in_every_way_and_read_back_by_its_tenant_alone() {
    let stage = Stage::start().await;
    let (account, other) = (stage.account("Shop").await, stage.account("Other").await);
    let text = "Grüße".as_bytes().to_vec();
    let raw = upload(&stage, &account, "?file_name=..%2FGr%C3%BC%C3%9Fe.csv", "text/csv", text.clone()).await;
    assert_eq!(raw.status, 201, "{raw:?}");
    let raw = raw.json();
    assert_eq!((&raw["mime"], &raw["file_name"], &raw["size"]), (&json!("text/csv"), &json!("Grüße.csv"), &json!(7)));
    let url = web("text/plain", text.clone()).await;
    for wish in [json!({ "base64": STANDARD.encode(&text) }), json!({ "url": url })] {
        let made = account.post("/switchboard/v1/media", &account.tenant_key, wish).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!((&made.json()["sha256"], &made.json()["kind"]), (&raw["sha256"], &json!("document")));
    }
    let path = format!("/switchboard/v1/media/{}", raw["id"].as_str().unwrap());
    let content = account.get(&format!("{path}/content"), &account.tenant_key).await;
    assert_eq!((content.status, &content.body), (200, &text));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("content-disposition", "attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe.csv"),
        ("content-type", "text/csv"),
    ] {
        assert_eq!(content.header(name), Some(value), "{name}");
    }
    for below in ["", "/content"] {
        assert_eq!(account.get(&format!("{path}{below}"), &account.tenant_key).await.status, 200);
        assert_eq!(other.get(&format!("{path}{below}"), &other.tenant_key).await.status, 404);
    }
    let link = account.post(&format!("{path}/link"), &account.tenant_key, json!({ "seconds": 60 })).await;
    let link = link.json()["path"].as_str().unwrap().to_owned();
    let public = stage.http().json("GET", &link, None, None).await.unwrap();
    assert_eq!((public.status, &public.body, public.header("x-content-type-options")), (200, &text, Some("nosniff")));
    assert_eq!(stage.http().json("GET", &format!("{link}x"), None, None).await.unwrap().status, 404);
    assert_eq!(stage.http().json("DELETE", &path, Some(&account.tenant_key), None).await.unwrap().status, 204);
    assert_eq!(stage.http().json("GET", &link, None, None).await.unwrap().status, 404);
    assert_eq!(account.get(&path, &account.tenant_key).await.status, 404);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_media_or_too_large_is_refused_with_the_reason() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let mut bomb = picture();
    // The same picture promises 40,000 × 40,000 pixels; decoders check the sum only when asked to.
    bomb[16..24].copy_from_slice(&[0, 0, 0x9c, 0x40, 0, 0, 0x9c, 0x40]);
    for (query, body, status, word) in [
        ("", Vec::new(), 422, "empty"),
        ("", b"<html><body>no".to_vec(), 422, "web page"),
        ("", bomb, 422, "picture"),
        ("?as=image", b"words".to_vec(), 422, "cannot be sent as an image"),
        ("?as=hologram", b"words".to_vec(), 422, "hologram"),
    ] {
        let refused = upload(&stage, &account, query, "application/octet-stream", body).await;
        let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(refused.status == status && detail.contains(word), "{query}: {refused:?}");
    }
    let large = STANDARD.encode(vec![b'x'; 16 * 1024 * 1024 + 1]);
    let refused =
        account.post("/switchboard/v1/media", &account.tenant_key, json!({ "base64": large, "as": "image" })).await;
    assert_eq!((refused.status, &refused.json()["bytes_max"]), (413, &json!(16 * 1024 * 1024)), "{refused:?}");
    for (wish, word) in [
        (json!({ "url": "http://10.0.0.1/x" }), "unreachable"),
        (json!({ "base64": "not base64!" }), "base64"),
        (json!({}), "one of url and base64"),
    ] {
        let refused = account.post("/switchboard/v1/media", &account.tenant_key, wish).await;
        assert!(refused.status == 422 && refused.json()["detail"].as_str().unwrap().contains(word), "{refused:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_form_is_kept_with_its_name_and_type_and_nothing_of_the_form() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let head = "name=\"file\"; filename=\"View.png\"\r\nContent-Type: image/png";
    let kept = upload(&stage, &account, "", &content_type, form(&[(head, &picture())])).await;
    assert_eq!(kept.status, 201, "{kept:?}");
    let kept = kept.json();
    assert_eq!(
        (&kept["kind"], &kept["mime"], &kept["file_name"]),
        (&json!("image"), &json!("image/png"), &json!("View.png"))
    );
    let path = format!("/switchboard/v1/media/{}/content", kept["id"].as_str().unwrap());
    assert_eq!(account.get(&path, &account.tenant_key).await.body, picture());

    // Longer than what one read brings, with what looks like a boundary in it.
    let long: Vec<u8> = (0..3_000_000_u32).map(|n| b"\r\n------a0b1 "[n as usize % 13]).collect();
    let head = "name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv";
    let kept = upload(&stage, &account, "?as=document&file_name=b.csv", &content_type, form(&[(head, &long)])).await.json();
    let expected = (json!(3_000_000), json!("b.csv"), json!("text/csv"));
    assert_eq!((&kept["size"], &kept["file_name"], &kept["mime"]), (&expected.0, &expected.1, &expected.2));
    let path = format!("/switchboard/v1/media/{}/content", kept["id"].as_str().unwrap());
    assert!(account.get(&path, &account.tenant_key).await.body == long);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_one_file_is_refused_with_the_reason_and_nothing_is_kept() {
    let stage = Stage::start().await;
    let account = stage.account("Shop").await;
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let file = "name=\"file\"; filename=\"a.txt\"";
    let mut cut = form(&[(file, b"some words")]);
    cut.truncate(cut.len() - 30);
    let large = vec![b'x'; 16 * 1024 * 1024 + 1];
    let endless = format!("name=\"file\"; filename=\"{}\"", "a".repeat(3 * 1024 * 1024));
    for (query, content_type, body, status, word) in [
        ("", &*content_type, form::<&str>(&[]), 422, "file: is missing"),
        ("", &content_type, form(&[("name=\"upload\"", b"x")]), 422, "upload: is not known"),
        ("", &content_type, form(&[(file, b"some words"), (file, b"more")]), 422, "file: is there twice"),
        ("", &content_type, cut, 400, "the form: "),
        ("", &content_type, b"words".to_vec(), 400, "the form: "),
        ("", "multipart/form-data", form(&[(file, b"some words")]), 400, "boundary"),
        ("", "multipart/mixed; boundary=x", b"--x--".to_vec(), 415, "multipart/form-data"),
        ("?as=image", &content_type, form(&[(file, &large)]), 413, ""),
        ("", &content_type, form(&[(&endless, b"some words")]), 413, "beside its file"),
    ] {
        let refused = upload(&stage, &account, query, content_type, body).await;
        let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(refused.status == status && detail.contains(word), "{word}: {} {detail}", refused.status);
    }
    let usage = account.get("/switchboard/v1/usage", &account.tenant_key).await.json();
    let kept = usage["limits"].as_array().unwrap().iter().find(|limit| limit["limit"] == "media_bytes").unwrap();
    assert_eq!(kept["used"], 0);
    stage.stop().await;
}
