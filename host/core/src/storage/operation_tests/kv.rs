//! What plugins keep: counted to the byte whoever writes at once, gone when its time is over, and out of others' reach.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::records::plugin::{
    KV_KEY_BYTES_MAX, KV_RUN_BYTES_MAX, KV_RUN_KEYS_MAX, KV_VALUE_BYTES_MAX, KvExpected, KvStretch, KvUsage, KvValue,
    KvWrite,
};
use crate::storage::fault::{DiskSource, FaultDisk};
use crate::storage::redb_engine::RedbEngine;
use crate::storage::{KvEffects, KvError, KvStorage};

const REPLY: &str = "operator/reply";
const ROOM: u64 = 1000;

async fn with_plugins(storage: Storage) -> Storage {
    upload(&storage, TenantId::OPERATOR, "reply", 1).await.unwrap();
    upload(&storage, ACME, "reply", 1).await.unwrap();
    storage
}

/// Storages over each engine, with a plugin of the operator's and one of a tenant's.
async fn storages() -> Vec<Storage> {
    let redb = RedbEngine::open(DiskSource(FaultDisk::default(), 8 * 1024 * 1024)).unwrap();
    vec![with_plugins(storage()).await, with_plugins(Storage::over(Arc::new(redb), master_key(1))).await]
}

/// In which everybody reads before the first commits.
async fn racing_storage() -> Storage {
    with_plugins(Storage::over(test_engine(), master_key(1))).await
}

fn value(text: &str) -> KvValue {
    KvValue { bytes: text.as_bytes().to_vec(), expires_at: None }
}

fn until(text: &str, expires_at: Timestamp) -> KvValue {
    KvValue { expires_at: Some(expires_at), ..value(text) }
}

async fn put(kv: &KvStorage, key: &str, value: KvValue) -> Result<bool, KvError> {
    kv.write(key, KvWrite::Put(value), None, NOW).await
}

async fn text(kv: &KvStorage, key: &str, now: Timestamp) -> Option<String> {
    let value = kv.get(key, None, now).await.unwrap();
    value.map(|value| String::from_utf8(value.bytes).unwrap())
}

async fn used(kv: &KvStorage) -> u64 {
    kv.usage(None, NOW).await.unwrap().used
}

fn all(limit: u32) -> KvStretch {
    KvStretch { begin: String::new(), end: None, limit, reverse: false }
}

async fn keys_in(kv: &KvStorage, stretch: &KvStretch, run: Option<&KvEffects>) -> (Vec<String>, bool) {
    let page = kv.scan(stretch, run, NOW).await.unwrap();
    (page.entries.into_iter().map(|entry| entry.key).collect(), page.more)
}

fn refused_as<T: std::fmt::Debug>(answer: Result<T, KvError>) -> String {
    answer.unwrap_err().to_string()
}

#[tokio::test]
async fn a_key_has_what_was_last_put_there_and_the_count_follows() {
    for storage in storages().await {
        let kv = storage.kv(ACME, REPLY, ROOM);
        assert_eq!(text(&kv, "a", NOW).await, None);
        assert!(put(&kv, "a", value("one")).await.unwrap());
        assert!(put(&kv, "b", value("")).await.unwrap());
        assert_eq!((text(&kv, "a", NOW).await.as_deref(), used(&kv).await), (Some("one"), 5));
        assert!(put(&kv, "a", value("three")).await.unwrap());
        assert_eq!((text(&kv, "a", NOW).await.as_deref(), used(&kv).await), (Some("three"), 7));
        assert!(kv.write("a", KvWrite::Delete, None, NOW).await.unwrap());
        assert!(!kv.write("a", KvWrite::Delete, None, NOW).await.unwrap());
        assert_eq!((text(&kv, "a", NOW).await, used(&kv).await), (None, 1));
        assert!(kv.write("b", KvWrite::Delete, None, NOW).await.unwrap());
        assert_eq!(used(&kv).await, 0);
    }
}

#[tokio::test]
async fn what_a_deleted_plugin_writes_is_not_kept_for_another_of_its_name() {
    for storage in storages().await {
        let made_at = storage.plugin(TenantId::OPERATOR, "reply").await.unwrap().unwrap().created_at;
        let kv = |made_at| storage.kv(ACME, REPLY, ROOM).made_at(made_at);
        assert!(put(&kv(made_at), "a", value("one")).await.unwrap());
        let another = Timestamp(made_at.0 + 1);
        assert!(matches!(put(&kv(another), "a", value("two")).await, Err(KvError::PluginGone)));
        assert_eq!(text(&kv(another), "a", NOW).await.as_deref(), Some("one"));
    }
}

#[tokio::test]
async fn a_conditional_write_happens_only_where_the_key_has_what_is_expected() {
    for storage in storages().await {
        let kv = storage.kv(ACME, REPLY, ROOM);
        let put_if =
            async |expected, text: &str| kv.write("a", KvWrite::PutIf(expected, value(text)), None, NOW).await.unwrap();
        assert!(!put_if(KvExpected::Value(b"one".to_vec()), "two").await);
        assert!(put_if(KvExpected::Absent, "one").await);
        assert!(!put_if(KvExpected::Absent, "two").await);
        assert!(!put_if(KvExpected::Value(b"on".to_vec()), "two").await);
        assert!(put_if(KvExpected::Value(b"one".to_vec()), "two").await);
        assert_eq!(text(&kv, "a", NOW).await.as_deref(), Some("two"));
    }
}

#[tokio::test]
async fn nobody_reads_what_another_plugin_or_tenant_keeps() {
    for storage in storages().await {
        let kv = storage.kv(ACME, REPLY, ROOM);
        put(&kv, "a", value("secret")).await.unwrap();
        // The tenant's own plugin of this name, and one whose name goes on where the other's ends.
        for (tenant, plugin) in [(GLOBEX, REPLY), (TenantId::OPERATOR, REPLY), (ACME, "1/reply"), (ACME, "operator/replya")]
        {
            let other = storage.kv(tenant, plugin, ROOM);
            assert_eq!(text(&other, "a", NOW).await, None);
            assert_eq!((keys_in(&other, &all(9), None).await.0, used(&other).await), (Vec::new(), 0));
        }
        let own = storage.kv(ACME, "1/reply", ROOM);
        put(&own, "a", value("own")).await.unwrap();
        assert_eq!(text(&kv, "a", NOW).await.as_deref(), Some("secret"));
    }
}

#[tokio::test]
async fn a_refusal_for_want_of_room_names_what_is_used_and_the_limit_and_keeps_nothing() {
    for storage in storages().await {
        let kv = storage.kv(ACME, REPLY, 10);
        put(&kv, "a", value("12345")).await.unwrap();
        for (key, size) in [("b", 4), ("b", 5000), ("a", 10)] {
            let refused = put(&kv, key, value(&"x".repeat(size))).await;
            assert!(matches!(refused, Err(KvError::Full(KvUsage { used: 6, max: 10 }))), "{refused:?}");
        }
        assert_eq!(refused_as(put(&kv, "b", value("1234")).await), "6 of 10 bytes are used");
        assert_eq!(used(&kv).await, 6);
        put(&kv, "b", value("123")).await.unwrap();
        put(&kv, "a", value("123456")).await.unwrap_err();
        // Less was granted meanwhile: it may still make less of it.
        let less = storage.kv(ACME, REPLY, 2);
        put(&less, "a", value("1234")).await.unwrap();
        put(&less, "a", value("12345")).await.unwrap_err();
        assert!(less.write("a", KvWrite::Delete, None, NOW).await.unwrap());
        assert_eq!(used(&kv).await, 4);
    }
}

#[tokio::test]
async fn bad_keys_and_values_are_refused_with_their_size_and_the_limit() {
    let storage = with_plugins(storage()).await;
    let kv = storage.kv(ACME, REPLY, u64::MAX);
    let (long, large) = ("k".repeat(KV_KEY_BYTES_MAX), "v".repeat(KV_VALUE_BYTES_MAX));
    put(&kv, &long, value(&large)).await.unwrap();
    assert_eq!(used(&kv).await, (KV_KEY_BYTES_MAX + KV_VALUE_BYTES_MAX) as u64);
    assert_eq!(refused_as(put(&kv, "", value("")).await), "key has 0 bytes; 1 to 512 are taken");
    let longer = format!("{long}ü");
    assert_eq!(refused_as(put(&kv, &longer, value("")).await), "key has 514 bytes; 1 to 512 are taken");
    assert_eq!(refused_as(kv.get(&longer, None, NOW).await), "key has 514 bytes; 1 to 512 are taken");
    let larger = value(&format!("{large}x"));
    assert_eq!(refused_as(put(&kv, "a", larger.clone()).await), "value has 65537 bytes; the limit is 65536");
    let put_if = kv.write("a", KvWrite::PutIf(KvExpected::Absent, larger), None, NOW).await;
    assert_eq!(refused_as(put_if), "value has 65537 bytes; the limit is 65536");
    for limit in [0, 101] {
        let refused = refused_as(kv.scan(&all(limit), None, NOW).await);
        assert_eq!(refused, format!("limit is {limit}; 1 to 100 are taken"));
    }
}

#[tokio::test]
async fn the_count_is_exact_and_the_limit_holds_when_many_write_at_once() {
    let storage = racing_storage().await;
    let kv = storage.kv(ACME, REPLY, 100);
    // 14 bytes each: 7 of them fit. Half of them write the same key.
    let writes = (0..20).map(|n| {
        let (kv, key) = (kv.clone(), if n % 2 == 0 { "same".to_owned() } else { format!("k{n:03}") });
        async move { put(&kv, &key, value("1234567890")).await }
    });
    let answers = join_all(writes).await;
    assert!(answers.iter().any(Result::is_err));
    let kept = kv.scan(&all(100), None, NOW).await.unwrap().entries;
    let bytes: usize = kept.iter().map(|entry| entry.key.len() + entry.value.bytes.len()).sum();
    assert_eq!(used(&kv).await, bytes as u64);
    assert!(bytes <= 100 && bytes > 100 - 28, "{bytes}");
    let refused = answers.into_iter().filter_map(Result::err);
    assert!(refused.into_iter().all(|error: KvError| matches!(error, KvError::Full(_))));
}

#[tokio::test]
async fn of_many_who_count_up_at_once_none_is_lost() {
    let storage = racing_storage().await;
    let kv = storage.kv(ACME, REPLY, ROOM);
    let counts = (0..8).map(|_| async {
        loop {
            let before = kv.get("n", None, NOW).await.unwrap();
            let n: u64 = before.as_ref().map_or(0, |value| String::from_utf8_lossy(&value.bytes).parse().unwrap());
            let expected = before.map_or(KvExpected::Absent, |value| KvExpected::Value(value.bytes));
            let next = value(&(n + 1).to_string());
            if kv.write("n", KvWrite::PutIf(expected, next), None, NOW).await.unwrap() {
                break;
            }
        }
    });
    join_all(counts).await;
    assert_eq!(text(&kv, "n", NOW).await.as_deref(), Some("8"));
}

#[tokio::test]
async fn what_is_over_does_not_exist_even_before_it_is_swept() {
    for storage in storages().await {
        let kv = storage.kv(ACME, REPLY, 20);
        put(&kv, "a", until("one", LATER)).await.unwrap();
        put(&kv, "b", until("two", Timestamp(LATER.0 + 1))).await.unwrap();
        assert_eq!(text(&kv, "a", Timestamp(LATER.0 - 1)).await.as_deref(), Some("one"));
        assert_eq!(text(&kv, "a", LATER).await, None);
        let page = kv.scan(&all(9), None, LATER).await.unwrap();
        assert_eq!(page.entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["b"]);
        let absent = KvWrite::PutIf(KvExpected::Absent, value("new"));
        assert!(kv.write("a", absent, None, LATER).await.unwrap());
        assert!(!kv.write("b", KvWrite::Delete, None, Timestamp(LATER.0 + 1)).await.unwrap(), "there is none any more");
        assert_eq!(kv.usage(None, LATER).await.unwrap().used, 4);
        assert_eq!(storage.sweep_kv(ACME, Timestamp(u64::MAX)).await.unwrap(), 0, "what was written anew has no end");
        assert_eq!(text(&kv, "a", Timestamp(u64::MAX)).await.as_deref(), Some("new"));
    }
}

#[tokio::test]
async fn a_sweep_removes_what_is_over_in_steps_and_makes_its_room_free() {
    for storage in storages().await {
        let kv = storage.kv(ACME, REPLY, u64::MAX);
        let other = storage.kv(ACME, "1/reply", u64::MAX);
        for n in 0..20 {
            put(&kv, &format!("k{n:02}"), until("x", Timestamp(NOW.0 + n))).await.unwrap();
            put(&other, &format!("k{n:02}"), until("x", LATER)).await.unwrap();
        }
        put(&kv, "stays", value("x")).await.unwrap();
        let swept = Timestamp(NOW.0 + 9);
        assert_eq!(storage.sweep_kv(ACME, swept).await.unwrap(), 10);
        assert_eq!(storage.sweep_kv(ACME, swept).await.unwrap(), 0);
        let (left, _) = keys_in(&kv, &all(100), None).await;
        assert_eq!((left.len(), left[0].as_str()), (11, "k10"));
        assert_eq!(storage.sweep_kv(ACME, LATER).await.unwrap(), 16, "a bounded number at once");
        assert_eq!(storage.sweep_kv(ACME, LATER).await.unwrap(), 14);
        assert_eq!((used(&kv).await, used(&other).await), (6, 0));
    }
}

#[tokio::test]
async fn who_has_no_room_for_what_is_over_and_not_swept_yet_gets_it() {
    let storage = with_plugins(storage()).await;
    let kv = storage.kv(ACME, REPLY, 4);
    put(&kv, "a", until("one", LATER)).await.unwrap();
    assert_eq!(refused_as(put(&kv, "b", value("two")).await), "4 of 4 bytes are used");
    assert!(kv.write("b", KvWrite::Put(value("two")), None, LATER).await.unwrap());
    let mut run = KvEffects::default();
    put(&kv, "b", until("two", LATER)).await.unwrap();
    assert!(kv.write("c", KvWrite::Put(value("abc")), Some(&mut run), LATER).await.unwrap());
}

#[tokio::test]
async fn stretches_are_read_in_order_from_either_end_and_in_pages() {
    for storage in storages().await {
        let kv = storage.kv(ACME, REPLY, u64::MAX);
        let names: Vec<String> = (0..70).map(|n| format!("k{n:02}")).collect();
        for (n, name) in names.iter().enumerate() {
            put(&kv, name, if n % 7 == 3 { until("x", NOW) } else { value("x") }).await.unwrap();
        }
        let live: Vec<&str> = (0..70).filter(|n| n % 7 != 3).map(|n| names[n].as_str()).collect();
        let stretch = |begin: &str, end: Option<&str>, limit, reverse| KvStretch {
            begin: begin.to_owned(),
            end: end.map(str::to_owned),
            limit,
            reverse,
        };
        let (keys, more) = keys_in(&kv, &stretch("", None, 100, false), None).await;
        assert_eq!((keys.iter().map(String::as_str).collect::<Vec<_>>(), more), (live.clone(), false));
        let (keys, more) = keys_in(&kv, &stretch("", None, 60, false), None).await;
        assert_eq!((keys.len(), more), (60, false), "what is over is no reason to say that there is more");
        let (keys, more) = keys_in(&kv, &stretch("", None, 59, false), None).await;
        assert_eq!((keys.len(), more), (59, true));
        let (keys, more) = keys_in(&kv, &stretch("", None, 100, true), None).await;
        assert_eq!((keys.iter().rev().map(String::as_str).collect::<Vec<_>>(), more), (live, false));
        let (keys, more) = keys_in(&kv, &stretch("k04", Some("k08"), 2, true), None).await;
        assert_eq!((keys, more), (vec!["k07".to_owned(), "k06".to_owned()], true));
        for (begin, end) in [("k08", "k04"), ("k04", "k04"), ("x", "z")] {
            assert_eq!(keys_in(&kv, &stretch(begin, Some(end), 9, false), None).await, (Vec::new(), false));
        }
    }
}

#[tokio::test]
async fn a_page_ends_at_its_bytes() {
    let storage = with_plugins(storage()).await;
    let kv = storage.kv(ACME, REPLY, u64::MAX);
    let large = value(&"v".repeat(KV_VALUE_BYTES_MAX));
    for n in 0..20 {
        put(&kv, &format!("k{n:02}"), large.clone()).await.unwrap();
    }
    let (keys, more) = keys_in(&kv, &all(100), None).await;
    assert_eq!((keys.len(), more), (15, true));
}

#[tokio::test]
async fn a_run_reads_what_it_wrote_and_nobody_else_does() {
    for storage in storages().await {
        let kv = storage.kv(ACME, REPLY, ROOM);
        for key in ["b", "d", "f"] {
            put(&kv, key, value("old")).await.unwrap();
        }
        let mut run = KvEffects::default();
        let before = run.clone();
        for (key, write) in [
            ("a", KvWrite::Put(value("new"))),
            ("b", KvWrite::Put(value("new"))),
            ("d", KvWrite::Delete),
            ("e", KvWrite::Put(value("new"))),
            ("g", KvWrite::Put(until("new", NOW))),
        ] {
            assert!(kv.write(key, write, Some(&mut run), NOW).await.unwrap());
        }
        assert!(run != before && !run.is_empty());
        assert_eq!(kv.get("b", Some(&mut run), NOW).await.unwrap(), Some(value("new")));
        assert_eq!(kv.get("d", Some(&mut run), NOW).await.unwrap(), None);
        assert!(!kv.write("d", KvWrite::Delete, Some(&mut run), NOW).await.unwrap());
        let expected = |text: &str| KvExpected::Value(text.as_bytes().to_vec());
        let old = KvWrite::PutIf(expected("old"), value("newer"));
        assert!(!kv.write("b", old, Some(&mut run), NOW).await.unwrap());
        let new = KvWrite::PutIf(expected("new"), value("newer"));
        assert!(kv.write("b", new, Some(&mut run), NOW).await.unwrap());
        assert_eq!(keys_in(&kv, &all(9), Some(&run)).await.0, ["a", "b", "e", "f"]);
        let backwards = KvStretch { begin: "b".to_owned(), end: Some("f".to_owned()), limit: 1, reverse: true };
        assert_eq!(keys_in(&kv, &backwards, Some(&run)).await, (vec!["e".to_owned()], true));
        // a: 4, b: from 4 to 6, d: 4 less, e: 4, g: 4.
        assert_eq!(kv.usage(Some(&run), NOW).await.unwrap().used, 12 + 4 + 2 - 4 + 4 + 4);
        assert_eq!((keys_in(&kv, &all(9), None).await.0, used(&kv).await), (vec!["b".into(), "d".into(), "f".into()], 12));
    }
}

#[tokio::test]
async fn a_run_reads_a_key_the_same_however_often_it_asks() {
    let storage = with_plugins(storage()).await;
    let kv = storage.kv(ACME, REPLY, ROOM);
    let mut run = KvEffects::default();
    assert_eq!(kv.get("a", Some(&mut run), NOW).await.unwrap(), None);
    put(&kv, "a", value("meanwhile")).await.unwrap();
    assert_eq!(kv.get("a", Some(&mut run), NOW).await.unwrap(), None);
}

#[tokio::test]
async fn a_run_has_to_do_with_a_bounded_number_of_keys_and_bytes() {
    let storage = with_plugins(storage()).await;
    let kv = storage.kv(ACME, REPLY, u64::MAX);
    let mut run = KvEffects::default();
    for n in 0..KV_RUN_KEYS_MAX / 2 {
        assert!(kv.write(&format!("w{n}"), KvWrite::Put(value("x")), Some(&mut run), NOW).await.unwrap());
        assert_eq!(kv.get(&format!("r{n}"), Some(&mut run), NOW).await.unwrap(), None);
    }
    let many = "a run reads and writes at most 256 keys";
    assert_eq!(refused_as(kv.get("more", Some(&mut run), NOW).await), many);
    assert_eq!(refused_as(kv.write("more", KvWrite::Put(value("x")), Some(&mut run), NOW).await), many);
    // Those that it has to do with already are no more.
    assert!(kv.write("r1", KvWrite::Put(value("x")), Some(&mut run), NOW).await.unwrap());
    assert!(kv.write("w1", KvWrite::Delete, Some(&mut run), NOW).await.unwrap());

    let (mut run, large) = (KvEffects::default(), value(&"v".repeat(KV_VALUE_BYTES_MAX)));
    let fit = KV_RUN_BYTES_MAX / (KV_VALUE_BYTES_MAX + 3);
    for n in 0..fit {
        assert!(kv.write(&format!("w{n:02}"), KvWrite::Put(large.clone()), Some(&mut run), NOW).await.unwrap());
    }
    let much = kv.write("more", KvWrite::Put(large.clone()), Some(&mut run), NOW).await;
    assert_eq!(refused_as(much), "a run reads and writes at most 2097152 bytes");
    assert!(kv.write("w00", KvWrite::Put(large.clone()), Some(&mut run), NOW).await.unwrap(), "in place of the first");
    put(&kv, "there", large).await.unwrap();
    assert_eq!(refused_as(kv.get("there", Some(&mut run), NOW).await), "a run reads and writes at most 2097152 bytes");
}

#[tokio::test]
async fn a_run_is_told_that_there_is_no_room_when_it_writes() {
    let storage = with_plugins(storage()).await;
    let kv = storage.kv(ACME, REPLY, 8);
    put(&kv, "a", value("one")).await.unwrap();
    let mut run = KvEffects::default();
    assert!(kv.write("b", KvWrite::Put(value("two")), Some(&mut run), NOW).await.unwrap());
    let full = kv.write("c", KvWrite::Put(value("x")), Some(&mut run), NOW).await;
    assert!(matches!(full, Err(KvError::Full(KvUsage { used: 8, max: 8 }))), "{full:?}");
    assert!(kv.write("a", KvWrite::Delete, Some(&mut run), NOW).await.unwrap());
    assert!(kv.write("c", KvWrite::Put(value("x")), Some(&mut run), NOW).await.unwrap());
}

#[tokio::test]
async fn calls_of_a_deleted_plugin_keep_nothing_more() {
    let storage = with_plugins(storage()).await;
    storage.create_tenant(&tenant(ACME, "Acme")).await.unwrap();
    let (kv, for_nobody) = (storage.kv(ACME, REPLY, ROOM), storage.kv(TenantId::OPERATOR, REPLY, ROOM));
    let own = storage.kv(ACME, "1/reply", ROOM);
    for kv in [&kv, &for_nobody, &own] {
        put(kv, "a", until("one", LATER)).await.unwrap();
    }
    assert!(storage.delete_plugin(TenantId::OPERATOR, "reply", REPLY).await.unwrap());
    for kv in [&kv, &for_nobody] {
        assert_eq!((text(kv, "a", NOW).await, used(kv).await), (None, 0));
        assert_eq!(refused_as(put(kv, "a", value("late")).await), "the plugin was deleted");
    }
    assert_eq!(text(&own, "a", NOW).await.as_deref(), Some("one"));
    assert_eq!(storage.sweep_kv(ACME, NOW.plus(Duration::from_secs(3600))).await.unwrap(), 1, "of the other one alone");
    assert_eq!(storage.sweep_kv(TenantId::OPERATOR, Timestamp(u64::MAX)).await.unwrap(), 0);
}
