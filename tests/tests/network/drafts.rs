//! A message of every kind as a phone's owner writes it, and what a client gets.

use serde_json::{Value, json};

/// What the control API is asked to send, and the least that the message says, under its protobuf names.
pub(crate) struct Draft {
    pub(crate) name: &'static str,
    pub(crate) body: Value,
    pub(crate) message: Value,
}

fn draft(name: &'static str, body: Value, message: Value) -> Draft {
    Draft { name, body, message }
}

/// `hello`, as the bytes of a file.
const FILE: &str = "aGVsbG8=";
const FILE_BYTES: u64 = 5;

/// One of every kind that refers to no other message.
pub(crate) fn drafts() -> Vec<Draft> {
    [words_and_places(), files(), choices()].into_iter().flatten().collect()
}

fn words_and_places() -> Vec<Draft> {
    let vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nEND:VCARD";
    vec![
        draft("text", json!({ "text": "plain text 🎈" }), json!({ "conversation": "plain text 🎈" })),
        draft(
            "link",
            json!({ "text": "see https://example.org/a", "preview": { "url": "https://example.org/a", "title": "A page" } }),
            json!({ "extended_text_message": { "text": "see https://example.org/a", "title": "A page" } }),
        ),
        draft(
            "mention",
            json!({ "text": "@you", "mentions": ["491510000009"] }),
            json!({ "extended_text_message": { "context_info": { "mentioned_jid": ["491510000009@s.whatsapp.net"] } } }),
        ),
        draft(
            "location",
            json!({ "location": { "latitude": 52.5, "longitude": 13.25, "name": "A square" } }),
            json!({ "location_message": { "degrees_latitude": 52.5, "degrees_longitude": 13.25, "name": "A square" } }),
        ),
        draft(
            "live location",
            json!({ "live_location": { "latitude": 52.5, "longitude": 13.25, "caption": "on my way" } }),
            json!({ "live_location_message": { "degrees_latitude": 52.5, "caption": "on my way" } }),
        ),
        draft(
            "contact",
            json!({ "contact": { "display_name": "Ada", "vcard": vcard } }),
            json!({ "contact_message": { "display_name": "Ada", "vcard": vcard } }),
        ),
        draft(
            "contacts",
            json!({ "contacts": [{ "display_name": "Ada", "vcard": vcard }, { "display_name": "Bo", "vcard": vcard }] }),
            json!({ "contacts_array_message": {} }),
        ),
    ]
}

fn files() -> Vec<Draft> {
    let file = |mime: &str| json!({ "base64": FILE, "mime": mime });
    let with = |mut file: Value, name: &str, value: Value| {
        file[name] = value;
        file
    };
    let said = |mime: &str| json!({ "mimetype": mime, "file_length": FILE_BYTES });
    let jpeg = "image/jpeg";
    let voice = "audio/ogg; codecs=opus";
    vec![
        draft(
            "image",
            json!({ "image": with(file(jpeg), "caption", json!("a picture")) }),
            json!({ "image_message": with(said(jpeg), "caption", json!("a picture")) }),
        ),
        draft("video", json!({ "video": file("video/mp4") }), json!({ "video_message": said("video/mp4") })),
        draft(
            "gif",
            json!({ "gif": file("video/mp4") }),
            json!({ "video_message": with(said("video/mp4"), "gif_playback", json!(true)) }),
        ),
        draft("video note", json!({ "video_note": file("video/mp4") }), json!({ "ptv_message": said("video/mp4") })),
        draft("audio", json!({ "audio": file("audio/mpeg") }), json!({ "audio_message": said("audio/mpeg") })),
        draft(
            "voice note",
            json!({ "voice": file(voice) }),
            json!({ "audio_message": with(said(voice), "ptt", json!(true)) }),
        ),
        draft(
            "document",
            json!({ "document": with(file("application/pdf"), "file_name", json!("a.pdf")) }),
            json!({ "document_message": with(said("application/pdf"), "file_name", json!("a.pdf")) }),
        ),
        draft("sticker", json!({ "sticker": file("image/webp") }), json!({ "sticker_message": said("image/webp") })),
    ]
}

fn choices() -> Vec<Draft> {
    let row = json!({ "id": "1", "title": "One" });
    let quick_reply = json!({ "type": "quick_reply", "id": "yes", "text": "Yes" });
    vec![
        draft(
            "poll",
            json!({ "poll": { "name": "Lunch?", "options": ["Soup", "Bread"], "selectable_count": 1 } }),
            json!({ "poll_creation_message_v3": { "name": "Lunch?", "selectable_options_count": 1 } }),
        ),
        draft(
            "buttons",
            json!({ "buttons": { "text": "Shall we?", "buttons": [{ "id": "yes", "text": "Yes" }] } }),
            json!({ "buttons_message": { "content_text": "Shall we?" } }),
        ),
        draft(
            "list",
            json!({ "list": { "text": "Pick one", "button_text": "Open", "sections": [{ "rows": [row] }] } }),
            json!({ "list_message": { "description": "Pick one", "button_text": "Open" } }),
        ),
        draft(
            "native flow",
            json!({ "interactive": { "text": "Choose", "buttons": [{ "name": "quick_reply", "params": { "id": "yes" } }] } }),
            json!({ "interactive_message": { "body": { "text": "Choose" } } }),
        ),
        draft(
            "template",
            json!({ "template": { "text": "Your parcel is here", "buttons": [quick_reply] } }),
            json!({ "template_message": {} }),
        ),
        draft(
            "event",
            json!({ "event": { "name": "Meeting", "start_s": 1_900_000_000 } }),
            json!({ "event_message": { "name": "Meeting", "start_time": 1_900_000_000 } }),
        ),
    ]
}
