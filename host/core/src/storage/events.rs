//! The event log of a tenant: append-only, numbered in the order of commits.

use std::collections::HashSet;

use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::{CONFLICT_TRIES_MAX, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::{Event, Fact, Incoming};
use crate::records::id::{SessionId, TenantId};

impl Storage {
    pub(super) fn append_event(batch: &mut Batch, tenant: TenantId, event: &Event) -> Result<(), StorageError> {
        let place = keys::events(tenant);
        let value = encode(&place, event)?;
        batch.append(keys::event_counter(tenant), place, value);
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
        for _ in 0..CONFLICT_TRIES_MAX {
            let mut batch = Batch::default();
            batch.check(Self::owner_check(tenant, session));
            let mut new = HashSet::new();
            for message in incoming {
                let mark = keys::inbound_seen(tenant, session, &message.chat, &message.from, &message.whatsapp_id);
                if new.contains(&mark) || self.engine.get(&mark).await?.is_some() {
                    continue;
                }
                batch.check(Check::Absent { key: mark.clone() });
                batch.put(mark.clone(), encode(&mark, &at)?);
                new.insert(mark);
                let fact = Fact::MessageReceived(Box::new(message.clone()));
                Self::append_event(&mut batch, tenant, &Event { n: 0, at, session, fact })?;
            }
            if new.is_empty() {
                return Ok(0);
            }
            match self.engine.commit(batch).await {
                // Another delivery of the same message was first, or the session is gone: only the first goes away by itself.
                Err(StorageError::Conflict) if self.session(tenant, session).await?.is_some() => {}
                other => return other.map(|_| new.len()),
            }
        }
        Err(StorageError::Conflict)
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
    pub(super) async fn event(&self, tenant: TenantId, n: u64) -> Result<Option<Event>, StorageError> {
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
