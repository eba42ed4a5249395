//! The part of the tests about `ProtocolStore`: sender keys, phone numbers, tokens, and messages kept for later.

use wacore::store::error::Result;
use wacore::store::traits::{LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry};
use wacore::time::now_secs;

use super::super::{SCAN_PAGE_ROWS_MAX, tables};
use super::{CHAT, GROUP, RACES, SENDER, device, mapping, together};

fn inbound<'a>(id: &'a str, message: &'a [u8]) -> PendingInboundRow<'a> {
    PendingInboundRow { chat: CHAT, sender: SENDER, id, message }
}

#[tokio::test]
async fn sender_key_rows_of_a_device_go_in_all_groups() -> Result<()> {
    let device = device();
    let both = [("1:1@lid", true), ("2:1@lid", false)];
    device.set_sender_key_status(GROUP, &both).await?;
    device.set_sender_key_status("other@g.us", &both).await?;

    device.delete_sender_key_device_rows(&["1:1@lid"]).await?;
    let left = [("2:1@lid".to_owned(), false)];
    assert_eq!(device.get_sender_key_devices(GROUP).await?, left);
    assert_eq!(device.get_sender_key_devices("other@g.us").await?, left);

    device.clear_sender_key_devices(GROUP).await?;
    assert!(device.get_sender_key_devices(GROUP).await?.is_empty());
    assert_eq!(device.get_sender_key_devices("other@g.us").await?, left);

    device.clear_all_sender_key_devices().await?;
    assert!(device.get_sender_key_devices("other@g.us").await?.is_empty());
    assert!(!device.has_any(tables::SENDER_KEY_GROUPS, b"").await?);
    Ok(())
}

#[tokio::test]
async fn phone_number_leads_to_its_newest_lid() -> Result<()> {
    let device = device();
    device.put_lid_mappings(&[mapping("900", "55", 20), mapping("100", "55", 10)]).await?;
    let lid = |entry: Option<LidPnMappingEntry>| entry.map(|entry| entry.lid);
    assert_eq!(lid(device.get_pn_mapping("55").await?), Some("900".to_owned()));

    // The newest moves to another number: the older one counts again.
    device.put_lid_mapping(&mapping("900", "66", 30)).await?;
    assert_eq!(lid(device.get_pn_mapping("55").await?), Some("100".to_owned()));
    assert_eq!(lid(device.get_pn_mapping("66").await?), Some("900".to_owned()));
    assert_eq!(lid(device.get_pn_mapping("5").await?), None);
    assert_eq!(device.get_all_lid_mappings().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn all_rows_come_back_when_they_fill_more_than_a_page() -> Result<()> {
    let device = device();
    for count in [SCAN_PAGE_ROWS_MAX, SCAN_PAGE_ROWS_MAX * 2 + 1] {
        let entries: Vec<_> = (0..count).map(|n| mapping(&n.to_string(), "55", 1)).collect();
        device.put_lid_mappings(&entries).await?;
        assert_eq!(device.get_all_lid_mappings().await?.len(), count);
    }
    Ok(())
}

#[tokio::test]
async fn token_and_sender_time_never_undo_each_other() -> Result<()> {
    let device = device();
    device.touch_tc_token_sender_timestamp(CHAT, 9000).await?;
    // Older than the entry that only stands for the sender's time, and still the first real token.
    device.store_received_tc_token(CHAT, b"first", 6000).await?;
    device.store_received_tc_token(CHAT, b"older", 5000).await?;
    device.touch_tc_token_sender_timestamp(CHAT, 3000).await?;

    let entry = device.get_tc_token(CHAT).await?;
    let entry = entry.map(|entry| (entry.token, entry.token_timestamp, entry.sender_timestamp));
    assert_eq!(entry, Some((b"first".to_vec(), 6000, Some(9000))));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_of_one_token_both_succeed() -> Result<()> {
    for _ in 0..RACES {
        let device = device();
        let (sender, receiver) = (device.clone(), device.clone());
        together(async move { sender.touch_tc_token_sender_timestamp(CHAT, 10).await }, async move {
            receiver.store_received_tc_token(CHAT, b"token", 20).await
        })
        .await?;

        let entry = device.get_tc_token(CHAT).await?;
        let entry = entry.map(|entry| (entry.token, entry.sender_timestamp));
        assert_eq!(entry, Some((b"token".to_vec(), Some(10))));
    }
    Ok(())
}

#[tokio::test]
async fn token_expires_only_when_both_its_times_are_old() -> Result<()> {
    let device = device();
    let rows = [
        ("token-lives", b"t".to_vec(), 100, None),
        ("sender-lives", b"t".to_vec(), 1, Some(200)),
        ("nothing-lives", b"t".to_vec(), 99, Some(199)),
        ("no-token", Vec::new(), 100, None),
    ];
    for (jid, token, token_timestamp, sender_timestamp) in rows {
        let entry = TcTokenEntry { token, token_timestamp, sender_timestamp };
        device.put_tc_token(jid, &entry).await?;
    }

    assert_eq!(device.delete_expired_tc_tokens(100, 200).await?, 2);
    assert_eq!(device.get_all_tc_token_jids().await?, ["sender-lives", "token-lives"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sent_message_is_taken_once_by_two_takers() -> Result<()> {
    let device = device();
    for _ in 0..RACES {
        device.store_sent_message(CHAT, "M1", b"payload").await?;
        let (one, other) = (device.clone(), device.clone());

        let taken = together(async move { one.take_sent_message(CHAT, "M1").await }, async move {
            other.take_sent_message(CHAT, "M1").await
        })
        .await?;

        let taken: Vec<_> = taken.into_iter().flatten().collect();
        assert_eq!(taken, [b"payload".to_vec()]);
        assert_eq!(device.take_sent_message(CHAT, "M1").await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn sent_messages_expire_by_age() -> Result<()> {
    let device = device();
    device.store_sent_message(CHAT, "M1", b"one").await?;
    device.store_sent_message(CHAT, "M2", b"two").await?;
    let now = now_secs();

    assert_eq!(device.delete_expired_sent_messages(now - 60).await?, 0);
    assert!(device.take_sent_message(CHAT, "M2").await?.is_some());
    device.store_sent_message(CHAT, "M2", b"two").await?;
    assert_eq!(device.delete_expired_sent_messages(now + 60).await?, 2);
    assert_eq!(device.take_sent_message(CHAT, "M1").await?, None);
    assert!(!device.has_any(tables::SENT_MESSAGES_BY_TIME, b"").await?);
    Ok(())
}

#[tokio::test]
async fn pending_inbound_is_kept_until_deleted_and_the_last_writer_wins() -> Result<()> {
    let device = device();
    let rows = [inbound("1", b"one".as_slice()), inbound("2", b"two"), inbound("1", b"one again")];
    device.store_pending_inbound_batch(&rows).await?;
    // The same id from another sender is another message.
    device.store_pending_inbound(CHAT, "300@lid", "1", b"other").await?;

    let one = device.get_pending_inbound(CHAT, SENDER, "1").await?;
    assert_eq!(one, Some(b"one again".to_vec()));
    let keys = ["1", "2"].map(|id| PendingInboundKey { chat: CHAT, sender: SENDER, id });
    device.delete_pending_inbound_batch(&keys).await?;
    assert_eq!(device.get_pending_inbound(CHAT, SENDER, "1").await?, None);
    assert_eq!(device.get_pending_inbound(CHAT, SENDER, "2").await?, None);
    let other = device.get_pending_inbound(CHAT, "300@lid", "1").await?;
    assert_eq!(other, Some(b"other".to_vec()));

    let now = now_secs();
    assert_eq!(device.delete_expired_pending_inbound(now - 60).await?, 0);
    assert_eq!(device.delete_expired_pending_inbound(now + 60).await?, 1);
    Ok(())
}
