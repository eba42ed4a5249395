//! Phones as members: they read what is said in their groups, ask again for what they cannot read, and speak themselves.

use std::collections::BTreeSet;

use wacore_binary::Node;
use waproto::whatsapp::Message;

use super::commands::GroupFault;
use super::{Network, group_jid};
use crate::address::{DeviceKey, Space};
use crate::network::CommandFault;
use crate::network::account::put;
use crate::network::phones::{Outgoing, RETRIES_MAX};
use crate::network::stanza::{MessageHead, enc_node};
use crate::network::stanza_terms::StanzaTerms;
use crate::phone::{Envelope, PhoneError, device_sent};
use crate::wire;

impl Network {
    /// A phone gets a group message: it opens all of it, shows it to its user, and confirms it once.
    pub(super) fn deliver_in_group_to_phone(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str, encs: &[Node]) {
        let mut unread = None;
        for enc in encs {
            let Some(opened) = self.open_on_phone(sender, number, enc) else { continue };
            match opened {
                Ok(message) => self.phone_reads_in_group(sender, head, number, &message),
                Err(PhoneError::Duplicate) => {}
                Err(error) => {
                    tracing::warn!(number, id = head.id, %error, "a phone cannot open a group message and asks for it again");
                    // A message that was sent again says how often.
                    let count = wire::attribute(enc, "count").and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
                    unread = Some(unread.unwrap_or(0).max(count));
                }
            }
        }
        match unread {
            Some(count) => self.ask_again_in_group(sender, head, number, count + 1),
            // Nobody confirms their own messages.
            None if sender.number != number => self.send_group_phone_receipt(number, sender, head, None, Vec::new()),
            None => {}
        }
    }

    fn phone_reads_in_group(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str, message: &Message) {
        // What the user's own companions send is not something received.
        if sender.number == number {
            self.phone_keeps_file(number, &head.id, message);
            self.show_companions_message(sender, head, message);
            return;
        }
        let from = self.jid_of(&DeviceKey::new(sender.number.as_str(), 0), Space::Number).to_string();
        let chat = head.chat.to_string();
        let envelope = Envelope { id: head.id.clone(), chat, from, at_ms: self.now_ms };
        self.show_on_phone(number, sender, envelope, message);
    }

    fn ask_again_in_group(&mut self, sender: &DeviceKey, head: &MessageHead, number: &str, count: u64) {
        if count > RETRIES_MAX {
            tracing::warn!(number, id = head.id, "a phone gives up on a group message that it cannot open");
            return;
        }
        let content = self.retry_content(number, &head.id, count);
        if !content.is_empty() {
            self.send_group_phone_receipt(number, sender, head, Some("retry"), content);
        }
    }

    fn send_group_phone_receipt(
        &mut self,
        number: &str,
        target: &DeviceKey,
        head: &MessageHead,
        kind: Option<&str>,
        content: Vec<Node>,
    ) {
        let id = head.chat.user.as_str();
        let Ok(addressing) = self.group(id).map(|group| group.addressing) else { return };
        let phone = DeviceKey::new(number, 0);
        self.queue_group_receipt(&phone, target, id, addressing, &head.id, kind, content);
    }

    /// A phone's user speaks in a group. Everybody gets the message sealed under the phone's key; who lacks the key gets it too.
    pub(in crate::network) fn phone_sends_in_group(
        &mut self,
        number: &str,
        outgoing: &Outgoing,
    ) -> Result<(), CommandFault> {
        let phone = DeviceKey::new(number, 0);
        let id = outgoing.chat.user.to_string();
        let mut head = MessageHead::from_phone(outgoing.id.clone(), outgoing.chat.to_non_ad(), None);
        let terms = StanzaTerms::of(&outgoing.message);
        outgoing.kind.clone_into(&mut head.kind);
        head.edit = outgoing.edit.map(str::to_owned);
        head.extras.clone_from(&terms.extras);
        let group = self.group_for_message(&phone, &head).map_err(GroupFault::from)?;
        let addressing = group.addressing;
        let devices: BTreeSet<DeviceKey> = self.devices_in(group).into_iter().filter(|key| *key != phone).collect();
        let holders = self.key_holders(&id, number, &devices);
        let shared = group_jid(&id).to_string();
        // Everything is sealed before anything is delivered: a message goes out to all or to none.
        let mut sealed = Vec::with_capacity(devices.len());
        for target in &devices {
            let mut encs = Vec::new();
            if !holders.contains(target) {
                let key = self.with_phone(number, |phone| phone.share_sender_key(&shared))?;
                encs.push(enc_node(&self.seal(&phone, target, &key).map_err(CommandFault::Phone)?));
            }
            sealed.push((target.clone(), encs));
        }
        let message = self.with_phone(number, |phone| phone.encrypt_group(&shared, &outgoing.message))?;
        let message = terms.dress(enc_node(&message));
        self.set_key_holders(&id, number, devices);
        for (target, mut encs) in sealed {
            encs.push(message.clone());
            self.deliver_in_group(&phone, &head, &target, addressing, encs);
        }
        self.messages_relayed += 1;
        self.phone_keeps_file(number, &head.id, &outgoing.message);
        self.phone_keeps_sent(number, &shared, &head.id, &outgoing.message);
        self.show_own_message(&phone, &outgoing.chat.to_non_ad(), &head.id, &outgoing.message);
        Ok(())
    }

    /// A device asks for a phone's group message that it could not read: it gets the message for itself alone, with the key
    /// for the next ones.
    pub(super) fn phone_sends_again_in_group(
        &mut self,
        asker: &DeviceKey,
        number: &str,
        id: &str,
        message_id: &str,
        receipt: &Node,
    ) {
        let retry = wire::children(receipt).iter().find(|child| child.tag == "retry");
        let count = retry.and_then(|retry| wire::attribute(retry, "count")?.parse::<u64>().ok()).unwrap_or(1);
        if count > RETRIES_MAX {
            tracing::warn!(number, id = message_id, "a device asked too often for a group message");
            return;
        }
        let shared = group_jid(id).to_string();
        let sent = self.sent_by_phone(number, message_id).filter(|sent| sent.chat == shared);
        let (Some(sent), Ok(group)) = (sent, self.group_of_member(id, number)) else {
            return;
        };
        let mut message = sent.message();
        let terms = StanzaTerms::of(&message);
        let addressing = group.addressing;
        let phone = DeviceKey::new(number, 0);
        let again = self.with_phone(number, |phone| {
            phone.renew_session(&asker.address());
            phone.share_sender_key(&shared)
        });
        let Ok(key) = again else { return };
        message.sender_key_distribution_message = key.sender_key_distribution_message;
        let message = if asker.number == number { device_sent(&shared, &message) } else { message };
        match self.seal(&phone, asker, &message) {
            Ok(sealed) => {
                let mut enc = terms.dress(enc_node(&sealed));
                enc.attrs.insert("count", count);
                let mut head = MessageHead::from_phone(message_id.to_owned(), group_jid(id), None);
                terms.kind.clone_into(&mut head.kind);
                head.edit = terms.edit.map(str::to_owned);
                head.extras = terms.extras;
                self.deliver_in_group(&phone, &head, asker, addressing, vec![enc]);
            }
            Err(error) => tracing::warn!(number, id = message_id, %error, "a phone cannot send a group message again"),
        }
    }

    /// The devices that have a phone's current key for a group. When one of them is no longer there, the phone makes a new
    /// key: what it says from now on is not for those who have left.
    fn key_holders(&mut self, id: &str, number: &str, devices: &BTreeSet<DeviceKey>) -> BTreeSet<DeviceKey> {
        let name = (id.to_owned(), number.to_owned());
        let holders = self.groups.key_holders.get(&name).cloned().unwrap_or_default();
        if holders.is_subset(devices) {
            return holders;
        }
        let group = group_jid(id).to_string();
        if let Some(account) = self.accounts.get_mut(number) {
            account.phone.forget_own_sender_key(&group);
        }
        self.record_phone(number);
        BTreeSet::new()
    }

    fn set_key_holders(&mut self, id: &str, number: &str, holders: BTreeSet<DeviceKey>) {
        let name = (id.to_owned(), number.to_owned());
        if self.groups.key_holders.get(&name) != Some(&holders) {
            let devices: Vec<(&String, u16)> = holders.iter().map(|key| (&key.number, key.device)).collect();
            self.out.records.push(put(format!("group_keys/{id}/{number}"), &devices));
            self.groups.key_holders.insert(name, holders);
        }
    }

    /// Forgets who has which key in a group that is gone.
    pub(super) fn forget_key_holders(&mut self, id: &str) {
        let records = &mut self.out.records;
        self.groups.key_holders.retain(|(group, number), _| {
            if group == id {
                records.push((format!("group_keys/{id}/{number}"), None));
            }
            group != id
        });
    }

    /// Lets a phone do something, and writes down what that changed in it.
    fn with_phone<T>(
        &mut self,
        number: &str,
        act: impl FnOnce(&mut crate::phone::Phone) -> Result<T, PhoneError>,
    ) -> Result<T, CommandFault> {
        let account = self.accounts.get_mut(number).ok_or_else(|| CommandFault::NoPhone(number.to_owned()))?;
        let done = act(&mut account.phone).map_err(CommandFault::Phone);
        self.record_phone(number);
        done
    }
}
