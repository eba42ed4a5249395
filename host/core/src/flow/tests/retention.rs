//! The housekeeper: a round of each chore at once, and others in their time.

use std::time::Duration;

use super::deliveries::Receiver;
use super::*;
use crate::flow::housekeeper::Chore;
use crate::records::account::Tenant;
use crate::records::event::Fact;
use crate::rules::retention::Retention;
use crate::storage::Sweep;

fn tenant(created_at: Timestamp) -> Tenant {
    Tenant {
        id: TENANT,
        name: "Shop".to_owned(),
        active: true,
        plan: "unlimited".to_owned(),
        limits: std::collections::BTreeMap::new(),
        created_at,
        apis_off: Default::default(),
        hosts: Default::default(),
    }
}

#[tokio::test]
async fn a_worker_removes_what_is_over_and_leaves_the_rest() {
    let host = Host::start().await;
    host.storage.create_tenant(&tenant(host.clock.now())).await.unwrap();
    host.storage.record_inbound(TENANT, SESSION, host.clock.now(), &[incoming("a", "OLD")]).await.unwrap();
    host.clock.advance(Duration::from_secs(86_400 + 1));
    host.storage.record_inbound(TENANT, SESSION, host.clock.now(), &[incoming("a", "NEW")]).await.unwrap();
    let retention = Retention { events_age: Duration::from_secs(86_400), events_bytes_max: u64::MAX };
    let worker = host.keeper(retention);
    // It rests after a step that removed something: somebody has to move the clock on.
    let round = worker.round(Chore::Events);
    let removed = tokio::select! {
        removed = round => removed.unwrap(),
        never = host.pass_time() => match never {},
    };
    assert_eq!(removed, 1);
    let left = host.storage.events(TENANT, 0, 10).await.unwrap();
    assert!(
        matches!(left.as_slice(), [event] if matches!(&event.fact, Fact::MessageReceived(it) if it.whatsapp_id == "NEW"))
    );
    assert_eq!(worker.round(Chore::Events).await.unwrap(), 0);
}

#[tokio::test]
async fn what_a_webhook_has_not_been_given_stays_until_it_has() {
    let host = Host::start_with_hook(|_| {}).await;
    for id in ["IN1", "IN2", "IN3"] {
        host.receive("a", id).await;
    }
    let retention = Retention { events_age: Duration::from_secs(86_400), events_bytes_max: 0 };
    let trim = async || host.storage.trim_events(TENANT, &retention, host.clock.now()).await.unwrap();
    assert_eq!(trim().await, 0, "its cursor has passed nothing");
    host.deliver(&Receiver::answers(200)).await;
    assert_eq!(trim().await, 3);
}

#[tokio::test]
async fn a_round_is_done_at_the_start_and_others_follow_in_their_time() {
    let host = Host::start().await;
    host.storage.create_tenant(&tenant(host.clock.now())).await.unwrap();
    let retention = Retention { events_age: Duration::from_secs(86_400), events_bytes_max: u64::MAX };
    let worker = host.keeper(retention);
    let written_by_the_next_device = async || {
        let device = host.storage.device(TENANT, SESSION);
        let mut batch = device.batch();
        batch.put(crate::storage::DeviceTable(1), b"row", b"value");
        device.commit(batch).await.is_ok()
    };
    let days = async {
        for id in ["FIRST", "SECOND"] {
            host.storage.record_inbound(TENANT, SESSION, host.clock.now(), &[incoming("a", id)]).await.unwrap();
            let unlinked = crate::storage::SessionChange { unpaired: true, ..Default::default() };
            host.storage.change_session(TENANT, SESSION, host.clock.now(), &unlinked).await.unwrap();
            assert!(!written_by_the_next_device().await, "the last one is not forgotten yet");
            while !host.storage.events(TENANT, 0, 9).await.unwrap().is_empty() || !written_by_the_next_device().await {
                tokio::task::yield_now().await;
                host.clock.advance(Duration::from_secs(60));
            }
        }
    };
    tokio::select! {
        () = worker.run() => panic!("it stops only with storage"),
        () = days => {}
    }
}

#[test]
fn whatever_goes_after_a_time_is_somebodys_chore() {
    for sweep in Sweep::ALL {
        assert!(Chore::ALL.contains(&Chore::Records(sweep)), "{sweep:?}");
    }
}
