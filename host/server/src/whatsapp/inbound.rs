//! What comes in: durable in the event log before WhatsApp gets its acknowledgement.

use std::collections::HashMap;
use std::sync::Arc;

use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::types::message::MessageSource;
use whatsapp_rust::waproto::whatsapp::MessageKey;
use whatsapp_rust::{Client, InboundDurabilityHook, Jid, async_trait};

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::inbox::Inbox;
use switchboard_core::records::content::{Content, Person};
use switchboard_core::records::event::{Incoming, KnownPoll, NewFact};
use switchboard_core::storage::StorageError;

use super::names::Names;
use super::received::{Received, SealedVote, from_protobuf};
use super::votes;

/// Commits messages to the event log before they are acknowledged.
pub(super) struct DurableInbox(pub(super) Inbox);

#[async_trait]
impl InboundDurabilityHook for DurableInbox {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> whatsapp_rust::anyhow::Result<()> {
        let facts = facts(&self.0, &client, batch).await?;
        if !facts.is_empty() {
            self.0.record(&facts).await?;
        }
        Ok(())
    }
}

/// The facts in messages. A vote may come right behind its poll, so polls of the same batch are known.
///
/// # Errors
/// When storage fails.
pub(super) async fn facts(inbox: &Inbox, client: &Client, batch: &[InboundMessage]) -> Result<Vec<NewFact>, StorageError> {
    let reader = Reader { inbox, client, names: Names(client) };
    let mut polls = HashMap::new();
    let mut facts = Vec::with_capacity(batch.len());
    for message in batch {
        let Some(received) = from_protobuf(&message.message) else { continue };
        let fact = reader.fact(message, received, &polls).await?;
        if let (Some(poll), Some(once)) = (&fact.poll, &fact.once) {
            polls.insert(once.id.clone(), poll.clone());
        }
        facts.push(fact);
    }
    Ok(facts)
}

struct Reader<'a> {
    inbox: &'a Inbox,
    client: &'a Client,
    names: Names<'a>,
}

impl Reader<'_> {
    async fn fact(
        &self,
        message: &InboundMessage,
        received: Received,
        polls: &HashMap<String, KnownPoll>,
    ) -> Result<NewFact, StorageError> {
        let info = &message.info;
        let source = &info.source;
        let from = self.names.person(&source.sender, &[source.sender_alt.as_ref()]).await;
        let chat = self.chat(source, &from).await;
        let Received { mut content, extras, about, poll_secret, vote } = received;
        let author = match about.as_ref().and_then(|key| self.author(key, source)) {
            Some(jid) => Some(self.names.person(&jid, &[]).await),
            None => None,
        };
        self.complete(&mut content, author, vote, &from, polls).await?;
        let poll = match (&content, poll_secret) {
            (Content::Poll(poll), Some(secret)) => {
                let at = self.inbox.clock.now();
                Some(KnownPoll { options: poll.options.clone(), secret, author: from.clone(), at })
            }
            _ => None,
        };
        let incoming = Incoming {
            whatsapp_id: info.id.to_string(),
            chat: source.chat.to_non_ad_string(),
            chat_phone: chat.phone,
            chat_lid: chat.lid,
            from: from.jid,
            from_phone: from.phone,
            from_lid: from.lid,
            push_name: Some(info.push_name.clone()).filter(|name| !name.is_empty()),
            from_me: source.is_from_me,
            group: source.is_group,
            sent_at: Timestamp(u64::try_from(info.timestamp.timestamp_millis()).unwrap_or_default()),
            content,
            extras,
        };
        Ok(NewFact { poll, ..NewFact::from(incoming) })
    }

    /// The names of the person whom a chat is with; a group has none.
    async fn chat(&self, source: &MessageSource, from: &Person) -> Person {
        if source.is_group || !(source.chat.is_pn() || source.chat.is_lid()) {
            return Person::default();
        }
        if source.chat.to_non_ad_string() == from.jid {
            return from.clone();
        }
        let also = source.recipient_alt.as_ref().filter(|_| source.is_from_me);
        self.names.person(&source.chat, &[also]).await
    }

    /// Who wrote the message that a key names, seen from the sender of the message that it came in.
    fn author(&self, key: &MessageKey, source: &MessageSource) -> Option<Jid> {
        if key.from_me == Some(true) {
            return Some(source.sender.to_non_ad());
        }
        if let Some(participant) = key.participant.as_deref().filter(|participant| !participant.is_empty()) {
            return participant.parse().ok();
        }
        if source.is_group {
            return None;
        }
        // In a talk of two it is the other one.
        if source.is_from_me { Some(source.chat.clone()) } else { self.client.pn().map(|own| own.to_non_ad()) }
    }

    /// Adds to the content whom it is about, and opens votes.
    async fn complete(
        &self,
        content: &mut Content,
        author: Option<Person>,
        vote: Option<SealedVote>,
        from: &Person,
        polls: &HashMap<String, KnownPoll>,
    ) -> Result<(), StorageError> {
        match content {
            Content::Reaction(reaction) => reaction.author = author,
            // What somebody takes back of themselves needs no second name.
            Content::Revoke(revoke) => revoke.author = author.filter(|author| author.jid != from.jid),
            Content::PollVote(choice) => {
                choice.author = author;
                let poll = match polls.get(&choice.poll_id) {
                    Some(poll) => Some(poll.clone()),
                    None => self.inbox.storage.known_poll(self.inbox.tenant, self.inbox.session, &choice.poll_id).await?,
                };
                if let (Some(poll), Some(vote)) = (poll, vote) {
                    choice.options = votes::open(&poll, &choice.poll_id, &vote, from);
                    choice.author = Some(poll.author);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
