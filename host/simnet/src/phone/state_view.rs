//! The app state as the control API shows it: by collection and index, each action as plain JSON.

use serde_json::{Map, Value, json};
use waproto::buffa::Message as _;
use waproto::whatsapp::SyncActionValue;

use super::app_state::Entry;

/// One entry.
pub(super) fn entry(entry: &Entry) -> Value {
    let value = entry.value();
    json!({ "index": entry.index, "timestamp_ms": value.timestamp, "value": action(&value) })
}

/// The parts of an action that are there. An action without a shape of its own here shows its encoded bytes.
fn action(value: &SyncActionValue) -> Value {
    let mut shown = Map::new();
    let mut show = |name: &str, part: Value| {
        shown.insert(name.to_owned(), part);
    };
    if let Some(contact) = value.contact_action.as_option() {
        show("full_name", json!(contact.full_name));
        show("first_name", json!(contact.first_name));
    }
    if let Some(setting) = value.push_name_setting.as_option() {
        show("name", json!(setting.name));
    }
    if let Some(setting) = value.locale_setting.as_option() {
        show("locale", json!(setting.locale));
    }
    if let Some(pin) = value.pin_action.as_option() {
        show("pinned", json!(pin.pinned));
    }
    if let Some(mute) = value.mute_action.as_option() {
        show("muted", json!(mute.muted));
        show("until_ms", json!(mute.mute_end_timestamp));
    }
    if let Some(mute) = value.user_status_mute_action.as_option() {
        show("muted", json!(mute.muted));
    }
    if let Some(star) = value.star_action.as_option() {
        show("starred", json!(star.starred));
    }
    if let Some(archive) = value.archive_chat_action.as_option() {
        show("archived", json!(archive.archived));
    }
    if let Some(lock) = value.lock_chat_action.as_option() {
        show("locked", json!(lock.locked));
    }
    if let Some(read) = value.mark_chat_as_read_action.as_option() {
        show("read", json!(read.read));
    }
    if let Some(message) = value.delete_message_for_me_action.as_option() {
        show("delete_media", json!(message.delete_media));
    }
    if let Some(label) = value.label_edit_action.as_option() {
        show("name", json!(label.name));
        show("color", json!(label.color));
        show("deleted", json!(label.deleted));
    }
    if let Some(label) = value.label_association_action.as_option() {
        show("labeled", json!(label.labeled));
    }
    if let Some(salt) = value.nct_salt_sync_action.as_option() {
        show("salt", json!(salt.salt.as_deref().map(hex::encode)));
    }
    let index_says_all = value.delete_chat_action.is_set() || value.clear_chat_action.is_set();
    if shown.is_empty() && !index_says_all {
        let plain = SyncActionValue { timestamp: None, ..value.clone() };
        shown.insert("encoded".to_owned(), json!(hex::encode(plain.encode_to_vec())));
    }
    Value::Object(shown)
}
