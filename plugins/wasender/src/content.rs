//! Finds out what kind of message a payload is: nested (`"image":{"url"}`) or flat (`"imageUrl"`).

use switchboard_dialect::payload;
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::media_at;
use switchboard_guest_sdk::types::{ContactCard, Content, Media, Poll};

type ContentOf = fn(Media) -> Content;
type Read = fn(&mut Fields) -> Option<Content>;

/// The media types: nested name, flat name, and the content that comes of it.
const MEDIA: &[(&str, &str, ContentOf)] = &[
    ("image", "imageUrl", Content::Image),
    ("video", "videoUrl", Content::Video),
    ("document", "documentUrl", Content::Document),
    ("audio", "audioUrl", Content::Audio),
    ("sticker", "stickerUrl", Content::Sticker),
];

/// The types that are objects.
const OBJECTS: &[(&str, Read)] = &[
    ("location", |inner| payload::location(inner, "latitude", "longitude").map(Content::Location)),
    ("contact", |inner| Some(Content::Contacts(vec![contact(inner)]))),
    ("poll", |inner| Some(Content::Poll(poll(inner)))),
];

/// The content of the payload. `None` only after a field was refused.
pub fn detect(fields: &mut Fields) -> Option<Content> {
    for (nested, flat, content) in MEDIA {
        if fields.has(nested) {
            let mut inner = fields.object(nested)?;
            let media = nested_media(&mut inner);
            fields.absorb(inner);
            return Some(content(media));
        }
        if fields.has(flat) {
            return Some(content(flat_media(fields, flat)));
        }
    }
    for (name, read) in OBJECTS {
        if fields.has(name) {
            let mut inner = fields.object(name)?;
            let content = read(&mut inner);
            fields.absorb(inner);
            return content;
        }
    }
    // It says nothing of a text, but has its type all the same.
    fields.text("fileName");
    Some(Content::Text(fields.required_text("text")))
}

fn nested_media(inner: &mut Fields) -> Media {
    let media = media_at(inner.required_text("url"));
    Media { caption: inner.text("caption"), file_name: inner.text("fileName"), ..media }
}

fn flat_media(fields: &mut Fields, name: &str) -> Media {
    let media = media_at(fields.required_text(name));
    Media { caption: fields.text("text"), file_name: fields.text("fileName"), ..media }
}

fn contact(inner: &mut Fields) -> ContactCard {
    let (name, phone) = if inner.has("fullName") { ("fullName", "phoneNumber") } else { ("name", "phone") };
    payload::contact(inner, name, phone)
}

fn poll(inner: &mut Fields) -> Poll {
    let any = inner.flag("multiSelect").unwrap_or(false);
    payload::poll(inner, "question", "options", u32::from(!any))
}
