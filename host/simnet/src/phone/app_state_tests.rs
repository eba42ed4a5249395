//! Two devices of one account agree on its app state, and neither takes what does not verify.

use wacore_appstate::AppStateError;
use waproto::buffa::MessageField;
use waproto::whatsapp::SyncActionValue;
use waproto::whatsapp::SyncdPatch;
use waproto::whatsapp::sync_action_value::PinAction;
use waproto::whatsapp::syncd_mutation::SyncdOperation;

use super::app_state::{AppState, Change, collection_name};
use super::error::PhoneError;
use super::sync_keys::SyncKeys;

const NOW: u64 = 1_700_000_000_000;
const LOW: &str = "regular_low";

fn pin(chat: &str, pinned: bool) -> Change {
    Change {
        operation: SyncdOperation::SET,
        index: vec!["pin_v1".to_owned(), chat.to_owned()],
        value: SyncActionValue {
            pin_action: MessageField::some(PinAction { pinned: Some(pinned) }),
            timestamp: Some(1),
            ..SyncActionValue::default()
        },
        version: 5,
    }
}

fn refusal(result: Result<Vec<wacore_appstate::Mutation>, PhoneError>) -> AppStateError {
    match result {
        Err(PhoneError::AppState { collection: LOW, source }) => source,
        other => panic!("{other:?}"),
    }
}

fn pinned(state: &AppState) -> Vec<(String, bool)> {
    let entries = state.entries(LOW);
    let mut pinned: Vec<_> = entries
        .map(|entry| (entry.index[1].clone(), entry.value().pin_action.as_option().unwrap().pinned.unwrap()))
        .collect();
    pinned.sort();
    pinned
}

#[test]
fn devices_with_the_key_agree_on_every_change() {
    let keys = SyncKeys::new(NOW);
    let (mut phone, mut companion) = (AppState::default(), AppState::default());
    let first = phone.compose(&keys, LOW, &[pin("a", true), pin("b", true)]).unwrap();
    phone.take(&keys, LOW, &first).unwrap();
    companion.take(&keys, LOW, &first).unwrap();
    let removal = Change { operation: SyncdOperation::REMOVE, ..pin("b", true) };
    let second = companion.compose(&keys, LOW, &[pin("a", false), removal]).unwrap();
    companion.take(&keys, LOW, &second).unwrap();
    phone.take(&keys, LOW, &second).unwrap();
    assert_eq!(pinned(&phone), [("a".to_owned(), false)]);
    assert_eq!(pinned(&phone), pinned(&companion));
    assert_eq!(phone.version(LOW), 2);
    assert!(phone.entry(LOW, &["pin_v1", "a"]).is_some());
    assert!(phone.entry(LOW, &["pin_v1", "b"]).is_none());
}

#[test]
fn patch_that_does_not_verify_changes_nothing() {
    let keys = SyncKeys::new(NOW);
    let mut phone = AppState::default();
    let good = phone.compose(&keys, LOW, &[pin("a", true)]).unwrap();
    let spoil = |change: fn(&mut SyncdPatch)| {
        let mut patch = good.clone();
        change(&mut patch);
        patch
    };
    let mut refused = |patch: &SyncdPatch| refusal(phone.take(&keys, LOW, patch));
    let tampered = spoil(|patch| patch.patch_mac.as_mut().unwrap()[0] ^= 1);
    assert!(matches!(refused(&tampered), AppStateError::PatchMACMismatch));
    assert!(matches!(refused(&spoil(|patch| patch.patch_mac = None)), AppStateError::PatchMACMismatch));
    assert!(matches!(refused(&spoil(|patch| patch.snapshot_mac = None)), AppStateError::PatchSnapshotMACMismatch));
    let unknown = spoil(|patch| patch.key_id.as_option_mut().unwrap().id = Some(vec![1, 2, 3]));
    assert!(matches!(refused(&unknown), AppStateError::KeyNotFound));
    let other_index = spoil(|patch| {
        let record = patch.mutations[0].record.as_option_mut().unwrap();
        record.index.as_option_mut().unwrap().blob.as_mut().unwrap()[0] ^= 1;
    });
    assert!(matches!(refused(&other_index), AppStateError::MismatchingIndexMAC));
    assert_eq!(phone.version(LOW), 0);
    assert!(phone.take_changes().is_empty());
    phone.take(&keys, LOW, &good).unwrap();
}

#[test]
fn patch_of_a_device_that_lost_track_is_refused() {
    let keys = SyncKeys::new(NOW);
    let (mut phone, mut companion) = (AppState::default(), AppState::default());
    let first = phone.compose(&keys, LOW, &[pin("a", true)]).unwrap();
    phone.take(&keys, LOW, &first).unwrap();
    let other = companion.compose(&keys, LOW, &[pin("b", true)]).unwrap();
    companion.take(&keys, LOW, &other).unwrap();
    // The version fits, but it was made for another state of the collection.
    let second = companion.compose(&keys, LOW, &[pin("c", true)]).unwrap();
    assert!(matches!(refusal(phone.take(&keys, LOW, &second)), AppStateError::PatchSnapshotMACMismatch));
    // And here the version does not fit either.
    assert!(matches!(refusal(phone.take(&keys, LOW, &first)), AppStateError::PatchVersionMismatch { .. }));
    assert_eq!(pinned(&phone), [("a".to_owned(), true)]);
}

#[test]
fn restored_state_goes_on() {
    let keys = SyncKeys::new(NOW);
    let mut phone = AppState::default();
    let first = phone.compose(&keys, LOW, &[pin("a", true), pin("b", true)]).unwrap();
    phone.take(&keys, LOW, &first).unwrap();
    let mut restored = AppState::default();
    for (key, value) in phone.take_changes() {
        assert!(restored.restore(&key, &value.unwrap()).unwrap(), "{key}");
    }
    let second = restored.compose(&keys, LOW, &[pin("b", false)]).unwrap();
    restored.take(&keys, LOW, &second).unwrap();
    phone.take(&keys, LOW, &second).unwrap();
    assert_eq!(pinned(&restored), pinned(&phone));
    assert!(!restored.restore("shown/1", &serde_json::Value::Null).unwrap());
    assert!(restored.restore("syncd/elsewhere", &serde_json::Value::Null).is_err());
}

#[test]
fn only_known_collections_exist() {
    assert_eq!(collection_name("critical_block"), Some("critical_block"));
    assert_eq!(collection_name("critical"), None);
}
