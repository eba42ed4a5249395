//! `POST /upload` and `POST /decrypt-media`: a file comes in, a public address goes out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use switchboard_dialect::{Failure, Of, What, done, fields};
use switchboard_guest_sdk::router::{Request, Response};
use switchboard_guest_sdk::{http, media};

use crate::sessions::own;

/// How long an uploaded file is kept and its address is good: a day.
const UPLOAD_SECONDS: u32 = 86_400;
/// The same for a file that was opened: an hour.
const OPENED_SECONDS: u32 = 3600;

/// The kinds of files, by the member of a message that has one.
const KINDS: &[(&str, &str)] = &[
    ("imageMessage", "image"),
    ("videoMessage", "video"),
    ("audioMessage", "audio"),
    ("documentMessage", "document"),
    ("stickerMessage", "sticker"),
];
/// What can be around a message.
const WRAPPERS: &[&str] = &[
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
];

pub fn upload(request: &Request) -> Result<Response, Failure> {
    // It says what is wrong with the JSON, if it is any. What the file is, its content tells.
    let mut fields = fields(request)?;
    fields.text("mimetype");
    done(fields)?;
    let file = request.files.first().ok_or_else(|| Failure::field("base64", "or a file is required"))?;
    public(request, &file.blob, UPLOAD_SECONDS)
}

/// The address at which anybody can get the file.
fn public(request: &Request, handle: &str, seconds: u32) -> Result<Response, Failure> {
    media::keep(handle, seconds).of(What::Session)?;
    let url = format!("{}{}", request.base_url, media::link(handle, seconds).of(What::Session)?);
    let data = json!({ "publicUrl": url });
    Ok(http::json(200, &json!({ "success": true, "publicUrl": url, "data": data })))
}

pub fn decrypt(request: &Request) -> Result<Response, Failure> {
    let session = own(request)?;
    fields(request)?;
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let (kind, file) = file_of(unwrapped(message_of(&body)))
        .ok_or_else(|| Failure::field("data.messages.message", "must have a message with a file in it"))?;
    let sealed = sealed(kind, file)?;
    let opened = media::open_sealed(session, &sealed).of(What::Session)?;
    public(request, &opened.handle, OPENED_SECONDS)
}

/// The message, wherever the caller put it: as the webhook came, or what was in it, or by itself.
fn message_of(body: &Value) -> &Value {
    let data = body.get("data").unwrap_or(body);
    let messages = data.get("messages").unwrap_or(data);
    let entry = messages.get(0).unwrap_or(messages);
    entry.get("message").unwrap_or(entry)
}

fn unwrapped(message: &Value) -> &Value {
    let inner = WRAPPERS.iter().find_map(|name| message.get(name)?.get("message"));
    inner.map_or(message, |inner| WRAPPERS.iter().find_map(|name| inner.get(name)?.get("message")).unwrap_or(inner))
}

fn file_of(message: &Value) -> Option<(&'static str, &Map<String, Value>)> {
    KINDS.iter().find_map(|(name, kind)| Some((*kind, message.get(name)?.as_object()?)))
}

fn sealed(kind: &str, file: &Map<String, Value>) -> Result<media::Sealed, Failure> {
    let text = |name: &str| file.get(name).and_then(Value::as_str).map(str::to_owned);
    let bytes = |name: &str| {
        let read = file.get(name).and_then(bytes_of).filter(|bytes| !bytes.is_empty());
        read.ok_or_else(|| Failure::field(name, "of the file is required: base64"))
    };
    let direct_path = text("directPath").or_else(|| path_in(&text("url")?));
    Ok(media::Sealed {
        direct_path: direct_path.ok_or_else(|| Failure::field("directPath", "of the file is required"))?,
        media_key: bytes("mediaKey")?,
        sha256: bytes("fileSha256")?,
        sealed_sha256: bytes("fileEncSha256")?,
        bytes: file.get("fileLength").and_then(whole_number).unwrap_or(0),
        mime: text("mimetype"),
        file_name: text("fileName"),
        kind: kind.to_owned(),
    })
}

/// Bytes as base64, as a list, or as what lists of bytes become in the JSON of JavaScript: `{"0":12,"1":…}`.
fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
    match value {
        Value::String(text) => STANDARD.decode(text).ok(),
        Value::Array(bytes) => bytes.iter().map(byte).collect(),
        Value::Object(bytes) => match bytes.get("data") {
            Some(data) => bytes_of(data),
            None => (0..bytes.len()).map(|at| byte(bytes.get(&at.to_string())?)).collect(),
        },
        _ => None,
    }
}

/// A number, also as text: 64 bits do not fit every client's numbers.
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The path of a URL, where it is one of WhatsApp's.
fn path_in(url: &str) -> Option<String> {
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    host.ends_with(".whatsapp.net").then(|| format!("/{path}"))
}
