//! What the devices of one account share: settings of chats, contacts, labels, the own name, and the past.

use serde_json::{Value, json};
use switchboard_tests::patience::{PATIENCE, until};
use switchboard_tests::raw_client::{Mark, RawClient, Setup, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore::appstate::schemas::COLLECTIONS;
use whatsapp_rust::wacore::store::traits::AppSyncStore;

use crate::{ADA, BO, CY};

/// Two clients of Ada's, and Bo's phone.
async fn desk_and_laptop() -> (Sim, RawClient, RawClient) {
    let sim = Sim::start().await;
    sim.phone(BO).await;
    let (desk, laptop) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, ADA).await);
    (sim, desk, laptop)
}

/// Waits until Ada's phone has an entry of this kind that says `wanted`; `null` means that the entry is gone.
async fn phone_has(sim: &Sim, kind: &str, field: &str, wanted: Value) {
    let mut state = Value::Null;
    let has = async || {
        state = sim.get(&format!("phones/{ADA}/app-state")).await;
        let collections = state["collections"].as_array().unwrap();
        let mut entries = collections.iter().flat_map(|collection| collection["entries"].as_array().unwrap());
        let entry = entries.find(|entry| entry["index"][0] == kind);
        entry.map_or(Value::Null, |entry| entry["value"][field].clone()) == wanted
    };
    assert!(until(PATIENCE, has).await, "{kind}.{field} never became {wanted}: {state:#}");
}

/// No patch of any device was refused for not being what it claims.
async fn all_verified(sim: &Sim) {
    assert_eq!(sim.get(&format!("phones/{ADA}/app-state")).await["refused"], json!([]));
}

/// Has a client hear of another collection, so that it is done with the last one: whatsapp-rust 0.7.0 passes over the
/// news of a collection while it still asks about the same one (`reserve_for_sync` in client/app_state.rs).
async fn hears_of_another(by: &RawClient, client: &RawClient, muted: bool) {
    let mark = client.mark();
    set(by, "mute", &jid(BO), "", muted).await;
    client
        .hears_after(mark, "the mute", |event| match event {
            Event::MuteUpdate(update) if update.action.muted == Some(muted) => Some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_and_labels_are_shared() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let chat = jid(BO);
    let full_name = Some("Bo Example".to_owned());
    desk.client.chat_actions().save_contact(&chat, full_name, Some("Bo".to_owned()), true).await.unwrap();
    laptop
        .hears("the contact", |event| match event {
            Event::ContactUpdate(update) if update.action.full_name.as_deref() == Some("Bo Example") => Some(()),
            _ => None,
        })
        .await;
    phone_has(&sim, "contact", "first_name", json!("Bo")).await;

    let labels = desk.client.labels();
    labels.create_label("7", "Important", 3).await.unwrap();
    laptop
        .hears("the label", |event| match event {
            Event::LabelEditUpdate(update) if update.label_id == "7" => update.action.name.clone(),
            _ => None,
        })
        .await;
    phone_has(&sim, "label_edit", "name", json!("Important")).await;
    for labelled in [true, false] {
        hears_of_another(&desk, &laptop, labelled).await;
        if labelled {
            labels.add_chat_label("7", &chat).await.unwrap();
        } else {
            labels.remove_chat_label("7", &chat).await.unwrap();
        }
        laptop
            .hears("the labelled chat", |event| match event {
                Event::LabelAssociationUpdate(update) if update.action.labeled == Some(labelled) => Some(()),
                _ => None,
            })
            .await;
        phone_has(&sim, "label_jid", "labeled", json!(labelled)).await;
    }
    labels.delete_label("7").await.unwrap();
    phone_has(&sim, "label_edit", "deleted", json!(true)).await;
    all_verified(&sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_on_the_phone_reaches_its_clients() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let path = format!("phones/{ADA}/app-state");
    sim.post(&path, json!({ "action": "pin", "chat": BO })).await;
    sim.post(&path, json!({ "action": "contact", "jid": BO, "full_name": "Bo Example", "first_name": "Bo" })).await;
    sim.post(&path, json!({ "action": "label", "label_id": "2", "name": "Friends", "color": 1 })).await;
    for client in [&desk, &laptop] {
        client
            .hears("the pin", |event| {
                matches!(event, Event::PinUpdate(update) if update.action.pinned == Some(true)).then_some(())
            })
            .await;
        client
            .hears("the contact", |event| match event {
                Event::ContactUpdate(update) => update.action.full_name.clone(),
                _ => None,
            })
            .await;
        client.hears("the label", |event| matches!(event, Event::LabelEditUpdate(_)).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_linked_later_learns_everything_at_once() {
    let sim = Sim::start().await;
    sim.phone_named(ADA, "Ada Example").await;
    sim.phone(BO).await;
    let path = format!("phones/{ADA}/app-state");
    for (n, chat) in [BO, CY].into_iter().enumerate() {
        sim.phone(chat).await;
        sim.post(&path, json!({ "action": "contact", "jid": chat, "full_name": format!("Contact {n}") })).await;
    }
    sim.post(&path, json!({ "action": "archive", "chat": BO })).await;
    // It brings no name along: it learns the account's from there.
    let client = RawClient::linked_with(&sim, ADA, Setup::default()).await;
    client
        .hears("the archived chat", |event| {
            matches!(event, Event::ArchiveUpdate(update) if update.from_full_sync).then_some(())
        })
        .await;
    for n in 0..2 {
        let name = format!("Contact {n}");
        client
            .hears("a contact", |event| match event {
                Event::ContactUpdate(update) if update.action.full_name.as_ref() == Some(&name) => Some(()),
                _ => None,
            })
            .await;
    }
    assert!(until(PATIENCE, async || client.client.push_name() == "Ada Example").await, "{}", client.client.push_name());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_wait_for_a_client_that_is_off_and_changes_at_once_all_count() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let laptop = laptop.suspend().await;
    desk.client.chat_actions().pin_chat(&jid(BO)).await.unwrap();
    let laptop = laptop.resume(&sim).await;
    laptop.hears("the pin", |event| matches!(event, Event::PinUpdate(_)).then_some(())).await;

    // Both write to the same collection; whoever comes second takes the other's change in first.
    sim.phone(CY).await;
    let (bo, cy) = (jid(BO), jid(CY));
    let (by_desk, by_laptop) = (desk.client.chat_actions(), laptop.client.chat_actions());
    let (first, second) = tokio::join!(by_desk.archive_chat(&bo, None), by_laptop.archive_chat(&cy, None));
    first.unwrap();
    second.unwrap();
    for chat in [BO, CY] {
        let archived = async || {
            let state = sim.get(&format!("phones/{ADA}/app-state")).await;
            let collections = state["collections"].as_array().unwrap().clone();
            collections.iter().flat_map(|one| one["entries"].as_array().unwrap()).any(|entry| {
                let named = entry["index"][1].as_str().is_some_and(|name| name.starts_with(chat));
                named && entry["index"][0] == "archive" && entry["value"]["archived"] == true
            })
        };
        assert!(until(PATIENCE, archived).await, "the archiving of {chat} got lost");
    }
    all_verified(&sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_app_state_is_shared_before_it_is_used() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let path = format!("phones/{ADA}/app-state");
    let before = sim.get(&path).await["keys"].as_array().unwrap().len();
    sim.post(&path, json!({ "action": "rotate_key" })).await;
    assert_eq!(sim.get(&path).await["keys"].as_array().unwrap().len(), before + 1);
    sim.post(&path, json!({ "action": "pin", "chat": BO })).await;
    for client in [&desk, &laptop] {
        client.hears("the pin", |event| matches!(event, Event::PinUpdate(_)).then_some(())).await;
    }
    hears_of_another(&desk, &laptop, true).await;
    let mark = laptop.mark();
    desk.client.chat_actions().unpin_chat(&jid(BO)).await.unwrap();
    laptop
        .hears_after(mark, "the end of the pin", |event| match event {
            Event::PinUpdate(update) if update.action.pinned == Some(false) => Some(()),
            _ => None,
        })
        .await;
    phone_has(&sim, "pin_v1", "pinned", json!(false)).await;
    all_verified(&sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_on_one_device_is_known_on_the_others() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let id = sim.send_text(BO, ADA, "read me anywhere").await;
    let chat = desk.message(&id).await.info.source.chat.clone();
    laptop.message(&id).await;
    desk.client.mark_as_read(&chat, None, &[&id]).await.unwrap();
    laptop.receipt(&id, whatsapp_rust::types::presence::ReceiptType::ReadSelf).await;
}

/// A piece of the past that is wanted.
async fn history(client: &RawClient, mark: Mark, what: &str, wanted: impl Fn(&wa::HistorySync) -> bool) {
    client
        .hears_after(mark, what, |event| match event {
            Event::HistorySync(piece) => piece.get().is_some_and(&wanted).then_some(()),
            _ => None,
        })
        .await;
}

/// Whether a piece of the past has a message.
fn has_message(history: &wa::HistorySync, id: &str) -> bool {
    let mut messages = history.conversations.iter().flat_map(|chat| &chat.messages);
    messages.any(|message| message.message.key.id.as_deref() == Some(id))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_client_gets_the_past_of_its_phone() {
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    sim.phone_named(BO, "Bo Example").await;
    let received = sim.send_text(BO, ADA, "from before").await;
    let sent = sim.send_text(ADA, BO, "also from before").await;
    let client = RawClient::linked(&sim, ADA).await;
    for id in [&received, &sent] {
        history(&client, Mark::default(), "the message from before", |piece| has_message(piece, id)).await;
    }
    history(&client, Mark::default(), "the name", |piece| {
        piece.pushnames.iter().any(|name| name.pushname.as_deref() == Some("Bo Example"))
    })
    .await;
    assert_eq!(client.received(&received), 0, "the past is not news");
    // One that does not want it is linked all the same.
    let other = RawClient::linked_with(&sim, ADA, Setup { skip_history: true, ..Setup::named("No past") }).await;
    assert_eq!(other.count(|event| matches!(event, Event::HistorySync(_))), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_its_phone_for_what_lies_further_back() {
    const MESSAGES: usize = 130;
    let sim = Sim::start().await;
    sim.phone(ADA).await;
    sim.phone(BO).await;
    let mut ids = Vec::new();
    for n in 0..MESSAGES {
        ids.push(sim.send_text(BO, ADA, &format!("old text {n}")).await);
    }
    let client = RawClient::linked(&sim, ADA).await;
    let newest = ids.last().unwrap();
    history(&client, Mark::default(), "the newest of them", |piece| has_message(piece, newest)).await;
    let (mark, known) = (client.mark(), &ids[MESSAGES - 100]);
    let now_ms = i64::from(u32::MAX) * 1_000;
    client.client.fetch_message_history(&jid(BO), known, false, now_ms, 20).await.unwrap();
    let older = &ids[MESSAGES - 101];
    history(&client, mark, "an older one", |piece| has_message(piece, older)).await;
}

/// When somebody changed a setting last, in milliseconds, and to what.
type Setting = (Value, Value);
/// The same as an event tells it.
type ChangedAt = (i64, Option<bool>);
/// A kind of entry, the field of it that counts, and what was heard of it last.
type HeardSetting = (&'static str, &'static str, Option<Setting>);

/// What a client has heard last of the settings that the phone shows under the same names.
fn settings(client: &RawClient) -> Vec<HeardSetting> {
    let last = |pick: fn(&Event) -> Option<ChangedAt>| {
        client.last(|event| pick(event)).map(|(at_ms, value)| (json!(at_ms), json!(value)))
    };
    let pinned = last(|event| match event {
        Event::PinUpdate(update) => Some((update.timestamp.timestamp_millis(), update.action.pinned)),
        _ => None,
    });
    let muted = last(|event| match event {
        Event::MuteUpdate(update) => Some((update.timestamp.timestamp_millis(), update.action.muted)),
        _ => None,
    });
    let archived = last(|event| match event {
        Event::ArchiveUpdate(update) => Some((update.timestamp.timestamp_millis(), update.action.archived)),
        _ => None,
    });
    let read = last(|event| match event {
        Event::MarkChatAsReadUpdate(update) => Some((update.timestamp.timestamp_millis(), update.action.read)),
        _ => None,
    });
    let starred = last(|event| match event {
        Event::StarUpdate(update) => Some((update.timestamp.timestamp_millis(), update.action.starred)),
        _ => None,
    });
    let kinds = ["pin_v1", "mute", "archive", "markChatAsRead", "star"];
    let fields = ["pinned", "muted", "archived", "read", "starred"];
    let heard = [pinned, muted, archived, read, starred];
    kinds.into_iter().zip(fields).zip(heard).map(|((kind, field), heard)| (kind, field, heard)).collect()
}

/// Waits until both clients are where the phone is in every collection, and says the same of every setting.
async fn all_agree(sim: &Sim, desk: &RawClient, laptop: &RawClient) {
    let mut seen = Value::Null;
    let agree = async || {
        seen = sim.get(&format!("phones/{ADA}/app-state")).await;
        let collections = seen["collections"].as_array().unwrap();
        for collection in COLLECTIONS.iter().map(|collection| collection.as_str()) {
            let at_desk = desk.backend.get_version(collection).await.unwrap();
            let at_laptop = laptop.backend.get_version(collection).await.unwrap();
            let on_phone = collections.iter().find(|known| known["name"] == collection).unwrap();
            // The hash is over all that the collection holds.
            if on_phone["version"] != at_desk.version
                || at_desk.version != at_laptop.version
                || at_desk.hash != at_laptop.hash
            {
                return false;
            }
        }
        let entries: Vec<_> = collections.iter().flat_map(|known| known["entries"].as_array().unwrap()).collect();
        settings(desk).into_iter().chain(settings(laptop)).all(|(kind, field, heard)| {
            let entry = entries.iter().find(|entry| entry["index"][0] == kind);
            entry.map(|entry| (entry["timestamp_ms"].clone(), entry["value"][field].clone())) == heard
        })
    };
    let reached = until(PATIENCE, agree).await;
    assert!(reached, "desk {:?}, laptop {:?}, phone {seen:#}", settings(desk), settings(laptop));
    all_verified(sim).await;
    for client in [desk, laptop] {
        let failed = client.last(|event| match &**event {
            // What is skipped is in the hands of another sync of the same client.
            Event::AppStateSyncFailed(failed) if failed.fatal.is_empty() && failed.retryable.is_empty() => None,
            Event::AppStateSyncFailed(failed) => Some(failed.clone()),
            _ => None,
        });
        assert!(failed.is_none(), "{failed:?}");
    }
}

/// Sets or clears one of the settings of a chat, or of a message in it.
async fn set(client: &RawClient, kind: &str, chat: &Jid, id: &str, on: bool) {
    let actions = client.client.chat_actions();
    let set = match (kind, on) {
        ("pin", true) => actions.pin_chat(chat).await,
        ("pin", false) => actions.unpin_chat(chat).await,
        ("mute", true) => actions.mute_chat(chat).await,
        ("mute", false) => actions.unmute_chat(chat).await,
        ("archive", true) => actions.archive_chat(chat, None).await,
        ("archive", false) => actions.unarchive_chat(chat, None).await,
        ("star", true) => actions.star_message(chat, None, id, false).await,
        ("star", false) => actions.unstar_message(chat, None, id, false).await,
        ("read", on) => actions.mark_chat_as_read(chat, on, None).await,
        _ => panic!("no setting is called {kind}"),
    };
    set.unwrap();
}

/// Both collections of settings by turns, for the reason that `hears_of_another` has.
const BY_TURNS: [&str; 10] = ["pin", "mute", "archive", "star", "read", "mute", "pin", "star", "archive", "mute"];

#[tokio::test(flavor = "multi_thread")]
async fn what_two_clients_change_at_once_ends_the_same_on_all_devices() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    let id = sim.send_text(BO, ADA, "a star for this").await;
    desk.message(&id).await;
    let chat = jid(BO);
    for (kind, on) in BY_TURNS.into_iter().zip([true, true, false, false].into_iter().cycle()) {
        // Whoever comes second takes the other's change in first, and has the last word.
        tokio::join!(set(&desk, kind, &chat, &id, on), set(&laptop, kind, &chat, &id, !on));
        all_agree(&sim, &desk, &laptop).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_clients_delete_at_once_is_gone_for_the_phone() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    sim.phone(CY).await;
    let (first, second) = (sim.send_text(BO, ADA, "one").await, sim.send_text(BO, ADA, "two").await);
    let (bo, cy) = (jid(BO), jid(CY));
    let other = sim.send_text(CY, ADA, "three").await;
    for client in [&desk, &laptop] {
        client.message(&other).await;
    }
    let (by_desk, by_laptop) = (desk.client.chat_actions(), laptop.client.chat_actions());
    let (one, two) = tokio::join!(
        by_desk.delete_message_for_me(&bo, None, &first, false, true, None),
        by_laptop.delete_message_for_me(&bo, None, &second, false, true, None)
    );
    one.and(two).unwrap();
    all_agree(&sim, &desk, &laptop).await;
    tokio::join!(set(&desk, "pin", &bo, &first, true), set(&laptop, "pin", &bo, &first, false));
    all_agree(&sim, &desk, &laptop).await;
    let (one, two) = tokio::join!(by_desk.delete_chat(&cy, true, None), by_laptop.delete_chat(&cy, true, None));
    one.and(two).unwrap();
    all_agree(&sim, &desk, &laptop).await;
    for client in [&desk, &laptop] {
        for id in [&first, &second] {
            client
                .hears("that a message is gone", |event| match event {
                    Event::DeleteMessageForMeUpdate(update) if update.message_id == *id => Some(()),
                    _ => None,
                })
                .await;
        }
        client
            .hears("that a chat is gone", |event| match event {
                Event::DeleteChatUpdate(update) if update.jid == cy && update.delete_media => Some(()),
                _ => None,
            })
            .await;
    }
    // A client linked later gets none of it, but what is still there.
    let kept = sim.send_text(BO, ADA, "still here").await;
    let late = RawClient::linked(&sim, ADA).await;
    history(&late, Mark::default(), "what was kept", |piece| has_message(piece, &kept)).await;
    for id in [&first, &second, &other] {
        let told = |event: &Event| match event {
            Event::HistorySync(piece) => piece.get().is_some_and(|piece| has_message(piece, id)),
            _ => false,
        };
        assert_eq!(late.count(told), 0, "{id} was deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_given_on_one_client_is_taken_over_by_the_other() {
    let (sim, desk, laptop) = desk_and_laptop().await;
    for (giver, taker, name) in [(&desk, &laptop, "Ada at work"), (&laptop, &desk, "Ada on the road")] {
        giver.client.profile().set_push_name(name).await.unwrap();
        assert!(until(PATIENCE, async || taker.client.push_name() == name).await, "{}", taker.client.push_name());
        assert_eq!(giver.client.push_name(), name);
        phone_has(&sim, "setting_pushName", "name", json!(name)).await;
        assert_eq!(sim.phone_summary(ADA).await["name"], name);
    }
    all_verified(&sim).await;
}
