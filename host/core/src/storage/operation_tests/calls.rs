//! Calls of plugins: numbered as they come, the newest kept of either kind, filtered, and gone with their plugin.

use super::*;
use crate::records::plugin::{CALLS_KEPT, CallEnd, LoggedCall, Plugin};
use crate::storage::CallQuery;
use crate::storage::keys::{self, RecordType};

fn call(name: &str, end: CallEnd) -> LoggedCall {
    LoggedCall {
        n: 0,
        at: LATER,
        tenant: ACME,
        interface: "responder".to_owned(),
        call: name.to_owned(),
        version: 1,
        event: Some(5),
        event_type: Some("message.received".to_owned()),
        attempt: 1,
        took_us: 80,
        memory_bytes: 65_536,
        host_calls: 2,
        end,
        why: None,
        log: Vec::new(),
        log_dropped: 0,
        input: None,
        effects: None,
    }
}

async fn names(storage: &Storage, query: CallQuery) -> Vec<String> {
    let query = CallQuery { limit: if query.limit == 0 { 10 } else { query.limit }, ..query };
    let found = storage.logged_calls(ACME, "reply", &query).await.unwrap();
    found.iter().map(|call| format!("{} {}", call.n, call.call)).collect()
}

#[tokio::test]
async fn calls_are_numbered_as_they_come_and_listed_from_either_end() {
    let storage = storage();
    upload(&storage, ACME, "reply", 1).await.unwrap();
    assert_eq!(storage.last_logged_call(ACME, "reply").await.unwrap(), 0);
    let first = [call("a", CallEnd::Reply), call("b", CallEnd::Trap), call("c", CallEnd::Reply)];
    storage.log_calls(ACME, "reply", &first).await.unwrap();
    storage.log_calls(ACME, "reply", &[call("d", CallEnd::PluginError)]).await.unwrap();
    assert_eq!(names(&storage, CallQuery::default()).await, ["4 d", "3 c", "2 b", "1 a"]);
    assert_eq!(names(&storage, CallQuery { after: Some(1), limit: 2, ..CallQuery::default() }).await, ["2 b", "3 c"]);
    assert_eq!(names(&storage, CallQuery { before: Some(3), ..CallQuery::default() }).await, ["2 b", "1 a"]);
    assert_eq!(names(&storage, CallQuery { failed: Some(true), ..CallQuery::default() }).await, ["4 d", "2 b"]);
    assert_eq!(names(&storage, CallQuery { failed: Some(false), ..CallQuery::default() }).await, ["3 c", "1 a"]);
    let trapped = CallQuery { end: Some(CallEnd::Trap), ..CallQuery::default() };
    assert_eq!(names(&storage, trapped).await, ["2 b"]);
    let named = CallQuery { call: Some("c".to_owned()), event: Some(5), since: Some(LATER), ..CallQuery::default() };
    assert_eq!(names(&storage, named).await, ["3 c"]);
    assert_eq!(storage.last_logged_call(ACME, "reply").await.unwrap(), 4);
    assert!(
        storage.logged_calls(GLOBEX, "reply", &CallQuery { limit: 9, ..CallQuery::default() }).await.unwrap().is_empty()
    );
}

#[tokio::test]
async fn of_many_calls_the_newest_are_kept_and_failures_are_not_crowded_out() {
    let storage = storage();
    upload(&storage, ACME, "reply", 1).await.unwrap();
    storage.log_calls(ACME, "reply", &[call("failed", CallEnd::Trap)]).await.unwrap();
    let many: Vec<LoggedCall> = (0..200).map(|_| call("well", CallEnd::Reply)).collect();
    for _ in 0..6 {
        storage.log_calls(ACME, "reply", &many).await.unwrap();
    }
    let kept = storage.logged_calls(ACME, "reply", &CallQuery { limit: 5_000, ..CallQuery::default() }).await.unwrap();
    assert_eq!(kept.len(), CALLS_KEPT + 1);
    assert_eq!((kept[0].n, kept[CALLS_KEPT - 1].n, &*kept[CALLS_KEPT].call), (1_201, 202, "failed"));
}

#[tokio::test]
async fn calls_go_with_their_plugin_and_none_is_written_afterwards() {
    let storage = storage();
    upload(&storage, ACME, "reply", 1).await.unwrap();
    upload(&storage, ACME, "other", 2).await.unwrap();
    for name in ["reply", "other"] {
        storage.log_calls(ACME, name, &[call("a", CallEnd::Reply), call("b", CallEnd::Trap)]).await.unwrap();
    }
    storage.delete_plugin(ACME, "reply", &Plugin::full_name_of(ACME, "reply")).await.unwrap();
    storage.log_calls(ACME, "reply", &[call("late", CallEnd::Reply)]).await.unwrap();
    let left = everything(&storage).await;
    let rows = |record: RecordType| left.iter().filter(|(key, _)| keys::record_type(key) == record as u8).count();
    let types = [RecordType::LoggedCall, RecordType::LoggedCallCounter, RecordType::LoggedCallCount];
    assert_eq!(types.map(rows), [2, 1, 2], "those of the other plugin");
}

#[tokio::test]
async fn calls_that_are_old_are_swept_and_no_longer_count() {
    let storage = storage();
    upload(&storage, ACME, "reply", 1).await.unwrap();
    storage.log_calls(ACME, "reply", &[call("old", CallEnd::Reply), call("worse", CallEnd::Trap)]).await.unwrap();
    let later = LATER.plus(std::time::Duration::from_secs(8 * 86_400));
    storage.log_calls(ACME, "reply", &[LoggedCall { at: later, ..call("new", CallEnd::Reply) }]).await.unwrap();
    let swept = storage.sweep(ACME, Sweep::LoggedCalls, None, later).await.unwrap();
    assert_eq!((swept.removed, names(&storage, CallQuery::default()).await), (2, vec!["3 new".to_owned()]));
    let count = |failed| keys::logged_call_count(ACME, "reply", failed);
    let rows = everything(&storage).await;
    let counted = |failed| rows.iter().find(|(key, _)| *key == count(failed)).map(|(_, value)| value.clone());
    assert_eq!([counted(false), counted(true)].map(|value| count_in(value.as_deref())), [1, 0]);
}
