//! Each kind of content, and each wrapper around it, as the owner of a phone sees it.

use serde_json::{Value, json};
use waproto::buffa::MessageField;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{
    AudioMessage, ContactMessage, ContactsArrayMessage, DocumentMessage, ExtendedTextMessage, FutureProofMessage,
    ImageMessage, LocationMessage, PollCreationMessage, ProtocolMessage, ReactionMessage, VideoMessage,
    poll_creation_message,
};
use waproto::whatsapp::{ContextInfo, Message, MessageKey};

use super::types::Envelope;

fn read(message: &Message) -> Value {
    let envelope = Envelope { id: "A1".to_owned(), chat: "c".to_owned(), from: "f".to_owned(), at_ms: 0 };
    serde_json::to_value(super::shown::read(envelope, message).unwrap()).unwrap()
}

/// What is read, beside the fields every entry has.
fn expect(message: &Message, mut fields: Value) {
    let mut whole = json!({ "n": 0, "id": "A1", "chat": "c", "from": "f" });
    whole.as_object_mut().unwrap().append(fields.as_object_mut().unwrap());
    assert_eq!(read(message), whole);
}

fn key(id: &str) -> MessageField<MessageKey> {
    MessageField::some(MessageKey { id: Some(id.to_owned()), ..MessageKey::default() })
}

fn wrap(message: Message) -> MessageField<FutureProofMessage> {
    MessageField::some(FutureProofMessage { message: MessageField::some(message) })
}

fn image() -> Message {
    Message {
        image_message: MessageField::some(ImageMessage {
            mimetype: Some("image/png".to_owned()),
            caption: Some("look".to_owned()),
            file_length: Some(9),
            file_sha256: Some(vec![0xab; 2]),
            ..ImageMessage::default()
        }),
        ..Message::default()
    }
}

fn text(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Message::default() }
}

#[test]
fn answer_names_what_it_quotes_and_whom_it_mentions() {
    let message = Message {
        extended_text_message: MessageField::some(ExtendedTextMessage {
            text: Some("yes @1".to_owned()),
            context_info: MessageField::some(ContextInfo {
                stanza_id: Some("Q1".to_owned()),
                mentioned_jid: vec!["1@s.whatsapp.net".to_owned()],
                ..ContextInfo::default()
            }),
            ..ExtendedTextMessage::default()
        }),
        ..Message::default()
    };
    expect(&message, json!({ "type": "text", "text": "yes @1", "quoted_id": "Q1", "mentions": ["1@s.whatsapp.net"] }));
}

#[test]
fn media_shows_its_file() {
    let media = json!({ "mime": "image/png", "size": 9, "sha256": "abab" });
    expect(&image(), json!({ "type": "image", "caption": "look", "media": media }));
    let note = Message {
        audio_message: MessageField::some(AudioMessage { ptt: Some(true), ..AudioMessage::default() }),
        ..Message::default()
    };
    let nothing = json!({ "mime": "", "size": 0, "sha256": "" });
    expect(&note, json!({ "type": "audio", "ptt": true, "media": nothing }));
    let gif = Message {
        video_message: MessageField::some(VideoMessage { gif_playback: Some(true), ..VideoMessage::default() }),
        ..Message::default()
    };
    expect(&gif, json!({ "type": "gif", "gif": true, "media": nothing }));
}

#[test]
fn wrapper_leaves_the_content_readable() {
    let media = json!({ "mime": "image/png", "size": 9, "sha256": "abab" });
    let once = Message {
        ephemeral_message: wrap(Message { view_once_message_v2: wrap(image()), ..Message::default() }),
        ..Message::default()
    };
    let seen = json!({ "type": "image", "caption": "look", "media": media, "view_once": true });
    expect(&once, seen);
    let file = Message {
        document_with_caption_message: wrap(Message {
            document_message: MessageField::some(DocumentMessage {
                file_name: Some("a.pdf".to_owned()),
                caption: Some("read".to_owned()),
                ..DocumentMessage::default()
            }),
            ..Message::default()
        }),
        ..Message::default()
    };
    let media = json!({ "mime": "", "size": 0, "sha256": "", "file_name": "a.pdf" });
    expect(&file, json!({ "type": "document", "caption": "read", "media": media }));
}

#[test]
fn edit_and_revoke_name_the_other_message() {
    let edit = Message {
        edited_message: wrap(Message {
            protocol_message: MessageField::some(ProtocolMessage {
                key: key("M1"),
                r#type: Some(ProtocolType::MESSAGE_EDIT),
                edited_message: MessageField::some(text("better")),
                ..ProtocolMessage::default()
            }),
            ..Message::default()
        }),
        ..Message::default()
    };
    expect(&edit, json!({ "type": "edit", "text": "better", "edited": "M1" }));
    let revoke = Message {
        protocol_message: MessageField::some(ProtocolMessage {
            key: key("M1"),
            r#type: Some(ProtocolType::REVOKE),
            ..ProtocolMessage::default()
        }),
        ..Message::default()
    };
    expect(&revoke, json!({ "type": "revoke", "revoked": "M1" }));
}

#[test]
fn poll_and_reaction_have_their_shapes() {
    let option = |name: &str| poll_creation_message::Option { option_name: Some(name.to_owned()), option_hash: None };
    let poll = Message {
        poll_creation_message_v3: MessageField::some(PollCreationMessage {
            name: Some("tea?".to_owned()),
            options: vec![option("yes"), option("no")],
            selectable_options_count: Some(1),
            ..PollCreationMessage::default()
        }),
        ..Message::default()
    };
    let shape = json!({ "name": "tea?", "options": ["yes", "no"], "selectable_count": 1 });
    expect(&poll, json!({ "type": "poll", "poll": shape }));
    let reaction = Message {
        reaction_message: MessageField::some(ReactionMessage {
            key: key("M1"),
            text: Some("+".to_owned()),
            ..ReactionMessage::default()
        }),
        ..Message::default()
    };
    let shape = json!({ "message_id": "M1", "emoji": "+" });
    expect(&reaction, json!({ "type": "reaction", "reaction": shape }));
}

#[test]
fn place_and_contacts_have_their_shapes() {
    let place = Message {
        location_message: MessageField::some(LocationMessage {
            degrees_latitude: Some(f64::NAN),
            degrees_longitude: Some(2.5),
            name: Some("pier".to_owned()),
            ..LocationMessage::default()
        }),
        ..Message::default()
    };
    let shape = json!({ "latitude": 0.0, "longitude": 2.5, "name": "pier" });
    expect(&place, json!({ "type": "location", "location": shape }));
    let card = |vcard: &str| ContactMessage { vcard: Some(vcard.to_owned()), ..ContactMessage::default() };
    let several = Message {
        contacts_array_message: MessageField::some(ContactsArrayMessage {
            display_name: Some("2 contacts".to_owned()),
            contacts: vec![card("A"), card("B")],
            ..ContactsArrayMessage::default()
        }),
        ..Message::default()
    };
    let shape = json!({ "display_name": "2 contacts", "vcard": "A\nB" });
    let cards = json!([{ "display_name": "", "vcard": "A" }, { "display_name": "", "vcard": "B" }]);
    expect(&several, json!({ "type": "contacts", "contact": shape, "contacts": cards }));
}

#[test]
fn endless_wrapping_is_no_trap() {
    let mut message = text("deep");
    for _ in 0..40 {
        message = Message { ephemeral_message: wrap(message), ..Message::default() };
    }
    expect(&message, json!({ "type": "unknown" }));
}
