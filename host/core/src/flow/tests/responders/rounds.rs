//! A responder that takes its time holds up whom it answers, and nobody else.

use super::*;
use crate::records::account::ApiKey;
use crate::records::session::Session;
use crate::storage::NewKey;

const SLOW: &str = "operator/slow";
const QUICK: &str = "operator/quick";
const NEIGHBOUR: TenantId = TenantId(8);
/// How often a worker is polled before what it should do by itself counts as not done.
const POLLS: usize = 2_000;

/// Responders of every tenant, of which `SLOW` never ends its run for event 1 of `TENANT`.
#[derive(Default)]
struct OneThatHangs {
    /// Which of them has run for which event.
    told: Mutex<Vec<(TenantId, String, u64)>>,
}

#[async_trait]
impl Responders for OneThatHangs {
    fn subscriptions(&self, _tenant: TenantId) -> Vec<Subscription> {
        let subscription = |name: &str| Subscription {
            name: name.to_owned(),
            event_types: vec!["message.received".to_owned()],
            narrowing: Arc::default(),
            grants: Arc::new(everything()),
            plugin: None,
        };
        [SLOW, QUICK].map(subscription).into()
    }

    async fn run(&self, tenant: TenantId, name: &str, _: &RunTry<'_>, event: &Event) -> Result<RunAnswer, String> {
        if (tenant, name, event.n) == (TENANT, SLOW, 1) {
            std::future::pending::<()>().await;
        }
        self.told.lock().unwrap().push((tenant, name.to_owned(), event.n));
        Ok(RunAnswer::default())
    }
}

impl OneThatHangs {
    fn has_told(&self, tenant: TenantId, name: &str, n: u64) -> bool {
        self.told.lock().unwrap().contains(&(tenant, name.to_owned(), n))
    }
}

impl Host {
    /// A host whose worker hangs in the first message of chat a, and what it then does while `told` is not yet so.
    async fn told_beside_one_that_hangs(&self, told: impl Fn(&OneThatHangs) -> bool) -> bool {
        let responders = Arc::new(OneThatHangs::default());
        let worker =
            ResponderWorker { responders: responders.clone(), ..self.worker(&FakeResponders::that(|_, _| Ok(vec![]))) };
        self.wakes.events_have_more(TENANT);
        tokio::select! {
            () = worker.run() => unreachable!("storage is not closed"),
            told = async {
                for poll in 0..POLLS {
                    if poll == POLLS / 2 {
                        // By now all of it hangs that will.
                        self.receive("b", "LATE").await;
                        [TENANT, NEIGHBOUR].iter().for_each(|tenant| self.wakes.events_have_more(*tenant));
                    }
                    tokio::task::yield_now().await;
                    if told(&responders) {
                        return true;
                    }
                }
                false
            } => told,
        }
    }
}

#[tokio::test]
async fn a_chat_that_is_answered_slowly_holds_up_no_other() {
    let host = Host::start_with_messages(&["a", "a"]).await;
    assert!(host.told_beside_one_that_hangs(|responders| responders.has_told(TENANT, SLOW, 3)).await);
    let host = Host::start_with_messages(&["a", "a"]).await;
    assert!(!host.told_beside_one_that_hangs(|responders| responders.has_told(TENANT, SLOW, 2)).await, "its own waits");
}

#[tokio::test]
async fn a_slow_responder_holds_up_no_other() {
    let host = Host::start_with_messages(&["a"]).await;
    assert!(host.told_beside_one_that_hangs(|responders| responders.has_told(TENANT, QUICK, 2)).await);
}

#[tokio::test]
async fn a_slow_responder_holds_up_no_other_tenant() {
    let host = Host::start_with_messages(&["a"]).await;
    let session = Session { id: SessionId(99), tenant: NEIGHBOUR, ..session() };
    let key = ApiKey { id: KeyId(2), tenant: NEIGHBOUR, session: Some(session.id), ..own_key().record };
    host.storage.create_session(&session, &NewKey::new(key, "ses_live_other".to_owned())).await.unwrap();
    let message = incoming("c", "IN");
    host.storage.record_inbound(NEIGHBOUR, session.id, host.clock.now(), &[message]).await.unwrap();
    assert!(host.told_beside_one_that_hangs(|responders| responders.has_told(NEIGHBOUR, SLOW, 1)).await);
}
