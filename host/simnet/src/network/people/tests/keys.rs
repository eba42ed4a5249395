//! Prekeys: handed out once each, asked for before they run out, and missed without harm.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::super::test_network::{ANN, BOB, Client, TestNetwork};
use crate::wire;

fn upload(test: &mut TestNetwork, client: &Client, ids: std::ops::Range<u32>) -> Node {
    let record = test.network.device(&client.key).unwrap().record.clone();
    let keys = ids.map(|id| {
        let parts = [wire::leaf("id", wire::three_bytes(id)), wire::leaf("value", [u8::try_from(id).unwrap(); 32])];
        NodeBuilder::new("key").children(parts).build()
    });
    let signed = record.signed_prekey;
    let skey = [
        wire::leaf("id", wire::three_bytes(signed.id)),
        wire::leaf("value", signed.public),
        wire::leaf("signature", signed.signature),
    ];
    let content = vec![
        wire::leaf("registration", record.registration_id.to_be_bytes()),
        wire::leaf("type", [5]),
        wire::leaf("identity", record.identity),
        NodeBuilder::new("list").children(keys).build(),
        NodeBuilder::new("skey").children(skey).build(),
    ];
    test.ask(client, "set", "encrypt", content)
}

/// The ids of the one-time keys handed out, none where a bundle has none; or the error.
fn fetch(test: &mut TestNetwork, client: &Client, jid: &str) -> Result<Option<u32>, String> {
    let user = NodeBuilder::new("user").attr("jid", jid).build();
    let answer = test.ask(client, "get", "encrypt", vec![NodeBuilder::new("key").children([user]).build()]);
    let user = answer.get_optional_child_by_tag(&["list", "user"]).unwrap();
    if let Some(error) = user.get_optional_child("error") {
        return Err(wire::attribute(error, "code").unwrap());
    }
    assert!(user.get_optional_child("skey").is_some() && user.get_optional_child("device-identity").is_some());
    Ok(user.get_optional_child_by_tag(&["key", "id"]).and_then(wire::content).and_then(wire::number))
}

#[test]
fn device_is_asked_for_keys_when_clients_think_they_are_few() {
    let mut test = TestNetwork::new();
    let (ann, bob) = (test.link(ANN), test.link(BOB));
    upload(&mut test, &ann, 1..7);
    let jid = test.network.address_text(&ann.key);
    let mut heard = Vec::new();
    for id in 1..7 {
        assert_eq!(fetch(&mut test, &bob, &jid), Ok(Some(id)));
        let counts = test.notices(&ann, "encrypt").into_iter();
        heard.extend(counts.map(|notice| wire::attribute(notice.get_optional_child("count").unwrap(), "value").unwrap()));
    }
    // Both clients upload when fewer than five are left.
    assert_eq!(heard, ["4", "0"]);
    assert_eq!(fetch(&mut test, &bob, &jid), Ok(None), "a session opens without a one-time key as well");
    upload(&mut test, &ann, 7..9);
    assert_eq!(fetch(&mut test, &bob, &jid), Ok(Some(7)));
}

#[test]
fn device_that_is_not_there_has_no_keys() {
    let mut test = TestNetwork::new();
    let bob = test.link(BOB);
    for jid in [format!("{ANN}:9@s.whatsapp.net"), "19998887777@s.whatsapp.net".to_owned()] {
        assert_eq!(fetch(&mut test, &bob, &jid), Err("406".to_owned()), "{jid}");
    }
}
