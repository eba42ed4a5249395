//! What the client library relies on in its storage, tried against an engine in memory.

mod protocol;

use std::sync::Arc;

use bytes::Bytes;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::error::{Result, StoreError};
use wacore::store::traits::{
    AppStateSyncKey, AppSyncStore, Backend, DeviceStore, LidPnMappingEntry, MsgSecretEntry, MsgSecretStore, ProtocolStore,
    SignalStore,
};

use super::{COMPARE_AND_SET_TRIES_MAX, DeviceBackend, SCAN_PAGE_ROWS_MAX, Tries, codec, tables};

/// How often a test lets two writers run against each other.
const RACES: usize = 32;

const GROUP: &str = "120363021033254949@g.us";
const CHAT: &str = "100@s.whatsapp.net";
const SENDER: &str = "200@s.whatsapp.net";

fn device() -> DeviceBackend {
    crate::whatsapp::storage::test_support::memory_device()
}

/// Two devices in one storage.
fn two_devices() -> (DeviceBackend, DeviceBackend) {
    crate::whatsapp::storage::test_support::two_memory_devices()
}

/// Both at once, on two threads.
async fn together<T: Send + 'static>(
    first: impl Future<Output = Result<T>> + Send + 'static,
    second: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<[T; 2]> {
    let failed = |error: tokio::task::JoinError| StoreError::Io(std::io::Error::other(error));
    let (first, second) = (tokio::spawn(first), tokio::spawn(second));
    Ok([first.await.map_err(failed)??, second.await.map_err(failed)??])
}

fn secret(id: &str, fill: u8, expires_at: i64, message_ts: i64) -> MsgSecretEntry {
    MsgSecretEntry {
        chat: Arc::from(CHAT),
        sender: Arc::from(SENDER),
        msg_id: Arc::from(id),
        secret: [fill; 32],
        expires_at,
        message_ts,
    }
}

fn mapping(lid: &str, phone_number: &str, updated_at: i64) -> LidPnMappingEntry {
    LidPnMappingEntry {
        lid: lid.to_owned(),
        phone_number: phone_number.to_owned(),
        created_at: 1,
        updated_at,
        learning_source: "usync".to_owned(),
    }
}

fn mac(index: &[u8], value: &[u8]) -> AppStateMutationMAC {
    AppStateMutationMAC { index_mac: index.to_vec(), value_mac: value.to_vec() }
}

#[test]
fn one_device_is_a_whole_backend() {
    fn takes_backend<T: Backend>() {}
    takes_backend::<DeviceBackend>();
}

#[test]
fn keys_of_several_parts_are_never_confused() {
    let shifted = codec::composed(&[b"ab"], b"c");
    assert_ne!(codec::composed(&[b"a"], b"bc"), shifted);
    let with_nul = codec::composed(&[b"a\0b"], b"c");
    assert_ne!(codec::composed(&[b"a"], b"b\0c"), with_nul);
}

#[test]
fn times_are_ordered_as_bytes_on_both_sides_of_zero() -> Result<()> {
    let times = [i64::MIN, -2, -1, 0, 1, 2, i64::MAX];
    let keys = times.map(|time| codec::time_key(time, b"row"));
    assert!(keys.is_sorted());
    for (time, key) in times.iter().zip(&keys) {
        assert_eq!(codec::split_time_key(key)?, (*time, b"row".as_slice()));
    }
    Ok(())
}

#[tokio::test]
async fn batch_built_on_a_row_that_changed_is_not_kept() -> Result<()> {
    let device = device();
    device.put(tables::META, b"row", b"read").await?;
    let stamp = device.get_stamped(tables::META, b"row").await?.map(|(_, stamp)| stamp);
    device.put(tables::META, b"row", b"changed").await?;

    let mut tries = Tries::of("test");
    for left in (0..COMPARE_AND_SET_TRIES_MAX).rev() {
        let mut batch = device.storage.batch();
        batch.unchanged(tables::META, b"row", stamp.as_ref());
        batch.put(tables::META, b"row", b"lost");
        match device.commit_if_unchanged(batch, &mut tries).await {
            Ok(kept) => assert!(!kept && left > 0),
            Err(error) => assert!(matches!(error, StoreError::RetriesExhausted { .. }) && left == 0),
        }
    }
    assert_eq!(device.get(tables::META, b"row").await?, Some(b"changed".to_vec()));
    Ok(())
}

#[tokio::test]
async fn marking_prekeys_never_brings_a_consumed_one_back() -> Result<()> {
    let device = device();
    device.store_prekey(1, b"one", false).await?;
    device.store_prekey(2, b"two", false).await?;
    device.remove_prekey(1).await?;

    device.mark_prekeys_uploaded(&[1, 2, 3]).await?;

    assert_eq!(device.load_prekey(1).await?, None);
    assert_eq!(device.load_prekey(2).await?, Some(Bytes::from_static(b"two")));
    assert_eq!(device.load_prekey(3).await?, None);
    let stored = device.get(tables::PREKEYS, &2_u32.to_be_bytes()).await?;
    assert_eq!(stored, Some(codec::flagged(true, b"two")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prekey_consumed_while_its_batch_is_marked_stays_deleted() -> Result<()> {
    let ids: Vec<u32> = (1..=64).collect();
    let keys: Vec<_> = ids.iter().map(|id| (*id, Bytes::from_static(b"key"))).collect();
    for _ in 0..RACES {
        let device = device();
        device.store_prekeys_batch(&keys, false).await?;
        let (marker, consumer, marked) = (device.clone(), device.clone(), ids.clone());

        together(
            async move { marker.mark_prekeys_uploaded(&marked).await },
            async move { consumer.remove_prekey(33).await },
        )
        .await?;

        assert_eq!(device.load_prekey(33).await?, None);
        assert_eq!(device.load_prekeys_batch(&ids).await?.len(), 63);
    }
    Ok(())
}

#[tokio::test]
async fn first_upload_of_812_prekeys_is_stored_and_counted_in_numeric_order() -> Result<()> {
    let device = device();
    assert_eq!(device.get_max_prekey_id().await?, 0);
    let keys: Vec<_> = (1..=812_u32).map(|id| (id, Bytes::from(id.to_string()))).collect();

    device.store_prekeys_batch(&keys, true).await?;

    // 300 is 0x012c: in little-endian order 255 would come after it.
    let some = device.load_prekeys_batch(&[255, 300, 812, 813]).await?;
    assert_eq!(some.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [255, 300, 812]);
    let all: Vec<u32> = (0..=900).collect();
    assert_eq!(device.load_prekeys_batch(&all).await?, keys);
    assert_eq!(device.get_max_prekey_id().await?, 812);
    device.remove_prekey(812).await?;
    assert_eq!(device.get_max_prekey_id().await?, 811);
    Ok(())
}

#[tokio::test]
async fn signal_state_of_a_user_is_not_found_under_a_longer_number() -> Result<()> {
    let device = device();
    device.put_session("1234:7@lid", b"session").await?;
    let identities = [(Arc::<str>::from("55@s.whatsapp.net"), [7; 32])];
    device.put_identities_batch(&identities).await?;

    assert!(device.has_signal_state_for_user("1234").await?);
    assert!(device.has_signal_state_for_user("55").await?);
    assert!(!device.has_signal_state_for_user("123").await?);
    assert_eq!(device.load_identity("55@s.whatsapp.net").await?, Some([7; 32]));
    assert!(device.has_session("1234:7@lid").await?);
    device.delete_session("1234:7@lid").await?;
    assert!(!device.has_session("1234:7@lid").await?);
    Ok(())
}

#[tokio::test]
async fn sync_key_stored_last_is_the_latest_whatever_its_id() -> Result<()> {
    let device = device();
    assert_eq!(device.get_latest_sync_key_id().await?, None);
    let key = AppStateSyncKey { key_data: vec![1, 2], ..AppStateSyncKey::default() };
    device.set_sync_key(b"zz", key.clone()).await?;
    device.set_sync_key(b"aa", key).await?;

    assert_eq!(device.get_latest_sync_key_id().await?, Some(b"aa".to_vec()));
    let stored = device.get_sync_key(b"zz").await?;
    assert_eq!(stored.map(|key| key.key_data), Some(vec![1, 2]));
    Ok(())
}

#[tokio::test]
async fn clearing_the_macs_of_a_collection_spares_one_with_a_longer_name() -> Result<()> {
    let device = device();
    let macs = [mac(b"1", b"a"), mac(b"2", b"b"), mac(b"3", b"c")];
    device.put_mutation_macs("regular", 1, &macs).await?;
    device.put_mutation_macs("regular_low", 1, &macs).await?;

    device.delete_mutation_macs("regular", &[b"1".to_vec(), b"2".to_vec()]).await?;
    assert_eq!(device.get_mutation_mac("regular", b"1").await?, None);
    assert_eq!(device.get_mutation_mac("regular", b"3").await?, Some(b"c".to_vec()));

    device.clear_mutation_macs("regular").await?;
    assert_eq!(device.get_mutation_mac("regular", b"3").await?, None);
    assert_eq!(device.get_mutation_mac("regular_low", b"1").await?, Some(b"a".to_vec()));
    Ok(())
}

#[tokio::test]
async fn collection_never_seen_is_at_version_zero() -> Result<()> {
    let device = device();
    let mut state = device.get_version("regular").await?;
    assert_eq!(state.version, 0);
    state.version = 9;
    state.hash = [3; 128];
    device.set_version("regular", state).await?;

    let state = device.get_version("regular").await?;
    assert_eq!((state.version, state.hash), (9, [3; 128]));
    Ok(())
}

#[tokio::test]
async fn secret_stored_again_never_shortens_its_window() -> Result<()> {
    let device = device();
    let stored =
        device.put_msg_secrets(vec![secret("A", 1, 100, 50), secret("B", 1, 100, 0), secret("A", 2, 200, 0)]).await?;
    assert_eq!(stored, 3);
    device.put_msg_secrets(vec![secret("A", 3, 150, 40)]).await?;

    let newest = device.get_msg_secret_with_ts(CHAT, SENDER, "A").await?;
    assert_eq!(newest, Some((vec![3; 32], 50)));
    assert_eq!(device.delete_expired_msg_secrets(199).await?, 1);
    assert_eq!(device.get_msg_secret(CHAT, SENDER, "B").await?, None);
    assert_eq!(device.delete_expired_msg_secrets(200).await?, 1);
    assert_eq!(device.get_msg_secret(CHAT, SENDER, "A").await?, None);
    Ok(())
}

#[tokio::test]
async fn secret_without_deadline_never_expires() -> Result<()> {
    let device = device();
    device.put_msg_secrets(vec![secret("A", 1, 100, 0)]).await?;
    device.put_msg_secret(CHAT, SENDER, "A", &[2; 32]).await?;
    device.put_msg_secrets(vec![secret("A", 3, 100, 0)]).await?;

    assert_eq!(device.delete_expired_msg_secrets(i64::MAX).await?, 0);
    assert_eq!(device.get_msg_secret(CHAT, SENDER, "A").await?, Some(vec![3; 32]));
    Ok(())
}

#[tokio::test]
async fn sweep_goes_on_after_its_first_page() -> Result<()> {
    let device = device();
    let count = SCAN_PAGE_ROWS_MAX * 2 + 1;
    let secrets = (0..count).map(|n| secret(&n.to_string(), 1, 100, 0)).collect();
    device.put_msg_secrets(secrets).await?;

    let removed = device.delete_expired_msg_secrets(100).await?;
    assert_eq!(usize::try_from(removed), Ok(count));
    assert!(!device.has_any(tables::MSG_SECRETS, b"").await?);
    assert!(!device.has_any(tables::MSG_SECRETS_BY_DEADLINE, b"").await?);
    Ok(())
}

#[tokio::test]
async fn device_is_created_once_and_loads_as_it_was_saved() -> Result<()> {
    let device = device();
    assert!(!device.exists().await?);
    assert!(device.load().await?.is_none());
    device.create().await?;

    let mut saved = device.load().await?.unwrap_or_default();
    saved.push_name = "Ada".to_owned();
    saved.next_pre_key_id = 813;
    device.save(&saved).await?;
    device.create().await?;

    let loaded = device.load().await?.unwrap_or_default();
    assert_eq!(codec::to_json(&loaded)?, codec::to_json(&saved)?);
    assert_eq!(loaded.device_props.os.as_deref(), Some("rust"));
    Ok(())
}

#[tokio::test]
async fn one_device_does_not_see_the_rows_of_another() -> Result<()> {
    let (first, second) = two_devices();
    first.create().await?;
    first.put_session("1@lid", b"session").await?;
    first.store_prekey(5, b"key", false).await?;
    first.put_lid_mapping(&mapping("900", "55", 1)).await?;
    first.set_sender_key_status(GROUP, &[("1:1@lid", true)]).await?;

    assert!(!second.exists().await?);
    assert_eq!(second.get_session("1@lid").await?, None);
    assert_eq!(second.get_max_prekey_id().await?, 0);
    assert!(second.get_all_lid_mappings().await?.is_empty());
    second.clear_all_sender_key_devices().await?;
    assert_eq!(first.get_sender_key_devices(GROUP).await?.len(), 1);
    Ok(())
}
