//! Who sends what names no session: the only one that can, or the one that is chosen.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Host, NUMBER, NUMBER_JID, SESSION, TENANT, own_key, session, wish};
use crate::flow::guards::Guards;
use crate::flow::intake::IntakeError;
use crate::flow::sender_route::{CANDIDATES_MAX, RouteQuestion, RouteRefusal, SenderRoutes};
use crate::records::account::{KeyKind, Principal};
use crate::records::content::{Content, Extras};
use crate::records::id::{KeyId, SessionId, TenantId};
use crate::records::session::{Session, SessionState};
use crate::storage::NewKey;

/// Answers what it was told to, and writes down what it was asked.
struct Chooser {
    answer: Result<SessionId, RouteRefusal>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl SenderRoutes for Chooser {
    fn any(&self, tenant: TenantId) -> bool {
        tenant == TENANT
    }

    async fn choose(&self, _: TenantId, question: &RouteQuestion<'_>) -> Result<SessionId, RouteRefusal> {
        let candidates: Vec<String> = question
            .candidates
            .iter()
            .map(|one| format!("{}:{}:{}", one.session.id, one.waiting, one.sent_last_day))
            .collect();
        self.asked.lock().unwrap().push(format!("{} {}", question.to, candidates.join(" ")));
        self.answer.clone()
    }
}

fn caller(session: Option<SessionId>) -> Principal {
    Principal { tenant: TENANT, key: KeyId(42), kind: KeyKind::Tenant, session, scopes: vec![], test: false, acting: None }
}

async fn more_sessions(host: &Host, ids: impl Iterator<Item = u64>) {
    for id in ids {
        let mut key = own_key();
        key.record.id = KeyId(1000 + id);
        key.record.session = Some(SessionId(id));
        let key = NewKey::new(key.record, format!("ses_live_{id}"));
        host.storage.create_session(&Session { id: SessionId(id), ..session() }, &key).await.unwrap();
    }
}

async fn choose(host: &Host, by: &Principal) -> Result<SessionId, IntakeError> {
    host.intake.choose_session(by, NUMBER, &Content::Text("hello".to_owned()), &Extras::default()).await
}

async fn with_chooser(answer: Result<SessionId, RouteRefusal>) -> (Host, Arc<Chooser>) {
    let mut host = Host::start().await;
    let chooser = Arc::new(Chooser { answer, asked: Mutex::default() });
    host.intake = host.intake.with_guards(Guards { routes: Some(Arc::clone(&chooser) as _), ..Guards::default() });
    (host, chooser)
}

#[tokio::test]
async fn without_a_plugin_the_only_session_that_can_send_does() {
    let host = Host::start().await;
    assert_eq!(choose(&host, &caller(None)).await.unwrap(), SESSION);
    more_sessions(&host, 3..4).await;
    let why = choose(&host, &caller(None)).await.unwrap_err().to_string();
    assert_eq!(why, "session_id: is required: 2 sessions can send, and no plugin chooses between them");
    assert_eq!(choose(&host, &caller(Some(SessionId(3)))).await.unwrap(), SessionId(3), "the key has its own");
    host.set_state(SessionState::LoggedOut).await;
    assert_eq!(choose(&host, &caller(None)).await.unwrap(), SessionId(3));
}

#[tokio::test]
async fn where_no_session_is_connected_nobody_is_asked() {
    let (host, chooser) = with_chooser(Ok(SESSION)).await;
    host.set_state(SessionState::Disconnected).await;
    let refused = choose(&host, &caller(None)).await.unwrap_err();
    assert!(matches!(&refused, IntakeError::NoSender(_)), "{refused}");
    assert!(chooser.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_plugin_sees_every_session_that_can_send_and_what_it_has_to_do() {
    let (host, chooser) = with_chooser(Ok(SessionId(3))).await;
    more_sessions(&host, [3, 99_999].into_iter()).await;
    host.intake.accept(TENANT, wish("one")).await.unwrap();
    assert_eq!(choose(&host, &caller(None)).await.unwrap(), SessionId(3));
    assert_eq!(*chooser.asked.lock().unwrap(), [format!("{NUMBER_JID} 3:0:0 {SESSION}:1:1 99999:0:0")]);
}

#[tokio::test]
async fn no_more_candidates_are_offered_than_the_limit() {
    let (host, chooser) = with_chooser(Ok(SessionId(1))).await;
    more_sessions(&host, 1..=CANDIDATES_MAX as u64).await;
    assert_eq!(choose(&host, &caller(None)).await.unwrap(), SessionId(1));
    let asked = chooser.asked.lock().unwrap().join("");
    assert!(asked.ends_with(" 100:0:0") && !asked.contains("12345:"), "{asked}");
}

#[tokio::test]
async fn a_refusal_a_failure_and_a_session_that_was_not_offered_are_told_apart() {
    for (answer, words) in [
        (Err(RouteRefusal::Refused("all are busy".to_owned())), "all are busy"),
        (Err(RouteRefusal::Failed("it trapped".to_owned())), "it cannot be judged now: it trapped"),
        (Ok(SessionId(7)), "it cannot be judged now: session 7 was chosen, which is no candidate"),
    ] {
        let (host, _) = with_chooser(answer).await;
        assert_eq!(choose(&host, &caller(None)).await.unwrap_err().to_string(), words);
    }
}
