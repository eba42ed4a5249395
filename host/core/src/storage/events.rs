//! The event log of a tenant: append-only, numbered in the order of commits.

use std::collections::HashSet;

use super::codec::{decode, encode};
use super::counted::Counted;
use super::engine::{Batch, Check, Entry, KeyRange};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::{Event, Incoming, KnownPoll, NewFact};
use crate::records::id::{SessionId, TenantId};
use crate::records::message::Message;
use crate::records::message_log::{Direction, is_received};

impl Storage {
    /// Puts an event at the end of the log and on the list of its chat, and counts its bytes.
    pub(super) fn append_event(batch: &mut Batch, tenant: TenantId, event: &Event) -> Result<(), StorageError> {
        Self::append_event_and(batch, tenant, event, None)
    }

    /// The same with one more place, which has the event's number as well.
    fn append_event_and(
        batch: &mut Batch,
        tenant: TenantId,
        event: &Event,
        also: Option<Entry>,
    ) -> Result<(), StorageError> {
        let place = keys::events(tenant);
        let value = encode(&place, event)?;
        batch.count(Counted::Event(event.fact.type_name()));
        batch.add(keys::event_bytes(tenant), i64::try_from(value.len()).unwrap_or(i64::MAX));
        if is_received(&event.fact) {
            batch.add(keys::message_count(tenant, Direction::Received, event.session), 1);
        }
        let mut places = vec![(place, value)];
        for chat in event.fact.chat_names() {
            let place = keys::events_by_chat(tenant, &chat);
            let value = encode(&place, &(event.session, event.fact.type_name()))?;
            places.push((place, value));
        }
        places.extend(also);
        batch.append_all(keys::event_counter(tenant), places);
        Ok(())
    }

    /// Writes down messages that came in: each becomes one event, once, however often WhatsApp delivers it. Returns how many
    /// were new.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when the engine fails.
    pub async fn record_inbound(
        &self,
        tenant: TenantId,
        session: SessionId,
        at: Timestamp,
        incoming: &[Incoming],
    ) -> Result<usize, StorageError> {
        let facts: Vec<NewFact> = incoming.iter().cloned().map(NewFact::from).collect();
        self.record_facts(tenant, session, at, &facts).await
    }

    /// Writes down what happened to a session, all in one commit: each fact becomes one event, once if it can be told again.
    /// Returns how many were new.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when the engine fails.
    pub async fn record_facts(
        &self,
        tenant: TenantId,
        session: SessionId,
        at: Timestamp,
        facts: &[NewFact],
    ) -> Result<usize, StorageError> {
        let fetches = self.fetches_files(tenant, session, facts).await?;
        for _ in 0..CONFLICT_TRIES_MAX {
            let mut batch = Batch::default();
            batch.check(Self::owner_check(tenant, session));
            let mut marks = HashSet::new();
            let mut new = 0;
            for NewFact { fact, once, poll } in facts {
                let mark = once.as_ref().map(|once| keys::inbound_seen(tenant, session, &once.chat, &once.from, &once.id));
                if let Some(mark) = mark {
                    if marks.contains(&mark) || self.engine.get(&mark).await?.is_some() {
                        continue;
                    }
                    batch.check(Check::Absent { key: mark.clone() });
                    batch.put(mark.clone(), encode(&mark, &at)?);
                    marks.insert(mark);
                }
                if let (Some(poll), Some(once)) = (poll, once) {
                    self.put_poll(&mut batch, tenant, session, &once.id, poll).await?;
                }
                self.put_vote(&mut batch, tenant, session, fact).await?;
                let job = if fetches { Self::media_job(tenant, session, at, fact)? } else { None };
                Self::append_event_and(&mut batch, tenant, &Event { n: 0, at, session, fact: fact.clone() }, job)?;
                new += 1;
            }
            if new == 0 {
                return Ok(0);
            }
            match self.engine.commit(batch).await {
                // Another delivery of the same message was first, or the session is gone: only the first goes away by itself.
                Err(StorageError::Conflict) if self.session(tenant, session).await?.is_some() => {}
                other => return other.map(|_| new),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Remembers a poll unless one of this id is known: nobody can take another's place.
    async fn put_poll(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        session: SessionId,
        whatsapp_id: &str,
        poll: &KnownPoll,
    ) -> Result<(), StorageError> {
        let key = keys::known_poll(tenant, session, whatsapp_id);
        if self.engine.get(&key).await?.is_none() {
            batch.put(key.clone(), self.vault.seal(&key, &encode(&key, poll)?));
        }
        Ok(())
    }

    /// Remembers a poll that is about to be sent, before it leaves: votes are opened with its secret. The poll as it is
    /// known from then on, which is the first that was remembered under this id.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the session is gone; else when the engine fails.
    pub async fn remember_poll(
        &self,
        tenant: TenantId,
        session: SessionId,
        whatsapp_id: &str,
        poll: &KnownPoll,
    ) -> Result<KnownPoll, StorageError> {
        if let Some(known) = self.known_poll(tenant, session, whatsapp_id).await? {
            return Ok(known);
        }
        let mut batch = Batch::default();
        batch.check(Self::owner_check(tenant, session));
        batch.check(Check::Absent { key: keys::known_poll(tenant, session, whatsapp_id) });
        self.put_poll(&mut batch, tenant, session, whatsapp_id, poll).await?;
        match self.engine.commit(batch).await {
            Ok(_) => Ok(poll.clone()),
            Err(error) => self.known_poll(tenant, session, whatsapp_id).await?.ok_or(error),
        }
    }

    /// A poll that came in or went out.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn known_poll(
        &self,
        tenant: TenantId,
        session: SessionId,
        whatsapp_id: &str,
    ) -> Result<Option<KnownPoll>, StorageError> {
        let key = keys::known_poll(tenant, session, whatsapp_id);
        let Some(sealed) = self.engine.get(&key).await? else { return Ok(None) };
        decode(&key, &self.vault.open(&key, &sealed)?).map(Some)
    }

    /// Who wrote a message that came in: the JID it came from. `chats` are the names of its chat.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn inbound_author(
        &self,
        tenant: TenantId,
        session: SessionId,
        chats: &[String],
        whatsapp_id: &str,
    ) -> Result<Option<String>, StorageError> {
        for chat in chats {
            let prefix = keys::inbound_seen_by_id(tenant, session, chat, whatsapp_id);
            let found = self.engine.range(&KeyRange::prefix(&prefix, 1)).await?.pop();
            if let Some(author) = found.and_then(|(key, _)| String::from_utf8(key.get(prefix.len()..)?.to_vec()).ok()) {
                return Ok(Some(author));
            }
        }
        Ok(None)
    }

    /// Whether a session sent a message of this WhatsApp id, and the message.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn message_of_whatsapp_id(
        &self,
        tenant: TenantId,
        session: SessionId,
        whatsapp_id: &str,
    ) -> Result<Option<Message>, StorageError> {
        let key = keys::message_by_whatsapp_id(tenant, session, whatsapp_id);
        match self.read(&key).await? {
            Some(id) => self.message(tenant, id).await,
            None => Ok(None),
        }
    }

    /// Whether a message that came in has been written down.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn has_inbound(
        &self,
        tenant: TenantId,
        session: SessionId,
        chat: &str,
        from: &str,
        whatsapp_id: &str,
    ) -> Result<bool, StorageError> {
        let mark = keys::inbound_seen(tenant, session, chat, from, whatsapp_id);
        Ok(self.engine.get(&mark).await?.is_some())
    }

    /// Events after number `after`, oldest first.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn events(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Vec<Event>, StorageError> {
        let prefix = keys::events(tenant);
        let mut start = prefix.clone();
        start.extend_from_slice(&after.saturating_add(1).to_be_bytes());
        let range = KeyRange { start, ..KeyRange::prefix(&prefix, limit) };
        let entries = self.engine.range(&range).await?;
        entries
            .iter()
            .map(|(key, value)| {
                let mut event: Event = decode(key, value)?;
                event.n = keys::trailing_number(key);
                Ok(event)
            })
            .collect()
    }

    /// One event.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn event(&self, tenant: TenantId, n: u64) -> Result<Option<Event>, StorageError> {
        let Some(before) = n.checked_sub(1) else { return Ok(None) };
        Ok(self.events(tenant, before, 1).await?.into_iter().find(|event| event.n == n))
    }

    /// The number of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn last_event_number(&self, tenant: TenantId) -> Result<u64, StorageError> {
        let value = self.engine.get(&keys::event_counter(tenant)).await?;
        Ok(value.map_or(0, |value| keys::trailing_number(&value)))
    }
}
