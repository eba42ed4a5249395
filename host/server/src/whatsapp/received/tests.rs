//! What the protobufs of phones mean.

use switchboard_core::records::content::{Content, MediaSource};
use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;

use super::from_protobuf;

fn content(message: &wa::Message) -> Option<Content> {
    from_protobuf(message).map(|received| received.content)
}

fn wrapped(message: wa::Message) -> MessageField<wa::message::FutureProofMessage> {
    MessageField::some(wa::message::FutureProofMessage { message: MessageField::some(message) })
}

fn text(text: &str) -> wa::Message {
    wa::Message { conversation: Some(text.to_owned()), ..wa::Message::default() }
}

fn key(id: &str, from_me: bool, participant: Option<&str>) -> wa::MessageKey {
    wa::MessageKey {
        id: Some(id.to_owned()),
        from_me: Some(from_me),
        participant: participant.map(str::to_owned),
        ..wa::MessageKey::default()
    }
}

#[test]
fn a_picture_keeps_what_is_said_of_it_and_what_opens_it() {
    let image = wa::message::ImageMessage {
        direct_path: Some("/v/t62/1".to_owned()),
        url: Some(String::new()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![2; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(70_000),
        media_key_timestamp: Some(1_750_000_000),
        mimetype: Some("image/jpeg".to_owned()),
        caption: Some("a cat".to_owned()),
        width: Some(640),
        height: Some(480),
        context_info: MessageField::some(wa::ContextInfo {
            stanza_id: Some("Q1".to_owned()),
            participant: Some("1@lid".to_owned()),
            mentioned_jid: vec!["2@lid".to_owned()],
            ..wa::ContextInfo::default()
        }),
        ..wa::message::ImageMessage::default()
    };
    let message = wa::Message { image_message: MessageField::some(image), ..wa::Message::default() };
    let once = wa::Message { view_once_message_v2: wrapped(message), ..wa::Message::default() };
    let received = from_protobuf(&once).unwrap();
    assert!(received.extras.view_once);
    assert_eq!(received.extras.mentions, ["2@lid"]);
    assert_eq!(received.extras.quote.unwrap().message_id, "Q1");
    let Content::Image(media) = received.content else { panic!("{:?}", received.content) };
    let MediaSource::WhatsApp(place) = &media.source else { panic!("{:?}", media.source) };
    assert_eq!((place.direct_path.as_str(), &place.url, place.key_at_s), ("/v/t62/1", &None, Some(1_750_000_000)));
    assert_eq!((place.media_key.as_str(), place.enc_sha256.as_str()), ("01".repeat(32).as_str(), "03".repeat(32).as_str()));
    assert_eq!((media.mime.as_deref(), media.caption.as_deref()), (Some("image/jpeg"), Some("a cat")));
    assert_eq!((media.size, media.width, media.height), (Some(70_000), Some(640), Some(480)));
    assert_eq!(media.sha256, Some("02".repeat(32)));
}

#[test]
fn sounds_films_files_and_stickers_say_what_they_are() {
    let voice = wa::message::AudioMessage { ptt: Some(true), seconds: Some(3), ..wa::message::AudioMessage::default() };
    let gif = wa::message::VideoMessage { gif_playback: Some(true), ..wa::message::VideoMessage::default() };
    let file = wa::message::DocumentMessage {
        file_name: Some("a.pdf".to_owned()),
        caption: Some("read it".to_owned()),
        ..wa::message::DocumentMessage::default()
    };
    let audio = wa::Message { audio_message: MessageField::some(voice), ..wa::Message::default() };
    let Some(Content::Audio(audio)) = content(&audio) else { panic!() };
    assert_eq!((audio.voice_note, audio.seconds), (true, Some(3)));
    let video = wa::Message { video_message: MessageField::some(gif.clone()), ..wa::Message::default() };
    let circle = wa::Message { ptv_message: MessageField::some(gif), ..wa::Message::default() };
    for message in [video, circle] {
        assert!(matches!(content(&message), Some(Content::Video(video)) if video.gif));
    }
    let inner = wa::Message { document_message: MessageField::some(file), ..wa::Message::default() };
    let document = wa::Message { document_with_caption_message: wrapped(inner), ..wa::Message::default() };
    let Some(Content::Document(document)) = content(&document) else { panic!() };
    assert_eq!((document.file_name.as_deref(), document.caption.as_deref()), (Some("a.pdf"), Some("read it")));
    let inner = wa::Message { sticker_message: MessageField::some(Default::default()), ..wa::Message::default() };
    let sticker = wa::Message { lottie_sticker_message: wrapped(inner), ..wa::Message::default() };
    assert!(matches!(content(&sticker), Some(Content::Sticker(_))));
}

fn protocol(protocol: wa::message::ProtocolMessage) -> wa::Message {
    wa::Message { protocol_message: MessageField::some(protocol), ..wa::Message::default() }
}

#[test]
fn edits_and_revokes_name_the_message_that_they_are_about() {
    use wa::message::protocol_message::Type;
    let caption = wa::message::ImageMessage { caption: Some("new".to_owned()), ..wa::message::ImageMessage::default() };
    let image = wa::Message { image_message: MessageField::some(caption), ..wa::Message::default() };
    for edited in [text("new"), image] {
        let edit = protocol(wa::message::ProtocolMessage {
            key: MessageField::some(key("M1", true, None)),
            r#type: Some(Type::MESSAGE_EDIT),
            edited_message: MessageField::some(edited),
            ..wa::message::ProtocolMessage::default()
        });
        assert!(matches!(content(&edit), Some(Content::Edit(edit)) if edit.message_id == "M1" && edit.text == "new"));
    }
    let revoke = protocol(wa::message::ProtocolMessage {
        key: MessageField::some(key("M2", false, Some("2@lid"))),
        ..wa::message::ProtocolMessage::default()
    });
    let revoked = from_protobuf(&revoke).unwrap();
    assert!(matches!(revoked.content, Content::Revoke(revoke) if revoke.message_id == "M2"));
    assert_eq!(revoked.about.unwrap().participant.as_deref(), Some("2@lid"));
    let keys = protocol(wa::message::ProtocolMessage {
        r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
        ..wa::message::ProtocolMessage::default()
    });
    assert!(from_protobuf(&keys).is_none(), "what the app alone reads is no message");
}

#[test]
fn a_poll_brings_its_secret_and_a_vote_is_still_sealed() {
    let option = |name: &str| wa::message::poll_creation_message::Option {
        option_name: Some(name.to_owned()),
        ..wa::message::poll_creation_message::Option::default()
    };
    let poll = wa::message::PollCreationMessage {
        name: Some("Lunch?".to_owned()),
        options: vec![option("Soup"), option("Cake")],
        selectable_options_count: Some(1),
        ..wa::message::PollCreationMessage::default()
    };
    let secret = wa::MessageContextInfo { message_secret: Some(vec![7; 32]), ..wa::MessageContextInfo::default() };
    let asked = wa::Message {
        poll_creation_message_v3: MessageField::some(poll),
        message_context_info: MessageField::some(secret.clone()),
        ..wa::Message::default()
    };
    let received = from_protobuf(&asked).unwrap();
    assert_eq!(received.poll_secret, Some(vec![7; 32]));
    assert!(matches!(received.content, Content::Poll(poll) if poll.options == ["Soup", "Cake"]));
    let with_secret = wa::Message { message_context_info: MessageField::some(secret), ..text("hello") };
    assert_eq!(from_protobuf(&with_secret).unwrap().poll_secret, None, "only a poll's secret is kept");
    let value = wa::message::PollEncValue { enc_payload: Some(vec![1]), enc_iv: Some(vec![2]) };
    let update = wa::message::PollUpdateMessage {
        poll_creation_message_key: MessageField::some(key("P1", true, None)),
        vote: MessageField::some(value),
        ..wa::message::PollUpdateMessage::default()
    };
    let vote = wa::Message { poll_update_message: MessageField::some(update), ..wa::Message::default() };
    let received = from_protobuf(&vote).unwrap();
    assert!(matches!(received.content, Content::PollVote(vote) if vote.poll_id == "P1" && vote.options.is_none()));
    assert_eq!(received.vote.unwrap().payload, [1]);
}

#[test]
fn cards_come_with_the_numbers_that_stand_on_them() {
    let card = wa::message::ContactMessage {
        display_name: Some("Bo".to_owned()),
        vcard: Some("BEGIN:VCARD\nTEL;waid=491520000001:+49 1520 0000-01\nEND:VCARD".to_owned()),
        ..wa::message::ContactMessage::default()
    };
    let one = wa::Message { contact_message: MessageField::some(card.clone()), ..wa::Message::default() };
    let several = wa::message::ContactsArrayMessage {
        contacts: vec![card.clone(), card],
        ..wa::message::ContactsArrayMessage::default()
    };
    let several = wa::Message { contacts_array_message: MessageField::some(several), ..wa::Message::default() };
    for (message, count) in [(one, 1), (several, 2)] {
        let Some(Content::Contacts(cards)) = content(&message) else { panic!() };
        assert_eq!(cards.len(), count);
        assert!(cards.iter().all(|card| card.phones == ["491520000001"] && card.vcard.is_some()));
    }
}

#[test]
fn answers_to_buttons_and_lists_carry_what_was_chosen() {
    use wa::message::buttons_response_message::Response;
    let pressed = wa::message::ButtonsResponseMessage {
        selected_button_id: Some("yes".to_owned()),
        response: Some(Response::SelectedDisplayText("Yes!".to_owned())),
        ..wa::message::ButtonsResponseMessage::default()
    };
    let pressed = wa::Message { buttons_response_message: MessageField::some(pressed), ..wa::Message::default() };
    assert!(matches!(content(&pressed), Some(Content::ButtonReply(it)) if it.id == "yes" && it.title == "Yes!"));
    let row = wa::message::list_response_message::SingleSelectReply { selected_row_id: Some("r1".to_owned()) };
    let chosen = wa::message::ListResponseMessage {
        title: Some("Row".to_owned()),
        single_select_reply: MessageField::some(row),
        ..wa::message::ListResponseMessage::default()
    };
    let chosen = wa::Message { list_response_message: MessageField::some(chosen), ..wa::Message::default() };
    assert!(matches!(content(&chosen), Some(Content::ListReply(it)) if it.id == "r1" && it.title == "Row"));
}

#[test]
fn what_has_no_name_here_is_still_a_message_and_keys_alone_are_none() {
    let pin = wa::Message { pin_in_chat_message: MessageField::some(Default::default()), ..wa::Message::default() };
    assert_eq!(content(&pin), Some(Content::Other("pin".to_owned())));
    let ring = wa::message::BCallMessage { session_id: Some("1".to_owned()), ..wa::message::BCallMessage::default() };
    let strange = wa::Message { bcall_message: MessageField::some(ring), ..wa::Message::default() };
    assert_eq!(content(&strange), Some(Content::Other("unknown".to_owned())));
    let keys = wa::Message {
        sender_key_distribution_message: MessageField::some(Default::default()),
        message_context_info: MessageField::some(Default::default()),
        ..wa::Message::default()
    };
    assert_eq!(content(&keys), None);
    assert_eq!(content(&wa::Message::default()), None);
}

#[test]
fn a_message_wrapped_in_itself_many_times_is_read_or_named_but_ends() {
    let mut message = text("deep");
    for _ in 0..40 {
        message = wa::Message { ephemeral_message: wrapped(message), ..wa::Message::default() };
    }
    assert!(content(&message).is_some());
}
