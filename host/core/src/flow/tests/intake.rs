//! Intake says "accepted" only of what is durable, and says why it refuses in words for the customer.

use async_trait::async_trait;

use super::*;
use crate::flow::intake::{MENTIONS_MAX, TEXT_CHARS_MAX};
use crate::records::content::{Choice, Media, MediaSource};
use crate::records::id::MessageId;
use crate::records::message::MessageState;
use crate::storage::{Batch, CommitStats, Engine, KeyRange, StorageError};

#[tokio::test]
async fn an_accepted_message_waits_in_the_outbox_under_the_ids_that_it_was_told() {
    let host = Host::start().await;
    let asked = SendWish { origin: Some("operator/reply".to_owned()), ..wish("hello") };
    let message = host.intake.accept(TENANT, asked).await.unwrap();
    assert_eq!((message.to.as_str(), text_of(&message).as_str()), (NUMBER_JID, "hello"));
    assert_eq!((message.state, message.attempts, message.accepted_at), (MessageState::Queued, 0, host.clock.now()));
    assert_eq!(message.origin.as_deref(), Some("operator/reply"));
    assert!(message.whatsapp_id.starts_with("3EB0"));
    let due = host.storage.next_due_send(TENANT, SESSION).await.unwrap().unwrap();
    assert_eq!(due.message, message);
}

#[tokio::test]
async fn the_outbox_worker_is_woken_for_an_accepted_message() {
    let host = Host::start().await;
    host.accept_text("hello").await;
    host.wakes.outbox(SESSION).notified().await;
}

#[tokio::test]
async fn messages_that_draw_the_same_id_are_all_accepted_under_different_ones() {
    let host = Host::start_with_seed(SEED_OF_EQUAL_IDS).await;
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(host.accept_text(&format!("text {n}")).await.id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), host.outbox_depth().await), (8, 8));
}

/// Draws the same for ever.
struct StuckEntropy;

impl Entropy for StuckEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

#[tokio::test]
async fn a_message_that_finds_no_free_id_is_refused_and_the_first_one_stays() {
    let host = Host::start().await;
    let intake = Intake::new(host.storage.clone(), host.clock.clone(), Arc::new(StuckEntropy), Arc::clone(&host.wakes));
    let first = intake.accept(TENANT, wish("first")).await.unwrap();
    let refused = intake.accept(TENANT, wish("second")).await.unwrap_err();
    assert!(matches!(refused, IntakeError::Storage(StorageError::Conflict)), "{refused}");
    assert_eq!(host.drain_outbox().await, [first]);
}

#[tokio::test]
async fn a_session_that_does_not_exist_or_is_another_tenants_is_refused_alike() {
    let host = Host::start().await;
    let nowhere = SendWish { session: SessionId(99), ..wish("hello") };
    assert_eq!(host.refusal(nowhere).await.to_string(), "session 99 does not exist");
    let refused = host.intake.accept(TenantId(8), wish("hello")).await.unwrap_err();
    assert_eq!(refused.to_string(), "session 12345 does not exist");
    assert_eq!(host.outbox_depth().await, 0);
}

#[tokio::test]
async fn a_session_that_is_not_linked_or_off_line_is_refused_with_its_state() {
    let host = Host::start().await;
    for (state, name) in [
        (SessionState::Created, "created"),
        (SessionState::Pairing, "pairing"),
        (SessionState::Disconnected, "disconnected"),
        (SessionState::LoggedOut, "logged_out"),
        (SessionState::Replaced, "replaced"),
        (SessionState::Banned, "banned"),
        (SessionState::Failed, "failed"),
    ] {
        host.set_state(state).await;
        let refused = host.refusal(wish("hello")).await;
        assert!(matches!(refused, IntakeError::NotConnected { .. }));
        assert_eq!(refused.to_string(), format!("session 12345 is {name}, not connected"));
    }
}

#[tokio::test]
async fn a_session_that_is_only_reconnecting_keeps_accepting() {
    let host = Host::start().await;
    host.set_state(SessionState::Reconnecting).await;
    host.accept_text("hello").await;
}

#[tokio::test]
async fn a_recipient_that_is_no_number_and_no_jid_is_refused_with_what_was_given() {
    let host = Host::start().await;
    for (to, message) in [
        ("12", r#""12" is not a telephone number: use 7 to 15 digits, with or without a leading +"#),
        ("1@example.org", r#""1@example.org" is not a JID: use <number>@s.whatsapp.net, <id>@g.us or <id>@lid"#),
    ] {
        let refused = host.refusal(SendWish { to: to.to_owned(), ..wish("hello") }).await;
        assert!(matches!(refused, IntakeError::Recipient(_)));
        assert_eq!(refused.to_string(), message);
    }
}

#[tokio::test]
async fn a_recipient_by_lid_is_accepted() {
    let host = Host::start().await;
    let message = host.intake.accept(TENANT, SendWish { to: "98765@lid".to_owned(), ..wish("hello") }).await.unwrap();
    assert_eq!(message.to, "98765@lid");
}

#[tokio::test]
async fn a_group_is_written_to_by_its_jid() {
    let host = Host::start().await;
    let wish = SendWish { to: "120363041234567890@g.us".to_owned(), ..wish("hello") };
    assert_eq!(host.intake.accept(TENANT, wish).await.unwrap().to, "120363041234567890@g.us");
}

#[tokio::test]
async fn a_text_without_anything_to_read_is_refused() {
    let host = Host::start().await;
    for text in ["", " \n\t "] {
        assert_eq!(host.refusal(wish(text)).await.to_string(), "text: is empty", "{text:?}");
    }
}

#[tokio::test]
async fn a_text_has_as_many_characters_as_the_limit_says_whatever_their_bytes() {
    let host = Host::start().await;
    let refused = host.refusal(wish(&"ü".repeat(TEXT_CHARS_MAX + 1))).await;
    assert_eq!(refused.to_string(), "text: has 65537 characters; the limit is 65536");
    let longest = "🦀".repeat(TEXT_CHARS_MAX);
    assert_eq!(text_of(&host.accept_text(&longest).await), longest);
}

fn wish_with_mentions(mentions: Vec<String>) -> SendWish {
    SendWish { extras: Extras { mentions, ..Extras::default() }, ..wish("hello") }
}

#[tokio::test]
async fn more_mentions_than_the_limit_are_refused_and_so_is_one_of_nobody() {
    let host = Host::start().await;
    let refused = host.refusal(wish_with_mentions(vec![NUMBER.to_owned(); MENTIONS_MAX + 1])).await;
    assert_eq!(refused.to_string(), "mentions: has 1025 entries; the limit is 1024");
    let refused = host.refusal(wish_with_mentions(vec![NUMBER_JID.to_owned(), "everybody".to_owned()])).await;
    assert!(matches!(refused, IntakeError::Invalid { field: "mentions", .. }), "{refused}");
    let refused = host.refusal(wish_with_mentions(vec!["120363041234567890@g.us".to_owned()])).await;
    assert_eq!(refused.to_string(), "mentions: 120363041234567890@g.us is a group; people are mentioned");
    let most = wish_with_mentions(vec![NUMBER_JID.to_owned(); MENTIONS_MAX]);
    assert_eq!(host.intake.accept(TENANT, most).await.unwrap().extras.mentions.len(), MENTIONS_MAX);
}

#[tokio::test]
async fn a_mention_is_kept_as_the_jid_that_it_means() {
    let host = Host::start().await;
    let accepted = host.intake.accept(TENANT, wish_with_mentions(vec!["+49 1520 000-001".to_owned()])).await.unwrap();
    assert_eq!(accepted.extras.mentions, ["491520000001@s.whatsapp.net"]);
}

#[tokio::test]
async fn content_that_cannot_be_sent_yet_is_refused_by_its_type() {
    let host = Host::start().await;
    let source = MediaSource::Url("https://example.org/cat.png".to_owned());
    let image = Media::at(source);
    let choice = Choice { id: "1".to_owned(), title: "One".to_owned() };
    for (content, name) in [
        (Content::Image(image), "image"),
        (Content::ButtonReply(choice), "button_reply"),
        (Content::Other("hologram".to_owned()), "hologram"),
    ] {
        let refused = host.refusal(SendWish { content, ..wish("") }).await;
        assert!(matches!(refused, IntakeError::NotYet { .. }));
        assert_eq!(refused.to_string(), format!("messages of type {name} cannot be sent yet"));
    }
}

#[tokio::test]
async fn judging_a_wish_accepts_nothing() {
    let host = Host::start().await;
    let judged = host.intake.judge(TENANT, wish("hello")).await.unwrap();
    assert_eq!(judged.to, NUMBER_JID);
    assert_eq!(host.storage.message(TENANT, judged.id).await.unwrap(), None);
    assert_eq!(host.outbox_depth().await, 0);
}

/// Fails at everything.
struct BrokenEngine;

#[async_trait]
impl Engine for BrokenEngine {
    async fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Err(StorageError::Engine("the disk is gone".into()))
    }

    async fn range(&self, _range: &KeyRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StorageError> {
        Err(StorageError::Engine("the disk is gone".into()))
    }

    async fn commit(&self, _batch: Batch) -> Result<Vec<u64>, StorageError> {
        Err(StorageError::Engine("the disk is gone".into()))
    }

    fn close(&self) {}

    fn stats(&self) -> CommitStats {
        CommitStats::default()
    }
}

#[tokio::test]
async fn a_wish_is_not_accepted_when_storage_fails() {
    let host = Host::start().await;
    let broken = Storage::over(Arc::new(BrokenEngine), MasterKey::new([1; MASTER_KEY_BYTES]));
    let intake = Intake::new(broken, host.clock.clone(), Arc::clone(&host.entropy), Arc::clone(&host.wakes));
    let refused = intake.accept(TENANT, wish("hello")).await.unwrap_err();
    assert!(matches!(refused, IntakeError::Storage(StorageError::Engine(_))), "{refused}");
}

#[tokio::test]
async fn later_messages_have_greater_ids() {
    let host = Host::start().await;
    let early = host.accept_text("early").await.id;
    host.clock.advance(std::time::Duration::from_millis(1));
    let late: MessageId = host.accept_text("late").await.id;
    assert!(early < late);
}
