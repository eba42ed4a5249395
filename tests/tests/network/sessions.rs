//! Sealing by hand: what the library seals and opens for callers who carry the messages themselves.

use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::{EncType, NodeBuilder};

use crate::groups::Club;
use crate::{ADA, BO, CY};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_client_seals_only_the_other_opens() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let (to_bo, to_ada) = (bo.device_jid(), ada.device_jid());
    let (by_ada, by_bo) = (ada.client.signal(), bo.client.signal());
    assert!(!by_ada.validate_session(&to_bo).await.unwrap());
    assert!(by_ada.session_info(&to_bo).await.unwrap().is_none());
    by_ada.assert_sessions(std::slice::from_ref(&to_bo)).await.unwrap();
    assert!(by_ada.validate_session(&to_bo).await.unwrap());
    assert!(by_ada.session_info(&to_bo).await.unwrap().is_some());

    let (kind, sealed) = by_ada.encrypt_message(&to_bo, b"by hand").await.unwrap();
    assert_eq!(kind, EncType::PreKeyMessage);
    assert_eq!(by_bo.decrypt_message(&to_ada, kind, &sealed).await.unwrap(), b"by hand");
    assert!(by_bo.decrypt_message(&to_ada, kind, &sealed).await.is_err(), "once is enough");
    let (kind, sealed) = by_bo.encrypt_message(&to_ada, b"and back").await.unwrap();
    assert_eq!(kind, EncType::Message);
    assert_eq!(by_ada.decrypt_message(&to_bo, kind, &sealed).await.unwrap(), b"and back");
    let cy = RawClient::linked(&sim, CY).await;
    assert!(cy.client.signal().decrypt_message(&to_bo, kind, &sealed).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_for_a_group_is_opened_with_the_key_that_came_along() {
    let Club { sim: _sim, ada, bo, group } = Club::start().await;
    let (by_ada, by_bo) = (ada.client.signal(), bo.client.signal());
    let (key, sealed) = by_ada.encrypt_group_message(&group, b"to all").await.unwrap();
    let key = key.expect("the first one brings its key along");
    let sender = ada.lid();
    assert!(by_bo.decrypt_group_message(&group, &sender, &sealed).await.is_err(), "Bo has no key yet");
    by_bo.process_sender_key_distribution(&group, &sender, &key).await.unwrap();
    assert!(by_bo.has_sender_key(&group, &sender).await.unwrap());
    assert_eq!(by_bo.decrypt_group_message(&group, &sender, &sealed).await.unwrap(), b"to all");
    let (again, sealed) = by_ada.encrypt_group_message(&group, b"once more").await.unwrap();
    assert!(again.is_none());
    assert_eq!(by_bo.decrypt_group_message(&group, &sender, &sealed).await.unwrap(), b"once more");
    by_bo.delete_sender_key(&group, &sender).await.unwrap();
    assert!(!by_bo.has_sender_key(&group, &sender).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stanza_built_by_hand_is_a_message_like_any_other() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    // Once each device has answered, what follows needs no identity beside it.
    let hello = ada.send_text(&bo.jid(), "hello").await;
    bo.message(&hello).await;
    let back = bo.send_text(&ada.jid(), "hello yourself").await;
    ada.message(&back).await;
    let by_phone = sim.send_text(BO, ADA, "hello from the phone").await;
    ada.message(&by_phone).await;
    let (nodes, opens) =
        ada.client.signal().create_participant_nodes(&[jid(BO)], &wa::Message::text("by hand")).await.unwrap();
    assert_eq!((nodes.len(), opens), (2, false), "the phone and the client, in the sessions that are there");
    let id = ada.client.generate_message_id();
    let participants = NodeBuilder::new("participants").children(nodes).build();
    let stanza = NodeBuilder::new("message").attr("to", jid(BO)).attr("id", &id).attr("type", "text");
    ada.client.send_node(stanza.children([participants]).build()).await.unwrap();
    assert_eq!(bo.message(&id).await.message.text_content(), Some("by hand"));
    assert_eq!(sim.shows_id(BO, &id).await["text"], "by hand");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_renewed_serve_the_next_writer() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    ada.client.ensure_pre_keys().await.unwrap();
    ada.client.refresh_pre_keys_with_count(20).await.unwrap();
    ada.client.send_digest_key_bundle().await.unwrap();
    sim.phone(BO).await;
    let id = sim.send_text(BO, ADA, "first contact").await;
    assert_eq!(ada.message(&id).await.message.text_content(), Some("first contact"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_names_of_somebody_are_known_to_be_one() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let id = ada.send_text(&bo.jid(), "who are you?").await;
    bo.message(&id).await;
    for client in [&ada, &bo] {
        let other = if std::ptr::eq(client, &ada) { &bo } else { &ada };
        for name in [other.jid(), other.lid()] {
            let entry = client.client.get_lid_pn_entry(&name).await.unwrap().expect("they have met");
            assert_eq!((&*entry.lid, &*entry.phone_number), (other.lid().user.as_str(), other.jid().user.as_str()));
        }
    }
    assert!(ada.client.get_lid_pn_entry(&jid("491510009999")).await.unwrap().is_none());
}
