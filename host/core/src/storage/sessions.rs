//! Sessions: their records, and the owner epoch that every write of a session carries.

use super::cleanup::Leftover;
use super::codec::{decode, encode};
use super::engine::{Batch, Check};
use super::remembered::Remembered;
use super::{CONFLICT_TRIES_MAX, NewKey, Storage, StorageError, keys};
use crate::clock::Timestamp;
use crate::records::event::{Event, Fact};
use crate::records::id::{SessionId, TenantId};
use crate::records::session::{Session, SessionState};

/// The epoch of an owner while there is one machine.
const OWNER_EPOCH: u64 = 1;

/// Sessions that were looked up.
pub(super) type Sessions = Remembered<(TenantId, SessionId), Session>;

/// What is to change in a session's record; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct SessionChange {
    /// A new state and why.
    pub state: Option<(SessionState, Option<String>)>,
    /// The JIDs that pairing gave it, by number and by LID.
    pub paired: Option<(String, Option<String>)>,
    /// Forget the JIDs: it is no longer linked. From then on its device writes nothing until [`Storage::forget_device`] or
    /// [`Storage::finish_forgetting`] has removed its rows.
    pub unpaired: bool,
    /// The name that people give it.
    pub name: Option<String>,
    /// Settings to set, by name; `null` takes one away.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// It connected just now.
    pub active: bool,
    /// When the host tries again by itself, where a new state is not to last.
    pub retry_at: Option<Timestamp>,
}

impl SessionChange {
    /// Only a new state.
    pub fn state(state: SessionState, reason: Option<String>) -> Self {
        Self { state: Some((state, reason)), ..Self::default() }
    }

    fn apply(&self, session: &mut Session, at: Timestamp) {
        session.updated_at = at;
        if let Some((state, reason)) = &self.state {
            session.state = *state;
            session.reason.clone_from(reason);
            session.retry_at = self.retry_at;
        }
        if let Some((jid, lid)) = &self.paired {
            session.phone_number = jid.split(['@', ':']).next().unwrap_or_default().to_owned();
            session.jid = Some(jid.clone());
            session.lid.clone_from(lid);
        }
        if self.unpaired {
            session.jid = None;
            session.lid = None;
        }
        if let Some(name) = &self.name {
            session.name.clone_from(name);
        }
        for (name, value) in &self.settings {
            if value.is_null() {
                session.settings.remove(name);
            } else {
                session.settings.insert(name.clone(), value.clone());
            }
        }
        if self.active {
            session.last_active_at = Some(at);
        }
    }
}

impl Storage {
    pub(super) fn owner_check(tenant: TenantId, session: SessionId) -> Check {
        Check::Equals { key: keys::owner_epoch(tenant, session), value: OWNER_EPOCH.to_be_bytes().to_vec() }
    }

    /// Makes a session together with its own API key.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when its id is taken; else when the engine fails.
    pub async fn create_session(&self, session: &Session, own_key: &NewKey) -> Result<(), StorageError> {
        self.create_session_within(session, own_key, None).await
    }

    /// The same, if the tenant has at most `sessions_max` sessions with it.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when its id is taken or the tenant has that many already; else when the engine fails.
    pub async fn create_session_within(
        &self,
        session: &Session,
        own_key: &NewKey,
        sessions_max: Option<u64>,
    ) -> Result<(), StorageError> {
        let count = keys::session_count(session.tenant);
        let key = keys::session(session.tenant, session.id);
        let mark = keys::session_tenant(session.id);
        let mut batch = Batch::default();
        batch.check(Check::Absent { key: mark.clone() });
        if let Some(max) = sessions_max {
            batch.check(Check::AtMost { key: count.clone(), max: max.checked_sub(1).ok_or(StorageError::Conflict)? });
        }
        batch.add(count, 1);
        batch.put(mark.clone(), encode(&mark, &session.tenant)?);
        batch.put(keys::owner_epoch(session.tenant, session.id), OWNER_EPOCH.to_be_bytes().to_vec());
        batch.put(key.clone(), encode(&key, session)?);
        self.put_key(&mut batch, own_key)?;
        self.show_key(&mut batch, own_key);
        self.engine.commit(batch).await.map(|_| ())
    }

    /// A session of a tenant.
    ///
    /// # Errors
    /// When the engine fails or the record is damaged.
    pub async fn session(&self, tenant: TenantId, id: SessionId) -> Result<Option<Session>, StorageError> {
        if let Some((moment, session)) = self.sessions.get(&(tenant, id))
            && self.holds_still(tenant, moment)
        {
            return Ok(Some(session));
        }
        let before = self.moment(tenant);
        let session: Option<Session> = self.read(&keys::session(tenant, id)).await?;
        if let (Some(moment), Some(session)) = (before.filter(|moment| self.holds_still(tenant, *moment)), &session) {
            self.sessions.put((tenant, id), moment, session.clone());
        }
        Ok(session)
    }

    /// Every session of a tenant, by id.
    ///
    /// # Errors
    /// When the engine fails or a record is damaged.
    pub async fn sessions(&self, tenant: TenantId) -> Result<Vec<Session>, StorageError> {
        self.list(&keys::sessions(tenant)).await
    }

    /// Changes a session's record; a new state, or a new reason for it, becomes an event in the same commit. `None` when the session is gone.
    ///
    /// # Errors
    /// When the engine fails, or when others kept changing it.
    pub async fn change_session(
        &self,
        tenant: TenantId,
        id: SessionId,
        at: Timestamp,
        change: &SessionChange,
    ) -> Result<Option<Session>, StorageError> {
        let key = keys::session(tenant, id);
        for _ in 0..CONFLICT_TRIES_MAX {
            let Some(value) = self.engine.get(&key).await? else { return Ok(None) };
            let mut session: Session = decode(&key, &value)?;
            let before = (session.state, session.reason.clone());
            change.apply(&mut session, at);
            let mut batch = Batch::default();
            batch.check(Check::Equals { key: key.clone(), value });
            batch.check(Self::owner_check(tenant, id));
            batch.put(key.clone(), encode(&key, &session)?);
            if change.unpaired {
                // Whatever happens next, no later pairing finds rows of the device that was unlinked.
                Leftover::Device { tenant, session: id }.put(&mut batch)?;
            }
            // Another reason for the same state is news, too: it tells how far a recovery has come.
            if (session.state, &session.reason) != (before.0, &before.1) {
                let fact = Fact::SessionState { state: session.state, reason: session.reason.clone() };
                Self::append_event(&mut batch, tenant, &Event { n: 0, at, session: id, fact })?;
            }
            match self.engine.commit(batch).await {
                Err(StorageError::Conflict) => {}
                other => return other.map(|_| Some(session)),
            }
        }
        Err(StorageError::Conflict)
    }

    /// Removes a session with its keys, its device and its outbox; whether there was one. Its messages and events stay; what
    /// still waited to be sent has failed, and what waits for its time fails when that comes.
    ///
    /// # Errors
    /// When the engine fails: if the session is gone by then, what is left of it is removed later.
    pub async fn delete_session(&self, tenant: TenantId, id: SessionId, at: Timestamp) -> Result<bool, StorageError> {
        if self.session(tenant, id).await?.is_none() {
            return Ok(false);
        }
        let left = Leftover::Session { tenant, session: id, at };
        let mut batch = Batch::default();
        // Of two who delete it at once, one counts it off. Without its epoch nothing more is written for it.
        batch.check(Self::owner_check(tenant, id));
        batch.add(keys::session_count(tenant), -1);
        batch.delete(keys::session(tenant, id));
        batch.delete(keys::session_key(tenant, id));
        batch.delete(keys::owner_epoch(tenant, id));
        left.put(&mut batch)?;
        match self.engine.commit(batch).await {
            Ok(_) => self.finish_cleanup(&left).await.map(|()| true),
            Err(StorageError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
