//! What a message says: an object under the name of its type.

use serde_json::Value;
use switchboard_dialect::payload;
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::types::{ContactCard, Content, Media, MediaSource, Poll};

/// Most options of a poll.
const OPTIONS_MAX: usize = 12;
/// Every type that can be asked for.
const TYPES: [&str; 10] =
    ["text", "image", "video", "audio", "document", "location", "contact", "template", "interactive", "poll"];

/// The content that these fields describe; `None` after a mistake was written down.
pub fn read(fields: &mut Fields) -> Option<Content> {
    let kind = fields.text("type").unwrap_or_else(|| "text".to_owned());
    if !TYPES.contains(&kind.as_str()) {
        fields.refuse("type", format!("{:?} is no type; there are: {}", shortened(&kind), TYPES.join(", ")));
        return None;
    }
    if kind == "text" {
        return text(fields).map(Content::Text);
    }
    fields.require(&kind);
    let mut inner = fields.object(&kind)?;
    let content = of_type(&kind, &mut inner);
    fields.absorb(inner);
    content
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A text: `text:{body}`, `text`, `content` or `message`.
fn text(fields: &mut Fields) -> Option<String> {
    let is_object = fields.json("text").is_some_and(|text| matches!(serde_json::from_str(&text), Ok(Value::Object(_))));
    if is_object {
        let mut inner = fields.object("text")?;
        let body = inner.required_text("body");
        fields.absorb(inner);
        return Some(body);
    }
    let name = ["text", "content", "message"].into_iter().find(|name| fields.has(name)).unwrap_or("text");
    Some(fields.required_text(name))
}

fn of_type(kind: &str, inner: &mut Fields) -> Option<Content> {
    match kind {
        "image" => media(inner).map(Content::Image),
        "video" => media(inner).map(Content::Video),
        "audio" => {
            let voice_note = inner.flag("ptt").unwrap_or(false);
            media(inner).map(|media| Content::Audio(Media { voice_note, ..media }))
        }
        "document" => {
            let file_name = inner.text("filename");
            media(inner).map(|media| Content::Document(Media { file_name, ..media }))
        }
        "location" => payload::location(inner, "latitude", "longitude").map(Content::Location),
        "contact" => Some(Content::Contacts(vec![contact(inner)])),
        "poll" => Some(Content::Poll(poll(inner))),
        other => {
            inner.refuse("", format!("messages of type {other} cannot be sent yet"));
            None
        }
    }
}

/// A file: `url`, or `base64`, which the host has taken into a blob already and replaced by its handle.
fn media(inner: &mut Fields) -> Option<Media> {
    let source = match (inner.has("url"), inner.has("base64")) {
        (true, false) => MediaSource::Url(inner.required_text("url")),
        (false, true) => MediaSource::Blob(inner.required_text("base64")),
        (true, true) => {
            inner.refuse("base64", "cannot stand beside url");
            return None;
        }
        (false, false) => {
            inner.require("url");
            return None;
        }
    };
    let caption = inner.text("caption").filter(|caption| !caption.is_empty());
    Some(Media { caption, ..payload::file(source) })
}

fn contact(inner: &mut Fields) -> ContactCard {
    if inner.has("vcard") {
        let vcard = inner.required_text("vcard");
        let display_name = inner.text("name").or_else(|| name_in(&vcard)).unwrap_or_else(|| "Contact".to_owned());
        return ContactCard { display_name, phones: Vec::new(), vcard: Some(vcard) };
    }
    payload::contact(inner, "name", "phone")
}

/// The formatted name of a vCard.
fn name_in(vcard: &str) -> Option<String> {
    let line = vcard.lines().find_map(|line| line.strip_prefix("FN:"))?;
    Some(line.trim().to_owned()).filter(|name| !name.is_empty())
}

fn poll(inner: &mut Fields) -> Poll {
    let count = inner.within("selectable_count", 1, OPTIONS_MAX as u64, 1);
    let poll = payload::poll(inner, "question", "options", u32::try_from(count).unwrap_or(1));
    if poll.options.len() > OPTIONS_MAX {
        inner.refuse("options", format!("has {} entries; 2 to {OPTIONS_MAX} are allowed", poll.options.len()));
    }
    poll
}
