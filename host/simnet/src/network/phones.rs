//! What the simulated phones do in the network: they receive, answer, and send what their users write.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};
use waproto::whatsapp::Message;

use super::keys::{KEY_TYPE, key_children};
use super::stanza::{MessageHead, enc_node};
use super::stanza_terms::StanzaTerms;
use super::{CommandFault, Network};
use crate::address::{DeviceKey, Space};
use crate::phone::{EncKind, Encrypted, Envelope, PhoneError, device_sent};
use crate::wire;

/// How often a device may ask for one message: a peer that never can read it must not ask for ever.
pub(super) const RETRIES_MAX: u64 = 5;

/// A message that a phone's user sends, with what its stanza says about it.
pub(crate) struct Outgoing {
    pub(crate) id: String,
    /// The account or the group it goes to.
    pub(crate) chat: Jid,
    /// The stanza's `type`: `text`, `media`, `poll`, `reaction` and so on.
    pub(crate) kind: &'static str,
    /// The stanza's `edit`, for what changes an earlier message.
    pub(crate) edit: Option<&'static str>,
    /// The `mediatype` of its `<enc>`.
    pub(crate) media_type: Option<&'static str>,
    pub(crate) message: Message,
}

impl Network {
    /// A phone gets a message: it opens it, remembers it for its user, and confirms it.
    pub(super) fn deliver_to_phone(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str, encs: &[Node]) {
        for enc in encs {
            let Some(opened) = self.open_on_phone(sender, number, enc) else { continue };
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

    /// What a phone finds in an `<enc>`. `None` when it is not sealed in a way phones know, or there is no such phone.
    pub(super) fn open_on_phone(
        &mut self,
        sender: &DeviceKey,
        number: &str,
        enc: &Node,
    ) -> Option<Result<Message, PhoneError>> {
        let kind = EncKind::parse(&wire::attribute(enc, "type")?)?;
        let opened = self.accounts.get_mut(number)?.phone.decrypt(&sender.address(), kind, wire::content(enc)?);
        self.record_phone(number);
        Some(opened)
    }

    fn phone_reads(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str, message: &Message) {
        if sender.number == number {
            // Copies of what a companion sent, and requests that only the phone can answer.
            self.send_phone_receipt(number, sender, &head.id, head.is_peer().then_some("peer_msg"), Vec::new());
            self.phone_keeps_file(number, &head.id, message);
            self.phone_reads_own(sender, head, message);
            self.show_companions_message(sender, head, message);
            return;
        }
        let from = self.jid_of(&DeviceKey::new(sender.number.as_str(), 0), Space::Number).to_string();
        let envelope = Envelope { id: head.id.clone(), chat: from.clone(), from, at_ms: self.now_ms };
        self.show_on_phone(number, sender, envelope, message);
        self.send_phone_receipt(number, sender, &head.id, None, Vec::new());
    }

    /// A retry receipt carries the phone's keys, so that the sender can open a new session.
    fn ask_again(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str) {
        let children = self.retry_content(number, &head.id, 1);
        if !children.is_empty() {
            self.send_phone_receipt(number, sender, &head.id, Some("retry"), children);
        }
    }

    /// What stands in a retry receipt of a phone; nothing if the phone has no keys to give.
    pub(super) fn retry_content(&mut self, number: &str, id: &str, count: u64) -> Vec<Node> {
        let bundle = self.accounts.get_mut(number).map(|account| account.phone.bundle(true));
        let Some(Ok(bundle)) = bundle else {
            return Vec::new();
        };
        self.record_phone(number);
        let retry =
            NodeBuilder::new("retry").attr("v", "1").attr("count", count).attr("id", id).attr("t", self.now_s()).build();
        let mut keys = vec![wire::leaf("type", [KEY_TYPE]), wire::leaf("identity", bundle.identity)];
        keys.extend(key_children(&bundle));
        vec![
            retry,
            wire::leaf("registration", bundle.registration_id.to_be_bytes()),
            NodeBuilder::new("keys").children(keys).build(),
        ]
    }

    /// A phone sends a message: to every device of the recipient, and a copy to its own companions.
    pub(super) fn phone_sends(&mut self, number: &str, outgoing: &Outgoing) -> Result<(), CommandFault> {
        let Outgoing { chat, message, .. } = outgoing;
        if chat.server == Server::Group {
            return self.phone_sends_in_group(number, outgoing);
        }
        let recipient = self.number_of(chat).ok_or_else(|| CommandFault::NoRecipient(chat.to_string()))?;
        let phone = DeviceKey::new(number, 0);
        let copy = device_sent(&chat.to_string(), message);
        let mut targets: Vec<(DeviceKey, &Message)> = Vec::new();
        if recipient != number {
            targets.extend(self.devices_of(&recipient).into_iter().map(|key| (key, message)));
        }
        let own = self.devices_of(number).into_iter().filter(|key| *key != phone);
        targets.extend(own.map(|key| (key, &copy)));
        // Everything is sealed before anything is delivered: a message goes out to all or to none.
        let mut sealed = Vec::with_capacity(targets.len());
        for (target, message) in targets {
            let encrypted = self.seal(&phone, &target, message).map_err(CommandFault::Phone)?;
            sealed.push((target, encrypted));
        }
        let mut head = MessageHead::from_phone(outgoing.id.clone(), chat.clone(), None);
        outgoing.kind.clone_into(&mut head.kind);
        head.edit = outgoing.edit.map(str::to_owned);
        let terms = StanzaTerms { media_type: outgoing.media_type, ..StanzaTerms::of(message) };
        head.extras.clone_from(&terms.extras);
        for (target, encrypted) in sealed {
            let addressed = self.jid_of(&target, Space::Number);
            let enc = terms.dress(enc_node(&encrypted));
            self.deliver(&phone, &head, &target, &addressed, vec![enc]);
        }
        self.messages_relayed += 1;
        self.phone_keeps_file(number, &head.id, message);
        self.phone_keeps_sent(number, &chat.to_string(), &head.id, message);
        self.show_own_message(&phone, chat, &outgoing.id, message);
        Ok(())
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
        // What went to a group is asked for in the group.
        let Some(sent) = self.sent_by_phone(&phone.number, id).filter(|sent| !sent.chat.ends_with("@g.us")) else {
            return;
        };
        let Ok(chat) = sent.chat.parse::<Jid>() else { return };
        let message = sent.message();
        let terms = StanzaTerms::of(&message);
        let message = if asker.number == phone.number { device_sent(&chat.to_string(), &message) } else { message };
        let addressed = self.jid_of(asker, Space::Number);
        match self.seal(&phone, asker, &message) {
            Ok(sealed) => {
                let mut head = MessageHead::from_phone(id.to_owned(), chat, None);
                terms.kind.clone_into(&mut head.kind);
                head.edit = terms.edit.map(str::to_owned);
                head.extras.clone_from(&terms.extras);
                self.deliver(&phone, &head, asker, &addressed, vec![terms.dress(enc_node(&sealed))]);
            }
            Err(error) => tracing::warn!(number = phone.number, id, %error, "a phone cannot send a message again"),
        }
    }

    /// Encrypts for one device, opening a session with its keys if there is none.
    pub(super) fn seal(
        &mut self,
        phone: &DeviceKey,
        target: &DeviceKey,
        message: &Message,
    ) -> Result<Encrypted, PhoneError> {
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
    pub(super) fn devices_of(&self, number: &str) -> Vec<DeviceKey> {
        let companions = self.accounts.get(number).into_iter().flat_map(|account| account.devices.keys().copied());
        std::iter::once(0).chain(companions).map(|device| DeviceKey::new(number, device)).collect()
    }
}
