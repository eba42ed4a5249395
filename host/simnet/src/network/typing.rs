//! Who is typing or recording, and to whom.
//!
//! Such a state reaches those who are connected, at once. It ends by itself when it is not renewed: then they hear
//! `paused`. Who connects before that hears it as well; who connects later hears nothing of it.

use std::collections::BTreeMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use super::timers::Later;
use super::{LinkId, Network, space_of};
use crate::address::DeviceKey;
use crate::wire;

/// Chats in which one account may be typing at once.
const TYPING_MAX: usize = 64;

/// How the user of an account stands to a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChatState {
    /// Writing a text.
    Composing,
    /// Recording a voice message.
    Recording,
    /// Neither any more.
    Paused,
}

/// By the account that types, and the chat in which it does.
#[derive(Default)]
pub(super) struct Typing {
    states: BTreeMap<(String, String), TypingState>,
    pub(super) ttl_ms: u64,
}

struct TypingState {
    chat: Jid,
    state: ChatState,
    /// The device that types; 0 for the phone.
    device: u16,
    ends_ms: u64,
}

impl Typing {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    fn of_sender(&self, sender: &str) -> usize {
        let from = (sender.to_owned(), String::new());
        self.states.range(from..).take_while(|((number, _), _)| number == sender).count()
    }
}

impl ChatState {
    /// The element that names the state (as wacore 0.7.0 iq/chatstate.rs reads it).
    fn element(self) -> Node {
        match self {
            Self::Composing => NodeBuilder::new("composing").build(),
            Self::Recording => NodeBuilder::new("composing").attr("media", "audio").build(),
            Self::Paused => NodeBuilder::new("paused").build(),
        }
    }

    /// As the control API names it.
    fn name(self) -> &'static str {
        match self {
            Self::Composing => "composing",
            Self::Recording => "recording",
            Self::Paused => "paused",
        }
    }

    fn read(node: &Node) -> Option<Self> {
        let element = wire::children(node).first()?;
        match element.tag.as_ref() {
            "composing" if wire::attribute_is(element, "media", "audio") => Some(Self::Recording),
            "composing" => Some(Self::Composing),
            "paused" => Some(Self::Paused),
            _ => None,
        }
    }
}

impl Network {
    /// How long typing lasts that nobody renews.
    pub(crate) fn set_typing_ttl(&mut self, ttl_ms: u64) {
        self.presence.typing.ttl_ms = ttl_ms;
    }

    /// The user of a device, or of a phone, begins to type or record in a chat, or stops.
    pub(super) fn receive_chatstate(&mut self, sender: &DeviceKey, node: &Node) {
        let Some(chat) = wire::address(node, "to") else { return };
        if let Some(state) = ChatState::read(node) {
            self.set_chat_state(sender, &chat.to_non_ad(), state);
        }
    }

    fn set_chat_state(&mut self, sender: &DeviceKey, chat: &Jid, state: ChatState) {
        let Some(place) = self.typing_place(&sender.number, chat) else {
            return;
        };
        let typing = &mut self.presence.typing;
        let ends_ms = self.now_ms.saturating_add(typing.ttl_ms);
        if state == ChatState::Paused || typing.ttl_ms == 0 {
            typing.states.remove(&place);
        } else if let Some(known) = typing.states.get_mut(&place) {
            // Its timer looks again when it fires.
            *known = TypingState { chat: chat.clone(), state, device: sender.device, ends_ms };
        } else if typing.of_sender(&sender.number) < TYPING_MAX {
            let wait_ms = typing.ttl_ms;
            typing.states.insert(place.clone(), TypingState { chat: chat.clone(), state, device: sender.device, ends_ms });
            self.later(wait_ms, Later::TypingEnds { sender: place.0, chat: place.1 });
        }
        self.announce_chat_state(sender, chat, state);
    }

    /// Under which key typing is kept; `None` when there is nobody to whom the address belongs.
    fn typing_place(&self, sender: &str, chat: &Jid) -> Option<(String, String)> {
        let chat = match chat.server {
            Server::Group => chat.to_string(),
            _ => self.number_of(chat)?,
        };
        Some((sender.to_owned(), chat))
    }

    fn announce_chat_state(&mut self, sender: &DeviceKey, chat: &Jid, state: ChatState) {
        let members = self.chat_members(chat);
        // Who is not in a group says nothing in it.
        if chat.server == Server::Group && !members.contains(&sender.number) {
            return;
        }
        for number in members {
            if number == sender.number || !self.shows_chatstate(&sender.number, &number) {
                continue;
            }
            self.phone_sees_chat_state(&number, &sender.number, chat, state.name());
            for key in self.companions_of(&number) {
                if let Some(link) = self.listening_link(&key) {
                    let node = self.chat_state_node(&sender.number, chat, state);
                    self.send(link, node);
                }
            }
        }
    }

    /// The accounts that take part in a chat: the other one, or all members of a group.
    fn chat_members(&self, chat: &Jid) -> Vec<String> {
        match chat.server {
            Server::Group => self.group_members(chat),
            _ => self.number_of(chat).into_iter().collect(),
        }
    }

    /// The peer's account in the space in which it was addressed, or the group and who it is in it.
    fn chat_state_node(&self, sender: &str, chat: &Jid, state: ChatState) -> Node {
        let account = DeviceKey::new(sender, 0);
        let builder = NodeBuilder::new("chatstate");
        let builder = if chat.server == Server::Group {
            builder.attr("from", chat).attr("participant", self.jid_of(&account, self.group_space(chat)))
        } else {
            builder.attr("from", self.jid_of(&account, space_of(chat)))
        };
        builder.children([state.element()]).build()
    }

    /// The time of a state is over, unless it was renewed.
    pub(super) fn typing_may_have_ended(&mut self, sender: &str, chat: &str) {
        let place = (sender.to_owned(), chat.to_owned());
        let Some(state) = self.presence.typing.states.get(&place) else {
            return;
        };
        let left_ms = state.ends_ms.saturating_sub(self.now_ms);
        if left_ms > 0 && self.can_wait() {
            self.later(left_ms, Later::TypingEnds { sender: place.0, chat: place.1 });
            return;
        }
        if let Some(state) = self.presence.typing.states.remove(&place) {
            let key = DeviceKey::new(sender, state.device);
            self.announce_chat_state(&key, &state.chat, ChatState::Paused);
        }
    }

    /// A device that has just come learns who is typing to it.
    pub(super) fn tell_who_is_typing(&mut self, link: LinkId, key: &DeviceKey) {
        let now_ms = self.now_ms;
        let typing = &self.presence.typing.states;
        let for_it = typing.iter().filter(|((sender, _), state)| {
            *sender != key.number
                && state.ends_ms > now_ms
                && self.shows_chatstate(sender, &key.number)
                && self.chat_members(&state.chat).contains(&key.number)
        });
        let nodes: Vec<Node> =
            for_it.map(|((sender, _), state)| self.chat_state_node(sender, &state.chat, state.state)).collect();
        for node in nodes {
            self.send(link, node);
        }
    }
}
