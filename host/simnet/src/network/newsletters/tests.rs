//! Newsletters from the side of clients and of the control API.

use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::MessageField;
use waproto::whatsapp::message::ProtocolMessage;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::{Message, MessageKey};

use super::{POSTS_MAX, SERVER_ID_BASE};
use crate::network::test_rig::{Companion, Rig, ack_for};
use crate::wire;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";
const CAT: &str = "15550003333";

const CREATE: &str = "25149874324715067";
const UPDATE: &str = "24250201037901610";
const FETCH: &str = "27456920720571478";
const JOIN: &str = "24404358912487870";
const LEAVE: &str = "9767147403369991";
const SUBSCRIBED: &str = "25399611239711790";
const DELETE: &str = "30062808666639665";

fn mex(rig: &mut Rig, from: &Companion, query_id: &str, variables: Value) -> Value {
    let query = NodeBuilder::new("query").attr("query_id", query_id);
    let query = query.bytes(json!({ "variables": variables }).to_string().into_bytes()).build();
    let answer = rig.ask(from, "w:mex", "get", "s.whatsapp.net", query);
    assert!(wire::attribute_is(&answer, "type", "result"));
    serde_json::from_slice(wire::child_content(&answer, "result").unwrap()).unwrap()
}

/// The data under one name of an answer without errors.
fn data(rig: &mut Rig, from: &Companion, query_id: &str, field: &str, variables: Value) -> Value {
    let answer = mex(rig, from, query_id, variables);
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"][field].clone()
}

fn error_code(answer: &Value) -> u64 {
    assert!(answer["data"].is_null());
    answer["errors"][0]["extensions"]["error_code"].as_u64().unwrap()
}

fn create(rig: &mut Rig, by: &Companion, name: &str) -> String {
    let created = data(rig, by, CREATE, "xwa2_newsletter_create", json!({ "input": { "name": name, "description": null } }));
    created["id"].as_str().unwrap().to_owned()
}

fn join(rig: &mut Rig, by: &Companion, jid: &str) -> Value {
    data(rig, by, JOIN, "xwa2_newsletter_join_v2", json!({ "newsletter_id": jid }))
}

fn text(text: &str) -> Vec<u8> {
    waproto::codec::message_to_vec(&Message { conversation: Some(text.to_owned()), ..Message::default() })
}

fn post(jid: &str, id: &str, content: &str) -> Node {
    change(jid, id, None, text(content))
}

fn change(jid: &str, id: &str, edit: Option<&str>, plaintext: Vec<u8>) -> Node {
    let mut message = NodeBuilder::new("message").attr("to", jid).attr("id", id).attr("type", "text");
    if let Some(edit) = edit {
        message = message.attr("edit", edit);
    }
    message.children([NodeBuilder::new("plaintext").bytes(plaintext).build()]).build()
}

/// Sends a message that must be acknowledged; gives the number in the ack.
fn publish(rig: &mut Rig, by: &Companion, node: &Node) -> u64 {
    let acks = rig.send(by, node);
    assert_eq!(acks.len(), 1);
    let ack = &acks[0];
    assert!(wire::attribute_is(ack, "class", "message") && ack.attrs.get("error").is_none(), "{ack:?}");
    wire::attribute(ack, "server_id").unwrap().parse().unwrap()
}

fn refused(rig: &mut Rig, by: &Companion, node: &Node) -> String {
    let acks = rig.send(by, node);
    wire::attribute(&acks[0], "error").unwrap()
}

fn react(jid: &str, server_id: u64, code: &str) -> Node {
    let reaction = NodeBuilder::new("reaction").attr("code", code).build();
    let message = NodeBuilder::new("message").attr("to", jid).attr("id", "R1").attr("type", "reaction");
    message.attr("server_id", server_id).children([reaction]).build()
}

fn history(rig: &mut Rig, by: &Companion, jid: &str, content: Node) -> Vec<Node> {
    let answer = rig.ask(by, "newsletter", "get", jid, content);
    wire::children(answer.get_optional_child("messages").unwrap()).to_vec()
}

fn messages(count: u32) -> NodeBuilder {
    NodeBuilder::new("messages").attr("count", count)
}

fn plaintext(node: &Node) -> Option<String> {
    waproto::codec::message_decode(wire::child_content(node, "plaintext")?).unwrap().conversation
}

/// The `op_name`s of the notifications about newsletters in an inbox.
fn operations(nodes: &[Node]) -> Vec<String> {
    let notifications = nodes.iter().filter(|node| wire::attribute_is(node, "type", "mex"));
    notifications.map(|node| wire::attribute(node.get_optional_child("update").unwrap(), "op_name").unwrap()).collect()
}

#[test]
fn created_newsletter_is_found_by_address_and_invite_and_is_followed_by_its_owner() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let input = json!({ "input": { "name": "Tides", "description": "high and low" } });
    let created = data(&mut rig, &ann, CREATE, "xwa2_newsletter_create", input);
    let jid = created["id"].as_str().unwrap();
    assert!(jid.ends_with("@newsletter"));
    let thread = &created["thread_metadata"];
    assert_eq!(thread["name"]["text"], "Tides");
    assert_eq!(thread["description"]["text"], "high and low");
    assert_eq!(thread["subscribers_count"], "1");
    assert!(thread["picture"].is_object() && thread["picture"]["direct_path"].is_null());
    assert_eq!(created["viewer_metadata"]["role"], "owner");
    assert_eq!(created["viewer_metadata"]["mute"], "OFF");
    let invite = thread["invite"].clone();
    for (key, kind) in [(json!(jid), "JID"), (invite, "INVITE")] {
        let input = json!({ "input": { "key": key, "type": kind, "view_role": "GUEST" } });
        let found = data(&mut rig, &ann, FETCH, "xwa2_newsletter", input);
        assert_eq!(found["id"], jid);
    }
    let subscribed = data(&mut rig, &ann, SUBSCRIBED, "xwa2_newsletter_subscribed", json!({}));
    assert_eq!(subscribed[0]["id"], jid);
}

#[test]
fn numbers_of_another_client_mean_the_same() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let input = json!({ "input": { "name": "Tides", "description": null } });
    let created = data(&mut rig, &ann, "8823471724422422", "xwa2_newsletter_create", input);
    let jid = created["id"].clone();
    let named = json!({ "newsletter_id": jid });
    join(&mut rig, &bob, jid.as_str().unwrap());
    let muted = data(&mut rig, &bob, "29766401636284406", "xwa2_newsletter_mute_v2", named.clone());
    assert_eq!(muted["viewer_metadata"]["mute"], "ON");
    let heard = data(&mut rig, &bob, "9864994326891137", "xwa2_newsletter_unmute_v2", named.clone());
    assert_eq!(heard["viewer_metadata"]["mute"], "OFF");
    let admins = data(&mut rig, &ann, "7130823597031706", "xwa2_newsletter_admin", named.clone());
    assert_eq!(admins["admin_count"], 1);
    let subscribers = data(&mut rig, &ann, "9783111038412085", "xwa2_newsletter_subscribers", named);
    assert_eq!(subscribers["subscribers"], 2);
}

#[test]
fn unknown_query_and_unknown_newsletter_get_an_error_and_not_silence() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let unknown = mex(&mut rig, &ann, "1", json!({}));
    assert_eq!(error_code(&unknown), 400);
    assert!(unknown["errors"][0]["message"].as_str().unwrap().contains("unknown query"));
    let missing = json!({ "newsletter_id": "120363000000000000@newsletter" });
    assert_eq!(error_code(&mex(&mut rig, &ann, JOIN, missing)), 404);
    assert_eq!(error_code(&mex(&mut rig, &ann, JOIN, json!({}))), 400);
    let nowhere = post("120363000000000000@newsletter", "P1", "hello");
    assert_eq!(refused(&mut rig, &ann, &nowhere), "404");
}

#[test]
fn post_reaches_followers_once_with_its_number_and_not_the_device_that_sent_it() {
    let mut rig = Rig::new();
    let (ann, other, bob) = (rig.companion(ANN), rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    let joined = join(&mut rig, &bob, &jid);
    assert_eq!((&joined["id"], &joined["viewer_metadata"]["role"]), (&json!(jid), &json!("subscriber")));
    rig.inbox(&other);
    let server_id = publish(&mut rig, &ann, &post(&jid, "P1", "high water at noon"));
    assert_eq!(server_id, SERVER_ID_BASE + 1);
    for follower in [&other, &bob] {
        let got = rig.inbox(follower);
        assert_eq!(got.len(), 1);
        assert_eq!(wire::attribute(&got[0], "from").unwrap(), jid);
        assert_eq!(wire::attribute(&got[0], "id").unwrap(), "P1");
        assert_eq!(wire::attribute(&got[0], "server_id").unwrap(), server_id.to_string());
        assert_eq!(plaintext(&got[0]).unwrap(), "high water at noon");
        rig.send(follower, &ack_for(&got[0]));
        assert_eq!(rig.unacknowledged(follower), usize::from(follower.key == other.key));
    }
    assert!(rig.inbox(&ann).is_empty());
    let shown = rig.network.received(BOB, 0, 10).unwrap();
    assert_eq!((shown[0].chat.as_str(), shown[0].text.as_deref()), (jid.as_str(), Some("high water at noon")));
    assert!(rig.network.received(ANN, 0, 10).unwrap().is_empty());
    assert_eq!(rig.journal.last().unwrap().enc[0].kind, "plaintext");
}

#[test]
fn post_sent_twice_is_one_post_with_one_number() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    join(&mut rig, &bob, &jid);
    let first = publish(&mut rig, &ann, &post(&jid, "P1", "noon"));
    assert_eq!(publish(&mut rig, &ann, &post(&jid, "P1", "noon")), first);
    assert_eq!(rig.inbox(&bob).len(), 1);
    assert_eq!(rig.journal.len(), 2);
}

#[test]
fn only_those_who_run_a_newsletter_post_change_and_delete() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    join(&mut rig, &bob, &jid);
    publish(&mut rig, &ann, &post(&jid, "P1", "noon"));
    assert_eq!(refused(&mut rig, &bob, &post(&jid, "P2", "spam")), "403");
    assert_eq!(refused(&mut rig, &bob, &change(&jid, "P1", Some("3"), text("spam"))), "403");
    let renamed = json!({ "newsletter_id": jid, "updates": { "name": "Spam" } });
    assert_eq!(error_code(&mex(&mut rig, &bob, UPDATE, renamed)), 403);
    assert_eq!(error_code(&mex(&mut rig, &bob, DELETE, json!({ "newsletter_id": jid }))), 403);
    let followers = json!({ "input": { "newsletter_id": jid, "count": 10 } });
    assert_eq!(error_code(&mex(&mut rig, &bob, "27472091235714801", followers)), 403);
}

#[test]
fn leaving_ends_the_posts_and_an_owner_who_leaves_stays_the_owner() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    join(&mut rig, &bob, &jid);
    for companion in [&bob, &ann] {
        let left = data(&mut rig, companion, LEAVE, "xwa2_newsletter_leave_v2", json!({ "newsletter_id": jid }));
        assert_eq!(left["id"], jid.as_str());
    }
    publish(&mut rig, &ann, &post(&jid, "P1", "anybody here?"));
    assert!(rig.inbox(&bob).is_empty());
    let subscribed = data(&mut rig, &ann, SUBSCRIBED, "xwa2_newsletter_subscribed", json!({}));
    assert_eq!(subscribed, json!([]));
}

#[test]
fn update_changes_only_what_it_names_and_followers_hear_of_it() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    join(&mut rig, &bob, &jid);
    let picture = json!({ "newsletter_id": jid, "updates": { "picture": "/9j/4A==", "name": null, "settings": null } });
    let pictured = data(&mut rig, &ann, UPDATE, "xwa2_newsletter_update", picture);
    assert!(pictured["thread_metadata"]["picture"]["direct_path"].as_str().unwrap().starts_with("/v/"));
    let renamed = json!({ "newsletter_id": jid, "updates": { "name": "Currents", "settings": null } });
    let renamed = data(&mut rig, &ann, UPDATE, "xwa2_newsletter_update", renamed);
    assert_eq!(renamed["thread_metadata"]["name"]["text"], "Currents");
    assert!(renamed["thread_metadata"]["picture"]["direct_path"].is_string());
    let heard = rig.inbox(&bob);
    assert_eq!(operations(&heard), ["NotificationNewsletterUpdate"; 2]);
    let update = heard[1].get_optional_child("update").unwrap();
    let update: Value = serde_json::from_slice(wire::content(update).unwrap()).unwrap();
    assert_eq!(update["updates"], json!([{ "jid": jid, "settings": { "name": "Currents" } }]));
    assert_eq!(update["data"]["xwa2_notify_newsletter_on_metadata_update"]["id"], jid.as_str());
    let bare = json!({ "newsletter_id": jid, "updates": { "picture": "" } });
    let bare = data(&mut rig, &ann, UPDATE, "xwa2_newsletter_update", bare);
    assert!(bare["thread_metadata"]["picture"]["direct_path"].is_null());
    let broken = json!({ "newsletter_id": jid, "updates": { "picture": "not base64!" } });
    assert_eq!(error_code(&mex(&mut rig, &ann, UPDATE, broken)), 400);
    let long = json!({ "newsletter_id": jid, "updates": { "name": "x".repeat(401) } });
    assert_eq!(error_code(&mex(&mut rig, &ann, UPDATE, long)), 400);
}

#[test]
fn history_comes_in_pages_from_the_end() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let jid = create(&mut rig, &ann, "Tides");
    for number in 0..5 {
        publish(&mut rig, &ann, &post(&jid, &format!("P{number}"), &format!("post {number}")));
    }
    let all = history(&mut rig, &ann, &jid, messages(50).build());
    let texts: Vec<_> = all.iter().filter_map(plaintext).collect();
    assert_eq!(texts, ["post 0", "post 1", "post 2", "post 3", "post 4"]);
    assert!(all.iter().all(|node| wire::attribute_is(node, "is_sender", "true")));
    let last = wire::attribute(&all[4], "server_id").unwrap();
    let page = history(&mut rig, &ann, &jid, messages(2).attr("before", last).build());
    let texts: Vec<_> = page.iter().filter_map(plaintext).collect();
    assert_eq!(texts, ["post 2", "post 3"]);
    // As WhatsApp Web asks: the server, by name.
    let by_name = messages(1).attr("type", "jid").attr("jid", jid.as_str()).build();
    let page = history(&mut rig, &ann, "s.whatsapp.net", by_name);
    assert_eq!(plaintext(&page[0]).unwrap(), "post 4");
    let updates = NodeBuilder::new("message_updates").attr("count", "2").attr("after", SERVER_ID_BASE + 2).build();
    let answer = rig.ask(&ann, "newsletter", "get", &jid, updates);
    let list = answer.get_optional_child_by_tag(&["message_updates", "messages"]).unwrap();
    let texts: Vec<_> = wire::children(list).iter().filter_map(plaintext).collect();
    assert_eq!(texts, ["post 2", "post 3"]);
    let nowhere = rig.ask(&ann, "newsletter", "get", "120363000000000000@newsletter", messages(1).build());
    assert!(wire::attribute_is(&nowhere, "type", "error"));
}

#[test]
fn reactions_are_counted_and_those_who_watch_hear_of_them_for_a_while() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    let server_id = publish(&mut rig, &ann, &post(&jid, "P1", "noon"));
    let watch = rig.ask(&ann, "newsletter", "set", &jid, NodeBuilder::new("live_updates").build());
    let watch = watch.get_optional_child("live_updates").unwrap();
    assert_eq!(wire::attribute(watch, "duration").unwrap(), "90");
    assert_eq!(publish(&mut rig, &ann, &react(&jid, server_id, "👍")), server_id);
    publish(&mut rig, &bob, &react(&jid, server_id, "👍"));
    let live = rig.inbox(&ann);
    assert_eq!(live.len(), 2);
    assert!(wire::attribute_is(&live[1], "type", "newsletter") && wire::attribute_is(&live[1], "from", &jid));
    let counted = live[1].get_optional_child_by_tag(&["live_updates", "messages", "message"]).unwrap();
    assert_eq!(wire::attribute(counted, "server_id").unwrap(), server_id.to_string());
    assert!(counted.get_optional_child("plaintext").is_none());
    let reaction = counted.get_optional_child_by_tag(&["reactions", "reaction"]).unwrap();
    assert!(wire::attribute_is(reaction, "code", "👍") && wire::attribute_is(reaction, "count", "2"));
    assert!(rig.inbox(&bob).is_empty());
    // Taken back, in the words of the other client.
    let none = NodeBuilder::new("reaction").build();
    let back = NodeBuilder::new("message").attr("to", jid.as_str()).attr("id", "R2").attr("type", "reaction");
    let back = back.attr("edit", "7").attr("server_id", server_id).children([none]).build();
    publish(&mut rig, &bob, &back);
    let summary = serde_json::to_value(rig.network.newsletter_summary(&jid).unwrap()).unwrap();
    assert_eq!(summary["messages"][0]["reactions"], json!({ "👍": 1 }));
    rig.inbox(&ann);
    rig.wait(91_000);
    publish(&mut rig, &bob, &react(&jid, server_id, "❤️"));
    assert!(rig.inbox(&ann).is_empty());
}

#[test]
fn account_sees_its_own_reactions_votes_and_views() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    let server_id = publish(&mut rig, &ann, &post(&jid, "P1", "when?"));
    publish(&mut rig, &bob, &react(&jid, server_id, "👍"));
    let vote = |options: &[[u8; 32]]| {
        let votes = options.iter().map(|option| NodeBuilder::new("vote").bytes(option.as_slice()).build());
        let votes = NodeBuilder::new("votes").children(votes).build();
        let meta = NodeBuilder::new("meta").attr("polltype", "vote").build();
        let message = NodeBuilder::new("message").attr("to", jid.as_str()).attr("id", "V1").attr("type", "poll");
        message.attr("server_id", server_id).children([meta, votes]).build()
    };
    publish(&mut rig, &bob, &vote(&[[7; 32], [8; 32]]));
    publish(&mut rig, &bob, &vote(&[[7; 32]]));
    let item = NodeBuilder::new("item").attr("server_id", server_id).build();
    let list = NodeBuilder::new("list").children([item]).build();
    let view = NodeBuilder::new("receipt").attr("to", jid.as_str()).attr("type", "view").attr("id", "W1").children([list]);
    assert!(wire::attribute_is(&rig.send(&bob, &view.build())[0], "class", "receipt"));
    let asked = NodeBuilder::new("my_addons").attr("limit", "20").attr("jid", jid.as_str()).build();
    let answer = rig.ask(&bob, "newsletter", "get", "s.whatsapp.net", asked);
    let own = answer.get_optional_child_by_tag(&["my_addons", "messages", "message"]).unwrap();
    assert!(wire::attribute_is(own.get_optional_child("reaction").unwrap(), "code", "👍"));
    let votes = own.get_optional_child("votes").unwrap();
    assert!(votes.attrs.get("t").is_some());
    assert_eq!(wire::children(votes).iter().map(|vote| wire::content(vote).unwrap()).collect::<Vec<_>>(), [[7; 32]]);
    let seen = history(&mut rig, &ann, &jid, messages(1).build());
    assert!(wire::attribute_is(seen[0].get_optional_child("views_count").unwrap(), "count", "1"));
    let tally = seen[0].get_optional_child_by_tag(&["votes", "vote"]).unwrap();
    assert!(wire::attribute_is(tally, "count", "1"));
}

#[test]
fn edit_replaces_a_post_and_revoke_empties_it_whichever_client_does_it() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    join(&mut rig, &bob, &jid);
    let server_id = publish(&mut rig, &ann, &post(&jid, "P1", "nown"));
    // whatsapp-rust names the post with the stanza's id.
    assert_eq!(publish(&mut rig, &ann, &change(&jid, "P1", Some("3"), text("noon"))), server_id);
    // Baileys names it inside a protocol message.
    let about = MessageKey { id: Some("P1".to_owned()), ..MessageKey::default() };
    let protocol = ProtocolMessage {
        key: MessageField::some(about.clone()),
        r#type: Some(ProtocolType::MESSAGE_EDIT),
        edited_message: MessageField::some(Message { conversation: Some("one".to_owned()), ..Message::default() }),
        ..ProtocolMessage::default()
    };
    let edit = Message { protocol_message: MessageField::some(protocol), ..Message::default() };
    let edit = change(&jid, "E1", Some("1"), waproto::codec::message_to_vec(&edit));
    assert_eq!(publish(&mut rig, &ann, &edit), server_id);
    assert_eq!(publish(&mut rig, &ann, &change(&jid, "P1", Some("8"), Vec::new())), server_id);
    let got = rig.inbox(&bob);
    let edits: Vec<_> = got.iter().map(|node| wire::attribute(node, "edit")).collect();
    assert_eq!(edits, [None, Some("3".to_owned()), Some("3".to_owned()), Some("8".to_owned())]);
    assert!(got.iter().all(|node| wire::attribute_is(node, "id", "P1")));
    assert_eq!(plaintext(&got[2]).unwrap(), "one");
    assert_eq!(plaintext(&got[3]), None);
    assert!(got[1].get_optional_child("meta").unwrap().attrs.get("msg_edit_t").is_some());
    let shown = rig.network.received(BOB, 0, 10).unwrap();
    let kinds: Vec<_> = shown.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["text", "edit", "edit", "revoke"]);
    assert_eq!((shown[2].edited.as_deref(), shown[2].text.as_deref()), (Some("P1"), Some("one")));
    assert_eq!(shown[3].revoked.as_deref(), Some("P1"));
    assert_eq!(refused(&mut rig, &ann, &change(&jid, "P1", Some("3"), text("again"))), "404");
}

#[test]
fn admin_is_invited_accepts_and_takes_over() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    let bob_lid = rig.network.lid_text(BOB);
    let both = json!({ "newsletter_id": jid, "user_id": bob_lid });
    let named = json!({ "newsletter_id": jid });
    assert_eq!(error_code(&mex(&mut rig, &bob, "9580828702035549", named.clone())), 403);
    let invited = data(&mut rig, &ann, "9387141988078609", "xwa2_newsletter_admin_invite_create", both.clone());
    assert!(invited["invite_expiration_time"].is_string());
    let pending = data(&mut rig, &ann, "9783111038412085", "xwa2_newsletter_admin", named.clone());
    assert_eq!(pending["pending_admin_invites"][0]["user"]["id"], bob_lid.as_str());
    data(&mut rig, &bob, "9580828702035549", "xwa2_newsletter_admin_invite_accept", named.clone());
    assert!(operations(&rig.inbox(&ann)).contains(&"NotificationNewsletterAdminPromote".to_owned()));
    publish(&mut rig, &bob, &post(&jid, "P1", "from the admin"));
    let owned = data(&mut rig, &ann, "9546742745432473", "xwa2_newsletter_change_owner", both);
    assert_eq!(owned["id"], jid.as_str());
    let ann_lid = rig.network.lid_text(ANN);
    let demote = json!({ "newsletter_id": jid, "user_id": ann_lid });
    assert_eq!(data(&mut rig, &bob, "9880997548630971", "xwa2_newsletter_admin_demote", demote.clone())["id"], jid.as_str());
    assert_eq!(refused(&mut rig, &ann, &post(&jid, "P2", "still me?")), "403");
    let followers = json!({ "input": { "newsletter_id": jid, "count": 10 } });
    let followers = data(&mut rig, &bob, "27472091235714801", "xwa2_newsletter_followers", followers);
    let roles: Vec<_> = followers["followers"]["edges"].as_array().unwrap().iter().map(|edge| &edge["role"]).collect();
    assert_eq!(roles, ["SUBSCRIBER", "OWNER"]);
}

#[test]
fn deleted_newsletter_is_gone_with_all_its_records() {
    let mut rig = Rig::new();
    let (ann, bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    join(&mut rig, &bob, &jid);
    let server_id = publish(&mut rig, &ann, &post(&jid, "P1", "noon"));
    publish(&mut rig, &bob, &react(&jid, server_id, "👍"));
    assert!(rig.has_records("newsletter/"));
    let gone = data(&mut rig, &ann, DELETE, "xwa2_newsletter_delete_v2", json!({ "newsletter_id": jid }));
    assert_eq!(gone["state"]["type"], "DELETED");
    assert!(!rig.has_records("newsletter/"));
    assert_eq!(error_code(&mex(&mut rig, &bob, JOIN, json!({ "newsletter_id": jid }))), 404);
    assert!(operations(&rig.inbox(&bob)).contains(&"NotificationNewsletterStateChange".to_owned()));
}

#[test]
fn newsletter_survives_a_restart_and_its_numbers_go_on() {
    let mut rig = Rig::new();
    let (mut ann, mut bob) = (rig.companion(ANN), rig.companion(BOB));
    let jid = create(&mut rig, &ann, "Tides");
    join(&mut rig, &bob, &jid);
    let server_id = publish(&mut rig, &ann, &post(&jid, "P1", "noon"));
    publish(&mut rig, &bob, &react(&jid, server_id, "👍"));
    let before = serde_json::to_value(rig.network.newsletter_summary(&jid).unwrap()).unwrap();
    rig.restart();
    assert_eq!(serde_json::to_value(rig.network.newsletter_summary(&jid).unwrap()).unwrap(), before);
    rig.reconnect(&mut ann);
    rig.reconnect(&mut bob);
    assert_eq!(publish(&mut rig, &ann, &post(&jid, "P2", "six")), server_id + 1);
    let invite = json!({ "input": { "key": before["invite"], "type": "INVITE" } });
    assert_eq!(data(&mut rig, &bob, FETCH, "xwa2_newsletter", invite)["id"], jid.as_str());
}

#[test]
fn oldest_posts_go_when_there_are_too_many() {
    let mut rig = Rig::new();
    let ann = rig.companion(ANN);
    let jid = create(&mut rig, &ann, "Tides");
    for number in 0..=POSTS_MAX {
        publish(&mut rig, &ann, &post(&jid, &format!("P{number}"), "tick"));
    }
    let summary = serde_json::to_value(rig.network.newsletter_summary(&jid).unwrap()).unwrap();
    let posts = summary["messages"].as_array().unwrap();
    assert_eq!((posts.len(), &posts[0]["id"]), (POSTS_MAX, &json!("P1")));
}

#[test]
fn phones_run_a_newsletter_through_the_control_api() {
    let mut rig = Rig::new();
    let bob = rig.companion(BOB);
    rig.network.ensure_phone(ANN, None).unwrap();
    rig.network.ensure_phone(CAT, None).unwrap();
    let (jid, invite) = rig.network.make_newsletter(&format!("+{ANN}"), "Tides", "").unwrap();
    rig.network.follow_by_phones(&jid, &[BOB.to_owned(), CAT.to_owned()]).unwrap();
    let (id, server_id) = rig.network.post_by_phone(&jid, ANN, "noon").unwrap();
    rig.network.edit_by_phone(&jid, ANN, server_id, "one").unwrap();
    rig.network.react_by_phone(&jid, CAT, server_id, "🌊").unwrap();
    let got: Vec<_> = rig.inbox(&bob).into_iter().filter(|node| node.tag == "message").collect();
    assert_eq!(got.iter().map(|node| plaintext(node).unwrap()).collect::<Vec<_>>(), ["noon", "one"]);
    assert_eq!(wire::attribute(&got[0], "id").unwrap(), id);
    let summary = serde_json::to_value(rig.network.newsletter_summary(&jid).unwrap()).unwrap();
    assert_eq!(summary["invite"], invite);
    assert_eq!(summary["followers"], json!([ANN, BOB, CAT]));
    let shown = &summary["messages"][0];
    assert_eq!((&shown["text"], &shown["edited"], &shown["reactions"]), (&json!("one"), &json!(true), &json!({ "🌊": 1 })));
    assert!(rig.network.post_by_phone(&jid, CAT, "me too").is_err());
    rig.network.unfollow_by_phone(&jid, CAT).unwrap();
    rig.network.revoke_by_phone(&jid, ANN, server_id).unwrap();
    let kinds: Vec<_> = rig.network.received(CAT, 0, 10).unwrap().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["text", "edit"]);
    assert!(rig.network.newsletter_summary("120363000000000000@newsletter").is_err());
    assert!(rig.network.make_newsletter("15559999999", "Nobody's", "").is_err());
}
