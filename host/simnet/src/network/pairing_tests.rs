//! How clients are linked: by a QR code as long as it is fresh, and by a code that is typed into the phone.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::pairing_time::{CODE_MS, REFERENCES_MS};
use super::test_devices::{ANN, BOB, NOW_MS, Net, Newcomer, qr};
use super::{LinkFault, LinkOutcome, ScanFault};
use crate::phone::link_code::tests::Companion as CodeSide;
use crate::phone::{EnteredCode, LinkCodeError};
use crate::wire;

const CODE: &str = "ABCD1234";

#[test]
fn qr_code_is_good_for_its_turn() {
    let mut net = Net::new();
    let newcomer = net.newcomer(ANN, None, None);
    assert_eq!(newcomer.references.len(), 6);
    net.wait(NOW_MS + 75_000);
    let stale = net.network.scan(&qr(&newcomer, 0), Some(ANN));
    assert!(matches!(stale, Err(ScanFault::NotWaiting)));
    let (_, key) = net.network.scan(&qr(&newcomer, 1), Some(ANN)).unwrap();
    net.settle();
    let companion = net.accept(newcomer, key);
    assert_eq!(companion.key.device, 1);
}

#[test]
fn client_whose_references_are_used_up_is_shown_out() {
    let mut net = Net::new();
    let newcomer = net.newcomer(ANN, None, None);
    net.wait(NOW_MS + REFERENCES_MS - 1);
    assert!(!net.is_closed(newcomer.link));
    assert!(wire::attribute_is(&net.ask(newcomer.link, "w:p", "get", Vec::new()), "type", "result"));
    net.wait(NOW_MS + REFERENCES_MS);
    assert!(net.is_closed(newcomer.link));
    assert!(matches!(net.network.scan(&qr(&newcomer, 5), Some(ANN)), Err(ScanFault::NotWaiting)));
}

fn hello(newcomer: &Newcomer, side: &CodeSide, number: &str) -> Node {
    let stage = NodeBuilder::new("link_code_companion_reg")
        .attr("jid", Jid::pn(number))
        .attr("stage", "companion_hello")
        .attr("should_show_push_notification", "true")
        .children([
            wire::leaf("link_code_pairing_wrapped_companion_ephemeral_pub", side.hello()),
            wire::leaf("companion_server_auth_key_pub", newcomer.noise),
            wire::leaf("companion_platform_id", *b"1"),
            wire::leaf("companion_platform_display", *b"Chrome (Linux)"),
            wire::leaf("link_code_pairing_nonce", [0]),
        ])
        .build();
    NodeBuilder::new("iq").attr("id", "H1").attr("type", "set").attr("xmlns", "md").children([stage]).build()
}

fn finish(newcomer: &Newcomer, side: &CodeSide, primary: &Node) -> Node {
    let stage = primary.get_optional_child("link_code_companion_reg").unwrap();
    assert!(wire::attribute_is(stage, "stage", "primary_hello"));
    let wrapped = wire::child_content(stage, "link_code_pairing_wrapped_primary_ephemeral_pub").unwrap();
    let identity = wire::child_key(stage, "primary_identity_pub").unwrap();
    let (bundle, _) = side.finish(wrapped, &identity);
    let stage = NodeBuilder::new("link_code_companion_reg")
        .attr("jid", Jid::pn(ANN))
        .attr("stage", "companion_finish")
        .children([
            wire::leaf("link_code_pairing_wrapped_key_bundle", bundle),
            wire::leaf("companion_identity_public", newcomer.signal.identity()),
            wire::leaf("link_code_pairing_ref", wire::child_content(stage, "link_code_pairing_ref").unwrap()),
        ])
        .build();
    NodeBuilder::new("iq").attr("id", "F1").attr("type", "set").attr("xmlns", "md").children([stage]).build()
}

/// A client that shows a code for Ann's phone.
fn showing_code(net: &mut Net) -> (Newcomer, CodeSide) {
    let newcomer = net.newcomer(ANN, None, None);
    let side = CodeSide::of(CODE, newcomer.signal.identity_pair());
    net.receive(newcomer.link, &hello(&newcomer, &side, ANN));
    let answer = net.next(newcomer.link).unwrap();
    assert!(wire::attribute_is(&answer, "type", "result"));
    assert!(answer.get_optional_child_by_tag(&["link_code_companion_reg", "link_code_pairing_ref"]).is_some());
    (newcomer, side)
}

/// Types a code into Ann's phone, and gives what the client hears of it.
fn enter(net: &mut Net, code: &str) -> Node {
    let (link, wrapped) = net.network.link_hello(ANN).unwrap();
    let entered = EnteredCode::new(code, &wrapped).unwrap();
    net.network.enter_link_code(ANN, link, entered).unwrap();
    net.settle();
    net.next(link).unwrap()
}

#[test]
fn wrong_code_fails_and_the_right_one_still_links() {
    let mut net = Net::new();
    let (newcomer, side) = showing_code(&mut net);
    let waiting = serde_json::to_value(net.network.waiting_for_code(ANN)).unwrap();
    assert_eq!(waiting[0]["platform_display"], "Chrome (Linux)");
    assert!(net.network.waiting_for_code(BOB).is_empty());
    let primary = enter(&mut net, "WXYZ5678");
    net.receive(newcomer.link, &finish(&newcomer, &side, &primary));
    let refused = net.network.link_outcome(newcomer.link);
    assert!(matches!(refused, LinkOutcome::Failed(LinkFault::Code(LinkCodeError::WrongCode))));
    let primary = enter_after_answer(&mut net, &newcomer);
    assert!(matches!(net.network.link_outcome(newcomer.link), LinkOutcome::Pending));
    net.receive(newcomer.link, &finish(&newcomer, &side, &primary));
    let link = newcomer.link;
    let LinkOutcome::Offered(key) = net.network.link_outcome(link) else { panic!("not offered") };
    let companion = net.accept(newcomer, key);
    assert_eq!(companion.key.number, ANN);
    assert!(matches!(net.network.link_outcome(link), LinkOutcome::Offered(_)), "the outcome outlives the connection");
    assert!(matches!(net.network.link_hello(ANN), Err(LinkFault::NotWaiting(_))));
}

/// The same after the server has acknowledged a bundle that did not open.
fn enter_after_answer(net: &mut Net, newcomer: &Newcomer) -> Node {
    let answer = net.next(newcomer.link).unwrap();
    assert!(wire::attribute_is(&answer, "id", "F1"));
    enter(net, CODE)
}

#[test]
fn code_expires_and_keeps_its_client_until_then() {
    let mut net = Net::new();
    let newcomer = net.newcomer(ANN, None, None);
    net.wait(NOW_MS + 100_000);
    let side = CodeSide::of(CODE, newcomer.signal.identity_pair());
    net.receive(newcomer.link, &hello(&newcomer, &side, ANN));
    net.wait(NOW_MS + REFERENCES_MS);
    assert!(!net.is_closed(newcomer.link), "its user may still be typing");
    assert!(net.network.link_hello(ANN).is_ok());
    net.wait(NOW_MS + 100_000 + CODE_MS);
    assert!(matches!(net.network.link_hello(ANN), Err(LinkFault::NotWaiting(_))));
    assert!(net.is_closed(newcomer.link));
}

#[test]
fn hello_that_fits_no_phone_or_client_is_refused() {
    let mut net = Net::new();
    let newcomer = net.newcomer(ANN, None, None);
    let side = CodeSide::of(CODE, newcomer.signal.identity_pair());
    let code_of = |net: &mut Net, node: Node| {
        net.receive(newcomer.link, &node);
        let answer = net.next(newcomer.link).unwrap();
        answer.get_optional_child("error").and_then(|error| wire::attribute(error, "code"))
    };
    let nobody = hello(&newcomer, &side, "15559999999");
    assert_eq!(code_of(&mut net, nobody).as_deref(), Some("400"));
    let other_key = hello(&net.newcomer(ANN, None, None), &side, ANN);
    assert_eq!(code_of(&mut net, other_key).as_deref(), Some("400"));
}

#[test]
fn client_that_asks_for_codes_without_end_is_told_to_slow_down() {
    let mut net = Net::new();
    let (newcomer, side) = showing_code(&mut net);
    for _ in 1..10 {
        net.receive(newcomer.link, &hello(&newcomer, &side, ANN));
        assert!(wire::attribute_is(&net.next(newcomer.link).unwrap(), "type", "result"));
    }
    net.receive(newcomer.link, &hello(&newcomer, &side, ANN));
    let error = net.next(newcomer.link).unwrap();
    assert!(wire::attribute_is(error.get_optional_child("error").unwrap(), "code", "429"));
}

#[test]
fn code_may_be_tried_three_times() {
    let mut net = Net::new();
    let (newcomer, side) = showing_code(&mut net);
    for _ in 0..3 {
        let primary = enter(&mut net, "WXYZ5678");
        net.receive(newcomer.link, &finish(&newcomer, &side, &primary));
        net.next(newcomer.link);
    }
    assert!(matches!(net.network.link_hello(ANN), Err(LinkFault::TooManyTries)));
}
