//! Business profiles, catalogs, reports, and the small requests of clients.

use serde_json::json;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent, OwnedNodeRef};

use super::test_rig::{Companion, Rig};
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";
const SERVER: &str = "s.whatsapp.net";

fn profile_of(rig: &mut Rig, from: &Companion, number: &str) -> Option<Node> {
    let profile = NodeBuilder::new("profile").attr("jid", format!("{number}@s.whatsapp.net")).build();
    let asked = NodeBuilder::new("business_profile").attr("v", "244").children([profile]).build();
    let answer = rig.ask(from, "w:biz", "get", SERVER, asked);
    answer.get_optional_child_by_tag(&["business_profile", "profile"]).cloned()
}

fn text(node: &Node, tag: &str) -> String {
    String::from_utf8(wire::child_content(node, tag).unwrap().to_vec()).unwrap()
}

#[test]
fn account_is_a_business_once_its_profile_is_filled_in_and_its_name_travels_with_its_messages() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    assert!(profile_of(&mut rig, &bob, ANN).is_none());
    let profile = json!({
        "name": "Ann's Boats", "description": "boats", "websites": ["https://boats.test"],
        "categories": [{ "id": "1", "name": "Boats" }],
        "hours": { "timezone": "UTC", "days": [{ "day": "mon", "mode": "specific_hours", "open": 480, "close": 1080 }] },
    });
    rig.network.set_business(ANN, serde_json::from_value(profile).unwrap()).unwrap();
    let shown = profile_of(&mut rig, &bob, ANN).unwrap();
    assert_eq!(
        (text(&shown, "description"), text(&shown, "website")),
        ("boats".to_owned(), "https://boats.test".to_owned())
    );
    let day = shown.get_optional_child_by_tag(&["business_hours", "business_hours_config"]).unwrap();
    assert!(wire::attribute_is(day, "day_of_week", "mon") && wire::attribute_is(day, "open_time", "480"));
    // A client changes what it names and nothing else.
    let change = NodeBuilder::new("business_profile").attr("v", "3").attr("mutation_type", "delta");
    let change = change.children([wire::leaf("email", "ann@boats.test"), wire::leaf("address", "Pier 1")]).build();
    assert!(wire::attribute_is(&rig.ask(&ann, "w:biz", "set", SERVER, change), "type", "result"));
    rig.restart();
    let mut bob = bob;
    rig.reconnect(&mut bob);
    let shown = profile_of(&mut rig, &bob, ANN).unwrap();
    assert_eq!((text(&shown, "email"), text(&shown, "description")), ("ann@boats.test".to_owned(), "boats".to_owned()));
    rig.network.send_text(ANN, BOB, "ahoy", None).unwrap();
    let got = rig.inbox(&bob);
    let certificate = wire::child_content(&got[0], "verified_name").unwrap();
    let certificate = waproto::codec::verified_name_certificate_decode(certificate).unwrap();
    let details = waproto::codec::verified_name_certificate_details_decode(&certificate.details.unwrap()).unwrap();
    assert_eq!(details.verified_name.as_deref(), Some("Ann's Boats"));
}

#[test]
fn profile_that_is_too_long_is_refused() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let long = wire::leaf("description", "x".repeat(5_000));
    let change = NodeBuilder::new("business_profile").children([long]).build();
    assert!(wire::attribute_is(&rig.ask(&ann, "w:biz", "set", SERVER, change), "type", "error"));
    let many = json!({ "name": "Ann", "websites": vec!["w"; 21] });
    assert!(rig.network.set_business(ANN, serde_json::from_value(many).unwrap()).is_err());
    assert!(profile_of(&mut rig, &ann, ANN).is_none());
}

#[test]
fn shop_windows_are_empty_and_orders_unknown() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let empty = |node: &Node, tag: &str| wire::children(node.get_optional_child(tag).unwrap()).is_empty();
    let catalog = rig.ask(&ann, "w:biz:catalog", "get", SERVER, NodeBuilder::new("product_catalog").build());
    assert!(empty(&catalog, "product_catalog"));
    let collections = rig.ask(&ann, "w:biz:catalog", "get", SERVER, NodeBuilder::new("collections").build());
    assert!(empty(&collections, "collections"));
    let gone = rig.ask(&ann, "w:biz:catalog", "set", SERVER, NodeBuilder::new("product_catalog_delete").build());
    assert!(wire::attribute_is(gone.get_optional_child("product_catalog_delete").unwrap(), "deleted_count", "0"));
    let order = rig.ask(&ann, "fb:thrift_iq", "get", SERVER, NodeBuilder::new("order").attr("op", "get").build());
    assert!(wire::attribute_is(order.get_optional_child("error").unwrap(), "code", "404"));
}

#[test]
fn report_of_spam_gets_an_id_as_text_and_is_remembered() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let message = NodeBuilder::new("message").attr("id", "M1").attr("t", "1").attr("from", "15550002222@s.whatsapp.net");
    let list = NodeBuilder::new("spam_list").attr("spam_flow", "MessageMenu").children([message.build()]).build();
    let answer = rig.ask(&ann, "spam", "set", SERVER, list);
    let sent = wacore_binary::marshal(&answer).unwrap();
    let plain = wacore_binary::util::unpack(&sent).unwrap().into_owned();
    let answer = OwnedNodeRef::new(plain).unwrap().to_owned_node();
    let report = answer.get_optional_child("report_id").unwrap();
    assert!(matches!(&report.content, Some(NodeContent::String(id)) if !id.is_empty()));
    let bad = rig.ask(&ann, "spam", "set", SERVER, NodeBuilder::new("nothing").build());
    assert!(wire::attribute_is(&bad, "type", "error"));
    rig.restart();
    let reports = serde_json::to_value(rig.network.spam_reports()).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 1);
    assert_eq!(reports[0]["message_ids"], json!(["M1"]));
    assert_eq!(reports[0]["about"], json!(["15550002222@s.whatsapp.net"]));
}

#[test]
fn small_requests_are_answered_in_their_own_words() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let notice = NodeBuilder::new("notice").attr("id", "20601218").build();
    let asked = NodeBuilder::new("request").children([notice.clone()]).build();
    let notices = rig.ask(&ann, "tos", "get", SERVER, asked);
    let notices = notices.get_optional_child("tos").unwrap();
    assert!(wire::attribute_is(&wire::children(notices)[0], "id", "20601218") && notices.attrs.get("refresh").is_some());
    let accepted = rig.ask(&ann, "tos", "set", SERVER, notice);
    assert!(wire::attribute_is(&accepted, "type", "result") && wire::children(&accepted).is_empty());
    let bots = rig.ask(&ann, "bot", "get", SERVER, NodeBuilder::new("bot").attr("v", "2").build());
    assert!(bots.get_optional_child("bot").is_some());
    for namespace in ["w:qp", "w:comms", "urn:xmpp:whatsapp:account"] {
        let answer = rig.ask(&ann, namespace, "get", SERVER, NodeBuilder::new("any").build());
        assert!(wire::attribute_is(&answer, "type", "result"), "{namespace}");
    }
    // Baileys 7 sends these without a type.
    let statistics = NodeBuilder::new("iq").attr("id", "q2").attr("xmlns", "w:stats").attr("to", SERVER);
    let statistics = statistics.children([NodeBuilder::new("add").build()]).build();
    assert!(wire::attribute_is(&rig.send(&ann, &statistics)[0], "type", "result"));
}

#[test]
fn restrictions_and_profiles_are_answered_through_mex() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let mut ask = |query_id: &str, variables: serde_json::Value| -> serde_json::Value {
        let query = NodeBuilder::new("query").attr("query_id", query_id);
        let query = query.bytes(json!({ "variables": variables }).to_string().into_bytes()).build();
        let answer = rig.ask(&ann, "w:mex", "get", SERVER, query);
        serde_json::from_slice(wire::child_content(&answer, "result").unwrap()).unwrap()
    };
    let lock = ask("23983697327930364", json!({}));
    assert_eq!(lock["data"]["xwa2_fetch_account_reachout_timelock"]["is_active"], false);
    let cap = ask("24503548349331633", json!({ "input": { "type": "INDIVIDUAL_NEW_CHAT_MSG" } }));
    assert_eq!(cap["data"]["xwa2_message_capping_info"]["capping_status"], "NONE");
    let users = json!({ "input": { "query_input": [{ "jid": format!("{ANN}@s.whatsapp.net") }, { "jid": "1@lid" }] } });
    let users = ask("29829202653362039", users);
    assert_eq!(users["data"]["xwa2_fetch_wa_users"].as_array().unwrap().len(), 1);
    assert!(ask("", json!({}))["errors"].is_array());
}
