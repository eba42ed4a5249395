//! Plugins and their versions: what is kept together, what goes when there are too many, and what a removal takes along.

use std::time::Duration;

use super::*;
use crate::records::plugin::{BEFORE_MAX, Plugin};
use crate::storage::codec::encode;
use crate::storage::keys::{self, RecordType};
use crate::storage::{ARTIFACT_BYTES_MAX, VersionChange};

fn sha256(n: u8) -> String {
    version(n).sha256
}

async fn numbers(storage: &Storage, tenant: TenantId, name: &str) -> Vec<u64> {
    storage.plugin_versions(tenant, name).await.unwrap().iter().map(|version| version.n).collect()
}

/// How many rows of a type there are.
async fn rows(storage: &Storage, record: RecordType) -> usize {
    everything(storage).await.iter().filter(|(key, _)| keys::record_type(key) == record as u8).count()
}

fn done(change: VersionChange) -> Plugin {
    let VersionChange::Done(plugin) = change else { panic!("{change:?}") };
    *plugin
}

async fn activate(storage: &Storage, n: u8, back: bool) -> VersionChange {
    storage.activate_version((ACME, "reply"), &sha256(n), back, None, None, LATER).await.unwrap()
}

#[tokio::test]
async fn an_upload_is_found_with_its_component_and_listed_by_name() {
    let storage = storage();
    for (name, n) in [("reply", 2), ("audit", 1)] {
        let VersionKept::New(plugin, kept) = upload(&storage, ACME, name, n).await.unwrap() else { panic!("{name}") };
        assert_eq!((plugin.version, plugin.latest, &plugin.sha256, kept.n), (1, 1, &sha256(n), 1));
        assert_eq!((plugin.created_at, plugin.activated_at, kept.activated_at), (LATER, NOW, Some(NOW)));
        assert_eq!(storage.plugin(ACME, name).await.unwrap(), Some(plugin));
        assert_eq!(storage.plugin_version(ACME, name, &sha256(n)).await.unwrap(), Some(kept));
        assert_eq!(storage.artifact(ACME, &sha256(n)).await.unwrap(), Some(component(n)));
    }
    let listed: Vec<String> = storage.plugins(ACME).await.unwrap().into_iter().map(|plugin| plugin.name).collect();
    assert_eq!(listed, ["audit", "reply"]);
    for name in ["", "repl", "reply2"] {
        assert_eq!(storage.plugin(ACME, name).await.unwrap(), None, "{name}");
        assert!(storage.plugin_versions(ACME, name).await.unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn the_same_bytes_again_are_the_same_version_and_make_it_the_active_one() {
    let storage = storage();
    upload(&storage, ACME, "reply", 1).await.unwrap();
    upload(&storage, ACME, "reply", 2).await.unwrap();
    let before = everything(&storage).await;
    let VersionKept::Known(plugin, _) = upload(&storage, ACME, "reply", 2).await.unwrap() else { panic!("known") };
    assert_eq!((plugin.version, everything(&storage).await), (2, before), "nothing is written");
    let VersionKept::Known(plugin, kept) = upload(&storage, ACME, "reply", 1).await.unwrap() else { panic!("known") };
    assert_eq!((plugin.version, plugin.latest, kept.n, plugin.before), (1, 2, 1, vec![sha256(2)]));
    assert_eq!(numbers(&storage, ACME, "reply").await, [1, 2]);
}

#[tokio::test]
async fn going_back_twice_goes_further_back_and_stops_at_the_first() {
    let storage = storage();
    for n in 1..=3 {
        upload(&storage, ACME, "reply", n).await.unwrap();
    }
    assert_eq!(storage.plugin(ACME, "reply").await.unwrap().unwrap().before, [sha256(2), sha256(1)]);
    let plugin = done(activate(&storage, 2, true).await);
    assert_eq!((plugin.version, plugin.latest, &plugin.before), (2, 3, &vec![sha256(1)]));
    let plugin = done(activate(&storage, 1, true).await);
    assert_eq!((plugin.version, plugin.before.len()), (1, 0));
    let plugin = done(activate(&storage, 3, false).await);
    assert_eq!((plugin.version, plugin.before), (3, vec![sha256(1)]));
    assert_eq!(activate(&storage, 9, false).await, VersionChange::NoVersion);
    let nobody = storage.activate_version((ACME, "other"), &sha256(1), false, None, None, LATER).await.unwrap();
    assert_eq!(nobody, VersionChange::NoPlugin);
}

#[tokio::test]
async fn a_version_that_is_active_stays_and_another_goes_with_its_bytes() {
    let storage = storage();
    for n in 1..=2 {
        upload(&storage, ACME, "reply", n).await.unwrap();
    }
    upload(&storage, ACME, "audit", 1).await.unwrap();
    assert_eq!(storage.artifact_bytes(ACME).await.unwrap(), 120_009, "shared bytes count once");
    assert_eq!(storage.delete_version(ACME, "reply", &sha256(2)).await.unwrap(), VersionChange::Active);
    let plugin = done(storage.delete_version(ACME, "reply", &sha256(1)).await.unwrap());
    assert!(plugin.before.is_empty(), "there is nothing to go back to");
    assert_eq!(storage.delete_version(ACME, "reply", &sha256(1)).await.unwrap(), VersionChange::NoVersion);
    assert_eq!(storage.artifact(ACME, &sha256(1)).await.unwrap(), Some(component(1)), "another plugin has it");
    assert!(storage.delete_plugin(ACME, "audit", "1/audit").await.unwrap());
    assert_eq!(storage.artifact(ACME, &sha256(1)).await.unwrap(), None);
    assert_eq!(storage.artifact_bytes(ACME).await.unwrap(), 120_000);
    assert!(storage.delete_plugin(ACME, "reply", "1/reply").await.unwrap());
    assert!(!storage.delete_plugin(ACME, "reply", "1/reply").await.unwrap());
    assert!(everything(&storage).await.is_empty(), "nothing is left");
}

#[tokio::test]
async fn the_oldest_versions_go_when_there_are_too_many_but_not_the_active_one_nor_the_one_before_it() {
    let storage = storage();
    let most = u8::try_from(VERSIONS_MAX).unwrap();
    for n in 1..=most {
        upload(&storage, ACME, "reply", n).await.unwrap();
    }
    assert_eq!(storage.plugin(ACME, "reply").await.unwrap().unwrap().before.len(), BEFORE_MAX);
    done(activate(&storage, 2, false).await);
    done(activate(&storage, 1, false).await);
    let new = version(most + 1);
    storage.put_artifact(ACME, &new.sha256, &component(most + 1), new.uploaded_at).await.unwrap();
    let wish = NewVersion::without_plan(ACME, "reply", &new);
    storage.keep_version(&wish, |_, _| {}).await.unwrap();
    let kept = numbers(&storage, ACME, "reply").await;
    assert_eq!((kept.len(), &kept[..3], kept.last()), (VERSIONS_MAX, &[1, 2, 4][..], Some(&101)));
    assert_eq!(storage.artifact(ACME, &sha256(3)).await.unwrap(), None);
    assert_eq!(rows(&storage, RecordType::ArtifactUses).await, VERSIONS_MAX);
}

#[tokio::test]
async fn what_finds_no_room_is_refused_until_older_versions_may_go() {
    let storage = storage();
    for n in [2, 4, 1] {
        upload(&storage, ACME, "reply", n).await.unwrap();
    }
    let keep = async |n: u8, store_bytes_max: u64| {
        let version = version(n);
        storage.put_artifact(ACME, &version.sha256, &component(n), version.uploaded_at).await.unwrap();
        let new = NewVersion { store_bytes_max, ..NewVersion::without_plan(ACME, "reply", &version) };
        storage.keep_version(&new, |_, _| {}).await.unwrap()
    };
    let used = 240_009;
    assert_eq!(keep(6, 240_000).await, VersionKept::Full { used }, "only one of the others may go");
    assert_eq!(numbers(&storage, ACME, "reply").await, [1, 2, 3]);
    assert_eq!(storage.artifact(ACME, &sha256(6)).await.unwrap(), None);
    assert_eq!(storage.finish_cleanups().await.unwrap(), 0, "its component is gone at once");
    assert!(matches!(keep(6, 240_009).await, VersionKept::New(..)));
    assert_eq!((numbers(&storage, ACME, "reply").await, storage.artifact_bytes(ACME).await.unwrap()), (vec![2, 3, 4], used));
}

#[tokio::test]
async fn an_upload_that_was_broken_off_anywhere_leaves_the_version_or_nothing_and_can_be_made_again() {
    for commits in 0..6 {
        let engine = test_engine();
        let storage = Storage::over(engine.clone(), master_key(1));
        engine.commits_left.store(commits, Ordering::Relaxed);
        let kept = upload(&storage, ACME, "reply", 2).await.is_ok();
        engine.commits_left.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(kept, commits >= 4, "three parts and the version are four commits");
        let (began, now) = (Timestamp(0), LATER.plus(Duration::from_secs(1)));
        assert_eq!(storage.finish_old_cleanups(began, now).await.unwrap(), 0, "an upload may still be under way");
        let left = usize::from(commits > 0 && !kept);
        match commits % 3 {
            0 => assert_eq!(storage.finish_old_cleanups(began, now.plus(Duration::from_secs(600))).await.unwrap(), left),
            1 => {
                assert_eq!(storage.finish_old_cleanups(now, now).await.unwrap(), left, "what began before the host is over")
            }
            _ => {}
        }
        if commits % 3 < 2 {
            assert_eq!(everything(&storage).await.is_empty(), !kept);
        }
        upload(&storage, ACME, "reply", 2).await.unwrap();
        assert_eq!(storage.artifact(ACME, &sha256(2)).await.unwrap(), Some(component(2)));
        assert_eq!(rows(&storage, RecordType::Cleanup).await, 0);
    }
}

#[tokio::test]
async fn a_version_without_its_component_is_not_kept() {
    let storage = storage();
    let version = version(1);
    let new = NewVersion::without_plan(ACME, "reply", &version);
    assert!(matches!(storage.keep_version(&new, |_, _| {}).await, Err(StorageError::Conflict)));
    // Put by another upload, at another time: that one goes on.
    storage.put_artifact(ACME, &version.sha256, &component(1), NOW).await.unwrap();
    assert!(matches!(storage.keep_version(&new, |_, _| {}).await, Err(StorageError::Conflict)));
    assert_eq!(storage.plugin(ACME, "reply").await.unwrap(), None);
}

#[tokio::test]
async fn changes_at_once_are_all_kept() {
    let storage = Storage::over(test_engine(), master_key(1));
    upload(&storage, ACME, "reply", 1).await.unwrap();
    let change = async |n: u64| storage.change_plugin(ACME, "reply", |plugin| plugin.config[n.to_string()] = n.into()).await;
    let (one, two, three) = tokio::join!(change(1), change(2), upload(&storage, ACME, "reply", 3));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    let plugin = storage.plugin(ACME, "reply").await.unwrap().unwrap();
    assert_eq!((plugin.config, plugin.version, plugin.revision), (serde_json::json!({ "1": 1, "2": 2 }), 2, 4));
}

#[tokio::test]
async fn a_responder_that_is_uploaded_begins_with_what_happens_from_then_on() {
    let storage = storage_with_session().await;
    record_events(&storage, 3).await;
    let version = version(1);
    storage.put_artifact(ACME, &version.sha256, &component(1), version.uploaded_at).await.unwrap();
    let (name, subscription) = ("reply", Some("1/reply"));
    let new = NewVersion { subscription, ..NewVersion::without_plan(ACME, name, &version) };
    storage.keep_version(&new, |plugin, version| plugin.activate(version, NOW)).await.unwrap();
    let message = incoming("chat", "from", "IN4");
    storage.record_inbound(ACME, SESSION, NOW, &[message]).await.unwrap();
    storage.step_cursor(ACME, "1/reply", None, 99, NOW, |_| true).await.unwrap();
    assert_eq!(storage.owed_runs(ACME, "1/reply", 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_cursor_moves_only_for_the_plugin_as_it_is_stored() {
    let storage = storage_with_session().await;
    upload(&storage, ACME, "reply", 1).await.unwrap();
    let known = storage.plugin(ACME, "reply").await.unwrap().unwrap();
    record_events(&storage, 3).await;
    let step =
        async |plugin: &Plugin| storage.step_cursor(ACME, "1/reply", Some(plugin), 1, NOW, |_| true).await.unwrap().events;
    assert_eq!(step(&known).await, 1);
    let change = storage.change_plugin(ACME, "reply", |plugin| plugin.config = serde_json::json!({ "answers": "more" }));
    let changed = change.await.unwrap().unwrap();
    assert_eq!(step(&known).await, 0, "what it wanted is not what it wants now");
    assert_eq!(step(&changed).await, 1);
    storage.change_plugin(ACME, "reply", |plugin| plugin.latest += 1).await.unwrap();
    assert_eq!(step(&changed).await, 1, "what it wants is the same");
    storage.delete_plugin(ACME, "reply", "1/reply").await.unwrap();
    // A worker that has not heard of it yet.
    assert_eq!(step(&changed).await, 0);
    assert!(storage.owed_runs(ACME, "1/reply", 9).await.unwrap().is_empty());
    assert_eq!(rows(&storage, RecordType::Cursor).await, 0, "nothing is left for a namesake");
}

#[tokio::test]
async fn a_component_over_the_limit_is_refused_and_the_active_one_stays() {
    let storage = storage();
    upload(&storage, ACME, "reply", 1).await.unwrap();
    let refused = storage.put_artifact(ACME, "bb", &vec![0; ARTIFACT_BYTES_MAX + 1], NOW).await;
    assert!(matches!(refused, Err(StorageError::TooLarge { bytes_max: ARTIFACT_BYTES_MAX, .. })));
    assert_eq!(storage.plugin(ACME, "reply").await.unwrap().unwrap().version, 1);
    assert_eq!(rows(&storage, RecordType::Cleanup).await, 0);
}

#[tokio::test]
async fn what_a_host_before_versions_stored_is_read_and_replaced() {
    let storage = storage();
    let old = serde_json::json!({
        "name": "reply", "tenant": 1, "sha256": sha256(2), "bytes": 9, "interfaces": ["responder"], "config": {},
        "activated_at": NOW,
    });
    let (record, artifact) = (keys::plugin(ACME, "reply"), keys::artifact(ACME, &sha256(2)));
    let mut batch = Batch::default();
    batch.put(record.clone(), encode(&record, &old).unwrap());
    batch.put(artifact, component(2));
    batch.put(keys::artifact(ACME, &sha256(3)), component(3));
    storage.engine.commit(batch).await.unwrap();
    let plugin = storage.plugin(ACME, "reply").await.unwrap().unwrap();
    assert_eq!((plugin.version, plugin.latest, plugin.stopped), (0, 0, false));
    assert_eq!(storage.artifact(ACME, &sha256(2)).await.unwrap(), Some(component(2)));
    upload(&storage, ACME, "reply", 2).await.unwrap();
    assert_eq!(storage.artifact(ACME, &sha256(2)).await.unwrap(), Some(component(2)));
    assert_eq!(rows(&storage, RecordType::Artifact).await, 1);
    storage.drop_whole_artifacts(ACME).await.unwrap();
    assert_eq!(storage.plugin(ACME, "reply").await.unwrap().unwrap().version, 1);
    assert_eq!(rows(&storage, RecordType::Artifact).await, 0);
    assert_eq!(storage.artifact(ACME, &sha256(2)).await.unwrap(), Some(component(2)));
}

#[test]
fn what_a_host_before_versions_had_active_without_a_version_is_not_gone_back_to() {
    let mut plugin = Plugin::new(ACME, "reply", NOW);
    plugin.sha256 = sha256(9);
    plugin.activate(&PluginVersion { n: 1, ..version(1) }, LATER);
    assert_eq!((plugin.version, &plugin.sha256, plugin.before.len()), (1, &sha256(1), 0));
    plugin.activate(&PluginVersion { n: 2, ..version(2) }, LATER);
    assert_eq!(plugin.before, [sha256(1)]);
}
