//! What a plugin sees of what happened: the fields that were granted, and pseudonyms in place of numbers.
//!
//! Pure. Every record is taken apart by all of its fields, so that one that is added cannot be shown by being forgotten. What an
//! event is of stays as it is: its type, number, session, time and the ids of messages.

mod back;
mod content;

use std::collections::BTreeSet;

use serde_json::Value;

use super::address::PHONE_DIGITS_MIN;
use super::pseudonym::Pseudonyms;
use crate::records::content::Person;
use crate::records::event::{Call, ContactChange, Event, Fact, GroupChange, Incoming, StoredMedia};
use crate::records::message::Message;
use crate::records::people::KnownContact;
use crate::records::plugin::MessageField;

pub use back::{UnknownPseudonym, resolve_outgoing};

/// The servers of JIDs that words may name somebody by.
const JID_SERVERS: [&str; 4] = ["s.whatsapp.net", "c.us", "lid", "g.us"];

/// The LIDs in an event: of people whose telephone numbers it may not tell, though they are known.
pub fn lids(event: &Event) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Wherever they are: one that is forgotten would be somebody else.
    if let Ok(event) = serde_json::to_value(event) {
        find_lids(&event, &mut found);
    }
    found
}

fn find_lids(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if let Some((user, "lid")) = text.split_once('@') {
                let user = user.split(':').next().unwrap_or_default();
                found.insert(format!("{user}@lid"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find_lids(item, found)),
        Value::Object(members) => members.values().for_each(|member| find_lids(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What one plugin may see of one tenant's messages.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The fields that it was granted.
    pub fields: &'a BTreeSet<MessageField>,
    /// What it calls people and groups by.
    pub names: &'a Pseudonyms,
}

impl Sight<'_> {
    fn sees(&self, field: MessageField) -> bool {
        self.fields.contains(&field)
    }

    /// Words of a message, or of what is like one.
    pub fn words(&self, words: &str) -> String {
        if self.sees(MessageField::Text) { words.to_owned() } else { String::new() }
    }

    fn words_if_any(&self, words: Option<&String>) -> Option<String> {
        words.filter(|_| self.sees(MessageField::Text)).cloned()
    }

    fn name_if_any(&self, name: Option<&String>) -> Option<String> {
        name.filter(|_| self.sees(MessageField::ContactName)).cloned()
    }

    fn jid(&self, jid: &str) -> String {
        if self.sees(MessageField::Number) { jid.to_owned() } else { self.names.of_jid(jid) }
    }

    /// Why something is as it is, in words of the host or of WhatsApp, which may name somebody.
    fn reason(&self, words: &str) -> String {
        if self.sees(MessageField::Number) {
            return words.to_owned();
        }
        words.split_inclusive(char::is_whitespace).map(|word| self.reason_word(word)).collect()
    }

    fn reason_word(&self, word: &str) -> String {
        let plain = |c: char| !c.is_ascii_alphanumeric();
        let core = word.trim_matches(plain);
        let is_jid = core.split_once('@').is_some_and(|(_, server)| JID_SERVERS.contains(&server));
        if is_jid {
            return word.replace(core, &self.names.of_jid(core));
        }
        let longest = word.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or_default();
        if longest >= PHONE_DIGITS_MIN { word.replace(core, "…") } else { word.to_owned() }
    }

    /// A person, named in one way alone where numbers are not seen.
    pub fn person(&self, person: &Person) -> Person {
        if self.sees(MessageField::Number) {
            return person.clone();
        }
        Person { jid: self.names.of_person(person), phone: None, lid: None }
    }

    fn person_if_any(&self, person: Option<&Person>) -> Option<Person> {
        person.map(|person| self.person(person))
    }

    /// An event as the plugin is told of it.
    pub fn event(&self, event: &Event) -> Event {
        let Event { n, at, session, fact } = event;
        Event { n: *n, at: *at, session: *session, fact: self.fact(fact) }
    }

    fn fact(&self, fact: &Fact) -> Fact {
        match fact {
            Fact::MessageReceived(incoming) => Fact::MessageReceived(Box::new(self.incoming(incoming))),
            Fact::MessageState { message, whatsapp_id, chat, state, reason, test } => Fact::MessageState {
                message: *message,
                whatsapp_id: whatsapp_id.clone(),
                chat: self.jid(chat),
                state: *state,
                reason: reason.as_deref().map(|reason| self.reason(reason)),
                test: *test,
            },
            Fact::ContactChanged(change) => Fact::ContactChanged(Box::new(self.contact_change(change))),
            Fact::Receipt { message, whatsapp_id, chat, by, state } => Fact::Receipt {
                message: *message,
                whatsapp_id: whatsapp_id.clone(),
                chat: self.jid(chat),
                by: self.person(by),
                state: *state,
            },
            Fact::GroupChanged(change) => Fact::GroupChanged(Box::new(self.group_change(change))),
            Fact::PresenceChanged { person, online, last_seen } => {
                Fact::PresenceChanged { person: self.person(person), online: *online, last_seen: *last_seen }
            }
            Fact::ChatState { chat, person, activity } => {
                Fact::ChatState { chat: self.chat_of(chat, person), person: self.person(person), activity: *activity }
            }
            Fact::CallReceived(call) => Fact::CallReceived(Box::new(self.call(call))),
            Fact::CallEnded { call, reason } => {
                Fact::CallEnded { call: Box::new(self.call(call)), reason: self.reason(reason) }
            }
            Fact::MediaStored(stored) => Fact::MediaStored(Box::new(self.stored_media(stored))),
            Fact::MediaFailed { event, whatsapp_id, chat, reason } => Fact::MediaFailed {
                event: *event,
                whatsapp_id: whatsapp_id.clone(),
                chat: self.jid(chat),
                reason: self.reason(reason),
            },
            // Nobody but the account itself is in these.
            Fact::SessionState { state, reason } => {
                Fact::SessionState { state: *state, reason: reason.as_deref().map(|reason| self.reason(reason)) }
            }
            Fact::SessionQr { text, expires_at } => Fact::SessionQr { text: text.clone(), expires_at: *expires_at },
            Fact::WebhookDisabled { webhook, reason } => {
                Fact::WebhookDisabled { webhook: *webhook, reason: self.reason(reason) }
            }
        }
    }

    /// A chat that may be with the person who is told of beside it: then it has their name.
    fn chat_of(&self, chat: &str, person: &Person) -> String {
        let theirs = [Some(&person.jid), person.lid.as_ref()].into_iter().flatten().any(|jid| jid == chat);
        if theirs && !self.sees(MessageField::Number) { self.names.of_person(person) } else { self.jid(chat) }
    }

    fn incoming(&self, incoming: &Incoming) -> Incoming {
        let Incoming {
            whatsapp_id,
            chat,
            chat_phone,
            chat_lid,
            from,
            from_phone,
            from_lid,
            push_name,
            from_me,
            group,
            sent_at,
            content,
            extras,
        } = incoming;
        let numbers = self.sees(MessageField::Number);
        let named = |jid: &str, phone: &Option<String>, lid: &Option<String>| match numbers {
            true => jid.to_owned(),
            false => self.names.of_names(jid, phone.as_deref(), lid.as_deref()),
        };
        Incoming {
            whatsapp_id: whatsapp_id.clone(),
            chat: named(chat, chat_phone, chat_lid),
            chat_phone: chat_phone.clone().filter(|_| numbers),
            chat_lid: chat_lid.clone().filter(|_| numbers),
            from: named(from, from_phone, from_lid),
            from_phone: from_phone.clone().filter(|_| numbers),
            from_lid: from_lid.clone().filter(|_| numbers),
            push_name: self.name_if_any(push_name.as_ref()),
            from_me: *from_me,
            group: *group,
            sent_at: *sent_at,
            content: self.content(content, extras),
            extras: self.extras(extras),
        }
    }

    fn group_change(&self, change: &GroupChange) -> GroupChange {
        let GroupChange { chat, change, value, by, participants, changed_at } = change;
        GroupChange {
            chat: self.jid(chat),
            change: change.clone(),
            value: self.words_if_any(value.as_ref()),
            by: self.person_if_any(by.as_ref()),
            participants: participants.iter().map(|person| self.person(person)).collect(),
            changed_at: *changed_at,
        }
    }

    fn call(&self, call: &Call) -> Call {
        let Call { call_id, from, group, video, called_at } = call;
        Call {
            call_id: call_id.clone(),
            from: self.person(from),
            group: group.as_deref().map(|group| self.jid(group)),
            video: *video,
            called_at: *called_at,
        }
    }

    fn contact_change(&self, change: &ContactChange) -> ContactChange {
        let ContactChange { contact, new } = change;
        let KnownContact { phone, lid, push_name, name, verified_name, since } = contact;
        let (phone, lid) = match self.sees(MessageField::Number) {
            true => (phone.clone(), lid.clone()),
            // Where a record has no other place for it, the pseudonym stands in that of the LID.
            false => (None, Some(self.names.of_person(&contact.person()))),
        };
        let contact = KnownContact {
            phone,
            lid,
            push_name: self.name_if_any(push_name.as_ref()),
            name: self.name_if_any(name.as_ref()),
            verified_name: self.name_if_any(verified_name.as_ref()),
            since: *since,
        };
        ContactChange { contact, new: *new }
    }

    fn stored_media(&self, stored: &StoredMedia) -> StoredMedia {
        let StoredMedia { event, whatsapp_id, chat, media, mime, size, sha256, file_name, expires_at } = stored;
        let files = self.sees(MessageField::Media);
        let seen = |text: &String| if files { text.clone() } else { String::new() };
        StoredMedia {
            event: *event,
            whatsapp_id: whatsapp_id.clone(),
            chat: self.jid(chat),
            media: seen(media),
            mime: seen(mime),
            size: if files { *size } else { 0 },
            sha256: seen(sha256),
            file_name: file_name.clone().filter(|_| files),
            expires_at: *expires_at,
        }
    }

    /// A message that was accepted, as the plugin is told of it.
    pub fn message(&self, message: &Message) -> Message {
        let Message {
            id,
            session,
            to,
            content,
            extras,
            whatsapp_id,
            schedule,
            batch,
            state,
            reason,
            attempts,
            accepted_at,
            updated_at,
            reached,
            origin,
            template,
            test,
        } = message;
        Message {
            id: *id,
            session: *session,
            to: self.jid(to),
            content: self.content(content, extras),
            extras: self.extras(extras),
            whatsapp_id: whatsapp_id.clone(),
            schedule: *schedule,
            batch: *batch,
            state: *state,
            reason: reason.as_deref().map(|reason| self.reason(reason)),
            attempts: *attempts,
            accepted_at: *accepted_at,
            updated_at: *updated_at,
            reached: reached.clone(),
            origin: origin.clone(),
            template: template.clone().filter(|_| self.sees(MessageField::Text)),
            test: *test,
        }
    }
}

#[cfg(test)]
mod tests;
