//! Two phones talk, restart and repeat themselves the way a network makes them.

use std::collections::BTreeMap;

use serde_json::Value;
use waproto::buffa::MessageField;
use waproto::whatsapp::{Message, MessageContextInfo};

use super::{DeviceAddress, EncKind, Encrypted, Envelope, PairingCode, Phone, PhoneError, device_sent, sent_in};

const GROUP: &str = "120363000000000001@g.us";

fn phone(number: &str) -> Phone {
    Phone::new(number, "100000000000001", "Ann").unwrap()
}

fn address(phone: &Phone) -> DeviceAddress {
    DeviceAddress { user: phone.number().to_owned(), device: 0 }
}

fn send(from: &mut Phone, to: &mut Phone, text: &str) -> Encrypted {
    let bundle = if from.has_session(&address(to)) { None } else { Some(to.bundle(true).unwrap()) };
    let message = from.compose_text(text);
    from.encrypt(&address(to), bundle.as_ref(), &message).unwrap()
}

fn open(phone: &mut Phone, from: &DeviceAddress, sealed: &Encrypted) -> String {
    let message = phone.decrypt(from, sealed.kind, &sealed.ciphertext).unwrap();
    message.conversation.unwrap()
}

fn restart(phone: &mut Phone, state: &mut BTreeMap<String, Value>) -> Phone {
    for (key, value) in phone.dirty_records() {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
    Phone::restore(state.clone().into_iter()).unwrap()
}

fn envelope(id: &str) -> Envelope {
    Envelope {
        id: id.to_owned(),
        chat: "15550001111@s.whatsapp.net".to_owned(),
        from: "15550001111@s.whatsapp.net".to_owned(),
        at_ms: 1_700_000_000_000,
    }
}

#[test]
fn two_phones_talk_both_ways() {
    let (mut ann, mut bob) = (phone("15550001111"), phone("15550002222"));
    let (at_ann, at_bob) = (address(&ann), address(&bob));
    let first = send(&mut ann, &mut bob, "hello");
    assert_eq!(first.kind, EncKind::PkMsg);
    let second = send(&mut ann, &mut bob, "are you there");
    assert_eq!(second.kind, EncKind::PkMsg);
    assert_eq!(open(&mut bob, &at_ann, &first), "hello");
    assert_eq!(open(&mut bob, &at_ann, &second), "are you there");
    let answer = send(&mut bob, &mut ann, "yes");
    assert_eq!(answer.kind, EncKind::Msg);
    assert_eq!(open(&mut ann, &at_bob, &answer), "yes");
    let third = send(&mut ann, &mut bob, "good");
    assert_eq!(third.kind, EncKind::Msg);
    assert_eq!(open(&mut bob, &at_ann, &third), "good");
}

#[test]
fn a_session_opens_without_a_one_time_prekey() {
    let (mut ann, mut bob) = (phone("15550001111"), phone("15550002222"));
    let bundle = bob.bundle(false).unwrap();
    assert!(bundle.one_time.is_none());
    let message = ann.compose_text("hello");
    let sealed = ann.encrypt(&address(&bob), Some(&bundle), &message).unwrap();
    assert_eq!(open(&mut bob, &address(&ann), &sealed), "hello");
}

#[test]
fn no_prekey_is_offered_twice() {
    let mut ann = phone("15550001111");
    let mut ids: Vec<_> = (0..50).map(|_| ann.bundle(true).unwrap().one_time.unwrap().id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn a_restored_phone_goes_on() {
    let (mut ann, mut bob) = (phone("15550001111"), phone("15550002222"));
    let (at_ann, at_bob) = (address(&ann), address(&bob));
    let mut state = BTreeMap::new();
    let first = send(&mut ann, &mut bob, "hello");
    // The prekey was offered before the restart and is used after it.
    let mut bob = restart(&mut bob, &mut state);
    assert_eq!(open(&mut bob, &at_ann, &first), "hello");
    let shown = bob.receive(envelope("A1"), &bob.compose_text("hello")).unwrap();
    let mut bob = restart(&mut bob, &mut state);
    assert_eq!(bob.received_after(0, 10), [shown]);
    assert!(bob.receive(envelope("A1"), &bob.compose_text("hello")).is_none());
    let answer = send(&mut bob, &mut ann, "yes");
    assert_eq!(open(&mut ann, &at_bob, &answer), "yes");
    let mut bob = restart(&mut bob, &mut state);
    let third = send(&mut ann, &mut bob, "good");
    assert_eq!(open(&mut bob, &at_ann, &third), "good");
    let fourth = send(&mut bob, &mut ann, "fine");
    assert_eq!(open(&mut ann, &at_bob, &fourth), "fine");
}

#[test]
fn a_message_changes_only_what_it_touches() {
    let (mut ann, mut bob) = (phone("15550001111"), phone("15550002222"));
    let keys = |phone: &mut Phone| -> Vec<String> { phone.dirty_records().into_iter().map(|(key, _)| key).collect() };
    assert_eq!(keys(&mut ann), ["core"]);
    send(&mut ann, &mut bob, "hello");
    let mut changed = keys(&mut ann);
    changed.sort_unstable();
    assert_eq!(changed, ["identity/15550002222.0", "session/15550002222.0"]);
    assert!(ann.dirty_records().is_empty());
}

#[test]
fn a_repeated_ciphertext_is_a_duplicate() {
    let (mut ann, mut bob) = (phone("15550001111"), phone("15550002222"));
    let (at_ann, at_bob) = (address(&ann), address(&bob));
    let first = send(&mut ann, &mut bob, "hello");
    open(&mut bob, &at_ann, &first);
    let again = bob.decrypt(&at_ann, first.kind, &first.ciphertext);
    assert!(matches!(again, Err(PhoneError::Duplicate)));
    let answer = send(&mut bob, &mut ann, "yes");
    open(&mut ann, &at_bob, &answer);
    let again = ann.decrypt(&at_bob, answer.kind, &answer.ciphertext);
    assert!(matches!(again, Err(PhoneError::Duplicate)));
}

#[test]
fn a_message_needs_a_session_or_a_bundle() {
    let (mut ann, mut bob) = (phone("15550001111"), phone("15550002222"));
    let message = ann.compose_text("hello");
    let refused = ann.encrypt(&address(&bob), None, &message);
    assert!(matches!(refused, Err(PhoneError::NoSession { .. })));
    send(&mut ann, &mut bob, "hello");
    assert!(ann.has_session(&address(&bob)));
    ann.forget_session(&address(&bob));
    assert!(!ann.has_session(&address(&bob)));
}

#[test]
fn a_bundle_with_a_new_identity_replaces_the_session() {
    let (mut ann, mut bob) = (phone("15550001111"), phone("15550002222"));
    send(&mut ann, &mut bob, "hello");
    let mut bob = phone("15550002222");
    let bundle = bob.bundle(true).unwrap();
    let message = ann.compose_text("new phone?");
    let sealed = ann.encrypt(&address(&bob), Some(&bundle), &message).unwrap();
    assert_eq!(open(&mut bob, &address(&ann), &sealed), "new phone?");
}

#[test]
fn noise_is_refused() {
    let mut ann = phone("15550001111");
    let from = DeviceAddress { user: "15550002222".to_owned(), device: 3 };
    let noises: [&[u8]; 4] = [&[], &[0x33], &[0x33; 200], &[0xff; 64]];
    for kind in [EncKind::Msg, EncKind::PkMsg, EncKind::SkMsg] {
        for ciphertext in noises {
            assert!(ann.decrypt(&from, kind, ciphertext).is_err());
        }
    }
}

#[test]
fn a_group_message_opens_with_the_key_that_came_before_it() {
    let (mut ann, mut bob) = (phone("15550001111"), phone("15550002222"));
    let (at_ann, at_bob) = (address(&ann), address(&bob));
    let key = ann.share_sender_key(GROUP).unwrap();
    let text = ann.compose_text("hello all");
    let sealed = ann.encrypt_group(GROUP, &text).unwrap();
    let early = bob.decrypt(&at_ann, sealed.kind, &sealed.ciphertext);
    assert!(matches!(early, Err(PhoneError::NoSenderKey { .. })));
    let bundle = bob.bundle(true).unwrap();
    let shared = ann.encrypt(&at_bob, Some(&bundle), &key).unwrap();
    let message = bob.decrypt(&at_ann, shared.kind, &shared.ciphertext).unwrap();
    assert!(bob.receive(envelope("A1"), &message).is_none());
    let mut state = BTreeMap::new();
    let mut bob = restart(&mut bob, &mut state);
    assert_eq!(open(&mut bob, &at_ann, &sealed), "hello all");
    let again = bob.decrypt(&at_ann, sealed.kind, &sealed.ciphertext);
    assert!(matches!(again, Err(PhoneError::Duplicate)));
}

#[test]
fn a_message_is_shown_once() {
    let mut ann = phone("15550001111");
    let text = ann.compose_text("hello");
    let shown = ann.receive(envelope("A1"), &text).unwrap();
    assert_eq!((shown.n, shown.kind.as_str(), shown.text.as_deref()), (1, "text", Some("hello")));
    assert!(ann.receive(envelope("A1"), &text).is_none());
    let second = ann.receive(envelope("A2"), &text).unwrap();
    assert_eq!(second.n, 2);
    assert_eq!(ann.received_after(1, 10), [second]);
    assert_eq!(ann.received_after(0, 1), [shown]);
}

#[test]
fn what_is_for_the_app_alone_is_not_shown() {
    let mut ann = phone("15550001111");
    let share = ann.share_sync_keys(None);
    let copy = device_sent("15550002222@s.whatsapp.net", &ann.compose_text("hello"));
    for (id, message) in [("A1", share), ("A2", copy), ("A3", Message::default())] {
        assert!(ann.receive(envelope(id), &message).is_none(), "{id}");
    }
    assert!(ann.received_after(0, 10).is_empty());
}

#[test]
fn a_companions_copy_carries_the_secret_around_what_it_sent() {
    let context = MessageContextInfo { message_secret: Some(vec![7; 32]), ..MessageContextInfo::default() };
    let text = Message {
        conversation: Some("hello".to_owned()),
        message_context_info: MessageField::some(context),
        ..Message::default()
    };
    let mut copy = device_sent("15550002222@s.whatsapp.net", &text);
    let inner = copy.device_sent_message.get_or_insert_default().message.get_or_insert_default();
    inner.message_context_info = MessageField::none();
    assert_eq!(sent_in(&copy), Some(("15550002222@s.whatsapp.net", text.clone())));
    let inner = copy.device_sent_message.get_or_insert_default().message.get_or_insert_default();
    inner.message_context_info = MessageField::some(MessageContextInfo::default());
    assert_eq!(sent_in(&copy).unwrap().1.message_context_info.message_secret, text.message_context_info.message_secret);
    assert_eq!(sent_in(&text), None);
}

#[test]
fn a_linked_companion_survives_a_restart() {
    let mut ann = phone("15550001111");
    let code =
        PairingCode { reference: "2@abc".to_owned(), noise_public: [1; 32], identity_public: [2; 32], adv_secret: [3; 32] };
    let linked = ann.link(&code, 1).unwrap();
    assert_eq!(linked.key_index, 1);
    let before = ann.share_sync_keys(None);
    let mut ann = restart(&mut ann, &mut BTreeMap::new());
    assert!(ann.share_sync_keys(None) == before);
    assert!(matches!(ann.verify_link(2, &[]), Err(PhoneError::NotLinked { device: 2 })));
    assert!(matches!(ann.verify_link(1, &[]), Err(PhoneError::IdentityNotSigned { device: 1, .. })));
    ann.unlink(1);
    assert!(matches!(ann.verify_link(1, &[]), Err(PhoneError::NotLinked { device: 1 })));
}
