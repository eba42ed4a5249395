//! Everything a user can write is shown by the phone that gets it, and what makes no sense is refused by name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use waproto::buffa::MessageField;
use waproto::whatsapp::message::{EncCommentMessage, EncReactionMessage, ReactionMessage};
use waproto::whatsapp::{Message, MessageKey};

use super::addons::{Use, seal};
use super::compose::{CONTENTS, ComposeFault, Desk, Draft};
use super::media::{MediaKind, open};
use super::types::Envelope;
use super::{AddonNames, Phone, shown};

const ANN: &str = "15550001111@s.whatsapp.net";
const BOB: &str = "15550002222@s.whatsapp.net";
const NOW_MS: u64 = 1_700_000_000_000;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\0\0\0\x01\0";

fn phone() -> Phone {
    Phone::new("15550001111", "100000000000001", "Ann").unwrap()
}

fn envelope(id: &str, from: &str) -> Envelope {
    Envelope { id: id.to_owned(), chat: BOB.to_owned(), from: from.to_owned(), at_ms: NOW_MS }
}

/// What Ann writes to Bob.
fn compose(ann: &Phone, draft: &Value) -> Result<Message, ComposeFault> {
    compose_in(ann, BOB, draft)
}

fn compose_in(ann: &Phone, chat: &str, draft: &Value) -> Result<Message, ComposeFault> {
    let mut draft = draft.clone();
    draft.as_object_mut().unwrap().insert("to".to_owned(), json!(chat));
    let draft = Draft::read(draft.to_string().as_bytes())?;
    let is_group = chat.ends_with("@g.us");
    Ok(draft.compose(&Desk { phone: ann, chat, is_group, media_host: "media.test", now_ms: NOW_MS })?.message)
}

fn refusal(ann: &Phone, draft: &Value) -> String {
    compose(ann, draft).unwrap_err().to_string()
}

/// What another phone shows of a message, without the fields that every entry has.
fn shown(message: &Message) -> Value {
    let entry = shown::read(envelope("X1", ANN), message).unwrap();
    let mut entry = serde_json::to_value(entry).unwrap();
    for field in ["n", "id", "chat", "from"] {
        entry.as_object_mut().unwrap().remove(field);
    }
    entry
}

/// A message from Bob that Ann's phone knows.
fn receive(ann: &mut Phone, id: &str, message: &Message) {
    ann.receive(envelope(id, BOB), message).unwrap();
}

fn text(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Message::default() }
}

#[test]
fn plain_contents_are_shown_as_they_were_written() {
    let ann = phone();
    let place = json!({ "latitude": 1.5, "longitude": -2.0, "name": "pier", "address": "Quay 1" });
    let card = json!({ "display_name": "Bob", "vcard": "BEGIN:VCARD" });
    let poll = json!({ "name": "tea?", "options": ["yes", "no"], "selectable_count": 1 });
    let event = json!({ "name": "party", "start_s": 1_800_000_000, "location": place, "extra_guests_allowed": true });
    let invite = json!({ "group": "1203630001@g.us", "code": "abc", "name": "club", "caption": "come" });
    let preview = json!({ "url": "https://a.example", "title": "A", "description": "about A" });
    let cases = [
        (json!({ "text": "hello" }), json!({ "type": "text", "text": "hello" })),
        (
            json!({ "text": "see https://a.example", "preview": preview }),
            json!({ "type": "text", "text": "see https://a.example", "preview": preview }),
        ),
        (json!({ "location": place }), json!({ "type": "location", "location": place })),
        (
            json!({ "live_location": { "latitude": 1.0, "longitude": 2.0, "caption": "on my way" } }),
            json!({ "type": "live_location", "caption": "on my way", "location": { "latitude": 1.0, "longitude": 2.0 } }),
        ),
        (json!({ "contact": card }), json!({ "type": "contact", "contact": card })),
        (
            json!({ "contacts": [card, card] }),
            json!({
                "type": "contacts",
                "contact": { "display_name": "2 contacts", "vcard": "BEGIN:VCARD\nBEGIN:VCARD" },
                "contacts": [card, card],
            }),
        ),
        (json!({ "poll": poll }), json!({ "type": "poll", "poll": poll })),
        (json!({ "event": event }), json!({ "type": "event", "text": "party", "event": event })),
        (
            json!({ "group_invite": invite }),
            json!({ "type": "group_invite", "text": "club", "caption": "come", "group_invite": invite }),
        ),
        (
            json!({ "ephemeral_setting": { "seconds": 86_400 } }),
            json!({ "type": "ephemeral_setting", "ephemeral_setting": { "seconds": 86_400 } }),
        ),
    ];
    for (draft, expected) in cases {
        assert_eq!(shown(&compose(&ann, &draft).unwrap()), expected);
    }
}

#[test]
fn questions_are_shown_as_they_were_written() {
    let ann = phone();
    let buttons = json!({ "text": "tea?", "footer": "f", "header": "h", "buttons": [{ "id": "y", "text": "yes" }] });
    let row = json!({ "id": "r", "title": "row", "description": "d" });
    let list = json!({ "text": "pick", "button_text": "open", "sections": [{ "title": "s", "rows": [row] }] });
    let flow = json!({ "name": "cta_url", "params": { "display_text": "go", "url": "https://a.example" } });
    let interactive = json!({ "title": "t", "text": "b", "footer": "f", "buttons": [flow] });
    let carousel = json!({ "text": "b", "cards": [{ "text": "one", "buttons": [flow] }] });
    let template = json!({ "title": "t", "text": "b", "buttons": [
        { "type": "quick_reply", "id": "q", "text": "quick" },
        { "type": "url", "text": "page", "url": "https://a.example" },
        { "type": "call", "text": "ring", "phone_number": "+15550003333" },
    ] });
    let cases = [
        ("buttons", json!("tea?"), buttons),
        ("list", json!("pick"), list),
        ("interactive", json!("b"), interactive),
        ("interactive", json!("b"), carousel),
        ("template", json!("b"), template),
    ];
    for (kind, text, content) in cases {
        let expected = json!({ "type": kind, "text": text, kind: content });
        let message = compose(&ann, &json!({ kind: content })).unwrap();
        assert_eq!(shown(&message), expected);
        // What is shown can be sent again as it stands, but for the text that repeats what is in it.
        let again = compose(&ann, &json!({ "type": kind, kind: content })).unwrap();
        assert_eq!(shown(&again), expected);
    }
}

#[test]
fn answers_name_the_question() {
    let mut ann = phone();
    let ask = |ann: &mut Phone, id: &str, draft: Value| {
        let message = compose(ann, &draft).unwrap();
        receive(ann, id, &message);
    };
    ask(&mut ann, "B", json!({ "buttons": { "text": "?", "buttons": [{ "id": "y", "text": "yes" }] } }));
    let rows = json!([{ "rows": [{ "id": "r", "title": "row" }] }]);
    ask(&mut ann, "L", json!({ "list": { "text": "?", "button_text": "open", "sections": rows } }));
    ask(&mut ann, "I", json!({ "interactive": { "text": "?", "buttons": [{ "name": "quick_reply" }] } }));
    let reply = json!([{ "type": "quick_reply", "id": "q", "text": "quick" }]);
    ask(&mut ann, "T", json!({ "template": { "text": "?", "buttons": reply } }));
    let cases = [
        ("buttons_response", "B", json!({ "id": "y" }), json!({ "id": "y", "text": "yes" }), json!("y")),
        ("list_response", "L", json!({ "id": "r", "title": "row" }), json!({ "id": "r", "title": "row" }), json!("row")),
        (
            "interactive_response",
            "I",
            json!({ "name": "quick_reply", "params": { "id": "1" }, "text": "one" }),
            json!({ "name": "quick_reply", "params": { "id": "1" }, "text": "one" }),
            json!("one"),
        ),
        ("template_button_reply", "T", json!({ "id": "q" }), json!({ "id": "q", "text": "quick" }), json!("quick")),
    ];
    for (kind, question, answer, expected, text) in cases {
        let message = compose(&ann, &json!({ kind: answer, "quoted_id": question })).unwrap();
        assert_eq!(shown(&message), json!({ "type": kind, "quoted_id": question, "text": text, kind: expected }));
        assert!(refusal(&ann, &json!({ kind: answer })).contains("quoted_id"));
    }
    let wrong = json!({ "buttons_response": { "id": "n" }, "quoted_id": "B" });
    assert!(refusal(&ann, &wrong).contains("not on offer"));
}

#[test]
fn a_file_is_sealed_under_the_key_that_the_message_carries() {
    let ann = phone();
    let draft = json!({ "to": BOB, "image": { "base64": STANDARD.encode(PNG), "caption": "look" } });
    let draft = Draft::read(draft.to_string().as_bytes()).unwrap();
    let composed =
        draft.compose(&Desk { phone: &ann, chat: BOB, is_group: false, media_host: "media.test", now_ms: NOW_MS }).unwrap();
    let file = composed.file.unwrap();
    let image = composed.message.image_message.as_option().unwrap();
    assert_eq!(image.direct_path.as_deref(), Some(file.direct_path.as_str()));
    assert_eq!(image.url.as_deref(), Some(format!("https://media.test{}", file.direct_path).as_str()));
    assert_eq!(image.file_enc_sha256.as_deref(), Some(&file.sealed_sha256[..]));
    assert_eq!(open(MediaKind::Image, image.media_key.as_deref().unwrap(), &file.sealed).unwrap(), PNG);
    let shown = shown(&composed.message);
    assert_eq!(shown["media"]["mime"], "image/png");
    assert_eq!((&shown["media"]["width"], &shown["media"]["height"]), (&json!(512), &json!(256)));
    assert_eq!((&shown["media"]["size"], &shown["caption"]), (&json!(PNG.len()), &json!("look")));
}

#[test]
fn every_kind_of_file_is_shown_as_what_it_is() {
    let ann = phone();
    let base64 = STANDARD.encode(b"bytes");
    let cases = [
        ("image", json!({ "view_once": true }), json!({ "type": "image", "view_once": true })),
        ("video", json!({ "seconds": 3 }), json!({ "type": "video" })),
        ("gif", json!({}), json!({ "type": "gif", "gif": true })),
        ("video_note", json!({}), json!({ "type": "video_note" })),
        ("audio", json!({}), json!({ "type": "audio" })),
        ("audio", json!({ "ptt": true }), json!({ "type": "audio", "ptt": true })),
        ("voice", json!({ "view_once": true }), json!({ "type": "audio", "ptt": true, "view_once": true })),
        ("sticker", json!({}), json!({ "type": "sticker" })),
        ("document", json!({ "file_name": "a.pdf", "caption": "c" }), json!({ "type": "document", "caption": "c" })),
    ];
    for (kind, mut file, expected) in cases {
        file["base64"] = json!(base64);
        let mut shown = shown(&compose(&ann, &json!({ kind: file })).unwrap());
        let media = shown.as_object_mut().unwrap().remove("media").unwrap();
        assert_eq!(shown, expected, "{kind}");
        assert_eq!(media["size"], 5);
        assert_eq!(media.get("seconds"), file.get("seconds"));
        assert_eq!(media.get("file_name"), file.get("file_name"));
    }
}

#[test]
fn an_entry_as_it_is_shown_can_be_sent() {
    let mut ann = phone();
    receive(&mut ann, "M1", &text("hello"));
    let media = json!({ "base64": STANDARD.encode(b"bytes"), "mime": "audio/mpeg" });
    let audio = compose(&ann, &json!({ "type": "audio", "media": media, "ptt": true })).unwrap();
    assert_eq!(audio.audio_message.as_option().unwrap().ptt, Some(true));
    let reaction = json!({ "type": "reaction", "reaction": { "message_id": "M1", "emoji": "+" } });
    assert!(compose(&ann, &reaction).unwrap().reaction_message.is_set());
    assert!(refusal(&ann, &json!({ "type": "image", "text": "hello" })).contains("media"));
    assert!(refusal(&ann, &json!({ "type": "poll", "text": "hello" })).contains("type"));
}

#[test]
fn an_answer_carries_what_it_answers_and_whom_it_mentions() {
    let mut ann = phone();
    receive(&mut ann, "M1", &text("how are you"));
    let draft =
        json!({ "text": "fine @15550002222", "quoted_id": "M1", "mentions": ["+15550002222"], "ephemeral_seconds": 60 });
    let message = compose(&ann, &draft).unwrap();
    let context = message.extended_text_message.as_option().unwrap().context_info.as_option().unwrap();
    assert_eq!(context.participant.as_deref(), Some(BOB));
    assert_eq!(context.quoted_message.as_option().unwrap().conversation.as_deref(), Some("how are you"));
    let expected = json!({
        "type": "text", "text": "fine @15550002222", "quoted_id": "M1", "mentions": [BOB], "ephemeral_s": 60,
    });
    assert_eq!(shown(&message), expected);
}

#[test]
fn a_forwarded_message_keeps_its_content_and_counts_its_journeys() {
    let mut ann = phone();
    receive(&mut ann, "M1", &text("news"));
    let mut message = compose_in(&ann, "15550003333@s.whatsapp.net", &json!({ "forward": { "message_id": "M1" } })).unwrap();
    assert_eq!(shown(&message), json!({ "type": "text", "text": "news", "forwarded": true }));
    for id in ["M2", "M3", "M4", "M5", "M6", "M7"] {
        receive(&mut ann, id, &message);
        message = compose(&ann, &json!({ "forward": { "message_id": id } })).unwrap();
    }
    let context = message.extended_text_message.as_option().unwrap().context_info.as_option().unwrap();
    assert_eq!(context.forwarding_score, Some(127));
    let once = json!({ "image": { "base64": STANDARD.encode(PNG), "view_once": true } });
    let once = compose(&ann, &once).unwrap();
    receive(&mut ann, "V1", &once);
    assert!(refusal(&ann, &json!({ "forward": { "message_id": "V1" } })).contains("once"));
}

#[test]
fn changes_name_the_message_they_change() {
    let mut ann = phone();
    receive(&mut ann, "M1", &text("hello"));
    ann.show_own(envelope("O1", ANN), 0, &text("helo"), &[]).unwrap();
    let cases = [
        (
            json!({ "reaction": { "message_id": "M1", "emoji": "+" } }),
            json!({ "type": "reaction", "reaction": { "message_id": "M1", "emoji": "+" } }),
        ),
        (
            json!({ "edit": { "message_id": "O1", "text": "hello" } }),
            json!({ "type": "edit", "edited": "O1", "text": "hello" }),
        ),
        (json!({ "revoke": { "message_id": "O1" } }), json!({ "type": "revoke", "revoked": "O1" })),
        (
            json!({ "pin": { "message_id": "M1", "seconds": 60 } }),
            json!({ "type": "pin", "pin": { "message_id": "M1", "pinned": true, "seconds": 60 } }),
        ),
        (
            json!({ "unpin": { "message_id": "M1" } }),
            json!({ "type": "pin", "pin": { "message_id": "M1", "pinned": false } }),
        ),
        (json!({ "keep": { "message_id": "M1" } }), json!({ "type": "keep", "keep": { "message_id": "M1", "kept": true } })),
        (
            json!({ "unkeep": { "message_id": "M1" } }),
            json!({ "type": "keep", "keep": { "message_id": "M1", "kept": false } }),
        ),
    ];
    for (draft, expected) in cases {
        assert_eq!(shown(&compose(&ann, &draft).unwrap()), expected);
    }
    assert!(refusal(&ann, &json!({ "edit": { "message_id": "M1", "text": "x" } })).contains("wrote the message"));
    assert!(refusal(&ann, &json!({ "revoke": { "message_id": "M1" } })).contains("wrote the message"));
    assert!(refusal(&ann, &json!({ "reaction": { "message_id": "M9", "emoji": "+" } })).contains("M9"));
    let elsewhere = compose_in(&ann, "15550003333@s.whatsapp.net", &json!({ "pin": { "message_id": "M1" } }));
    assert!(elsewhere.unwrap_err().to_string().contains("is in chat"));
}

#[test]
fn an_admin_takes_back_anothers_message_in_a_group() {
    let mut ann = phone();
    let group = "1203630001@g.us";
    let envelope = Envelope { chat: group.to_owned(), ..envelope("M1", BOB) };
    ann.receive(envelope, &text("spam")).unwrap();
    let message = compose_in(&ann, group, &json!({ "revoke": { "message_id": "M1" } })).unwrap();
    let key = message.protocol_message.as_option().unwrap().key.as_option().unwrap().clone();
    assert_eq!((key.from_me, key.participant.as_deref()), (Some(false), Some(BOB)));
}

#[test]
fn a_sealed_edit_opens_on_a_phone_that_has_the_original() {
    let mut ann = phone();
    let original = compose(&ann, &json!({ "text": "helo" })).unwrap();
    ann.show_own(envelope("O1", ANN), 0, &original, &[]).unwrap();
    let edit = compose(&ann, &json!({ "edit": { "message_id": "O1", "text": "hello", "sealed": true } })).unwrap();
    assert!(edit.secret_encrypted_message.is_set());
    let mut bob = Phone::new("15550002222", "100000000000002", "Bob").unwrap();
    let names = [AddonNames { author: ANN.to_owned(), sender: ANN.to_owned() }];
    bob.receive(envelope("O1", ANN), &original).unwrap();
    let entry = bob.receive_sealed(envelope("E1", ANN), &edit, &names).unwrap();
    assert_eq!((entry.kind.as_str(), entry.edited.as_deref(), entry.text.as_deref()), ("edit", Some("O1"), Some("hello")));
    // Without the original there is nothing to open it with, but it still names what it edits.
    let mut eve = Phone::new("15550003333", "100000000000003", "Eve").unwrap();
    let entry = eve.receive_sealed(envelope("E1", ANN), &edit, &names).unwrap();
    assert_eq!((entry.edited.as_deref(), entry.text), (Some("O1"), None));
}

#[test]
fn sealed_reactions_and_comments_look_like_plain_ones() {
    let mut ann = phone();
    let post = compose(&ann, &json!({ "text": "news" })).unwrap();
    ann.show_own(envelope("O1", ANN), 0, &post, &[]).unwrap();
    let known = ann.known(BOB, "O1").unwrap().clone();
    let names = AddonNames { author: ANN.to_owned(), sender: BOB.to_owned() };
    let key = MessageField::some(MessageKey { id: Some("O1".to_owned()), ..MessageKey::default() });
    let inner = ReactionMessage { text: Some("+".to_owned()), ..ReactionMessage::default() };
    let (payload, nonce) = seal(Use::Reaction, &known, &names, &waproto::codec::reaction_message_to_vec(&inner)).unwrap();
    let reaction = Message {
        enc_reaction_message: MessageField::some(EncReactionMessage {
            target_message_key: key.clone(),
            enc_payload: Some(payload),
            enc_iv: Some(nonce),
        }),
        ..Message::default()
    };
    let entry = ann.receive_sealed(envelope("R1", BOB), &reaction, std::slice::from_ref(&names)).unwrap();
    assert_eq!(serde_json::to_value(entry.reaction).unwrap(), json!({ "message_id": "O1", "emoji": "+" }));
    let (payload, nonce) = seal(Use::Comment, &known, &names, &waproto::codec::message_to_vec(&text("well done"))).unwrap();
    let comment = Message {
        enc_comment_message: MessageField::some(EncCommentMessage {
            target_message_key: key,
            enc_payload: Some(payload),
            enc_iv: Some(nonce),
        }),
        ..Message::default()
    };
    let entry = ann.receive_sealed(envelope("C1", BOB), &comment, &[names]).unwrap();
    let shown = (entry.kind.as_str(), entry.commented.as_deref(), entry.text.as_deref());
    assert_eq!(shown, ("comment", Some("O1"), Some("well done")));
}

#[test]
fn answers_to_an_event_open_on_the_phone_that_asked() {
    let mut ann = phone();
    let mut bob = Phone::new("15550002222", "100000000000002", "Bob").unwrap();
    let event = compose(&ann, &json!({ "event": { "name": "party", "start_s": 1_800_000_000 } })).unwrap();
    ann.show_own(envelope("E1", ANN), 0, &event, &[]).unwrap();
    bob.receive(Envelope { chat: ANN.to_owned(), ..envelope("E1", ANN) }, &event).unwrap();
    let answer = json!({ "event_id": "E1", "response": "maybe", "extra_guests": 2 });
    let response = compose_in(&bob, ANN, &json!({ "event_response": answer })).unwrap();
    let names = [AddonNames { author: ANN.to_owned(), sender: BOB.to_owned() }];
    let entry = ann.receive_sealed(envelope("A1", BOB), &response, &names).unwrap();
    assert_eq!(serde_json::to_value(entry.event_response).unwrap(), answer);
}

#[test]
fn votes_are_counted_on_the_poll_and_replaced_by_later_ones() {
    let mut ann = phone();
    let mut bob = Phone::new("15550002222", "100000000000002", "Bob").unwrap();
    let poll = compose(&ann, &json!({ "poll": { "name": "?", "options": ["a", "b"], "selectable_count": 1 } })).unwrap();
    let chat = |id: &str, from: &str| Envelope { chat: ANN.to_owned(), ..envelope(id, from) };
    ann.show_own(envelope("P1", ANN), 0, &poll, &[]).unwrap();
    bob.receive(chat("P1", ANN), &poll).unwrap();
    let names = [AddonNames { author: ANN.to_owned(), sender: BOB.to_owned() }];
    for (id, options, votes) in [
        ("V1", json!(["a"]), json!({ "a": [BOB] })),
        ("V2", json!(["b"]), json!({ "b": [BOB] })),
        ("V3", json!([]), json!({})),
    ] {
        let vote = json!({ "poll_vote": { "poll_id": "P1", "options": options } });
        let vote = compose_in(&bob, ANN, &vote).unwrap();
        let entry = ann.receive_sealed(envelope(id, BOB), &vote, &names).unwrap();
        let entry = serde_json::to_value(entry).unwrap();
        assert_eq!(entry["poll_vote"], json!({ "poll_id": "P1", "voter": BOB, "options": options }));
        assert_eq!(entry["poll"]["votes"], votes);
        let own = serde_json::to_value(ann.own_after(0, 1)).unwrap();
        assert_eq!(own[0]["poll"]["votes"], votes);
    }
    let two = json!({ "poll_vote": { "poll_id": "P1", "options": ["a", "b"] } });
    assert!(compose_in(&bob, ANN, &two).unwrap_err().to_string().contains("poll_vote.options"));
    let other = json!({ "poll_vote": { "poll_id": "P1", "options": ["c"] } });
    assert!(compose_in(&bob, ANN, &other).unwrap_err().to_string().contains("\"c\""));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let mut ann = phone();
    receive(&mut ann, "M1", &text("hello"));
    let file = |field: &str, value: Value| json!({ "base64": "AAAA", field: value });
    let cases = [
        (json!({}), "no content"),
        (json!({ "txt": "hello" }), "txt"),
        (json!({ "text": "hello", "location": {} }), "location"),
        (json!({ "text": "" }), "text"),
        (json!({ "text": 5 }), "text"),
        (json!({ "text": "x".repeat(65_537) }), "65537"),
        (json!({ "text": "hello", "colour": "red" }), "colour"),
        (json!({ "location": { "latitude": 91.0, "longitude": 0.0 } }), "latitude"),
        (json!({ "location": { "latitude": 9.0, "longitude": 0.0, "nme": "x" } }), "nme"),
        (json!({ "contact": { "display_name": "x", "vcard": "" } }), "vcard"),
        (json!({ "contacts": [] }), "contacts"),
        (json!({ "poll": { "name": "?", "options": ["a"] } }), "poll.options"),
        (json!({ "poll": { "name": "?", "options": ["a", "a"] } }), "twice"),
        (json!({ "poll": { "name": "?", "options": ["a", "b"], "selectable_count": 3 } }), "poll.selectable_count"),
        (json!({ "poll": { "name": "?", "options": ["a", "b"], "votes": {} } }), "poll.votes"),
        (json!({ "image": { "base64": "???" } }), "image.base64"),
        (json!({ "image": { "base64": "" } }), "image.base64"),
        (json!({ "audio": file("caption", json!("x")) }), "audio.caption"),
        (json!({ "document": file("view_once", json!(true)) }), "document.view_once"),
        (json!({ "video": file("ptt", json!(true)) }), "video.ptt"),
        (json!({ "image": file("seconds", json!(3)) }), "image.seconds"),
        (json!({ "image": file("size", json!(3)) }), "size"),
        (json!({ "text": "see b", "preview": { "url": "https://a.example" } }), "preview.url"),
        (json!({ "location": { "latitude": 1.0, "longitude": 0.0 }, "preview": { "url": "x" } }), "preview"),
        (json!({ "text": "x", "quoted_id": "M9" }), "M9"),
        (json!({ "text": "x", "mentions": ["bob"] }), "mentions"),
        (json!({ "reaction": { "message_id": "M1", "emoji": "+" }, "quoted_id": "M1" }), "quoted_id"),
        (json!({ "reaction": { "message_id": "M1", "emoji": "x".repeat(65) } }), "reaction.emoji"),
        (json!({ "text": "x", "ephemeral_seconds": 99_999_999 }), "ephemeral_seconds"),
        (json!({ "pin": { "message_id": "M1", "seconds": 0 } }), "pin.seconds"),
        (json!({ "poll_vote": { "poll_id": "M1", "options": [] } }), "no poll"),
        (json!({ "event_response": { "event_id": "M1", "response": "going" } }), "no event"),
        (json!({ "buttons": { "text": "?", "buttons": [] } }), "buttons.buttons"),
        (json!({ "group_invite": { "group": "15550002222", "code": "x" } }), "group_invite.group"),
    ];
    for (draft, named) in cases {
        let refusal = refusal(&ann, &draft);
        assert!(refusal.contains(named), "{draft}: {refusal}");
    }
    assert_eq!(refusal(&ann, &json!({ "text": "x", "colour": "red" })), "colour: a message has no such field");
    for content in CONTENTS {
        let refusal = refusal(&ann, &json!({ content: null }));
        assert!(refusal.starts_with(content) && !refusal.contains("unknown variant"), "{refusal}");
    }
    assert!(Draft::read(b"[]").is_err());
    assert!(Draft::read(b"{\"text\":\"x\"}").unwrap_err().to_string().contains("to"));
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let ann = phone();
    let bytes = vec![0; 16 * 1024 * 1024 + 1];
    let refusal = refusal(&ann, &json!({ "document": { "base64": STANDARD.encode(bytes) } }));
    assert!(refusal.contains("16777217") && refusal.contains("16777216"), "{refusal}");
}
