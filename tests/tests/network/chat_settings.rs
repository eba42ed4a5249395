//! What one device does to a chat, the others do as well: mute, clear, mark as unread.

use serde_json::{Value, json};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::appstate::schemas;
use whatsapp_rust::waproto::whatsapp::sync_action_value::LockChatAction;

use crate::{ADA, BO};

/// The end of a silence, in milliseconds: a day that all of these tests lie before.
const NEXT_CENTURY_MS: i64 = 4_102_444_800_000;

/// Two clients of Ada's, and Bo's phone.
async fn desk_and_laptop() -> (Sim, RawClient, RawClient) {
    let sim = Sim::start().await;
    sim.phone(BO).await;
    let (desk, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, ADA).await);
    (sim, desk, laptop)
}

/// Who makes the next change, and who hears of it.
///
/// They take turns: the library drops the news of a change that comes while it is still taking in the one before
/// (`skipped` in `app_state.rs` of whatsapp-rust 0.7.0), but a client that changes something itself waits until it has.
fn turn<'a>(desk: &'a RawClient, laptop: &'a RawClient, n: usize) -> (&'a RawClient, &'a RawClient) {
    if n.is_multiple_of(2) { (desk, laptop) } else { (laptop, desk) }
}

/// Waits until Ada's phone has an entry of this kind that says this.
async fn phone_has(sim: &Sim, kind: &str, field: &str, wanted: Value) {
    let mut state = Value::Null;
    let has = async || {
        state = sim.get(&format!("phones/{ADA}/app-state")).await;
        let collections = state["collections"].as_array().unwrap();
        let mut entries = collections.iter().flat_map(|collection| collection["entries"].as_array().unwrap());
        entries.any(|entry| entry["index"][0] == kind && entry["value"][field] == wanted)
    };
    assert!(until(PATIENCE, has).await, "{kind}.{field} never became {wanted}: {state:#}");
    assert_eq!(state["refused"], json!([]), "every patch is what it claims");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_silent_for_a_while_for_ever_or_not_at_all() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let chat = jid(BO);
    for (n, end_ms) in [Some(NEXT_CENTURY_MS), Some(-1), None].into_iter().enumerate() {
        let (by, other) = turn(&desk, &laptop, n);
        let mark = other.mark();
        match end_ms {
            Some(-1) => by.client.chat_actions().mute_chat(&chat).await.unwrap(),
            Some(end_ms) => by.client.chat_actions().mute_chat_until(&chat, end_ms).await.unwrap(),
            None => by.client.chat_actions().unmute_chat(&chat).await.unwrap(),
        }
        other
            .hears_after(mark, "the silence", |event| match event {
                Event::MuteUpdate(update) if update.jid == chat => {
                    let action = &update.action;
                    let until = action.mute_end_timestamp.filter(|_| action.muted == Some(true));
                    (action.muted == Some(end_ms.is_some()) && until == end_ms).then_some(())
                }
                _ => None,
            })
            .await;
        phone_has(&sim, "mute", "muted", json!(end_ms.is_some())).await;
    }
    let over = desk.client.chat_actions().mute_chat_until(&chat, 1).await;
    assert!(over.is_err(), "a silence that was over long ago");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_archived_and_brought_back_and_marked_unread() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let chat = jid(BO);
    desk.client.chat_actions().archive_chat(&chat, None).await.unwrap();
    hears_archived(&laptop, true).await;
    phone_has(&sim, "archive", "archived", json!(true)).await;
    laptop.client.chat_actions().unarchive_chat(&chat, None).await.unwrap();
    hears_archived(&desk, false).await;
    phone_has(&sim, "archive", "archived", json!(false)).await;
    desk.client.chat_actions().mark_chat_as_read(&chat, false, None).await.unwrap();
    laptop
        .hears("the mark", |event| match event {
            Event::MarkChatAsReadUpdate(update) => (update.action.read == Some(false)).then_some(()),
            _ => None,
        })
        .await;
    phone_has(&sim, "markChatAsRead", "read", json!(false)).await;
}

async fn hears_archived(client: &RawClient, archived: bool) {
    client
        .hears("the archive", |event| match event {
            Event::ArchiveUpdate(update) => (update.action.archived == Some(archived)).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_starred_and_deleted_for_oneself_and_chats_cleared() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let chat = jid(BO);
    let id = sim.send_text(BO, ADA, "remember me").await;
    desk.message(&id).await;
    desk.client.chat_actions().star_message(&chat, None, &id, false).await.unwrap();
    hears_star(&laptop, &id, true).await;
    laptop.client.chat_actions().unstar_message(&chat, None, &id, false).await.unwrap();
    hears_star(&desk, &id, false).await;
    desk.client.chat_actions().delete_message_for_me(&chat, None, &id, false, true, None).await.unwrap();
    laptop
        .hears("the end of the message", |event| {
            matches!(event, Event::DeleteMessageForMeUpdate(update) if update.message_id == id).then_some(())
        })
        .await;
    laptop.client.chat_actions().clear_chat(&chat, false, true, None).await.unwrap();
    let cleared = desk
        .hears("the cleared chat", |event| match event {
            Event::ClearChatUpdate(update) => Some((update.jid.clone(), update.delete_starred, update.delete_media)),
            _ => None,
        })
        .await;
    assert_eq!(cleared, (chat.clone(), false, true));
    desk.client.chat_actions().delete_chat(&chat, true, None).await.unwrap();
    laptop.hears("the deleted chat", |event| matches!(event, Event::DeleteChatUpdate(_)).then_some(())).await;
    assert_eq!(sim.get(&format!("phones/{ADA}/app-state")).await["refused"], json!([]));
}

async fn hears_star(client: &RawClient, id: &str, starred: bool) {
    client
        .hears("the star", |event| match event {
            Event::StarUpdate(update) if update.message_id == id => (update.action.starred == Some(starred)).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebodys_status_is_hidden_and_a_chat_locked_on_all_devices() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let chat = jid(BO);
    for (n, hidden) in [true, false].into_iter().enumerate() {
        let (by, other) = turn(&desk, &laptop, n);
        by.client.chat_actions().set_user_status_mute(&chat, hidden).await.unwrap();
        other
            .hears("the hidden status", |event| match event {
                Event::UserStatusMuteUpdate(update) if update.jid == chat => (update.muted == hidden).then_some(()),
                _ => None,
            })
            .await;
    }
    // What the library has no call for goes out as it is.
    let value = wa::SyncActionValue {
        lock_chat_action: MessageField::some(LockChatAction { locked: Some(true) }),
        timestamp: Some(NEXT_CENTURY_MS),
        ..Default::default()
    };
    desk.client.send_app_state_action(&schemas::LOCK_CHAT, &[&chat.to_string()], &value).await.unwrap();
    phone_has(&sim, "lock", "locked", json!(true)).await;
}
