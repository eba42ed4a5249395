//! What is sealed with the secret of an earlier message: votes in polls and quizzes, answers to invitations.

use serde_json::json;
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::event::decrypt_event_response_with_secret;
use whatsapp_rust::wacore::poll::compute_option_hash;
use whatsapp_rust::{EventCreationParams, EventResponseType, PollVoteCiphertext};

use crate::groups::Club;
use crate::{ADA, BO, CY};

fn options() -> Vec<String> {
    ["Soup", "Bread", "Cake"].map(str::to_owned).to_vec()
}

/// The secret that came with a message.
fn secret_of(message: &InboundMessage) -> Vec<u8> {
    message.message.message_context_info.message_secret.clone().expect("it brings a secret along")
}

/// The sealed choice in a vote.
fn sealed_in(vote: &InboundMessage) -> PollVoteCiphertext<'_> {
    let sealed = &vote.message.poll_update_message.vote;
    PollVoteCiphertext {
        enc_payload: sealed.enc_payload.as_deref().expect("it is a vote"),
        enc_iv: sealed.enc_iv.as_deref().expect("it is a vote"),
    }
}

/// A poll with the three options.
struct Poll<'a> {
    author: &'a RawClient,
    id: &'a str,
    secret: &'a [u8],
}

impl Poll<'_> {
    /// Its author as he is named beside this voter: both by number or both without one, since mixed names give no key.
    fn author_beside(&self, voter: &Jid) -> Jid {
        if voter.is_lid() { self.author.lid() } else { self.author.jid() }
    }

    /// How many have chosen each option, as `by` counts these votes, oldest first.
    async fn counted(&self, by: &RawClient, votes: &[&InboundMessage]) -> Vec<usize> {
        let ballots: Vec<_> = votes.iter().map(|vote| (&vote.info.source.sender, sealed_in(vote))).collect();
        let author = self.author_beside(ballots.first().expect("somebody has voted").0);
        let counted = by.client.polls().aggregate_votes(&options(), &ballots, self.secret, self.id, &author).await.unwrap();
        counted.iter().map(|option| option.voters.len()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_counts_the_votes_that_another_client_gives_under_either_name() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let (asked, secret) = ada.client.polls().create(bo.jid(), "Lunch?", &options(), 2).await.unwrap();
    let question = bo.message(&asked.message_id).await;
    assert_eq!(secret_of(&question), secret);
    let poll = Poll { author: &ada, id: &asked.message_id, secret: &secret };
    let mut votes = Vec::new();
    let choices = [(ada.jid(), vec!["Soup", "Bread"]), (ada.lid(), vec!["Cake"]), (ada.jid(), vec![])];
    for (author, chosen) in choices {
        let chosen: Vec<String> = chosen.into_iter().map(str::to_owned).collect();
        let vote = bo.client.polls().vote(ada.jid(), poll.id, &author, &secret, &chosen).await.unwrap();
        let vote = ada.message(&vote.message_id).await;
        let voter = vote.info.source.sender.clone();
        let author = poll.author_beside(&voter);
        let opened = ada.client.polls().decrypt_vote(sealed_in(&vote), &secret, poll.id, &author, &voter).await.unwrap();
        let hashes: Vec<_> = chosen.iter().map(|option| compute_option_hash(option).to_vec()).collect();
        assert_eq!(opened, hashes);
        let stranger = ada.client.polls().decrypt_vote(sealed_in(&vote), &secret, poll.id, &author, &jid(CY)).await;
        assert!(stranger.is_err(), "the vote is of {voter} alone");
        votes.push(vote);
    }
    let [first, second, none] = votes.as_slice() else { panic!("{votes:?}") };
    assert_eq!(poll.counted(&ada, &[first]).await, [1, 1, 0]);
    assert_eq!(poll.counted(&ada, &[first, second]).await, [0, 0, 1], "a later vote replaces the earlier one");
    assert_eq!(poll.counted(&ada, &[first, second, none]).await, [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_counts_the_votes_of_a_phone() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let (asked, secret) = ada.client.polls().create(jid(BO), "Lunch?", &options(), 1).await.unwrap();
    sim.shows_id(BO, &asked.message_id).await;
    let poll = Poll { author: &ada, id: &asked.message_id, secret: &secret };
    let mut votes = Vec::new();
    for chosen in ["Soup", "Cake"] {
        let body = json!({ "poll_vote": { "poll_id": poll.id, "options": [chosen] } });
        votes.push(ada.message(&sim.send(BO, ADA, body).await).await);
    }
    let [first, second] = votes.as_slice() else { panic!("{votes:?}") };
    assert_eq!(poll.counted(&ada, &[first]).await, [1, 0, 0]);
    assert_eq!(poll.counted(&ada, &[first, second]).await, [0, 0, 1]);
    // The phone of the one who asked has counted them as well.
    let own = sim.get(&format!("phones/{ADA}/messages?after=0&wait_ms=0&own=true")).await;
    let shown = own["messages"].as_array().unwrap().iter().find(|message| message["id"] == poll.id);
    assert_eq!(shown.unwrap()["poll"]["votes"], json!({ "Cake": [jid(BO).to_string()] }), "{own:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_in_a_group_counts_the_same_votes() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let (asked, secret) = ada.client.polls().create(&group, "Lunch?", &options(), 1).await.unwrap();
    let question = bo.message(&asked.message_id).await;
    sim.shows_id(CY, &asked.message_id).await;
    let poll = Poll { author: &ada, id: &asked.message_id, secret: &secret };
    let author = question.info.source.sender.to_non_ad();
    let by_bo = bo.client.polls().vote(&group, poll.id, &author, &secret, &["Cake".to_owned()]).await.unwrap();
    let body = json!({ "poll_vote": { "poll_id": poll.id, "options": ["Bread"] } });
    let by_cy = sim.send(CY, &group.to_string(), body).await;
    let (bos, cys) = (ada.message(&by_bo.message_id).await, ada.message(&by_cy).await);
    assert_eq!(poll.counted(&ada, &[&bos, &cys]).await, [0, 1, 1]);
    assert_eq!(poll.counted(&bo, &[&bo.message(&by_cy).await]).await, [0, 1, 0]);
    let shown = sim.shows_id(CY, &by_bo.message_id).await;
    assert_eq!(shown["poll_vote"]["options"], json!(["Cake"]));
    let shown = sim.shows_id(CY, poll.id).await;
    let votes = json!({ "Bread": [jid(CY).to_string()], "Cake": [jid(BO).to_string()] });
    assert_eq!(shown["poll"]["votes"], votes, "{shown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_a_quiz_are_counted_like_votes() {
    let Club { sim, ada, bo, group } = Club::start().await;
    let (asked, secret) = ada.client.polls().create_quiz(&group, "The best?", &options(), 2).await.unwrap();
    let question = bo.message(&asked.message_id).await;
    sim.shows_id(CY, &asked.message_id).await;
    let right = question.message.poll_creation_message_v3.correct_answer.option_name.clone().unwrap();
    let poll = Poll { author: &ada, id: &asked.message_id, secret: &secret };
    let author = question.info.source.sender.to_non_ad();
    let answer = bo.client.polls().vote(&group, poll.id, &author, &secret, std::slice::from_ref(&right)).await.unwrap();
    let body = json!({ "poll_vote": { "poll_id": poll.id, "options": ["Soup"] } });
    let wrong = sim.send(CY, &group.to_string(), body).await;
    let (first, second) = (ada.message(&answer.message_id).await, ada.message(&wrong).await);
    assert_eq!(poll.counted(&ada, &[&first, &second]).await, [1, 0, 1]);
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

#[tokio::test(flavor = "multi_thread")]
async fn phones_give_and_read_answers_to_an_invitation() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let params = EventCreationParams { name: "Party".to_owned(), ..EventCreationParams::default() };
    let (event, secret) = ada.client.events().create(bo.jid(), params).await.unwrap();
    let event = event.message_id;
    assert_eq!(sim.shows_id(BO, &event).await["event"]["name"], "Party");
    let body = json!({ "event_response": { "event_id": event, "response": "maybe", "extra_guests": 2 } });
    let by_phone = sim.send(BO, ADA, body).await;
    let answer = ada.message(&by_phone).await;
    let sealed = &answer.message.enc_event_response_message;
    let (payload, iv) = (sealed.enc_payload.as_deref().unwrap(), sealed.enc_iv.as_deref().unwrap());
    let (host, guest) = (ada.jid().to_string(), bo.jid().to_string());
    let opened = decrypt_event_response_with_secret(payload, iv, &secret, &event, &host, &guest).unwrap();
    assert_eq!((opened.response, opened.extra_guest_count), (Some(EventResponseType::MAYBE), Some(2)));
    let by_client =
        bo.client.events().respond(ada.jid(), &event, &ada.jid(), &secret, EventResponseType::GOING, None).await.unwrap();
    for (id, response, guests) in [(&by_phone, "maybe", json!(2)), (&by_client.message_id, "going", json!(null))] {
        let shown = &sim.shows_id(ADA, id).await["event_response"];
        let told = (&shown["event_id"], &shown["response"], &shown["extra_guests"]);
        assert_eq!(told, (&json!(event), &json!(response), &guests));
    }
}
