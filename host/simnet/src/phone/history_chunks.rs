//! The histories that a phone hands to its companions: the newest messages of each chat at once, older ones behind
//! them, names and addresses, and on demand what lies before a message that the companion has.
//!
//! A companion that has just been linked gets `INITIAL_BOOTSTRAP`, `PUSH_NAME`, `RECENT`, `FULL` if it wants everything,
//! and `NON_BLOCKING_DATA`; each is a compressed `HistorySync` (wacore 0.7.0 `history_sync.rs`, Baileys 7 `history.js`).

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use waproto::buffa::MessageField;
use waproto::whatsapp::conversation::EndOfHistoryTransferType;
use waproto::whatsapp::history_sync::HistorySyncType;
use waproto::whatsapp::{Conversation, HistorySync, HistorySyncMsg, PhoneNumberToLIDMapping, Pushname, WebMessageInfo};

use super::Phone;
use super::chats::Kept;
use super::error::PhoneError;

/// Messages of each chat that come with the first chunk.
const BOOTSTRAP_MESSAGES: usize = 10;
/// Messages of each chat that a companion has after the recent chunk; older ones are for those who ask.
const RECENT_MESSAGES: usize = 100;
/// Messages in an answer on demand.
const ON_DEMAND_MAX: usize = 200;
/// Part of a transfer that is done, in per cent.
const DONE: u32 = 100;

/// The addresses that hide numbers, by the address that shows the number.
pub type Lids = BTreeMap<String, String>;

/// What a companion asks for on demand.
pub struct OlderThan<'a> {
    /// The chat, as the phone addresses it.
    pub chat: &'a str,
    /// The oldest message that the companion has.
    pub id: &'a str,
    /// When that one was sent, in case the phone does not know it.
    pub at_ms: Option<i64>,
    /// How many messages before it.
    pub count: usize,
}

/// A history as it travels.
pub fn compress(history: &HistorySync) -> Result<Vec<u8>, PhoneError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(&waproto::codec::history_sync_to_vec(history));
    written.and_then(|()| encoder.finish()).map_err(|error| PhoneError::Media(error.to_string()))
}

impl Phone {
    /// The addresses of everybody the phone has to do with.
    pub fn people(&self) -> Vec<String> {
        let mut people: Vec<_> = self.chats.people().into_iter().map(str::to_owned).collect();
        people.sort_unstable();
        people
    }

    /// What a new companion gets, in this order. The salt, if it goes this way, is for its tokens for first contacts.
    pub fn histories(&self, lids: &Lids, everything: bool, nct_salt: Option<Vec<u8>>) -> Vec<HistorySync> {
        let chunk = |sync_type, conversations| HistorySync {
            sync_type,
            conversations,
            chunk_order: Some(0),
            progress: Some(DONE),
            ..HistorySync::default()
        };
        let mut bootstrap = chunk(HistorySyncType::INITIAL_BOOTSTRAP, self.conversations(lids, 0, BOOTSTRAP_MESSAGES));
        bootstrap.nct_salt = nct_salt;
        let names = HistorySync { pushnames: self.push_names(), ..chunk(HistorySyncType::PUSH_NAME, Vec::new()) };
        let recent = chunk(HistorySyncType::RECENT, self.conversations(lids, BOOTSTRAP_MESSAGES, RECENT_MESSAGES));
        let mut histories = vec![bootstrap, names, recent];
        if everything {
            histories.push(chunk(HistorySyncType::FULL, self.conversations(lids, RECENT_MESSAGES, usize::MAX)));
        }
        let mappings =
            lids.iter().map(|(pn, lid)| PhoneNumberToLIDMapping { pn_jid: Some(pn.clone()), lid_jid: Some(lid.clone()) });
        histories.push(HistorySync {
            phone_number_to_lid_mappings: mappings.collect(),
            ..chunk(HistorySyncType::NON_BLOCKING_DATA, Vec::new())
        });
        histories
    }

    /// The messages before one that a companion names, newest first.
    pub fn history_before(&self, asked: &OlderThan<'_>, lids: &Lids) -> HistorySync {
        let oldest = self.chats.find(asked.chat, asked.id).map(|(number, _)| number);
        let before_s = asked.at_ms.map_or(u64::MAX, |at| u64::try_from(at).unwrap_or(0) / 1000);
        let is_older = |number: u64, kept: &Kept| match oldest {
            Some(oldest) => number < oldest,
            None => kept.at_s < before_s,
        };
        let mut older =
            self.chats.newest_first().filter(|(number, kept)| kept.chat == asked.chat && is_older(*number, kept));
        let messages: Vec<_> =
            older.by_ref().take(asked.count.min(ON_DEMAND_MAX)).map(|(number, kept)| self.packed(number, kept)).collect();
        let end = if older.next().is_some() {
            EndOfHistoryTransferType::COMPLETE_ON_DEMAND_SYNC_BUT_MORE_MSG_REMAIN_ON_PRIMARY
        } else {
            EndOfHistoryTransferType::COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY
        };
        let conversation = Conversation {
            messages,
            end_of_history_transfer: Some(true),
            end_of_history_transfer_type: Some(end),
            ..self.conversation(asked.chat, lids)
        };
        HistorySync {
            sync_type: HistorySyncType::ON_DEMAND,
            conversations: vec![conversation],
            chunk_order: Some(0),
            progress: Some(DONE),
            ..HistorySync::default()
        }
    }

    /// One message that a companion could not read, if the phone has it.
    pub fn kept_message(&self, chat: &str, id: &str) -> Option<WebMessageInfo> {
        self.chats.find(chat, id).map(|(_, kept)| kept.info(&self.chats.names))
    }

    /// The chats that have messages between the `from`th and the `to`th newest, with these messages.
    fn conversations(&self, lids: &Lids, from: usize, to: usize) -> Vec<Conversation> {
        let mut order: Vec<&str> = Vec::new();
        let mut messages: HashMap<&str, Vec<(u64, &Kept)>> = HashMap::new();
        for (number, kept) in self.chats.newest_first() {
            let of_chat = messages.entry(kept.chat.as_str()).or_insert_with(|| {
                order.push(kept.chat.as_str());
                Vec::new()
            });
            of_chat.push((number, kept));
        }
        let mut conversations = Vec::new();
        for chat in order {
            let all = messages.remove(chat).unwrap_or_default();
            let more = all.len() > to;
            let chosen: Vec<_> =
                all.into_iter().take(to).skip(from).map(|(number, kept)| self.packed(number, kept)).collect();
            if chosen.is_empty() {
                continue;
            }
            let end = if more {
                EndOfHistoryTransferType::COMPLETE_BUT_MORE_MESSAGES_REMAIN_ON_PRIMARY
            } else {
                EndOfHistoryTransferType::COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY
            };
            conversations.push(Conversation {
                messages: chosen,
                end_of_history_transfer: Some(!more),
                end_of_history_transfer_type: Some(end),
                ..self.conversation(chat, lids)
            });
        }
        conversations
    }

    /// A chat without its messages: how it is called and what the app state says about it.
    fn conversation(&self, chat: &str, lids: &Lids) -> Conversation {
        let setting = |collection, action| self.app_state.entry(collection, &[action, chat]).map(|entry| entry.value());
        let saved = setting("critical_unblock_low", "contact");
        let full_name = saved.and_then(|value| value.contact_action.full_name.clone());
        let name = full_name.or_else(|| self.chats.names.of(chat).map(str::to_owned));
        let archived = setting("regular_low", "archive").and_then(|value| value.archive_chat_action.archived);
        let pinned = setting("regular_low", "pin_v1").filter(|value| value.pin_action.pinned == Some(true));
        let muted = setting("regular_high", "mute").and_then(|value| value.mute_action.mute_end_timestamp);
        let last = self.chats.last(chat).map(|kept| kept.at_s);
        Conversation {
            id: chat.to_owned(),
            last_msg_timestamp: last,
            conversation_timestamp: last,
            unread_count: Some(0),
            name: name.clone(),
            display_name: name,
            lid_jid: lids.get(chat).cloned(),
            archived: archived.filter(|archived| *archived),
            pinned: pinned.map(|value| u32::try_from(value.timestamp.unwrap_or(0) / 1000).unwrap_or(1)),
            mute_end_time: muted.and_then(|until| u64::try_from(until).ok()).filter(|until| *until > 0),
            ..Conversation::default()
        }
    }

    fn packed(&self, number: u64, kept: &Kept) -> HistorySyncMsg {
        HistorySyncMsg { message: MessageField::some(kept.info(&self.chats.names)), msg_order_id: Some(number) }
    }

    /// The owner's own name and those of the others.
    fn push_names(&self) -> Vec<Pushname> {
        let own = format!("{}@s.whatsapp.net", self.core.number);
        let named = |id: &str, name: &str| Pushname { id: Some(id.to_owned()), pushname: Some(name.to_owned()) };
        let own_name = self.shared_push_name().map(|name| named(&own, &name));
        own_name.into_iter().chain(self.chats.names.iter().map(|(jid, name)| named(jid, name))).collect()
    }
}
