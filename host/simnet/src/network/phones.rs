//! What the simulated phones do in the network: they receive, answer, and send what their users write.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::Message;

use super::keys::key_children;
use super::stanza::{MessageHead, enc_node};
use super::{Effect, Network};
use crate::address::{DeviceKey, Space};
use crate::phone::{EncKind, Encrypted, Envelope, PhoneError, device_sent};
use crate::{random, wire};

/// Messages of one phone that it can send again. The oldest is forgotten first, as on real phones.
const SENT_MAX: usize = 4_096;
/// How often a device may ask for one message: a peer that never can read it must not ask for ever.
const RETRIES_MAX: u64 = 5;
/// Marks keys for Curve25519.
const KEY_TYPE: u8 = 5;

/// A message that a phone sent, in case a device cannot read it.
#[derive(Clone)]
pub(super) struct SentByPhone {
    id: String,
    recipient: String,
    message: Message,
}

impl Network {
    /// A phone gets a message: it opens it, remembers it for its user, and confirms it.
    pub(super) fn deliver_to_phone(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str, encs: &[Node]) {
        for enc in encs {
            let kind = wire::attribute(enc, "type").and_then(|kind| EncKind::parse(&kind));
            let (Some(kind), Some(ciphertext)) = (kind, wire::content(enc)) else {
                continue;
            };
            let Some(account) = self.accounts.get_mut(number) else {
                return;
            };
            let opened = account.phone.decrypt(&sender.address(), kind, ciphertext);
            self.record_phone(number);
            match opened {
                Ok(message) => self.phone_reads(sender, head, number, &message),
                Err(PhoneError::Duplicate) => self.send_phone_receipt(number, sender, &head.id, None, Vec::new()),
                Err(error) => {
                    tracing::warn!(number, id = head.id, %error, "a phone cannot open a message and asks for it again");
                    self.ask_again(sender, head, number);
                }
            }
        }
    }

    fn phone_reads(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str, message: &Message) {
        if sender.number == number {
            // Copies of what a companion sent, and requests that only the phone can answer.
            self.send_phone_receipt(number, sender, &head.id, head.is_peer().then_some("peer_msg"), Vec::new());
            let asks_for_keys =
                message.protocol_message.as_option().is_some_and(|protocol| protocol.app_state_sync_key_request.is_set());
            if asks_for_keys {
                self.share_app_state_keys(sender);
            }
            return;
        }
        let from = self.jid_of(&DeviceKey::new(sender.number.as_str(), 0), Space::Number).to_string();
        let envelope = Envelope { id: head.id.clone(), chat: from.clone(), from, at_ms: self.now_ms };
        let Some(account) = self.accounts.get_mut(number) else {
            return;
        };
        let shown = account.phone.receive(envelope, message).is_some();
        self.record_phone(number);
        if shown {
            self.out.effects.push(Effect::Changed);
        }
        self.send_phone_receipt(number, sender, &head.id, None, Vec::new());
    }

    /// A retry receipt carries the phone's keys, so that the sender can open a new session.
    fn ask_again(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str) {
        let Some(account) = self.accounts.get_mut(number) else {
            return;
        };
        let Ok(bundle) = account.phone.bundle(true) else {
            return;
        };
        self.record_phone(number);
        let retry =
            NodeBuilder::new("retry").attr("v", "1").attr("count", "1").attr("id", &head.id).attr("t", self.now_s()).build();
        let mut keys = vec![wire::leaf("type", [KEY_TYPE]), wire::leaf("identity", bundle.identity)];
        keys.extend(key_children(&bundle));
        let children = vec![
            retry,
            wire::leaf("registration", bundle.registration_id.to_be_bytes()),
            NodeBuilder::new("keys").children(keys).build(),
        ];
        self.send_phone_receipt(number, sender, &head.id, Some("retry"), children);
    }

    /// Sends a phone's app-state keys to one of its companions.
    pub(super) fn share_app_state_keys(&mut self, companion: &DeviceKey) {
        let Some(account) = self.accounts.get_mut(&companion.number) else {
            return;
        };
        let message = account.phone.key_share();
        let chat = Jid::pn(companion.number.as_str());
        let head = MessageHead::from_phone(random::message_id(), chat.clone(), Some("peer"));
        let phone = DeviceKey::new(companion.number.as_str(), 0);
        match self.seal(&phone, companion, &message) {
            Ok(sealed) => self.deliver(&phone, &head, companion, &chat, vec![enc_node(&sealed)]),
            Err(error) => tracing::warn!(number = companion.number, %error, "a phone cannot share its app-state keys"),
        }
    }

    /// A phone sends a message: to every device of the recipient, and a copy to its own companions.
    pub(super) fn phone_sends(
        &mut self,
        number: &str,
        recipient: &str,
        id: String,
        message: &Message,
    ) -> Result<(), PhoneError> {
        let phone = DeviceKey::new(number, 0);
        let chat = Jid::pn(recipient);
        let copy = device_sent(&chat.to_string(), message);
        let mut targets: Vec<(DeviceKey, &Message)> = Vec::new();
        if recipient != number {
            targets.extend(self.devices_of(recipient).into_iter().map(|key| (key, message)));
        }
        let own = self.devices_of(number).into_iter().filter(|key| *key != phone);
        targets.extend(own.map(|key| (key, &copy)));
        // Everything is sealed before anything is delivered: a message goes out to all or to none.
        let mut sealed = Vec::with_capacity(targets.len());
        for (target, message) in targets {
            let encrypted = self.seal(&phone, &target, message)?;
            sealed.push((target, encrypted));
        }
        let head = MessageHead::from_phone(id, chat, None);
        for (target, encrypted) in sealed {
            let addressed = self.jid_of(&target, Space::Number);
            self.deliver(&phone, &head, &target, &addressed, vec![enc_node(&encrypted)]);
        }
        self.messages_relayed += 1;
        self.remember_sent(number, SentByPhone { id: head.id, recipient: recipient.to_owned(), message: message.clone() });
        Ok(())
    }

    fn remember_sent(&mut self, number: &str, sent: SentByPhone) {
        if let Some(account) = self.accounts.get_mut(number) {
            account.sent.push_back(sent);
            if account.sent.len() > SENT_MAX {
                account.sent.pop_front();
            }
        }
    }

    /// A device asks for a message that it could not read: it gets it under the same id, in a new session.
    pub(super) fn phone_sends_again(&mut self, asker: &DeviceKey, to: &Jid, id: &str, receipt: &Node) {
        let Some(phone) = self.key_of(to).filter(|key| key.device == 0) else {
            return;
        };
        let count = wire::children(receipt)
            .iter()
            .find(|child| child.tag == "retry")
            .and_then(|retry| wire::attribute(retry, "count")?.parse::<u64>().ok());
        if count.unwrap_or(1) > RETRIES_MAX {
            tracing::warn!(number = phone.number, id, "a device asked too often for a message");
            return;
        }
        let sent = self.accounts.get(&phone.number).and_then(|account| account.sent.iter().find(|sent| sent.id == id));
        let Some(SentByPhone { recipient, message, .. }) = sent.cloned() else {
            return;
        };
        let chat = Jid::pn(recipient.as_str());
        let message = if asker.number == phone.number { device_sent(&chat.to_string(), &message) } else { message };
        let addressed = self.jid_of(asker, Space::Number);
        match self.seal(&phone, asker, &message) {
            Ok(sealed) => {
                let head = MessageHead::from_phone(id.to_owned(), chat, None);
                self.deliver(&phone, &head, asker, &addressed, vec![enc_node(&sealed)]);
            }
            Err(error) => tracing::warn!(number = phone.number, id, %error, "a phone cannot send a message again"),
        }
    }

    /// Encrypts for one device, opening a session with its keys if there is none.
    fn seal(&mut self, phone: &DeviceKey, target: &DeviceKey, message: &Message) -> Result<Encrypted, PhoneError> {
        let address = target.address();
        let known = self.accounts.get(&phone.number).is_some_and(|account| account.phone.has_session(&address));
        let bundle = if known { None } else { self.take_bundle(target) };
        let Some(account) = self.accounts.get_mut(&phone.number) else {
            return Err(PhoneError::NoSession { address: address.to_string() });
        };
        let sealed = account.phone.encrypt(&address, bundle.as_ref(), message);
        self.record_phone(&phone.number);
        sealed
    }

    /// The phone and the companions of an account.
    fn devices_of(&self, number: &str) -> Vec<DeviceKey> {
        let companions = self.accounts.get(number).into_iter().flat_map(|account| account.devices.keys().copied());
        std::iter::once(0).chain(companions).map(|device| DeviceKey::new(number, device)).collect()
    }
}
