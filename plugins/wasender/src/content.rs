//! Finds out what kind of message a payload is: nested (`"image":{"url"}`) or flat (`"imageUrl"`).

use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::types::{ContactCard, Content, Location, Media, MediaSource, Poll};

type ContentOf = fn(Media) -> Content;

/// The media types: nested name, flat name, and the content that comes of it.
const MEDIA: &[(&str, &str, ContentOf)] = &[
    ("image", "imageUrl", Content::Image),
    ("video", "videoUrl", Content::Video),
    ("document", "documentUrl", Content::Document),
    ("audio", "audioUrl", Content::Audio),
    ("sticker", "stickerUrl", Content::Sticker),
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
    if fields.has("location") {
        let mut inner = fields.object("location")?;
        let location = location(&mut inner);
        fields.absorb(inner);
        return location.map(Content::Location);
    }
    if fields.has("contact") {
        let mut inner = fields.object("contact")?;
        let card = contact(&mut inner);
        fields.absorb(inner);
        return Some(Content::Contacts(vec![card]));
    }
    if fields.has("poll") {
        let mut inner = fields.object("poll")?;
        let poll = poll(&mut inner);
        fields.absorb(inner);
        return Some(Content::Poll(poll));
    }
    Some(Content::Text(fields.required_text("text")))
}

fn media(url: String, caption: Option<String>, file_name: Option<String>) -> Media {
    Media {
        source: MediaSource::Url(url),
        mime: None,
        caption,
        file_name,
        voice_note: false,
        gif: false,
        size: None,
        sha256: None,
        width: None,
        height: None,
        seconds: None,
    }
}

fn nested_media(inner: &mut Fields) -> Media {
    let url = inner.required_text("url");
    media(url, inner.text("caption"), inner.text("fileName"))
}

fn flat_media(fields: &mut Fields, name: &str) -> Media {
    let url = fields.required_text(name);
    media(url, fields.text("text"), fields.text("fileName"))
}

fn location(inner: &mut Fields) -> Option<Location> {
    for (name, limit) in [("latitude", 90.0), ("longitude", 180.0)] {
        if !inner.has(name) {
            inner.refuse(name, "is required");
        } else if inner.number(name).is_some_and(|degrees| degrees.abs() > limit) {
            inner.refuse(name, format!("must be between -{limit} and {limit}"));
        }
    }
    let (latitude, longitude) = (inner.number("latitude")?, inner.number("longitude")?);
    Some(Location { latitude, longitude, name: inner.text("name"), address: inner.text("address") })
}

fn contact(inner: &mut Fields) -> ContactCard {
    let (name, phone) = if inner.has("fullName") { ("fullName", "phoneNumber") } else { ("name", "phone") };
    let display_name = inner.required_text(name);
    ContactCard { display_name, phones: vec![inner.required_text(phone)], vcard: None }
}

fn poll(inner: &mut Fields) -> Poll {
    let name = inner.required_text("question");
    let options = inner.texts("options");
    if options.len() < 2 {
        inner.refuse("options", "must have at least 2 entries");
    }
    let any = inner.flag("multiSelect").unwrap_or(false);
    Poll { name, options, selectable_count: u32::from(!any), announcement: false }
}
