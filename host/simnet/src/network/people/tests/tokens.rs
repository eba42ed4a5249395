//! Tokens: given, shown, missing, and the settings that tell clients to use them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::super::test_network::{BOB, Client, NOON_MS, TestNetwork};
use crate::wire;

/// Accounts made by a scan without a number, as the clients of a test-suite make theirs.
const STRICT: &str = "15550004444";

fn strict(test: &mut TestNetwork, name: &str) -> Client {
    test.network.ensure_phone(STRICT, Some(name)).unwrap();
    test.link(STRICT)
}

fn give(test: &mut TestNetwork, from: &Client, to: &str, at: u64) -> Node {
    let token = NodeBuilder::new("token").attr("jid", to).attr("t", at).attr("type", "trusted_contact").build();
    test.ask(from, "set", "privacy", vec![NodeBuilder::new("tokens").children([token]).build()])
}

/// The token in the news of a client.
fn given(test: &mut TestNetwork, client: &Client) -> Vec<u8> {
    let notice = test.notices(client, "privacy_token").pop().expect("no token was given");
    let token = notice.get_optional_child_by_tag(&["tokens", "token"]).unwrap();
    assert!(wire::attribute_is(token, "type", "trusted_contact"));
    wire::content(token).unwrap().to_vec()
}

fn error(ack: &Node) -> Option<String> {
    wire::attribute(ack, "error")
}

#[test]
fn token_goes_to_every_device_of_the_receiver_and_not_into_the_answer() {
    let mut test = TestNetwork::new();
    let giver = strict(&mut test, "restricted:a");
    let (first, second) = (test.link(BOB), test.link(BOB));
    test.news(&first);
    let to = test.lid(BOB);
    let answer = give(&mut test, &giver, &to, NOON_MS / 1000);
    assert!(answer.content.is_none() && wire::attribute_is(&answer, "type", "result"));
    let lid = test.lid(STRICT);
    let notices = test.notices(&first, "privacy_token");
    assert!(wire::attribute_is(&notices[0], "sender_lid", &lid));
    let token = notices[0].get_optional_child_by_tag(&["tokens", "token"]).unwrap();
    let bytes = wire::content(token).unwrap().to_vec();
    assert!(wire::attribute_is(token, "t", &(NOON_MS / 1000).to_string()) && !bytes.is_empty());
    assert_eq!(given(&mut test, &second), bytes);
}

#[test]
fn stranger_needs_a_token_for_the_first_message_to_a_restricted_account() {
    let mut test = TestNetwork::new();
    let (a, bob) = (strict(&mut test, "restricted:a"), test.link(BOB));
    let to = test.lid(STRICT);
    assert_eq!(error(&test.send(&bob, &to, Vec::new())).as_deref(), Some("463"));
    let wrong = vec![wire::leaf("tctoken", [1, 2, 3])];
    assert_eq!(error(&test.send(&bob, &to, wrong)).as_deref(), Some("463"));
    assert!(test.news(&a).is_empty(), "what was refused does not arrive");

    let receiver = test.jid(BOB);
    give(&mut test, &a, &receiver, NOON_MS / 1000);
    let token = given(&mut test, &bob);
    assert_eq!(error(&test.send(&bob, &to, vec![wire::leaf("tctoken", token)])), None);
    let arrived = test.news(&a);
    assert_eq!(arrived.len(), 1);
    assert!(arrived[0].get_optional_child("tctoken").is_none(), "the token is for the server");
    // Who was let in once is no stranger any more, even after a restart.
    assert_eq!(error(&test.send(&bob, &to, Vec::new())), None);
    let mut test = test.restarted();
    let bob = test.connect(&bob.key);
    assert_eq!(error(&test.send(&bob, &to, Vec::new())), None);
}

#[test]
fn phone_of_a_restricted_account_gives_a_token_to_whom_it_writes() {
    let mut test = TestNetwork::new();
    test.network.ensure_phone(STRICT, Some("restricted:a")).unwrap();
    let bob = test.link(BOB);
    let to = test.lid(STRICT);
    assert_eq!(error(&test.send(&bob, &to, Vec::new())).as_deref(), Some("463"));
    test.network.send_text(STRICT, BOB, "hello", None).unwrap();
    let token = given(&mut test, &bob);
    test.network.send_text(STRICT, BOB, "are you there", None).unwrap();
    assert!(test.notices(&bob, "privacy_token").is_empty(), "one a week is enough");
    assert_eq!(error(&test.send(&bob, &to, vec![wire::leaf("tctoken", token)])), None);
}

#[test]
fn token_outlives_a_restart_and_the_next_one_but_not_four_weeks() {
    let mut test = TestNetwork::new();
    let (a, bob) = (strict(&mut test, "restricted:a"), test.link(BOB));
    let (to, receiver) = (test.lid(STRICT), test.jid(BOB));
    let four_weeks_ago = NOON_MS / 1000 - 4 * 604_800;
    give(&mut test, &a, &receiver, four_weeks_ago);
    let old = given(&mut test, &bob);
    assert_eq!(error(&test.send(&bob, &to, vec![wire::leaf("tctoken", old)])).as_deref(), Some("463"));
    give(&mut test, &a, &receiver, NOON_MS / 1000);
    let token = given(&mut test, &bob);
    give(&mut test, &a, &receiver, NOON_MS / 1000);
    let mut test = test.restarted();
    let bob = test.connect(&bob.key);
    assert_eq!(error(&test.send(&bob, &to, vec![wire::leaf("tctoken", token)])), None);
}

#[test]
fn salted_token_counts_only_with_the_salt_that_was_delivered() {
    let mut test = TestNetwork::new();
    strict(&mut test, "scenario:restricted,tc_enabled=0,cs_enabled=1:a");
    const SENDER: &str = "15550005555";
    test.network.ensure_phone(SENDER, Some("scenario:nct_send_ab=1,nct_history_delivery=1:b")).unwrap();
    let (sender, bob) = (test.link(SENDER), test.link(BOB));
    let salt = test.network.history_nct_salt(SENDER).unwrap();
    assert!(test.network.app_state_nct_salt(SENDER).is_none() && test.network.history_nct_salt(BOB).is_none());
    let to = test.lid(STRICT);
    let mut mac = Hmac::<Sha256>::new_from_slice(&salt).unwrap();
    mac.update(to.as_bytes());
    let token = mac.finalize().into_bytes().to_vec();
    assert_eq!(error(&test.send(&bob, &to, vec![wire::leaf("cstoken", token.clone())])).as_deref(), Some("463"));
    assert_eq!(error(&test.send(&sender, &to, vec![wire::leaf("cstoken", token)])), None);
    let test = test.restarted();
    assert_eq!(test.network.history_nct_salt(SENDER).unwrap(), salt);
}

#[test]
fn account_that_takes_no_salted_tokens_refuses_good_ones() {
    let mut test = TestNetwork::new();
    strict(&mut test, "scenario:restricted,cs_enabled=0:a");
    const SENDER: &str = "15550005555";
    test.network.ensure_phone(SENDER, Some("scenario:nct_syncd_delivery=1:b")).unwrap();
    let sender = test.link(SENDER);
    let salt = test.network.app_state_nct_salt(SENDER).unwrap();
    let to = test.lid(STRICT);
    let mut mac = Hmac::<Sha256>::new_from_slice(&salt).unwrap();
    mac.update(to.as_bytes());
    let token = vec![wire::leaf("cstoken", mac.finalize().into_bytes().to_vec())];
    assert_eq!(error(&test.send(&sender, &to, token)).as_deref(), Some("463"));
}

#[test]
fn picture_and_presence_of_a_restricted_account_take_a_token() {
    let mut test = TestNetwork::new();
    let (a, bob) = (strict(&mut test, "restricted:a"), test.link(BOB));
    let image = NodeBuilder::new("picture").attr("type", "image").bytes([1, 2, 3]).build();
    test.ask(&a, "set", "w:profile:picture", vec![image]);
    let target = test.jid(STRICT);
    let look = |test: &mut TestNetwork, token: Option<&[u8]>| {
        let picture = NodeBuilder::new("picture").attr("type", "image").attr("query", "url");
        let picture = picture.children(token.map(|token| wire::leaf("tctoken", token))).build();
        let answer = test.ask_about(&bob, "get", "w:profile:picture", Some(&target), vec![picture]);
        answer.get_optional_child("error").map(|error| wire::attribute(error, "code").unwrap())
    };
    let subscribe = |test: &mut TestNetwork, token: Option<&[u8]>| {
        let presence = NodeBuilder::new("presence").attr("type", "subscribe").attr("to", &target);
        test.say(&bob, &presence.children(token.map(|token| wire::leaf("tctoken", token))).build());
        for kind in ["available", "unavailable"] {
            test.say(&a, &NodeBuilder::new("presence").attr("type", kind).build());
        }
        test.take_sent(bob.link).iter().filter(|node| node.tag == "presence").count()
    };
    assert_eq!(look(&mut test, None).as_deref(), Some("401"));
    assert_eq!(subscribe(&mut test, None), 0);
    let receiver = test.jid(BOB);
    give(&mut test, &a, &receiver, NOON_MS / 1000);
    let token = given(&mut test, &bob);
    assert_eq!(look(&mut test, Some(&token)), None);
    assert_eq!(subscribe(&mut test, Some(&token)), 3, "how it stands, and both changes");
}

#[test]
fn settings_follow_the_scenario_and_come_again_only_when_they_change() {
    let mut test = TestNetwork::new();
    let (a, bob) = (strict(&mut test, "scenario:nct_send_ab=1,nct_syncd_ab=1:a"), test.link(BOB));
    let props = |test: &mut TestNetwork, client: &Client, hash: Option<&str>| {
        let mut props = NodeBuilder::new("props").attr("protocol", "1");
        if let Some(hash) = hash {
            props = props.attr("hash", hash);
        }
        let answer = test.ask(client, "get", "abt", vec![props.build()]);
        answer.get_optional_child("props").unwrap().clone()
    };
    let value = |props: &Node, code: &str| {
        let mut props = props.get_children_by_tag("prop");
        wire::attribute(props.find(|prop| wire::attribute_is(prop, "config_code", code)).unwrap(), "config_value").unwrap()
    };
    let (own, plain) = (props(&mut test, &a, None), props(&mut test, &bob, None));
    assert!(wire::attribute_is(&own, "delta_update", "false"));
    for (code, on_a, on_bob) in
        [("24941", "1", "0"), ("25253", "1", "0"), ("25189", "0", "0"), ("10518", "1", "1"), ("9435", "1", "1")]
    {
        assert_eq!((value(&own, code).as_str(), value(&plain, code).as_str()), (on_a, on_bob), "{code}");
    }
    let hash = wire::attribute(&own, "hash").unwrap();
    let delta = props(&mut test, &a, Some(&hash));
    assert!(wire::attribute_is(&delta, "delta_update", "true") && delta.get_children_by_tag("prop").count() == 0);
    let full = props(&mut test, &bob, Some(&hash));
    assert!(wire::attribute_is(&full, "delta_update", "false") && full.get_children_by_tag("prop").count() > 10);
}
