//! Linked, unlinked and reinstalled: those who write to an account must always know its devices.

use wacore_binary::builder::NodeBuilder;

use super::super::Space;
use super::super::device_list::participant_hash;
use super::super::test_network::{ANN, BOB, EVE, TestNetwork};
use crate::wire;

#[test]
fn hash_of_recipients_is_that_of_whatsmeow_and_wacore() {
    let jid = |text: &str| text.parse().unwrap();
    let hash = participant_hash([jid("15550002222:3@s.whatsapp.net"), jid("15550001111@s.whatsapp.net")]);
    assert_eq!(hash, participant_hash([jid("15550001111@s.whatsapp.net"), jid("15550002222:3@s.whatsapp.net")]));
    // SHA-256 of "15550001111.0:0@s.whatsapp.net15550002222.0:3@s.whatsapp.net", its first six bytes in Base64.
    let digest = <sha2::Sha256 as sha2::Digest>::digest("15550001111.0:0@s.whatsapp.net15550002222.0:3@s.whatsapp.net");
    use base64::Engine as _;
    let expected = base64::prelude::BASE64_STANDARD_NO_PAD.encode(&digest[..6]);
    assert_eq!(hash, format!("2:{expected}"));
}

#[test]
fn those_who_wrote_to_an_account_hear_of_its_new_device() {
    let mut test = TestNetwork::new();
    let (ann, bob, eve) = (test.link(ANN), test.link(BOB), test.link(EVE));
    let to = test.jid(ANN);
    test.send(&bob, &to, Vec::new());
    test.news(&ann);
    let second = test.link(ANN);

    let heard = test.notices(&bob, "devices");
    assert_eq!(heard.len(), 2, "once under each name of the account");
    for (notice, (from, jid)) in heard.iter().zip([
        (test.jid(ANN), test.network.jid_of(&second.key, Space::Number).to_string()),
        (test.lid(ANN), test.network.jid_of(&second.key, Space::Lid).to_string()),
    ]) {
        assert!(wire::attribute_is(notice, "from", &from));
        assert!(wire::attribute_is(notice, "lid", &test.lid(ANN)));
        let add = notice.get_optional_child("add").unwrap();
        let device = add.get_optional_child("device").unwrap();
        assert!(wire::attribute_is(device, "jid", &jid));
        assert!(wire::attribute_is(device, "key-index", "2"));
        let list = add.get_optional_child("key-index-list").unwrap();
        let signed = waproto::codec::adv_signed_key_index_list_decode(wire::content(list).unwrap()).unwrap();
        let list = waproto::codec::adv_key_index_list_decode(&signed.details.unwrap()).unwrap();
        assert_eq!(list.valid_indexes, [0, 1, 2]);
        assert!(wire::attribute_is(add, "device_hash", &test.network.device_list_hash(ANN, Space::Number)));
    }
    assert!(test.notices(&eve, "devices").is_empty(), "a stranger hears nothing");

    let own = test.notices(&ann, "account_sync");
    let list = own[0].get_optional_child("devices").unwrap();
    assert_eq!(list.get_children_by_tag("device").count(), 3);
    assert!(wire::attribute_is(list, "dhash", &test.network.device_list_hash(ANN, Space::Number)));
    assert!(test.news(&second).is_empty(), "the new device asks for the list itself");
}

#[test]
fn whoever_asked_for_devices_hears_when_one_is_unlinked() {
    let mut test = TestNetwork::new();
    let (first, second, eve) = (test.link(ANN), test.link(ANN), test.link(EVE));
    let users = NodeBuilder::new("user").attr("jid", test.jid(ANN)).build();
    let query = NodeBuilder::new("query").children([NodeBuilder::new("devices").attr("version", "2").build()]).build();
    let list = NodeBuilder::new("list").children([users]).build();
    test.ask(&eve, "get", "usync", vec![NodeBuilder::new("usync").children([query, list]).build()]);
    test.news(&first);

    let gone = test.network.jid_of(&second.key, Space::Number).to_string();
    let removal = NodeBuilder::new("remove-companion-device").attr("jid", &gone).build();
    test.ask(&first, "set", "md", vec![removal]);

    let heard = test.notices(&eve, "devices");
    let remove = heard[0].get_optional_child("remove").unwrap();
    assert!(wire::attribute_is(remove.get_optional_child("device").unwrap(), "jid", &gone));
    let list = remove.get_optional_child("key-index-list").unwrap();
    assert!(list.content.is_none() && wire::attribute(list, "ts").unwrap() != "0");
    let own = test.notices(&first, "account_sync");
    assert_eq!(own[0].get_optional_child("devices").unwrap().get_children_by_tag("device").count(), 2);
}

#[test]
fn news_of_a_device_waits_for_those_who_are_away() {
    let mut test = TestNetwork::new();
    let bob = test.link(BOB);
    test.network.send_text(BOB, ANN, "hello", None).unwrap();
    test.news(&bob);
    test.network.close_link(bob.link);
    test.link(ANN);
    let mut test = test.restarted();
    let waiting = test.network.device(&bob.key).unwrap().queue.len();
    assert_eq!(waiting, 2);
    let bob = test.connect(&bob.key);
    assert!(test.news(&bob).is_empty());
}

#[test]
fn ack_tells_whom_the_message_should_have_reached() {
    let mut test = TestNetwork::new();
    let (bob, _) = (test.link(BOB), test.link(BOB));
    let ann = test.link(ANN);
    for (to, space) in [(test.jid(ANN), Space::Number), (test.lid(ANN), Space::Lid)] {
        let ack = test.send(&bob, &to, Vec::new());
        let mut devices = test.network.all_devices(BOB);
        devices.retain(|key| *key != bob.key);
        devices.extend(test.network.all_devices(ANN));
        let expected = participant_hash(devices.iter().map(|key| test.network.jid_of(key, space)));
        assert!(wire::attribute_is(&ack, "phash", &expected), "{to}");
    }
    test.news(&ann);
}

#[test]
fn reinstalled_phone_has_new_keys_and_everybody_hears_of_it() {
    let mut test = TestNetwork::new();
    let (ann, bob) = (test.link(ANN), test.link(BOB));
    let to = test.jid(ANN);
    test.send(&bob, &to, Vec::new());
    test.network.send_text(ANN, BOB, "hello", None).unwrap();
    test.network.send_text(BOB, ANN, "hello", None).unwrap();
    test.news(&bob);
    let before = test.network.accounts[ANN].phone.identity();

    let identity = test.network.reinstall_phone("+15550001111").unwrap();
    assert_ne!(identity, before);
    assert!(test.network.device(&ann.key).is_none(), "its companions are unlinked");
    let heard = test.notices(&bob, "encrypt");
    assert_eq!(heard.len(), 1);
    assert!(heard[0].get_optional_child("identity").is_some());
    assert!(wire::attribute_is(&heard[0], "from", &test.jid(ANN)) && wire::attribute_is(&heard[0], "lid", &test.lid(ANN)));

    // Both phones go on with new sessions, and so does the network after a restart.
    let mut test = test.restarted();
    assert_eq!(test.network.accounts[ANN].phone.identity(), identity);
    test.network.send_text(BOB, ANN, "still there?", Some("B2".to_owned())).unwrap();
    test.network.send_text(ANN, BOB, "new phone", Some("A2".to_owned())).unwrap();
    let texts = |number: &str| -> Vec<String> {
        let shown = test.network.received(number, 0, 100).unwrap();
        shown.into_iter().filter_map(|message| message.text).collect()
    };
    assert_eq!(texts(ANN), ["hello", "still there?"]);
    assert_eq!(texts(BOB), ["hello", "new phone"]);
    assert!(test.network.reinstall_phone("15550009999").is_err());
}

#[test]
fn new_identity_is_what_prekey_fetches_give() {
    let mut test = TestNetwork::new();
    let bob = test.link(BOB);
    let fetch = |test: &mut TestNetwork| {
        let user = NodeBuilder::new("user").attr("jid", test.jid(ANN)).attr("reason", "identity").build();
        let answer = test.ask(&bob, "get", "encrypt", vec![NodeBuilder::new("key").children([user]).build()]);
        let user = answer.get_optional_child_by_tag(&["list", "user"]).unwrap();
        wire::child_key::<32>(user, "identity").unwrap()
    };
    let before = fetch(&mut test);
    let identity = test.network.reinstall_phone(ANN).unwrap();
    assert_ne!(before, identity);
    assert_eq!(fetch(&mut test), identity);
}
