//! What the users of phones do beside writing, and what they see of others: who read what, who types, who is online.
//!
//! A phone does it by the same stanzas as any device, so that the rooms which handle those need not know of phones.
//! Receipts that a phone has had are stored with the phone; typing and presence pass, as they do everywhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use super::receipt_sync::stays_at_home;
use super::{CommandFault, Effect, LinkId, Network};
use crate::address::{DeviceKey, Space, parse_number};
use crate::phone::{HeardReceipt, ReceivedMessage};
use crate::wire;

/// What is kept of typing, and of presence, for one phone.
const SEEN_MAX: usize = 1_000;
/// People whose presence one phone may follow.
const WATCHED_MAX: usize = 1_024;
/// Messages one receipt may stand for (as whatsapp-rust 0.7.0 `receipt.rs` splits them).
const RECEIPT_IDS_MAX: usize = 256;
/// Phones have no connection; what would be sent on one is for nobody. Connections count from 1.
const NO_LINK: LinkId = 0;
/// What can be played.
const PLAYABLE: [&str; 4] = ["audio", "video", "video_note", "gif"];

/// Why a phone's user cannot do something. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActFault {
    #[error("the phone has received no message {0:?}")]
    UnknownMessage(String),
    #[error("{field}: {problem}")]
    Field { field: &'static str, problem: String },
}

/// A phone's user reads or plays one message, or reads a whole chat.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiptAct {
    message_id: Option<String>,
    chat: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A phone's user types, records, or stops.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatStateAct {
    to: String,
    state: String,
}

/// A phone's user comes or goes, or begins or ceases to follow somebody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresenceAct {
    state: Option<String>,
    subscribe: Option<String>,
    unsubscribe: Option<String>,
}

/// Somebody typing, as a phone saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SeenChatState {
    pub(crate) n: u64,
    pub(crate) chat: String,
    pub(crate) from: String,
    pub(crate) state: String,
    pub(crate) at_ms: u64,
}

/// Somebody coming or going, as a phone saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SeenPresence {
    pub(crate) n: u64,
    pub(crate) of: String,
    pub(crate) state: &'static str,
    /// When the other was last online, where that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_seen_s: Option<u64>,
    pub(crate) at_ms: u64,
}

/// What a phone's user does and sees at the moment.
#[derive(Default)]
pub(super) struct PhoneActs {
    available: bool,
    /// The numbers whose presence the phone follows.
    watched: BTreeSet<String>,
    chat_states: Seen<SeenChatState>,
    presences: Seen<SeenPresence>,
}

/// The last things seen, numbered from 1.
struct Seen<T> {
    entries: VecDeque<T>,
    count: u64,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), count: 0 }
    }
}

impl<T: Clone> Seen<T> {
    fn add(&mut self, entry: impl FnOnce(u64) -> T) {
        self.count += 1;
        if self.entries.len() >= SEEN_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry(self.count));
    }

    fn after(&self, n: impl Fn(&T) -> u64, after: u64, limit: usize) -> Vec<T> {
        self.entries.iter().filter(|entry| n(entry) > after).take(limit).cloned().collect()
    }
}

impl Network {
    /// A phone's user reads or plays; returns the ids of the messages.
    pub(crate) fn phone_confirms(&mut self, number: &str, act: &ReceiptAct) -> Result<Vec<String>, CommandFault> {
        let number = self.phone_number(number)?;
        let kind = act.kind.as_deref().unwrap_or("read");
        if kind != "read" && kind != "played" {
            return Err(field("type", format!("{kind:?} is unknown; expected read or played")));
        }
        let entries = self.confirmed_messages(&number, act, kind)?;
        let ids = entries.iter().map(|entry| entry.id.clone()).collect();
        let mut by_author: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for entry in entries {
            by_author.entry((entry.chat, entry.from)).or_default().push(entry.id);
        }
        let phone = DeviceKey::new(number, 0);
        for ((chat, author), ids) in by_author {
            for ids in ids.chunks(RECEIPT_IDS_MAX) {
                if let Some(node) = self.read_receipt(kind, &chat, &author, ids) {
                    self.receive_receipt(NO_LINK, &phone, &node);
                }
            }
        }
        Ok(ids)
    }

    fn confirmed_messages(&self, number: &str, act: &ReceiptAct, kind: &str) -> Result<Vec<ReceivedMessage>, CommandFault> {
        let Some(account) = self.accounts.get(number) else {
            return Err(CommandFault::NoPhone(number.to_owned()));
        };
        match (&act.message_id, &act.chat) {
            (Some(id), None) => {
                let entry = account.phone.received(id).cloned();
                let entry = entry.ok_or_else(|| ActFault::UnknownMessage(id.clone()))?;
                if kind == "played" && !PLAYABLE.contains(&entry.kind.as_str()) {
                    return Err(field("type", format!("a message of type {:?} cannot be played", entry.kind)));
                }
                Ok(vec![entry])
            }
            (None, Some(_)) if kind == "played" => Err(field("chat", "messages are played one by one".to_owned())),
            (None, Some(chat)) => {
                let chat = self.chat_of(chat)?.to_string();
                Ok(account.phone.unread(Some(&chat), None))
            }
            _ => Err(field("message_id", "either message_id or chat is expected".to_owned())),
        }
    }

    /// The receipt a device sends for messages of one author in one chat.
    fn read_receipt(&self, kind: &str, chat: &str, author: &str, ids: &[String]) -> Option<Node> {
        let (first, rest) = ids.split_first()?;
        let chat: Jid = chat.parse().ok()?;
        let mut receipt =
            NodeBuilder::new("receipt").attr("to", &chat).attr("id", first).attr("type", kind).attr("t", self.now_s());
        if self.number_of(&chat).is_none() {
            receipt = receipt.attr("participant", author.parse::<Jid>().ok()?);
        }
        if !rest.is_empty() {
            let items = rest.iter().map(|id| NodeBuilder::new("item").attr("id", id).build());
            receipt = receipt.children([NodeBuilder::new("list").children(items).build()]);
        }
        Some(receipt.build())
    }

    /// What a receipt means to the phones and the other devices of both accounts. True when it goes no further: a
    /// receipt that its sender's peers must not see.
    pub(super) fn settle_receipt(&mut self, sender: &DeviceKey, to: &Jid, node: &Node) -> bool {
        let kind = wire::attribute(node, "type");
        let ids = ids_of(node);
        let Some(shown) = shown_kind(kind.as_deref()) else {
            return false;
        };
        let is_private = stays_at_home(kind.as_deref()) || self.hides_receipt(sender, to, node);
        let author = wire::address(node, "participant").unwrap_or_else(|| to.clone());
        let chat = self.number_of(to).map_or_else(|| to.to_non_ad(), |number| Jid::pn(number.as_str()));
        if shown != "delivery" {
            self.share_reading(sender, to, node);
            if let Some(account) = self.accounts.get_mut(&sender.number) {
                account.phone.mark_read(&chat.to_string(), &ids);
                self.record_phone(&sender.number);
            }
        }
        if !is_private && let Some(number) = self.number_of(&author).filter(|number| *number != sender.number) {
            let is_direct = self.number_of(to).is_some();
            let reader = self.jid_of(&DeviceKey::new(sender.number.as_str(), 0), Space::Number);
            let chat = if is_direct { reader } else { chat };
            self.phone_hears(&number, sender, &chat, shown, &ids);
        }
        is_private
    }

    /// A phone gets a receipt for messages of its owner.
    pub(super) fn phone_hears(&mut self, number: &str, sender: &DeviceKey, chat: &Jid, kind: &'static str, ids: &[String]) {
        let from = self.jid_of(&DeviceKey::new(sender.number.as_str(), 0), Space::Number).to_string();
        let at_ms = self.now_ms;
        let Some(account) = self.accounts.get_mut(number) else {
            return;
        };
        for id in ids {
            account.phone.hear_receipt(HeardReceipt {
                n: 0,
                message_id: id.clone(),
                chat: chat.to_string(),
                from: from.clone(),
                device: sender.device,
                kind: kind.to_owned(),
                at_ms,
            });
        }
        self.record_phone(number);
        self.out.effects.push(Effect::Changed);
    }

    /// A phone confirms a message of another phone, which has no connection either.
    pub(super) fn phone_confirms_to_phone(&mut self, number: &str, target: &DeviceKey, id: &str, kind: Option<&str>) {
        let Some(shown) = shown_kind(kind).filter(|_| target.number != number) else {
            return;
        };
        let phone = DeviceKey::new(number, 0);
        let chat = self.jid_of(&phone, Space::Number);
        self.phone_hears(&target.number, &phone, &chat, shown, &[id.to_owned()]);
    }

    /// The receipts a phone has had with a number above `after`.
    pub(crate) fn receipts_heard(&self, number: &str, after: u64, limit: usize) -> Result<Vec<HeardReceipt>, CommandFault> {
        let number = self.phone_number(number)?;
        Ok(self.accounts.get(&number).map(|account| account.phone.receipts_after(after, limit)).unwrap_or_default())
    }

    /// A phone's user types, records, or stops.
    pub(crate) fn phone_types(&mut self, number: &str, act: &ChatStateAct) -> Result<(), CommandFault> {
        let number = self.phone_number(number)?;
        let state = match act.state.as_str() {
            "composing" => NodeBuilder::new("composing").build(),
            "recording" => NodeBuilder::new("composing").attr("media", "audio").build(),
            "paused" => NodeBuilder::new("paused").build(),
            other => {
                return Err(field("state", format!("{other:?} is unknown; expected composing, recording or paused")));
            }
        };
        let chat = self.chat_of(&act.to)?;
        let node = NodeBuilder::new("chatstate").attr("to", chat).children([state]).build();
        self.receive_chatstate(&DeviceKey::new(number, 0), &node);
        Ok(())
    }

    /// A phone sees somebody type in a chat: in a group of both, or in the one with its owner.
    pub(super) fn phone_sees_chat_state(&mut self, watcher: &str, sender: &str, chat: &Jid, state: &str) {
        let from = self.jid_of(&DeviceKey::new(sender, 0), Space::Number).to_string();
        let chat = if chat.server == Server::Group { chat.to_string() } else { from.clone() };
        let at_ms = self.now_ms;
        self.phone_acts.entry(watcher.to_owned()).or_default().chat_states.add(|n| SeenChatState {
            n,
            chat,
            from,
            state: state.to_owned(),
            at_ms,
        });
        self.out.effects.push(Effect::Changed);
    }

    /// Whom a phone saw typing, with a number above `after`.
    pub(crate) fn chat_states_seen(
        &self,
        number: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SeenChatState>, CommandFault> {
        let number = self.phone_number(number)?;
        let acts = self.phone_acts.get(&number);
        Ok(acts.map(|acts| acts.chat_states.after(|state| state.n, after, limit)).unwrap_or_default())
    }

    /// A phone's user comes, goes, or follows somebody's presence.
    pub(crate) fn phone_presence(&mut self, number: &str, act: &PresenceAct) -> Result<(), CommandFault> {
        let number = self.phone_number(number)?;
        match (act.state.as_deref(), &act.subscribe, &act.unsubscribe) {
            (Some(state @ ("available" | "unavailable")), None, None) => {
                self.phone_acts.entry(number.clone()).or_default().available = state == "available";
                self.announce_presence(&number);
            }
            (Some(state), None, None) => {
                return Err(field("state", format!("{state:?} is unknown; expected available or unavailable")));
            }
            (None, Some(of), None) => {
                let of = self.account_recipient(of)?;
                let acts = self.phone_acts.entry(number.clone()).or_default();
                if acts.watched.len() >= WATCHED_MAX && !acts.watched.contains(&of) {
                    return Err(field("subscribe", format!("the phone follows {WATCHED_MAX} others already")));
                }
                acts.watched.insert(of.clone());
                self.note_presence(&number, &of, self.is_available(&of));
            }
            (None, None, Some(of)) => {
                let of = self.account_recipient(of)?;
                self.phone_acts.entry(number).or_default().watched.remove(&of);
            }
            _ => {
                let problem = "exactly one of state, subscribe and unsubscribe is expected".to_owned();
                return Err(field("state", problem));
            }
        }
        Ok(())
    }

    /// Whether a phone's user is there.
    pub(super) fn phone_is_available(&self, number: &str) -> bool {
        self.phone_acts.get(number).is_some_and(|acts| acts.available)
    }

    /// Phones that follow an account see it come or go.
    pub(super) fn phones_see_presence(&mut self, of: &str, available: bool) {
        let followers = self.phone_acts.iter().filter(|(_, acts)| acts.watched.contains(of));
        let followers: Vec<String> = followers.map(|(number, _)| number.clone()).collect();
        for number in followers {
            self.note_presence(&number, of, available);
        }
    }

    /// Notes what a phone may see of somebody: the same as a companion of its account would.
    fn note_presence(&mut self, watcher: &str, of: &str, available: bool) {
        if !self.shows_presence(of, watcher) {
            return;
        }
        let last_seen_s = self.last_seen_s(of).filter(|_| !available && self.shows_last_seen(of, watcher));
        let of = self.jid_of(&DeviceKey::new(of, 0), Space::Number).to_string();
        let state = if available { "available" } else { "unavailable" };
        let at_ms = self.now_ms;
        let acts = self.phone_acts.entry(watcher.to_owned()).or_default();
        acts.presences.add(|n| SeenPresence { n, of, state, last_seen_s, at_ms });
        self.out.effects.push(Effect::Changed);
    }

    /// Whom a phone saw coming and going, all it follows or one of them, with a number above `after`.
    pub(crate) fn presences_seen(
        &self,
        number: &str,
        of: Option<&str>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SeenPresence>, CommandFault> {
        let number = self.phone_number(number)?;
        let of = of.map(|of| self.account_recipient(of)).transpose()?;
        let of = of.map(|of| Jid::pn(of.as_str()).to_string());
        let acts = self.phone_acts.get(&number);
        let mut seen = acts.map(|acts| acts.presences.after(|presence| presence.n, after, usize::MAX)).unwrap_or_default();
        seen.retain(|presence| of.as_ref().is_none_or(|of| *of == presence.of));
        seen.truncate(limit);
        Ok(seen)
    }

    fn phone_number(&self, number: &str) -> Result<String, CommandFault> {
        let number = parse_number(number)?;
        if self.accounts.contains_key(&number) { Ok(number) } else { Err(CommandFault::NoPhone(number)) }
    }
}

/// What a receipt's type tells its reader; `None` for those that devices exchange among themselves.
fn shown_kind(kind: Option<&str>) -> Option<&'static str> {
    match kind {
        None | Some("inactive") => Some("delivery"),
        Some("read" | "read-self") => Some("read"),
        Some("played" | "played-self") => Some("played"),
        Some(_) => None,
    }
}

fn ids_of(node: &Node) -> Vec<String> {
    let first = wire::attribute(node, "id");
    let list = node.get_optional_child("list").map(wire::children).unwrap_or_default();
    first.into_iter().chain(list.iter().filter_map(|item| wire::attribute(item, "id"))).collect()
}

fn field(field: &'static str, problem: String) -> CommandFault {
    ActFault::Field { field, problem }.into()
}
