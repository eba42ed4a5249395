//! Webhook endpoints: their records, their sealed secrets and headers, and where each stands in the event log.

use super::cleanup::Leftover;
use super::codec::{decode, encode};
use super::engine::{Batch, Check, KeyRange};
use super::keys::RecordType;
use super::work::Cursor;
use super::{CONFLICT_TRIES_MAX, CursorStep, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::{Event, Fact};
use crate::records::id::{SessionId, TenantId, WebhookId};
use crate::records::webhook::{Delivery, WebhookEndpoint, WebhookSeal, event_webhook_id};
use crate::rules::event_filter;

/// Most endpoints of one tenant.
pub const WEBHOOKS_MAX: usize = 50;

impl WebhookEndpoint {
    /// Whether it asked for this event.
    pub fn wants(&self, event: &Event) -> bool {
        self.takes(event.session, event.fact.type_name())
    }

    /// Whether it asked for events of this type that happen to this session.
    fn takes(&self, session: SessionId, event_type: &str) -> bool {
        self.session.is_none_or(|bound| bound == session) && event_filter::takes(&self.events, event_type)
    }
}

impl Storage {
    /// Makes an endpoint. It is given what happens from now on. `false` when the tenant has [`WEBHOOKS_MAX`] already.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when its id is taken; else when the engine fails.
    pub async fn create_webhook(&self, endpoint: &WebhookEndpoint, seal: &WebhookSeal) -> Result<bool, StorageError> {
        let (tenant, id) = (endpoint.tenant, endpoint.id);
        let key = keys::of_webhook(tenant, RecordType::Webhook, id);
        let cursor = keys::of_webhook(tenant, RecordType::WebhookCursor, id);
        let last = self.last_event_number(tenant).await?;
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: key.clone() });
        batch.check(Check::AtMost { key: keys::webhook_count(tenant), max: WEBHOOKS_MAX as u64 - 1 });
        if let Some(session) = endpoint.session {
            batch.check(Self::owner_check(tenant, session));
        }
        batch.put(key.clone(), encode(&key, endpoint)?);
        batch.put(cursor.clone(), encode(&cursor, &last)?);
        self.put_webhook_seal(&mut batch, tenant, id, seal)?;
        batch.add(keys::webhook_count(tenant), 1);
        match self.engine.commit(batch).await {
            Ok(_) => Ok(true),
            Err(StorageError::Conflict) if self.webhooks(tenant).await?.len() >= WEBHOOKS_MAX => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn put_webhook_seal(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        id: WebhookId,
        seal: &WebhookSeal,
    ) -> Result<(), StorageError> {
        let place = keys::of_webhook(tenant, RecordType::WebhookSeal, id);
        batch.put(place.clone(), self.vault.seal(&place, &encode(&place, seal)?));
        Ok(())
    }

    /// An endpoint of a tenant.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn webhook(&self, tenant: TenantId, id: WebhookId) -> Result<Option<WebhookEndpoint>, StorageError> {
        self.read(&keys::of_webhook(tenant, RecordType::Webhook, id)).await
    }

    /// Every endpoint of a tenant, by id.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn webhooks(&self, tenant: TenantId) -> Result<Vec<WebhookEndpoint>, StorageError> {
        self.list(&keys::webhooks(tenant)).await
    }

    /// Whether an endpoint that is in service takes events of this type that happen to this session.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn webhooks_want(&self, tenant: TenantId, session: SessionId, event_type: &str) -> Result<bool, StorageError> {
        let takes = |endpoint: &WebhookEndpoint| endpoint.active && endpoint.takes(session, event_type);
        Ok(self.webhooks(tenant).await?.iter().any(takes))
    }

    /// The secrets and headers of an endpoint.
    ///
    /// # Errors
    /// When the engine fails or they do not open.
    pub async fn webhook_seal(&self, tenant: TenantId, id: WebhookId) -> Result<Option<WebhookSeal>, StorageError> {
        let place = keys::of_webhook(tenant, RecordType::WebhookSeal, id);
        let Some(sealed) = self.engine.get(&place).await? else { return Ok(None) };
        decode(&place, &self.vault.open(&place, &sealed)?).map(Some)
    }

    /// Changes an endpoint, and what of it is sealed, through `change`; `None` when there is none.
    ///
    /// # Errors
    /// When the engine fails, or when others kept changing it.
    pub async fn change_webhook(
        &self,
        tenant: TenantId,
        id: WebhookId,
        change: impl Fn(&mut WebhookEndpoint, &mut WebhookSeal) + Send + Sync,
    ) -> Result<Option<WebhookEndpoint>, StorageError> {
        let key = keys::of_webhook(tenant, RecordType::Webhook, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
            let Some(mut seal) = self.webhook_seal(tenant, id).await? else { return Ok(None) };
            let (mut endpoint, before): (WebhookEndpoint, _) = (decode(&key, &value)?, seal.clone());
            change(&mut endpoint, &mut seal);
            let mut batch = Batch::default();
            // Whoever changes what is sealed changes the record too, if only its time: the one check holds both.
            batch.check(Check::Equals { key: key.clone(), value });
            batch.put(key.clone(), encode(&key, &endpoint)?);
            if seal != before {
                self.put_webhook_seal(&mut batch, tenant, id, &seal)?;
            }
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(endpoint)),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Switches an endpoint off because of what its receiver does, and tells so in the event log, in one commit. `None` when it
    /// is gone or off already.
    ///
    /// # Errors
    /// When the engine fails, or when others kept changing it.
    pub async fn switch_off_webhook(
        &self,
        tenant: TenantId,
        id: WebhookId,
        reason: &str,
        at: Timestamp,
    ) -> Result<Option<WebhookEndpoint>, StorageError> {
        let key = keys::of_webhook(tenant, RecordType::Webhook, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
            let mut endpoint: WebhookEndpoint = decode(&key, &value)?;
            if !endpoint.active {
                return Ok(None);
            }
            endpoint.active = false;
            endpoint.disabled_reason = Some(reason.to_owned());
            endpoint.failing_since.get_or_insert(at);
            endpoint.updated_at = at;
            let fact = Fact::WebhookDisabled { webhook: id, reason: reason.to_owned() };
            let event = Event { n: 0, at, session: endpoint.session.unwrap_or(SessionId::NONE), fact };
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            batch.put(key.clone(), encode(&key, &endpoint)?);
            Self::append_event(&mut batch, tenant, &event)?;
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(endpoint)),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Removes an endpoint with everything it owes and logged; whether there was one. No event goes with it.
    ///
    /// # Errors
    /// When the engine fails: if the endpoint is gone by then, what is left of it is removed later.
    pub async fn delete_webhook(&self, tenant: TenantId, id: WebhookId) -> Result<bool, StorageError> {
        let key = keys::of_webhook(tenant, RecordType::Webhook, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(false) };
            let left = Leftover::Webhook { tenant, webhook: id };
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            for record in [RecordType::Webhook, RecordType::WebhookSeal, RecordType::WebhookCursor] {
                batch.delete(keys::of_webhook(tenant, record, id));
            }
            batch.add(keys::webhook_count(tenant), -1);
            left.put(&mut batch)?;
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                Ok(_) => return self.finish_cleanup(&left).await.map(|()| true),
                Err(error) => return Err(error),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Holds while there is the endpoint and its record is as it is now; `None` when it is gone. What is owed to it anew is owed
    /// under this check: nothing may join what a deletion has left.
    pub(super) async fn webhook_check(&self, tenant: TenantId, id: WebhookId) -> Result<Option<Check>, StorageError> {
        let key = keys::of_webhook(tenant, RecordType::Webhook, id);
        Ok(self.engine.get(&key).await?.map(|value| Check::Equals { key, value }))
    }

    /// Moves an endpoint's cursor over up to `limit` events and owes a delivery for each that it wants.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged. An endpoint that is gone and another worker that was first are no errors.
    pub async fn step_webhook(
        &self,
        endpoint: &WebhookEndpoint,
        limit: usize,
        now: Timestamp,
    ) -> Result<CursorStep, StorageError> {
        let (tenant, id) = (endpoint.tenant, endpoint.id);
        let cursor = keys::of_webhook(tenant, RecordType::WebhookCursor, id);
        let Some(before) = self.engine.get(&cursor).await? else { return Ok(CursorStep::NONE) };
        let owe = |batch: &mut Batch, event: &Event| {
            if !endpoint.wants(event) {
                return Ok(false);
            }
            Self::put_delivery(batch, endpoint, event, now).map(|()| true)
        };
        let cursor = Cursor { key: cursor, before: Some(before), guards: Vec::new() };
        Ok(self.pass_events(tenant, cursor, limit, owe).await?.unwrap_or(CursorStep::NONE))
    }

    pub(super) fn put_delivery(
        batch: &mut Batch,
        endpoint: &WebhookEndpoint,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let (tenant, id) = (endpoint.tenant, endpoint.id);
        let chat = event.fact.chat().map(str::to_owned);
        let delivery = Delivery::new(event_webhook_id(id, event.n), Some(event.session), chat, now);
        let place = keys::in_webhook(tenant, RecordType::Delivery, id, event.n);
        batch.put(place.clone(), encode(&place, &delivery)?);
        batch.add(keys::of_webhook(tenant, RecordType::WebhookCount, id), 1);
        Ok(())
    }

    /// Lets an endpoint go on with what happens from now on: what its cursor has not passed yet it is never given.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn skip_webhook_backlog(&self, tenant: TenantId, id: WebhookId) -> Result<(), StorageError> {
        let cursor = keys::of_webhook(tenant, RecordType::WebhookCursor, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&cursor).await? else { return Ok(()) };
            let last = self.last_event_number(tenant).await?;
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: cursor.clone(), value });
            batch.put(cursor.clone(), encode(&cursor, &last)?);
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| ()),
            }
        }
        Err(StorageError::Conflict)
    }

    /// The number of the oldest event that an endpoint in service has yet to be given; `None` when there is none in service.
    /// Whoever trims the event log leaves what comes from there on.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn oldest_event_owed_to_webhooks(&self, tenant: TenantId) -> Result<Option<u64>, StorageError> {
        let mut oldest: Option<u64> = None;
        for endpoint in self.webhooks(tenant).await?.iter().filter(|endpoint| endpoint.active) {
            let next = self.webhook_cursor(tenant, endpoint.id).await?.saturating_add(1);
            let deliveries = keys::of_webhook(tenant, RecordType::Delivery, endpoint.id);
            let first = self.engine.range(&KeyRange::prefix(&deliveries, 1)).await?.pop();
            let owed = first.map_or(next, |(key, _)| keys::trailing_number(&key).min(next));
            oldest = Some(oldest.map_or(owed, |oldest| oldest.min(owed)));
        }
        Ok(oldest)
    }

    /// The number of the last event that an endpoint's cursor has passed.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn webhook_cursor(&self, tenant: TenantId, id: WebhookId) -> Result<u64, StorageError> {
        Ok(self.read(&keys::of_webhook(tenant, RecordType::WebhookCursor, id)).await?.unwrap_or(0))
    }
}
