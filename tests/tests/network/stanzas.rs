//! Below the calls with names: questions in one's own words, and what becomes of a stanza that is confirmed, refused, asked
//! for again or sent again by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{RawClient, Setup, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::request::InfoQuery;
use whatsapp_rust::usync::{
    UsyncAddressingMode, UsyncContext, UsyncMode, UsyncOutcome, UsyncProtocol, UsyncProtocolKind, UsyncProtocolResult,
    UsyncQuery, UsyncUser,
};
use whatsapp_rust::wacore::iq::dirty::{DirtyBit, DirtyType};
use whatsapp_rust::wacore_binary::{Node, NodeContent};
use whatsapp_rust::{
    ErrorChainExt, MessageRetransmission, MexError, MexRequest, NackReason, NodeBuilder, NodeFilter, OwnedNodeRef,
    RetryRequestOptions, RetryRequestOutcome, StanzaRejection,
};

use crate::{ADA, BO, CY};

fn server() -> Jid {
    Jid::new("", Server::Pn)
}

fn one(node: Node) -> Option<NodeContent> {
    Some(NodeContent::Nodes(vec![node]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_ones_own_words_is_answered_or_refused() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let ping = NodeBuilder::new("iq").attr("to", server()).attr("type", "get").attr("xmlns", "w:p").build();
    let pong = ada.client.send_iq_node(ping, Some(PATIENCE)).await.unwrap();
    assert!(pong.get().get_attr("type").is_some_and(|kind| kind == "result"));
    let privacy = InfoQuery::get("privacy", server(), one(NodeBuilder::new("privacy").build()));
    let told = ada.client.send_iq(privacy).await.unwrap();
    assert!(told.get().get_optional_child("privacy").is_some());
    let nowhere = Jid::group("120363999999999999");
    let query = NodeBuilder::new("query").attr("request", "interactive").build();
    let refused = ada.client.send_iq(InfoQuery::get("w:g2", nowhere, one(query))).await.unwrap_err();
    assert_eq!(refused.server_rejection().map(|rejection| rejection.code), Some(404), "{refused:?}");
    let ids: std::collections::HashSet<String> = (0..100).map(|_| ada.client.generate_message_id()).collect();
    assert_eq!(ids.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_told_of_users_is_asked_at_once() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.must("PATCH", &format!("phones/{BO}"), Some(&json!({ "about": "on a boat" }))).await;
    sim.phone(CY).await;
    sim.must("PUT", &format!("phones/{CY}/business"), Some(&json!({ "name": "Cy's Cakes" }))).await;
    bo.client.set_default_disappearing_mode(86_400).await.unwrap();
    let protocols = vec![
        UsyncProtocol::Contact { addressing_mode: UsyncAddressingMode::Pn },
        UsyncProtocol::DevicesV2,
        UsyncProtocol::Status,
        UsyncProtocol::DisappearingMode,
        UsyncProtocol::BusinessVerifiedName,
        UsyncProtocol::Lid,
        UsyncProtocol::BotProfileV1,
    ];
    let users = [BO, CY, "491510009999"].map(|number| UsyncUser::from_phone(format!("+{number}"))).to_vec();
    let query = UsyncQuery::new(UsyncMode::Query, UsyncContext::Interactive, protocols, users).unwrap();
    let told = ada.client.query_usync(query).await.unwrap();
    let of = |number: &str| told.users.iter().find(|user| user.id.as_ref() == Some(&jid(number))).unwrap();

    let here = of(BO);
    let Some(UsyncProtocolResult::Contact(UsyncOutcome::Value(contact))) = here.protocol(UsyncProtocolKind::Contact) else {
        panic!("{here:?}")
    };
    assert_eq!(&*contact.contact_type, "in");
    let Some(UsyncProtocolResult::Devices(UsyncOutcome::Value(devices))) = here.protocol(UsyncProtocolKind::Devices) else {
        panic!("{here:?}")
    };
    let list = devices.device_list.as_ref().unwrap();
    assert_eq!(list.devices.iter().map(|device| device.id).collect::<Vec<_>>(), [0, bo.device_jid().device]);
    let Some(UsyncProtocolResult::Status(UsyncOutcome::Value(about))) = here.protocol(UsyncProtocolKind::Status) else {
        panic!("{here:?}")
    };
    assert_eq!(about.status.as_deref(), Some("on a boat"));
    let timer = here.protocol(UsyncProtocolKind::DisappearingMode);
    let Some(UsyncProtocolResult::DisappearingMode(UsyncOutcome::Value(timer))) = timer else { panic!("{here:?}") };
    assert_eq!(timer.duration_seconds, 86_400);
    assert_eq!(here.protocol(UsyncProtocolKind::Lid), Some(&UsyncProtocolResult::Lid(UsyncOutcome::Value(Some(bo.lid())))));
    assert!(here.protocol(UsyncProtocolKind::Bot).is_none(), "Bo is no bot");
    assert!(here.protocol(UsyncProtocolKind::Business).is_none());
    assert!(of(CY).protocol(UsyncProtocolKind::Business).is_some());
    let nobody = of("491510009999");
    let Some(UsyncProtocolResult::Contact(UsyncOutcome::Value(contact))) = nobody.protocol(UsyncProtocolKind::Contact)
    else {
        panic!("{nobody:?}")
    };
    assert_eq!(&*contact.contact_type, "out");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_queries_are_asked_and_carried_out_by_their_numbers() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    sim.must("PATCH", &format!("phones/{BO}"), Some(&json!({ "about": "on a boat" }))).await;
    // The numbers are those of wacore 0.7.0, `iq/mex_operations.rs`.
    let variables = json!({ "input": { "query_input": [{ "jid": jid(BO).to_string() }] } });
    let asked = ada.client.mex().query(MexRequest::new("FetchUsers", "29829202653362039", variables)).await.unwrap();
    let user = &asked.data.unwrap()["xwa2_fetch_wa_users"][0];
    assert_eq!(user["about_status_info"]["text"], "on a boat", "{user}");

    let group = crate::groups::create(&ada, "Club", &[BO]).await.id;
    let variables = json!({ "group_id": group.to_string(), "update": { "member_link_mode": "ADMIN_LINK" } });
    let request = MexRequest::new("UpdateGroupProperty", "9418211574894172", variables);
    let changed = ada.client.mex().mutate(request).await.unwrap();
    assert_eq!(changed.data.unwrap()["xwa2_group_update_property"]["id"], group.to_string());

    let unknown = ada.client.mex().query(MexRequest::new("Nothing", "1", json!({}))).await;
    // The library finds the error before it comes to what `MexError` has for it.
    let said_so = |error: &MexError| matches!(error, MexError::Request(IqError::ParseError(error)) if error.to_string().contains("code=400"));
    assert!(unknown.as_ref().is_err_and(said_so), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_be_asked_anew_is_marked_until_it_was() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let heard = |event: &Event| match event {
        Event::DirtyState(mark) if mark.dirty_type == DirtyType::NewsletterMetadata => mark.timestamp,
        _ => None,
    };
    sim.post(&format!("phones/{ADA}/dirty"), json!({ "type": "newsletter_metadata" })).await;
    let at = ada.hears("the mark", heard).await;
    ada.client.clean_dirty_bits(DirtyBit::with_timestamp(DirtyType::NewsletterMetadata, at)).await.unwrap();
    let ada = ada.suspend().await.resume(&sim).await;
    assert_eq!(ada.count(|event| heard(event).is_some()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_only_looking_gets_nothing_until_it_is_back() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    bo.client.set_passive(true).await.unwrap();
    let id = ada.send_text(&bo.jid(), "are you there?").await;
    assert_eq!(ada.answer_to(&id).await, None);
    // What the network wanted to deliver would have come before this answer.
    bo.client.fetch_props().await.unwrap();
    assert_eq!(bo.received(&id), 0);
    bo.client.set_passive(false).await.unwrap();
    bo.message(&id).await;
}

/// The stanza that carried the message of this id.
async fn stanza(client: &RawClient, id: &str) -> Arc<OwnedNodeRef> {
    client
        .hears("the stanza", |event| match event {
            Event::RawNode(node) => {
                let is_it = node.get().tag.as_ref() == "message" && node.get().get_attr("id").is_some_and(|own| own == id);
                is_it.then(|| Arc::clone(node))
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_or_refused_by_hand_does_not_come_again() {
    for refuse in [false, true] {
        let sim = Sim::start().await;
        let left = Arc::new(AtomicU32::new(0));
        let ada = RawClient::linked(&sim, ADA).await;
        let setup = Setup { failing_commits: Some(Arc::clone(&left)), ..Setup::named("Bo") };
        let bo = RawClient::linked_with(&sim, BO, setup).await;
        let _lease = bo.client.acquire_raw_node_forwarding();
        // It cannot write the message down, and so does not confirm it by itself.
        left.store(1, Ordering::SeqCst);
        let id = ada.send_text(&bo.jid(), "not for me").await;
        let stanza = stanza(&bo, &id).await;
        assert!(until(PATIENCE, async || left.load(Ordering::SeqCst) == 0).await, "it never tried");
        if refuse {
            let sent = bo.client.wait_for_sent_node(NodeFilter::tag("ack").attr("id", &id).attr("error", "487"));
            bo.client.reject_stanza(stanza.get(), StanzaRejection::new(NackReason::ParsingError)).await.unwrap();
            tokio::time::timeout(PATIENCE, sent).await.expect("it goes out").unwrap();
        } else {
            bo.client.acknowledge_stanza(stanza.get()).await.unwrap();
        }
        let mark = bo.mark();
        bo.client.reconnect_immediately().await;
        bo.connected(mark).await;
        let next = ada.send_text(&bo.jid(), "for me").await;
        bo.message(&next).await;
        assert_eq!(bo.received(&id), 0, "refused: {refuse}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_asked_for_again_and_sent_again_by_hand() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let _lease = bo.client.acquire_raw_node_forwarding();
    let id = ada.send_text(&bo.jid(), "say that again").await;
    let first = stanza(&bo, &id).await;
    bo.message(&id).await;
    let again = bo.client.wait_for_node(NodeFilter::tag("message").attr("id", &id));
    let asked = bo.client.request_message_retry(first.get(), RetryRequestOptions::new()).await.unwrap();
    assert!(matches!(asked, RetryRequestOutcome::Sent { .. }), "{asked:?}");
    tokio::time::timeout(PATIENCE, again).await.expect("it comes again").unwrap();
    let not_a_message = NodeBuilder::new("receipt").build();
    assert!(bo.client.request_message_retry(&not_a_message.as_node_ref(), RetryRequestOptions::new()).await.is_err());

    // What a device never got is sent to it alone, under the id it has.
    let id = ada.client.generate_message_id();
    let text = wa::Message::text("only for this device");
    let request = MessageRetransmission::new(bo.jid(), bo.device_jid(), text, id.clone(), 1);
    ada.client.retransmit_message(request).await.unwrap();
    assert_eq!(bo.message(&id).await.message.text_content(), Some("only for this device"));
    assert!(sim.shown(BO).await.iter().all(|message| message["id"] != id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_gives_its_client_a_message_that_the_client_could_not_read() {
    let sim = Sim::start().await;
    sim.phone(BO).await;
    let desk = RawClient::linked(&sim, ADA).await;
    let id = sim.send_text(BO, ADA, "before the laptop").await;
    let info = Arc::clone(&desk.message(&id).await.info);
    sim.shows_id(ADA, &id).await;
    let laptop = RawClient::linked_with(&sim, ADA, Setup { skip_history: true, ..Setup::named("Laptop") }).await;
    assert_eq!(laptop.received(&id), 0);
    laptop.client.send_pdo_placeholder_resend_request(&info).await.unwrap();
    assert_eq!(laptop.message(&id).await.message.text_content(), Some("before the laptop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_goes_out_under_an_id_of_ones_own() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = ada.send_text(&bo.jid(), "frist").await;
    bo.message(&id).await;
    let own = "3EB0C0FFEE0000000003";
    let options = EditOptions::default().with_stanza_id(own);
    let edit = ada.client.edit_message_with_options(bo.jid(), &*id, wa::Message::text("first"), options).await.unwrap();
    let edited = bo.message(own).await;
    assert_eq!(edited.message.protocol_message.key.id.as_deref(), Some(id.as_str()), "{edit}");
    assert_eq!(edited.message.protocol_message.edited_message.text_content(), Some("first"));
    sim.shows(BO, "the edit", |shown| shown["edited"] == id.as_str()).await;
}
