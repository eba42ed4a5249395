//! What the owner of a phone does that its app state shares with the companions, as changes of a collection.
//!
//! Which collection an action belongs to, what its index looks like and which version it has comes from the table of
//! wacore-appstate (`schemas`).

use serde::Deserialize;
use wacore_appstate::schemas::{self, IndexPart, Schema};
use waproto::buffa::MessageField;
use waproto::whatsapp::SyncActionValue;
use waproto::whatsapp::sync_action_value as action;
use waproto::whatsapp::sync_action_value::{SyncActionMessage, SyncActionMessageRange};
use waproto::whatsapp::syncd_mutation::SyncdOperation;

use super::app_state::Change;
use super::chats::Chats;

/// Contacts in one action.
pub const CONTACTS_MAX: usize = 5_000;
/// As the clients write "until I say otherwise" (`chat_actions.rs` of whatsapp-rust 0.7.0).
const MUTED_FOR_EVER: i64 = -1;
/// Messages that a range names beside its end.
const RANGE_MESSAGES: usize = 1;

/// The body of an app-state command. A chat or a person is a number or an address.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum StateAction {
    /// Saves a person in the address book, or removes one from it.
    Contact {
        /// The person.
        jid: String,
        /// The whole name.
        full_name: Option<String>,
        /// The short name.
        first_name: Option<String>,
        /// Whether the entry goes away.
        #[serde(default)]
        remove: bool,
    },
    /// Saves many people at once.
    Contacts {
        /// The people, at most `CONTACTS_MAX`.
        contacts: Vec<ContactEntry>,
    },
    /// Keeps a chat at the top of the list.
    Pin {
        /// The chat.
        chat: String,
        /// Whether it is pinned.
        #[serde(default = "yes")]
        value: bool,
    },
    /// Keeps a chat quiet.
    Mute {
        /// The chat.
        chat: String,
        /// Whether it is muted.
        #[serde(default = "yes")]
        value: bool,
        /// Until when, in milliseconds; without it for ever.
        until_ms: Option<i64>,
    },
    /// Puts a chat away.
    Archive {
        /// The chat.
        chat: String,
        /// Whether it is archived.
        #[serde(default = "yes")]
        value: bool,
    },
    /// Marks a message with a star.
    Star {
        /// The message.
        #[serde(flatten)]
        message: MessageName,
        /// Whether it has a star.
        #[serde(default = "yes")]
        value: bool,
    },
    /// Marks a chat as read or unread.
    MarkRead {
        /// The chat.
        chat: String,
        /// Whether it is read.
        #[serde(default = "yes")]
        value: bool,
    },
    /// Deletes a chat.
    DeleteChat {
        /// The chat.
        chat: String,
        /// Whether its files go as well.
        #[serde(default)]
        delete_media: bool,
    },
    /// Deletes the messages of a chat and keeps the chat.
    ClearChat {
        /// The chat.
        chat: String,
        /// Whether messages with a star go as well.
        #[serde(default)]
        delete_starred: bool,
        /// Whether its files go as well.
        #[serde(default)]
        delete_media: bool,
    },
    /// Deletes a message on the owner's devices alone.
    DeleteMessage {
        /// The message.
        #[serde(flatten)]
        message: MessageName,
        /// Whether its file goes as well.
        #[serde(default)]
        delete_media: bool,
    },
    /// Gives the owner another name.
    PushName {
        /// The name.
        name: String,
    },
    /// Makes, changes or deletes a label.
    Label {
        /// Which label.
        label_id: String,
        /// What it is called.
        #[serde(default)]
        name: String,
        /// The number of its colour.
        #[serde(default)]
        color: i32,
        /// Whether it goes away.
        #[serde(default)]
        deleted: bool,
    },
    /// Puts a label on a chat or takes it off.
    LabelChat {
        /// Which label.
        label_id: String,
        /// The chat.
        chat: String,
        /// Whether the chat has it.
        #[serde(default = "yes")]
        value: bool,
    },
    /// Hides somebody's status posts.
    MuteStatus {
        /// The person.
        chat: String,
        /// Whether they are hidden.
        #[serde(default = "yes")]
        value: bool,
    },
    /// Changes the language.
    Locale {
        /// For example `en_GB`.
        locale: String,
    },
    /// Shares the salt of the tokens for first contacts with the companions, or takes it back.
    NctSalt {
        /// The salt.
        #[serde(default, with = "crate::hex_serde::blob")]
        salt: Vec<u8>,
        /// Whether it goes away.
        #[serde(default)]
        remove: bool,
    },
    /// Makes a new key for the app state and gives it to all companions.
    RotateKey {},
}

/// One person of the address book.
#[derive(Debug, Clone, Deserialize)]
pub struct ContactEntry {
    jid: String,
    full_name: Option<String>,
    first_name: Option<String>,
}

/// A message that an action is about.
#[derive(Debug, Clone, Deserialize)]
pub struct MessageName {
    chat: String,
    message_id: String,
    #[serde(default)]
    from_me: bool,
    participant: Option<String>,
}

fn yes() -> bool {
    true
}

/// What an action needs to know beside itself.
pub(super) struct Surroundings<'a> {
    pub(super) chats: &'a Chats,
    pub(super) now_ms: i64,
}

/// The schema of an action and the changes it makes; `None` for an action that changes no collection.
pub(super) fn changes(action: &StateAction, around: &Surroundings<'_>) -> Option<(&'static Schema, Vec<Change>)> {
    let one = |schema, arguments: &[&str], value| Some((schema, vec![set(schema, arguments, value, around)]));
    match action {
        StateAction::Contacts { contacts } => {
            let schema = &schemas::CONTACT;
            let contacts = contacts.iter().map(|contact| {
                let value = contact_value(contact.full_name.as_deref(), contact.first_name.as_deref());
                set(schema, &[&address_text(&contact.jid)], value, around)
            });
            Some((schema, contacts.collect()))
        }
        StateAction::Contact { jid, full_name, first_name, remove } => {
            let value = contact_value(full_name.as_deref(), first_name.as_deref());
            let mut change = set(&schemas::CONTACT, &[&address_text(jid)], value, around);
            if *remove {
                change.operation = SyncdOperation::REMOVE;
            }
            Some((&schemas::CONTACT, vec![change]))
        }
        StateAction::PushName { name } => one(&schemas::SETTING_PUSH_NAME, &[], push_name_value(name)),
        StateAction::Locale { locale } => {
            let locale_setting = MessageField::some(action::LocaleSetting { locale: Some(locale.clone()) });
            one(&schemas::LOCALE_SETTING, &[], SyncActionValue { locale_setting, ..SyncActionValue::default() })
        }
        StateAction::NctSalt { salt, remove } => {
            let salt = action::NctSaltSyncAction { salt: Some(salt.clone()) };
            let value_of_salt =
                SyncActionValue { nct_salt_sync_action: MessageField::some(salt), ..SyncActionValue::default() };
            let mut change = set(&schemas::NCT_SALT_SYNC, &[], value_of_salt, around);
            if *remove {
                change.operation = SyncdOperation::REMOVE;
            }
            Some((&schemas::NCT_SALT_SYNC, vec![change]))
        }
        StateAction::Label { label_id, name, color, deleted } => {
            let edit = action::LabelEditAction {
                name: Some(name.clone()),
                color: Some(*color),
                deleted: Some(*deleted),
                ..action::LabelEditAction::default()
            };
            let value = SyncActionValue { label_edit_action: MessageField::some(edit), ..SyncActionValue::default() };
            one(&schemas::LABEL_EDIT, &[label_id], value)
        }
        StateAction::LabelChat { label_id, chat, value } => {
            let labelled =
                action::LabelAssociationAction { labeled: Some(*value), ..action::LabelAssociationAction::default() };
            let value =
                SyncActionValue { label_association_action: MessageField::some(labelled), ..SyncActionValue::default() };
            one(&schemas::LABEL_JID, &[label_id, &address_text(chat)], value)
        }
        StateAction::RotateKey {} => None,
        about_chat => chat_change(about_chat, around),
    }
}

/// The actions whose index begins with a chat.
fn chat_change(action: &StateAction, around: &Surroundings<'_>) -> Option<(&'static Schema, Vec<Change>)> {
    let mut value = SyncActionValue::default();
    let (schema, arguments): (&'static Schema, Vec<String>) = match action {
        StateAction::Pin { chat, value: pinned } => {
            value.pin_action = MessageField::some(action::PinAction { pinned: Some(*pinned) });
            (&schemas::PIN, vec![address_text(chat)])
        }
        StateAction::Mute { chat, value: muted, until_ms } => {
            value.mute_action = MessageField::some(action::MuteAction {
                muted: Some(*muted),
                mute_end_timestamp: Some(if *muted { until_ms.unwrap_or(MUTED_FOR_EVER) } else { 0 }),
                ..action::MuteAction::default()
            });
            (&schemas::MUTE, vec![address_text(chat)])
        }
        StateAction::MuteStatus { chat, value: muted } => {
            let muted = action::UserStatusMuteAction { muted: Some(*muted) };
            value.user_status_mute_action = MessageField::some(muted);
            (&schemas::USER_STATUS_MUTE, vec![address_text(chat)])
        }
        StateAction::Archive { chat, value: archived } => {
            let message_range = range(around.chats, chat);
            value.archive_chat_action =
                MessageField::some(action::ArchiveChatAction { archived: Some(*archived), message_range });
            (&schemas::ARCHIVE, vec![address_text(chat)])
        }
        StateAction::MarkRead { chat, value: read } => {
            let message_range = range(around.chats, chat);
            value.mark_chat_as_read_action =
                MessageField::some(action::MarkChatAsReadAction { read: Some(*read), message_range });
            (&schemas::MARK_CHAT_AS_READ, vec![address_text(chat)])
        }
        StateAction::DeleteChat { chat, delete_media } => {
            let message_range = range(around.chats, chat);
            value.delete_chat_action = MessageField::some(action::DeleteChatAction { message_range });
            (&schemas::DELETE_CHAT, vec![address_text(chat), flag(*delete_media)])
        }
        StateAction::ClearChat { chat, delete_starred, delete_media } => {
            let message_range = range(around.chats, chat);
            value.clear_chat_action = MessageField::some(action::ClearChatAction { message_range });
            (&schemas::CLEAR_CHAT, vec![address_text(chat), flag(*delete_starred), flag(*delete_media)])
        }
        StateAction::Star { message, value: starred } => {
            value.star_action = MessageField::some(action::StarAction { starred: Some(*starred) });
            (&schemas::STAR, message.arguments())
        }
        StateAction::DeleteMessage { message, delete_media } => {
            value.delete_message_for_me_action = MessageField::some(action::DeleteMessageForMeAction {
                delete_media: Some(*delete_media),
                message_timestamp: message.sent_at(around.chats),
            });
            (&schemas::DELETE_MESSAGE_FOR_ME, message.arguments())
        }
        _ => return None,
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Some((schema, vec![set(schema, &arguments, value, around)]))
}

/// A change that sets the entry with these arguments in its index.
fn set(schema: &Schema, arguments: &[&str], value: SyncActionValue, around: &Surroundings<'_>) -> Change {
    let mut arguments = arguments.iter();
    let index = schema.index_parts.iter().map(|part| match part {
        IndexPart::Literal { value } => (*value).to_owned(),
        _ => arguments.next().copied().unwrap_or_default().to_owned(),
    });
    Change {
        operation: SyncdOperation::SET,
        index: index.collect(),
        value: SyncActionValue { timestamp: Some(around.now_ms), ..value },
        version: i32::try_from(schema.version).unwrap_or(i32::MAX),
    }
}

fn push_name_value(name: &str) -> SyncActionValue {
    let setting = action::PushNameSetting { name: Some(name.to_owned()) };
    SyncActionValue { push_name_setting: MessageField::some(setting), ..SyncActionValue::default() }
}

fn contact_value(full_name: Option<&str>, first_name: Option<&str>) -> SyncActionValue {
    let contact = action::ContactAction {
        full_name: full_name.map(str::to_owned),
        first_name: first_name.map(str::to_owned),
        save_on_primary_addressbook: Some(true),
        ..action::ContactAction::default()
    };
    SyncActionValue { contact_action: MessageField::some(contact), ..SyncActionValue::default() }
}

/// Up to which message an action on a chat goes; unset for a chat without messages.
fn range(chats: &Chats, chat: &str) -> MessageField<SyncActionMessageRange> {
    let chat = address_text(chat);
    let messages: Vec<SyncActionMessage> = chats
        .newest_first()
        .filter(|(_, kept)| kept.chat == chat)
        .take(RANGE_MESSAGES)
        .map(|(_, kept)| SyncActionMessage { key: MessageField::some(kept.key()), timestamp: seconds(kept.at_s) })
        .collect();
    match messages.first().and_then(|message| message.timestamp) {
        None => MessageField::default(),
        last_message_timestamp => MessageField::some(SyncActionMessageRange {
            last_message_timestamp,
            messages,
            ..SyncActionMessageRange::default()
        }),
    }
}

impl MessageName {
    fn arguments(&self) -> Vec<String> {
        let participant = self.participant.as_deref().map_or_else(|| "0".to_owned(), address_text);
        vec![address_text(&self.chat), self.message_id.clone(), flag(self.from_me), participant]
    }

    fn sent_at(&self, chats: &Chats) -> Option<i64> {
        seconds(chats.find(&address_text(&self.chat), &self.message_id)?.1.at_s)
    }
}

fn seconds(at_s: u64) -> Option<i64> {
    i64::try_from(at_s).ok()
}

fn flag(value: bool) -> String {
    if value { "1" } else { "0" }.to_owned()
}

/// The address of whoever is meant by a number or an address.
fn address_text(text: &str) -> String {
    if text.contains('@') {
        return text.to_owned();
    }
    format!("{}@s.whatsapp.net", text.strip_prefix('+').unwrap_or(text))
}
