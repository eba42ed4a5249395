//! What is sealed with the secret of an earlier message: votes in polls and quizzes, answers to invitations.

use serde_json::json;
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::event::decrypt_event_response_with_secret;
use whatsapp_rust::{EventCreationParams, EventResponseType};

use crate::{ADA, BO, CY};

fn options() -> Vec<String> {
    ["Soup", "Bread", "Cake"].map(str::to_owned).to_vec()
}

/// The secret that came with a message.
fn secret_of(message: &InboundMessage) -> Vec<u8> {
    message.message.message_context_info.message_secret.clone().expect("it brings a secret along")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_opens_the_votes_on_its_own_poll() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let body = json!({ "poll": { "name": "Lunch?", "options": options(), "selectable_count": 1 } });
    let poll = sim.send(BO, ADA, body).await;
    let asked = ada.message(&poll).await;
    let secret = secret_of(&asked);
    let bo = jid(BO);
    let chosen = ["Bread".to_owned()];
    let vote = ada.client.polls().vote(&bo, &poll, &bo, &secret, &chosen).await.unwrap();
    let shown = sim.shows_id(BO, &vote.message_id).await;
    assert_eq!((&shown["type"], &shown["quoted_id"]), (&json!("poll_vote"), &json!(poll)), "{shown:#}");
    let voter = ada.jid().to_string();
    assert_eq!(shown["poll_vote"], json!({ "poll_id": poll, "voter": voter, "options": ["Bread"] }), "{shown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiz_says_which_answer_is_right() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let (quiz, _) = ada.client.polls().create_quiz(bo.jid(), "The best?", &options(), 2).await.unwrap();
    let asked = bo.message(&quiz.message_id).await;
    let asked = &asked.message.poll_creation_message_v3;
    assert_eq!(asked.correct_answer.option_name.as_deref(), Some("Cake"));
    let shown = sim.shows_id(BO, &quiz.message_id).await;
    assert_eq!(shown["poll"]["options"], json!(options()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_invitation_is_read_by_its_sender_alone() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let params =
        EventCreationParams { name: "Party".to_owned(), start_time: Some(1_900_000_000), ..EventCreationParams::default() };
    let (event, secret) = ada.client.events().create(bo.jid(), params).await.unwrap();
    let invited = bo.message(&event.message_id).await;
    assert_eq!(invited.message.event_message.name.as_deref(), Some("Party"));
    assert_eq!(secret_of(&invited), secret);
    let (host, going) = (ada.jid(), EventResponseType::GOING);
    let answer = bo.client.events().respond(&host, &event.message_id, &host, &secret, going, Some(1)).await.unwrap();
    let answer = ada.message(&answer.message_id).await;
    let sealed = &answer.message.enc_event_response_message;
    let (payload, iv) = (sealed.enc_payload.as_deref().unwrap(), sealed.enc_iv.as_deref().unwrap());
    let opened = decrypt_event_response_with_secret(
        payload,
        iv,
        &secret,
        &event.message_id,
        &host.to_string(),
        &bo.jid().to_string(),
    )
    .unwrap();
    assert_eq!((opened.response, opened.extra_guest_count), (Some(EventResponseType::GOING), Some(1)));
    let wrong = decrypt_event_response_with_secret(payload, iv, &[0; 32], &event.message_id, CY, BO);
    assert!(wrong.is_err());
}
