//! What the users of phones write, and what phones know of everything their owners sent.

use wacore_binary::{Jid, Server};
use waproto::whatsapp::Message;

use super::stanza::MessageHead;
use super::{CommandFault, Effect, Network, Outgoing};
use crate::address::{DeviceKey, Space, parse_number};
use crate::blobs::Blob;
use crate::phone::{
    AddonNames, Desk, Draft, Envelope, KnownMessage, ReceivedMessage, addon_target, sent_in, unwrap_message,
};
use crate::random;

impl Network {
    /// A phone's user sends a message; returns its id.
    pub(crate) fn send_draft(&mut self, number: &str, mut draft: Draft) -> Result<String, CommandFault> {
        let number = parse_number(number)?;
        if !self.accounts.contains_key(&number) {
            return Err(CommandFault::NoPhone(number));
        }
        let chat = self.chat_of(&draft.to)?;
        let id = draft.id.take().unwrap_or_else(random::message_id);
        let Some(account) = self.accounts.get(&number) else {
            return Err(CommandFault::NoPhone(number));
        };
        let address = chat.to_string();
        let is_group = chat.server == Server::Group;
        let desk =
            Desk { phone: &account.phone, chat: &address, is_group, media_host: self.media_host(), now_ms: self.now_ms };
        let composed = draft.compose(&desk)?;
        if let Some(file) = composed.file {
            self.out.blobs.push(Blob { path: file.direct_path, bytes: file.sealed });
        }
        self.phone_sends(&number, &Outgoing::of(id.clone(), chat, composed.message))?;
        Ok(id)
    }

    /// The chat somebody means: by number, or by address. That of a person is always written with the number.
    pub(super) fn chat_of(&self, to: &str) -> Result<Jid, CommandFault> {
        match to.parse::<Jid>() {
            Ok(jid) if to.contains('@') && !is_person(&jid) && jid.server != Server::Group => Ok(jid.to_non_ad()),
            _ => self.recipient(to),
        }
    }

    /// Shows a received message on a phone, under the name that its sender goes by now.
    pub(super) fn show_on_phone(&mut self, number: &str, sender: &DeviceKey, envelope: Envelope, message: &Message) {
        self.phone_learns_name(number, sender);
        let names = self.addon_names(number, &envelope, message);
        let Some(account) = self.accounts.get_mut(number) else {
            return;
        };
        let shown = account.phone.receive_sealed(envelope, message, &names).is_some();
        self.record_phone(number);
        if shown {
            self.out.effects.push(Effect::Changed);
        }
    }

    /// Shows on a phone what one of its companions sent: from the copy made for it, or as everybody in a group got it.
    pub(super) fn show_companions_message(&mut self, sender: &DeviceKey, head: &MessageHead, message: &Message) {
        if head.is_peer() {
            return;
        }
        if !message.device_sent_message.is_set() {
            if !is_person(&head.chat) {
                self.show_own_message(sender, &head.chat.to_non_ad(), &head.id, message);
            }
            return;
        }
        let Some((chat, content)) = sent_in(message) else { return };
        if let Ok(chat) = self.chat_of(chat) {
            self.show_own_message(sender, &chat, &head.id, &content);
        }
    }

    /// Keeps and shows on a phone what its owner sent with one of the account's devices.
    pub(super) fn show_own_message(&mut self, sender: &DeviceKey, chat: &Jid, id: &str, message: &Message) {
        let own = DeviceKey::new(sender.number.as_str(), 0);
        let envelope = Envelope {
            id: id.to_owned(),
            chat: chat.to_string(),
            from: self.jid_of(&own, Space::Number).to_string(),
            at_ms: self.now_ms,
        };
        let names = self.addon_names(&sender.number, &envelope, message);
        let Some(account) = self.accounts.get_mut(&sender.number) else {
            return;
        };
        let shown = account.phone.show_own(envelope, sender.device, message, &names).is_some();
        self.record_phone(&sender.number);
        if shown {
            self.out.effects.push(Effect::Changed);
        }
    }

    /// The message of this id that a phone has sent, if it still knows it.
    pub(super) fn sent_by_phone(&self, number: &str, id: &str) -> Option<KnownMessage> {
        self.accounts.get(number)?.phone.sent(id).cloned()
    }

    /// How the author of the earlier message and the sender of an addition to it may be written.
    fn addon_names(&self, number: &str, envelope: &Envelope, message: &Message) -> Vec<AddonNames> {
        let Some(target) = addon_target(unwrap_message(message).0) else {
            return Vec::new();
        };
        let known = self.accounts.get(number).and_then(|account| account.phone.known(&envelope.chat, &target));
        let Some(known) = known else { return Vec::new() };
        let written = |text: &str, space| {
            let jid: Jid = text.parse().ok()?;
            let number = self.number_of(&jid)?;
            Some(self.jid_of(&DeviceKey::new(number, 0), space).to_string())
        };
        [Space::Number, Space::Lid]
            .into_iter()
            .filter_map(|space| {
                Some(AddonNames { author: written(&known.from, space)?, sender: written(&envelope.from, space)? })
            })
            .collect()
    }

    /// What a phone has received, or with `own` what its owner has sent, with a number above `after`.
    pub(crate) fn messages_of(
        &self,
        number: &str,
        own: bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ReceivedMessage>, CommandFault> {
        let number = parse_number(number)?;
        match self.accounts.get(&number) {
            Some(account) if own => Ok(account.phone.own_after(after, limit)),
            Some(account) => Ok(account.phone.received_after(after, limit)),
            None => Err(CommandFault::NoPhone(number)),
        }
    }
}

/// For tests of other rooms.
#[cfg(test)]
impl Network {
    /// A phone's user sends a text.
    pub(crate) fn send_text(
        &mut self,
        number: &str,
        to: &str,
        text: &str,
        id: Option<String>,
    ) -> Result<String, CommandFault> {
        let body = serde_json::json!({ "to": to, "text": text, "id": id });
        self.send_draft(number, Draft::read(body.to_string().as_bytes())?)
    }

    /// What a phone has received.
    pub(crate) fn received(&self, number: &str, after: u64, limit: usize) -> Result<Vec<ReceivedMessage>, CommandFault> {
        self.messages_of(number, false, after, limit)
    }
}

fn is_person(jid: &Jid) -> bool {
    matches!(jid.server, Server::Pn | Server::Legacy | Server::Lid)
}
