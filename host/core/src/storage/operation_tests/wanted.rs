//! Webhook endpoints: what is written down only for those who want it, how polls stand, and what goes with a session.

use super::*;
use crate::records::content::{Person, Poll, PollVote};
use crate::records::event::{CONTACT_CHANGED, Fact, KnownPoll, NewFact, SESSION_QR};
use crate::records::id::WebhookId;
use crate::records::people::Learned;
use crate::records::webhook::{WebhookEndpoint, WebhookSeal};
use crate::storage::OptionTally;

const HOOK: WebhookId = WebhookId(50_001);

fn endpoint(id: WebhookId, session: Option<SessionId>, events: &[&str]) -> WebhookEndpoint {
    let events = events.iter().map(ToString::to_string).collect();
    WebhookEndpoint { session, events, ..WebhookEndpoint::new(id, ACME, "https://shop.example/".to_owned(), NOW) }
}

async fn hook(storage: &Storage, id: WebhookId, session: Option<SessionId>, events: &[&str]) {
    assert!(storage.create_webhook(&endpoint(id, session, events), &WebhookSeal::default()).await.unwrap());
}

fn ada(name: &str) -> Learned {
    Learned { phone: Some("4915123456789".to_owned()), push_name: Some(name.to_owned()), ..Learned::default() }
}

async fn told(storage: &Storage) -> Vec<(bool, Option<String>)> {
    let read = |event: Event| match event.fact {
        Fact::ContactChanged(change) => Some((change.new, change.contact.push_name)),
        _ => None,
    };
    all_events(storage, ACME).await.into_iter().filter_map(read).collect()
}

#[tokio::test]
async fn news_of_a_contact_is_an_event_only_while_somebody_wants_it() {
    let storage = storage_with_session().await;
    storage.learn_contact(ACME, SESSION, NOW, &ada("Ada"), false).await.unwrap();
    assert_eq!(told(&storage).await, []);
    hook(&storage, HOOK, Some(SESSION), &[CONTACT_CHANGED]).await;
    let learnt = storage.learn_contact(ACME, SESSION, NOW, &ada("Ada L."), false).await.unwrap().unwrap();
    assert!(learnt.told);
    let again = storage.learn_contact(ACME, SESSION, NOW, &ada("Ada L."), false).await.unwrap().unwrap();
    assert!(!again.told, "that is no news");
    assert_eq!(told(&storage).await, [(false, Some("Ada L.".to_owned()))]);
    storage.delete_webhook(ACME, HOOK).await.unwrap();
    let bo = Learned { lid: Some("9@lid".to_owned()), push_name: Some("Bo".to_owned()), ..Learned::default() };
    storage.learn_contact(ACME, SESSION, NOW, &bo, true).await.unwrap();
    assert_eq!(told(&storage).await.last(), Some(&(true, Some("Bo".to_owned()))), "others want it");
}

#[tokio::test]
async fn an_endpoint_wants_what_its_filter_takes_of_its_session_while_it_is_in_service() {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    let wants = async |session| storage.webhooks_want(ACME, session, SESSION_QR).await.unwrap();
    assert!(!wants(SESSION).await);
    hook(&storage, HOOK, Some(SESSION), &["session.*"]).await;
    assert_eq!((wants(SESSION).await, wants(NEIGHBOUR).await), (true, false));
    assert!(!storage.webhooks_want(GLOBEX, SESSION, SESSION_QR).await.unwrap());
    let off = |endpoint: &mut WebhookEndpoint, _: &mut WebhookSeal| endpoint.active = false;
    storage.change_webhook(ACME, HOOK, off).await.unwrap();
    assert!(!wants(SESSION).await);
}

fn vote(id: &str, from: (&str, Option<&str>), options: &[&str], at: Timestamp) -> NewFact {
    let options = Some(options.iter().map(ToString::to_string).collect());
    let content = Content::PollVote(PollVote { poll_id: "P1".to_owned(), author: None, options });
    let (phone, lid) = from;
    NewFact::from(Incoming {
        content,
        from_phone: Some(phone.to_owned()),
        from_lid: lid.map(str::to_owned),
        sent_at: at,
        ..incoming("chat", phone, id)
    })
}

#[tokio::test]
async fn a_poll_stands_as_the_latest_vote_of_each_says() {
    let storage = storage_with_session().await;
    let options = vec!["Soup".to_owned(), "Cake".to_owned()];
    let author = Person { jid: "from".to_owned(), phone: None, lid: None };
    let poll = KnownPoll { options: options.clone(), secret: vec![1; 32], author, at: NOW };
    let content = Content::Poll(Poll { name: "Lunch?".to_owned(), options, selectable_count: 1, announcement: false });
    let asked = NewFact::from(Incoming { content, ..incoming("chat", "from", "P1") });
    storage.record_facts(ACME, SESSION, NOW, &[NewFact { poll: Some(poll), ..asked }]).await.unwrap();
    let tally = async || {
        let count = |tally: OptionTally| (tally.option, tally.voters.len());
        storage.poll_tally(ACME, SESSION, "P1").await.unwrap().into_iter().map(count).collect::<Vec<_>>()
    };
    let stands = |soup, cake| vec![("Soup".to_owned(), soup), ("Cake".to_owned(), cake)];
    assert_eq!(tally().await, stands(0, 0));
    let votes = [vote("V1", ("1", None), &["Soup"], NOW), vote("V2", ("2", Some("2@lid")), &["Soup", "Cake"], NOW)];
    storage.record_facts(ACME, SESSION, NOW, &votes).await.unwrap();
    assert_eq!(tally().await, stands(2, 1));
    // By now the first voter's LID is known; it is still one person. The other one takes the vote back.
    let votes = [vote("V3", ("1", Some("1@lid")), &["Cake"], LATER), vote("V4", ("2", Some("2@lid")), &[], LATER)];
    storage.record_facts(ACME, SESSION, LATER, &votes).await.unwrap();
    assert_eq!(tally().await, stands(0, 1));
    storage.record_facts(ACME, SESSION, LATER, &[vote("V5", ("1", Some("1@lid")), &["Soup"], NOW)]).await.unwrap();
    assert_eq!(tally().await, stands(0, 1), "an older vote that came late");
    assert_eq!(storage.poll_tally(ACME, SESSION, "P2").await.unwrap(), []);
    assert_eq!(storage.poll_tally(ACME, NEIGHBOUR, "P1").await.unwrap(), []);
    assert!(storage.delete_session(ACME, SESSION, LATER).await.unwrap());
    assert_eq!(storage.poll_tally(ACME, SESSION, "P1").await.unwrap(), []);
}

#[tokio::test]
async fn an_endpoint_that_is_bound_to_a_session_goes_with_it_and_no_other_does() {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    let (others, account) = (WebhookId(50_002), WebhookId(50_003));
    for (id, session) in [(HOOK, Some(SESSION)), (others, Some(NEIGHBOUR)), (account, None)] {
        hook(&storage, id, session, &["*"]).await;
    }
    storage.record_inbound(ACME, SESSION, NOW, &[incoming("chat", "from", "M1")]).await.unwrap();
    storage.step_webhook(&endpoint(HOOK, Some(SESSION), &["*"]), 99, NOW).await.unwrap();
    assert_eq!(storage.owed_count(ACME, HOOK).await.unwrap(), 1);
    assert!(storage.delete_session(ACME, SESSION, LATER).await.unwrap());
    let left: Vec<WebhookId> = storage.webhooks(ACME).await.unwrap().iter().map(|endpoint| endpoint.id).collect();
    assert_eq!(left, [others, account]);
    assert_eq!((storage.owed_count(ACME, HOOK).await.unwrap(), storage.webhook_seal(ACME, HOOK).await.unwrap()), (0, None));
    assert!(storage.create_webhook(&endpoint(HOOK, Some(SESSION), &["*"]), &WebhookSeal::default()).await.is_err());
}

#[tokio::test]
async fn events_of_a_session_are_listed_by_offset_newest_first_and_counted() {
    let storage = storage_with_session().await;
    add_session(&storage, ACME, NEIGHBOUR).await;
    for n in 0..5 {
        let (session, id) = (if n == 2 { NEIGHBOUR } else { SESSION }, format!("M{n}"));
        storage.record_inbound(ACME, session, NOW, &[incoming("chat", "from", &id)]).await.unwrap();
    }
    let types = ["message.received".to_owned()];
    let page = storage.event_listing(ACME, Some(SESSION), &types, (1, 2)).await.unwrap();
    assert_eq!((page.total, page.events.iter().map(|event| event.n).collect::<Vec<_>>()), (4, vec![4, 2]));
    let all = storage.event_listing(ACME, None, &[], (0, 99)).await.unwrap();
    assert_eq!((all.total, all.events.len()), (5, 5));
    let none = storage.event_listing(ACME, Some(SESSION), &["session.state".to_owned()], (0, 9)).await.unwrap();
    assert_eq!((none.total, none.events.len()), (0, 0));
    assert_eq!(storage.event_listing(GLOBEX, None, &[], (0, 9)).await.unwrap().total, 0);
}
