//! A message of every kind that people send, and what a phone shows of it.

use serde_json::{Value, json};
use whatsapp_rust::prelude::*;
use whatsapp_rust::waproto::whatsapp::message::{
    AlbumMessage, AudioMessage, ButtonsMessage, ContactMessage, ContactsArrayMessage, DocumentMessage, EventMessage,
    ExtendedTextMessage, FutureProofMessage, GroupInviteMessage, ImageMessage, InteractiveMessage, ListMessage,
    LiveLocationMessage, LocationMessage, PollCreationMessage, StickerMessage, TemplateMessage, VideoMessage,
    buttons_message, interactive_message, list_message, poll_creation_message, template_message,
};

/// A message, and the least that a phone shows of it.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) message: wa::Message,
    pub(crate) shown: Value,
}

fn sample(name: &'static str, message: wa::Message, shown: Value) -> Sample {
    Sample { name, message, shown }
}

/// One of every kind.
pub(crate) fn samples() -> Vec<Sample> {
    [texts(), pictures(), sounds_and_files(), places_and_people(), choices(), other()].into_iter().flatten().collect()
}

/// Whether `actual` says everything that `wanted` says.
pub(crate) fn says(actual: &Value, wanted: &Value) -> bool {
    match (actual, wanted) {
        (Value::Object(actual), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| says(actual.get(name).unwrap_or(&Value::Null), wanted))
        }
        _ => actual == wanted,
    }
}

/// What a message says, without what the library adds on its way.
pub(crate) fn bare(message: &wa::Message) -> Value {
    let mut bare = serde_json::to_value(message).unwrap();
    if let Some(fields) = bare.as_object_mut() {
        fields.remove("message_context_info");
        fields.retain(|_, value| !value.is_null());
    }
    bare
}

fn texts() -> Vec<Sample> {
    let link = ExtendedTextMessage {
        text: Some("see https://example.org/a".to_owned()),
        matched_text: Some("https://example.org/a".to_owned()),
        title: Some("A page".to_owned()),
        description: Some("About a page".to_owned()),
        ..Default::default()
    };
    vec![
        sample("text", wa::Message::text("plain text, ünd 🎈"), json!({ "type": "text", "text": "plain text, ünd 🎈" })),
        sample(
            "long text",
            wa::Message::text("long ".repeat(10_000)),
            json!({ "type": "text", "text": "long ".repeat(10_000) }),
        ),
        sample(
            "link",
            wa::Message { extended_text_message: MessageField::some(link), ..Default::default() },
            json!({ "type": "text", "text": "see https://example.org/a" }),
        ),
    ]
}

fn image(caption: &str) -> ImageMessage {
    ImageMessage {
        mimetype: Some("image/jpeg".to_owned()),
        caption: Some(caption.to_owned()),
        direct_path: Some("/v/t62.7118-24/image".to_owned()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![2; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(1234),
        height: Some(4),
        width: Some(5),
        ..Default::default()
    }
}

fn video(gif: bool) -> VideoMessage {
    VideoMessage {
        mimetype: Some("video/mp4".to_owned()),
        direct_path: Some("/v/t62.7161-24/video".to_owned()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![4; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(4321),
        seconds: Some(7),
        gif_playback: gif.then_some(true),
        ..Default::default()
    }
}

fn pictures() -> Vec<Sample> {
    let sticker = StickerMessage {
        mimetype: Some("image/webp".to_owned()),
        direct_path: Some("/v/t62.15575-24/sticker".to_owned()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![5; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(99),
        is_animated: Some(true),
        ..Default::default()
    };
    let once = FutureProofMessage {
        message: MessageField::some(wa::Message {
            image_message: MessageField::some(ImageMessage { view_once: Some(true), ..image("look once") }),
            ..Default::default()
        }),
    };
    vec![
        sample(
            "image",
            wa::Message { image_message: MessageField::some(image("a picture")), ..Default::default() },
            json!({
                "type": "image", "caption": "a picture",
                "media": { "mime": "image/jpeg", "size": 1234, "sha256": "02".repeat(32) },
            }),
        ),
        sample(
            "view once",
            wa::Message { view_once_message_v2: MessageField::some(once), ..Default::default() },
            json!({ "type": "image", "caption": "look once", "view_once": true }),
        ),
        sample(
            "video",
            wa::Message { video_message: MessageField::some(video(false)), ..Default::default() },
            json!({ "type": "video", "media": { "mime": "video/mp4", "size": 4321, "sha256": "04".repeat(32) } }),
        ),
        sample(
            "gif",
            wa::Message { video_message: MessageField::some(video(true)), ..Default::default() },
            json!({ "type": "gif", "media": { "mime": "video/mp4" } }),
        ),
        sample(
            "video note",
            wa::Message { ptv_message: MessageField::some(video(false)), ..Default::default() },
            json!({ "type": "video_note", "media": { "mime": "video/mp4" } }),
        ),
        sample(
            "sticker",
            wa::Message { sticker_message: MessageField::some(sticker), ..Default::default() },
            json!({ "type": "sticker", "media": { "mime": "image/webp", "size": 99 } }),
        ),
    ]
}

fn sounds_and_files() -> Vec<Sample> {
    let audio = |ptt: bool| AudioMessage {
        mimetype: Some("audio/ogg; codecs=opus".to_owned()),
        direct_path: Some("/v/t62.7117-24/audio".to_owned()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![6; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(777),
        seconds: Some(3),
        ptt: ptt.then_some(true),
        waveform: ptt.then(|| vec![0, 50, 99]),
        ..Default::default()
    };
    let document = DocumentMessage {
        mimetype: Some("application/pdf".to_owned()),
        direct_path: Some("/v/t62.7119-24/document".to_owned()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![7; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(2048),
        file_name: Some("invoice.pdf".to_owned()),
        ..Default::default()
    };
    let captioned = FutureProofMessage {
        message: MessageField::some(wa::Message {
            document_message: MessageField::some(DocumentMessage {
                caption: Some("our invoice".to_owned()),
                ..document.clone()
            }),
            ..Default::default()
        }),
    };
    vec![
        sample(
            "audio",
            wa::Message { audio_message: MessageField::some(audio(false)), ..Default::default() },
            json!({ "type": "audio", "media": { "mime": "audio/ogg; codecs=opus", "size": 777 } }),
        ),
        sample(
            "voice note",
            wa::Message { audio_message: MessageField::some(audio(true)), ..Default::default() },
            json!({ "type": "audio", "ptt": true }),
        ),
        sample(
            "document",
            wa::Message { document_message: MessageField::some(document), ..Default::default() },
            json!({ "type": "document", "media": { "mime": "application/pdf", "file_name": "invoice.pdf", "size": 2048 } }),
        ),
        sample(
            "document with a caption",
            wa::Message { document_with_caption_message: MessageField::some(captioned), ..Default::default() },
            json!({ "type": "document", "caption": "our invoice", "media": { "file_name": "invoice.pdf" } }),
        ),
    ]
}

fn card(name: &str) -> ContactMessage {
    ContactMessage {
        display_name: Some(name.to_owned()),
        vcard: Some(format!("BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nEND:VCARD")),
        ..Default::default()
    }
}

/// A card as a phone shows it.
fn shown_card(name: &str) -> Value {
    json!({ "display_name": name, "vcard": card(name).vcard })
}

fn places_and_people() -> Vec<Sample> {
    let place = LocationMessage {
        degrees_latitude: Some(52.5),
        degrees_longitude: Some(13.25),
        name: Some("A square".to_owned()),
        address: Some("Some street 1".to_owned()),
        ..Default::default()
    };
    let moving = LiveLocationMessage {
        degrees_latitude: Some(52.5),
        degrees_longitude: Some(-13.25),
        caption: Some("on my way".to_owned()),
        sequence_number: Some(1),
        ..Default::default()
    };
    let several = ContactsArrayMessage {
        display_name: Some("2 contacts".to_owned()),
        contacts: vec![card("Ada"), card("Bo")],
        ..Default::default()
    };
    vec![
        sample(
            "location",
            wa::Message { location_message: MessageField::some(place), ..Default::default() },
            json!({
                "type": "location",
                "location": { "latitude": 52.5, "longitude": 13.25, "name": "A square", "address": "Some street 1" },
            }),
        ),
        sample(
            "live location",
            wa::Message { live_location_message: MessageField::some(moving), ..Default::default() },
            json!({ "type": "live_location", "location": { "latitude": 52.5, "longitude": -13.25 } }),
        ),
        sample(
            "contact",
            wa::Message { contact_message: MessageField::some(card("Ada")), ..Default::default() },
            json!({ "type": "contact", "contact": shown_card("Ada") }),
        ),
        sample(
            "contacts",
            wa::Message { contacts_array_message: MessageField::some(several), ..Default::default() },
            json!({ "type": "contacts", "contacts": [shown_card("Ada"), shown_card("Bo")] }),
        ),
    ]
}

fn choices() -> Vec<Sample> {
    let option = |name: &str| poll_creation_message::Option { option_name: Some(name.to_owned()), option_hash: None };
    let poll = PollCreationMessage {
        name: Some("Lunch?".to_owned()),
        options: vec![option("Soup"), option("Bread")],
        selectable_options_count: Some(1),
        ..Default::default()
    };
    let button = buttons_message::Button {
        button_id: Some("yes".to_owned()),
        button_text: MessageField::some(buttons_message::button::ButtonText { display_text: Some("Yes".to_owned()) }),
        ..Default::default()
    };
    let buttons = ButtonsMessage { content_text: Some("Shall we?".to_owned()), buttons: vec![button], ..Default::default() };
    let row = list_message::Row { title: Some("One".to_owned()), row_id: Some("1".to_owned()), ..Default::default() };
    let list = ListMessage {
        title: Some("Pick".to_owned()),
        description: Some("Pick one".to_owned()),
        button_text: Some("Open".to_owned()),
        list_type: Some(list_message::ListType::SINGLE_SELECT),
        sections: vec![list_message::Section { title: Some("All".to_owned()), rows: vec![row] }],
        ..Default::default()
    };
    let hydrated = template_message::HydratedFourRowTemplate {
        hydrated_content_text: Some("Your parcel is here".to_owned()),
        ..Default::default()
    };
    let template = TemplateMessage { hydrated_template: MessageField::some(hydrated), ..Default::default() };
    let flow = interactive_message::NativeFlowMessage {
        buttons: vec![interactive_message::native_flow_message::NativeFlowButton {
            name: Some("quick_reply".to_owned()),
            button_params_json: Some(r#"{"display_text":"Yes","id":"yes"}"#.to_owned()),
        }],
        message_version: Some(1),
        message_params_json: None,
    };
    let interactive = InteractiveMessage {
        body: MessageField::some(interactive_message::Body { text: Some("Choose".to_owned()) }),
        interactive_message: Some(interactive_message::InteractiveMessage::NativeFlowMessage(Box::new(flow))),
        ..Default::default()
    };
    vec![
        sample(
            "poll",
            wa::Message { poll_creation_message_v3: MessageField::some(poll), ..Default::default() },
            json!({ "type": "poll", "poll": { "name": "Lunch?", "options": ["Soup", "Bread"], "selectable_count": 1 } }),
        ),
        sample(
            "buttons",
            wa::Message { buttons_message: MessageField::some(buttons), ..Default::default() },
            json!({ "type": "buttons", "text": "Shall we?" }),
        ),
        sample(
            "list",
            wa::Message { list_message: MessageField::some(list), ..Default::default() },
            json!({ "type": "list", "text": "Pick one" }),
        ),
        sample(
            "template",
            wa::Message { template_message: MessageField::some(template), ..Default::default() },
            json!({ "type": "template", "text": "Your parcel is here" }),
        ),
        sample(
            "native flow",
            wa::Message { interactive_message: MessageField::some(interactive), ..Default::default() },
            json!({ "type": "interactive", "text": "Choose" }),
        ),
    ]
}

fn other() -> Vec<Sample> {
    let invite = GroupInviteMessage {
        group_jid: Some("120363000000000001@g.us".to_owned()),
        invite_code: Some("AbCdEf".to_owned()),
        group_name: Some("The club".to_owned()),
        caption: Some("come in".to_owned()),
        ..Default::default()
    };
    let event = EventMessage {
        name: Some("Meeting".to_owned()),
        description: Some("Monthly".to_owned()),
        start_time: Some(1_900_000_000),
        ..Default::default()
    };
    let album = AlbumMessage { expected_image_count: Some(2), ..Default::default() };
    vec![
        sample(
            "group invite",
            wa::Message { group_invite_message: MessageField::some(invite), ..Default::default() },
            json!({ "type": "group_invite", "text": "The club", "caption": "come in" }),
        ),
        sample(
            "event",
            wa::Message { event_message: MessageField::some(event), ..Default::default() },
            json!({ "type": "event" }),
        ),
        sample(
            "album",
            wa::Message { album_message: MessageField::some(album), ..Default::default() },
            json!({ "type": "album" }),
        ),
    ]
}
