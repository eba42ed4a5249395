//! Phones and status posts: they show what others post, and post what their users write.

use std::collections::{BTreeSet, HashMap, VecDeque};

use wacore_binary::{Jid, Node};
use waproto::buffa::MessageField;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{ExtendedTextMessage, ProtocolMessage};
use waproto::whatsapp::{Message, MessageKey};

use super::phones::RETRIES_MAX;
use super::stanza::enc_node;
use super::status::StatusHead;
use super::{CommandFault, Network};
use crate::address::{DeviceKey, Space};
use crate::phone::{Envelope, PhoneError};
use crate::{random, wire};

/// Posts that one phone can send again or take back.
const POSTED_MAX: usize = 200;
/// Bytes in the text of a post.
const STATUS_TEXT_BYTES_MAX: usize = 8_192;
/// White on WhatsApp's green, as the app's first suggestion has it.
const BACKGROUND_ARGB: u32 = 0xff1e_6e4f;

/// What phones have posted, by number, oldest first; a restart forgets it, as a day does on the real network.
pub(super) type Posted = HashMap<String, VecDeque<PostedStatus>>;

/// One post of a phone.
#[derive(Clone)]
pub(super) struct PostedStatus {
    id: String,
    message: Message,
    audience: BTreeSet<String>,
}

impl Network {
    /// A phone gets a post: it opens it, shows it to its user, and confirms it.
    pub(super) fn show_status(&mut self, sender: &DeviceKey, head: &StatusHead, number: &str, encs: &[Node]) {
        let phone = DeviceKey::new(number, 0);
        for enc in encs {
            let Some(opened) = self.open_on_phone(sender, number, enc) else { continue };
            match opened {
                Ok(message) => self.show_opened_status(sender, head, number, &message),
                Err(PhoneError::Duplicate) => {}
                Err(error) => {
                    tracing::warn!(number, id = head.id, %error, "a phone cannot open a status post and asks for it again");
                    let children = self.retry_content(number, &head.id, 1);
                    return self.send_status_receipt(
                        &phone,
                        sender,
                        Space::Lid,
                        &head.id,
                        Some("retry".to_owned()),
                        children,
                    );
                }
            }
        }
        // An account's own phone is no reader.
        if sender.number != number {
            self.send_status_receipt(&phone, sender, Space::Lid, &head.id, None, Vec::new());
            self.phone_hears(&sender.number, &phone, &Jid::status_broadcast(), "delivery", std::slice::from_ref(&head.id));
        }
    }

    fn show_opened_status(&mut self, sender: &DeviceKey, head: &StatusHead, number: &str, message: &Message) {
        if sender.number == number {
            return self.show_own_message(sender, &Jid::status_broadcast(), &head.id, message);
        }
        let from = self.jid_of(&DeviceKey::new(sender.number.as_str(), 0), Space::Number).to_string();
        let chat = Jid::status_broadcast().to_string();
        let envelope = Envelope { id: head.id.clone(), chat, from, at_ms: self.now_ms };
        self.show_on_phone(number, sender, envelope, message);
    }

    /// A phone's user posts a text, to the given numbers or to everybody the phone has talked with; returns the post's id.
    pub(crate) fn post_status(
        &mut self,
        number: &str,
        text: &str,
        audience: Option<&[String]>,
    ) -> Result<String, CommandFault> {
        let phone = self.key_of_phone(number)?;
        if text.is_empty() || text.len() > STATUS_TEXT_BYTES_MAX {
            let (what, bytes_max) = ("text", STATUS_TEXT_BYTES_MAX);
            return Err(CommandFault::TextLength { what, bytes: text.len(), bytes_max });
        }
        let mut numbers = BTreeSet::new();
        for given in audience.unwrap_or_default() {
            numbers.insert(self.key_of_phone(given)?.number);
        }
        if audience.is_none() {
            let peers = self.accounts.get(&phone.number).map(|account| account.phone.peers()).unwrap_or_default();
            numbers.extend(peers.into_iter().filter(|peer| self.accounts.contains_key(peer)));
        }
        // The account's own companions show the post as well.
        numbers.insert(phone.number.clone());
        let extended = ExtendedTextMessage {
            text: Some(text.to_owned()),
            background_argb: Some(BACKGROUND_ARGB),
            ..ExtendedTextMessage::default()
        };
        let message = Message { extended_text_message: MessageField::some(extended), ..Message::default() };
        let post = PostedStatus { id: random::message_id(), message, audience: numbers };
        self.broadcast_status(&phone, &post, None)?;
        let id = post.id.clone();
        let posted = self.statuses.entry(phone.number).or_default();
        posted.push_back(post);
        if posted.len() > POSTED_MAX {
            posted.pop_front();
        }
        Ok(id)
    }

    /// A phone's user takes a post back; everybody who got it gets that too.
    pub(crate) fn revoke_status(&mut self, number: &str, id: &str) -> Result<(), CommandFault> {
        let phone = self.key_of_phone(number)?;
        let posted = self.statuses.get_mut(&phone.number);
        let position = posted.as_ref().and_then(|posted| posted.iter().position(|post| post.id == id));
        let post = posted.zip(position).and_then(|(posted, position)| posted.remove(position));
        let post = post.ok_or_else(|| CommandFault::NoStatus(id.to_owned()))?;
        let key = MessageKey {
            remote_jid: Some(Jid::status_broadcast().to_string()),
            from_me: Some(true),
            id: Some(post.id),
            ..MessageKey::default()
        };
        let protocol = ProtocolMessage {
            key: MessageField::some(key),
            r#type: Some(ProtocolType::REVOKE),
            ..ProtocolMessage::default()
        };
        let message = Message { protocol_message: MessageField::some(protocol), ..Message::default() };
        let revoke = PostedStatus { id: random::message_id(), message, audience: post.audience };
        self.broadcast_status(&phone, &revoke, Some("7"))
    }

    /// Seals a post once for all, and the key to it for each device.
    fn broadcast_status(&mut self, phone: &DeviceKey, post: &PostedStatus, edit: Option<&str>) -> Result<(), CommandFault> {
        let chat = Jid::status_broadcast().to_string();
        let Some(account) = self.accounts.get_mut(&phone.number) else {
            return Err(CommandFault::NoPhone(phone.number.clone()));
        };
        let key = account.phone.share_sender_key(&chat).map_err(CommandFault::Phone)?;
        let sealed = account.phone.encrypt_group(&chat, &post.message).map_err(CommandFault::Phone)?;
        self.record_phone(&phone.number);
        let mut copies = Vec::new();
        for target in post.audience.iter().flat_map(|number| self.devices_of(number)).filter(|target| target != phone) {
            copies.push(target);
        }
        // Everything is sealed before anything is delivered: a post goes out to all or to none.
        let mut sealed_keys = Vec::with_capacity(copies.len());
        for target in copies {
            let sealed_key = self.seal(phone, &target, &key).map_err(CommandFault::Phone)?;
            sealed_keys.push((target, enc_node(&sealed_key)));
        }
        let head = phone_head(post.id.clone(), edit);
        for (target, sealed_key) in sealed_keys {
            self.deliver_status(phone, &head, &target, Space::Lid, vec![sealed_key, enc_node(&sealed)]);
        }
        self.messages_relayed += 1;
        self.show_own_message(phone, &Jid::status_broadcast(), &post.id, &post.message);
        Ok(())
    }

    /// A device could not open a phone's post: it gets it alone, with the key, in a new session.
    pub(super) fn phone_posts_again(&mut self, asker: &DeviceKey, number: &str, id: &str, receipt: &Node) {
        let retry = receipt.get_optional_child("retry");
        let count = retry.and_then(|retry| wire::attribute(retry, "count")?.parse::<u64>().ok()).unwrap_or(1);
        let posted = self.statuses.get(number).and_then(|posted| posted.iter().find(|post| post.id == id));
        let Some(post) = posted.filter(|post| count <= RETRIES_MAX && post.audience.contains(&asker.number)).cloned() else {
            return;
        };
        let Some(account) = self.accounts.get_mut(number) else {
            return;
        };
        account.phone.renew_session(&asker.address());
        let key = account.phone.share_sender_key(&Jid::status_broadcast().to_string());
        let phone = DeviceKey::new(number, 0);
        let sealed = key.and_then(|key| {
            let distribution = key.sender_key_distribution_message;
            let message = Message { sender_key_distribution_message: distribution, ..post.message };
            self.seal(&phone, asker, &message)
        });
        self.record_phone(number);
        match sealed {
            Ok(sealed) => {
                self.deliver_status(&phone, &phone_head(post.id, None), asker, Space::Lid, vec![enc_node(&sealed)]);
            }
            Err(error) => tracing::warn!(number, id, %error, "a phone cannot send a status post again"),
        }
    }
}

fn phone_head(id: String, edit: Option<&str>) -> StatusHead {
    StatusHead { id, kind: "text".to_owned(), edit: edit.map(str::to_owned), extras: Vec::new(), device_identity: None }
}
